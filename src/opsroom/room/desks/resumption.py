"""Desk `resumption`: which companies are back at work, from their meters.

Settings: dataset names ``meters``, ``meter_links``, ``register``, ``weather``, and, where there are any, ``calendar``
(absent: made of the country's public holidays), ``telework`` and ``restrictions``; ``history_days`` (days of
readings before the cohort day on which each company's normal is learnt, default 380); ``detailed`` (true: region ×
section × size class come out monthly, too, which takes the gate minutes). The room's ``[holiday]`` table gives
``start`` and ``end``, its ``[cohort]`` table ``day``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import FitError, SettingsError
from opsroom.base.memory import give_back_after
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.calendar import is_due, publication_days
from opsroom.room.desk import DeskOutcome, View, earlier_release
from opsroom.room.desks.publicdata import optional_frame
from opsroom.room.desks.readings import forget, frame_of, readings_of
from opsroom.room.standard import missing_tables, standard_view

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.results import Cells
    from opsroom.measure.resumption import Baseline, ResumptionResult

SETTLED = dt.timedelta(days=60)
"""Time for late readings of the normal span to come in, before normals stand still."""

BEFORE = dt.timedelta(days=3)
"""Time before the holiday at which the index begins."""

_BASELINES = "resumption.baselines"

NO_CALENDAR = "public holidays are not known: room.toml names no country, and the desk no dataset calendar"

LEAD = 16
"""Days before the cohort day from which the index is shown."""


@dataclass(frozen=True, slots=True)
class _Names:
    """The desk's datasets."""

    meters: str
    links: str
    register: str
    weather: str
    calendar: str
    books: str = ""

    @classmethod
    def of(cls, view: View, settings: DeskSettings) -> tuple[View, _Names]:
        """Return the datasets, and the view in which built-in ones have the method's layout."""
        tables = {n: str(settings.require(n)) for n in ("meters", "meter_links", "register", "weather")}
        tables["calendar"] = str(settings.get("calendar", ""))
        kinds = {"meters": "readings", "meter_links": "links", "register": "register", "weather": "weather"}
        made, names = standard_view(view, {**tables, "turnover": str(settings.get("accounts", "accounts"))}, kinds)
        # A built-in register has no sales, by which companies are weighed: its turnover is that of the accounts.
        return made, cls(
            meters=names["meters"],
            links=names["meter_links"],
            register=names["register"],
            weather=names["weather"],
            calendar=names["calendar"],
            books=names["turnover"] if names["register"] != tables["register"] else "",
        )

    def missing(self, view: View) -> str:
        """Say which of the datasets the room does not know yet."""
        tables = {n: getattr(self, n) for n in ("meters", "register", "weather", "calendar")}
        if self.books:
            tables["accounts"] = self.books
        if not self.calendar:
            del tables["calendar"]  # it is made of the country's public holidays
        return missing_tables(view, tables)


