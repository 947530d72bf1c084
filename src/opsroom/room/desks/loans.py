"""Desk `loans`: company loans that are not paid, against each sector's own history.

Settings: dataset names ``loans``, ``register``, and, where there are any, ``collections`` and ``accounts``.
"""

from __future__ import annotations

from collections.abc import Mapping

from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.desks.publicdata import optional_frame
from opsroom.room.standard import missing_tables, standard_view

_LOANS = ("loan_id", "month", "enterprise_id", "outstanding", "interest_due", "principal_due", "days_past_due",
          "forborne")  # fmt: skip
_REGISTER = ("enterprise_id", "valid_from", "legal_form", "group_id", "section")
_ACCOUNTS = ("enterprise_id", "month", "cash", "undrawn_credit", "fixed_costs")


class LoansDesk:
    """Watch company loans."""

    cadences: Mapping[str, Cadence] = {"loans.section": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return performing, forborne and delinquent loans by section, with alarms."""
        from opsroom.base.errors import FitError
        from opsroom.warn.delinquency import delinquency

        tables = {name: str(settings.require(name)) for name in ("loans", "register")}
        books = settings.get("accounts")
        if books is not None:
            tables["accounts"] = str(books)
        view, names = standard_view(view, tables, {name: name for name in tables})
        if missing := missing_tables(view, {name: names[name] for name in ("loans", "register")}):
            return DeskOutcome(None, note=missing)
        loans, register = names["loans"], names["register"]
        collections = optional_frame(view, settings, "collections")
        accounts = view.frame(names["accounts"], list(_ACCOUNTS)) if books and view.has(names["accounts"]) else None
        try:
            result = delinquency(
                view.frame(loans, list(_LOANS)),
                register=view.frame(register, list(_REGISTER)),
                collections=collections,
                accounts=accounts,
                as_of=view.day,
            )
        except FitError as error:
            return DeskOutcome(None, note=f"no figure could be made ({error.code})")
        return DeskOutcome(result, tuple(result.cells()))


DESK = LoansDesk()
