"""The room's publication calendar: which days, and which series on a day."""

from __future__ import annotations

import datetime as dt

from opsroom.base.settings import Cadence, PublishSettings


def is_publication_day(day: dt.date, settings: PublishSettings) -> bool:
    """Say whether the room publishes on that day."""
    if settings.first and day < settings.first:
        return False
    if settings.last and day > settings.last:
        return False
    if settings.cadence == "on_demand":
        return True
    if day.weekday() != settings.weekday:
        return False
    return settings.cadence == "weekly" or day.day <= 7


def publication_days(start: dt.date, end: dt.date, settings: PublishSettings) -> list[dt.date]:
    """List the publication days from `start` to `end`, both included."""
    days = (start + dt.timedelta(days=k) for k in range((end - start).days + 1))
    return [day for day in days if is_publication_day(day, settings)]


def last_publication_day(day: dt.date, settings: PublishSettings) -> dt.date | None:
    """Return the last publication day on or before `day`, looking back at most a quarter."""
    for back in range(100):
        candidate = day - dt.timedelta(days=back)
        if is_publication_day(candidate, settings):
            return candidate
    return None


def is_due(cadence: Cadence, day: dt.date, settings: PublishSettings) -> bool:
    """Say whether a series of the given cadence comes out on a publication day.

    A monthly series comes out on the first publication day of a month (in the room's first month,
    on the room's first publication day).
    """
    if cadence != "monthly" or settings.cadence == "on_demand":
        return True
    if settings.first and day == settings.first:
        return True
    earlier = publication_days(day.replace(day=1), day - dt.timedelta(days=1), settings)
    return not earlier
