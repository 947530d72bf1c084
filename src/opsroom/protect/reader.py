"""`Releases`: the read-only reader of published releases that faces are given."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from opsroom.base.errors import NotFoundError, SettingsError, StoreError
from opsroom.base.state import METADATA, State
from opsroom.protect.audit import read_verification
from opsroom.protect.release import Release, read_release

LEDGER = sa.Table(
    "releases",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("id", sa.String(140), nullable=False, unique=True),
    sa.Column("name", sa.String(100), nullable=False, index=True),
    sa.Column("day", sa.String(10), nullable=False, index=True),
    sa.Column("as_of", sa.String(40), nullable=False),
    sa.Column("previous", sa.String(71), nullable=False),
    sa.Column("hash", sa.String(71), nullable=False),
    sa.Column("document", sa.LargeBinary, nullable=False),
)

REFUSALS = sa.Table(
    "refusals",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("day", sa.String(10), nullable=False, index=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("rule", sa.String(400), nullable=False),
    sa.Column("remedy", sa.String(400), nullable=False),
)


ANSWERS = "query."
"""How the names of answers to table queries, and of the master tables behind them, begin."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """That the gate refused a series on a day; the rule and what would pass, never counts."""

    day: dt.date
    name: str
    rule: str
    remedy: str


class Releases:
    """Reads stored releases, and nothing else, from a room.

    Answers to table queries are for who asked: they stand in the ledger, but are no publication, and unless asked for
    this reader knows nothing of them.

    Safe to share between threads: each query has a connection of its own, releases are kept by id.

    Parameters
    ----------
    where
        The room's folder, its ``room.db``, or an open `State`.
    answers
        Read the answers to table queries, and nothing else.

    Raises
    ------
    SettingsError
        If there is no room at the path.
    """

    def __init__(self, where: Path | str | State, *, answers: bool = False) -> None:
        is_answer = LEDGER.c.name.startswith(ANSWERS)
        self._mine = is_answer if answers else ~is_answer
        self._mine_refused = REFUSALS.c.name.startswith(ANSWERS)
        if not answers:
            self._mine_refused = ~self._mine_refused
        self._folder: Path | None = None
        if isinstance(where, State):
            self._engine = where.engine
        else:
            path = Path(where)
            database = path / "room.db" if path.is_dir() else path
            if not database.is_file():
                raise SettingsError(
                    "the folder is not a room: room.db is missing.",
                    remedy="Make a room with `opsroom init DIR`, or name another folder.",
                    code="OPS-C001",
                )
            self._folder = database.parent
            self._engine = _read_only(database)
        self._cache: dict[int, Release] = {}
        self._lock = threading.Lock()
        self._note: Callable[[Release], object] | None = None

    def noting(self, note: Callable[[Release], object]) -> Releases:
        """Return this reader, which tells of each release that it reads."""
        twin = copy.copy(self)
        twin._note = note
        return twin

    @property
    def room(self) -> Mapping[str, Any]:
        """The room's public description (``public.json``), empty where there is none."""
        file = self._folder / "public.json" if self._folder else None
        if file is None or not file.is_file():
            return {}
        try:
            found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            raise StoreError(
                "public.json is damaged.", remedy="Delete it and open the room once: it is written anew."
            ) from None
        return found

    def days(self) -> list[dt.date]:
        """Return the publication days, earliest first."""
        query = sa.select(LEDGER.c.day).where(self._mine).distinct().order_by(LEDGER.c.day)
        return [dt.date.fromisoformat(day) for (day,) in self._rows(query)]

    def names(self, day: dt.date | str | None = None) -> list[str]:
        """Return the names of the series that had a release by the day (by now, where none is given)."""
        query = sa.select(LEDGER.c.name).where(self._mine).distinct().order_by(LEDGER.c.name)
        if day is not None:
            query = query.where(LEDGER.c.day <= _iso(day))
        return [name for (name,) in self._rows(query)]

    def get(self, name: str, day: dt.date | str) -> Release | None:
        """Return the last release of a series that was out on a day, or None."""
        query = sa.select(LEDGER.c.seq).where(LEDGER.c.name == name, LEDGER.c.day <= _iso(day))
        found = self._load(query.order_by(LEDGER.c.day.desc(), LEDGER.c.seq.desc()).limit(1))
        return found[0] if found else None

    def latest(self, name: str) -> Release | None:
        """Return the last release of a series, or None."""
        return self.get(name, dt.date.max)

    def history(self, name: str) -> list[Release]:
        """Return all releases of a series, earliest first."""
        return self._load(sa.select(LEDGER.c.seq).where(LEDGER.c.name == name).order_by(LEDGER.c.seq))

    def of_day(self, day: dt.date | str) -> list[Release]:
        """Return what was issued on a day, in that order."""
        return self._load(sa.select(LEDGER.c.seq).where(LEDGER.c.day == _iso(day)).order_by(LEDGER.c.seq))

    def raw(self, id: str) -> bytes:
        """Return the stored document of a release, byte for byte.

        Raises
        ------
        NotFoundError
            If there is no release of that id.
        """
        rows = self._rows(sa.select(LEDGER.c.document).where(LEDGER.c.id == id, self._mine))
        if not rows:
            raise NotFoundError(
                "there is no release of that id.",
                remedy="List them with `opsroom release list`.",
                code="OPS-N006",
            )
        return bytes(rows[0][0])

    def refusals(self, day: dt.date | str) -> list[Refusal]:
        """Return what the gate refused on a day."""
        query = sa.select(REFUSALS.c.day, REFUSALS.c.name, REFUSALS.c.rule, REFUSALS.c.remedy)
        rows = self._rows(query.where(REFUSALS.c.day == _iso(day), self._mine_refused).order_by(REFUSALS.c.seq))
        return [Refusal(dt.date.fromisoformat(d), name, rule, remedy) for d, name, rule, remedy in rows]

    def alarm(self) -> str:
        """Return what the last verification of the chains found wrong; empty where it found nothing."""
        with _mapped(), self._engine.connect() as connection:
            found = read_verification(connection)
        return "" if found is None else found.finding

    def close(self) -> None:
        """Close the connections of a reader that was opened by path."""
        if self._folder is not None:
            self._engine.dispose()

    def _load(self, query: sa.Select[tuple[int]]) -> list[Release]:
        seqs = [seq for (seq,) in self._rows(query.where(self._mine))]
        missing = [seq for seq in seqs if seq not in self._cache]
        for seq in missing:
            ((document,),) = self._rows(sa.select(LEDGER.c.document).where(LEDGER.c.seq == seq))
            release = read_release(bytes(document))
            with self._lock:
                self._cache[seq] = release
        found = [self._cache[seq] for seq in seqs]
        if self._note is not None:
            for release in found:
                self._note(release)
        return found

    def _rows(self, query: sa.Select[Any]) -> list[Any]:
        with _mapped(), self._engine.connect() as connection:
            return list(connection.execute(query).all())


def _read_only(database: Path) -> sa.Engine:
    address = f"file:{quote(str(database.absolute()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(address, uri=True, check_same_thread=False, timeout=30)
        try:
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # A database in WAL mode on a medium that cannot be written to: nobody else writes it either.
            connection.close()
            connection = sqlite3.connect(f"{address}&immutable=1", uri=True, check_same_thread=False)
        return connection

    pool = {"poolclass": sa.pool.QueuePool, "pool_size": 8, "max_overflow": 24}
    return sa.create_engine("sqlite://", creator=connect, **pool)


def _iso(day: dt.date | str) -> str:
    if isinstance(day, dt.datetime):
        day = day.date()
    return day.isoformat() if isinstance(day, dt.date) else day[:10]


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError:
        raise StoreError(
            "the room's releases cannot be read.", remedy="Run `opsroom doctor --room DIR`.", code="OPS-F012"
        ) from None
