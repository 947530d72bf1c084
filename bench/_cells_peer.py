"""Protect a table by pytauargus, in an interpreter of its own: run as a script with a folder and a method.

The folder holds ``micro.csv`` (nace, region, turnover) and ``nace.hrc`` and ``region.hrc``; the pattern goes to
``pattern.csv``, and the seconds it took, wall and processor, to standard output.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path


def main() -> None:
    """Protect and write the pattern."""
    pd, pytauargus = importlib.import_module("pandas"), importlib.import_module("pytauargus")
    folder, method = Path(sys.argv[1]), sys.argv[2]
    micro = pd.read_csv(folder / "micro.csv")
    micro["turnover"] = micro["turnover"].astype(float)
    hierarchies = {name: str(folder / f"{name}.hrc") for name in ("nace", "region")}
    wall, cpu = time.perf_counter(), time.process_time()
    found = pytauargus.protect(
        micro,
        ["nace", "region"],
        "turnover",
        "NK(2,85)|FREQ(3,20)",
        method,
        hrc=hierarchies,
        hierleadstring="@",
        totcode="_T",
        workdir=str(folder),
    )
    took = {"s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    table = found.tables[0]
    frame = table.to_pandas() if hasattr(table, "to_pandas") else table.dataframe
    frame = frame() if callable(frame) else frame
    frame[["nace", "region", "status"]].to_csv(folder / "pattern.csv", index=False)
    print(json.dumps(took))


if __name__ == "__main__":
    main()
