"""The reporting-delay nowcast: the triangle against brute force, no look-ahead, and what the model must find."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.delay_worlds import DELAY, day, late_reports

from opsroom.base.errors import DataError, FitError, NotFoundError, UsageError
from opsroom.base.results import Charted, Result
from opsroom.measure.delays import (
    DelayResult,
    ReportingTriangle,
    nowcast_delays,
    rehearse_delays,
    reporting_triangle,
    score_delays,
)
from opsroom.measure.delays.design import make_design
from opsroom.measure.delays.pooled import RIDGE, fit_pooled
from opsroom.measure.delays.removals import draw_rates, fit_removals

FIRST = dt.date(2020, 1, 6)


def triangle_of(table: pd.DataFrame, number: int, **more: object) -> ReportingTriangle:
    arguments: dict[str, object] = {"period": "day", "key": "id", "by": "sector", "deleted": "dead"}
    return reporting_triangle(table, as_of=day(number), max_delay=DELAY, **(arguments | more))  # type: ignore[arg-type]  # chosen by each test


@pytest.fixture(scope="module")
def world() -> pd.DataFrame:
    return late_reports(0, sectors=3, days=75, most=40.0)


@pytest.fixture(scope="module")
def triangle(world: pd.DataFrame) -> ReportingTriangle:
    return triangle_of(world, 52)


@pytest.fixture(scope="module")
def result(triangle: ReportingTriangle) -> DelayResult:
    return nowcast_delays(triangle, draws=500)


vintages = st.lists(
    st.tuples(
        st.integers(0, 5),  # record
        st.integers(0, 40),  # day of knowledge
        st.one_of(st.none(), st.integers(0, 40)),  # day it is about
        st.sampled_from(["A", "B"]),
        st.booleans(),  # tombstone
        st.integers(1, 3),  # value
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=30)
@given(rows=vintages, frequency=st.sampled_from(["D", "W"]), at=st.integers(16, 41))
def test_triangle_equals_counting_what_stood_on_each_day(
    rows: list[tuple[int, int, int | None, str, bool, int]], frequency: str, at: int
) -> None:
    """Cumulative counts are those of a state kept row by row, looked at on each last day of a report period."""
    table = pd.DataFrame(rows, columns=["id", "known", "about", "sector", "dead", "value"])
    begin = pd.Timestamp(FIRST)
    table["known_at"] = begin + pd.to_timedelta(table["known"], unit="D")
    table["day"] = begin + pd.to_timedelta(table["about"].astype(float), unit="D")
    as_of = FIRST + dt.timedelta(days=at)
    arguments = {"key": "id", "by": "sector", "deleted": "dead", "value": "value", "frequency": frequency}
    try:
        made = reporting_triangle(
            table, period="day", as_of=as_of, since=FIRST, max_delay=3, **arguments  # type: ignore[arg-type]  # a literal
        )  # fmt: skip
    except FitError:
        assert made_empty(table, at, frequency)
        return
    step = 7 if frequency == "W" else 1
    ordered = sorted(rows, key=lambda row: row[1])
    running = np.cumsum(made.net, axis=2)
    for t, period in enumerate(made.periods):
        start, end = (period.start_time - begin).days, (period.end_time - begin).days
        for d in range(made.max_delay + 1):
            # Report periods end on the as-of day, and every `step` days before.
            last = at - step * (int(made.age[t]) - d)
            if last > at:
                assert np.isnan(made.added[:, t, d]).all()
                continue
            state: dict[int, tuple[int, str, int]] = {}
            for ident, known, about, sector, dead, value in ordered:
                if known <= last:
                    state.pop(ident, None)
                    if not dead and about is not None:
                        state[ident] = (about, sector, value)
            for s, sector in enumerate(made.sectors):
                want = sum(v for a, where, v in state.values() if where == sector and start <= a <= end)
                assert running[s, t, d] == want


def made_empty(table: pd.DataFrame, at: int, frequency: str) -> bool:
    """Whether no record of a period that is over stood on the last day of any report period."""
    over = at if frequency == "D" else 7 * ((at + 1) // 7) - 1
    ordered = table.sort_values("known", kind="stable")
    for last in range(at, -1, -7 if frequency == "W" else -1):
        stood = ordered[ordered["known"] <= last].drop_duplicates("id", keep="last")
        if (~stood["dead"] & (stood["about"] <= over)).any():
            return False
    return True


def test_a_later_row_of_one_moment_wins_by_its_delivery() -> None:
    table = pd.DataFrame(
        {"id": [1, 1], "day": ["2020-01-06", "2020-01-07"], "known_at": ["2020-01-08", "2020-01-08"], "n": [9, 2]}
    )
    made = reporting_triangle(table, period="day", key="id", order="n", since="2020-01-06", max_delay=3)
    assert made.reported.tolist() == [[1.0, 0.0, 0.0]]
    made = reporting_triangle(table, period="day", key="id", since="2020-01-06", max_delay=3)
    assert made.reported.tolist() == [[0.0, 1.0, 0.0]]


def test_history_that_was_loaded_has_no_delays() -> None:
    """By default the triangle begins with what happened after the first row was known."""
    old = pd.DataFrame({"day": pd.date_range("2019-12-01", "2020-01-05"), "known_at": pd.Timestamp("2020-01-06 06:00")})
    new = pd.DataFrame({"day": pd.date_range("2020-01-06", "2020-01-20")})
    table = pd.concat([old, new.assign(known_at=new["day"] + pd.Timedelta(days=1))])
    made = reporting_triangle(table, period="day", as_of="2020-01-21")
    assert made.periods[0] == pd.Period("2020-01-06", freq="D")
    assert made.max_delay == 1
    weekly = reporting_triangle(table.iloc[35:], period="day", as_of="2020-01-21", frequency="W")
    assert weekly.periods[0].start_time == pd.Timestamp("2020-01-06")


def test_months_are_cut_where_the_as_of_day_lies() -> None:
    """As of 16 April a delay of one month means the same for January as for March."""
    table = pd.DataFrame(
        {
            "day": ["2020-01-20", "2020-01-20", "2020-02-28", "2020-03-31"],
            "known_at": ["2020-02-16", "2020-02-17", "2020-03-16", "2020-04-16"],
        }
    )
    made = reporting_triangle(table, period="day", as_of="2020-04-16", frequency="M", since="2020-01-01", max_delay=2)
    assert made.net[0].tolist()[0] == [0.0, 1.0, 1.0]
    assert made.net[0].tolist()[1] == [0.0, 1.0, 0.0]
    assert made.net[0, 2, :2].tolist() == [0.0, 1.0]
    assert np.isnan(made.net[0, 2, 2])
    assert list(made.age) == [3, 2, 1]


def test_amounts_and_counts_of_periods_are_added_up_by_vintage() -> None:
    table = pd.DataFrame(
        {
            "period": ["2020-01-01", "2020-01-01", "2020-01-01", "2020-02-01"],
            "known_at": ["2020-02-05", "2020-03-05", "2020-04-05", "2020-03-05"],
            "overdue": [10.0, 14.5, 13.0, 7.0],
        }
    )
    made = reporting_triangle(
        table, period="period", key="period", value="overdue", as_of="2020-04-30", frequency="M",
        since="2020-01-01", max_delay=3,
    )  # fmt: skip
    assert made.added[0, 0].tolist() == [0.0, 10.0, 4.5, 0.0]
    assert made.removed[0, 0].tolist() == [0.0, 0.0, 0.0, 1.5]
    assert not made.counts


def test_nothing_known_later_is_looked_at(world: pd.DataFrame, result: DelayResult) -> None:
    """Rows known after the as-of moment may say anything: triangle and nowcast stay the same to the last bit."""
    late = world["known_at"] > pd.Timestamp(day(53))
    poison = world.copy()
    poison.loc[late, "day"] = pd.Timestamp("2019-09-20")
    poison.loc[late, "sector"] = "X"
    poison.loc[late, "dead"] = ~poison.loc[late, "dead"]
    poison = pd.concat([poison, poison[late].assign(id=-1)], ignore_index=True)
    assert late.sum() > 100
    again = nowcast_delays(triangle_of(poison, 52), draws=500)
    pd.testing.assert_frame_equal(again.to_frame(), result.to_frame(), check_exact=True)
    assert np.array_equal(again.draws, result.draws)


def test_truncation_is_not_read_as_improvement() -> None:
    """Nothing changes but the reports' time: reported counts fall to a tenth, the nowcast does not."""
    rng = np.random.default_rng(3)
    about = np.repeat(np.arange(80), 50)
    table = pd.DataFrame({"day": pd.Timestamp(FIRST) + pd.to_timedelta(about, unit="D")})
    table["known_at"] = table["day"] + pd.to_timedelta(rng.geometric(0.1, len(about)) - 1, unit="D")
    as_of = FIRST + dt.timedelta(days=79)
    made = reporting_triangle(table, period="day", as_of=as_of, max_delay=25)
    frame = nowcast_delays(made).to_frame()
    settled = 50 * (1 - 0.9**26)
    assert frame["reported"].iloc[-3:].max() < 20
    newest = frame.iloc[-14:]
    assert newest["mean"].mean() == pytest.approx(settled, rel=0.05)
    assert np.allclose(newest["mean"], settled, rtol=0.2)
    assert ((newest["lower"] < settled) & (settled < newest["upper"])).mean() > 0.75
    assert not frame["complete"].iloc[-25:].any()
    assert frame["complete"].iloc[:-25].all()
    truth = (1 - 0.9 ** (frame["age"] + 1)).clip(upper=1 - 0.9**26) / (1 - 0.9**26)
    newest = frame.iloc[-25:]
    inside = (newest["share_lower"] <= truth.iloc[-25:]) & (truth.iloc[-25:] <= newest["share_upper"])
    assert inside.mean() > 0.8
    assert np.allclose(newest["share"], truth.iloc[-25:], atol=0.04)


