"""Laying readings out, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

NOTHING = np.iinfo(np.int64).min
"""Stands for an empty value among whole numbers."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def place(row: Any, day: Any, value: Any, start: int, out: Any) -> None:
    """Write each reading into `out` (meters, days); rows below 0 and days outside are passed over.

    `NOTHING` as a value takes the reading back.
    """
    days = out.shape[1]
    for i in range(len(row)):
        r, t = row[i], day[i] - start
        if r >= 0 and 0 <= t < days:
            out[r, t] = np.nan if value[i] == NOTHING else value[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def look_up(ids: Any, low: int, table: Any, out: Any) -> None:
    """Fill `out` with the row of each id, -1 where it has none: `table` starts at the id `low`."""
    for i in range(len(ids)):
        at = ids[i] - low
        out[i] = table[at] if 0 <= at < len(table) else -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def search(ids: Any, ranked: Any, row: Any, out: Any) -> None:
    """Fill `out` with the row of each id, -1 where it has none: `ranked` holds ids in order, `row` their rows.

    Readings come meter by meter or day by day: most often an id is that of the reading before, or the next.
    """
    at, last = 0, len(ranked) - 1
    for i in range(len(ids)):
        wanted = ids[i]
        if ranked[at] != wanted:
            if at < last and ranked[at + 1] == wanted:
                at += 1
            else:
                low, high = 0, last
                while low < high:
                    middle = (low + high) // 2
                    if ranked[middle] < wanted:
                        low = middle + 1
                    else:
                        high = middle
                at = low
        out[i] = row[at] if ranked[at] == wanted else -1
