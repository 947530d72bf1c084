"""Complete deliveries are compared range by range of periods, or whole in memory: the outcome is the same."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DataError
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe import staging
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store

EPOCH = datetime(2022, 1, 3, 6, tzinfo=UTC)
MONTHS = [date(2020, 11, 1), date(2020, 12, 31), date(2021, 1, 1), date(2021, 3, 15)]
"""Days at the edges of months and years."""

DAILY = DatasetSpec(
    name="register",
    title="A register delivered whole",
    frequency="D",
    period="day",
    key=("id", "day"),
    confidential=False,
    unit="public",
    snapshot=True,
    max_drop=0.5,
    fields=(FieldSpec("id", "integer"), FieldSpec("day", "date"), FieldSpec("value", "integer")),
)
HOURLY = replace(
    DAILY,
    frequency="H",
    fields=(FieldSpec("id", "integer"), FieldSpec("day", "datetime"), FieldSpec("value", "integer")),
)

keys = st.tuples(st.integers(0, 2), st.integers(0, 3))
snapshots = st.dictionaries(keys, st.integers(0, 1), min_size=1, max_size=10)
Snapshot = dict[tuple[int, int], int]


def table_of(spec: DatasetSpec, snapshot: Snapshot) -> pa.Table:
    days: list[date] = [MONTHS[key[1]] for key in snapshot]
    if spec is HOURLY:
        days = [datetime(d.year, d.month, d.day, 23, tzinfo=UTC) for d in days]
    return pa.table({"id": [key[0] for key in snapshot], "day": days, "value": list(snapshot.values())})


def told(spec: DatasetSpec, history: list[Snapshot], moment: int) -> list[object]:
    """Deliver a history and return the reports and all views; each delivery one hour, or one less, after another."""
    found: list[object] = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        state = State.open(Path(folder) / "room.db")
        stack.callback(state.close)
        store = Store(folder, [spec], state, threads=1)
        stack.callback(store.close)
        held: dict[int, Snapshot] = {}
        for number, snapshot in enumerate(history):
            hour = moment if number == len(history) - 1 else number  # the last one may be back-dated
            known_at = EPOCH + timedelta(hours=hour)
            before = next((held[h] for h in range(hour, -1, -1) if h in held), snapshot)
            rows = table_of(spec, snapshot)
            if len(before.keys() - snapshot.keys()) / len(before) > spec.max_drop:
                with pytest.raises(DataError) as error:
                    ingest(store, spec, rows, known_at=known_at, actor="test", reason="a property")
                found.append(error.value.code)
                assert not store.delta("register").orphans()
                continue
            report = ingest(store, spec, rows, known_at=known_at, actor="test", reason="a property")
            held[hour] = snapshot
            found.append((report.accepted, report.quarantined, report.duplicates, report.already_present))
            assert {(r["id"], r["day"]): r["value"] for r in store.arrow("register", known_at).to_pylist()} == {
                (r["id"], r["day"]): r["value"] for r in rows.to_pylist()
            }, "as of its moment the dataset is what the snapshot says"
        for hour in range(len(history)):
            view = store.arrow("register", EPOCH + timedelta(hours=hour), columns=["id", "day", "value"])
            found.append(sorted(tuple(r.values()) for r in view.to_pylist()))
        found += [(d.delivery, d.accepted, d.revised, d.deleted) for d in store.deliveries("register")]
    return found


@pytest.mark.parametrize("spec", [DAILY, HOURLY], ids=["daily", "hourly"])
@given(st.lists(snapshots, min_size=2, max_size=4), st.data())
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_in_parts_as_in_memory(spec: DatasetSpec, history: list[Snapshot], data: st.DataObject) -> None:
    moment = data.draw(st.integers(0, len(history) - 1))
    whole = told(spec, history, moment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(staging, "MEMORY", 1)
        assert told(spec, history, moment) == whole


def test_a_month_that_is_missing_altogether_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MEMORY", 1)
    full = {(unit, month): 1 for unit in range(3) for month in range(4)}
    less = {key: value for key, value in full.items() if key[1] != 1 and key != (0, 3)}
    found = told(DAILY, [full, less], 1)
    assert found[:2] == [(12, 0, 0, False), (4, 0, 8, False)]
    assert len(found[2]) == 12
    assert found[3] == sorted((unit, MONTHS[month], 1) for unit, month in less)
    assert found[-1] == (2, 4, 0, 4)


def test_a_delivery_cut_short_is_refused_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is counted over all ranges: half a delivery is within bounds, one row less is not."""
    monkeypatch.setattr(staging, "MEMORY", 1)
    full = {(unit, month): 1 for unit in range(3) for month in range(4)}
    half = {key: value for key, value in full.items() if key[1] < 2}
    assert told(DAILY, [full, half], 1)[1] == (6, 0, 6, False)
    del half[0, 0]
    found = told(DAILY, [full, half], 1)
    assert found[1] == "OPS-D013"
    assert found[2] == found[3]
    assert len(found[3]) == 12
