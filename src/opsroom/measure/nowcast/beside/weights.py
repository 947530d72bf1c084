"""Weights of a pool from past errors, or from past densities at the outcomes."""

from __future__ import annotations

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.beside.edge import Floats

_GAP = 1e-10


def inverse_square(errors: Floats, importance: Floats | None = None) -> Floats:
    """Return weights inverse to mean squared errors.

    Parameters
    ----------
    errors
        Past outcomes x models.
    importance
        Of each outcome; default the same.

    References
    ----------
    Bates and Granger (1969), The combination of forecasts, Operational Research Quarterly 20, 451-468.
    """
    share = _importance(len(errors), importance)
    size = share @ errors**2
    if float(size.max()) <= 0.0:
        return np.full(errors.shape[1], 1.0 / errors.shape[1])
    # A model without any error gets all the weight, and not a division by nothing.
    raw = 1.0 / np.maximum(size, 1e-12 * float(size.max()))
    return np.asarray(raw / raw.sum(), dtype=np.float64)


def log_score(log_density: Floats, importance: Floats | None = None) -> Floats:
    r"""Return the weights of the linear pool with the highest mean log density at past outcomes.

    Parameters
    ----------
    log_density
        Past outcomes x models.
    importance
        Of each outcome; default the same.

    Notes
    -----
    Concave, by Newton's method with a logarithmic barrier on weights that add up to 1. With :math:`g_m` the mean of
    model m's density over the pool's, no weights do better than these by more than :math:`\max g_m - 1`, which is held
    below 1e-8; otherwise the fit is refused.

    References
    ----------
    Hall and Mitchell (2007), Combining density forecasts, International Journal of Forecasting 23, 1-13. Geweke and
    Amisano (2011), Optimal prediction pools, Journal of Econometrics 164, 130-141.
    """
    share = _importance(len(log_density), importance)
    count = log_density.shape[1]
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    w = np.full(count, 1.0 / count)
    barrier = 0.1 / count
    while True:
        for _ in range(60):
            ratio = density / (density @ w)[:, None]
            slope = share @ ratio + barrier / w
            curve = ratio.T @ (share[:, None] * ratio) + np.diag(barrier / w**2)
            # Newton's step on the plane of weights that add up to 1.
            solved = np.linalg.solve(curve, np.column_stack([slope, np.ones(count)]))
            step = solved[:, 0] - solved[:, 1] * (solved[:, 0].sum() / solved[:, 1].sum())
            promise = float(slope @ step)
            if promise < 1e-3 * barrier:
                break
            down = step < 0.0
            reach = min(1.0, 0.95 * float((-w[down] / step[down]).min())) if down.any() else 1.0
            # Rounding leaves the last digit: once the objective cannot rise, this barrier is done.
            now, better = _objective(density, share, w, barrier), False
            while reach > 1e-12 and not better:
                trial = w + reach * step
                better = _objective(density, share, trial, barrier) >= now + 1e-4 * reach * promise
                reach *= 0.5
            if not better:
                break
            w = trial / trial.sum()
        if barrier * count < _GAP:
            break
        barrier *= 0.1
    gap = float((share @ (density / (density @ w)[:, None])).max()) - 1.0
    if gap > 1e-8:
        raise FitError("the weights of the pool have not converged.", remedy="Use rule='bates-granger'.")
    return w


def towards_equal(weights: Floats, outcomes: float, shrink: float) -> Floats:
    """Draw weights towards equal ones, which count as much as `shrink` outcomes."""
    return np.asarray((outcomes * weights + shrink / len(weights)) / (outcomes + shrink), dtype=np.float64)


def _objective(density: Floats, share: Floats, w: Floats, barrier: float) -> float:
    return float(share @ np.log(density @ w) + barrier * np.log(w).sum())


def _importance(count: int, importance: Floats | None) -> Floats:
    share = np.ones(count) if importance is None else importance
    return np.asarray(share / share.sum(), dtype=np.float64)
