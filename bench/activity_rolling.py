"""What "out of sample in 2019" may mean: a year ahead, with the normal learnt again every month, a day ahead.

The same engine and inputs, weather known, nothing of a day or after it used to tell the day, standard deviation of log
errors in per cent:

- `year`: trained to the end of 2018, all of 2019 told;
- `month`: before each month of 2019 trained anew on all days before it, the month told (a room that learns nightly
  from normal days is never further away from them);
- `year, day ahead`, `month, day ahead`: the same, with today's error told of tomorrow by the correlation that errors
  of 2018 had, trained to 2017. It is a forecast's error, not a gap's: in a shock, yesterday's error is shock.
"""

from __future__ import annotations

import time
from typing import Any

import pandas as pd

from bench.activity import Case, cases, folder, log_error, memory, ours

YEAR = 2019
CHOSEN = (
    "Victoria, temperature, sunshine, rain", "Victoria, temperature", "Italy, no temperature", "US48, no temperature"
)  # fmt: skip


def monthly(case: Case) -> pd.Series:
    """Return the errors of the year, each month told by what lies before it."""
    parts = []
    for month in pd.period_range(f"{YEAR}-01", f"{YEAR}-12", freq="M"):
        before = (month.start_time - pd.Timedelta(days=1)).date().isoformat()
        parts.append(log_error(ours(case, before).to_frame().loc[str(month)]))
    return pd.concat(parts)


def scored(case: Case) -> dict[str, float]:
    """Return the standard deviations of a case."""
    kept = memory(case, YEAR - 1)
    found = {"memory": kept}
    for name, error in (
        ("year", log_error(ours(case, f"{YEAR - 1}-12-31").to_frame().loc[str(YEAR)])), ("month", monthly(case))
    ):  # fmt: skip
        found[name] = 100 * float(error.std())
        found[f"{name}, day ahead"] = 100 * float((error - kept * error.shift()).std())
    return {name: round(value, 3) for name, value in found.items()}


def run(size: int | None = None) -> dict[str, Any]:
    """Score the first `size` cases; all where absent."""
    if not folder().is_dir():
        return {"case": "activity_rolling", "size": size, "peer": "absent: no folder of real data"}
    clock = time.perf_counter()
    known = cases()
    table = {name: scored(known[name]) for name in CHOSEN[:size]}
    return {
        "case": "activity_rolling", "size": len(table), "ours_s": round(time.perf_counter() - clock, 1),
        "peer": "absent", "peer_s": None, "ratio": None, "max_abs_diff": None, "table": table,
    }  # fmt: skip
