"""Where the walks of log variances have their points, and which expected squares speak of each.

A monthly series' walk has a point at each known cell: a hole has the variance of the cell that ends it, and before its
first point a series is stationary with that point's variance. A quarterly series' walk has a point each month, and so
has the factors'. The first point of a series also holds its start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from opsroom.measure.nowcast.dfm.layout import Layout
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints, Mask
from opsroom.measure.nowcast.dfm.step import FLOOR

if TYPE_CHECKING:
    from opsroom.measure.nowcast.dfm.robust import Robust
    from opsroom.measure.nowcast.dfm.smooth import Cells


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
    hole, start
        Where own errors are of order two and more: months x monthly series, of the months in holes, NaN elsewhere; and
        per series the sum over its start, over its spread. Empty otherwise.
    """

    cell: Floats
    own: Floats
    jump: Floats
    spread: Floats
    shocks: Floats
    origin: float
    hole: Floats
    start: Floats


@dataclass(frozen=True, slots=True)
class Paths:
    """The points of several walks, one behind the other, and the squares that speak of them.

    Attributes
    ----------
    offset, month, series, gap
        Where each walk's points begin; each point's month (lead included) and series, and the months from the point
        before.
    split, point
        Where each walk's squares begin; each square's point.
    at, kind, size
        Each square's month, what it is of (`INNOVATION`, `JUMP`, `HOLE` or `START`) and its dimension.
    """

    offset: Ints
    month: Ints
    series: Ints
    gap: Floats
    split: Ints
    point: Ints
    at: Ints
    kind: Ints
    size: Floats


INNOVATION, JUMP, HOLE, START = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Points:
    """Expected squares that scale with a log variance, with the degrees of freedom of their tails (0: none).

    `fixed` are the series without an own error to speak of: their level cannot be learnt, only turns.
    """

    paths: Paths
    square: Floats
    tail: Floats
    fixed: Mask

    def less(self, path: Floats) -> Floats:
        """Return the squares over the variances of a path, given by point."""
        return np.asarray(self.square * np.exp(-path[self.paths.point]))

    def of(self, first: int, last: int) -> Points:
        """Return the points of the series from `first` up to before `last`."""
        w = self.paths
        a, b = int(w.offset[first]), int(w.offset[last])
        c, d = int(w.split[first]), int(w.split[last])
        part = Paths(
            w.offset[first : last + 1] - a, w.month[a:b], w.series[a:b], w.gap[a:b], w.split[first : last + 1] - c,
            w.point[c:d] - a, w.at[c:d], w.kind[c:d], w.size[c:d],
        )  # fmt: skip
        return Points(part, self.square[c:d], self.tail[c:d], self.fixed[first:last])


def own_paths(layout: Layout) -> Paths:
    """Return the points of all series' walks."""
    n, lead, chain = layout.monthly, layout.lead, layout.chain
    jump = np.zeros(layout.values[:, :n].shape, dtype=bool)
    jump[layout.special[:, 0], layout.special[:, 1]] = True
    months: list[Ints] = []
    squares: list[tuple[Ints, Ints, Ints]] = []
    for i in range(layout.values.shape[1]):
        every = np.flatnonzero(~np.isnan(layout.values[:, i])) + lead if i < n else np.arange(layout.months)
        kind = np.zeros(len(every), dtype=np.int64)
        if chain is None:
            kind[:] = np.where(jump[every - lead, i], JUMP, INNOVATION) if i < n else INNOVATION
            kind[:1] = kind[:1] if i < n else START
            squares.append((np.arange(len(every)), every, kind))
            months.append(every)
            continue
        if not chain.start_size[i]:
            squares.append((every[:0], every[:0], every[:0]))
            months.append(every[:0])
            continue
        begun = int(chain.start_base[i] + chain.start_size[i] - 1)
        point = np.concatenate([[begun], every[every > begun]])
        gap = np.flatnonzero(chain.hole_at[:, i] >= 0) if i < n else every[:0]
        at = np.concatenate([point, gap[gap > begun]])
        kind = np.concatenate([np.where(point == begun, START, INNOVATION), np.full(len(at) - len(point), HOLE)])
        squares.append((np.searchsorted(point, at), at, kind))
        months.append(point)
    count = np.array([len(m) for m in months], dtype=np.int64)
    offset = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    split = np.concatenate([[0], np.cumsum([len(s[0]) for s in squares])]).astype(np.int64)
    month = np.concatenate(months).astype(np.int64)
    kind = np.concatenate([s[2] for s in squares]).astype(np.int64)
    point = np.concatenate([s[0] + offset[i] for i, s in enumerate(squares)]).astype(np.int64)
    series = np.repeat(np.arange(len(count)), count).astype(np.int64)
    size = np.ones(len(kind))
    if chain is not None:
        size[kind == START] = chain.start_size[series[point[kind == START]]]
    return Paths(
        offset, month, series, np.concatenate([[1.0], np.diff(month)]).astype(np.float64), split, point,
        np.concatenate([s[1] for s in squares]).astype(np.int64), kind, size,
    )  # fmt: skip


def own_points(cells: Cells, p: FactorParameters, squares: Squares, robust: Robust, crisis: Ints) -> Points:
    """Return the points of the series' walks with their squares and tails.

    Where the tail is 0 the square is weighed already: over and in a hole, in a crisis, and at a series' start.
    """
    layout, n, lead = cells.layout, cells.layout.monthly, cells.layout.lead
    paths, tails, volatility = own_paths(layout), cells.weights.tails(), cells.weights.volatility
    series, row, kind = paths.series[paths.point], paths.at - lead, paths.kind
    square, normal = np.zeros(len(kind)), kind != INNOVATION
    monthly = (series < n) & (kind == INNOVATION)
    square[monthly] = squares.cell[row[monthly], series[monthly]]
    named = monthly & np.isin(row, crisis)
    square[named] *= tails.cell[row[named], series[named]]
    normal |= named
    quarterly = (series >= n) & (kind == INNOVATION)
    square[quarterly] = squares.own[paths.at[quarterly], series[quarterly] - n]
    begun = kind == START
    if layout.chain is None:
        square[begun] = (squares.own[0] * tails.own[0])[series[begun] - n]
        number = np.full(layout.values[:, :n].shape, -1)
        number[layout.special[:, 0], layout.special[:, 1]] = np.arange(len(layout.special))
        jump = kind == JUMP
        square[jump] = squares.jump[number[row[jump], series[jump]]]
    else:
        hole = kind == HOLE
        square[hole] = squares.hole[row[hole], series[hole]]
        # A start is told over its spread, of which volatility is a part.
        level = 1.0 if volatility is None else np.exp(volatility.series[paths.at[begun], series[begun]])
        square[begun] = squares.start[series[begun]] * level
    tail = np.where(normal, 0.0, robust.tail)
    return Points(paths, square, tail, p.variance <= FLOOR * (1.0 + 1e-9))


def shock_points(
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


def spread_out(paths: Paths, own: Floats, common: Floats, like: Floats) -> Floats:
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
