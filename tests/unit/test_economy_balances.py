"""All accounts balance, to the cent; and the run with relief is paired with the run without."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from opsroom.economy import World, meridia
from opsroom.economy.balances import sums_of
from opsroom.economy.horizon import MONTHS_SIMULATED, STATE_FIRST, day_number, month_number
from opsroom.economy.money import Books, keep_books
from opsroom.economy.sectors import DIVISIONS


@pytest.fixture(scope="module")
def world() -> World:
    return meridia(3_000, seed=7)


@pytest.fixture(scope="module")
def runs(world: World) -> dict[bool, Books]:
    return {relief: world.workshop[0].books(relief=relief) for relief in (True, False)}


@pytest.mark.parametrize("relief", [True, False])
def test_every_company_balances(runs: dict[bool, Books], relief: bool) -> None:
    b = runs[relief]
    goes_on = b.active[1:] & b.active[:-1]

    def change(name: str) -> Any:
        return b[name][1:] - b[name][:-1]

    def zero(values: Any) -> bool:
        return not np.any(values[goes_on])

    paid = b.lending["paid"].sum(axis=1)
    assert zero(change("backlog") - (b["orders"] - b["sales"])[1:])
    assert zero(change("receivables") - (b["sales"] - b["payments_in"] + b["injected"])[1:])
    flow = b["payments_in"] - b["payments_out"] - paid + b["lent"]
    assert zero(change("cash") - flow[1:] + change("undrawn_credit"))
    out = sum(b[n] for n in ("wages_paid", "materials_paid", "fixed_paid", "taxes_paid", "old_bills_paid"))
    assert not np.any(out + b["investment"] + b["dividends"] - b["payments_out"])
    assert min(b[n].min() for n in ("cash", "undrawn_credit", "payables", "receivables", "orders", "sales")) >= 0


@pytest.mark.parametrize("relief", [True, False])
def test_unpaid_bills_are_what_is_owed(runs: dict[bool, Books], relief: bool) -> None:
    b = runs[relief]
    goes_on = b.active[1:] & b.active[:-1]
    materials = b["sales"] * b.firms.materials_ppm // 1_000_000
    owing = (b["wage_bill"] - b["wages_paid"]) + (materials - b["materials_paid"]) + (b["tax_due"] - b["taxes_paid"])
    # What is left over are unpaid fixed costs, whose bill is not written down: bills are paid in the order wages,
    # materials, fixed costs, taxes, so where any tax was paid nothing of them is left.
    fixed = (b["payables"][1:] - b["payables"][:-1]) - (owing - b["old_bills_paid"])[1:]
    assert fixed[goes_on].min() == 0
    assert not np.any(fixed[goes_on & (b["taxes_paid"][1:] > 0)])
    assert (fixed <= 2 * b.firms.fixed)[goes_on].all()
    assert fixed[goes_on].any()


@pytest.mark.parametrize("relief", [True, False])
def test_every_loan_balances(runs: dict[bool, Books], relief: bool) -> None:
    loans = runs[relief].lending
    owed = loans["outstanding"]
    moved = loans["charged"] - loans["paid"] + loans["new"] - loans["written_off"]
    assert not np.any(owed[1:] - owed[:-1] - moved[1:])
    assert owed.min() >= 0
    forborne = loans["forborne"] == 1
    assert not np.any(loans["interest_due"][forborne])
    assert not np.any(loans["principal_due"][forborne])
    arrears = loans["arrears"]
    regular = ~forborne[1:] & (loans["written_off"][1:] == 0)
    due = (loans["interest_due"] + loans["principal_due"] - loans["paid"])[1:]
    assert not np.any((arrears[1:] - arrears[:-1] - due)[regular])
    assert (loans["days_past_due"][arrears == 0] == 0).mean() > 0.999


@pytest.mark.parametrize("run", ["policy", "none"])
def test_payments_of_the_whole_balance(world: World, run: str) -> None:
    flows, stocks = world.truth.frame(f"payments_{run}"), world.truth.frame(f"stocks_{run}")
    assert (flows["amount"] >= 0).all()
    into = flows[flows["payee"] == "companies"].groupby("month")["amount"].sum()
    out = flows[flows["payer"] == "companies"].groupby("month")["amount"].sum()
    assert (stocks.set_index("month")["cash"].diff().iloc[1:] == (into - out).iloc[1:]).all()
    made = stocks["loans_charged"] - stocks["repaid_loans"] + stocks["loans_new"] - stocks["loans_written_off"]
    assert (stocks["loans_outstanding"].diff().iloc[1:] == made.iloc[1:]).all()
    names = set(flows["payer"]) | set(flows["payee"])
    net = sum(
        flows.loc[flows["payee"] == n, "amount"].sum() - flows.loc[flows["payer"] == n, "amount"].sum() for n in names
    )
    assert net == 0


def test_gdp_is_the_same_three_ways(world: World) -> None:
    accounts = world.truth.frame("accounts")
    totals = accounts.groupby(["quarter", "approach"])["amount"].sum().unstack()
    assert set(totals.columns) == {"production", "expenditure", "income"}
    assert (totals.nunique(axis=1) == 1).all()
    parts = accounts[~accounts["item"].isin(["P7"])]
    assert (parts["amount"] > 0).all()
    households = accounts[accounts["item"] == "P3.households"].set_index("quarter")["amount"]
    assert (households / totals["production"]).between(0.3, 0.75).all()


def test_links_add_up_to_the_table(world: World) -> None:
    network = world.workshop.network
    links, table = network.links().to_pandas(), network.io_table().to_pandas()
    assert not links.duplicated(["supplier_id", "customer_id"]).any()
    assert (links["supplier_id"] != links["customer_id"]).all()
    market = pd.DataFrame({"division": network.market.division, "sales": network.market.sales})
    market.index = network.workshop[0].chunk.enterprises.ids
    joined = links.assign(
        supplier=[DIVISIONS[d] for d in market.loc[links["supplier_id"], "division"]],
        user=[DIVISIONS[d] for d in market.loc[links["customer_id"], "division"]],
    )
    cells = joined.groupby(["supplier", "user"])["amount"].sum()
    inner = table[~table["user"].isin(["P3", "P51", "P6"])].set_index(["supplier", "user"])["amount"]
    assert cells.sort_index().equals(inner.sort_index())
    output = market.groupby("division")["sales"].sum()
    output.index = [DIVISIONS[d] for d in output.index]
    rows = table.groupby("supplier")["amount"].sum()
    assert (rows == output.loc[rows.index]).all()
    assert (table["amount"] > 0).all()
    sold = links.groupby("supplier_id")["amount"].sum()
    assert (sold <= market.loc[sold.index, "sales"]).all()
    assert network.imports.min() >= 0
    assert 0.1 < network.imports.sum() / network.market.purchases.sum() < 0.35


def test_the_two_runs_are_paired(world: World, runs: dict[bool, Books]) -> None:
    on, off = runs[True], runs[False]
    start = month_number(world.scenario.relief.start)
    assert np.array_equal(on.values[:, :start], off.values[:, :start])
    assert np.array_equal(on.lending.records[:, :start], off.lending.records[:, :start])
    assert (off.took_relief == MONTHS_SIMULATED).all()
    untouched = (on.took_relief == MONTHS_SIMULATED) & (on.failed == off.failed)
    assert np.array_equal(on.values[:, :, untouched], off.values[:, :, untouched])
    with_, without = (world.truth.failures(policy=p)["cash_out"].notna().sum() for p in (True, False))
    assert with_ < without


def test_relief_is_taken_by_the_distressed(runs: dict[bool, Books]) -> None:
    b = runs[True]
    month = month_number(pd.Timestamp("2020-02-01").date())
    debtors = (b.lending["outstanding"][month].sum(axis=0) > 0) & b.active[month]
    took = debtors & (b.took_relief < MONTHS_SIMULATED)
    days = (b["cash"][month] + b["undrawn_credit"][month]) / np.maximum(b.firms.monthly, 1)
    assert 0.15 < took.sum() / debtors.sum() < 0.75
    assert np.median(days[took]) < 0.7 * np.median(days[debtors & ~took])


def test_arrears_rise_for_two_reasons(world: World, runs: dict[bool, Books]) -> None:
    b = runs[False]
    late = (b.lending["days_past_due"] > 0).any(axis=1)
    owing = (b.lending["outstanding"] > 0).any(axis=1)
    rate = [late[m].sum() / max(owing[m].sum(), 1) for m in range(MONTHS_SIMULATED)]
    before, during = (
        month_number(pd.Timestamp("2019-10-01").date()),
        month_number(pd.Timestamp("2020-04-01").date()),
    )
    assert rate[during] > 3 * rate[before]
    able = late[during] & (b["payables"][during] == 0) & (b["cash"][during] > b.firms.target // 4)
    unable = late[during] & (b["payables"][during] > 0)
    assert able.sum() > 10
    assert unable.sum() > 10


def test_a_longer_simulation_begins_with_the_shorter(world: World) -> None:
    works = world.workshop[0]
    short, long = works.books(months=20), works.books(months=36)
    assert np.array_equal(short.values, long.values[:, :20])
    assert np.array_equal(short.lending.records, long.lending.records[:, :20])


@pytest.mark.parametrize("relief", [True, False])
def test_books_taken_up_where_they_stopped_are_those_kept_in_one_go(runs: dict[bool, Books], relief: bool) -> None:
    works = meridia(3_000, seed=7).workshop[0]
    whole, sums = runs[relief], sums_of(runs[relief])
    for first in (32, 36):  # relief is on offer from month 32 on
        begun = keep_books(
            works.operation, works.scenario, works.activity, relief=relief, months=first, pauses=[first]
        ).paused[first]
        activity = np.concatenate([works.activity, works._later_activity])
        rest = keep_books(works.operation, works.scenario, activity, relief=relief, begin=(first, begun))
        assert np.array_equal(rest.values[:, first:], whole.values[:, first:])
        assert np.array_equal(rest.lending.records[:, first:], whole.lending.records[:, first:])
        later = sums_of(rest, first)
        assert all(np.array_equal(later[name], values[first:]) for name, values in sums.items())


@pytest.mark.parametrize("policy", [True, False])
def test_what_a_chunk_leaves_behind_is_the_same_from_noted_stocks_and_from_the_start(policy: bool) -> None:
    works = meridia(300, seed=3, policy=policy).workshop[0]
    alone = replace(works, spool=None)
    for relief in (True, False):
        noted, again, afresh = works.outcome(relief=relief), works.outcome(relief=relief), alone.outcome(relief=relief)
        for name in ("cash_out", "failed", "took_relief"):
            assert np.array_equal(getattr(noted, name), getattr(afresh, name))
            assert np.array_equal(getattr(again, name), getattr(afresh, name))
        assert list(noted.sums) == list(afresh.sums)
        assert all(np.array_equal(noted.sums[name], afresh.sums[name]) for name in afresh.sums)
    assert works.outcome(relief=True).took_relief.min() < MONTHS_SIMULATED


def test_days_of_enterprises_are_those_of_their_establishments(world: World) -> None:
    """The compiled count is, to the last bit, what the laid-out states of the establishments add up to."""
    works = world.workshop[0]
    owner = works.chunk.establishments.enterprise
    share = works.chunk.establishments.share[:, None].astype(np.float32)
    assert np.bincount(owner).max() > 2
    for start in (STATE_FIRST, dt.date(2020, 3, 1), dt.date(2020, 5, 20)):
        days = day_number(start) + np.arange(33)
        working, capacity = works.operation.enterprises(days)
        state = works.operation.state(days)
        sums = []
        for part in (state.at_work * share, state.capacity * share):
            total = np.zeros((works.chunk.count, len(days)), dtype=np.float32)
            np.add.at(total, owner, part)
            sums.append(total)
        np.testing.assert_array_equal(working, sums[0] >= 0.5)
        np.testing.assert_array_equal(capacity, np.minimum(sums[1], np.float32(1)))
        assert state.remote.any() or start == STATE_FIRST
