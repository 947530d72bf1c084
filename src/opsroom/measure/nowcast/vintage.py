"""One day's tables as a model takes them: months and quarters, and weeks and days where there are any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from opsroom.base.errors import UsageError

Vintage = tuple[pd.DataFrame, pd.DataFrame]
"""(monthly, quarterly) tables as they stood on a day."""

_ORDER = ("M", "Q", "W", "D")


@dataclass(frozen=True, slots=True)
class FineVintage:
    """The tables of a day, some of them weekly or daily.

    Attributes
    ----------
    monthly, quarterly
        One column a series, one row a month or quarter, transformed; `monthly` may be None.
    weekly, daily
        The same by week (Monday to Sunday) or day; None where there are none.
    levels
        Series that are levels, as `DynamicFactorModel.fit` has it: all others are growth.
    """

    monthly: pd.DataFrame | None
    quarterly: pd.DataFrame
    weekly: pd.DataFrame | None = None
    daily: pd.DataFrame | None = None
    levels: tuple[str, ...] = ()

    @property
    def fine(self) -> bool:
        """Whether any series is weekly or daily."""
        return any(table is not None and len(table.columns) > 0 for table in (self.weekly, self.daily))

    def tables(self) -> dict[str, pd.DataFrame]:
        """Return frequency → table, of those that are there."""
        every = zip(_ORDER, (self.monthly, self.quarterly, self.weekly, self.daily), strict=True)
        return {frequency: table for frequency, table in every if table is not None}

    def shape(self) -> tuple[tuple[str, ...], ...]:
        """Return the series of each table: what parameters have to be of to begin a search from."""
        tables = self.tables()
        return tuple(tuple(str(c) for c in tables[f].columns) if f in tables else () for f in _ORDER)


def in_order(vintages: Mapping[Any, Vintage | FineVintage]) -> tuple[tuple[pd.Timestamp, FineVintage], ...]:
    """Return the vintages by day, each as a `FineVintage`."""
    ordered = sorted(((pd.Timestamp(day), given) for day, given in vintages.items()), key=lambda each: each[0])
    return tuple((day, as_fine(given)) for day, given in ordered)


def as_fine(given: Vintage | FineVintage) -> FineVintage:
    """Return a vintage with its tables named.

    Raises
    ------
    UsageError
        Neither a pair of tables nor a `FineVintage`.
    """
    if isinstance(given, FineVintage):
        return given
    if len(given) != 2:
        raise UsageError(
            f"a vintage has {len(given)} tables.",
            remedy="Give (monthly, quarterly); with weekly or daily tables a FineVintage.",
        )
    return FineVintage(*given)
