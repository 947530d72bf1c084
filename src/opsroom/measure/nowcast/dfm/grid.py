"""Monthly and quarterly tables on one grid of months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm.parameters import Floats


@dataclass(frozen=True, slots=True)
class Grid:
    """Values on a grid of months, in the series' own units.

    Attributes
    ----------
    first_month
        Months since year 0 (``12 * year + month - 1``) of the first row.
    names
        Series: the monthly ones first.
    monthly
        Number of monthly series.
    values
        Months x series, NaN where unknown; a quarterly figure stands in its quarter's last month.
    """

    first_month: int
    names: tuple[str, ...]
    monthly: int
    values: Floats

    @property
    def months(self) -> pd.PeriodIndex:
        """The rows as periods."""
        start = pd.Period(year=self.first_month // 12, month=self.first_month % 12 + 1, freq="M")
        return pd.period_range(start, periods=len(self.values), freq="M")

    def column(self, series: str) -> int:
        """Return a series' column.

        Raises
        ------
        UsageError
            The model has no such series.
        """
        if series not in self.names:
            raise UsageError(
                f"the factor model has no series {series!r}.",
                remedy=f"Ask for one of {', '.join(self.names[:8])}{' …' if len(self.names) > 8 else ''}.",
            )
        return self.names.index(series)

    def row(self, series: str, period: object) -> int:
        """Return the row in which a series' period stands; it may lie beyond the grid.

        Raises
        ------
        UsageError
            The period is not one, or lies before the grid.
        """
        frequency = "M" if self.column(series) < self.monthly else "Q"
        row = month_number(period, frequency) - self.first_month
        if row < 0:
            raise UsageError(f"{series} has no {period} on this panel.", remedy="Ask for a later period.")
        return row

    def label(self, row: int, column: int) -> str:
        """Return a cell's period as ``2016-07`` or ``2016-Q3``."""
        number = self.first_month + row
        if column < self.monthly:
            return f"{number // 12}-{number % 12 + 1:02d}"
        return f"{number // 12}-Q{number % 12 // 3 + 1}"

    def through(self, row: int) -> Grid:
        """Return the grid with empty rows up to and with `row`."""
        missing = row + 1 - len(self.values)
        if missing <= 0:
            return self
        empty = np.full((missing, len(self.names)), np.nan)
        return replace(self, values=np.vstack([self.values, empty]))

    def on(self, other: Grid) -> Grid:
        """Return the values on another grid's rows; what lies outside is dropped. Both have the same series."""
        values = np.full((len(other.values), len(self.names)), np.nan)
        shift = self.first_month - other.first_month
        rows = np.arange(len(self.values)) + shift
        inside = (rows >= 0) & (rows < len(values))
        values[rows[inside]] = self.values[inside]
        return Grid(other.first_month, self.names, self.monthly, values)


def month_number(period: object, frequency: str) -> int:
    """Return the number of a period's last month; text such as ``2016-07``, ``2016-Q3``, ``2016Q3`` is read."""
    text = str(period).replace("-Q", "Q") if isinstance(period, str) else period
    try:
        found = pd.Period(text, freq=frequency)  # type: ignore[arg-type]  # stubs know no frequency that is a variable
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{period!r} is not a {'month' if frequency == 'M' else 'quarter'}.",
            remedy="Write it as 2016-07 or 2016-Q3.",
        ) from error
    last = found.asfreq("M", how="end")
    return 12 * int(last.year) + int(last.month) - 1


def gather(monthly: pd.DataFrame, quarterly: pd.DataFrame | None, *, names: Sequence[str] | None = None) -> Grid:
    """Put monthly and quarterly data on one grid.

    Parameters
    ----------
    monthly
        One column a series, one row a month (periods or days), transformed to be nearly stationary.
    quarterly
        The same by quarter; None where there is none.
    names
        The series wanted, in order; absent ones are empty columns. Default: all.

    Raises
    ------
    UsageError
        A name or a period occurs twice, an index without dates, values that are infinite, or nothing known at all.
    """
    tables = [_dated(monthly, "M")] + ([_dated(quarterly, "Q")] if quarterly is not None else [])
    every = [str(name) for table in tables for name in table.columns]
    if len(set(every)) < len(every):
        twice = sorted({name for name in every if every.count(name) > 1})
        raise UsageError(f"the series {', '.join(twice)} occur twice.", remedy="Give every series a name of its own.")
    if not any(len(table) for table in tables):
        raise UsageError("nothing is known in the panel.", remedy="Check names and periods.")
    first = int(min(table.index.min() for table in tables if len(table)))
    last = int(max(table.index.max() for table in tables if len(table)))
    wanted = list(names) if names is not None else every
    values = np.full((last - first + 1, len(wanted)), np.nan)
    for table in tables:
        rows = np.asarray(table.index, dtype=np.int64) - first
        for name in table.columns:
            if str(name) in wanted:
                values[rows, wanted.index(str(name))] = values_of(table[name])
    if np.isinf(values).any():
        raise UsageError("the panel holds infinite values.", remedy="Look for a logarithm or growth rate of zero.")
    seen = np.flatnonzero(~np.isnan(values).all(axis=1))
    if not len(seen):
        raise UsageError("nothing is known in the panel.", remedy="Check names and periods.")
    values = values[seen[0] : seen[-1] + 1]
    count = len(tables[0].columns) if names is None else -1
    return Grid(first + int(seen[0]), tuple(wanted), count, values)


def values_of(column: pd.Series) -> Floats:
    """Return a series' values.

    Raises
    ------
    UsageError
        They are no numbers.
    """
    try:
        return column.to_numpy(np.float64)
    except (TypeError, ValueError):
        pass  # what pandas says of it holds the value
    raise UsageError(f"the series {column.name} holds what is no number.", remedy="Give numbers, and NaN for unknown.")


def days_of(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return a table whose days, if it has any, are of no time zone: a period is that of the day as it is written.

    Raises
    ------
    UsageError
        It is no table.
    """
    if not isinstance(table, pd.DataFrame):
        raise UsageError(
            f"the {kind} data are a {type(table).__name__}.", remedy="Give a DataFrame with one column a series."
        )
    if isinstance(table.index, pd.DatetimeIndex) and table.index.tz is not None:
        return table.set_axis(table.index.tz_localize(None), axis=0)
    return table


def _dated(table: pd.DataFrame, frequency: str) -> pd.DataFrame:
    """Return a table by the number of each period's last month."""
    index = days_of(table, "monthly" if frequency == "M" else "quarterly").index
    if isinstance(index, pd.DatetimeIndex):
        index = index.to_period(frequency)
    if not isinstance(index, pd.PeriodIndex):
        raise UsageError(
            f"the {'monthly' if frequency == 'M' else 'quarterly'} table's index holds no dates.",
            remedy="Give it a PeriodIndex or DatetimeIndex.",
        )
    last = index.asfreq("M", how="E") if frequency == "Q" else index.asfreq("M")
    number = 12 * last.year.to_numpy() + last.month.to_numpy() - 1
    if len(np.unique(number)) < len(number):
        raise UsageError("a period occurs twice in the panel.", remedy="Keep one row a period.")
    if frequency == "Q" and np.any(number % 3 != 2):
        raise UsageError(
            "the quarters do not end in March, June, September and December.",
            remedy="Use calendar quarters (Q-DEC).",
        )
    return table.set_axis(pd.Index(number), axis=0)
