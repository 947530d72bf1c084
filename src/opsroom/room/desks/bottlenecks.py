"""Desk `bottlenecks`: where orders pile up faster than they are met, by section, once a month.

Settings: ``firm_months`` (a dataset with ``enterprise_id``, ``month``, ``orders``, ``sales``, ``backlog``),
``register``; ``months`` shown (3).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View

if TYPE_CHECKING:
    import pandas as pd

ORDERS = ("enterprise_id", "month", "orders", "sales", "backlog")
REGISTER = ("enterprise_id", "valid_from", "group_id", "section", "legal_form")
LATE = 2
"""Months that the newest report may be behind the day."""


class BottlenecksDesk:
    """Watch shortages."""

    cadences: Mapping[str, Cadence] = {"bottlenecks.orders": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return orders and backlogs over deliveries by section."""
        from opsroom.warn.bottlenecks import excess_demand

        reports, register = str(settings.require("firm_months")), str(settings.require("register"))
        if missing := [name for name in (reports, register) if not view.has(name)]:
            return DeskOutcome(None, note=f"nothing known of {', '.join(missing)} yet")
        months = int(settings.get("months", 3))
        first = view.day.replace(day=1)
        for _ in range(months + LATE):
            first = (first - dt.timedelta(days=1)).replace(day=1)
        units = _units(view, reports, register, first)
        if units.empty:
            return DeskOutcome(None, note="no orders of late")
        found = excess_demand(units, by=("section",))
        # the first reports of a month are few: a month counts once the next one has begun to come in
        shown = sorted(units["month"].unique())[:-1][-months:]
        if not shown:
            return DeskOutcome(found, note="no month is complete")
        cut = replace(found, units=found.units[found.units["month"].isin(shown)])
        return DeskOutcome(found, (cut.cells(),))


def _units(view: View, reports: str, register: str, first: dt.date) -> pd.DataFrame:
    """Return a row a company and month, with owner and section as registered by the day; natural persons are none."""
    import pandas as pd

    rows = view.frame(reports, list(ORDERS), period_from=first).dropna()
    companies = view.frame(register, list(REGISTER))
    companies = companies[companies["valid_from"] <= pd.Timestamp(view.day)].sort_values("valid_from")
    companies = companies.drop_duplicates("enterprise_id", keep="last")
    companies = companies[~companies["legal_form"].isin(NATURAL_FORMS)].drop(columns=["valid_from", "legal_form"])
    units = rows.merge(companies, on="enterprise_id", how="inner", validate="many_to_one")
    return units.assign(month=units["month"].dt.strftime("%Y-%m"))


DESK = BottlenecksDesk()
