"""Desk `relief`: who runs out of cash, whom a payment holiday saves, who pays.

Settings: dataset names ``register``, ``accounts``, ``loans``, and ``firm_months`` or ``sales`` and ``wages`` (the
built-in datasets ``vat`` and ``payroll``); ``resumption`` (name of the
desk whose index gives the speed of recovery); ``months``, ``horizon``, ``draws``, ``seed``, ``accrues``,
``lead_days`` (days from a decision to the first due that rests).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.errors import DataError, FitError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.desks.unchanged import Mark
from opsroom.room.standard import missing_tables, standard_view

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.results import Cells
    from opsroom.decide.relief.groundwork import Groundwork
    from opsroom.measure.resumption import ResumptionResult


_REGISTER = ("enterprise_id", "valid_from", "valid_to", "died", "legal_form", "group_id", "section", "region",
             "size_class", "employees")  # fmt: skip
_ACCOUNTS = ("enterprise_id", "month", "cash", "undrawn_credit", "fixed_costs", "materials_ppm", "tax_due")
_LOANS = ("loan_id", "enterprise_id", "month", "outstanding", "interest_due", "principal_due", "days_past_due",
          "forborne", "secured_ppm", "guarantee_ppm", "lender_id", "rate_bp")  # fmt: skip
_MONTHS = ("enterprise_id", "month", "sales", "wage_bill", "payments_in")


@dataclass(frozen=True, slots=True)
class _Activity:
    """What is known of activity: by company now and by month, of the country by day, and on which day."""

    states: pd.DataFrame | None = None
    path: pd.DataFrame | None = None
    months: pd.DataFrame | None = None
    day: dt.date | None = None


class ReliefDesk:
    """Lay options for relief beside doing nothing."""

    cadences: Mapping[str, Cadence] = {
        "liquidity.section": "monthly",
        "relief.options": "monthly",
        "relief.deadline": "monthly",
    }

    def begin(self, view: View, settings: DeskSettings) -> Mapping[str, Any]:
        """Work out what accounts and monthly reports tell."""
        view, names, missing = _known(view, settings)
        if missing:
            return {}
        try:
            _groundwork(view, settings, names, _Activity())
        except DataError:
            return {}  # `run` meets it again and says so
        place = _place(settings)
        return {place: view.memory.pop(place)}  # needed there alone: next month brings other accounts

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return liquidity now, options over the horizon, and until when a decision still reaches half."""
        view, names, missing = _known(view, settings)
        if missing:
            return DeskOutcome(None, note=missing)
        try:
            return self._study(view, settings, names)
        except DataError as error:  # amounts that no study can hold: the other desks still publish
            return DeskOutcome(None, note=f"no study could be made ({error.code})")

    def _study(self, view: View, settings: DeskSettings, names: list[str]) -> DeskOutcome:
        from opsroom.decide.relief import Recovery, Response, deadline, liquidity, relief
        from opsroom.decide.relief.firms import firms_of
        from opsroom.decide.relief.rehearsal import rehearse

        known = self._activity(view, settings)
        work = _groundwork(view, settings, names, known)
        register, loans = _tables(view, names)
        habits, response = work.habits.following(work.panel, known.states), Response(1.0, 0.0)
        if known.months is not None:
            response = Response().fit(work.panel, known.months)
        rehearsed = rehearse(work.panel, loans, habits)
        habits = rehearsed.habits
        firms = firms_of(
            register,
            loans,
            work.standing,
            known.states,
            activity_months=known.months,
            response=response,
            as_of=view.day,
            habits=habits,
        )
        del register, loans  # the rest needs the companies alone
        now = liquidity(firms, as_of=view.day, habits=habits)
        study = relief(
            firms,
            months=float(settings.get("months", 6)),
            horizon=int(settings.get("horizon", 12)),
            draws=int(settings.get("draws", 100)),
            seed=int(settings.get("seed", 0)),
            accrues=bool(settings.get("accrues", True)),
            as_of=view.day,
            begins=view.day.replace(day=1),
            measured=known.day,
            resumption=known.path,
            recovery=Recovery(response_error=response.error / response.share),
            habits=habits,
        )
        cells: list[Cells] = list(now.cells())
        try:
            last = deadline(study, lead_days=int(settings.get("lead_days", 0)))
        except FitError:
            last = None  # no option is decisive for any company: there is no deadline to miss
        facts = {"rehearsal": rehearsed.facts(), "sales_lost_per_activity_lost": round(response.share, 2)}
        cells += [
            replace(c, facts={**c.facts, **facts}) for c in study.cells(deadline=None if last is None else last.fact())
        ]
        if last is not None:
            cells += last.cells()
        source = "; ".join(dict.fromkeys(view.spec(n).source or view.spec(n).provider for n in names))
        return DeskOutcome((now, study, last), tuple(replace(c, source=c.source or source) for c in cells))

    def _activity(self, view: View, settings: DeskSettings) -> _Activity:
        """Return what the resumption desk knows of activity, where it has run."""
        from opsroom.measure.resumption import ResumptionResult

        outcome = view.upstream.get(str(settings.get("resumption", "resumption")))
        if outcome is None or not isinstance(outcome.result, ResumptionResult):
            return _Activity()
        view.uses(outcome)
        found = outcome.result
        daily = found.national(weight="sales").loc[: str(found.reference_date), "capacity"]
        path = (daily / 100.0).rename("capacity").rename_axis("date").reset_index()
        path = path[path["date"] > str(found.holiday[1])]
        return _Activity(found.states, path if len(path) >= 14 else None, _by_month(found), found.reference_date)


