"""`python -m bench CASE [--size N] [--json]`: run a case, print a table, or one JSON object.

A case is a module here with ``run(size=None) -> dict``: ``case``, ``size``, ``ours_s``, ``peer``, ``peer_s``,
``ratio`` (peer_s / ours_s) and ``max_abs_diff`` where both give numbers. A peer that is not installed is reported as
absent.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path
from typing import Any

CASES = tuple(sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py")))


def main() -> None:
    """Run one case, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("case", nargs="?", choices=CASES, help="the case; all of them where absent")
    parser.add_argument("--size", type=int, help="size of the problem; the case's own where absent")
    parser.add_argument("--json", action="store_true", help="print one JSON object a case")
    given = parser.parse_args()
    for name in [given.case] if given.case else CASES:
        outcome: dict[str, Any] = import_module(f"bench.{name}").run(given.size)
        if given.json:
            print(json.dumps(outcome, default=str))
            continue
        print(name)
        for key, value in outcome.items():
            print(f"  {key:<24} {value}")


if __name__ == "__main__":
    main()
