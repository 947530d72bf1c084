"""The estimate of work resumption, from readings to result."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from opsroom.base.errors import FitError, InternalError, UsageError
from opsroom.base.memory import give_back_after
from opsroom.measure.resumption.aggregate import THRESHOLD, Panel, aggregate, turning_point
from opsroom.measure.resumption.baseline import Baseline, fit_baseline
from opsroom.measure.resumption.companies import companies_on, telework_prior
from opsroom.measure.resumption.doubt import doubts, every
from opsroom.measure.resumption.evidence import Observed, evidence, observe, silence
from opsroom.measure.resumption.groundwork import Groundwork
from opsroom.measure.resumption.meters import MeterDays, batches
from opsroom.measure.resumption.movement import Fortnight
from opsroom.measure.resumption.panel_kernel import add_states, lay_out, tell_naive
from opsroom.measure.resumption.readings import F32, Bools, Ints, date_of, ordinal
from opsroom.measure.resumption.result import ResumptionResult
from opsroom.measure.resumption.states import SEEN, UNKNOWN, Evidence, infer, learn
from opsroom.measure.resumption.threshold import F64, AtWork, Tally, at_work, strata

Frame: TypeAlias = pd.DataFrame | pa.Table

LEAD = 16
"""The window begins so many days before the cohort day."""

TELLING = 0.9
"""A meter that on a closed day shows more than this of a workday's use cannot tell open from closed."""

COMPLETE = 0.985
"""A day is complete once so much of the usual coverage is in."""


def baseline_for(
    readings: Any,
    *,
    links: Frame,
    register: Frame,
    weather: Frame,
    calendar: Frame,
    cohort_day: dt.date,
    start: dt.date | None = None,
    last: dt.date | None = None,
    earlier: Baseline | None = None,
) -> Baseline:
    """Fit the reusable normal of every company, before the shock.

    Parameters
    ----------
    readings
        ``meter_id, date, wh``, latest vintage: Arrow table, reader or Ibis table. About a year up to
        `cohort_day`, with last year's New Year holiday.
    links, register, weather, calendar
        As in `resumption`.
    cohort_day
        Day on which the cohort is frozen; the last day of training.
    start
        First day of training; None: the year before `cohort_day` and a fortnight.
    last
        Last day up to which entrants are wanted; None: `cohort_day`.
    earlier
        Baseline fitted before, of which what has not moved since is taken over; the result is the same without.
    """
    companies = companies_on(_pandas(register), cohort_day=cohort_day, last=last or cohort_day)
    first = start or cohort_day - dt.timedelta(days=380)
    return fit_baseline(
        readings, links=_pandas(links), companies=companies, weather=_pandas(weather),
        calendar=_pandas(calendar), start=first, end=cohort_day, earlier=earlier,
    )  # fmt: skip


