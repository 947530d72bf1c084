"""The compiled part of the factor model: build the unknowns' precision, factor it, invert it where it is needed.

A symmetric matrix is kept by rows within its envelope: row i holds the columns ``first[i] … i``, from ``start[i]``
on. Cholesky factors fill nothing outside. So a hole of two years in one series widens one month's rows, not all,
and nothing has to be carried through the months between (George and Liu 1981). The covariances asked for all lie
within the envelope, and are found without the dense inverse (Takahashi, Fagan and Chin 1973).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

_FAST = {"reassoc", "contract", "nsz"}
"""Sums may be taken in any order, so that they run on vectors; infinities and NaN keep their meaning."""


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add(env: Any, first: Any, start: Any, i: int, j: int, value: float) -> None:
    """Add to an entry of a symmetric matrix, once for the pair."""
    if j > i:
        i, j = j, i
    env[start[i] + j - first[i]] += value


@numba.njit(cache=True, nogil=True, error_model="numpy")
def entry(env: Any, first: Any, start: Any, i: int, j: int) -> float:
    """Return an entry of a symmetric matrix."""
    if j > i:
        i, j = j, i
    return float(env[start[i] + j - first[i]])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_factors(
    env: Any, first: Any, start: Any, at: Any, contrast: Any, calm: Any, origin: Any, same: Any, cross: Any, lead: int
) -> None:
    """Add what ties the factors: their start, their autoregression, and the regular monthly cells.

    `contrast` is the Gram matrix of an innovation in (this month, the month before …), `origin` the precision of the
    first months, newest first, `same` and `cross` a month's own block and that with the month before.
    """
    r = same.shape[1]
    order = contrast.shape[0] // r - 1
    for a in range(order):
        for b in range(a, order):
            for f in range(r):
                for g in range(r):
                    if a < b or g <= f:
                        row, col = at[order - 1 - a] + f, at[order - 1 - b] + g
                        env[start[row] + col - first[row]] += origin[a * r + f, b * r + g]
    for s in range(order, len(at)):
        for a in range(order + 1):
            for b in range(a, order + 1):
                for f in range(r):
                    for g in range(r):
                        if a < b or g <= f:
                            row, col = at[s - a] + f, at[s - b] + g
                            env[start[row] + col - first[row]] += calm[s] * contrast[a * r + f, b * r + g]
    for t in range(same.shape[0]):
        for f in range(r):
            row = at[t + lead] + f
            for g in range(f + 1):
                env[start[row] + at[t + lead] + g - first[row]] += same[t, f, g]
            if t + lead > 0:
                for g in range(r):
                    env[start[row] + at[t + lead - 1] + g - first[row]] -= cross[t, f, g]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_special(
    env: Any, first: Any, start: Any, at: Any, lead: int, special: Any, decay: Any, weight: Any, value: Any,
    loadings: Any, right: Any,
) -> float:  # fmt: skip
    """Add the monthly cells that do not follow one another; return their weighted sum of squares."""
    r, total = loadings.shape[1], 0.0
    for k in range(len(special)):
        now, i, back = at[special[k, 0] + lead], special[k, 1], special[k, 2]
        total += weight[k] * value[k] * value[k]
        for f in range(r):
            left = weight[k] * loadings[i, f]
            if left == 0.0:
                continue
            right[now + f] += left * value[k]
            for g in range(f + 1):
                env[start[now + f] + now + g - first[now + f]] += left * loadings[i, g]
            if back >= 0:
                then = at[back + lead]
                right[then + f] -= decay[k] * left * value[k]
                for g in range(f + 1):
                    env[start[then + f] + then + g - first[then + f]] += decay[k] * decay[k] * left * loadings[i, g]
                for g in range(r):
                    env[start[now + f] + then + g - first[now + f]] -= decay[k] * left * loadings[i, g]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def quarter_rows(
    t: int, q: int, at: Any, own_at: Any, lead: int, load: Any, memory: float, where: Any, last: Any, middle: Any
) -> None:
    """Fill in the two equations of a quarterly figure in which the removed error stands.

    `where` are the unknowns: the factors of five months, newest first, and the errors of months 0, 1, 3 and 4 back.
    `last` are the coefficients of the first month's innovation, `middle` of the second's.
    """
    r = len(load)
    for lag in range(5):
        times = 3.0 - abs(lag - 2.0)
        for f in range(r):
            where[lag * r + f] = at[t + lead - lag] + f
            last[lag * r + f] = -times * load[f] / 3.0
    for k in range(4):
        lag = k if k < 2 else k + 1
        where[5 * r + k] = own_at[t + lead - lag, q]
        last[5 * r + k] = -(3.0 - abs(lag - 2.0)) / 3.0
    for k in range(len(last)):
        middle[k] = -memory * last[k]
    last[5 * r + 2] -= memory
    middle[5 * r + 1] += 1.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_quarters(
    env: Any, first: Any, start: Any, at: Any, own_at: Any, lead: int, quarters: Any, value: Any, plain: Any,
    loadings: Any, memory: Any, variance: Any, calm: Any, right: Any,
) -> float:  # fmt: skip
    """Add the quarterly series' own errors; return the weighted sum of squares of what is known of them."""
    r, total = loadings.shape[1], 0.0
    for q in range(len(memory)):
        env[start[own_at[0, q] + 1] - 1] += calm[0, q] * (1.0 - memory[q] * memory[q]) / variance[q]
    for k in range(len(plain)):
        s, q = plain[k, 0], plain[k, 1]
        w = calm[s, q] / variance[q]
        i, j = own_at[s, q], own_at[s - 1, q]
        env[start[i + 1] - 1] += w
        env[start[j + 1] - 1] += w * memory[q] * memory[q]
        add(env, first, start, i, j, -w * memory[q])
    where, last, middle = np.empty(5 * r + 4, dtype=np.int64), np.empty(5 * r + 4), np.empty(5 * r + 4)
    for k in range(len(quarters)):
        t, q = quarters[k, 0], quarters[k, 1]
        quarter_rows(t, q, at, own_at, lead, loadings[q], memory[q], where, last, middle)
        one = calm[t + lead - 2, q] / variance[q]
        two = calm[t + lead - 1, q] / variance[q]
        y = value[k] / 3.0
        total += (one + two * memory[q] * memory[q]) * y * y
        for a in range(len(where)):
            right[where[a]] -= (one * last[a] - two * memory[q] * middle[a]) * y
            for b in range(len(where)):
                if where[b] <= where[a]:
                    row = where[a]
                    both = one * last[a] * last[b] + two * middle[a] * middle[b]
                    env[start[row] + where[b] - first[row]] += both
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def factorise(env: Any, first: Any, start: Any) -> float:
    """Turn a positive definite matrix into its lower Cholesky factor, in place.

    Returns
    -------
    float
        Log determinant of the matrix; NaN where it is not positive definite.
    """
    logdet = 0.0
    for i in range(len(first)):
        low, base = first[i], start[i]
        for j in range(low, i):
            from_j, base_j = first[j], start[j]
            begin = max(low, from_j)
            total = 0.0
            left, above = base - low, base_j - from_j
            for m in range(begin, j):
                total += env[left + m] * env[above + m]
            env[left + j] = (env[left + j] - total) / env[above + j]
        total = 0.0
        for m in range(base, base + i - low):
            total += env[m] * env[m]
        rest = env[base + i - low] - total
        if not rest > 0.0:
            return np.nan
        env[base + i - low] = np.sqrt(rest)
        logdet += np.log(rest)
    return logdet


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def solve(env: Any, first: Any, start: Any, right: Any) -> None:
    """Solve in place, given the Cholesky factor."""
    n = len(first)
    for i in range(n):
        total, left = 0.0, start[i] - first[i]
        for m in range(first[i], i):
            total += env[left + m] * right[m]
        right[i] = (right[i] - total) / env[left + i]
    for i in range(n - 1, -1, -1):
        left = start[i] - first[i]
        right[i] /= env[left + i]
        for m in range(first[i], i):
            right[m] -= env[left + m] * right[i]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def invert(env: Any, first: Any, start: Any, near: Any) -> None:
    """Fill in the inverse within the envelope, given the Cholesky factor."""
    n = len(first)
    last = np.arange(n)
    for i in range(n):
        for m in range(first[i], i):
            if last[m] < i:
                last[m] = i
    column, out = np.zeros(n), np.zeros(n)
    for i in range(n - 1, -1, -1):
        end = last[i] + 1
        pivot = env[start[i] + i - first[i]]
        for k in range(i + 1, end):
            out[k] = 0.0
            column[k] = env[start[k] + i - first[k]] / pivot if first[k] <= i else 0.0
        for k in range(i + 1, end):
            if first[k] > i:
                continue
            left, own, total = start[k] - first[k], column[k], 0.0
            for j in range(i + 1, k):
                total += near[left + j] * column[j]
                out[j] += near[left + j] * own
            out[k] += total + near[left + k] * own
        total = 1.0 / (pivot * pivot)
        for k in range(i + 1, end):
            if first[k] <= i:
                near[start[k] + i - first[k]] = -out[k]
                total += column[k] * out[k]
        near[start[i] + i - first[i]] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def lagged(near: Any, first: Any, start: Any, at: Any, r: int, lags: int, cov: Any) -> None:
    """Fill in Cov(f_s, f_{s-k}) for k = 0 … lags, (lags + 1, months, r, r); 0 where there is no month before."""
    for k in range(lags + 1):
        for s in range(k, len(at)):
            for f in range(r):
                for g in range(r):
                    cov[k, s, f, g] = entry(near, first, start, at[s] + f, at[s - k] + g)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def pairs(near: Any, first: Any, start: Any, row: Any, col: Any, cov: Any) -> None:
    """Fill in the covariances of pairs of unknowns."""
    for k in range(len(row)):
        cov[k] = entry(near, first, start, row[k], col[k])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def quarter_moments(
    near: Any, first: Any, start: Any, mean: Any, at: Any, own_at: Any, lead: int, quarters: Any, r: int,
    expected: Any, second: Any,
) -> None:  # fmt: skip
    """Fill in mean and second moment of (summed factors, errors of months 0, 1, 3, 4 back), one row a figure."""
    size = r + 4
    where, last, middle = np.empty(5 * r + 4, dtype=np.int64), np.empty(5 * r + 4), np.empty(5 * r + 4)
    target, times, load = np.empty(5 * r + 4, dtype=np.int64), np.ones(5 * r + 4), np.zeros(r)
    for lag in range(5):
        for f in range(r):
            target[lag * r + f] = f
            times[lag * r + f] = 3.0 - abs(lag - 2.0)
    for k in range(4):
        target[5 * r + k] = r + k
    for k in range(len(quarters)):
        quarter_rows(quarters[k, 0], quarters[k, 1], at, own_at, lead, load, 0.0, where, last, middle)
        for a in range(len(where)):
            expected[k, target[a]] += times[a] * mean[where[a]]
        for a in range(size):
            for b in range(size):
                second[k, a, b] = expected[k, a] * expected[k, b]
        for a in range(len(where)):
            for b in range(len(where)):
                both = entry(near, first, start, where[a], where[b])
                second[k, target[a], target[b]] += times[a] * times[b] * both


@numba.njit(cache=True, nogil=True, error_model="numpy")
def quarter_weights(
    at: Any, own_at: Any, lead: int, quarters: Any, loadings: Any, memory: Any, variance: Any, calm: Any, solved: Any,
    weight: Any,
) -> None:  # fmt: skip
    """Fill in what one unit of each quarterly figure adds to a sum of unknowns; `solved` is precision \\ sum."""
    r = loadings.shape[1]
    where, last, middle = np.empty(5 * r + 4, dtype=np.int64), np.empty(5 * r + 4), np.empty(5 * r + 4)
    for k in range(len(quarters)):
        t, q = quarters[k, 0], quarters[k, 1]
        quarter_rows(t, q, at, own_at, lead, loadings[q], memory[q], where, last, middle)
        one = calm[t + lead - 2, q] / variance[q]
        two = calm[t + lead - 1, q] / variance[q]
        weight[k] = 0.0
        for a in range(len(where)):
            weight[k] -= (one * last[a] - two * memory[q] * middle[a]) * solved[where[a]] / 3.0
