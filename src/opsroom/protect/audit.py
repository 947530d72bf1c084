"""The audit log: who did what to which object, each entry holding the hash of the one before."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import sqlalchemy as sa

from opsroom.base.errors import StoreError, UsageError
from opsroom.base.state import METADATA, State
from opsroom.protect.release import GENESIS, digest

AUDIT = sa.Table(
    "audit",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("act", sa.String(100), nullable=False),
    sa.Column("object", sa.String(400), nullable=False),
    sa.Column("previous", sa.String(71), nullable=False),
    sa.Column("hash", sa.String(71), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Act:
    """An entry of the log. `at` is empty where no time was given."""

    seq: int
    at: str
    actor: str
    act: str
    object: str
    hash: str


class AuditLog:
    """The room's audit log. Names of objects are stored, values never.

    Parameters
    ----------
    state
        The room's database.
    """

    def __init__(self, state: State) -> None:
        self._state = state

    def append(self, actor: str, act: str, object: str, *, at: dt.datetime | None = None) -> Act:
        """Append an act.

        Parameters
        ----------
        actor
            Who acts.
        act
            A verb: ``"ingest"``, ``"publish"``, ``"decide"`` …
        object
            Name of what is acted on: a dataset, a release, a day.
        at
            When, with zone; kept in UTC.

        Raises
        ------
        UsageError
            If actor or act is empty, or the time has no zone.
        """
        if not actor.strip() or not act.strip():
            raise UsageError("an act needs an actor and a name.")
        if at is not None and at.tzinfo is None:
            raise UsageError("the time of an act needs a zone.")
        moment = "" if at is None else at.astimezone(dt.UTC).isoformat()
        with self._state.begin() as connection:
            last = connection.execute(
                sa.select(AUDIT.c.seq, AUDIT.c.hash).order_by(AUDIT.c.seq.desc()).limit(1)
            ).first()
            seq, previous = (1, GENESIS) if last is None else (last.seq + 1, last.hash)
            entry = {"seq": seq, "at": moment, "actor": actor, "act": act, "object": object}
            seal = _hash(previous, seq, moment, actor, act, object)
            connection.execute(AUDIT.insert().values(**entry, previous=previous, hash=seal))
        return Act(seq, moment, actor, act, object, seal)

    def entries(self) -> list[Act]:
        """Return all acts, earliest first."""
        columns = (AUDIT.c.seq, AUDIT.c.at, AUDIT.c.actor, AUDIT.c.act, AUDIT.c.object, AUDIT.c.hash)
        with self._state.read() as connection:
            return [Act(*row) for row in connection.execute(sa.select(*columns).order_by(AUDIT.c.seq))]

    def verify(self) -> int:
        """Check every hash of the chain, and return the number of acts.

        Raises
        ------
        StoreError
            If an entry was altered, removed or put between others.
        """
        previous, count = GENESIS, 0
        with self._state.read() as connection:
            for row in connection.execute(sa.select(AUDIT).order_by(AUDIT.c.seq)):
                wanted = _hash(previous, row.seq, row.at, row.actor, row.act, row.object)
                if row.seq != count + 1 or row.previous != previous or row.hash != wanted:
                    raise StoreError(
                        f"the audit log is not intact at entry {row.seq}.",
                        remedy="Restore room.db from a backup and find out who altered it.",
                        code="OPS-F033",
                    )
                previous, count = row.hash, row.seq
        return count


def _hash(previous: str, seq: int, at: str, actor: str, act: str, object: str) -> str:
    return digest(*(text.encode() for text in (previous, str(seq), at, actor, act, object)))
