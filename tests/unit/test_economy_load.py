"""The grid operator's load: as often drawn the same, known in time, and moved by what the scenario does."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from math import exp

import numpy as np
import pandas as pd
import pytest

from opsroom.economy import World, meridia
from opsroom.economy import load as load_module
from opsroom.economy.dispatch import Dispatch
from opsroom.economy.horizon import HISTORY_LAST, METERS_LAST, day_number
from opsroom.economy.load import LOAD_FIRST, Load
from opsroom.economy.scenario import Path1D, Scenario
from opsroom.economy.sectors import REGION_WEIGHTS, SECTIONS
from opsroom.economy.surroundings import FIXED, with_new_years_from

SIZE = 320


def rows_of(world: World) -> pd.DataFrame:
    """Return the deliveries of the load one below the other, with the day of delivery."""
    sent = list(Dispatch(world.workshop).streams()[-1])
    assert {(d.dataset, d.provider) for d in sent} == {("load_d", "Meridia Grid")}
    frame = pd.concat([pd.DataFrame(d.source.to_pandas()).assign(sent=d.known_at.date()) for d in sent])
    frame = frame.reset_index(drop=True)
    return frame.assign(**{name: pd.to_datetime(frame[name]) for name in ("date", "vintage", "sent")})


def wide(load: Load) -> pd.DataFrame:
    """Return the load by day and class."""
    frame = load.table(LOAD_FIRST, METERS_LAST).to_pandas()
    frame["date"] = pd.to_datetime(frame["date"])
    return frame.pivot(index="date", columns="class", values="mwh")


def calm(scenario: Scenario) -> Scenario:
    """Return the scenario in which nothing is forbidden, feared or left unsold."""
    flat = Path1D(((dt.date(2020, 1, 1), 0.0), (dt.date(2021, 6, 30), 0.0)))
    return replace(
        scenario, lockdowns=(), slump=flat, restrictions=replace(scenario.restrictions, path=flat),
        fear=replace(scenario.fear, path=flat),
    )  # fmt: skip


@pytest.fixture(scope="module")
def world() -> World:
    return meridia(SIZE, seed=3)


@pytest.fixture(scope="module")
def real(world: World) -> pd.DataFrame:
    return wide(world.workshop.load)


def test_the_load_is_the_countrys_however_many_companies_are_drawn(world: World, real: pd.DataFrame) -> None:
    assert wide(meridia(20_000, seed=3).workshop.load).equals(real)
    assert not wide(meridia(SIZE, seed=4).workshop.load).equals(real)


def test_a_row_is_known_when_its_week_is_delivered(world: World) -> None:
    rows = rows_of(world)
    history = rows["sent"] == rows["sent"].min()
    assert rows.loc[history, "date"].max() == pd.Timestamp(HISTORY_LAST)
    assert (rows["vintage"] <= rows["sent"]).all()
    assert (rows.loc[~history, "vintage"] == rows.loc[~history, "sent"]).all()  # nothing changes what was known
    assert (rows["vintage"].dt.day_of_week == 1).all()
    lag = (rows["vintage"] - rows["date"]).dt.days
    assert lag.between(2, 8).all()
    assert (lag[rows["date"].dt.day_of_week == 6] == 2).all()
    for _, own in rows.groupby("class"):
        assert list(own["date"]) == list(pd.date_range(LOAD_FIRST, METERS_LAST))


def test_the_shock_takes_from_businesses_and_gives_to_households(world: World, real: pd.DataFrame) -> None:
    quiet = wide(meridia(SIZE, seed=3, scenario=calm(world.scenario)).workshop.load)
    assert quiet.loc[:"2020-01-20"].equals(real.loc[:"2020-01-20"])  # the past knows nothing of it
    ratio = (real / quiet).loc["2020-02-10":"2020-02-29"].mean()
    assert 0.35 < ratio["business"] < 0.60
    assert 1.03 < ratio["households"] < 1.12
    monthly = (real / quiet).loc["2020-02":].resample("MS").mean()
    assert (monthly["business"].diff().iloc[1:] > 0).all()
    assert (monthly["households"].diff().iloc[1:] < 0).all()


def test_the_temperature_is_the_mean_of_the_published_regions(world: World) -> None:
    load, around = world.workshop.load, world.workshop.surroundings
    frame = load.table(LOAD_FIRST, METERS_LAST).to_pandas().drop_duplicates("date")
    own = pd.Series(frame["temp_dc"].to_numpy(), index=pd.to_datetime(frame["date"]))
    expected = np.rint(np.average(around.tenths, axis=0, weights=REGION_WEIGHTS))
    assert np.array_equal(own["2018-12-31":], expected)
    before = own[:"2018-12-30"] / 10
    assert abs(before["2018-12-30"] - own["2018-12-31"] / 10) < 5
    normal = own["2019"].groupby(own["2019"].index.month).mean() / 10
    for year in range(2015, 2019):
        assert abs(before[str(year)].mean() - normal.mean()) < 1.5
    oddity = before - (before.rolling(31, center=True).mean())
    later = own["2019"] / 10 - (own["2019"] / 10).rolling(31, center=True).mean()
    assert 0.7 < oddity.std() / later.std() < 1.4


def test_new_years_before_the_first_known_move_with_the_moon(world: World) -> None:
    longer = with_new_years_from(2015, world.scenario)
    assert longer.new_year[2:] == world.scenario.new_year
    assert [h.start for h in longer.new_year[:2]] == [dt.date(2015, 2, 18), dt.date(2016, 2, 7)]
    assert all((h.end - h.start).days == 6 for h in longer.new_year[:2])
    assert with_new_years_from(2017, world.scenario) == world.scenario


def test_people_rest_on_days_off(world: World, real: pd.DataFrame) -> None:
    by_day = real.loc["2019"].groupby(real.loc["2019"].index.day_of_week).mean()
    assert by_day["business"].loc[:4].min() > 1.4 * by_day.loc[5, "business"] > 1.6 * by_day.loc[6, "business"]
    assert by_day["households"].loc[5:].min() > by_day["households"].loc[:4].max()
    for month, day, name in FIXED:
        date = pd.Timestamp(2017, month, day)
        if date.day_of_week < 5:
            around = real.loc[[date - pd.Timedelta(days=14), date + pd.Timedelta(days=14)], "business"].mean()
            assert real.loc[date, "business"] < 0.65 * around, name
    for start in map(pd.Timestamp, ("2015-02-18", "2016-02-07", "2018-02-15")):
        week = real.loc[start : start + pd.Timedelta(days=6), "business"]
        before = real.loc[start - pd.Timedelta(days=28) : start - pd.Timedelta(days=21), "business"]
        assert week.max() < 0.6 * before.max()


def test_businesses_are_the_sum_of_their_sections(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_module, "NOISE", dict.fromkeys(load_module.CLASSES, (0.0, 0.0)))
    made = Load(world.workshop.surroundings, world.workshop.official.indicators.aggregate)
    days = [dt.date(2019, 1, 16), dt.date(2019, 1, 20)]  # a winter's Wednesday and Sunday
    at = [day_number(day) - day_number(LOAD_FIRST) for day in days]
    degrees = [[made.tenths[k - lag] / 10 for lag in range(3)] for k in at]
    warm = [1 - exp(-max(15.5 - 0.55 * t[0] - 0.3 * t[1] - 0.15 * t[2], 0) / 9) for t in degrees]
    total = [0.0, 0.0]
    for s in SECTIONS:
        for k, activity in enumerate((1.0, 0.62 * s.sunday + 0.015 * (1 - s.sunday))):
            use = s.base + (1 - s.base) * activity + 0.34 * s.heat * warm[k] * (0.3 + 0.7 * activity)
            total[k] += s.weight * s.use / (1 - s.base) * use
    found = made.business[at]
    assert found[1] / found[0] == pytest.approx(total[1] / total[0], rel=1e-3)  # but for four days' growth
