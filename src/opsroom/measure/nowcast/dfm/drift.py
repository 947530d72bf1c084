"""Slow growth: the mean of each series moves over decades, and is taken out before the model looks at the data."""

from __future__ import annotations

import numpy as np

from opsroom.measure.nowcast.dfm.grid import Grid
from opsroom.measure.nowcast.dfm.parameters import Floats

_WILD = 6.0


def tame(values: Floats) -> Floats:
    """Return values with those left out that lie more than six robust deviations from their series' median."""
    middle = np.nanmedian(values, axis=0)
    spread = 1.4826 * np.nanmedian(np.abs(values - middle), axis=0)
    return np.where(np.abs(values - middle) <= _WILD * np.where(spread > 0, spread, np.inf), values, np.nan)


def levels(grid: Grid, years: float) -> Floats:
    """Return each series' slowly moving mean on the grid: biweight averages over `years` to both sides.

    At the end of the data the average looks back only. Reference: Stock and Watson (2012), Disentangling the channels
    of the 2007-09 recession, Brookings Papers on Economic Activity.
    """
    values = tame(grid.values)
    seen = ~np.isnan(values)
    apart = np.subtract.outer(np.arange(len(values)), np.arange(len(values))) / (12.0 * years)
    kernel = np.where(np.abs(apart) < 1.0, (1.0 - apart**2) ** 2, 0.0)
    weight = kernel @ seen
    total = kernel @ np.where(seen, values, 0.0)
    whole = np.nanmean(values, axis=0)
    return np.asarray(np.where(weight > 0, total / np.maximum(weight, 1e-300), whole))


def placed(level: Floats, old: Grid, new: Grid) -> Floats:
    """Return a moving mean on another grid's rows; beyond its ends it stays where it was."""
    rows = np.clip(np.arange(len(new.values)) + new.first_month - old.first_month, 0, len(level) - 1)
    return np.asarray(level[rows])
