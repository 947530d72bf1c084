"""The optimum where scarcities are too many to be found one after the other: all of them as rows at once."""

from __future__ import annotations

import numpy as np

from opsroom.decide.allocation.interior import inner
from opsroom.decide.allocation.master import Floats, infeasible, unclosed
from opsroom.decide.allocation.prices import search_prices
from opsroom.decide.allocation.problem import Problem
from opsroom.decide.allocation.rows import MEMORY, taken
from opsroom.decide.allocation.search import ROUNDING, VIOLATED, Found, search, within
from opsroom.decide.input_output.productive import solve

_SHORT = 1e-4
"""Gap from which on numbers of four bytes will do."""
_EXACT, _PATH = 1e-5, 1e-7
"""Gaps below which rows are generated one after the other: where the path does not reach them, and in any case."""
_PART = 0.01
"""Part of the gap allowed that rows may be wrong by."""
_ENDS = 0.8
"""Part of the gap allowed at which the path ends: rounding takes the rest."""
_LEAST = 1e-9
"""Share of a mean that is taken to be left beside the floors where nothing is."""


def search_many(p: Problem, *, tol: float, seconds: float) -> Found:
    """Find final uses within `tol` of the best, by an interior point on a row for every mean that can be scarce.

    Parameters
    ----------
    p
        What is to be used.
    tol
        Gap allowed, as a share of the bound.
    seconds
        Time allowed where the rows do not fit into memory and prices are searched for instead.

    Raises
    ------
    FitError
        The gap did not close.

    Notes
    -----
    What the most of all final uses would not exceed can never be scarce and is no row. The answer is cut back to what
    is possible and its bound proved as in `search`, with the table itself and nothing of the rows.
    """
    if tol < _PATH:
        return search(p, tol=tol, seconds=seconds)
    most = p.load(p.output(p.high))[0]
    scarce = np.flatnonzero(most > 1.0)
    kind = np.float32 if tol >= _SHORT else np.float64
    if len(p.labels) * len(scarce) * np.dtype(kind).itemsize > MEMORY:
        return (search if tol < _EXACT else search_prices)(p, tol=tol, seconds=seconds)
    rows = np.empty((len(p.labels), len(scarce) + len(p.labour_limit)), dtype=kind)
    rows[:, : len(scarce)] = taken(p, scarce, tol=_PART * tol, kind=kind)
    for k, hours in enumerate(p.labour):
        rows[:, len(scarce) + k] = solve(p.turned, hours, tol=_PART * tol).x / p.labour_limit[k] * p.high
    # in shares of the most of each use above its floor: what cannot vary is no unknown
    span = np.divide(p.high - p.low, p.high, out=np.zeros_like(p.high), where=p.high > 0.0)
    moves = span > 0.0
    low_used, low_hours = p.load(p.output(p.low)) if p.low.any() else (np.zeros_like(most), np.zeros(len(p.labour)))
    if max(low_used.max(initial=0.0), low_hours.max(initial=0.0)) > 1.0 + VIOLATED:
        raise infeasible()
    limit = np.maximum(1.0 - np.concatenate([low_used[scarce], low_hours]), _LEAST)
    worth = p.worth * p.high
    unit = float(worth.max(initial=0.0)) or 1.0
    found = inner(
        worth[moves] / unit, span[moves], rows if moves.all() else rows[moves], limit,
        tol=_ENDS * tol, given=float(p.worth @ p.low) / unit,
    )  # fmt: skip
    share = np.zeros_like(p.high)
    share[moves] = found.z
    y = np.minimum(p.low + share * p.high, p.high)
    prices: Floats = np.zeros_like(p.high)
    prices[scarce] = found.prices[: len(scarce)] * unit / p.capacity[scarce]
    wages = found.prices[len(scarce) :] * unit / p.labour_limit
    answer = within(p, y, p.output(y), prices, wages, rows.shape[1], found.steps)
    gap = answer.bound - answer.objective
    if gap > max(tol, ROUNDING) * max(abs(answer.bound), 1e-300):
        if tol < _EXACT:
            return search(p, tol=tol, seconds=seconds)
        raise unclosed(gap / abs(answer.bound))
    return answer
