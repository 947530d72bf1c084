"""What learning needs of the unknowns: expected squares and products, summed over months."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from opsroom.measure.nowcast.dfm import kernels, sums
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints
from opsroom.measure.nowcast.dfm.smooth import Cells, Smoothed


class Lagged(Protocol):
    """What learning the factors' autoregression needs: see `Moments`."""

    @property
    def lagged(self) -> Floats: ...
    @property
    def origin(self) -> Floats: ...
    @property
    def steps(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Moments:
    """Expected sums under the smoothed unknowns; all in units of factors with unit innovations.

    Attributes
    ----------
    gram
        (3, monthly series, r, r): of the factors now x now, now x before, before x before over regular cells.
    cross
        (4, monthly series, r): value x factors: now x now, now x before, before x now, before x before.
    special_gram, special_mean
        The same factors' products and means for the special cells: (3, cells, r, r) and (2, cells, r).
    lagged
        (order + 1, order + 1, r, r): products of the factors' lags, weighted by calm, from month `order` on.
    origin
        Products of the first `order` months' factors, newest first.
    steps
        Number of months in `lagged`.
    figure, figures
        Per quarterly figure mean and second moment of summed factors and four own errors.
    plain
        (3, rows): now², now x before, before² of the quarterly series' own errors; `layout.plain`.
    first_own
        Second moment of the quarterly series' own errors in the first month.
    found
        Where own errors are of order two and more: what their products are summed up from, when needed, and the
        arrays above that speak of own errors are empty.
    """

    gram: Floats
    cross: Floats
    special_gram: Floats
    special_mean: Floats
    lagged: Floats
    origin: Floats
    steps: int
    figure: Floats
    figures: Floats
    plain: Floats
    first_own: Floats
    found: Smoothed | None = None


def moments(cells: Cells, found: Smoothed) -> Moments:
    """Sum up the expected squares and products of the unknowns."""
    layout, p = cells.layout, found.parameters
    r, order, lead = p.factors, p.order, layout.lead
    first, start, at = layout.first, layout.start, layout.factor_at
    mean = found.factor_means
    cov = np.zeros((max(order, 1) + 1, layout.months, r, r))
    if layout.chain is not None:
        return _of_factors(found, cov)
    sums.products(found.near, first, start, at, r, found.mean, cov)
    here = mean[lead:]
    then = np.vstack([mean[lead - 1 : -1]]) if lead else np.vstack([np.zeros((1, r)), mean[:-1]])
    before = cov[0, lead - 1 : -1] if lead else np.concatenate([np.zeros((1, r, r)), cov[0, :-1]])
    stack = [cov[0, lead:], cov[1, lead:], before] if p.ar1 else [cov[0, lead:]]
    gram = np.zeros((3, layout.monthly, r, r))
    gram[: len(stack)] = np.moveaxis(cells.by_series(np.stack(stack, axis=1)), 1, 0)
    cross = np.zeros((4, layout.monthly, r))
    cross[0] = cells.now.T @ here
    if p.ar1:
        cross[1], cross[2], cross[3] = cells.now.T @ then, cells.back.T @ here, cells.back.T @ then
    figure = np.zeros((len(layout.quarters), r + 4))
    figures = np.zeros((len(layout.quarters), r + 4, r + 4))
    kernels.quarter_moments(
        found.near, first, start, found.mean, at, layout.own_at, lead, layout.quarters, r, figure, figures
    )
    special_gram, special_mean = _special(found, cov)
    return Moments(
        gram,
        cross,
        special_gram,
        special_mean,
        lag_sums(cov, order, found.weights.calm),
        origin_products(cov, order),
        layout.months - order,
        figure,
        figures,
        _plain(found),
        _own_square(found, layout.own_at[0]),
    )


def _of_factors(found: Smoothed, cov: Floats) -> Moments:
    """Sum up the factors' own products alone."""
    layout, order, r = found.layout, found.parameters.order, found.parameters.factors
    sums.products(found.near, layout.first, layout.start, layout.factor_at, r, found.mean, cov)
    none = np.zeros(0)
    lagged = lag_sums(cov, order, found.weights.calm)
    origin, steps = origin_products(cov, order), layout.months - order
    return Moments(none, none, none, none, lagged, origin, steps, none, none, none, none, found)


def _special(found: Smoothed, cov: Floats) -> tuple[Floats, Floats]:
    layout, r = found.layout, found.parameters.factors
    gram, told = np.empty((3, len(layout.special), r, r)), np.empty((2, len(layout.special), r))
    sums.of_special(
        found.near, layout.first, layout.start, layout.factor_at, layout.lead, layout.special, found.mean, cov, gram,
        told,
    )  # fmt: skip
    return gram, told


def _pairs(found: Smoothed, row: Ints, col: Ints) -> Floats:
    out = np.empty(len(row))
    kernels.pairs(found.near, found.layout.first, found.layout.start, row, col, out)
    return out


def _own_square(found: Smoothed, at: Ints) -> Floats:
    return _pairs(found, at, at) + found.mean[at] ** 2


def _plain(found: Smoothed) -> Floats:
    layout, mean = found.layout, found.mean
    month, series = layout.plain.T
    now, then = layout.own_at[month, series], layout.own_at[month - 1, series]
    product = _pairs(found, now, then) + mean[now] * mean[then]
    return np.stack([_own_square(found, now), product, _own_square(found, then)])


def lag_sums(cov: Floats, order: int, calm: Floats) -> Floats:
    """Return `Moments.lagged` from the factors' products by lag and month."""
    r = cov.shape[2]
    out = np.empty((order + 1, order + 1, r, r))
    sums.by_lag(cov, calm, out)
    return out


def origin_products(cov: Floats, order: int) -> Floats:
    """Return `Moments.origin` from the factors' products by lag and month."""
    r = cov.shape[2]
    out = np.empty((order * r, order * r))
    for a in range(order):
        for b in range(a, order):
            block = cov[b - a, order - 1 - a]
            out[a * r : (a + 1) * r, b * r : (b + 1) * r] = block
            out[b * r : (b + 1) * r, a * r : (a + 1) * r] = block.T
    return out


def shock_squares(found: Smoothed) -> Floats:
    """Return the expected square sum of each month's factor innovations; NaN for the first `order` months."""
    layout, p = found.layout, found.parameters
    cov = np.zeros((p.order + 1, layout.months, p.factors, p.factors))
    kernels.lagged(found.near, layout.first, layout.start, layout.factor_at, p.factors, p.order, cov)
    return innovation_squares(cov, found.factor_means, p)


def innovation_squares(cov: Floats, mean: Floats, p: FactorParameters) -> Floats:
    """Return `shock_squares` from the factors' covariances by lag and period, and their means."""
    r, order, months = p.factors, p.order, len(mean)
    parts = [np.eye(r), *(-p.transition[:, k * r : (k + 1) * r] for k in range(order))]
    eta = sum((mean[order - a : months - a] @ parts[a].T for a in range(order + 1)), np.zeros((months - order, r)))
    total = (eta**2).sum(axis=1)
    for a in range(order + 1):
        for b in range(a, order + 1):
            weight = (parts[a].T @ parts[b]) * (1.0 if a == b else 2.0)
            total += np.einsum("fg,tfg->t", weight, cov[b - a, order - a : months - a])
    return np.concatenate([np.full(order, np.nan), total])


@dataclass(frozen=True, slots=True)
class OwnErrors:
    """Expected products of each series' own error, (series,): now², now x before, before², over the regular cells.

    For the special cells the same per cell; for the quarterly series per series, over all months but the first.
    """

    regular: Floats
    special: Floats
    quarterly: Floats
    first: Floats


def own_errors(cells: Cells, m: Moments, p: FactorParameters) -> OwnErrors:
    """Return the own errors' expected products at given loadings."""
    n = cells.layout.monthly
    load = p.loadings[:n]
    quadratic = np.einsum("if,kifg,ig->ki", load, m.gram, load)
    linear = np.einsum("if,kif->ki", load, m.cross)
    y = cells.squares
    regular = np.stack(
        [
            y[0] - 2.0 * linear[0] + quadratic[0],
            y[1] - linear[1] - linear[2] + quadratic[1],
            y[2] - 2.0 * linear[3] + quadratic[2],
        ]
    )
    own, now, then = special_values(cells)
    each = p.loadings[own]
    quadratic = np.einsum("kf,akfg,kg->ak", each, m.special_gram, each)
    f_now, f_then = (each * m.special_mean[0]).sum(axis=1), (each * m.special_mean[1]).sum(axis=1)
    special = np.stack(
        [
            now**2 - 2.0 * now * f_now + quadratic[0],
            now * then - now * f_then - then * f_now + quadratic[1],
            then**2 - 2.0 * then * f_then + quadratic[2],
        ]
    )
    return OwnErrors(regular, special, _quarterly(cells, m, p), m.first_own)


def special_values(cells: Cells) -> tuple[Ints, Floats, Floats]:
    """Return series, value and value before of the special cells."""
    layout = cells.layout
    month, own, back = layout.special.T
    then = np.where(back >= 0, layout.values[np.maximum(back, 0), own], 0.0)
    return own, layout.values[month, own], then


def figure_values(cells: Cells) -> Floats:
    """Return the quarterly figures over three: what they are of the removed error."""
    layout = cells.layout
    return np.asarray(layout.values[layout.quarters[:, 0], layout.monthly + layout.quarters[:, 1]] / 3.0)


def own_rows(cells: Cells, m: Moments, p: FactorParameters) -> tuple[Floats, Floats]:
    """Return, per quarterly figure, now², now x before, before² of the first and the second month's step: (3, figures).

    The first month's own error is the one that the figure stands for.
    """
    quarters, load = cells.layout.quarters, p.loadings[cells.layout.monthly :]
    opening, second = np.empty((3, len(quarters))), np.empty((3, len(quarters)))
    sums.of_figures(quarters, figure_values(cells), load, m.figure, m.figures, opening, second)
    return opening, second


def _quarterly(cells: Cells, m: Moments, p: FactorParameters) -> Floats:
    layout, weight = cells.layout, cells.weights.own
    count = layout.own_at.shape[1]
    opening, second = own_rows(cells, m, p)
    month, series = layout.quarters.T
    month = month + layout.lead
    out = np.empty((3, count))
    for k in range(3):
        out[k] = np.bincount(layout.plain[:, 1], weight[tuple(layout.plain.T)] * m.plain[k], minlength=count)
        out[k] += np.bincount(series, weight[month - 2, series] * opening[k], minlength=count)
        out[k] += np.bincount(series, weight[month - 1, series] * second[k], minlength=count)
    return out
