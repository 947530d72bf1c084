"""The record of erasures: when, why and how much was erased; and the erased keys, as keyed hashes alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from opsroom.base.specs import DatasetSpec
from opsroom.base.state import METADATA, State

TABLE = sa.Table(
    "erasures",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("mark", sa.String(32), nullable=False, unique=True),
    sa.Column("dataset", sa.String(64), nullable=False),
    sa.Column("field", sa.String(64), nullable=False),
    sa.Column("recorded_at", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("legal_basis", sa.Text, nullable=False),
    sa.Column("keys", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("quarantined", sa.Integer, nullable=False),
    sa.Column("from_version", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("lifted_at", sa.String(40), nullable=False),
)

ERASED = sa.Table(
    "erased_keys",
    METADATA,
    sa.Column("dataset", sa.String(64), primary_key=True),
    sa.Column("field", sa.String(64), primary_key=True),
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("erasure", sa.Integer, primary_key=True, autoincrement=False),
)


@dataclass(frozen=True, slots=True)
class Erasure:
    """One recorded erasure; it holds no key.

    Attributes
    ----------
    number, mark
        Its number in the room, and the mark under which the Delta log holds it.
    dataset, field
        Where the rows were, and the field that named them.
    recorded_at, actor, reason, legal_basis
        When, by whom, why, and by what right.
    keys, rows, quarantined
        Number of values named; of stored rows erased (every vintage counts), and of rows in quarantine.
    from_version, version
        First version that had held a row erased, and the version that the erasure made: versions from the one up to
        the other can no longer be read. Equal where no stored row was erased.
    lifted_at
        When later deliveries of the keys were allowed again; empty while they are refused.
    """

    number: int
    mark: str
    dataset: str
    field: str
    recorded_at: str
    actor: str
    reason: str
    legal_basis: str
    keys: int
    rows: int
    quarantined: int
    from_version: int
    version: int
    lifted_at: str = ""

    def covers(self, version: int) -> bool:
        """Return whether a version of the dataset had held what was erased."""
        return self.from_version <= version < self.version


def erasures(state: State, dataset: str | None = None) -> list[Erasure]:
    """Return the erasures of a dataset or of all, oldest first."""
    query = sa.select(TABLE).order_by(TABLE.c.number)
    if dataset is not None:
        query = query.where(TABLE.c.dataset == dataset)
    with state.read() as connection:
        return [Erasure(**row._mapping) for row in connection.execute(query)]


def record(state: State, done: Erasure, hashes: Iterable[str]) -> Erasure:
    """Write an erasure and its hashed keys, once; the number is given here."""
    with state.begin() as connection:
        found = connection.execute(sa.select(TABLE).where(TABLE.c.mark == done.mark)).first()
        if found is not None:
            return Erasure(**found._mapping)
        number = int(connection.scalar(sa.select(sa.func.max(TABLE.c.number))) or 0) + 1
        values = {c.name: getattr(done, c.name) for c in TABLE.columns} | {"number": number}
        connection.execute(TABLE.insert().values(**values))
        rows = [
            {"dataset": done.dataset, "field": done.field, "hash": h, "erasure": number} for h in sorted(set(hashes))
        ]
        if rows:
            connection.execute(ERASED.insert(), rows)
        return Erasure(**values)


def lift(state: State, number: int, moment: datetime) -> bool:
    """Allow later deliveries of the keys of an erasure again; return whether there is such an erasure."""
    with state.begin() as connection:
        connection.execute(ERASED.delete().where(ERASED.c.erasure == number))
        stamp = moment.isoformat(timespec="microseconds")
        done = connection.execute(TABLE.update().where(TABLE.c.number == number).values(lifted_at=stamp))
        return bool(done.rowcount)


class Hasher:
    """Keyed hashes of values: of no use to whoever holds the database without the room's key file.

    Parameters
    ----------
    path
        The key file; made when it is first needed, readable by its owner alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key: bytes | None = None

    def __call__(self, field: str, value: object) -> str:
        """Return the hash of a field's value."""
        if self._key is None:
            self._key = self._read()
        return hmac.new(self._key, f"{field}\0{value}".encode(), hashlib.sha256).hexdigest()

    def _read(self) -> bytes:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self._path.with_name(f"{self._path.name}.{secrets.token_hex(8)}")
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(32))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, self._path)  # whoever comes first; the others take his
            except FileExistsError:
                pass
            finally:
                temporary.unlink()
        return self._path.read_bytes()


class Ban:
    """The erased keys of one dataset, to keep them from coming back with a later delivery.

    Parameters
    ----------
    state, hasher
        The room's database and its hasher.
    spec
        The dataset's specification.

    Attributes
    ----------
    kept_out
        Erasure → rows that it kept out so far.
    """

    def __init__(self, state: State, hasher: Hasher, spec: DatasetSpec) -> None:
        self._hasher, self._spec = hasher, spec
        self._hashes: dict[str, dict[str, int]] = {}
        self.kept_out: Counter[int] = Counter()
        with state.read() as connection:
            query = sa.select(ERASED.c.field, ERASED.c.hash, ERASED.c.erasure).where(ERASED.c.dataset == spec.name)
            for field, found, erasure in connection.execute(query):
                self._hashes.setdefault(field, {})[found] = erasure

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def mask(self, rows: pa.RecordBatch) -> pa.Array:
        """Return which rows are of an erased key, and count them by erasure in `kept_out`."""
        banned = pa.array([False] * rows.num_rows, pa.bool_())
        for field, hashes in self._hashes.items():
            if field not in rows.schema.names:
                continue
            column = rows.column(field).dictionary_encode()
            known = [hashes.get(self._hasher(field, value)) for value in column.dictionary.to_pylist()]
            if any(known):
                hit = pa.array(known, pa.int64()).take(column.indices)
                fresh = pc.and_not(pc.is_valid(hit), banned)
                self.kept_out.update(hit.filter(fresh).to_pylist())
                banned = pc.or_(banned, fresh)
        return banned

    def holds(self, text: str | None) -> bool:
        """Return whether a row as it came (JSON, or a line that could not be split) is of an erased key."""
        try:
            row = json.loads(text or "")
        except ValueError:
            row = None
        if isinstance(row, dict):
            return any(
                row.get(name) is not None and self._hasher(field, str(row[name]).strip()) in hashes
                for field, hashes in self._hashes.items()
                for name in source_names(self._spec, field)
            )
        pieces = {piece.strip() for piece in re.split(r"[,;|\t\"]", text or "")}
        return any(self._hasher(f, piece) in hashes for f, hashes in self._hashes.items() for piece in pieces)


def source_names(spec: DatasetSpec, field: str) -> set[str]:
    """Return the names under which a field's values come: its own, its column's, and earlier ones."""
    found = {field}
    for one in spec.fields:
        if one.name == field:
            found |= {one.source, *one.aliases}
    return found
