"""Files that are no plain tables: what `[layout]` declares is undone, with the rows that a person sees."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest

from opsroom.base.date_formats import date_format
from opsroom.base.errors import DataError, SpecError
from opsroom.base.layout import Layout
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.base.state import State
from opsroom.observe.casting import plain_numbers
from opsroom.observe.ingest import IngestReport, ingest
from opsroom.observe.sources import workbook
from opsroom.observe.store import Store

AT = dt.datetime(2021, 3, 10, 6, tzinfo=dt.UTC)
Deliver = Callable[..., tuple[IngestReport, Store]]


def spec(*, frequency: str = "M", layout: Layout, value: FieldSpec | None = None, **more: object) -> DatasetSpec:
    written = str(more.pop("written", ""))
    return DatasetSpec(
        name="series",
        title="A series",
        frequency=frequency,
        period="period",
        key=("code", "period"),
        confidential=False,
        unit="public",
        layout=layout,
        fields=(
            FieldSpec("code", "string", column=str(more.pop("code", ""))),
            FieldSpec("period", "date", column=str(more.pop("period_column", "")), date_format=written),
            value or FieldSpec("value", "number", required=True),
        ),
        **more,  # type: ignore[arg-type]  # what a test asks for
    )


@pytest.fixture
def deliver(tmp_path: Path) -> Deliver:
    def run(given: DatasetSpec, *files: Path) -> tuple[IngestReport, Store]:
        folder = tmp_path / "room"
        folder.mkdir()
        store = Store(folder, [given], State.open(folder / "room.db"), timezone="UTC", code_lists={}, threads=1)
        return ingest(store, given, list(files), known_at=AT, actor="test"), store

    return run


def read(store: Store) -> dict[tuple[str, str], object]:
    return {(r["code"], r["period"].isoformat()): r["value"] for r in store.arrow("series", None).to_pylist()}


def refused(store: Store) -> list[tuple[str, int, str, str]]:
    return [(r["file"], r["row"], r["field"], r["code"]) for r in store.quarantine("series").to_pylist()]


def test_titles_footnotes_encoding_and_written_numbers(deliver: Deliver, tmp_path: Path) -> None:
    text = (
        "Umsätze nach Land\n"
        "Stand: März 2021;;\n"
        "Land;Monat;Wert\n"
        "Österreich;01.01.2021;1.234,5 €\n"
        "Österreich;01.02.2021;(17,25 €)\n"
        "Österreich;01.03.2021;..\n"
        "Österreich;31.02.2021;1,0\n"
        "Österreich;01.04.2020;1.23\n"
        "\n"
        "Quelle: eigene Erhebung\n"
    )
    file = tmp_path / "a.csv"
    file.write_bytes(text.encode("cp1252"))
    layout = Layout(
        encoding="cp1252", delimiter=";", skip_rows=2, notes=True, decimal=",", thousands=(".",), symbols=("€",),
        parentheses=True,
    )  # fmt: skip
    given = spec(layout=layout, code="Land", period_column="Monat", written="%d.%m.%Y", missing=("..",),
                 value=FieldSpec("value", "number", column="Wert"))  # fmt: skip
    report, store = deliver(given, file)
    assert read(store) == {
        ("Österreich", "2021-01-01"): 1234.5,
        ("Österreich", "2021-02-01"): -17.25,
        ("Österreich", "2021-03-01"): None,
    }
    # 1.23 is no number with a decimal comma: it is not read as 123
    assert refused(store) == [("a.csv", 7, "period", "OPS-D026"), ("a.csv", 8, "value", "OPS-D025")]
    assert (report.accepted, report.quarantined) == (3, 2)


def test_a_wide_table_becomes_long_and_tells_the_row_at_fault(deliver: Deliver, tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("title\ncode,2020Q1,2020Q2,unit\nAT,1,2,x\nDE,,n/a,x\nFR,5,many,x\n")
    second.write_text("title\ncode,2020Q1,2020Q2,unit\nIT,7,8,x\nAT,1,3,x\n")
    layout = Layout(skip_rows=1, header_to="quarter", cells_to="cell")
    given = spec(frequency="Q", layout=layout, period_column="quarter", ignore_extra=True, missing=("n/a",),
                 value=FieldSpec("value", "number", column="cell", required=True))  # fmt: skip
    report, store = deliver(given, first, second)
    assert read(store) == {
        ("AT", "2020-01-01"): 1, ("AT", "2020-04-01"): 2, ("FR", "2020-01-01"): 5,
        ("IT", "2020-01-01"): 7, ("IT", "2020-04-01"): 8,
    }  # fmt: skip
    assert sorted(refused(store)) == [("a.csv", 5, "value", "OPS-D025"), ("b.csv", 4, "code", "OPS-D031")]
    assert (report.accepted, report.duplicates) == (5, 1)


def test_the_period_is_a_value_or_made_of_columns(deliver: Deliver, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("year,month,code,value\n2020,1,A,1\n2020,12,A,2\n2020,13,A,3\n")
    _, store = deliver(spec(layout=Layout(period_parts=("year", "month"))), file)
    assert read(store) == {("A", "2020-01-01"): 1, ("A", "2020-12-01"): 2}
    assert refused(store) == [("a.csv", 4, "period", "OPS-D026")]


def test_a_period_for_the_whole_file_and_columns_without_a_name(deliver: Deliver, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(",value,value\nA,1,2\nB,3,4\n")
    given = spec(frequency="A", layout=Layout(period_value="2019", fill_header=True), code="column_1",
                 ignore_extra=True)  # fmt: skip
    _, store = deliver(given, file)
    assert read(store) == {("A", "2019-01-01"): 1, ("B", "2019-01-01"): 3}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "iso8859-2"])
def test_other_encodings(deliver: Deliver, tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes("code;period;value\nŁódź;2020-01;1\n".encode(encoding))
    _, store = deliver(spec(layout=Layout(encoding=encoding)), file)
    assert read(store) == {("Łódź", "2020-01-01"): 1}


def test_text_that_is_not_in_the_encoding_is_refused(deliver: Deliver, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"code;period;value\nA;2020-01;1\nB")
    with pytest.raises(DataError) as caught:
        deliver(spec(layout=Layout(encoding="utf-16")), file)
    assert caught.value.code == "OPS-D008"


def book(path: Path, *rows: list[object], sheets: tuple[str, ...] = ("Data",)) -> Path:
    made = openpyxl.Workbook()
    made.active.title = sheets[0]
    for name in sheets[1:]:
        made.create_sheet(name).append(["something else"])
    for row in rows:
        made[sheets[0]].append(row)
    made.save(path)
    return path


def test_a_workbook(deliver: Deliver, tmp_path: Path) -> None:
    file = book(
        tmp_path / "a.xlsx",
        ["A title"],
        [],
        ["code", "period", "value"],
        ["A", dt.datetime(2020, 1, 1), 1.5],
        ["A", "2020-02", "1,25"],
        ["A", dt.date(2020, 3, 1), "#N/A"],
        ["A", dt.date(2020, 4, 1), 123.456, None, "too much"],
        ["Source: us"],
        sheets=("Data", "About"),
    )
    layout = Layout(sheet="Data", skip_rows=2, notes=True, decimal=",", thousands=(".",))
    _, store = deliver(spec(layout=layout), file)
    # a number that the workbook holds as one keeps its value, whatever marks the texts use
    assert read(store) == {("A", "2020-01-01"): 1.5, ("A", "2020-02-01"): 1.25}
    assert sorted(refused(store), key=str) == [("a.xlsx", 6, "value", "OPS-D025"), ("a.xlsx", 7, "", "OPS-D020")]


def test_a_workbook_of_several_sheets_needs_a_name(deliver: Deliver, tmp_path: Path) -> None:
    file = book(tmp_path / "a.xlsx", ["code", "period", "value"], sheets=("Data", "About"))
    with pytest.raises(DataError, match="2 sheets") as caught:
        deliver(spec(layout=Layout()), file)
    assert caught.value.code == "OPS-D018"


def test_serial_day_numbers(deliver: Deliver, tmp_path: Path) -> None:
    file = book(tmp_path / "a.xlsx", ["code", "period", "value"], ["A", 43831, 1])
    _, store = deliver(spec(frequency="D", layout=Layout(), written="excel"), file)
    assert read(store) == {("A", "2020-01-01"): 1}


def test_a_workbook_that_would_unpack_to_too_much_is_refused(
    deliver: Deliver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"0" * (30 << 20))
    with pytest.raises(DataError) as caught:
        deliver(spec(layout=Layout()), file)
    assert caught.value.code == "OPS-D017"


@pytest.mark.parametrize("row", [1_048_577, 10**12])
def test_a_cell_beyond_a_sheet_s_end_takes_no_memory(tmp_path: Path, row: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "ROWS", 1000)
    plain = book(tmp_path / "a.xlsx", ["code"])
    file = tmp_path / "b.xlsx"
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(file, "w") as new:
        for member in old.infolist():
            text = old.read(member)
            if member.filename.endswith("sheet1.xml"):
                text = text.replace(b'r="1"', f'r="{row}"'.encode()).replace(b'"A1"', f'"A{row}"'.encode())
            new.writestr(member, text)
    with pytest.raises(DataError) as caught:
        list(workbook.sheet_rows(file, "here", ""))
    assert caught.value.code == "OPS-D017"


@pytest.mark.parametrize(
    ("text", "written", "wanted"),
    [
        ("31.1.2020", "%d.%m.%Y", dt.datetime(2020, 1, 31)),
        ("1/31/2020", "%m/%d/%Y", dt.datetime(2020, 1, 31)),
        ("202001", "%Y%m", dt.datetime(2020, 1, 1)),
        ("20200131", "%Y%m%d", dt.datetime(2020, 1, 31)),
        ("Q3 2020", "Q%q %Y", dt.datetime(2020, 7, 1)),
        ("March 12, 2021", "%B %d, %Y", dt.datetime(2021, 3, 12)),
        ("Sep-99", "%b-%y", dt.datetime(1999, 9, 1)),
        ("2020-W53", "%Y-W%V", dt.datetime(2020, 12, 28)),
        ("31.01.2020 13:45", "%d.%m.%Y %H:%M", dt.datetime(2020, 1, 31, 13, 45)),
        ("2020-Q4", "%YQ%q|%Y-Q%q", dt.datetime(2020, 10, 1)),
        ("59", "excel", dt.datetime(1900, 2, 27)),  # serials below 61 fall before the day that never was
        ("43831", "excel", dt.datetime(2020, 1, 1)),
    ],
)
def test_date_formats(text: str, written: str, wanted: dt.datetime) -> None:
    assert date_format(written).read(text) == wanted


@pytest.mark.parametrize(
    ("text", "written"),
    [("31/1/2020", "%m/%d/%Y"), ("2020013", "%Y%m%d"), ("Q5 2020", "Q%q %Y"), ("99999999", "excel"), ("0", "excel")],
)
def test_texts_of_another_format(text: str, written: str) -> None:
    with pytest.raises(ValueError):
        date_format(written).read(text)


@pytest.mark.parametrize("written", ["%d.%m", "%Y%Y", "%x %Y", "%Y %"])
def test_formats_that_say_too_little(written: str) -> None:
    with pytest.raises(SpecError):
        FieldSpec("day", "date", date_format=written)


@pytest.mark.parametrize(
    ("layout", "text", "wanted"),
    [
        (Layout(decimal=","), "1,5", "1.5"),
        (Layout(decimal=","), "1.500", "1·500"),  # no mark between thousands is declared: not a number
        (Layout(decimal=",", thousands=(".",)), "-1.234.567,8", "-1234567.8"),
        (Layout(decimal=",", thousands=(".",)), "12.34", "12·34"),
        (Layout(thousands=(",",)), "1,234.5", "1234.5"),
        (Layout(thousands=(",",)), "1,23", "1,23"),
        (Layout(thousands=(" ",)), "1\u202f234", "1234"),
        (Layout(symbols=("%",)), "12.5 %", "12.5"),
        (Layout(symbols=("$",), thousands=(",",), parentheses=True), "($1,000)", "-1000"),
        (Layout(parentheses=True), "(-5)", "(-5)"),
        (Layout(decimal=","), "\u22125,0", "-5.0"),
    ],
)
def test_written_numbers(layout: Layout, text: str, wanted: str) -> None:
    assert plain_numbers(pa.array([text]), layout).to_pylist() == [wanted]


def test_a_layout_is_written_and_read_back() -> None:
    given = spec(
        layout=Layout(encoding="cp1252", decimal=",", thousands=(".", " "), header_to="period", cells_to="value")
    )
    assert DatasetSpec.from_toml(given.to_toml()) == given


@pytest.mark.parametrize(
    "table",
    [
        'encoding = "klingon"', 'delimiter = ";;"', "skip_rows = -1", 'decimal = "x"', 'thousands = ["."]',
        'header_to = "period"', 'header_to = "other"\ncells_to = "value"', 'period_parts = ["year"]', 'symbols = ["1"]',
        "colour = 1", 'known_at_format = "%d"',
    ],
)  # fmt: skip
def test_a_layout_that_cannot_be_read_is_refused(table: str) -> None:
    text = spec(layout=Layout()).to_toml().replace("[[fields]]", f"[layout]\n{table}\n\n[[fields]]", 1)
    with pytest.raises(SpecError):
        DatasetSpec.from_toml(text)


def test_a_line_that_cannot_be_split_is_kept_though_it_is_not_utf8(deliver: Deliver, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_bytes(b"code,period,value\nA,2020-01,1\nB\xe9\xff,2020-01\nC\xe9,2020-01,1\nD,2020-01,4\n")
    _, store = deliver(spec(layout=Layout()), file)
    assert read(store) == {("A", "2020-01-01"): 1, ("D", "2020-01-01"): 4}
    assert sorted(refused(store)) == [("a.csv", 3, "", "OPS-D020"), ("a.csv", 4, "", "OPS-D021")]
    records = {r["row"]: r["record"] for r in store.quarantine("series").to_pylist()}
    assert records[3] == "B\\xe9\\xff,2020-01"
    assert records[4] == '{"code": "C\\\\xe9", "period": "2020-01", "value": "1"}'
