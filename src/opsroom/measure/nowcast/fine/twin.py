"""The factor model on a fine grid by its plain definition: every cell's covariance with every other.

Nothing is shared with the compiled way but the model: a figure's weights are found by cumulating one base period's
growth and averaging it over the calendar, day by day.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from opsroom.measure.nowcast.dfm.parameters import Floats, companion, stationary
from opsroom.measure.nowcast.fine.grid import FineGrid
from opsroom.measure.nowcast.fine.parameters import FineParameters
from opsroom.measure.nowcast.fine.pattern import FineWeights

_AROUND = {"D": 200, "W": 30, "M": 8}
"""Base periods before and after the grid that are looked at, so that no period within it is cut."""


def dense_weights(grid: FineGrid) -> dict[tuple[int, int], Floats]:
    """Return, per cell (row, series) that rests on the grid alone, the weights of all rows in it."""
    rows, around = len(grid.values), _AROUND[grid.base]
    days = [_reckoned(grid.base, grid.first + k) for k in range(-around, rows + around)]
    out: dict[tuple[int, int], Floats] = {}
    for i, frequency in enumerate(grid.frequencies):
        members: dict[object, list[int]] = {}
        for k, day in enumerate(days):
            members.setdefault(_period(day, frequency), []).append(k)
        periods = list(members.values())[1:-1]
        for before, here in itertools.pairwise(periods):
            weight = np.zeros(len(days))
            if grid.levels[i]:
                weight[here] = 1.0 / len(here)
            else:
                for u in range(before[0], here[-1] + 1):
                    now, then = sum(k >= u for k in here) / len(here), sum(k >= u for k in before) / len(before)
                    weight[u] = now - then
            support = np.flatnonzero(weight) - around
            if support[0] >= 0 and support[-1] < rows:
                out[here[-1] - around, i] = weight[around : around + rows]
    return out


def _reckoned(base: str, number: int) -> date:
    if base == "M":
        return date(1970 + number // 12, number % 12 + 1, 1)
    return date(1970, 1, 1) + timedelta(days=number * (7 if base == "W" else 1))


def _period(day: date, frequency: str) -> object:
    if frequency == "W":
        return day.isocalendar()[:2]
    return {"D": day, "M": (day.year, day.month), "Q": (day.year, (day.month - 1) // 3)}[frequency]


def dense_covariance(
    p: FineParameters, grid: FineGrid, weights: FineWeights
) -> tuple[list[tuple[int, int]], Floats]:  # fmt: skip
    """Return all cells that rest on the grid alone, and their covariance."""
    u = p.unit()
    r, rows = u.factors, len(grid.values)
    form, size = companion(u.transition), u.transition.shape[1]
    noise = np.zeros((size, size))
    noise[:r, :r] = np.eye(r)
    # Covariance of the newest `order` rows' factors, row by row; the first `order` rows are stationary.
    here = [stationary(u.transition)] * u.order
    for s in range(u.order, rows):
        here.append(form @ here[-1] @ form.T + noise / weights.calm[s])
    common = np.zeros((rows, r, rows, r))
    for t in range(rows):
        ahead = here[t]
        for s in range(t, rows):
            block = ahead[:r, :r]
            common[s, :, t, :], common[t, :, s, :] = block, block.T
            ahead = form @ ahead
    by_cell = dense_weights(grid)
    cells = list(by_cell)
    load = np.stack([np.outer(by_cell[row, i], u.loadings[i]).ravel() for row, i in cells])
    covariance = load @ common.reshape(rows * r, rows * r) @ load.T
    series = np.array([i for _, i in cells])
    for i in range(len(u.names)):
        at = np.flatnonzero(series == i)  # one cell a period, in order: apart by as many periods as places
        own = np.zeros((len(at), len(at)))
        spread = u.variance[i] / (1.0 - u.memory[i] ** 2)
        for k, position in enumerate(at):
            spread = u.memory[i] ** 2 * spread + u.variance[i] / weights.cell[cells[position]]
            powers = spread * u.memory[i] ** np.arange(len(at) - k)
            own[k, k:], own[k:, k] = powers, powers
        covariance[np.ix_(at, at)] += own
    return cells, np.asarray(covariance)


@dataclass(frozen=True, slots=True)
class Dense:
    """A grid's log likelihood, standardised, and mean and variance of all its cells given the known ones."""

    loglike: float
    cells: list[tuple[int, int]]
    mean: Floats
    variance: Floats


def dense(p: FineParameters, grid: FineGrid, weights: FineWeights | None = None) -> Dense:
    """Work everything out for the standardised values of a grid, NaN where unknown."""
    ones = FineWeights(np.ones(grid.values.shape), np.ones(len(grid.values)))
    cells, covariance = dense_covariance(p, grid, ones if weights is None else weights)
    y = np.array([grid.values[cell] for cell in cells])
    seen = np.flatnonzero(~np.isnan(y))
    root = np.linalg.cholesky(covariance[np.ix_(seen, seen)])
    white, gain = np.linalg.solve(root, y[seen]), np.linalg.solve(root, covariance[seen]).T
    loglike = -0.5 * (white @ white) - np.log(np.diag(root)).sum() - 0.5 * len(seen) * np.log(2.0 * np.pi)
    return Dense(float(loglike), cells, gain @ white, np.diag(covariance) - (gain**2).sum(axis=1))
