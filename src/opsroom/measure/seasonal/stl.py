"""Adjustment by STL: calendar effects are regressed on what the smoother leaves, then taken out before it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError

Floats = npt.NDArray[np.float64]

HUBER = 2.0
"""Residuals beyond so many robust standard deviations count less."""

SHORT = 8
"""Years below which each month's season is a level and not a line: at the end of a short series a line follows a single
bad year, and a shock that nobody named is taken for season (see the manual)."""


@dataclass(frozen=True, slots=True)
class StlSettings:
    """Settings of the smoother, named as in statsmodels; None: its default.

    A seasonal span of 11 years and robust weights are what came closest to planted adjusted series, with and
    without outliers, stable and moving season (see the manual).
    """

    seasonal: int = 11
    trend: int | None = None
    low_pass: int | None = None
    robust: bool = True
    seasonal_deg: Literal[0, 1] | None = None
    """None: 0 for series of less than eight years, else 1."""

    def resolved(self, length: int, period: int) -> StlSettings:
        """Return the settings for a series of so many values, the same for its past ends."""
        if self.seasonal_deg is not None:
            return self
        return replace(self, seasonal_deg=0 if length < SHORT * period else 1)


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Parts of a (transformed) series that add up: trend, seasonal, calendar, irregular."""

    trend: Floats
    seasonal: Floats
    calendar: Floats
    irregular: Floats
    regressors: pd.DataFrame


def decompose(
    values: Floats,
    groups: dict[str, pd.DataFrame],
    forced: pd.DataFrame,
    *,
    period: int,
    settings: StlSettings,
    auto: bool,
) -> Decomposition:
    r"""Split a series; NaN inside is bridged by trend and season.

    Parameters
    ----------
    values
        Transformed series.
    groups
        Calendar regressors by group.
    forced
        Regressors of outliers: always in, given back to trend (LS) or irregular (AO, TC).
    period
        12 or 4.
    settings
        Of the smoother.
    auto
        Keep a group only where it lowers the corrected information criterion.

    Notes
    -----
    With the remainder operator :math:`R = I - T - S` of the (non-robust, linear) smoother, coefficients are those of
    :math:`Ry` on :math:`RX`, with Huber weights; then STL on :math:`y - Xb`.
    """
    settings = settings.resolved(len(values), period)
    full = _bridge(values, period, settings)
    if not groups and forced.empty:
        trend, seasonal = _smooth(full, period, settings)
        return _assembled(values, trend, seasonal, np.zeros(len(values)), np.zeros((2, len(values))), _no_regressors())
    linear = replace(settings, robust=False)
    columns = pd.concat([forced, *groups.values()], axis=1)
    owner = [*["outlier"] * forced.shape[1], *[g for g, x in groups.items() for _ in x.columns]]
    x = columns.to_numpy(dtype=np.float64)
    rest = np.column_stack([_remainder(one, period, linear) for one in x.T])
    known = ~np.isnan(values)
    target = _remainder(full, period, linear)
    kept = [k for k, g in enumerate(owner) if g == "outlier" or not auto]
    weight = _weights(target, rest, known)
    if auto:
        # Groups in turn, each against what is already in.
        best = _criterion(target, rest[:, kept], weight, known)
        for name in groups:
            tried = [*kept, *[k for k, g in enumerate(owner) if g == name]]
            score = _criterion(target, rest[:, tried], weight, known)
            if score < best:
                best, kept = score, tried
    kept = [k for k in kept if float(rest[:, k] @ rest[:, k]) > 1e-12]
    coefficient, error = _regress(target, rest[:, kept], weight, known, period)
    effect = x[:, kept] * coefficient
    calendar = effect[:, [owner[k] != "outlier" for k in kept]].sum(axis=1)
    steps = np.array([owner[k] == "outlier" and str(columns.columns[k]).startswith("LS") for k in kept], dtype=bool)
    blips = np.array([owner[k] == "outlier" for k in kept], dtype=bool) & ~steps
    jumps = np.stack([effect[:, steps].sum(axis=1), effect[:, blips].sum(axis=1)])
    cleaned = values - calendar - jumps.sum(axis=0)
    trend, seasonal = _smooth(_bridge(cleaned, period, settings), period, settings)
    table = pd.DataFrame(
        {
            "coefficient": coefficient, "se": error, "t": coefficient / error,
            "group": [owner[k] for k in kept],
        },
        index=pd.Index([str(columns.columns[k]) for k in kept], name="regressor"),
    )  # fmt: skip
    return _assembled(values, trend, seasonal, calendar, jumps, table)


