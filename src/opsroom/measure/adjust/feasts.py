"""Feasts that move through the solar year, and the days around them on which work slows down or catches up."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, timedelta
from functools import cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.measure.adjust.days import EPOCH, public_holidays

Matrix = npt.NDArray[np.float64]
Moments = tuple[int, ...]

HATS: dict[str, tuple[int, ...]] = {
    "easter": (-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8),
    "orthodox_easter": (-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 8),
    "lunar_new_year": (-24, -17, -11, -7, -4, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 17, 24),
    "eid_al_fitr": (-34, -29, -22, -15, -8, -4, -2, -1, 0, 1, 2, 3, 4, 5, 7, 10),
    "eid_al_adha": (-4, -2, -1, 0, 1, 2, 3, 4, 5, 7, 10),
}
"""Days from a feast's first day at which its effect bends; nothing at and beyond the first and the last.

Eid al-Fitr ends Ramadan, whose four weeks are the knots from -29 to -1.
"""

_SOURCES = {
    "lunar_new_year": ("HK", "The first day of Lunar New Year", "Lunar New Year", "Chinese New Year"),
    "eid_al_fitr": ("TR", "Eid al-Fitr"),
    "eid_al_adha": ("TR", "Eid al-Adha"),
}
"""A country of the ``holidays`` library whose public holidays tell the feast's first day, and names that it has."""


def feasts_of(off: Collection[date], years: range) -> dict[str, Moments]:
    """Return the first day of each moving feast that is kept, days since 1970.

    Parameters
    ----------
    off
        Public holidays in those years.
    years
        Years wanted.

    Returns
    -------
    dict
        ``easter``, ``orthodox_easter``, ``lunar_new_year``, ``eid_al_fitr`` (with Ramadan before it),
        ``eid_al_adha``; only those on or next to which a public holiday lies in most of the years.
    """
    found = {}
    for name in HATS:
        days = [day for year in range(years.start - 1, years.stop + 1) for day in feast_days(name, year)]
        inside = [day for day in days if years.start <= day.year < years.stop]
        kept = [any(day + timedelta(days=k) in off for k in (-2, -1, 0, 1)) for day in inside]
        if kept and sum(kept) > len(kept) / 2:
            found[name] = tuple(day.toordinal() - EPOCH for day in days)
    return found


@cache
def feast_days(name: str, year: int) -> tuple[date, ...]:
    """Return the first days of a feast in a year: one, or two where the lunar year fits in twice."""
    if name == "easter":
        return (_western_easter(year),)
    if name == "orthodox_easter":
        return (_orthodox_easter(year),)
    import holidays as library

    country, *names = _SOURCES[name]
    known = library.country_holidays(country, years=year, language="en_US")
    days = sorted(day for day, label in known.items() if day.year == year and any(n in label for n in names))
    return tuple(day for k, day in enumerate(days) if k == 0 or (day - days[k - 1]).days > 10)


def _western_easter(year: int) -> date:
    """Return Easter Sunday by the Gregorian rule (Butcher, 1876)."""
    golden, century = year % 19, year // 100
    moon = (19 * golden + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (year % 100 // 4) - moon - year % 100 % 4) % 7
    late = (golden + 11 * moon + 22 * sunday) // 451
    month, day = divmod(moon + sunday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _orthodox_easter(year: int) -> date:
    """Return Easter Sunday by the Julian rule, as a Gregorian date of 1900 to 2099 (J. Meeus, 1991)."""
    moon = (19 * (year % 19) + 15) % 30
    sunday = (2 * (year % 4) + 4 * (year % 7) - moon + 34) % 7
    month, day = divmod(moon + sunday + 114, 31)
    return date(year, month, day + 1) + timedelta(days=13)


def feast_terms(name: str, first_days: Moments, dates: pd.DatetimeIndex) -> Matrix:
    """Return a hat of height one for each inner knot of a feast, by days from its first day, (days, knots - 2)."""
    knots = np.asarray(HATS[name], dtype=np.float64)
    day = dates.to_numpy().astype("datetime64[D]").astype(np.int64)
    first = np.asarray(first_days, dtype=np.int64)
    distance = day[:, None] - first[None, :]
    nearest = distance[np.arange(len(day)), np.abs(distance).argmin(axis=1)].astype(np.float64)
    return np.column_stack([np.interp(nearest, knots, row) for row in np.eye(len(knots))[1:-1]])


def moving_feasts(
    dates: pd.DatetimeIndex,
    *,
    country: str | None = None,
    region: str | None = None,
    own: Mapping[date, str] | None = None,
) -> dict[str, Moments]:
    """Return the moving feasts that a country, or a region of it, keeps over some dates.

    Parameters
    ----------
    dates
        Any days.
    country, region
        Codes of the ``holidays`` library.
    own
        Date → name of public holidays that the library does not know.

    Returns
    -------
    dict
        As `feasts_of`.
    """
    off = public_holidays(dates, country, region, own)
    if not off or not len(dates):
        return {}
    return feasts_of(off.keys(), range(int(dates.year.min()), int(dates.year.max()) + 1))