def test_days_of_report_and_removals_are_found(triangle: ReportingTriangle, result: DelayResult) -> None:
    days = result.facts["day_of_report"]
    assert min(days[:5]) > 3 * max(days[5:])  # weekends are quiet
    assert days[0] == max(days)  # Monday clears up
    assert result.facts["settled"]
    fit = fit_removals(triangle.added, triangle.removed, counts=True)
    assert not fit.none
    rates = np.stack(draw_rates(fit, 400, np.random.default_rng(0))).mean(axis=2)
    assert np.allclose(rates / rates.mean(axis=0), 1.0, atol=0.15)  # sectors do not differ in this
    standing = np.nancumsum(triangle.net, axis=2) + np.nan_to_num(triangle.removed)
    expected = np.where(np.isnan(triangle.net), 0.0, standing * rates[:, None, :]).sum()
    assert expected == pytest.approx(np.nansum(triangle.removed), rel=0.05)
    # One in twenty was planted; chance moves that by a tenth.
    assert np.nansum(triangle.removed) / np.nansum(triangle.added) == pytest.approx(0.05, abs=0.011)


def test_result_can_do_what_results_do(result: DelayResult) -> None:
    assert isinstance(result, Result)
    assert isinstance(result, Charted)
    frame = result.to_frame()
    assert list(frame.index.names) == ["sector", "period"]
    assert "Incomplete: 2019-10-05 to 2019-10-24" in result.summary()
    assert "2019-10-24" in result.cite()
    chart = result.chart("S2").to_dict()
    assert "expected in 2019-10-24" in chart["title"]["text"][0] + " ".join(chart["title"]["text"][1:])
    middle = result.quantiles([0.05, 0.5, 0.95])
    assert np.allclose(middle[0.5], frame["median"])
    assert np.allclose(middle[0.05], frame["lower"])
    total = frame.loc["_T", "mean"]
    assert np.allclose(total, sum(frame.loc[s, "mean"] for s in ("S0", "S1", "S2")))
    rest = result.outstanding()
    assert np.isclose(rest["mean"], (total - frame.loc["_T", "reported"]).sum())
    # Periods share delays and days: the sum is less certain than if they were independent.
    assert rest["sd"] > np.sqrt((frame.loc["_T", "sd"] ** 2).sum())
    with pytest.raises(NotFoundError):
        result.outstanding("Z")


