"""Goods, people, capital and data on one base date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.flows.lunar import by_month, new_years, on_earlier_years
from opsroom.measure.flows.normal import Normal, fit_normal
from opsroom.measure.flows.recovery import STAY, THRESHOLD, Resilience, resilience
from opsroom.measure.flows.result import FlowsResult
from opsroom.measure.known import known

Kind = Literal["goods", "people", "capital", "data"]
KINDS: tuple[Kind, ...] = ("goods", "people", "capital", "data")
_BASE_EFFECT = 2.0
_NOISE = 2.0
_LEVEL = 0.9


@dataclass(frozen=True, slots=True)
class Flow:
    """One series and what flows in it.

    Attributes
    ----------
    name
        Its code in the panel.
    kind
        ``"goods"``, ``"people"``, ``"capital"`` or ``"data"``.
    frequency
        ``"D"`` or ``"W"`` (a week is given by any of its days).
    lag_days
        Days from the end of a day or week to its first release; used where the panel does not tell.
    title
        Name for readers; the code where empty.
    """

    name: str
    kind: Kind
    frequency: Literal["D", "W"] = "W"
    lag_days: int = 0
    title: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.frequency not in ("D", "W"):
            raise UsageError(
                f"flow {self.name!r}: kind or frequency is not one that is offered.",
                remedy="Use goods, people, capital or data; D or W.",
            )


def flows(
    panel: pd.DataFrame,
    *,
    of: Sequence[Flow],
    shock: dt.date,
    as_of: dt.date,
    base: tuple[dt.date, dt.date] | None = None,
    country: str | None = None,
    new_year: Mapping[int, dt.date] | None = None,
    years: int = 3,
    threshold: float = THRESHOLD,
) -> FlowsResult:
    """Put the flows of an economy on one base and measure how they took a shock.

    It answers: which flows broke, how deep, for how long, and which are back?

    Parameters
    ----------
    panel
        ``series``, ``period`` (a day), ``value`` and, where vintages are kept, ``known_at``.
    of
        One `Flow` a series.
    shock
        Its first day. Normal is learnt from what came before, and gaps are measured from it on.
    as_of
        The day. What became known later is not looked at.
    base
        Days whose mean is 100 in the index of each flow. None: the 52 weeks before the shock.
    country
        ISO 3166 code; if it keeps a lunar New Year, years are compared by lunar day.
    new_year
        Year → lunar New Year's Day, instead of `country`.
    years
        With how many earlier years to compare.
    threshold
        Gaps smaller than this, in per cent, are ordinary; so are those within twice a flow's own noise.

    Returns
    -------
    FlowsResult

    Raises
    ------
    FitError
        No flow is known on the day, or one has too short a history.

    Notes
    -----
    See `fit_normal` for what is normal, `resilience` for the measures, `counterpart` for years. What fails most often:
    a flow has its own reasons (a new undersea cable, a tariff) and the normal path takes them for none.
    """
    names = [one.name for one in of]
    if not names or len(set(names)) < len(names):
        raise UsageError("no flow is named, or one twice.", remedy="Give one Flow a series.")
    rows, basis = known(panel, of=of, as_of=as_of)
    by_day = {str(name): _daily(own) for name, own in rows.groupby("series", sort=False)}
    moving = _moving(country, new_year, by_day)
    span = base or (shock - dt.timedelta(weeks=52), shock - dt.timedelta(days=1))
    weekly: dict[str, pd.DataFrame] = {}
    monthly: dict[str, pd.DataFrame] = {}
    measured: dict[str, Resilience | None] = {}
    notes: list[str] = []
    for one in of:
        daily = by_day.get(one.name)
        if daily is None:
            notes.append(one.name)
            continue
        frame, normal = _weekly(daily, shock, moving, span, years)
        weekly[one.name], monthly[one.name] = frame, _with_gap(by_month(daily, moving), frame)
        measured[one.name] = _measured(frame, normal, shock, threshold)
    if not weekly:
        raise FitError("no flow is known on the day.", code="OPS-M136", remedy="Choose a later day.")
    return FlowsResult(
        frame=pd.concat(weekly, names=["flow", "week"]), monthly=pd.concat(monthly, names=["flow", "month"]),
        measured=measured, flows={one.name: one for one in of}, absent=tuple(notes), shock=shock, as_of=as_of,
        base=span, threshold=threshold, stay=STAY, by_vintage=basis == "vintages", lunar=bool(moving),
    )  # fmt: skip


def _daily(rows: pd.DataFrame) -> pd.Series:
    """Return a flow by day: a week's value holds for each of its days."""
    series = rows.set_index("start")["value"]
    weekly = rows["start"] < rows["end"]
    if weekly.any():
        series = series.reindex(pd.date_range(series.index[0], rows["end"].max()))
        return series.ffill(limit=6).rename_axis("day")
    return series.asfreq("D").rename_axis("day")


