"""Work resumption from monthly records: value added tax, payroll, payments."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from opsroom.base import verbs
from opsroom.base.errors import FitError, UsageError
from opsroom.base.verbs import col, lit
from opsroom.measure.resumption import filing
from opsroom.measure.resumption.companies import companies_on
from opsroom.measure.resumption.filing import FILED, DelayLaw
from opsroom.measure.resumption.monthly_result import MonthlyResult
from opsroom.measure.resumption.months import F64, MARGIN, THRESHOLDS, Ints, Months
from opsroom.measure.resumption.records_kernel import (
    HABITS,
    MEDIAN,
    RELATIVES,
    ROBUST,
    YEAR,
    Habits,
    Relatives,
    row_median,
)

if TYPE_CHECKING:
    import ibis

ALIKE = 20
"""A section's season and trend are believed against those of all companies like so many companies' worth."""

RESPONSE, RESPONSE_SD, LEAST_RESPONSE_SD = 0.5, 0.29, 0.1
"""What is believed of how strongly records answer to the number of workdays, where no two years tell: anything from
not at all to in proportion; and the doubt that stays where they do."""

MOST_RESPONSE = 1.25
"""Records do not answer more strongly than this."""

FLOOR_SD = 0.1
"""Doubt about what a closed company's records show, where nothing tells."""

CLOSED = 0.05
"""A company is closed in a month of which the reference shows no more than this."""

FEW_CLOSED = 50
"""The floor of a section is believed against that of all like so many closed company-months' worth."""

SHORTEST = 28
"""Days of a month that the calendar has to have."""

FEW_MONTH = 5
"""A month's floor is looked at where so many companies are closed."""

MOST_FLOOR = 0.9
"""A source of which closed companies show more than this of normal cannot tell."""

LEAST_SHIFT = 0.01
"""Common error of the normal, log points, at least."""


@dataclass(frozen=True, slots=True)
class Source:
    """A monthly record of companies.

    Attributes
    ----------
    name
        Such as ``"vat"``.
    values
        Columns, whole numbers in minor units, which are added up: ``("sales",)`` or ``("payments_in",)``.
    family
        Sources of one family share errors (one provider, one ledger, one event behind both); None: the name.
    """

    name: str
    values: tuple[str, ...]
    family: str | None = None


def monthly_resumption(
    records: ibis.Table,
    source: Source,
    *,
    register: pd.DataFrame | pa.Table,
    as_of: dt.date | dt.datetime,
    cohort_day: dt.date,
    shock: dt.date,
    calendar: pd.DataFrame | pa.Table | None = None,
    reference: MonthlyResult | None = None,
    floor: float | None = None,
    thresholds: tuple[float, ...] = THRESHOLDS,
    margin: float = MARGIN,
    lead: int = 3,
) -> MonthlyResult:
    """Estimate from monthly records which share of the frozen cohort is back, and how much of normal it does.

    It answers: by what companies declare, pay their people or receive on their accounts, how many of those that were
    active before the shock do at least 30, 50, 70 % of what is normal for them, and how much could late and missing
    filings change that?

    Parameters
    ----------
    records
        ``enterprise_id`` (int64), ``month`` (date), ``known_at`` (timestamp) and `source`'s columns (int64); every
        vintage, or the latest of each key. What became known after `as_of` is not looked at.
    source
        Which record it is.
    register
        Slowly changing company register as of `as_of`; see `resumption`.
    as_of
        Day of knowledge, to its end (UTC), or a moment.
    cohort_day
        Day on which the denominator is frozen.
    shock
        Months that begin on or after it are not used for the normal; nor is the month that holds it.
    calendar
        ``date, kind``: workdays and bridge days are counted, so that a short month does not read as a fall.
    reference
        Result of another source, such as `meter_months`, from which is learnt what closed companies still show.
    floor
        That share of normal, if it is known; overrides `reference`. Without either it is 0, with a doubt.
    thresholds
        Shares of normal above the floor; the first is the headline.
    margin
        Hysteresis: who is back leaves only so far below the threshold.
    lead
        Months shown before the shock.

    Returns
    -------
    MonthlyResult

    Raises
    ------
    FitError
        No company of the cohort has a normal, or no month has come in.
    UsageError
        Dates, thresholds or columns contradict one another.

    Notes
    -----
    With value :math:`x_{ut}` of company u in month t, before the shock,

    .. math:: \\log x_{ut} = a_u + b_u t + s_{k(u),m(t)} + e \\log d_t + \\varepsilon_{ut}

    with a level and a trend of its own (Sen's slope over pairs of one calendar month, drawn towards its section's by
    its own standard error), the season of its section k (median over companies), and workdays d. The level is the
    median of the last twelve months before the shock. A month relative to normal is
    :math:`r_{ut} = x_{ut} / \\hat x_{ut}`, and above the floor :math:`(r - f_k) / (1 - f_k)`. Who has not filed counts
    like companies of its section, size class and last state; who has stopped filing, or is gone, as closed. What
    fails most often: turnover that is not output (advance payments, contracts that run on), where no reference tells.

    References
    ----------
    R. M. Hirsch, J. R. Slack, R. A. Smith, "Techniques of trend analysis for monthly water quality data", 1982.
    """
    moment = _moment(as_of)
    last_day = moment.date()
    first_shock = _month(shock)
    if not cohort_day < last_day or not thresholds or not 0 <= margin < min(thresholds):
        raise UsageError(
            "the cohort day must lie before the as-of day, and the margin below the thresholds.",
            remedy="Check cohort_day, as_of, thresholds and margin.",
        )
    companies = companies_on(_pandas(register), cohort_day=cohort_day, last=last_day)
    rows = _prepared(records, source, moment)
    first, last = _span(rows, until=_month(last_day) - 1)
    if not first < first_shock <= last + 1:
        raise FitError(
            "there are no records from before the shock, or none since.", remedy="Check the months of the records."
        )
    frame = Frame.of(companies, first=first, last=last, training=first_shock - first, calendar=_pandas(calendar))
    relatives, doubt = frame.run(rows, keep=max(first_shock - first - YEAR, 0))
    return frame.result(
        relatives, doubt, source=source, moment=moment, reference=reference, floor=floor, thresholds=thresholds,
        margin=margin, lead=lead, cohort_day=cohort_day,
    )  # fmt: skip


