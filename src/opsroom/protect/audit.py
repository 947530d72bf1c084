"""The audit log: who did what to which object, each entry holding the hash of the one before.

The chain shows that an entry was altered, taken out, put between or moved. What was cut off at its end shows only
against a *head* (number and hash of an entry) that was written down elsewhere: see `AuditLog.verify`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Sequence
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

VERIFICATIONS = sa.Table(
    "verifications",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("acts", sa.Integer, nullable=False),
    sa.Column("releases", sa.Integer, nullable=False),
    sa.Column("finding", sa.String(400), nullable=False),
)

TRIES = 20
"""How often an append is tried where another one took its number (PostgreSQL; SQLite waits for the lock)."""


@dataclass(frozen=True, slots=True)
class Act:
    """An entry of the log. `at` is empty where no time was given."""

    seq: int
    at: str
    actor: str
    act: str
    object: str
    hash: str


@dataclass(frozen=True, slots=True)
class ChainHead:
    """An entry of a chain by number and hash: written down elsewhere, it shows what was cut off behind it."""

    seq: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> ChainHead:
        """Read ``NUMBER:sha256:…``.

        Raises
        ------
        UsageError
            The text is no head.
        """
        number, _, seal = text.strip().partition(":")
        if not number.isascii() or not number.isdigit() or not seal.startswith("sha256:") or len(seal) != 71:
            raise UsageError(
                "a head is written as NUMBER:sha256:….",
                remedy="Copy what `opsroom audit head` printed.",
                code="OPS-U124",
            )
        return cls(int(number), seal)

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification found. `finding` is empty where both chains were intact."""

    at: str
    actor: str
    acts: int
    releases: int
    finding: str

    @property
    def ok(self) -> bool:
        """Whether both chains were intact."""
        return not self.finding


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
        return self.append_all(actor, [(act, object)], at=at)[0]

    def append_all(self, actor: str, acts: Sequence[tuple[str, str]], *, at: dt.datetime | None = None) -> list[Act]:
        """Append several acts, pairs of act and object, all or none."""
        for _ in range(TRIES - 1):
            with contextlib.suppress(sa.exc.IntegrityError), self._state.begin() as connection:
                return [self.record(connection, actor, act, object, at=at) for act, object in acts]
        with self._state.begin() as connection:
            return [self.record(connection, actor, act, object, at=at) for act, object in acts]

    def record(
        self, connection: sa.Connection, actor: str, act: str, object: str, *, at: dt.datetime | None = None
    ) -> Act:
        """Append an act inside a transaction of its owner's: what was done and its entry stand or fall together."""
        if not actor.strip() or not act.strip():
            raise UsageError("an act needs an actor and a name.")
        if at is not None and at.tzinfo is None:
            raise UsageError("the time of an act needs a zone.")
        moment = "" if at is None else at.astimezone(dt.UTC).isoformat()
        last = _head(connection, AUDIT)
        seq = last.seq + 1
        entry = {"seq": seq, "at": moment, "actor": actor, "act": act, "object": object}
        seal = _hash(last.hash, seq, moment, actor, act, object)
        connection.execute(AUDIT.insert().values(**entry, previous=last.hash, hash=seal))
        return Act(seq, moment, actor, act, object, seal)

    def entries(self) -> list[Act]:
        """Return all acts, earliest first."""
        columns = (AUDIT.c.seq, AUDIT.c.at, AUDIT.c.actor, AUDIT.c.act, AUDIT.c.object, AUDIT.c.hash)
        with self._state.read() as connection:
            return [Act(*row) for row in connection.execute(sa.select(*columns).order_by(AUDIT.c.seq))]

    def has(self, act: str, object: str) -> bool:
        """Say whether an act on an object is in the log."""
        with self._state.read() as connection:
            found = sa.select(AUDIT.c.seq).where(AUDIT.c.act == act, AUDIT.c.object == object).limit(1)
            return connection.scalar(found) is not None

    def head(self) -> ChainHead:
        """Return the last entry's number and hash: what to write down elsewhere."""
        with self._state.read() as connection:
            return _head(connection, AUDIT)

    def verify(self, known: Iterable[ChainHead] = ()) -> int:
        """Check every hash of the chain, and return the number of acts.

        Parameters
        ----------
        known
            Heads that were written down elsewhere, in any order: each must be in the chain.

        Raises
        ------
        StoreError
            If an entry was altered, removed, moved or put between others, or the chain does not hold a head.
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
            check_heads(connection, AUDIT, known, "the audit log")
        return count

    # -- what verifications found -------------------------------------------------------------

    def note(self, found: Verification) -> None:
        """Write down what a verification found; where it failed, this is the alarm that stands until one succeeds."""
        with self._state.begin() as connection:
            connection.execute(
                VERIFICATIONS.insert().values(
                    at=found.at,
                    actor=found.actor,
                    acts=found.acts,
                    releases=found.releases,
                    finding=found.finding,
                )
            )
            if not found.ok:
                self.record(connection, found.actor, "audit alarm", found.finding)

    def last_verification(self) -> Verification | None:
        """Return what the last verification found, or None before the first."""
        with self._state.read() as connection:
            return read_verification(connection)


def read_verification(connection: sa.Connection) -> Verification | None:
    """Return what the last verification found; None before the first, also in a database of an older opsroom."""
    if not sa.inspect(connection).has_table(VERIFICATIONS.name):
        return None
    columns = [VERIFICATIONS.c[name] for name in ("at", "actor", "acts", "releases", "finding")]
    row = connection.execute(sa.select(*columns).order_by(VERIFICATIONS.c.seq.desc()).limit(1)).first()
    return None if row is None else Verification(*row)


def check_heads(connection: sa.Connection, table: sa.Table, known: Iterable[ChainHead], what: str) -> None:
    """Check that a chain holds the heads that were written down elsewhere.

    Parameters
    ----------
    connection
        To the room's database.
    table
        The chain: a table with ``seq`` and ``hash``.
    known
        The heads. A head before the first entry (number 0) is in every chain.
    what
        Name of the chain, for the message.

    Raises
    ------
    StoreError
        The chain ends before a head, or has another entry in its place.
    """
    heads = sorted(set(known), key=lambda head: head.seq)
    last = _head(connection, table).seq
    for head in heads:
        if head.seq > last:
            raise StoreError(
                f"{what} ends with entry {last}, but entry {head.seq} was written down elsewhere: its end was cut off.",
                remedy="Restore room.db from a backup and find out who cut it.",
                code="OPS-F035",
            )
        found = GENESIS if head.seq == 0 else connection.scalar(sa.select(table.c.hash).where(table.c.seq == head.seq))
        if found != head.hash:
            raise StoreError(
                f"entry {head.seq} of {what} is another than the one written down elsewhere.",
                remedy="Restore room.db from a backup and find out who altered it.",
                code="OPS-F036",
            )


def _head(connection: sa.Connection, table: sa.Table) -> ChainHead:
    last = connection.execute(sa.select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)).first()
    return ChainHead(0, GENESIS) if last is None else ChainHead(last.seq, last.hash)


def _hash(previous: str, seq: int, at: str, actor: str, act: str, object: str) -> str:
    return digest(*(text.encode() for text in (previous, str(seq), at, actor, act, object)))
