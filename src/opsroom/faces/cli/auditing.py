"""The `opsroom audit` commands: verify the chains, print their heads, accept a restored backup."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App

from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit, emit_json, emit_table, say

audit = App(name="audit", help="Check and read the audit log and the ledger.")


@audit.command(name="verify")
def audit_verify(
    *,
    room: RoomPath = Path(),
    head: list[str] | None = None,
    against: list[Path] | None = None,
    json: Json = False,
) -> None:
    """Verify the chains of the audit log and of the ledger. A failure raises an alarm that stands until one succeeds.

    Parameters
    ----------
    room
        Folder of the room.
    head
        A head of the audit log that was written down, as `opsroom audit head` printed it; may be given several times.
    against
        A kept public.json, release or briefing (.json) whose heads must be in the chains; may be given several times.
    json
        Print one JSON object.
    """
    from opsroom.protect.audit import ChainHead
    from opsroom.room.auditing import Heads, read_heads_of, verify_room

    known = Heads(tuple(ChainHead.parse(one) for one in head or []))
    for file in against or []:
        known += read_heads_of(file)
    with open_room(room) as opened:
        found = verify_room(opened, known)
        now = str(opened.audit.head())
    if json:
        emit_json({"acts": found.acts, "releases": found.releases, "head": now})
    else:
        say(f"Intact: {found.acts} acts, {found.releases} releases.")


@audit.command(name="head")
def audit_head(*, room: RoomPath = Path(), json: Json = False) -> None:
    """Print number and hash of the audit log's last entry: write it down elsewhere.

    Parameters
    ----------
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        opened.guard.require("audit")
        found = opened.audit.head()
    if json:
        emit_json({"seq": found.seq, "hash": found.hash})
    else:
        emit(str(found))


@audit.command(name="list")
def audit_list(*, room: RoomPath = Path(), last: int = 50, json: Json = False) -> None:
    """List the last acts: when, who, what, on which object.

    Parameters
    ----------
    room
        Folder of the room.
    last
        How many.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        opened.guard.require("audit")
        found = opened.audit.entries()[-max(last, 1) :]
    columns = ("seq", "at", "actor", "act", "object")
    rows = [(one.seq, one.at, one.actor, one.act, one.object) for one in found]
    if json:
        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        emit_table(columns, rows)


@audit.command(name="accept")
def audit_accept(*, reason: str, room: RoomPath = Path()) -> None:
    """Take the chains as they are for whole, after a backup was restored; the reason is in the audit log.

    Parameters
    ----------
    reason
        Why the chains are shorter than the heads that were written down.
    room
        Folder of the room.
    """
    from opsroom.room.auditing import accept_heads

    with open_room(room) as opened:
        accept_heads(opened, reason)
    say("Accepted: the heads in public.json are those of the chains as they are.")
