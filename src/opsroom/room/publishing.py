"""Publishing: desks' cells, as far as they are due, through the gate and into the ledger."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from opsroom.base.errors import AccessError, DisclosureError, UsageError
from opsroom.base.providers import CLOSED
from opsroom.base.results import Cells
from opsroom.base.settings import Cadence, DeskSettings, RoomSettings
from opsroom.protect.ledger import Ledger
from opsroom.protect.release import Release
from opsroom.protect.rules import Rules
from opsroom.room.calendar import is_due
from opsroom.room.desk import DeskOutcome, desk


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the room's publishing lock: who comes second waits, and sees what the first has issued.

    The ledger alone would judge two at once one after the other, but issue a day's figures twice. The lock goes
    with the process, so that a kill leaves none behind.
    """
    with (folder / ".publishing.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def is_wanted(setting: DeskSettings, day: dt.date, settings: RoomSettings) -> bool:
    """Say whether a desk has anything to publish on a day."""
    cadences = desk(setting.kind).cadences
    return not cadences or any(is_due(cadence, day, settings.publish) for cadence in cadences.values())


def or_closed(
    run: Callable[[DeskSettings, dt.datetime, dt.date, Mapping[str, DeskOutcome]], DeskOutcome],
    setting: DeskSettings,
    moment: dt.datetime,
    day: dt.date,
    upstream: Mapping[str, DeskOutcome],
) -> DeskOutcome:
    """Run a desk; where it rests on data that may not be read any more it has nothing to say, and tells why.

    One provider whose agreement ended must not silence the desks that do without it.
    """
    try:
        return run(setting, moment, day, upstream)
    except AccessError as error:
        if error.code not in CLOSED:
            raise
        return DeskOutcome(None, note=error.message.rstrip("."))


def publish_outcome(
    outcome: DeskOutcome,
    setting: DeskSettings,
    settings: RoomSettings,
    ledger: Ledger,
    *,
    as_of: dt.datetime,
    day: dt.date,
    refused: Callable[[str], None] = lambda _: None,
) -> list[Release]:
    """Pass what is due of one desk's cells through the gate.

    What the gate refuses is recorded in the ledger, with rule and public remedy, not raised.

    Parameters
    ----------
    outcome
        What the desk found as of the day.
    setting, settings
        The desk's and the room's settings: cadences, rules, calendar.
    ledger
        Where releases and refusals go.
    as_of, day
        Knowledge time and publication day.
    refused
        Told the name of each series that the gate refuses.

    Returns
    -------
    list of Release
        In the order issued.
    """
    rules = Rules.from_settings(settings.rules)
    cadences = desk(setting.kind).cadences
    issued = []
    for cells in outcome.cells:
        if not is_due(_cadence(cadences, cells.name), day, settings.publish):
            continue
        try:
            issued.append(_issue(cells, rules, ledger, as_of=as_of, day=day))
        except DisclosureError:
            refused(cells.name)  # rule and remedy are recorded by the gate
    return issued


def _cadence(cadences: Mapping[str, Cadence], name: str) -> Cadence:
    """Return the cadence of a series: its own, its family's (``family.*``), or weekly."""
    return cadences.get(name) or cadences.get(f"{name.partition('.')[0]}.*") or "weekly"


def release_result(
    result: object, settings: RoomSettings, ledger: Ledger, *, as_of: dt.datetime, day: dt.date
) -> Release:
    """Pass one result of trusted code through the gate.

    A result that was not made by the room's desks carries no provenance, so it counts as confidential.

    Raises
    ------
    UsageError
        If the result has no cells.
    DisclosureError
        If the gate refuses.
    """
    cells = result if isinstance(result, Cells) else _only_cells(result)
    return _issue(replace(cells, public=False), Rules.from_settings(settings.rules), ledger, as_of=as_of, day=day)


def _only_cells(result: object) -> Cells:
    make = getattr(result, "cells", None)
    found = make() if callable(make) else None
    if isinstance(found, Cells):
        return found
    if isinstance(found, (list, tuple)) and len(found) == 1 and isinstance(found[0], Cells):
        return found[0]
    raise UsageError(
        "the gate takes Cells, or a result with exactly one Cells.",
        remedy="Pass one of result.cells().",
        code="OPS-U050",
    )


def _issue(cells: Cells, rules: Rules, ledger: Ledger, *, as_of: dt.datetime, day: dt.date) -> Release:
    from opsroom.protect.gate import release  # sparse matrices and solvers: loaded where something is published

    licence = str(cells.facts.get("licence", ""))
    return release(cells, rules=rules, as_of=as_of, day=day, ledger=ledger, licence=licence)
