"""When the next number comes: publication lags learnt from the vintages themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from opsroom.measure.nowcast.panel import long_frame
from opsroom.measure.nowcast.spec import Frequency, SeriesSpec

_BULK = 2
"""More periods than this first seen in one delivery: a history being loaded, not a release."""


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
        ends = [period_end(pd.Timestamp(p), f).date() for p, f in zip(group["period"], group["frequency"], strict=True)]
        days = pd.Series([(k.date() - e).days for k, e in zip(group["day"], ends, strict=True)])
        lags[str(name)] = round(float(days.median()))
    return lags


def period_end(day: pd.Timestamp, frequency: Frequency) -> pd.Timestamp:
    """Return the last day of the period in which a day lies."""
    rule = {"M": "M", "Q": "Q", "W": "W-SUN", "D": "D"}[frequency]
    return pd.Timestamp(pd.Period(day, rule).end_time.date())


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
        rule = {"M": "M", "Q": "Q", "W": "W-SUN", "D": "D"}[spec.frequency]
        out.append(NextRelease(spec.name, _words(pd.Period(due, rule)), day.date()))
    return sorted(out, key=lambda r: (r.date, r.series))


def _words(period: pd.Period) -> str:
    if str(period.freqstr).startswith("Q"):
        return f"{period.year}-Q{period.quarter}"
    return str(period).split("/")[0]
