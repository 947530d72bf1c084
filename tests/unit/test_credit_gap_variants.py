"""Short-sample gaps, debt service, vintages, sectors and currency mismatch: each against its definition."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import FitError, UsageError
from opsroom.protect import Rules
from opsroom.warn.credit_gap import (
    change_gap,
    credit_gap,
    currency_mismatch,
    debt_service_ratio,
    from_own_mean,
    gap_from_levels,
    gap_on,
    gaps_as_known,
    growth_gap,
    hamilton_gap,
    known_on,
    register_cells,
    sector_gaps,
)


@pytest.mark.parametrize(("horizon", "lags", "holes"), [(20, 4, []), (8, 2, [30, 31]), (1, 1, [])])
def test_hamilton_is_a_regression_on_the_past_alone(horizon: int, lags: int, holes: list[int]) -> None:
    rng = np.random.default_rng(1)
    y = 100.0 + np.cumsum(rng.normal(0.2, 1.0, 120))
    y[holes] = np.nan
    found = hamilton_gap(y, horizon=horizon, lags=lags)
    for t in (45, 60, 119):
        first = horizon + lags - 1
        rows = [[1.0, *y[s - first : s - horizon + 1][::-1], y[s]] for s in range(first, t + 1)]
        table = np.array([r for r in rows if not np.isnan(r).any()])
        beta = np.linalg.lstsq(table[:, :-1], table[:, -1], rcond=None)[0]
        assert found.iloc[t] == pytest.approx(table[-1, -1] - table[-1, :-1] @ beta, abs=1e-7)
    assert found.first_valid_index() == horizon + lags - 1 + 2 * (lags + 1) - 1
    assert hamilton_gap(np.full(60, 80.0)).dropna().abs().max() < 1e-9


def test_changes_and_growth_by_hand() -> None:
    ratio = pd.Series([50.0, 51.0, 53.0], index=pd.period_range("2020Q1", periods=3, freq="Q"))
    assert change_gap(ratio, quarters=2).tolist()[2] == 3.0
    quarters = np.arange(60)
    credit, gdp = 10.0 * 1.03**quarters, 5.0 * 1.01**quarters
    expected = 100.0 * (1.03**8 - 1.01**8)
    assert growth_gap(credit, gdp).dropna().to_numpy() == pytest.approx(np.full(60 - 35, expected))
    assert growth_gap(credit, gdp, sum_over=1).notna().sum() == 60 - 32
    # One year of GDP down by a tenth moves the usual growth of two years by a quarter of that, not by all of it.
    slump = gdp * np.where(quarters >= 56, 0.9, 1.0)
    moved = growth_gap(credit, slump).iloc[-1] - expected
    assert moved == pytest.approx(100.0 * 1.01**8 * (1 - 0.9**0.25))
    assert growth_gap(credit[:5], gdp[:5], over=8, memory=8).isna().all()


def test_the_debt_service_ratio_repays_the_debt() -> None:
    """An instalment of that share, paid every quarter, leaves nothing after the maturity."""
    for rate, years in ((8.0, 5.0), (0.0, 3.0), (-0.5, 2.5), (1e-9, 10.0)):
        share = debt_service_ratio([200.0], [50.0], [rate], maturity=years).iloc[0] / 100.0 * 50.0
        left = 200.0
        for _ in range(round(4 * years)):
            left = left * (1 + rate / 400.0) - share
        assert left == pytest.approx(0.0, abs=1e-8)
    # i = 2 %, s = 20: 0.02 / (1 - 1.02^-20) = 0.0611567; debt four times income.
    assert debt_service_ratio([4.0], [1.0], [8.0], maturity=5.0).iloc[0] == pytest.approx(24.46269, abs=1e-5)
    own = from_own_mean(pd.Series([10.0, 12.0, 14.0, 30.0]), least=3)
    assert own.tolist()[2:] == [2.0, 13.5]
    for wrong in (([1.0], [0.0], [1.0], 5.0), ([1.0], [1.0], [1.0], 0.0), ([1.0, 2.0], [1.0], [1.0], 5.0)):
        with pytest.raises(UsageError):
            debt_service_ratio(*wrong[:3], maturity=wrong[3])


def vintages(truth: np.ndarray, *, seed: int, first: int = 48, revised: bool = True) -> pd.DataFrame:
    """A history of `first` quarters in one delivery, then a quarter each quarter, each revised a year later."""
    rng = np.random.default_rng(seed)
    quarters = pd.period_range("1990Q1", periods=len(truth), freq="Q")
    rows = []
    for t, quarter in enumerate(quarters):
        known = quarters[max(t, first)].end_time.normalize() + pd.Timedelta(days=60)
        early = truth[t] * (1 + 0.02 * rng.normal() * revised)
        rows.append({"period": str(quarter), "known_at": known, "value": early})
        rows.append({"period": str(quarter), "known_at": known + pd.Timedelta(days=365), "value": truth[t]})
    return pd.DataFrame(rows)


def test_gaps_as_known_are_those_of_each_day() -> None:
    t = np.arange(57)
    credit = vintages(80.0 * np.exp(0.012 * t), seed=1)
    gdp = vintages(25.0 * np.exp(0.01 * t), seed=2)
    found = gaps_as_known(credit, gdp)
    assert found.timing == "real-time"
    assert "(real-time)" in found.summary()
    assert "; real-time;" in found.cite()
    days = known_on(credit, gdp)
    for quarter in ("2003Q4",):
        day = days[pd.Period(quarter)].date()
        then = gap_on(credit, gdp, as_of=day)
        assert then.gap.last_valid_index() == pd.Period(quarter)
        assert found.gap[quarter] == then.gap[quarter]
        assert found.split().loc[quarter, "credit"] == then.split().loc[quarter, "credit"]
        # What came later does not exist.
        later = credit.assign(value=np.where(pd.to_datetime(credit["known_at"]).dt.date > day, 1e9, credit["value"]))
        assert gap_on(later, gdp, as_of=day).gap[quarter] == found.gap[quarter]
        assert gaps_as_known(later, gdp, as_of=day).gap[quarter] == found.gap[quarter]
    final = gap_on(credit, gdp, as_of=dt.date(2020, 1, 1))
    assert final.timing == "quasi-real-time"
    assert "(quasi-real-time)" in final.summary()
    assert (final.gap - found.gap).abs().max() > 0.2
    parts = found.split()
    assert (parts["gap"] - parts["credit"] - parts["gdp"]).abs().max() < 1e-10
    steady = gaps_as_known(*(vintages(x * np.exp(0.01 * t), seed=1, revised=False) for x in (80.0, 25.0)))
    one = gap_from_levels(80.0 * np.exp(0.01 * t), 25.0 * np.exp(0.01 * t))
    assert np.allclose(steady.gap, one.gap.iloc[3:], rtol=0, atol=1e-9, equal_nan=True)
    with pytest.raises(FitError, match="no quarter"):
        gaps_as_known(credit, gdp, as_of=dt.date(1999, 1, 1))
    with pytest.raises(UsageError, match="lack"):
        gap_on(credit.drop(columns="known_at"), gdp, as_of=dt.date(2005, 1, 1))
    with pytest.raises(UsageError, match="two values"):
        gap_on(pd.concat([credit, credit]), gdp, as_of=dt.date(2005, 1, 1))


def test_a_withdrawn_value_is_not_known() -> None:
    t = np.arange(60)
    credit, gdp = vintages(80.0 + t, seed=1), vintages(25.0 + t, seed=2)
    gone = pd.DataFrame([{"period": "2003Q2", "known_at": "2010-01-01", "value": np.nan}])
    found = gap_on(pd.concat([credit, gone]), gdp, as_of=dt.date(2010, 1, 1))
    assert np.isnan(found.gap["2003Q2"])
    assert not np.isnan(gap_on(pd.concat([credit, gone]), gdp, as_of=dt.date(2009, 12, 31)).gap["2003Q2"])


def register(*, seed: int = 0, quarters: int = 60) -> pd.DataFrame:
    """Forty companies in two sections; credit of C booms late, value added of F collapses late."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(40):
        section, size = "CF"[k % 2], int(rng.integers(50, 150)) * 1_000
        for t, quarter in enumerate(pd.period_range("2005Q1", periods=quarters, freq="Q")):
            late = max(t - 50, 0)
            boom, fall = (1.0 + 0.06 * late, 1.0) if section == "C" else (1.0, 1.0 - 0.05 * min(late, 8))
            rows.append((f"E{k}", k, section, str(quarter), int(size * 1.5 * boom), int(size * fall)))
    return pd.DataFrame(rows, columns=["enterprise_id", "group_id", "section", "quarter", "credit", "value_added"])


