"""Volatility that moves slowly: a log variance of each series' own innovations and one of the factors', that walk.

Heavy tails say that a number may be wild; volatility says that a decade is. Each is learnt with the other given: an
innovation's precision is its weight times ``exp(-log variance)``. A path is the most probable one given expected
squares, so that it joins weights and parameters in one objective that never falls. The walk's clock runs from known
cell to known cell: a hole has the variance of the cell that ends it, and before its first cell a series is
stationary with that cell's variance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from opsroom.measure.nowcast.dfm import walk
from opsroom.measure.nowcast.dfm.layout import Layout
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints
from opsroom.measure.nowcast.dfm.smooth import Cells, Volatility
from opsroom.measure.nowcast.dfm.step import FLOOR

if TYPE_CHECKING:
    from opsroom.measure.nowcast.dfm.robust import Robust

FIRST = 0.2
"""Where the search for the size of the steps begins: standard deviation of log variance over a year."""
_LEAST, _MOST = 0.01, 2.0
"""Between which sizes over a year it looks."""
_HALVINGS = 14


@dataclass(frozen=True, slots=True)
class Squares:
    """Expected squared innovations over the parameters' variances, volatility and tails not taken out.

    Attributes
    ----------
    cell
        Months x monthly series: of regular cells; NaN elsewhere.
    jump, spread
        Per special cell: of the whole jump from the cell before, over its spread, tails taken out; and that spread,
        volatility taken out.
    own
        Months (lead included) x quarterly series; the first month's is that of its start.
    shocks
        Months (lead included): summed over the factors; NaN before month `order`.
    origin
        Of the factors' start.
    """

    cell: Floats
    jump: Floats
    spread: Floats
    own: Floats
    shocks: Floats
    origin: float


@dataclass(frozen=True, slots=True)
class _Paths:
    """The points of several walks, one behind the other: where each lies, and how far from the one before."""

    offset: Ints
    month: Ints
    series: Ints
    gap: Floats
    special: Ints


def monthly_step(robust: Robust) -> float:
    """Return the walk's standard deviation over a month with which learning begins."""
    over_year = robust.volatility if isinstance(robust.volatility, float) else FIRST
    return float(over_year / np.sqrt(12.0))


def still(layout: Layout, robust: Robust) -> Volatility:
    """Return paths that have not moved yet."""
    step = monthly_step(robust)
    return Volatility(np.zeros(layout.months), np.zeros((layout.months, layout.values.shape[1])), step, step)


def moved(
    cells: Cells, p: FactorParameters, squares: Squares, robust: Robust, crisis: Ints, *, held: bool
) -> Volatility:
    """Return the most probable paths given expected squares; `held`: from where they are at their first points."""
    now = cells.weights.volatility
    assert now is not None
    own, shocks = _own_points(cells, squares, robust, crisis), _shock_points(cells, p, squares, robust, crisis)
    series, common = now.series.copy(), now.shocks.copy()
    paths, square, tail = own
    if len(square):
        path = series[paths.month, paths.series]
        info = np.empty(len(path))
        # A series without an own error to speak of has no level that could be learnt, only turns.
        fixed = held | (p.variance <= FLOOR * (1.0 + 1e-9))
        walk.modes(paths.offset, path, square, np.ones(len(path)), tail, paths.gap, now.step**2, fixed, info)
        series = _spread_out(paths, path, series)
    square, size, tail, start = shocks
    path, info = common[start:].copy(), np.empty(len(square))
    walk.mode(path, square, size, tail, np.full(len(path) - 1, now.shock_step**2), held, info)
    common[start:], common[:start] = path, path[0]
    return replace(now, shocks=common, series=series)


