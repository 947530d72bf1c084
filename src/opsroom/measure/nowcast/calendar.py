"""Vintages from a store of values with knowledge times, or cut from final data by learnt publication lags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.panel import monthly_values
from opsroom.measure.nowcast.spec import SeriesSpec

Vintage = tuple[pd.DataFrame, pd.DataFrame]


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


def vintages_from(
    values: pd.DataFrame, days: Iterable[object], specs: Sequence[SeriesSpec]
) -> dict[pd.Timestamp, Vintage]:
    """Return the transformed tables as they stood at the end of each day: what `backtest` takes.

    Parameters
    ----------
    values
        Every known value: ``series``, ``period`` (a day in the period), ``known_at`` (when it became known), ``value``
        (a level; NaN: withdrawn). Whole vintages, or only what was new.
    days
        The days wanted.
    specs
        Frequency and transform of each series; weekly and daily ones become monthly means. Series without one are left
        out; one of which nothing is known yet is an empty column.

    Raises
    ------
    UsageError
        A missing column, two values of one period at one time, or a day on which nothing is known.
    """
    frame = _checked(values)
    frame = frame[frame["series"].isin([spec.name for spec in specs])].sort_values("known_at", kind="stable")
    if frame.duplicated(["series", "period", "known_at"]).any():
        raise UsageError("two values of one period became known at one time.", remedy="Keep the one that holds.")
    out = {}
    moments = frame["known_at"].to_numpy()
    for day in sorted({pd.Timestamp(str(d)).normalize() for d in days}):
        known = frame.iloc[: int(np.searchsorted(moments, np.datetime64(day + pd.Timedelta(days=1)), side="left"))]
        newest = known.drop_duplicates(["series", "period"], keep="last").dropna(subset=["value"])
        if newest.empty:
            raise UsageError(f"nothing was known on {day.date()}.", remedy="Ask for later days.")
        groups = {str(name): own for name, own in newest.groupby("series")}
        out[day] = (_table(groups, specs, "M"), _table(groups, specs, "Q"))
    return out


def pseudo_vintages(latest: Vintage, lags: Mapping[str, int], days: Iterable[object]) -> dict[pd.Timestamp, Vintage]:
    """Cut final data to what would have been published by each day: pseudo real time, where no vintages are kept.

    Parameters
    ----------
    latest
        (monthly, quarterly) tables, transformed.
    lags
        Series → days from a period's end to its first release, such as `learn_lags` learns.
    days
        The days wanted.

    Returns
    -------
    dict
        Day → (monthly, quarterly). Values are the final ones: revisions are not in them, and a model looks better on
        them than it would have been.

    Raises
    ------
    UsageError
        A series without lag.
    """
    absent = [str(name) for table in latest for name in table if str(name) not in lags]
    if absent:
        raise UsageError(f"no lag is known of {', '.join(absent)}.", remedy="Add it to the lags, in days.")
    ends = [_ends(table) for table in latest]
    out = {}
    for day in sorted({pd.Timestamp(str(d)).normalize() for d in days}):
        cut = []
        for table, end in zip(latest, ends, strict=True):
            late = np.array([lags[str(name)] for name in table], dtype="timedelta64[D]")
            known = end[:, None] + late[None, :] <= np.datetime64(day, "D")
            shown = table.where(known)
            cut.append(shown[known.any(axis=1)] if len(late) else shown[end <= np.datetime64(day, "D")])
        out[day] = (cut[0], cut[1])
    return out


def _ends(table: pd.DataFrame) -> np.ndarray:
    index = table.index
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
