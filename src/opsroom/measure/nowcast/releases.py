"""When the next number comes: publication lags learnt from the vintages themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.measure.nowcast.panel import long_frame
from opsroom.measure.nowcast.spec import RULES, Frequency, SeriesSpec

_BULK = 2
"""More periods than this first seen in one delivery: a history being loaded, not a release."""


@dataclass(frozen=True, slots=True)
class NextRelease:
    """A number that is due: series, the period that it is about, and the expected day.

    `could_move` is the standard deviation of what it does to the nowcast, points; None where that is not known.
    """

    series: str
    period: str
    date: dt.date
    could_move: float | None = None


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
    return Lags.of(first_seen).by()


@dataclass(frozen=True, slots=True)
class Lags:
    """Lags of all first releases, worked out once, of which those known by any moment are looked at.

    Attributes
    ----------
    names
        Series, sorted.
    series
        Row of each release's series in `names`.
    known_at
        When each release became known, UTC.
    days
        Days from its period's end.
    """

    names: tuple[str, ...]
    series: NDArray[np.int64]
    known_at: NDArray[np.datetime64]
    days: NDArray[np.int64]

    @classmethod
    def of(cls, first_seen: pd.DataFrame) -> Lags:
        """Work the lags out; `first_seen` as in `learn_lags`.

        What came in bulk is left out. It came at one moment, so that it does as of every later one.
        """
        frame = first_seen.assign(day=pd.to_datetime(first_seen["known_at"], utc=True).dt.tz_localize(None))
        together = frame.groupby(["series", "day"])["period"].transform("count")
        frame = frame[together <= _BULK]
        number, names = pd.factorize(frame["series"].astype(str), sort=True)
        known = frame["day"].to_numpy().astype("datetime64[us]")
        days = np.zeros(len(frame), dtype=np.int64)
        for frequency in frame["frequency"].unique():
            here = (frame["frequency"] == frequency).to_numpy()
            ends = pd.DatetimeIndex(frame["period"][here]).to_period(RULES[frequency]).end_time
            apart = known[here].astype("datetime64[D]") - ends.to_numpy().astype("datetime64[D]")
            days[here] = apart.astype(np.int64)
        return cls(tuple(str(name) for name in names), number.astype(np.int64), known, days)

    def by(self, moment: dt.datetime | None = None) -> dict[str, int]:
        """Return series → median lag of the releases known by a moment, an aware time; None: of all."""
        until = None if moment is None else np.datetime64(moment.astimezone(dt.UTC).replace(tzinfo=None), "us")
        known = np.full(len(self.days), fill_value=True) if until is None else self.known_at <= until
        series, days = self.series[known], self.days[known]
        if not len(days):
            return {}
        order = np.argsort(series, kind="stable")
        found, starts = np.unique(series[order], return_index=True)
        groups = np.split(days[order], starts[1:])
        return {self.names[k]: round(float(np.median(g))) for k, g in zip(found, groups, strict=True)}


def period_end(day: pd.Timestamp, frequency: Frequency) -> pd.Timestamp:
    """Return the last day of the period in which a day lies."""
    return pd.Timestamp(pd.Period(day, RULES[frequency]).end_time.date())


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
        out.append(NextRelease(spec.name, _words(pd.Period(due, RULES[spec.frequency])), day.date()))
    return sorted(out, key=lambda r: (r.date, r.series))


def _words(period: pd.Period) -> str:
    if str(period.freqstr).startswith("Q"):
        return f"{period.year}-Q{period.quarter}"
    return str(period).split("/")[0]
