"""What `propose` cannot read it refuses in words that say where and what to do; what it leaves out it says."""

from __future__ import annotations

import datetime as dt
import io
import zipfile
from pathlib import Path

import openpyxl
import pytest

from opsroom.base.errors import DataError
from opsroom.base.specs import DatasetSpec
from opsroom.observe.propose import propose
from opsroom.observe.readers import open_source
from opsroom.room.room import Room

PUBLIC = {"confidential": "no"}
LINES = [f"2020-{m:02d},{r},{m}.5" for m in range(1, 13) for r in ("AT", "DE")]
HEADER = "month,country,value"
TABLE = "\n".join([HEADER, *LINES]) + "\n"


def write(folder: Path, content: str | bytes, name: str = "file.csv") -> Path:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def refused(file: Path, words: str, code: str, **answers: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        propose(file, {**PUBLIC, **answers})
    assert caught.value.code == code


def ingested(file: Path, **answers: str) -> DatasetSpec:
    """Propose, and hold the counts foretold against `ingest`."""
    found = propose(file, {**PUBLIC, **answers})
    assert found.spec is not None, [q.text for q in found.open]
    assert found.trial is not None
    with Room.create(file.parent / "room", specs=[found.to_toml()]) as room:
        report = room.ingest(found.spec.name, file, known_at=None if found.spec.known_at_field else "2025-01-01")
    told = (found.trial.accepted, found.trial.refused, found.trial.repeated)
    assert (report.accepted, report.quarantined, report.duplicates) == told
    return found.spec


@pytest.mark.parametrize("ending", ["xlsx", "xls", "xlsm", "ods"])
def test_a_text_with_the_name_of_a_workbook_is_refused_by_both(tmp_path: Path, ending: str) -> None:
    file = write(tmp_path, TABLE, f"file.{ending}")
    refused(file, rf"file\.{ending}.*no workbook.*rename it to \.csv", "OPS-D016")
    with pytest.raises(DataError) as caught:
        open_source(file, where="here")
    assert caught.value.code == "OPS-D016"


def test_a_workbook_with_the_name_of_a_text_is_read(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for line in (["month", "value"], ["2020-01", 1.5], ["2020-02", 2.5]):
        book.active.append(line)
    held = io.BytesIO()
    book.save(held)
    assert ingested(write(tmp_path, held.getvalue())).key == ("month",)


def packed(**members: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, text in members.items():
            archive.writestr(name.replace("__", "."), text)
    return held.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (packed(a__csv=TABLE), "zip of other files"),
        (packed(mimetype="", content__xml=""), "OpenDocument"),
        (b"BZh91AY&SY rest", "bzip2"),
        (b"SQLite format 3\x00rest", "SQLite"),
        (b"ARROW1\x00\x00rest", "Feather"),
        (TABLE.encode("utf-32"), "UTF-32"),
        (b"\n <html><body>Please log in", "page that a portal sent"),
        (b'[\n {"a": 1}]', "JSON"),
        (b"[1, 2, 3]", "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    ],
)
def test_kinds_are_told_by_content(tmp_path: Path, content: bytes, words: str) -> None:
    refused(write(tmp_path, content), words, "OPS-D015")


@pytest.mark.parametrize("title", ["[Table 3] Output", "<5 means suppressed", "{draft} Output"])
def test_a_title_is_no_other_kind(tmp_path: Path, title: str) -> None:
    assert ingested(write(tmp_path, f"{title}\n{TABLE}")).layout.skip_rows == 1


@pytest.mark.parametrize("column", [0, 1, 2])
@pytest.mark.parametrize("line", [0, 1, 24])
def test_an_open_quote_is_named_with_its_line(tmp_path: Path, line: int, column: int) -> None:
    lines = [HEADER, *LINES]
    cells = lines[line].split(",")
    cells[column] = '"' + cells[column]
    lines[line] = ",".join(cells)
    file = write(tmp_path, "\n".join(lines) + "\n")
    refused(file, f"never closed.*line {line + 1}", "OPS-D055")
    with pytest.raises(DataError) as caught:
        open_source(file, where="here")
    assert caught.value.code == "OPS-D055"


def test_an_open_quote_in_another_encoding_is_named(tmp_path: Path) -> None:
    refused(write(tmp_path, TABLE.replace("2020-03,AT", '2020-03,"AT').encode("utf-16")), "line 6", "OPS-D055")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TABLE.replace(HEADER, "month,country"), "row 1 names 2 columns, and most rows below have 3"),
        (TABLE.replace(HEADER, HEADER + ",note"), "row 1 names 4 columns, and most rows below have 3"),
        (TABLE.replace(".5\n", ".5,\n"), "end with a separator"),
        ("\n".join(LINES) + "\n", "no row names most columns"),
        (",,\n" + "\n".join(LINES) + "\n", "no row names most columns"),
        (",2019,2019\ncountry,Q1,Q2\nAT,1.5,2\nDE,2,3\n", "row 1 and the row below"),
        ("Dear colleague\nhere is what you\nasked for\n", "delimiter"),
        (TABLE.replace(",", ":"), "answer delimiter"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, content: str, words: str) -> None:
    refused(write(tmp_path, content), words, "OPS-D009")


def test_another_separator_can_be_answered(tmp_path: Path) -> None:
    assert ingested(write(tmp_path, TABLE.replace(",", ":")), delimiter=":").key == ("country", "month")


def test_a_list_of_one_column_can_be_answered(tmp_path: Path) -> None:
    file = write(tmp_path, "company\nAcme\nBeta\n")
    refused(file, "list of one column", "OPS-D009")
    assert ingested(file, delimiter="comma", period="2020").key == ("company", "period")


def test_an_ending_separator_in_all_lines_is_a_column_without_a_name(tmp_path: Path) -> None:
    spec = ingested(write(tmp_path, TABLE.replace("\n", ",\n")))
    assert [f.name for f in spec.fields] == ["month", "country", "value"]


def test_a_merged_header_of_two_rows_is_refused_with_its_row(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for line in (["Output"], ["country", "2019", None, "2020", None], [None, "H1", "H2", "H1", "H2"],
                 ["AT", 1.5, 2.5, 3.5, 4.5], ["DE", 1.5, 2.5, 3.5, 4.5]):  # fmt: skip
        sheet.append(line)
    sheet.merge_cells("A1:E1")
    sheet.merge_cells("B2:C2")
    sheet.merge_cells("D2:E2")
    file = tmp_path / "file.xlsx"
    book.save(file)
    refused(file, "row 2 and the row below", "OPS-D009")


def test_a_table_need_not_begin_in_the_first_column(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    for row in range(13):
        sheet.cell(5 + row, 3, f"2020-{row:02d}" if row else "month")
        sheet.cell(5 + row, 4, row * 1.5 if row else "value")
    file = tmp_path / "file.xlsx"
    book.save(file)
    assert [f.name for f in ingested(file).fields] == ["month", "value"]


def test_a_delivery_without_rows_is_refused(tmp_path: Path) -> None:
    refused(write(tmp_path, HEADER + "\n"), "no row", "OPS-D005")


def test_a_reading_by_which_nothing_would_come_in_is_refused(tmp_path: Path) -> None:
    lines = [f"2020-{m:02d}-01,A,{m}" for m in range(1, 13)]
    file = write(tmp_path, "month,country,code\n" + "\n".join(lines) + "\n")
    with pytest.raises(DataError) as caught:
        propose(file, {**PUBLIC, "allow_future": "no"}, known_at=dt.datetime(2019, 1, 1, tzinfo=dt.UTC))
    assert caught.value.code == "OPS-D056"
    assert "12 row(s)" in str(caught.value)


def test_remarks_are_counted_and_many_are_asked_for(tmp_path: Path) -> None:
    few = propose(write(tmp_path, TABLE + "\nSource: the office\n"), PUBLIC)
    (asked,) = [q for q in few.questions if q.id == "notes"]
    assert (asked.answer, asked.given) == ("yes", False)
    assert "1 row(s): 27." in asked.text
    file = write(tmp_path, TABLE + "garbage\n" * 30)
    assert [q.id for q in propose(file, PUBLIC).open] == ["notes"]
    assert ingested(file, notes="yes").layout.notes
    kept = propose(file, {**PUBLIC, "notes": "no"})
    assert kept.trial is not None
    assert kept.trial.refused == 30


def test_a_column_that_is_mostly_numbers_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, TABLE.replace(",1.5", ",#err"))
    assert [q.id for q in propose(file, PUBLIC).open] == ["type:value"]
    assert ingested(file, **{"type:value": "number"}).field("value").type == "number"
    assert propose(file, {**PUBLIC, "type:value": "text"}).spec is not None


def test_codes_with_leading_zeros_are_not_asked_for(tmp_path: Path) -> None:
    lines = [f"2020,{code:02d},{code}" for code in range(1, 12)] + ["2020,A,1"]
    spec = ingested(write(tmp_path, "year,nace,value\n" + "\n".join(lines) + "\n"))
    assert spec.field("nace").type == "string"


def test_a_column_that_is_mostly_dates_is_named_in_the_question(tmp_path: Path) -> None:
    found = propose(write(tmp_path, TABLE + "Total,all,1\nTotal,AT,2\n"), PUBLIC)
    (asked,) = [q for q in found.open if q.id == "period"]
    assert "In 24 of 26 rows 'month' reads as a date" in asked.text


def test_columns_with_holes_are_named_in_the_question_for_the_key(tmp_path: Path) -> None:
    found = propose(write(tmp_path, TABLE + "2020-12,,18\n"), PUBLIC)
    (asked,) = [q for q in found.open if q.id == "key"]
    assert "Not filled in each row, and so no part of a key: country" in asked.text


def test_days_in_the_header_are_turned(tmp_path: Path) -> None:
    days = [f"1/{day}/20" for day in range(22, 32)]
    text = f"country,lat,{','.join(days)}\n" + "".join(f"{c},1.5,{','.join('1' * 10)}\n" for c in ("AT", "DE"))
    spec = ingested(write(tmp_path, text))
    assert (spec.frequency, spec.key, spec.field("period").date_format) == ("D", ("country", "period"), "%m/%d/%y")
    assert [q.id for q in propose(write(tmp_path, "c,1/2/20,2/2/20\nAT,1,2\nDE,1,2\n"), PUBLIC).open] == ["date:header"]


def test_marks_for_nothing_are_seen_in_wide_tables(tmp_path: Path) -> None:
    spec = ingested(write(tmp_path, "country;2018;2019;2020\nAT;1,5;2,5;..\nDE;1,5;2,5;..\nFR;1,5;2,5;..\n"))
    assert spec.missing == ("..",)


def test_vintages_that_change_nothing_are_counted_as_repeated(tmp_path: Path) -> None:
    text = "series,period,value,released_on\n" + "".join(
        f"gdp,2020Q1,{value},2020-0{month}-01\n" for month, value in ((5, 1.5), (6, 1.5), (7, 2.5), (8, 1.5), (9, 1.5))
    )
    file = write(tmp_path, text)
    assert ingested(file).known_at_field == "released_on"
    found = propose(file, PUBLIC).trial
    assert found is not None
    assert (found.accepted, found.repeated) == (3, 2)


def test_a_table_too_wide_for_a_dataset_is_refused(tmp_path: Path) -> None:
    names = ",".join(f"c{i}" for i in range(1001))
    refused(
        write(tmp_path, f"month,{names}\n2020-01{',1' * 1001}\n2020-02{',1' * 1001}\n"), "1,002 columns", "OPS-D009"
    )
