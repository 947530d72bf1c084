"""Which cells a panel has, and which base periods meet in one equation: all that does not change during a fit.

A *share* is what one period's figure of one kind (growth or level, at one frequency) is of the factors: weights over
base periods. All series of the kind load on the same share. A *link* is a share, and the one of the last known cell
before, which a series' memory brings in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from opsroom.measure.nowcast.dfm.parameters import Floats, Ints
from opsroom.measure.nowcast.fine import calendar
from opsroom.measure.nowcast.fine.grid import FineGrid


@dataclass(frozen=True, slots=True)
class FineWeights:
    """Precisions of innovations relative to the parameters' own: 1 in the Gaussian model, and where nothing is known.

    Attributes
    ----------
    cell
        Rows x series: of each cell's own error.
    calm
        Rows: of the factors.
    """

    cell: Floats
    calm: Floats

    def on(self, old: FineGrid, new: FineGrid) -> FineWeights:
        """Return the weights on another grid: 1 where the old one has none."""
        cell, calm = np.ones(new.values.shape), np.ones(len(new.values))
        at = np.arange(len(self.calm)) + old.first - new.first
        inside = (at >= 0) & (at < len(calm))
        cell[at[inside]], calm[at[inside]] = self.cell[inside], self.calm[inside]
        return FineWeights(cell, calm)


@dataclass(frozen=True, slots=True)
class Pattern:
    """The pattern of one panel.

    Attributes
    ----------
    values
        Rows x series, standardised, NaN where unknown.
    share_row, share_at, share_weight
        Per share the first row, and where its weights begin in `share_weight` (one more than there are shares).
    links
        Rows (share, share before or -1).
    series, link, gap, now, back
        Per cell, in order of series and time: series, link, own periods since the cell before (0: none), value and
        value before (0: none).
    row, row_back
        Per cell where it and the one before stand in `values` (-1: none).
    weights
        None in a Gaussian model.
    lightness
        Per cell: variance of its innovation relative to the parameters' own, 1 in a Gaussian model.
    hidden
        Innovations of unknown cells whose weight is not 1: rows (next known cell of the series, own periods to it).
    hidden_light
        Their relative variance, less 1.
    calm
        Per row: precision of the factors' innovation relative to the parameters' own.
    factors, order
        Of the factors' autoregression.
    first, start
        Per unknown (row * factors + factor): the first unknown that it meets, and where its row of the envelope begins.
    """

    values: Floats
    share_row: Ints
    share_at: Ints
    share_weight: Floats
    links: Ints
    series: Ints
    link: Ints
    gap: Ints
    now: Floats
    back: Floats
    row: Ints
    row_back: Ints
    weights: FineWeights | None
    lightness: Floats
    hidden: Ints
    hidden_light: Floats
    calm: Floats
    factors: int
    order: int
    first: Ints
    start: Ints

    @property
    def rows(self) -> int:
        """Number of base periods."""
        return len(self.values)

    @property
    def at(self) -> Ints:
        """Position of the first factor of each row."""
        return np.arange(self.rows, dtype=np.int64) * self.factors

    @property
    def shares(self) -> Ints:
        """Per cell its share, and the one of the cell before or -1: (2, cells)."""
        return np.ascontiguousarray(self.links[self.link].T)

    @property
    def cells(self) -> int:
        """Number of observed cells."""
        return len(self.now)

    def weighed(self, weights: FineWeights | None, grid: FineGrid) -> Pattern:
        """Return the pattern under weights on its own grid.

        An unknown cell's innovation keeps its weight in the hole that the cell is part of, so that filling it later
        changes nothing else: the model is one joint distribution.
        """
        if weights is None:
            return self
        hidden, light = [], []
        for row, i in zip(*np.nonzero(np.isnan(self.values) & (weights.cell != 1.0)), strict=True):
            later = np.flatnonzero((self.series == i) & (self.row > row))
            if len(later):
                apart = grid.number(int(self.row[later[0]]), int(i)) - grid.number(int(row), int(i))
                hidden.append((int(later[0]), apart))
                light.append(1.0 / float(weights.cell[row, i]) - 1.0)
        return replace(
            self,
            weights=weights,
            lightness=1.0 / weights.cell[self.row, self.series],
            hidden=np.array(hidden, dtype=np.int64).reshape(-1, 2),
            hidden_light=np.array(light, dtype=np.float64),
            calm=weights.calm,
        )

    def newest(self) -> int:
        """Return the last row in which anything is known."""
        return int(self.row.max())


def summed(where: Ints, what: Floats, size: int) -> Floats:
    """Return the sums of rows that go to the same place: (size, …); rows with place -1 go nowhere."""
    at = np.where(where < 0, size, where)
    flat = what.reshape(len(what), -1)
    out = np.empty((size, flat.shape[1]))
    for k in range(flat.shape[1]):
        out[:, k] = np.bincount(at, flat[:, k], minlength=size + 1)[:size]
    return out.reshape(size, *what.shape[1:])


def lay_out(grid: FineGrid, values: Floats, factors: int, order: int, *, chained: bool) -> Pattern:
    """Find the pattern of a panel.

    Parameters
    ----------
    grid
        The panel; its values do not matter.
    values
        Rows x series, standardised, NaN where unknown.
    factors, order
        Of the factors' autoregression.
    chained
        Whether own errors remember the period before; if not, each cell stands alone.
    """
    holding = {
        f: calendar.holding(grid.first + np.arange(len(values)), grid.base, f) for f in sorted(set(grid.frequencies))
    }
    shares: dict[tuple[str, bool, int], int] = {}
    spans: list[tuple[int, Floats]] = []
    links: dict[tuple[int, int], int] = {}
    series, link, gap, rows = [], [], [], []
    for i, frequency in enumerate(grid.frequencies):
        seen = np.flatnonzero(~np.isnan(values[:, i]))
        numbers = holding[frequency][seen]
        before = -1
        for k, number in enumerate(numbers):
            key = (frequency, grid.levels[i], int(number))
            if key not in shares:
                shares[key] = len(spans)
                spans.append(grid.weights(int(number), i))
            share = shares[key]
            pair = (share, before if chained else -1)
            link.append(links.setdefault(pair, len(links)))
            gap.append(int(number - numbers[k - 1]) if chained and k else 0)
            before = share
        series.append(np.full(len(seen), i))
        rows.append(seen)
    row, own, gaps = np.concatenate(rows), np.concatenate(series), np.array(gap, dtype=np.int64)
    row_back = np.where(gaps > 0, np.concatenate([[-1], row[:-1]]), -1)
    share_row = np.array([start for start, _ in spans], dtype=np.int64)
    sizes = np.array([len(weight) for _, weight in spans], dtype=np.int64)
    pairs = np.array(list(links), dtype=np.int64).reshape(-1, 2)
    first = np.repeat(_earliest(len(values), order, share_row, sizes, pairs), factors) * factors
    start = np.concatenate([[0], np.cumsum(np.arange(len(first)) - first + 1)])
    return Pattern(
        values=values,
        share_row=share_row,
        share_at=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        share_weight=np.concatenate([weight for _, weight in spans]),
        links=pairs,
        series=own.astype(np.int64),
        link=np.array(link, dtype=np.int64),
        gap=gaps,
        now=values[row, own],
        back=np.where(row_back >= 0, values[row_back, own], 0.0),
        row=row.astype(np.int64),
        row_back=row_back.astype(np.int64),
        weights=None,
        lightness=np.ones(len(row)),
        hidden=np.zeros((0, 2), dtype=np.int64),
        hidden_light=np.zeros(0),
        calm=np.ones(len(values)),
        factors=factors,
        order=order,
        first=first.astype(np.int64),
        start=start.astype(np.int64),
    )


def _earliest(rows: int, order: int, share_row: Ints, sizes: Ints, pairs: Ints) -> Ints:
    """Return, per row, the earliest row that it meets; rows between a share and one far before are not widened."""
    earliest = np.maximum(np.arange(rows) - order, 0)
    for now, before in pairs:
        low = min(int(share_row[now]), int(share_row[before])) if before >= 0 else int(share_row[now])
        for share in (now, before) if before >= 0 else (now,):
            part = earliest[share_row[share] : share_row[share] + sizes[share]]
            np.minimum(part, low, out=part)
    return earliest
