"""Load into tables of days, weeks or hours of the day; normals back into frames by moment."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.activity_fit import LEVEL, Normal

Spans = tuple[tuple[pd.Timestamp, pd.Timestamp], ...]

COLUMNS = ["observed", "expected", "gap", "lower", "upper"]
HOURS = 24
WEEK = 7
DAY = pd.Timedelta(days=1)


def frame_of(load: pd.Series | pd.DataFrame) -> pd.DataFrame:
    """Return load as a frame with names as text and local times without a zone."""
    frame = load.to_frame(str(load.name or "load")) if isinstance(load, pd.Series) else load
    index = pd.DatetimeIndex(frame.index)
    frame = frame.set_axis(index.tz_localize(None) if index.tz is not None else index).astype(float)
    frame.columns = [str(c) for c in frame.columns]
    if (frame <= 0).any(axis=None):
        raise FitError("load is not positive on some days.", remedy="Leave out such days or series.")
    return frame.sort_index()


def step_of(frame: pd.DataFrame) -> str:
    """Return ``h``, ``D`` or ``W``: how far apart readings mostly are."""
    index = pd.DatetimeIndex(frame.index)
    if len(index) < 2:
        raise FitError("load has fewer than two readings.", remedy="Give a longer series.")
    usual = pd.Series(index).diff().median()
    return "h" if usual <= pd.Timedelta(hours=2) else "D" if usual < pd.Timedelta(days=5) else "W"


def daily_means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return daily means without gaps; days with under nine tenths of their readings are missing."""
    grouped = frame.groupby(pd.DatetimeIndex(frame.index).normalize())
    mean, count = grouped.mean(), grouped.count()
    out = mean.where(count >= 0.9 * count.median()).asfreq("D")
    out.index.name = "date"
    return out


def weekly_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return weekly load by its Monday, whatever day of the week it is dated by."""
    index = pd.DatetimeIndex(frame.index).normalize()
    by = frame.groupby(index - pd.to_timedelta(index.day_of_week, unit="D")).mean()
    out = by.asfreq("7D")
    out.index.name = "date"
    return out


def hourly_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one column a series and hour of the day, one row a day, named ``series|hour``."""
    index = pd.DatetimeIndex(frame.index)
    hour, pieces = index.hour, []
    for code in range(HOURS):
        own = frame[hour == code]
        # The hour that comes twice when clocks go back counts once.
        one = own.groupby(pd.DatetimeIndex(own.index).normalize()).mean()
        pieces.append(one.add_suffix(f"|{code:02d}"))
    out = pd.concat(pieces, axis=1).sort_index().asfreq("D")
    out.index.name = "date"
    return out


def known_by(frame: pd.DataFrame, as_of: pd.Timestamp | None, spans: Spans) -> pd.DataFrame:
    """Return the rows up to a day, and those of spans that are named as normal after it."""
    if as_of is None:
        return frame
    index = pd.DatetimeIndex(frame.index)
    day = (index.tz_localize(None) if index.tz is not None else index).normalize()
    keep = np.asarray(day <= as_of)
    for start, end in spans:
        keep |= np.asarray((day >= start) & (day <= end))
    return frame[keep]


def spans_of(train: Sequence[tuple[object, object]] | None, days: pd.DatetimeIndex) -> Spans:
    """Return the normal spans: as given, else all but the last year where two years remain, else all."""
    if train is None:
        first, last = days.min().normalize(), days.max().normalize()
        cut = last - pd.Timedelta(days=365)
        return ((first, cut if (cut - first).days >= 730 else last),)
    spans = tuple((pd.Timestamp(str(start)), pd.Timestamp(str(end))) for start, end in train)
    if not spans or any(end < start for start, end in spans):
        raise UsageError("a normal span ends before it starts.", remedy="Give (start, end) pairs.")
    return spans


def by_row(normal: Normal) -> pd.DataFrame:
    """Return observed, expected and gap of every column, by ``series`` and ``date``."""
    pieces = {}
    for name in normal.observed.columns:
        observed, centre = normal.observed[name], normal.log_expected[name]
        log_gap, half = np.log(observed) - centre, normal.half_width[name]
        pieces[name] = pd.DataFrame(
            {
                "observed": observed, "expected": np.exp(centre), "gap": 100 * np.expm1(log_gap),
                "lower": 100 * np.expm1(log_gap - half), "upper": 100 * np.expm1(log_gap + half),
            }
        )  # fmt: skip
    return pd.concat(pieces, names=["series", "date"])[COLUMNS]


