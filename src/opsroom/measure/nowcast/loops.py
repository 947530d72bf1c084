"""The fit's loops, compiled: factors given data, and each series' parameters given factors.

The precision of the factors is banded: a row reaches back no further than a quarter's weights, the
autoregression's lags or a series' longest hole. Only covariances within that band are ever asked for, so
they are found without the dense inverse (Takahashi, Fagan and Chin 1973). `opsroom.measure.nowcast.model`
does the same densely; a test holds the two together.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, error_model="numpy")
def memories(
    series: Any, month: Any, before: Any, quarter: Any, memory: Any, weights: Any, decay: Any, spread: Any
) -> None:
    """Fill in each row's weight of the observation before and its error's relative variance."""
    for k in range(len(series)):
        i, t, b = series[k], month[k], before[k]
        if quarter[k]:
            decay[k], spread[k] = 0.0, 1.0 / weights[t, i]
            continue
        square = memory[i] * memory[i]
        # A jump over months without an observation adds up the innovations of all of them.
        total = 0.0 if b >= 0 else 1.0 / (1.0 - square)
        for s in range(b + 1 if b >= 0 else 1, t + 1):
            total = square * total + 1.0 / weights[s, i]
        decay[k], spread[k] = memory[i] ** (t - b) if b >= 0 else 0.0, total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def precision(
    series: Any, value: Any, value_before: Any, at: Any, part: Any, terms: Any, decay: Any, deviation: Any,
    intercept: Any, loadings: Any, contrast: Any, calm: Any, start: float, band: Any, right: Any, white: Any,
) -> None:  # fmt: skip
    """Fill in the factors' precision (lower band: row, distance), right-hand side and whitened data."""
    months, r = len(calm), loadings.shape[1]
    lags = contrast.shape[0] - 1
    for t in range(lags, months):
        for a in range(lags + 1):
            for b in range(a, lags + 1):
                for f in range(r):
                    for g in range(r):
                        row, col = (t - a) * r + f, (t - b) * r + g
                        if col <= row:
                            total = 0.0
                            for e in range(r):
                                total += contrast[a, e, f] * contrast[b, e, g]
                            band[row, row - col] += calm[t] * total
    for k in range(lags * r):
        band[k, 0] += 1.0 / start
    for k in range(len(series)):
        i = series[k]
        y = value[k] - intercept[i]
        if terms[k] == 2:
            part[k, 1] = -decay[k]
            y -= decay[k] * (value_before[k] - intercept[i])
        white[k] = y / deviation[k]
        for a in range(terms[k]):
            for f in range(r):
                row = at[k, a] * r + f
                left = part[k, a] * loadings[i, f] / deviation[k]
                right[row] += left * white[k]
                for b in range(terms[k]):
                    for g in range(r):
                        col = at[k, b] * r + g
                        if col <= row:
                            band[row, row - col] += left * part[k, b] * loadings[i, g] / deviation[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def solve(band: Any, right: Any, near: Any) -> float:
    """Factor a banded precision in place, solve in place, and fill in the inverse's band.

    Returns
    -------
    float
        Log determinant; NaN where the matrix is not positive definite.
    """
    size, width = band.shape[0], band.shape[1] - 1
    logdet = 0.0
    for i in range(size):
        for j in range(max(0, i - width), i + 1):
            total = band[i, i - j]
            for m in range(max(0, i - width), j):
                total -= band[i, i - m] * band[j, j - m]
            if j < i:
                band[i, i - j] = total / band[j, 0]
            elif total > 0.0:
                band[i, 0] = np.sqrt(total)
            else:
                return np.nan
        logdet += 2.0 * np.log(band[i, 0])
        for m in range(max(0, i - width), i):
            right[i] -= band[i, i - m] * right[m]
        right[i] /= band[i, 0]
    for i in range(size - 1, -1, -1):
        last = min(size - 1, i + width)
        for k in range(i + 1, last + 1):
            right[i] -= band[k, k - i] * right[k]
        right[i] /= band[i, 0]
        for j in range(last, i - 1, -1):
            total = 1.0 / band[i, 0] if j == i else 0.0
            for k in range(i + 1, last + 1):
                total -= band[k, k - i] * (near[k, k - j] if k >= j else near[j, j - k])
            near[j, j - i] = total / band[i, 0]
    return logdet


@numba.njit(cache=True, nogil=True, error_model="numpy")
def misfit(series: Any, at: Any, part: Any, terms: Any, deviation: Any, loadings: Any, mean: Any, white: Any) -> float:
    """Return the sum of squares of the whitened data less what the factors explain."""
    total = 0.0
    for k in range(len(series)):
        rest = white[k]
        for a in range(terms[k]):
            for f in range(loadings.shape[1]):
                rest -= part[k, a] * loadings[series[k], f] * mean[at[k, a], f] / deviation[k]
        total += rest * rest
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def lagged_moments(mean: Any, near: Any, lags: int, moments: Any) -> None:
    """Fill in E[z z'] of each month's factors stacked on those of the months before, (months, width, width)."""
    r = mean.shape[1]
    for t in range(lags, mean.shape[0]):
        for a in range((lags + 1) * r):
            for b in range((lags + 1) * r):
                row, col = (t - a // r) * r + a % r, (t - b // r) * r + b % r
                cov = near[row, row - col] if row >= col else near[col, col - row]
                moments[t - lags, a, b] = cov + mean[t - a // r, a % r] * mean[t - b // r, b % r]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def row_moments(k: int, at: Any, part: Any, terms: Any, mean: Any, near: Any, phi: Any, cov: Any) -> None:
    """Fill in mean and covariance of what a row's loading multiplies."""
    r = mean.shape[1]
    for f in range(r):
        phi[f] = 0.0
        for a in range(terms[k]):
            phi[f] += part[k, a] * mean[at[k, a], f]
        for g in range(r):
            cov[f, g] = 0.0
            for a in range(terms[k]):
                for b in range(terms[k]):
                    row, col = at[k, a] * r + f, at[k, b] * r + g
                    both = near[row, row - col] if row >= col else near[col, col - row]
                    cov[f, g] += part[k, a] * part[k, b] * both


@numba.njit(cache=True, nogil=True, error_model="numpy")
def regressions(
    series: Any, value: Any, value_before: Any, at: Any, part: Any, terms: Any, decay: Any, spread: Any,
    mean: Any, near: Any, left: Any, right: Any, square: Any,
) -> None:  # fmt: skip
    """Add up each series' normal equations on a constant and the factors, (series, 1 + factors)."""
    r = mean.shape[1]
    phi, cov, x = np.empty(r), np.empty((r, r)), np.empty(r + 1)
    for k in range(len(series)):
        i = series[k]
        if terms[k] == 2:
            part[k, 1] = -decay[k]
        row_moments(k, at, part, terms, mean, near, phi, cov)
        y = value[k] - decay[k] * value_before[k]
        x[0] = 1.0 - decay[k]
        for f in range(r):
            x[f + 1] = phi[f]
        square[i] += y * y / spread[k]
        for f in range(r + 1):
            right[i, f] += x[f] * y / spread[k]
            for g in range(r + 1):
                extra = cov[f - 1, g - 1] if f > 0 and g > 0 else 0.0
                left[i, f, g] += (x[f] * x[g] + extra) / spread[k]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def own_errors(
    series: Any, month: Any, before: Any, quarter: Any, gap: Any, value: Any, value_before: Any, intercept: Any,
    loadings: Any, weights: Any, mean: Any, near: Any, moments: Any,
) -> None:  # fmt: skip
    """Add up count and E[e_t²], E[e_t e_before], E[e_before²] of the monthly series, (gaps, 4, series)."""
    r = mean.shape[1]
    for k in range(len(series)):
        if quarter[k]:
            continue
        i, t, b = series[k], month[k], max(before[k], 0)
        now, then = value[k] - intercept[i], value_before[k] - intercept[i]
        vnow, vcross, vthen = 0.0, 0.0, 0.0
        for f in range(r):
            now -= loadings[i, f] * mean[t, f]
            then -= loadings[i, f] * mean[b, f]
            for g in range(r):
                both = loadings[i, f] * loadings[i, g]
                vnow += both * near[t * r + max(f, g), abs(f - g)]
                vthen += both * near[b * r + max(f, g), abs(f - g)]
                if b < t and before[k] >= 0:
                    vcross += both * near[t * r + f, (t - b) * r + f - g]
        w = weights[t, i]
        moments[gap[k], 0, i] += 1.0
        moments[gap[k], 1, i] += w * (now * now + vnow)
        moments[gap[k], 2, i] += w * (now * then + vcross)
        moments[gap[k], 3, i] += w * (then * then + vthen)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def reweigh(
    series: Any, month: Any, quarter: Any, gap: Any, value: Any, value_before: Any, at: Any, part: Any, terms: Any,
    decay: Any, spread: Any, intercept: Any, loadings: Any, variance: Any, tail: float, mean: Any, near: Any,
    weights: Any,
) -> None:  # fmt: skip
    """Fill in the weights that the errors deserve; `decay` and `spread` are those of equal weights."""
    r = mean.shape[1]
    phi, cov = np.empty(r), np.empty((r, r))
    for k in range(len(series)):
        if gap[k] == 0 and not quarter[k]:
            continue
        i = series[k]
        if terms[k] == 2:
            part[k, 1] = -decay[k]
        row_moments(k, at, part, terms, mean, near, phi, cov)
        rest = value[k] - decay[k] * value_before[k] - intercept[i] * (1.0 - decay[k])
        noise = 0.0
        for f in range(r):
            rest -= loadings[i, f] * phi[f]
            for g in range(r):
                noise += loadings[i, f] * loadings[i, g] * cov[f, g]
        weight = (tail + 1.0) / (tail + (rest * rest + noise) / (variance[i] * spread[k]))
        # Months of a jump without an observation share the weight of the observation that ends it.
        for back in range(max(gap[k], 1)):
            weights[month[k] - back, i] = weight