def _known(view: View, settings: DeskSettings) -> tuple[View, list[str], str]:
    """Return the view in which built-in datasets have the method's layout, their names, and which are not known yet."""
    reports = ("sales", "wages") if settings.get("sales") else ("firm_months",)
    tables = {n: str(settings.require(n)) for n in ("register", "accounts", "loans", *reports)}
    view, known = standard_view(view, tables, {n: n for n in tables})
    return view, list(known.values()), missing_tables(view, known)


def _place(settings: DeskSettings) -> str:
    return f"relief.groundwork.{settings.name}"


def _groundwork(view: View, settings: DeskSettings, names: list[str], known: _Activity) -> Groundwork:
    """Return what accounts and monthly reports tell: kept from the last run while it still is what is known.

    They are read as far back as normal sales and habits need, two years.
    """
    from opsroom.decide.relief.groundwork import Groundwork

    place = _place(settings)
    register, accounts, _, *reports = names
    natural = _natural(view, register)
    kept: tuple[list[str], Mark, list[int], Groundwork] | None = view.memory.get(place)
    same = kept is not None and (kept[0], kept[2]) == (names, natural)
    if kept is not None and same and kept[3].holds(view.day, known.months) and kept[1].holds(view):
        return kept[3]
    view.memory.pop(place, None)  # not twice in memory
    mark = Mark.of(view, [accounts, *reports])
    since = (view.day.replace(day=1) - dt.timedelta(days=760)).replace(day=1)
    work = Groundwork.of(  # which reads one table after the other, and holds on to none
        accounts=lambda: _without(natural, view.frame(accounts, list(_ACCOUNTS), period_from=since)),
        firm_months=lambda: _without(natural, _reports(view, reports, since)),
        as_of=view.day,
        activity_months=known.months,
    )
    view.memory[place] = names, mark, natural, work
    return work


def _natural(view: View, register: str) -> list[int]:
    """Return the sole traders as registered by the day: what companies do is not learnt from natural persons."""
    import pandas as pd

    rows = view.frame(register, ["enterprise_id", "valid_from", "legal_form"])
    rows = rows[rows["valid_from"] <= pd.Timestamp(view.day)].sort_values("valid_from", kind="stable")
    rows = rows.drop_duplicates("enterprise_id", keep="last")
    return sorted(rows.loc[rows["legal_form"].isin(NATURAL_FORMS), "enterprise_id"])


def _without(natural: list[int], rows: pd.DataFrame) -> pd.DataFrame:
    return rows[~rows["enterprise_id"].isin(natural)]


def _reports(view: View, names: list[str], since: dt.date) -> pd.DataFrame:
    """Read monthly reports: of sales and wages together, or of each."""
    found = [view.frame(name, [c for c in _MONTHS if c in view.fields(name)], period_from=since) for name in names]
    return found[0] if len(found) == 1 else found[0].merge(found[1], on=["enterprise_id", "month"])


def _tables(view: View, names: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the register, and five months of loans."""
    register, _, loans, *_ = names
    recent = (view.day.replace(day=1) - dt.timedelta(days=150)).replace(day=1)
    return (
        view.frame(register, [c for c in _REGISTER if c in view.fields(register)]),
        view.frame(loans, list(_LOANS), period_from=recent),
    )


def _by_month(found: ResumptionResult) -> pd.DataFrame:
    """Return each company's mean activity by month, as far as days are complete."""
    import numpy as np
    import pandas as pd

    panel = found.panel
    complete = panel.dates[: panel.column(found.reference_date) + 1]
    number = complete.to_numpy().astype("datetime64[M]")
    ids = panel.companies["enterprise_id"].to_numpy()
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "enterprise_id": ids,
                    "month": pd.Timestamp(month),
                    "capacity": panel.capacity[:, np.flatnonzero(number == month)].mean(axis=1, dtype=np.float64),
                }
            )
            for month in np.unique(number)
        ],
        ignore_index=True,
    )


DESK = ReliefDesk()