class ResumptionDesk:
    """Measure work resumption."""

    cadences: Mapping[str, Cadence] = {
        "resumption.national": "weekly",
        "resumption.section": "weekly",
        "resumption.change": "weekly",
        "resumption.use": "weekly",
        "resumption.region": "monthly",
        "resumption.detailed": "monthly",
    }

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return the index as of the day, beside what was said at the last publication."""
        view, names = _Names.of(view, settings)
        if missing := names.missing(view):
            return DeskOutcome(None, note=missing)
        if not names.calendar and not view.settings.country:
            return DeskOutcome(None, note=NO_CALENDAR)
        if not view.has(names.links):
            return DeskOutcome(None, note=f"nothing is known yet of meter_links ({names.links})")
        dates = holiday_dates(view)
        if view.day < dates["start"] - BEFORE:
            return DeskOutcome(None, note="the index begins with the holiday")
        from opsroom.measure.resumption.changes import remembered

        try:
            result = self._result(view, settings, names, dates)
        except FitError as error:
            return DeskOutcome(None, note=f"no index could be made ({error.code})")
        previous = self._previous(view, settings, names, dates)
        view.memory["resumption.last"] = (view.day, remembered(result))
        cells = tuple(self._described(view, names, c) for c in self._cells(view, settings, result, previous))
        return DeskOutcome(result, cells)

    def begin(self, view: View, settings: DeskSettings) -> Mapping[str, Any]:
        """Fit the companies' normals, on the days on which they are fitted anew."""
        view, names = _Names.of(view, settings)
        dates = holiday_dates(view)
        cohort = dates["cohort_day"]
        early = view.day < dates["start"] - BEFORE
        if early or refit_day(view, cohort) != view.day or names.missing(view) or not view.has(names.links):
            return {}
        try:
            self._baseline(view, settings, names, cohort)
        except FitError:
            return {}  # `run` meets it again and says so
        return {_BASELINES: view.memory[_BASELINES]}

    def _cells(
        self, view: View, settings: DeskSettings, result: ResumptionResult, previous: ResumptionResult | None
    ) -> Iterator[Cells]:
        """Yield the cells that are due; the many cells of regions are not counted out on other days."""
        from opsroom.measure.resumption import cells as make

        yield make.national_cells(result)
        yield make.section_cells(result)
        if is_due(self.cadences["resumption.region"], view.day, view.settings.publish):
            yield make.region_cells(result)
            if settings.get("detailed", False):
                yield make.detailed_cells(result)
        if previous is not None and previous.reference_date < result.reference_date:
            yield from make.change_cells(previous, result)
        yield from make.movement_cells(result)

    def _result(
        self, view: View, settings: DeskSettings, names: _Names, dates: Mapping[str, dt.date]
    ) -> ResumptionResult:
        from opsroom.measure.resumption import resumption
        from opsroom.measure.resumption.groundwork import Groundwork

        cohort = dates["cohort_day"]
        baseline = self._baseline(view, settings, names, cohort)
        first = cohort - dt.timedelta(days=LEAD)
        recent = readings_of(view, names.meters, start=first)
        if view.day > cohort + SETTLED or last_fit(view, cohort):
            forget(view, before=first)  # normals stand still: the time before is not needed again
        give_back_after(recent.array.nbytes)
        links, register = frame_of(view, names.links), frame_of(view, names.register)
        groundwork: Groundwork | None = view.memory.get("resumption.groundwork")
        made_of = (register, links, baseline)
        if groundwork is None or not groundwork.holds(*made_of, cohort_day=cohort, last=view.day):
            groundwork = Groundwork.of(*made_of, cohort_day=cohort, last=view.day)
            view.memory["resumption.groundwork"] = groundwork
        return resumption(
            recent,
            links=links,
            register=register,
            weather=view.frame(names.weather),
            calendar=_calendar(view, names, dates),
            as_of=view.day,
            holiday=(dates["start"], dates["end"]),
            cohort_day=cohort,
            telework=_telework(view, settings),
            restrictions=optional_frame(view, settings, "restrictions"),
            baseline=baseline,
            window_from=first,
            groundwork=groundwork,
        )

    def _baseline(self, view: View, settings: DeskSettings, names: _Names, cohort: dt.date) -> Baseline:
        """Fit each company's normal on what was known on the day of the last refit."""
        from opsroom.measure.resumption import fit_baseline

        start = cohort - dt.timedelta(days=int(settings.get("history_days", 380)))
        fitted_on = refit_day(view, cohort)
        then = view.at(fitted_on)
        kept = view.memory.setdefault(_BASELINES, {})
        if fitted_on not in kept:
            earlier = next(iter(kept.values()), None)
            kept.clear()
            fitted = fit_baseline(
                readings_of(then, names.meters, start=start),
                links=frame_of(then, names.links),
                register=frame_of(then, names.register),
                weather=then.frame(names.weather),
                calendar=_calendar(then, names, holiday_dates(view)),
                cohort_day=cohort,
                start=start,
                earlier=earlier,
            )
            # What the next fit would go on from is large.
            kept[fitted_on] = replace(fitted, regressions=None) if last_fit(then, cohort) else fitted
        found: Baseline = kept[fitted_on]
        return found

    def _previous(
        self, view: View, settings: DeskSettings, names: _Names, dates: Mapping[str, dt.date]
    ) -> ResumptionResult | None:
        """Return what the room estimated for its last publication: kept, or computed again as of that day."""
        earlier = earlier_release(view, "resumption.national")
        if earlier is None:
            return None
        kept: tuple[dt.date, ResumptionResult] | None = view.memory.get("resumption.last")
        if kept is not None and kept[0] == earlier.day:
            return kept[1]
        try:
            return self._result(view.at(earlier.day), settings, names, dates)
        except FitError:
            return None

    def _described(self, view: View, names: _Names, cells: Cells) -> Cells:
        spec = view.spec(names.meters)
        return replace(cells, source=cells.source or spec.source or spec.provider)