def resumption(
    readings: Any,
    *,
    links: Frame,
    register: Frame,
    weather: Frame,
    calendar: Frame,
    as_of: dt.date | dt.datetime,
    holiday: tuple[dt.date, dt.date],
    cohort_day: dt.date,
    telework: Mapping[str, float] | None = None,
    restrictions: Frame | None = None,
    baseline: Baseline | None = None,
    window_from: dt.date | None = None,
    groundwork: Groundwork | None = None,
) -> ResumptionResult:
    """Estimate which share of companies is back at work, and how much of normal they use.

    It answers: of the companies that were active before the holiday, how many are at work on each day
    since, how many of their jobs and how much of their sales are there, and how far could that be wrong?

    Parameters
    ----------
    readings
        ``meter_id`` (int64), ``date`` (date32), ``wh`` (int64): daily energy, latest vintage known as of
        `as_of`. Arrow table, reader of record batches, or Ibis table. Without `baseline` they must reach
        back to last year's holiday.
    links
        ``meter_id, establishment_id, enterprise_id, valid_from, valid_to, share_ppm``.
    register
        Slowly changing company register; sole traders are left out.
    weather
        ``region, date, temp_dc`` (tenths of a degree Celsius).
    calendar
        ``date, kind`` with kinds workday, weekend, public_holiday, new_year_holiday, bridge.
    as_of
        Day on which the estimate is made; nothing later is looked at.
    holiday
        First and last day of this year's New Year holiday.
    cohort_day
        Day before the holiday on which the denominator is frozen.
    telework
        Section → share of jobs that can be done from home; None: `companies.TELEWORK`.
    restrictions
        ``region, date, stringency``: where and when people may be kept at home.
    baseline
        From `baseline_for`; None fits it from the readings.
    window_from
        First day of the index; None: sixteen days before `cohort_day`.
    groundwork
        `Groundwork` of the same tables and baseline from an earlier call; None, or one that does not hold any
        more: it is made.

    Returns
    -------
    ResumptionResult

    Raises
    ------
    FitError
        If there are no usable readings.
    UsageError
        If the dates contradict one another.

    Notes
    -----
    Each company's use, divided by what a workday would have used in that weather and season, is read by a
    hidden-state smoother: closed (its closed-day level) or open to some degree, with readings on days on
    which it would be closed anyway telling nothing, so that weekends move nothing. How fast companies open
    and close, and how silence goes with being closed, is learnt from all companies together (EM). Dark
    companies of sections with a high telework prior are partly at work. The interval adds the errors
    of the closed-day level, of the threshold between closed and barely open, of the telework prior and
    of silence (not missing at random); sampling hardly matters. What fails most often: sections whose
    closed-day level nobody has ever seen.

    References
    ----------
    L. E. Baum et al., "A maximization technique occurring in the statistical analysis of probabilistic
    functions of Markov chains", 1970. J. Dingel, B. Neiman, "How many jobs can be done at home?", 2020.
    W. Rogan, B. Gladen, "Estimating prevalence from the results of a screening test", 1978.
    """
    day = as_of.date() if isinstance(as_of, dt.datetime) else as_of
    if not cohort_day < holiday[0] <= holiday[1] or day < cohort_day:
        raise UsageError(
            "the cohort day must lie before the holiday and the as-of day after the cohort day.",
            remedy="Check the room's settings.",
        )
    tables = [_pandas(t) for t in (links, register, weather, calendar)]
    if baseline is None:
        readings = (
            readings if isinstance(readings, pa.Table | MeterDays) else pa.Table.from_batches(list(batches(readings)))
        )
        baseline = baseline_for(
            readings, links=tables[0], register=tables[1], weather=tables[2], calendar=tables[3],
            cohort_day=cohort_day, last=day,
        )  # fmt: skip
    start = ordinal(window_from or cohort_day - dt.timedelta(days=LEAD))
    made_of = (tables[1], tables[0], baseline)
    if groundwork is None or not groundwork.holds(*made_of, cohort_day=cohort_day, last=day):
        groundwork = Groundwork.of(*made_of, cohort_day=cohort_day, last=day)
    rest = _pandas(restrictions) if restrictions is not None else None
    told = _told(
        # handed over, not held: it is let go of there, table by table
        observe(
            readings, groundwork, weather=tables[2], calendar=tables[3], start=start, days=ordinal(day) - start + 1
        ),
        groundwork, holiday, telework, rest,
    )  # fmt: skip
    give_back_after(told.seen.nbytes * 4)  # float32 by company and day, of which the states need as many again
    panel, silent = _panel(told, groundwork)
    give_back_after(panel.working.nbytes)
    national = aggregate(panel)
    return ResumptionResult(
        panel=panel, frame=national, reference_date=told.reference, incomplete_days=told.incomplete,
        turning_point=turning_point(national[: pd.Timestamp(told.reference)], holiday_end=holiday[1]),
        as_of=day, holiday=holiday, cohort_day=cohort_day, baseline=baseline,
        rates={"silence_closed": float(silent[0]), "silence_open": float(silent[1]), **told.rates},
        fortnight=told.fortnight,
    )  # fmt: skip


def _pandas(table: Frame) -> pd.DataFrame:
    """Return a small table as pandas."""
    return table if isinstance(table, pd.DataFrame) else table.to_pandas()


@dataclass(slots=True)
class _Told:
    """What a window tells of the companies of a groundwork, before their states are inferred.

    Not frozen, for `_panel` takes the evidence out of it: it is a fifth of all that is held.
    """

    facts: Evidence | None
    naive: npt.NDArray[np.int8]
    seen: Bools
    start: int
    since: int
    """First column after the holiday."""
    usable: Bools
    """Companies whose use can tell open from closed, (companies,)."""
    section: Ints
    prior: F64
    """Share of each company's section that can work with empty premises."""
    locked: Ints
    reference: dt.date
    """Last complete day."""
    incomplete: int
    fortnight: Fortnight | None
    rates: dict[str, float]
    """Shares of readings repaired and dropped."""


