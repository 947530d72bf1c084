"""The room's database: transactions, migrations, and errors without values."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from opsroom.base import state as module
from opsroom.base.errors import StoreError
from opsroom.base.state import METADATA, SCHEMA, Migration, State

NOTES = sa.Table("test_notes", METADATA, sa.Column("id", sa.Integer, primary_key=True))


@pytest.fixture
def state(tmp_path: Path):
    state = State.open(tmp_path / "room.db")
    yield state
    state.close()


def test_a_block_is_all_or_nothing(state: State) -> None:
    def fail_half_way() -> None:
        with state.begin() as connection:
            connection.execute(NOTES.insert().values(id=1))
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()
    with state.begin() as connection:
        connection.execute(NOTES.insert().values(id=2))
    with state.read() as connection:
        assert connection.execute(sa.select(NOTES.c.id)).scalars().all() == [2]


def test_what_a_block_has_read_is_still_true_when_it_writes(state: State) -> None:
    """Eight threads count up together: none may read a number that another is about to change."""

    def count() -> None:
        for _ in range(10):
            with state.begin() as connection:
                last = connection.scalar(sa.select(sa.func.max(NOTES.c.id))) or 0
                connection.execute(NOTES.insert().values(id=last + 1))

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with state.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(NOTES)) == 80


def test_a_reader_sees_one_snapshot(state: State) -> None:
    with state.read() as reader:
        assert reader.scalar(sa.select(sa.func.count()).select_from(NOTES)) == 0
        with state.begin() as writer:
            writer.execute(NOTES.insert().values(id=1))
        assert reader.scalar(sa.select(sa.func.count()).select_from(NOTES)) == 0


def test_migrations_run_once_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = State.open(tmp_path / "room.db")
    first = old.version
    old.close()
    ran: list[int] = []

    def step(number: int) -> Migration:
        return Migration(first + number, f"step {number}", lambda _: ran.append(number))

    monkeypatch.setattr(module, "MIGRATIONS", [*module.MIGRATIONS, step(2), step(1)])
    for _ in range(2):
        new = State.open(tmp_path / "room.db")
        assert new.version == first + 2
        new.close()
    assert ran == [1, 2]
    fresh = State.open(tmp_path / "fresh.db")
    assert fresh.version == first + 2
    assert ran == [1, 2], "a fresh database is made in its newest form"
    fresh.close()


def test_a_failed_migration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = State.open(tmp_path / "room.db")
    first = old.version
    old.close()

    def fail(connection: sa.Connection) -> None:
        connection.execute(NOTES.insert().values(id=7))
        raise KeyError

    monkeypatch.setattr(module, "MIGRATIONS", [*module.MIGRATIONS, Migration(first + 1, "fails", fail)])
    with pytest.raises(KeyError):
        State.open(tmp_path / "room.db")
    monkeypatch.undo()
    again = State.open(tmp_path / "room.db")
    with again.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(NOTES)) == 0
    assert again.version == first
    again.close()


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    state = State.open(tmp_path / "room.db")
    with state.begin() as connection:
        connection.execute(SCHEMA.insert().values(number=999, title="from the future"))
    state.close()
    with pytest.raises(StoreError, match="999") as caught:
        State.open(tmp_path / "room.db")
    assert caught.value.code == "OPS-F010"


def test_errors_tell_no_values(tmp_path: Path) -> None:
    (tmp_path / "bad.db").write_bytes(b"secret amount 4711 " * 1000)
    for path in (tmp_path / "bad.db", tmp_path / "absent" / "room.db"):
        with pytest.raises(StoreError) as caught:
            State.open(path)
        assert "4711" not in str(caught.value)
        assert caught.value.remedy
