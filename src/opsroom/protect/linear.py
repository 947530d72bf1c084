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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from opsroom.protect.elimination import eliminate, fill_in, invert_all, join

PRIMES = (2147483647, 2147483629)

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Sketch = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rows:
    """Sparse rows: row r has the columns ``column[start[r]:start[r + 1]]``, each once, with integer coefficients."""

    start: Ints
    column: Ints
    coefficient: Ints
    row: Ints = field(init=False)
    """Each entry's row."""

    def __post_init__(self) -> None:
        rows = np.repeat(np.arange(len(self.start) - 1, dtype=np.int64), np.diff(self.start))
        object.__setattr__(self, "row", rows)

    @classmethod
    def of(cls, rows: Iterable[Mapping[int, int]]) -> Rows:
        """Lay out rows given as column → coefficient."""
        table = list(rows)
        start = np.cumsum([0, *map(len, table)], dtype=np.int64)
        column = np.fromiter((c for row in table for c in row), dtype=np.int64, count=int(start[-1]))
        coefficient = np.fromiter((a for row in table for a in row.values()), dtype=np.int64, count=int(start[-1]))
        return cls(start, column, coefficient)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.start) - 1

    def take(self, rows: Ints) -> Rows:
        """Return some of the rows, in ascending order."""
        keep = np.zeros(len(self), dtype=bool)
        keep[rows] = True
        inside = keep[self.row]
        start = np.concatenate([[0], np.cumsum(np.diff(self.start)[keep])])
        return Rows(start, self.column[inside], self.coefficient[inside])

    def without(self, known: Flags) -> tuple[Rows, Ints]:
        """Return the rows without their known columns, and which ones they are: those that have any left."""
        inside = ~known[self.column]
        length = np.bincount(self.row[inside], minlength=len(self))
        numbers = np.flatnonzero(length)
        start = np.concatenate([[0], np.cumsum(length[numbers])])
        return Rows(start, self.column[inside], self.coefficient[inside]), numbers

    def transposed(self) -> tuple[Rows, dict[int, int]]:
        """Return the columns as rows, in order of appearance, and column → its row there."""
        names, first, inverse = np.unique(self.column, return_index=True, return_inverse=True)
        place = np.empty(len(names), dtype=np.int64)
        place[np.argsort(first)] = np.arange(len(names))
        order = np.argsort(place[inverse], kind="stable")
        start = np.concatenate([[0], np.cumsum(np.bincount(place[inverse], minlength=len(names)))])
        flipped = Rows(start, self.row[order], self.coefficient[order])
        return flipped, dict(zip(names.tolist(), place.tolist(), strict=True))


def null_sketch(rows: Rows, size: int, prime: int, *, width: int = 8) -> Sketch:
    """Return random vectors of the null space.

    Parameters
    ----------
    rows
        Equations, of columns below `size`.
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
    none = np.zeros((len(rows), 0), dtype=np.int64)
    echelon = eliminate(rows.start, rows.column, rows.coefficient, size, prime, none)
    # The draw needs no secrecy: it decides nothing that an attacker could influence.
    vectors = np.random.default_rng(prime).integers(1, prime, size=(size, width), dtype=np.int64)
    fill_in(vectors, none, prime, *echelon)
    return vectors


def solve(rows: Rows, columns: int, sides: Sketch, prime: int) -> Sketch:
    """Return a solution of the rows for each right-hand side, shape (columns, sides); what is free is zero."""
    sides = np.ascontiguousarray(sides, dtype=np.int64).copy()
    echelon = eliminate(rows.start, rows.column, rows.coefficient, columns, prime, sides)
    solution = np.zeros((columns, sides.shape[1]), dtype=np.int64)
    fill_in(solution, sides, prime, *echelon)
    return solution


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


def components(rows: Rows, size: int) -> Ints:
    """Return a label per column: equal for columns that are connected by rows; labels are columns."""
    parent = np.arange(size, dtype=np.int64)
    join(rows.start, rows.column, parent)
    return parent


def directions(sketch: Sketch, prime: int) -> npt.NDArray[np.int64]:
    """Return a code per row: equal for rows that are multiples of each other, 0 for zero rows.

    Two quantities with equal codes determine each other.
    """
    filled = sketch != 0
    first = filled.argmax(axis=1)
    lead = sketch[np.arange(len(sketch)), first]
    inverse = np.empty_like(lead)
    invert_all(lead, prime, inverse)
    scaled = sketch * inverse[:, None] % prime
    draw = np.random.default_rng(prime + 1).integers(1, prime, size=(2, sketch.shape[1]), dtype=np.int64)
    one, two = ((scaled * line % prime).sum(axis=1) % prime for line in draw)
    return np.where(filled.any(axis=1), (one << 31 | two) + 1, 0)


def recipes(rows: Rows, wanted: Sequence[Mapping[int, int]], prime: int) -> list[list[int]]:
    """Say from which equations linear combinations of columns are recomputed.

    Solves ``Aᵀ y = w`` for each w of `wanted` (column → coefficient), each in the row space of A.

    Returns
    -------
    list of lists
        For each w the numbers of the equations used. What comes back for a w that is not in the row
        space means nothing.
    """
    transposed, place = rows.transposed()
    side = np.zeros((len(transposed), len(wanted)), dtype=np.int64)
    for k, combination in enumerate(wanted):
        for column, a in combination.items():
            if column in place:
                side[place[column], k] = a % prime
    solution = solve(transposed, len(rows), side, prime)
    return [np.flatnonzero(solution[:, k]).tolist() for k in range(len(wanted))]


def dependence(sketch: Sketch, target: int, known: Sequence[int], prime: int) -> dict[int, int]:
    """Return column → coefficient so that the target minus that combination of `known` is determined."""
    rows = Rows.of({k: int(sketch[c, j]) for k, c in enumerate(known) if sketch[c, j]} for j in range(sketch.shape[1]))
    solution = solve(rows, len(known), sketch[target][:, None], prime)
    return {c: int(solution[k, 0]) for k, c in enumerate(known) if solution[k, 0]}
