"""What accounts and monthly reports say of each company as of a day: its last ones, and what is normal for it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.decide.relief.dated import Dated, places

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_STOCKS = ("month", "cash", "undrawn_credit", "fixed_costs", "materials_ppm")


@dataclass(frozen=True, slots=True)
class Span:
    """Which months of a table matter as of a day: those of the normal year and since, up to the day."""

    after: int
    until: int
    normal_until: int

    @classmethod
    def of(cls, as_of: dt.date, normal_until: dt.date | None) -> Span:
        """Return the span as of a day; normal are the twelve months up to `normal_until`, by default last year's."""
        now = pd.Timestamp(as_of)
        end = pd.Timestamp(normal_until) if normal_until else pd.Timestamp(now.year - 1, 12, 31)
        low = min(end, now - pd.DateOffset(months=6)) - pd.DateOffset(months=13)
        return cls(_ns(low), _ns(now), _ns(end))

    def inside(self, dates: Ints) -> Ints:
        """Return those of some dates that lie within."""
        return dates[(dates > self.after) & (dates <= self.until)]

    def normal(self, months: int) -> tuple[int, int]:
        """Return after when, and until when, the normal months lie."""
        end = pd.Timestamp(self.normal_until)
        return max(_ns(end - pd.DateOffset(months=months)), self.after), min(self.normal_until, self.until)


@dataclass(frozen=True, slots=True)
class Stocks:
    """What accounts say as of a day: `rows` and `dates` as in `Standing`."""

    rows: pd.DataFrame
    dates: Ints

    @classmethod
    def of(cls, accounts: Dated, span: Span) -> Stocks:
        """Return each company's last account within a span."""
        newest = accounts.last(span.after, span.until)
        known = np.flatnonzero(newest >= 0)
        rows = accounts.table[list(_STOCKS)].iloc[newest[known]].reset_index(drop=True)
        rows.insert(0, "enterprise_id", accounts.ids[known])
        tax = _normal(accounts, newest, "tax_due", span, 12)[known]
        return cls(rows.assign(month=pd.to_datetime(rows["month"]), tax_due=tax), accounts.dates)


@dataclass(frozen=True, slots=True)
class Told:
    """What monthly reports say as of a day: `rows`, `dates` and `sales` as in `Standing`."""

    rows: pd.DataFrame
    dates: Ints
    sales: dict[int, Floats]

    @classmethod
    def of(cls, reports: Dated, span: Span) -> Told:
        """Return each company's last report within a span, and what is normal for it."""
        latest = reports.last(span.after, span.until)
        told = np.flatnonzero(latest >= 0)
        last = reports.table[["month", "sales"]].iloc[latest[told]]
        rows = pd.DataFrame(
            {
                "enterprise_id": reports.ids[told],
                "sales": _normal(reports, latest, "sales", span, 12)[told],
                "wage_bill": _normal(reports, latest, "wage_bill", span, 3)[told],
                "sales_last": last["sales"].to_numpy(),
                "sales_month": pd.to_datetime(last["month"]).to_numpy(),
            }
        )
        months = [d for d in span.inside(reports.dates).tolist() if pd.Timestamp(d).day == 1]
        return cls(rows, reports.dates, {d: reports.on("sales", d)[told] for d in months})


@dataclass(frozen=True, slots=True)
class Standing:
    """What company months say as of a day.

    Attributes
    ----------
    span
        Which months were looked at.
    dates
        The dates that occur, of accounts and of reports.
    accounts
        By company: the columns of its last account, and ``tax_due``, normal.
    reports
        By company: ``sales`` and ``wage_bill``, normal; ``sales_last`` and ``sales_month``, its last report.
    sales
        Date (a first of the month) → reported sales by company, in the order of `reports`.
    """

    span: Span
    dates: tuple[Ints, Ints]
    accounts: pd.DataFrame
    reports: pd.DataFrame
    sales: dict[int, Floats]

    @classmethod
    def of(cls, accounts: Dated, reports: Dated, as_of: dt.date, normal_until: dt.date | None = None) -> Standing:
        """Return the standing as of a day."""
        span = Span.of(as_of, normal_until)
        return cls.made(span, Stocks.of(accounts, span), Told.of(reports, span))

    @classmethod
    def made(cls, span: Span, stocks: Stocks, told: Told) -> Standing:
        """Return the standing made of what the accounts, and what the reports, say of a span."""
        return cls(span, (stocks.dates, told.dates), stocks.rows, told.rows, told.sales)

    def holds(self, as_of: dt.date, normal_until: dt.date | None = None) -> bool:
        """Say whether the same tables say the same as of another day: whether the same dates are looked at."""
        span = Span.of(as_of, normal_until)
        same = (np.array_equal(span.inside(d), self.span.inside(d)) for d in self.dates)
        return span.normal_until == self.span.normal_until and all(same)

    def of_companies(self, firms: pd.DataFrame) -> pd.DataFrame:
        """Return those of the companies that have accounts, in their order, with all columns beside their own."""
        at = places(self.accounts["enterprise_id"].to_numpy(), firms["enterprise_id"].to_numpy(dtype=np.int64))
        kept = np.flatnonzero(at >= 0)
        found = firms.iloc[kept].reset_index(drop=True)
        columns = {c: self.accounts[c].to_numpy()[at[kept]] for c in self.accounts.columns if c != "enterprise_id"}
        there = self._told(found)
        names = {"sales": "sales_normal", "wage_bill": "wage_bill", "sales_last": "sales_last"}
        columns |= {new: _taken(self.reports[old].to_numpy(dtype=np.float64), there) for old, new in names.items()}
        since = self.reports["sales_month"].to_numpy()
        columns["sales_month"] = np.full(len(there), np.datetime64("NaT"), dtype=since.dtype)
        columns["sales_month"][there >= 0] = since[there[there >= 0]]
        return found.assign(**columns)

    def reported(self, firms: pd.DataFrame, month: pd.Timestamp) -> Floats:
        """Return the sales that the companies reported for a month, NaN where they did not."""
        values = self.sales.get(_ns(month))
        return np.full(len(firms), np.nan) if values is None else _taken(values, self._told(firms))

    def _told(self, firms: pd.DataFrame) -> Ints:
        return places(self.reports["enterprise_id"].to_numpy(), firms["enterprise_id"].to_numpy(dtype=np.int64))


def _taken(values: Floats, at: Ints) -> Floats:
    """Return values at places, NaN where a place is -1."""
    found = np.full(len(at), np.nan)
    there = at >= 0
    found[there] = values[at[there]]
    return found


def _normal(table: Dated, last: Ints, column: str, span: Span, months: int) -> Floats:
    """Return whole means of the normal months; of a company born since, its last value."""
    mean = table.mean(column, *span.normal(months))
    unknown = np.isnan(mean)
    mean[unknown] = _taken(table.table[column].to_numpy(dtype=np.float64), last[unknown])
    return np.rint(mean)


def _ns(moment: pd.Timestamp) -> int:
    return int(moment.as_unit("ns").value)