def _told(
    observed: Observed,
    groundwork: Groundwork,
    holiday: tuple[dt.date, dt.date],
    telework: Mapping[str, float] | None,
    restrictions: pd.DataFrame | None,
) -> _Told:
    """Lay out the evidence on every company."""
    start, days = observed.around.start, observed.q.shape[1]
    baseline, companies = groundwork.baseline, groundwork.companies
    span = (ordinal(holiday[0]), ordinal(holiday[1]))
    keep = _rows_of(companies["enterprise_id"].to_numpy(), baseline.enterprise)
    part = _baseline_rows(baseline, keep)
    seen, gone = observed.seen[keep], companies["gone"].to_numpy(dtype=np.int64)
    miss = silence(seen, observed.use.active[keep], part.region, gone, start)
    reference, incomplete = _completeness(miss, start)
    fortnight = Fortnight.of(observed, groundwork, last=reference)
    naive = _naive(observed.use.ratio, span[0] - start)[keep]
    rates = {"repaired": float(observed.use.repaired), "dropped": float(observed.use.dropped)}
    q, nu, around = observed.q, observed.nu, observed.around
    del observed
    q = q[keep]  # one after the other: where companies are left out, each is copied
    nu = nu[keep]
    (region, regions), (code, sections) = (pd.factorize(companies[c], sort=True) for c in ("region", "section"))
    locked = locked_regions(restrictions, np.asarray(regions, dtype=str))[region]
    prior = telework_prior(np.asarray(sections, dtype=str), telework)[code]
    code = code.astype(np.int64)
    group = np.unique(code * 2 + locked, return_inverse=True)[1].astype(np.int64)
    give_back_after(q.nbytes)
    facts = evidence(q, nu, around, part, miss=miss, group=group, holiday=span)
    telling = facts.closed.mean(axis=1) < TELLING
    return _Told(
        facts=facts,
        naive=naive,
        seen=seen,
        start=start,
        since=min(max(span[1] + 1 - start, 0), days - 1),  # a window may begin after the holiday
        usable=part.fitted & telling & (facts.miss < 2).any(axis=1),
        section=code,
        prior=prior,
        locked=locked,
        reference=reference,
        incomplete=incomplete,
        fortnight=fortnight,
        rates=rates,
    )


def _panel(told: _Told, groundwork: Groundwork) -> tuple[Panel, F64]:
    """Infer every company's state and lay out the panel; return it with the rates of silence, closed and open.

    Each table of companies by days is let go of as soon as the next is made of it: a window of half a year holds
    four of them for the states alone.
    """
    facts, told.facts = told.facts, None
    if facts is None:
        raise InternalError("the evidence was taken before.")
    filled = _unmeasured(told.usable, groundwork.companies)
    sample = facts.sample(every(len(facts.q)))
    states = infer(facts, learn(facts), spend=True)
    del facts
    days = states.dark.shape[1]
    stratum = strata(told.prior, told.locked)
    low = np.zeros((3, int(stratum.max()) + 1, days))
    lit = np.zeros((2, int(told.section.max()) + 1, days))
    add_states(states.dark, states.faint, states.near, states.degree, stratum, told.section, low, lit)
    tally = Tally.of(low, stratum=stratum, prior=told.prior)
    part, silent = states.sample(every(len(filled))), states.rates.silence
    dark, faint, degree = states.dark, states.faint, states.degree
    del states
    law = at_work(tally, since=told.since)
    working, capacity = _laid_out(dark, faint, degree, law, told.section, lit, filled)
    del dark, faint, degree
    doubt = doubts(sample, part, tally, section=told.section, prior=told.prior, since=told.since, filled=filled)
    panel = Panel(
        groundwork.companies, told.start, working, capacity, told.seen, told.naive, doubt, groundwork.shelf
    )  # fmt: skip
    return panel, silent


