"""One delivery: reading, checking, comparing, committing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opsroom.base.errors import DataError, UsageError
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe import staging
from opsroom.observe.ingest import IngestReport, ingest
from opsroom.observe.quality import RULES
from opsroom.observe.sources import delimited
from opsroom.observe.store import Store

AT = datetime(2020, 3, 10, 6, tzinfo=UTC)

SPEC = DatasetSpec(
    name="sales",
    title="Sales of companies",
    frequency="M",
    period="month",
    key=("id", "month"),
    confidential=True,
    unit="enterprise",
    unit_field="id",
    legal_basis="a test",
    fields=(
        FieldSpec("id", "integer"),
        FieldSpec("month", "date"),
        FieldSpec("region", "code", codes_from="regions", required=True),
        FieldSpec("sales", "money", currency="EUR", scale=2, min=0, max=10**12),
        FieldSpec("note", "string"),
    ),
)
HEAD = "id,month,region,sales,note"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    state = State.open(tmp_path / "room.db")
    store = Store(tmp_path, [SPEC], state, timezone="Europe/Vienna", code_lists={"regions": ["R1", "R2"]}, threads=1)
    yield store
    store.close()
    state.close()


def deliver(store: Store, source: object, **more: object) -> IngestReport:
    options: dict[str, object] = {"known_at": AT, "actor": "test", **more}
    return ingest(store, store.spec("sales"), source, **options)  # type: ignore[arg-type]  # what is tested


def csv(folder: Path, *lines: str, head: str = HEAD, name: str = "sales.csv", encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_bytes("\n".join([head, *lines, ""]).encode(encoding))
    return file


def rows(store: Store, as_of: object = None) -> dict[tuple[int, str], tuple[object, ...]]:
    found = store.arrow("sales", as_of).to_pylist()  # type: ignore[arg-type]  # any as-of
    return {(r["id"], r["month"].isoformat()): (r["region"], r["sales"], r["note"]) for r in found}


def faults(store: Store) -> list[tuple[str, int, str, str]]:
    found = store.quarantine("sales").to_pylist()
    return sorted((r["file"], r["row"], r["field"], r["code"]) for r in found)


# -- reading -----------------------------------------------------------------------------------


def test_csv_as_providers_write_it(store: Store, tmp_path: Path) -> None:
    """BOM, semicolons, CR LF, quotes with line breaks, blank lines, spaces, columns in another order."""
    file = tmp_path / "sales.csv"
    lines = [
        "note;sales;region;month;id",
        '"two\r\nlines";100; R1 ;2020-01;1',
        "",
        'say ""x"";200;R2;2020-02-15;2',
        ";;;;",
    ]
    lines[3] = '"say ""x""";200;R2;2020-02-15;2'
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    report = deliver(store, file)
    assert (report.accepted, report.quarantined) == (2, 0)
    assert rows(store) == {
        (1, "2020-01-01"): ("R1", 100, "two\r\nlines"),
        (2, "2020-02-01"): ("R2", 200, 'say "x"'),
    }


def test_every_row_fault_is_told_with_file_line_field_and_rule(store: Store, tmp_path: Path) -> None:
    file = csv(
        tmp_path,
        "1,2020-01,R1,5,fine",
        "x,2020-01,R1,5,",
        ",2020-01,R1,5,",
        "2,2020-13,R1,5,",
        "2,2020-04,R1,5,the month begins after the delivery",
        "2,2020-01,R9,5,",
        "2,2020-01,,5,",
        "2,2020-01,R1,-1,",
        "2,2020-01,R1,5.5,",
        "2,2020-01,R1",
        "2,2020-01,R1,5,a,b",
        "1,2020-01,R1,6,other content",
        "1,2020-01,R1,5,fine",
        "3,2020-03,R2,,no sales: they are not required",
    )
    report = deliver(store, file)
    assert faults(store) == [
        ("sales.csv", 3, "id", "OPS-D024"),
        ("sales.csv", 4, "id", "OPS-D022"),
        ("sales.csv", 5, "month", "OPS-D026"),
        ("sales.csv", 6, "month", "OPS-D030"),
        ("sales.csv", 7, "region", "OPS-D029"),
        ("sales.csv", 8, "region", "OPS-D023"),
        ("sales.csv", 9, "sales", "OPS-D028"),
        ("sales.csv", 10, "sales", "OPS-D024"),
        ("sales.csv", 11, "", "OPS-D020"),
        ("sales.csv", 12, "", "OPS-D020"),
        ("sales.csv", 13, "id", "OPS-D031"),
    ]
    assert (report.accepted, report.quarantined, report.duplicates) == (2, 11, 1)
    assert sum(report.reasons.values()) == 11
    assert set(report.reasons) <= set(RULES)
    assert rows(store)[1, "2020-01-01"] == ("R1", 5, "fine")


