"""Autoregressions: of the target by itself, and of an indicator that a bridge needs to the quarter's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast.beside.edge import LEAST, Floats, edge_of
from opsroom.measure.nowcast.beside.result import Forecast, known

_SOURCE = "Autoregression by least squares, order by Schwarz (1978), Annals of Statistics 6:461-464"


@dataclass(frozen=True, slots=True)
class Carried:
    """A series carried on by its own past.

    Attributes
    ----------
    values
        The series with its forecasts.
    order
        Of the autoregression.
    sigma
        Standard deviation of its innovations.
    moving
        How a forecast moves with an innovation so many steps before: 1, ψ1, ψ2 …
    gradient
        Steps ahead x coefficients: how each forecast moves with the coefficients.
    covariance
        Of the coefficients.
    innovation
        In the sample; NaN where unknown.
    """

    values: Floats
    order: int
    sigma: float
    moving: Floats
    gradient: Floats
    covariance: Floats
    innovation: Floats


def carry(series: Floats, learnt: Floats, order: int | None, most: int) -> Carried:
    """Carry a series on to the end of the array by an autoregression with a constant.

    Parameters
    ----------
    series
        Unknown values at the end are forecast.
    learnt
        The same, NaN where nothing is to be learnt from.
    order, most
        The order; None: that of at most `most` with the smallest Schwarz criterion, all on the same rows.

    Raises
    ------
    FitError
        Too few values, or an explosive autoregression.
    """
    seen = np.flatnonzero(~np.isnan(series))
    if len(seen) < LEAST:
        raise FitError(f"{len(seen)} values are too few for an autoregression.", remedy="Use a longer history.")
    last = int(seen[-1])
    gaps = np.flatnonzero(np.isnan(series[: last + 1]))
    run = last - int(gaps[-1]) if len(gaps) else last + 1
    top = min(run, most if order is None else order)
    if order is not None and top < order:
        raise FitError(f"the last {order} values are not all known.", remedy="Use a lower order.")
    lags = np.column_stack([np.r_[np.full(k, np.nan), learnt[:-k]] for k in range(1, top + 1)])
    rows = ~np.isnan(learnt) & ~np.isnan(lags).any(axis=1)
    n = int(rows.sum())
    if n < max(LEAST, 2 * top + 5):
        raise FitError(f"{n} rows are too few for an autoregression.", remedy="Use a longer history.")
    y = learnt[rows]
    best: tuple[float, int] | None = None
    for p in range(1, top + 1) if order is None else [order]:
        design = np.column_stack([np.ones(n), lags[rows, :p]])
        rest = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
        criterion = n * float(np.log(max(float(rest @ rest), 1e-300) / n)) + (p + 1) * float(np.log(n))
        if best is None or criterion < best[0]:
            best = criterion, p
    assert best is not None
    p = best[1]
    design = np.column_stack([np.ones(n), lags[rows, :p]])
    beta, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    if rank <= p:
        raise FitError("the series does not move.", remedy="Leave it out.")
    companion = np.vstack([beta[1:], np.eye(p - 1, p)])
    if np.abs(np.linalg.eigvals(companion)).max() >= 1.0:
        raise FitError("the autoregression is explosive.", remedy="Difference the series, or use a longer history.")
    rest = y - design @ beta
    variance = float(rest @ rest) / (n - p - 1)
    innovation = np.full(len(series), np.nan)
    innovation[rows] = rest
    ahead = len(series) - 1 - last
    values, gradient = _path(series, beta, last, ahead)
    moving = np.zeros(max(ahead, 1))
    moving[0] = 1.0
    for k in range(1, ahead):
        moving[k] = sum(float(beta[j]) * moving[k - j] for j in range(1, min(p, k) + 1))
    covariance = variance * np.linalg.inv(design.T @ design)
    return Carried(values, p, float(np.sqrt(variance)), moving, gradient, covariance, innovation)


def _path(series: Floats, beta: Floats, last: int, ahead: int) -> tuple[Floats, Floats]:
    """Iterate the forecasts, and how they move with the coefficients."""
    p = len(beta) - 1
    values, slopes = series.copy(), np.zeros((len(series), p + 1))
    for t in range(last + 1, last + 1 + ahead):
        before = values[t - p : t][::-1]
        values[t] = beta[0] + float(beta[1:] @ before)
        slopes[t] = np.r_[1.0, before] + beta[1:] @ slopes[t - p : t][::-1]
    return values, slopes[last + 1 :]


@dataclass(frozen=True, slots=True)
class Autoregression:
    """The target by its own past: what every other model must beat.

    Answers: what would one say of the quarter who knew no indicator?

    Parameters
    ----------
    lags
        Order; None: that of at most `most` with the smallest Schwarz criterion.
    most
        Highest order looked at.
    without
        Quarters from which nothing is learnt, such as ``("2020-Q2",)``.

    Notes
    -----
    Iterated over the quarters that are unknown. The variance adds up innovations to come and estimated coefficients
    (by the forecast's exact gradient).
    """

    lags: int | None = None
    most: int = 4
    without: Sequence[str] = ()

    def __post_init__(self) -> None:
        if min(self.most, self.most if self.lags is None else self.lags) < 1:
            raise UsageError("an autoregression needs a lag.", remedy="Use lags of 1 or more, or None.")

    def __call__(self, monthly: pd.DataFrame, quarterly: pd.DataFrame, target: str, period: object) -> Forecast:
        """Forecast the target in a quarter; monthly data are not looked at."""
        found = edge_of(monthly.iloc[:, :0], quarterly, target, period, without=self.without).until()
        if not np.isnan(found.y[found.at]):
            return known(target, found.period, "Autoregression", float(found.y[found.at]), _SOURCE)
        own = carry(found.y, found.learnt().y, self.lags, self.most)
        steps = found.ahead
        spread = own.sigma**2 * float(own.moving[:steps] @ own.moving[:steps])
        guessed = float(own.gradient[-1] @ own.covariance @ own.gradient[-1])
        return Forecast(
            target, found.period, "Autoregression", float(own.values[-1]), float(np.sqrt(spread + guessed)),
            source=_SOURCE, notes=(f"order {own.order}",),
        )  # fmt: skip
