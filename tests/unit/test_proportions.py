"""Intervals of a share by their definition: at an end, what was seen is as unlikely as the tail allows."""

from __future__ import annotations

import math

import pytest

from opsroom.base.proportions import share_interval


def at_most(hits: int, cases: int, share: float) -> float:
    return sum(math.comb(cases, k) * share**k * (1 - share) ** (cases - k) for k in range(hits + 1))


@pytest.mark.parametrize(("hits", "cases"), [(0, 1), (1, 1), (2, 2), (1, 2), (3, 7), (0, 9), (17, 27)])
@pytest.mark.parametrize("level", [0.9, 0.99])
def test_at_its_ends_what_was_seen_is_just_too_unlikely(hits: int, cases: int, level: float) -> None:
    low, high = share_interval(hits, cases, level=level)
    tail = (1 - level) / 2
    assert 0 <= low <= hits / cases <= high <= 1
    assert low == 0 if not hits else 1 - at_most(hits - 1, cases, low) == pytest.approx(tail)
    assert high == 1 if hits == cases else at_most(hits, cases, high) == pytest.approx(tail)


def test_of_nothing_nothing_is_said() -> None:
    assert all(math.isnan(end) for end in share_interval(0, 0))
