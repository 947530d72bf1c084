"""Laying readings out and telling silence from late data, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, error_model="numpy")
def place(row: Any, day: Any, value: Any, start: int, out: Any) -> None:
    """Write each reading into `out` (meters, days); rows below 0 and days outside are passed over."""
    days = out.shape[1]
    for i in range(len(row)):
        r, t = row[i], day[i] - start
        if r >= 0 and 0 <= t < days:
            out[r, t] = value[i]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def look_up(ids: Any, low: int, table: Any, out: Any) -> None:
    """Fill `out` with the row of each id, -1 where it has none: `table` starts at the id `low`."""
    for i in range(len(ids)):
        at = ids[i] - low
        out[i] = table[at] if 0 <= at < len(table) else -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def repair(value: Any, level: Any, slip: float, slip_from: float, slip_to: float, wild: float) -> Any:
    """Bring slips of unit back, in place, drop what makes no sense; return both numbers."""
    repaired, dropped = 0, 0
    for u in range(value.shape[0]):
        usual = max(level[u], np.float32(1e-6))
        if level[u] <= 0:
            continue
        for t in range(value.shape[1]):
            size = value[u, t] / usual
            if slip_from < size < slip_to:
                value[u, t] /= np.float32(slip)
                repaired += 1
            elif size > wild or 1 / slip_to < size < 1 / slip_from:
                value[u, t] = np.nan
                dropped += 1
    return repaired, dropped


@numba.njit(cache=True, nogil=True, error_model="numpy")
def forgive_short(code: Any, silent: int, unknown: int, longest: int) -> None:
    """Turn runs of silence of at most `longest` days into unknown, in place."""
    for u in range(code.shape[0]):
        begin = -1
        for t in range(code.shape[1] + 1):
            quiet = t < code.shape[1] and code[u, t] == silent
            if quiet and begin < 0:
                begin = t
            if not quiet and begin >= 0:
                if t - begin <= longest:
                    code[u, begin:t] = unknown
                begin = -1
