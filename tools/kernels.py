"""`python -m tools.kernels`: compile opsroom's kernels once, so that no first run has to.

A small economy lives through its first weeks, in a folder that is then removed. What numba compiles on the way it
keeps beside the sources; the demo would compile it otherwise, in more time and memory than it needs ever after.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import tempfile
from pathlib import Path

from opsroom.room.demo import build_meridia, build_us

COMPANIES = 400
UNTIL = dt.date(2020, 3, 4)


def main() -> None:
    """Build the small rooms."""
    with tempfile.TemporaryDirectory(prefix="opsroom-kernels-") as folder, contextlib.redirect_stderr(io.StringIO()):
        root = Path(folder)
        build_meridia(root / "meridia", companies=COMPANIES, until=UNTIL, meanwhile=lambda: _us(root / "us"))


def _us(folder: Path) -> None:
    build_us(folder)


if __name__ == "__main__":
    main()