def locked_regions(restrictions: pd.DataFrame | None, region: npt.NDArray[np.str_]) -> Ints:
    """Return 1 for companies in a region that has been under lockdown, as far as known, else 0."""
    if restrictions is None or "lockdown" not in restrictions:
        return np.zeros(len(region), dtype=np.int64)
    locked = restrictions.loc[restrictions["lockdown"].astype(bool), "region"].astype(str).unique()
    return np.isin(region, locked).astype(np.int64)


def _rows_of(wanted: Ints, enterprise: Ints) -> Ints | slice:
    """Return where the wanted stand among a baseline's enterprises: all of them are a slice, which copies nothing."""
    keep = np.searchsorted(enterprise, wanted)
    return slice(None) if np.array_equal(keep, np.arange(len(enterprise))) else keep


def _baseline_rows(baseline: Baseline, keep: Ints | slice) -> Baseline:
    return replace(
        baseline,
        enterprise=baseline.enterprise[keep],
        region=baseline.region[keep],
        coef=baseline.coef[keep],
        sigma=baseline.sigma[keep],
        closed=baseline.closed[keep],
        closed_sd=baseline.closed_sd[keep],
        own_closed=baseline.own_closed[keep],
        fitted=baseline.fitted[keep],
    )


def _unmeasured(measured: npt.NDArray[np.bool_], companies: pd.DataFrame) -> Ints:
    """Return for every company the row that stands for it: its own, or a measured one most like it.

    A systematic draw from the measured companies of the same section and size class, then section,
    then all, keeps their distribution and needs no randomness.
    """
    donor = np.arange(len(measured))
    todo = np.flatnonzero(~measured)
    if not measured.any():
        raise FitError("no company has a normal of its own.", remedy="Give a longer history of readings.")
    section = pd.factorize(companies["section"])[0]
    size = pd.factorize(companies["size_class"])[0]
    for key in (section * 16 + size, section, np.zeros_like(section)):
        left: list[int] = []
        for code in np.unique(key[todo]):
            mine = todo[key[todo] == code]
            pool = np.flatnonzero(measured & (key == code))
            if len(pool) >= 5 or not key.any():
                donor[mine] = pool[(np.arange(len(mine)) * 7919) % len(pool)]
            else:
                left.extend(mine.tolist())
        todo = np.array(left, dtype=np.int64)
    return donor


def _laid_out(
    dark: F32, faint: F32, degree: F32, law: AtWork, section: Ints, lit: F64, filled: Ints
) -> tuple[F32, F32]:
    """Return the chance of being at work, and use above the closed-day level relative to normal, by company.

    Electricity cannot tell how much is done with the lights off: the mean degree of the section's open
    companies on the day stands for it, so that work in the dark counts as in the light.
    """
    typical = np.clip(lit[1] / np.maximum(lit[0], 1e-6), 0, 1.2).astype(np.float32)
    shut = [1 - p.astype(np.float32) for p in (law.dark, law.faint)]
    shape = (len(filled), dark.shape[1])
    working, capacity = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    lay_out(
        dark,
        faint,
        degree,
        filled,
        law.stratum,
        section,
        shut[0],
        shut[1],
        typical,
        working,
        capacity,
    )
    return working, capacity


def _naive(ratio: F32, before: int) -> npt.NDArray[np.int8]:
    """Return whether use exceeds the threshold times the own mean before the holiday; -1 unknown."""
    out = np.empty(ratio.shape, dtype=np.int8)
    tell_naive(ratio, min(max(before, 1), ratio.shape[1]), 5, THRESHOLD, out)
    return out


def _completeness(miss: npt.NDArray[np.int8], start: int) -> tuple[dt.date, int]:
    """Return the last complete day, and how many days since are incomplete.

    A day is complete once nearly as many of the companies that still report have reported as usually:
    those silent for long, because they closed, are left out of both.
    """
    expected = (miss == SEEN) | (miss == UNKNOWN)
    coverage = (miss == SEEN).sum(axis=0) / np.maximum(expected.sum(axis=0), 1)
    days = len(coverage)
    usual = float(np.median(coverage[max(days - 35, 0) : max(days - 7, 7)]))
    complete = np.flatnonzero(coverage >= COMPLETE * usual)
    last = int(complete[-1]) if len(complete) else days - 1
    return date_of(start + last), days - 1 - last
