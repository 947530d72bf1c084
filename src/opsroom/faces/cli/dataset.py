"""The `opsroom dataset` commands: register, list and show what a room takes in."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit, emit_json, emit_table, say

dataset = App(name="dataset", help="Register and list the datasets of a room.")


@dataset.command(name="add")
def dataset_add(files: list[Path], /, *, room: RoomPath = Path()) -> None:
    """Register datasets by their specifications.

    Parameters
    ----------
    files
        Specification files (TOML).
    room
        Folder of the room.
    """
    with open_room(room) as opened:
        for file in files:
            say(f"Registered {opened.add_dataset(file).name}.")


@dataset.command(name="list")
def dataset_list(*, room: RoomPath = Path(), json: Json = False) -> None:
    """List the datasets of a room.

    Parameters
    ----------
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        rows = [
            (s.name, s.title, s.frequency, "confidential" if s.confidential else "public", s.provider)
            for s in (opened.store.specs[name] for name in sorted(opened.store.specs))
        ]
    columns = ("name", "title", "frequency", "access", "provider")
    if json:
        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        emit_table(columns, rows)


@dataset.command(name="show")
def dataset_show(name: str, /, *, room: RoomPath = Path()) -> None:
    """Print the specification of a dataset.

    Parameters
    ----------
    name
        Name of the dataset.
    room
        Folder of the room.
    """
    with open_room(room) as opened:
        emit(opened.store.spec(name).to_toml())
