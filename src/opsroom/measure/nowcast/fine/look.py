"""A panel on a fine grid seen through given parameters: what a cell is expected to be, and on which data it rests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.nowcast.dfm.look import Cell
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints
from opsroom.measure.nowcast.dfm.smooth import standardise
from opsroom.measure.nowcast.fine.grid import FineGrid
from opsroom.measure.nowcast.fine.pattern import Pattern, lay_out
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


def look(grid: FineGrid, p: FactorParameters, *, moments: bool = False) -> FineLook:
    """Smooth a panel with given parameters, without learning anything."""
    pattern = lay_out(grid, standardise(grid.values, p), p.factors, p.order, chained=p.ar1)
    return FineLook(grid, pattern, smooth(pattern, p, moments=moments))


def cell(view: FineLook, row: int, column: int, *, variance: bool = True) -> Cell:
    """Return a cell's distribution given the data; a known one is itself. See `dfm.look.Cell`."""
    pattern, p, found = view.pattern, view.parameters, view.found
    direction = np.zeros(len(pattern.first))
    value = float(pattern.values[row, column])
    if not np.isnan(value):
        return Cell(value, 0.0, direction, ((row, 1.0),))
    by_row = direction.reshape(pattern.rows, p.factors)
    _add(by_row, view.grid, row, column, p.loadings[column])
    rests_on, own = _between(view, row, column)
    for known, weight in rests_on:
        _add(by_row, view.grid, known, column, -weight * p.loadings[column])
    mean = float(direction @ found.mean) + sum(w * float(pattern.values[k, column]) for k, w in rests_on)
    spread = own + float(direction @ found.solve(direction)) if variance else np.nan
    return Cell(mean, spread, direction, rests_on)


def _add(by_row: Floats, grid: FineGrid, row: int, column: int, load: Floats) -> None:
    """Add a cell's share of the factors, times a loading."""
    start, weight = grid.weights(grid.number(row, column), column)
    by_row[start : start + len(weight)] += np.outer(weight, load)


def _between(view: FineLook, row: int, column: int) -> tuple[tuple[tuple[int, float], ...], float]:
    """Return how an unknown own error rests on its known neighbours, and the variance that is left."""
    p, grid = view.parameters, view.grid
    rho, variance = float(p.memory[column]), float(p.variance[column])
    if not p.ar1 or rho == 0.0:
        return (), variance / (1.0 - rho**2)
    rows = np.flatnonzero(~np.isnan(view.pattern.values[:, column]))
    here = grid.number(row, column)
    before, after = rows[rows < row], rows[rows > row]
    full = variance / (1.0 - rho**2)
    back = [(int(before[-1]), rho ** (here - grid.number(int(before[-1]), column)))] if len(before) else []
    ahead = [(int(after[0]), rho ** (grid.number(int(after[0]), column) - here))] if len(after) else []
    if not back or not ahead:
        known = back or ahead
        return tuple(known), full * (1.0 - sum(w**2 for _, w in known))
    # Both neighbours: their correlation with the cell, and with each other.
    a, b = back[0][1], ahead[0][1]
    rest = 1.0 - (a * b) ** 2
    left, right = a * (1.0 - b**2) / rest, b * (1.0 - a**2) / rest
    return ((back[0][0], left), (ahead[0][0], right)), full * (1.0 - a * left - b * right)


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
