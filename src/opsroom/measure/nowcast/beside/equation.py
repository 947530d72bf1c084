"""Linear equations by least squares with everything that a forecast's variance needs, and their combination."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import nnls

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.beside.edge import LEAST, Floats, Mask

Combination = Literal["least-variance", "inverse-mse"]


@dataclass(frozen=True, slots=True)
class Equation:
    """One equation's forecast of the target.

    Attributes
    ----------
    series
        The indicator; ``""`` where there is none.
    mean
        The forecast.
    residual
        By quarter; NaN where the equation was not learnt.
    hat
        By quarter: how the forecast moves with each quarter's outcome, 0 where none was learnt. The variance of the
        forecast from estimated coefficients is the residual's times the sum of squares.
    df
        Degrees of freedom of the residual variance.
    bic
        Schwarz's criterion.
    months
        Lags of the indicator, in months, or the order of its autoregression.
    inherited
        Variance that comes with the indicator's own forecast, where it had to be forecast.
    error
        By quarter: the error that the equation would have made from the same distance, with the indicator's forecast
        in it; None where the indicator is known, and it is the residual.
    weights
        Weights on the indicator's lags, latest first, where there are such.
    """

    series: str
    mean: float
    residual: Floats
    hat: Floats
    df: float
    bic: float
    months: int = 0
    inherited: float = 0.0
    error: Floats | None = None
    weights: tuple[float, ...] = ()

    @property
    def sigma(self) -> float:
        """Standard deviation of the residuals."""
        known = self.residual[~np.isnan(self.residual)]
        return float(np.sqrt(known @ known / self.df))

    @property
    def own(self) -> float:
        """Variance of the forecast's error, were the indicator known: Student's t with `df` degrees of freedom."""
        return self.sigma**2 * (1.0 + float(self.hat @ self.hat)) * self.df / (self.df - 2.0)

    @property
    def variance(self) -> float:
        """Variance of the forecast's error."""
        return self.own + self.inherited


@dataclass(frozen=True, slots=True)
class Learnt:
    """Least squares: coefficients, their covariance over the residual variance, and what `Equation` needs."""

    beta: Floats
    inverse: Floats
    mean: float
    residual: Floats
    hat: Floats
    df: float
    bic: float

    def equation(self, series: str, months: int = 0, weights: tuple[float, ...] = ()) -> Equation:
        """Return an equation whose regressors are known."""
        return Equation(series, self.mean, self.residual, self.hat, self.df, self.bic, months, weights=weights)


def learn(y: Floats, design: Floats, at: int, *, ridge: float = 0.0, used: Mask | None = None) -> Learnt:
    """Regress by least squares and forecast one row.

    Parameters
    ----------
    y
        One value a quarter, NaN where unknown.
    design
        Quarters x regressors, the constant first; row `at` must be known.
    at
        The quarter to be forecast; it is not learnt from.
    ridge
        Penalty on squared coefficients in units of their regressor's standard deviation, the constant excepted.
    used
        The quarters to be learnt from; default all in which everything is known.

    Raises
    ------
    FitError
        Too few quarters, regressors that do not move apart, or a row to be forecast that is not known.
    """
    rows = usable(y, design, at) if used is None else used
    n, k = int(rows.sum()), design.shape[1]
    if n < max(LEAST, k + 5):
        raise FitError(f"{n} quarters are too few for {k} coefficients.", remedy="Use a longer history, or fewer lags.")
    if np.isnan(design[at]).any():
        raise FitError("a regressor of the quarter to be forecast is unknown.", remedy="Leave the series out.")
    a, b = design[rows], y[rows]
    scale = np.r_[1.0, a[:, 1:].std(axis=0)]
    if np.any(scale <= 0.0):
        raise FitError("a regressor does not move.", remedy="Leave the series out.")
    z = a / scale
    penalty = ridge * np.diag(np.r_[0.0, np.ones(k - 1)])
    moment = z.T @ z + penalty
    if np.linalg.cond(moment) > 1e14:
        raise FitError("the regressors do not move apart.", remedy="Use fewer lags, or a ridge.")
    inverse = np.linalg.inv(moment)
    beta = inverse @ (z.T @ b)
    fit = b - z @ beta
    residual, hat = np.full(len(y), np.nan), np.zeros(len(y))
    residual[rows] = fit
    hat[rows] = z @ (inverse @ (design[at] / scale))
    spent = float(np.trace(inverse @ (z.T @ z)))
    rss = max(float(fit @ fit), 1e-300)
    bic = n * float(np.log(rss / n)) + spent * float(np.log(n))
    shrunk = inverse @ (z.T @ z) @ inverse / np.outer(scale, scale)
    mean = float(design[at] / scale @ beta)
    return Learnt(beta / scale, shrunk, mean, residual, hat, n - spent, bic)


