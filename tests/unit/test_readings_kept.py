"""Readings that are kept and brought up to date are those that a fresh read gives, whatever was delivered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.measure.resumption.meters import MeterDays
from opsroom.observe.ingest import ingest
from opsroom.observe.store import Store
from opsroom.room.desk import View
from opsroom.room.desks.readings import frame_of, readings_of

SPEC = DatasetSpec(
    name="meters",
    title="Meters",
    frequency="D",
    period="date",
    key=("meter_id", "date"),
    confidential=True,
    unit="enterprise",
    legal_basis="a test",
    fields=(FieldSpec("meter_id", "integer"), FieldSpec("date", "date"), FieldSpec("wh", "integer")),
)
START = dt.date(2019, 12, 20)
DAYS = [dt.date(2020, 1, 8) + dt.timedelta(days=7 * week) for week in range(8)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    state = State.open(tmp_path / "room.db")
    made = Store(tmp_path, [SPEC], state, threads=1)
    yield made
    made.close()
    state.close()


def view(store: Store, day: dt.date, memory: dict[str, Any]) -> View:
    moment = dt.datetime.combine(day, dt.time(23, 59), tzinfo=dt.UTC)
    settings: Any = SimpleNamespace(timezone="UTC")
    releases: Any = None
    return View(store, settings, releases, as_of=moment, day=day, upstream={}, memory=memory)


def deliver(store: Store, day: dt.date, rows: dict[tuple[int, dt.date], int], *, deletions: bool = False) -> None:
    columns = {"meter_id": [meter for meter, _ in rows], "date": [at for _, at in rows], "wh": list(rows.values())}
    table = pa.table({name: pa.array(column) for name, column in columns.items()})
    moment = dt.datetime.combine(day, dt.time(6), tzinfo=dt.UTC)
    source = table.select(["meter_id", "date"]) if deletions else table
    ingest(store, SPEC, source, known_at=moment, actor="test", reason="drawn", deletions=deletions)


def seen(held: MeterDays, day: dt.date) -> dict[tuple[int, int], float]:
    """Return the readings up to a day, by meter and day."""
    last = (day - dt.date(1970, 1, 1)).days - held.start + 1
    meters = np.arange(200)
    rows = held.rows(meters)
    return {
        (int(meter), held.start + int(t)): float(held.array[row, t])
        for meter, row in zip(meters, rows, strict=True)
        if row >= 0
        for t in np.flatnonzero(np.isfinite(held.array[row, :last]))
    }


@pytest.mark.parametrize("seed", range(6))
def test_kept_readings_are_those_of_a_fresh_read(store: Store, seed: int) -> None:
    rng = np.random.default_rng(seed)
    memory: dict[str, Any] = {}
    known: list[tuple[int, dt.date]] = []
    for week, day in enumerate(DAYS):
        span = [day - dt.timedelta(days=int(d)) for d in range(1, 22)]
        meters = rng.integers(1, 40 + 15 * week, 60).tolist()
        fresh = {(m, span[int(rng.integers(21))]): int(rng.integers(1, 2**40)) for m in meters}  # new, late, revised
        if seed % 3 == 1 and week == 3:
            fresh[7, day + dt.timedelta(days=5)] = 5  # dated ahead of the day on which it is known
        deliver(store, day, fresh)
        known += fresh
        if week % 2:
            gone = {known[int(k)]: 0 for k in rng.integers(0, len(known), 5)}
            deliver(store, day + dt.timedelta(days=1), gone, deletions=True)
        if week in (3, 5):  # back-dated, to before the last publication and to after it
            back = dt.timedelta(days=10 if seed % 2 else 3)
            deliver(store, day - back, dict.fromkeys(known[-9:], 17) | {(3, day - 2 * back): 18})
        held = readings_of(view(store, day, memory), "meters", start=START)
        assert seen(held, day) == seen(readings_of(view(store, day, {}), "meters", start=START), day)
        if week == 4:  # an earlier day is read for itself and does not disturb what is kept
            earlier = readings_of(view(store, DAYS[1], memory), "meters", start=START)
            assert seen(earlier, DAYS[1]) == seen(readings_of(view(store, DAYS[1], {}), "meters", start=START), DAYS[1])
            assert readings_of(view(store, day, memory), "meters", start=START) is held


def test_only_what_became_known_is_read_again(store: Store) -> None:
    deliver(store, DAYS[0], {(1, START): 10, (2, START): 20})
    deliver(store, DAYS[2], {(1, START): 11, (3, START): 30})
    moments = [dt.datetime.combine(day, dt.time(23), tzinfo=dt.UTC) for day in DAYS]
    rows = store.changes("meters", ["meter_id", "wh"], after=moments[0], until=moments[2], delivery=1)
    assert rows is not None
    assert sorted(rows.to_pylist(), key=lambda r: r["meter_id"]) == [
        {"meter_id": 1, "wh": 11, "taken_back": False},
        {"meter_id": 3, "wh": 30, "taken_back": False},
    ]
    none = store.changes("meters", ["wh"], after=moments[2], until=moments[3], delivery=2)
    assert none is not None
    assert none.num_rows == 0
    assert store.changes("meters", ["wh"], after=moments[2], until=moments[1], delivery=2) is None, "knows more"
    assert store.changes("meters", ["wh"], after=moments[2], until=moments[3], delivery=1) is None, "came since"


def test_a_frame_is_the_same_one_while_nothing_became_known(store: Store) -> None:
    memory: dict[str, Any] = {}
    deliver(store, DAYS[0], {(1, START): 10})
    first = frame_of(view(store, DAYS[0], memory), "meters")
    assert frame_of(view(store, DAYS[1], memory), "meters") is first
    deliver(store, DAYS[2], {(1, START): 11})
    assert frame_of(view(store, DAYS[1], memory), "meters") is first
    assert frame_of(view(store, DAYS[2], memory), "meters")["wh"].tolist() == [11]


def test_days_are_forgotten_and_room_is_made() -> None:
    held = MeterDays(0)
    table = {"meter_id": pa.array([5, 9]), "date": pa.array([3, 60], pa.int32()).cast(pa.date32()), "wh": [7, 8]}
    held.write(pa.table(table))
    held.forget(2)
    assert held.start == 2
    assert held.array[held.rows(np.array([5]))[0], 1] == 7
    assert held.array[held.rows(np.array([9]))[0], 58] == 8
    assert held.rows(np.array([6]))[0] == -1
    far = MeterDays(0, meters=np.array([10**12, 3]), days=5, only=True)
    assert far.rows(np.array([3, 10**12, 4])).tolist() == [0, 1, -1]