def test_nothing_of_a_refused_row_is_lost(store: Store, tmp_path: Path) -> None:
    deliver(store, csv(tmp_path, "x,2020-13,R9,-1,a note", "2,2020-01,R1,5,one,too many"))
    kept = {r["row"]: r for r in store.quarantine("sales").to_pylist()}
    assert json.loads(kept[2]["record"]) == {
        "id": "x",
        "month": "2020-13",
        "region": "R9",
        "sales": "-1",
        "note": "a note",
    }
    assert kept[2]["faults"] == "id:OPS-D024;month:OPS-D026;region:OPS-D029;sales:OPS-D028"
    assert kept[3]["record"] == "2,2020-01,R1,5,one,too many"


def test_rows_that_are_not_utf8_are_told_from_those_that_are(store: Store, tmp_path: Path) -> None:
    file = csv(tmp_path, "1,2020-01,R1,5,Käse", "2,2020-01,R1,5,cheese", encoding="latin-1")
    report = deliver(store, file)
    assert (report.accepted, report.reasons) == (1, {"OPS-D021": 1})
    assert faults(store) == [("sales.csv", 2, "", "OPS-D021")]
    assert "K\\\\xe4se" in store.quarantine("sales").column("record")[0].as_py()


def test_line_numbers_hold_over_blocks_and_bad_lines(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 256)
    lines, wanted = [], []
    for number in range(2, 402):
        if number % 37 == 0:
            lines.append("1,2")
            wanted.append((number, "OPS-D020"))
        elif number % 41 == 0:
            lines.append(f"x{number},2020-01,R1,5,")
            wanted.append((number, "OPS-D024"))
        elif number % 43 == 0:
            lines.append("")
        else:
            lines.append(f"{number},2020-01,R1,5,")
    report = deliver(store, csv(tmp_path, *lines))
    assert [(row, code) for _, row, _, code in faults(store)] == wanted
    assert report.accepted == 400 - len(wanted) - sum(1 for line in lines if not line)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "OPS-D005"),
        (HEAD.encode() + b"\n", "OPS-D005"),
        (HEAD.encode(), "OPS-D005"),
        (b"id,month,region\n1,2020-01,R1\n", None),
        (b"id,month,sales\n1,2020-01,5\n", "OPS-D003"),
        (b"id,month,region,sales,note,phone\n1,2020-01,R1,5,,1\n", "OPS-D004"),
        (b"id,month,region,id\n1,2020-01,R1,5\n", "OPS-D009"),
        (b"id,month,region,\n1,2020-01,R1,5\n", "OPS-D009"),
        (HEAD.encode("utf-16"), "OPS-D008"),
        (b"PK\x03\x04" + b"\x00" * 100, "OPS-D016"),
        (b"PAR1 and then rubbish", "OPS-D006"),
        (b"\x89PNG no text\nat all\n", "OPS-D015"),
    ],
)
def test_files(store: Store, tmp_path: Path, content: bytes, code: str | None) -> None:
    file = tmp_path / "sales.csv"
    file.write_bytes(content)
    if code is None:
        assert deliver(store, file).accepted == 1
        return
    with pytest.raises(DataError) as caught:
        deliver(store, file)
    assert caught.value.code == code
    assert "sales.csv" in str(caught.value) or "dataset 'sales'" in str(caught.value)
    assert store.version("sales") == -1
    assert not list((tmp_path / "quarantine").rglob("*.parquet"))
    assert deliver(store, csv(tmp_path, "1,2020-01,R1,5,")).accepted == 1, "the store works on"


def test_a_line_without_end_is_refused(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "BLOCK", 1 << 12)
    for text, code in (
        ("1,2020-01,R1,5," + "x" * 10_000, "OPS-D007"),
        ('1,2020-01,R1,5,"a quote never closed\n' + "1,2020-01,R1,5,\n" * 999, "OPS-D055"),
    ):
        file = csv(tmp_path, "1,2020-01,R1,5,", text)
        with pytest.raises(DataError) as caught:
            deliver(store, file)
        assert caught.value.code == code
    assert store.version("sales") == -1