def test_days_on_which_nobody_reports_are_a_class_of_their_own() -> None:
    periods = pd.period_range("2020-04-01", periods=20, freq="D")
    good_friday = dt.date(2020, 4, 10)
    design = make_design(periods, 5, frequency="D", closed=frozenset({good_friday}), sectors=2)
    at = design.positions["day of report"].start + 7
    closed = (design.shared_at == at).any(axis=1)
    report = periods[design.row].to_timestamp() + pd.to_timedelta(design.delay, unit="D")
    assert closed.sum() == 6
    assert np.array_equal(closed, report == pd.Timestamp(good_friday))


def test_fit_is_the_mode_and_its_curvature(triangle: ReportingTriangle) -> None:
    """Against the dense textbook formulas: gradient nought, covariance the inverse penalised information."""
    rows = 30
    added, periods = triangle.added[:, -rows:, :8].copy(), triangle.periods[-rows:]
    design = make_design(periods, 7, frequency="D", closed=frozenset(), sectors=3)
    known = ~np.isnan(added[0])
    added[1, 4], added[2, 20:24] = np.nan, np.nan  # not learnt from
    fit = fit_pooled(added, known, design, counts=True)
    cells = np.flatnonzero(known.ravel())
    own, shared, sectors = design.own, design.shared, len(added)
    x = np.zeros((sectors * len(cells), sectors * own + shared))
    for s in range(sectors):
        for k, c in enumerate(cells):
            line = x[s * len(cells) + k]
            line[s * own + design.row[c]] = line[s * own + rows + design.row[c]] = 1.0
            np.add.at(line, s * own + design.own_at[c], design.own_by[c])
            np.add.at(line, sectors * own + design.shared_at[c], design.shared_by[c])
    prior = RIDGE * np.eye(x.shape[1])
    for s in range(sectors):
        for p in design.penalties_own:
            at = slice(s * own + p.where.start, s * own + p.where.stop)
            prior[at, at] += fit.precisions[p.name] * p.structure
    for p in design.penalties_shared:
        at = slice(sectors * own + p.where.start, sectors * own + p.where.stop)
        prior[at, at] += fit.precisions[p.name] * p.structure
    y = added.reshape(sectors, -1)[:, cells].ravel()
    mode = np.concatenate([fit.own.ravel(), fit.shared])
    mean = np.exp(x @ mode + np.repeat(fit.offset, len(cells)))
    variance = fit.phi * mean + fit.psi * mean**2
    learnt = ~np.isnan(y)
    assert (~learnt).sum() == known[4].sum() + known[20:24].sum()
    gradient = x[learnt].T @ ((y - mean) * mean / variance)[learnt] - prior @ mode
    assert np.abs(gradient).max() < 1e-3
    covariance = np.linalg.inv(x[learnt].T @ (x * (mean**2 / variance)[:, None])[learnt] + prior)
    streams = [np.random.default_rng(k) for k in (2, 3, 4)]
    draws_own, draws_shared = fit.draw(40_000, np.random.default_rng(1), streams)
    drawn = np.concatenate([*draws_own, draws_shared])
    # What is predicted are combinations: levels plus delays, of the newest row.
    pick = x[[len(cells) - 1, 2 * len(cells) - 1, 3 * len(cells) - 1]]
    want, got = pick @ covariance @ pick.T, np.cov(pick @ drawn)
    assert np.allclose(got, want, rtol=0.05, atol=0.05 * want.max())
    assert np.allclose(drawn.mean(axis=1), mode, atol=0.05 + 5 * np.sqrt(np.diag(covariance) / 40_000))


