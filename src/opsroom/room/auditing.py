"""Verifying the room's chains: against themselves, and against heads that were written down elsewhere.

Heads stand in ``public.json`` since the last publication, in every release and briefing (the ledger's), and
wherever ``opsroom audit head`` was copied to. A verification that fails raises an alarm that `opsroom doctor`, the
pages and the API show until one succeeds.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import StoreError, UsageError
from opsroom.protect.audit import AUDIT, ChainHead, Verification, check_heads
from opsroom.protect.reader import LEDGER
from opsroom.room.public import read_heads, write_public

if TYPE_CHECKING:
    from opsroom.room.room import Room

BROKEN = frozenset(f"OPS-F03{k}" for k in (1, 2, 3, 4, 5, 6))
"""Codes of chains that are not intact. A database that is locked or cannot be read is no alarm."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Heads that were written down elsewhere, of the audit log and of the ledger."""

    audit: tuple[ChainHead, ...] = ()
    ledger: tuple[ChainHead, ...] = ()

    @classmethod
    def of_document(cls, document: object) -> Heads:
        """Collect the heads in a ``public.json``, a release, or a briefing's ``.json``."""
        if not isinstance(document, dict):
            return cls()
        own = document.get("heads") or {}
        audit = [ChainHead.parse(own["audit"])] if "audit" in own else []
        ledger = [ChainHead.parse(own["ledger"])] if "ledger" in own else []
        return cls(tuple(audit), (*ledger, *_stamped(document)))

    def __add__(self, other: Heads) -> Heads:
        return Heads(self.audit + other.audit, self.ledger + other.ledger)


def read_heads_of(file: Path) -> Heads:
    """Read the heads that a kept file holds.

    Raises
    ------
    UsageError
        The file is no JSON document, or holds no head.
    """
    try:
        found = Heads.of_document(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        found = Heads()
    if not found.audit and not found.ledger:
        raise UsageError(
            f"{file.name} holds no head.",
            remedy="Give a kept public.json, or the .json of a briefing or release.",
            code="OPS-U128",
        )
    return found


def verify_room(room: Room, known: Heads | None = None) -> Verification:
    """Verify the audit log and the ledger, and write down what was found.

    Parameters
    ----------
    room
        The room, opened by who may audit.
    known
        Heads that were kept elsewhere, beside those of the room's own ``public.json``.

    Raises
    ------
    StoreError
        A chain is not intact; the alarm is raised by then.
    """
    room.guard.require("audit")
    return _verify(room, known or Heads())


def before_publishing(room: Room) -> None:
    """Stop a publication where the chains are not what they were at the last one.

    That they hold the heads in ``public.json`` is always checked, every entry where ``[access] verify`` says so.

    Raises
    ------
    StoreError
        A chain is not intact; the alarm is raised by then.
    """
    if room.settings.access.verify == "publish":
        _verify(room, Heads())
        return
    with _alarmed(room):
        _check(room, own_heads(room))


def write_heads(room: Room) -> None:
    """Write the present heads into ``public.json``."""
    ledger = room.ledger.head()
    heads = {"audit": str(room.audit.head()), "ledger": str(ChainHead(ledger.seq, ledger.hash))}
    write_public(room.path, room.settings, room.store, heads=heads)


def accept_heads(room: Room, reason: str) -> None:
    """Take the chains as they are for whole, after a backup was restored: what lies behind its end is lost.

    The chains themselves must be intact. The act and its reason are in the audit log.

    Raises
    ------
    UsageError
        No reason is given.
    StoreError
        A chain is not intact in itself.
    """
    room.guard.require("audit")
    if not reason.strip():
        raise UsageError("accepting a shorter chain needs a reason.", remedy="Give --reason.", code="OPS-U129")
    room.audit.verify()
    room.ledger.verify()
    old = read_heads(room.path).get("audit", "none")
    room.audit.append(room.actor, "accept heads", f"{reason} (before: {old})"[:400], at=room.store.clock())
    write_heads(room)
    _verify(room, Heads())


def _verify(room: Room, known: Heads) -> Verification:
    with _alarmed(room):
        acts, issued = room.audit.verify(), room.ledger.verify()
        _check(room, own_heads(room) + known)
    found = Verification(room.store.clock().isoformat(), room.actor, acts, issued, "")
    room.audit.note(found)
    return found


@contextlib.contextmanager
def _alarmed(room: Room) -> Iterator[None]:
    """Raise the alarm where a check inside fails."""
    try:
        yield
    except StoreError as error:
        if error.code in BROKEN:
            at, finding = room.store.clock().isoformat(), f"{error.code}: {error.message}"
            room.audit.note(Verification(at, room.actor, 0, 0, finding))
        raise


def _check(room: Room, heads: Heads) -> None:
    with room.state.read() as connection:
        check_heads(connection, AUDIT, heads.audit, "the audit log")
        check_heads(connection, LEDGER, heads.ledger, "the ledger")


def own_heads(room: Room) -> Heads:
    """Return the heads that stand in the room's ``public.json``."""
    return Heads.of_document({"heads": read_heads(room.path)})


def _stamped(document: dict[str, Any]) -> Iterator[ChainHead]:
    """Yield the ledger's entries that a release or a briefing names."""
    stamps: Iterable[Any] = [document.get("stamp"), *(document.get("releases") or [])]
    for stamp in stamps:
        if isinstance(stamp, dict) and isinstance(stamp.get("ledger"), int):
            yield ChainHead.parse(f"{stamp['ledger']}:{stamp.get('hash')}")