def _moving(
    country: str | None, new_year: Mapping[int, dt.date] | None, known: Mapping[str, pd.Series]
) -> dict[int, dt.date]:
    if new_year is not None:
        return dict(new_year)
    if country is None or not known:
        return {}
    first = min(int(s.index[0].year) for s in known.values())
    last = max(int(s.index[-1].year) for s in known.values())
    return new_years(country, range(first - 1, last + 1))


def _weekly(
    daily: pd.Series, shock: dt.date, moving: Mapping[int, dt.date], base: tuple[dt.date, dt.date], years: int
) -> tuple[pd.DataFrame, Normal]:
    """Return the table of one flow by week, complete weeks only."""
    days = pd.DatetimeIndex(daily.index)
    start = days - pd.to_timedelta(days.day_of_week, unit="D")
    grouped = daily.groupby(start)
    weekly = grouped.mean()[grouped.count() == 7]
    whole = weekly.asfreq("7D").interpolate(limit_area="inside")
    normal = fit_normal(whole, until=pd.Timestamp(shock), moving=moving)
    inside = daily[str(base[0]) : str(base[1])]
    if inside.notna().sum() == 0:
        raise UsageError("a flow has no value in the base.", remedy="Choose another base.")
    half = np.quantile(np.abs(normal.errors), _LEVEL, axis=0)
    sundays = pd.DatetimeIndex(whole.index) + pd.Timedelta(days=6)
    compared = on_earlier_years(daily, years=years, moving=moving, at=sundays)
    frame = pd.DataFrame(
        {
            "value": whole, "index": 100 * whole / inside.mean(), "expected": normal.expected,
            "gap": _per_cent(normal.gap), "lower": _per_cent(normal.gap - half), "upper": _per_cent(normal.gap + half),
        }
    )  # fmt: skip
    for column in compared.columns:
        frame[column] = compared[column].to_numpy()
    # a year before, the flow itself was out of its ordinary range
    usual = _BASE_EFFECT * normal.spread
    year_before = pd.DatetimeIndex(whole.index) - pd.Timedelta(weeks=52)
    earlier = pd.Series(normal.gap, index=whole.index).reindex(year_before)
    after = np.asarray(year_before + pd.Timedelta(days=6) >= pd.Timestamp(shock))
    frame["base_effect"] = after & (earlier.abs().to_numpy() > usual)
    frame["filled"] = ~whole.index.isin(weekly.index)
    return frame.rename_axis("week"), normal


def _with_gap(monthly: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Put the mean gap of the weeks whose Thursday lies in a row's months beside its growth rate."""
    thursday = pd.DatetimeIndex(frame.index) + pd.Timedelta(days=3)
    number = thursday.year.to_numpy() * 12 + thursday.month.to_numpy()
    labels = pd.PeriodIndex(monthly.index)
    last = labels.year.to_numpy() * 12 + labels.month.to_numpy()
    gap = frame["gap"].to_numpy(np.float64)
    means = [
        float(gap[(number > end - months) & (number <= end)].mean())
        for end, months in zip(last, monthly["months"].to_numpy(np.int64), strict=True)
    ]
    return monthly.assign(gap=means)


def _measured(frame: pd.DataFrame, normal: Normal, shock: dt.date, threshold: float) -> Resilience | None:
    weeks = pd.DatetimeIndex(frame.index)
    since = np.flatnonzero(weeks + pd.Timedelta(days=6) >= pd.Timestamp(shock))
    if not len(since):
        return None
    gap = _per_cent(normal.gap)
    moved = gap - _per_cent(normal.gap - normal.errors)
    # what is ordinary depends on how noisy the flow is
    return resilience(gap, since=int(since[0]), errors=moved, threshold=max(threshold, _NOISE * normal.spread))


def _per_cent(log_points: np.ndarray) -> np.ndarray:
    return np.asarray(100.0 * np.expm1(log_points / 100.0))
