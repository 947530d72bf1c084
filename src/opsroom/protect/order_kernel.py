"""Sorting and searching of short arrays, compiled.

NumPy's own take Numba five to ten seconds to compile into every kernel that calls them, on the first run after an
installation; these take a tenth of one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def ascend(values: Any, count: int) -> None:
    """Sort the first so many values, NaN last: Shell's method."""
    gap = 1
    while 3 * gap + 1 < count:
        gap = 3 * gap + 1
    while gap > 0:
        for k in range(gap, count):
            value, j = values[k], k
            while j >= gap and (values[j - gap] > value or values[j - gap] != values[j - gap]):
                values[j] = values[j - gap]
                j -= gap
            values[j] = value
        gap //= 3


@njit(cache=True, nogil=True, error_model="numpy")
def place(values: Any, count: int, wanted: int) -> int:
    """Return where a value is among the first so many, ascending ones, or where it would have to be put."""
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True, error_model="numpy")
def doubled(values: Any) -> Any:
    """Return a copy with as much room again."""
    out = np.empty(2 * len(values), values.dtype)
    for k in range(len(values)):
        out[k] = values[k]
    return out
