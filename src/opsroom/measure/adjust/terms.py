"""From dates, calendar and weather to the columns of a regression."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.measure.adjust.days import OFF
from opsroom.measure.adjust.feasts import Moments, feast_terms

Matrix = npt.NDArray[np.float64]
Block = npt.NDArray[np.float64] | npt.NDArray[np.bool_]

HARMONICS = 12
"""Highest annual frequency: half a wave of two weeks."""

YEAR = 365.25
YEAR_END = [(12, day) for day in range(23, 32)] + [(1, day) for day in range(1, 16)]
LAGS = (1, 2, 3)
STEP_PENALTY = 10.0
"""Variance of a day's error over that of a month's step of a local trend."""

RAMP = 30
"""Days over which a local trend may bend once."""

DEGREES = ("mean", "min", "max", "next_min", "around")
"""Columns of the weather in degrees Celsius; any other is weather of another kind."""


@dataclass(frozen=True, slots=True)
class Detail:
    """How finely a design resolves what it describes.

    Attributes
    ----------
    harmonics
        Highest annual frequency.
    weekdays_by_season
        Whether every weekday has a season of its own, not the weekend alone.
    by_name
        Whether every holiday has an effect of its own, and the days around the turn of the year.
    degrees
        Columns of the weather used.
    lags
        Days back that temperature acts.
    """

    harmonics: int = HARMONICS
    weekdays_by_season: bool = True
    by_name: bool = True
    degrees: tuple[str, ...] = DEGREES
    lags: tuple[int, ...] = LAGS


FULL = Detail()
"""For totals and classes: about 190 terms."""

LEAN = Detail(harmonics=4, weekdays_by_season=False, by_name=False, degrees=("around",), lags=(1,))
"""For single companies, whose noise hides the rest: about 60 terms."""


@dataclass(frozen=True, slots=True)
class DayDesign:
    """The design of a daily regression: what it was told when it was made, so that new days fit in.

    Make it with `learn` on the days regarded as normal, then call `matrix` for any days.
    """

    start: pd.Timestamp
    end: pd.Timestamp
    holidays: tuple[str, ...]
    knots: dict[str, tuple[float, ...]]
    comfort: tuple[float, float] | None
    trend: str = "flat"
    """``linear``: a straight line that goes on; ``flat``: a line that stops a year before the last
    normal day; ``local``: one that may bend every month and stops at the last normal day; ``none``: one level."""

    feasts: Mapping[str, Moments] = field(default_factory=dict)
    """First days of the moving feasts that are kept, days since 1970."""

    limits: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Coldest and hottest seen of each column: beyond them the response saturates."""

    others: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Mean and standard deviation of weather other than temperature."""

    detail: Detail = FULL

    @classmethod
    def learn(
        cls,
        calendar: pd.DataFrame,
        weather: pd.DataFrame | None = None,
        *,
        trend: str = "flat",
        feasts: Mapping[str, Moments] | None = None,
        detail: Detail = FULL,
    ) -> DayDesign:
        """Choose knots and holidays from the normal days.

        Parameters
        ----------
        calendar
            Index date, columns ``kind`` and ``name``, as from `calendar_days`.
        weather
            Index date, columns among ``mean``, ``min``, ``max``, ``next_min``, ``around``
            (see `weather_days`), degrees Celsius; any other column is other weather.
        trend
            ``linear``, ``flat``, ``local`` or ``none``.
        feasts
            First days of moving feasts, as from `opsroom.measure.adjust.feasts.feasts_of`.
        detail
            `FULL` for totals and classes, `LEAN` for single companies.
        """
        days = pd.DatetimeIndex(calendar.index)
        names = tuple(sorted({name for name in calendar["name"] if name}))
        knots: dict[str, tuple[float, ...]] = {}
        limits: dict[str, tuple[float, float]] = {}
        others: dict[str, tuple[float, float]] = {}
        comfort: tuple[float, float] | None = None
        if weather is not None:
            for column in map(str, weather.columns):
                values = weather[column].dropna().to_numpy()
                if column in DEGREES and column not in {*detail.degrees, "around"}:
                    continue
                if column not in DEGREES:
                    others[column] = (float(values.mean()), float(values.std()) or 1.0)
                    continue
                at = np.quantile(values, np.linspace(0.03, 0.97, 8))
                knots[column] = tuple(np.unique(np.round(at, 1)))
                limits[column] = (float(values.min()), float(values.max()))
            low, high = np.quantile(weather["around"].dropna(), (0.35, 0.65))
            comfort = (float(low), float(high))
        return cls(days.min(), days.max(), names, knots, comfort, trend, dict(feasts or {}), limits, others, detail)

    def matrix(self, calendar: pd.DataFrame, weather: pd.DataFrame | None = None) -> tuple[Matrix, Matrix]:
        """Return the design (days, terms) and the penalty of each term.

        Rows where the weather is unknown hold NaN.
        """
        days = pd.DatetimeIndex(calendar.index)
        made = _Columns(len(days))
        made.add(np.ones(len(days)), 0.0)
        self._trend(days, made.add)
        self._calendar(days, calendar, made.add)
        if weather is not None and self.comfort is not None:
            self._weather(days, calendar, weather, made.add)
        return made.whole()

    def trend_columns(self, days: pd.DatetimeIndex) -> tuple[Matrix, Matrix]:
        """Return the columns of the trend alone, and their penalties; they stand after the constant."""
        made = _Columns(len(days))
        self._trend(days, made.add)
        return made.whole()

    @property
    def trend_terms(self) -> slice:
        """Columns of the design that hold the trend."""
        count = {"linear": 1, "flat": 1, "local": len(self._ramps())}.get(self.trend, 0)
        return slice(1, 1 + count)

    def _ramps(self) -> range:
        """Return the days, counted from the last normal day, on which a local trend may bend."""
        return range(-((self.end - self.start).days // RAMP) * RAMP, 0, RAMP)

    def _trend(self, days: pd.DatetimeIndex, add: _Adder) -> None:
        years = (days - self.start).days.to_numpy() / YEAR
        last = (self.end - self.start).days / YEAR
        if self.trend == "linear":
            add(years, 1e-3)
        elif self.trend == "flat":
            add(np.minimum(years, max(last - 1, 0.0)), 1e-3)
        elif self.trend == "local":
            # Ramps that end where history does: a penalty on each is one on the level's steps, as in a random walk.
            since_end = (days - self.end).days.to_numpy()
            if len(self._ramps()):
                ramps = [np.clip((since_end - low) / RAMP, 0, 1) for low in self._ramps()]
                add(np.column_stack(ramps), STEP_PENALTY)

    def _calendar(self, days: pd.DatetimeIndex, calendar: pd.DataFrame, add: _Adder) -> None:
        weekday = days.day_of_week.to_numpy()
        angle = 2 * np.pi * days.day_of_year.to_numpy() / YEAR
        add(np.column_stack([weekday == day for day in range(1, 7)]), 1e-3)
        for k in range(1, self.detail.harmonics + 1):
            wave = np.column_stack([np.cos(k * angle), np.sin(k * angle)])
            add(wave, 3e-3 * k**4)
            if k <= 2:
                for other in range(1, 7) if self.detail.weekdays_by_season else (5, 6):
                    add(wave * (weekday == other)[:, None], 3.0 if other >= 5 else 10.0)
        kind = calendar["kind"].to_numpy()
        holiday = np.isin(kind, ("public_holiday", "new_year_holiday"))
        week = weekday < 5
        for block, weight in (
            (holiday & week, 0.3),
            (holiday & (weekday == 5), 0.5),
            (holiday & (weekday == 6), 0.5),
            (kind == "bridge", 1.5),
            (~holiday & np.append(holiday[1:], [False]) & week, 1.5),
            (~holiday & np.append([False], holiday[:-1]) & week, 1.5),
        ):
            add(block, weight)
        for name, first_days in self.feasts.items():
            add(feast_terms(name, first_days, days), 5.0)
        month, day = days.month.to_numpy(), days.day.to_numpy()
        if self.detail.by_name:
            names = calendar["name"].to_numpy()
            for holiday_name in self.holidays:
                add(names == holiday_name, 5.0)
            for m, d in YEAR_END:
                add((month == m) & (day == d), 5.0)
        # Who is closed between the years is not closed once more at the weekend.
        between = ((month == 12) & (day >= 24)) | ((month == 1) & (day <= 4))
        add(between & (weekday < 5), 1.0)
        add(np.column_stack([between & (weekday == weekend) for weekend in (5, 6)]), 1.0)

    def _weather(self, days: pd.DatetimeIndex, calendar: pd.DataFrame, weather: pd.DataFrame, add: _Adder) -> None:
        assert self.comfort is not None
        weather = weather.assign(**{c: weather[c].clip(*limits) for c, limits in self.limits.items()})
        for column, knots in self.knots.items():
            add(_hinges(weather[column].to_numpy(), knots), _hinge_penalty(len(knots)))
        for lag in self.detail.lags:
            earlier = weather["around"].shift(lag).bfill(limit=lag).to_numpy()
            knots = self.knots["around"][:: 1 if lag == 1 else 2]
            add(_hinges(earlier, knots), _hinge_penalty(len(knots)))
        low, high = self.comfort
        around = weather["around"]
        hot, cold = (around - high).clip(lower=0) / 5, (low - around).clip(lower=0) / 5
        off = np.isin(calendar["kind"].to_numpy(), OFF)
        add(np.column_stack([hot * off, cold * off]), 3.0)
        lags = [lag for lag in self.detail.lags if lag <= 2]
        if lags:
            add(np.column_stack([hot * hot.shift(lag).bfill(limit=lag) for lag in lags]), 1.0)
        angle = 2 * np.pi * days.day_of_year.to_numpy() / YEAR
        mean = around.to_numpy() / 10
        add(np.column_stack([np.cos(angle) * mean, np.sin(angle) * mean]), 1.0)
        years = (days - self.start).days.to_numpy() / YEAR
        for column, (centre, scale) in self.others.items():
            z = ((weather[column] - centre) / scale).to_numpy()
            bend = np.maximum(z, 0)
            add(np.column_stack([z, bend, z * np.cos(angle), z * np.sin(angle), z * years / 2]), (0.1, 1, 1, 1, 1))


def _hinges(values: npt.NDArray[np.float64], knots: tuple[float, ...]) -> Matrix:
    """Return a linear term and one hinge a knot, in units of 5 degrees."""
    return np.column_stack([values / 5, *(np.maximum(values - knot, 0) / 5 for knot in knots)])


def _hinge_penalty(knots: int) -> Matrix:
    """Penalise bends, not the slope."""
    return np.concatenate([[1e-2], np.full(knots, 0.3)])


def weather_days(temperature: pd.Series | pd.DataFrame, dates: pd.DatetimeIndex) -> pd.DataFrame:
    """Return daily mean, extremes and the temperature around each day.

    Parameters
    ----------
    temperature
        Degrees Celsius, daily or finer, index of dates or times. A frame has two columns whose names contain
        ``min`` and ``max``, or its first column is the temperature. Further columns are weather of another kind
        (sunshine, rain, wind), in any unit, of which the daily mean is taken.
    dates
        The days wanted.

    Returns
    -------
    pandas.DataFrame
        ``mean``, ``around`` and, where extremes are known, ``min``, ``max`` and ``next_min``, the next
        morning's minimum, which tells whether the evening was warm (the day's own minimum where it is
        not yet known). Gaps of up to three days are interpolated.
    """
    frame = temperature.to_frame("mean") if isinstance(temperature, pd.Series) else temperature
    index = pd.DatetimeIndex(frame.index)
    frame = frame.set_axis(index.tz_localize(None) if index.tz is not None else index)
    day = pd.DatetimeIndex(frame.index).normalize()
    low = [c for c in frame.columns if "min" in str(c).lower()]
    high = [c for c in frame.columns if "max" in str(c).lower()]
    if low and high:
        by_day = frame.groupby(day)
        out = pd.DataFrame({"min": by_day[low[0]].min(), "max": by_day[high[0]].max()})
        out.insert(0, "mean", (out["min"] + out["max"]) / 2)
    else:
        grouped = frame.iloc[:, 0].groupby(day)
        out = pd.DataFrame({"mean": grouped.mean()})
        if len(frame) > 4 * len(out):
            out["min"], out["max"] = grouped.min(), grouped.max()
    used = {low[0], high[0]} if low and high else {frame.columns[0]}
    for column in frame.columns:
        if column not in used:
            out[f"{column}" if str(column) not in DEGREES else f"{column}_"] = frame[column].groupby(day).mean()
    out = out.astype(float).reindex(dates).interpolate(limit=3, limit_area="inside")
    if "min" in out:
        out["next_min"] = out["min"].shift(-1).fillna(out["min"])
        out["around"] = (out["min"] + out["max"] + out["next_min"]) / 3
    else:
        out["around"] = out["mean"]
    return out


class _Columns:
    """Blocks of columns with their penalties, put together at the end."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.blocks: list[Matrix] = [np.empty((rows, 0))]
        self.penalties: list[Matrix] = [np.empty(0)]

    def add(self, block: Block, weight: float | tuple[float, ...] | Matrix) -> None:
        """Add a block, with one penalty for all its columns or one each."""
        made = block.reshape(self.rows, -1).astype(float)
        self.blocks.append(made)
        self.penalties.append(np.broadcast_to(np.asarray(weight, dtype=float), (made.shape[1],)))

    def whole(self) -> tuple[Matrix, Matrix]:
        """Return all columns and all penalties."""
        return np.hstack(self.blocks), np.concatenate(self.penalties)


class _Adder(Protocol):
    """Type of the callback that takes a block of columns with its penalty."""

    def __call__(self, block: Block, weight: float | tuple[float, ...] | Matrix) -> None: ...  # pragma: no cover
