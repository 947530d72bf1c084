"""The demo rooms: Meridia, built vintage by vintage through a shock, and the public US room.

Both are made by the same calls that a user makes: `Room.create`, `ingest`, `publish`, `decide`.
"""

from __future__ import annotations

import datetime as dt
import gc
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import UsageError
from opsroom.base.memory import give_back
from opsroom.base.progress import track
from opsroom.room.calendar import publication_days
from opsroom.room.desks.shockpath import FOLDER
from opsroom.room.room import Room

if TYPE_CHECKING:
    from opsroom.base.settings import DeskSettings
    from opsroom.economy import Truth
    from opsroom.room.desk import DeskOutcome

DECISION_DAY = dt.date(2020, 3, 4)
"""In Meridia the payment holiday is decided on this day, on what the room had published by then."""

SLOW_TO_LOAD = (
    "ibis.backends.duckdb",
    "opsroom.decide.relief.run",
    "opsroom.decide.relief.deadlines",
    "opsroom.decide.relief.rehearsal",
    "opsroom.measure.resumption.estimate",
    "opsroom.measure.resumption.cells",
    "opsroom.protect.gate",
    "opsroom.warn.delinquency",
)
"""What the desks load when they first run."""


@dataclass(frozen=True, slots=True)
class Built:
    """A demo room, the days it published on, and where Meridia's truth is kept."""

    room: Room
    days: tuple[dt.date, ...]
    truth: Truth | None


def build_meridia(
    folder: Path,
    *,
    companies: int = 50_000,
    seed: int = 0,
    actor: str = "steward",
    until: dt.date | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> Built:
    """Build Meridia's room: ingest each delivery when it arrives, publish on each publication day.

    A process of its own generates, ingests, and makes what can be made ahead; this one publishes each day once all of
    it is in.

    Parameters
    ----------
    folder
        The room's folder; the truth is saved beside it, in ``<folder>-truth``, never inside.
    companies, seed
        Size and draw of the synthetic economy.
    actor
        Who acts.
    until
        Last day to live through; the whole calendar where absent.
    meanwhile
        Called while the first history is made: this process would wait for it.

    Returns
    -------
    Built
        The open room.
    """
    from opsroom.economy import Truth, meridia
    from opsroom.room.desk import AHEAD
    from opsroom.room.feed import COUNTRY, OWN, Feeder, truth_folder

    world = meridia(companies=companies, seed=seed)
    room = Room.create(folder, settings=world.room_settings(), specs=world.specs().values(), actor=actor)
    (room.path / FOLDER).mkdir()
    for name, text in world.scenario_files().items():
        (room.path / FOLDER / name).write_text(text, encoding="utf-8")
    calendar = room.settings.publish
    if calendar.first is None or calendar.last is None:
        raise UsageError("Meridia's calendar needs a first and a last day.", code="OPS-U040")
    days = publication_days(calendar.first, min(calendar.last, until or calendar.last), calendar)
    feeder = Feeder(room.path, companies=companies, seed=seed, until=days[-1], actor=actor)
    try:
        for module in SLOW_TO_LOAD:  # while the feed makes the first history
            import_module(module)
        if meanwhile is not None:
            meanwhile()
        feeder.wait_for("series")
        first = dict(room.prepare(days[0], COUNTRY))
        feeder.hand(room.memory)
        room.memory.clear()
        feeder.wait_for("readings")
        for _ in room.prepare(days[0], OWN):
            pass  # what is begun is in this room's memory already, where the desk's run finds it

        def made(day: dt.date, desk: DeskSettings) -> DeskOutcome | Mapping[str, Any]:
            if desk.kind not in AHEAD - OWN:
                return {}
            return first.pop(desk.name) if desk.name in first else feeder.made(day, desk.name)

        gc.freeze()  # what is loaded stays: looked through for garbage again and again, it took a twentieth
        for day in track(days, "living through the shock, week by week"):
            feeder.wait(room.moment(day))
            room.publish(day, prepared=partial(made, day))
            give_back()
            if day == DECISION_DAY:
                _decide(room, day)
        feeder.finish()
    finally:
        gc.unfreeze()
        feeder.stop()
    return Built(room, tuple(days), Truth.load(truth_folder(room.path)))


def _decide(room: Room, day: dt.date) -> None:
    room.decide(
        "holiday_both",
        decider="Minister of Finance of Meridia (fictional)",
        legal_basis="Payment Holiday Act of Meridia, section 3 (fictional)",
        review_date=dt.date(2020, 6, 24),
        as_of=day,
        question="Shall companies' loan payments be deferred for three months?",
    )


def check_size(companies: int, seed: int) -> None:
    """Refuse a size or seed that Meridia cannot have, before anything is built or removed.

    Raises
    ------
    UsageError
        See `opsroom.economy.meridia`.
    """
    from opsroom.economy import meridia

    meridia(companies=companies, seed=seed)


def build_us(folder: Path, *, actor: str = "steward") -> Built:
    """Build the public US room from the two New York Fed vintages that ship with statsmodels."""
    from opsroom.room.us_panel import us_room

    source = us_room()
    room = Room.create(folder, settings=source.settings, specs=source.specs, actor=actor)
    days = []
    for delivery in source.deliveries:
        room.ingest(delivery.dataset, delivery.table, delivery.known_at)
        day = delivery.known_at.astimezone(room.zone).date()
        room.publish(day)
        days.append(day)
    return Built(room, tuple(days), None)


def clear(folder: Path) -> None:
    """Remove an earlier demo room; refuse to remove anything else."""
    if not folder.exists():
        return
    if not (folder / "room.toml").is_file() and any(folder.iterdir()):
        raise UsageError(
            f"{folder.name} is not empty and no demo room.", remedy="Name another folder.", code="OPS-U041"
        )
    shutil.rmtree(folder)
