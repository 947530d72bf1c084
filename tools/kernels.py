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

import pandas as pd

from opsroom.decide.propagation import esri
from opsroom.room.demo import build_meridia, build_us

COMPANIES = 400
UNTIL = dt.date(2020, 3, 4)


def main() -> None:
    """Build the small rooms."""
    with tempfile.TemporaryDirectory(prefix="opsroom-kernels-") as folder, contextlib.redirect_stderr(io.StringIO()):
        root = Path(folder)
        _esri()
        build_meridia(root / "meridia", companies=COMPANIES, until=UNTIL, meanwhile=lambda: _us(root / "us"))


def _esri() -> None:
    """Let three companies fail: the desk `critical` is not in the demo, and a room that opens it need not compile."""
    sales = pd.DataFrame({"supplier": [1, 2], "buyer": [2, 3], "weight": [1.0, 1.0]})
    sector = pd.Series("C", index=[1, 2, 3])
    esri(sales, sector, essential=pd.DataFrame([[0.5]], index=["C"], columns=["C"]), firms=[1, 2])


def _us(folder: Path) -> None:
    build_us(folder)


if __name__ == "__main__":
    main()
