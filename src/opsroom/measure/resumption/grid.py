"""Companies on a grid of months: both passes over the records, and what they make."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base import verbs
from opsroom.base.errors import FitError
from opsroom.base.verbs import col, lit
from opsroom.measure.resumption import filing
from opsroom.measure.resumption.filing import FILED, DelayLaw
from opsroom.measure.resumption.floors import Shown, drawn, levels, stray
from opsroom.measure.resumption.months import F64, Ints, Months
from opsroom.measure.resumption.records_kernel import HABITS, MEDIAN, RELATIVES, ROBUST, YEAR, Habits, Relatives

if TYPE_CHECKING:
    import ibis

RESPONSE, RESPONSE_SD, LEAST_RESPONSE_SD = 0.5, 0.29, 0.1
"""What is believed of how strongly records answer to the number of workdays, where no two years tell: anything from
not at all to in proportion; and the doubt that stays where they do."""

MOST_RESPONSE = 1.25
"""Records do not answer more strongly than this."""

SHORTEST = 28
"""Days of a month that the calendar has to have."""


def month_number(day: dt.date) -> int:
    """Return the number of a day's month, counted from January 1970."""
    return (day.year - 1970) * YEAR + day.month - 1


def first_day(month: int) -> dt.date:
    """Return the first day of a month by number."""
    return dt.date(1970 + month // YEAR, month % YEAR + 1, 1)


def _ordinal(day: dt.date) -> int:
    return (day - dt.date(1970, 1, 1)).days


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the records of a cohort come to.

    Attributes
    ----------
    panel
        Company by company.
    delays
        When filings come in.
    entrants
        Entrants that have filed, by month.
    facts
        ``floor, floor_sd, normal_sd``.
    """

    panel: Months
    delays: DelayLaw
    entrants: pd.Series
    facts: dict[str, float]


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
        unusual = self._unusual()
        before = verbs.where(rows, condition=col("month") < lit(first_day(self.first + self.training)))
        habits = verbs.map_units(
            before, unit="enterprise_id", order=["month", "known_at"], schema=HABITS,
            kernel=Habits(self.first, self.training, tuple(unusual[: self.training].tolist())),
        ).to_pandas()  # fmt: skip
        ids = self.companies["enterprise_id"].to_numpy(dtype=np.int64)
        habits = habits[habits["enterprise_id"].isin(ids)]
        section = self.section[np.searchsorted(ids, habits["enterprise_id"].to_numpy())]
        trend, trend_sd = self._trends(habits, section)
        response, doubt = self._response(habits)
        unusual = np.nan_to_num(unusual)
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
        """Return by how much workdays are more than in that month of the years of the season, log points, or NaN."""
        calendar = (self.first + np.arange(self.months)) % YEAR
        whole = self._whole_years()
        out = np.full(self.months, np.nan)
        for month in range(YEAR):
            mine = calendar == month
            usual = self.workdays[mine & whole]
            usual = usual[np.isfinite(usual)]
            if len(usual):
                out[mine] = self.workdays[mine] - usual.mean()
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

    def lay(
        self,
        relatives: pd.DataFrame,
        calendar_sd: F64,
        *,
        as_of: dt.date,
        reference: Months | None,
        floor: float | None,
        lead: int,
    ) -> Outcome:
        """Put together levels, records and their doubts."""
        ids, today = self.companies["enterprise_id"].to_numpy(dtype=np.int64), _ordinal(as_of)
        begin = max(self.training - YEAR, 0)
        shape = (len(ids), self.months - begin)
        relative, sd = np.full(shape, np.nan), np.zeros(shape)
        filed = np.full(shape, -1, dtype=np.int64)
        row = np.searchsorted(ids, relatives["enterprise_id"].to_numpy())
        column = relatives["month"].to_numpy() - self.first - begin
        relative[row, column], sd[row, column] = relatives["relative"], np.nan_to_num(relatives["sd"])
        filed[row, column] = pd.to_datetime(relatives["filed"]).to_numpy().astype("datetime64[D]").astype(np.int64)
        grid = np.arange(self.first + begin, self.last + 1)
        ends = np.array([_ordinal(first_day(int(m) + 1)) - 1 for m in grid])
        kept = slice(max(self.training - begin - lead, 0), None)
        months = pd.DatetimeIndex([pd.Timestamp(first_day(int(m))) for m in grid[kept]], name="month")
        entrant = self.companies["entrant"].to_numpy(dtype=bool)
        entered = pd.Series((filed[entrant] >= 0).sum(axis=0)[kept], index=months, name="entrants")
        old = ~entrant
        relative, sd, filed, section = relative[old], sd[old], filed[old], self.section[old]
        if not np.isfinite(relative).any():
            raise FitError("no company has a normal of its own.", remedy="Give at least a year of records.")
        cohort = self.companies[old].reset_index(drop=True)
        at, when = np.nonzero(filed >= 0)
        law = filing.learned(when, filed[at, when], ends, today)
        gone = cohort["gone"].to_numpy(dtype=np.int64)
        record = filing.states(filed, law, ends=ends, as_of=today, gone=gone, stopping=_stopping(gone, ends))
        normal_sd = np.hypot(stray(relative, self.training - begin), calendar_sd[begin:])
        relative, sd, filed = relative[:, kept], sd[:, kept], filed[:, kept]
        record, ends = record[:, kept], ends[kept]
        shown = Shown.of(cohort, relative, section, self.sections, months)
        floors, floor_sd = shown.floors(reference, floor)
        level, pushes = levels(relative, record, floors[section], floor_sd, normal_sd[kept])
        noise = np.nan_to_num(relative) * sd / (1 - floors[section][:, None])
        noise = np.where((record == FILED) & np.isfinite(level), noise, 0.0).astype(np.float32)
        due = ends + np.maximum(law.ages[np.searchsorted(law.share, filing.DUE)], 1)
        panel = Months(cohort, months, level, noise, pushes, record, (filed >= 0) & (filed <= due))
        facts = {"floor": float(floors[section].mean()), "floor_sd": floor_sd, "normal_sd": float(normal_sd.max())}
        return Outcome(panel, law, entered, facts)


def reference_month(panel: Months) -> dt.date:
    """Return the last month that is due: of which more than half of the cohort's records are in."""
    share = (panel.record == FILED).mean(axis=0)
    usual = float(np.median(share))
    due = np.flatnonzero(share >= filing.DUE * usual)
    return panel.months[int(due[-1])].date()


def _stopping(gone: Ints, ends: Ints) -> float:
    """Return the share of companies that the register shows to have ceased in a month, at least `STOPPING`."""
    died = float(((gone > ends[0]) & (gone <= ends[-1])).mean()) / max(len(ends) - 1, 1)
    return max(died, filing.STOPPING)
