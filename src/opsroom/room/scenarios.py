"""A scenario file read as the room's desk `propagation` would read it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opsroom.base.codes import NACE_SECTIONS
from opsroom.base.settings import RoomSettings

if TYPE_CHECKING:
    from opsroom.decide.propagation import Scenario


def checked_scenario(file: Path, *, room: Path | None = None) -> Scenario:
    """Read a scenario file, against the sections of NACE and a room's regions.

    Parameters
    ----------
    file
        The file.
    room
        Folder of a room; absent: regions are not looked at.

    Raises
    ------
    SettingsError
        Where the file cannot be read or breaks a rule.
    """
    from opsroom.decide.propagation import read_scenario

    regions = None
    if room is not None:
        regions = [region.code for region in RoomSettings.load(room / "room.toml").regions] or None
    return read_scenario(file, sections=list(NACE_SECTIONS), regions=regions)
