"""Periods and moments: what a row is about, and when the room knew it.

A period is stored as its first day (for hourly data: its first moment, UTC), written in ISO form
(``2020-03-04``, ``2020-W10``, ``2020-03``, ``2020-Q1``, ``2020``). A knowledge time is a moment in UTC;
a date given in its place means its last microsecond in the room's time zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opsroom.base.errors import AsOfError, SettingsError, UsageError

if TYPE_CHECKING:
    import pandas as pd

AsOf = datetime | date | str | None
"""A knowledge time as callers give it: moment with zone, day, ISO text of either, or None for the latest."""

FIRST_YEAR, LAST_YEAR = 1700, 2299
"""Years outside are taken for slips of the pen; pandas holds all that lie inside."""


class Frequency(StrEnum):
    """How often a dataset's periods follow each other; ``event`` has no rhythm."""

    HOURLY = "H"
    DAILY = "D"
    WEEKLY = "W"
    MONTHLY = "M"
    QUARTERLY = "Q"
    ANNUAL = "A"
    EVENT = "event"


_PANDAS = {"H": "h", "D": "D", "W": "W-SUN", "M": "M", "Q": "Q-DEC", "A": "Y-DEC", "event": "D"}

_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)
_PATTERNS = {
    Frequency.WEEKLY: re.compile(r"(\d{4})-?W(\d{1,2})", re.ASCII),
    Frequency.MONTHLY: re.compile(r"(\d{4})[-M](\d{1,2})", re.ASCII),
    Frequency.QUARTERLY: re.compile(r"(\d{4})-?Q([1-4])", re.ASCII),
    Frequency.ANNUAL: re.compile(r"(\d{4})", re.ASCII),
}


