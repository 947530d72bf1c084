"""Desk `companies`: how many companies the register holds, by section and region, as of the day's month.

Settings: ``register``; ``by`` (fields of the register, default ``section`` and ``region``); ``title``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.standard import missing_tables, standard_view

if TYPE_CHECKING:
    import pandas as pd

NAME = "companies.section"


class CompaniesDesk:
    """Count the companies of the register."""

    cadences: Mapping[str, Cadence] = {NAME: "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return the companies registered on the day by section and region, counted by owner for the gate."""
        from opsroom.base.cells import parts_from_units
        from opsroom.base.results import Cells, Measure, Part

        tables = {"register": str(settings.require("register"))}
        view, names = standard_view(view, tables, {"register": "register"})
        if missing := missing_tables(view, names):
            return DeskOutcome(None, note=missing)
        by = settings.get("by", ["section", "region"])
        by = [by] if isinstance(by, str) else [str(field) for field in by]
        units = _standing(view, names["register"], by)
        if units.empty:
            return DeskOutcome(None, note="no company is registered on the day")
        # Each month is a cell of its own: what changed since last month is news, not a revision.
        units = units.assign(month=f"{view.day:%Y-%m}", one=1)
        frame = parts_from_units(
            units, dimensions=["month", *by], group="group_id", values={"n_companies": "one"}, totals=by
        )
        cells = Cells(
            name=NAME,
            dimensions=("month", *by),
            measures=(Measure("companies", "count", "companies", ("n_companies",), decimals=0),),
            frame=frame,
            parts=(Part("n_companies", "companies"),),
            additive=tuple(by),
            method="companies-1",
            facts={"title": str(settings.get("title", "Companies in the register")), "day": view.day.isoformat()},
        )
        return DeskOutcome(units, (cells,))


def _standing(view: View, register: str, by: list[str]) -> pd.DataFrame:
    """Return a row a company that is registered on the day, as its newest entry by then has it."""
    import pandas as pd

    columns = ["enterprise_id", "group_id", "valid_from", "valid_to", "died", *by]
    entries = view.frame(register, list(dict.fromkeys(columns)))
    day = pd.Timestamp(view.day)
    newest = entries[entries["valid_from"] <= day].sort_values("valid_from", kind="stable")
    newest = newest.drop_duplicates("enterprise_id", keep="last")
    over = (newest["valid_to"] < day) | (newest["died"] <= day)
    return newest[~over.fillna(False).astype(bool)].dropna(subset=by)


DESK = CompaniesDesk()
