"""Datasets whose rows bring their knowledge time, full snapshots, and hourly data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from opsroom.base.errors import DataError
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe.ingest import IngestReport, ingest
from opsroom.observe.store import Store

AT = datetime(2020, 3, 10, 6, tzinfo=UTC)


def deliver(store: Store, source: object, **more: object) -> IngestReport:
    options: dict[str, object] = {"known_at": AT, "actor": "test", **more}
    return ingest(store, store.spec("sales"), source, **options)  # type: ignore[arg-type]  # what is tested


VINTAGES = DatasetSpec(
    name="sales",
    title="An official series",
    frequency="Q",
    period="quarter",
    key=("series", "quarter"),
    confidential=False,
    unit="public",
    known_at_field="published",
    fields=(FieldSpec("series", "string"), FieldSpec("quarter", "date"), FieldSpec("value", "number", required=True)),
)


@pytest.fixture
def official(tmp_path: Path) -> Iterator[Store]:
    state = State.open(tmp_path / "room.db")
    store = Store(tmp_path, [VINTAGES], state, timezone="Europe/Vienna", threads=1)
    yield store
    store.close()
    state.close()


def releases(*lines: str) -> pa.Table:
    cells = [line.split() for line in lines]
    return pa.table(
        {
            "published": [c[0] for c in cells],
            "series": [c[1] for c in cells],
            "quarter": [c[2] for c in cells],
            "value": [float(c[3]) for c in cells],
        }
    )


FILE = releases(
    "2020-02-14 gdp 2019-Q4 100.0",
    "2020-03-14 gdp 2019-Q4 100.0",
    "2020-05-15 gdp 2019-Q4 99.5",
    "2020-05-15 gdp 2020-Q1 96.0",
    "2020-08-14 gdp 2019-Q4 99.5",
    "2020-08-14 gdp 2020-Q1 95.0",
    "2020-08-14 gdp 2020-Q2 90.0",
)


def values(store: Store, day: str) -> dict[str, float]:
    return {r["quarter"].isoformat()[:7]: r["value"] for r in store.arrow("sales", day).to_pylist()}


def test_one_file_of_many_vintages(official: Store) -> None:
    report = deliver(official, FILE, known_at=None)
    assert (report.accepted, report.duplicates) == (5, 2)
    assert values(official, "2020-02-13") == {}
    assert values(official, "2020-02-14") == values(official, "2020-04-01") == {"2019-10": 100.0}
    assert values(official, "2020-05-15") == {"2019-10": 99.5, "2020-01": 96.0}
    assert values(official, "2021-01-01") == {"2019-10": 99.5, "2020-01": 95.0, "2020-04": 90.0}
    assert official.latest_known_at() == official.moment("2020-08-14")


def test_a_longer_file_of_vintages_adds_the_new_ones(official: Store) -> None:
    deliver(official, FILE.slice(0, 4), known_at=None)
    report = deliver(official, FILE, known_at=None)
    assert (report.accepted, report.duplicates) == (2, 5)
    assert values(official, "2021-01-01") == {"2019-10": 99.5, "2020-01": 95.0, "2020-04": 90.0}
    with pytest.raises(DataError) as caught:
        deliver(official, releases("2020-03-01 gdp 2019-Q4 98.0"), known_at=None)
    assert caught.value.code == "OPS-D012"
    assert not official.delta("sales").orphans()


def test_vintages_that_cannot_be(official: Store) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=3)).date()
    bad = releases("2020-02-14 gdp 2019-Q4 100.0", f"{tomorrow} gdp 2019-Q4 1.0", "never gdp 2019-Q4 1.0")
    late = releases("2020-02-14 gdp 2020-Q2 100.0")
    report = deliver(official, pa.concat_tables([bad, late]), known_at=None)
    assert (report.accepted, report.reasons) == (1, {"OPS-D030": 1, "OPS-D036": 2})


def test_a_snapshot_takes_back_what_it_no_longer_holds(tmp_path: Path) -> None:
    spec = dataclasses.replace(VINTAGES, snapshot=True, max_drop=0.5)
    state = State.open(tmp_path / "room.db")
    store = Store(tmp_path, [spec], state, threads=1)
    first = releases(*(f"2020-02-14 s{n} 2019-Q4 {n}" for n in range(4)))
    second = releases(*(f"2020-03-14 s{n} 2019-Q4 {n}" for n in (0, 1, 3)))
    third = releases(*(f"2020-04-14 s{n} 2019-Q4 {n}" for n in (0, 1, 2, 3)))
    deliver(store, pa.concat_tables([first, second]), known_at=None)
    assert store.arrow("sales", "2020-02-14").num_rows == 4
    assert store.arrow("sales", "2020-03-14").num_rows == 3
    report = deliver(store, third, known_at=None)
    assert (report.accepted, report.duplicates) == (1, 3)
    assert store.arrow("sales").num_rows == 4
    again = deliver(store, pa.concat_tables([first, second, third]), known_at=None)
    assert (again.accepted, again.duplicates) == (0, 12)
    with pytest.raises(DataError) as caught:
        deliver(store, releases("2020-05-14 s0 2019-Q4 0"), known_at=None)
    assert caught.value.code == "OPS-D013"
    assert store.arrow("sales").num_rows == 4
    faulty = releases(*(f"2020-05-14 s{n} 2019-Q4 {n}" for n in (0, 1, 2)), "2020-05-14 s3 2019-Q5 3")
    report = deliver(store, faulty, known_at=None)
    assert report.quarantined == 1
    assert store.arrow("sales").num_rows == 4, "a row in quarantine is not a row taken back"
    store.close()
    state.close()


def test_hourly_data(tmp_path: Path) -> None:
    spec = DatasetSpec(
        name="sales",
        title="Load",
        frequency="H",
        period="hour",
        key=("hour",),
        confidential=False,
        unit="public",
        fields=(FieldSpec("hour", "datetime"), FieldSpec("load", "number")),
    )
    state = State.open(tmp_path / "room.db")
    store = Store(tmp_path, [spec], state, threads=1)
    hours = [AT - timedelta(hours=n) for n in (2, 1, 0, -1)]
    report = deliver(store, pa.table({"hour": hours, "load": [1.0, 2.0, 3.0, 4.0]}))
    assert (report.accepted, report.reasons) == (3, {"OPS-D030": 1})
    report = deliver(store, pa.table({"hour": hours[:2], "load": [1.0, 9.0]}), known_at=AT + timedelta(hours=2))
    assert (report.accepted, report.duplicates) == (1, 1)
    assert sorted(r["load"] for r in store.arrow("sales").to_pylist()) == [1.0, 3.0, 9.0]
    store.close()
    state.close()
