"""What kind of day a date is: workday, weekend, public holiday, bridge day."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

OFF = ("weekend", "public_holiday", "new_year_holiday")
"""Kinds of day on which most companies are closed."""


def calendar_days(dates: pd.DatetimeIndex, *, country: str | None = None, region: str | None = None) -> pd.DataFrame:
    """Return kind and holiday name of each date.

    Parameters
    ----------
    dates
        Days, without gaps for best results; only the date counts.
    country
        ISO 3166 code known to the ``holidays`` library; None: weekends only.
    region
        Subdivision of the country, such as ``"VIC"`` in Australia.

    Returns
    -------
    pandas.DataFrame
        Index date; ``kind`` one of ``workday``, ``weekend``, ``public_holiday``, ``bridge``; ``name``
        of the holiday, else empty.

    Raises
    ------
    UsageError
        If the library does not know the country or region.

    Notes
    -----
    A bridge day is a single workday between a holiday and a weekend. Shares its columns and codes
    with a room's own ``calendar`` dataset, which may be used instead.
    """
    days = pd.DatetimeIndex(dates).normalize()
    names = public_holidays(days, country, region)
    off = np.array([day.date() in names for day in days], dtype=bool)
    weekday = days.day_of_week.to_numpy()
    kind = np.where(weekday >= 5, "weekend", "workday").astype(object)
    kind[off] = "public_holiday"
    before = np.array([(day - pd.Timedelta(days=1)).date() in names for day in days], dtype=bool)
    after = np.array([(day + pd.Timedelta(days=1)).date() in names for day in days], dtype=bool)
    bridge = ~off & (((weekday == 0) & after) | ((weekday == 4) & before))
    kind[bridge] = "bridge"
    label = [names.get(day.date(), "") for day in days]
    return pd.DataFrame({"kind": kind.astype(str), "name": label}, index=days)


def public_holidays(days: pd.DatetimeIndex, country: str | None, region: str | None) -> Mapping[date, str]:
    """Return date → name of each public holiday over the years of `days`, one year to either side."""
    if country is None or not len(days):
        return {}
    import holidays as library

    years = range(int(days.year.min()) - 1, int(days.year.max()) + 2)
    try:
        return dict(library.country_holidays(country, subdiv=region, years=years))
    except NotImplementedError:
        raise UsageError(
            f"the holidays library does not know country {country!r} with region {region!r}.",
            remedy="Use the ISO 3166 codes that `holidays` lists, or leave the country out.",
            code="OPS-U020",
        ) from None
