"""What drives a gap: the split is exact, a collapsing denominator raises no alarm, a credit boom does."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import FitError, UsageError
from opsroom.warn.credit_gap import GapResult, credit_gap, gap_from_levels, one_sided_trend

QUARTERS = pd.period_range("1990Q1", periods=140, freq="Q")


def economy(*, gdp_fall: float = 0.0, boom: float = 0.0, seed: int = 1) -> GapResult:
    """Credit and GDP that grow together for 100 quarters; then one of them leaves the path for good."""
    rng = np.random.default_rng(seed)
    t = np.arange(len(QUARTERS))
    growth = 0.01 * t + 0.002 * np.cumsum(rng.normal(size=len(t)))
    late = np.clip((t - 100) / 4.0, 0.0, 1.0)
    gdp = 25.0 * np.exp(growth) * (1.0 - gdp_fall * late)
    credit = 80.0 * np.exp(growth) * np.exp(boom * np.maximum(t - 100, 0))
    return gap_from_levels(pd.Series(credit, QUARTERS), pd.Series(gdp, QUARTERS))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(45, 120),
    holes=st.integers(0, 10),
    quarters=st.integers(1, 12),
    sd=st.sampled_from([0.0, 0.02, 0.3]),
)
def test_the_split_is_exact(seed: int, n: int, holes: int, quarters: int, sd: float) -> None:
    rng = np.random.default_rng(seed)
    credit = 80.0 * np.exp(np.cumsum(rng.normal(0.01, sd, n)))
    gdp = 100.0 * np.exp(np.cumsum(rng.normal(0.01, sd, n)))
    credit[rng.integers(0, n, holes)] = np.nan
    found = gap_from_levels(credit, gdp, sum_over=1)
    assert np.allclose(found.gap, credit_gap(100.0 * credit / gdp).gap, rtol=0, atol=1e-12, equal_nan=True)
    frame, change = found.split(), found.change(quarters)
    size = max(1.0, float(np.nanmax(100.0 * credit / gdp)))
    assert (frame["gap"] - frame["credit"] - frame["gdp"]).abs().max() <= 1e-10 * size
    assert np.allclose(change["credit"] + change["gdp"], change["change"], rtol=0, atol=1e-10 * size, equal_nan=True)
    assert change["change"].notna().equals(found.gap.diff(quarters).notna())


def test_parts_are_those_of_their_own_steps() -> None:
    """By hand: GDP at its usual growth has no part, credit at GDP's usual growth neither; both by the definition."""
    rng = np.random.default_rng(4)
    walk, steady = 100.0 * np.exp(np.cumsum(rng.normal(0, 0.02, 80))), 100.0 * np.exp(0.01 * np.arange(80))
    assert gap_from_levels(walk, steady, sum_over=1).split()["gdp"].abs().max() < 1e-10
    falls = steady * np.where(np.arange(80) == 60, 0.8, 1.0)
    one_fall = gap_from_levels(steady, falls, sum_over=1).split()
    assert one_fall["credit"].abs().max() < 1e-10
    assert one_fall["gdp"].abs().max() > 20.0
    gdp = 50.0 * np.exp(np.cumsum(rng.normal(0, 0.02, 80)))
    rates = np.diff(np.log(gdp))
    usual = [1.0, gdp[1] / gdp[0]]
    for t in range(2, 80):
        usual.append(usual[-1] * np.exp(np.median(rates[: t - 1])))
    c, y = walk / usual, gdp / usual
    steps = [100.0 * (c[t] - c[t - 1]) * (1 / y[t - 1] + 1 / y[t]) / 2 for t in range(1, 80)]
    path = np.concatenate([[0.0], np.cumsum(steps)])
    expected = path - one_sided_trend(path)
    assert np.allclose(gap_from_levels(walk, gdp, sum_over=1).split()["credit"][40:], expected[40:], rtol=0, atol=1e-9)