def table(**columns: object) -> pa.Table:
    base: dict[str, object] = {"id": [1, 2], "month": [date(2020, 1, 1)] * 2, "region": ["R1", "R2"]}
    return pa.table({**base, **columns})


def test_arrow_pandas_and_parquet_give_the_same(tmp_path: Path) -> None:
    good = table(sales=[5, None], note=["a", None])
    pq.write_table(good, tmp_path / "sales.parquet")
    sources = [
        good,
        good.to_batches()[0],
        pa.RecordBatchReader.from_batches(good.schema, good.to_batches(max_chunksize=1)),
        good.to_pandas(),
        tmp_path / "sales.parquet",
        str(tmp_path / "sales.parquet"),
        csv(tmp_path, "1,2020-01,R1,5,a", "2,2020-01,R2,,"),
    ]
    seen = []
    for number, source in enumerate(sources):
        state = State.open(tmp_path / f"room{number}.db")
        store = Store(tmp_path / str(number), [SPEC], state, code_lists={"regions": ["R1", "R2"]}, threads=1)
        assert deliver(store, source).accepted == 2
        seen.append(rows(store))
        store.close()
        state.close()
    assert all(one == seen[0] for one in seen)


def test_a_pandas_column_of_mixed_objects_is_told_row_by_row(store: Store) -> None:
    frame = pd.DataFrame({"id": [1, 2, 3], "month": ["2020-01"] * 3, "region": "R1", "sales": [5, "many", None]})
    report = deliver(store, frame)
    assert (report.accepted, report.reasons) == (2, {"OPS-D024": 1})
    assert faults(store) == [("", 2, "sales", "OPS-D024")]


def test_a_column_of_the_wrong_kind_is_refused(store: Store) -> None:
    for wrong in ([[5], [6]], [True, False], [b"5", b"6"]):
        with pytest.raises(DataError) as caught:
            deliver(store, table(sales=pa.array(wrong)))
        assert caught.value.code == "OPS-D010"
        assert "sales" in str(caught.value)
    with pytest.raises(DataError) as caught:
        deliver(store, 42)
    assert caught.value.code == "OPS-D015"


def test_several_files_are_one_delivery(store: Store, tmp_path: Path) -> None:
    files = [
        csv(tmp_path, "1,2020-01,R1,5,", "x,2020-01,R1,5,", name="a.csv"),
        csv(tmp_path, "2,2020-01,R1,5,", "1,2020-01,R1,6,", name="b.csv"),
    ]
    report = deliver(store, files)
    assert (report.accepted, report.quarantined, report.delivery) == (2, 2, 1)
    assert faults(store) == [("a.csv", 3, "id", "OPS-D024"), ("b.csv", 3, "id", "OPS-D031")]
    assert store.deliveries("sales")[0].files == ("a.csv", "b.csv")
    csv(tmp_path, "1,R1", head="id,region", name="b.csv")
    with pytest.raises(DataError) as caught:
        deliver(store, files)
    assert caught.value.code == "OPS-D003"


def test_source_columns_missing_words_and_extras(tmp_path: Path) -> None:
    fields = tuple(
        dataclasses.replace(f, column="Umsatz EUR", given="major") if f.name == "sales" else f for f in SPEC.fields
    )
    spec = dataclasses.replace(SPEC, fields=fields, missing=("NA", "."), ignore_extra=True)
    state = State.open(tmp_path / "room.db")
    store = Store(tmp_path, [spec], state, code_lists={"regions": ["R1"]}, threads=1)
    file = csv(
        tmp_path,
        "1,2020-01,R1,12.30,x",
        "2,2020-01,R1,NA,y",
        "3,2020-01,R1,.,z",
        head="id,month,region,Umsatz EUR,more",
    )
    assert deliver(store, file).accepted == 3
    assert [v[1] for v in rows(store).values()] == [1230, None, None]
    store.close()
    state.close()


# -- comparing ---------------------------------------------------------------------------------


def test_the_same_again_is_a_no_op(store: Store, tmp_path: Path) -> None:
    file = csv(tmp_path, "1,2020-01,R1,5,", "x,2020-01,R1,5,")
    first = deliver(store, file)
    before = sorted(p for p in tmp_path.rglob("*.parquet"))
    for again in (deliver(store, file), deliver(store, file, known_at=AT + timedelta(days=1))):
        assert again.already_present
        assert (again.version, again.delivery) == (first.version, first.delivery)
        assert (again.accepted, again.quarantined, again.duplicates) == (0, 0, 0)
        assert "already present" in again.summary()
    assert sorted(p for p in tmp_path.rglob("*.parquet")) == before
    assert len(store.deliveries("sales")) == 1


