"""Elimination of sparse rows modulo a prime, compiled.

Rows change length as they are reduced, so each lies in a common pool and moves to the pool's end when it
outgrows its place. A column's list of rows may name rows that hold it no more; a look into the row tells.
Products stay below 2⁶², since the primes are below 2³¹.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_ROW = 2**32


@njit(cache=True, nogil=True)
def invert(value: int, prime: int) -> int:
    """Return the inverse modulo a prime, by Fermat."""
    result, base, exponent = 1, value % prime, prime - 2
    while exponent:
        if exponent & 1:
            result = result * base % prime
        base = base * base % prime
        exponent >>= 1
    return result


@njit(cache=True, nogil=True)
def invert_all(values: Any, prime: int, out: Any) -> None:
    """Fill in the inverses modulo a prime; 0 for 0."""
    for k in range(len(values)):
        out[k] = invert(values[k], prime)


@njit(cache=True, nogil=True)
def grown(pool: Any, used: int, wanted: int) -> Any:
    """Return the pool, or a larger copy where it has no room for `wanted` numbers after `used`."""
    if used + wanted <= len(pool):
        return pool
    larger = np.empty(2 * (used + wanted), np.int64)
    for k in range(used):
        larger[k] = pool[k]
    return larger


@njit(cache=True, nogil=True)
def push(heap: Any, size: int, key: int) -> None:
    """Add a key to a heap that has room."""
    k = size
    while k > 0 and heap[(k - 1) // 2] > key:
        heap[k] = heap[(k - 1) // 2]
        k = (k - 1) // 2
    heap[k] = key


@njit(cache=True, nogil=True)
def pop(heap: Any, size: int) -> int:
    """Take the least key out of a heap of `size` keys."""
    least, last = heap[0], heap[size - 1]
    k = 0
    while 2 * k + 1 < size - 1:
        child = 2 * k + 1
        if child + 1 < size - 1 and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= last:
            break
        heap[k] = heap[child]
        k = child
    heap[k] = last
    return int(least)


@njit(cache=True, nogil=True)
def subtract(
    column: Any, value: Any, first: int, size: int, pivot: int, factor: int, prime: int, place: int, other: int,
    length: Any, where: Any, count: Any, head: Any, link: Any, link_row: Any, links: int,
) -> int:  # fmt: skip
    """Take a multiple of the pivot row from the row `other` at `place`; return how many links there are."""
    end = place + length[other]
    for k in range(place, end):
        where[column[k]] = k
    value[where[pivot]] = 0
    for k in range(first, first + size):
        c = column[k]
        if c == pivot:
            continue
        change = factor * value[k] % prime
        if where[c] >= 0:
            left = value[where[c]] - change
            value[where[c]] = left + prime if left < 0 else left
            if left == 0:
                count[c] -= 1
        else:
            column[end], value[end] = c, prime - change
            end += 1
            count[c] += 1
            link[links], link_row[links], head[c] = head[c], other, links
            links += 1
    kept = place
    for k in range(place, end):
        where[column[k]] = -1
        if value[k] != 0:
            column[kept], value[kept] = column[k], value[k]
            kept += 1
    length[other] = kept - place
    return links


@njit(cache=True, nogil=True)
def eliminate(start: Any, column: Any, coefficient: Any, columns: int, prime: int, side: Any) -> Any:
    """Bring rows into echelon form: the shortest row next, its rarest column as pivot.

    Parameters
    ----------
    start, column, coefficient
        Row r holds the entries from ``start[r]`` to ``start[r + 1]``, each column once.
    columns
        Number of columns.
    prime
        The field.
    side
        Right-hand sides, shape (rows, sides): changed in place along with the rows.

    Returns
    -------
    pivots, numbers : numpy.ndarray of int64
        Pivot columns in order, and which row each pivot row was; filled up to `taken`.
    taken : int
        How many pivots there are.
    at, length, column, coefficient : numpy.ndarray of int64
        Row r holds the entries from ``at[r]`` to ``at[r] + length[r]``. A pivot row has coefficient 1 at its
        pivot, and holds no pivot of an earlier row.
    """
    rows = len(start) - 1
    at, length, room = np.empty(rows, np.int64), np.zeros(rows, np.int64), np.empty(rows, np.int64)
    pool_column, pool_value = np.empty(2 * len(column) + 1, np.int64), np.empty(2 * len(column) + 1, np.int64)
    link, link_row = np.empty(2 * len(column) + 1, np.int64), np.empty(2 * len(column) + 1, np.int64)
    head, count = np.full(columns, -1, np.int64), np.zeros(columns, np.int64)
    heap = np.empty(2 * rows + 1, np.int64)
    # Typed at once: a plain 0 would have the helpers compiled twice.
    zero: Any = np.int64(0)
    used, links, heaped = zero, zero, zero
    for r in range(rows):
        at[r] = used
        for k in range(start[r], start[r + 1]):
            value = coefficient[k] % prime
            if value != 0:
                c = column[k]
                pool_column[used], pool_value[used] = c, value
                used += 1
                length[r] += 1
                count[c] += 1
                link[links], link_row[links], head[c] = head[c], r, links
                links += 1
        room[r] = length[r]
        if length[r] > 0:
            push(heap, heaped, length[r] * _ROW + r)
            heaped += 1
    done, where = np.zeros(rows, np.bool_), np.full(columns, -1, np.int64)
    pivots, numbers, taken = np.empty(rows, np.int64), np.empty(rows, np.int64), 0
    while heaped > 0:
        key = pop(heap, heaped)
        heaped -= 1
        r, size = key % _ROW, key // _ROW
        if done[r] or size != length[r]:
            continue
        done[r] = True
        first = at[r]
        best = first
        for k in range(first, first + size):
            if count[pool_column[k]] < count[pool_column[best]]:
                best = k
        pivot = pool_column[best]
        factor = invert(pool_value[best], prime)
        for k in range(first, first + size):
            pool_value[k] = pool_value[k] * factor % prime
            count[pool_column[k]] -= 1
        for s in range(side.shape[1]):
            side[r, s] = side[r, s] * factor % prime
        entry = head[pivot]
        while entry >= 0:
            other = link_row[entry]
            entry = link[entry]
            if done[other]:
                continue
            # Look where the other row holds what; it may hold the pivot no more.
            place, found = at[other], -1
            for k in range(place, place + length[other]):
                if pool_column[k] == pivot:
                    found = k
                    break
            if found < 0:
                continue
            factor = pool_value[found]
            if room[other] < length[other] + size:
                room[other] = 2 * (length[other] + size)
                pool_column, pool_value = grown(pool_column, used, room[other]), grown(pool_value, used, room[other])
                for k in range(length[other]):
                    pool_column[used + k], pool_value[used + k] = pool_column[place + k], pool_value[place + k]
                at[other] = used
                place = used
                used += room[other]
            link, link_row = grown(link, links, size), grown(link_row, links, size)
            links = subtract(
                pool_column, pool_value, first, size, pivot, factor, prime, place, other, length, where, count,
                head, link, link_row, links,
            )  # fmt: skip
            for s in range(side.shape[1]):
                value = side[other, s] - side[r, s] * factor % prime
                side[other, s] = value + prime if value < 0 else value
            if length[other] > 0:
                heap = grown(heap, heaped, zero + 1)
                push(heap, heaped, length[other] * _ROW + other)
                heaped += 1
        pivots[taken], numbers[taken] = pivot, r
        taken += 1
    return pivots, numbers, taken, at, length, pool_column, pool_value


@njit(cache=True, nogil=True)
def fill_in(
    vectors: Any, sides: Any, prime: int, pivots: Any, numbers: Any, taken: int, at: Any, length: Any, column: Any,
    coefficient: Any,
) -> None:  # fmt: skip
    """Fill in the pivots' entries of vectors whose free entries are set, last pivot first.

    Parameters
    ----------
    vectors
        Shape (columns, vectors), changed in place.
    sides
        Right-hand sides by row, shape (rows, vectors); without columns where they are zero.
    prime
        The field.
    pivots, numbers, taken, at, length, column, coefficient
        From `eliminate`.
    """
    for n in range(taken - 1, -1, -1):
        p, r = pivots[n], numbers[n]
        for v in range(vectors.shape[1]):
            value = sides[r, v] if sides.shape[1] > 0 else 0
            for k in range(at[r], at[r] + length[r]):
                if column[k] != p:
                    value -= coefficient[k] * vectors[column[k], v] % prime
            vectors[p, v] = value % prime


@njit(cache=True, nogil=True)
def root(parent: Any, column: int) -> int:
    """Return the representative of a column, and shorten the way to it."""
    while parent[column] != column:
        parent[column] = parent[parent[column]]
        column = parent[column]
    return column


@njit(cache=True, nogil=True)
def join(start: Any, column: Any, parent: Any) -> None:
    """Give all columns that rows connect the same parent."""
    for r in range(len(start) - 1):
        if start[r] == start[r + 1]:
            continue
        first = root(parent, column[start[r]])
        for k in range(start[r] + 1, start[r + 1]):
            parent[root(parent, column[k])] = first
    for c in range(len(parent)):
        parent[c] = root(parent, c)
