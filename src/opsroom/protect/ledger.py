"""The ledger: an append-only chain of releases, each checked against the head it was judged by.

Beside every release stands its *judgement*: what the gate must remember of it to judge the next one
(contributor sketches, what is known). Judgements are confidential and are never read by faces.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from opsroom.base.errors import LedgerConflictError, StoreError
from opsroom.base.state import METADATA, State
from opsroom.protect.judgement import Judgement
from opsroom.protect.reader import LEDGER, REFUSALS, Releases
from opsroom.protect.release import GENESIS, Release, content_of, digest, read_release, seal
from opsroom.protect.rules import PUBLIC

__all__ = ["Head", "Ledger", "Past", "Releases"]

JUDGEMENTS = sa.Table(
    "judgements",
    METADATA,
    sa.Column("seq", sa.Integer, sa.ForeignKey("releases.seq"), primary_key=True, autoincrement=False),
    sa.Column("name", sa.String(100), nullable=False, index=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.String(71), nullable=False),
)

REFUSED = sa.Table(
    "refused_questions",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("name", sa.String(100), nullable=False, index=True),
    sa.Column("question", sa.String(71), nullable=False),
)
"""Questions on contributions that were refused for what was found in them; they stay so. Read by no face."""


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry: its number (0 before the first) and its hash."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier release with what the gate knows of it."""

    seq: int
    release: Release
    judgement: Judgement


