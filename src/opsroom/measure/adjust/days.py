"""What kind of day a date is: workday, weekend, public holiday, bridge day."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

EPOCH = date(1970, 1, 1).toordinal()

OFF = ("weekend", "public_holiday", "new_year_holiday")
"""Kinds of day on which most companies are closed."""


def calendar_days(
    dates: pd.DatetimeIndex,
    *,
    country: str | None = None,
    region: str | None = None,
    own: Mapping[date, str] | None = None,
) -> pd.DataFrame:
    """Return kind and holiday name of each date.

    Parameters
    ----------
    dates
        Days, without gaps for best results; only the date counts.
    country
        ISO 3166 code known to the ``holidays`` library; None: weekends only.
    region
        Subdivision of the country, such as ``"VIC"`` in Australia.
    own
        Date → name of public holidays that the library does not know, beside the country's or instead of them.

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
    names = public_holidays(days, country, region, own)
    number = days.to_numpy().astype("datetime64[D]").astype(np.int64)
    holidays = np.array([day.toordinal() - EPOCH for day in names], dtype=np.int64)
    off, before, after = (np.isin(number + k, holidays) for k in (0, -1, 1))
    weekday = days.day_of_week.to_numpy()
    kind = np.where(weekday >= 5, "weekend", "workday").astype(object)
    kind[off] = "public_holiday"
    bridge = ~off & (((weekday == 0) & after) | ((weekday == 4) & before))
    kind[bridge] = "bridge"
    label = np.full(len(days), "", dtype=object)
    label[off] = [names[day.date()] for day in days[off]]
    return pd.DataFrame({"kind": kind.astype(str), "name": label}, index=days)


def public_holidays(
    days: pd.DatetimeIndex, country: str | None, region: str | None, own: Mapping[date, str] | None = None
) -> Mapping[date, str]:
    """Return date → name of each public holiday over the years of `days`, one year to either side, and those given."""
    if country is None or not len(days):
        return own or {}
    import holidays as library

    years = range(int(days.year.min()) - 1, int(days.year.max()) + 2)
    try:
        return {**dict(library.country_holidays(country, subdiv=region, years=years)), **(own or {})}
    except NotImplementedError:
        raise UsageError(
            f"the holidays library does not know country {country!r} with region {region!r}.",
            remedy="Use the ISO 3166 codes that `holidays` lists, or leave the country out.",
            code="OPS-U020",
        ) from None
