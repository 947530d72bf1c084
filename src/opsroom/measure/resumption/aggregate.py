"""From companies to shares: weights, groups, intervals, turning points."""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.resumption.aggregate_kernel import add_companies
from opsroom.measure.resumption.readings import F32, Bools, date_of

F64 = npt.NDArray[np.float64]

Z = 1.6449
"""Half the width of a 90 % interval in standard deviations."""

CAPACITY_NOISE = 0.1
"""Variance of a company's measured capacity, relative to that between companies."""

MISREAD = 0.03
"""Share of companies that read clearly as one state and are in the other: the smoother's own probabilities
know its noise, not that a meter may serve another purpose than the register says."""

THRESHOLD = 0.3
"""Naive index: a company has resumed if it uses more than this share of its own mean before the holiday."""

WEIGHTS = ("count", "jobs", "sales")
DIMENSIONS = ("region", "section", "size_class", "sme")


@dataclass(frozen=True, slots=True)
class Doubt:
    """Systematic errors in standard deviations, by source.

    Errors of one source go together over companies, those of different sources do not.

    Attributes
    ----------
    stratum
        Stratum of each company, (companies,).
    state, capacity
        One table (strata, days) a source.
    """

    stratum: npt.NDArray[np.int64]
    state: tuple[npt.NDArray[np.floating], ...]
    capacity: tuple[npt.NDArray[np.floating], ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """Estimates company by company; confidential. Arrays are (companies, days) unless said.

    Attributes
    ----------
    companies
        One row a company: ids, codes, ``employees``, ``annual_sales``, ``entrant``.
    start
        First day, days since 1970.
    working
        Probability of being at work.
    capacity
        Use above the closed-day level relative to normal, those working in the dark included.
    seen
        True where the company has a reading.
    naive
        Whether use exceeds `THRESHOLD` times the company's own mean before the holiday, uncorrected:
        1 yes, 0 no, -1 no reading.
    doubt
        Systematic errors.
    shelf
        Work on the companies alone, kept from panel to panel while they stay the same.
    """

    companies: pd.DataFrame
    start: int
    working: F32
    capacity: F32
    seen: Bools
    naive: npt.NDArray[np.int8]
    doubt: Doubt
    shelf: dict[Any, Any] = field(default_factory=dict)

    @property
    def dates(self) -> pd.DatetimeIndex:
        """Days of the columns."""
        return pd.date_range(pd.Timestamp(date_of(self.start)), periods=self.working.shape[1])

    @property
    def naive_known(self) -> Bools:
        """True where the naive index has a reading."""
        return np.asarray(self.naive >= 0)

    @property
    def naive_on(self) -> Bools:
        """True where the naive index reads resumed."""
        return np.asarray(self.naive == 1)

    def weight(self, name: str) -> npt.NDArray[np.int64]:
        """Return each company's weight: 1, employees, or annual sales in minor units."""
        if name not in WEIGHTS:
            raise UsageError(f"there is no weight {name!r}.", remedy=f"Use one of {', '.join(WEIGHTS)}.")
        if name == "count":
            return np.ones(len(self.companies), dtype=np.int64)
        column = "employees" if name == "jobs" else "annual_sales"
        return self.companies[column].to_numpy(dtype=np.int64)

    def column(self, day: dt.date | pd.Timestamp) -> int:
        """Return the column of a day.

        Raises
        ------
        UsageError
            If the day lies outside the window.
        """
        at = int((pd.Timestamp(day) - self.dates[0]).days)
        if not 0 <= at < len(self.dates):
            raise UsageError("the day lies outside the window of the estimate.", remedy="Choose a later day.")
        return at


def aggregate(
    panel: Panel,
    *,
    rows: npt.NDArray[np.bool_] | None = None,
    weight: str = "count",
    days: slice | None = None,
) -> pd.DataFrame:
    """Return shares by day over the companies in `rows` (None: the cohort).

    Returns
    -------
    pandas.DataFrame
        Index date; ``resumed, capacity, uncorrected, coverage`` and bounds, per cent; ``companies``.

    Raises
    ------
    UsageError
        If there is no company or no weight in the group.
    """
    chosen = ~panel.companies["entrant"].to_numpy(dtype=bool) if rows is None else rows
    code = np.where(chosen, 0, -1)
    return tabulate(panel, code, 1, weight=weight, days=days)[0]


def tabulate(
    panel: Panel,
    code: npt.NDArray[np.int64],
    groups: int,
    *,
    weight: str = "count",
    days: slice | None = None,
) -> list[pd.DataFrame]:
    """Return `aggregate` of every group at once: group numbers by company in `code`, -1 for none."""
    span = slice(None) if days is None else days
    found = Moments.of(panel, code, groups, weight=weight, days=span)
    columns = found.shares(panel.doubt, span)
    index = pd.DatetimeIndex(panel.dates[span], name="date")
    return [
        pd.DataFrame({k: v[g] for k, v in columns.items()} | {"companies": int(found.size[g])}, index=index)
        for g in range(groups)
    ]


@dataclass(frozen=True, slots=True)
class Moments:
    """Weighted sums over the companies of groups: those of a margin are the sums of its cells'.

    Attributes
    ----------
    sums
        See `aggregate_kernel.add_companies`, (8, groups, days).
    total, square, size
        Sum of weights, of squared weights, and number of companies, (groups,).
    strata
        Sum of weights by stratum of the systematic errors, (groups, strata).
    """

    sums: F64
    total: F64
    square: F64
    size: F64
    strata: F64

    @classmethod
    def of(cls, panel: Panel, code: npt.NDArray[np.int64], groups: int, *, weight: str, days: slice) -> Moments:
        """Add up the companies of each group; -1 in `code` leaves a company out.

        Raises
        ------
        UsageError
            If there is no company or no weight in a group.
        """
        at = np.flatnonzero(code >= 0)
        w = panel.weight(weight).astype(np.float64)
        total = _by_group(code[at], w[at], groups)
        if not len(at) or (total <= 0).any():
            raise UsageError("there is no company in a group.", remedy="Choose groups that have companies.")
        count = len(panel.doubt.state[0])
        sums = np.zeros((8, groups, len(range(*days.indices(panel.working.shape[1])))))
        add_companies(
            panel.working[:, days], panel.capacity[:, days], panel.naive[:, days], panel.seen[:, days],
            code, w, MISREAD, sums,
        )  # fmt: skip
        strata = _by_group(code[at] * count + panel.doubt.stratum[at], w[at], groups * count)
        square, size = _by_group(code[at], w[at] ** 2, groups), _by_group(code[at], np.ones(len(at)), groups)
        return cls(sums, total, square, size, strata.reshape(groups, count))

    def rolled(self, to: npt.NDArray[np.int64], groups: int) -> Moments:
        """Return the moments of margins: `to` gives the margin of each group."""
        sums = np.zeros((len(self.sums), groups, self.sums.shape[2]))
        strata = np.zeros((groups, self.strata.shape[1]))
        total, square, size = (np.zeros(groups) for _ in range(3))
        for group, margin in enumerate(to):
            sums[:, margin] += self.sums[:, group]
            strata[margin] += self.strata[group]
            total[margin] += self.total[group]
            square[margin] += self.square[group]
            size[margin] += self.size[group]
        return Moments(sums, total, square, size, strata)

    def shares(self, doubt: Doubt, days: slice) -> dict[str, F64]:
        """Return shares and bounds in per cent, (groups, days) each."""
        total = self.total[:, None]
        resumed, capacity = self.sums[0] / total, self.sums[1] / total
        noise, squares, crossed = (self.sums[k] / total**2 for k in (2, 3, 4))
        reporting, on, seen = (self.sums[k] / total for k in (5, 6, 7))
        unsure, shaky = _variance(doubt, self.strata / total, days)
        half = Z * np.sqrt(noise + unsure)
        spread = squares - 2 * capacity * crossed + capacity**2 * self.square[:, None] / total**2
        half_capacity = Z * np.sqrt(CAPACITY_NOISE * np.maximum(spread, 0) + shaky)
        naive = np.divide(on, reporting, out=np.full_like(on, np.nan), where=reporting > 0)
        columns = {
            "resumed": resumed, "resumed_lower": np.clip(resumed - half, 0, 1),
            "resumed_upper": np.clip(resumed + half, 0, 1), "capacity": capacity,
            "capacity_lower": np.maximum(capacity - half_capacity, 0),
            "capacity_upper": capacity + half_capacity, "uncorrected": naive, "coverage": seen,
        }  # fmt: skip
        return {name: 100 * value for name, value in columns.items()}


def _by_group(code: npt.NDArray[np.int64], weight: F64, groups: int) -> F64:
    return np.asarray(np.bincount(code, weights=weight, minlength=groups), dtype=np.float64)


def _variance(doubt: Doubt, weights: F64, days: slice) -> tuple[F64, F64]:
    """Return the systematic variance of state and capacity, (groups, days) each."""
    state = sum(((weights @ table[:, days]) ** 2 for table in doubt.state), np.zeros(1))
    capacity = sum(((weights @ table[:, days]) ** 2 for table in doubt.capacity), np.zeros(1))
    return np.asarray(state), np.asarray(capacity)


def by(panel: Panel, dims: Sequence[str], *, weight: str = "count", day: dt.date | None = None) -> pd.DataFrame:
    """Return `aggregate` for every combination of `dims`, on one day or all.

    Parameters
    ----------
    dims
        Among ``region, section, size_class, sme``.
    weight
        ``count``, ``jobs`` or ``sales``.
    day
        One day; None for all.
    """
    if set(dims) - set(DIMENSIONS) or not dims:
        raise UsageError("the dimensions are not known.", remedy=f"Use among {', '.join(DIMENSIONS)}.")
    at = None if day is None else panel.column(day)
    days = None if at is None else slice(at, at + 1)
    cohort: Bools = ~panel.companies["entrant"].to_numpy(dtype=bool)
    keys = panel.companies.loc[cohort, list(dims)].astype(str)
    labels = pd.MultiIndex.from_frame(keys) if len(dims) > 1 else pd.Index(keys[dims[0]])
    number, names = labels.factorize(sort=True)
    code = np.full(len(cohort), -1, dtype=np.int64)
    code[cohort] = number
    frames = tabulate(panel, code, len(names), weight=weight, days=days)
    pieces: dict[Hashable, pd.DataFrame] = dict(zip(names.tolist(), frames, strict=True))
    return pd.concat(pieces, names=list(dims))


@dataclass(frozen=True, slots=True)
class TurningPoint:
    """Day on which the recovery had begun, with the days at which its bounds say so.

    None where there has been no recovery yet.
    """

    day: dt.date | None
    lower: dt.date | None
    upper: dt.date | None


RISE = 0.1
"""Recovery is faster than what went before by at least so many points a day."""

SPAN, SIDE = 28, 4
"""The turn is looked for in so many days after the holiday, with at least so many days on each side."""


def turning_day(index: pd.Series, *, holiday_end: dt.date) -> dt.date | None:
    """Return the day from which on the index recovers.

    Parameters
    ----------
    index
        Share by day, per cent, from before the holiday on.
    holiday_end
        Last day of the holiday.

    Notes
    -----
    The kink of the broken line that fits the four weeks after the holiday best, where the second slope is
    upward and steeper than the first. None while there is no such kink.
    """
    after = index[index.index > pd.Timestamp(holiday_end)].iloc[:SPAN].dropna()
    if len(after) < 2 * SIDE:
        return None
    day = np.arange(len(after), dtype=np.float64)
    value = after.to_numpy(dtype=np.float64)
    losses, slopes = [], []
    kinks = range(SIDE, len(after) - SIDE + 1)
    for kink in kinks:
        x = np.column_stack([np.ones_like(day), np.minimum(day - kink, 0), np.maximum(day - kink, 0)])
        coef = np.linalg.lstsq(x, value, rcond=None)[0]
        losses.append(float(((value - x @ coef) ** 2).sum()))
        slopes.append(coef[2] - coef[1] if coef[2] > 0 else -np.inf)
    best = int(np.argmin(np.where(np.isfinite(slopes), losses, np.inf)))
    if not np.isfinite(slopes[best]) or slopes[best] < RISE:
        return None
    return date_of((after.index[kinks[best]] - pd.Timestamp(0)).days)


def turning_point(frame: pd.DataFrame, *, holiday_end: dt.date) -> TurningPoint:
    """Return the turning point of a share and of its bounds.

    Bounds move as a whole, so each is measured against the central low and level: the earliest day
    is the upper bound's, the latest the lower bound's.
    """
    centre = turning_day(frame["resumed"], holiday_end=holiday_end)
    if centre is None:
        return TurningPoint(None, None, None)
    half = ((frame["resumed_upper"] - frame["resumed_lower"]) / 2).to_numpy()
    slope = frame["resumed"].diff(3).shift(-1).abs() / 3
    at = pd.Timestamp(centre)
    steep = max(float(slope[at - pd.Timedelta(days=3) : at + pd.Timedelta(days=3)].mean()), 0.2)
    reach = float(np.clip(0.25 * half[frame.index.get_loc(at)] / steep, 1, 7))
    days = int(np.ceil(reach))
    return TurningPoint(centre, centre - dt.timedelta(days=days), centre + dt.timedelta(days=days))
