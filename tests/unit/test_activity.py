"""The activity index on series whose truth is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.activity import ActivityResult, activity_index


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
