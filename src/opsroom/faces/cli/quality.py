"""The `opsroom quality` commands: what is known of the quality of deliveries. Confidential: it stays inside."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit, emit_json, emit_table, say

quality = App(name="quality", help="Show what is known of the quality of deliveries.")


@quality.command(name="report")
def quality_report(
    name: str,
    /,
    *,
    delivery: int | None = None,
    as_of: str | None = None,
    room: RoomPath = Path(),
    json: Json = False,
) -> None:
    """Show the reports on a dataset's deliveries, or one in full.

    Parameters
    ----------
    name
        Name of the dataset.
    delivery
        Number of a delivery, to see its report in full.
    as_of
        Only what was known on that day.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.quality import overdue, quality_reports

    with open_room(room) as opened:
        found = quality_reports(opened, name, delivery=delivery, as_of=as_of)
        # Whether one is overdue depends on the day that is asked for; without one nothing can be.
        late = None if as_of is None else overdue(opened.store, name, opened.moment(as_of))
    if json:
        more = [] if late is None else [{"kind": late.kind, "severity": late.severity, "words": late.words}]
        emit_json({"dataset": name, "reports": [r.to_dict() for r in found], "alarms": more})
        return
    if delivery is not None:
        from opsroom.faces.quality_text import full_text

        emit("\n".join([found[0].summary(), *(f"  {line}" for line in full_text(found[0].measures))]))
    else:
        columns = ("delivery", "known_at", "score", "alarms")
        rows = [
            (r.delivery, r.known_at.date().isoformat(), r.score, ", ".join(sorted({a.kind for a in r.alarms})))
            for r in found
        ]
        emit_table(columns, rows)
    if late is not None:
        say(f"{late.severity}: {late.kind}: {late.words}")
