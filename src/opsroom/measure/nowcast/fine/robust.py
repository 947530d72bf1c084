"""Outliers and crises on a fine grid: weights by which an error counts less; see `dfm.robust`."""

from __future__ import annotations

import numpy as np

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm import kernels as envelope
from opsroom.measure.nowcast.dfm.moments import innovation_squares
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Mask
from opsroom.measure.nowcast.dfm.robust import Robust
from opsroom.measure.nowcast.fine import calendar
from opsroom.measure.nowcast.fine.grid import FineGrid
from opsroom.measure.nowcast.fine.pattern import FineWeights, Pattern
from opsroom.measure.nowcast.fine.smooth import FineSmoothed, smooth
from opsroom.measure.nowcast.fine.step import moments, own_products

_LEAST = 1e-8


def crisis_rows(robust: Robust, grid: FineGrid) -> Mask:
    """Return which rows lie in a month named as a crisis.

    Raises
    ------
    UsageError
        The mean is to drift, or volatility to move: that is for monthly and quarterly data.
    """
    if robust.volatility is not None:
        raise UsageError(
            "volatility cannot move with weekly or daily data.",
            remedy="Use Robust(volatility=None), or leave out those data.",
        )
    if robust.drift is not None:
        raise UsageError(
            "the mean cannot drift with weekly or daily data.",
            remedy="Use Robust(drift=None), or leave out those data.",
        )
    named = [calendar.read(month, "M") for month in robust.crisis]
    return np.isin(calendar.holding(grid.first + np.arange(len(grid.values)), grid.base, "M"), named)


def shock_squares(found: FineSmoothed) -> Floats:
    """Return the expected square sum of each row's factor innovations; NaN for the first `order` rows."""
    pattern, p = found.pattern, found.parameters
    cov = np.zeros((p.order + 1, pattern.rows, p.factors, p.factors))
    envelope.lagged(found.near, pattern.first, pattern.start, pattern.at, p.factors, p.order, cov)
    return innovation_squares(cov, found.factor_means, p)


def cell_squares(found: FineSmoothed) -> Floats:
    """Return the expected squared innovation of every cell over its variance.

    Of a jump over a hole, the last period's innovation has its share of the mean, and what is not known of it.
    """
    pattern, p, own = found.pattern, found.parameters, found.own
    products = own_products(pattern, moments(found), p)
    jump = products[0] - 2.0 * own.decay * products[1] + own.decay**2 * products[2]
    share = pattern.lightness / own.spread
    return np.asarray(share**2 * jump / p.variance[pattern.series] + (own.spread - pattern.lightness) * share)


def reweigh(found: FineSmoothed, robust: Robust, grid: FineGrid, crisis: Mask) -> FineWeights:
    """Return the weights that the errors deserve.

    In a crisis the errors of all series but the quarterly ones have one larger scale in common, by month, and the
    factors' innovations one of their own, by row.
    """
    pattern, r, order = found.pattern, found.parameters.factors, found.parameters.order
    shocks = shock_squares(found)
    calm = np.ones(pattern.rows)
    calm[order:] = (robust.shock_tail + r) / (robust.shock_tail + shocks[order:])
    squares = cell_squares(found)
    each = (robust.tail + 1.0) / (robust.tail + squares)
    rows = np.flatnonzero(crisis[order:]) + order
    calm[rows] = np.minimum(1.0, r / np.maximum(shocks[rows], r))
    months = calendar.holding(grid.first + pattern.row, grid.base, "M")
    held = in_crisis(pattern, grid, crisis)
    for month in np.unique(months[held]):
        which = held & (months == month)
        each[which] = 1.0 / max(1.0, float(squares[which].mean()))
    cell = np.ones(pattern.values.shape)
    cell[pattern.row, pattern.series] = np.maximum(each, _LEAST)
    return FineWeights(cell, np.maximum(calm, _LEAST))


def in_crisis(pattern: Pattern, grid: FineGrid, crisis: Mask) -> Mask:
    """Return which cells share a crisis month's scale."""
    short = np.array([frequency != "Q" for frequency in grid.frequencies])
    return np.asarray(crisis[pattern.row] & short[pattern.series])


def weight_density(pattern: Pattern, robust: Robust, grid: FineGrid, crisis: Mask) -> float:
    """Return the log density of the pattern's weights, less a constant; the scale of a crisis has none."""
    each = 1.0 / pattern.lightness[~in_crisis(pattern, grid, crisis)]
    calm = pattern.calm[~crisis]
    total = 0.5 * robust.tail * float((np.log(each) - each).sum())
    return total + 0.5 * robust.shock_tail * float((np.log(calm) - calm).sum())


def settle(
    pattern: Pattern, weights: FineWeights, p: FactorParameters, robust: Robust, grid: FineGrid, crisis: Mask, *,
    rounds: int, tol: float,
) -> FineWeights:  # fmt: skip
    """Find the weights of a panel at given parameters: round by round until the objective stands."""
    last = -np.inf
    for _ in range(rounds):
        here = pattern.weighed(weights, grid)
        found = smooth(here, p)
        value = found.loglike + weight_density(here, robust, grid, crisis)
        if value - last < tol * pattern.cells:
            break
        last = value
        weights = reweigh(found, robust, grid, crisis)
    return weights
