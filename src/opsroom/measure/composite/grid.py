"""Every observation as a weighted sum of one weekly path."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.measure.composite.inputs import Input

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

YEAR = 52
"""Weeks between the two sides of a year's comparison."""
_FORGOTTEN = 26
"""Weeks after which an input's own error is taken not to be remembered."""
_MONDAY = np.datetime64("1970-01-05")
_BACK = {"M": 12, "Q": 4}


@dataclass(frozen=True, slots=True)
class Rows:
    """One series' observations, each ``x_k = a_k' f`` plus an error that remembers the observation before.

    Attributes
    ----------
    value
        Transformed values, in time order.
    week
        Number of the middle week of each observation's period.
    gap
        Weeks since the observation before; 0 where nothing is remembered of it.
    start, column
        Sparse rows: the weeks that observation k and the one before rest on are ``column[start[k]:start[k+1]]``.
    now, before
        Weights of observation k, and of the one before, on those weeks.
    """

    value: Floats
    week: Ints
    gap: Ints
    start: Ints
    column: Ints
    now: Floats
    before: Floats

    def __len__(self) -> int:
        return len(self.value)

    @property
    def span(self) -> int:
        """The largest distance between two weeks of one row."""
        if not len(self):
            return 0
        ends = [self.column[a:b] for a, b in zip(self.start[:-1], self.start[1:], strict=True)]
        return max(int(c.max() - c.min()) for c in ends)

    def shifted(self, first: int) -> Rows:
        """Return the same rows with weeks counted from another first week."""
        return Rows(self.value, self.week - first, self.gap, self.start, self.column - first, self.now, self.before)

    def times(self, path: Floats) -> Floats:
        """Return ``a_k' f`` for every row; `path` has weeks first and may have columns."""
        products = self.now.reshape(-1, *[1] * (path.ndim - 1)) * path[self.column]
        return np.asarray(np.add.reduceat(products, self.start[:-1]))


