"""Sorting by counting, and codes in place of words: the parts stay what they were."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.cells import _dense, _ranked, parts_from_units
from opsroom.measure.resumption.chains_kernel import add_up


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 30), max_size=80), st.sampled_from([31, 5000]))
def test_counting_sorts_as_a_stable_sort_does(keys: list[int], size: int) -> None:
    """Whether keys are counted (few possible) or sorted (many possible)."""
    found = np.array(keys, dtype=np.int64)
    rows = np.arange(len(found)) * 3
    assert _ranked(found, rows, size).tolist() == rows[np.argsort(found, kind="stable")].tolist()
    unique, at = np.unique(found, return_inverse=True)
    own, where = _dense(found, size)
    assert own.tolist() == unique.tolist()
    assert where.tolist() == at.tolist()


def test_numbered_categories_give_the_parts_that_words_give() -> None:
    """Categories out of order, and one that does not occur."""
    draw = np.random.default_rng(4)
    frame = pd.DataFrame(
        {
            "kind": np.array(["c", "a", "d"], dtype=object)[draw.integers(0, 3, 400)],
            "group": draw.integers(0, 90, 400),
            "points": draw.normal(size=400),
        }
    )
    numbered = frame.assign(kind=pd.Categorical(frame["kind"], categories=["d", "b", "c", "a"]))
    made = [parts_from_units(f, dimensions=["kind"], group="group", values={"p": "points"}) for f in (frame, numbered)]
    pd.testing.assert_frame_equal(made[0], made[1], check_exact=True)
    assert made[0]["kind"].tolist() == ["_T", "a", "c", "d"]


def test_a_meter_linked_twice_in_a_row_counts_as_if_linked_once() -> None:
    """One link takes the short way, two of the same meter the long one: slips, wild and missing readings alike."""
    draw = np.random.default_rng(5)
    n, days = 60, 50
    level = np.exp(draw.normal(8, 1, n)).astype(np.float32)
    values = (level[:, None] * np.exp(draw.normal(0, 0.3, (n, days)))).astype(np.float32)
    factor = draw.choice([1, 1000, 60, 1 / 1000, 0, np.nan, np.inf], p=[0.7] + [0.05] * 6, size=values.shape)
    values = (values * factor).astype(np.float32)
    row = np.where(np.arange(n) % 9 == 0, -1, np.arange(n)).astype(np.int32)
    low, high, middle = np.full(n, 2), np.full(n, 44), np.full(n, 20)

    def used(copies: int) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
        pairs = [(low, high)] if copies == 1 else [(low, middle), (middle, high)]
        begin, end = (np.column_stack([p[k] for p in pairs]).ravel() for k in (0, 1))
        ratio, active = np.empty((n // 2, days), np.float32), np.empty((n // 2, days), np.int8)
        counts = add_up(
            values, 3, np.repeat(row, copies), begin, end, np.full(n * copies, 0.5, np.float32),
            np.arange(n + 1) * copies, np.arange(n), np.arange(n // 2 + 1) * 2, level / 2, 28, 1000.0, 150.0,
            8000.0, 20.0, ratio, active,
        )  # fmt: skip
        return ratio, active, counts

    once, twice = used(1), used(2)
    np.testing.assert_array_equal(once[0], twice[0])
    np.testing.assert_array_equal(once[1], twice[1])
    assert once[2] == twice[2]
    assert min(once[2]) > 20
