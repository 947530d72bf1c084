"""A specification may grow, in numbered versions; what would change the meaning of stored rows is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from opsroom.base.errors import SpecError
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.room import Room
from opsroom.room.upkeep import compact_datasets

FIELDS = (
    FieldSpec("company", "integer"),
    FieldSpec("month", "date"),
    FieldSpec("sales", "money", currency="EUR", scale=2, min=0, max=100),
    FieldSpec("size", "code", codes=("S", "L")),
)
SPEC = DatasetSpec(
    name="sales",
    title="Sales",
    frequency="M",
    period="month",
    key=("company", "month"),
    confidential=True,
    unit="enterprise",
    unit_field="company",
    legal_basis="a test",
    fields=FIELDS,
)
MONTH = date(2020, 1, 1)


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    with Room.create(tmp_path / "room", specs=[SPEC.to_toml()]) as made:
        yield made


def rows(companies: list[int], **more: object) -> pa.Table:
    return pa.table({"company": companies, "month": [MONTH] * len(companies), **more})


def changed(*fields: FieldSpec, **more: object) -> DatasetSpec:
    """Return the specification with fields put in by name or added."""
    own = {f.name: f for f in SPEC.fields} | {f.name: f for f in fields}
    for field in fields:
        for alias in field.aliases:
            own.pop(alias)
    return replace(SPEC, fields=tuple(own.values()), **more)


def test_every_version_stays_readable(room: Room) -> None:
    room.ingest("sales", rows([1, 2], sales=[10, 20], size=["S", "L"]), "2020-02-01")
    before = room.store.version("sales")
    wanted = changed(
        FieldSpec("turnover", "money", currency="EUR", scale=2, min=0, max=1_000, aliases=("sales",)),
        FieldSpec("size", "code", codes=("S", "M", "L")),
        FieldSpec("note", "string"),
        FieldSpec("branches", "integer", default=1, required=True),
        FieldSpec("since", "date", default="2019-05-01"),
        title="Turnover",
    )
    said = room.update_dataset(wanted)
    assert "field sales renamed to turnover" in said
    assert {"field note added", "field branches added", "field size: codes changed", "title changed"} <= set(said)
    assert room.update_dataset(wanted) == ()
    spec = room.store.spec("sales")
    assert spec.version == 2
    report = room.ingest(
        "sales",
        rows([2, 3], turnover=[25, 500], size=["M", "M"], note=["a", None], branches=[1, 4], since=[None, MONTH]),
        "2020-02-02",
    )
    assert report.accepted == 2
    old = {"size": "S", "turnover": 10, "note": None, "branches": 1, "since": date(2019, 5, 1)}
    for _ in range(2):
        now = {r["company"]: r for r in room.store.arrow("sales", "2020-02-02").to_pylist()}
        assert {k: now[1][k] for k in old} == old
        assert (now[2]["turnover"], now[2]["note"], now[3]["turnover"]) == (25, "a", 500)
        first = {r["company"]: r["turnover"] for r in room.store.arrow("sales", "2020-02-01").to_pylist()}
        assert first == {1: 10, 2: 20}
        assert room.store.pinned({"sales": before}).arrow("sales").num_rows == 2
        assert room.table("sales").turnover.sum().execute() == 535
        compact_datasets(room, vacuum=True)
    assert [d.spec_version for d in room.store.deliveries("sales")] == [1, 2]
    with Room.open(room.path) as again:
        assert again.store.spec("sales") == spec
        assert again.store.arrow("sales").sort_by("company") == room.store.arrow("sales").sort_by("company")
    assert [e.object for e in room.audit.entries() if e.act == "update dataset"] == ["sales/2"]


def test_what_is_known_already_is_no_news_after_a_change(room: Room) -> None:
    """A row with the default in the new field says what the old row said."""
    room.ingest("sales", rows([1, 2], sales=[10, 20], size=["S", "L"]), "2020-02-01")
    room.update_dataset(changed(FieldSpec("branches", "integer", default=1)))
    report = room.ingest("sales", rows([1, 2], sales=[10, 20], size=["S", "L"], branches=[1, 2]), "2020-02-02")
    assert (report.accepted, report.duplicates) == (1, 1)


def test_a_retired_field_may_come_back_as_it_was(room: Room) -> None:
    room.ingest("sales", rows([1], sales=[10], size=["S"]), "2020-02-01")
    without = replace(SPEC, fields=FIELDS[:3])
    assert room.update_dataset(without) == ("field size retired",)
    assert "size" not in room.store.arrow("sales").column_names
    room.ingest("sales", rows([2], sales=[20]), "2020-02-02")
    with pytest.raises(SpecError, match="another type"):
        room.update_dataset(changed(FieldSpec("size", "integer")))
    assert room.update_dataset(SPEC) == ("field size added",)
    assert {r["company"]: r["size"] for r in room.store.arrow("sales").to_pylist()} == {1: "S", 2: None}


def test_another_process_reads_what_a_newer_specification_wrote(room: Room) -> None:
    room.ingest("sales", rows([1], sales=[10], size=["S"]), "2020-02-01")
    with Room.open(room.path) as other:
        room.update_dataset(replace(SPEC, fields=FIELDS[:3]))
        room.ingest("sales", rows([2], sales=[20]), "2020-02-02")
        assert {r["company"]: r["size"] for r in other.store.arrow("sales").to_pylist()} == {1: "S", 2: None}


@pytest.mark.parametrize(
    ("wanted", "rule"),
    [
        (replace(SPEC, key=("company", "size", "month")), "key may not change"),
        (replace(SPEC, frequency="D"), "frequency may not change"),
        (replace(SPEC, confidential=False, unit="public"), "unit may not change"),
        (replace(SPEC, version=3), "next version is 2"),
        (replace(SPEC, unit_field=""), "unit_field may not change"),
        (changed(FieldSpec("sales", "money", currency="USD", scale=2, min=0, max=100)), "currency"),
        (changed(FieldSpec("sales", "money", currency="EUR", scale=0, min=0, max=100)), "scale"),
        (changed(FieldSpec("sales", "integer", min=0, max=100)), "another type"),
        (changed(FieldSpec("sales", "money", currency="EUR", scale=2, min=0, max=50)), "max may only become wider"),
        (changed(FieldSpec("sales", "money", currency="EUR", scale=2, min=1)), "min may only become wider"),
        (changed(FieldSpec("size", "code", codes=("S",))), "1 codes are gone"),
        (changed(FieldSpec("size", "code", codes=("S", "L"), required=True)), "becomes required"),
        (changed(FieldSpec("size", "code", codes=("S", "L"), default="S")), "a default holds"),
        (changed(FieldSpec("new", "integer", required=True)), "is required"),
        (changed(FieldSpec("new", "money", currency="USD", scale=2, aliases=("sales",))), "another type"),
    ],
)
def test_a_change_of_meaning_is_refused(room: Room, wanted: DatasetSpec, rule: str) -> None:
    with pytest.raises(SpecError, match=rule) as caught:
        room.update_dataset(wanted)
    assert caught.value.code == "OPS-S030"
    assert caught.value.remedy
    assert room.store.spec("sales") == SPEC
    with Room.open(room.path) as again:
        assert again.store.spec("sales") == SPEC


def test_a_specification_with_a_history_is_read_back_as_written() -> None:
    spec = changed(FieldSpec("turnover", "integer", default=3, aliases=("size",)), version=7)
    assert DatasetSpec.from_toml(spec.to_toml()) == spec
    for default in ("x", 1.5, True):
        with pytest.raises(SpecError):
            FieldSpec("turnover", "integer", default=default)


def test_many_fields_keep_the_bounds_of_their_files(tmp_path: Path) -> None:
    """Delta keeps bounds of the first 32 columns unless told otherwise: the delivery stands behind them."""
    many = tuple(FieldSpec(f"f{n}", "integer") for n in range(60))
    spec = replace(SPEC, fields=(*many, *FIELDS))
    with Room.create(tmp_path / "room", specs=[spec.to_toml()]) as room:
        values = {f.name: [1] for f in many}
        room.ingest("sales", rows([1], sales=[10], size=["S"], **values), "2020-02-01")
        (file,) = room.store.files("sales")
        assert (file.low["delivery"], file.low["company"], file.low["month"]) == (1, 1, MONTH)
        assert room.store.arrow("sales").num_rows == 1