def period_start(day: date, frequency: Frequency | str) -> date:
    """Return the first day of the period that holds a day (weeks begin on Monday).

    Parameters
    ----------
    day
        Any day of the period.
    frequency
        See `Frequency`; daily and event periods are the day itself.
    """
    match Frequency(frequency):
        case Frequency.WEEKLY:
            return day - timedelta(days=day.weekday())
        case Frequency.MONTHLY:
            return day.replace(day=1)
        case Frequency.QUARTERLY:
            return day.replace(month=3 * ((day.month - 1) // 3) + 1, day=1)
        case Frequency.ANNUAL:
            return day.replace(month=1, day=1)
        case _:
            return day


def add_periods(day: date, count: int, frequency: Frequency | str) -> date:
    """Return the first day of the period that lies `count` periods after (before, if negative) a day's."""
    start = period_start(day, frequency)
    match Frequency(frequency):
        case Frequency.WEEKLY:
            return start + timedelta(weeks=count)
        case Frequency.MONTHLY | Frequency.QUARTERLY | Frequency.ANNUAL as f:
            step = {Frequency.MONTHLY: 1, Frequency.QUARTERLY: 3, Frequency.ANNUAL: 12}[f]
            months = start.year * 12 + start.month - 1 + count * step
            return date(months // 12, months % 12 + 1, 1)
        case Frequency.HOURLY:
            raise UsageError("hours are not counted in days.", remedy="Add a timedelta to the moment.")
        case _:
            return start + timedelta(days=count)


def last_day(day: date, frequency: Frequency | str) -> date:
    """Return the last day of the period that holds a day."""
    if Frequency(frequency) is Frequency.HOURLY:
        return day
    return add_periods(day, 1, frequency) - timedelta(days=1)


def parse_period(text: str, frequency: Frequency | str) -> date:
    """Read a period and return its first day.

    Parameters
    ----------
    text
        ``2020-W10``, ``2020-03`` or ``2020M3``, ``2020-Q1`` or ``2020Q1``, ``2020``, each for its own
        frequency; and for every frequency a full ISO date, which stands for the period that holds it, also where
        it is written as its midnight, in whatever zone.
    frequency
        See `Frequency`. Hourly moments are read by `parse_moment`.

    Raises
    ------
    UsageError
        The text is no period of this frequency; the text itself is not repeated.
    """
    f = Frequency(frequency)
    word = text.strip()
    try:
        if found := _DAY.fullmatch(word):
            day = date(*(int(g) for g in found.groups()))
        elif f in _PATTERNS and (found := _PATTERNS[f].fullmatch(word)):
            numbers = [int(g) for g in found.groups()]
            match f:
                case Frequency.WEEKLY:
                    day = date.fromisocalendar(numbers[0], numbers[1], 1)
                case Frequency.MONTHLY:
                    day = date(numbers[0], numbers[1], 1)
                case Frequency.QUARTERLY:
                    day = date(numbers[0], 3 * numbers[1] - 2, 1)
                case _:
                    day = date(numbers[0], 1, 1)
        else:
            raise ValueError
        if not FIRST_YEAR <= day.year <= LAST_YEAR:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"not a period of frequency {f.value!r}.",
            remedy=f"Write it like {format_period(date(2020, 3, 4), f)}.",
        ) from None
    return period_start(day, f)


def parse_moment(text: str) -> datetime:
    """Read an ISO moment and return it in UTC; without a zone it is UTC.

    Raises
    ------
    UsageError
        The text is not an ISO moment.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        if not FIRST_YEAR <= moment.year <= LAST_YEAR:
            raise ValueError
    except ValueError:
        raise UsageError("not a moment.", remedy="Write it like 2020-03-04T17:00:00Z.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def format_period(day: date, frequency: Frequency | str) -> str:
    """Write a period in ISO form: ``2020-03-04``, ``2020-W10``, ``2020-03``, ``2020-Q1``, ``2020``."""
    match Frequency(frequency):
        case Frequency.HOURLY:
            return day.strftime("%Y-%m-%dT%HZ") if isinstance(day, datetime) else f"{day.isoformat()}T00Z"
        case Frequency.WEEKLY:
            year, week, _ = day.isocalendar()
            return f"{year:04d}-W{week:02d}"
        case Frequency.MONTHLY:
            return f"{day.year:04d}-{day.month:02d}"
        case Frequency.QUARTERLY:
            return f"{day.year:04d}-Q{(day.month + 2) // 3}"
        case Frequency.ANNUAL:
            return f"{day.year:04d}"
        case _:
            return f"{day.year:04d}-{day.month:02d}-{day.day:02d}"


def zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name.

    Raises
    ------
    SettingsError
        No such zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingsError(
            f"no time zone named {name!r}.", remedy="Use an IANA name, such as Europe/Vienna."
        ) from None


def end_of_day(day: date, tz: str | ZoneInfo) -> datetime:
    """Return the last microsecond of a day in a time zone, as UTC.

    Parameters
    ----------
    day
        Calendar day in the zone.
    tz
        IANA name or zone.

    Notes
    -----
    The end is one microsecond before the next day's midnight, so that days of 23 or 25 hours are whole.
    """
    at = zone(tz) if isinstance(tz, str) else tz
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=at)
    return midnight.astimezone(UTC) - timedelta(microseconds=1)


def start_of_day(day: date, tz: str | ZoneInfo) -> datetime:
    """Return the first microsecond of a day in a zone, as UTC."""
    return end_of_day(day - timedelta(days=1), tz) + timedelta(microseconds=1)


def local_day(moment: datetime, tz: str | ZoneInfo) -> date:
    """Return the calendar day of a moment in a time zone."""
    return moment.astimezone(zone(tz) if isinstance(tz, str) else tz).date()


def as_moment(value: datetime | date | str, tz: str | ZoneInfo) -> datetime:
    """Return a knowledge time as UTC: a moment with its zone, or the end of a day.

    Raises
    ------
    UsageError
        Text that is neither a day nor a moment, or a moment without a zone.
    """
    if isinstance(value, str):
        word = value.strip()
        value = parse_period(word, Frequency.DAILY) if len(word) == 10 else _zoned(word)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise UsageError("a moment without a time zone.", remedy="Give the zone, or a date for the end of day.")
        return value.astimezone(UTC)
    return end_of_day(value, tz)


def _zoned(word: str) -> datetime:
    try:
        return datetime.fromisoformat(word)
    except ValueError:
        raise UsageError(
            "neither a day nor a moment.", remedy="Write 2020-03-04 or 2020-03-04T17:00:00+01:00."
        ) from None


def resolve_as_of(as_of: AsOf, *, tz: str | ZoneInfo, latest: datetime | None) -> datetime:
    """Return the knowledge time that a caller means, in UTC.

    Parameters
    ----------
    as_of
        None for the latest; a day for its end in `tz`; a moment with its zone; ISO text of either.
    tz
        The room's time zone.
    latest
        Largest committed ``known_at``; None when nothing was ever ingested.

    Raises
    ------
    AsOfError
        `as_of` is None and the room has learnt nothing yet.
    UsageError
        See `as_moment`.
    """
    if as_of is not None:
        return as_moment(as_of, tz)
    if latest is None:
        raise AsOfError("the room holds no delivery yet.", remedy="Ingest a dataset first.")
    return latest


def to_period_index(days: Iterable[date], frequency: Frequency | str) -> pd.PeriodIndex:
    """Return a pandas PeriodIndex of the periods that begin on these days (weeks end on Sunday)."""
    import pandas as pd

    values = pd.DatetimeIndex(pd.to_datetime(list(days)))
    if values.tz is not None:
        values = values.tz_convert("UTC").tz_localize(None)
    return values.to_period(_PANDAS[Frequency(frequency).value])
