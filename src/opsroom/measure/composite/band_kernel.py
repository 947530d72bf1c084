"""Banded algebra for one weekly path: row ``t`` of a band holds the entries ``(t, t), (t, t-1) … (t, t-b)``."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_rows(band: Any, start: Any, column: Any, value: Any, weight: Any) -> None:
    """Add ``weight_k a_k a_k'`` for each sparse row ``a_k`` to a band, in place."""
    for k in range(len(start) - 1):
        for i in range(start[k], start[k + 1]):
            for j in range(start[k], i + 1):
                band[column[i], column[i] - column[j]] += weight[k] * value[i] * value[j]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def factorise(band: Any) -> bool:
    """Replace a band by its Cholesky factor; False where it is not positive definite."""
    weeks, width = band.shape
    for t in range(weeks):
        first = max(0, t - width + 1)
        for j in range(first, t + 1):
            total = band[t, t - j]
            low = max(first, j - width + 1)
            for m in range(low, j):
                total -= band[t, t - m] * band[j, j - m]
            if j < t:
                band[t, t - j] = total / band[j, 0]
            elif total <= 0.0:
                return False
            else:
                band[t, 0] = total**0.5
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def solve(factor: Any, right: Any) -> None:
    """Solve for each column of `right`, in place."""
    weeks, width = factor.shape
    for t in range(weeks):
        for m in range(max(0, t - width + 1), t):
            for c in range(right.shape[1]):
                right[t, c] -= factor[t, t - m] * right[m, c]
        for c in range(right.shape[1]):
            right[t, c] /= factor[t, 0]
    for t in range(weeks - 1, -1, -1):
        for c in range(right.shape[1]):
            right[t, c] /= factor[t, 0]
        for m in range(max(0, t - width + 1), t):
            for c in range(right.shape[1]):
                right[m, c] -= factor[t, t - m] * right[t, c]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def covariances(factor: Any, found: Any) -> None:
    """Fill `found` with the entries of the inverse that lie in the band (Takahashi's recursion)."""
    weeks, width = factor.shape
    after = np.zeros((weeks, width))  # the same entries by row of the upper half, so that both are read in order
    below = np.zeros(width)
    for t in range(weeks - 1, -1, -1):
        last = min(weeks - 1, t + width - 1)
        for k in range(t + 1, last + 1):
            below[k - t] = factor[k, k - t] / factor[t, 0]
        for j in range(last, t, -1):
            total = 0.0
            for k in range(t + 1, j):
                total -= below[k - t] * found[j, j - k]
            for k in range(j, last + 1):
                total -= below[k - t] * after[j, k - j]
            found[j, j - t] = total
            after[t, j - t] = total
        total = 1.0 / factor[t, 0] ** 2
        for k in range(t + 1, last + 1):
            total -= below[k - t] * found[k, k - t]
        found[t, 0] = total
        after[t, 0] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def cross(found: Any, start: Any, column: Any, left: Any, right: Any, out: Any) -> None:
    """Fill `out` with ``a_k' V b_k`` for sparse rows on the same columns; V as `covariances` gives it."""
    for k in range(len(start) - 1):
        total = 0.0
        for i in range(start[k], start[k + 1]):
            for j in range(start[k], start[k + 1]):
                if column[i] >= column[j]:
                    total += left[i] * right[j] * found[column[i], column[i] - column[j]]
                else:
                    total += left[i] * right[j] * found[column[j], column[j] - column[i]]
        out[k] = total