def usable(y: Floats, design: Floats, at: int) -> Mask:
    """Return the quarters in which outcome and regressors are known, the one to be forecast excepted."""
    rows = ~np.isnan(y) & ~np.isnan(design).any(axis=1)
    rows[at] = False
    return np.asarray(rows, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class Combined:
    """Several equations' forecasts put together: mean, standard deviation, and the weights."""

    mean: float
    sd: float
    weights: Floats


def combine(equations: Sequence[Equation], rule: Combination = "least-variance") -> Combined:
    r"""Combine forecasts.

    Parameters
    ----------
    equations
        One or more.
    rule
        ``"inverse-mse"``: weights inverse to the error variances. ``"least-variance"``: those, none below 0, with which
        the combination's own error has the least variance, given how the errors go together.

    Notes
    -----
    :math:`\min_w w'Vw` under :math:`w\ge0`, :math:`1'w=1`; with any penalty on :math:`(1'w-1)^2` instead the solution
    has the same direction, so that non-negative least squares gives it. That weights are estimated is not in the
    variance. For `V` see `covariance`.
    """
    if not equations:
        raise FitError("no equation can be learnt.", remedy="Use a longer history, or other series.")
    together = covariance(equations)
    variance = np.diag(together)
    if rule == "inverse-mse":
        share = 1.0 / np.maximum(variance, 1e-300)
    else:
        values, vectors = np.linalg.eigh(together / variance.mean())
        root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
        share = nnls(np.vstack([root, np.ones(len(root))]), np.r_[np.zeros(len(root)), 1.0])[0]
    share = np.asarray(share / share.sum(), dtype=np.float64)
    mean = float(share @ np.array([e.mean for e in equations]))
    return Combined(mean, float(np.sqrt(max(float(share @ together @ share), 0.0))), share)


def covariance(equations: Sequence[Equation]) -> Floats:
    r"""Return the covariances of the equations' forecast errors.

    Notes
    -----
    :math:`V_{ij}=R_{ij}\sqrt{V_{ii}V_{jj}}` with the variances of the equations and the correlations of the errors that
    they would have made from the same distance in the past, over the quarters that all have. So what two indicators'
    forecasts miss together, and what one indicator's news would have told another equation, is in it. With fewer than
    20 common quarters, all errors are taken as one and the same.
    """
    errors = np.column_stack([e.residual if e.error is None else e.error for e in equations])
    size = np.sqrt(np.array([e.variance for e in equations]))
    return correlation(errors) * np.outer(size, size)


def correlation(columns: Floats) -> Floats:
    """Return the correlations of errors over the rows that all have; all 1 where these are too few."""
    rows = ~np.isnan(columns).any(axis=1)
    if rows.sum() < LEAST:
        return np.ones((columns.shape[1], columns.shape[1]))
    known = columns[rows]
    size = np.sqrt((known**2).sum(axis=0))
    return np.asarray(known.T @ known / np.maximum(np.outer(size, size), 1e-300), dtype=np.float64)
