"""`python -m bench CASE [--size N] [--large] [--peer PYTHON] [--json]`: run a case, print a table, or one JSON object.

A case is a module here with ``run(size=None) -> dict``: ``case``, ``size``, ``ours_s``, ``peer``, ``peer_s``,
``ratio`` (peer_s / ours_s) and ``max_abs_diff`` where both give numbers. A peer that is not installed is reported as
absent. Cases that have a large size or a peer in an interpreter of its own take ``large`` and ``peer``, too.
"""

from __future__ import annotations

import argparse
import inspect
import json
from importlib import import_module
from pathlib import Path
from typing import Any

CASES = tuple(sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py")))


def _stem(name: str) -> str:
    """Return a case's module: `nowcast-em` is `nowcast_em`."""
    return name.replace("-", "_")


def main() -> None:
    """Run one case, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("case", nargs="?", type=_stem, choices=CASES, help="the case; all of them where absent")
    parser.add_argument("--size", type=int, help="size of the problem; the case's own where absent")
    parser.add_argument("--large", action="store_true", help="the case's large size, too")
    parser.add_argument("--peer", metavar="PYTHON", help="an interpreter that has the peer")
    parser.add_argument("--json", action="store_true", help="print one JSON object a case")
    given = parser.parse_args()
    for name in [given.case] if given.case else CASES:
        run = import_module(f"bench.{name}").run
        more = {key: value for key, value in (("large", given.large), ("peer", given.peer)) if value}
        if given.case and (unknown := more.keys() - inspect.signature(run).parameters.keys()):
            parser.error(f"{name} has no --{' or --'.join(sorted(unknown))}")
        more = {key: value for key, value in more.items() if key in inspect.signature(run).parameters}
        outcome: dict[str, Any] = run(given.size, **more)
        if given.json:
            print(json.dumps(outcome, default=str))
            continue
        print(name)
        for key, value in outcome.items():
            print(f"  {key:<24} {value}")


if __name__ == "__main__":
    main()
