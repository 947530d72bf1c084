"""The nowcast over time: calendar learnt from vintages, replays, intervals from past errors, frequencies."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast import SeriesSpec, Settings, first_growth, learn_lags, rehearse
from opsroom.measure.nowcast.benchmark import ar1, bridge
from opsroom.measure.nowcast.dfm.results import quantiles
from opsroom.measure.nowcast.engine import alike
from opsroom.measure.nowcast.panel import Panel, build_panel
from opsroom.measure.nowcast.releases import upcoming
from opsroom.room.desks.nowcast import lags_of

SPECS = (
    SeriesSpec("gdp", "Q", "pch", publication_lag_days=45),
    *(SeriesSpec(f"m{i}", "M", "pch", publication_lag_days=20) for i in range(4)),
)


def economy() -> pd.DataFrame:
    rng = np.random.default_rng(4)
    months = 132
    f = np.zeros(months)
    for t in range(1, months):
        f[t] = 0.8 * f[t - 1] + rng.normal(0, 0.3)
    day = pd.date_range("2008-01-01", periods=months, freq="MS")
    rows = []
    for i in range(4):
        level = 100 * np.cumprod(1 + (0.2 + 0.6 * f + rng.normal(0, 0.3, months)) / 100)
        rows.append(pd.DataFrame({"series": f"m{i}", "period": day, "value": level}))
    output = pd.Series(100 * np.cumprod(1 + (0.15 + 0.4 * f + rng.normal(0, 0.1, months)) / 100), index=day)
    quarter = output.resample("QS").mean()
    rows.append(pd.DataFrame({"series": "gdp", "period": quarter.index, "value": quarter.to_numpy()}))
    table = pd.concat(rows, ignore_index=True)
    end = table["period"] + pd.offsets.MonthEnd(0)
    end = end.where(table["series"] != "gdp", table["period"] + pd.offsets.QuarterEnd(0))
    return table.assign(known_at=end + pd.to_timedelta(np.where(table["series"] == "gdp", 45, 20), unit="D"))


TABLE = economy()


def vintage(day: dt.date) -> pd.DataFrame:
    return TABLE[TABLE["known_at"] <= pd.Timestamp(day)][["series", "period", "value"]]


def test_a_replay_beats_the_autoregression_and_can_be_continued() -> None:
    gdp = TABLE[TABLE["series"] == "gdp"]
    outcomes = first_growth(gdp[["period", "known_at", "value"]])
    days = [d.date() for d in pd.date_range("2015-01-25", "2018-06-30", freq="110D")]
    settings = Settings(min_quarters=16, tolerance=1e-5)
    whole = rehearse(vintage, days, target="gdp", specs=SPECS, first_releases=outcomes, settings=settings)
    assert whole.refused == ()
    assert whole.ratio() < 0.8
    assert 0.75 <= float(whole.scores()["coverage90"].iloc[0]) <= 1.0
    assert set(whole.frame["basis"]) == {"model", "past-errors"}
    part = rehearse(vintage, days[:8], target="gdp", specs=SPECS, first_releases=outcomes, settings=settings)
    more = rehearse(vintage, days, target="gdp", specs=SPECS, first_releases=outcomes, settings=settings, earlier=part)
    pd.testing.assert_frame_equal(more.frame, whole.frame)
    # A search begins from what was learnt before the day, and from nothing learnt on it or later.
    learnt = {day: model.parameters for day, model in whole.models.items()}
    assert whole.begin(days[0]) is None
    assert whole.begin(days[5]) is learnt[days[4]]
    assert whole.begin(days[5] + dt.timedelta(days=1)) is learnt[days[5]]
    with pytest.raises(UsageError, match="ascend"):
        rehearse(vintage, days[::-1], target="gdp", specs=SPECS, first_releases=outcomes, settings=settings)


def test_intervals_rest_on_errors_known_by_the_day_only() -> None:
    """Changing outcomes that were not yet released must leave every interval untouched."""
    gdp = TABLE[TABLE["series"] == "gdp"]
    outcomes = first_growth(gdp[["period", "known_at", "value"]])
    days = [d.date() for d in pd.date_range("2014-01-25", "2016-12-31", freq="120D")]
    settings = Settings(min_quarters=16, tolerance=1e-5)
    poisoned = {q: (g if q < "2016-Q2" else 99.0) for q, g in outcomes.items()}
    a, b = (
        rehearse(vintage, days, target="gdp", specs=SPECS, first_releases=o, settings=settings).frame
        for o in (outcomes, poisoned)
    )
    columns = ["growth", "deviation", "lower90", "upper90", "ar1", "bridge"]
    early = pd.to_datetime(a["day"]) < pd.Timestamp("2016-08-14")  # 2016-Q2 is released that day
    assert 0 < early.sum() < len(a)
    assert (a.loc[early, "basis"] == "past-errors").any()
    pd.testing.assert_frame_equal(a.loc[early, columns], b.loc[early, columns])


def test_first_growth_takes_the_vintage_in_which_a_quarter_appears() -> None:
    table = pd.DataFrame(
        {
            "period": ["2019-01-01", "2019-04-01", "2019-07-01", "2019-04-01", "2019-10-01"],
            "known_at": ["2019-08-15", "2019-08-15", "2019-11-15", "2019-11-15", "2020-02-15"],
            "value": [100.0, 101.0, 103.02, 102.0, 102.0],
        }
    ).assign(known_at=lambda t: pd.to_datetime(t["known_at"]))
    assert first_growth(table) == pytest.approx({"2019-Q2": 1.0, "2019-Q3": 1.0, "2019-Q4": 100 * (102 / 103.02 - 1)})


def test_lags_are_learnt_from_releases_not_from_bulk_loads() -> None:
    periods = pd.date_range("2018-01-01", periods=24, freq="MS")
    arrivals = [pd.Timestamp("2019-02-01")] * 12 + [
        p + pd.offsets.MonthEnd(0) + pd.Timedelta(days=16) for p in periods[12:]
    ]
    first = pd.DataFrame({"series": "m0", "period": periods, "known_at": arrivals, "frequency": "M"})
    assert learn_lags(first) == {"m0": 16}
    assert learn_lags(first.iloc[:12]) == {}
    panel = pd.DataFrame({"series": "m0", "period": periods[:14], "value": 1.0})
    due = upcoming(panel, specs=SPECS, lags={"m0": 16}, as_of=dt.date(2019, 3, 1))
    assert [(r.series, r.period, r.date) for r in due] == [("m0", "2019-03", dt.date(2019, 4, 16))]
    late = upcoming(panel, specs=SPECS, lags={"m0": 16}, as_of=dt.date(2019, 5, 1))
    assert late[0].date == dt.date(2019, 5, 2)


@pytest.mark.parametrize("seed", range(8))
def test_lags_worked_out_once_are_those_learnt_as_of_any_moment(seed: int) -> None:
    """What is known by a moment, learnt afresh from the vintages known by then alone."""
    rng = np.random.default_rng(seed)
    frequency = {"b": "M", "a": "Q", "d": "W", "c": "D"}
    rows = []
    for name, rule in frequency.items():
        for period in pd.date_range("2018-01-01", periods=30, freq={"M": "MS", "Q": "QS", "W": "W", "D": "D"}[rule]):
            bulk = rng.random() < 0.3
            first = pd.Timestamp("2018-12-01") if bulk else period + pd.Timedelta(hours=int(rng.integers(24, 3000)))
            rows += [(name, period, first + pd.Timedelta(days=int(30 * k))) for k in range(int(rng.integers(1, 4)))]
    vintages = pd.DataFrame(rows, columns=["series", "period", "known_at"]).assign(value=1.0)
    vintages["known_at"] = vintages["known_at"].dt.tz_localize("UTC")
    vintages = vintages.sort_values("known_at", kind="stable", ignore_index=True)
    specs = [SeriesSpec(name, frequency=rule) for name, rule in frequency.items() if name != "d"]
    lags = lags_of(vintages, specs)
    for day in pd.date_range("2018-01-01", "2021-06-01", freq="31D", tz="Europe/Vienna"):
        known = vintages[vintages["known_at"] <= day].drop_duplicates(["series", "period"])
        fresh = learn_lags(known.assign(frequency=known["series"].map(frequency))[known["series"] != "d"])
        assert lags.by(day.to_pydatetime()) == fresh
        assert list(lags.by(day.to_pydatetime())) == list(fresh)


def history(*, shock: bool, n: int, size: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "quarter": [f"20{10 + k // 4}-Q{k % 4 + 1}" for k in range(n)],
            "horizon_days": 60,
            "deviation": 0.5,
            "error": [size * (1 if k % 2 else -1) for k in range(n)],
            "shock": shock,
        }
    )


def test_the_interval_says_what_it_rests_on() -> None:
    def width(past: pd.DataFrame | None, *, shock: bool) -> tuple[str, int, float]:
        levels, basis, n = quantiles(0.0, 0.5, shock=shock, history=alike(past, 50))
        assert levels[0.05] == pytest.approx(-levels[0.95])
        return basis, n, levels[0.95]

    model = width(None, shock=False)
    assert model[:2] == ("model", 0)
    calm = history(shock=False, n=20, size=1.0)
    basis, n, wide = width(calm, shock=False)
    assert (basis, n) == ("past-errors", 20)
    assert model[2] < wide < 1.0 + 1e-9
    # In a shock, errors of calm times do not count …
    assert width(calm, shock=True)[:2] == ("model-only-in-shock", 0)
    # … errors of earlier shocks do, and they do not make the band narrower than the model's.
    storm = pd.concat([calm, history(shock=True, n=3, size=4.0)])
    basis, n, wide = width(storm, shock=True)
    assert (basis, n) == ("earlier-shocks", 3)
    assert model[2] < wide < 4.0
    # Another horizon's errors do not.
    assert width(calm.assign(horizon_days=200), shock=False)[0] == "model"


def test_of_a_quarter_the_nowcast_nearest_to_the_horizon_counts_and_the_later_of_two_as_near() -> None:
    rows = [
        ("2019-Q1", 70, 1.0),
        ("2019-Q1", 48, 2.0),
        ("2019-Q2", 55, 3.0),
        ("2019-Q2", 45, 4.0),
        ("2019-Q3", 20, 9.0),
    ]
    past = pd.DataFrame(rows, columns=["quarter", "horizon_days", "error"]).assign(deviation=0.5, shock=False)
    found = alike(past, 50)
    assert found is not None
    assert sorted(found["error"]) == [2.0, 4.0, 9.0]
    assert alike(past.assign(error=np.nan), 50).empty  # type: ignore[union-attr]  # a history is given
    assert alike(None, 50) is None


@pytest.mark.parametrize("frequency", ["W", "D"])
def test_finer_series_become_months_and_a_half_known_month_counts(frequency: str) -> None:
    days = pd.date_range("2010-01-04", "2016-05-20", freq="W-MON" if frequency == "W" else "D")
    fine = pd.DataFrame({"series": "trips", "period": days, "value": 100.0 + days.month.to_numpy()})
    table = pd.concat([vintage(dt.date(2016, 5, 20)), fine])
    specs = [*SPECS, SeriesSpec("trips", frequency, "lin")]
    panel = build_panel(table, target="gdp", specs=specs, as_of=dt.date(2016, 5, 20), settings=Settings())
    column = panel.values[:, panel.names.index("trips")]
    may = 12 * 2016 + 4 - panel.first_month
    assert column[may] == pytest.approx(105.0)
    assert np.isnan(column[may + 1])
    first_week = pd.concat([vintage(dt.date(2016, 5, 20)), fine[fine["period"] < "2016-05-04"]])
    early = build_panel(first_week, target="gdp", specs=specs, as_of=dt.date(2016, 5, 20), settings=Settings())
    assert np.isnan(early.values[may, early.names.index("trips")])


def test_transforms_do_what_their_names_say() -> None:
    months = pd.date_range("2008-01-01", periods=40, freq="MS")
    level = 100 * 1.01 ** np.arange(40)
    table = vintage(dt.date(2018, 1, 1))
    table = table[table["period"] < "2016-01-01"]
    wanted = {
        "lin": level[39],
        "chg": level[39] - level[38],
        "ch1": level[39] - level[27],
        "pch": 1.0,
        "pc1": 100 * (1.01**12 - 1),
        "pca": 100 * (1.01**12 - 1),
        "log": 100 * np.log(level[39]),
    }
    for transform, expected in wanted.items():
        extra = pd.DataFrame({"series": "x", "period": months, "value": level})
        specs = [*SPECS, SeriesSpec("x", "M", transform)]
        panel = build_panel(
            pd.concat([table, extra]),
            target="gdp",
            specs=specs,
            as_of=dt.date(2016, 1, 10),
            settings=Settings(),
        )
        column = panel.values[:, panel.names.index("x")]
        assert column[~np.isnan(column)][-1] == pytest.approx(expected), transform


def test_benchmarks_on_series_with_known_answers() -> None:
    months = 120
    x = np.zeros(months)
    x[::2], x[1::2] = 1.0, -1.0
    y = np.full(months, np.nan)
    quarters = np.arange(months // 3)
    y[2::3] = 1.0 + 0.5 ** quarters.astype(float)
    y[-1] = np.nan
    panel = Panel(24000, ("y", "x"), np.array([True, False]), np.column_stack([y, x]))
    found = ar1(panel, months - 1)
    assert found.growth == pytest.approx(1.0, abs=1e-6)
    assert found.deviation == pytest.approx(0.0, abs=1e-6)
    assert np.isfinite(bridge(panel, months - 1).growth)
