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
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from opsroom.measure.nowcast.dfm import walk
from opsroom.measure.nowcast.dfm.layout import Layout
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints
from opsroom.measure.nowcast.dfm.points import Points, Squares, own_paths, own_points, shock_points, spread_out
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
    points = own_points(cells, p, squares, robust, crisis)
    paths, common, series = points.paths, now.common.copy(), now.series
    if len(points.square):
        own = series[paths.month, paths.series] - common[paths.month]
        _common_mode(points, points.less(own), common, now.common_step, held=held)
        _own_modes(points, points.less(common[paths.month]), own, now.step, held=held)
        series = spread_out(paths, own, common, series)
    square, size, tail, start = shock_points(cells, p, squares, robust, crisis)
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
    points = own_points(cells, p, squares, robust, crisis)
    shock, size, tail, start = shock_points(cells, p, squares, robust, crisis)
    shock_step = _golden(lambda step: _shock_mode(now.shocks[start:].copy(), shock, size, tail, step, held=False))
    if not len(points.square):
        return replace(now, shock_step=shock_step)
    # A quarterly series' months are expected, not seen: they would speak for whatever step they were expected under.
    points = points.of(0, cells.layout.monthly) if cells.layout.monthly else points
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
    square, size, tail, start = shock_points(cells, p, squares, robust, crisis)
    end = newest + lead - start + 1
    every = np.arange(end)
    shock = _end(now.shocks[start:][:end], every, square[:end], size[:end], tail[:end], np.ones(end), now.shock_step)
    points = own_points(cells, p, squares, robust, crisis)
    paths, n = points.paths, cells.layout.monthly
    own = 0.0
    alone = points.of(column, column + 1)
    if len(alone.square):
        here = alone.paths
        end = max(int(np.searchsorted(here.month, last + lead, side="right")), 1)
        seen = here.point < end
        total = now.series[here.month[:end], column]
        share = 1.0 if column < n else 1.0 / 3.0
        own = _end(
            total, here.point[seen], alone.square[seen], here.size[seen], alone.tail[seen], here.gap[:end], now.step,
            share,
        )  # fmt: skip
    month = paths.month[paths.point]
    seen, length = month <= newest + lead, newest + lead + 1
    left = points.less(now.series[paths.month, paths.series])
    shares = np.where(paths.series[paths.point] < n, 1.0, 1.0 / 3.0)
    common = _end(
        np.zeros(length), month[seen], left[seen], paths.size[seen], points.tail[seen], np.ones(length),
        now.common_step, shares[seen],
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


def _volatility(cells: Cells) -> Volatility:
    now = cells.weights.volatility
    assert now is not None
    return now


def _common_mode(points: Points, square: Floats, path: Floats, step: float, *, held: bool) -> float:
    paths, steps = points.paths, np.full(len(path) - 1, step**2)
    at, info = paths.month[paths.point], np.empty(len(path))
    return float(walk.mode(path, at, square, paths.size, points.tail, steps, held, info))


def _own_modes(points: Points, square: Floats, path: Floats, step: float, *, held: bool) -> float:
    w, fixed, info = points.paths, held | points.fixed, np.empty(len(path))
    return float(
        walk.modes(
            w.offset, w.split, w.point, path, square, w.size, points.tail, w.gap, step**2, fixed, info
        )
    )  # fmt: skip


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
