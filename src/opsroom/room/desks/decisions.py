"""Desk `decisions`: what was decided, by whom, expecting what, and what came of it. No settings."""

from __future__ import annotations

from collections.abc import Mapping

from opsroom.base.settings import Cadence, DeskSettings
from opsroom.evaluate.decisions import cells, load
from opsroom.room.desk import DeskOutcome, View


class DecisionsDesk:
    """Show the decision records."""

    cadences: Mapping[str, Cadence] = {}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return the records as they stood on the day: words, and functions of releases."""
        decided = load(view.state, view.day)
        note = "" if decided else "nothing has been decided yet"
        return DeskOutcome(None, tuple(cells(decided)), note=note)


DESK = DecisionsDesk()
