"""Scores of forecasts: how far off, how honest the interval, and whether one method beats another.

Points are judged by `mae`, `rmse` and `bias`; intervals by `coverage` and `interval_score`; whole
distributions by `pinball`, `crps_gaussian`, `crps_sample` and the probability integral transform
(`pit_gaussian`, `pit_sample`). `diebold_mariano` compares two methods over the same targets.

Every score is negatively oriented (less is better) except `coverage`, and is in the unit of the
outcome. Pairs in which anything is missing are left out; where none is left the score is NaN, never 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, stdtr

from opsroom.base.errors import FitError, UsageError

Floats = npt.NDArray[np.float64]


def errors(forecast: npt.ArrayLike, outcome: npt.ArrayLike) -> Floats:
    """Return outcome-aligned forecast errors, forecast minus outcome, without missing pairs.

    Parameters
    ----------
    forecast, outcome
        Arrays of one shape, in one unit.

    Returns
    -------
    numpy.ndarray
        Positive where the forecast was too high.
    """
    f, y = _aligned(forecast, outcome)
    return f - y


def mae(forecast: npt.ArrayLike, outcome: npt.ArrayLike) -> float:
    """Return the mean absolute error."""
    return _mean(np.abs(errors(forecast, outcome)))


def rmse(forecast: npt.ArrayLike, outcome: npt.ArrayLike) -> float:
    """Return the root of the mean squared error."""
    return math.sqrt(_mean(errors(forecast, outcome) ** 2))


def bias(forecast: npt.ArrayLike, outcome: npt.ArrayLike) -> float:
    """Return the mean error: positive where forecasts are too high on average."""
    return _mean(errors(forecast, outcome))


def coverage(lower: npt.ArrayLike, upper: npt.ArrayLike, outcome: npt.ArrayLike) -> float:
    """Return the share of outcomes inside their interval, bounds included."""
    lo, hi, y = _aligned(lower, upper, outcome)
    _ordered(lo, hi)
    return _mean(((lo <= y) & (y <= hi)).astype(np.float64))


def interval_score(lower: npt.ArrayLike, upper: npt.ArrayLike, outcome: npt.ArrayLike, *, level: float = 0.9) -> float:
    r"""Return the mean interval (Winkler) score of central intervals.

    Parameters
    ----------
    lower, upper, outcome
        Bounds and outcomes, arrays of one shape.
    level
        Nominal coverage of the intervals, between 0 and 1.

    Returns
    -------
    float
        Width plus a penalty of 2/α per unit by which an outcome lies outside.

    Notes
    -----
    :math:`S = (u-l) + \frac{2}{\alpha}(l-y)_+ + \frac{2}{\alpha}(y-u)_+` with :math:`\alpha = 1 -` `level`.
    It is proper: an honest forecaster minimises it by stating the true quantiles α/2 and 1 - α/2.

    References
    ----------
    Gneiting and Raftery (2007), Strictly proper scoring rules, prediction, and estimation, eq. 43.
    """
    alpha = 1.0 - _probability(level, "level")
    lo, hi, y = _aligned(lower, upper, outcome)
    _ordered(lo, hi)
    miss = np.maximum(lo - y, 0.0) + np.maximum(y - hi, 0.0)
    return _mean(hi - lo + 2.0 / alpha * miss)


def pinball(quantile: npt.ArrayLike, outcome: npt.ArrayLike, *, level: float) -> float:
    """Return the mean pinball (quantile) loss of forecasts of the `level` quantile.

    Notes
    -----
    ``(level - 1{y < q}) (y - q)``: at the median it is half the absolute error.
    """
    tau = _probability(level, "level")
    q, y = _aligned(quantile, outcome)
    return _mean(np.maximum(tau * (y - q), (tau - 1.0) * (y - q)))


def crps_gaussian(mean: npt.ArrayLike, sd: npt.ArrayLike, outcome: npt.ArrayLike) -> float:
    r"""Return the mean continuous ranked probability score of normal forecasts.

    Parameters
    ----------
    mean, sd
        Of the forecast distribution; `sd` may be 0 (then the score is the absolute error).
    outcome
        What happened.

    Notes
    -----
    :math:`\sigma\{z(2\Phi(z)-1) + 2\varphi(z) - \pi^{-1/2}\}`, :math:`z=(y-\mu)/\sigma`.

    References
    ----------
    Gneiting, Raftery, Westveld and Goldman (2005), Calibrated probabilistic forecasting using EMOS, eq. 5.
    """
    mu, sigma, y = _aligned(mean, sd, outcome)
    if (sigma < 0).any():
        raise UsageError("a standard deviation is negative.", remedy="Give sd ≥ 0.", code="OPS-U060")
    gap = y - mu
    z = np.divide(gap, sigma, out=np.zeros_like(gap), where=sigma > 0)
    density = np.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    smooth = sigma * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / math.sqrt(math.pi))
    return _mean(np.where(sigma > 0, smooth, np.abs(gap)))


def crps_sample(draws: npt.ArrayLike, outcome: npt.ArrayLike, *, fair: bool = False) -> float:
    r"""Return the mean continuous ranked probability score of forecasts given as draws.

    Parameters
    ----------
    draws
        Shape (targets, draws).
    outcome
        Shape (targets,).
    fair
        False: the score of the empirical distribution of the draws. True: its unbiased estimate for the
        distribution that the draws come from (Ferro 2014), for comparing ensembles of unequal size.

    Notes
    -----
    :math:`\frac1m\sum|x_i-y| - \frac{1}{2m^2}\sum_{ij}|x_i-x_j|`; the double sum is taken from sorted
    draws in O(m log m). `fair` divides by m(m-1) instead of m².

    References
    ----------
    Gneiting and Raftery (2007), eq. 21. Ferro (2014), Fair scores for ensemble forecasts.
    """
    x = np.asarray(draws, dtype=np.float64)
    y = np.asarray(outcome, dtype=np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise UsageError(
            "draws and outcomes do not match.",
            remedy="Give draws of shape (targets, draws) and one outcome a target.",
            code="OPS-U061",
        )
    m = x.shape[1]
    if m < 2 and fair:
        raise UsageError("a fair score needs two draws.", remedy="Give more draws.", code="OPS-U062")
    kept = np.isfinite(x).all(axis=1) & np.isfinite(y)
    x, y = np.sort(x[kept], axis=1), y[kept]
    weight = 2.0 * np.arange(1, m + 1) - m - 1.0
    spread = (x @ weight) / (m * (m - 1.0) if fair else m * m)
    return _mean(np.abs(x - y[:, None]).mean(axis=1) - spread)


def pit_gaussian(mean: npt.ArrayLike, sd: npt.ArrayLike, outcome: npt.ArrayLike) -> Floats:
    """Return the probability integral transform of normal forecasts: uniform where they are calibrated."""
    mu, sigma, y = _aligned(mean, sd, outcome)
    if (sigma <= 0).any():
        raise UsageError("a standard deviation is not positive.", remedy="Give sd > 0.", code="OPS-U060")
    return np.asarray(ndtr((y - mu) / sigma), dtype=np.float64)


def pit_sample(draws: npt.ArrayLike, outcome: npt.ArrayLike, *, seed: int) -> Floats:
    """Return the randomised probability integral transform of forecasts given as draws.

    Parameters
    ----------
    draws, outcome
        Shapes (targets, draws) and (targets,), nothing missing.
    seed
        Seeds the rank that an outcome takes among draws equal to it.

    Notes
    -----
    The outcome's rank among m draws, ties broken at random, placed at random in its cell of width 1/(m+1):
    exactly uniform where outcome and draws are exchangeable.

    References
    ----------
    Czado, Gneiting and Held (2009), Predictive model assessment for count data.
    """
    x = np.asarray(draws, dtype=np.float64)
    y = np.asarray(outcome, dtype=np.float64)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise UsageError("draws and outcomes do not match.", code="OPS-U061")
    rng = np.random.default_rng(seed)
    below = (x < y[:, None]).sum(axis=1)
    ties = (x == y[:, None]).sum(axis=1)
    return np.asarray((below + rng.random(len(y)) * (ties + 1)) / (x.shape[1] + 1), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """Outcome of a test that two methods forecast equally well.

    Attributes
    ----------
    statistic
        Negative where the first method has the lower loss.
    p_value
        Two-sided.
    mean_difference
        Mean loss of the first method minus that of the second.
    n
        Targets compared.
    df
        Degrees of freedom of the t distribution used.
    variance
        ``"rectangular"``, ``"bartlett"`` (the former was not positive) or ``"cosine"``.
    """

    statistic: float
    p_value: float
    mean_difference: float
    n: int
    df: int
    variance: str

    @property
    def better(self) -> Literal["first", "second", "undecided"]:
        """Which method is better at the 5 % level."""
        if self.p_value > 0.05:
            return "undecided"
        return "first" if self.statistic < 0 else "second"


def diebold_mariano(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    horizon: int,
    variance: Literal["hln", "cosine"] = "hln",
) -> DieboldMariano:
    r"""Test whether two methods have the same expected loss over the same targets.

    Parameters
    ----------
    first, second
        Losses (such as squared or absolute errors) of the two methods, in target order, evenly spaced.
    horizon
        Steps between the moment of the forecast and *the last moment at which the outcome becomes known
        to be scored*, in target periods, at least 1: errors of optimal forecasts are correlated up to lag
        ``horizon - 1``. A nowcast of the running quarter has 1; weekly forecasts four weeks ahead have 4.
    variance
        ``"hln"``: rectangular kernel with ``horizon - 1`` lags, corrected for small samples. ``"cosine"``:
        equally weighted cosine series, robust where loss differences are correlated beyond the horizon (as
        they are through an episode); far fewer degrees of freedom, far better size.

    Returns
    -------
    DieboldMariano
        With the statistic compared with Student's t.

    Raises
    ------
    FitError
        If there are too few targets, or the two losses are the same throughout.

    Notes
    -----
    :math:`S = \bar d / \sqrt{\hat V/n}`, :math:`\hat V = \gamma_0 + 2\sum_{k<h}\gamma_k`, times
    :math:`\{(n+1-2h+h(h-1)/n)/n\}^{1/2}`, against t with n - 1 degrees of freedom. A rectangular estimate can
    be ≤ 0; then Bartlett weights over the same lags are used, which cannot, and `variance` says so. With
    ``"cosine"``: :math:`\hat V = B^{-1}\sum_{j=1}^{B}\Lambda_j^2`,
    :math:`\Lambda_j=\sqrt{2/n}\sum_t d_t\cos\{\pi j(t-1/2)/n\}`, :math:`B=\lfloor 0.4n^{2/3}\rfloor`,
    against t with B degrees of freedom. Nested models, estimated in sample, violate the assumptions.

    References
    ----------
    Diebold and Mariano (1995); Harvey, Leybourne and Newbold (1997), Testing the equality of prediction
    mean squared errors; Lazarus, Lewis, Stock and Watson (2018), HAR inference.
    """
    if horizon < 1:
        raise UsageError("the horizon is below one step.", remedy="Give horizon ≥ 1.", code="OPS-U063")
    a, b = _aligned(first, second)
    d = a - b
    n = len(d)
    if n < max(4, horizon + 2):
        raise FitError(
            f"{n} targets are too few to compare two methods at horizon {horizon}.",
            remedy="Wait for more outcomes; show mean losses meanwhile.",
            code="OPS-M060",
        )
    mean = float(d.mean())
    gamma = _autocovariances(d - mean, horizon - 1)
    if gamma[0] <= 1e-24 * max(1.0, float(np.max(np.abs(np.r_[a, b])) ** 2)):
        raise FitError("the two methods' losses differ by a constant: no test is possible.", code="OPS-M061")
    if variance == "cosine":
        terms = max(1, math.floor(0.4 * n ** (2.0 / 3.0)))
        angle = np.pi * np.outer(np.arange(1, terms + 1), np.arange(n) + 0.5) / n
        long_run = float(np.mean((math.sqrt(2.0 / n) * np.cos(angle) @ (d - mean)) ** 2))
        return _verdict(mean / math.sqrt(long_run / n), mean, n, terms, "cosine")
    kernel, weights = "rectangular", np.r_[1.0, np.full(horizon - 1, 2.0)]
    long_run = float(weights @ gamma)
    if long_run <= 1e-12 * gamma[0]:
        kernel = "bartlett"
        weights = np.r_[1.0, 2.0 * (1.0 - np.arange(1, horizon) / horizon)]
        long_run = float(weights @ gamma)
    h = float(horizon)
    correction = math.sqrt((n + 1.0 - 2.0 * h + h * (h - 1.0) / n) / n)
    return _verdict(correction * mean / math.sqrt(long_run / n), mean, n, n - 1, kernel)


def _verdict(statistic: float, mean: float, n: int, df: int, kernel: str) -> DieboldMariano:
    p_value = 2.0 * float(stdtr(df, -abs(statistic)))
    return DieboldMariano(statistic, p_value, mean, n, df, kernel)


def _autocovariances(centred: Floats, lags: int) -> Floats:
    n = len(centred)
    return np.array([float(centred[k:] @ centred[: n - k]) / n for k in range(lags + 1)])


def _aligned(*arrays: npt.ArrayLike) -> tuple[Floats, ...]:
    columns = [np.asarray(a, dtype=np.float64) for a in arrays]
    if len({c.shape for c in columns}) != 1:
        raise UsageError(
            "forecasts and outcomes have different shapes.",
            remedy="Give one forecast for each outcome.",
            code="OPS-U061",
        )
    flat = [c.ravel() for c in columns]
    kept = np.logical_and.reduce([np.isfinite(c) for c in flat])
    return tuple(c[kept] for c in flat)


def _ordered(lower: Floats, upper: Floats) -> None:
    if (lower > upper).any():
        raise UsageError("an interval's lower bound is above its upper.", code="OPS-U064")


def _probability(value: float, name: str) -> float:
    if not 0.0 < value < 1.0:
        raise UsageError(f"{name} is not between 0 and 1.", remedy="Give 0.9 for 90 %.", code="OPS-U065")
    return value


def _mean(values: npt.ArrayLike) -> float:
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()) if array.size else math.nan
