"""Combinations of outputs against enumeration: what few groups are left with, if nobody changes."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product

from hypothesis import example, given, settings
from hypothesis import strategies as st

from opsroom.protect.rules import STRICT, Rules
from opsroom.protect.together import betrays

RULES = Rules()
NAMES = "abcdef"
SETS = st.lists(st.sets(st.sampled_from(NAMES), min_size=3, max_size=5), min_size=2, max_size=5)


def rank(lines: list[list[Fraction]]) -> int:
    """Rank by elimination, without rounding."""
    left, found = [line[:] for line in lines], 0
    for column in range(len(lines[0]) if lines else 0):
        pivot = next((line for line in left if line[column] != 0), None)
        if pivot is not None:
            left.remove(pivot)
            left = [[a - b * line[column] / pivot[column] for a, b in zip(line, pivot, strict=True)] for line in left]
            found += 1
    return found


def solves(sets: list[set[str]]) -> bool:
    """Whether some combination leaves one or two: then they add something to the rank of all others' lines."""
    lines = {n: [Fraction(n in s) for s in sets] for n in NAMES}
    whole = rank(list(lines.values()))
    return any(
        rank([line for n, line in lines.items() if n not in few]) < whole
        for size in (1, 2)
        for few in combinations(NAMES, size)
    )


def sized(sets: list[set[str]]) -> list[dict[str, float]]:
    sizes = dict(zip(NAMES, (101.0, 97.0, 105.5, 99.0, 103.25, 98.5), strict=True))
    return [{n: sizes[n] for n in sorted(s)} for s in sets]


@settings(max_examples=150, deadline=None)
@given(SETS)
@example([{"a", "b", "c"}, {"a", "d", "e"}, {"b", "c", "d", "e"}])
def test_where_nobody_changes_a_series_stops_before_it_can_be_solved(sets: list[set[str]]) -> None:
    out: list[set[str]] = []
    for one in sets:
        if not betrays(sized(out), sized([one])[0], RULES):
            out.append(one)
    assert not solves(out)


@settings(max_examples=150, deadline=None)
@given(SETS)
def test_nothing_is_refused_that_cannot_be_solved(sets: list[set[str]]) -> None:
    if not solves(sets):
        assert not betrays(sized(sets[:-1]), sized(sets[-1:])[0], RULES)


def test_any_two_rest_on_enough_and_three_give_one_away() -> None:
    three = sized([{"a", "b", "c"}, {"a", "d", "e"}, {"b", "c", "d", "e"}])
    for one, other in combinations(three, 2):
        assert not betrays([one], other, RULES)
    sums = [sum(parts.values()) for parts in three]
    assert (sums[0] + sums[1] - sums[2]) / 2 == three[0]["a"]
    for new in range(3):
        assert betrays([three[k] for k in range(3) if k != new], three[new], RULES)


def test_numbers_that_go_back_and_forth_give_one_away() -> None:
    """All are there all the time; who files another number goes back to the first one later."""
    first, second = dict.fromkeys(NAMES, 100.0), dict(zip(NAMES, (107.0, 93.0, 104.0, 98.0, 105.0, 94.0), strict=True))

    def moved(names: str) -> dict[str, float]:
        return {n: (second if n in names else first)[n] for n in NAMES}

    four = [moved(""), moved("abc"), moved("ade"), moved("bcde")]
    for one, other in product(four, four):
        assert one == other or sum(one[n] != other[n] for n in NAMES) >= 3
    assert not betrays(four[:2], four[2], RULES)
    assert betrays(four[:3], four[3], RULES)


def test_what_changes_enough_hides_who_is_left() -> None:
    """One company comes: where the others stand still, the difference is its number, and else a number of all."""
    still = dict.fromkeys(NAMES, 100.0)
    moving = {n: 100.0 + k for k, n in enumerate(NAMES, start=5)}
    assert betrays([still], still | {"new": 3.0}, RULES)
    assert not betrays([still], moving | {"new": 3.0}, RULES)


def test_more_than_two_are_looked_for_where_a_profile_wants_more() -> None:
    many = [f"g{k}" for k in range(40)]
    base = {n: 100.0 + k for k, n in enumerate(many)}
    seven = {n: v for n, v in base.items() if n not in many[:7]}
    assert betrays([base], seven, STRICT)
    assert not betrays([base], {n: v for n, v in base.items() if n not in many[:12]}, STRICT)
