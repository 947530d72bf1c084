"""Exuberance statistics against R's exuber 1.1.0 on real house prices of the United States, and its critical values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.warn.exuberance import gsadf, monte_carlo_values
from opsroom.warn.exuberance.sequences import plan_for, sequences


@pytest.fixture(scope="module")
def house_prices(shared_data: Path) -> pd.DataFrame:
    table = pd.read_csv(shared_data / "risk" / "bis_real_house_prices_16c_1970Q1_2025Q4.csv", index_col="date")
    return table.set_axis(pd.PeriodIndex(pd.to_datetime(table.index), freq="Q"), axis=0)


@pytest.mark.shared_data
@pytest.mark.parametrize("lags", [0, 1])
def test_sequences_are_exubers(shared_data: Path, house_prices: pd.DataFrame, lags: int) -> None:
    golden = pd.read_csv(shared_data / "risk" / "psy_golden_US_sequences.csv").query("lag == @lags")
    stats = pd.read_csv(shared_data / "risk" / "psy_golden_US_stats.csv").query("lag == @lags").iloc[0]
    y = house_prices["US"].to_numpy()
    plan = plan_for(len(y), lags, None)
    found = sequences(y[None], plan)
    known = ~np.isnan(found.badf[0])
    assert plan.least == stats["minw"]
    assert known.sum() == len(golden)
    assert np.max(np.abs(found.badf[0][known] - golden["badf"])) < 1e-8
    assert np.max(np.abs(found.bsadf[0][known] - golden["bsadf"])) < 1e-8
    ours = [found.adf[0], found.sadf[0], found.gsadf[0]]
    assert np.max(np.abs(np.array(ours) - stats[["adf", "sadf", "gsadf"]].to_numpy(dtype=float))) < 1e-8


@pytest.mark.shared_data
def test_critical_values_are_exubers_within_the_error_of_drawing(shared_data: Path) -> None:
    """Both are from 2,000 walks: about 0.05 at 90 and 95 %, 0.12 at 99 %, more where the density is thin (ADF)."""
    table = pd.read_csv(shared_data / "risk" / "psy_mc_cv_n224_nrep2000.csv").set_index("level")
    sequence = pd.read_csv(shared_data / "risk" / "psy_mc_bsadf_cv_sequence_n224.csv")
    ours = monte_carlo_values(224, draws=1999)
    gap = np.abs(ours.table.to_numpy() - table.to_numpy())
    assert gap[:, 1:].max(axis=1) == pytest.approx([0.0, 0.0, 0.0], abs=0.12)
    assert gap[:2, 1:].max() < 0.06
    assert gap[:, 0].max() < 0.1
    dated = ours.bsadf.dropna().to_numpy()
    assert dated.shape == sequence.shape
    assert np.abs(dated - sequence.to_numpy())[:, :2].max() < 0.15
    assert np.abs(dated - sequence.to_numpy()).mean() < 0.06


@pytest.mark.shared_data
def test_episodes_are_exubers(shared_data: Path, house_prices: pd.DataFrame) -> None:
    """Boundaries may move by two quarters with the draws; R's end is the first quarter below."""
    golden = pd.read_csv(shared_data / "risk" / "psy_golden_US_episodes.csv").query("lag == 0")
    found = gsadf(house_prices["US"]).episodes
    assert len(found) == len(golden)
    for ours, theirs in zip(found, golden.itertuples(), strict=True):
        for mine, other in ((ours.start, theirs.Start), (ours.peak, theirs.Peak), (ours.end + 1, theirs.End)):
            assert abs((mine - pd.Period(other, freq="Q")).n) <= 2
        assert ours.sign == {"positive": "boom", "negative": "crash"}[theirs.Signal]
