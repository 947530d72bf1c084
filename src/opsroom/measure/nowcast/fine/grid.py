"""Tables of every frequency on one grid of weeks or days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm.grid import days_of, values_of
from opsroom.measure.nowcast.dfm.parameters import Floats, Ints
from opsroom.measure.nowcast.fine import calendar

ORDER = ("M", "Q", "W", "D")
"""Order of the tables' series in a model."""


@dataclass(frozen=True, slots=True)
class FineGrid:
    """Values on a grid of base periods, in the series' own units.

    Attributes
    ----------
    base
        ``"W"`` or ``"D"`` (and ``"M"``, for comparison with the model of months): what a row is.
    first
        Number of the first row's base period.
    names, frequencies, levels
        Per series: name, frequency, and whether it is a level (mean over its period) instead of growth.
    values
        Rows x series, NaN where unknown; a figure stands in the last base period of its own period.
    """

    base: str
    first: int
    names: tuple[str, ...]
    frequencies: tuple[str, ...]
    levels: tuple[bool, ...]
    values: Floats

    @property
    def periods(self) -> pd.PeriodIndex:
        """The rows as periods."""
        return calendar.to_index(self.first + np.arange(len(self.values)), self.base)

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

    def last_row(self, numbers: Ints, frequency: str) -> Ints:
        """Return the rows of periods' last base periods."""
        return calendar.first_base(np.asarray(numbers) + 1, frequency, self.base) - 1 - self.first

    def row(self, series: str, period: object) -> int:
        """Return the row in which a series' period stands; it may lie beyond the grid.

        Raises
        ------
        UsageError
            The period is not one, or begins before the grid.
        """
        column = self.column(series)
        frequency = self.frequencies[column]
        number = calendar.read(period, frequency)
        if self.weights(number, column)[0] < 0:
            raise UsageError(f"{series} has no {period} on this panel.", remedy="Ask for a later period.")
        return int(self.last_row(np.array([number]), frequency)[0])

    def number(self, row: int, column: int) -> int:
        """Return the number of the period that a cell is of."""
        return int(calendar.holding(np.array([self.first + row]), self.base, self.frequencies[column])[0])

    def label(self, row: int, column: int) -> str:
        """Return a cell's period as ISO text."""
        return calendar.label(self.number(row, column), self.frequencies[column])

    def weights(self, number: int, column: int) -> tuple[int, Floats]:
        """Return the first row that a series' period rests on, and the weights from there on."""
        start, weight = calendar.weights(number, self.frequencies[column], self.base, level=self.levels[column])
        return start - self.first, weight

    def through(self, row: int) -> FineGrid:
        """Return the grid with empty rows up to and with `row`."""
        missing = row + 1 - len(self.values)
        if missing <= 0:
            return self
        return replace(self, values=np.vstack([self.values, np.full((missing, len(self.names)), np.nan)]))

    def spanning(self, other: FineGrid) -> FineGrid:
        """Return the values on rows that hold both grids; both have the same series and base."""
        first = min(self.first, other.first)
        stop = max(self.first + len(self.values), other.first + len(other.values))
        values = np.full((stop - first, len(self.names)), np.nan)
        values[self.first - first :][: len(self.values)] = self.values
        return replace(self, first=first, values=values)


def gather(
    tables: dict[str, pd.DataFrame | None],
    *,
    levels: Sequence[str] = (),
    like: FineGrid | None = None,
    base: str | None = None,
) -> FineGrid:
    """Put tables on one grid.

    Parameters
    ----------
    tables
        Frequency (``"D"``, ``"W"``, ``"M"``, ``"Q"``) → one column a series, one row a period.
    levels
        Series that are levels; all others are growth.
    like
        The grid whose series are wanted, absent ones as empty columns; default: all series.
    base
        What a row is; default the shortest period of a series.

    Raises
    ------
    UsageError
        A name or a period occurs twice, an index without dates, a level that no table holds, infinite values, or
        nothing known at all.
    """
    every_table = {f: days_of(t, calendar.NAMES[f]) for f in ORDER if (t := tables.get(f)) is not None}
    given = {f: table for f, table in every_table.items() if len(table.columns)}
    every = [str(name) for table in given.values() for name in table.columns]
    if len(set(every)) < len(every):
        twice = sorted({name for name in every if every.count(name) > 1})
        raise UsageError(f"the series {', '.join(twice)} occur twice.", remedy="Give every series a name of its own.")
    if like is None:
        absent = [name for name in levels if name not in every]
        if absent:
            raise UsageError(f"levels names {', '.join(absent)}: no such series.", remedy="Name columns of the tables.")
        frequencies = tuple(f for f, table in given.items() for _ in table.columns)
        shortest = min(frequencies, key=calendar.FREQUENCIES.index, default="W")
        like = FineGrid(
            base or shortest, 0, tuple(every), frequencies, tuple(n in levels for n in every), np.zeros((0, len(every)))
        )
    cells = [
        (like.names.index(str(name)), frequency, calendar.index_numbers(table.index, frequency), table[name])
        for frequency, table in given.items()
        for name in table.columns
        if str(name) in like.names
    ]
    return _placed(like, cells)


def _placed(like: FineGrid, cells: list[tuple[int, str, Ints, pd.Series]]) -> FineGrid:
    parts, first, last = [], [], []
    for column, frequency, numbers, series in cells:
        if frequency != like.frequencies[column]:
            raise UsageError(
                f"{like.names[column]} is {calendar.NAMES[like.frequencies[column]]} in the model.",
                remedy="Give it in the table of that frequency.",
            )
        values = values_of(series)
        seen = ~np.isnan(values)
        if np.isinf(values[seen]).any():
            raise UsageError("the panel holds infinite values.", remedy="Look for a logarithm or growth rate of zero.")
        if seen.any():
            own = numbers[seen]
            parts.append((column, calendar.first_base(own + 1, frequency, like.base) - 1, values[seen]))
            first.append(calendar.weights(int(own.min()), frequency, like.base, level=like.levels[column])[0])
            last.append(int(parts[-1][1].max()))
    if not parts:
        raise UsageError("nothing is known in the panel.", remedy="Check names and periods.")
    start = min(first)
    out = np.full((max(last) + 1 - start, len(like.names)), np.nan)
    for column, rows, values in parts:
        out[rows - start, column] = values
    return replace(like, first=start, values=out)
