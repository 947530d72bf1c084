"""Robust least squares of one series after another on a shared design, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from opsroom.measure.adjust.select_kernel import select

TOGETHER = 8
"""Series worked on side by side; each comes out as it would alone."""


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc"}, error_model="numpy")
def fit_rows(
    y: Any, x: Any, products: Any, weights: Any, ridge: Any, huber: float, steps: int, coef: Any, scale: Any,
    rows: Any,
) -> bool:  # fmt: skip
    """Fill coefficients, scales (1.4826 times the median absolute residual) and numbers of days of each series.

    Parameters
    ----------
    y, weights
        Series, NaN where missing, and weights, (series, days).
    x, products
        The design, turned (terms, days), and the upper triangle of each day's outer product, row by row, in double
        precision.
    ridge
        Added to the Gram matrix, (terms, terms).
    huber, steps
        Tuning constant and number of solutions.

    Returns
    -------
    bool
        False if a system is singular.

    Notes
    -----
    Most days weigh 1: the Gram matrix is that of all days, less what the days of another weight lack.
    """
    terms, days = x.shape
    size = products.shape[1]
    whole = np.zeros(size)
    for t in range(days):
        for i in range(size):
            whole[i] += products[t, i]
    value, prior, weight = np.empty((TOGETHER, days)), np.empty((TOGETHER, days)), np.empty((TOGETHER, days))
    packed, lacks = np.empty((TOGETHER, size)), np.empty((days, TOGETHER))
    residual, load, ranked = np.empty(days), np.empty(days), np.empty(days)
    moment, beta, gram = np.empty(terms), np.empty(terms), np.empty((terms, terms))
    for start in range(0, len(y), TOGETHER):
        some = min(TOGETHER, len(y) - start)
        for c in range(some):
            u, count = start + c, 0
            for t in range(days):
                seen = np.isfinite(y[u, t])
                value[c, t] = y[u, t] if seen else 0.0
                prior[c, t] = weights[u, t] if seen else 0.0
                weight[c, t] = prior[c, t]
                if prior[c, t] > 0:
                    count += 1
            rows[u] = count
            scale[u] = 0.0
        for _ in range(steps):
            for c in range(some):
                for i in range(size):
                    packed[c, i] = whole[i]
                for t in range(days):
                    lacks[t, c] = weight[c, t] - 1.0
            # Day by day for all of them: the products of a day are many, those of all days more than stays at hand.
            for t in range(days):
                for c in range(some):
                    lack = lacks[t, c]
                    if lack != 0.0:
                        for i in range(size):
                            packed[c, i] += lack * products[t, i]
            for c in range(some):
                u = start + c
                for t in range(days):
                    load[t] = weight[c, t] * value[c, t]
                for k in range(terms):
                    total, term = 0.0, x[k]
                    for t in range(days):
                        total += load[t] * term[t]
                    moment[k] = total
                at = 0
                for k in range(terms):
                    for j in range(k, terms):
                        gram[j, k] = packed[c, at] + ridge[j, k]
                        at += 1
                if not _solve(gram, moment, beta):
                    return False
                for t in range(days):
                    residual[t] = value[c, t]
                for k in range(terms):
                    factor, term = beta[k], x[k]
                    for t in range(days):
                        residual[t] -= factor * term[t]
                used = 0
                for t in range(days):
                    residual[t] = abs(residual[t])
                    if prior[c, t] > 0:
                        ranked[used] = residual[t]
                        used += 1
                spread = 1.4826 * select(ranked, used, (used - 1) // 2) if used > 0 else 0.0
                cap = huber * max(spread, 1e-37)
                for t in range(days):
                    weight[c, t] = prior[c, t] * cap / residual[t] if residual[t] > cap else prior[c, t]
                for k in range(terms):
                    coef[u, k] = beta[k]
                scale[u] = spread
    return True


@numba.njit(inline="always", error_model="numpy")
def _solve(gram: Any, moment: Any, beta: Any) -> bool:
    """Solve by Cholesky's method, with the lower triangle of `gram`, which is overwritten."""
    n = len(moment)
    for k in range(n):
        for j in range(k):
            gram[k, k] -= gram[k, j] * gram[k, j]
        if not gram[k, k] > 0.0:
            return False
        gram[k, k] = np.sqrt(gram[k, k])
        for i in range(k + 1, n):
            total = gram[i, k]
            for j in range(k):
                total -= gram[i, j] * gram[k, j]
            gram[i, k] = total / gram[k, k]
    for k in range(n):
        total = moment[k]
        for j in range(k):
            total -= gram[k, j] * beta[j]
        beta[k] = total / gram[k, k]
    for k in range(n - 1, -1, -1):
        total = beta[k]
        for j in range(k + 1, n):
            total -= gram[j, k] * beta[j]
        beta[k] = total / gram[k, k]
    return True
