"""The backtest with weekly and daily tables: the same call, vintages from a store, the calendar that they tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast import (
    DynamicFactorModel,
    FineVintage,
    SeriesSpec,
    backtest,
    learn_lags,
    pseudo_vintages,
    vintage_lags,
    vintages_from,
)
from opsroom.measure.nowcast.calendar import first_seen
from opsroom.measure.nowcast.fine.grid import gather
from opsroom.measure.nowcast.fine.twin import dense
from opsroom.measure.nowcast.spec import Transform

LAGS = {"w0": 4, "w1": 11, "out": 40, "gdp": 45}
SPECS = [
    SeriesSpec("w0", "W", "pch"), SeriesSpec("w1", "W", "pch"), SeriesSpec("out", "M", "pch"),
    SeriesSpec("gdp", "Q", "pch"),
]  # fmt: skip


def store(weeks: int = 290) -> pd.DataFrame:
    """Levels that follow one weekly walk, known so many days after their periods; a first figure of GDP is revised."""
    rng = np.random.default_rng(5)
    walk = np.convolve(rng.normal(size=weeks + 39), 0.9 ** np.arange(40), mode="valid") / 8
    index = pd.period_range("2014-01-06", periods=weeks, freq="W-SUN")
    thursday = index.start_time + pd.Timedelta(days=3)
    level = pd.Series(100 * np.exp(walk.cumsum() / 100), index=thursday)
    parts = []
    for name, noise in (("w0", 0.15), ("w1", 0.3)):
        noisy = 100 * np.exp((walk + noise * rng.normal(size=weeks)).cumsum() / 100)
        parts.append(pd.DataFrame({"series": name, "period": thursday, "value": noisy, "end": index.end_time}))
    for name, rule, noise in (("out", "M", 0.3), ("gdp", "Q", 0.1)):
        mean = level.groupby(level.index.to_period(rule)).mean()[1:-1]
        growth = mean.pct_change().fillna(0.0) + noise / 100 * rng.normal(size=len(mean))
        value = 100 * (1 + growth).cumprod()
        part = {"series": name, "period": mean.index.start_time, "value": value.to_numpy(), "end": mean.index.end_time}
        parts.append(pd.DataFrame(part))
    table = pd.concat(parts, ignore_index=True)
    late = pd.to_timedelta(table["series"].map(LAGS), unit="D")
    table["known_at"] = table["end"].dt.normalize() + late + pd.Timedelta(hours=9)
    again = table[table["series"] == "gdp"].assign(known_at=lambda t: t["known_at"] + pd.Timedelta(days=60))
    return pd.concat([table, again.assign(value=again["value"] * 1.001)], ignore_index=True).drop(columns="end")


STORE = store()
DAYS = pd.date_range("2018-06-10", periods=6, freq="63D")
VINTAGES = vintages_from(STORE, DAYS, SPECS, base="W")
MODEL = DynamicFactorModel(idiosyncratic="iid")


@dataclass(frozen=True)
class Told:
    mean: float
    sd: float


def newest_week(monthly: object, quarterly: object, target: str, period: object, *, weekly: pd.DataFrame) -> Told:
    return Told(float(weekly["w0"].dropna().iloc[-1]), 1.0)


def months_only(monthly: pd.DataFrame, quarterly: object, target: str, period: object) -> Told:
    return Told(float(monthly["out"].dropna().iloc[-1]), 1.0)


def test_weeks_count_in_the_same_call_and_each_row_is_the_fitted_models(tmp_path: Path) -> None:
    models = {"weeks": MODEL, "newest week": newest_week, "months": months_only}
    done = backtest(VINTAGES, "gdp", models, cache=tmp_path)
    assert done.refused == ()
    rows = done.frame.set_index(["model", "day", "period"])["mean"]
    start = None
    for k, (day, vintage) in enumerate(VINTAGES.items()):
        fitted = MODEL.fit(vintage.monthly, vintage.quarterly, weekly=vintage.weekly, start=start)
        start = fitted.parameters
        for (_, period), mean in rows.loc["weeks"].loc[[day]].items():
            assert mean == pytest.approx(fitted.nowcast("gdp", period).mean, abs=1e-10)
        assert rows.loc["newest week"].loc[day].iloc[0] == vintage.weekly["w0"].dropna().iloc[-1]
        assert rows.loc["months"].loc[day].iloc[0] == vintage.monthly["out"].dropna().iloc[-1]
        if k == 0:
            # The plain definition at the same parameters: the conditional mean of dense covariances.
            tables = {"M": vintage.monthly, "Q": vintage.quarterly, "W": vintage.weekly}
            row = gather(tables).row("gdp", period)
            grid = gather(tables).through(row)
            column = grid.column("gdp")
            p = fitted.parameters
            plain = dense(p, replace(grid, values=(grid.values - p.center) / p.scale))
            mean = plain.mean[plain.cells.index((row, column))]
            assert rows.loc["weeks"].loc[day, period] == pytest.approx(p.center[column] + p.scale[column] * mean)
    pd.testing.assert_frame_equal(backtest(VINTAGES, "gdp", models, cache=tmp_path).frame, done.frame)
    assert len(list(tmp_path.glob("*.pkl"))) == 1  # functions are computed anew
    # Without the weeks the same model, on the same months and quarters, is much worse.
    bare = {day: (v.monthly, v.quarterly) for day, v in VINTAGES.items()}
    slow = backtest(bare, "gdp", {"months": MODEL}).scores().set_index("model")["rmse"]
    fast = done.scores().set_index("model")["rmse"]
    assert fast["weeks"] < 0.7 * slow["months"]
    assert fast["AR(1)"] == pytest.approx(slow["AR(1)"])
    with pytest.raises(UsageError, match="3 tables"):
        backtest({DAYS[0]: (*bare[DAYS[0]], bare[DAYS[0]][0])}, "gdp", {})  # type: ignore[dict-item]  # on purpose


def test_nothing_that_came_later_changes_an_earlier_nowcast() -> None:
    cut = DAYS[3]
    wild = STORE.assign(value=STORE["value"].where(STORE["known_at"] <= cut + pd.Timedelta(days=1), 7.0))
    days = DAYS[2:5]
    a, b = (
        backtest(vintages_from(values, days, SPECS, base="W"), "gdp", {"weeks": MODEL}, tol=1e-4).frame
        for values in (STORE, wild)
    )
    kept = ["day", "model", "period", "mean", "sd", "q05", "q95"]
    a, b = (t.loc[t["day"] <= cut, kept].reset_index(drop=True) for t in (a, b))
    assert len(a)
    pd.testing.assert_frame_equal(a, b)


def test_a_series_that_comes_late_begins_the_search_anew() -> None:
    """Before its first day the model is one of months; the parameters of another panel are nowhere begun from."""
    some = list(VINTAGES.items())[:2]
    mixed = {day: ((v.monthly, v.quarterly) if k == 0 else v) for k, (day, v) in enumerate(some)}
    found = backtest(mixed, "gdp", {"weeks": MODEL})
    assert found.refused == ()
    for day, vintage in some[1:2]:
        alone = MODEL.fit(vintage.monthly, vintage.quarterly, weekly=vintage.weekly)
        own = found.frame[(found.frame["day"] == day) & (found.frame["model"] == "weeks")]
        for period, mean in zip(own["period"], own["mean"], strict=True):
            assert mean == pytest.approx(alone.nowcast("gdp", period).mean, abs=1e-10)


def test_the_calendar_is_learnt_from_the_vintages_and_cuts_final_data_as_they_were() -> None:
    daily = vintages_from(STORE, pd.date_range("2018-07-28", "2018-08-18"), SPECS, base="W")
    assert vintage_lags(daily) == LAGS
    assert learn_lags(first_seen(STORE, SPECS)) == LAGS
    assert vintage_lags(daily, before="2018-07-29") == {}
    sparse = backtest(VINTAGES, "gdp", {}).lags
    ages = {name: sparse[name] - LAGS[name] for name in LAGS}
    # Nine weeks apart vintages tell a weekly lag to a week, never too short; a quarter's within the gap.
    assert 0 <= ages["w0"] <= 7
    assert 0 <= ages["w1"] <= 7
    assert all(0 <= age <= 63 for age in ages.values())
    latest = vintages_from(STORE, ["2019-12-01"], SPECS, base="W")[pd.Timestamp("2019-12-01")]
    cut = pseudo_vintages(latest, vintage_lags(daily), DAYS[:3])
    for day, vintage in cut.items():
        assert isinstance(vintage, FineVintage)
        for frequency, table in vintage.tables().items():
            true = VINTAGES[day].tables()[frequency]
            for name in table:
                assert table[name].last_valid_index() == true[name].last_valid_index()


def test_days_become_weeks_and_transforms_say_what_is_a_level() -> None:
    days = pd.date_range("2020-01-01", periods=24)  # from a Wednesday on: the first week has five days
    values = pd.DataFrame({"series": "load", "period": days, "known_at": days, "value": np.arange(24.0) + 10})
    gdp = pd.DataFrame({"series": "gdp", "period": ["2019-10-01"], "known_at": ["2020-01-05"], "value": [100.0]})
    values = pd.concat([values, gdp.astype({"period": "datetime64[ns]", "known_at": "datetime64[ns]"})])
    specs = [SeriesSpec("load", "D", "lin"), SeriesSpec("gdp", "Q", "pch")]
    (weekly,) = vintages_from(values, ["2020-01-22"], specs, base="W").values()
    assert weekly.levels == ("load",)
    assert weekly.weekly is not None
    assert weekly.weekly["load"].tolist() == [12.0, 18.0, 25.0]  # the fourth week has three days of seven
    daily = vintages_from(values, ["2020-01-21"], [SeriesSpec("load", "D", "chg"), specs[1]], base="D")
    (vintage,) = daily.values()
    assert vintage.levels == ()
    assert vintage.daily is not None
    assert vintage.daily["load"].tolist() == [1.0] * 20
    with pytest.raises(UsageError, match="base"):
        vintages_from(values, ["2020-01-24"], specs, base="Y")  # type: ignore[call-overload]  # on purpose
    with pytest.raises(UsageError, match="several values"):
        vintages_from(values, ["2020-01-24"], [SeriesSpec("load", "W", "lin"), specs[1]], base="W")


def daily_of(days: pd.DatetimeIndex, values: np.ndarray, transform: Transform) -> pd.Series:
    """Return a daily series as the vintage of its last day has it."""
    table = pd.DataFrame({"series": "rate", "period": days, "known_at": days, "value": values})
    gdp = pd.DataFrame(
        {"series": "gdp", "period": days[:1] - pd.Timedelta(days=90), "known_at": days[:1], "value": [100.0]}
    )
    specs = [SeriesSpec("rate", "D", transform), SeriesSpec("gdp", "Q", "pch")]
    (vintage,) = vintages_from(pd.concat([table, gdp]), [days[-1]], specs, base="D").values()
    assert vintage.daily is not None
    return vintage.daily["rate"].dropna()


def test_a_series_of_working_days_grows_over_the_weekend() -> None:
    every = pd.date_range("2020-01-06", periods=84)  # from a Monday on, twelve weeks
    rng = np.random.default_rng(2)
    work = every[every.day_of_week < 5]
    level = 100.0 * np.exp(np.cumsum(0.01 * rng.normal(size=len(work))))
    assert list(daily_of(work, level, "chg").index.to_timestamp()) == list(work[1:])
    np.testing.assert_allclose(daily_of(work, level, "chg"), np.diff(level))
    np.testing.assert_allclose(daily_of(work, level, "pch"), 100 * (level[1:] / level[:-1] - 1))
    np.testing.assert_allclose(daily_of(work, level, "pca"), 100 * ((level[1:] / level[:-1]) ** 260 - 1))
    np.testing.assert_allclose(daily_of(work, level, "log"), 100 * np.log(level))
    # A holiday is a hole like any other: neither its own change is known nor that of the day after.
    kept = work != pd.Timestamp("2020-01-22")
    found = daily_of(work[kept], level[kept], "chg")
    assert sorted(set(work[1:]) - set(found.index.to_timestamp())) == [pd.Timestamp(f"2020-01-{d}") for d in (22, 23)]
    # One Saturday that was worked counts, and the Monday after it grows from there.
    extra = work.append(pd.DatetimeIndex(["2020-02-08"])).sort_values()
    values = np.arange(float(len(extra))) ** 2
    np.testing.assert_allclose(daily_of(extra, values, "chg"), np.diff(values))
    # Rest on Friday and Saturday; and a series of all days, of which one Sunday is not known.
    other = every[~every.day_of_week.isin([4, 5])]
    np.testing.assert_allclose(daily_of(other, values[: len(other)], "chg"), np.diff(values[: len(other)]))
    gap = every != pd.Timestamp("2020-01-26")
    found = daily_of(every[gap], np.arange(84.0)[gap], "chg")
    assert len(found) == 81
    assert set(found) == {1.0}
    # On a year: the same weekday, 52 weeks before.
    long = pd.bdate_range("2018-01-01", "2019-12-31")
    found = daily_of(long, np.arange(float(len(long))), "ch1")
    assert set(found) == {260.0}
    assert found.index[0].to_timestamp() == long[0] + pd.Timedelta(days=364)