def test_a_collapsing_denominator_raises_no_alarm() -> None:
    """GDP falls by a sixth and stays there: the gap leaps over 10 points, the guide with it; no alarm, ever."""
    found = economy(gdp_fall=1 / 6)
    told = found.alarms()
    assert found.gap.max() > 10.0
    assert found.buffer.max() == 2.5
    assert not told["alarm"].any()
    above = told[told["gap"] > 2.0]
    assert len(above) > 15
    assert set(above["driven_by"]) == {"gdp"}
    assert (found.change(8).loc[QUARTERS[104:108], "driven_by"] == "gdp").all()
    assert "GDP +" in gap_from_levels(*_levels(1 / 6, until=105)).summary()


def test_a_boom_raises_the_alarm_also_in_a_slump() -> None:
    drawn = json.dumps(economy(boom=0.02).chart().to_dict())
    assert "; quasi-real-time" in drawn
    assert "of which by GDP" in drawn
    boom = economy(boom=0.02).alarms()
    assert boom["alarm"].any()
    assert set(boom.loc[boom["alarm"], "driven_by"]) == {"credit"}
    assert not boom.loc[: QUARTERS[99], "alarm"].any()
    both = economy(boom=0.02, gdp_fall=1 / 6).alarms()
    assert both["alarm"].iloc[-1]
    assert both["alarm"].idxmax() >= boom["alarm"].idxmax()
    assert both.loc[both["alarm"], "since"].nunique() == 1


def test_inflation_is_nobodys_push_once_prices_are_given() -> None:
    t = np.arange(140)
    credit, gdp = 80.0 * np.exp(0.01 * t + 0.01 * np.sin(t)), 100.0 * np.exp(0.01 * t)
    prices = np.exp(0.03 * np.maximum(t - 60, 0))
    plain = gap_from_levels(credit, gdp, sum_over=1).split()
    deflated = gap_from_levels(credit * prices, gdp * prices, prices=prices, sum_over=1).split()
    nominal = gap_from_levels(credit * prices, gdp * prices, sum_over=1).split()
    assert (plain - deflated).abs().max().max() < 1e-9
    assert (plain["gap"] - nominal["gap"]).abs().max() < 1e-9
    assert (plain["credit"] - nominal["credit"]).abs().max() > 10.0


def test_a_spell_outlives_a_hole_and_ends_below_the_threshold() -> None:
    from opsroom.warn.credit_gap.split import alarms

    gap = pd.Series([0.0, -1.0, 3.0, np.nan, 4.0, 1.0, 3.0])
    credit, gdp = gap.ffill(), gap * 0.0
    told = alarms(gap, credit, gdp.fillna(0.0), threshold=2.0)
    assert told["alarm"].tolist() == [False, False, True, False, True, False, True]
    assert told["since"].tolist() == [None, None, 2, None, 2, None, 6]
    assert told["credit"].tolist()[2:5:2] == [4.0, 5.0]


def test_what_is_unknown_is_said() -> None:
    alone = credit_gap(np.linspace(50, 60, 60))
    for call in (alone.split, alone.change, alone.alarms):
        with pytest.raises(UsageError, match="ratio alone"):
            call()
    with pytest.raises(UsageError, match="not positive"):
        gap_from_levels(np.ones(60), np.zeros(60))
    with pytest.raises(UsageError, match="same quarters"):
        gap_from_levels(np.ones(60), np.ones(59))
    with pytest.raises(UsageError, match="same quarters"):
        gap_from_levels(pd.Series(np.ones(140), QUARTERS), pd.Series(np.ones(140), QUARTERS + 1))
    with pytest.raises(FitError, match="two observations"):
        gap_from_levels(np.ones(4), np.ones(4))
    with pytest.raises(UsageError, match="at least one quarter"):
        alone.change(0)


def _levels(fall: float, *, until: int) -> tuple[pd.Series, pd.Series]:
    t = np.arange(until)
    late = np.clip((t - 100) / 4.0, 0.0, 1.0)
    index = QUARTERS[:until]
    return pd.Series(80.0 * np.exp(0.01 * t), index), pd.Series(25.0 * np.exp(0.01 * t) * (1 - fall * late), index)
