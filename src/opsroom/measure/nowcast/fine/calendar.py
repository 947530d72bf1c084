"""Days, weeks, months and quarters as whole numbers, and what a figure of a long period is of the short ones.

Days count from 1 January 1970, a Thursday; so week n has its Thursday on day 7 n, and a month's weeks are those whose
Thursday lies in it (ISO 8601 assigns weeks to years likewise).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.base.periods import format_period, parse_period
from opsroom.measure.nowcast.dfm.parameters import Floats, Ints

EPOCH = date(1970, 1, 1)
FREQUENCIES = ("D", "W", "M", "Q")
"""Shortest first."""


def number_of(days: Ints, frequency: str) -> Ints:
    """Return the number of the period that holds each day."""
    days = np.asarray(days, dtype=np.int64)
    if frequency == "D":
        return days
    if frequency == "W":
        return (days + 3) // 7
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return np.asarray(months if frequency == "M" else months // 3)


def first_day(numbers: Ints, frequency: str) -> Ints:
    """Return each period's first day."""
    numbers = np.asarray(numbers, dtype=np.int64)
    if frequency == "D":
        return numbers
    if frequency == "W":
        return 7 * numbers - 3
    months = numbers if frequency == "M" else 3 * numbers
    return np.asarray(months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64))


def first_base(numbers: Ints, frequency: str, base: str) -> Ints:
    """Return the first base period (day, week, month) of each period: the first whose day of reckoning lies in it.

    That day is a week's Thursday, and any other period's first day.
    """
    days = first_day(numbers, frequency)
    if base == "W":
        return np.asarray(-(-days // 7))
    return number_of(days, base)


def holding(base_numbers: Ints, base: str, frequency: str) -> Ints:
    """Return the number of the period in which each base period lies."""
    day = 7 * np.asarray(base_numbers) if base == "W" else first_day(base_numbers, base)
    return number_of(day, frequency)


def weights(number: int, frequency: str, base: str, *, level: bool) -> tuple[int, Floats]:
    """Return what a period's figure is of the base periods: the first base number, and a weight each.

    A level is the mean of its base periods. Growth is that of the mean of levels: the mean over the period of the
    cumulated growth of base periods, less the same mean over the period before. So a base period within the period
    counts with the share of the period that comes no earlier than itself, and one in the period before with the
    share of that period that comes earlier: for a quarter's months 1/3, 2/3, 1, 2/3, 1/3 (Mariano and Murasawa 2003).
    """
    before, start, stop = (int(n) for n in first_base(np.array([number - 1, number, number + 1]), frequency, base))
    if level:
        return start, np.full(stop - start, 1.0 / (stop - start))
    rising = np.arange(1, start - before) / (start - before)
    falling = np.arange(stop - start, 0, -1) / (stop - start)
    return before + 1, np.concatenate([rising, falling])


def read(period: object, frequency: str) -> int:
    """Return the number of a period given as text, day or pandas period.

    Raises
    ------
    UsageError
        It is not a period of this frequency.
    """
    if isinstance(period, str):
        day = parse_period(period, frequency)
    elif isinstance(period, pd.Period):
        day = _middle(period) if frequency == "W" else period.start_time.date()
    elif isinstance(period, datetime):
        day = period.date()
    elif isinstance(period, date):
        day = period
    else:
        raise UsageError(
            f"{type(period).__name__} is no period.",
            remedy=f"Write it like {format_period(date(2020, 3, 4), frequency)}.",
        )
    return int(number_of(np.array([(day - EPOCH).days]), frequency)[0])


def label(number: int, frequency: str) -> str:
    """Return a period as ISO text, such as ``2020-W10``."""
    return format_period(EPOCH + timedelta(days=int(first_day(np.array([number]), frequency)[0])), frequency)


def index_numbers(index: pd.Index, frequency: str) -> Ints:
    """Return the numbers of a table's rows.

    A day stands for the period that holds it; a pandas week that does not end on Sunday for the calendar week in
    which most of its days lie.

    Raises
    ------
    UsageError
        The index holds no dates, or a period twice.
    """
    if isinstance(index, pd.PeriodIndex):
        stamps = index.to_timestamp(how="start")
        if frequency == "W" and str(index.freqstr).startswith("W"):
            stamps = stamps + pd.Timedelta(days=3)
    elif isinstance(index, pd.DatetimeIndex):
        stamps = index
    else:
        raise UsageError(f"the {NAMES[frequency]} table's index holds no dates.", remedy=_REMEDY)
    days = stamps.to_numpy().astype("datetime64[D]").astype(np.int64)
    numbers = number_of(days, frequency)
    if len(np.unique(numbers)) < len(numbers):
        raise UsageError(f"a period occurs twice in the {NAMES[frequency]} table.", remedy="Keep one row a period.")
    return numbers


NAMES = {"D": "daily", "W": "weekly", "M": "monthly", "Q": "quarterly"}
_REMEDY = "Give it a PeriodIndex or DatetimeIndex."


def _middle(period: pd.Period) -> date:
    start: date = period.start_time.date()
    return start + timedelta(days=3) if str(period.freqstr).startswith("W") else start


def to_index(numbers: Ints, base: str) -> pd.PeriodIndex:
    """Return base periods as pandas periods."""
    days = first_day(numbers, base).astype("datetime64[D]")
    return pd.DatetimeIndex(days).to_period({"D": "D", "W": "W-SUN", "M": "M"}[base])
