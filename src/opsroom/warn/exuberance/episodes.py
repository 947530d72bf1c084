"""When a series was explosive: dates, direction, strength and growth of each episode."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.warn.exuberance import ols
from opsroom.warn.exuberance.sequences import Plan

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch in which the statistic is above its critical sequence.

    Attributes
    ----------
    start, peak, end
        First date above, date of the largest statistic, last date above.
    duration
        Observations from start to end, both included.
    sign
        ``boom`` where the level at the peak is above the one before the start, else ``crash``: falls can be
        explosive, too.
    strength
        The largest distance of the statistic from its critical sequence.
    root
        The autoregressive root, per observation, of the window that gives the peak's statistic; above 1 explosive.
    growth_rate
        That root a year, less one: 0.08 means that the distance from where the explosion began grows 8 % a year. Per
        observation where the index does not tell how many make a year.
    change
        Change of the level from before the start to the peak, as a share; NaN where a level is not positive.
    ongoing
        The episode reaches the last observation.
    """

    start: Any
    peak: Any
    end: Any
    duration: int
    sign: Literal["boom", "crash"]
    strength: float
    root: float
    growth_rate: float
    change: float
    ongoing: bool


def shortest(length: int) -> int:
    """Return the shortest episode that Phillips, Shi and Yu call one: log T observations."""
    return max(1, int(np.log(length)))


def runs(above: npt.NDArray[np.bool_], least: int) -> list[tuple[int, int]]:
    """Return first and last position of each run of true values that is long enough.

    Examples
    --------
    >>> runs(np.array([True, False, True, True, True, False]), 2)
    [(2, 4)]
    """
    edges = np.diff(np.concatenate([[0], above.astype(np.int8), [0]]))
    found = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1, strict=True)
    return [(int(a), int(b)) for a, b in found if b - a + 1 >= least]


def date_stamps(
    y: Floats, index: pd.Index, statistic: Floats, critical: Floats, plan: Plan, *,
    min_duration: int, any_start: bool, walk: Floats | None = None, years: float | None = None,
) -> tuple[Episode, ...]:  # fmt: skip
    """Return the episodes of a series.

    Parameters
    ----------
    y
        Levels, shape (T,).
    statistic, critical
        By row of the regression; the date of row r is that of observation ``r + plan.lead``.
    min_duration
        Observations that an episode has at least.
    any_start
        Whether the statistic is the largest over starts (BSADF) or that of the first start (BADF).
    walk
        What the statistic was computed from, where it is not `y`.
    years
        Observations a year; 1 where not known.
    """
    with np.errstate(invalid="ignore"):
        above = statistic > critical
    out = []
    base = y if walk is None else walk
    for first, last in runs(above, min_duration):
        peak = first + int(np.argmax(statistic[first : last + 1]))
        before, top = y[first + plan.lead - 1], y[peak + plan.lead]
        root = explosive_root(base, plan, peak, any_start=any_start)
        out.append(
            Episode(
                start=index[first + plan.lead], peak=index[peak + plan.lead], end=index[last + plan.lead],
                duration=last - first + 1,
                sign="boom" if top > before else "crash",
                strength=float(np.max(statistic[first : last + 1] - critical[first : last + 1])),
                root=root,
                growth_rate=float(root ** (years or 1.0) - 1.0) if root > 0.0 else float("nan"),
                change=float(top / before - 1.0) if before > 0.0 and top > 0.0 else float("nan"),
                ongoing=last == len(statistic) - 1,
            )
        )  # fmt: skip
    return tuple(out)


def explosive_root(y: Floats, plan: Plan, end: int, *, any_start: bool) -> float:
    """Return one plus the level's coefficient in the window to row `end` that has the largest statistic."""
    start = best_start(y, plan, end) if any_start else 0
    return 1.0 + ols.coefficient(y, plan.lags, start, end, bic=plan.bic)


def best_start(y: Floats, plan: Plan, end: int) -> int:
    """Return the first row of the window to row `end` that has the largest statistic."""
    found = [ols.statistic(y, plan.lags, start, end, bic=plan.bic) for start in range(end - plan.least + 2)]
    return int(np.nanargmax(found))


def periods_a_year(index: pd.Index) -> float | None:
    """Return how many observations make a year, where the index tells."""
    if isinstance(index, pd.PeriodIndex):
        return {"Y": 1.0, "Q": 4.0, "M": 12.0, "W": 52.0, "B": 260.0, "D": 365.0}.get(index.freqstr[0])
    if isinstance(index, pd.DatetimeIndex) and len(index) > 2:
        days = float(np.median(np.diff(index.to_numpy().astype("datetime64[D]").astype(np.int64))))
        for least, count in ((300.0, 1.0), (80.0, 4.0), (27.0, 12.0), (6.0, 52.0), (0.5, 260.0)):
            if days >= least:
                return count
    return None


def table_of(episodes: tuple[Episode, ...]) -> pd.DataFrame:
    """Return episodes as a table, one row each."""
    names = list(Episode.__dataclass_fields__)
    return pd.DataFrame([asdict(episode) for episode in episodes], columns=names)
