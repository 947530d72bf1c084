"""Restrictions as release series: indices by week and place, and which measures stand behind them. All public."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from opsroom.base.results import TOTAL, Cells, Measure
from opsroom.measure.restriction.index import RestrictionResult

METHOD = "restriction-1"
WEEK = 7
ENDS = ("lowest", "highest")


def restriction_cells(result: RestrictionResult, *, last: dt.date, weeks: int | None = None) -> list[Cells]:
    """Return ``restriction.index`` and ``restriction.measures``.

    Parameters
    ----------
    result
        Of one place, or of several.
    last
        Last day that counts: what a register announces for later is not in force yet.
    weeks
        So many of the last weeks; None: all.

    Returns
    -------
    list of Cells
        Means of complete weeks. ``restriction.index``: each index by place, and over all places (``_T``, each counts
        alike) with the lowest and the highest of them. ``restriction.measures``: the score of each indicator that is
        known anywhere, the mean over places. Empty where no week is complete.

    Notes
    -----
    A place's week without all seven days is left out of it, and so is an index that is rejected everywhere.
    """
    index = _weekly(result.indices, last, weeks)
    index = index.dropna(axis=1, how="all")
    if index.empty:
        return []
    names = [str(c) for c in index.columns]
    week = index.index.get_level_values("week")
    over = index.groupby(level="week")
    whole = over.mean()
    for end, found in zip(ENDS, (over.min(), over.max()), strict=True):
        whole = whole.join(found.add_suffix(f"_{end}"))
    whole.index = pd.MultiIndex.from_product([whole.index, [TOTAL]], names=["week", "region"])
    everywhere = set(index.index.get_level_values("region")) == {TOTAL}
    frame = index if everywhere else pd.concat([index, whole])
    columns = [*names, *(f"{name}_{end}" for name in names for end in ENDS)]
    frame = frame.reindex(columns=columns).sort_index().round(1).reset_index()
    facts = {
        "edition": result.edition, "places": int(index.index.get_level_values("region").nunique()),
        "assumed_targeted": result.assumed, "first": str(week.min()),
    }  # fmt: skip
    measures = tuple(
        Measure(name, "public", "of 100", attached=tuple(f"{name}_{end}" for end in ENDS)) for name in names
    )
    made = [_cells("restriction.index", ("week", "region"), measures, frame, facts)]
    told = [c for c in result.sub_indices.columns if (result.sub_indices[c] > 0).any()]
    if told:
        scores = _weekly(result.sub_indices[told], last, weeks).groupby(level="week").mean().dropna()
        long = scores.round(1).reset_index().melt("week", var_name="indicator", value_name="score")
        long = long.sort_values(["week", "indicator"], ignore_index=True)
        measure = (Measure("score", "public", "of 100, mean of the places"),)
        made.append(_cells("restriction.measures", ("week", "indicator"), measure, long, facts))
    return made


def _cells(
    name: str, dimensions: tuple[str, ...], measures: tuple[Measure, ...], frame: pd.DataFrame, facts: dict[str, object]
) -> Cells:
    return Cells(
        name=name, dimensions=dimensions, measures=measures, frame=frame, method=METHOD, unit_kind="public",
        facts=dict(facts),
    )  # fmt: skip


def _weekly(frame: pd.DataFrame, last: dt.date, weeks: int | None) -> pd.DataFrame:
    """Return means of complete weeks by week and place; a week in which a day is not known is not known."""
    days = pd.DatetimeIndex(frame.index.get_level_values(-1))
    kept = np.asarray(days <= pd.Timestamp(last))
    frame, days = frame[kept], days[kept]
    place = frame.index.get_level_values(0) if frame.index.nlevels > 1 else pd.Index([TOTAL] * len(frame))
    monday = days - pd.to_timedelta(days.day_of_week, unit="D")
    if weeks is not None and len(days):
        recent = np.asarray(monday > days.max() - pd.Timedelta(weeks=weeks + 1))
        frame, place, monday = frame[recent], place[recent], monday[recent]
    by = frame.groupby([monday, np.asarray(place)], sort=True)
    mean = by.mean().where(by.count() == WEEK)
    label = [f"{w:%G-W%V}" for w in mean.index.get_level_values(0)]
    mean.index = pd.MultiIndex.from_arrays([label, mean.index.get_level_values(1)], names=["week", "region"])
    mean = mean.dropna(how="all")
    shown = sorted(set(mean.index.get_level_values("week")))[-weeks if weeks else None :]
    return mean[mean.index.get_level_values("week").isin(shown)]
