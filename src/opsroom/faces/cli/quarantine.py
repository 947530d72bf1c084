"""The `opsroom quarantine` commands: what was refused, and its way back in after correction."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit_json, emit_table, say

quarantine = App(name="quarantine", help="Refused rows: list, export for correction, return.")


@quarantine.command(name="list")
def quarantine_list(name: str | None = None, /, *, room: RoomPath = Path(), json: Json = False) -> None:
    """List how many rows each delivery left in quarantine, why, and how many came back.

    Parameters
    ----------
    name
        Name of a dataset. Default: all.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.quarantine import list_refused

    with open_room(room) as opened:
        found = list_refused(opened, name)
    columns = ("dataset", "delivery", "refused", "returned", "open", "reasons")
    if json:
        rows = [(h.dataset, h.delivery, h.rows, h.returned, h.open, dict(h.reasons)) for h in found]
        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    reasons = [", ".join(f"{code} {count:,}" for code, count in h.reasons.items()) for h in found]
    told = zip(found, reasons, strict=True)
    emit_table(columns, [(h.dataset, h.delivery, h.rows, h.returned, h.open, why) for h, why in told])


@quarantine.command(name="export")
def quarantine_export(name: str, /, *, delivery: int, out: Path, room: RoomPath = Path()) -> None:
    """Write the refused rows of a delivery to a file for correction; the act is in the audit log.

    Parameters
    ----------
    name
        Name of the dataset.
    delivery
        Number of the delivery.
    out
        New file, .csv or .parquet. It is confidential.
    room
        Folder of the room.
    """
    from opsroom.room.quarantine import export_refused

    with open_room(room) as opened:
        count = export_refused(opened, name, delivery, out)
    say(f"Wrote {count:,} row(s) to {out}. Correct the values, leave _file and _row as they are.")


@quarantine.command(name="return")
def quarantine_return(name: str, file: Path, /, *, delivery: int, room: RoomPath = Path(), json: Json = False) -> None:
    """Take corrected rows in, linked to the delivery they came from; each row comes back once.

    Parameters
    ----------
    name
        Name of the dataset.
    file
        The corrected export; rows left out of it stay open.
    delivery
        Number of the delivery that left the rows in quarantine.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.quarantine import return_refused

    with open_room(room) as opened:
        report = return_refused(opened, name, delivery, file)
    if json:
        facts = {"dataset": name, "delivery": report.delivery, "returned_from": delivery}
        emit_json(facts | {"accepted": report.accepted, "quarantined": report.quarantined})
        return
    say(
        f"{name}: delivery {report.delivery} returns rows of delivery {delivery}: {report.accepted:,} accepted, "
        f"{report.quarantined:,} quarantined again, {report.duplicates:,} known already."
    )
