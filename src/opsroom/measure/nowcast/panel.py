"""From a long table of one vintage to the monthly grid that the model reads."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.known import as_long
from opsroom.measure.nowcast.spec import RULES, SeriesSpec, Settings, Transform, find_spec

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GROWTH = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 3.0
"""Weights on the months t, t-1 … t-4 with which monthly growth makes a quarter's growth."""

LEVEL = np.array([1.0, 1.0, 1.0, 0.0, 0.0]) / 3.0
"""Weights with which a monthly level makes a quarter's average."""

COMMON = "common"
"""The block of all series."""

_PARTIAL = 0.5
_DAYS_OF_WEEK = 4
_SELDOM = 0.1
"""A weekday that is known no more often is one of rest."""
_BLOCK = 2


@dataclass(frozen=True, slots=True)
class Panel:
    """One vintage, transformed, on a grid of months.

    Attributes
    ----------
    first_month
        Months since year 0 (``12 * year + month - 1``) of the first row.
    names, quarterly
        Per series: code; observed once a quarter (in its last month).
    values
        Months x series, transformed, in the series' own units; NaN where unknown. Column 0 is the
        target: % growth on the quarter before, not annualised.
    """

    first_month: int
    names: tuple[str, ...]
    quarterly: NDArray[np.bool_]
    values: Floats

    @property
    def months(self) -> int:
        """Number of months on the grid."""
        return int(self.values.shape[0])

    def index(self, quarter: pd.Period) -> int:
        """Return the row of a quarter's last month."""
        return quarter_end(quarter) - self.first_month

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return the monthly and the quarterly series as tables by period."""
        first = pd.Period(year=self.first_month // 12, month=self.first_month % 12 + 1, freq="M")
        names = np.asarray(self.names, dtype=object)
        whole = pd.DataFrame(self.values, index=pd.period_range(first, periods=self.months, freq="M"))
        monthly = whole.loc[:, ~self.quarterly].set_axis(list(names[~self.quarterly]), axis=1)
        ends = (np.arange(self.months) + self.first_month) % 3 == 2
        quarterly = whole.loc[ends, self.quarterly].set_axis(list(names[self.quarterly]), axis=1)
        return monthly, quarterly.set_axis(whole.index[ends].asfreq("Q"), axis=0)


def quarter_end(quarter: pd.Period) -> int:
    """Return the number of a quarter's last month (``12 * year + month - 1``)."""
    return 12 * int(quarter.year) + 3 * int(quarter.quarter) - 1