class Ledger:
    """The room's ledger.

    Parameters
    ----------
    state
        The room's database.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._cache: dict[int, Past] = {}

    def head(self) -> Head:
        """Return the last entry."""
        with self._state.read() as connection:
            return _head(connection)

    def append(
        self,
        release: Release,
        expected_head: Head,
        *,
        judgement: Judgement | None = None,
        series: str | None = None,
    ) -> None:
        """Append a release that was judged against `expected_head`.

        Parameters
        ----------
        release, expected_head, judgement
            The release, the head it was judged against, and what is to be remembered of it.
        series
            The series with which it is to be remembered, where it has another name.

        Raises
        ------
        LedgerConflictError
            If another release was issued meanwhile.
        """
        body = judgement.to_bytes() if judgement is not None else None
        try:
            with self._state.begin() as connection:
                head = _head(connection)
                stamped = (release.stamp["ledger"], release.stamp["previous"])
                if head != expected_head or stamped != (head.seq + 1, head.hash):
                    raise _conflict()
                connection.execute(
                    LEDGER.insert().values(
                        seq=head.seq + 1,
                        id=release.id,
                        name=release.name,
                        day=release.day.isoformat(),
                        as_of=release.as_of.isoformat(),
                        previous=head.hash,
                        hash=release.hash,
                        document=release.json_bytes,
                    )
                )
                if body is not None:
                    connection.execute(
                        JUDGEMENTS.insert().values(
                            seq=head.seq + 1, name=series or release.name, body=body, digest=_sha(body)
                        )
                    )
        except sa.exc.IntegrityError:  # on PostgreSQL two transactions may reach the same number
            raise _conflict() from None
        if judgement is not None:
            self._cache[expected_head.seq + 1] = Past(expected_head.seq + 1, release, judgement)

    def past(self, name: str, head: Head) -> list[Past]:
        """Return the judged releases of a series up to `head`, earliest first, with the numbers derived from it."""
        return self._judged(sa.select(JUDGEMENTS.c.seq).where(JUDGEMENTS.c.name == name), head)

    def derived(self, prefix: str, suffix: str, head: Head) -> list[Past]:
        """Return numbers derived from all series whose names begin with a text: those named ``<series>.<suffix>``."""
        found = sa.select(JUDGEMENTS.c.seq).join(LEDGER, LEDGER.c.seq == JUDGEMENTS.c.seq)
        ends = LEDGER.c.name == JUDGEMENTS.c.name + f".{suffix}"
        return self._judged(found.where(JUDGEMENTS.c.name.startswith(prefix, autoescape=True), ends), head)

    def _judged(self, found: sa.Select[Any], head: Head) -> list[Past]:
        with self._state.read() as connection:
            wanted = found.where(JUDGEMENTS.c.seq <= head.seq).order_by(JUDGEMENTS.c.seq)
            seqs: list[int] = list(connection.scalars(wanted))
            missing = [seq for seq in seqs if seq not in self._cache]
            if missing:
                rows = connection.execute(
                    sa.select(JUDGEMENTS.c.seq, JUDGEMENTS.c.name, LEDGER.c.document, JUDGEMENTS.c.body)
                    .join(LEDGER, LEDGER.c.seq == JUDGEMENTS.c.seq)
                    .where(JUDGEMENTS.c.seq.in_(missing))
                ).all()
                for seq, series, document, body in rows:
                    # The gate judges by what is remembered: it does not take what was put in its place.
                    if read_release(document).stamp.get("memory") not in (None, memory_of(series, body)):
                        raise _broken(seq)
                    self._cache[seq] = Past(seq, read_release(document), Judgement.from_bytes(body))
        return [self._cache[seq] for seq in seqs]

    def ids(self, prefix: str) -> set[str]:
        """Return the ids that begin with a text."""
        with self._state.read() as connection:
            found = sa.select(LEDGER.c.id).where(LEDGER.c.id.startswith(prefix, autoescape=True))
            return set(connection.scalars(found))

    def refuse(self, name: str, day: dt.date, rule: str, remedy: str) -> None:
        """Record that the gate refused a series on a day: rule and public remedy, nothing else."""
        with self._state.begin() as connection:
            connection.execute(REFUSALS.insert().values(day=day.isoformat(), name=name, rule=rule, remedy=remedy))

    def keep_refused(self, name: str, day: dt.date, question: str) -> None:
        """Remember that a question on a series was refused for what was found in the data."""
        with self._state.begin() as connection:
            connection.execute(
                REFUSED.insert().values(day=day.isoformat(), name=name, question=_sha(question.encode()))
            )

    def was_refused(self, name: str, question: str) -> bool:
        """Say whether a question on a series was refused for what was found in the data."""
        known = sa.select(REFUSED.c.seq).where(REFUSED.c.name == name, REFUSED.c.question == _sha(question.encode()))
        with self._state.read() as connection:
            return connection.execute(known.limit(1)).first() is not None

    def verify(self) -> int:
        """Check every hash of the chain, and return the number of releases.

        Raises
        ------
        StoreError
            If an entry was altered, removed or put between others. (What was cut off at the end is
            seen by comparing the head with one written down elsewhere.)
        """
        head = Head(0, GENESIS)
        with self._state.read() as connection:
            rows = connection.execute(sa.select(JUDGEMENTS.c.seq, JUDGEMENTS.c.digest)).all()
            digests: dict[int, str] = {row.seq: row.digest for row in rows}
            for row in connection.execute(sa.select(LEDGER).order_by(LEDGER.c.seq)):
                stamp = _check(row._mapping, head)
                if str(stamp["profile"]) != PUBLIC.profile and row.seq not in digests:
                    raise _broken(row.seq)  # without its judgement the gate would forget what is out
                if row.seq in digests:
                    kept = sa.select(JUDGEMENTS.c.name, JUDGEMENTS.c.body).where(JUDGEMENTS.c.seq == row.seq)
                    name, body = connection.execute(kept).one()
                    # The stamp says it, too: who changes body and digest would have to forge the chain.
                    if _sha(body) != digests.pop(row.seq) or stamp.get("memory") not in (None, memory_of(name, body)):
                        raise _broken(row.seq)
                head = Head(row.seq, row.hash)
            if digests:
                raise _broken(min(digests))
        return head.seq


def _head(connection: sa.Connection) -> Head:
    last = sa.select(LEDGER.c.seq, LEDGER.c.hash).order_by(LEDGER.c.seq.desc()).limit(1)
    row = connection.execute(last).first()
    return Head(0, GENESIS) if row is None else Head(row.seq, row.hash)


def _check(row: sa.RowMapping, head: Head) -> dict[str, Any]:
    """Return the stamp of an intact entry."""
    seq, blob = row["seq"], row["document"]
    try:
        document = json.loads(blob)
        stamp = document["stamp"]
        intact = (
            seq == head.seq + 1 == stamp["ledger"]
            and row["previous"] == head.hash == stamp["previous"]
            and row["hash"] == stamp["hash"] == seal(document)
            and document["content_hash"] == content_of(document)
            and (row["id"], row["name"], row["day"]) == (document["id"], document["name"], document["day"])
            and row["as_of"] == document["as_of"]
            and "profile" in stamp
        )
    except (ValueError, KeyError, TypeError):
        raise _broken(seq) from None
    if not intact:
        raise _broken(seq)
    return dict(stamp)


def _sha(body: bytes) -> str:
    return digest(body)


def memory_of(series: str, body: bytes) -> str:
    """Return the digest under which what is remembered of a release, and with which series, is sealed in its stamp."""
    return digest(series.encode() + b"\0" + body)


def _conflict() -> LedgerConflictError:
    return LedgerConflictError(
        "another release was issued since this one was judged.", remedy="Judge it again and retry."
    )


def _broken(seq: object) -> StoreError:
    return StoreError(
        f"the ledger is not intact at entry {seq}.",
        remedy="Restore room.db from a backup and find out who altered it.",
        code="OPS-F032",
    )
