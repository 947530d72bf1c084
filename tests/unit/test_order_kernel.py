"""Sorting and searching in the compiled code of protection, against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from opsroom.protect.order_kernel import ascend, doubled, place


@pytest.mark.parametrize("size", [0, 1, 2, 3, 5, 41, 1000])
def test_values_come_out_as_numpy_sorts_them(size: int) -> None:
    draw = np.random.default_rng(size)
    for values in (
        draw.integers(0, 10**9, size),
        draw.integers(0, 5, size),  # many ties
        np.arange(size)[::-1].copy(),
        np.where(draw.random(size) < 0.2, np.nan, np.where(draw.random(size) < 0.1, np.inf, draw.normal(size=size))),
    ):
        found = values.copy()
        ascend(found, size)
        np.testing.assert_array_equal(found, np.sort(values))


def test_only_the_first_are_sorted() -> None:
    values = np.array([3, 1, 2, 0, -1])
    ascend(values, 3)
    assert values.tolist() == [1, 2, 3, 0, -1]


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64])
def test_a_place_is_where_numpy_finds_it(size: int) -> None:
    values = np.sort(np.random.default_rng(size).integers(0, 50, size))
    for wanted in range(-1, 52):
        assert place(values, size, wanted) == np.searchsorted(values, wanted)


def test_what_is_doubled_keeps_what_it_held() -> None:
    values = np.array([4, 5, 6], dtype=np.int32)
    out = doubled(values)
    assert (len(out), out.dtype) == (6, values.dtype)
    assert out[:3].tolist() == [4, 5, 6]
    out[0] = 9
    assert values[0] == 4