def test_a_stream_again_is_a_no_op_however_it_is_cut(store: Store) -> None:
    whole = table(sales=[5, None], note=pa.array(["a", None]))
    for size in (1, 2):
        reader = pa.RecordBatchReader.from_batches(whole.schema, whole.to_batches(max_chunksize=size))
        report = deliver(store, reader)
        assert report.already_present is (size == 2)
    assert deliver(store, whole).already_present
    assert not store.delta("sales").orphans()


def test_a_value_that_returns_is_news(store: Store) -> None:
    """A, then B, then A again: the third delivery is not the first one once more."""
    for hour, amount in enumerate((5, 6, 5)):
        report = deliver(store, table(sales=[amount, 1]), known_at=AT + timedelta(hours=hour))
        assert (report.accepted, report.duplicates) == ((2, 0) if hour == 0 else (1, 1))
    assert rows(store)[1, "2020-01-01"][1] == 5


def test_only_what_changed_is_stored(store: Store) -> None:
    ids = list(range(1000))
    base = {"id": ids, "month": [date(2020, 1, 1)] * 1000, "region": ["R1"] * 1000}
    deliver(store, pa.table({**base, "sales": ids}))
    changed = [i + (i in (3, 7)) for i in ids]
    report = deliver(store, pa.table({**base, "sales": changed}), known_at=AT + timedelta(hours=1))
    assert (report.accepted, report.duplicates) == (2, 998)
    assert [f.part for f in store.files("sales")] == ["first", "revised"]
    assert sum(v[1] for v in rows(store).values()) == sum(changed)
    assert sum(v[1] for v in rows(store, AT).values()) == sum(ids)


def test_back_dating_needs_a_reason(store: Store) -> None:
    deliver(store, table())
    with pytest.raises(DataError) as caught:
        deliver(store, table(sales=[1, 1]), known_at=AT - timedelta(days=1))
    assert caught.value.code == "OPS-D012"
    report = deliver(store, table(sales=[1, 1]), known_at=AT - timedelta(days=1), reason="found in the post")
    assert report.accepted == 2
    assert store.deliveries("sales")[-1].reason == "found in the post"


def test_the_future_cannot_be_known(store: Store) -> None:
    with pytest.raises(DataError) as caught:
        deliver(store, table(), known_at=datetime.now(UTC) + timedelta(days=2))
    assert caught.value.code == "OPS-D011"


def test_calls_that_cannot_be_taken(store: Store) -> None:
    with pytest.raises(UsageError, match="actor"):
        deliver(store, table(), actor=" ")
    with pytest.raises(UsageError, match="zone"):
        deliver(store, table(), known_at=datetime(2020, 1, 1))
    with pytest.raises(UsageError, match="registered"):
        ingest(store, dataclasses.replace(SPEC, title="other"), table(), known_at=AT, actor="test")
    with pytest.raises(UsageError, match="pinned"):
        deliver(store.pinned({}).pinned({"sales": -1}), table())


def test_without_a_moment_the_clock_gives_it(tmp_path: Path) -> None:
    state = State.open(tmp_path / "room.db")
    store = Store(tmp_path, [SPEC], state, code_lists={"regions": ["R1", "R2"]}, clock=lambda: AT, threads=1)
    assert deliver(store, table(), known_at=None).known_at == AT
    assert store.deliveries("sales")[0].recorded_at == AT
    store.close()
    state.close()


def test_deletions(store: Store) -> None:
    deliver(store, table())
    keys = pa.table({"id": [1, 9], "month": [date(2020, 1, 1)] * 2})
    report = deliver(store, keys, known_at=AT + timedelta(hours=1), deletions=True)
    assert (report.accepted, report.reasons) == (1, {"OPS-D033": 1})
    assert set(rows(store)) == {(2, "2020-01-01")}
    assert set(rows(store, AT)) == {(1, "2020-01-01"), (2, "2020-01-01")}
    assert store.deliveries("sales")[-1].deleted == 1
    again = deliver(store, keys, known_at=AT + timedelta(hours=2), deletions=True)
    assert again.already_present
    back = deliver(store, table(), known_at=AT + timedelta(hours=3))
    assert (back.accepted, back.duplicates) == (1, 1)


# -- large deliveries --------------------------------------------------------------------------


