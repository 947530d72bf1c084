"""The credit gap's edges: holes, short series, units of the buffer guide."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.warn.credit_gap import BURN_IN, buffer_guide, credit_gap, one_sided_trend


def test_buffer_guide_is_basels() -> None:
    assert buffer_guide([-30.0, 2.0, 6.0, 10.0, 40.0]).tolist() == [0.0, 0.0, 1.25, 2.5, 2.5]
    assert np.isnan(buffer_guide([np.nan])[0])


def test_a_straight_line_has_no_gap() -> None:
    line = pd.Series(50.0 + 0.7 * np.arange(100), index=pd.period_range("1990Q1", periods=100, freq="Q"))
    found = credit_gap(line)
    assert found.gap.isna().sum() == BURN_IN
    assert found.gap.abs().max() < 1e-8
    assert found.gap.index.equals(line.index)
    assert "buffer guide 0.00" in found.summary()


def test_history_decides_not_the_future() -> None:
    rng = np.random.default_rng(1)
    y = 100.0 + np.cumsum(rng.normal(size=120))
    full, cut = credit_gap(y), credit_gap(y[:90])
    assert np.array_equal(full.gap.to_numpy()[:90], cut.gap.to_numpy(), equal_nan=True)


@pytest.mark.parametrize("hole", [[5], [1, 2, 3], [50, 51], [1, 60]])
def test_holes_are_bridged_as_the_smoother_would(hole: list[int]) -> None:
    rng = np.random.default_rng(2)
    y = 80.0 + np.cumsum(rng.normal(size=80))
    y[hole] = np.nan
    lamb, n = 400.0, len(y)
    ours = one_sided_trend(y, lamb=lamb)
    for end in (6, 20, n):
        d = np.diff(np.eye(end), 2, axis=0)
        weight = np.diag((~np.isnan(y[:end])).astype(float))
        direct = np.linalg.solve(weight + lamb * d.T @ d, np.where(np.isnan(y[:end]), 0.0, y[:end]))
        assert ours[end - 1] == pytest.approx(direct[-1], abs=1e-6)


def test_what_cannot_be_answered_is_refused() -> None:
    with pytest.raises(UsageError, match="positive"):
        credit_gap([1.0, 2.0], lamb=0.0)
    with pytest.raises(FitError, match="two observations"):
        credit_gap([1.0, np.nan])
    with pytest.raises(FitError, match="infinite"):
        credit_gap([1.0, np.inf, 2.0])
    for words in (["a", "b", "c"], pd.Series(["a", "b", "c"])):
        with pytest.raises(UsageError, match="no number"):
            credit_gap(words)
    with pytest.raises(UsageError, match="one series"):
        credit_gap(np.ones((4, 2)))