def _moment(as_of: dt.date | dt.datetime) -> dt.datetime:
    if not isinstance(as_of, dt.datetime):
        return dt.datetime.combine(as_of, dt.time.max, tzinfo=dt.UTC)
    if as_of.tzinfo is None:
        raise UsageError("a moment needs its time zone.", remedy="Give a day, or a moment with a zone.")
    return as_of.astimezone(dt.UTC)


def _month(day: dt.date) -> int:
    return (day.year - 1970) * YEAR + day.month - 1


def _first_day(month: int) -> dt.date:
    return dt.date(1970 + month // YEAR, month % YEAR + 1, 1)


def _pandas(table: pd.DataFrame | pa.Table | None) -> pd.DataFrame:
    if table is None:
        return pd.DataFrame()
    return table if isinstance(table, pd.DataFrame) else table.to_pandas()


def _prepared(records: ibis.Table, source: Source, moment: dt.datetime) -> ibis.Table:
    """Return ``enterprise_id, month, known_at, value`` of what was known."""
    if not source.values:
        raise UsageError("a source names the columns that it adds up.", remedy='Give values such as ("sales",).')
    value = col(source.values[0])
    for name in source.values[1:]:
        value = value + col(name)
    known = verbs.where(records, condition=col("known_at") <= lit(moment))
    known = verbs.derive(known, month=col("month").truncate("M"), value=value)
    return verbs.select(known, columns=["enterprise_id", "month", "known_at", "value"])


def _span(rows: ibis.Table, *, until: int) -> tuple[int, int]:
    found = verbs.collect(verbs.group(rows, by=[], measures={"low": ("min", "month"), "high": ("max", "month")}))
    low, high = found["low"][0].as_py(), found["high"][0].as_py()
    if low is None:
        raise FitError("there are no records as of that day.", remedy="Choose a later as-of day.")
    return _month(low), min(_month(high), until)


@dataclass(frozen=True, slots=True)
class Frame:
    """Companies on a grid of months: what both passes over the records have in common.

    Attributes
    ----------
    companies
        The cohort and the entrants, one row a company, sorted by id.
    first, last, training
        First and last month (since 1970), and number of months before the shock.
    workdays
        Logarithm of the number of workdays by month; NaN where the calendar does not tell.
    section, sections
        Row of each company's section, and their number.
    """

    companies: pd.DataFrame
    first: int
    last: int
    training: int
    workdays: F64
    section: Ints
    sections: int

    @classmethod
    def of(cls, companies: pd.DataFrame, *, first: int, last: int, training: int, calendar: pd.DataFrame) -> Frame:
        """Lay out the grid."""
        code, names = pd.factorize(companies["section"], sort=True)
        days = np.full(last - first + 1, np.nan)
        if not calendar.empty:
            date = pd.to_datetime(calendar["date"])
            number = (date.dt.year * YEAR + date.dt.month - 1 - 1970 * YEAR - first).to_numpy()
            inside = (number >= 0) & (number < len(days))
            whole = np.bincount(number[inside], minlength=len(days)) >= SHORTEST
            open_days = inside & calendar["kind"].isin(["workday", "bridge"]).to_numpy()
            count = np.bincount(number[open_days], minlength=len(days))
            days[whole & (count > 0)] = np.log(count[whole & (count > 0)])
        return cls(companies, first, last, training, days, code.astype(np.int64), len(names))

    @property
    def months(self) -> int:
        """Number of months."""
        return self.last - self.first + 1

    def run(self, rows: ibis.Table, *, keep: int) -> tuple[pd.DataFrame, F64]:
        """Return each month relative to normal, from `keep` on, and the normal's doubt by the calendar, log points."""
        before = verbs.where(rows, condition=col("month") < lit(_first_day(self.first + self.training)))
        habits = verbs.map_units(
            before, unit="enterprise_id", order=["month", "known_at"], schema=HABITS,
            kernel=Habits(self.first, self.training, tuple(self.workdays[: self.training].tolist())),
        ).to_pandas()  # fmt: skip
        ids = self.companies["enterprise_id"].to_numpy(dtype=np.int64)
        habits = habits[habits["enterprise_id"].isin(ids)]
        section = self.section[np.searchsorted(ids, habits["enterprise_id"].to_numpy())]
        trend, trend_sd = self._trends(habits, section)
        response, doubt = self._response(habits)
        unusual = self._unusual()
        adjustment = self._season(habits, section) + response * unusual
        kernel = Relatives(
            self.first, self.months, self.training, keep, adjustment, trend, trend_sd, ids, self.section
        )  # fmt: skip
        found = verbs.map_units(
            rows, unit="enterprise_id", order=["month", "known_at"], schema=RELATIVES, kernel=kernel
        )  # fmt: skip
        return found.to_pandas(), doubt * np.abs(unusual)

    def _trends(self, habits: pd.DataFrame, section: Ints) -> tuple[F64, float]:
        """Return the trend of each section, and how far companies' trends differ from it."""
        slope, error = habits["slope"].to_numpy(), habits["slope_sd"].to_numpy()
        has = np.isfinite(slope)
        if not has.any():
            return np.zeros(self.sections), 0.0
        trend = drawn(slope[has, None], section[has], self.sections)[:, 0]
        spread = ROBUST * np.median(np.abs(slope[has] - trend[section[has]]))
        return trend, float(np.sqrt(max(spread**2 - np.median(error[has]) ** 2, 0.0)))

    def _response(self, habits: pd.DataFrame) -> tuple[float, float]:
        """Return how strongly records answer to the number of workdays, and the doubt about it."""
        answers = habits["response"].to_numpy()
        answers = answers[np.isfinite(answers)]
        if not np.isfinite(self.workdays).any():
            return 0.0, 0.0
        if not len(answers):
            return RESPONSE, RESPONSE_SD
        error = MEDIAN * ROBUST * float(np.median(np.abs(answers - np.median(answers)))) / np.sqrt(len(answers))
        return float(np.clip(np.median(answers), 0, MOST_RESPONSE)), max(error, LEAST_RESPONSE_SD)

    def _unusual(self) -> F64:
        """Return by how much each month's workdays are more than in the training years' same month, log points."""
        calendar = (self.first + np.arange(self.months)) % YEAR
        whole = self._whole_years()
        out = np.zeros(self.months)
        for month in range(YEAR):
            mine = calendar == month
            usual = self.workdays[mine & whole]
            usual = usual[np.isfinite(usual)]
            if len(usual):
                out[mine] = np.nan_to_num(self.workdays[mine] - usual.mean())
        return out

    def _whole_years(self) -> npt.NDArray[np.bool_]:
        """Return the months over which seasons are taken."""
        place = np.arange(self.months)
        return (place >= self.training - min(self.training // YEAR, 2) * YEAR) & (place < self.training)

    def _season(self, habits: pd.DataFrame, section: Ints) -> F64:
        """Return each section's season, workdays as usual in that month, (sections, months)."""
        season = habits[[f"s{m:02d}" for m in range(YEAR)]].to_numpy()
        whole = np.isfinite(season).all(axis=1)
        if not whole.any():
            return np.zeros((self.sections, self.months))
        table = drawn(season[whole], section[whole], self.sections)
        return np.asarray((table - table.mean(axis=1, keepdims=True))[:, (self.first + np.arange(self.months)) % YEAR])

    def result(
        self,
        relatives: pd.DataFrame,
        calendar_sd: F64,
        *,
        source: Source,
        moment: dt.datetime,
        reference: MonthlyResult | None,
        floor: float | None,
        thresholds: tuple[float, ...],
        margin: float,
        lead: int,
        cohort_day: dt.date,
    ) -> MonthlyResult:
        """Put together levels, records and their doubts."""
        ids, as_of = self.companies["enterprise_id"].to_numpy(dtype=np.int64), _ordinal(moment.date())
        begin = max(self.training - YEAR, 0)
        shape = (len(ids), self.months - begin)
        relative, sd = np.full(shape, np.nan), np.zeros(shape)
        filed = np.full(shape, -1, dtype=np.int64)
        row = np.searchsorted(ids, relatives["enterprise_id"].to_numpy())
        column = relatives["month"].to_numpy() - self.first - begin
        relative[row, column], sd[row, column] = relatives["relative"], np.nan_to_num(relatives["sd"])
        filed[row, column] = pd.to_datetime(relatives["filed"]).to_numpy().astype("datetime64[D]").astype(np.int64)
        grid = np.arange(self.first + begin, self.last + 1)
        ends = np.array([_ordinal(_first_day(int(m) + 1)) - 1 for m in grid])
        kept = slice(max(self.training - begin - lead, 0), None)
        months = pd.DatetimeIndex([pd.Timestamp(_first_day(int(m))) for m in grid[kept]], name="month")
        entrant = self.companies["entrant"].to_numpy(dtype=bool)
        entered = pd.Series((filed[entrant] >= 0).sum(axis=0)[kept], index=months, name="entrants")
        old = ~entrant
        relative, sd, filed, section = relative[old], sd[old], filed[old], self.section[old]
        if not np.isfinite(relative).any():
            raise FitError("no company has a normal of its own.", remedy="Give at least a year of records.")
        cohort = self.companies[old].reset_index(drop=True)
        at, when = np.nonzero(filed >= 0)
        law = filing.learned(when, filed[at, when], ends, as_of)
        gone = cohort["gone"].to_numpy(dtype=np.int64)
        record = filing.states(filed, law, ends=ends, as_of=as_of, gone=gone, stopping=_stopping(gone, ends))
        normal_sd = np.hypot(_stray(relative, self.training - begin), calendar_sd[begin:])
        relative, sd, filed, record, ends = (x[..., kept] for x in (relative, sd, filed, record, ends))
        shown = Shown.of(cohort, relative, section, self.sections, months)
        floors, floor_sd = shown.floors(reference, floor)
        level, pushes = _levels(relative, record, floors[section], floor_sd, normal_sd[kept])
        noise = np.nan_to_num(relative) * sd / (1 - floors[section][:, None])
        noise = np.where((record == FILED) & np.isfinite(level), noise, 0.0).astype(np.float32)
        due = ends + np.maximum(law.ages[np.searchsorted(law.share, filing.DUE)], 1)
        panel = Months(cohort, months, level, noise, pushes, record, (filed >= 0) & (filed <= due))
        return MonthlyResult(
            source=source.name, family=source.family or source.name, panel=panel, as_of=moment.date(),
            cohort_day=cohort_day, reference_month=reference_month(panel), thresholds=thresholds, margin=margin,
            delays=law, entrants=entered,
            facts={"floor": float(floors[section].mean()), "floor_sd": floor_sd, "normal_sd": float(normal_sd.max()),
                   "late_sd": panel.estimate(thresholds[0], margin).late_gap},
        )  # fmt: skip


def _stopping(gone: Ints, ends: Ints) -> float:
    """Return the share of companies that the register shows to have ceased in a month, at least `STOPPING`."""
    died = float(((gone > ends[0]) & (gone <= ends[-1])).mean()) / max(len(ends) - 1, 1)
    return max(died, filing.STOPPING)


def _stray(relative: F64, training: int) -> float:
    """Return how far the cohort as a whole strays from its normal before the shock, log points."""
    logs = np.log(np.where(relative[:, :training] > 0, relative[:, :training], np.nan))
    return max(float(np.sqrt(np.nanmean(row_median(logs.T) ** 2))), LEAST_SHIFT)


@dataclass(frozen=True, slots=True)
class Shown:
    """What records show of each company and month, relative to normal: the floor is learnt from it.

    Attributes
    ----------
    ids, section
        Company, and the row of its section.
    sections
        Number of sections.
    relative
        (companies, months).
    months
        First days of the months.
    """

    ids: Ints
    section: Ints
    sections: int
    relative: F64
    months: pd.DatetimeIndex

    @classmethod
    def of(cls, cohort: pd.DataFrame, relative: F64, section: Ints, sections: int, months: pd.DatetimeIndex) -> Shown:
        """Put together what is shown of a cohort."""
        return cls(cohort["enterprise_id"].to_numpy(dtype=np.int64), section, sections, relative, months)

    def floors(self, reference: MonthlyResult | None, floor: float | None) -> tuple[F64, float]:
        """Return what closed companies of each section still show, and the doubt about it."""
        if floor is not None:
            if not 0 <= floor < 1:
                raise UsageError("the floor is a share of normal below 1.", remedy="Give, say, 0.15.")
            return np.full(self.sections, floor), LEAST_SHIFT
        closed = np.zeros((0, 0)) if reference is None else self._closed(reference.panel)
        if not np.isfinite(closed).any():
            return np.zeros(self.sections), FLOOR_SD
        row, column = np.nonzero(np.isfinite(closed))
        found = drawn(closed[row, column][:, None], self.section[row], self.sections, FEW_CLOSED)[:, 0]
        # A month of a few closed companies says little of its floor.
        monthly = row_median(closed.T)[np.isfinite(closed).sum(axis=0) >= FEW_MONTH]
        doubt = float(np.std(monthly)) if len(monthly) > 1 else FLOOR_SD
        return np.clip(found, 0, MOST_FLOOR), max(doubt, LEAST_SHIFT)

    def _closed(self, other: Months) -> F64:
        """Return what is shown where the reference shows a company closed, NaN elsewhere."""
        out = np.full(self.relative.shape, np.nan)
        place = other.months.get_indexer(self.months)
        _, mine, theirs = np.intersect1d(self.ids, other.companies["enterprise_id"].to_numpy(), return_indices=True)
        for t in np.flatnonzero(place >= 0):
            shut = (other.record[theirs, place[t]] == FILED) & (other.level[theirs, place[t]] <= CLOSED)
            out[mine[shut], t] = self.relative[mine[shut], t]
        return out


def drawn(values: F64, code: Ints, groups: int, weight: int = ALIKE) -> F64:
    """Return the median of each column by group, drawn towards that of all."""
    whole = np.median(values, axis=0)
    out = np.tile(whole, (groups, 1))
    for g in range(groups):
        mine = values[code == g]
        if len(mine):
            out[g] = (len(mine) * np.median(mine, axis=0) + weight * whole) / (len(mine) + weight)
    return out


def _levels(
    relative: F64, record: npt.NDArray[np.int8], floor: F64, floor_sd: float, normal_sd: F64
) -> tuple[npt.NDArray[np.float32], tuple[npt.NDArray[np.float32], ...]]:
    """Return levels above the floor, and their changes by the shared errors of normal and of floor."""
    scale = 1 - floor[:, None]
    level = (relative - floor[:, None]) / scale
    stopped = np.isin(record, (filing.SILENT, filing.GONE))
    level = np.where(stopped, 0.0, level)
    by_normal = np.where(stopped, 0.0, relative * normal_sd / scale)
    by_floor = np.where(stopped, 0.0, (relative - 1) * floor_sd / scale**2)
    return level.astype(np.float32), (by_normal.astype(np.float32), by_floor.astype(np.float32))


def reference_month(panel: Months) -> dt.date:
    """Return the last month that is due: of which more than half of the cohort's records are in."""
    share = (panel.record == FILED).mean(axis=0)
    usual = float(np.median(share))
    due = np.flatnonzero(share >= filing.DUE * usual)
    return panel.months[int(due[-1])].date()


def _ordinal(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days

