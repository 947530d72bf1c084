"""The `opsroom provider` and `opsroom lineage` commands: where data come from, and what rests on whom."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Literal

from cyclopts import App

from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit_json, emit_table, say

provider = App(name="provider", help="Who provides data, until when, and what the room loses without them.")


@provider.command(name="list")
def provider_list(*, room: RoomPath = Path(), json: Json = False) -> None:
    """List providers with their agreements and datasets; those in no registry, and datasets of none, are shown, too.

    Parameters
    ----------
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.providers import datasets_of

    with open_room(room) as opened:
        named = {spec.provider for spec in opened.store.specs.values()}
        rows = []
        for name in sorted(named | set(opened.providers)):
            one = opened.providers.get(name)
            facts = (
                ("", "", "", None, None)
                if one is None
                else (one.agreement, one.licence, one.purpose, one.expires_on, one.retention_days)
            )
            rows.append((name, "yes" if one else "no", *facts, ", ".join(datasets_of(opened.store, name))))
    columns = ("provider", "registered", "agreement", "licence", "purpose", "expires_on", "retention_days", "datasets")
    if json:
        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        emit_table(columns, rows)


@provider.command(name="history")
def provider_history(name: str | None = None, /, *, room: RoomPath = Path(), json: Json = False) -> None:
    """Show what the registry said of a provider, and since when.

    Parameters
    ----------
    name
        Name of the provider. Default: all.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.providers import history

    with open_room(room) as opened:
        found = history(opened.state, name)
    if json:
        emit_json([asdict(e) for e in found])
    else:
        columns = ("provider", "recorded_at", "actor", "agreement", "expires_on")
        rows = [
            (
                e.name,
                e.recorded_at,
                e.actor,
                (e.record or {}).get("agreement", "taken out"),
                (e.record or {}).get("expires_on"),
            )
            for e in found
        ]
        emit_table(columns, rows)


@provider.command(name="dropout")
def provider_dropout(name: str, /, *, as_of: str | None = None, room: RoomPath = Path(), json: Json = False) -> None:
    """Show what the room would lose without a provider. Confidential: the report stays inside.

    Parameters
    ----------
    name
        Name of the provider.
    as_of
        Publication day. Default: the last one.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    from opsroom.room.dropout import dropout

    with open_room(room) as opened:
        found = dropout(opened, name, as_of)
    if json:
        emit_json(asdict(found))
        return
    for desk, why in found.desks.items():
        say(f"desk {desk} fails: {why}")
    columns = ("series", "fate", "rows", "rows_without", "changed", "hidden", "largest", "why")
    rows = [
        (e.series, e.fate, e.rows, e.rows_without, e.changed, e.hidden, _largest(e.largest), e.why)
        for e in found.effects
    ]
    emit_table(columns, rows)
    counts = ", ".join(f"{len(found.of(fate))} {fate}" for fate in ("lost", "degraded", "unchanged"))
    say(f"Without {name} ({', '.join(found.datasets)}) on {found.day.isoformat()}: {counts}.")


def _largest(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in values.items())


def lineage(
    release: str, /, *, format: Literal["table", "json", "openlineage"] = "table", room: RoomPath = Path()
) -> None:
    """Show the deliveries behind a release: names, numbers and hashes, never a value.

    Parameters
    ----------
    release
        Id of the release, such as ``resumption.national@2020-03-04``.
    format
        ``table``, ``json``, or ``openlineage``: one OpenLineage event.
    room
        Folder of the room.
    """
    from opsroom.room.lineage import lineage as find
    from opsroom.room.lineage import openlineage

    with open_room(room) as opened:
        found = find(opened, release)
        event = openlineage(opened, found) if format == "openlineage" else found.to_dict()
    if format != "table":
        emit_json(event)
        return
    say(f"{found.release} by desk {found.desk or '(not noted)'}, {found.hash}")
    if found.remark:
        say(found.remark)
    if found.releases:
        say(f"made from {', '.join(found.releases)}")
    columns = ("dataset", "version", "provider", "delivery", "known_at", "rows", "files", "content")
    rows = [
        (s.dataset, s.version, s.provider, d.delivery, d.known_at, d.accepted, ", ".join(d.files), d.content)
        for s in found.sources
        for d in s.deliveries
    ]
    emit_table(columns, rows)
