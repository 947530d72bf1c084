"""Exact linear algebra over a prime field: what can be recomputed from linear relations.

Let the hidden quantities x satisfy ``A x = b`` with b known. Hidden quantity v is determined if and
only if the unit vector of v lies in the row space of A; that is, if and only if every vector n of the
null space of A has ``n[v] = 0``. A has small integer entries, so it is eliminated modulo a prime near
2³¹, which has no rounding and no dependence on the scale of the data, and the null space is looked at
through a few random vectors of it.

Errors: a random null vector is zero by chance with probability 1/p: that only adds caution. A quantity
that is determined over the rationals could look free modulo p only if p divided a certain minor of A;
callers therefore check with a second prime before they trust a "free".
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

PRIMES = (2147483647, 2147483629)

Row = dict[int, int]
Pivot = tuple[int, Row]
Sketch = npt.NDArray[np.int64]


def echelon(
    rows: Iterable[Mapping[int, int]], prime: int, *, side: Sketch | None = None
) -> tuple[list[Pivot], list[int]]:
    """Bring sparse rows into echelon form.

    Parameters
    ----------
    rows
        Column → integer coefficient.
    prime
        The field.
    side
        Right-hand sides, shape (rows, sides): changed in place along with the rows.

    Returns
    -------
    pivots : list of (pivot column, row)
        Each row has coefficient 1 at its pivot and holds no pivot of an earlier row.
    numbers : list of int
        Which of `rows` each pivot row was: the place of its right-hand side.
    """
    table: list[Row] = [{c: a % prime for c, a in row.items() if a % prime} for row in rows]
    columns: dict[int, set[int]] = {}
    for number, row in enumerate(table):
        for column in row:
            columns.setdefault(column, set()).add(number)
    heap = [(len(row), number) for number, row in enumerate(table) if row]
    heapq.heapify(heap)
    done = [False] * len(table)
    pivots: list[Pivot] = []
    numbers: list[int] = []
    while heap:
        length, number = heapq.heappop(heap)
        row = table[number]
        if done[number] or not row or len(row) != length:
            continue
        done[number] = True
        pivot = min(row, key=lambda c: len(columns[c]))
        inverse = pow(row[pivot], -1, prime)
        for column, a in row.items():
            row[column] = a * inverse % prime
            columns[column].discard(number)
        if side is not None:
            side[number] = side[number] * inverse % prime
        rest = [(column, a) for column, a in row.items() if column != pivot]
        for other in columns[pivot]:
            target = table[other]
            factor = target.pop(pivot)
            if side is not None:
                side[other] = (side[other] - side[number] * factor) % prime
            for column, a in rest:
                old = target.get(column)
                new = ((old or 0) - factor * a) % prime
                if new:
                    target[column] = new
                    if old is None:
                        columns[column].add(other)
                elif old is not None:
                    del target[column]
                    columns[column].discard(other)
            heapq.heappush(heap, (len(target), other))
        columns[pivot] = set()
        pivots.append((pivot, row))
        numbers.append(number)
    return pivots, numbers


def back_substitute(pivots: Sequence[Pivot], vectors: Sketch, prime: int, *, sides: Sketch | None = None) -> None:
    """Fill in the pivots' entries of vectors whose free entries are set, shape (columns, vectors).

    Where `sides` is given, shape (pivots, vectors), it holds the right-hand sides; else they are zero.
    """
    for number in range(len(pivots) - 1, -1, -1):
        pivot, row = pivots[number]
        value = 0 if sides is None else sides[number]
        others = [c for c in row if c != pivot]
        if others:
            coefficients = np.fromiter((row[c] for c in others), dtype=np.int64, count=len(others))
            value = value - (coefficients[:, None] * vectors[others] % prime).sum(axis=0)
        vectors[pivot] = value % prime


def null_sketch(rows: Sequence[Mapping[int, int]], size: int, prime: int, *, width: int = 8) -> Sketch:
    """Return random vectors of the null space.

    Parameters
    ----------
    rows
        Equations: column → integer coefficient, columns below `size`.
    size
        Number of columns.
    prime
        The field.
    width
        How many vectors.

    Returns
    -------
    numpy.ndarray of int64, shape (size, width)
        Row v is all zero if and only if v is determined (but for a chance of ``prime ** -width``).
        What is determined once further columns K are known are the v with row v in the span of the
        rows K, as long as `width` exceeds the rank of those.
    """
    pivots, _ = echelon(rows, prime)
    # The draw needs no secrecy: it decides nothing that an attacker could influence.
    vectors = np.random.default_rng(prime).integers(1, prime, size=(size, width), dtype=np.int64)
    back_substitute(pivots, vectors, prime)
    return vectors


def restrict(sketch: Sketch, known: Sequence[int], prime: int) -> tuple[Sketch, int]:
    """Return the sketch of the null space within which the columns `known` are zero, and their rank.

    Each known column takes one dimension away. The returned sketch has the same shape.
    """
    reduced = sketch
    rank = 0
    for column in known:
        row = reduced[column]
        filled = np.flatnonzero(row)
        if len(filled) == 0:
            continue
        if rank == 0:
            reduced = reduced.copy()
        rank += 1
        pivot = filled[0]
        inverse = pow(int(reduced[column, pivot]), -1, prime)
        factors = reduced[column] * inverse % prime
        factors[pivot] = 0
        basis = reduced[:, pivot].copy()
        reduced -= basis[:, None] * factors[None, :] % prime
        reduced %= prime
        reduced[:, pivot] = 0
    return reduced, rank


def components(rows: Sequence[Mapping[int, int]], size: int) -> npt.NDArray[np.int64]:
    """Return a label per column: equal for columns that are connected by rows; labels are columns."""
    parent = list(range(size))

    def root(column: int) -> int:
        while parent[column] != column:
            parent[column] = parent[parent[column]]
            column = parent[column]
        return column

    for row in rows:
        columns = iter(row)
        first = root(next(columns))
        for column in columns:
            parent[root(column)] = first
    return np.fromiter((root(c) for c in range(size)), dtype=np.int64, count=size)


def directions(sketch: Sketch, prime: int) -> npt.NDArray[np.int64]:
    """Return a code per row: equal for rows that are multiples of each other, 0 for zero rows.

    Two quantities with equal codes determine each other.
    """
    filled = sketch != 0
    first = filled.argmax(axis=1)
    lead = sketch[np.arange(len(sketch)), first]
    scaled = sketch * _inverse(lead, prime)[:, None] % prime
    draw = np.random.default_rng(prime + 1).integers(1, prime, size=(2, sketch.shape[1]), dtype=np.int64)
    one, two = ((scaled * line % prime).sum(axis=1) % prime for line in draw)
    return np.where(filled.any(axis=1), (one << 31 | two) + 1, 0)


def _inverse(values: npt.NDArray[np.int64], prime: int) -> npt.NDArray[np.int64]:
    """Return the inverses modulo a prime, by Fermat; 0 for 0."""
    result = np.ones_like(values)
    base, exponent = values % prime, prime - 2
    while exponent:
        if exponent & 1:
            result = result * base % prime
        base = base * base % prime
        exponent >>= 1
    return result


def recipes(rows: Sequence[Mapping[int, int]], wanted: Sequence[Mapping[int, int]], prime: int) -> list[list[int]]:
    """Say from which equations linear combinations of columns are recomputed.

    Solves ``Aᵀ y = w`` for each w of `wanted` (column → coefficient), each in the row space of A.

    Returns
    -------
    list of lists
        For each w the numbers of the equations used. What comes back for a w that is not in the row
        space means nothing.
    """
    transposed: dict[int, Row] = {}
    for number, row in enumerate(rows):
        for column, a in row.items():
            transposed.setdefault(column, {})[number] = a
    place = {column: k for k, column in enumerate(transposed)}
    side = np.zeros((len(transposed), len(wanted)), dtype=np.int64)
    for k, combination in enumerate(wanted):
        for column, a in combination.items():
            if column in place:
                side[place[column], k] = a % prime
    pivots, numbers = echelon(transposed.values(), prime, side=side)
    solution = np.zeros((len(rows), len(wanted)), dtype=np.int64)
    back_substitute(pivots, solution, prime, sides=side[numbers])
    return [np.flatnonzero(solution[:, k]).tolist() for k in range(len(wanted))]


def dependence(sketch: Sketch, target: int, known: Sequence[int], prime: int) -> dict[int, int]:
    """Return column → coefficient so that the target minus that combination of `known` is determined."""
    rows = [{k: int(sketch[c, j]) for k, c in enumerate(known) if sketch[c, j]} for j in range(sketch.shape[1])]
    side = sketch[target][:, None].copy()
    pivots, numbers = echelon(rows, prime, side=side)
    solution = np.zeros((len(known), 1), dtype=np.int64)
    back_substitute(pivots, solution, prime, sides=side[numbers])
    return {c: int(solution[k, 0]) for k, c in enumerate(known) if solution[k, 0]}
