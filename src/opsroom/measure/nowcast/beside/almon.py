"""Exponential Almon weights by nonlinear least squares: analytic derivatives, several starts, convergence shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import least_squares

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.beside.edge import LEAST, Floats
from opsroom.measure.nowcast.beside.equation import Equation, usable

STARTS = ((0.0, 0.0), (-4.0, 0.0), (6.0, -8.0))
"""Equal weights, weights that fall, and weights with a hump."""
_WEAK = 10.0
"""Prior standard deviation of the two shape parameters: holds them where the data say nothing of the shape."""
_EXACT = 1e-8
_TINY = 1e-9


def weights_of(theta: Floats, count: int) -> Floats:
    """Return weights on `count` lags, latest first, adding up to 1: exp(θ1 u + θ2 u²), u from 0 to 1."""
    u = np.linspace(0.0, 1.0, count)
    power = theta[0] * u + theta[1] * u**2
    raw = np.exp(power - power.max())
    return np.asarray(raw / raw.sum(), dtype=np.float64)


def derivative(theta: Floats, count: int) -> Floats:
    """Return lags x 2: how the weights move with θ."""
    w, u = weights_of(theta, count), np.linspace(0.0, 1.0, count)
    powers = np.column_stack([u, u**2])
    return np.asarray(w[:, None] * (powers - w @ powers), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Shaped:
    """A fit: coefficients (constant, slope, past values of the target), shape, objective, and how far it got.

    `decrement` is by which share of the objective the next Gauss-Newton step promises to lower it.
    """

    beta: Floats
    theta: Floats
    objective: float
    decrement: float


def fit_shape(y: Floats, x: Floats, rest: Floats) -> Shaped:
    """Fit y = a + b Σ w_j(θ) x_j + rest·c, by Levenberg and Marquardt's method from several starts.

    Parameters
    ----------
    y, x, rest
        Outcomes; outcomes x lags; outcomes x other regressors, which may be none.

    Raises
    ------
    FitError
        No start has converged.
    """
    count, more = x.shape[1], rest.shape[1]
    free = np.column_stack([np.ones(len(y)), x, rest])
    loose = y - free @ np.linalg.lstsq(free, y, rcond=None)[0]
    noise = float(np.sqrt(loose @ loose / max(len(y) - free.shape[1], 1)))
    pull = max(noise, _TINY * float(np.std(y))) / _WEAK

    def linear(theta: Floats) -> Floats:
        return np.asarray(np.hstack([free[:, :1], (x @ weights_of(theta, count))[:, None], rest]), dtype=np.float64)

    def residual(point: Floats) -> Floats:
        theta = point[-2:]
        return np.asarray(np.r_[linear(theta) @ point[:-2] - y, pull * theta], dtype=np.float64)

    def jacobian(point: Floats) -> Floats:
        theta = point[-2:]
        data = np.column_stack([linear(theta), point[1] * (x @ derivative(theta, count))])
        prior = np.hstack([np.zeros((2, 2 + more)), pull * np.eye(2)])
        return np.vstack([data, prior])

    best: Shaped | None = None
    for start in STARTS:
        theta = np.array(start)
        beta = np.linalg.lstsq(linear(theta), y, rcond=None)[0]
        found = least_squares(
            residual, np.r_[beta, theta], jac=jacobian, method="lm", x_scale="jac", xtol=1e-10, ftol=1e-12, gtol=1e-12,
            max_nfev=400,
        )  # fmt: skip
        size = float(found.fun @ found.fun)
        slopes = jacobian(found.x)
        step = slopes @ np.linalg.lstsq(slopes, found.fun, rcond=None)[0]
        # An exact fit has nothing left to promise a share of.
        scale = max(size, _TINY**2 * float(y @ y))
        one = Shaped(found.x[:-2], found.x[-2:], size, float(step @ step) / scale)
        if one.decrement <= _EXACT and (best is None or one.objective < best.objective):
            best = one
    if best is None:
        raise FitError("the Almon weights have not converged.", remedy="Use fewer lags, or weights='polynomial'.")
    return best


def shaped_equation(series: str, y: Floats, x: Floats, rest: Floats, at: int) -> Equation:
    """Fit the shape over all known quarters, and forecast one.

    Notes
    -----
    The forecast's variance from estimated parameters is by the delta method, with the weak prior on the shape.
    """
    whole = np.column_stack([x, rest])
    rows = usable(y, whole, at)
    n, k = int(rows.sum()), 4 + rest.shape[1]
    if n < max(LEAST, k + 5):
        raise FitError(f"{n} quarters are too few for {k} coefficients.", remedy="Use a longer history.")
    if np.isnan(whole[at]).any():
        raise FitError("a regressor of the quarter to be forecast is unknown.", remedy="Leave the series out.")
    if float(x[rows].std()) <= 0.0:
        raise FitError("the series does not move.", remedy="Leave it out.")
    found = fit_shape(y[rows], x[rows], rest[rows])
    weights = weights_of(found.theta, x.shape[1])
    turn = derivative(found.theta, x.shape[1])
    design = np.column_stack([np.ones(len(y)), x @ weights, rest, found.beta[1] * (x @ turn)])
    fit = y[rows] - design[rows, : 2 + rest.shape[1]] @ found.beta
    noise = float(fit @ fit) / (n - k)
    prior = np.zeros(k)
    prior[-2:] = noise / _WEAK**2
    inverse = np.linalg.pinv(design[rows].T @ design[rows] + np.diag(prior), hermitian=True)
    residual, hat = np.full(len(y), np.nan), np.zeros(len(y))
    residual[rows] = fit
    hat[rows] = design[rows] @ (inverse @ design[at])
    bic = n * float(np.log(max(float(fit @ fit), 1e-300) / n)) + k * float(np.log(n))
    mean = float(design[at, : 2 + rest.shape[1]] @ found.beta)
    return Equation(series, mean, residual, hat, float(n - k), bic, x.shape[1], weights=tuple(weights))
