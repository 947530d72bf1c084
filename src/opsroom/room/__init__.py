"""The room: the one stateful object, its desks, its calendar and its publishing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.room.picture import Picture
    from opsroom.room.room import Room

__all__ = ["Picture", "Room"]

__getattr__, __dir__ = lazily(__name__, {"Picture": ".picture", "Room": ".room"})
