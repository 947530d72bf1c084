"""The release triangle: a row a reference quarter, a column a release, from every known value of a series."""

from __future__ import annotations

import datetime as dt
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm.parameters import Floats
from opsroom.measure.nowcast.frbny import transformed

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
"""Names of the releases."""

Places = NDArray[np.int64]
Count = Literal["change", "vintage"]


def release_triangle(
    vintages: pd.DataFrame,
    *,
    releases: int = 2,
    final: Literal["latest"] | int = "latest",
    transform: str = "pch",
    count: Count = "change",
    as_of: dt.date | None = None,
) -> pd.DataFrame:
    """Lay every known value of a quarterly series out by reference quarter and release.

    Answers: what was first said of each quarter, what next, and what is said of it in the end?

    Parameters
    ----------
    vintages
        ``period`` (a day in the quarter), ``known_at`` or ``pub_date`` (the day on which the value became known),
        ``value`` (a level, see `transform`): whole vintages, or only what was new.
    releases
        How many releases have a column of their own, before the last.
    final
        ``"latest"``: the last column is what is known in the newest vintage, as the backtest's ``release="latest"``,
        however young the quarter. Months, such as 36: it is what was known so many months after the quarter's end,
        and unknown before; a model of revisions needs this one, because a young quarter's newest value is not final.
    transform
        How levels become the figure: ``"pch"`` (% on the quarter before), ``"pca"`` (at an annual rate), ``"lin"`` …;
        see `SeriesSpec`. Each vintage is transformed by itself.
    count
        ``"change"``: a release is a value that differs from the one before, as in the backtest. ``"vintage"``: each
        vintage is one, whether or not it changed the figure.
    as_of
        Leave out what became known after this day.

    Returns
    -------
    pandas.DataFrame
        Quarters x ``first, second, …`` and ``latest`` or ``final``; NaN where there is none (yet). What the first
        vintage held already has no first release.

    Raises
    ------
    UsageError
        A missing column, two values for one period and day, or a number of releases that is not 1 to 8.
    """
    if not 1 <= releases <= len(ORDINALS):
        raise UsageError(f"releases={releases} is not within 1 to {len(ORDINALS)}.", remedy="Use two or three.")
    if final != "latest" and final < 1:
        raise UsageError(f"final={final} months is not after the quarter.", remedy="Use 36, or 'latest'.")
    if count not in ("change", "vintage"):
        raise UsageError(f"count={count!r} is not known.", remedy="Use 'change' or 'vintage'.")
    values, days = _as_they_stood(vintages, transform, as_of)
    index = pd.PeriodIndex(values.index)
    table = values.to_numpy(np.float64)
    ends = index.end_time.normalize()
    out = np.full((len(index), releases + 1), np.nan)
    for row, own in enumerate(table):
        known = np.flatnonzero(~np.isnan(own))
        if not len(known):
            continue
        last = int(known[-1])
        if final != "latest":
            due = ends[row] + pd.DateOffset(months=int(final))
            if days[-1] < due:
                last = -1
            else:
                # A history that came in bulk when it was old already is final as it came.
                last = max(int((days <= due).sum()) - 1, int(known[0]))
        if last >= 0:
            out[row, -1] = own[last]
        if known[0] == 0:
            continue
        said = known if count == "vintage" else _changes(own, known)
        said = said[said <= last] if last >= 0 else said
        said = said[:releases]
        out[row, : len(said)] = own[said]
    names = [*ORDINALS[:releases], "latest" if final == "latest" else "final"]
    frame = pd.DataFrame(out, index=index, columns=names)
    return frame[frame.notna().any(axis=1)]


def _changes(own: Floats, known: Places) -> Places:
    """Return the columns at which a quarter's figure differs from the one known before."""
    values = own[known]
    return known[np.r_[True, values[1:] != values[:-1]]]


def _as_they_stood(
    vintages: pd.DataFrame, transform: str, as_of: dt.date | None
) -> tuple[pd.DataFrame, pd.DatetimeIndex]:
    """Return quarters x days: the transformed figures of each vintage, and the days."""
    day = next((name for name in ("known_at", "pub_date") if name in vintages), "known_at")
    absent = [name for name in ("period", day, "value") if name not in vintages]
    if absent:
        raise UsageError(
            f"the vintages lack the column(s) {', '.join(absent)}.",
            remedy="Give period, known_at (or pub_date) and value.",
        )
    frame = pd.DataFrame(
        {
            "period": pd.PeriodIndex(pd.to_datetime(vintages["period"]), freq="Q"),
            "day": pd.to_datetime(vintages[day], utc=True).dt.tz_localize(None).to_numpy(),
            "value": vintages["value"].to_numpy(np.float64),
        }
    ).dropna(subset=["value"])
    if as_of is not None:
        frame = frame[frame["day"] < pd.Timestamp(as_of) + pd.Timedelta(days=1)]
    if frame.empty:
        raise UsageError("there are no vintages by that day.", remedy="Ask for a later day.")
    if frame.duplicated(["period", "day"]).any():
        raise UsageError("two values of one quarter became known at one time.", remedy="Give one series.")
    levels = frame.pivot(index="period", columns="day", values="value").sort_index(axis=1).ffill(axis=1)
    levels = levels.reindex(pd.period_range(levels.index.min(), levels.index.max(), freq="Q"))
    figures = pd.DataFrame({c: transformed(levels[c], transform, quarterly=True) for c in levels})
    return figures, pd.DatetimeIndex(figures.columns)
