"""The compiled part of DebtRank: sweeps over the lenders, in place, for one scenario or a block of them.

Distress only grows, so that nodes may be brought up to date in any order, each with the newest distress of its
borrowers: the limit is the same least solution, in about half the rounds. A node at 1 is not looked at again.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_FAST = {"reassoc", "contract", "nsz"}
"""Sums may be taken in any order, so that they run on vectors; infinities and NaN keep their meaning."""
WIDTH = 8
"""Scenarios side by side: eight numbers are a line of memory."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def sweep(
    indptr: Any, indices: Any, values: Any, out: Any, into: Any, inverse: Any, start: Any, h: Any
) -> tuple[float, int]:
    """Bring the distress of all nodes up to date once; return the largest growth, and how many left zero.

    `inverse` is one over the buffer, infinite where there is none: any loss is fatal there, and no loss is not.
    """
    n, terms = len(h), out.shape[1]
    totals = np.zeros(terms)
    for k in range(terms):
        for i in range(n):
            totals[k] += into[i, k] * h[i]
    most, fresh = 0.0, 0
    end = indptr[0]
    for i in range(n):
        begin, end = end, indptr[i + 1]
        old = h[i]
        if old < 1.0:
            loss = 0.0
            for at in range(begin, end):
                loss += values[at] * h[indices[at]]
            for k in range(terms):
                loss += out[i, k] * (totals[k] - into[i, k] * old)
            if loss > 0.0:
                new = min(1.0, start[i] + loss * inverse[i])
                if new > old:
                    h[i] = new
                    most = max(most, new - old)
                    fresh += old == 0.0
                    for k in range(terms):
                        totals[k] += into[i, k] * (new - old)
    return most, fresh


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def sweep_block(
    indptr: Any, indices: Any, values: Any, out: Any, into: Any, buffer: Any, h: Any, most: Any, fresh: Any
) -> None:  # fmt: skip
    """Do the same for eight defaults side by side, shape (nodes, 8): each link is read once for all of them.

    A row of eight is a line of memory, and its sums stay in the processor's registers: written out, for only then does
    the compiler keep them there.
    """
    n, terms = h.shape[0], out.shape[1]
    totals = np.zeros((terms, WIDTH))
    most[:] = 0.0
    fresh[:] = 0
    for k in range(terms):
        for i in range(n):
            for b in range(WIDTH):
                totals[k, b] += into[i, k] * h[i, b]
    loss = np.zeros(WIDTH)
    for i in range(n):
        mine = h[i]
        if mine[0] + mine[1] + mine[2] + mine[3] + mine[4] + mine[5] + mine[6] + mine[7] >= WIDTH:
            continue
        s0 = s1 = s2 = s3 = s4 = s5 = s6 = s7 = 0.0
        for at in range(indptr[i], indptr[i + 1]):
            value, other = values[at], h[indices[at]]
            s0 += value * other[0]
            s1 += value * other[1]
            s2 += value * other[2]
            s3 += value * other[3]
            s4 += value * other[4]
            s5 += value * other[5]
            s6 += value * other[6]
            s7 += value * other[7]
        loss[0], loss[1], loss[2], loss[3] = s0, s1, s2, s3
        loss[4], loss[5], loss[6], loss[7] = s4, s5, s6, s7
        for k in range(terms):
            for b in range(WIDTH):
                loss[b] += out[i, k] * (totals[k, b] - into[i, k] * mine[b])
        solid = buffer[i] > 0.0
        inverse = 1.0 / buffer[i] if solid else 0.0
        for b in range(WIDTH):
            old = mine[b]
            new = loss[b] * inverse if solid else (1.0 if loss[b] > 0.0 else 0.0)
            new = max(old, min(1.0, new))
            mine[b] = new
            most[b] = max(most[b], new - old)
            fresh[b] += old == 0.0 and new > 0.0
            for k in range(terms):
                totals[k, b] += into[i, k] * (new - old)