def quarter_of(month: int) -> pd.Period:
    """Return the quarter in which a numbered month lies."""
    return pd.Period(year=month // 12, quarter=(month % 12) // 3 + 1, freq="Q")


def label(quarter: pd.Period) -> str:
    """Return a quarter as ``2020-Q1``."""
    return f"{quarter.year}-Q{quarter.quarter}"


def long_frame(panel: pd.DataFrame | Mapping[str, pd.Series]) -> pd.DataFrame:
    """Return the panel as a frame of series, period and value, whatever form it came in.

    Parameters
    ----------
    panel
        A frame with the columns ``series``, ``period`` (a day in the period) and ``value``, or a
        mapping of code → Series indexed by days or periods.

    Raises
    ------
    UsageError
        A column is missing, or a period occurs twice.
    """
    frame = as_long(panel)
    frame = pd.DataFrame(
        {
            "series": frame["series"].astype(str).to_numpy(object),
            "period": pd.to_datetime(frame["period"]),
            "value": frame["value"].astype(float),
        }
    )
    if frame.duplicated(["series", "period"]).any():
        raise UsageError(
            "the panel has two values for one series and period.",
            remedy="Give one vintage: the latest value per period as of the day.",
        )
    return frame.dropna(subset=["value"])


def build_panel(
    panel: pd.DataFrame | Mapping[str, pd.Series],
    *,
    target: str,
    specs: Sequence[SeriesSpec],
    as_of: dt.date,
    settings: Settings,
) -> Panel:
    """Transform one vintage and lay it on a grid of months.

    Parameters
    ----------
    panel
        See `long_frame`.
    target
        Code of the quarterly level whose growth is nowcast.
    specs
        One for the target and each series to be used; series without one are left out.
    as_of
        The vintage's day; the grid ends with the quarter after this day's quarter.
    settings
        Its `start` cuts the sample.

    Raises
    ------
    FitError
        No target, too few quarters, no usable indicator, or no indicator with news of the last
        half year.
    """
    frame = long_frame(panel)
    today = 12 * as_of.year + as_of.month - 1
    last = quarter_end(quarter_of(today) + 1)
    code, found = pd.factorize(frame["series"], sort=True)
    order = np.argsort(code, kind="stable")
    bounds = np.searchsorted(code[order], np.arange(len(found) + 1))
    day, value = frame["period"].to_numpy("datetime64[D]"), frame["value"].to_numpy(np.float64)
    groups = {str(name): order[bounds[k] : bounds[k + 1]] for k, name in enumerate(found)}
    goal = find_spec(specs, target)
    if target not in groups:
        raise FitError(
            f"the panel has no observations of the target {target!r}.",
            code="OPS-M101",
            remedy="Ingest the target's series or name another target.",
        )
    ordered = [replace(goal, frequency="Q", transform="pch")]
    ordered += [s for s in specs if s.name != target and s.name in groups]
    columns: list[tuple[SeriesSpec, Ints, Floats]] = []
    for spec in ordered:
        rows = groups[spec.name]
        number, series = transformed(day[rows], value[rows], spec)
        kept = ~np.isnan(series) & (number <= last)
        if settings.start is not None:
            kept &= number >= 12 * settings.start
        columns.append((spec, number[kept], series[kept]))
    quarters = len(columns[0][1])
    if quarters < settings.min_quarters:
        raise FitError(
            f"the target {target!r} has {quarters} growth rates; {settings.min_quarters} are needed.",
            code="OPS-M102",
            remedy="Ingest a longer history of the target.",
        )
    usable = [columns[0], *(c for c in columns[1:] if len(c[1]) >= (24 if c[0].frequency != "Q" else 12))]
    if len(usable) < 2:
        raise FitError(
            "no indicator has enough history (24 months, or 12 quarters).",
            code="OPS-M103",
            remedy="Add monthly series to the panel and to the specifications.",
        )
    if max(int(number[-1]) for _, number, _ in usable[1:]) < today - 6:
        raise FitError(
            "no indicator has an observation of the last half year before the as-of day.",
            code="OPS-M104",
            remedy="Ingest newer data, or choose an earlier day.",
        )
    first = min(int(number[0]) for _, number, _ in usable)
    values = np.full((last - first + 1, len(usable)), np.nan)
    for column, (_, number, series) in enumerate(usable):
        values[number - first, column] = series
    quarterly = np.array([s.frequency == "Q" for s, _, _ in usable])
    # A quarter's growth reaches four months back; the first two quarters of the grid cannot be explained.
    values[:4, quarterly] = np.nan
    return Panel(
        first_month=first,
        names=tuple(s.name for s, _, _ in usable),
        quarterly=quarterly,
        values=values,
    )


def blocks_of(specs: Sequence[SeriesSpec], names: Sequence[str]) -> dict[str, list[str]]:
    """Return series → blocks: `COMMON` for all, and a block of its own where two series or more name it."""
    named = {s.name: s.block for s in specs if s.name in names and s.block not in ("", COMMON)}
    shared = {b for b in named.values() if list(named.values()).count(b) >= _BLOCK}
    return {name: [COMMON, *([named[name]] if named.get(name) in shared else [])] for name in names}


def monthly_values(group: pd.DataFrame, spec: SeriesSpec) -> pd.Series:
    """Return a series' levels (``period``, ``value``) transformed, by month numbers (quarters: their last month)."""
    number, series = transformed(
        pd.to_datetime(group["period"]).to_numpy("datetime64[D]"), group["value"].to_numpy(np.float64), spec
    )
    return pd.Series(series, index=number)


def base_values(group: pd.DataFrame, spec: SeriesSpec, base: Literal["W", "D"]) -> pd.Series:
    """Return a weekly or daily series' levels (``period``, ``value``) transformed, by week or day.

    Days become the mean of a week's known ones, where they are four or more; a year is 52 weeks or 364 days. A day's
    change is that on the day before, over days of rest: weekdays on which the series is known one time in ten at most,
    such as Saturday and Sunday where figures are made on working days only. So Monday's is that since Friday, and
    counts as one day's; other holes stay holes.
    """
    day = pd.to_datetime(group["period"]).to_numpy("datetime64[D]")
    level = group["value"].to_numpy(np.float64)
    # Weeks are counted by their Thursdays, day 0 being one.
    number = (day + (3 - _weekday(day)).astype("timedelta64[D]")).astype(np.int64) // 7
    if base == "D":
        number = day.astype(np.int64)
    elif spec.frequency == "D":
        known = ~np.isnan(level)
        weeks, at = np.unique(number[known], return_inverse=True)
        count = np.bincount(at, minlength=len(weeks))
        full = count >= _DAYS_OF_WEEK
        number, level = weeks[full], (np.bincount(at, weights=level[known], minlength=len(weeks)) / count)[full]
    if len(np.unique(number)) < len(number):
        raise UsageError(
            f"series {spec.name!r} has several values in one period of frequency {spec.frequency}.",
            remedy="Correct the frequency in its specification.",
        )
    if not len(number):
        return pd.Series(index=pd.PeriodIndex([], freq=RULES[base]), dtype=float)
    every = np.arange(int(number.min()), int(number.max()) + 1)
    whole = np.full(len(every), np.nan)
    whole[number - every[0]] = level
    per_year = 364 if base == "D" else 52
    if base == "D" and spec.transform not in ("ch1", "pc1"):  # a year before it was the same weekday
        worked, workdays = _worked(every, ~np.isnan(whole))
        every, whole, per_year = every[worked], whole[worked], 52 * workdays
    found = _apply(whole, spec.transform, per_year=per_year)
    days = (every if base == "D" else 7 * every).astype("datetime64[D]").astype("datetime64[s]")
    return pd.Series(found, index=pd.DatetimeIndex(days).to_period(RULES[base])).dropna()


def transformed(day: NDArray[np.datetime64], level: Floats, spec: SeriesSpec) -> tuple[Ints, Floats]:
    """Return month numbers in a row (quarters: their last months), and a series' levels transformed; NaN in holes.

    Parameters
    ----------
    day
        A day in each level's period.
    level
        As published.
    spec
        How the series enters.
    """
    if spec.frequency in ("W", "D"):
        if spec.frequency == "W":
            day = day + (3 - _weekday(day)).astype("timedelta64[D]")
        number, level = _monthly_mean(_month(day), level, spec.frequency)
    else:
        number = _month(day)
        if spec.frequency == "Q":
            number = number - number % 3 + 2
        if len(np.unique(number)) < len(number):
            raise UsageError(
                f"series {spec.name!r} has several values in one period of frequency {spec.frequency}.",
                remedy="Correct the frequency in its specification.",
            )
    if not len(number):
        return number, level
    step = 3 if spec.frequency == "Q" else 1
    every: Ints = np.arange(int(number.min()), int(number.max()) + 1, step)
    full = np.full(len(every), np.nan)
    full[(number - every[0]) // step] = level
    return every, _apply(full, spec.transform, per_year=12 // step)


def _month(day: NDArray[np.datetime64]) -> Ints:
    """Return ``12 * year + month - 1``."""
    return day.astype("datetime64[M]").astype(np.int64) + 12 * 1970


def _weekday(day: NDArray[np.datetime64]) -> Ints:
    """Return 0 for a Monday to 6 for a Sunday; the first day of 1970 was a Thursday."""
    return (day.astype("datetime64[D]").astype(np.int64) + 3) % 7


def _worked(days: Ints, known: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Return the days that are no unknown days of rest, and the number of weekdays that are none of rest at all."""
    weekday = _weekday(days.astype("datetime64[D]"))
    count = np.bincount(weekday, minlength=7)
    rest = (count > 0) & (np.bincount(weekday, weights=known, minlength=7) <= _SELDOM * count)
    return known | ~rest[weekday], int(7 - rest.sum())


def _monthly_mean(number: Ints, value: Floats, frequency: str) -> tuple[Ints, Floats]:
    known = ~np.isnan(value)
    months, at = np.unique(number[known], return_inverse=True)
    count = np.bincount(at, minlength=len(months))
    mean = np.bincount(at, weights=value[known], minlength=len(months)) / np.maximum(count, 1)
    full = count >= _PARTIAL * np.array([_expected(int(m), frequency) for m in months])
    return months[full], mean[full]


def _expected(month: int, frequency: str) -> int:
    weekday, length = calendar.monthrange(month // 12, month % 12 + 1)
    if frequency == "D":
        return length
    first_thursday = (3 - weekday) % 7
    return len(range(first_thursday, length, 7))


def _apply(x: Floats, transform: Transform, *, per_year: int) -> Floats:
    if transform == "lin":
        return x
    if transform == "chg":
        return x - _before(x, 1)
    if transform == "ch1":
        return x - _before(x, per_year)
    positive = np.where(x > 0, x, np.nan)
    if transform == "log":
        return np.asarray(100.0 * np.log(positive))
    if transform == "pch":
        return 100.0 * (positive / _before(positive, 1) - 1.0)
    if transform == "pc1":
        return 100.0 * (positive / _before(positive, per_year) - 1.0)
    return np.asarray(100.0 * ((positive / _before(positive, 1)) ** per_year - 1.0))


def _before(x: Floats, steps: int) -> Floats:
    out = np.full(len(x), np.nan)
    out[steps:] = x[: len(x) - steps] if steps < len(x) else np.nan
    return out