def big(count: int, seed: int) -> list[str]:
    """Rows of many months in no order, with repetitions, contradictions and faults among them."""
    lines = []
    for number in range(count):
        mix = (number * 7919 + seed * 104729) % 1009
        month = f"20{10 + mix % 9:02d}-{1 + mix % 12:02d}"
        # Keys come back after 900 steps, then with another amount.
        amount = "oops" if mix % 97 == 0 else str((mix + mix // 900 + seed) % 5)
        lines.append(f"{mix % 100},{month},R{1 + mix % 2},{amount},n{mix % 3}")
    return lines


def both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, deliveries: list[tuple[list[str], int, bool]]
) -> list[object]:
    """Deliver once in memory, once staged on disk in tiny pieces; return reports and views of both."""
    seen: list[object] = []
    for staged in (False, True):
        with monkeypatch.context() as patch:
            if staged:
                patch.setattr(staging, "MEMORY", 1)
                patch.setattr(staging, "BUFFERS", 1 << 12)
                patch.setattr(staging, "OPEN_FILES", 3)
            folder = tmp_path / f"{name}-{staged}"
            folder.mkdir()
            state = State.open(folder / "room.db")
            store = Store(folder, [SPEC], state, code_lists={"regions": ["R1", "R2"]}, threads=1)
            reports = []
            for hour, (lines, head, deletions) in enumerate(deliveries):
                file = csv(folder, *lines, head=HEAD if not head else "id,month", name=f"{hour}.csv")
                report = deliver(store, file, known_at=AT + timedelta(hours=hour), deletions=deletions)
                reports.append((report.accepted, report.quarantined, report.duplicates, dict(report.reasons)))
            views = [rows(store, AT + timedelta(hours=hour)) for hour in range(len(deliveries))]
            refused = [(r["delivery"], r["file"], r["row"], r["code"]) for r in store.quarantine("sales").to_pylist()]
            assert not store.delta("sales").orphans()
            seen.append((reports, views, sorted(refused)))
            store.close()
            state.close()
    return seen


def test_staged_deliveries_are_treated_as_those_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = [line.rsplit(",", 3)[0] for line in big(200, 1)]
    memory, staged = both(
        tmp_path, monkeypatch, "mixed", [(big(3000, 1), 0, False), (big(3000, 2), 0, False), (gone, 1, True)]
    )
    assert memory == staged
    reports = memory[0]  # type: ignore[index]  # a tuple
    assert all(r[0] and r[2] for r in reports[:2]), "the case holds rows of every fate"
    assert reports[0][3].keys() == {"OPS-D024", "OPS-D031"}
    assert reports[2][0]


def test_large_deliveries_are_cut_by_month(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MEMORY", 1)
    months = [date(2019, m, 1) for m in range(1, 13)]
    data = pa.table({"id": [i for i in range(50) for _ in months], "month": months * 50, "region": ["R1"] * 600})
    assert deliver(store, data).accepted == 600
    files = store.files("sales")
    assert len(files) == 12
    assert all(f.low["month"] == f.high["month"] for f in files)
    assert store.arrow("sales", period_from=date(2019, 12, 1)).num_rows == 50


# -- snapshots ---------------------------------------------------------------------------------


def test_a_snapshot_without_vintages(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, snapshot=True, max_drop=0.5)
    state = State.open(tmp_path / "room.db")
    store = Store(tmp_path, [spec], state, code_lists={"regions": ["R1", "R2"]}, threads=1)
    deliver(store, table(sales=[1, 2]))
    report = deliver(store, table(sales=[1, 2]).slice(0, 1), known_at=AT + timedelta(hours=1))
    assert (report.accepted, report.duplicates) == (1, 1)
    assert set(rows(store)) == {(1, "2020-01-01")}
    assert store.deliveries("sales")[-1].deleted == 1
    store.close()
    state.close()


# -- silence -----------------------------------------------------------------------------------


def test_no_message_holds_a_value(store: Store, tmp_path: Path) -> None:
    secret = "4711081500"
    said = []
    attempts = [
        csv(tmp_path, f"{secret}x,2020-01,R1,{secret}.5,{secret}"),
        csv(tmp_path, f"1,2020-01,R1,{secret},{secret}", head="id,month,region,sales,other"),
        table(sales=pa.array([[secret], [secret]])),
        table(note=pa.array([{"a": secret}] * 2)),
    ]
    for source in attempts:
        try:
            said.append(deliver(store, source).summary())
        except DataError as error:
            said.append(str(error))
    assert len(said) == 4
    assert not [text for text in said if secret in text or "4711" in text]
