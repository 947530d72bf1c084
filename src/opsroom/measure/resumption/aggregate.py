"""From companies to shares: weights, groups, intervals, turning points."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.resumption.readings import F32, Bools, date_of

F64 = npt.NDArray[np.float64]

Z = 1.6449
"""Half the width of a 90 % interval in standard deviations."""

MISREAD = 0.03
"""Share of companies that read clearly as one state and are in the other: the smoother's own probabilities know
its noise, not that a meter may serve another purpose than the register says."""

THRESHOLD = 0.3
"""Naive index: a company has resumed if it uses more than this share of its own mean before the holiday."""

WEIGHTS = ("count", "jobs", "sales")
DIMENSIONS = ("region", "section", "size_class", "sme")
COLUMNS = ["resumed", "resumed_lower", "resumed_upper", "capacity", "capacity_lower", "capacity_upper",
           "uncorrected", "coverage", "companies"]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Doubt:
    """Systematic errors in standard deviations, by source.

    Errors of one source go together over companies, those of different sources do not.

    Attributes
    ----------
    stratum
        Stratum of each company, (companies,).
    state, capacity
        Sources that err by stratum: one table (strata, days) each.
    each
        Sources that err company by company in state and capacity alike: (companies, days) each.
    """

    stratum: npt.NDArray[np.int64]
    state: tuple[F32, ...]
    capacity: tuple[F32, ...]
    each: tuple[npt.NDArray[np.float16], ...]

    def variance(self, rows: npt.NDArray[np.int64], share: F32, days: slice, *, of: str) -> F64:
        """Return the variance of a weighted mean over `rows`, day by day."""
        tables = self.state if of == "state" else self.capacity
        weights = np.bincount(self.stratum[rows], weights=share, minlength=len(tables[0])).astype(np.float32)
        parts = [weights @ table[:, days] for table in tables]
        parts += [share @ error[rows, days].astype(np.float32) for error in self.each]
        return np.sum(np.square(np.array(parts, dtype=np.float64)), axis=0)


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
    """

    companies: pd.DataFrame
    start: int
    working: F32
    capacity: F32
    seen: Bools
    naive: npt.NDArray[np.int8]
    doubt: Doubt

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
    """Return shares by day over the companies in `rows`.

    Returns
    -------
    pandas.DataFrame
        Index date; ``resumed, capacity, uncorrected, coverage`` and bounds, per cent; ``companies``.
    """
    chosen = ~panel.companies["entrant"].to_numpy() if rows is None else rows
    at = np.flatnonzero(chosen)
    span = slice(None) if days is None else days
    w = panel.weight(weight)[at].astype(np.float64)
    total = w.sum()
    dates = panel.dates[span]
    if not len(at) or total <= 0:
        raise UsageError("there is no company in the group.", remedy="Choose a group that has companies.")
    share = (w / total).astype(np.float32)
    p = panel.working[at][:, span]
    c = panel.capacity[at][:, span]
    seen = panel.seen[at][:, span]
    use = panel.naive[at][:, span]
    known = use >= 0
    resumed, capacity = share @ p, share @ c
    doubtful = MISREAD + (1 - 2 * MISREAD) * p
    own = (share**2) @ (doubtful * (1 - doubtful))
    half = Z * np.sqrt(own + panel.doubt.variance(at, share, span, of="state"))
    spread = (share**2) @ ((c - capacity[None, :]) ** 2) * 0.1
    half_capacity = Z * np.sqrt(spread + panel.doubt.variance(at, share, span, of="capacity"))
    reporting = share @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        naive = np.where(reporting > 0, (share @ (use == 1)) / reporting, np.nan)
    return pd.DataFrame(
        {
            "resumed": 100 * resumed,
            "resumed_lower": 100 * np.clip(resumed - half, 0, 1),
            "resumed_upper": 100 * np.clip(resumed + half, 0, 1),
            "capacity": 100 * capacity,
            "capacity_lower": 100 * np.maximum(capacity - half_capacity, 0),
            "capacity_upper": 100 * (capacity + half_capacity),
            "uncorrected": 100 * naive,
            "coverage": 100 * (share @ seen),
            "companies": np.full(len(dates), len(at)),
        },
        index=pd.DatetimeIndex(dates, name="date"),
    )[COLUMNS]


def by(
    panel: Panel, dims: Sequence[str], *, weight: str = "count", day: dt.date | None = None
) -> pd.DataFrame:
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
    unknown = set(dims) - set(DIMENSIONS)
    if unknown or not dims:
        raise UsageError("the dimensions are not known.", remedy=f"Use among {', '.join(DIMENSIONS)}.")
    at = None if day is None else panel.column(day)
    days = None if at is None else slice(at, at + 1)
    cohort = ~panel.companies["entrant"].to_numpy()
    keys = panel.companies[list(dims)].astype(str)
    code, labels = pd.factorize(pd.MultiIndex.from_frame(keys) if len(dims) > 1 else keys[dims[0]], sort=True)
    pieces = {}
    for number, label in enumerate(labels):
        rows = cohort & (code == number)
        if rows.any():
            pieces[label] = aggregate(panel, rows=rows, weight=weight, days=days)
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
    found: dt.date = after.index[kinks[best]].date()
    return found


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
