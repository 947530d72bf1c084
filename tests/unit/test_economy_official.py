"""Official series: late, revised against the turn, and with two booms of which one is bad."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from opsroom.economy import World, meridia
from opsroom.economy.vintages import MONTHLY, QUARTERLY, release_day


@pytest.fixture(scope="module")
def world() -> World:
    return meridia(200, seed=11)


@pytest.fixture(scope="module")
def quarterly(world: World) -> pd.DataFrame:
    return world.workshop.official.releases("macro_q")


@pytest.fixture(scope="module")
def monthly(world: World) -> pd.DataFrame:
    return world.workshop.official.releases("macro_m")


def test_releases_are_late_and_staggered(monthly: pd.DataFrame, quarterly: pd.DataFrame) -> None:
    assert set(monthly["series"]) == set(MONTHLY)
    first = monthly.groupby(["series", "month"])["vintage"].min().reset_index()
    end = pd.to_datetime(first["month"]) + pd.offsets.MonthEnd(0)
    lag = (pd.to_datetime(first["vintage"]) - end).dt.days
    assert lag.min() >= 1
    assert lag.max() <= 46
    assert lag.groupby(first["series"]).median().nunique() >= 5
    assert all(day.weekday() == 1 for day in monthly["vintage"].unique())
    gdp = quarterly[quarterly["series"] == "gdp"]
    first_gdp = gdp.groupby("quarter")["vintage"].min()
    wait = (pd.to_datetime(first_gdp) - (pd.to_datetime(first_gdp.index) + pd.offsets.QuarterEnd(0))).dt.days
    assert wait.between(44, 50).all()
    assert release_day(dt.date(2020, 3, 31), 1) == dt.date(2020, 4, 7)


def test_surveys_and_prices_are_not_revised_but_accounts_are(monthly: pd.DataFrame, quarterly: pd.DataFrame) -> None:
    counts = monthly.groupby(["series", "month"]).size().groupby("series").mean()
    assert counts["pmi"] == counts["cpi"] == 1
    assert counts["industrial_production"] > 2.5
    gdp = quarterly[quarterly["series"] == "gdp"].groupby("quarter")["value"]
    revision = 100 * np.log(gdp.last() / gdp.first())
    assert 0.05 < revision.std() < 0.8


def test_the_last_release_is_the_truth(world: World, quarterly: pd.DataFrame) -> None:
    gdp = quarterly[quarterly["series"] == "gdp"].groupby("quarter")["value"].last()
    gdp.index = pd.DatetimeIndex(gdp.index)
    old = gdp.loc[:"2018-12-31"]
    assert np.allclose(old, world.truth.gdp().loc[old.index], atol=1e-3)


def test_first_figures_lean_against_the_turn() -> None:
    slopes = []
    for seed in range(6):
        world = meridia(200, seed=seed)
        releases = world.workshop.official.releases("macro_m")
        mine = releases[releases["series"] == "industrial_production"]
        mine = mine[pd.to_datetime(mine["month"]) < "2019-01-01"]
        values = mine.groupby("month")["value"]
        revision = np.log(values.last() / values.first()).to_numpy()
        growth = np.diff(np.log(values.last().to_numpy()), prepend=np.nan)
        surprise = growth - pd.Series(growth).rolling(12, min_periods=3).mean().shift(1).to_numpy()
        good = ~np.isnan(surprise)
        slopes.append(np.polyfit(surprise[good], revision[good], 1)[0])
    assert 0.08 < np.mean(slopes) < 0.35
    assert min(slopes) > 0


def test_the_shock_is_in_the_series(world: World) -> None:
    growth = world.truth.gdp().pct_change() * 100
    assert -16 < growth["2020-01-01"] < -7
    assert 2 < growth["2020-04-01"] < 10
    flows = world.workshop.official.releases("flows_w")
    last = flows.drop_duplicates(["series", "week"], keep="last")
    final = last.pivot(index="week", columns="series", values="value")
    final.index = pd.DatetimeIndex(final.index)
    trips = final["trips"]
    halved = trips.loc["2020-02-10":"2020-02-24"].mean() / trips.loc["2019-02-18":"2019-03-04"].mean()
    assert 0.40 < halved < 0.62
    june = trips.loc["2020-06-15":"2020-06-22"].mean() / trips.loc["2019-06-10":"2019-06-24"].mean()
    assert 0.7 < june < 0.97
    assert set(final.columns) == {"trips", "data_traffic", "trade", "capital_in", "capital_out"}


def test_one_boom_is_carried_by_income_and_one_is_not(world: World) -> None:
    booms = world.truth.frame("booms").set_index("region")
    series = world.truth.frame("quarterly").pivot(index="period", columns="series", values="value")
    for region, boom in booms.iterrows():
        burden = series[f"credit.{region}"] / series[f"income.{region}"]
        before, peak = burden.loc["2011-10-01"], burden.loc[: boom["peak"]].iloc[-1]
        house = series[f"house_price.{region}"]
        assert house.loc[: boom["peak"]].iloc[-1] > 1.35 * house.loc["2011-10-01"]
        if boom["kind"] == "bad":
            assert peak > 1.6 * before
            assert house.loc["2019-10-01"] < 0.9 * house.loc[: boom["peak"]].iloc[-1]
        else:
            assert peak < 1.25 * before
    gap = (series["credit"] / series["gdp_nominal"]).loc["2010-01-01":"2017-10-01"]
    assert gap.iloc[-1] > 1.15 * gap.iloc[0]
    assert set(QUARTERLY) >= {"gdp", "gdp_nominal", "credit", "house_price", "rent", "income"}


def test_prices_are_published_by_division_and_month(world: World) -> None:
    table = world.workshop.official.prices().to_pandas()
    wide = table.pivot(index="month", columns="nace", values="index_milli")
    assert wide.shape == (36, 63)
    assert (wide > 50_000).all().all()
    change = np.log(wide.iloc[33] / wide.iloc[30])
    assert change["10"] > change["56"]


def test_the_country_does_not_depend_on_how_many_companies_are_drawn(world: World) -> None:
    assert world.truth.gdp().equals(meridia(5_000, seed=11).truth.gdp())
