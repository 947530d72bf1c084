"""Loops of the hierarchical delay model, compiled: every cell touches a handful of parameters out of hundreds."""

from __future__ import annotations

from typing import Any

import numba


@numba.njit(cache=True, nogil=True, error_model="numpy")
def predict(row: Any, li: Any, lv: Any, gi: Any, gv: Any, local: Any, shared: Any, periods: int, out: Any) -> None:
    """Fill in each cell's linear predictor from a sector's own and the shared parameters."""
    for c in range(len(row)):
        t = row[c]
        eta = local[t] + local[periods + t]
        for j in range(li.shape[1]):
            eta += lv[c, j] * local[li[c, j]]
        for j in range(gi.shape[1]):
            eta += gv[c, j] * shared[gi[c, j]]
        out[c] = eta


@numba.njit(cache=True, nogil=True, error_model="numpy")
def accumulate(
    row: Any, li: Any, lv: Any, gi: Any, gv: Any, weight: Any, score: Any, periods: int,
    own: Any, cross: Any, both: Any, own_score: Any, both_score: Any,
) -> None:  # fmt: skip
    """Add a sector's cells to the information (own, cross, shared) and to the scores."""
    for c in range(len(row)):
        t, e, w, r = row[c], periods + row[c], weight[c], score[c]
        own[t, t] += w
        own[t, e] += w
        own[e, t] += w
        own[e, e] += w
        own_score[t] += r
        own_score[e] += r
        for j in range(li.shape[1]):
            a, x = li[c, j], w * lv[c, j]
            if x == 0.0:
                continue
            own[t, a] += x
            own[a, t] += x
            own[e, a] += x
            own[a, e] += x
            own_score[a] += r * lv[c, j]
            for k in range(li.shape[1]):
                own[a, li[c, k]] += x * lv[c, k]
            for k in range(gi.shape[1]):
                cross[a, gi[c, k]] += x * gv[c, k]
        for j in range(gi.shape[1]):
            a, x = gi[c, j], w * gv[c, j]
            if x == 0.0:
                continue
            cross[t, a] += x
            cross[e, a] += x
            both_score[a] += r * gv[c, j]
            for k in range(gi.shape[1]):
                both[a, gi[c, k]] += x * gv[c, k]
