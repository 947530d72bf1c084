"""A panel seen through given parameters: what any cell is expected to be, and on which data that rests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.nowcast.dfm import kernels
from opsroom.measure.nowcast.dfm.chained import chain_weights, unknown_error
from opsroom.measure.nowcast.dfm.grid import Grid
from opsroom.measure.nowcast.dfm.layout import lay_out
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats
from opsroom.measure.nowcast.dfm.smooth import Cells, Smoothed, Weights, smooth, standardise


@dataclass(frozen=True, slots=True)
class Look:
    """A panel with its unknowns smoothed."""

    grid: Grid
    cells: Cells
    found: Smoothed

    @property
    def parameters(self) -> FactorParameters:
        """The parameters, with factors whose innovations have variance 1."""
        return self.found.parameters


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell, standardised: its mean and variance given the data, and how it comes about.

    ``mean = direction @ unknowns + sum(weight * value)`` over the known cells of its own series in `rests_on`:
    pairs of row and weight.
    """

    mean: float
    variance: float
    direction: Floats
    rests_on: tuple[tuple[int, float], ...]


def look(grid: Grid, p: FactorParameters, weights: Weights | None = None, *, moments: bool = False) -> Look:
    """Smooth a panel with given parameters, without learning anything."""
    values = standardise(grid.values, p)
    layout = lay_out(values, p.monthly, p.factors, p.order, own_order=p.own_order)
    cells = Cells.of(layout, weights)
    return Look(grid, cells, smooth(cells, p, moments=moments))


def cell(view: Look, row: int, column: int, *, variance: bool = True) -> Cell:
    """Return a cell's distribution given the data; a known one is itself."""
    layout, p, found = view.cells.layout, view.parameters, view.found
    direction = np.zeros(layout.unknowns)
    value = float(layout.values[row, column])
    if not np.isnan(value):
        return Cell(value, 0.0, direction, ((row, 1.0),))
    load, r = p.loadings[column], p.factors
    rests_on: tuple[tuple[int, float], ...] = ()
    own = 0.0
    at = layout.factor_at[row + layout.lead]
    if column < layout.monthly and layout.chain is not None:
        direction[at : at + r] += load
        rests_on, own = unknown_error(view.cells, p, row, column, direction)
    elif column < layout.monthly:
        direction[at : at + r] = load
        rests_on, own = _between(view, row, column)
        for known, weight in rests_on:
            then = layout.factor_at[known + layout.lead]
            direction[then : then + r] -= weight * load
    else:
        for lag in range(5):
            times, month = 3.0 - abs(lag - 2.0), row + layout.lead - lag
            at = layout.factor_at[month]
            direction[at : at + r] += times * load
            direction[layout.own_at[month, column - layout.monthly]] += times
    mean = float(direction @ found.mean) + sum(w * float(layout.values[k, column]) for k, w in rests_on)
    spread = own + float(direction @ found.solve(direction)) if variance else np.nan
    return Cell(mean, spread, direction, rests_on)


def _between(view: Look, row: int, column: int) -> tuple[tuple[tuple[int, float], ...], float]:
    """Return how an unknown monthly own error rests on its known neighbours, and the variance that is left."""
    layout, p = view.cells.layout, view.parameters
    rho, variance = float(p.memory[column]), float(p.variance[column])
    if not p.ar1 or rho == 0.0:
        return (), variance / float(view.cells.weights.cell[row, column])
    known = np.flatnonzero(~np.isnan(layout.values[:, column]))
    before, after = known[known < row], known[known > row]
    ones = 1.0 / view.cells.weights.cell[:, column]
    decay, spread, last = 0.0, float(view.cells.weights.opening[column]) / (1.0 - rho**2), -1
    if len(before):
        last = int(before[-1])
        decay, spread = rho ** (row - last), 0.0
    for month in range(last + 1, row + 1):
        spread = rho**2 * spread + float(ones[month])
    if not len(after):
        return (((last, decay),) if len(before) else ()), variance * spread
    end, noise = int(after[0]), 0.0
    for month in range(row + 1, end + 1):
        noise = rho**2 * noise + float(ones[month])
    ahead = rho ** (end - row)
    gain = spread * ahead / (ahead**2 * spread + noise)
    back = ((last, decay * (1.0 - gain * ahead)),) if len(before) else ()
    return (*back, (end, gain)), variance * spread * (1.0 - gain * ahead)


def data_weights(view: Look, target: Cell, column: int) -> Floats:
    """Return how much one unit of every cell adds to a cell's mean: months x series, standardised, 0 if unknown."""
    layout, p, n = view.cells.layout, view.parameters, view.cells.layout.monthly
    solved = view.found.solve(target.direction)
    r, lead = p.factors, layout.lead
    at = layout.factor_at[:, None] + np.arange(r)
    here = solved[at][lead:]
    out = np.zeros(layout.values.shape)
    if layout.chain is not None:
        chain_weights(view.cells, p, solved, out)
        for known, direct in target.rests_on:
            out[known, column] += direct
        return out
    push = here @ p.loadings[:n].T
    rho = p.memory[:n] if p.ar1 else np.zeros(n)
    each = push.copy()
    each[1:] -= rho * push[:-1]
    each *= layout.regular * view.cells.weights.cell / p.variance[:n]
    out[:, :n] = each
    out[:-1, :n] -= rho * each[1:]
    special = view.found.special
    month, own, back = layout.special.T
    then = np.maximum(back, 0)
    one = special.weight * (push[month, own] - special.decay * np.where(back >= 0, push[then, own], 0.0))
    np.add.at(out, (month, own), one)
    np.add.at(out, (then, own), np.where(back >= 0, -special.decay * one, 0.0))
    weight = np.zeros(len(layout.quarters))
    kernels.quarter_weights(
        layout.factor_at, layout.own_at, lead, layout.quarters, p.loadings[n:], p.memory[n:], p.variance[n:],
        view.cells.weights.own, solved, weight,
    )  # fmt: skip
    out[layout.quarters[:, 0], n + layout.quarters[:, 1]] += weight
    for known, direct in target.rests_on:
        out[known, column] += direct
    return out
