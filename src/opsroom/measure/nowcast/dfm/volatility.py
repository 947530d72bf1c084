"""Volatility that moves slowly: log variances of the factors' and of the series' own innovations that walk.

A series' own log variance is the sum of a walk that all series have in common and one of its own; the factors' is one
walk. A quarterly target alone would tell little of its volatility; what all series have in common tells most of it.

Heavy tails say that a number may be wild; volatility says that a decade is. Each is learnt with the other given: an
innovation's precision is its weight times ``exp(-log variance)``. A path is the most probable one given expected
squares, so that it joins weights and parameters in one objective that never falls. The walk's clock runs from known
cell to known cell: a hole has the variance of the cell that ends it, and before its first cell a series is
stationary with that cell's variance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from opsroom.measure.nowcast.dfm import walk
from opsroom.measure.nowcast.dfm.layout import Layout
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints, Mask
from opsroom.measure.nowcast.dfm.smooth import Cells, Volatility
from opsroom.measure.nowcast.dfm.step import FLOOR

if TYPE_CHECKING:
    from opsroom.measure.nowcast.dfm.robust import Robust

FIRST = 0.2
"""Where the search for the size of the steps begins: standard deviation of log variance over a year."""
_LEAST, _MOST = 0.01, 2.0
"""Between which sizes over a year it looks."""
_HALVINGS = 14
_YEAR = 12.0


@dataclass(frozen=True, slots=True)
class Squares:
    """Expected squared innovations over the parameters' variances, volatility and tails not taken out.

    Attributes
    ----------
    cell
        Months x monthly series: of regular cells; NaN elsewhere.
    own
        Months (lead included) x quarterly series; the first month's is that of its start.
    jump, spread
        Per special cell: of the whole jump from the cell before, over its spread, tails taken out; and that spread,
        volatility taken out.
    shocks
        Months (lead included): summed over the factors; NaN before month `order`.
    origin
        Of the factors' start.
    """

    cell: Floats
    own: Floats
    jump: Floats
    spread: Floats
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


@dataclass(frozen=True, slots=True)
class _Points:
    """Squares that scale with a log variance, and the points of the walks that they speak of."""

    paths: _Paths
    square: Floats
    tail: Floats
    fixed: Mask

    def less(self, path: Floats) -> Floats:
        """Return the squares over the variances of a path."""
        return np.asarray(self.square * np.exp(-path))


def still(layout: Layout, robust: Robust) -> Volatility:
    """Return paths that have not moved yet, with the size of steps that is given or learnt from."""
    given = isinstance(robust.volatility, int | float)
    step = (float(robust.volatility) if given else FIRST) / np.sqrt(_YEAR)  # type: ignore[arg-type]  # a number here
    part = float(step * np.sqrt(0.5))  # a series' log variance is the sum of two walks
    paths = np.zeros(layout.months), np.zeros(layout.months), np.zeros((layout.months, layout.values.shape[1]))
    return Volatility(*paths, float(step), part, part)


def moved(
    cells: Cells, p: FactorParameters, squares: Squares, robust: Robust, crisis: Ints, *, held: bool
) -> Volatility:
    """Return more probable paths given expected squares: each the most probable one given the others.

    `held`: from where they are at their first points.
    """
    now = _volatility(cells)
    points = _own_points(cells, p, squares, robust, crisis)
    paths, common, series = points.paths, now.common.copy(), now.series
    if len(points.square):
        own = series[paths.month, paths.series] - common[paths.month]
        _common_mode(points, points.less(own), common, now.common_step, held=held)
        square = points.less(common[paths.month])
        _own_modes(points, square, own, now.step, held=held)
        series = _spread_out(paths, own, common, series)
    square, size, tail, start = _shock_points(cells, p, squares, robust, crisis)
    shocks = now.shocks.copy()
    path = shocks[start:].copy()
    _shock_mode(path, square, size, tail, now.shock_step, held=held)
    shocks[start:], shocks[:start] = path, path[0]
    return replace(now, shocks=shocks, common=common, series=series)


def learnt_steps(cells: Cells, p: FactorParameters, squares: Squares, robust: Robust, crisis: Ints) -> Volatility:
    """Return the same paths with steps of the most likely size: of what is common, of the series, of the factors.

    The marginal likelihood of the steps given expected squares (Laplace's approximation around the path), searched by
    golden section in the logarithm; of the monthly series where there are any. What all series have in common comes
    first, with the series' own walks at rest.
    """
    now = _volatility(cells)
    points = _own_points(cells, p, squares, robust, crisis)
    shock, size, tail, start = _shock_points(cells, p, squares, robust, crisis)
    shock_step = _golden(lambda step: _shock_mode(now.shocks[start:].copy(), shock, size, tail, step, held=False))
    if not len(points.square):
        return replace(now, shock_step=shock_step)
    # A quarterly series' months are expected, not seen: they would speak for whatever step they were expected under.
    points = _monthly(points, cells.layout.monthly)
    month, which = points.paths.month, points.paths.series
    level = (now.series - now.common[:, None]).mean(axis=0)[which]
    at_rest = points.less(level)
    common_step = _golden(lambda step: _common_mode(points, at_rest, now.common.copy(), step, held=False))
    common = now.common.copy()
    _common_mode(points, at_rest, common, common_step, held=False)
    rest = points.less(common[month])
    step = _golden(lambda step: _own_modes(points, rest, level.copy(), step, held=False))
    return replace(now, shock_step=shock_step, common_step=common_step, step=step)


def end_variances(
    cells: Cells, p: FactorParameters, squares: Squares, robust: Robust, crisis: Ints, *, newest: int, column: int,
    last: int,
) -> tuple[float, float]:  # fmt: skip
    """Return the variance of the factors' log variance in row `newest`, and of a series' own in row `last`.

    Laplace's approximation around the paths, each with the others given. A quarterly series has one figure in three
    months, and so a third of the information that its months would have.
    """
    now, lead = _volatility(cells), cells.layout.lead
    square, size, tail, start = _shock_points(cells, p, squares, robust, crisis)
    end = newest + lead - start + 1
    every = np.arange(end)
    shock = _end(now.shocks[start:][:end], every, square[:end], size[:end], tail[:end], np.ones(end), now.shock_step)
    points = _own_points(cells, p, squares, robust, crisis)
    paths = points.paths
    a, stop = int(paths.offset[column]), int(paths.offset[column + 1])
    b = max(
        a + int(np.searchsorted(paths.month[a:stop], last + lead, side="right")),
        min(a + 1, stop),
    )
    share = np.where(paths.series < cells.layout.monthly, 1.0, 1.0 / 3.0)
    ones, total = np.ones(b - a), now.series[paths.month, paths.series]
    own = _end(
        total[a:b], np.arange(b - a), points.square[a:b], ones, points.tail[a:b], paths.gap[a:b], now.step, share[a:b]
    )  # fmt: skip
    seen = np.flatnonzero(paths.month <= newest + lead)
    length, where = newest + lead + 1, paths.month[seen]
    common = _end(
        np.zeros(length), where, points.less(total)[seen], np.ones(len(seen)), points.tail[seen],
        np.ones(length), now.common_step, share[seen],
    )  # fmt: skip
    return shock, own + common


def path_density(cells: Cells) -> float:
    """Return the log density of the paths' steps, less a constant."""
    now = cells.weights.volatility
    if now is None:
        return 0.0
    paths = own_paths(cells.layout)
    path = now.series[paths.month, paths.series] - now.common[paths.month]
    first = np.zeros(len(path), dtype=bool)
    first[paths.offset[:-1][np.diff(paths.offset) > 0]] = True
    inner = np.flatnonzero(~first)
    total = float(((path[inner] - path[inner - 1]) ** 2 / paths.gap[inner]).sum()) / now.step**2
    total += float((np.diff(now.common) ** 2).sum()) / now.common_step**2
    return -0.5 * (total + float((np.diff(now.shocks) ** 2).sum()) / now.shock_step**2)


def absorbed(cells: Cells, p: FactorParameters) -> tuple[Cells, FactorParameters]:
    """Move the paths' means into the parameters: the same model, told so that a path of 0 is an average month."""
    now = cells.weights.volatility
    if now is None:
        return cells, p
    p = p.unit()
    own, shock = now.series.mean(axis=0), float(now.shocks.mean())
    own = np.maximum(own, np.log(FLOOR / p.variance))
    shifted = replace(
        now, series=now.series - own, shocks=now.shocks - shock, common=now.common - float(now.common.mean())
    )
    p = replace(p, variance=p.variance * np.exp(own), loadings=p.loadings * np.exp(0.5 * shock))
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


def _volatility(cells: Cells) -> Volatility:
    now = cells.weights.volatility
    assert now is not None
    return now


def _common_mode(points: _Points, square: Floats, path: Floats, step: float, *, held: bool) -> float:
    ones, steps = np.ones(len(square)), np.full(len(path) - 1, step**2)
    return float(
        walk.mode(path, points.paths.month, square, ones, points.tail, steps, held, np.empty(len(path)))
    )  # fmt: skip


def _own_modes(points: _Points, square: Floats, path: Floats, step: float, *, held: bool) -> float:
    paths, ones = points.paths, np.ones(len(square))
    fixed, info = held | points.fixed, np.empty(len(square))
    return float(walk.modes(paths.offset, path, square, ones, points.tail, paths.gap, step**2, fixed, info))


def _shock_mode(path: Floats, square: Floats, size: Floats, tail: Floats, step: float, *, held: bool) -> float:
    n = len(path)
    return float(walk.mode(path, np.arange(n), square, size, tail, np.full(n - 1, step**2), held, np.empty(n)))


def _end(
    path: Floats, at: Ints, square: Floats, size: Floats, tail: Floats, gap: Floats, step: float,
    share: float | Floats = 1.0,
) -> float:  # fmt: skip
    """Return the variance of a path's last point; each square has a share of the information that it would have."""
    if not len(path):
        return 0.0
    total, slope, bend, info = np.zeros(len(path)), np.empty(len(path)), np.empty(len(path)), np.empty(len(path))
    shares = np.broadcast_to(np.asarray(share, dtype=np.float64), square.shape)
    for one in np.unique(shares):
        own = np.flatnonzero(shares == one)
        walk.slopes(path.copy(), at[own], square[own], size[own], tail[own], slope, bend, 0.0)
        total += one * bend
    # From the first point on: how well a level that stays is known is no matter of volatility.
    walk.inform(total, step**2 * gap[1:], True, info)
    return float(1.0 / info[-1])


def _golden(value: Callable[[float], float]) -> float:
    """Return the step between the least and the most over a year at which a function is highest."""
    low, high = np.log(_LEAST / np.sqrt(_YEAR)), np.log(_MOST / np.sqrt(_YEAR))
    ratio = 0.5 * (np.sqrt(5.0) - 1.0)
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = value(float(np.exp(a))), value(float(np.exp(b)))
    for _ in range(_HALVINGS):
        if at_a > at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = value(float(np.exp(a)))
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = value(float(np.exp(b)))
    return float(np.exp(0.5 * (low + high)))


def _monthly(points: _Points, monthly: int) -> _Points:
    """Return the points of the monthly series alone, where there are any."""
    if not monthly:
        return points
    paths = points.paths
    end = int(paths.offset[monthly])
    part = _Paths(
        paths.offset[: monthly + 1], paths.month[:end], paths.series[:end], paths.gap[:end], paths.special[:end]
    )  # fmt: skip
    return _Points(part, points.square[:end], points.tail[:end], points.fixed[:monthly])


def _own_points(
    cells: Cells, p: FactorParameters, squares: Squares, robust: Robust, crisis: Ints
) -> _Points:  # fmt: skip
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
    # A series without an own error to speak of has no level that could be learnt, only turns.
    return _Points(paths, square, tail, p.variance <= FLOOR * (1.0 + 1e-9))


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


def _spread_out(paths: _Paths, own: Floats, common: Floats, like: Floats) -> Floats:
    """Return months x series from the points: until a point what it has, after the last one its own and the common."""
    out = like.copy()
    for s in range(like.shape[1]):
        a, b = paths.offset[s], paths.offset[s + 1]
        if b > a:
            at = np.searchsorted(paths.month[a:b], np.arange(len(like)))
            past = at >= b - a
            at = np.minimum(at, b - a - 1)
            out[:, s] = own[a:b][at] + common[np.where(past, np.arange(len(like)), paths.month[a:b][at])]
    return out
