"""Scores by vintage: as it stood when it was said, on the same targets as the benchmark."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import DataError
from opsroom.base.results import Charted, Result
from opsroom.evaluate.forecasts import score_vintages

SAID = pd.DataFrame(
    {
        "target": ["q1", "q1", "q2", "q2", "q3"],
        "vintage": ["v1", "v2", "v2", "v3", "v3"],
        "horizon": [60, 30, 60, 30, 60],
        "point": [1.0, 2.0, 3.0, 4.0, 9.0],
        "lower": [0.0, 1.5, 2.0, 3.9, 8.0],
        "upper": [2.0, 2.5, 3.5, 4.2, 9.5],
    }
)
HAPPENED = pd.DataFrame({"target": ["q1", "q2"], "outcome": [2.0, 4.0]})


def test_scores_by_horizon_by_hand() -> None:
    got = score_vintages(SAID, HAPPENED, by=("horizon",)).to_frame().set_index("horizon")
    assert got.loc[60, "n"] == 2  # q3 has not happened
    assert got.loc[60, "mae"] == 1.0
    assert got.loc[60, "bias"] == -1.0
    assert got.loc[60, "coverage"] == 0.5
    assert got.loc[30, "mae"] == 0.0
    assert got.loc[30, "coverage"] == 1.0
    assert got.loc[60, "interval_score"] == pytest.approx((2 + 1.5 + 20 * 0.5) / 2)


def test_benchmark_is_compared_on_common_targets_only() -> None:
    naive = pd.DataFrame({"target": ["q2"], "vintage": ["v2"], "point": [6.0], "method": ["naive"]})
    got = score_vintages(SAID, HAPPENED, naive).to_frame().set_index("method")
    assert got.loc["room", "n"] == 4
    assert got.loc["room", "rmse_ratio"] == pytest.approx(0.5)
    assert got.loc["naive", "rmse_ratio"] == 1.0
    assert math.isnan(got.loc["naive", "coverage"])


def test_test_says_who_is_better() -> None:
    rng = np.random.default_rng(1)
    n = 60
    base = pd.DataFrame({"target": np.arange(n), "vintage": np.arange(n)})
    outcome = rng.normal(size=n)
    ours = base.assign(point=outcome + rng.normal(0, 0.2, n))
    theirs = base.assign(point=outcome + rng.normal(0, 1.0, n), method="ar1")
    found = score_vintages(ours, base[["target"]].assign(outcome=outcome), theirs)
    assert found.tests["better"].item() == "room"
    assert found.tests["p_value"].item() < 0.01
    few = score_vintages(ours.iloc[:2], base[["target"]].assign(outcome=outcome), theirs)
    assert few.tests.empty


def test_result_speaks_and_has_cells() -> None:
    found = score_vintages(SAID, HAPPENED, by=("horizon",))
    assert isinstance(found, Result)
    assert isinstance(found, Charted)
    assert found.summary().startswith("room: 4 scored")
    assert "Harvey" in found.cite()
    assert "layer" in str(found.chart().to_dict())
    (cells,) = found.cells("scores.nowcast", against="truth")
    assert cells.dimensions == ("horizon", "method", "against")
    assert cells.frame["coverage"].tolist() == [100.0, 50.0]
    assert cells.frame["against"].unique().tolist() == ["truth"]


def test_nothing_scored_yet_is_an_empty_table() -> None:
    found = score_vintages(SAID, HAPPENED.iloc[:0])
    assert found.to_frame().empty
    assert found.summary() == ""


def test_refusals() -> None:
    with pytest.raises(DataError, match="OPS-D092"):
        score_vintages(SAID.drop(columns="point"), HAPPENED)
    with pytest.raises(DataError, match="OPS-D091"):
        score_vintages(pd.concat([SAID, SAID]), HAPPENED)
    with pytest.raises(DataError, match="OPS-D090"):
        score_vintages(SAID, pd.concat([HAPPENED, HAPPENED]))
