"""A panel on a fine grid seen through given parameters: what a cell is expected to be, and on which data it rests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.nowcast.dfm.look import Cell
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints
from opsroom.measure.nowcast.dfm.smooth import standardise
from opsroom.measure.nowcast.fine.grid import FineGrid
from opsroom.measure.nowcast.fine.pattern import FineWeights, Pattern, lay_out
from opsroom.measure.nowcast.fine.smooth import FineSmoothed, smooth


@dataclass(frozen=True, slots=True)
class FineLook:
    """A panel with its factors smoothed."""

    grid: FineGrid
    pattern: Pattern
    found: FineSmoothed

    @property
    def parameters(self) -> FactorParameters:
        """The parameters, with factors whose innovations have variance 1."""
        return self.found.parameters


def look(grid: FineGrid, p: FactorParameters, weights: FineWeights | None = None, *, moments: bool = False) -> FineLook:
    """Smooth a panel with given parameters and weights, without learning anything."""
    pattern = lay_out(grid, standardise(grid.values, p), p.factors, p.order, chained=p.ar1).weighed(weights, grid)
    return FineLook(grid, pattern, smooth(pattern, p, moments=moments))


def cell(view: FineLook, row: int, column: int, *, variance: bool = True, light: float = 1.0) -> Cell:
    """Return a cell's distribution given the data; a known one is itself. See `dfm.look.Cell`.

    `light` is the variance of the cell's own innovation relative to the parameters' own, where no later cell of the
    series is known.
    """
    pattern, p, found = view.pattern, view.parameters, view.found
    direction = np.zeros(len(pattern.first))
    value = float(pattern.values[row, column])
    if not np.isnan(value):
        return Cell(value, 0.0, direction, ((row, 1.0),))
    by_row = direction.reshape(pattern.rows, p.factors)
    _add(by_row, view.grid, row, column, p.loadings[column])
    rests_on, own = _between(view, row, column, light)
    for known, weight in rests_on:
        _add(by_row, view.grid, known, column, -weight * p.loadings[column])
    mean = float(direction @ found.mean) + sum(w * float(pattern.values[k, column]) for k, w in rests_on)
    spread = own + float(direction @ found.solve(direction)) if variance else np.nan
    return Cell(mean, spread, direction, rests_on)


def _add(by_row: Floats, grid: FineGrid, row: int, column: int, load: Floats) -> None:
    """Add a cell's share of the factors, times a loading."""
    start, weight = grid.weights(grid.number(row, column), column)
    by_row[start : start + len(weight)] += np.outer(weight, load)


def _between(view: FineLook, row: int, column: int, light: float) -> tuple[tuple[tuple[int, float], ...], float]:
    """Return how an unknown own error rests on its known neighbours, and the variance that is left."""
    p, pattern = view.parameters, view.pattern
    rho, variance = float(p.memory[column]), float(p.variance[column])
    own = np.flatnonzero(pattern.series == column)
    before, after = own[pattern.row[own] < row], own[pattern.row[own] > row]
    here = view.grid.number(row, column)

    def added(after_row: int, to_row: int) -> float:
        """Return the variance of the innovations after a row, as far as it is left at another, relative to one."""
        to = view.grid.number(to_row, column)
        steady = 1.0 / (1.0 - rho**2)
        total = steady if after_row < 0 else steady * (1.0 - rho ** (2 * (to - view.grid.number(after_row, column))))
        if pattern.weights is not None:
            weights = pattern.weights.cell[after_row + 1 : to_row + 1, column]
            for k in np.flatnonzero(weights != 1.0):
                number = view.grid.number(after_row + 1 + int(k), column)
                total += rho ** (2 * (to - number)) * (1.0 / float(weights[k]) - 1.0)
        return total

    back = int(pattern.row[before[-1]]) if len(before) else -1
    decay = rho ** (here - view.grid.number(back, column)) if len(before) else 0.0
    spread = added(back, row)
    if not len(after) or rho == 0.0:
        rests_on = ((back, decay),) if decay != 0.0 else ()
        return rests_on, variance * (spread + (0.0 if len(after) else light - 1.0))
    end = int(pattern.row[after[0]])
    ahead, noise = rho ** (view.grid.number(end, column) - here), added(row, end)
    gain = spread * ahead / (ahead**2 * spread + noise)
    known = ((back, decay * (1.0 - gain * ahead)),) if len(before) else ()
    return (*known, (end, gain)), variance * spread * (1.0 - gain * ahead)


def data_weights(view: FineLook, target: Cell, column: int) -> Floats:
    """Return how much one unit of every cell adds to a cell's mean: rows x series, standardised, 0 if unknown."""
    pattern, p, own = view.pattern, view.parameters, view.found.own
    solved = view.found.solve(target.direction).reshape(pattern.rows, p.factors)
    position = np.arange(len(pattern.share_weight))
    share: Ints = np.repeat(np.arange(len(pattern.share_row)), np.diff(pattern.share_at))
    row = pattern.share_row[share] + position - pattern.share_at[share]
    push = np.zeros((len(pattern.share_row), p.factors))
    np.add.at(push, share, pattern.share_weight[:, None] * solved[row])
    now, before = pattern.links[pattern.link].T
    load = p.loadings[pattern.series]
    pushed = (load * push[now]).sum(axis=1)
    pushed -= own.decay * np.where(before >= 0, (load * push[before]).sum(axis=1), 0.0)
    each = pushed / (p.variance[pattern.series] * own.spread)
    out = np.zeros(pattern.values.shape)
    np.add.at(out, (pattern.row, pattern.series), each)
    held = pattern.row_back >= 0
    np.add.at(out, (pattern.row_back[held], pattern.series[held]), -(own.decay * each)[held])
    for known, direct in target.rests_on:
        out[known, column] += direct
    return out