def learnt_steps(cells: Cells, p: FactorParameters, squares: Squares, robust: Robust, crisis: Ints) -> Volatility:
    """Return the same paths with steps of the most likely size: one for all series, one for the factors.

    The marginal likelihood of the steps given expected squares (Laplace's approximation around the path), searched by
    golden section in the logarithm; of the monthly series where there are any.
    """
    now = cells.weights.volatility
    assert now is not None
    paths, square, tail = _own_points(cells, squares, robust, crisis)
    begun, info = now.series[paths.month, paths.series], np.empty(len(square))
    fixed = p.variance <= FLOOR * (1.0 + 1e-9)

    # A quarterly series' months are expected, not seen: they would speak for whatever step they were expected under.
    offset = paths.offset[: cells.layout.monthly + 1] if cells.layout.monthly else paths.offset

    def series_value(step: float) -> float:
        here = begun.copy()
        return walk.modes(offset, here, square, np.ones(len(here)), tail, paths.gap, step**2, fixed, info)

    shock, size, shock_tail, start = _shock_points(cells, p, squares, robust, crisis)
    shock_info = np.empty(len(shock))

    def shock_value(step: float) -> float:
        here = now.shocks[start:].copy()
        return walk.mode(here, shock, size, shock_tail, np.full(len(here) - 1, step**2), False, shock_info)

    step = _golden(series_value) if len(square) else now.step
    return replace(now, step=step, shock_step=_golden(shock_value))


def end_variances(
    cells: Cells,
    p: FactorParameters,
    squares: Squares,
    robust: Robust,
    crisis: Ints,
    newest: int,
    column: int,
    last: int,
) -> tuple[float, float]:
    """Return the variance of the factors' log variance in row `newest`, and of a series' own in row `last`.

    Laplace's approximation around the paths. A quarterly series has one figure in three months, and so a third of
    the information that its months would have.
    """
    now, lead = cells.weights.volatility, cells.layout.lead
    assert now is not None
    square, size, tail, start = _shock_points(cells, p, squares, robust, crisis)
    end = newest + lead - start + 1
    shock = _end(now.shocks[start:][:end], square[:end], size[:end], tail[:end], np.ones(end), now.shock_step, 1.0)
    paths, square, tail = _own_points(cells, squares, robust, crisis)
    a = int(paths.offset[column])
    b = a + int(np.searchsorted(paths.month[a : paths.offset[column + 1]], last + lead, side="right"))
    b = max(b, min(a + 1, int(paths.offset[column + 1])))
    path = now.series[paths.month[a:b], column]
    share = 1.0 if column < cells.layout.monthly else 1.0 / 3.0
    own = _end(path, square[a:b], np.ones(b - a), tail[a:b], paths.gap[a:b], now.step, share)
    return shock, own


def _end(
    path: Floats, square: Floats, size: Floats, tail: Floats, gap: Floats, step: float, share: float
) -> float:  # fmt: skip
    if not len(path):
        return 0.0
    slope, bend, info = np.empty(len(path)), np.empty(len(path)), np.empty(len(path))
    walk.slopes(path.copy(), square.copy(), size, tail.copy(), slope, bend)
    walk.inform(share * bend, step**2 * gap[1:], False, info)
    return float(1.0 / info[-1])


def _golden(value: object) -> float:
    assert callable(value)
    low, high = np.log(_LEAST / np.sqrt(12.0)), np.log(_MOST / np.sqrt(12.0))
    ratio = 0.5 * (np.sqrt(5.0) - 1.0)
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = value(np.exp(a)), value(np.exp(b))
    for _ in range(_HALVINGS):
        if at_a > at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = value(np.exp(a))
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = value(np.exp(b))
    return float(np.exp(0.5 * (low + high)))


def path_density(cells: Cells) -> float:
    """Return the log density of the paths' steps, less a constant."""
    now = cells.weights.volatility
    if now is None:
        return 0.0
    paths = own_paths(cells.layout)
    path = now.series[paths.month, paths.series]
    first = np.zeros(len(path), dtype=bool)
    first[paths.offset[:-1][np.diff(paths.offset) > 0]] = True
    inner = np.flatnonzero(~first)
    total = float(((path[inner] - path[inner - 1]) ** 2 / paths.gap[inner]).sum()) / now.step**2
    return -0.5 * (total + float((np.diff(now.shocks) ** 2).sum()) / now.shock_step**2)


