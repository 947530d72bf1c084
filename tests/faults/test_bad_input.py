"""Bad input: a clear error that says where and which rule, or quarantine with row and reason; nothing lost."""

import datetime as dt
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opsroom.base.errors import DataError, SpecError, UserError
from opsroom.base.specs import DatasetSpec
from opsroom.economy import meridia
from opsroom.room import Room

AT = "2020-03-10"
HEAD = "enterprise_id,month,group_id,cash,undrawn_credit,fixed_costs,materials_ppm,tax_due"
GOOD = ["11,2020-01,7,100,0,5,400000,1", "12,2020-01,7,200,0,5,400000,1", "13,2020-01,8,300,0,5,400000,1"]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return meridia(companies=100).specs()


@pytest.fixture
def room(tmp_path, texts):
    regions = "\n".join(f'[[regions]]\ncode = "R{i:02d}"\nname = "R{i}"\nx = {i}\ny = 0' for i in range(1, 13))
    settings = f'schema_version = 1\n[room]\ntitle = "t"\n{regions}\n'
    with Room.create(tmp_path / "room", settings=settings, specs=[texts["accounts"], texts["register"]]) as opened:
        yield opened


def write(folder: Path, *rows: str, head: str = HEAD) -> Path:
    file = folder / "delivery.csv"
    file.write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("14,2020-01,9,many,0,5,400000,1", "text in a number field"),
        (",2020-01,9,1,0,5,400000,1", "key missing"),
        ("14,2031-01,9,1,0,5,400000,1", "period in the future"),
        ("14,January,9,1,0,5,400000,1", "no period"),
        ("14,2020-01,9,1,0,5,99999999999999999999999,1", "number out of range"),
        ("11,2020-01,7,999,0,5,400000,1", "another row of the same key"),
    ],
)
def test_a_bad_row_is_quarantined_and_good_ones_are_kept(room, tmp_path, row, why):
    report = room.ingest("accounts", write(tmp_path, *GOOD, row), AT)
    assert (report.accepted, report.quarantined, report.duplicates) == (3, 1, 0), why
    kept = room.store.quarantine("accounts").to_pylist()
    assert len(kept) == 1
    assert any("row" in name for name in kept[0])
    assert sum(report.reasons.values()) == 1
    assert "999" not in report.summary()


def test_an_identical_duplicate_is_counted_and_not_stored_twice(room, tmp_path):
    report = room.ingest("accounts", write(tmp_path, *GOOD, GOOD[0]), AT)
    assert (report.accepted, report.quarantined, report.duplicates) == (3, 0, 1)


def test_the_same_file_again_is_a_no_op(room, tmp_path):
    file = write(tmp_path, *GOOD)
    first = room.ingest("accounts", file, AT)
    again = room.ingest("accounts", file, "2020-03-11")
    assert again.already_present
    assert again.version == first.version


@pytest.mark.parametrize(
    "spoil",
    [
        lambda f: f.write_text("a,b\n1,2\n", encoding="utf-8"),
        lambda f: f.write_text("", encoding="utf-8"),
        lambda f: f.write_text(HEAD + "\n", encoding="utf-8"),
        lambda f: f.write_bytes(HEAD.encode() + b"\n\xff\xfe\x00\x01,\x00\n"),
        lambda f: f.write_bytes(b"\x00" * 4096),
        lambda f: f.unlink(),
        lambda f: (f.unlink(), f.mkdir()),
    ],
    ids=["columns", "empty", "header only", "encoding", "binary", "absent", "folder"],
)
def test_a_file_that_is_none_is_refused_clearly(room, tmp_path, spoil):
    file = write(tmp_path, *GOOD)
    spoil(file)
    with pytest.raises(UserError) as caught:
        room.ingest("accounts", file, AT)
    assert caught.value.code.startswith("OPS-")
    assert caught.value.remedy
    assert room.store.version("accounts") == -1


def test_a_truncated_parquet_file_is_refused(room, tmp_path):
    file = tmp_path / "delivery.parquet"
    names = HEAD.split(",")
    table = pa.table({n: pa.array(range(5000), pa.int64()) for n in names if n != "month"}).append_column(
        "month", pa.array([dt.date(2020, 1, 1)] * 5000)
    )
    pq.write_table(table, file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError):
        room.ingest("accounts", file, AT)
    assert room.store.version("accounts") == -1


def test_a_line_that_never_ends_is_refused_without_being_read_whole(room, tmp_path):
    import resource

    file = tmp_path / "endless.csv"
    with file.open("wb") as out:
        out.write(HEAD.encode() + b"\n1,2020-01,")
        out.truncate(2 * 1024**3)  # a sparse file: two gigabytes of one line
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError) as caught:
        room.ingest("accounts", file, AT)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 700 * 1024
    assert "endless.csv" in str(caught.value)


def test_a_compressed_file_under_a_plain_name_is_refused(room, tmp_path):
    file = tmp_path / "delivery.csv"
    file.write_bytes(gzip.compress("\n".join([HEAD, *GOOD]).encode()))
    with pytest.raises(DataError):
        room.ingest("accounts", file, AT)


def test_a_register_row_without_legal_form_or_with_an_unknown_region_is_kept_out(room, tmp_path, texts):
    spec = DatasetSpec.from_toml(texts["register"])
    base = {
        "enterprise_id": "1", "valid_from": "2015-01-01", "valid_to": "", "name": "Firm", "group_id": "1",
        "legal_form": "LTD", "nace": "47", "section": "G", "region": "R01", "size_class": "small",
        "employees": "20", "annual_sales": "1000", "born": "2015-01-01", "died": "",
    }  # fmt: skip
    names = [f.name for f in spec.fields]
    rows = [
        base,
        {**base, "enterprise_id": "2", "legal_form": ""},
        {**base, "enterprise_id": "3", "region": "R99"},
        {**base, "enterprise_id": "4", "legal_form": "SOLE"},
    ]
    file = write(tmp_path, *(",".join(row[n] for n in names) for row in rows), head=",".join(names))
    report = room.ingest("register", file, AT)
    assert report.quarantined == 2
    kept = set(room.table("register").enterprise_id.execute())
    assert kept <= {1, 4}
    assert 1 in kept


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('unit = "enterprise"', 'unit = "person"'),
        ('unit = "enterprise"', 'unit = "household"'),
        ('name = "cash"', 'name = "political_opinion"'),
        ('name = "cash"', 'name = "household_meter"'),
    ],
)
def test_persons_households_and_opinions_cannot_be_declared(texts, old, new):
    text = texts["accounts"]
    assert old in text
    with pytest.raises(SpecError):
        DatasetSpec.from_toml(text.replace(old, new, 1))