def test_sectors_boom_or_only_lose_their_denominator() -> None:
    table = register().groupby(["section", "quarter"])[["credit", "value_added"]].sum().reset_index()
    found = sector_gaps(table, sum_over=1)
    one = table[table["section"] == "C"]
    alone = credit_gap(100.0 * one["credit"].to_numpy() / one["value_added"].to_numpy())
    assert np.allclose(found.frame.loc[found.frame["section"] == "C", "gap"], alone.gap, equal_nan=True)
    last = found.latest.set_index("section")
    assert (last["gap"] > 10.0).all()
    assert last["alarm"].to_dict() == {"C": True, "F": False}
    assert last["driven_by"].to_dict() == {"C": "credit", "F": "gdp"}
    assert "because value added fell: F" in found.summary()
    assert "quasi-real-time" in found.cite() + found.summary()
    assert sector_gaps(table[table["quarter"] < "2012Q1"]).short == (("C",), ("F",))
    with pytest.raises(UsageError, match="two rows"):
        sector_gaps(pd.concat([table, table]))
    with pytest.raises(UsageError, match="lacks"):
        sector_gaps(table.drop(columns="credit"))


def test_a_withheld_quarter_is_a_hole_that_nothing_after_it_betrays() -> None:
    table = register().groupby(["section", "quarter"])[["credit", "value_added"]].sum().reset_index()
    hidden = (table["section"] == "C") & (table["quarter"] == "2017Q1")
    holed = table.assign(credit=table["credit"].where(~hidden))
    other = table.assign(credit=(table["credit"] * np.where(hidden, 7, 1)).where(~hidden))
    first, second = sector_gaps(holed, sum_over=1), sector_gaps(other, sum_over=1)
    pd.testing.assert_frame_equal(first.frame, second.frame)
    cells = first.cells()
    row = cells.frame[(cells.frame["section"] == "C") & (cells.frame["quarter"] == "2017-Q1")].iloc[0]
    assert row["gap__withheld"]
    assert np.isnan(row["gap"])
    assert int(cells.frame["gap__withheld"].sum()) == 1
    assert cells.frame["quarter"].min() == "2015-Q1"  # the 41st quarter


