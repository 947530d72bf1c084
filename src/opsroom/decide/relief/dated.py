"""Rows of company months, each with its company's number and its date, found once for all that is asked of them."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dated:
    """A table of company months with what every question to it needs.

    Attributes
    ----------
    table
        The rows.
    ids
        Companies, sorted.
    firm
        Place of each row's company among `ids`.
    date
        Place of each row's date among `dates`.
    dates
        The dates that occur, sorted: nanoseconds since 1970, the least integer for a missing one.
    """

    table: pd.DataFrame
    ids: Ints
    firm: Ints
    date: Ints
    dates: Ints

    @classmethod
    def of(cls, table: pd.DataFrame) -> Dated:
        """Number the companies (``enterprise_id``) and dates (``month``) of a table."""
        firm, ids = pd.factorize(table["enterprise_id"].to_numpy(dtype=np.int64), sort=True)
        date, dates = pd.factorize(nanoseconds(table["month"]), sort=True)
        return cls(table, np.asarray(ids), np.asarray(firm, np.int64), np.asarray(date, np.int64), np.asarray(dates))

    def last(self, after: int, until: int) -> Ints:
        """Return the row of each company's last date within a span, -1 for none; of two rows of a date the later."""
        return np.asarray(_last(self.firm, self.date, len(self.ids), *self._span(after, until)))

    def mean(self, column: str, after: int, until: int) -> Floats:
        """Return each company's mean over a span, NaN where it has no value in it."""
        low, high = self._span(after, until)
        rows = np.flatnonzero((self.date >= low) & (self.date < high))
        values = self.table[column].to_numpy(dtype=np.float64)[rows]
        known = np.isfinite(values)
        firm, values = self.firm[rows][known], values[known]
        number = np.bincount(firm, minlength=len(self.ids))
        total = np.bincount(firm, weights=values, minlength=len(self.ids))
        return np.asarray(np.divide(total, number, out=np.full(len(number), np.nan), where=number > 0))

    def on(self, column: str, date: int) -> Floats:
        """Return each company's value on a date, NaN where there is none; of two rows the later."""
        rows = np.flatnonzero(self.date == np.searchsorted(self.dates, date))
        found = np.full(len(self.ids), np.nan)
        found[self.firm[rows]] = self.table[column].to_numpy()[rows].astype(np.float64)
        return found

    def _span(self, after: int, until: int) -> tuple[int, int]:
        """Return the first place of a date within a span, and the first beyond."""
        low, high = np.searchsorted(self.dates, [after, until], side="right")
        return int(low), int(high)


def nanoseconds(values: pd.Series[pd.Timestamp]) -> Ints:
    """Return dates as nanoseconds since 1970."""
    return np.asarray(pd.to_datetime(values).to_numpy().astype("datetime64[ns]").astype(np.int64))


def places(ids: Ints, wanted: Ints) -> Ints:
    """Return where each wanted company stands among sorted ones, -1 where it does not."""
    if len(ids) == 0:
        return np.full(len(wanted), -1, dtype=np.int64)
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[at] == wanted, at, -1)


@nb.njit(cache=True)
def _last(firm: Ints, date: Ints, firms: int, low: int, high: int) -> Ints:  # pragma: no cover - compiled
    row = np.full(firms, -1, dtype=np.int64)
    for r in range(len(firm)):
        if low <= date[r] < high:
            before = row[firm[r]]
            if before < 0 or date[r] >= date[before]:
                row[firm[r]] = r
    return row
