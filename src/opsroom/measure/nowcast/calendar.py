"""Vintages from a store of values with knowledge times, or cut from final data by learnt publication lags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.panel import base_values, monthly_values
from opsroom.measure.nowcast.spec import RULES, SeriesSpec
from opsroom.measure.nowcast.vintage import FineVintage, Vintage, as_fine, in_order

LEVELS = ("lin", "log", "ch1", "pc1")
"""Transforms of which a period's is the mean over its weeks or days; the others are growth on the period before. What
grew on a year is among them: a month's growth on a year is about the mean of its weeks' growth on a year."""


def first_seen(values: pd.DataFrame, specs: Sequence[SeriesSpec]) -> pd.DataFrame:
    """Return when each period of each series was first known: what `learn_lags` learns from.

    Parameters
    ----------
    values
        ``series, period, known_at, value``: whole vintages, or only what was new.
    specs
        Give the frequencies; other series are left out.
    """
    frequency = {spec.name: spec.frequency for spec in specs}
    frame = _checked(values)
    frame = frame[frame["series"].isin(list(frequency)) & frame["value"].notna()]
    found = frame.sort_values("known_at", kind="stable").drop_duplicates(["series", "period"])
    found = found.sort_values(["series", "period"], ignore_index=True)[["series", "period", "known_at"]]
    return found.assign(frequency=found["series"].map(frequency))


def vintage_lags(vintages: Mapping[Any, Vintage | FineVintage], *, before: object = None) -> dict[str, int]:
    """Learn the publication calendar from whole vintages: days from a period's end to the day on which it is known.

    Answers: when is each series usually published, as far as tables kept on some days can tell?

    Parameters
    ----------
    vintages
        Day → tables, as `backtest` takes them.
    before
        Only vintages of earlier days are looked at, so that a calendar looks at nothing that came later.

    Returns
    -------
    dict
        Series → days. Series to which no later vintage added a period are left out.

    Notes
    -----
    A period that is newer than all that earlier vintages had was published after the last of these, by the day of its
    own. Of the lags that are nearest to all these spans (in the sum of distances, none within a span) the
    longest is taken: by then it is known. On daily vintages that is the median, as `learn_lags` has it. What the first
    vintage that has a series holds tells nothing.
    """
    spans: dict[str, list[NDArray[np.int64]]] = {}
    seen: dict[str, np.int64] = {}
    last: int | None = None
    for stamp, vintage in in_order(vintages):
        if before is not None and stamp >= pd.Timestamp(str(before)):
            break
        day = int(np.datetime64(stamp, "D").astype(np.int64))
        for frequency, table in vintage.tables().items():
            ends = _ends(table, frequency).astype(np.int64)
            known = table.notna().to_numpy()
            for column, name in enumerate(map(str, table.columns)):
                now = ends[known[:, column]]
                if name in seen and last is not None:
                    age = now[now > seen[name]]
                    spans.setdefault(name, []).append(np.column_stack([last - age + 1, day - age]))
                if len(now):
                    seen[name] = max(seen.get(name, now.max()), now.max())
        last = day
    found = {name: np.concatenate(own) for name, own in spans.items()}
    return {name: _nearest(own) for name, own in sorted(found.items()) if len(own)}


def _nearest(spans: NDArray[np.int64]) -> int:
    """Return the longest lag with the least sum of distances to spans of days."""
    # Distances fall until as many spans have begun as have not ended: the minimum is at a span's end.
    candidates = np.unique(spans)
    away = np.maximum(spans[:, :1] - candidates, 0) + np.maximum(candidates - spans[:, 1:], 0)
    total = away.sum(axis=0)
    return int(candidates[np.flatnonzero(total == total.min())[-1]])


@overload
def vintages_from(
    values: pd.DataFrame, days: Iterable[object], specs: Sequence[SeriesSpec], *, base: Literal["M"] = "M"
) -> dict[pd.Timestamp, Vintage]: ...


@overload
def vintages_from(
    values: pd.DataFrame, days: Iterable[object], specs: Sequence[SeriesSpec], *, base: Literal["W", "D"]
) -> dict[pd.Timestamp, FineVintage]: ...


def vintages_from(
    values: pd.DataFrame, days: Iterable[object], specs: Sequence[SeriesSpec], *, base: Literal["M", "W", "D"] = "M"
) -> dict[pd.Timestamp, Vintage] | dict[pd.Timestamp, FineVintage]:
    """Return the transformed tables as they stood at the end of each day: what `backtest` takes.

    Parameters
    ----------
    values
        Every known value: ``series``, ``period`` (a day in the period), ``known_at`` (when it became known), ``value``
        (a level; NaN: withdrawn). Whole vintages, or only what was new.
    days
        The days wanted.
    specs
        Frequency and transform of each series. Series without one are left out; one of which nothing is known yet is an
        empty column.
    base
        ``"M"``: weekly and daily series become monthly means. ``"W"``: weekly series stay so, and daily ones become
        weekly means (of four known days at least). ``"D"``: both stay, and a series without values at weekends (or on
        other weekdays) grows from one working day to the next. The last two give `FineVintage`; a year is 52 weeks or
        364 days there, and levels are the series whose transform is one of `LEVELS`.

    Returns
    -------
    dict
        Day → (monthly, quarterly), or `FineVintage`.

    Raises
    ------
    UsageError
        A base that is not known, a missing column, two values of one period at one time, or a day on which nothing is
        known.
    """
    if base not in ("M", "W", "D"):
        raise UsageError(f"base={base!r} is not known.", remedy="Use 'M', 'W' or 'D'.")
    frame = _checked(values)
    frame = frame[frame["series"].isin([spec.name for spec in specs])].sort_values("known_at", kind="stable")
    if frame.duplicated(["series", "period", "known_at"]).any():
        raise UsageError("two values of one period became known at one time.", remedy="Keep the one that holds.")
    out: dict[pd.Timestamp, Any] = {}
    moments = frame["known_at"].to_numpy()
    for day in sorted({pd.Timestamp(str(d)).normalize() for d in days}):
        known = frame.iloc[: int(np.searchsorted(moments, np.datetime64(day + pd.Timedelta(days=1)), side="left"))]
        newest = known.drop_duplicates(["series", "period"], keep="last").dropna(subset=["value"])
        if newest.empty:
            raise UsageError(f"nothing was known on {day.date()}.", remedy="Ask for later days.")
        groups = {str(name): own for name, own in newest.groupby("series")}
        if base == "M":
            out[day] = (_table(groups, specs, "M"), _table(groups, specs, "Q"))
        else:
            out[day] = _fine(groups, specs, base)
    return out


@overload
def pseudo_vintages(
    latest: Vintage, lags: Mapping[str, int], days: Iterable[object]
) -> dict[pd.Timestamp, Vintage]: ...


@overload
def pseudo_vintages(
    latest: FineVintage, lags: Mapping[str, int], days: Iterable[object]
) -> dict[pd.Timestamp, FineVintage]: ...


def pseudo_vintages(
    latest: Vintage | FineVintage, lags: Mapping[str, int], days: Iterable[object]
) -> dict[pd.Timestamp, Vintage] | dict[pd.Timestamp, FineVintage]:
    """Cut final data to what would have been published by each day: pseudo real time, where no vintages are kept.

    Parameters
    ----------
    latest
        (monthly, quarterly) tables, transformed; or a `FineVintage`.
    lags
        Series → days from a period's end to its first release, such as `learn_lags` and `vintage_lags` learn.
    days
        The days wanted.

    Returns
    -------
    dict
        Day → (monthly, quarterly), or `FineVintage`. Values are the final ones: revisions are not in them, and a model
        looks better on them than it would have been.

    Raises
    ------
    UsageError
        A series without lag.
    """
    given = as_fine(latest)
    tables = given.tables()
    absent = [str(name) for table in tables.values() for name in table if str(name) not in lags]
    if absent:
        raise UsageError(f"no lag is known of {', '.join(absent)}.", remedy="Add it to the lags, in days.")
    ends = {frequency: _ends(table, frequency) for frequency, table in tables.items()}
    out: dict[pd.Timestamp, Any] = {}
    for day in sorted({pd.Timestamp(str(d)).normalize() for d in days}):
        cut: dict[str, pd.DataFrame] = {}
        for frequency, table in tables.items():
            late = np.array([lags[str(name)] for name in table], dtype="timedelta64[D]")
            end = ends[frequency]
            known = end[:, None] + late[None, :] <= np.datetime64(day, "D")
            shown = table.where(known)
            cut[frequency] = shown[known.any(axis=1)] if len(late) else shown[end <= np.datetime64(day, "D")]
        fine = FineVintage(cut.get("M"), cut["Q"], cut.get("W"), cut.get("D"), given.levels)
        out[day] = fine if isinstance(latest, FineVintage) else (cut["M"], cut["Q"])
    return out


def _ends(table: pd.DataFrame, frequency: str) -> NDArray[np.datetime64]:
    index = table.index
    if isinstance(index, pd.DatetimeIndex):
        index = index.to_period(RULES[frequency])
    if not isinstance(index, pd.PeriodIndex):
        raise UsageError("the tables' rows are no periods.", remedy="Give them a PeriodIndex.")
    return index.end_time.to_numpy().astype("datetime64[D]")


def _checked(values: pd.DataFrame) -> pd.DataFrame:
    absent = [name for name in ("series", "period", "known_at", "value") if name not in values]
    if absent:
        raise UsageError(
            f"the values lack the column(s) {', '.join(absent)}.", remedy="Give series, period, known_at and value."
        )
    return pd.DataFrame(
        {
            "series": values["series"].astype(str).to_numpy(object),
            "period": pd.to_datetime(values["period"]).to_numpy(),
            "known_at": pd.to_datetime(values["known_at"], utc=True).dt.tz_localize(None).to_numpy(),
            "value": values["value"].to_numpy(np.float64),
        }
    )


def _table(groups: Mapping[str, pd.DataFrame], specs: Sequence[SeriesSpec], frequency: str) -> pd.DataFrame:
    """Return the monthly or quarterly series of one vintage, transformed, on one index of periods."""
    columns = {}
    for spec in specs:
        if (spec.frequency == "Q") == (frequency == "Q"):
            series = monthly_values(groups[spec.name], spec) if spec.name in groups else pd.Series(dtype=float)
            columns[spec.name] = series.dropna()
    known = [series for series in columns.values() if len(series)]
    step = 3 if frequency == "Q" else 1
    if known:
        first, last = min(int(s.index.min()) for s in known), max(int(s.index.max()) for s in known)
        rows = pd.RangeIndex(first, last + 1, step)
    else:
        rows = pd.RangeIndex(0)
    table = pd.DataFrame({name: series.reindex(rows) for name, series in columns.items()}, index=rows)
    # Months are counted from year 0 here, from 1970 in NumPy.
    months = (np.asarray(rows, dtype=np.int64) - 12 * 1970).astype("datetime64[M]").astype("datetime64[s]")
    return table.set_axis(pd.DatetimeIndex(months).to_period(frequency), axis=0)


def _fine(groups: Mapping[str, pd.DataFrame], specs: Sequence[SeriesSpec], base: Literal["W", "D"]) -> FineVintage:
    """Return one vintage on weeks or days: months and quarters as they are, the rest at their own frequency."""
    slow = [spec for spec in specs if spec.frequency in ("M", "Q")]
    fast: dict[str, dict[str, pd.Series]] = {"W": {}, "D": {}}
    for spec in specs:
        if spec.frequency in ("W", "D"):
            own: Literal["W", "D"] = "W" if base == "W" else spec.frequency
            group = groups.get(spec.name)
            index = pd.PeriodIndex([], freq=RULES[own])
            fast[own][spec.name] = (
                pd.Series(index=index, dtype=float) if group is None else base_values(group, spec, own)
            )
    levels = tuple(spec.name for spec in specs if spec.transform in LEVELS)
    weekly, daily = (pd.DataFrame(fast[f]) if fast[f] else None for f in ("W", "D"))
    return FineVintage(_table(groups, slow, "M"), _table(groups, slow, "Q"), weekly, daily, levels)
