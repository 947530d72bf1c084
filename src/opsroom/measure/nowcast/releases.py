"""When the next number comes: publication lags learnt from the vintages themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opsroom.measure.nowcast.panel import long_frame
from opsroom.measure.nowcast.spec import Frequency, SeriesSpec

_BULK = 2
"""More periods than this first seen in one delivery: a history being loaded, not a release."""
_RULES = {"M": "M", "Q": "Q", "W": "W-SUN", "D": "D"}


@dataclass(frozen=True, slots=True)
class NextRelease:
    """A number that is due: series, the period that it is about, and the expected day."""

    series: str
    period: str
    date: dt.date


def learn_lags(first_seen: pd.DataFrame) -> dict[str, int]:
    """Learn how many days after a period's end each series is usually first released.

    Parameters
    ----------
    first_seen
        ``series``, ``period`` (a day in the period), ``known_at`` (when the room first knew a value of
        that period), ``frequency`` (``"M"``, ``"Q"``, ``"W"``, ``"D"``).

    Returns
    -------
    dict
        Series → median lag in days. Series whose history came in bulk only are left out.
    """
    frame = first_seen.assign(day=pd.to_datetime(first_seen["known_at"], utc=True).dt.tz_localize(None))
    together = frame.groupby(["series", "day"])["period"].transform("count")
    frame = frame[together <= _BULK]
    lags: dict[str, int] = {}
    for name, group in frame.groupby("series", sort=True):
        days = np.empty(len(group))
        for frequency in group["frequency"].unique():
            here = (group["frequency"] == frequency).to_numpy()
            ends = pd.DatetimeIndex(group["period"][here]).to_period(_RULES[frequency]).end_time
            days[here] = (pd.DatetimeIndex(group["day"][here]).normalize() - ends.normalize()).days
        lags[str(name)] = round(float(np.median(days)))
    return lags


def period_end(day: pd.Timestamp, frequency: Frequency) -> pd.Timestamp:
    """Return the last day of the period in which a day lies."""
    return pd.Timestamp(pd.Period(day, _RULES[frequency]).end_time.date())


def upcoming(
    panel: pd.DataFrame | Mapping[str, pd.Series],
    *,
    specs: Sequence[SeriesSpec],
    lags: Mapping[str, int],
    as_of: dt.date,
) -> list[NextRelease]:
    """List each series' next expected release, earliest first.

    A release that should have come already is expected on the day after `as_of`.
    """
    newest = long_frame(panel).groupby("series")["period"].max()
    out = []
    for spec in specs:
        if spec.name not in lags or spec.name not in newest.index:
            continue
        due = period_end(pd.Timestamp(newest[spec.name]), spec.frequency) + pd.Timedelta(days=1)
        end = period_end(due, spec.frequency)
        day = max(end + pd.Timedelta(days=lags[spec.name]), pd.Timestamp(as_of) + pd.Timedelta(days=1))
        out.append(NextRelease(spec.name, _words(pd.Period(due, _RULES[spec.frequency])), day.date()))
    return sorted(out, key=lambda r: (r.date, r.series))


def _words(period: pd.Period) -> str:
    if str(period.freqstr).startswith("Q"):
        return f"{period.year}-Q{period.quarter}"
    return str(period).split("/")[0]