def test_beats_the_chain_ladder_on_reports_made_by_another_mechanism() -> None:
    """One world, two days: a sign of life; the long test has forty worlds."""
    pieces = [
        rehearse_delays(
            late_reports(seed, sectors=3, days=95), as_of=[day(60), day(71)], max_delay=DELAY, period="day", key="id",
            by="sector", deleted="dead", draws=200,
        )
        for seed in (11,)
    ]  # fmt: skip
    frame = pd.concat(pieces)
    assert not any(piece.attrs["failed"] for piece in pieces)
    mean = frame.groupby("method")[["inside", "crps"]].mean()
    assert mean.loc["hierarchical", "crps"] < 0.7 * mean.loc["chain-ladder", "crps"]
    assert mean.loc["hierarchical", "crps"] < 0.8 * mean.loc["odp", "crps"]
    assert 0.85 < mean.loc["hierarchical", "inside"] < 0.99


def test_scores_are_those_of_the_draws(result: DelayResult) -> None:
    truth = result.frame["median"] + 1.0
    scored = score_delays(result, truth)
    assert len(scored) == 4 * DELAY
    one = result.draws[0, 0]
    by_hand = np.abs(one - truth.loc["S0"].loc[result.open_periods[0]]).mean()
    by_hand -= 0.5 * np.abs(one[:, None] - one[None, :]).mean()
    assert np.isclose(scored["crps"].iloc[0], by_hand)


