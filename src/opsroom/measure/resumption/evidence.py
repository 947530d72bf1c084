"""From relative use to evidence: normal taken out, silence told from late data and provider drop-outs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError
from opsroom.measure.resumption.baseline import Baseline, Surroundings
from opsroom.measure.resumption.closing import closed_now
from opsroom.measure.resumption.groundwork import Groundwork
from opsroom.measure.resumption.panel_kernel import count_seen, tell_silence, tell_use
from opsroom.measure.resumption.readings import F32, Bools, Ints, Use, company_use
from opsroom.measure.resumption.states import GONE, SEEN, SILENT, UNKNOWN, Evidence

LATE_DAYS = 7
"""So many days without a reading, or fewer, are lost or late readings: they are not read as silence."""

WORKS = 0.85
"""Who uses at least this share of a workday's on a day off works on such days."""

DROPOUT = 0.15
"""So much less reporting than usual in a region and day is a provider's drop-out, not companies' silence."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Relative use with its normal, for the companies of a baseline; (companies, days)."""

    use: Use
    around: Surroundings
    q: F32
    nu: F32
    seen: Bools


def observe(
    readings: object,
    groundwork: Groundwork,
    *,
    weather: pd.DataFrame,
    calendar: pd.DataFrame,
    start: int,
    days: int,
) -> Observed:
    """Return use relative to what a workday would have used, with the normal factor of the day.

    Days after the last reading are left out: nothing is known of them.

    Raises
    ------
    FitError
        If no company has a reading in the window.
    """
    baseline = groundwork.baseline
    use = company_use(
        readings, groundwork.chains, start=start, days=days, enterprises=baseline.enterprise, level=groundwork.level
    )
    around = Surroundings.of(weather, calendar, start=start, days=days)
    level = baseline.workday(around)
    seen = np.isfinite(use.ratio)
    known = np.flatnonzero(seen.any(axis=0))
    if not len(known):
        raise FitError("no company has a reading in the window.", remedy="Check dates and meter links.")
    if known[-1] + 1 < days:
        last = int(known[-1]) + 1
        ratio, active = np.ascontiguousarray(use.ratio[:, :last]), np.ascontiguousarray(use.active[:, :last])
        level, seen = np.ascontiguousarray(level[:, :last]), np.ascontiguousarray(seen[:, :last])
        use, around = replace(use, ratio=ratio, active=active), around.between(0, last)
    q = np.divide(use.ratio, level, out=level)
    q[~baseline.fitted] = np.nan
    return Observed(use, around, q, baseline.day_type(around), seen)


def silence(seen: Bools, active: npt.NDArray[np.int8], region: Ints, gone: Ints, start: int) -> npt.NDArray[np.int8]:
    """Return what is known of each company and day: seen, silent, unknown or gone.

    Parameters
    ----------
    seen
        True where there is a reading.
    active
        Share of the level still linked, per cent; 0 is disconnected.
    region
        Region code of each company: providers drop out by region and day.
    gone
        Day of death, days since 1970.
    start
        First day of the matrix.
    """
    regions = int(region.max()) + 1
    count = np.zeros((regions, seen.shape[1]), dtype=np.int64)
    count_seen(seen, region, count)
    out = np.zeros(count.shape, dtype=bool)
    for r in np.unique(region):
        coverage = count[r] / (region == r).sum()
        usual = pd.Series(coverage).rolling(29, center=True, min_periods=7).median().bfill().ffill().to_numpy()
        out[r] = coverage < (1 - DROPOUT) * usual
    # A company that has closed its connection is silent for weeks; a week of silence or less, also the
    # last week, may be lost or late.
    code = np.empty(seen.shape, dtype=np.int8)
    codes = np.array([SEEN, SILENT, UNKNOWN, GONE], dtype=np.int8)
    tell_silence(seen, active, region, gone, start, out, LATE_DAYS, code, codes)
    return code


def evidence(
    q: F32,
    nu: F32,
    around: Surroundings,
    baseline: Baseline,
    *,
    miss: npt.NDArray[np.int8],
    group: Ints,
    holiday: tuple[int, int],
) -> Evidence:
    """Return what the smoother sees.

    On weekends, public holidays and in the New Year holiday only companies that work on such days as on
    any other tell anything. Who would be closed anyway, or sometimes is, keeps the state that the workdays
    around give it: an average of open and closed Saturdays is normal for no Saturday.

    Parameters
    ----------
    q, nu
        Use and normal use relative to a workday, (companies, days). `q` is spent: what the smoother sees of it
        stands in its place.
    around
        What surrounds each day.
    baseline
        Of the same companies.
    miss
        See `silence`, (companies, days).
    group
        Group with rates of its own, (companies,).
    holiday
        First and last day of the New Year holiday, days since 1970.
    """
    off = (around.weekday >= 5) | np.isin(around.kind, (3, 4))
    usual, code = np.empty_like(nu), np.empty_like(miss)
    tell_use(q, nu, miss, off, WORKS, SEEN, UNKNOWN, q, usual, code)
    weight = (1 - baseline.memory) / (1 + baseline.memory)
    closed, closed_sd = closed_now(
        q, nu, baseline.closed, baseline.closed_sd, baseline.sigma, baseline.own_closed,
        since=max(holiday[0] - around.start, 0),
    )  # fmt: skip
    return Evidence(
        q=q,
        nu=usual,
        miss=code,
        closed=closed,
        closed_sd=closed_sd,
        sigma=baseline.sigma,
        weight=float(weight),
        group=group,
        span=spans(around),
    )


def spans(around: Surroundings) -> Ints:
    """Return the span of each day, numbered from 0: a weekend or public holiday and the workday that ends it.

    Nearly nobody shows on a day off whether he has closed, so closings and openings of such a span have one rate.
    With a rate for each day of it, one company in ten could close on Saturdays and open on Mondays without
    any reading that says so, or otherwise.
    """
    off = (around.weekday >= 5) | np.isin(around.kind, (3, 5))
    return np.concatenate([[0], np.cumsum(~off[:-1])]).astype(np.int64)