def test_the_register_goes_through_the_gate() -> None:
    from opsroom.protect.judge import judge

    cells = register_cells(register(quarters=3))
    total = cells.frame[(cells.frame["section"] == "_T") & (cells.frame["quarter"] == "2005-Q2")].iloc[0]
    assert total["m_credit__groups"] == 40
    verdict = judge(cells, Rules(), [], entry=1)
    assert not verdict.hidden
    few = register(quarters=3)
    few = few[(few["section"] == "C") | few["group_id"].isin([1])]
    judged = judge(register_cells(few), Rules(), [], entry=1)
    shown = register_cells(few).frame
    hidden = {(shown.loc[r, "section"], m) for r, m in judged.hidden}
    assert ("F", "credit") in hidden
    with pytest.raises(UsageError, match="lacks"):
        register_cells(register(quarters=3).drop(columns="group_id"))


def test_currency_mismatch_is_company_by_company() -> None:
    companies = pd.DataFrame(
        {
            "section": ["C", "C", "F", "F"], "group_id": [1, 2, 3, 4], "debt": [100, 100, 50, 10],
            "fx_debt": [60, 40, 0, 10], "fx_receipts": [1000, 10, 0, 4],
        }
    )  # fmt: skip
    found = currency_mismatch(companies, period="2020-Q1")
    frame = found.to_frame().set_index("section")
    # The exporter's thousand does not cover its neighbour's forty.
    assert frame["unhedged"].to_dict() == {"C": 30, "F": 6, "_T": 36}
    assert frame.loc["C", "fx_share"] == 50.0
    assert frame.loc["C", "unhedged_share"] == 30.0
    assert frame.loc["_T", "unhedged_share"] == pytest.approx(100 * 36 / 110)
    assert found.loss(0.2)["loss"].tolist() == pytest.approx([6.0, 1.2, 7.2])
    assert "42.3 % of companies' debt" in found.summary()
    assert currency_mismatch(companies, period="2020-Q1", years=0.0).to_frame()["unhedged"].iloc[-1] == 110
    hedged = companies.assign(fx_hedged=[0, 30, 0, 0])
    assert currency_mismatch(hedged, period="2020-Q1").to_frame()["unhedged"].iloc[-1] == 6
    cells = found.cells()
    part = cells.frame[cells.frame["section"] == "C"].iloc[0]
    assert (part["m_unhedged"], part["m_unhedged__groups"], part["m_unhedged__rest_groups"]) == (30, 1, 2)
    none = currency_mismatch(companies.assign(fx_debt=0), period="2020-Q1")
    assert "no company owes" in none.summary()
    assert none.to_frame()["unhedged_share"].isna().all()
    for wrong, message in (
        (companies.assign(fx_debt=500), "more in foreign"),
        (companies.assign(fx_receipts=-1), "missing or negative"),
        (companies.drop(columns="fx_receipts"), "lack"),
    ):
        with pytest.raises(UsageError, match=message):
            currency_mismatch(wrong, period="2020-Q1")
