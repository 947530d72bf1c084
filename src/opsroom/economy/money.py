"""Sales, payments, cash and debts of a chunk's companies, month by month, in whole cents.

Every account balances in integers: receivables, backlogs, payables, cash, credit lines and loans each
change by exactly what is booked (see `Books`). The run with relief and the run without use the same draws.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from opsroom.economy.firms import TAX, Firms, season_table
from opsroom.economy.horizon import (
    METERS_FIRST,
    MONTHS_SIMULATED,
    OPEN_END,
    STATE_FIRST,
    Bools,
    Floats,
    Ints,
    month_days,
    month_number,
)
from opsroom.economy.lending import Lending
from opsroom.economy.operation import Operation
from opsroom.economy.randomness import stream
from opsroom.economy.scenario import Scenario

FIRST_MONTH: Final = month_number(STATE_FIRST)
"""First month in which the shock can show."""

APPLY_MONTHS: Final = 3
"""Months in which a payment holiday may be applied for."""

DISPUTED: Final = 0.006
"""Share of able debtors who miss a payment in any month: disputes, forgotten orders."""

COLUMNS: Final = (
    "employees", "wage_bill", "sales", "payments_in", "payments_out", "fx_receipts", "investment", "orders",
    "backlog", "cash", "undrawn_credit", "tax_due", "injected", "dividends", "wages_paid", "materials_paid",
    "fixed_paid", "taxes_paid", "old_bills_paid", "receivables", "payables", "lent", "founded", "liquidated",
)  # fmt: skip
"""Columns of `Books.values`; from ``injected`` on they are known to the truth only."""

_STOCKS: Final = (
    "cash", "undrawn", "receivables", "payables", "backlog", "staff", "luck", "strained", "cash_out", "took", "failed",
    "died",
)  # fmt: skip
"""What of a company goes over from month to month, beside its loans."""

_INDEX: Final = {name: n for n, name in enumerate(COLUMNS)}


@dataclass(frozen=True, slots=True)
class Books:
    """A chunk's books: `values` is column x month x enterprise.

    Notes
    -----
    With all quantities of month t unless marked, for every company that lives through it:

    - backlog = backlog(t-1) + orders - sales
    - receivables = receivables(t-1) + sales - (payments_in - injected)
    - cash = cash(t-1) + founded + payments_in - payments_out - loan payments + lent
      - change of undrawn credit
    - payments_out = wages + materials + fixed costs + taxes + old bills paid + investment + dividends
    - liquidated is the cash left when a company ends; its accounts are closed after the month's entries
    - payables = payables(t-1) + bills of the month - bills and old bills paid
    - outstanding = outstanding(t-1) + interest charged - paid + new - written off, by loan (see `Lending`)
    """

    values: Ints
    active: Bools
    """Month x enterprise: alive on some day of the month."""
    cash_out: Ints
    """First month in which a company could not pay its bills (`MONTHS_SIMULATED`: never)."""
    failed: Ints
    """Day on which it failed for lack of cash (`OPEN_END`: never)."""
    took_relief: Ints
    """First month of its payment holiday (`MONTHS_SIMULATED`: never)."""
    died: Ints
    """Day on which it ended, for whatever reason."""
    firms: Firms
    lending: Lending
    paused: Mapping[int, pa.Table]
    """Month → the stocks at its beginning, where a pause was asked for: from there books can be kept on."""

    def __getitem__(self, name: str) -> Ints:
        """Return a column (month x enterprise)."""
        column: Ints = self.values[_INDEX[name]]
        return column


def monthly_activity(operation: Operation, first_month: int = FIRST_MONTH, months: int = MONTHS_SIMULATED) -> Floats:
    """Return each enterprise's mean capacity from a month on, up to a number of months (month x enterprise)."""
    out = []
    for month in range(first_month, months):
        first, last = month_days(month)
        out.append(operation.enterprises(np.arange(first, last + 1))[1].mean(axis=1))
    return np.array(out, dtype=np.float64)


