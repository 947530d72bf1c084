"""Autoregressions of own errors: which are stationary, and how errors at a series' start vary together."""

from __future__ import annotations

import numpy as np

from opsroom.measure.nowcast.dfm import chain_kernels
from opsroom.measure.nowcast.dfm.parameters import Floats, companion, stationary


def lags_of(partial: Floats) -> Floats:
    """Return autoregressions (series x order) with given partial autocorrelations, all within -1 and 1.

    Durbin's and Levinson's recursion: every stationary autoregression has exactly one such set (Barndorff-Nielsen and
    Schou 1973).
    """
    out = partial.copy()
    for k in range(1, partial.shape[1]):
        last = partial[:, k : k + 1]
        out[:, :k] = out[:, :k] - last * out[:, :k][:, ::-1]
    return out


def partial_of(lags: Floats) -> Floats:
    """Return the partial autocorrelations of autoregressions (beyond 1 if not stationary); the inverse of `lags_of`."""
    out = lags.copy()
    for k in range(lags.shape[1] - 1, 0, -1):
        last = out[:, k : k + 1]
        out[:, :k] = (out[:, :k] + last * out[:, :k][:, ::-1]) / (1.0 - last**2)
    return out


def partial_slopes(partial: Floats) -> Floats:
    """Return the derivatives of `lags_of`: series x lags x partial autocorrelations."""
    n, p = partial.shape
    out = np.zeros((n, p, p))
    out[:, 0, 0] = 1.0
    lags = partial.copy()
    for k in range(1, p):
        last, turned = partial[:, k : k + 1], lags[:, :k][:, ::-1].copy()
        slopes = out[:, :k, :].copy()
        out[:, :k, :] = slopes - last[:, :, None] * slopes[:, ::-1, :]
        out[:, :k, k] -= turned
        out[:, k, k] = 1.0
        lags[:, :k] = lags[:, :k] - last * turned
    return out


def spread_at(lags: Floats, opening: float, weights: Floats, column: int, until: int) -> Floats:
    """Return the covariance of an error's newest months at row `until`, newest first, in units of one innovation.

    Before the first row it is stationary, with innovations of variance `opening`; then each month's innovation has
    the precision that its weight says: filling a hole, or learning of earlier months, changes nothing else.
    """
    begun = opening * stationary(lags[None, :])
    out = np.empty((len(lags), len(lags)))
    chain_kernels.wandered(lags, begun, weights, column, until, out)
    return out


def ahead(lags: Floats, months: int) -> Floats:
    """Return the newest months' transition over so many months: a power of the companion form."""
    return np.asarray(np.linalg.matrix_power(companion(lags[None, :]), months))
