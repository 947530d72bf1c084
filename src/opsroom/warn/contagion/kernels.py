"""The compiled part of DebtRank: sweeps over the lenders, in place, for one scenario or a block of them.

Distress only grows, so that nodes may be brought up to date in any order, each with the newest distress of its
borrowers: the limit is the same least solution, in about half the rounds. A node at 1 is not looked at again.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from opsroom.warn.contagion.stopping import begin, note

_FAST = {"reassoc", "contract", "nsz"}
"""Sums may be taken in any order, so that they run on vectors; infinities and NaN keep their meaning."""


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def sweep(
    indptr: Any, indices: Any, values: Any, out: Any, into: Any, buffer: Any, start: Any, h: Any
) -> tuple[float, int]:
    """Bring the distress of all nodes up to date once; return the largest growth, and how many left zero."""
    n, terms = len(h), out.shape[1]
    totals = np.zeros(terms)
    for k in range(terms):
        for i in range(n):
            totals[k] += into[i, k] * h[i]
    most, fresh = 0.0, 0
    for i in range(n):
        old = h[i]
        if old >= 1.0:
            continue
        loss = 0.0
        for at in range(indptr[i], indptr[i + 1]):
            loss += values[at] * h[indices[at]]
        for k in range(terms):
            loss += out[i, k] * (totals[k] - into[i, k] * old)
        # The limit of a vanishing buffer: any loss is fatal, none is not.
        if buffer[i] > 0.0:
            new = start[i] + loss / buffer[i]
        else:
            new = 1.0 if loss > 0.0 else start[i]
        new = min(1.0, new)
        if new > old:
            h[i] = new
            most = max(most, new - old)
            if old == 0.0:
                fresh += 1
            for k in range(terms):
                totals[k] += into[i, k] * (new - old)
    return most, fresh


@numba.njit(cache=True, nogil=True, error_model="numpy")
def climb(
    indptr: Any, indices: Any, values: Any, out: Any, into: Any, buffer: Any, start: Any, h: Any, tolerance: float,
    max_rounds: int,
) -> tuple[int, bool, float]:  # fmt: skip
    """Sweep until the distress has settled; return rounds, whether it has, and the error."""
    state = begin(1)
    for done in range(max_rounds):
        step, fresh = sweep(indptr, indices, values, out, into, buffer, start, h)
        if note(0, step, fresh, tolerance, state):
            return done + 1, True, state[0, 3]
    return max_rounds, False, state[0, 3]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def sweep_block(
    indptr: Any, indices: Any, values: Any, out: Any, into: Any, buffer: Any, start: Any, h: Any, most: Any, fresh: Any,
) -> None:  # fmt: skip
    """Do the same for scenarios side by side, shape (nodes, scenarios): each link is read once for all of them."""
    n, width = h.shape
    terms = out.shape[1]
    totals = np.zeros((terms, width))
    alive = np.zeros(n, dtype=np.bool_)
    most[:] = 0.0
    fresh[:] = 0
    for i in range(n):
        for b in range(width):
            if h[i, b] > 0.0:
                alive[i] = True
                break
        if alive[i]:
            for k in range(terms):
                for b in range(width):
                    totals[k, b] += into[i, k] * h[i, b]
    loss = np.zeros(width)
    for i in range(n):
        open_ones = 0
        for b in range(width):
            loss[b] = 0.0
            open_ones += h[i, b] < 1.0
        if open_ones == 0:
            continue
        for at in range(indptr[i], indptr[i + 1]):
            j = indices[at]
            if alive[j]:
                value = values[at]
                for b in range(width):
                    loss[b] += value * h[j, b]
        for k in range(terms):
            left, own = out[i, k], into[i, k]
            if left != 0.0:
                for b in range(width):
                    loss[b] += left * (totals[k, b] - own * h[i, b])
        solid = buffer[i] > 0.0
        inverse = 1.0 / buffer[i] if solid else 0.0
        for b in range(width):
            old = h[i, b]
            if solid:
                new = min(1.0, start[i, b] + loss[b] * inverse)
            else:
                new = 1.0 if loss[b] > 0.0 else start[i, b]
            if new > old:
                h[i, b] = new
                alive[i] = True
                most[b] = max(most[b], new - old)
                fresh[b] += old == 0.0
                for k in range(terms):
                    totals[k, b] += into[i, k] * (new - old)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def climb_block(
    indptr: Any, indices: Any, values: Any, out: Any, into: Any, buffer: Any, start: Any, h: Any, tolerance: float,
    max_rounds: int,
) -> tuple[int, int, float]:  # fmt: skip
    """Sweep until all scenarios have settled; return rounds, how many have not, and the largest error."""
    width = h.shape[1]
    state = begin(width)
    step, fresh = np.zeros(width), np.zeros(width, dtype=np.int64)
    open_ones = width
    for done in range(max_rounds):
        sweep_block(indptr, indices, values, out, into, buffer, start, h, step, fresh)
        open_ones = 0
        for b in range(width):
            open_ones += not note(b, step[b], fresh[b], tolerance, state)
        if open_ones == 0:
            return done + 1, 0, state[:, 3].max()
    return max_rounds, open_ones, state[:, 3].max()


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def single_hit(indptr: Any, indices: Any, values: Any, buffer: Any, start: Any, h: Any) -> int:
    """Let each node pass its distress on once, when it first has any; return the rounds it took.

    A claim counts as at most the lender's buffer, as in the paper. With a buffer of zero that would hide it, so that
    there any distress of a borrower is fatal.
    """
    n = len(h)
    push = start.copy()
    done = start > 0.0
    rounds = 0
    while True:
        some = False
        for j in range(n):
            some = some or push[j] > 0.0
        if not some:
            return rounds
        rounds += 1
        following = np.zeros(n)
        for i in range(n):
            if h[i] >= 1.0:
                continue
            loss, hit = 0.0, False
            for at in range(indptr[i], indptr[i + 1]):
                passed = push[indices[at]]
                if passed > 0.0:
                    hit = True
                    loss += min(values[at], buffer[i]) * passed
            if not hit:
                continue
            h[i] = min(1.0, h[i] + loss / buffer[i]) if buffer[i] > 0.0 else 1.0
            if not done[i]:
                done[i] = True
                following[i] = h[i]
        push = following