def _assembled(
    values: Floats, trend: Floats, seasonal: Floats, calendar: Floats, jumps: Floats, table: pd.DataFrame
) -> Decomposition:
    whole = trend + jumps[0]
    return Decomposition(whole, seasonal, calendar, values - whole - seasonal - calendar, table)


def _no_regressors() -> pd.DataFrame:
    empty = pd.DataFrame({"coefficient": [], "se": [], "t": [], "group": []}, dtype=float)
    empty.index.name = "regressor"
    return empty


def _smooth(values: Floats, period: int, settings: StlSettings) -> tuple[Floats, Floats]:
    from statsmodels.tsa.seasonal import STL

    fit = STL(
        values, period=period, seasonal=settings.seasonal, trend=settings.trend, low_pass=settings.low_pass,
        robust=settings.robust, seasonal_deg=1 if settings.seasonal_deg is None else settings.seasonal_deg,
    ).fit()  # fmt: skip
    return np.asarray(fit.trend, dtype=np.float64), np.asarray(fit.seasonal, dtype=np.float64)


def _remainder(values: Floats, period: int, settings: StlSettings) -> Floats:
    trend, seasonal = _smooth(values, period, settings)
    return values - trend - seasonal


def _bridge(values: Floats, period: int, settings: StlSettings) -> Floats:
    """Fill gaps by what trend and season say, until that stands still."""
    gap = np.isnan(values)
    if not gap.any():
        return values
    at = np.arange(len(values))
    full = values.copy()
    full[gap] = np.interp(at[gap], at[~gap], values[~gap])
    scale = float(np.nanstd(values)) or 1.0
    for _ in range(50):
        trend, seasonal = _smooth(full, period, settings)
        new = (trend + seasonal)[gap]
        moved = float(np.abs(new - full[gap]).max())
        full[gap] = new
        if moved < 1e-8 * scale:
            break
    return full


def _weights(target: Floats, rest: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Return Huber weights of the full regression."""
    weight = np.asarray(known, dtype=np.float64)
    for _ in range(10):
        root = np.sqrt(weight)[:, None]
        b = np.linalg.lstsq(root * rest, root[:, 0] * target, rcond=None)[0]
        residual = target - rest @ b
        scale = 1.4826 * float(np.median(np.abs(residual[known])))
        if scale <= 0:
            break
        weight = np.where(known, np.minimum(1.0, HUBER * scale / np.maximum(np.abs(residual), 1e-300)), 0.0)
    return weight


def _criterion(target: Floats, rest: Floats, weight: Floats, known: npt.NDArray[np.bool_]) -> float:
    """Return the corrected Akaike criterion of a weighted regression."""
    root, n, k = np.sqrt(weight), int(known.sum()), rest.shape[1] + 1
    b = np.linalg.lstsq(root[:, None] * rest, root * target, rcond=None)[0] if rest.shape[1] else np.zeros(0)
    square = float(((root * (target - rest @ b)) ** 2).sum())
    if n - k - 1 <= 0 or square <= 0:
        raise FitError(
            "the series is too short, or too regular, for its calendar effects to be estimated.",
            remedy="Use calendar='none'.",
            code="OPS-M150",
        )
    return float(n * np.log(square / n) + 2.0 * k * n / (n - k - 1))


def _regress(
    target: Floats, rest: Floats, weight: Floats, known: npt.NDArray[np.bool_], period: int
) -> tuple[Floats, Floats]:
    """Return coefficients, and standard errors that allow for errors correlated within a year."""
    if rest.shape[1] == 0:
        return np.zeros(0), np.zeros(0)
    root = np.sqrt(weight)[:, None]
    bread = np.linalg.pinv((root * rest).T @ (root * rest))
    b = bread @ (rest.T @ (weight * target))
    score = rest * (weight * (target - rest @ b))[:, None]
    meat = score.T @ score
    for lag in range(1, period):
        cross = score[lag:].T @ score[:-lag]
        meat += (1.0 - lag / period) * (cross + cross.T)
    n, k = int(known.sum()), rest.shape[1]
    covariance = bread @ meat @ bread * n / max(n - k, 1)
    return b, np.sqrt(np.maximum(np.diag(covariance), 1e-300))
