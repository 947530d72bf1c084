"""Desk `loans`: company loans that are not paid, against each sector's own history.

Settings: dataset names ``loans``, ``register``, and, where there are any, ``collections`` and ``accounts``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import replace

from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View


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
        extra = {
            name: view.frame(str(settings.get(name)))
            for name in ("collections", "accounts")
            if settings.get(name) and view.has(str(settings.get(name)))
        }
        try:
            result = delinquency(view.frame(loans), register=view.frame(register), as_of=view.day, **extra)
        except FitError as error:
            return DeskOutcome(None, note=f"no figure could be made ({error.code})")
        spec = view.spec(loans)
        cells = tuple(replace(c, source=c.source or spec.source or spec.provider) for c in result.cells())
        return DeskOutcome(result, cells)


def month_before(day: dt.date) -> dt.date:
    """Return the first day of the month before a day's."""
    return (day.replace(day=1) - dt.timedelta(days=1)).replace(day=1)


DESK = LoansDesk()
