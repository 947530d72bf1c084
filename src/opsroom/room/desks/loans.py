"""Desk `loans`: company loans that are not paid, against each sector's own history.

Settings: dataset names ``loans``, ``register``, and, where there are any, ``collections`` and ``accounts``.
"""

from __future__ import annotations

from collections.abc import Mapping

from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.desks.publicdata import optional_frame


class LoansDesk:
    """Watch company loans."""

    cadences: Mapping[str, Cadence] = {"loans.section": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return performing, forborne and delinquent loans by section, with alarms."""
        from opsroom.base.errors import FitError
        from opsroom.warn.delinquency import delinquency

        loans, register = str(settings.require("loans")), str(settings.require("register"))
        if not (view.has(loans) and view.has(register)):
            return DeskOutcome(None, note="no loans are known yet")
        collections, accounts = (optional_frame(view, settings, name) for name in ("collections", "accounts"))
        try:
            result = delinquency(
                view.frame(loans),
                register=view.frame(register),
                collections=collections,
                accounts=accounts,
                as_of=view.day,
            )
        except FitError as error:
            return DeskOutcome(None, note=f"no figure could be made ({error.code})")
        return DeskOutcome(result, tuple(result.cells()))


DESK = LoansDesk()
