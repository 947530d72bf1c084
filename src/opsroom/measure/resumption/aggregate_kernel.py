"""Adding companies up to groups, compiled."""

from __future__ import annotations

from typing import Any

import numba


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_companies(
    working: Any, capacity: Any, naive: Any, seen: Any, code: Any, weight: Any, misread: float, out: Any
) -> None:
    """Add each company's weighted estimates to its group.

    Parameters
    ----------
    working, capacity, naive, seen
        Estimates, (companies, days).
    code
        Group of each company, -1 for none.
    weight
        Weight of each company.
    misread
        Share of companies that are read as the other state.
    out
        Added to, (8, groups, days): sums of working, capacity, squared-weight binary variance, squared-weight
        squared capacity, squared-weight capacity, naive reading there, naive reading on, reading there.
    """
    days = working.shape[1]
    for u in range(working.shape[0]):
        g = code[u]
        if g < 0:
            continue
        w = weight[u]
        square = w * w
        resumed, used, noise, squares, crossed, known, on, there = (
            out[0, g], out[1, g], out[2, g], out[3, g], out[4, g], out[5, g], out[6, g], out[7, g],
        )  # fmt: skip
        at_work, use, reading, reports = working[u], capacity[u], naive[u], seen[u]
        # One sum at a time and without a branch, so that the compiler uses vectors.
        for t in range(days):
            resumed[t] += w * float(at_work[t])
        for t in range(days):
            used[t] += w * float(use[t])
        for t in range(days):
            doubtful = misread + (1.0 - 2.0 * misread) * float(at_work[t])
            noise[t] += square * doubtful * (1.0 - doubtful)
        for t in range(days):
            squares[t] += square * float(use[t]) * float(use[t])
        for t in range(days):
            crossed[t] += square * float(use[t])
        for t in range(days):
            known[t] += w if reading[t] >= 0 else 0.0
        for t in range(days):
            on[t] += w if reading[t] == 1 else 0.0
        for t in range(days):
            there[t] += w if reports[t] else 0.0
