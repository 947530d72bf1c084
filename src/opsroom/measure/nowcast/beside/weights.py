"""Weights of a pool from past errors, or from past densities at the outcomes."""

from __future__ import annotations

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.beside.edge import Floats

RIDGE = 1e-6
"""What squared distance from equal weights counts against mean log density."""
_GAP = 1e-8
_BARRIER = 1e-13


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
    Highest is, for densities :math:`p_{tm}` and importances :math:`\pi_t` that add up to 1,

    .. math:: \sum_t\pi_t\log\sum_mw_mp_{tm}-\tfrac12\rho\sum_m(w_m-1/M)^2,\qquad\rho=10^{-6}.

    The first part alone has several tops wherever densities of the past say the same of different weights: of two
    models that were always alike, only the sum of the weights counts. With the ridge :math:`\rho` there is one: of
    weights that are as good, those nearest to equal ones; and it does not hang on the order of the models. In mean log
    density it costs less than :math:`\rho/2`.

    Strictly concave, by Newton's method with a logarithmic barrier on weights that add up to 1. With :math:`s_m` the
    slope in :math:`w_m`, no weights do better than these by more than :math:`\max s_m-\sum w_ms_m`, which is held below
    1e-8; otherwise the fit is refused.

    References
    ----------
    Hall and Mitchell (2007), International Journal of Forecasting 23, 1-13. Geweke and Amisano (2011), Optimal
    prediction pools, Journal of Econometrics 164, 130-141.
    """
    share = _importance(len(log_density), importance)
    count = log_density.shape[1]
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    w = np.full(count, 1.0 / count)
    barrier = 0.1 / count
    while True:
        w = _centred(density, share, w, barrier)
        if barrier * count < _BARRIER:
            break
        barrier *= 0.1
    slope = _slope(density, share, w)
    if float(slope.max() - w @ slope) > _GAP:
        raise FitError("the weights of the pool have not converged.", remedy="Use rule='bates-granger'.")
    return w


def _centred(density: Floats, share: Floats, w: Floats, barrier: float) -> Floats:
    """Return the best weights with a barrier, by Newton's method on the plane of weights that add up to 1."""
    for _ in range(60):
        ratio = density / (density @ w)[:, None]
        slope = _slope(density, share, w) + barrier / w
        # In units of the weights themselves, so that small ones do no harm.
        curve = np.outer(w, w) * (ratio.T @ (share[:, None] * ratio) + RIDGE * np.eye(len(w))) + barrier * np.eye(
            len(w)
        )
        solved = np.linalg.solve(curve, np.column_stack([w * slope, w]))
        step = w * (solved[:, 0] - solved[:, 1] * ((w @ solved[:, 0]) / (w @ solved[:, 1])))
        promise = float(slope @ step)
        down = step < 0.0
        reach = min(1.0, 0.95 * float((-w[down] / step[down]).min())) if down.any() else 1.0
        if promise < 0.1 * barrier:
            # Near the top a whole step is safe, and the objective too coarse a judge of ties.
            w = w + reach * step
            w = w / w.sum()
            if promise < 1e-12 * barrier:
                break
            continue
        now, better = _objective(density, share, w, barrier), False
        while reach > 1e-12 and not better:
            trial = w + reach * step
            better = _objective(density, share, trial, barrier) >= now + 1e-4 * reach * promise
            reach *= 0.5
        if not better:
            break
        w = trial / trial.sum()
    return w


def together_once(*columns: Floats) -> list[int]:
    """Return, per model, the first model that says the same to the last digit; its own number where none does.

    Parameters
    ----------
    columns
        What models said, each (…, models).
    """
    every = np.vstack([np.atleast_2d(one) for one in columns])
    return [int(np.flatnonzero((every == every[:, [m]]).all(axis=0))[0]) for m in range(every.shape[1])]


def towards_equal(weights: Floats, outcomes: float, shrink: float) -> Floats:
    """Draw weights towards equal ones, which count as much as `shrink` outcomes."""
    return np.asarray((outcomes * weights + shrink / len(weights)) / (outcomes + shrink), dtype=np.float64)


def _slope(density: Floats, share: Floats, w: Floats) -> Floats:
    return np.asarray(share @ (density / (density @ w)[:, None]) - RIDGE * (w - 1.0 / len(w)), dtype=np.float64)


def _objective(density: Floats, share: Floats, w: Floats, barrier: float) -> float:
    ridge = 0.5 * RIDGE * float(((w - 1.0 / len(w)) ** 2).sum())
    return float(share @ np.log(density @ w) + barrier * np.log(w).sum()) - ridge


def _importance(count: int, importance: Floats | None) -> Floats:
    share = np.ones(count) if importance is None else importance
    return np.asarray(share / share.sum(), dtype=np.float64)
