"""From relative use to evidence: normal taken out, silence told from late data and provider drop-outs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.measure.resumption.baseline import Baseline, Surroundings
from opsroom.measure.resumption.readings import F32, Bools, Chains, Ints, Use, chain_use, company_use
from opsroom.measure.resumption.states import GONE, SEEN, SILENT, UNKNOWN, Evidence

LATE_DAYS = 10
"""Readings missing in so many last days may only be late: they are not read as silence."""

DROPOUT = 0.15
"""A region and day with so much less reporting than usual is a provider's drop-out, not companies' silence."""


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
    *,
    baseline: Baseline,
    links: pd.DataFrame,
    weather: pd.DataFrame,
    calendar: pd.DataFrame,
    start: int,
    days: int,
) -> Observed:
    """Return use relative to what a workday would have used, with the normal factor of the day."""
    chains = Chains.of(links, enterprises=baseline.enterprise)
    by_chain = chain_use(readings, chains, start=start, days=days, level=baseline.levels(chains))
    use = company_use(chains, by_chain, start=start, enterprises=baseline.enterprise)
    around = Surroundings.of(weather, calendar, start=start, days=days)
    level, nu = baseline.normal(around)
    q = use.ratio / level
    q[~baseline.fitted] = np.nan
    return Observed(use, around, q, nu, np.isfinite(use.ratio))


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
    n, days = seen.shape
    code = np.where(seen, SEEN, SILENT).astype(np.int8)
    for r in np.unique(region):
        rows = np.flatnonzero(region == r)
        coverage = seen[rows].mean(axis=0)
        usual = pd.Series(coverage).rolling(29, center=True, min_periods=7).median().bfill().ffill().to_numpy()
        out = np.flatnonzero(coverage < (1 - DROPOUT) * usual)
        if len(out):
            block = code[np.ix_(rows, out)]
            code[np.ix_(rows, out)] = np.where(block == SILENT, UNKNOWN, block)
    late = slice(max(days - LATE_DAYS, 0), days)
    code[:, late] = np.where(code[:, late] == SILENT, UNKNOWN, code[:, late])
    code[active == 0] = GONE
    day = np.arange(days) + start
    code[day[None, :] >= gone[:, None]] = GONE
    return code


def evidence(
    observed: Observed, baseline: Baseline, *, miss: npt.NDArray[np.int8], group: Ints, holiday: tuple[int, int]
) -> Evidence:
    """Return what the smoother sees.

    On days of the New Year holiday a company is compared with a workday of its own weekday: whoever
    is closed for the holiday reads as closed, whoever works through reads as open. On weekends and
    single public holidays the company's own normal for such days applies.
    """
    around = observed.around
    nu = observed.nu
    day = np.arange(nu.shape[1]) + around.start
    inside = (day >= holiday[0]) & (day <= holiday[1]) & (around.weekday < 5) & (around.kind != 3)
    if inside.any():
        nu = nu.copy()
        nu[:, inside] = 1.0
    seen = np.where(miss == SEEN, observed.q, np.nan).astype(np.float32)
    known = np.isfinite(seen)
    code = np.where((miss == SEEN) & ~known, UNKNOWN, miss).astype(np.int8)
    off = (around.weekday >= 5) | np.isin(around.kind, (3, 4))
    weight = (1 - baseline.memory) / (1 + baseline.memory)
    return Evidence(
        q=np.nan_to_num(seen, nan=0.0), nu=nu, miss=code, closed=baseline.closed, closed_sd=baseline.closed_sd,
        sigma=baseline.sigma, weight=float(weight), group=group, off=off,
    )  # fmt: skip
