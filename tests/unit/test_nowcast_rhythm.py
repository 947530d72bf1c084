"""Parameters learnt in a rhythm: as of which day, the same cold and warm, and news that say when they were."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast import SeriesSpec, Settings, first_growth, learn, learning_days, nowcast, rehearse
from opsroom.measure.nowcast.results import NowcastResult

SPECS = (
    SeriesSpec("gdp", "Q", "pch", publication_lag_days=45),
    *(SeriesSpec(f"m{i}", "M", "pch", publication_lag_days=20) for i in range(4)),
)
MODEL = Settings(min_quarters=16, tolerance=1e-5)


def economy() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    months = 110
    f = np.zeros(months)
    for t in range(1, months):
        f[t] = 0.8 * f[t - 1] + rng.normal(0, 0.3)
    day = pd.date_range("2008-01-01", periods=months, freq="MS")
    noise = [rng.normal(0, 0.3, months) for _ in range(4)]
    levels = {f"m{i}": 100 * np.cumprod(1 + (0.2 + 0.6 * f + e) / 100) for i, e in enumerate(noise)}
    rows = [pd.DataFrame({"series": name, "period": day, "value": level}) for name, level in levels.items()]
    output = pd.Series(100 * np.cumprod(1 + (0.15 + 0.4 * f + rng.normal(0, 0.1, months)) / 100), index=day)
    quarter = output.resample("QS").mean()
    rows.append(pd.DataFrame({"series": "gdp", "period": quarter.index, "value": quarter.to_numpy()}))
    table = pd.concat(rows, ignore_index=True)
    quarterly = table["series"] == "gdp"
    end = (table["period"] + pd.offsets.MonthEnd(0)).where(~quarterly, table["period"] + pd.offsets.QuarterEnd(0))
    return table.assign(known_at=end + pd.to_timedelta(np.where(quarterly, 45, 20), unit="D"))


TABLE = economy()
GDP = TABLE.loc[TABLE["series"] == "gdp", ["period", "known_at", "value"]]


def vintage(day: dt.date) -> pd.DataFrame:
    return TABLE[TABLE["known_at"] <= pd.Timestamp(day)][["series", "period", "value"]]


DAYS = st.dates(dt.date(2015, 1, 1), dt.date(2018, 12, 31))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 11), DAYS, st.booleans()), min_size=1, max_size=25),
    st.lists(DAYS, min_size=1, max_size=8),
)
def test_the_day_is_told_by_what_was_known_then(rows: list[tuple[int, dt.date, bool]], asked: list[dt.date]) -> None:
    """Brute force: the first day on which the newest quarter known by a day was known. What came later is unseen."""
    quarters = pd.period_range("2015Q1", periods=12, freq="Q")
    table = pd.DataFrame(
        {
            "period": [quarters[k].start_time for k, _, _ in rows],
            "known_at": pd.to_datetime([day for _, day, _ in rows]),
            "value": [np.nan if empty else 1.0 for _, _, empty in rows],
        }
    )
    told = learning_days("release", table)
    for day in asked:
        known = [(k, when) for k, when, empty in rows if when <= day and not empty]
        newest = max((k for k, _ in known), default=None)
        expected = min((when for k, when in known if k == newest), default=day)
        assert told(day) == expected
        assert learning_days("release", table[table["known_at"] <= pd.Timestamp(day)])(day) == expected
        assert learning_days("month", table)(day) == day.replace(day=1)
        assert learning_days("day", table)(day) == day


def test_days_are_the_rooms_and_a_rhythm_must_be_known() -> None:
    late = pd.DataFrame({"period": ["2019-10-01"], "known_at": [pd.Timestamp("2020-02-13T23:30Z")], "value": [1.0]})
    assert learning_days("release", late, timezone="Europe/Vienna")(dt.date(2020, 3, 1)) == dt.date(2020, 2, 14)
    assert learning_days("release", late)(dt.date(2020, 3, 1)) == dt.date(2020, 2, 13)
    with pytest.raises(UsageError, match="not known"):
        learning_days("year", late)  # type: ignore[arg-type]  # refused at run time


def cold(day: dt.date, on: Callable[[dt.date], dt.date]) -> NowcastResult:
    """Nowcast a day with nothing at hand but the vintages up to it."""
    learnt = learn(vintage(on(day)), target="gdp", as_of=on(day), specs=SPECS, settings=MODEL)
    return nowcast(vintage(day), target="gdp", as_of=day, specs=SPECS, settings=MODEL, learnt=learnt)


def test_a_rehearsal_learns_when_a_quarter_is_released_and_is_the_same_cold() -> None:
    on = learning_days("release", GDP)
    days = [d.date() for d in pd.date_range("2015-01-20", "2015-09-30", freq="35D")]
    arguments: dict[str, Any] = {
        "target": "gdp",
        "specs": SPECS,
        "first_releases": first_growth(GDP),
        "settings": MODEL,
    }
    asked: list[dt.date] = []

    def panel(day: dt.date) -> pd.DataFrame:
        asked.append(day)
        return vintage(day)

    whole = rehearse(panel, days, learn_on=on, **arguments)
    assert set(whole.models) == {on(day) for day in days}
    assert len(whole.models) == 4 < len(days)
    assert sorted(asked) == sorted([*days, *(set(whole.models) - set(days))])  # each vintage is read once
    # The first day's parameters are learnt from no other: cold, it is the same to the last digit.
    first = cold(days[0], on)
    assert whole.frame["growth"].iloc[0] == first.quarters[0].growth
    assert whole.frame["deviation"].iloc[0] == first.quarters[0].deviation
    # Continued, and with models handed over, it is the same; what is handed over is not learnt again.
    part = rehearse(vintage, days[:3], learn_on=on, **arguments)
    more = rehearse(vintage, days, learn_on=on, earlier=part, models=whole.models, **arguments)
    pd.testing.assert_frame_equal(more.frame, whole.frame)
    late = max(whole.models)
    assert more.models[late] is whole.models[late]
    again = learn(vintage(late), target="gdp", as_of=late, specs=SPECS, settings=MODEL, start=part.begin(late))
    assert not again.model.parameters.equals(whole.models[late].parameters)  # begun elsewhere, it ends elsewhere
    begun = whole.begin(late)
    again = learn(vintage(late), target="gdp", as_of=late, specs=SPECS, settings=MODEL, start=begun)
    assert again.model.parameters.equals(whole.models[late].parameters)


def test_news_speak_of_the_parameters_only_where_they_were_learnt_anew() -> None:
    on = learning_days("release", GDP)
    before, between, after = (cold(dt.date(2015, m, d), on) for m, d in ((6, 1), (6, 25), (8, 20)))
    assert (before.learnt_on, between.learnt_on, after.learnt_on) == (
        dt.date(2015, 5, 15), dt.date(2015, 5, 15), dt.date(2015, 8, 14),
    )  # fmt: skip
    quiet, loud = between.news(before, quarter="2015-Q3"), after.news(between, quarter="2015-Q3")
    for news, later in ((quiet, between), (loud, after)):
        assert news.after == pytest.approx(later.quarter("2015-Q3").growth, abs=1e-12)
        assert news.total == pytest.approx(news.after - news.before, abs=1e-10)
    assert "parameters" not in set(quiet.to_frame()["kind"])
    assert {"release", "weights"} <= set(quiet.to_frame()["kind"])
    assert "parameters" in set(loud.to_frame()["kind"])
    assert "learnt on 2015-05-15" in between.summary()


def test_another_set_of_series_is_learnt_from_the_day_itself() -> None:
    day, on = dt.date(2015, 6, 25), dt.date(2015, 5, 15)
    fewer = learn(vintage(on), target="gdp", as_of=on, specs=SPECS[:-1], settings=MODEL)
    found, own = (
        nowcast(vintage(day), target="gdp", as_of=day, specs=SPECS, settings=MODEL, learnt=learnt, quarters_ahead=0)
        for learnt in (fewer, None)
    )
    assert found.learnt_on == day
    assert found.point == own.point
    assert [q.quarter for q in found.quarters] == ["2015-Q2"]
    other = replace(fewer.model.parameters, center=fewer.model.parameters.center + 1e-12)
    assert fewer.model.parameters.equals(replace(other, center=fewer.model.parameters.center))
    assert not fewer.model.parameters.equals(other)
