"""Desk `loans`: company loans that are not paid, against each sector's own history.

Settings: dataset names ``loans``, ``register``, and, where there are any, ``collections`` and ``accounts``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.desks.publicdata import optional_frame
from opsroom.room.desks.unchanged import Mark
from opsroom.room.standard import missing_tables, standard_view

if TYPE_CHECKING:
    from opsroom.base.results import Cells
    from opsroom.warn.delinquency import DelinquencyResult

_LOANS = ("loan_id", "month", "enterprise_id", "outstanding", "interest_due", "principal_due", "days_past_due",
          "forborne")  # fmt: skip
_REGISTER = ("enterprise_id", "valid_from", "legal_form", "group_id", "section")
_ACCOUNTS = ("enterprise_id", "month", "cash", "undrawn_credit", "fixed_costs")


class LoansDesk:
    """Watch company loans."""

    cadences: Mapping[str, Cadence] = {"loans.section": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return performing, forborne and delinquent loans by section, with alarms."""
        tables = {name: str(settings.require(name)) for name in ("loans", "register")}
        books = settings.get("accounts")
        if books is not None:
            tables["accounts"] = str(books)
        view, names = standard_view(view, tables, {name: name for name in tables})
        if missing := missing_tables(view, {name: names[name] for name in ("loans", "register")}):
            return DeskOutcome(None, note=missing)
        place = f"loans.last.{settings.name}"
        kept: _Kept | None = view.memory.get(place)
        if kept is None or not kept.stands(view, settings):
            read = (settings.get("collections"), names["loans"], names["register"], names.get("accounts"))
            mark = Mark.of(view, [str(name) for name in read if name])
            found = _figures(view, settings, names)
            if isinstance(found, str):
                return DeskOutcome(None, note=found)
            kept = _Kept(settings, mark, view.day, *found)
            # run ahead, a desk hands on its cells alone: the companies behind them need not stay in memory
            view.memory[place] = replace(kept, result=None) if view.ahead else kept
        result = None if kept.result is None else replace(kept.result, as_of=view.day)
        return DeskOutcome(result, kept.cells)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the desk found last, from which tables, and the days as of which that is the answer."""

    settings: DeskSettings
    mark: Mark
    first: dt.date
    last: dt.date
    result: DelinquencyResult | None
    cells: tuple[Cells, ...]

    def stands(self, view: View, settings: DeskSettings) -> bool:
        """Say whether another run would find the same."""
        if settings != self.settings or not self.first <= view.day <= self.last:
            return False
        return (view.ahead or self.result is not None) and self.mark.holds(view)


def _figures(
    view: View, settings: DeskSettings, names: Mapping[str, str]
) -> tuple[dt.date, DelinquencyResult, tuple[Cells, ...]] | str:
    """Return until when the figures stand, the figures, and their cells; or why there are none."""
    from opsroom.base.errors import FitError
    from opsroom.warn.delinquency import delinquency, same_until

    books = names.get("accounts")
    collections = optional_frame(view, settings, "collections")
    loans, register = view.frame(names["loans"], list(_LOANS)), view.frame(names["register"], list(_REGISTER))
    accounts = partial(view.frame, books, list(_ACCOUNTS)) if books and view.has(books) else None
    if accounts is not None and (collections is None or collections.empty):
        accounts()  # the method will not ask for them; that they stand behind the figures must not hang on it
    until = same_until(loans, register, as_of=view.day)
    debts = [loans]
    del loans  # years of every loan: the method lets go of them once they are looked at
    try:
        result = delinquency(
            debts.pop(),
            register=register,
            collections=collections,
            accounts=accounts,
            as_of=view.day,
        )
    except FitError as error:
        return f"no figure could be made ({error.code})"
    return until, result, tuple(result.cells())


DESK = LoansDesk()
