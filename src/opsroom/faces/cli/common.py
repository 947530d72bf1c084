"""What the commands share: the options for the room and for JSON, and how a room is opened."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from opsroom.room.room import Room

RoomPath = Annotated[Path, Parameter(name="--room")]
Json = Annotated[bool, Parameter(name="--json", negative="")]


def open_room(room: Path) -> Room:
    """Open a room in the name of whoever runs the command (``OPSROOM_ACTOR``, else the user)."""
    from opsroom.room.room import Room

    return Room.open(room, actor=os.environ.get("OPSROOM_ACTOR", "") or os.environ.get("USER", "") or "operator")
