"""From a long table of one vintage to the monthly grid that the model reads."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.known import as_long
from opsroom.measure.nowcast.spec import SeriesSpec, Settings, Transform, find_spec

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GROWTH = np.array([1.0, 2.0, 3.0, 2.0, 1.0]) / 3.0
"""Weights on the months t, t-1 … t-4 with which monthly growth makes a quarter's growth."""

LEVEL = np.array([1.0, 1.0, 1.0, 0.0, 0.0]) / 3.0
"""Weights with which a monthly level makes a quarter's average."""

COMMON = "common"
"""The block of all series."""

_PARTIAL = 0.5
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
    groups = {str(name): group for name, group in frame.groupby("series", sort=True)}
    goal = find_spec(specs, target)
    if target not in groups:
        raise FitError(
            f"the panel has no observations of the target {target!r}.",
            code="OPS-M101",
            remedy="Ingest the target's series or name another target.",
        )
    ordered = [replace(goal, frequency="Q", transform="pch")]
    ordered += [s for s in specs if s.name != target and s.name in groups]
    columns: list[tuple[SeriesSpec, pd.Series]] = []
    for spec in ordered:
        series = monthly_values(groups[spec.name], spec)
        if settings.start is not None:
            series = series[series.index >= 12 * settings.start]
        columns.append((spec, series[series.index <= last].dropna()))
    quarters = len(columns[0][1])
    if quarters < settings.min_quarters:
        raise FitError(
            f"the target {target!r} has {quarters} growth rates; {settings.min_quarters} are needed.",
            code="OPS-M102",
            remedy="Ingest a longer history of the target.",
        )
    usable = [columns[0], *((s, x) for s, x in columns[1:] if len(x) >= (24 if s.frequency != "Q" else 12))]
    if len(usable) < 2:
        raise FitError(
            "no indicator has enough history (24 months, or 12 quarters).",
            code="OPS-M103",
            remedy="Add monthly series to the panel and to the specifications.",
        )
    if max(int(x.index.max()) for _, x in usable[1:]) < today - 6:
        raise FitError(
            "no indicator has an observation of the last half year before the as-of day.",
            code="OPS-M104",
            remedy="Ingest newer data, or choose an earlier day.",
        )
    first = min(int(x.index.min()) for _, x in usable)
    values = np.full((last - first + 1, len(usable)), np.nan)
    for column, (_, x) in enumerate(usable):
        values[x.index.to_numpy(np.int64) - first, column] = x.to_numpy(np.float64)
    quarterly = np.array([s.frequency == "Q" for s, _ in usable])
    # A quarter's growth reaches four months back; the first two quarters of the grid cannot be explained.
    values[:4, quarterly] = np.nan
    return Panel(
        first_month=first,
        names=tuple(s.name for s, _ in usable),
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
    days = pd.DatetimeIndex(group["period"])
    value = group["value"].to_numpy(np.float64)
    if spec.frequency in ("W", "D"):
        if spec.frequency == "W":
            days = days - pd.to_timedelta(days.day_of_week, unit="D") + pd.Timedelta(days=3)
        levels = _monthly_mean(days, value, spec.frequency)
    else:
        number = np.asarray(12 * days.year + days.month - 1, dtype=np.int64)
        if spec.frequency == "Q":
            number = number - number % 3 + 2
        levels = pd.Series(value, index=number)
        if not levels.index.is_unique:
            raise UsageError(
                f"series {spec.name!r} has several values in one period of frequency {spec.frequency}.",
                remedy="Correct the frequency in its specification.",
            )
    step = 3 if spec.frequency == "Q" else 1
    full = levels.sort_index()
    full = full.reindex(range(int(full.index.min()), int(full.index.max()) + 1, step))
    return _apply(full, spec.transform, per_year=12 // step)


def _monthly_mean(days: pd.DatetimeIndex, value: Floats, frequency: str) -> pd.Series:
    number = np.asarray(12 * days.year + days.month - 1, dtype=np.int64)
    grouped = pd.Series(value).groupby(number)
    mean, count = grouped.mean(), grouped.count()
    expected = np.array([_expected(int(m), frequency) for m in mean.index])
    return mean[count.to_numpy() >= _PARTIAL * expected]


def _expected(month: int, frequency: str) -> int:
    weekday, length = calendar.monthrange(month // 12, month % 12 + 1)
    if frequency == "D":
        return length
    first_thursday = (3 - weekday) % 7
    return len(range(first_thursday, length, 7))


def _apply(x: pd.Series, transform: Transform, *, per_year: int) -> pd.Series:
    if transform == "lin":
        return x
    if transform == "chg":
        return x.diff()
    if transform == "ch1":
        return x.diff(per_year)
    positive = x.where(x > 0)
    if transform == "log":
        return 100.0 * pd.Series(np.log(positive.to_numpy(np.float64)), index=x.index)
    if transform == "pch":
        return 100.0 * (positive / positive.shift(1) - 1.0)
    if transform == "pc1":
        return 100.0 * (positive / positive.shift(per_year) - 1.0)
    return 100.0 * ((positive / positive.shift(1)) ** per_year - 1.0)
