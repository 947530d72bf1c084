"""The credit gap against the official BIS series and against Hodrick-Prescott filters on growing samples."""

from __future__ import annotations

from decimal import Decimal, localcontext
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solveh_banded

from opsroom.warn.credit_gap import BURN_IN, credit_gap, one_sided_trend
from opsroom.warn.credit_gap.trend_kernel import one_sided


def penalty(n: int) -> np.ndarray:
    """Second differences of n quarters, squared: whole numbers."""
    d = np.diff(np.eye(n), 2, axis=0)
    return np.asarray(d.T @ d)


def hp_end_point(y: np.ndarray, lamb: float) -> float:
    """Textbook HP filter in doubles: the last element of (I + lamb D'D)^-1 y."""
    full = np.eye(len(y)) + lamb * penalty(len(y))
    banded = np.array([np.pad(np.diagonal(full, k), (k, 0)) for k in (2, 1, 0)])
    return float(solveh_banded(banded, y)[-1])


def exact_end_point(y: np.ndarray, lamb: float) -> float:
    """The same in 60 digits, with holes: (W + lamb D'D)^-1 W y. At lamb 400,000 doubles are off by 1e-8."""
    n, p = len(y), penalty(len(y))
    with localcontext() as context:
        context.prec = 60
        a = {
            (i, j): Decimal(int(p[i, j])) * Decimal(lamb) + (1 if i == j and not np.isnan(y[i]) else 0)
            for i in range(n)
            for j in range(max(0, i - 2), min(n, i + 3))
        }
        b = [Decimal(0) if np.isnan(v) else Decimal(float(v)) for v in y]
        for i in range(n):
            for j in range(i + 1, min(n, i + 3)):
                factor = a[j, i] / a[i, i]
                for k in range(i, min(n, i + 3)):
                    a[j, k] -= factor * a[i, k]
                b[j] -= factor * b[i]
        return float(b[-1] / a[n - 1, n - 1])


@pytest.mark.parametrize(("lamb", "tolerance"), [(1_600.0, 1e-9), (400_000.0, 5e-8)])
def test_one_pass_equals_filters_on_growing_samples(lamb: float, tolerance: float) -> None:
    rng = np.random.default_rng(3)
    y = 80.0 + np.cumsum(rng.normal(0.3, 1.5, 160))
    ours = one_sided_trend(y, lamb=lamb)
    direct = [hp_end_point(y[: t + 1], lamb) for t in range(2, len(y))]
    assert np.max(np.abs(ours[2:] - direct)) < tolerance
    assert np.isnan(ours[0])
    assert ours[1] == y[1]


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(3, 40),
    lamb=st.sampled_from([1.0, 1_600.0, 25_000.0, 400_000.0, 1e8]),
    holes=st.floats(0.0, 0.6),
    scale=st.sampled_from([1e-3, 1.0, 1e6]),
)
def test_the_trend_is_the_exact_solution(seed: int, n: int, lamb: float, holes: float, scale: float) -> None:
    """To 1e-9 of the series' size, with any holes, in any unit; checked in 60 digits."""
    rng = np.random.default_rng(seed)
    y = scale * (80.0 + np.cumsum(rng.normal(0.3, 1.5, n)))
    y[rng.random(n) < holes] = np.nan
    y[[0, n // 2]] = scale * 80.0, scale * 90.0
    ours = one_sided_trend(np.vstack([y, 2.0 * y]), lamb=lamb)
    assert abs(ours[0, -1] - exact_end_point(y, lamb)) <= 1e-9 * 80.0 * scale
    assert np.allclose(ours[1], 2.0 * ours[0], rtol=1e-13, atol=0.0, equal_nan=True)


def test_compiled_and_plain_loops_are_the_same() -> None:
    rng = np.random.default_rng(5)
    y = 100.0 + np.cumsum(rng.normal(size=(3, 60)), axis=1)
    y[1, [0, 2, 3, 30]] = y[2] = np.nan
    compiled, plain = np.full_like(y, np.nan), np.full_like(y, np.nan)
    one_sided(y, 400_000.0, compiled)
    one_sided.py_func(y, 400_000.0, plain)
    assert np.allclose(compiled, plain, rtol=1e-13, atol=0.0, equal_nan=True)
    assert np.isnan(compiled[2]).all()


@pytest.mark.shared_data
def test_official_gaps_are_reproduced(shared_data: Path) -> None:
    """Tolerance 5.1e-5: the BIS publishes four decimals (data flow WS_CREDIT_GAP, 2025Q4)."""
    table = pd.read_csv(shared_data / "risk" / "bis_credit_to_gdp_2025Q4.csv")
    checked, economies = 0, set()
    for code, one in table.groupby("iso2"):
        found = credit_gap(one["ratio"])
        official = one["gap"].to_numpy()
        known = ~np.isnan(official)
        if known.any():
            assert np.max(np.abs(found.gap.to_numpy()[known] - official[known])) <= 5.1e-5
            assert np.max(np.abs(found.trend.to_numpy()[known] - one["trend"].to_numpy()[known])) <= 5.1e-5
            assert int(np.flatnonzero(known)[0]) == BURN_IN
            checked += int(known.sum())
            economies.add(code)
        assert found.gap.notna().sum() == len(one) - BURN_IN
    assert checked == 1912
    assert economies == set(table.loc[table["gap"].notna(), "iso2"])
    assert len(table["iso2"].unique()) == 44