def absorbed(cells: Cells, p: FactorParameters) -> tuple[Cells, FactorParameters]:
    """Move the paths' means into the parameters: the same model, told so that a path of 0 is an average month."""
    now = cells.weights.volatility
    if now is None:
        return cells, p
    p = p.unit()
    own, common = now.series.mean(axis=0), float(now.shocks.mean())
    own = np.maximum(own, np.log(FLOOR / p.variance))
    shifted = replace(now, series=now.series - own, shocks=now.shocks - common)
    p = replace(p, variance=p.variance * np.exp(own), loadings=p.loadings * np.exp(0.5 * common))
    return Cells.of(cells.layout, cells.weights.tails().under(shifted)), p


def own_paths(layout: Layout) -> _Paths:
    """Return the points of all series' walks: the known cells of a monthly one, every month of a quarterly one."""
    n, lead = layout.monthly, layout.lead
    at = np.full(layout.values[:, :n].shape, -1)
    at[layout.special[:, 0], layout.special[:, 1]] = np.arange(len(layout.special))
    series, month = np.nonzero(~np.isnan(layout.values[:, :n]).T)
    special = at[month, series]
    quarterly = layout.own_at.shape[1]
    every = np.tile(np.arange(layout.months), quarterly)
    which = n + np.repeat(np.arange(quarterly), layout.months)
    count = np.concatenate([np.bincount(series, minlength=n), np.full(quarterly, layout.months)])
    month = np.concatenate([month + lead, every])
    gap = np.concatenate([[1.0], np.diff(month)]).astype(np.float64)
    return _Paths(
        np.concatenate([[0], np.cumsum(count)]).astype(np.int64),
        month.astype(np.int64),
        np.concatenate([series, which]).astype(np.int64),
        gap,
        np.concatenate([special, np.full(len(every), -1)]).astype(np.int64),
    )


def _own_points(cells: Cells, squares: Squares, robust: Robust, crisis: Ints) -> tuple[_Paths, Floats, Floats]:
    """Return the points of the series' walks with their squares and tails.

    Where the tail is 0 the square is weighed already: after a hole, in a crisis, and at a quarterly series' start.
    """
    layout, n, lead = cells.layout, cells.layout.monthly, cells.layout.lead
    paths, tails = own_paths(layout), cells.weights.tails()
    split = int(paths.offset[n])
    row, series, special = paths.month[:split] - lead, paths.series[:split], paths.special[:split]
    square = squares.cell[row, series]
    normal = (special >= 0) | np.isin(row, crisis)
    square = np.where(normal, square * tails.cell[row, series], square)
    jump = np.flatnonzero(special >= 0)
    square[jump] = squares.jump[special[jump]]
    month, which = paths.month[split:], paths.series[split:] - n
    starts = month == 0
    own = squares.own[month, which]
    own = np.where(starts, own * tails.own[month, which], own)
    square = np.concatenate([square, own])
    tail = np.where(np.concatenate([normal, starts]), 0.0, robust.tail)
    return paths, square, tail


def _shock_points(
    cells: Cells, p: FactorParameters, squares: Squares, robust: Robust, crisis: Ints
) -> tuple[Floats, Floats, Floats, int]:
    """Return squares, dimensions and tails of the factors' walk, and the month of its first point: their start."""
    r, order, lead = p.factors, p.order, cells.layout.lead
    calm = cells.weights.tails().calm
    normal = np.zeros(cells.layout.months, dtype=bool)
    normal[crisis + lead] = True
    square = np.where(normal, calm * squares.shocks, squares.shocks)[order:]
    tail = np.where(normal, 0.0, robust.shock_tail)[order:]
    size = np.full(len(square), float(r))
    return (
        np.concatenate([[squares.origin], square]),
        np.concatenate([[float(r * order)], size]),
        np.concatenate([[0.0], tail]),
        order - 1,
    )


def _spread_out(paths: _Paths, path: Floats, like: Floats) -> Floats:
    """Return months x series from the points: until a point its value, after the last one that."""
    out = like.copy()
    for s in range(like.shape[1]):
        a, b = paths.offset[s], paths.offset[s + 1]
        if b > a:
            at = np.searchsorted(paths.month[a:b], np.arange(len(like)))
            out[:, s] = path[a:b][np.minimum(at, b - a - 1)]
    return out
