"""When the parameters are learnt again, as opposed to every day's data being read with those known already."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections.abc import Callable
from typing import Literal

import pandas as pd

from opsroom.base.errors import UsageError

Rhythm = Literal["release", "month", "day"]
"""``release``: when a quarter of the target is first released; ``month``: on a month's first day; ``day``: always."""

RHYTHMS: tuple[Rhythm, ...] = ("release", "month", "day")


def learning_days(rhythm: Rhythm, target: pd.DataFrame, *, timezone: str = "UTC") -> Callable[[dt.date], dt.date]:
    """Return the function that says of a day as of which day its parameters are learnt: the day itself, or before.

    Parameters
    ----------
    rhythm
        See `Rhythm`.
    target
        Every known value of the target: ``period`` (a day in the quarter), ``known_at``, ``value``. The answer for a
        day looks at nothing that became known after it, so that it is the same whenever it is asked.
    timezone
        In which days are counted where ``known_at`` has a zone.

    Raises
    ------
    UsageError
        A rhythm that is not known.

    Examples
    --------
    >>> import datetime as dt, pandas as pd
    >>> gdp = pd.DataFrame({"period": ["2019-07-01", "2019-10-01"], "known_at": ["2019-11-14", "2020-02-14"]})
    >>> gdp = gdp.assign(value=1.0).astype({"period": "datetime64[ns]", "known_at": "datetime64[ns]"})
    >>> learnt = learning_days("release", gdp)
    >>> learnt(dt.date(2020, 2, 13)), learnt(dt.date(2020, 4, 1))
    (datetime.date(2019, 11, 14), datetime.date(2020, 2, 14))
    """
    if rhythm not in RHYTHMS:
        raise UsageError(f"the rhythm {rhythm!r} of learning is not known.", remedy=f"Use one of {', '.join(RHYTHMS)}.")
    if rhythm == "day":
        return lambda day: day
    if rhythm == "month":
        return lambda day: day.replace(day=1)
    known = target.dropna(subset=["value"])
    days = pd.DatetimeIndex(pd.to_datetime(known["known_at"]))
    if days.tz is not None:
        days = days.tz_convert(timezone).tz_localize(None)
    first = pd.DataFrame({"day": days.normalize(), "period": pd.to_datetime(known["period"]).to_numpy()})
    releases: list[dt.date] = []
    newest = None
    for day, period in first.groupby("day")["period"].max().sort_index().items():
        if newest is None or period > newest:
            releases.append(pd.Timestamp(str(day)).date())
            newest = period

    def release(day: dt.date) -> dt.date:
        at = bisect_right(releases, day)
        return releases[at - 1] if at else day

    return release