def keep_books(
    operation: Operation,
    scenario: Scenario,
    activity: Floats,
    *,
    relief: bool,
    months: int = MONTHS_SIMULATED,
    pauses: Container[int] = (),
    begin: tuple[int, pa.Table] | None = None,
) -> Books:
    """Simulate a chunk's books from 2017-07 on.

    Parameters
    ----------
    operation
        The chunk and its exogenous deaths.
    scenario
        Collections and relief.
    activity
        From `monthly_activity`, of the months up to `months`.
    relief
        Whether the scenario's payment holiday is on offer.
    months
        How many months to simulate; a longer run begins with the shorter one.
    pauses
        Months at whose beginning the stocks are noted, and the end of the run where it is among them.
    begin
        Month to begin with, and the stocks noted at its beginning, of a run of the same draws: the books of earlier
        months stay empty. Relief must not have been on offer before, or have been on offer in both.
    """
    run = _Run(operation, scenario, relief=relief, months=months)
    first, noted = begin or (0, None)
    if noted is not None:
        run.take_up(first, noted)
    paused = {}
    for t in range(first, months):
        if t in pauses:
            paused[t] = run.noted(t)
        run.month(t, activity[t - FIRST_MONTH] if t >= FIRST_MONTH else np.ones(operation.chunk.count))
    if months in pauses:
        paused[months] = run.noted(months)
    return Books(
        paused=paused,
        values=run.values,
        active=run.active,
        cash_out=run.cash_out,
        failed=run.failed,
        took_relief=run.took,
        died=run.died,
        firms=run.firms,
        lending=run.lending,
    )


@dataclass(frozen=True, slots=True)
class _Bills:
    """A month's bills of each company."""

    wages: Ints
    materials: Ints
    fixed: Ints
    tax: Ints

    @property
    def total(self) -> Ints:
        total: Ints = self.wages + self.materials + self.fixed + self.tax
        return total


