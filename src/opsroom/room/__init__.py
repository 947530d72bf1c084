"""The room: the one stateful object, its desks, its calendar and its publishing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opsroom.room.picture import Picture
    from opsroom.room.room import Room

__all__ = ["Picture", "Room"]


def __getattr__(name: str) -> object:
    if name == "Room":
        from opsroom.room.room import Room

        return Room
    if name == "Picture":
        from opsroom.room.picture import Picture

        return Picture
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
