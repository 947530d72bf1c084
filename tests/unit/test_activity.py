"""The activity index on series whose truth is known."""

from __future__ import annotations

import datetime as dt
from typing import Any

import holidays as library
import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.activity import ActivityResult, activity_index
from opsroom.measure.activity_learnt import Learnt
from opsroom.measure.activity_output import Elasticity, fit_elasticity, output_gap


def _load(seed: int = 0, drop: float = 0.15, start: str = "2016-01-01") -> tuple[pd.Series, pd.Series]:
    """Return load with a lockdown from 16 March 2020 on, and the temperature."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range(start, "2020-05-31")
    doy = dates.day_of_year.to_numpy()
    temperature = 12 - 9 * np.cos(2 * np.pi * (doy - 20) / 365.25) + rng.normal(0, 3, len(dates))
    noise = np.zeros(len(dates))
    for t in range(1, len(dates)):
        noise[t] = 0.5 * noise[t - 1] + rng.normal(0, 0.012)
    level = 1 + 0.2 * (dates.day_of_week < 5) + 0.012 * np.maximum(14 - temperature, 0)
    level *= np.exp(noise) * np.where(dates >= "2020-03-16", 1 - drop, 1.0)
    return pd.Series(5000 * level, index=dates, name="load"), pd.Series(temperature, index=dates)


TRAIN = [("2016-01-01", "2020-02-15")]


@pytest.fixture(scope="module")
def result() -> ActivityResult:
    load, temperature = _load()
    return activity_index(load, temperature=temperature, train=TRAIN)


def test_the_planted_fall_is_found_with_its_interval(result: ActivityResult) -> None:
    frame = result.to_frame()
    assert list(frame.columns) == ["observed", "expected", "gap", "lower", "upper"]
    april = result.span("2020-04-01", "2020-04-30")
    assert april["gap"] == pytest.approx(-15, abs=1.5)
    assert april["lower"] <= -15 <= april["upper"]
    day = frame.loc["2020-04-15"]
    assert april["upper"] - april["lower"] < day["upper"] - day["lower"]


def test_intervals_cover_out_of_sample() -> None:
    """Pooled over seeds, days of the untouched last year fall into the nominal 90 % interval."""
    hits, days = 0, 0
    for seed in range(4):
        load, temperature = _load(seed, drop=0.0)
        made = activity_index(load, temperature=temperature, train=[("2016-01-01", "2019-04-30")]).to_frame()
        year = made.loc["2019-05-01":]
        hits += int(((year["lower"] <= 0) & (year["upper"] >= 0)).sum())
        days += len(year)
    assert 0.85 <= hits / days <= 0.97


def test_temperature_makes_the_interval_narrower() -> None:
    load, temperature = _load()
    with_it = activity_index(load, temperature=temperature, train=TRAIN)
    without = activity_index(load, train=TRAIN)
    assert with_it.fits["residual_sd"].iloc[0] < 0.7 * without.fits["residual_sd"].iloc[0]


def test_weeks_are_complete_and_dated_by_their_monday() -> None:
    load, temperature = _load()
    weekly = activity_index(load, temperature=temperature, train=TRAIN, freq="W").to_frame()
    assert (pd.DatetimeIndex(weekly.index).day_of_week == 0).all()
    assert weekly["gap"].loc["2020-04-06"] == pytest.approx(-15, abs=2)


def test_classes_get_an_index_level_of_their_own_and_hours_become_days() -> None:
    load, _ = _load(start="2018-01-01")
    hours = pd.DataFrame({"business": load, "homes": load / 2}).resample("h").ffill()
    made = activity_index(hours, train=[("2018-01-01", "2020-02-15")], as_of="2020-05-01")
    assert made.to_frame().index.names == ["series", "date"]
    assert set(made.fits.index) == {"business", "homes"}
    with pytest.raises(UsageError, match="several series"):
        made.span("2020-04-01", "2020-04-30")
    assert made.span("2020-04-01", "2020-04-30", series="homes")["gap"] == pytest.approx(-15, abs=3)


def test_normal_spans_after_the_as_of_day_make_it_retrospective(result: ActivityResult) -> None:
    assert not result.retrospective
    load, temperature = _load()
    later = activity_index(load, temperature=temperature, train=TRAIN, as_of="2019-06-30")
    assert later.retrospective
    assert "Retrospective" in later.summary()


def test_cells_are_public_measures_and_carry_bounds(result: ActivityResult) -> None:
    cells = result.cells("load", public=True, since="2020-03-01", source="a grid operator")
    assert cells.name == "activity.load"
    assert cells.public
    assert {m.kind for m in cells.measures} == {"public"}
    assert (cells.frame["gap_lower"] <= cells.frame["gap"]).all()
    assert cells.frame["date"].min() == "2020-03-01"
    assert "of sample" in result.summary()
    assert "Fezzi" in result.cite()
    assert result.chart().to_dict()["title"]


def test_what_cannot_be_done_is_refused() -> None:
    load, _ = _load()
    with pytest.raises(UsageError, match="frequency"):
        activity_index(load, freq="M")
    with pytest.raises(FitError, match="OPS-M011"):
        activity_index(load, train=[("2020-01-01", "2020-02-01")])
    with pytest.raises(FitError, match="not positive"):
        activity_index(load - load.max(), train=TRAIN)


SHORT = [("2018-01-01", "2019-12-31")]


def _hours(days: pd.Series) -> pd.Series:
    """Return hourly load with a morning and an evening whose fall differs."""
    index = pd.date_range(days.index[0], days.index[-1] + pd.Timedelta(hours=23), freq="h")
    hour = index.hour.to_numpy()
    shape = 1 + 0.3 * np.sin(2 * np.pi * (hour - 6) / 24)
    noise = np.exp(np.random.default_rng(2).normal(0, 0.01, len(index)))
    return pd.Series(days.reindex(index.normalize()).to_numpy() * shape * noise, index=index, name="load")


def test_each_hour_of_the_day_has_its_own_normal() -> None:
    load, _ = _load(start="2018-01-01", drop=0.0)
    hours = _hours(load["2018-01-01":"2020-03-31"])
    noon = (hours.index >= "2020-03-16") & (hours.index.hour == 12)
    hours[noon] *= 0.7
    made = activity_index(hours, train=SHORT, freq="h")
    frame = made.to_frame()
    assert isinstance(frame.index, pd.DatetimeIndex)
    late = frame.loc["2020-03-16":]
    by_hour = late["gap"].groupby(late.index.hour).mean()
    assert by_hour[12] == pytest.approx(-30, abs=3)
    assert by_hour.drop(12).abs().max() < 3
    before = frame.loc["2020-01-01":"2020-03-15"]
    assert 0.8 <= ((before["lower"] <= 0) & (before["upper"] >= 0)).mean() <= 0.99
    month = made.span("2020-03-16", "2020-03-31")
    assert month["days"] == 16 * 24
    one = late.iloc[12]
    assert month["upper"] - month["lower"] < one["upper"] - one["lower"]


def test_weekly_load_is_measured_by_the_days_of_its_weeks() -> None:
    """Weeks dated by their Sunday; a public holiday lowers its week and is no fall."""
    load, temperature = _load(drop=0.12)
    weekly = load.resample("W-SUN").mean()["2016-01-10":"2020-05-31"]
    made = activity_index(weekly, temperature=temperature, train=TRAIN, freq="W")
    frame = made.to_frame()
    assert (pd.DatetimeIndex(frame.index).day_of_week == 0).all()
    assert frame["gap"].loc["2020-03-30":].mean() == pytest.approx(-12, abs=1.5)
    assert made.span("2020-03-30", "2020-05-25")["gap"] == pytest.approx(-12, abs=1.5)
    with pytest.raises(UsageError, match="not as fine"):
        activity_index(weekly, train=TRAIN)


def test_regions_have_their_own_weather_and_come_out_as_if_alone() -> None:
    (one, cool), (other, warm) = _load(1, start="2018-01-01"), _load(2, start="2018-01-01")
    both = pd.DataFrame({"north": one, "south": other})
    weather = {"north": cool, "south": warm}
    made = activity_index(both, temperature=weather, country="DE", region={"south": "BY"}, train=SHORT).to_frame()
    alone = activity_index(other, temperature=warm, country="DE", region="BY", train=SHORT).to_frame()
    assert made.index.names == ["series", "date"]
    pd.testing.assert_frame_equal(made.loc["south"], alone, check_freq=False)
    with pytest.raises(UsageError, match="south"):
        activity_index(both, temperature={"north": cool}, train=SHORT)


@pytest.mark.parametrize("freq", ["D", "W"])
def test_nothing_after_the_day_is_looked_at(freq: str) -> None:
    """The poison test: whatever comes after the as-of day may be anything, and nothing moves."""
    load, temperature = _load(start="2018-01-01")
    wild, heat = load.copy(), temperature.copy()
    wild["2020-04-16":], heat["2020-04-16":] = 1e-3, 80.0
    train = [("2018-01-01", "2020-02-15")]
    seen = activity_index(load, temperature=temperature, train=train, as_of="2020-04-15", freq=freq)
    blind = activity_index(wild, temperature=heat, train=train, as_of="2020-04-15", freq=freq)
    pd.testing.assert_frame_equal(seen.to_frame(), blind.to_frame())
    cut = activity_index(load[:"2020-04-15"], temperature=temperature[:"2020-04-15"], train=train, freq=freq)
    pd.testing.assert_frame_equal(seen.to_frame(), cut.to_frame())
    assert seen.to_frame().index.max() <= pd.Timestamp("2020-04-15")


def test_a_figure_with_later_normal_days_uses_just_those_and_says_so() -> None:
    load, temperature = _load(start="2018-01-01")
    spans = [("2018-01-01", "2019-06-30"), ("2020-01-01", "2020-02-15")]
    wild = load.copy()
    wild["2019-10-01":"2019-12-31"] = 1.0
    wild["2020-02-16":] = 1.0
    one = activity_index(load, temperature=temperature, train=spans, as_of="2019-09-30")
    other = activity_index(wild, temperature=temperature, train=spans, as_of="2019-09-30")
    assert one.retrospective
    assert other.retrospective
    pd.testing.assert_frame_equal(one.to_frame(), other.to_frame())


def test_the_level_is_a_hundred_on_a_normal_day_and_has_no_base_effect(result: ActivityResult) -> None:
    level = result.level()
    assert list(level.columns) == ["level", "lower", "upper"]
    frame = result.to_frame()
    np.testing.assert_allclose(level["level"], 100 * frame["observed"] / frame["expected"])
    assert level["level"].loc["2019"].mean() == pytest.approx(100, abs=1)


def test_a_smelter_that_closes_in_normal_times_is_no_shock() -> None:
    load, temperature = _load(drop=0.0)
    load[:"2018-05-31"] *= 1.15
    made = activity_index(load, temperature=temperature, train=TRAIN)
    late = made.to_frame().loc["2020-02-16":]
    assert late["gap"].mean() == pytest.approx(0, abs=2)
    early = made.to_frame().loc["2017"]
    assert early["gap"].mean() == pytest.approx(0, abs=2)


# -- output ------------------------------------------------------------------------------------------------------------


def test_output_falls_by_the_gap_over_the_elasticity_and_is_less_sure(result: ActivityResult) -> None:
    exact = Elasticity(0.5, 0.5, 0.5)
    frame = result.to_frame().loc["2020-04"]
    sure = output_gap(frame, exact)
    np.testing.assert_allclose(sure["gap"], 100 * ((1 + frame["gap"] / 100) ** 2 - 1))
    np.testing.assert_allclose(sure["lower"], 100 * ((1 + frame["lower"] / 100) ** 2 - 1), atol=0.4)
    doubtful = output_gap(frame, Elasticity(0.5, 0.35, 0.75))
    assert ((doubtful["upper"] - doubtful["lower"]) > 1.2 * (sure["upper"] - sure["lower"])).all()
    pd.testing.assert_frame_equal(result.output(exact).loc["2020-04"], sure)
    with pytest.raises(UsageError, match="elasticity"):
        result.output({"homes": exact})
    with pytest.raises(UsageError, match="positive"):
        Elasticity(0.5, 0.6, 0.7)


def test_an_elasticity_is_found_with_an_interval_that_covers() -> None:
    hits, draws = 0, 200
    for seed in range(draws):
        rng = np.random.default_rng(seed)
        output = pd.Series(100 * np.expm1(rng.normal(0, 0.04, 60)))
        electricity = pd.Series(100 * np.expm1(0.6 * np.log1p(output / 100) + rng.normal(0, 0.01, 60)))
        found = fit_elasticity(electricity, output)
        hits += found.lower <= 0.6 <= found.upper
    assert 0.84 <= hits / draws <= 0.95
    with pytest.raises(FitError, match="OPS-M020"):
        fit_elasticity(pd.Series(rng.normal(0, 1, 60)), output)
    with pytest.raises(FitError, match="OPS-M019"):
        fit_elasticity(electricity[:5], output[:5])


def test_elasticity_agrees_with_statsmodels() -> None:
    import statsmodels.api as sm

    rng = np.random.default_rng(1)
    output = pd.Series(rng.normal(0, 3, 80))
    electricity = 0.7 * output + pd.Series(rng.normal(0, 1, 80)).rolling(2, min_periods=1).mean()
    found = fit_elasticity(electricity, output, lags=3)
    x, y = np.log1p(output / 100), np.log1p(electricity / 100)
    peer = sm.OLS(y, sm.add_constant(x)).fit(cov_type="HAC", cov_kwds={"maxlags": 3, "use_correction": True})
    assert found.value == pytest.approx(float(peer.params.iloc[1]), rel=1e-10)
    assert (found.upper - found.value) / 1.6449 == pytest.approx(float(peer.bse.iloc[1]), rel=1e-6)


def test_what_normal_days_taught_is_kept_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    load, temperature = _load(start="2016-07-01")
    classes = pd.DataFrame({"all": load, "most": load**0.9})
    train = [("2016-07-01", "2018-12-31")]

    def index(day: str, kept: dict[str, Learnt] | None, classes: pd.DataFrame = classes) -> pd.DataFrame:
        weather = temperature[:day]
        made = activity_index(classes[:day], temperature=weather, country="DE", train=train, as_of=day, kept=kept)
        return made.to_frame().join(made.fits, on="series")

    days = ("2019-03-31", "2020-03-31")  # the later one is rehearsed further ahead than a year
    fresh = [index(day, None) for day in days]
    kept: dict[str, Learnt] = {}
    pd.testing.assert_frame_equal(index(days[0], kept), fresh[0])
    fitted = {key: set(one._fits) for key, one in kept.items()}
    with monkeypatch.context() as patch:
        patch.setattr(Learnt, "_rehearse", _only_known)
        for day, wanted in zip(days, fresh, strict=True):
            pd.testing.assert_frame_equal(index(day, kept), wanted)
    assert len(kept) == 1
    assert all(fitted[key] <= set(one._fits) for key, one in kept.items())
    later = classes.copy()
    later.loc["2017-05-17", "all"] *= 1.3  # a normal day was not known as it is now
    assert not index(days[0], kept, later)["expected"].equals(fresh[0]["expected"])
    assert len(kept) == 2
    for k in range(20):
        later.loc["2017-05-17", "most"] *= 1 + k / 100
        Learnt.of(np.log(later.to_numpy().T), next(iter(kept.values())).days, kept)
    assert len(kept) < 10


def _only_known(self: Learnt, fold: int, choices: list[tuple[str, float]]) -> None:
    assert not choices, "a rehearsal was made again"


def test_holidays_of_ones_own_count_as_a_countrys_do() -> None:
    load, temperature = _load(start="2017-01-01")
    own = dict(library.country_holidays("DE", years=range(2015, 2023)))
    whole = {**own, **{dt.date(year, 9, 9): "Founder" for year in range(2015, 2023)}}
    load *= np.where([day.date() in whole for day in load.index], 0.7, 1.0)
    train = [("2017-01-01", "2019-06-30")]

    def gap(**kinds: Any) -> pd.Series:
        return activity_index(load, temperature=temperature, train=train, **kinds).to_frame()["gap"]

    missed = gap(country="DE")
    pd.testing.assert_series_equal(gap(holidays=own), missed)
    kept = gap(country="DE", holidays={day: name for day, name in whole.items() if day not in own})
    assert missed["2019-09-09"] < -20
    assert abs(kept["2019-09-09"]) < 6


def test_a_new_year_by_the_moon_in_ones_own_calendar_is_no_slump() -> None:
    rng = np.random.default_rng(4)
    days = pd.date_range("2015-01-01", "2020-03-31")
    starts = ("2015-02-18", "2016-02-07", "2017-01-27", "2018-02-15", "2019-02-04", "2020-01-24")
    own = {day.date(): "New Year" for start in starts for day in pd.date_range(start, periods=7)}
    off = np.array([day.date() in own for day in days])
    eve = np.roll(off, -2) & ~off
    level = np.where(off, 50, np.where(days.day_of_week < 5, 100, 60)) * np.where(eve, 0.85, 1.0)
    load = pd.Series(level * np.exp(rng.normal(0, 0.01, len(days))), index=days)
    train = [("2015-01-01", "2018-12-31")]
    found = activity_index(load, holidays=own, train=train, freq="W").to_frame()["gap"]
    assert found["2019-01-07":].abs().max() < 6
    blind = activity_index(load, train=train, freq="W").to_frame()["gap"]
    assert blind["2019-02-04"] < -25
