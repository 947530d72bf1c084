"""The room's own state: one relational database, SQLite (WAL) in the room's folder, or any by URL.

Tables are declared beside their owners on `METADATA` (``from opsroom.base.state import METADATA``);
`State.open` creates what is missing. Numbered migrations move older databases forward.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from opsroom.base.errors import InternalError, StoreError

METADATA = sa.MetaData()
"""Tables of every owner; importing the owner's module declares them."""

SCHEMA = sa.Table(
    "schema_version",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("title", sa.String(200), nullable=False),
)

BUSY_SECONDS = 30
"""How long a writer waits for another process's transaction."""


@dataclass(frozen=True, slots=True)
class Migration:
    """A step from one schema version to the next.

    Attributes
    ----------
    number
        The version that the step leads to; 1 is the empty database with all tables created.
    title
        A few words.
    apply
        Changes the database on an open connection, inside the transaction that records the number.
    """

    number: int
    title: str
    apply: Callable[[sa.Connection], None]


MIGRATIONS: list[Migration] = []
"""Steps after version 1, ascending by number without gaps. Owners append in their module."""


class State:
    """The room's database.

    Parameters
    ----------
    engine
        An SQLAlchemy engine; use `State.open`.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, where: Path | str) -> State:
        """Open or create the database.

        Parameters
        ----------
        where
            Path of an SQLite file, or a database URL such as ``postgresql+psycopg://…``.

        Raises
        ------
        StoreError
            The database cannot be opened, is damaged, or was written by a newer opsroom.
        """
        url = str(where)
        if isinstance(where, Path) or "://" not in url:
            file = sa.URL.create("sqlite", database=url)
            engine = sa.create_engine(file, connect_args={"timeout": BUSY_SECONDS})
        else:
            engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            _prepare_sqlite(engine)
        state = cls(engine)
        state.ensure()
        return state

    def ensure(self) -> None:
        """Create the tables that are missing and apply the migrations that are due."""
        with self.begin() as connection:
            METADATA.create_all(connection)
            done = connection.scalar(sa.select(sa.func.max(SCHEMA.c.number)))
            newest = max((m.number for m in MIGRATIONS), default=1)
            if done is None:
                # A fresh database has every table in its newest form: no step is due.
                connection.execute(SCHEMA.insert().values(number=newest, title="created"))
                return
            if done > newest:
                raise StoreError(
                    f"the room's database has schema version {done}; this opsroom knows {newest}.",
                    remedy="Use a newer opsroom.",
                    code="OPS-F010",
                )
            for step in sorted(MIGRATIONS, key=lambda m: m.number):
                if step.number > done:
                    step.apply(connection)
                    connection.execute(SCHEMA.insert().values(number=step.number, title=step.title))

    @property
    def version(self) -> int:
        """Schema version of the database."""
        with self.read() as connection:
            number = connection.scalar(sa.select(sa.func.max(SCHEMA.c.number)))
        if number is None:
            raise InternalError("the room's database has no schema version.")
        return int(number)

    @contextlib.contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open a transaction that writes: committed at the end of the block, rolled back on an exception.

        On SQLite the write lock is taken at the start, so that what is read inside the block is still
        true when the block writes (the ledger's head, for one).
        """
        with _mapped(), self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            with contextlib.ExitStack() as stack:
                transaction = connection.get_transaction() or connection.begin()
                stack.enter_context(transaction)
                yield connection

    @contextlib.contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a connection that only reads, on one snapshot of the database."""
        with _mapped(), self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            yield connection
            connection.rollback()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


@contextlib.contextmanager
def _mapped() -> Iterator[None]:
    """Turn what the driver says (it may quote parameters) into a StoreError without values."""
    try:
        yield
    except sa.exc.OperationalError as error:
        word = str(error.orig).lower()
        if "locked" in word or "busy" in word:
            rule, remedy, code = "is locked by another process", "Try again when it has finished.", "OPS-F011"
        elif "full" in word:
            rule, remedy, code = "cannot grow: the disk is full", "Free some space.", "OPS-F002"
        else:
            rule, remedy, code = (
                "cannot be read or written",
                "Check the path and its permissions.",
                "OPS-F012",
            )
        raise StoreError(f"the room's database {rule}.", remedy=remedy, code=code) from None
    except sa.exc.DatabaseError as error:
        if isinstance(error, sa.exc.IntegrityError | sa.exc.ProgrammingError):
            raise
        raise StoreError(
            "the room's database is damaged.",
            remedy="Restore it, or rebuild its delivery log.",
            code="OPS-F013",
        ) from None


def _prepare_sqlite(engine: sa.Engine) -> None:
    @sa.event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:  # SQLAlchemy's own hook types are Any
        if isinstance(connection, sqlite3.Connection):
            connection.isolation_level = None  # transactions are ours: BEGIN IMMEDIATE, see State.begin
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute(f"PRAGMA busy_timeout={BUSY_SECONDS * 1000}")
        cursor.close()
