"""What lenders report to their supervisor each quarter: capital, total assets, and what they lend each other in all."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from opsroom.economy.horizon import MONTHS_DELIVERED, Floats, Ints, month_date
from opsroom.economy.lending import LENDERS
from opsroom.economy.randomness import stream

if TYPE_CHECKING:
    from opsroom.economy.money import Books

LENDER_BASE: Final = 101
FIRST_QUARTER: Final = dt.date(2019, 1, 1)
SHARE: Final = (0.22, 0.38)
"""Loans to companies as a share of a lender's assets: the rest goes to households, the state, abroad."""
CAPITAL: Final = (0.07, 0.12)
"""Capital as a share of assets in the first quarter."""
EARNED: Final = 0.012
"""Retained in a quarter, as a share of capital."""
WRITTEN_DOWN: Final = 0.6
"""Share of what is written off that had not been provided for, or recovered."""
INTERBANK: Final = 0.03
"""Claims on other lenders as a share of assets, on average."""
LEAST: Final = 100_000_000
"""Assets of a lender that lends nothing to companies, in cents: it exists all the same."""


@dataclass(frozen=True, slots=True)
class Lent:
    """Of a chunk's loans by month and lender, in cents: what is outstanding, and what was written off."""

    outstanding: Ints
    written_off: Ints

    @classmethod
    def of(cls, books: Books, months: int = MONTHS_DELIVERED) -> Lent:
        """Add up a chunk's loans."""
        loans = books.lending
        out = np.zeros((2, months, LENDERS), dtype=np.int64)
        for k, name in enumerate(("outstanding", "written_off")):
            values = loans[name][:months]
            for lender in range(LENDERS):
                out[k, :, lender] = values[:, loans.lender == lender].sum(axis=1)
        return cls(out[0], out[1])

    def __add__(self, other: Lent) -> Lent:
        """Add the loans of other companies."""
        return Lent(self.outstanding + other.outstanding, self.written_off + other.written_off)


def quarters() -> list[dt.date]:
    """Return the first days of the quarters that are over by the last month delivered."""
    firsts = [month_date(m) for m in range(MONTHS_DELIVERED - 2)]
    return [day for day in firsts if day.month in (1, 4, 7, 10) and day >= FIRST_QUARTER]


def lenders_table(lent: Lent, seed: int) -> pa.Table:
    """Return a row a lender and quarter, quarter by quarter.

    Notes
    -----
    Draws come from a stream of their own. Assets follow the loans to companies, each lender by its own share; capital
    grows by what is retained and shrinks by what is written off, so that it is not a share of assets for ever. What
    lenders lend each other adds up to what they borrow from each other, to the cent.
    """
    rng = stream(seed, "lenders")
    share, ratio = rng.uniform(*SHARE, LENDERS), rng.uniform(*CAPITAL, LENDERS)
    taste = np.exp(rng.normal(0.0, 0.3, (2, LENDERS)))
    shown, capital, columns = quarters(), np.zeros(LENDERS), []
    for k, quarter in enumerate(shown):
        last = next(m for m in range(MONTHS_DELIVERED) if month_date(m) == quarter) + 2
        assets: Floats = np.maximum(lent.outstanding[last] / share, LEAST)
        gone = WRITTEN_DOWN * lent.written_off[last - 2 : last + 1].sum(axis=0)
        capital = ratio * assets if k == 0 else np.maximum(capital * (1.0 + EARNED) - gone, 0.0)
        lends, borrows = (np.rint(INTERBANK * assets * x).astype(np.int64) for x in taste)
        columns.append((capital, assets, lends, _of_sum(borrows, int(lends.sum()))))
    values = [np.concatenate([np.rint(c[j]).astype(np.int64) for c in columns]) for j in range(4)]
    days = [quarter for quarter in shown for _ in range(LENDERS)]
    return pa.table(
        {
            "lender_id": np.tile(LENDER_BASE + np.arange(LENDERS), len(shown)),
            "quarter": pa.array(days, pa.date32()),
            **dict(zip(("capital", "assets", "interbank_lent", "interbank_borrowed"), values, strict=True)),
        }
    )


def _of_sum(amounts: Ints, total: int) -> Ints:
    """Return amounts in proportion that add to a total, to the cent."""
    scaled: Floats = amounts.astype(np.float64) * (total / max(int(amounts.sum()), 1))
    found = np.floor(scaled).astype(np.int64)
    found[int(found.argmax())] += total - int(found.sum())
    return found
