"""The truth: apart from meters and weekdays, hard enough to find, and possible to find."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import NotFoundError, UsageError
from opsroom.economy import Truth, World, meridia
from opsroom.economy.horizon import day_number


@pytest.fixture(scope="module")
def world() -> World:
    return meridia(6_000, seed=5)


def share(world: World, day: str, *, sme: bool = True) -> float:
    return float(world.truth.national(sme=sme).loc[day, "count"])


def test_resumption_follows_the_scenario(world: World) -> None:
    assert share(world, "2020-01-17") > 98
    assert 28 < share(world, "2020-03-03") < 38
    assert 76 < share(world, "2020-04-17") < 86
    assert 94 < share(world, "2020-06-30") < 98.5
    trough = world.truth.turning_point()
    assert dt.date(2020, 2, 7) <= trough <= dt.date(2020, 2, 12)
    assert share(world, str(trough)) < 20


def test_large_companies_come_back_first(world: World) -> None:
    frame = world.truth.at_work(dt.date(2020, 3, 3), dt.date(2020, 3, 3))
    sums = frame.groupby("size_class")[["companies", "at_work"]].sum()
    rate = sums["at_work"] / sums["companies"]
    assert rate["large"] > rate["medium"] > rate["micro"]


def test_the_locked_region_stays_behind_until_its_lockdown_ends(world: World) -> None:
    frame = world.truth.at_work()
    sums = frame.groupby(["date", frame["region"] == "R03"])[["companies", "at_work"]].sum()
    rate = (sums["at_work"] / sums["companies"]).unstack()
    assert rate.loc["2020-03-20", True] < 0.5 * rate.loc["2020-03-20", False]
    assert rate.loc["2020-04-15", True] - rate.loc["2020-04-07", True] > 0.08
    causes = world.truth.frame("causes")
    assert set(causes["cause"]) == {"restrictions", "fear", "lockdown"}
    locked = causes[(causes["cause"] == "lockdown") & (causes["pressure"] > 0)]
    assert set(locked["region"]) == {"R03"}


def test_being_at_work_knows_no_weekdays(world: World) -> None:
    rate = world.truth.national()["count"]
    growth = rate.loc["2020-02-12":"2020-06-30"].diff().dropna()
    smooth = growth - growth.rolling(7, center=True, min_periods=4).mean()
    by_day = smooth.groupby(growth.index.day_of_week).mean()
    assert by_day.abs().max() < 0.15
    saturdays = rate.loc["2020-01-01":"2020-01-18"]
    assert saturdays.max() - saturdays.min() < 0.5


def test_many_are_far_below_capacity(world: World) -> None:
    frame = world.truth.enterprises(dt.date(2020, 3, 10))
    working = frame[frame["at_work"]]
    assert 0.2 < (working["capacity"] < 0.5).mean() < 0.6
    assert (frame.loc[~frame["at_work"], "capacity"] < 0.5).all()


def test_frames_add_up_and_answer_only_for_their_days(world: World) -> None:
    frame = world.truth.at_work(dt.date(2020, 2, 1), dt.date(2020, 2, 3))
    assert frame["date"].nunique() == 3
    assert (frame["at_work"] <= frame["companies"]).all()
    assert (frame["jobs_at_work"] <= frame["jobs"]).all()
    whole = world.truth.enterprises(dt.date(2020, 2, 2))
    day = frame[frame["date"] == "2020-02-02"]
    assert day["companies"].sum() == len(whole)
    assert day["at_work"].sum() == whole["at_work"].sum()
    assert "SOLE" not in set(whole["legal_form"])
    with pytest.raises(UsageError):
        world.truth.at_work(dt.date(2019, 1, 1), dt.date(2020, 2, 3))


def test_the_truth_is_saved_and_read_back(tmp_path: Path) -> None:
    truth = meridia(300, seed=2).truth
    truth.save(tmp_path / "truth")
    again = Truth.load(tmp_path / "truth")
    pd.testing.assert_frame_equal(
        again.at_work().drop(columns="date"), truth.at_work().drop(columns="date"), check_dtype=False
    )
    assert again.turning_point() == truth.turning_point()
    assert again.gdp().equals(truth.gdp())
    assert len(again.failures(policy=False)) == len(truth.failures(policy=False))
    with pytest.raises(NotFoundError):
        again.enterprises(dt.date(2020, 2, 2))
    with pytest.raises(NotFoundError):
        Truth.load(tmp_path / "nothing")


def test_meters_do_not_give_the_truth_away(world: World) -> None:
    """Dark offices at work, cold stores while closed, and silence of the closed."""
    dark, cold, silent, heard = [], [], [], []
    days = np.arange(day_number(dt.date(2020, 3, 16)), day_number(dt.date(2020, 3, 21)))
    usual = np.arange(day_number(dt.date(2019, 11, 11)), day_number(dt.date(2019, 11, 16)))
    for number in world.workshop.chunks:
        works = world.workshop[number]
        readings, operation = works.readings, works.operation
        state, normal = operation.state(days), operation.state(usual)
        use = readings.electricity.use(days, state).mean(axis=1)
        before = readings.electricity.use(usual, normal).mean(axis=1)
        alive = normal.onsite.all(axis=1) & (works.chunk.establishments.last > days[-1])
        ratio = use / np.maximum(before, 1)
        remote = alive & state.remote.all(axis=1)
        closed = alive & ~state.at_work.any(axis=1)
        dark.append(ratio[remote])
        cold.append(ratio[closed & (readings.electricity.traits.cold > 0)])
        m = works.chunk.meters
        there = readings.present(days, state, operation.state(days - 3)).mean(axis=1)
        lone = (m.second < 0) & (m.first < usual[0]) & (m.last > days[-1]) & alive[m.establishment]
        silent.append(there[lone & closed[m.establishment]])
        heard.append(there[lone & state.onsite.all(axis=1)[m.establishment]])
    assert np.median(np.concatenate(dark)) < 0.65
    assert np.median(np.concatenate(cold)) > 0.5
    missing_closed, missing_open = 1 - np.concatenate(silent).mean(), 1 - np.concatenate(heard).mean()
    assert missing_closed > 0.06
    assert missing_open < 0.02


def test_a_plain_reading_of_the_meters_finds_most_of_it(world: World) -> None:
    """The problem can be solved: use above each company's own closed-day use tells most of it."""
    right = total = 0.0
    days = np.arange(day_number(dt.date(2020, 3, 16)), day_number(dt.date(2020, 3, 21)))
    autumn = np.arange(day_number(dt.date(2019, 10, 7)), day_number(dt.date(2019, 12, 9)))
    for number in list(world.workshop.chunks)[:1]:
        works = world.workshop[number]
        electricity, operation = works.readings.electricity, works.operation
        state = operation.state(days)
        past = electricity.use(autumn, operation.state(autumn))
        workday = np.isin(autumn % 7, range(5))
        high, low = np.median(past[:, workday], axis=1), past.min(axis=1)
        level = (np.median(electricity.use(days, state), axis=1) - low) / np.maximum(high - low, 1)
        alive = operation.state(autumn).onsite.all(axis=1)
        guess = level > 0.15
        right += (guess == state.at_work[:, 2])[alive].sum()
        total += alive.sum()
    assert right / total > 0.80


def test_capacity_is_what_the_frame_says(world: World) -> None:
    frame = world.truth.at_work(dt.date(2020, 4, 1), dt.date(2020, 4, 1))
    assert np.allclose(frame["capacity"], frame["sales_done"] / frame["sales"])
    nation = world.truth.national().loc["2020-04-01"]
    assert nation["capacity"] == pytest.approx(100 * frame["sales_done"].sum() / frame["sales"].sum())