def week_of(day: dt.date | pd.Timestamp) -> int:
    """Return the number of the week (Monday to Sunday) in which a day lies."""
    return int((np.datetime64(pd.Timestamp(day), "D") - _MONDAY).astype(np.int64) // 7)


def monday(week: int) -> pd.Timestamp:
    """Return the first day of a numbered week."""
    return pd.Timestamp(_MONDAY + np.timedelta64(7 * week, "D"))


def mondays(first: int, last: int) -> pd.DatetimeIndex:
    """Return the first days of the weeks from `first` to `last`."""
    return pd.DatetimeIndex(_MONDAY + 7 * np.arange(first, last + 1).astype("timedelta64[D]"), name="week")


def rows_of(one: Input, frame: pd.DataFrame) -> Rows:
    """Turn what is known of one input into rows; weeks are absolute numbers.

    Parameters
    ----------
    one
        Its scale and its comparison.
    frame
        Its part of what `known` returned.
    """
    frame = _weeks_from_days(frame)
    value = frame["value"].to_numpy(np.float64)
    if one.scale == "log":
        value = np.where(value > 0, value, np.nan)
        value = 100.0 * np.log(value)
    start = frame["start"].to_numpy().astype("datetime64[D]")
    end = frame["end"].to_numpy().astype("datetime64[D]")
    base = np.zeros(len(value), dtype=np.int64) - 1
    if one.compare == "year":
        base = _year_before(start, end, frame["frequency"].to_numpy(object))
        value = np.where(base >= 0, value - value[base], np.nan)
    found: list[tuple[int, float, dict[int, float]]] = []
    for k in np.flatnonzero(np.isfinite(value)):
        weights = _shares(start[k], end[k])
        if base[k] >= 0:
            for week, share in _shares(start[base[k]], end[base[k]]).items():
                weights[week] = weights.get(week, 0.0) - share
        middle = start[k] + (end[k] - start[k]) // 2
        found.append((int((middle - _MONDAY).astype(np.int64) // 7), float(value[k]), weights))
    return _sparse(sorted(found, key=lambda item: item[0]))


def period_rows(
    periods: Sequence[tuple[np.datetime64, np.datetime64]], back: Sequence[tuple[np.datetime64, np.datetime64]]
) -> Rows:
    """Return rows for the mean of the path over `periods` minus that over `back`, without values."""
    found = []
    for (start, end), (low, high) in zip(periods, back, strict=True):
        weights = _shares(start, end)
        for week, share in _shares(low, high).items():
            weights[week] = weights.get(week, 0.0) - share
        middle = start + (end - start) // 2
        found.append((int((middle - _MONDAY).astype(np.int64) // 7), np.nan, weights))
    return _sparse(found)


def _weeks_from_days(frame: pd.DataFrame) -> pd.DataFrame:
    """Average days to weeks; a week counts when at most one of the days that it usually has is missing."""
    daily = frame["frequency"] == "D"
    if not daily.any():
        return frame
    days = frame[daily]
    number = (days["start"].to_numpy().astype("datetime64[D]") - _MONDAY).astype(np.int64) // 7
    grouped = days["value"].groupby(number)
    mean, count = grouped.mean(), grouped.count()
    mean = mean[count >= count.median() - 1]
    first = pd.DatetimeIndex(_MONDAY + 7 * mean.index.to_numpy().astype("timedelta64[D]"))
    weeks = pd.DataFrame(
        {
            "series": days["series"].iloc[0], "frequency": "W", "start": first,
            "end": first + pd.Timedelta(days=6), "value": mean.to_numpy(),
        }
    )  # fmt: skip
    return pd.concat([frame[~daily], weeks], ignore_index=True).sort_values("start", kind="stable")


def _year_before(start: NDArray[np.datetime64], end: NDArray[np.datetime64], frequency: NDArray[np.object_]) -> Ints:
    """Return the place of the observation a year before, or -1; a week may be held against a month or a quarter."""
    place = {(f, s.astype("datetime64[D]")): k for k, (f, s) in enumerate(zip(frequency, start, strict=True))}
    base = np.full(len(start), -1, dtype=np.int64)
    for k, f in enumerate(frequency):
        if f in _BACK:
            month = start[k].astype("datetime64[M]") - 12
            base[k] = place.get((f, month.astype("datetime64[D]")), -1)
            continue
        wanted = start[k] - np.timedelta64(7 * YEAR, "D")
        base[k] = place.get((f, wanted), -1)
        if base[k] < 0:
            middle = wanted + np.timedelta64(3, "D")
            inside = np.flatnonzero((start <= middle) & (middle <= end) & (frequency != f))
            base[k] = inside[0] if len(inside) else -1
    return base


def _shares(start: np.datetime64, end: np.datetime64) -> dict[int, float]:
    """Return which share of a period's days lies in which week."""
    first = int((start - _MONDAY).astype(np.int64))
    last = int((end - _MONDAY).astype(np.int64))
    length = last - first + 1
    weeks = range(first // 7, last // 7 + 1)
    return {w: (min(last, 7 * w + 6) - max(first, 7 * w) + 1) / length for w in weeks}


def _sparse(found: Sequence[tuple[int, float, dict[int, float]]]) -> Rows:
    starts, column, now, before = [0], [], [], []
    gap = np.zeros(len(found), dtype=np.int64)
    previous: dict[int, float] = {}
    for k, (week, _, weights) in enumerate(found):
        distance = week - found[k - 1][0] if k else 0
        gap[k] = distance if 0 < distance <= _FORGOTTEN else 0
        remembered = previous if gap[k] else {}
        weeks = sorted(weights.keys() | remembered.keys())
        column += weeks
        now += [weights.get(w, 0.0) for w in weeks]
        before += [remembered.get(w, 0.0) for w in weeks]
        starts.append(len(column))
        previous = weights
    return Rows(
        value=np.array([v for _, v, _ in found], dtype=np.float64),
        week=np.array([w for w, _, _ in found], dtype=np.int64), gap=gap,
        start=np.array(starts, dtype=np.int64), column=np.array(column, dtype=np.int64),
        now=np.array(now, dtype=np.float64), before=np.array(before, dtype=np.float64),
    )  # fmt: skip