def by_week(normal: Normal) -> pd.DataFrame:
    """Return complete weeks of a daily normal, dated by their Monday."""
    days = pd.DatetimeIndex(normal.observed.index).to_numpy("datetime64[D]").astype(np.int64)
    monday = days - (days + 3) % 7  # the first day of 1970 was a Thursday
    pieces = {}
    for name in normal.observed.columns:
        daily = np.stack(
            [normal.observed[name].to_numpy(), normal.log_expected[name].to_numpy(), normal.half_width[name].to_numpy()]
        )
        known = ~np.isnan(daily).any(axis=0)
        weeks, at, count = np.unique(monday[known], return_inverse=True, return_counts=True)
        observed, centre, half = daily[:, known]
        sums = [np.bincount(at, weights=part, minlength=len(weeks)) for part in (observed, np.exp(centre), half)]
        mean = np.stack(sums)[:, count == WEEK] / WEEK
        log_gap = np.log(mean[0] / mean[1])
        width = mean[2] * span_ratio(normal.errors[normal.errors["series"] == name], WEEK)
        pieces[name] = pd.DataFrame(
            {
                "observed": mean[0], "expected": mean[1], "gap": 100 * np.expm1(log_gap),
                "lower": 100 * np.expm1(log_gap - width), "upper": 100 * np.expm1(log_gap + width),
            },
            index=pd.DatetimeIndex(weeks[count == WEEK].astype("datetime64[D]")).as_unit("us"),
        )  # fmt: skip
    return pd.concat(pieces, names=["series", "date"])[COLUMNS]


def by_hour(normal: Normal) -> Normal:
    """Return a normal of hours of the day as one of moments; fits and errors put together by series."""

    def long(table: pd.DataFrame) -> pd.DataFrame:
        by_series: dict[str, list[pd.Series]] = {}
        for column in map(str, table.columns):
            name, hour = column.rsplit("|", 1)
            one = table[column]
            moment = pd.DatetimeIndex(one.index) + pd.Timedelta(hours=int(hour))
            by_series.setdefault(name, []).append(one.set_axis(moment))
        return pd.DataFrame({name: pd.concat(own).sort_index() for name, own in by_series.items()}).rename_axis("date")

    errors = normal.errors.assign(hour=normal.errors["series"].str[-2:].astype(int))
    errors["series"] = errors["series"].str[:-3]
    fits = normal.fits.reset_index()
    fits["series"] = fits["series"].str[:-3]
    grouped = fits.groupby("series", sort=False)
    put = pd.DataFrame(
        {
            "trend": grouped["trend"].agg(lambda s: s.mode()[0]), "penalty": grouped["penalty"].median(),
            "days": grouped["days"].max(), "residual_sd": np.sqrt(grouped["residual_sd"].agg(lambda s: (s**2).mean())),
            "coverage": grouped["coverage"].mean(), "mix": grouped["mix"].first(),
            "next_day_sd": np.sqrt(grouped["next_day_sd"].agg(lambda s: (s**2).mean())),
            "weather": grouped["weather"].any(),
            "steps": grouped["steps"].agg(lambda s: ", ".join(sorted({d for one in s for d in one.split(", ") if d}))),
        }
    )  # fmt: skip
    names = list(dict.fromkeys(put.index))
    tables = [long(table)[names] for table in (normal.observed, normal.log_expected, normal.half_width)]
    return Normal(tables[0], tables[1], tables[2], put, errors)


def half_of(frame: pd.DataFrame) -> pd.Series:
    """Return half the width of each row's interval, log points."""
    return pd.Series(np.log1p(frame["upper"] / 100) - np.log1p(frame["gap"] / 100), index=frame.index)


def span_ratio(errors: pd.DataFrame, rows: int) -> float:
    """Return how much narrower the interval of a mean over so many rows is than that of one.

    Rows are those of the rehearsals; of hours, the days that so many hours fill.
    """
    single = float(errors["score"].abs().quantile(LEVEL)) if len(errors) else 0.0
    if "hour" in errors:
        if rows < HOURS:
            return 1.0
        errors = errors.groupby(["origin", "date"])["score"].mean().reset_index()
        rows = rows // HOURS
    elif rows <= 1:
        return 1.0
    means: list[npt.NDArray[np.float64]] = [
        np.convolve(group["score"].to_numpy(), np.full(rows, 1 / rows), mode="valid")
        for _, group in errors.groupby("origin")
        if len(group) >= rows
    ]
    if not means or single == 0:
        return 1.0
    return float(min(1.0, np.quantile(np.abs(np.concatenate(means)), LEVEL) / single))
