"""Whatever is done to the rows of the audit log behind its back, a verification finds it."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsroom.base.errors import StoreError
from opsroom.base.state import State
from opsroom.protect.audit import AUDIT, AuditLog, ChainHead

LENGTH = 6
COLUMNS = [column.name for column in AUDIT.columns]
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditLog, Path, list[tuple[Any, ...]]]:
    folder = tmp_path_factory.mktemp("audit")
    made = AuditLog(State.open(folder / "room.db"))
    for k in range(LENGTH):
        made.append(f"actor{k % 2}", "ingest", f"meters/{k}")
    with contextlib.closing(sqlite3.connect(folder / "room.db")) as direct:
        rows = direct.execute(f"SELECT {', '.join(COLUMNS)} FROM audit ORDER BY seq").fetchall()
    return made, folder / "room.db", rows


def put(database: Path, rows: list[tuple[Any, ...]]) -> None:
    with contextlib.closing(sqlite3.connect(database)) as direct, direct:
        direct.execute("DELETE FROM audit")
        marks = ", ".join("?" * len(COLUMNS))
        direct.executemany(f"INSERT INTO audit ({', '.join(COLUMNS)}) VALUES ({marks})", rows)


@given(data=st.data())
def test_tampering_is_found(log: tuple[AuditLog, Path, list[tuple[Any, ...]]], data: st.DataObject) -> None:
    audit, database, rows = log
    head = ChainHead(rows[-1][0], rows[-1][-1])
    forged = [list(row) for row in rows]
    how = data.draw(st.sampled_from(["field", "delete", "swap", "copy", "truncate", "empty", "rewrite"]))
    at = data.draw(st.integers(0, LENGTH - 1))
    if how == "field":
        column = data.draw(st.integers(0, len(COLUMNS) - 1))
        old = forged[at][column]
        new = data.draw((st.integers(LENGTH + 1, 99) if column == 0 else TEXTS).filter(lambda v: v != old))
        forged[at][column] = new
    elif how == "delete":
        del forged[at]
    elif how == "swap":  # two entries change places, keeping the numbers where they were
        other = data.draw(st.integers(0, LENGTH - 1).filter(lambda k: k != at))
        forged[at][1:], forged[other][1:] = forged[other][1:], forged[at][1:]
    elif how == "copy":  # an entry is put in once more at the end
        forged.append([LENGTH + 1, *forged[at][1:]])
    elif how == "truncate":
        forged = forged[:at]
    elif how == "empty":
        forged = []
    else:  # the forger knows how hashes are made and redoes the chain from an entry on
        put(database, [tuple(row) for row in rows[:at]])
        for row in forged[at:]:
            audit.append("mallory", row[3], row[4])
        with pytest.raises(StoreError) as seen:
            audit.verify([head])
        assert seen.value.code == "OPS-F036"
        assert audit.verify() == LENGTH, "the chain alone cannot know"
        put(database, rows)
        return
    put(database, [tuple(row) for row in forged])
    with pytest.raises(StoreError) as found:
        audit.verify([head])
    assert found.value.code in ("OPS-F033", "OPS-F035")
    put(database, rows)
    assert audit.verify([head]) == LENGTH


@given(kept=st.lists(st.integers(0, LENGTH), max_size=4))
def test_every_head_ever_written_down_stays_true(
    log: tuple[AuditLog, Path, list[tuple[Any, ...]]], kept: list[int]
) -> None:
    audit, database, rows = log
    put(database, rows)
    genesis = rows[0][COLUMNS.index("previous")]
    heads = [ChainHead(k, rows[k - 1][-1] if k else genesis) for k in kept]
    assert [ChainHead.parse(str(head)) for head in heads] == heads
    assert audit.verify(heads) == LENGTH
