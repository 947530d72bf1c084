"""`opsroom scenario`: read a scenario file as the room would, before it is published on."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from opsroom.faces.cli.common import Json
from opsroom.faces.cli.output import emit_json, emit_story

scenario = App(name="scenario", help="Check a scenario file of the desk `propagation`.")


@scenario.command(name="check")
def scenario_check(file: Path, /, *, room: Path | None = None, json: Json = False) -> None:
    """Read a scenario file and say what it assumes; an error names line, field and rule.

    Parameters
    ----------
    file
        The scenario, a TOML file.
    room
        Folder of a room, against whose regions it is checked.
    json
        Print one JSON object.
    """
    from opsroom.room.scenarios import checked_scenario

    found = checked_scenario(file, room=room)
    if json:
        emit_json(
            {"name": found.name, "source": found.source, "lift_weeks": found.lift_weeks, "shocks": len(found.shocks),
             "sha256": found.sha256}
        )  # fmt: skip
    else:
        emit_story(found.summary())
