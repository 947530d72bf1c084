"""Seasonal adjustment: regressors by hand, planted effects found, gaps and outliers, X-13's files written and read."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dateutil.easter import easter
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import FitError, UsageError
from opsroom.base.results import Charted, Result
from opsroom.measure.seasonal import (
    Event,
    easter_share,
    event_share,
    leap_year,
    seasonal_adjust,
    seasonal_adjust_all,
    trading_days,
)
from opsroom.measure.seasonal import x13 as engine
from opsroom.measure.seasonal.result import qs_test
from opsroom.measure.seasonal.terms import _easter, intervention
from opsroom.measure.seasonal.x13 import X13Settings, read_diagnostics, read_table, write_spec

MONTHS = pd.period_range("2005-01", periods=168, freq="M")
NEW_YEAR = Event(
    tuple(
        dt.date.fromisoformat(d)
        for d in (
            "2005-02-09", "2006-01-29", "2007-02-18", "2008-02-07", "2009-01-26", "2010-02-14", "2011-02-03",
            "2012-01-23", "2013-02-10", "2014-01-31", "2015-02-19", "2016-02-08", "2017-01-28", "2018-02-16",
            "2019-02-05", "2020-01-25",
        )
    ),
    before=10, after=5,
)  # fmt: skip


def planted(seed: int = 0, *, index: pd.PeriodIndex = MONTHS, log: bool = True) -> tuple[pd.Series, pd.Series]:
    """Return a series and its true adjusted form: a wandering level, season, trading days, Easter, New Year."""
    rng = np.random.default_rng(seed)
    n, period = len(index), 12 if index.freqstr.startswith("M") else 4
    season = rng.normal(0, 0.08, period)
    season -= season.mean()
    days = trading_days(index, contrasts=1)["working"].to_numpy()
    calendar = 0.008 * days + 0.05 * easter_share(index).to_numpy() - 0.06 * event_share(index, NEW_YEAR).to_numpy()
    level = 5 + 0.003 * np.arange(n) + np.cumsum(rng.normal(0, 0.008, n)) + rng.normal(0, 0.008, n)
    effect = season[np.arange(n) % period] + calendar
    if log:
        return pd.Series(np.exp(level + effect), index=index), pd.Series(np.exp(level), index=index)
    return pd.Series(100 * (level - 5 + effect), index=index), pd.Series(100 * (level - 5), index=index)


@settings(max_examples=12)
@given(start=st.integers(1995, 2025), quarterly=st.booleans())
def test_trading_days_are_counted_right(start: int, quarterly: bool) -> None:
    index = pd.period_range(f"{start}-01", periods=8, freq="Q" if quarterly else "M")
    table = trading_days(index)
    for period in index:
        days = [d.day_of_week for d in pd.date_range(period.start_time.normalize(), period.end_time.normalize())]
        for k, name in enumerate(table.columns):
            assert table.loc[period, name] == days.count(k) - days.count(6)
    one = trading_days(index, contrasts=1)["working"]
    assert np.allclose(one, table[["Mon", "Tue", "Wed", "Thu", "Fri"]].sum(axis=1) - 2.5 * table["Sat"])


def test_public_holidays_count_as_sundays_and_christmas_stays_seasonal() -> None:
    index = pd.period_range("2018-01", "2019-12", freq="M")
    plain, austria = trading_days(index), trading_days(index, country="AT")
    # In June 2019, not in June 2018: Whit Monday (a Monday less, a Sunday more) and Corpus Christi (a Sunday more).
    gap = austria - plain
    assert gap.loc["2019-06", "Mon"] - gap.loc["2018-06", "Mon"] == pytest.approx(-3.0)
    assert gap.loc["2019-06", "Tue"] - gap.loc["2018-06", "Tue"] == pytest.approx(-2.0)
    long = pd.period_range("1990-01", "2029-12", freq="M")
    means = trading_days(long, country="AT").groupby(long.month).mean()
    assert np.abs(means.to_numpy()).max() < 1e-12
    with pytest.raises(UsageError, match="OPS-U020"):
        trading_days(index, country="XX")


def test_leap_years_and_easter() -> None:
    assert [_easter(y) for y in range(1583, 2300)] == [easter(y) for y in range(1583, 2300)]
    index = pd.period_range("1999-01", "2001-12", freq="M")
    leap = leap_year(index)
    assert [leap["1999-02"], leap["2000-02"], leap["2001-02"], leap["2000-03"]] == [-0.25, 0.75, -0.25, 0.0]
    share = easter_share(pd.period_range("2017-01", "2018-12", freq="M"), window=8)
    # 2018 on 1 April, all eight days before it in March; 2017 on 16 April, none of them.
    assert share["2018-03"] - share["2017-03"] == pytest.approx(1.0)
    assert share["2018-03"] + share["2018-04"] == pytest.approx(0.0, abs=1e-12)
    assert share["2018-05"] == 0.0


def test_events_of_ones_own() -> None:
    index = pd.period_range("2005-01", "2020-12", freq="M")
    raw = event_share(index, NEW_YEAR, centre=False)
    assert raw["2009-01"] == pytest.approx(16 / 16)  # 26 January, ten days before to five after
    assert raw["2012-01"] == 1.0
    assert raw["2013-01"] == pytest.approx(1 / 16)  # 31 January
    assert raw.groupby(index.year).sum().eq(1.0).all()
    centred = event_share(index, NEW_YEAR)
    assert np.abs(centred.groupby(index.month).mean()).max() < 1e-12
    assert intervention(MONTHS, "ls2010-04")[["2010-03", "2010-04"]].tolist() == [-1.0, 0.0]
    assert intervention(MONTHS, "TC2010-04")[["2010-03", "2010-04", "2010-06"]].tolist() == [
        0.0,
        1.0,
        pytest.approx(0.49),
    ]
    with pytest.raises(UsageError, match="OPS-U192"):
        intervention(MONTHS, "AO2030-01")


@pytest.mark.parametrize("log", [True, False])
def test_planted_season_and_calendar_are_removed(log: bool) -> None:
    values, truth = planted(3, log=log)
    made = seasonal_adjust(values, events={"new year": NEW_YEAR}, rehearsals=0)
    assert made.transform == ("log" if log else "none")
    turn = np.log if log else np.asarray
    error = turn(made.adjusted.to_numpy()) - turn(truth.to_numpy())
    effect = turn(values.to_numpy()) - turn(truth.to_numpy())
    assert np.var(error) < 0.02 * np.var(effect)
    assert set(made.regressors["group"]) == {"trading days", "easter[8]", "new year"}
    want = (0.05, -0.06) if log else (5.0, -6.0)
    for name, coefficient in zip(("easter[8]", "new year"), want, strict=True):
        row = made.regressors.loc[name]
        assert row["coefficient"] == pytest.approx(coefficient, abs=4 * row["se"])
        assert row["se"] < 0.2 * abs(coefficient)
    parts = made.frame
    if log:
        assert np.allclose(parts["adjusted"] * parts["seasonal"] * parts["calendar"], parts["observed"])
        assert np.allclose(parts["trend"] * parts["irregular"], parts["adjusted"])
    else:
        assert np.allclose(parts["adjusted"] + parts["seasonal"] + parts["calendar"], parts["observed"])
    assert made.diagnostics["qs_observed"] < 1e-6
    assert made.diagnostics["qs_adjusted"] > 0.01


def test_no_calendar_effect_is_found_where_none_was_planted() -> None:
    rng = np.random.default_rng(8)
    kept = 0
    for _ in range(4):
        values = pd.Series(np.exp(4 + np.cumsum(rng.normal(0, 0.01, 120))), index=MONTHS[:120])
        kept += len(set(seasonal_adjust(values, rehearsals=0).regressors["group"]))
    assert kept <= 4  # of 12 groups tried; by chance one in six or so


def test_outliers_stay_in_the_adjusted_series_and_do_not_bend_the_season() -> None:
    values, truth = planted(4)
    values, truth = values.copy(), truth.copy()
    for one in (values, truth):
        one["2017-09":] *= 0.7
        one["2014-05"] *= 1.4
    words = ["LS2017-09", "AO2014-05"]
    made = seasonal_adjust(values, outliers=words, events={"new year": NEW_YEAR}, rehearsals=0)
    assert np.abs(np.log(made.adjusted / truth)).max() < 0.05
    assert made.regressors.loc["LS2017-09", "coefficient"] == pytest.approx(np.log(0.7), abs=0.06)
    assert np.diff(np.log(made.frame["trend"]))[MONTHS.get_loc("2017-09") - 1] < -0.2  # a level shift is trend
    assert made.frame.loc["2014-05", "irregular"] > 1.3  # an additive outlier is irregular


def test_a_shock_at_the_end_of_a_short_series_is_no_season() -> None:
    """Nobody has named it. With lines over the years for seasons, errors here are four times as large."""
    months = pd.period_range("2015-01", "2020-07", freq="M")
    squares = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        season = rng.normal(0, 0.06, 12)
        shock = np.where(months >= "2020-02", -0.25 * np.exp(-(np.arange(len(months)) - 61) / 2.5), 0.0)
        truth = 4 + np.cumsum(rng.normal(0.001, 0.006, len(months))) + shock + rng.normal(0, 0.006, len(months))
        values = pd.Series(np.exp(truth + (season - season.mean())[np.arange(len(months)) % 12]), index=months)
        made = seasonal_adjust(values, transform="log", calendar="none", rehearsals=0)
        squares.append(((np.log(made.adjusted) - truth)[-6:] ** 2).mean())
    assert np.sqrt(np.mean(squares)) < 0.008


def test_gaps_are_bridged_and_stay_gaps() -> None:
    values, _ = planted(5)
    holed = values.copy()
    holed.iloc[[30, 31, 90]] = np.nan
    made = seasonal_adjust(holed, events={"new year": NEW_YEAR}, rehearsals=0)
    assert made.adjusted.isna().sum() == 3
    whole = seasonal_adjust(values, events={"new year": NEW_YEAR}, rehearsals=0)
    assert np.abs(np.log(made.adjusted / whole.adjusted)).max() < 0.02
    assert made.frame["trend"].notna().all()


def test_bounds_cover_what_later_data_make_of_a_figure() -> None:
    """Rehearsed on the first fourteen years, scored on what three more years made of the last figures."""
    inside, needed, given = [], [], []
    index = pd.period_range("2005-01", periods=204, freq="M")
    for seed in (0, 1):
        values, _ = planted(seed, index=index)
        early = seasonal_adjust(values.iloc[:168], calendar="none", rehearsals=12)
        final = seasonal_adjust(values, calendar="none", rehearsals=0).adjusted
        last = early.frame.iloc[-12:]
        inside += ((last["lower"] <= final[last.index]) & (final[last.index] <= last["upper"])).tolist()
        width = np.log(early.frame["upper"] / early.frame["lower"]).to_numpy()
        assert (np.diff(width) >= -1e-12).all()  # younger figures are less certain
        assert "not errors or revisions of the data" in early.summary()
        needed.append(np.abs(np.log(final[last.index] / last["adjusted"])).quantile(0.9))
        given.append(width[-12:].mean() / 2)
    assert np.mean(inside) >= 0.75
    assert np.mean(given) <= 3 * np.mean(needed)  # and not by being as wide as one likes


def test_what_comes_later_does_not_change_what_was_said() -> None:
    values, _ = planted(6)
    poison = values.copy()
    poison.iloc[150:] = 1e9
    a = seasonal_adjust(values.iloc[:150], rehearsals=8)
    b = seasonal_adjust(poison.iloc[:150], rehearsals=8)
    pd.testing.assert_frame_equal(a.frame, b.frame, check_exact=True)
    # Rehearsals read no further than their end, either: the bounds of a series do not know its continuation.
    c = seasonal_adjust(pd.concat([values.iloc[:150], values.iloc[150:] * np.nan]), rehearsals=8)
    pd.testing.assert_frame_equal(a.frame, c.frame, check_exact=True)


def test_quarters_dates_and_what_a_result_can_do() -> None:
    index = pd.period_range("1995-01", periods=92, freq="Q")
    values, truth = planted(7, index=index)
    made = seasonal_adjust(values, rehearsals=0)
    assert np.var(np.log(made.adjusted / truth)) < 0.1 * np.var(np.log(values / truth))
    again = seasonal_adjust(values.set_axis(index.to_timestamp()), rehearsals=0)
    assert np.allclose(again.adjusted, made.adjusted)
    assert isinstance(made, Result)
    assert isinstance(made, Charted)
    assert "2017Q4: adjusted" in made.summary()
    assert "No bounds" in made.summary()
    assert "Cleveland" in made.cite()
    assert "2017-Q4" in " ".join(made.chart().to_dict()["title"]["text"])


def test_many_series_one_of_them_bad() -> None:
    values, _ = planted(9)
    table = pd.DataFrame({"a": values, "b": values.where(values.index > pd.Period("2017-01", "M")), "c": 2 * values})
    made, errors = seasonal_adjust_all(table, rehearsals=0, calendar="none")
    assert set(made) == {"a", "c"}
    assert np.allclose(made["c"].adjusted, 2 * made["a"].adjusted)
    assert errors["b"].code == "OPS-M153"


def test_specification_says_what_was_asked() -> None:
    values, _ = planted(0)
    holed = values.copy()
    holed.iloc[3] = np.nan
    longer = pd.period_range(MONTHS[0], MONTHS[-1] + 12)
    user = event_share(longer, NEW_YEAR).to_frame()
    text = write_spec(
        holed, transform="log", variables=("td", "ls2010.4"), tested=("td", "user"), user=user, kinds=("holiday",),
        settings=X13Settings(outliers=("ao",), critical=4.0, arima="(0 1 1)(0 1 1)", filters="s3x5"),
    )  # fmt: skip
    assert max(map(len, text.splitlines())) < 132
    for words in (
        "start=2005.1", "period=12", "-99999.0", "transform{ function=log }", "variables=(td ls2010.4)", "user=(u1)",
        "usertype=(holiday)", "aictest=(td user)", "arima{ model=(0 1 1)(0 1 1) }", "outlier{ types=(ao) critical=4 }",
        "seasonalma=s3x5", "maxlead=12",
    ):  # fmt: skip
        assert words in text
    data = text.split("data=(")[1].split(")")[0].split()
    assert len(data) == 168
    assert float(data[0]) == pytest.approx(values.iloc[0], rel=1e-14)
    regressor = text.split("data=(")[2].split(")")[0].split()
    assert len(regressor) == 180
    quarterly = write_spec(pd.Series(np.arange(20.0), index=pd.period_range("2001Q3", periods=20, freq="Q")))
    assert "start=2001.3" in quarterly
    assert "automdl{ }" in quarterly


def test_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "s.d11").write_text("date\ts.d11\n------\t-----\n200501\t+0.15E+03\n200503\t-0.5E+00\n")
    table = read_table(tmp_path / "s.d11", MONTHS[:3])
    assert table.iloc[[0, 2]].tolist() == [150.0, -0.5]
    assert np.isnan(table.iloc[1])
    (tmp_path / "q").write_text("date\ts.d11\n------\t-----\n200504\t+0.15E+03\n")
    assert read_table(tmp_path / "q", pd.period_range("2005Q4", periods=1, freq="Q")).tolist() == [150.0]
    (tmp_path / "s.udg").write_text(
        "finmode: additive\nnreg:   2\nTrading Day$Mon: +0.5E-02 0.2E-02 0.25E+01\n"
        "AutoOutlier$LS2015.Nov: -0.2E+00 0.1E-01 -0.2E+02\nnregderived:   1\n"
        "Trading Day$Sun: -0.1E-01 0.2E-02 -0.5E+01\nlbq$15: 25.9 10 0.004\nf3.q:  0.37\n"
    )
    facts, rows = read_diagnostics(tmp_path / "s.udg")
    assert facts["f3.q"] == "0.37"
    assert rows == {
        "Trading Day$Mon": (0.005, 0.002), "AutoOutlier$LS2015.Nov": (-0.2, 0.01), "Trading Day$Sun": (-0.01, 0.002),
    }  # fmt: skip


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"Install opsroom\[x13\]"):
        seasonal_adjust(planted(0)[0], method="x13")


def test_bad_calls_say_what_to_do() -> None:
    values, _ = planted(0)
    with pytest.raises(UsageError, match="OPS-U195"):
        seasonal_adjust(values.reset_index(drop=True))
    with pytest.raises(UsageError, match="OPS-U196"):
        seasonal_adjust(pd.concat([values, values.iloc[:1]]))
    with pytest.raises(UsageError, match="OPS-U194"):
        seasonal_adjust(values, level=90)
    with pytest.raises(UsageError, match="OPS-U190"):
        trading_days(MONTHS, contrasts=5)
    with pytest.raises(UsageError, match="OPS-U191"):
        easter_share(MONTHS, window=40)
    with pytest.raises(FitError, match="OPS-M153"):
        seasonal_adjust(values.iloc[:30])
    with pytest.raises(FitError, match="OPS-M154"):
        seasonal_adjust(values - 150, transform="log")
    assert seasonal_adjust(values - 150, rehearsals=0).transform == "none"
    assert np.isnan(qs_test(np.arange(5.0), 12))
