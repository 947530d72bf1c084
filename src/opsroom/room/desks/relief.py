"""Desk `relief`: who runs out of cash, whom a payment holiday saves, who pays.

Settings: dataset names ``register``, ``accounts``, ``loans``, ``firm_months``; ``resumption`` (name of the
desk whose index gives the speed of recovery); ``months``, ``horizon``, ``draws``, ``seed``, ``accrues``,
``lead_days`` (days from a decision to the first due that rests).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from opsroom.base.errors import FitError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.results import Cells


class ReliefDesk:
    """Lay options for relief beside doing nothing."""

    cadences: Mapping[str, Cadence] = {
        "liquidity.section": "monthly",
        "relief.options": "monthly",
        "relief.deadline": "monthly",
    }

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return liquidity now, options over the horizon, and until when a decision still reaches half."""
        from opsroom.decide.relief import Habits, deadline, firms_from_tables, liquidity, relief

        names = [str(settings.require(n)) for n in ("register", "accounts", "loans", "firm_months")]
        if not all(view.has(name) for name in names):
            return DeskOutcome(None, note="not all of the desk's datasets are known yet")
        states, path = self._activity(view, settings)
        register, accounts, loans, months = self._tables(view, names)
        habits = Habits().fit(accounts, months, as_of=view.day)
        firms = firms_from_tables(register, accounts, loans, months, states, as_of=view.day, habits=habits)
        now = liquidity(firms, as_of=view.day, habits=habits)
        study = relief(
            firms,
            months=float(settings.get("months", 6)),
            horizon=int(settings.get("horizon", 12)),
            draws=int(settings.get("draws", 100)),
            seed=int(settings.get("seed", 0)),
            accrues=bool(settings.get("accrues", True)),
            as_of=view.day,
            resumption=path,
            habits=habits,
        )
        cells: list[Cells] = list(now.cells())
        try:
            last = deadline(study, lead_days=int(settings.get("lead_days", 0)))
        except FitError:
            last = None  # no option is decisive for any company: there is no deadline to miss
        cells += study.cells(deadline=None if last is None else last.fact())
        if last is not None:
            cells += last.cells()
        source = "; ".join(dict.fromkeys(view.spec(n).source or view.spec(n).provider for n in names))
        return DeskOutcome((now, study, last), tuple(replace(c, source=c.source or source) for c in cells))

    def _tables(self, view: View, names: list[str]) -> list[pd.DataFrame]:
        """Read the tables, as far back as normal sales and habits need: two years, of loans a quarter."""
        years = (view.day.replace(day=1) - dt.timedelta(days=760)).replace(day=1)
        quarter = (view.day.replace(day=1) - dt.timedelta(days=120)).replace(day=1)
        register, accounts, loans, months = names
        wanted = ["enterprise_id", "month", "sales", "wage_bill", "payments_in"]
        return [
            view.frame(register),
            view.frame(accounts, period_from=years),
            view.frame(loans, period_from=quarter),
            view.frame(months, wanted, period_from=years),
        ]

    def _activity(self, view: View, settings: DeskSettings) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
        """Return the companies' states and the path of activity from the resumption desk, where it has run."""
        from opsroom.measure.resumption import ResumptionResult

        outcome = view.upstream.get(str(settings.get("resumption", "resumption")))
        if outcome is None or not isinstance(outcome.result, ResumptionResult):
            return None, None
        view.uses(outcome)
        found = outcome.result
        daily = found.national(weight="sales").loc[: str(found.reference_date), "capacity"]
        path = (daily / 100.0).rename("capacity").rename_axis("date").reset_index()
        path = path[path["date"] > str(found.holiday[1])]
        return found.states, path if len(path) >= 14 else None


DESK = ReliefDesk()
