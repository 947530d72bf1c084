"""A store that others write to: what they commit is seen at once, and a log that stands still is not read again."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe import tables
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

SPEC = DatasetSpec(
    name="sales",
    title="Sales",
    frequency="M",
    period="month",
    key=("company", "month"),
    confidential=True,
    unit="enterprise",
    legal_basis="a test",
    fields=(FieldSpec("company", "string"), FieldSpec("month", "date"), FieldSpec("sales", "integer")),
)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Store, Store]]:
    state = State.open(tmp_path / "room.db")
    state.ensure()
    stores = [Store(tmp_path, [SPEC], state, threads=1) for _ in range(2)]
    yield stores[0], stores[1]
    for store in stores:
        store.close()
    state.close()


def deliver(store: Store, sales: int) -> None:
    rows = pa.table({"company": ["a"], "month": [date(2020, 1, 1)], "sales": [sales]})
    ingest(store, SPEC, rows, known_at=datetime(2020, 2, 3, tzinfo=UTC) + timedelta(days=sales), actor="test")


def test_what_another_writes_is_seen_and_what_stands_still_is_read_once(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, reader = pair
    read = 0

    def counted(handle: DeltaTable, *, update: object = DeltaTable.update_incremental) -> None:
        nonlocal read
        read += 1
        update(handle)  # type: ignore[operator]  # the library's own

    monkeypatch.setitem(tables._CONFIGURATION, "delta.checkpointInterval", "3")
    assert reader.deliveries("sales") == []
    for number in range(1, 8):  # across two checkpoints
        deliver(writer, number)
        read = 0
        with monkeypatch.context() as patch:
            patch.setattr(DeltaTable, "update_incremental", counted)
            for _ in range(3):
                told = [d.delivery for d in reader.deliveries("sales")]
                assert told == list(range(1, number + 1))
                assert reader.last_delivery("sales") == number
                assert reader.version("sales") == writer.version("sales")
                assert len(reader.files("sales")) == number
        assert read <= 1
    assert len(list((writer.path / "lake" / "sales" / "_delta_log").glob("*.checkpoint.parquet"))) == 2
    assert reader.arrow("sales").column("sales").to_pylist() == [7]
