"""Meridia's time axis: days, weeks and months as small integers."""

from __future__ import annotations

import datetime as dt
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Reals = NDArray[np.float32]

WEEK_ZERO: Final = dt.date(2018, 12, 31)
"""The Monday on which day 0 and week 0 begin."""

METERS_FIRST: Final = dt.date(2019, 1, 1)
METERS_LAST: Final = dt.date(2020, 6, 30)
HISTORY_LAST: Final = dt.date(2019, 12, 29)
"""Last day (a Sunday) in the first delivery of readings; weekly deliveries follow."""

MONTH_ZERO: Final = dt.date(2017, 7, 1)
MONTHS_DELIVERED: Final = 36
"""Months 2017-07 … 2020-06 are delivered."""

MONTHS_SIMULATED: Final = 48
"""The truth runs on to 2021-06, so that a holiday's cliff and forecasts of twelve months can be scored."""

STATE_FIRST: Final = dt.date(2020, 1, 1)
"""Before this day no company is closed by the shock."""

STATE_LAST: Final = dt.date(2021, 6, 30)
HISTORY_KNOWN: Final = dt.datetime(2020, 1, 6, 6, tzinfo=dt.UTC)
MORNING: Final = dt.time(6, tzinfo=dt.UTC)
OPEN_END: Final = 1_000_000
"""Day number of a validity that has not ended."""


def day_number(day: dt.date) -> int:
    """Return the number of days since `WEEK_ZERO`."""
    return (day - WEEK_ZERO).days


def day_date(number: int) -> dt.date:
    """Return the date of a day number."""
    return WEEK_ZERO + dt.timedelta(days=int(number))


def epoch_days(numbers: Ints) -> NDArray[np.int32]:
    """Turn day numbers into days since 1970-01-01, as Arrow's date32 holds them."""
    return (numbers + (WEEK_ZERO - dt.date(1970, 1, 1)).days).astype(np.int32)


def month_number(day: dt.date) -> int:
    """Return the number of months since `MONTH_ZERO`."""
    return (day.year - MONTH_ZERO.year) * 12 + day.month - MONTH_ZERO.month


def month_date(number: int) -> dt.date:
    """Return the first day of a month number."""
    year, month = divmod(MONTH_ZERO.year * 12 + MONTH_ZERO.month - 1 + int(number), 12)
    return dt.date(year, month + 1, 1)


def month_days(number: int) -> tuple[int, int]:
    """Return the first and the last day number of a month."""
    return day_number(month_date(number)), day_number(month_date(number + 1)) - 1


def months_of_days(first: int, last: int) -> Ints:
    """Return the month number of each day number from `first` to `last`, both included."""
    return np.array([month_number(day_date(n)) for n in range(first, last + 1)], dtype=np.int64)


def at_six(day: dt.date) -> dt.datetime:
    """Return 06:00 UTC of a day: the hour of every delivery."""
    return dt.datetime.combine(day, MORNING)
