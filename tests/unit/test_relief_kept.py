"""What relief works out once, against the plain way of working it out, and loan service against its NumPy twin."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.decide.relief.dated import Dated
from opsroom.decide.relief.groundwork import Groundwork
from opsroom.decide.relief.habits import Habits
from opsroom.decide.relief.options import Holiday, Loans, deferred_sum, paid_until, schedule
from opsroom.decide.relief.panel import company_panel
from opsroom.decide.relief.rehearsal import rehearse
from opsroom.decide.relief.response import Response
from opsroom.decide.relief.standing import Standing

DAY = dt.date(2020, 3, 16)


def tables(seed: int, n: int = 40) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return accounts and reports with gaps, double rows, dates within months and ahead, in no order."""
    r = np.random.default_rng(seed)
    days = pd.date_range("2018-01-01", "2020-06-01", freq="MS").append(pd.DatetimeIndex(["2019-05-17", "2020-02-29"]))
    firm, when = (x.ravel() for x in np.meshgrid(r.permutation(1000)[:n], np.arange(len(days))))
    kept = np.flatnonzero(r.random(len(firm)) < 0.8)
    rows = r.permutation(np.concatenate([kept, kept[: n // 2]]))
    frame = pd.DataFrame({"enterprise_id": firm[rows], "month": days[when[rows]]})
    for name in ("cash", "undrawn_credit", "fixed_costs", "tax_due", "sales", "wage_bill", "payments_in"):
        frame[name] = r.integers(0, 10**6, len(frame))
    frame["materials_ppm"] = r.integers(0, 10**6, len(frame))
    split = r.random(len(frame)) < 0.9
    accounts = frame[split].drop(columns=["sales", "wage_bill", "payments_in"])
    return accounts, frame[["enterprise_id", "month", "sales", "wage_bill", "payments_in"]]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("normal_until", [None, dt.date(2019, 6, 30)])
def test_a_standing_is_what_sorting_and_grouping_give(seed: int, normal_until: dt.date | None) -> None:
    accounts, reports = tables(seed)
    found = Standing.of(Dated.of(accounts), Dated.of(reports), DAY, normal_until)
    now, end = pd.Timestamp(DAY), pd.Timestamp(normal_until or dt.date(2019, 12, 31))
    low = min(end, now - pd.DateOffset(months=6)) - pd.DateOffset(months=13)
    accounts, reports = (t[(t["month"] <= now) & (t["month"] > low)] for t in (accounts, reports))

    def last(table: pd.DataFrame) -> pd.DataFrame:
        rows = table.sort_values("month", kind="stable").drop_duplicates("enterprise_id", keep="last")
        return rows.set_index("enterprise_id").sort_index()

    def normal(table: pd.DataFrame, column: str, months: int) -> np.ndarray:
        inside = table[(table["month"] <= end) & (table["month"] > end - pd.DateOffset(months=months))]
        mean = inside.groupby("enterprise_id")[column].mean()
        return np.rint(mean.reindex(last(table).index).fillna(last(table)[column]).to_numpy(dtype=float))

    books, told = last(accounts), last(reports)
    stocks = ["month", "cash", "undrawn_credit", "fixed_costs", "materials_ppm"]
    mine = found.accounts.set_index("enterprise_id")
    pd.testing.assert_frame_equal(mine[stocks], books[stocks])
    np.testing.assert_array_equal(mine["tax_due"], normal(accounts, "tax_due", 12))
    mine = found.reports.set_index("enterprise_id")
    np.testing.assert_array_equal(mine.index, told.index)
    np.testing.assert_array_equal(mine["sales_last"], told["sales"])
    np.testing.assert_array_equal(mine["sales_month"], told["month"])
    np.testing.assert_array_equal(mine["sales"], normal(reports, "sales", 12))
    np.testing.assert_array_equal(mine["wage_bill"], normal(reports, "wage_bill", 3))
    firms = pd.DataFrame({"enterprise_id": [*told.index[::-1], -1]})
    for month in pd.date_range("2019-08-01", "2020-04-01", freq="MS"):
        of_month = reports[reports["month"] == month].drop_duplicates("enterprise_id", keep="last")
        wanted = firms["enterprise_id"].map(of_month.set_index("enterprise_id")["sales"]).to_numpy(dtype=float)
        np.testing.assert_array_equal(found.reported(firms, month), wanted)


def test_a_standing_holds_as_long_as_the_same_dates_are_looked_at() -> None:
    accounts, reports = tables(0)
    found = Standing.of(Dated.of(accounts), Dated.of(reports), DAY)
    days = [dt.date(2020, 2, 1) + dt.timedelta(days=k) for k in range(120)]
    for day in days:
        again = Standing.of(Dated.of(accounts), Dated.of(reports), day)
        same = found.accounts.equals(again.accounts) and found.reports.equals(again.reports)
        same = same and found.sales.keys() == again.sales.keys()
        assert found.holds(day) <= same
    assert [day for day in days if found.holds(day)] == [dt.date(2020, 3, 1) + dt.timedelta(days=k) for k in range(31)]


@pytest.mark.parametrize("first", [None, "2020-02-01", "2019-03-01"])
def test_the_months_left_out_of_a_groundwork_change_no_estimate(first: str | None) -> None:
    accounts, reports = tables(3, n=300)
    ids = accounts["enterprise_id"].unique()
    r = np.random.default_rng(1)
    loans = reports[["enterprise_id", "month"]].assign(interest_due=10, principal_due=1_000, forborne=False)
    states = pd.DataFrame({"enterprise_id": ids, "capacity": r.random(len(ids))})
    activity = None
    if first:
        months = pd.date_range(first, "2020-03-01", freq="MS")
        activity = pd.DataFrame({"enterprise_id": np.tile(ids, len(months)), "month": months.repeat(len(ids))})
        activity["capacity"] = r.uniform(0.1, 0.6, len(activity))
    work = Groundwork.of(accounts, reports, as_of=DAY, activity_months=activity)
    panel = company_panel(accounts, reports, as_of=DAY)
    habits = Habits().of_panel(panel, states)
    assert work.habits.following(work.panel, states) == habits
    mine, plain = rehearse(work.panel, loans, habits), rehearse(panel, loans, habits)
    assert mine.habits == plain.habits
    pd.testing.assert_frame_equal(mine.table, plain.table)
    assert plain.table["expected"].gt(0).all()
    if activity is not None:
        fitted = Response().fit(panel, activity)
        assert Response().fit(work.panel, activity) == fitted != Response()
    assert work.panel.sales.shape[1] < panel.sales.shape[1]
    assert work.holds(DAY + dt.timedelta(days=5), activity)
    assert not work.holds(DAY + dt.timedelta(days=20), activity)
    before = pd.DataFrame({"month": [pd.Timestamp("2018-12-01")]})
    assert not work.holds(DAY, before)


def plain_service(
    loans: Loans, holiday: Holiday, horizon: int, mask: np.ndarray, start: float
) -> dict[str, np.ndarray]:
    """Return loan service, all companies at a time: the twin."""
    rate = np.divide(loans.interest, loans.outstanding, out=np.zeros(len(loans)), where=loans.outstanding > 0)
    end, free = start + holiday.length, 0.0 if holiday.accrues else 1.0
    on_interest, on_principal = (float(holiday.covers in (kind, "both")) for kind in ("interest", "principal"))
    balance, postponed, pool = loans.outstanding.copy(), np.zeros(len(loans)), np.zeros(len(loans))
    names = ("paid", "deferred_interest", "deferred_principal", "waived", "owed")
    out = {name: np.zeros((len(loans), horizon), dtype=np.int64) for name in names}
    for t in range(horizon):
        share = mask * max(0.0, min(t + 1.0, end) - max(float(t), start))
        regular, extra = np.rint(balance * rate), np.rint((postponed + pool) * rate)
        due = np.minimum(loans.principal, balance)
        waived = np.rint(free * share * (on_interest * regular + extra))
        held = np.rint(share * on_interest * (regular + extra)) * (1.0 - free)
        held_principal = np.rint(share * on_principal * due)
        if holiday.catch_up is None:
            pace = np.floor((loans.principal - due) * (1.0 - share))
            back = np.minimum(pace, postponed)
            back_pool = np.minimum(pace - back, pool)
        else:
            first_after = int(np.ceil(end - 1e-9))
            left = holiday.catch_up - (t - first_after)
            open_ = t >= first_after and left >= 1
            back, back_pool = (np.rint(x / left) if open_ else np.zeros_like(x) for x in (postponed, pool))
        out["owed"][:, t] = balance + postponed + pool
        out["waived"][:, t], out["deferred_interest"][:, t], out["deferred_principal"][:, t] = (
            waived,
            held,
            held_principal,
        )
        out["paid"][:, t] = regular + extra - waived - held + (due - held_principal + back + back_pool)
        balance = balance - due
        postponed, pool = postponed + (held_principal - back), pool + (held - back_pool)
    return out


@settings(max_examples=40)
@given(
    seed=st.integers(0, 999),
    covers=st.sampled_from(["none", "interest", "principal", "both"]),
    months=st.floats(0.25, 8),
    accrues=st.booleans(),
    catch_up=st.sampled_from([None, 1, 4]),
    start=st.floats(0, 3),
)
def test_loan_service_is_that_of_its_twin(
    seed: int, covers: str, months: float, accrues: bool, catch_up: int | None, start: float
) -> None:
    r = np.random.default_rng(seed)
    owed = np.floor(10.0 ** r.uniform(0, 10, 9)) * (r.random(9) < 0.8)
    loans = Loans(owed, np.floor(owed * r.uniform(0, 0.02, 9)), np.floor(owed * r.uniform(0, 0.4, 9)))
    holiday = Holiday("h", covers, months, accrues, catch_up=catch_up)  # type: ignore[arg-type]  # drawn from what there is
    mask = r.random(9) < 0.7
    found = schedule(loans, holiday, horizon=12, covered=mask, start=start)
    for name, values in plain_service(loans, holiday, 12, mask.astype(float), start).items():
        np.testing.assert_array_equal(getattr(found, name), values)
    whole = plain_service(loans, holiday, 12, np.ones(9), start)
    np.testing.assert_array_equal(
        paid_until(loans, holiday, horizon=12, starts=[start])[0], whole["paid"].cumsum(axis=1)
    )
    begun = plain_service(loans, holiday, 12, np.ones(9), 0.0)
    assert deferred_sum(loans, holiday, horizon=12) == (begun["deferred_interest"] + begun["deferred_principal"]).sum()
