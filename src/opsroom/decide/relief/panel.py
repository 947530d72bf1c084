"""Companies by months: accounts and monthly reports laid out as arrays, once for every estimate."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.decide.relief.dated import Dated, places

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MONTHS = 24
_ACCOUNTS = ("cash", "undrawn_credit", "fixed_costs", "materials_ppm", "tax_due")
_REPORTS = ("sales", "wage_bill", "payments_in")


@dataclass(frozen=True, slots=True)
class Panel:
    """Company months known on a day; arrays are (companies, months), NaN where nothing is known.

    Attributes
    ----------
    ids
        Companies, sorted.
    first
        First month, months since 1970.
    liquid
        Cash and undrawn credit at the end of the month.
    fixed, materials, tax
        Fixed costs, share of materials in sales, tax.
    sales, wages
        Of the month.
    paid_in
        Receipts; ``None`` where they are not reported.
    usual, seasons
        Sales, wages and tax of a usual month, and the season of each month, of a panel that has lost the months on
        which they rest; see `usual_year` and `season`.
    """

    ids: Ints
    first: int
    liquid: Floats
    fixed: Floats
    materials: Floats
    tax: Floats
    sales: Floats
    wages: Floats
    paid_in: Floats | None
    usual: tuple[Floats, Floats, Floats] | None = None
    seasons: Floats | None = None

    @property
    def both(self) -> npt.NDArray[np.bool_]:
        """Where accounts and a monthly report are known."""
        return np.isfinite(self.liquid) & np.isfinite(self.sales)

    @property
    def last(self) -> int:
        """Column of the last month in which any company has both, -1 if none has."""
        for column in range(self.sales.shape[1] - 1, -1, -1):
            if (np.isfinite(self.liquid[:, column]) & np.isfinite(self.sales[:, column])).any():
                return column
        return -1

    def column(self, month: int) -> int | None:
        """Return the column of a month (since 1970), or None outside."""
        at = month - self.first
        return at if 0 <= at < self.liquid.shape[1] else None


def month_numbers(values: pd.Series[pd.Timestamp]) -> Ints:
    """Return months since 1970 of dates."""
    days = pd.to_datetime(values).to_numpy().astype("datetime64[M]")
    return np.asarray(days.astype(np.int64))


def month_number(day: dt.date) -> int:
    """Return the months since 1970 of a day."""
    return (day.year - 1970) * 12 + day.month - 1


def company_panel(accounts: pd.DataFrame, firm_months: pd.DataFrame, *, as_of: dt.date, months: int = MONTHS) -> Panel:
    """Lay out the last months of accounts and monthly reports.

    Parameters
    ----------
    accounts
        ``enterprise_id``, ``month``, ``cash``, ``undrawn_credit``, ``fixed_costs``, ``materials_ppm``,
        ``tax_due``.
    firm_months
        ``enterprise_id``, ``month``, ``sales``, ``wage_bill`` and, where there are any, ``payments_in``.
    as_of
        Later months are left out.
    months
        How many months are kept.
    """
    return panel_of(Dated.of(accounts), Dated.of(firm_months), as_of=as_of, months=months)


def panel_of(accounts: Dated, reports: Dated, *, as_of: dt.date, months: int = MONTHS) -> Panel:
    """Do what `company_panel` does with tables whose companies are numbered already."""
    first = month_number(as_of) - months + 1
    return with_reports(books_of(accounts, first, months), reports)


def books_of(accounts: Dated, first: int, months: int = MONTHS) -> Panel:
    """Return the panel of accounts from a month on, in which nothing is reported yet."""
    cash, undrawn, fixed, materials, tax = spread(accounts, accounts.ids, first, months, _ACCOUNTS)
    cash += undrawn  # in place, as below: each table of companies by months is as large as what it was read from
    materials /= 1e6
    nothing = np.full((len(accounts.ids), 1), np.nan)
    nowhere = np.broadcast_to(nothing, cash.shape)
    return Panel(accounts.ids, first, cash, fixed, materials, tax, nowhere, nowhere, None)


def with_reports(books: Panel, reports: Dated) -> Panel:
    """Return a panel of accounts with what the same companies reported."""
    names = [c for c in _REPORTS if c in reports.table.columns]
    found = dict(zip(names, spread(reports, books.ids, books.first, books.liquid.shape[1], names), strict=True))
    return replace(books, sales=found["sales"], wages=found["wage_bill"], paid_in=found.get("payments_in"))


def spread(
    table: Dated, ids: Ints, first: int, months: int, columns: tuple[str, ...] | list[str], *, add: bool = False
) -> list[Floats]:
    """Return columns of a table of company months as (companies, months); the last row of a month counts, or all."""
    number = (month_numbers(pd.Series(table.dates.view("datetime64[ns]"))) - first)[table.date]
    row = places(ids, table.ids)[table.firm]
    kept = np.flatnonzero((number >= 0) & (number < months) & (row >= 0))
    at = row[kept] * months + number[kept]
    result = []
    for column in columns:
        values = table.table[column].to_numpy(dtype=np.float64)[kept]
        if add:
            flat = np.asarray(np.bincount(at, weights=values, minlength=len(ids) * months), dtype=np.float64)
        else:
            flat = np.full(len(ids) * months, np.nan)
            flat[at] = values
        result.append(flat.reshape(len(ids), months))
    return result
