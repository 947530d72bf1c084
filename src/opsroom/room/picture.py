"""The picture: what all desks see as of one day. Confidential; it never reaches a face."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from opsroom.base.results import Result
from opsroom.room.desk import DeskOutcome


@dataclass(frozen=True, slots=True)
class Picture:
    """All desks' results as of one day.

    Attributes
    ----------
    as_of
        Knowledge time.
    day
        The day whose end `as_of` is, in the room's time zone.
    desks
        Desk name → what it found.
    """

    as_of: dt.datetime
    day: dt.date
    desks: Mapping[str, DeskOutcome]

    def summary(self) -> str:
        """Return every desk's summary, one after the other."""
        blocks = []
        for name, outcome in self.desks.items():
            text = outcome.result.summary() if isinstance(outcome.result, Result) else outcome.note
            blocks.append(f"[{name}]\n{text}")
        return "\n\n".join(blocks)
