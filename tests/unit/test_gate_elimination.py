"""The gate's compiled elimination against its twin in dictionaries: the same pivots, the same answers."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.protect.linear import PRIMES, Rows, Sketch, components, null_sketch, recipes

Row = dict[int, int]
Pivot = tuple[int, Row]

WIDTH = 14
systems = st.lists(
    st.dictionaries(st.integers(0, WIDTH - 1), st.sampled_from((-3, -1, 1, 1, 1, 2)), min_size=1, max_size=6),
    min_size=1,
    max_size=16,
)


@given(systems, st.sampled_from(PRIMES))
@settings(max_examples=200)
def test_null_vectors_are_those_of_the_twin(rows: list[Row], prime: int) -> None:
    found = null_sketch(Rows.of(rows), WIDTH, prime, width=5)
    expected = np.random.default_rng(prime).integers(1, prime, size=(WIDTH, 5), dtype=np.int64)
    back_substitute(echelon(rows, prime)[0], expected, prime)
    np.testing.assert_array_equal(found, expected)
    for row in rows:
        assert not (sum(a * found[c] for c, a in row.items()) % prime).any()


@given(systems, st.sampled_from(PRIMES), st.data())
@settings(max_examples=200)
def test_recipes_are_those_of_the_twin(rows: list[Row], prime: int, data: st.DataObject) -> None:
    wanted = [data.draw(st.sampled_from(rows)), rows[0], {data.draw(st.integers(0, WIDTH - 1)): 1}]
    assert recipes(Rows.of(rows), wanted, prime) == slow_recipes(rows, wanted, prime)


@given(systems, st.lists(st.integers(0, WIDTH - 1)))
def test_known_columns_leave_and_blocks_are_told_apart(rows: list[Row], known: list[int]) -> None:
    flags = np.zeros(WIDTH, dtype=bool)
    flags[known] = True
    left, numbers = Rows.of(rows).without(flags)
    kept = [{c: a for c, a in row.items() if c not in known} for row in rows]
    assert numbers.tolist() == [k for k, row in enumerate(kept) if row]
    expected = Rows.of([row for row in kept if row])
    for name in ("start", "column", "coefficient", "row"):
        np.testing.assert_array_equal(getattr(left, name), getattr(expected, name))
    label = components(left, WIDTH)
    for row in kept:
        assert len({int(label[c]) for c in row}) <= 1
    assert len(set(label.tolist())) == WIDTH - rank_of_graph([row for row in kept if row])


def rank_of_graph(rows: list[Row]) -> int:
    """Count the edges of a spanning forest of the columns that rows connect."""
    groups: list[set[int]] = []
    for row in rows:
        touched = [g for g in groups if g & set(row)]
        groups = [g for g in groups if g not in touched] + [set(row).union(*touched)]
    return sum(len(g) - 1 for g in groups)


def echelon(
    rows: Iterable[Mapping[int, int]], prime: int, *, side: Sketch | None = None
) -> tuple[list[Pivot], list[int]]:
    """Bring sparse rows into echelon form: (pivot column, row) in order, and which row each was."""
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
    """Fill in the pivots' entries of vectors whose free entries are set."""
    for number in range(len(pivots) - 1, -1, -1):
        pivot, row = pivots[number]
        value = 0 if sides is None else sides[number]
        others = [c for c in row if c != pivot]
        if others:
            coefficients = np.fromiter((row[c] for c in others), dtype=np.int64, count=len(others))
            value = value - (coefficients[:, None] * vectors[others] % prime).sum(axis=0)
        vectors[pivot] = value % prime


def slow_recipes(rows: Sequence[Mapping[int, int]], wanted: Sequence[Mapping[int, int]], prime: int) -> list[list[int]]:
    """Say from which equations combinations of columns are recomputed."""
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
