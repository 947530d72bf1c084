"""The value at a place in an order, without sorting."""

from __future__ import annotations

from typing import Any

import numba


@numba.njit(cache=True, nogil=True, error_model="numpy")
def select(ranked: Any, count: int, place: int) -> Any:
    """Return the value at a place in the order of the first `count` values, which are moved about."""
    low, high = 0, count - 1
    while low < high:
        pivot = ranked[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while ranked[i] < pivot:
                i += 1
            while ranked[j] > pivot:
                j -= 1
            if i <= j:
                ranked[i], ranked[j] = ranked[j], ranked[i]
                i += 1
                j -= 1
        if place <= j:
            high = j
        elif place >= i:
            low = i
        else:
            break
    return ranked[place]
