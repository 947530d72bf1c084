"""A New Year that moves: same lunar day against same lunar day, January and February together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.typing import NaTType

from opsroom.base.errors import UsageError

Floats = NDArray[np.float64]

WINDOW = (-21, 35)
"""Days before and after a lunar New Year in which days are compared by their distance from it."""
_WEEK = 7
_YEAR = 364
_WORDS = ("chinese new year", "lunar new year", "korean new year", "spring festival", "tet")
_NOT = ("eve", "preceding", "29", "second", "observed")


def new_years(country: str, years: Iterable[int]) -> dict[int, dt.date]:
    """Return the lunar New Year's Day of each year where a country keeps one; else nothing.

    Parameters
    ----------
    country
        ISO 3166 code known to the ``holidays`` library.
    years
        Years wanted.

    Raises
    ------
    UsageError
        The library does not know the country.

    Examples
    --------
    >>> new_years("CN", [2020])
    {2020: datetime.date(2020, 1, 25)}
    >>> new_years("CH", [2020])
    {}
    """
    import holidays

    wanted = sorted(set(years))
    try:
        days = holidays.country_holidays(country, years=wanted, language="en_US")
    except NotImplementedError:
        raise UsageError(f"the country {country!r} is not known.", remedy="Use an ISO 3166 code.") from None
    found: dict[int, dt.date] = {}
    for day, name in sorted(days.items()):
        words = str(name).lower()
        moving = any(w in words for w in _WORDS) and not any(w in words for w in _NOT)
        if moving and (day.month, day.day) >= (1, 20) and day.month <= 2:
            found.setdefault(day.year, day)
    return found


def counterpart(days: pd.DatetimeIndex, years: int, moving: Mapping[int, dt.date]) -> pd.DatetimeIndex:
    """Return the day some years before that each day is to be compared with.

    Parameters
    ----------
    days
        Days.
    years
        How many years before, at least 1.
    moving
        Year → lunar New Year's Day; empty where there is none.

    Returns
    -------
    pandas.DatetimeIndex
        Near a New Year the same lunar day: as many days from that year's New Year. Elsewhere the same weekday 364
        days a year before. A day that lies near the New Year of *either* year is compared by it or is missing (NaT):
        an ordinary week held against a holiday says nothing.
    """
    starts = {year: pd.Timestamp(day) for year, day in moving.items()}
    out: list[pd.Timestamp | NaTType] = []
    for day in days:
        plain = day - pd.Timedelta(days=_YEAR * years)
        here = _distance(day, starts)
        if here is not None:
            year, distance = here
            before = starts.get(year - years)
            out.append(pd.NaT if before is None else before + pd.Timedelta(days=distance))
        elif _distance(plain, starts) is not None:
            # its plain counterpart is in the holiday: take the nearest ordinary day of that season
            out.append(_outside(plain, day, starts))
        else:
            out.append(plain)
    return pd.DatetimeIndex(out)


def _distance(day: pd.Timestamp, starts: Mapping[int, pd.Timestamp]) -> tuple[int, int] | None:
    """Return the New Year's year and the days from it, where one is near; the last days of December may be."""
    for year in (int(day.year), int(day.year) + 1):
        if year in starts:
            distance = int((day - starts[year]).days)
            if WINDOW[0] <= distance <= WINDOW[1]:
                return year, distance
    return None


def _outside(plain: pd.Timestamp, day: pd.Timestamp, starts: Mapping[int, pd.Timestamp]) -> pd.Timestamp:
    """Return the same weekday nearest to `plain` outside the window, on the side on which `day` lies of its own.

    Without a New Year of its own, as late in December, a day is before the next.
    """
    own = starts.get(int(day.year))
    step = -_WEEK if own is None or day < own or day.month > 6 else _WEEK
    moved = plain
    while _distance(moved, starts) is not None:
        moved += pd.Timedelta(days=step)
    return moved


def on_earlier_years(
    daily: pd.Series, *, years: int, moving: Mapping[int, dt.date], at: pd.DatetimeIndex | None = None
) -> pd.DataFrame:
    """Return growth at a yearly rate on each of the years before, lunar day by lunar day.

    Parameters
    ----------
    daily
        Values by day. Means of the seven days up to each day are compared, so that weekdays do not matter.
    years
        How many earlier years.
    moving
        See `counterpart`.
    at
        Days wanted; all where None.

    Returns
    -------
    pandas.DataFrame
        ``on_1`` … ``on_<years>``, per cent a year: against one year before, two years before, and so on. A shock
        a year ago is in the first and not in the second.
    """
    if years < 1:
        raise UsageError("there is no year to compare with.", remedy="Use years ≥ 1.")
    days = pd.DatetimeIndex(daily.index if at is None else at)
    mean = daily.rolling(_WEEK).mean()
    now = mean.reindex(days).to_numpy(np.float64)
    columns = {}
    for back in range(1, years + 1):
        before = mean.reindex(counterpart(days, back, moving)).to_numpy(np.float64)
        ratio = np.where(before > 0, now / np.where(before > 0, before, 1.0), np.nan)
        columns[f"on_{back}"] = 100 * (ratio ** (1 / back) - 1)
    return pd.DataFrame(columns, index=days)


def by_month(daily: pd.Series, moving: Mapping[int, dt.date]) -> pd.DataFrame:
    """Return daily means by month and growth on a year before; January and February are one where the New Year moves.

    Parameters
    ----------
    daily
        Values by day; a month counts when all of its days are there.
    moving
        Year → lunar New Year's Day; empty where there is none.

    Returns
    -------
    pandas.DataFrame
        By month (the last one of the row): ``months`` (2 for January and February together), ``mean``, ``on_year``
        (per cent). Where the New Year moves, no figure of January or of February alone is made.
    """
    days = pd.DatetimeIndex(daily.index)
    year, month = days.year.to_numpy(), days.month.to_numpy()
    january = (month == 1) & np.isin(year, list(moving))
    number = 12 * year + month - 1 + january
    grouped = pd.Series(daily.to_numpy(np.float64)).groupby(number)
    mean, count = grouped.mean(), grouped.count()
    label = mean.index.to_numpy(np.int64)
    labels = pd.PeriodIndex([pd.Period(year=int(m) // 12, month=int(m) % 12 + 1, freq="M") for m in label])
    together = (label % 12 == 1) & np.isin(label // 12, list(moving))
    expected = labels.days_in_month.to_numpy() + 31 * together
    whole = count.to_numpy() == expected
    frame: pd.DataFrame = pd.DataFrame({"months": 1 + together.astype(np.int64), "mean": mean.to_numpy()}, index=labels)
    frame = frame.loc[whole]
    frame.index.name = "month"
    before = frame.reindex(pd.PeriodIndex(frame.index) - 12)
    alike = before["months"].to_numpy() == frame["months"].to_numpy()
    frame["on_year"] = np.where(alike, 100 * (frame["mean"].to_numpy() / before["mean"].to_numpy() - 1), np.nan)
    return frame