def refit_day(view: View, cohort: dt.date) -> dt.date:
    """Return the day whose knowledge the companies' normals rest on.

    That is the month's first publication day, until late readings of the time before the cohort day have had
    `SETTLED` days to come in; from then on normals stand still. The rule depends on the view's day alone, so that
    a figure can be recomputed as of any day: what moves from week to week is activity and data, not the yardstick.
    """
    calendar = view.settings.publish
    day = min(view.day, cohort + SETTLED)
    month = publication_days(day.replace(day=1), day, calendar)
    return month[0] if month and calendar.cadence != "on_demand" else day


def last_fit(view: View, cohort: dt.date) -> bool:
    """Say whether the normals fitted on the view's day stand for good: no later day is one of the calendar's fits."""
    calendar = view.settings.publish
    if calendar.cadence == "on_demand":
        return False
    later = publication_days(view.day + dt.timedelta(days=1), cohort + SETTLED, calendar)
    return all(day.month == view.day.month and day.year == view.day.year for day in later)


def holiday_dates(view: View) -> Mapping[str, dt.date]:
    """Return the room's holiday (start, end) and the day on which the cohort is frozen (cohort_day)."""
    holiday, cohort = (view.settings.facts.get(name, {}) for name in ("holiday", "cohort"))
    found = {"start": holiday.get("start"), "end": holiday.get("end"), "cohort_day": cohort.get("day")}
    if not all(isinstance(day, dt.date) for day in found.values()):
        raise SettingsError(
            "room.toml: [holiday] needs the dates start and end, [cohort] the date day.",
            remedy="Add them; the resumption desk compares with the days before the holiday.",
            code="OPS-C007",
        )
    return found


def _calendar(view: View, names: _Names, dates: Mapping[str, dt.date]) -> pd.DataFrame:
    """Return the calendar: the room's, or one of the country's public holidays and the room's own holiday."""
    import pandas as pd

    if names.calendar:
        return view.frame(names.calendar)
    import holidays

    days = pd.date_range(dates["start"] - dt.timedelta(days=800), dates["end"] + dt.timedelta(days=800))
    public = holidays.country_holidays(view.settings.country, years=sorted(set(days.year)))
    kinds = pd.Series("workday", index=days)
    kinds[days.day_of_week >= 5] = "weekend"
    kinds[[day.date() in public for day in days]] = "public_holiday"
    kinds[str(dates["start"]) : str(dates["end"])] = "new_year_holiday"
    return pd.DataFrame({"date": days, "kind": kinds.to_numpy()})


def _telework(view: View, settings: DeskSettings) -> dict[str, float] | None:
    frame: Any = optional_frame(view, settings, "telework")
    if frame is None:
        return None
    return {str(row.section): row.share_ppm / 1e6 for row in frame.itertuples()}


DESK = ResumptionDesk()