class _Run:
    """The simulation of one chunk: stocks carried from month to month, and what is written down."""

    def __init__(self, operation: Operation, scenario: Scenario, *, relief: bool, months: int) -> None:
        self.chunk, self.scenario, self.relief = operation.chunk, scenario, relief
        chunk, n = operation.chunk, operation.chunk.count
        self.firms = firms = Firms.draw(chunk)
        self.lending = Lending.open(chunk, months)
        self.values = np.zeros((len(COLUMNS), months, n), dtype=np.int64)
        self.active = np.zeros((months, n), dtype=bool)
        self.seasons, self.workdays = season_table(), operation.pressure.surroundings.workdays
        self.collecting = [scenario.collections.path.at(np.arange(*month_days(m))).mean() for m in range(months)]
        start = stream(chunk.seed, "cash", chunk.number).normal(0, 0.3, n)
        self.cash = np.rint(firms.target * np.exp(start)).astype(np.int64)
        self.undrawn = firms.limit.copy()
        here = chunk.enterprises.born < month_days(0)[0]
        self.receivables = np.rint(firms.late_pay * firms.monthly * here).astype(np.int64)
        self.payables = np.zeros(n, dtype=np.int64)
        self.backlog = np.rint(1.3 * self.receivables).astype(np.int64)
        self.staff, self.luck = np.ones(n), np.zeros(n)
        self.strained = np.zeros(n, dtype=np.int64)
        self.cash_out = np.full(n, MONTHS_SIMULATED, dtype=np.int64)
        self.took = np.full(n, MONTHS_SIMULATED, dtype=np.int64)
        self.failed = np.full(n, OPEN_END, dtype=np.int64)
        self.died = chunk.enterprises.died

    def noted(self, t: int) -> pa.Table:
        """Return all that goes over from a month to the next, one row a company."""
        there = self.active[t - 1] if t else np.zeros(self.chunk.count, dtype=bool)
        columns = {name: np.array(getattr(self, name)) for name in _STOCKS} | {"there": there}
        return pa.table(columns | self.lending.noted())

    def take_up(self, t: int, noted: pa.Table) -> None:
        """Go on from the stocks noted at the beginning of a month."""
        for name in _STOCKS:
            setattr(self, name, noted.column(name).to_numpy().copy())
        self.lending.take_up(noted)
        if t:  # what a month is compared with
            self.active[t - 1] = noted.column("there").to_numpy()
            self._write(t - 1, undrawn_credit=self.undrawn)

    def month(self, t: int, act: Floats) -> None:
        """Live through one month."""
        first, last = month_days(t)
        e = self.chunk.enterprises
        u = stream(self.chunk.seed, "money.month", self.chunk.number, t).random((8, self.chunk.count))
        share = (np.minimum(self.died, last) - np.maximum(e.born, first) + 1) / (last - first + 1)
        share = np.clip(share, 0, 1)
        alive = share > 0
        ending = alive & (self.died <= last)
        self.active[t] = alive
        opened = alive & (e.born >= first)
        self.cash = np.where(opened, self.firms.target, self.cash)
        normal, sales = self._sell(t, act, share)
        receipts = self._collect(act, sales, alive)
        bills = self._bill(t, act, share, sales, alive)
        self._ask_relief(t, act, alive, u[0])
        self._settle(t, act, bills, receipts, normal, alive, ending, u)
        self._give_up(last, alive & ~ending, u[6], u[7])
        self.lending.close(ending)
        self.lending.record(t)
        self._write(t, founded=np.where(opened, self.firms.target, 0), liquidated=np.where(ending, self.cash, 0))
        for stock in (self.cash, self.undrawn, self.receivables, self.payables, self.backlog):
            stock[ending] = 0

    def _write(self, t: int, **columns: Ints) -> None:
        for name, values in columns.items():
            self.values[_INDEX[name], t] = values

    def _sell(self, t: int, act: Floats, share: Floats) -> tuple[Floats, Ints]:
        """Sell and take orders. A closed company still invoices a little: contracts, orders over the net."""
        firms = self.firms
        z = stream(self.chunk.seed, "money.luck", self.chunk.number, t).standard_normal((2, self.chunk.count))
        self.luck = 0.75 * self.luck + z[0]
        trend = np.exp(firms.growth * (t - 24) / 12 + 0.001 * (t - 24))
        normal = firms.monthly * trend * self.seasons[self.chunk.enterprises.section, t] * self.workdays[t] * share
        done = act + 0.15 * (1 - act)
        sales = np.rint(normal * done * np.exp(0.7 * firms.noise * self.luck)).astype(np.int64)
        wished = np.rint(normal * (0.35 + 0.65 * act) * np.exp(firms.noise * z[1])).astype(np.int64)
        calm = sales + np.rint(0.2 * (wished - sales)).astype(np.int64)
        orders = np.where(act > 0.97, calm, wished)
        ceiling = sales - self.backlog + np.rint(2.5 * firms.monthly).astype(np.int64)
        orders = np.maximum(np.minimum(orders, ceiling), np.maximum(sales - self.backlog, 0))
        self.backlog = self.backlog + orders - sales
        self._write(t, sales=sales, orders=orders, backlog=self.backlog)
        return normal, sales

    def _collect(self, act: Floats, sales: Ints, alive: Bools) -> Ints:
        """Receive what customers pay: part of this month's sales, most of what was owed before."""
        delay = np.clip(self.firms.late_pay * (1 + 0.5 * (1 - act)), 0, 0.92)
        settle = np.where(act > 0.97, 0.97, 0.6 + 0.3 * act)
        receipts = np.rint((1 - delay) * sales).astype(np.int64) + np.rint(settle * self.receivables).astype(np.int64)
        receipts = np.where(alive, np.minimum(receipts, self.receivables + sales), 0)
        self.receivables = self.receivables + sales - receipts
        return receipts

    def _bill(self, t: int, act: Floats, share: Floats, sales: Ints, alive: Bools) -> _Bills:
        """Add up the month's bills; staff follows activity slowly, wages part of the way at once."""
        firms, e = self.firms, self.chunk.enterprises
        self.staff = self.staff + 0.2 * (0.8 + 0.2 * act - self.staff)
        staff = (e.employees_before if t < month_number(METERS_FIRST) else e.employees) * self.staff
        employees = np.where(alive, np.maximum(1, np.rint(staff)), 0).astype(np.int64)
        trend = np.exp(firms.growth * (t - 24) / 12)
        bills = _Bills(
            wages=np.rint(firms.wage * employees * share * trend * (0.55 + 0.45 * act)).astype(np.int64),
            materials=sales * firms.materials_ppm // 1_000_000,
            fixed=np.rint(firms.fixed * share * (0.85 + 0.15 * act)).astype(np.int64),
            tax=np.rint(TAX * sales).astype(np.int64),
        )
        self._write(t, employees=employees, wage_bill=bills.wages, tax_due=bills.tax)
        return bills

    def _ask_relief(self, t: int, act: Floats, alive: Bools, u: Floats) -> None:
        """Let companies apply for the payment holiday: the more distressed, the likelier."""
        relief = self.scenario.relief
        start = month_number(relief.start)
        if not self.relief or not start <= t < start + APPLY_MONTHS:
            return
        runway = (self.cash + self.undrawn) / np.maximum(1.2 * self.firms.monthly, 1)
        distress = np.clip(1 - runway, 0, 1) * (1 - 0.4 * act)
        wish = 1 / (1 + np.exp(-(relief.take_up_base + relief.take_up_distress * distress)))
        asks = alive & (self.took == MONTHS_SIMULATED) & self.lending.indebted() & (u < wish)
        self.took[asks] = t

    def _settle(
        self,
        t: int,
        act: Floats,
        bills: _Bills,
        receipts: Ints,
        normal: Floats,
        alive: Bools,
        ending: Bools,
        u: Floats,
    ) -> None:
        """Pay bills, then banks, then owners; draw on the credit line before leaving a bill unpaid."""
        firms, scenario = self.firms, self.scenario
        half_month = np.rint(0.5 * firms.monthly).astype(np.int64)
        due = self.lending.fall_due((t >= self.took) & (t < self.took + scenario.relief.months))
        idle = 1 - self.collecting[t]
        skip = u[1] < DISPUTED + scenario.collections.skip_share * idle * (0.4 + 0.6 * (act < 0.75))
        lent = self.lending.lend(alive & ~ending & (self.strained == 0) & (act > 0.6), u[2], u[3])
        purse = self.cash + receipts + lent
        catch_up = np.clip(purse - bills.total - due, 0, self.payables)
        wanted = bills.total + catch_up
        hole = np.maximum(wanted + due - purse - self.undrawn, 0)
        injected = np.where(alive & (u[4] < np.where(act > 0.85, 0.85, 0.2)), np.minimum(hole, half_month), 0)
        purse = purse + injected
        spent = np.minimum(wanted, purse + self.undrawn)
        paid = self.lending.pay(np.where(skip, 0, np.clip(purse + self.undrawn - spent, 0, due)))
        drawn = np.clip(spent + paid - purse, 0, self.undrawn)
        left = purse + drawn - spent - paid
        short = wanted - spent
        self.payables = self.payables - catch_up + short
        spare = np.maximum(left - firms.target, 0) * (short == 0)
        repaid = np.minimum(firms.limit - self.undrawn + drawn, spare // 2)
        plan = np.rint(firms.capital * normal * (u[5] < 0.16) * u[6] * 12.5 * (act > 0.6)).astype(np.int64)
        investment = np.clip(plan, 0, np.maximum(left - repaid - firms.target // 3, 0)) * (short == 0)
        dividends = np.rint(0.55 * np.maximum(spare - repaid - investment, 0)).astype(np.int64)
        self.cash = left - repaid - investment - dividends
        self.undrawn = self.undrawn - drawn + repaid
        unpaid = alive & (short > 0)
        self.cash_out = np.where(unpaid & (self.cash_out == MONTHS_SIMULATED), t, self.cash_out)
        self.strained = np.where(unpaid, self.strained + 1, np.maximum(self.strained - 1, 0))
        self._write(
            t,
            payments_in=receipts + injected,
            payments_out=spent + investment + dividends,
            fx_receipts=np.rint(firms.exports * receipts).astype(np.int64),
            investment=investment,
            cash=self.cash,
            undrawn_credit=self.undrawn,
            injected=injected,
            dividends=dividends,
            receivables=self.receivables,
            payables=self.payables,
            lent=lent,
        )
        self._write_bills(t, bills, spent)

    def _write_bills(self, t: int, bills: _Bills, spent: Ints) -> None:
        """Write down which bills were paid: wages first, then materials, fixed costs, taxes, old bills."""
        rest = spent
        for name in ("wages", "materials", "fixed", "tax"):
            part = np.minimum(getattr(bills, name), rest)
            rest = rest - part
            self._write(t, **{f"{'taxes' if name == 'tax' else name}_paid": part})
        self._write(t, old_bills_paid=rest)

    def _give_up(self, last: int, may: Bools, u: Floats, v: Floats) -> None:
        """Let companies fail after three months of unpaid bills: illiquid is not yet failed."""
        gives_up = may & (self.strained >= 3) & (v < 0.07) & (self.failed == OPEN_END)
        self.failed[gives_up] = last + 1 + np.floor(u[gives_up] * 25).astype(np.int64)
        self.died = np.minimum(self.chunk.enterprises.died, self.failed)
