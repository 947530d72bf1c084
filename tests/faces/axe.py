"""Where axe-core is, for the accessibility tests: it is fetched by `make`, never committed.

Looked for in the environment variable ``OPSROOM_AXE`` (path of ``axe.min.js``) and in
``node_modules/axe-core`` at the root of the checkout.
"""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def axe_source() -> str | None:
    """Return the text of axe-core, or None where it is absent."""
    places = [os.environ.get("OPSROOM_AXE", ""), str(ROOT / "node_modules" / "axe-core" / "axe.min.js")]
    for place in places:
        if place and Path(place).is_file():
            return Path(place).read_text("utf-8")
    return None


def why_absent() -> str:
    """Return the reason for skipping."""
    return "axe-core is not here: run `npm install --no-save axe-core` or set OPSROOM_AXE"