def test_amounts_are_nowcast_too() -> None:
    """Money, monthly, in one sector, with a delay that is always the same: little doubt is left."""
    rng = np.random.default_rng(5)
    month = pd.date_range("2017-01-01", periods=40, freq="MS")
    parts = []
    for start in month:
        amount = 1e6 * np.exp(0.05 * rng.standard_normal())
        for lag, share in enumerate((0.2, 0.7, 0.9, 1.0)):
            known = start + pd.DateOffset(months=lag + 1) - pd.Timedelta(days=2)
            parts.append({"month": start, "known_at": known, "amount": share * amount})
    made = reporting_triangle(
        pd.DataFrame(parts), period="month", key="month", value="amount", frequency="M", as_of="2020-03-31",
        since="2017-01-01", max_delay=3,
    )  # fmt: skip
    frame = nowcast_delays(made).to_frame()
    assert frame["mean"].iloc[-3] == pytest.approx(made.net[0, -3].cumsum()[2] / 0.9, rel=0.02)
    assert (frame["sd"].iloc[-3:] < 0.12e6).all()


def test_bad_calls_say_what_to_do(world: pd.DataFrame, triangle: ReportingTriangle) -> None:
    with pytest.raises(UsageError, match="OPS-U170"):
        reporting_triangle(world, period="day", frequency="H")
    with pytest.raises(UsageError, match="OPS-U171"):
        reporting_triangle(world, period="day", max_delay=0)
    with pytest.raises(UsageError, match="filed"):
        reporting_triangle(world, period="filed")
    with pytest.raises(FitError, match="OPS-M141"):
        reporting_triangle(world, period="day", as_of="2019-01-01")
    with pytest.raises(FitError, match="OPS-M140"):
        reporting_triangle(world, period="day", as_of="2019-10-01", since="2019-11-01")
    with pytest.raises(DataError, match="OPS-D120"):
        reporting_triangle(world.assign(known_at=pd.NaT), period="day")
    with pytest.raises(DataError, match="OPS-D121"):
        reporting_triangle(world.assign(much=None), period="day", value="much")
    with pytest.raises(UsageError, match="OPS-U175"):
        nowcast_delays(triangle, method="guess")  # type: ignore[arg-type]  # what is tested
    with pytest.raises(UsageError, match="OPS-U176"):
        nowcast_delays(triangle, level=90)
