"""Restrictions as release series: indices by week and place, and which measures stand behind them. All public."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.results import TOTAL, Cells, Measure
from opsroom.measure.restriction.index import RestrictionResult

Floats = npt.NDArray[np.float64]

METHOD = "restriction-1"
WEEK = 7
MONDAY = -3
"""The Monday before 1970-01-01, in days from it."""

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
    index = _Weeks.of(result.indices, last, weeks)
    kept = np.flatnonzero(np.isfinite(index.mean).any(axis=(0, 1)))
    if not len(kept):
        return []
    names = [str(name) for name in result.indices.columns[kept]]
    index = index.only(kept)
    everywhere = index.places == [TOTAL]
    blocks = [index.mean] if everywhere else [index.mean, index.over(np.nanmean)[None]]
    values = np.concatenate(blocks).transpose(1, 0, 2).round(1)
    places = [*index.places, *([] if everywhere else [TOTAL])]
    told = np.isfinite(values).any(axis=2)
    week, place = np.nonzero(told)
    columns: dict[str, object] = {
        "week": np.array(index.labels, dtype=object)[week], "region": np.array(places, dtype=object)[place]
    }  # fmt: skip
    columns |= {name: values[week, place, k] for k, name in enumerate(names)}
    for end, pick in zip(ENDS, (np.nanmin, np.nanmax), strict=True):
        ends = np.full(values.shape, np.nan)
        if not everywhere:
            ends[:, -1] = index.over(pick).round(1)
        columns |= {f"{name}_{end}": ends[week, place, k] for k, name in enumerate(names)}
    facts: dict[str, object] = {
        "edition": result.edition, "places": len(index.places), "assumed_targeted": result.assumed,
        "first": index.labels[int(week.min())],
    }  # fmt: skip
    measures = tuple(
        Measure(name, "public", "of 100", attached=tuple(f"{name}_{end}" for end in ENDS)) for name in names
    )
    made = [_cells("restriction.index", ("week", "region"), measures, pd.DataFrame(columns), facts)]
    in_force = [c for c in result.sub_indices.columns if (result.sub_indices[c] > 0).any()]
    if in_force:
        behind = _Weeks.of(result.sub_indices[in_force], last, weeks)
        scores = behind.over(np.nanmean).round(1)
        at, which = np.nonzero(np.isfinite(scores))
        frame = pd.DataFrame(
            {
                "week": np.array(behind.labels, dtype=object)[at],
                "indicator": np.array(in_force, dtype=object)[which], "score": scores[at, which],
            }
        )  # fmt: skip
        measure = (Measure("score", "public", "of 100, mean of the places"),)
        made.append(_cells("restriction.measures", ("week", "indicator"), measure, frame, facts))
    return made


@dataclass(frozen=True, slots=True)
class _Weeks:
    """Means of complete weeks: a week in which a day is not known is not known.

    Attributes
    ----------
    places, labels
        Codes of the places, sorted, and of the weeks, in order.
    mean
        Shape (places, weeks, columns), NaN where not known.
    """

    places: list[str]
    labels: list[str]
    mean: Floats

    @classmethod
    def of(cls, frame: pd.DataFrame, last: dt.date, weeks: int | None) -> _Weeks:
        """Return the weeks of a table by place and day, up to a day; so many of the last, or all."""
        day = pd.DatetimeIndex(frame.index.get_level_values(-1)).to_numpy().astype("datetime64[D]").astype(np.int64)
        if frame.index.nlevels > 1:
            code, names = pd.factorize(frame.index.get_level_values(0), sort=True)
        else:
            code, names = np.zeros(len(frame), dtype=np.int64), pd.Index([TOTAL])
        week, place = (day - MONDAY) // WEEK, [str(name) for name in names]
        until = (last - dt.date(1970, 1, 1)).days
        newest = (until - MONDAY + 1) // WEEK - 1
        oldest = max(int(week.min(initial=newest + 1)), newest + 1 - weeks if weeks else -(10**9))
        kept = (week >= oldest) & (week <= newest)
        count = max(newest - oldest + 1, 0)
        cube = np.full((len(place), count * WEEK, frame.shape[1]), np.nan)
        cube[code[kept], day[kept] - MONDAY - oldest * WEEK] = frame.to_numpy(dtype=np.float64)[kept]
        monday = [dt.date(1970, 1, 1) + dt.timedelta(days=MONDAY + WEEK * (oldest + k)) for k in range(count)]
        mean = cube.reshape(len(place), count, WEEK, frame.shape[1]).mean(axis=2)
        return cls(place, [f"{day:%G-W%V}" for day in monday], mean)

    def only(self, columns: npt.NDArray[np.intp]) -> _Weeks:
        """Return the weeks of some columns."""
        return _Weeks(self.places, self.labels, self.mean[:, :, columns])

    def over(self, pick: Callable[..., Floats]) -> Floats:
        """Return a figure of all places that are known, (weeks, columns); NaN where none is."""
        known = np.isfinite(self.mean).any(axis=0)
        return np.where(known, pick(np.where(known, self.mean, 0.0), axis=0), np.nan)


def _cells(
    name: str, dimensions: tuple[str, ...], measures: tuple[Measure, ...], frame: pd.DataFrame, facts: dict[str, object]
) -> Cells:
    return Cells(
        name=name, dimensions=dimensions, measures=measures, frame=frame, method=METHOD, unit_kind="public",
        facts=dict(facts),
    )  # fmt: skip
