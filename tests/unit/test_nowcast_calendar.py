"""Vintages from a store of values, and from final data by learnt publication lags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast import SeriesSpec, first_seen, learn_lags, pseudo_vintages, vintages_from
from opsroom.measure.nowcast.frbny import panel_of, read_specification

SPECS = [SeriesSpec("ip", "M", "pch"), SeriesSpec("survey", "M", "lin"), SeriesSpec("gdp", "Q", "pca")]


def store() -> pd.DataFrame:
    rows = [
        ("ip", "2020-01-01", "2020-02-14T09:00", 100.0),
        ("ip", "2020-02-01", "2020-03-14T09:00", 110.0),
        ("ip", "2020-02-01", "2020-04-14T09:00", 105.0),
        ("ip", "2020-03-01", "2020-04-14T09:00", 84.0),
        ("survey", "2020-03-01", "2020-03-20T22:00", 7.0),
        ("survey", "2020-03-01", "2020-04-01T09:00", np.nan),
        ("gdp", "2019-12-01", "2020-01-30T09:00", 100.0),
        ("gdp", "2020-03-01", "2020-04-29T09:00", 99.0),
        ("other", "2020-03-01", "2020-04-29T09:00", 99.0),
    ]
    return pd.DataFrame(rows, columns=["series", "period", "known_at", "value"])


def test_each_day_sees_what_was_known_at_its_end() -> None:
    days = ["2020-03-13", "2020-03-14", "2020-03-20", "2020-04-14", "2020-04-29"]
    found = vintages_from(store(), days, SPECS)
    assert [str(day.date()) for day in found] == days
    ip = [pair[0]["ip"].dropna().round(6).tolist() for pair in found.values()]
    assert ip == [[], [10.0], [10.0], [5.0, -20.0], [5.0, -20.0]]
    survey = [pair[0]["survey"].dropna().tolist() for pair in found.values()]
    assert survey == [[], [], [7.0], [], []]
    monthly, quarterly = found[pd.Timestamp("2020-04-29")]
    assert str(monthly.index[-1]) == "2020-03"
    assert quarterly.loc["2020Q1", "gdp"] == pytest.approx(100 * (0.99**4 - 1))
    assert list(monthly) == ["ip", "survey"]
    with pytest.raises(UsageError, match="2019-12-31"):
        vintages_from(store(), ["2019-12-31"], SPECS)
    with pytest.raises(UsageError, match="known_at"):
        vintages_from(store().drop(columns="known_at"), days, SPECS)
    with pytest.raises(UsageError, match="two values"):
        vintages_from(pd.concat([store(), store()]), days, SPECS)


def test_what_a_day_sees_does_not_depend_on_what_came_later() -> None:
    full, cut = store(), store()[lambda t: t["known_at"] < "2020-03-15"]
    day = pd.Timestamp("2020-03-14")
    for a, b in zip(vintages_from(full, [day], SPECS)[day], vintages_from(cut, [day], SPECS)[day], strict=True):
        pd.testing.assert_frame_equal(a, b)


def test_final_data_are_cut_by_the_days_that_a_release_takes() -> None:
    months = pd.period_range("2020-01", periods=6, freq="M")
    latest = (
        pd.DataFrame({"ip": np.arange(6.0), "survey": np.arange(6.0)}, index=months),
        pd.DataFrame({"gdp": [1.0, 2.0]}, index=pd.period_range("2020Q1", periods=2, freq="Q")),
    )
    found = pseudo_vintages(latest, {"ip": 15, "survey": -8, "gdp": 29}, ["2020-04-14", "2020-04-15", "2020-04-29"])
    last = [[pair[0][n].last_valid_index().strftime("%Y-%m") for n in ("ip", "survey")] for pair in found.values()]
    assert last == [["2020-02", "2020-03"], ["2020-03", "2020-03"], ["2020-03", "2020-04"]]
    assert [len(pair[1]) for pair in found.values()] == [0, 0, 1]
    with pytest.raises(UsageError, match="survey"):
        pseudo_vintages(latest, {"ip": 15, "gdp": 29}, ["2020-04-14"])


@pytest.mark.shared_data
def test_new_york_fed_vintages_are_built_again_and_their_calendar_is_learnt(shared_data: Path) -> None:
    """Built from the values alone; and from lags learnt on earlier days only, the last known period of each series."""
    folder = shared_data / "nowcast"
    spec = read_specification(folder / "frbny_spec_us_example.csv")
    raw = pd.read_parquet(folder / "frbny_us_vintages_2016-06-29_2016-09-30.parquet")
    raw = raw[raw["series_id"].isin(list(spec.frequency))].astype({"series_id": str})
    days = sorted(raw["vintage"].unique())
    values = raw.rename(columns={"series_id": "series", "vintage": "known_at"})
    built = vintages_from(values, [days[0], days[-1]], spec.series())
    for day, pair in built.items():
        for own, wanted in zip(pair, panel_of(raw[raw["vintage"] == day], spec), strict=True):
            pd.testing.assert_frame_equal(own.dropna(how="all"), wanted.dropna(how="all"), check_freq=False)
    seen = first_seen(values, spec.series())
    newest = raw.groupby(["vintage", "series_id"])["period"].max()
    hits = []
    for day in days[22:]:
        lags = learn_lags(seen[seen["known_at"] < day])
        cut = pseudo_vintages(built[days[-1]], lags, [day])[pd.Timestamp(day)]
        for table in cut:
            hits += [table[name].last_valid_index() == newest[day, name].to_period(table.index.freq) for name in table]
    assert len(hits) == 23 * 25
    assert np.mean(hits) >= 0.9
