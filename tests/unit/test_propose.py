"""`propose`: what is seen is proposed, what cannot be known is asked, and what comes out ingests."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import replace
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from opsroom.base.errors import DataError, SpecError, UsageError
from opsroom.base.specs import DatasetSpec
from opsroom.observe.casting import cast
from opsroom.observe.propose import Proposal, propose
from opsroom.room.desks.levels import labels
from opsroom.room.proposing import propose_dataset, register_proposal
from opsroom.room.room import Room

PUBLIC = {"confidential": "no"}


def write(folder: Path, text: str, name: str = "file.csv", encoding: str = "utf-8") -> Path:
    file = folder / name
    file.write_bytes(text.encode(encoding))
    return file


def ready(file: Path, **answers: str) -> DatasetSpec:
    """Propose with answers, and hold the proposal against `ingest`."""
    found = propose(file, {**PUBLIC, **answers})
    assert found.spec is not None, [q.text for q in found.open]
    assert found.trial is not None
    text = found.to_toml()
    assert DatasetSpec.from_toml(text) == found.spec
    with Room.create(file.parent / f"room {found.spec.name}", specs=[text]) as room:
        report = room.ingest(found.spec.name, file, known_at=None if found.spec.known_at_field else "2025-01-01",
                             reason="a test")  # fmt: skip
    assert (report.accepted, report.quarantined, report.duplicates) == (
        found.trial.accepted, found.trial.refused, found.trial.repeated,
    )  # fmt: skip
    return found.spec


def still_open(file: Path, **answers: str) -> set[str]:
    found = propose(file, {**PUBLIC, **answers})
    assert found.spec is None
    assert found.to_toml() == ""
    return {q.id for q in found.open}


def types(spec: DatasetSpec) -> dict[str, str]:
    return {f.name: f.type for f in spec.fields}


def test_a_plain_file(tmp_path: Path) -> None:
    file = write(tmp_path, "region,month,employed,rate\n" + "".join(
        f"{r},2020-{m:02d},{m * 10},{m / 7:.4f}\n" for r in ("AT11", "AT12") for m in range(1, 13)
    ))  # fmt: skip
    spec = ready(file)
    assert (spec.frequency, spec.period, spec.key) == ("M", "month", ("region", "month"))
    assert types(spec) == {"region": "code", "month": "date", "employed": "integer", "rate": "number"}
    assert spec.field("region").codes == ("AT11", "AT12")


def test_whether_it_is_confidential_is_always_asked(tmp_path: Path) -> None:
    found = propose(write(tmp_path, "month,value\n2020-01,1\n2020-02,2\n"))
    assert [q.id for q in found.open] == ["confidential"]


@pytest.mark.parametrize(
    ("days", "written"),
    [
        (["31.01.2020", "29.02.2020", "31.03.2020"], "%d.%m.%Y"),
        (["1/31/2020", "2/29/2020", "3/31/2020"], "%m/%d/%Y"),
        (["31/1/2020", "29/2/2020", "31/3/2020"], "%d/%m/%Y"),
        (["2020M01", "2020M02", "2020M03"], ""),
        (["2020/01/31", "2020/02/29", "2020/03/31"], "%Y/%m/%d"),
        (["202001", "202002", "202003"], "%Y%m"),
        (["Jan 2020", "Feb 2020", "Mar 2020"], "%b %Y"),
        (["Jan-20", "Feb-20", "Mar-20"], "%b-%y"),
    ],
)
def test_months_in_many_shapes(tmp_path: Path, days: list[str], written: str) -> None:
    spec = ready(write(tmp_path, "month,value\n" + "".join(f"{d},1\n" for d in days)))
    assert (spec.frequency, spec.field("month").date_format) == ("M", written)


@pytest.mark.parametrize(
    ("periods", "frequency"),
    [
        (["2020Q1", "2020Q2"], "Q"),
        (["2020-Q1", "2020-Q2"], "Q"),
        (["Q1 2020", "Q2 2020"], "Q"),
        (["2020-W01", "2020-W02"], "W"),
        (["2019", "2020"], "A"),
        (["1990.0", "1991.0"], "A"),
        (["2020-01-06", "2020-01-13", "2020-01-20"], "W"),
        (["2020-01-06", "2020-01-07", "2020-01-08"], "D"),
        (["2020-01-06T10:00", "2020-01-06T11:00"], "H"),
        (["2020-01-06", "2020-05-19", "2020-11-20", "2022-11-20"], "event"),
    ],
)
def test_frequencies(tmp_path: Path, periods: list[str], frequency: str) -> None:
    assert ready(write(tmp_path, "year,value\n" + "".join(f"{p},1\n" for p in periods))).frequency == frequency


def test_day_and_month_are_asked_where_both_fit(tmp_path: Path) -> None:
    file = write(tmp_path, "day,value\n1/2/2020,1\n2/2/2020,2\n3/2/2020,3\n")
    assert still_open(file) == {"date:day"}
    assert ready(file, **{"date:day": "dmy"}).frequency == "D"
    american = ready(write(tmp_path, file.read_text(), "us.csv"), **{"date:day": "mdy"})
    assert (american.frequency, american.field("day").date_format) == ("M", "%m/%d/%Y")


def test_point_and_comma_are_asked_where_both_fit(tmp_path: Path) -> None:
    file = write(tmp_path, "month;value\n2020-01;1,234\n2020-02;2,345\n")
    assert still_open(file) == {"decimal"}
    point = ready(file, decimal="point")
    assert point.layout.thousands == (",",)
    comma = ready(write(tmp_path, file.read_text(), "comma.csv"), decimal="comma")
    assert (comma.layout.decimal, comma.layout.thousands) == (",", ())


def test_a_title_a_footnote_and_written_numbers(tmp_path: Path) -> None:
    text = (
        "Umsätze\nin Tausend Euro;;\n\nLand;Monat;Wert (Tsd. €)\n"
        + "".join(f"Österreich;01.{m:02d}.2021;{m}.234,5\n" for m in range(1, 6))
        + "Österreich;01.06.2021;n/a\nÖsterreich;01.07.2021;(1.000,0)\nQuelle: Amt;;\n"
    )
    spec = ready(write(tmp_path, text, encoding="cp1252"))
    assert spec.layout.skip_rows == 3
    assert spec.layout.notes
    assert (spec.layout.encoding, spec.layout.decimal, spec.layout.parentheses) == ("cp1252", ",", True)
    assert spec.missing == ("n/a",)
    assert spec.field("wert_tsd_eur").measure == "Tsd. €"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_encodings_that_can_be_seen(tmp_path: Path, encoding: str) -> None:
    spec = ready(write(tmp_path, "Stadt\tmonth\tvalue\nWien\t2020-01\t1\nKöln\t2020-01\t2\n", encoding=encoding))
    assert spec.key == ("stadt", "month")


def test_a_wide_table_is_made_long(tmp_path: Path) -> None:
    file = write(tmp_path, "country,unit,2020Q1,2020Q2,2020Q3\nAT,EUR,1.5,2.5,..\nDE,EUR,3,,4\nFR,EUR,5,6,7\n")
    spec = ready(file)
    assert (spec.frequency, spec.key, spec.layout.header_to) == ("Q", ("country", "period"), "period")
    assert types(spec) == {"country": "string", "unit": "string", "period": "date", "value": "number"}


def test_year_month_and_day_in_columns_of_their_own(tmp_path: Path) -> None:
    file = write(tmp_path, "year,month,day,fips,spend\n2020,1,1,1,.5\n2020,1,1,2,.\n2020,1,2,1,.25\n2020,1,2,2,.125\n")
    spec = ready(file)
    assert (spec.frequency, spec.key) == ("D", ("fips", "period"))
    assert spec.layout.period_parts == ("year", "month", "day")


@pytest.mark.parametrize("name", ["delivered_on", "released_on", "known_at"])
def test_the_day_of_delivery_becomes_known_at(tmp_path: Path, name: str) -> None:
    file = write(tmp_path, f"month,{name},value\n2020-01,15.2.2020,1\n2020-01,15.3.2020,2\n2020-02,15.3.2020,3\n")
    spec = ready(file)
    assert (spec.known_at_field, spec.key, spec.layout.known_at_format) == (name, ("month",), "%d.%m.%Y")


def test_a_file_without_a_period_asks_for_one(tmp_path: Path) -> None:
    file = write(tmp_path, "sector,output\nA01,1.5\nA02,2.5\n")
    assert still_open(file) == {"period"}
    assert still_open(file, period="soon") == {"period"}
    spec = ready(file, period="2019")
    assert (spec.frequency, spec.layout.period_value, spec.key) == ("A", "2019", ("sector", "period"))


def test_a_key_that_is_not_unique_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, "month,region,value\n2020-01,A,1.5\n2020-01,A,2.5\n2020-02,A,2.5\n")
    assert still_open(file) == {"key"}
    assert still_open(file, key="colour") == {"key"}
    found = propose(file, {**PUBLIC, "key": "region"})
    assert found.trial is not None
    (problem,) = found.trial.problems
    assert (problem.code, problem.rows) == ("OPS-D031", (3,))
    ready(file, key="region")


def test_rows_that_repeat_are_no_reason_for_another_key(tmp_path: Path) -> None:
    spec = ready(write(tmp_path, "month,region,value\n2020-01,A,1.5\n2020-01,A,1.5\n2020-02,A,2.5\n"))
    assert spec.key == ("month",)


def test_problems_are_told_by_row_without_any_value(tmp_path: Path) -> None:
    rows = [f"2020-{m:02d},{m}.5" for m in range(1, 13)]
    rows[4] = "2020-05,secret"
    found = propose(write(tmp_path, "month,value\n" + "\n".join(rows) + "\n"), PUBLIC)
    assert found.trial is not None
    (problem,) = found.trial.problems
    assert (problem.file, problem.field, problem.code, problem.rows) == ("file.csv", "value", "OPS-D025", (6,))
    assert "secret" not in str(problem)
    assert "secret" not in json.dumps(found.to_dict())


def test_microdata_ask_for_law_and_units(tmp_path: Path) -> None:
    text = "company_id,group_id,month,turnover,name,e-mail\n" + "".join(
        f"C{c},G{c // 2},2020-0{m},{c}{m}.50,Firm {c},x\n" for c in range(6) for m in (1, 2)
    )
    file = write(tmp_path, text)
    first = propose(file, {"confidential": "yes"})
    assert {q.id for q in first.open} == {"unit", "legal_basis", "measure:turnover", "drop:e-mail"}
    answers = {"confidential": "yes", "unit": "enterprise", "legal_basis": "Act 1", "measure:turnover": "EUR 2",
               "drop:e-mail": "yes"}  # fmt: skip
    spec = ready(file, **answers)
    turnover = spec.field("turnover")
    assert (turnover.type, turnover.currency, turnover.scale, turnover.given) == ("money", "EUR", 2, "major")
    assert (spec.unit_field, spec.group_field, spec.ignore_extra) == ("company_id", "group_id", True)


def test_persons_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        propose(write(tmp_path, "month,value\n2020-01,1\n"), {"confidential": "yes", "unit": "person"})


def test_codes_keep_their_leading_zeros(tmp_path: Path) -> None:
    spec = ready(write(tmp_path, "nace,year,value\n01,2020,1\n02,2020,2\n10,2020,3\n"))
    assert spec.field("nace").type == "string"


def test_a_text_that_is_a_code_in_one_column_and_nothing_in_another_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, "iso2,year,value\nNA,2020,1.5\nAT,2020,2.5\nDE,2020,3.5\nFR,2020,4.5\nIT,2020,NA\n")
    assert still_open(file) == {"missing:NA"}
    assert ready(file, **{"missing:NA": "no"}).missing == ()


def test_forecasts_are_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path, "quarter,released_on,value\n2020Q1,2020-02-01,1\n2020Q2,2020-02-01,2\n2020Q4,2020-02-01,2\n")
    assert still_open(file) == {"allow_future"}
    assert ready(file, allow_future="yes").allow_future


def test_a_workbook_of_several_tables_asks_which(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "GDP"
    book.active.append(["Gross domestic product"])
    for row in (["country", "2019", "2020"], ["AT", 1.5, 2], ["DE", 3, None]):
        book.active.append(row)
    other = book.create_sheet("Prices")
    for row in (["month", "price"], [dt.date(2020, 1, 1), 1.5], [dt.date(2020, 2, 1), 2.5]):
        other.append(row)
    file = tmp_path / "book.xlsx"
    book.save(file)
    assert still_open(file) == {"sheet"}
    wide = ready(file, sheet="GDP")
    assert (wide.frequency, wide.layout.skip_rows, wide.key) == ("A", 1, ("country", "period"))
    found = propose(file, {**PUBLIC, "sheet": "Prices"})
    assert found.spec is not None
    assert (found.spec.frequency, found.spec.key) == ("M", ("month",))


def test_parquet(tmp_path: Path) -> None:
    file = tmp_path / "file.parquet"
    table = {"day": [dt.date(2020, 1, 1), dt.date(2020, 1, 2)], "series": ["a", "a"], "value": [1.5, float("nan")]}
    pq.write_table(pa.table(table), file)
    spec = ready(file)
    assert (spec.frequency, spec.key) == ("D", ("day",))
    assert types(spec) == {"day": "date", "series": "string", "value": "number"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1}', "JSON"),
        (b"<html>", "XML or HTML"),
        (b"\x1f\x8b\x08\x00rest", "gzip"),
        (b"\xd0\xcf\x11\xe0rest of it", "XLS"),
        (b"%PDF-1.7", "PDF"),
        (b"", "no row"),
        (b"PK\x03\x04 nothing", "workbook"),
        (b"1,2\n3,4\n", "skip_rows"),
    ],
)
def test_files_that_no_reader_takes_are_refused_plainly(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "file.csv"
    file.write_bytes(content)
    with pytest.raises(DataError, match=words):
        propose(file)


def test_answers_to_nothing_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path, "month,value\n2020-01,1\n2020-02,2\n")
    with pytest.raises(UsageError) as caught:
        propose(file, {**PUBLIC, "colour": "red"})
    assert caught.value.code == "OPS-U042"
    with pytest.raises(UsageError) as caught:
        propose(file, {"confidential": "perhaps"})
    assert caught.value.code == "OPS-U041"


def test_the_room_s_own_codes_are_recognised(tmp_path: Path) -> None:
    text = "region,month,value\n" + "".join(f"R{r},2020-{m:02d},{m}\n" for r in (1, 2, 3) for m in range(1, 13))
    found: Proposal = propose(write(tmp_path, text), PUBLIC, lists={"regions": ("R1", "R2", "R3", "R4")})
    assert found.spec is not None
    assert found.spec.field("region").codes_from == "regions"


def test_a_proposed_name_is_no_name_of_the_store(tmp_path: Path) -> None:
    spec = ready(write(tmp_path, "month,op,Delivery,1st,op\n2020-01,1.5,2,3,4\n2020-02,1,2,3,4\n"))
    assert list(types(spec)) == ["month", "op_given", "delivery_given", "c_1st", "column_5"]


def test_a_refused_dataset_says_why(tmp_path: Path) -> None:
    file = write(tmp_path, "month,value\n2020-01,1\n2020-02,2\n", name="households.csv")
    answers = {"confidential": "yes", "unit": "enterprise", "legal_basis": "Act 1"}
    with pytest.raises(SpecError) as caught:
        propose(file, answers)
    assert caught.value.code == "OPS-S010"


def test_a_word_among_numbers_is_asked_about(tmp_path: Path) -> None:
    """One mark for nothing that is not known must not turn a column of numbers into words, unasked."""
    file = tmp_path / "loans.csv"
    file.write_text("land,quarter,credit\nAT,2020Q1,1200.5\nAT,2020Q2,1210.5\nDE,2020Q1,n/v\nDE,2020Q2,1201.5\n")
    first = propose(file, {"confidential": "no"})
    assert [q.id for q in first.open] == ["type:credit"]
    assert "In 3 of 4 rows" in first.open[0].text
    found = propose(file, {"confidential": "no", "type:credit": "number"})
    assert found.spec is not None
    assert found.spec.field("credit").type == "number"
    assert found.trial is not None
    assert (found.trial.accepted, found.trial.refused) == (3, 1)
    kept = propose(file, {"confidential": "no", "type:credit": "text"})
    assert kept.spec is not None
    assert kept.spec.field("credit").type == "string"


@pytest.mark.parametrize(
    "stamps",
    [
        ["2020-03-29T00:00:00Z", "2020-03-29T01:00:00Z"],
        ["2020-03-29T01:00:00+01:00", "2020-03-29T03:00:00+02:00"],
        ["2020-03-29 00:00:00.000+00:00", "2020-03-29 01:00:00.000+00:00"],
        ["2020-03-28T19:00-0500", "2020-03-28T20:00-0500"],
    ],
)
def test_moments_with_a_zone_are_the_period_and_are_charted_by_the_hour(tmp_path: Path, stamps: list[str]) -> None:
    file = write(tmp_path, "time,mw\n" + "".join(f"{stamp},{n}\n" for n, stamp in enumerate(stamps)))
    spec = ready(file)
    assert (spec.frequency, spec.key, types(spec)["time"]) == ("H", ("time",), "datetime")
    with Room.create(tmp_path / "room") as room:
        examined, found = propose_dataset(file, PUBLIC, room=room)
        assert register_proposal(room, examined, found) == "file"
        room.ingest("file", file, "2020-04-01")
    with Room.open(tmp_path / "room") as room:
        (release,) = room.publish("2020-04-01")
    assert [row[0] for row in release.rows] == ["2020-03-29T00Z", "2020-03-29T01Z"]


def test_minutes_are_told_where_there_are_any(tmp_path: Path) -> None:
    stamps = pd.Series(pd.to_datetime(["2020-03-29 09:00", "2020-03-29 09:15"]))
    assert labels(stamps, "H") == ["2020-03-29T09:00Z", "2020-03-29T09:15Z"]
    assert labels(stamps[:1], "H") == ["2020-03-29T09Z"]
    assert labels(stamps[:1], "M") == ["2020-03"]


def test_days_written_as_their_midnight_are_days(tmp_path: Path) -> None:
    file = write(tmp_path, "day,mw\n" + "".join(f"2020-03-{d:02d}T00:00:00+01:00,{d}\n" for d in range(1, 20)))
    spec = ready(file)
    assert (spec.frequency, types(spec)["day"]) == ("D", "date")


def test_whole_numbers_that_would_tell_the_rows_apart_are_named(tmp_path: Path) -> None:
    file = write(tmp_path, "year,area51,value\n" + "".join(
        f"{year},{area},1.5\n" for year in (2019, 2020) for area in (8001, 8003)
    ))  # fmt: skip
    (question,) = propose(file, PUBLIC).open
    assert (question.id, "With whole numbers, area51, year do" in question.text) == ("key", True)
    assert ready(file, key="area51").key == ("area51", "year")


def test_series_named_by_numbers_or_days_are_charted_as_they_are_stored(tmp_path: Path) -> None:
    rows = [(n, year) for n in range(1, 12) for year in (2018, 2019)]
    for name, code in (("codes", "0{:02d}.0"), ("days", "2001-01-{:02d}")):
        text = "start,period,v\n" + "".join(f"{code.format(n)},{year},{n}.5\n" for n, year in rows)
        file = write(tmp_path, text, f"{name}.csv")
        with Room.create(tmp_path / name) as room:
            examined, found = propose_dataset(file, {**PUBLIC, "period": "period", "key": "start"}, room=room)
            desk = register_proposal(room, examined, found)
            assert found.spec is not None
            room.ingest(name, file, "2020-04-01")
        with Room.open(tmp_path / name) as room:
            out = room.publish("2020-04-01")
        assert bool(desk) == bool(out), "a desk that is opened publishes"


def test_moments_without_a_zone_are_of_the_zone_that_is_named(tmp_path: Path) -> None:
    """The clock of Vienna skips two o'clock on 29 March 2020, and shows it twice on 25 October."""
    stamps = ["29.03.2020 01:00", "29.03.2020 02:00", "29.03.2020 03:00", "25.10.2020 02:00", "25.10.2020 03:00"]
    expected = [dt.datetime(2020, 3, 29, 0), None, dt.datetime(2020, 3, 29, 1), dt.datetime(2020, 10, 25, 0),
                dt.datetime(2020, 10, 25, 2)]  # fmt: skip
    file = write(tmp_path, "time,mw\n" + "".join(f"{stamp},{n}\n" for n, stamp in enumerate(stamps)))
    (asked,) = [q for q in propose(file, PUBLIC).questions if q.id == "timezone"]
    assert (asked.answer, asked.given) == ("UTC", False), "it is said to be assumed"
    assert still_open(file, timezone="Mars") == {"timezone"}
    spec = ready(file, timezone="Europe/Vienna")
    assert spec.layout.timezone == "Europe/Vienna"
    naive = [dt.datetime.strptime(stamp, "%d.%m.%Y %H:%M") for stamp in stamps]  # as a file has it
    arrow = pa.array(naive, pa.timestamp("ms"))
    texts = pa.array(stamps)
    iso = pa.array([stamp.isoformat() for stamp in naive])
    field = spec.field("time")
    for column, own in ((arrow, field), (texts, field), (iso, replace(field, date_format=""))):
        done = cast(column, own, None, layout=spec.layout)
        told = [None if m is None else m.replace(tzinfo=None) for m in done.values.to_pylist()]
        assert told == expected
        assert [code for code, _ in done.faults] == ["OPS-D026"]
    offset = cast(pa.array(["2020-10-25T02:00:00+01:00", "2020-10-25T02:00Z"]), replace(field, date_format=""), None,
                  layout=spec.layout)  # fmt: skip
    assert [m.hour for m in offset.values.to_pylist()] == [1, 2], "a zone that is named counts"
