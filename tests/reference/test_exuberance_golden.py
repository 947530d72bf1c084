"""Exuberance statistics against R's exuber 1.1.0 on real house prices of the United States, and its critical values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

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
