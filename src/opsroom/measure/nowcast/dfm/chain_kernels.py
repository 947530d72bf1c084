"""The compiled part of own errors of order two and more: odd equations into precision, moments and weights."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from opsroom.measure.nowcast.dfm.kernels import entry


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_lagged(env: Any, first: Any, start: Any, at: Any, lead: int, blocks: Any, right: Any, pull: Any) -> None:
    """Add the regular cells, summed over series: `blocks` (months, lags, lags, r, r) and `pull` (months, lags, r)."""
    months, lags, r = pull.shape
    for t in range(months):
        for a in range(min(lags, t + lead + 1)):
            for f in range(r):
                row = at[t + lead - a] + f
                right[row] += pull[t, a, f]
                for b in range(a, min(lags, t + lead + 1)):
                    for g in range(r):
                        col = at[t + lead - b] + g
                        if a < b or g <= f:
                            env[start[row] + col - first[row]] += blocks[t, a, b, f, g]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def gather(e: int, form: Any, begin: Any, where: Any, times: Any, factor: Any, value: Any, share: Any, load: Any,
           at: Any, coefficient: Any) -> tuple[int, float]:  # fmt: skip
    """Fill in one equation's unknowns and coefficients; return their number, and the constant."""
    count, constant = 0, 0.0
    for a in range(form.shape[1]):
        k = form[e, a]
        if k < 0:
            continue
        constant += share[e, a] * value[k]
        for j in range(begin[k], begin[k + 1]):
            at[count] = where[j]
            coefficient[count] = share[e, a] * times[j]
            if factor[j] >= 0:
                coefficient[count] *= -load[factor[j]]
            count += 1
    return count, constant


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_odd(env: Any, first: Any, start: Any, series: Any, form: Any, begin: Any, where: Any, times: Any, factor: Any,
            value: Any, share: Any, loadings: Any, precision: Any, longest: int, right: Any) -> float:  # fmt: skip
    """Add the odd equations; return the weighted sum of squares of what is known of them."""
    at, c = np.empty(longest, dtype=np.int64), np.empty(longest)
    total = 0.0
    for e in range(len(series)):
        count, constant = gather(e, form, begin, where, times, factor, value, share, loadings[series[e]], at, c)
        w = precision[e]
        total += w * constant * constant
        for i in range(count):
            right[at[i]] -= w * constant * c[i]
            for j in range(count):
                if at[j] <= at[i]:
                    env[start[at[i]] + at[j] - first[at[i]]] += w * c[i] * c[j]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def odd_weights(series: Any, form: Any, begin: Any, where: Any, times: Any, factor: Any, value: Any, share: Any,
                loadings: Any, precision: Any, longest: int, solved: Any, weight: Any) -> None:  # fmt: skip
    """Add to `weight` what one unit of each form's constant adds to a sum of unknowns; `solved` is precision \\ sum."""
    at, c = np.empty(longest, dtype=np.int64), np.empty(longest)
    for e in range(len(series)):
        count, _ = gather(e, form, begin, where, times, factor, value, share, loadings[series[e]], at, c)
        push = 0.0
        for i in range(count):
            push -= precision[e] * c[i] * solved[at[i]]
        for a in range(form.shape[1]):
            if form[e, a] >= 0:
                weight[form[e, a]] += share[e, a] * push


@numba.njit(cache=True, nogil=True, error_model="numpy")
def odd_moments(near: Any, first: Any, start: Any, mean: Any, series: Any, form: Any, begin: Any, where: Any,
                times: Any, factor: Any, value: Any, share: Any, loadings: Any, longest: int, products: Any,
                response: Any) -> None:  # fmt: skip
    """Fill in expected products of each equation.

    `products` (equations, lags, lags) are those of the months' errors. `response` (equations, r + 1, r + 1) are those
    of what the loadings stand before (less the innovation's derivative in them) and, last, of what is left of the
    innovation without loadings.
    """
    lags, r = form.shape[1], loadings.shape[1]
    size = lags + r + 1
    at = np.empty(longest, dtype=np.int64)
    for e in range(len(series)):
        rows = np.zeros((size, longest))
        base = np.zeros(size)
        count, load = 0, loadings[series[e]]
        for a in range(lags):
            k = form[e, a]
            if k < 0:
                continue
            base[a] = value[k]
            base[lags + r] += share[e, a] * value[k]
            for j in range(begin[k], begin[k + 1]):
                at[count] = where[j]
                if factor[j] >= 0:
                    rows[a, count] = -times[j] * load[factor[j]]
                    rows[lags + factor[j], count] = share[e, a] * times[j]
                else:
                    rows[a, count] = times[j]
                    rows[lags + r, count] = share[e, a] * times[j]
                count += 1
        for x in range(size):
            for i in range(count):
                base[x] += rows[x, i] * mean[at[i]]
        half = np.zeros((size, count))
        for i in range(count):
            for j in range(count):
                c = entry(near, first, start, at[i], at[j])
                for x in range(size):
                    half[x, i] += rows[x, j] * c
        for x in range(size):
            for y in range(size):
                total = base[x] * base[y]
                for i in range(count):
                    total += half[x, i] * rows[y, i]
                if x < lags and y < lags:
                    products[e, x, y] = total
                elif x >= lags and y >= lags:
                    response[e, x - lags, y - lags] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def wandered(lags: Any, begun: Any, weights: Any, column: int, until: int, out: Any) -> None:
    """Fill in the covariance of an error's newest months at row `until`, newest first, in units of one innovation.

    `begun` is that before the first row; each month adds an innovation with the variance that its weight leaves.
    """
    p = len(lags)
    old = np.empty((p, p))
    for a in range(p):
        for b in range(p):
            out[a, b] = begun[a, b]
    for s in range(until + 1):
        for a in range(p):
            for b in range(p):
                old[a, b] = out[a, b]
        for a in range(1, p):
            for b in range(1, p):
                out[a, b] = old[a - 1, b - 1]
        for b in range(1, p):
            total = 0.0
            for k in range(p):
                total += lags[k] * old[k, b - 1]
            out[0, b], out[b, 0] = total, total
        total = 1.0 / weights[s, column]
        for k in range(p):
            for m in range(p):
                total += lags[k] * lags[m] * old[k, m]
        out[0, 0] = total
