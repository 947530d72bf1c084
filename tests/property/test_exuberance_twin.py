"""The kernels against regressions by Householder reflections, window by window; what must not matter does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.warn.exuberance.sequences import plan_for, scaled, sequences

KINDS = (
    "walk",
    "near constant",
    "huge",
    "tiny",
    "explosive",
    "nearly exact",
    "flat start",
    "whole numbers",
    "two scales",
)


def series(kind: str, length: int, seed: int) -> np.ndarray:
    e = np.random.default_rng(seed).normal(size=length)
    walk, t = np.cumsum(e), np.arange(length)
    return {
        "walk": walk,
        "near constant": 1e9 + 1e-3 * walk,
        "huge": 1e300 * walk,
        "tiny": 1e-300 * walk,
        "explosive": np.exp(0.3 * t) + e,
        "nearly exact": 1.05**t * (1.0 + 1e-7 * e),
        "flat start": np.where(t < length // 2, 1.0, 1.0 + walk),
        "whole numbers": np.round(walk),
        "two scales": walk * np.where(t < length // 2, 1e-8, 1e8),
    }[kind]


def compare(y: np.ndarray, lags: int, *, bic: bool, window: int | None = None) -> None:
    plan = plan_for(len(y), "bic" if bic else lags, window, lags)
    fast = sequences(scaled(y)[None], plan)
    slow = sequences(scaled(y)[None], plan, compiled=False)
    for ours, oracle in ((fast.badf, slow.badf), (fast.bsadf, slow.bsadf)):
        assert np.array_equal(np.isnan(ours), np.isnan(oracle))
        assert np.allclose(ours, oracle, rtol=1e-8, atol=1e-8, equal_nan=True)


@settings(max_examples=24)
@given(kind=st.sampled_from(KINDS), lags=st.integers(0, 12), seed=st.integers(0, 10**6), more=st.integers(0, 9))
def test_kernels_equal_the_twin(kind: str, lags: int, seed: int, more: int) -> None:
    compare(series(kind, 2 * lags + 12 + more, seed), lags, bic=False, window=lags + 3 + more // 2)


@settings(max_examples=6)
@given(kind=st.sampled_from(KINDS[:-2]), most=st.integers(0, 5), seed=st.integers(0, 10**6))
def test_lags_chosen_in_each_window_equal_the_twin(kind: str, most: int, seed: int) -> None:
    compare(series(kind, 2 * most + 20, seed), most, bic=True)


@pytest.mark.parametrize("y", [0.1 * np.arange(50), np.sin(np.arange(50) * np.pi / 4), 1.05 ** np.arange(50)])
@pytest.mark.parametrize("lags", [0, 1, 4])
def test_series_without_noise_equal_the_twin(y: np.ndarray, lags: int) -> None:
    compare(y, lags, bic=False)


@settings(max_examples=8)
@given(
    seed=st.integers(0, 10**6), lags=st.integers(0, 3), power=st.integers(-40, 40), shift=st.floats(-1e6, 1e6),
)  # fmt: skip
def test_unit_and_origin_do_not_matter(seed: int, lags: int, power: int, shift: float) -> None:
    y = np.cumsum(np.random.default_rng(seed).normal(size=40))
    plan = plan_for(40, lags, None)
    plain = sequences(scaled(y)[None], plan).bsadf
    other = sequences(scaled(2.0**power * y)[None], plan).bsadf
    assert np.array_equal(plain, other, equal_nan=True)
    moved = sequences(scaled(y + shift)[None], plan).bsadf
    assert np.allclose(plain, moved, atol=1e-6, equal_nan=True)  # the shift itself rounds the steps


def test_long_windows_over_many_blocks_equal_the_twin_at_chosen_ends() -> None:
    """More starts and ends than a block holds: every sum is carried over correctly."""
    from opsroom.warn.exuberance import ols

    y = scaled(np.cumsum(np.random.default_rng(5).normal(size=420)))
    for lags in (0, 2):
        plan = plan_for(len(y), lags, 40)
        found = sequences(y[None], plan)
        for end in (39, 294, 296, len(y) - plan.lead - 1):
            starts = [ols.statistic(y, lags, start, end) for start in range(end - 38)]
            assert found.bsadf[0, end] == pytest.approx(max(starts), abs=1e-9)
            assert found.badf[0, end] == pytest.approx(starts[0], abs=1e-9)
