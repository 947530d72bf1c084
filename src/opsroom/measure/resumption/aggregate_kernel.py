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
    for u in range(working.shape[0]):
        g = code[u]
        if g < 0:
            continue
        w = weight[u]
        for t in range(working.shape[1]):
            p, c = float(working[u, t]), float(capacity[u, t])
            doubtful = misread + (1.0 - 2.0 * misread) * p
            out[0, g, t] += w * p
            out[1, g, t] += w * c
            out[2, g, t] += w * w * doubtful * (1.0 - doubtful)
            out[3, g, t] += w * w * c * c
            out[4, g, t] += w * w * c
            if naive[u, t] >= 0:
                out[5, g, t] += w
            if naive[u, t] == 1:
                out[6, g, t] += w
            if seen[u, t]:
                out[7, g, t] += w
