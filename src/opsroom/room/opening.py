"""A new room's settings, and a desk opened in a room: a table is added at the end of ``room.toml``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from opsroom.base.errors import UsageError
from opsroom.base.settings import RoomSettings


def open_desk(folder: Path, options: Mapping[str, Any]) -> bool:
    """Add a desk to a room's settings; what stands there is left as it is.

    Parameters
    ----------
    folder
        Folder of the room.
    options
        The desk's table: ``kind``, ``name`` and its settings.

    Returns
    -------
    bool
        False where the room has a desk of that name already.

    Raises
    ------
    UsageError
        ``room.toml`` lists its desks in one line, to which no table can be added.
    """
    file = folder / "room.toml"
    text = file.read_text(encoding="utf-8")
    name = str(options.get("name", options["kind"]))
    if name in {desk.name for desk in RoomSettings.parse(text).desks}:
        return False
    longer = text.rstrip("\n") + "\n\n" + desk_toml(options)
    try:
        RoomSettings.parse(longer)
    except Exception:
        if "desks = [" not in text and "desks=[" not in text:
            raise
        raise UsageError(
            "room.toml lists its desks in one line; a desk cannot be added to it.",
            remedy="Write them as [[desks]] tables.",
            code="OPS-U043",
        ) from None
    temporary = file.with_suffix(".tmp")
    temporary.write_text(longer, encoding="utf-8")
    temporary.replace(file)
    return True


def desk_toml(options: Mapping[str, Any]) -> str:
    """Write a desk as a ``[[desks]]`` table."""
    return "[[desks]]\n" + "".join(f"{key} = {_value(value)}\n" for key, value in options.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def plain_settings(title: str) -> str:
    """Return the ``room.toml`` of a room of which nothing is known yet."""
    return (
        "schema_version = 1\n\n[room]\n"
        f"title = {json.dumps(title)}\n"
        'timezone = "UTC"\n\n'
        '[publish]\ncadence = "on_demand"\n\n'
        '[rules]\nprofile = "business"\n'
    )
