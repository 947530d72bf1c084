"""The meters' daily estimate by month, on the same terms as monthly records."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.resumption.filing import FILED, GONE, LATE, DelayLaw
from opsroom.measure.resumption.monthly_result import MonthlyResult
from opsroom.measure.resumption.months import MARGIN, THRESHOLDS, Months
from opsroom.measure.resumption.result import ResumptionResult

HALF = 0.5
UNSEEN_SD = 0.5
"""Own doubt about the level of a company of which fewer than half of the days were read."""

NAME = "meters"


def meter_months(
    result: ResumptionResult, *, thresholds: tuple[float, ...] = THRESHOLDS, margin: float = MARGIN
) -> MonthlyResult:
    """Return what the meters say by month: each company's mean capacity above its closed-day base load.

    Parameters
    ----------
    result
        From `resumption`.
    thresholds, margin
        As in `monthly_resumption`.

    Raises
    ------
    UsageError
        The daily index does not yet cover half of any month.

    Notes
    -----
    A month is the mean of its complete days in the window; one with less than half of its days is left out. What the
    daily estimate fills in for silent and unmeasured companies stays as it is; their records count as ``late``.
    Shared errors are those of the daily estimate, the month's mean of each.
    """
    panel = result.panel
    days, cohort = panel.dates, ~panel.companies["entrant"].to_numpy(dtype=bool)
    complete = np.asarray(days <= pd.Timestamp(result.reference_date))
    periods = days.to_period("M")
    names = [p for p in periods.unique() if 2 * complete[periods == p].sum() >= p.days_in_month]
    if not names:
        raise UsageError("the daily index does not cover half a month.", remedy="Choose a later as-of day.")
    companies = panel.companies[cohort].reset_index(drop=True)
    shape = (len(companies), len(names))
    level, sd = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    record = np.empty(shape, dtype=np.int8)
    pushes = tuple(np.empty(shape, dtype=np.float32) for _ in panel.doubt.capacity)
    gone = companies["gone"].to_numpy(dtype=np.int64)
    stratum = panel.doubt.stratum[cohort]
    for t, name in enumerate(names):
        within = np.flatnonzero((periods == name) & complete)
        span = slice(int(within[0]), int(within[-1]) + 1)
        level[:, t] = panel.capacity[cohort, span].mean(axis=1)
        working = panel.working[cohort, span].mean(axis=1)
        read = panel.seen[cohort, span].mean(axis=1) >= HALF
        # A state that is not sure is so for a spell of days, not for single ones: its doubt does not average out.
        sd[:, t] = np.where(read, level[:, t] * np.sqrt(np.clip(working * (1 - working), 0, None)), UNSEEN_SD)
        record[:, t] = np.where(read, FILED, LATE)
        for table, out in zip(panel.doubt.capacity, pushes, strict=True):
            out[:, t] = table[stratum, span].mean(axis=1)
        over = gone <= (name.end_time.date() - dt.date(1970, 1, 1)).days
        record[over & ~read, t] = GONE
    months = pd.DatetimeIndex([p.start_time for p in names], name="month")
    made = Months(companies, months, level, sd, pushes, record, record == FILED)
    entrants = pd.Series(_entrants(result, periods, names), index=months, name="entrants")
    return MonthlyResult(
        source=NAME, family=NAME, panel=made, as_of=result.as_of, cohort_day=result.cohort_day,
        reference_month=months[-1].date(), thresholds=thresholds, margin=margin,
        delays=DelayLaw(np.zeros(1, dtype=np.int64), np.ones(1), 0), entrants=entrants,
        facts={"late_sd": made.estimate(thresholds[0], margin).late_gap},
    )  # fmt: skip


def _entrants(result: ResumptionResult, periods: pd.PeriodIndex, names: list[pd.Period]) -> list[int]:
    seen = result.panel.seen[result.panel.companies["entrant"].to_numpy(dtype=bool)]
    return [int(seen[:, np.asarray(periods == name)].any(axis=1).sum()) for name in names]
