"""Monthly microdata as delivered: firm_months, accounts, loans, from a chunk's books."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from opsroom.economy.horizon import Ints, day_date, epoch_days, month_date, month_days
from opsroom.economy.lenders import LENDER_BASE
from opsroom.economy.money import Books
from opsroom.economy.population import ENTERPRISE_BASE, GROUP_BASE, Chunk
from opsroom.economy.randomness import stream

LATE: Final = 0.025
"""Share of monthly reports that come a month late; of companies in trouble four times as many."""

MONTHLY: Final = ("firm_months", "accounts", "loans")
_FIRM: Final = (
    "employees", "wage_bill", "sales", "payments_in", "payments_out", "fx_receipts", "investment", "orders",
    "backlog",
)  # fmt: skip


def _months(months: Ints) -> pa.Array:
    days = np.array([(month_date(int(m)) - day_date(0)).days for m in range(int(months.max(initial=0)) + 1)])
    return pa.array(epoch_days(days[months])).cast(pa.date32())


def _groups(chunk: Chunk, firm: Ints, month: Ints) -> Ints:
    e = chunk.enterprises
    last = np.array([month_days(m)[1] for m in range(int(month.max(initial=0)) + 1)])
    return GROUP_BASE + np.where(e.acquired[firm] <= last[month], e.group[firm], e.group_before[firm])


def _head(chunk: Chunk, firm: Ints, month: Ints) -> dict[str, object]:
    return {
        "enterprise_id": ENTERPRISE_BASE + chunk.enterprises.index[firm],
        "month": _months(month),
        "group_id": _groups(chunk, firm, month),
    }


def report_delay(chunk: Chunk, books: Books, month: int) -> Ints:
    """Return by how many months each company's report for a month is late (0 or 1)."""
    rng = stream(chunk.seed, "reports", chunk.number, month)
    trouble = books["payables"][month] > 0
    late: Ints = (rng.random(chunk.count) < LATE * np.where(trouble, 4, 1)).astype(np.int64)
    return late


def monthly_table(dataset: str, chunk: Chunk, books: Books, first: int, last: int) -> pa.Table:
    """Return one dataset's rows for the months from `first` to `last`, in order of company and month.

    Parameters
    ----------
    dataset
        One of `MONTHLY`.
    chunk, books
        The chunk and its books.
    first, last
        Month numbers, both included.
    """
    months = np.arange(first, last + 1)
    if dataset == "loans":
        return _loans(chunk, books, months)
    firm, at = np.nonzero(books.active[first : last + 1].T)
    month = months[at]
    columns = _head(chunk, firm, month)
    if dataset == "firm_months":
        columns |= {name: books[name][month, firm] for name in _FIRM}
    else:
        columns |= {
            "cash": books["cash"][month, firm],
            "undrawn_credit": books["undrawn_credit"][month, firm],
            "fixed_costs": books.firms.fixed[firm],
            "materials_ppm": books.firms.materials_ppm[firm],
            "tax_due": books["tax_due"][month, firm],
        }
    return pa.table(columns)


def _loans(chunk: Chunk, books: Books, months: Ints) -> pa.Table:
    loans = books.lending
    number = loans["loan"][months[0] : months[-1] + 1]
    firm, slot, at = np.nonzero(number.transpose(2, 1, 0))
    month = months[at]

    def value(name: str) -> Ints:
        return loans[name][month, slot, firm]

    ends = np.array([_epoch_month(m) for m in range(int(month.max(initial=0)) + 90)])
    head = _head(chunk, firm, month)
    columns: Mapping[str, object] = {
        "loan_id": value("loan"),
        "month": head["month"],
        "enterprise_id": head["enterprise_id"],
        "group_id": head["group_id"],
        "lender_id": LENDER_BASE + loans.lender[slot, firm],
        "outstanding": value("outstanding"),
        "interest_due": value("interest_due"),
        "principal_due": value("principal_due"),
        "paid": value("paid"),
        "days_past_due": value("days_past_due"),
        "forborne": value("forborne").astype(bool),
        "rate_bp": value("rate_bp"),
        "matures": pa.array(ends[month + value("months_left")].astype(np.int32)).cast(pa.date32()),
        "secured_ppm": loans.secured[slot, firm],
        "guarantee_ppm": loans.guaranteed[slot, firm],
    }
    return pa.table(columns)


def _epoch_month(month: int) -> int:
    return (month_date(month) - month_date(0)).days + int(epoch_days(np.array([month_days(0)[0]]))[0])
