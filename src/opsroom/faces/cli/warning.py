"""The `opsroom warning` commands: what stands, who has taken note, who is told."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from cyclopts import App

from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit_json, emit_table, say

warning = App(name="warning", help="List the published warnings, take note of them, tell others.")

_COLUMNS = ("warning", "about", "state", "value", "threshold", "since", "acknowledged_by")


@warning.command(name="list")
def warning_list(
    *, room: RoomPath = Path(), as_of: dt.date | None = None, all: bool = False, json: Json = False
) -> None:
    """List the warnings as published by a day.

    Parameters
    ----------
    room
        Folder of the room.
    as_of
        The day. Default: the last one published.
    all
        Those that have ended, too.
    json
        Print one JSON object.
    """
    from opsroom.faces.cli.reading import open_releases
    from opsroom.room.carried import record_in_short
    from opsroom.room.warning import published

    found = [one for one in published(open_releases(room), as_of) if all or one["state"] != "ended"]
    if json:
        emit_json(found)
    else:
        rows = [(*(one[c] for c in _COLUMNS), record_in_short(one)) for one in found]
        emit_table((*_COLUMNS, "record"), rows)


@warning.command(name="acknowledge")
def warning_acknowledge(
    warning: str, /, *, by: str, note: str = "", room: RoomPath = Path(), json: Json = False
) -> None:
    """Write down that somebody has taken note of a warning; it shows from the next publication on.

    Parameters
    ----------
    warning
        Its id, from `opsroom warning list`.
    by
        A named human.
    note
        What is done about it, or why nothing is.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.warning import take_note

    with open_room(room) as opened:
        take_note(opened, warning, who=by, words=note)
    if json:
        emit_json({"warning": warning, "acknowledged_by": by})
    else:
        say(f"{by} has taken note of {warning}.")


@warning.command(name="notify")
def warning_notify(*, room: RoomPath = Path(), json: Json = False) -> None:
    """Tell those whom [notify] of room.toml names of the warnings that they have not been told of.

    Parameters
    ----------
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.warning import announce

    with open_room(room) as opened:
        failed = announce(opened)
    if json:
        emit_json({"untold": failed})
    else:
        say("\n".join(f"could not be told by {way}" for way in failed) or "All have been told.")
