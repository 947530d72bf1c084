"""Ratios watched round by round: statistics, shares of the level, what was known on the day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import UsageError
from opsroom.warn.exuberance import gsadf, watch_ratios
from opsroom.warn.exuberance.critical import monte_carlo_values

DRAWS = 1999
QUARTERS = pd.period_range("2005Q1", periods=40, freq="Q")


def long(wide: pd.DataFrame, *, days: int = 60) -> pd.DataFrame:
    """Turn a table of quarters by area into vintages, each known so many days after its quarter."""
    table = wide.rename_axis("period").melt(ignore_index=False, var_name="area").reset_index()
    return table.assign(known_at=[p.end_time.normalize() + pd.Timedelta(days=days) for p in table["period"]])


def walks(seed: int, areas: int = 6) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    paths = 100.0 + np.cumsum(rng.normal(size=(len(QUARTERS), areas)), axis=0)
    return pd.DataFrame(paths, index=QUARTERS, columns=[f"R{k}" for k in range(areas)])


@pytest.fixture(scope="module")
def world() -> tuple[pd.DataFrame, pd.DataFrame]:
    price, rent = walks(1), walks(2) * 0 + 50.0
    price.iloc[20:, 0] += 1.35 ** np.arange(20)
    price.iloc[28:, 1] -= 1.45 ** np.arange(12)
    return price, rent


def test_statistics_and_p_values_are_those_of_the_series_as_known_then(world: tuple[pd.DataFrame, ...]) -> None:
    price, rent = world
    found = watch_ratios(long(price), long(rent), draws=DRAWS)
    assert found.frame["period"].nunique() == 40 - 13  # the first 13 quarters are too short for windows of 12 rows
    for quarter in ("2010Q2", "2014Q4"):
        ratio = (price / rent).loc[:quarter]
        rows = found.frame[found.frame["period"] == pd.Period(quarter)].set_index("area")
        drawn = monte_carlo_values(len(ratio), lags=1, min_window=12, draws=999, seed=7)
        for area in ratio:
            alone = gsadf(ratio[area], lags=1, min_window=12, draws=99)
            assert rows.loc[area, "bsadf"] == pytest.approx(alone.bsadf.iloc[-1], abs=1e-9)
            p = rows.loc[area, "p_value"]
            other = drawn.p_value("last", float(rows.loc[area, "bsadf"]))
            assert abs(p - other) < 4.5 * np.sqrt(max(p * (1 - p), 0.001) / 999) + 0.002
        # Benjamini and Yekutieli by hand
        p = rows["p_value"].sort_values()
        m = len(p)
        raw = [p.iloc[k] * m / (k + 1) * sum(1 / j for j in range(1, m + 1)) for k in range(m)]
        q = [min(1.0, *raw[k:]) for k in range(m)]
        assert rows.loc[p.index, "q_value"].to_numpy() == pytest.approx(q)


def test_a_boom_and_a_crash_are_told_apart_and_dated_by_knowledge(world: tuple[pd.DataFrame, ...]) -> None:
    price, rent = world
    found = watch_ratios(long(price), long(rent), draws=DRAWS)
    assert set(found.alarms("boom")["area"]) == {"R0"}
    assert set(found.alarms("crash")["area"]) == {"R1"}
    first = found.alarms("boom").iloc[0]
    assert pd.Period("2010Q1") < first["period"] < pd.Period("2014Q1")
    assert first["known_at"] == first["period"].end_time.normalize() + pd.Timedelta(days=60)
    assert "R0 (boom)" in found.summary()
    assert "neither mispricing" in found.summary()
    fallen = found.frame[(found.frame["area"] == "R1") & (found.frame["period"] == QUARTERS[-1])]["fall"].iloc[0]
    assert fallen == pytest.approx(1 - price["R1"].iloc[-1] / price["R1"].iloc[-13:].max())


def test_the_level_is_shared_out_over_rounds_and_families(world: tuple[pd.DataFrame, ...]) -> None:
    price, rent = world
    alone, beside = (watch_ratios(long(price), long(rent), draws=DRAWS, families=n).frame for n in (1, 3))
    known = alone["doubt_boom"] < 1
    assert known.sum() > 5
    assert alone["doubt_boom"][known].to_numpy() == pytest.approx(4 * alone["q_value"][known].to_numpy())
    assert beside["doubt_boom"].to_numpy()[known] == pytest.approx(np.minimum(1, 12 * alone["q_value"][known]))
    assert (alone["q_value"][alone["direction"] == ""] * 4 >= 1).all()


def test_a_fifth_round_of_a_year_has_no_share_left(world: tuple[pd.DataFrame, ...]) -> None:
    price, rent = world
    late = long(price)
    # seven quarters of the boom come out one after the other in one year
    behind = late["period"].between(pd.Period("2012Q1"), pd.Period("2013Q3"))
    number = late["period"].map(lambda p: (p - pd.Period("2012Q1")).n)
    backlog = pd.Timestamp("2014-01-10") + pd.to_timedelta(number * 7, unit="D")
    late["known_at"] = late["known_at"].where(~behind, backlog)
    late = late[late["period"] <= pd.Period("2013Q3")]
    found = watch_ratios(late, long(rent), draws=DRAWS).frame
    boom = found[(found["area"] == "R0") & (found["known_at"] > "2014-01-01")]
    assert len(boom) == 7
    assert (boom["doubt_boom"].iloc[:4] < 1).all()
    assert (boom["doubt_boom"].iloc[4:] == 1).all()


def test_revisions_open_no_round_and_change_none(world: tuple[pd.DataFrame, ...]) -> None:
    price, rent = world
    once = long(price)
    revised = once.assign(value=once["value"] * 1.5, known_at=once["known_at"] + pd.Timedelta(days=700))
    revised = revised[revised["period"] < pd.Period("2006Q1")]
    plain = watch_ratios(once, long(rent), draws=DRAWS)
    again = watch_ratios(pd.concat([once, revised]), long(rent), draws=DRAWS)
    assert len(plain.frame) == len(again.frame)
    early = plain.frame["known_at"] < revised["known_at"].min()
    pd.testing.assert_frame_equal(plain.frame[early], again.frame[early])
    assert again.latest.loc["2005Q2", "R3"] == pytest.approx(1.5 * plain.latest.loc["2005Q2", "R3"])


def test_an_area_with_a_gap_is_not_tested_and_the_others_are(world: tuple[pd.DataFrame, ...]) -> None:
    price, rent = world[0].copy(), world[1]
    price.iloc[22, 2] = np.nan
    found = watch_ratios(long(price).dropna(), long(rent), draws=DRAWS).frame
    last = found[found["period"] == QUARTERS[-1]]
    assert set(last["area"]) == {"R0", "R1", "R2", "R3", "R4", "R5"}  # the stretch after the gap is long enough
    assert set(found[found["period"] == QUARTERS[26]]["area"]) == {"R0", "R1", "R3", "R4", "R5"}


def test_wrong_arguments_are_told(world: tuple[pd.DataFrame, ...]) -> None:
    price, rent = (long(table) for table in world)
    for wrong in ({"freq": "D"}, {"level": 0.0}, {"families": 0}):
        with pytest.raises(UsageError, match="rounds are by quarter"):
            watch_ratios(price, rent, **wrong)
