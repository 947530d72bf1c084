"""Commands by which data come in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit_json, say


def ingest(
    name: str,
    files: list[Path],
    /,
    *,
    room: RoomPath = Path(),
    known_at: str | None = None,
    reason: str | None = None,
    deletions: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Check a delivery and commit it; refused rows go to quarantine with their reasons.

    Parameters
    ----------
    name
        Name of the dataset.
    files
        CSV or Parquet files of one delivery.
    room
        Folder of the room.
    known_at
        When the room learnt it: a date (its end of day) or a time. Default: what the dataset declares, or now.
    reason
        Why `known_at` lies before the last delivery, where it does.
    deletions
        The rows name keys to delete.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        report = opened.ingest(name, files, known_at, reason=reason, deletions=deletions)
    facts = {
        "dataset": name,
        "accepted": report.accepted,
        "quarantined": report.quarantined,
        "duplicates": report.duplicates,
        "version": report.version,
        "reasons": dict(report.reasons),
    }
    if json:
        emit_json(facts)
        return
    say(
        f"{name}: {report.accepted:,} rows accepted, {report.quarantined:,} quarantined, "
        f"{report.duplicates:,} known already; version {report.version}."
    )
    for code, count in report.reasons.items():
        say(f"  {code}: {count:,} row(s)")
