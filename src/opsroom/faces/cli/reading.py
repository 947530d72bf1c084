"""Reading stored releases for the command line."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from opsroom.base.errors import NotFoundError, SettingsError, StoreError
from opsroom.faces.brief import Briefing, make_brief
from opsroom.faces.cli.output import say
from opsroom.protect.reader import Releases
from opsroom.protect.release import Release

if TYPE_CHECKING:
    from opsroom.room.door import Door


def open_releases(room: Path) -> Releases:
    """Open the read-only reader of a room."""
    if not (room / "room.db").is_file():
        raise SettingsError(
            "the folder is not a room with published releases.",
            remedy="Name a room's folder with --room, and publish first.",
            code="OPS-C006",
        )
    return Releases(room)


def open_door(room: Path) -> Door | None:
    """Open the door that knows callers by their tokens; none where the room's database cannot be written to.

    Raises
    ------
    StoreError
        If releases are read with a token: without a door nobody could come in.
    """
    from opsroom.room.door import Door

    try:
        return Door(room)
    except StoreError:
        if open_releases(room).room.get("readers") == "token":
            raise
        say("The room's database cannot be written to: the room is served without routes that need a token.")
        return None


def reading_day(reader: Releases, day: dt.date | None) -> dt.date:
    """Return the day to read on: the last published one where none is named."""
    days = reader.days()
    if not days:
        raise NotFoundError("nothing is published yet.", remedy="Run `opsroom publish`.", code="OPS-N005")
    return day or days[-1]


def open_briefing(room: Path, day: dt.date | None) -> Briefing:
    """Make the briefing of a day."""
    reader = open_releases(room)
    return make_brief(reader, reading_day(reader, day))


def find_release(reader: Releases, name: str, day: dt.date | None) -> Release:
    """Return the release of a series that a reader sees on a day, or the one of an id, such as lists give them."""
    for named in reader.history(name.partition("@")[0]) if "@" in name and day is None else ():
        if named.id == name:
            return named
    wanted = reading_day(reader, day)
    release = reader.get(name, wanted)
    if release is None:
        raise NotFoundError(
            f"no release {name!r} on or before {wanted.isoformat()}.",
            remedy="List them with `opsroom release list`.",
            code="OPS-N006",
        )
    return release
