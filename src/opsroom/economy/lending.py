"""Bank loans with schedules: interest and principal due, paid, past due, forborne, written off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from opsroom.economy.horizon import Bools, Floats, Ints, month_days
from opsroom.economy.population import Chunk
from opsroom.economy.randomness import stream

SLOTS: Final = 2
LOAN_BASE: Final = 40_000_000_000
LENDERS: Final = 14
LOAN_TO_SALES: Final = 0.21
"""A usual loan, as a share of a year's sales."""

NEW_LOANS: Final = 0.08
"""Monthly probability that an eager borrower without a loan takes one."""

RECORDED: Final = (
    "loan", "outstanding", "interest_due", "principal_due", "paid", "days_past_due", "forborne", "rate_bp",
    "months_left", "charged", "new", "written_off", "arrears",
)  # fmt: skip

_STOCKS: Final = ("outstanding", "left", "arrears", "past_due", "generation")
"""What of a loan goes over from month to month, beside its terms."""


@dataclass
class Lending:
    """Loans of a chunk: state is slot x enterprise, records are column x month x slot x enterprise."""

    chunk: Chunk
    borrower: Floats
    """Wish to borrow (0: never)."""
    outstanding: Ints
    left: Ints
    rate: Ints
    arrears: Ints
    past_due: Ints
    generation: Ints
    secured: Ints
    guaranteed: Ints
    lender: Ints
    records: Ints
    charged: Ints
    new: Ints
    written_off: Ints
    interest_due: Ints
    principal_due: Ints
    paid: Ints
    forborne: Bools
    fresh_term: Ints
    """Term in months of loans granted in this month, 0 elsewhere."""

    @classmethod
    def open(cls, chunk: Chunk, months: int) -> Lending:
        """Draw the loans with which 2017-07 opens, with room for the records of some months."""
        e, n = chunk.enterprises, chunk.count
        rng = stream(chunk.seed, "lending", chunk.number)
        shape = (SLOTS, n)
        borrower = np.where(rng.random(n) < np.array([0.48, 0.6, 0.72, 0.85])[e.size], rng.uniform(0.4, 1.0, n), 0.0)
        has = (rng.random(shape) < borrower * np.array([[0.8], [0.3]])) & (e.born < month_days(0)[0])
        amount = e.sales * LOAN_TO_SALES * np.exp(rng.normal(-0.25, 0.7, shape))
        zero = np.zeros(shape, dtype=np.int64)
        secured = np.rint(1e6 * rng.beta(2, 2, shape)).astype(np.int64)
        guaranteed = np.where(rng.random(shape) < 0.12, rng.integers(3, 9, shape) * 100_000, 0)
        return cls(
            chunk=chunk,
            borrower=borrower,
            outstanding=np.where(has, np.rint(amount), 0).astype(np.int64),
            left=np.where(has, rng.integers(3, 60, shape), 0),
            rate=np.rint(280 + 90 * (3 - e.size) + rng.gamma(2.0, 60, shape)).astype(np.int64),
            arrears=zero.copy(),
            past_due=zero.copy(),
            generation=has.astype(np.int64),
            secured=secured,
            guaranteed=np.minimum(guaranteed, 1_000_000 - secured // 2),
            lender=rng.choice(LENDERS, shape, p=_lender_weights()),
            records=np.zeros((len(RECORDED), months, *shape), dtype=np.int64),
            charged=zero.copy(),
            new=zero.copy(),
            written_off=zero.copy(),
            interest_due=zero.copy(),
            principal_due=zero.copy(),
            paid=zero.copy(),
            forborne=np.zeros(shape, dtype=bool),
            fresh_term=zero.copy(),
        )

    def __getitem__(self, name: str) -> Ints:
        """Return a recorded column (month x slot x enterprise)."""
        values: Ints = self.records[RECORDED.index(name)]
        return values

    def noted(self) -> dict[str, Floats | Ints]:
        """Return all that goes over from a month to the next, one entry a company."""
        slots = {f"{name}{k}": getattr(self, name)[k].copy() for name in _STOCKS for k in range(SLOTS)}
        return slots | {"borrower": self.borrower}

    def take_up(self, noted: pa.Table) -> None:
        """Go on from what was noted."""
        self.borrower = noted.column("borrower").to_numpy().copy()
        for name in _STOCKS:
            setattr(self, name, np.stack([noted.column(f"{name}{k}").to_numpy() for k in range(SLOTS)]))

    def indebted(self) -> Bools:
        """Return which companies owe anything."""
        owed: Bools = self.outstanding.sum(axis=0) > 0
        return owed

    def _owed(self) -> Ints:
        return np.where(self.forborne, 0, self.arrears + self.interest_due + self.principal_due)

    def fall_due(self, on_holiday: Bools) -> Ints:
        """Charge a month's interest, set what falls due, and return it with arrears, by company.

        On a payment holiday nothing falls due; interest accrues and is added to the debt.
        """
        self.forborne = (self.outstanding > 0) & on_holiday
        self.charged = np.rint(self.outstanding * self.rate / 120_000).astype(np.int64)
        regular = np.maximum(self.outstanding - self.arrears, 0)
        principal = np.where(self.left > 0, -(-regular // np.maximum(self.left, 1)), regular)
        self.interest_due = np.where(self.forborne, 0, self.charged)
        self.principal_due = np.where(self.forborne, 0, principal)
        due: Ints = self._owed().sum(axis=0)
        return due

    def lend(self, may: Bools, u: Floats, v: Floats) -> Ints:
        """Grant new loans in empty slots and return what companies receive. First due next month."""
        wish = may & (u < NEW_LOANS * self.borrower)
        free = self.outstanding == 0
        chosen = np.stack([free[0], free[1] & ~free[0] & (u < 0.4 * NEW_LOANS * self.borrower)]) & wish
        amount = np.rint(self.chunk.enterprises.sales * LOAN_TO_SALES * (0.4 + 1.4 * v)).astype(np.int64)
        self.new = np.where(chosen, amount, 0)
        self.generation = self.generation + chosen
        self.fresh_term = np.where(chosen, np.rint(24 + 48 * v).astype(np.int64), 0)
        lent: Ints = self.new.sum(axis=0)
        return lent

    def pay(self, money: Ints) -> Ints:
        """Spread a company's payment over its loans, the first slot first, and return what was paid.

        A loan is past due from the first due payment that is missed until all arrears are paid.
        """
        owed, rest = self._owed(), money
        self.paid = np.zeros_like(owed)
        for slot in range(SLOTS):
            self.paid[slot] = np.minimum(rest, owed[slot])
            rest = rest - self.paid[slot]
        due = self.interest_due + self.principal_due
        after = np.where(self.forborne, self.arrears, self.arrears + due - self.paid)
        worse = (after > 0) & (self.paid < due) & ~self.forborne
        self.past_due = np.where(after == 0, 0, self.past_due + 30 * worse)
        self.arrears = after
        self.left = self.left - ((self.left > 0) & ~self.forborne)
        self.outstanding = self.outstanding + self.charged - self.paid + self.new
        self.left = np.where(self.fresh_term > 0, self.fresh_term, self.left)
        total: Ints = self.paid.sum(axis=0)
        return total

    def close(self, ending: Bools) -> None:
        """Write off what companies owe that end in this month."""
        self.written_off = np.where(ending, self.outstanding, 0)
        self.outstanding = self.outstanding - self.written_off
        self.arrears = np.where(ending, 0, self.arrears)
        self.borrower = np.where(ending, 0, self.borrower)

    def record(self, t: int) -> None:
        """Enter the month into the records."""
        slots = np.arange(SLOTS)[:, None] * 50
        number = LOAN_BASE + self.chunk.enterprises.index * 100 + slots + self.generation
        touched = (self.outstanding > 0) | (self.paid > 0) | (self.written_off > 0)
        columns = (
            np.where(touched, number, 0), self.outstanding, self.interest_due, self.principal_due, self.paid,
            self.past_due, self.forborne, self.rate, self.left, self.charged, self.new, self.written_off,
            self.arrears,
        )  # fmt: skip
        for position, values in enumerate(columns):
            self.records[position, t] = values


def _lender_weights() -> Floats:
    weights = 1.0 / np.arange(1, LENDERS + 1) ** 0.8
    normal: Floats = weights / weights.sum()
    return normal
