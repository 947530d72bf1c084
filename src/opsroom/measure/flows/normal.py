"""What a flow would have been: trend, season and New Year as they were before the shock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.base.errors import FitError

Floats = NDArray[np.float64]

_HARMONICS = 3
_RIDGE = 0.5
_BINS = (-21, -14, -7, 0, 7, 14, 21, 28)
"""First days, counted from the New Year, of the weeks that have an effect of their own."""
_HUBER = 2.0
_LEAST = 60
_DRAWS = 400


@dataclass(frozen=True, slots=True)
class Normal:
    """Expected values by week.

    Attributes
    ----------
    expected
        In the flow's unit, all weeks.
    gap
        100 times the log of observed over expected.
    errors
        Draws x weeks: what the gap may be off by, log points: the flow's own noise with its memory, and the
        uncertainty of trend, season and New Year, which grows with the distance from the weeks they were learnt from.
    spread
        Standard deviation of the weekly noise, log points; `memory` what it keeps from week to week.
    """

    expected: Floats
    gap: Floats
    errors: Floats
    spread: float
    memory: float


def fit_normal(weekly: pd.Series, *, until: pd.Timestamp, moving: Mapping[int, dt.date], seed: int = 0) -> Normal:
    """Fit trend, season and New Year on the weeks that end before a day.

    Parameters
    ----------
    weekly
        Positive values by week (its Monday), without gaps.
    until
        First day of the shock: weeks that touch it or come after are not learnt from.
    moving
        Year → lunar New Year's Day; empty where there is none.
    seed
        Of the draws.

    Raises
    ------
    FitError
        With fewer than 60 weeks to learn from, or values that are not positive.

    Notes
    -----
    :math:`\\log x_w = a + b w + \\text{three harmonics of the year} + \\text{share of each week around the New Year}
    + e_w`, least squares with Huber's loss and a small ridge on season and New Year. What fails most often: a trend
    that would have bent without the shock.
    """
    value = weekly.to_numpy(np.float64)
    if not (value > 0).all():
        raise FitError(
            "a flow is not positive in some weeks.", code="OPS-M138", remedy="Leave such weeks or flows out."
        )
    weeks = pd.DatetimeIndex(weekly.index)
    train = np.asarray(weeks + pd.Timedelta(days=6) < until)
    if train.sum() < _LEAST:
        raise FitError(
            f"{int(train.sum())} weeks before the shock are too few; {_LEAST} are needed.", code="OPS-M137",
            remedy="Give a longer history or a later shock.",
        )  # fmt: skip
    log = 100 * np.log(value)
    design = _design(weeks, moving, season=int(train.sum()) >= 104)
    penalty = np.diag([0.0, 0.0, *[_RIDGE] * (design.shape[1] - 2)])
    weight = np.ones(int(train.sum()))
    x, y = design[train], log[train]
    for _ in range(30):
        gram = (x * weight[:, None]).T @ x + penalty
        coefficient = np.linalg.solve(gram, x.T @ (weight * y))
        residual = y - x @ coefficient
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1e-9)
        weight = np.minimum(1.0, _HUBER * scale / np.maximum(np.abs(residual), 1e-12))
    free = max(1.0, len(y) - float(np.trace(np.linalg.solve(gram, (x * weight[:, None]).T @ x))))
    spread = float(np.sqrt(weight @ residual**2 / free))
    memory = float(np.clip(residual[1:] @ residual[:-1] / max(float(residual @ residual), 1e-12), 0.0, 0.95))
    rng = np.random.default_rng(seed)
    # errors that last make coefficients less sure than as many free ones would
    cholesky = np.linalg.cholesky(np.linalg.inv(gram) * spread**2 * (1 + memory) / (1 - memory))
    moved = rng.standard_normal((_DRAWS, design.shape[1])) @ cholesky.T @ design.T
    noise = np.zeros((_DRAWS, len(log)))
    noise[:, 0] = rng.standard_normal(_DRAWS)
    for k in range(1, len(log)):
        noise[:, k] = memory * noise[:, k - 1] + np.sqrt(1 - memory**2) * rng.standard_normal(_DRAWS)
    fitted = design @ coefficient
    return Normal(np.exp(fitted / 100), log - fitted, spread * noise - moved, spread, memory)


def _design(weeks: pd.DatetimeIndex, moving: Mapping[int, dt.date], *, season: bool) -> Floats:
    t = (weeks - weeks[0]).days.to_numpy(np.float64) / 365.25
    angle = 2 * np.pi * (weeks.day_of_year.to_numpy(np.float64) + 2) / 365.25
    columns = [np.ones(len(weeks)), t]
    if season:
        columns += [f(k * angle) for k in range(1, _HARMONICS + 1) for f in (np.sin, np.cos)]
    for first in _BINS if moving else ():
        share = np.zeros(len(weeks))
        for day in moving.values():
            start = pd.Timestamp(day) + pd.Timedelta(days=first)
            low = np.maximum((start - weeks).days.to_numpy(np.float64), 0.0)
            high = np.minimum((start + pd.Timedelta(days=6) - weeks).days.to_numpy(np.float64), 6.0)
            share += np.maximum(high - low + 1, 0.0) / 7
        columns.append(share)
    return np.column_stack(columns)
