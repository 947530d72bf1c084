"""The nowcast as a linear function of the data: weights, contributions, and what a cell was to be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from opsroom.measure.nowcast.model import (
    Observations,
    Parameters,
    Posterior,
    Rows,
    build_rows,
    observe,
    smooth,
)
from opsroom.measure.nowcast.panel import GROWTH, Floats, Ints, Panel


@dataclass(frozen=True, slots=True)
class State:
    """A panel seen through given parameters."""

    parameters: Parameters
    observations: Observations
    rows: Rows
    posterior: Posterior


@dataclass(frozen=True, slots=True)
class Projection:
    """The growth of one quarter as a function of the data.

    ``value = mean + sum(weight * (observed - mean of its series))``, all in % on the quarter before;
    `weight` and `deviation` are per observation, `deviation` being the standardised distance from the mean.
    `factor_variance` is the variance left in the factors, `quarter_factors` their quarterly aggregate.
    """

    value: float
    mean: float
    weight: Floats
    deviation: Floats
    factor_variance: float
    quarter_factors: Floats

    @property
    def contribution(self) -> Floats:
        """What each observation adds to the mean, in points."""
        return self.weight * self.deviation


def look(panel: Panel, p: Parameters) -> State:
    """Smooth a panel with given parameters, without learning anything."""
    seen = observe(panel, p.center, p.scale)
    rows = build_rows(seen, p)
    return State(p, seen, rows, smooth(rows, p))


def project(state: State, row: int) -> Projection:
    """Project the target's growth in the quarter that ends in a given month of the grid.

    Parameters
    ----------
    state
        Parameters and data.
    row
        The quarter's last month, counted from the grid's first.
    """
    p, seen, rows = state.parameters, state.observations, state.rows
    r = p.factors
    direction = np.zeros(p.calm.shape[0] * r)
    for lag in range(5):
        direction[(row - lag) * r : (row - lag + 1) * r] += GROWTH[lag] * p.loadings[0]
    solved = state.posterior.covariance @ direction
    load = (rows.design @ solved) / rows.deviation
    weight = load.copy()
    chained = np.flatnonzero(seen.before >= 0)
    # Observations are ordered by series and month: the one before stands one place before.
    weight[chained - 1] -= load[chained] * rows.decay[chained]
    deviation = seen.value - p.intercept[seen.series]
    mean = float(p.center[0] + p.scale[0] * p.intercept[0])
    quarter_factors = sum((GROWTH[lag] * state.posterior.mean[row - lag] for lag in range(5)), np.zeros(r))
    scale = float(p.scale[0])
    return Projection(
        value=mean + scale * float(weight @ deviation),
        mean=mean,
        weight=scale * weight,
        deviation=deviation,
        factor_variance=scale**2 * float(direction @ solved),
        quarter_factors=np.asarray(quarter_factors),
    )


def expected(state: State, panel: Panel, series: Ints, month: Ints) -> Floats:
    """Return what the data led one to expect in cells that they do not contain, standardised.

    Parameters
    ----------
    state
        Parameters and data.
    panel
        The panel behind `state` (which cells are known).
    series, month
        The cells: column and row of the grid.
    """
    p, mean = state.parameters, state.posterior.mean
    standard = (panel.values - p.center) / p.scale
    out = np.empty(len(series))
    for k, (i, t) in enumerate(zip(series.tolist(), month.tolist(), strict=True)):
        if panel.quarterly[i]:
            weights = np.full(3, 1 / 3) if panel.average[i] else GROWTH
            common = sum(float(w * p.loadings[i] @ mean[t - lag]) for lag, w in enumerate(weights))
            out[k] = p.intercept[i] + common
            continue
        error = standard[:, i] - p.intercept[i] - mean @ p.loadings[i]
        known = np.flatnonzero(~np.isnan(error))
        before, after = known[known < t], known[known > t]
        value, spread = _carry(p, i, int(before[-1]) if len(before) else None, t, error)
        if len(after):
            step = int(after[0])
            noise = _jump(p, i, t, step)
            decay = float(p.memory[i]) ** (step - t)
            value += spread * decay / (decay**2 * spread + noise) * (float(error[step]) - decay * value)
        out[k] = p.intercept[i] + float(p.loadings[i] @ mean[t]) + value
    return out


def _jump(p: Parameters, i: int, start: int, end: int) -> float:
    total = 0.0
    for w in p.weights[start + 1 : end + 1, i]:
        total = float(p.memory[i]) ** 2 * total + 1.0 / float(w)
    return total


def _carry(p: Parameters, i: int, before: int | None, t: int, error: Floats) -> tuple[float, float]:
    """Return mean and relative variance of a series' own error given its past."""
    rho = float(p.memory[i])
    if before is not None:
        return rho ** (t - before) * float(error[before]), _jump(p, i, before, t)
    total = 1.0 / (1.0 - rho**2)
    for w in p.weights[1 : t + 1, i]:
        total = rho**2 * total + 1.0 / float(w)
    return 0.0, total


def by_series(panel: Panel, state: State, projection: Projection) -> pd.Series:
    """Add up contributions by series, in points of growth, largest first."""
    total = np.bincount(state.observations.series, projection.contribution, minlength=len(panel.names))
    table = pd.Series(total, index=list(panel.names), name="contribution")
    return table.reindex(table.abs().sort_values(ascending=False, kind="stable").index)
