"""The credit gap against the official BIS series and against Hodrick-Prescott filters on growing samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.linalg import solveh_banded

from opsroom.warn.credit_gap import BURN_IN, credit_gap, one_sided_trend

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "risk" / "bis_credit_to_gdp_2025Q4.csv"


def hp_end_point(y: np.ndarray, lamb: float) -> float:
    """Textbook HP filter: the last element of (I + lamb D'D)^-1 y."""
    n = len(y)
    d = np.diff(np.eye(n), 2, axis=0)
    full = np.eye(n) + lamb * d.T @ d
    banded = np.array([np.pad(np.diagonal(full, k), (k, 0)) for k in (2, 1, 0)])
    return float(solveh_banded(banded, y)[-1])


@pytest.mark.parametrize("lamb", [1_600.0, 400_000.0])
def test_one_pass_equals_filters_on_growing_samples(lamb: float) -> None:
    rng = np.random.default_rng(3)
    y = 80.0 + np.cumsum(rng.normal(0.3, 1.5, 160))
    ours = one_sided_trend(y, lamb=lamb)
    direct = [hp_end_point(y[: t + 1], lamb) for t in range(2, len(y))]
    assert np.max(np.abs(ours[2:] - direct)) < 1e-6
    assert np.isnan(ours[0])
    assert ours[1] == y[1]


@pytest.mark.shared_data
def test_official_gaps_are_reproduced() -> None:
    """Tolerance 5e-5: the BIS publishes four decimals (data flow WS_CREDIT_GAP, 2025Q4)."""
    if not DATA.is_file():
        pytest.skip("the folder of shared data is not beside the checkout")
    table = pd.read_csv(DATA)
    checked = 0
    for _, one in table.groupby("iso2"):
        found = credit_gap(one["ratio"])
        official = one["gap"].to_numpy()
        known = ~np.isnan(official)
        if known.any():
            assert np.max(np.abs(found.gap.to_numpy()[known] - official[known])) <= 5.1e-5
            assert np.max(np.abs(found.trend.to_numpy()[known] - one["trend"].to_numpy()[known])) <= 5.1e-5
            assert int(np.flatnonzero(known)[0]) == BURN_IN
            checked += int(known.sum())
        assert found.gap.notna().sum() == len(one) - BURN_IN
    assert checked == 1912
