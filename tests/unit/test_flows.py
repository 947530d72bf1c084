"""Flows: lunar days by hand, closed forms of depth, duration and half-life, poisoned futures, sums of companies."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.flows import (
    Flow,
    FlowsResult,
    by_month,
    company_flows,
    counterpart,
    flows,
    new_years,
    on_earlier_years,
    resilience,
)
from opsroom.measure.flows.normal import fit_normal

# China's New Year's Days, from the almanac
HAND = {
    2015: dt.date(2015, 2, 19), 2016: dt.date(2016, 2, 8), 2017: dt.date(2017, 1, 28), 2018: dt.date(2018, 2, 16),
    2019: dt.date(2019, 2, 5), 2020: dt.date(2020, 1, 25), 2021: dt.date(2021, 2, 12),
}  # fmt: skip
SHOCK = dt.date(2020, 2, 3)

# -- lunar days -----------------------------------------------------------------------------------------------------


def test_new_years_are_those_of_the_almanac() -> None:
    assert new_years("CN", range(2015, 2022)) == HAND
    assert new_years("HK", [2019, 2020]) == {2019: HAND[2019], 2020: HAND[2020]}
    assert new_years("VN", [2020]) == {2020: HAND[2020]}
    assert new_years("KR", [2021]) == {2021: HAND[2021]}
    assert new_years("DE", [2020]) == {}
    with pytest.raises(UsageError, match="not known"):
        new_years("XX", [2020])


@pytest.mark.parametrize(
    ("day", "years", "before"),
    [
        ("2020-01-25", 1, "2019-02-05"),  # New Year's Day
        ("2020-01-31", 1, "2019-02-11"),  # the sixth day after
        ("2021-02-11", 2, "2019-02-04"),  # the eve, two years before
        ("2021-02-12", 3, "2018-02-16"),
        ("2020-01-04", 1, "2019-01-15"),  # three weeks before: still by the moon
        ("2020-06-01", 1, "2019-06-03"),  # a Monday in June against a Monday
        ("2020-06-01", 2, "2018-06-04"),
        # 2 March 2020 is 37 days after New Year. Its plain counterpart, 4 March 2019, is 27 days after: the first
        # Monday outside that year's window (35 days) is 18 March.
        ("2020-03-02", 1, "2019-03-18"),
    ],
)
def test_counterparts_by_hand(day: str, years: int, before: str) -> None:
    assert counterpart(pd.DatetimeIndex([day]), years, HAND)[0] == pd.Timestamp(before)


def test_without_a_moving_new_year_weekday_meets_weekday() -> None:
    assert counterpart(pd.DatetimeIndex(["2020-01-31"]), 1, {})[0] == pd.Timestamp("2019-02-01")
    # near a New Year whose earlier one is not known, nothing is said
    assert counterpart(pd.DatetimeIndex(["2015-02-20"]), 1, HAND)[0] is pd.NaT


def test_a_flow_that_follows_the_moon_does_not_grow() -> None:
    """Trips double for ten days from each New Year: plain year-on-year jumps, lunar year-on-year is flat."""
    days = pd.date_range("2017-03-05", "2021-03-10")
    trips = pd.Series(100.0, index=days)
    for day in HAND.values():
        trips[(days >= pd.Timestamp(day)) & (days < pd.Timestamp(day) + pd.Timedelta(days=10))] = 200.0
    told = on_earlier_years(trips, years=3, moving=HAND)["2018-12":]
    assert np.nanmax(np.abs(told["on_1"])) == pytest.approx(0)
    assert told["on_1"].notna().all()
    assert np.nanmax(np.abs(told[["on_2", "on_3"]].to_numpy())) == pytest.approx(0)
    plain = on_earlier_years(trips, years=1, moving={})["2018-12":]
    assert np.nanmax(np.abs(plain["on_1"])) > 70


def test_growth_is_a_yearly_rate_and_a_shock_a_year_ago_is_not_in_the_second() -> None:
    days = pd.date_range("2017-01-01", "2021-12-31")
    x = pd.Series(100 * np.exp(0.1 * np.arange(len(days)) / 364), index=days)
    x["2020-04-01":"2020-06-30"] *= 0.5
    told = on_earlier_years(x, years=2, moving={}).loc["2021-05-15"]
    assert told["on_1"] == pytest.approx(100 * (2 * math.exp(0.1) - 1))
    assert told["on_2"] == pytest.approx(100 * (math.exp(0.1) - 1))
    at = pd.DatetimeIndex(["2021-05-15"])
    assert on_earlier_years(x, years=2, moving={}, at=at).loc["2021-05-15"].tolist() == told.tolist()


def test_january_and_february_are_one_where_the_new_year_moves() -> None:
    days = pd.date_range("2019-01-01", "2020-04-15")
    x = pd.Series(10.0, index=days)
    x["2020-01-01":"2020-01-31"] = 4.0
    told = by_month(x, HAND)
    assert "2020-01" not in told.index.astype(str)
    joined = told.loc[pd.Period("2020-02", "M")]
    assert joined["months"] == 2
    assert joined["mean"] == pytest.approx((31 * 4 + 29 * 10) / 60)
    assert joined["on_year"] == pytest.approx(100 * (joined["mean"] / 10 - 1))
    assert pd.Period("2020-04", "M") not in told.index  # half a month is no month
    apart = by_month(x, {})
    assert apart.loc[pd.Period("2020-01", "M"), "on_year"] == pytest.approx(-60)
    assert (apart["months"] == 1).all()


# -- depth, duration, half-life -------------------------------------------------------------------------------------


@given(depth=st.floats(12, 90), half=st.floats(2, 20), sign=st.sampled_from([-1.0, 1.0]))
def test_closed_forms_of_an_exponential_recovery(depth: float, half: float, sign: float) -> None:
    """Calm for ten weeks, then ``d 2^(-t/h)``: half-life h, duration h log2(d / 5) and the step down to it."""
    t = np.arange(200)
    path = np.concatenate([np.zeros(10), sign * depth * 2.0 ** (-t / half)])
    found = resilience(path, since=8)
    assert found.depth.value == pytest.approx(sign * depth)
    assert (found.onset, found.trough) == (10, 10)
    # between two weeks the path is a straight line: under a week off, and exact where a week is hit
    assert found.half_life.value == pytest.approx(half, abs=0.1 * half / 2)
    begin = 9 + 5 / depth
    assert begin + found.duration.value == pytest.approx(10 + half * math.log2(depth / 5), abs=0.1 * half / 2)
    assert not found.duration.censored
    assert found.duration.reason == "no-errors"


def test_a_triangle_by_hand() -> None:
    path = np.array([0.0, 0.0, -10.0, -20.0, -30.0, -20.0, -10.0, 0.0, 0.0, 0.0])
    found = resilience(path, since=1)
    assert (found.onset, found.trough, found.end) == (2, 4, 7)
    assert found.depth.value == -30
    assert found.half_life.value == pytest.approx(1.5)
    assert found.duration.value == pytest.approx(6.5 - 1.5)


def test_an_unfinished_recovery_is_censored_and_one_good_week_is_no_end() -> None:
    path = np.array([0.0, -10.0, -20.0, -30.0, -2.0, -25.0, -20.0, -16.0])
    found = resilience(path)
    assert found.end == -1
    assert found.duration.censored
    assert found.duration.value == pytest.approx(7 - 0.5)
    assert found.half_life.censored
    assert found.half_life.value == pytest.approx(4)
    errors = np.random.default_rng(0).normal(0, 0.5, (200, 8))
    told = resilience(path, errors=errors)
    assert told.duration.reason == "not-recovered"
    assert told.duration.upper == math.inf
    assert told.duration.lower <= told.duration.value
    assert told.depth.lower < -30 < told.depth.upper


def test_no_shock_is_no_number() -> None:
    found = resilience(np.array([0.0, 1.0, -9.0, 2.0, 0.0]))
    assert math.isnan(found.depth.value)
    assert found.depth.reason == "no-shock"
    with pytest.raises(UsageError, match="gaps"):
        resilience(np.array([0.0, np.nan]))
    with pytest.raises(UsageError, match="threshold"):
        resilience(np.zeros(5), threshold=0)


def test_intervals_hold_the_planted_measures() -> None:
    """Noise with memory over a planted path, sixty draws: nominal 90 %."""
    rng = np.random.default_rng(1)
    t = np.arange(120)
    true = np.where(t < 10, 0.0, -30 * np.minimum(1, (t - 9) / 4) * 2.0 ** (-np.maximum(t - 13, 0) / 12))
    truth = resilience(true, since=8)

    def noise(n: int) -> np.ndarray:
        out = np.zeros((n, len(t)))
        out[:, 0] = rng.normal(0, 1.5, n)
        for k in range(1, len(t)):
            out[:, k] = 0.4 * out[:, k - 1] + 1.5 * math.sqrt(1 - 0.16) * rng.normal(size=n)
        return out

    held = np.zeros(3)
    wide: list[list[float]] = [[], [], []]
    off: list[list[float]] = [[], [], []]
    runs = 60
    for e in noise(runs):
        told = resilience(true + e, since=8, errors=noise(150))
        for k, name in enumerate(("depth", "duration", "half_life")):
            one = getattr(told, name)
            true_value = getattr(truth, name).value
            held[k] += one.lower <= true_value <= one.upper
            wide[k].append(one.upper - one.lower)
            off[k].append(one.value - true_value)
    assert (held / runs >= 0.8).all(), held / runs
    for width, error in zip(wide, off, strict=True):  # and not by being as wide as one likes
        assert np.mean(width) / 2 <= 3 * np.quantile(np.abs(error), 0.9)


# -- normal ---------------------------------------------------------------------------------------------------------


def _weekly(seed: int = 0, *, shock: float = 0.4) -> pd.Series:
    """Return a flow with trend, season, New Year and a stop that heals with a half-life of ten weeks."""
    weeks = pd.date_range("2015-01-05", "2021-01-25", freq="7D")
    t = np.arange(len(weeks))
    log = 0.05 * t / 52 + 0.1 * np.sin(2 * np.pi * t / 52.18)
    for day in HAND.values():
        inside = (weeks + pd.Timedelta(days=6) >= pd.Timestamp(day)) & (
            weeks <= pd.Timestamp(day) + pd.Timedelta(days=6)
        )
        log = log - 0.2 * inside
    since = (weeks - pd.Timestamp(SHOCK)).days.to_numpy() / 7
    log = log + np.where(since >= 0, np.log(1 - shock * 2.0 ** (-np.maximum(since, 0) / 10)), 0.0)
    return pd.Series(100 * np.exp(log + np.random.default_rng(seed).normal(0, 0.02, len(weeks))), index=weeks)


def test_the_normal_path_takes_season_and_new_year_away() -> None:
    series = _weekly(shock=0.0)
    made = fit_normal(series, until=pd.Timestamp(SHOCK), moving=HAND)
    after = made.gap[series.index >= pd.Timestamp(SHOCK)]
    # a New Year's effect is spread over whole weeks, so that the weeks of 2021's are not exact
    assert np.abs(after).mean() < 4
    blind = fit_normal(series, until=pd.Timestamp(SHOCK), moving={})
    assert made.spread < 0.9 * blind.spread
    assert made.memory < 0.15 < blind.memory
    spread = made.errors.std(axis=0)
    assert spread[-1] > spread[100]
    with pytest.raises(FitError, match="OPS-M137"):
        fit_normal(series, until=pd.Timestamp("2016-01-01"), moving={})
    with pytest.raises(FitError, match="OPS-M138"):
        fit_normal(series - 200, until=pd.Timestamp(SHOCK), moving={})


# -- together -------------------------------------------------------------------------------------------------------

OF = (
    Flow("trade", "goods", lag_days=10, title="Trade"), Flow("trips", "people", lag_days=3),
    Flow("capital", "capital", lag_days=20), Flow("traffic", "data", lag_days=2),
)  # fmt: skip


def _panel() -> pd.DataFrame:
    pieces = []
    for k, (one, shock) in enumerate(zip(OF, (0.3, 0.5, 0.4, -0.2), strict=True)):
        series = _weekly(k, shock=shock)
        pieces.append(pd.DataFrame({"series": one.name, "period": series.index, "value": series.to_numpy()}))
    return pd.concat(pieces, ignore_index=True)


def _made(panel: pd.DataFrame, as_of: dt.date = dt.date(2021, 2, 10)) -> FlowsResult:
    return flows(panel, of=OF, shock=SHOCK, as_of=as_of, new_year=HAND)


@pytest.fixture(scope="module")
def made() -> FlowsResult:
    return _made(_panel())


def test_a_value_that_was_withdrawn_is_not_known_any_more() -> None:
    panel = _panel().assign(known_at=pd.Timestamp("2021-01-01"))
    week = pd.Timestamp("2020-06-01")
    gone = panel[(panel["series"] == "trips") & (panel["period"] == week)]
    later = pd.concat([panel, gone.assign(value=np.nan, known_at=pd.Timestamp("2021-02-01"))])
    before, after = (_made(later, day) for day in (dt.date(2021, 1, 31), dt.date(2021, 2, 1)))
    assert not before.frame.loc[("trips", week), "filled"]
    assert after.frame.loc[("trips", week), "filled"]  # drawn through, and said so
    assert after.by_vintage


def test_four_flows_on_one_base(made: FlowsResult) -> None:
    table = made.resilience()
    for name, depth in (("trade", -30), ("trips", -50), ("capital", -40), ("traffic", 20)):
        row = table.loc[(name, "depth")]
        assert row["value"] == pytest.approx(depth, abs=4)
        assert row["lower"] - 2 <= depth <= row["upper"] + 2
        assert row["since"] == "2020-02-03"
    half = table.loc[("trips", "half_life")]
    assert half["lower"] <= 10 <= half["upper"]
    base = made.frame["index"].unstack("flow").loc["2019-02-04":"2020-01-27"]
    np.testing.assert_allclose(base.mean(), 100, atol=0.5)
    assert "half made good" in made.summary()
    assert "normal path" in made.cite() or "gap to trend" in made.cite()
    assert made.chart().to_dict()["title"]


def test_growth_never_stands_alone_after_the_shock(made: FlowsResult) -> None:
    """A year on, growth on one year is a rebound and says so; the gap is beside it in table and release."""
    trips = made.frame.loc["trips"]
    late = trips.loc["2021-01-25"]
    assert late["base_effect"] or late["on_1"] < 60
    flagged = trips[trips["base_effect"]]
    assert len(flagged) == 0 or flagged.index.min() >= pd.Timestamp("2021-01-25")
    longer = _made(_panel()[lambda f: f["period"] <= "2020-12-28"])
    assert not longer.frame["base_effect"].any()
    weekly, monthly, measured = made.cells(public=True)
    names = [m.name for m in weekly.measures]
    assert names[:2] == ["index", "gap"]
    assert {"gap", "on_year"} == {m.name for m in monthly.measures}
    assert set(measured.frame["measure"]) == {"depth", "duration", "half_life"}
    assert "2020-01" not in set(monthly.frame["month"])
    assert monthly.frame.loc[monthly.frame["month"] == "2020-02", "months"].eq(2).all()


def test_a_year_after_a_stop_the_base_is_named() -> None:
    panel = _panel()
    more = pd.DataFrame(
        {"series": "trade", "period": pd.date_range("2021-02-01", "2021-04-26", freq="7D"), "value": 125.0}
    )
    made = _made(pd.concat([panel, more]), dt.date(2021, 6, 1))
    assert made.frame.loc[("trade", pd.Timestamp("2021-03-01")), "base_effect"]


def test_what_is_known_later_changes_nothing() -> None:
    as_of = dt.date(2020, 6, 1)
    panel = _panel()
    lag = panel["series"].map({one.name: one.lag_days for one in OF})
    late = panel["period"] + pd.to_timedelta(6 + lag, unit="D") > pd.Timestamp(as_of)
    poisoned = panel.assign(value=panel["value"].where(~late, 1e9), known_at=pd.NaT)
    revised = panel.assign(value=3.0, known_at=pd.Timestamp("2020-06-02T08:00"))
    first, second = _made(panel, as_of), _made(pd.concat([poisoned, revised]), as_of)
    pd.testing.assert_frame_equal(first.frame, second.frame, check_exact=True)
    pd.testing.assert_frame_equal(first.resilience(), second.resilience(), check_exact=True)
    assert first.frame.loc["traffic"].index.max() > first.frame.loc["capital"].index.max()
    assert first.resilience().loc[("trips", "duration"), "censored"]


def test_what_cannot_be_told_is_refused_or_named() -> None:
    panel = _panel()
    with pytest.raises(UsageError, match="twice"):
        flows(panel, of=[OF[0], OF[0]], shock=SHOCK, as_of=dt.date(2021, 1, 1))
    with pytest.raises(UsageError, match="kind"):
        Flow("x", "ideas")  # type: ignore[arg-type]  # refused at run time
    with pytest.raises(FitError, match="OPS-M136"):
        flows(panel, of=OF, shock=SHOCK, as_of=dt.date(2014, 1, 1))
    with pytest.raises(UsageError, match="column"):
        flows(panel.drop(columns="value"), of=OF, shock=SHOCK, as_of=dt.date(2021, 1, 1))
    made = flows(panel, of=[OF[1], replace(OF[0], name="ships")], shock=SHOCK, as_of=dt.date(2020, 3, 1), country="CN")
    assert made.absent == ("ships",)
    assert made.lunar
    assert "ships" in made.summary()


# -- companies ------------------------------------------------------------------------------------------------------


def _companies() -> tuple[pd.DataFrame, pd.DataFrame]:
    months = pd.date_range("2018-01-01", "2020-04-01", freq="MS")
    rows = [
        {"enterprise_id": i, "month": m, "group_id": i // 2, "investment": 100 * (i + 1), "fx_receipts": 50 * i}
        for i in range(8)
        for m in months
        if not (i == 7 and m >= pd.Timestamp("2020-02-01"))  # closes
    ]
    rows += [
        {
            "enterprise_id": 99,
            "month": pd.Timestamp("2020-03-01"),
            "group_id": 99,
            "investment": 10**9,
            "fx_receipts": 0,
        }
    ]
    frame = pd.DataFrame(rows)
    frame.loc[(frame["month"] == "2020-01-01") & (frame["enterprise_id"] < 4), "investment"] = 0
    register = pd.DataFrame({"enterprise_id": [*range(8), 99], "section": ["C", "G"] * 4 + ["C"], "region": ["R1"] * 9})
    return frame, register


def test_companies_by_hand() -> None:
    frame, register = _companies()
    base = (dt.date(2019, 1, 1), dt.date(2019, 12, 31))
    told = company_flows(
        frame, register, as_of=dt.date(2020, 4, 15), base=base, since=dt.date(2020, 1, 1), new_year=HAND
    )
    assert told.periods == {"2020-02": 2, "2020-03": 1}
    national = told.to_frame()
    month = 100 * sum(range(1, 9))
    # January without the first four (1 000), February without the last (800); the entrant of March is not in
    assert national.loc[("investment", "2020-02"), "level"] == pytest.approx(
        100 * (2 * month - 1000 - 800) / (2 * month)
    )
    assert national.loc[("investment", "2020-03"), "on_year"] == pytest.approx(100 * ((month - 800) / month - 1))
    assert national.loc[("fx_receipts", "2020-03"), "active"] == pytest.approx(100 * 6 / 8)
    cells = {c.name: c for c in told.cells()}
    assert set(cells) == {"flows.investment", "flows.fx_receipts"}
    one = cells["flows.investment"].frame.set_index(["period", "section", "region"]).sort_index()
    total = one.loc[("2020-03", "_T", "_T")]
    assert (total["now"], total["before"], total["basis"], total["n"]) == (month - 800, month, month, 8)
    assert total["now__groups"] == 4
    assert total["now__top1"] == 1100  # companies 4 and 5 of group 2
    section = one.loc[("2020-03", ["C", "G"], "_T"), "now"]
    assert section.sum() == total["now"]
    assert not cells["flows.investment"].public
    assert "no interval" in told.cite()
    assert "2020-03" in told.summary()


def test_company_months_that_end_later_are_not_looked_at() -> None:
    frame, register = _companies()
    base = (dt.date(2019, 1, 1), dt.date(2019, 12, 31))
    kwargs = {"base": base, "since": dt.date(2019, 6, 1), "new_year": HAND}
    first = company_flows(frame, register, as_of=dt.date(2020, 3, 30), **kwargs)
    poisoned = frame.assign(investment=frame["investment"].where(frame["month"] < "2020-03-01", -7))
    second = company_flows(poisoned, register, as_of=dt.date(2020, 3, 30), **kwargs)
    pd.testing.assert_frame_equal(first.units, second.units)
    # in the middle of the New Year's two months, neither is told
    assert "2020-01" not in company_flows(frame, register, as_of=dt.date(2020, 2, 15), **kwargs).periods
    with pytest.raises(FitError, match="OPS-M139"):
        company_flows(frame, register, as_of=dt.date(2019, 2, 1), **kwargs)
    with pytest.raises(UsageError, match="two rows"):
        company_flows(pd.concat([frame, frame]), register, as_of=dt.date(2020, 3, 30), **kwargs)
    with pytest.raises(UsageError, match="missing"):
        company_flows(frame.drop(columns="group_id"), register, as_of=dt.date(2020, 3, 30), **kwargs)
