"""Work resumption from monthly records: value added tax, payroll, payments."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa

from opsroom.base import verbs
from opsroom.base.errors import FitError, UsageError
from opsroom.base.verbs import col, lit
from opsroom.measure.resumption.companies import companies_on
from opsroom.measure.resumption.grid import Frame, month_number, reference_month
from opsroom.measure.resumption.monthly_result import MonthlyResult
from opsroom.measure.resumption.months import MARGIN, THRESHOLDS
from opsroom.measure.resumption.records_kernel import YEAR

if TYPE_CHECKING:
    import ibis


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
    first_shock = month_number(shock)
    if not cohort_day < last_day or not thresholds or not 0 <= margin < min(thresholds):
        raise UsageError(
            "the cohort day must lie before the as-of day, and the margin below the thresholds.",
            remedy="Check cohort_day, as_of, thresholds and margin.",
        )
    companies = companies_on(_pandas(register), cohort_day=cohort_day, last=last_day)
    rows = _prepared(records, source, moment)
    first, last = _span(rows, until=month_number(last_day) - 1)
    if not first < first_shock <= last + 1:
        raise FitError(
            "there are no records from before the shock, or none since.", remedy="Check the months of the records."
        )
    frame = Frame.of(companies, first=first, last=last, training=first_shock - first, calendar=_pandas(calendar))
    relatives, doubt = frame.run(rows, keep=max(first_shock - first - YEAR, 0))
    known = None if reference is None else reference.panel
    laid = frame.lay(relatives, doubt, as_of=last_day, reference=known, floor=floor, lead=lead)
    facts = laid.facts | {"late_sd": laid.panel.estimate(thresholds[0], margin).late_gap}
    return MonthlyResult(
        source=source.name,
        family=source.family or source.name,
        panel=laid.panel,
        as_of=last_day,
        cohort_day=cohort_day,
        reference_month=reference_month(laid.panel),
        thresholds=thresholds,
        margin=margin,
        delays=laid.delays,
        entrants=laid.entrants,
        facts=facts,
    )


def _moment(as_of: dt.date | dt.datetime) -> dt.datetime:
    if not isinstance(as_of, dt.datetime):
        return dt.datetime.combine(as_of, dt.time.max, tzinfo=dt.UTC)
    if as_of.tzinfo is None:
        raise UsageError("a moment needs its time zone.", remedy="Give a day, or a moment with a zone.")
    return as_of.astimezone(dt.UTC)


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
    return month_number(low), min(month_number(high), until)
