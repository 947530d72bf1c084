"""Whatever a file holds: readers and `propose` answer or refuse in words, and what is proposed ingests."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import random
import tempfile
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import UserError
from opsroom.base.layout import Layout
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.observe.arranging import arrange
from opsroom.observe.propose import propose
from opsroom.observe.readers import open_source
from opsroom.room.room import Room

CELLS = st.one_of(
    st.sampled_from(
        ["", "..", "n/a", "-", "1", "1.5", "1,5", "1.234,5", "1,234", "(5)", "12 %", "€ 3", "2020", "2020Q1", "2020-01",
         "202001", "1/2/2020", "31.12.2020", "2020-01-01", "2020-W01", "43831", "AT", "NA", "true", "Source: us", '"',
         "1e400", "9" * 30, "\u2212 5", "Jan 2020", "2020-01-01T10:00:00"]
    ),
    st.text(max_size=6),
    st.floats(allow_nan=True).map(repr),
)  # fmt: skip
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=6), min_size=1, max_size=12)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
LAYOUTS = st.builds(
    Layout,
    encoding=st.sampled_from(["", "utf-16", "utf-16-le", "cp1252", "shift_jis"]),
    delimiter=st.sampled_from(["", ";", "\t"]),
    skip_rows=st.integers(0, 4),
    fill_header=st.booleans(),
    notes=st.booleans(),
)
ANSWERS = {"confidential": "no", "period": "2020", "decimal": "comma", "allow_future": "yes"}


def spec(layout: Layout) -> DatasetSpec:
    return DatasetSpec(
        name="a", title="A", frequency="A", period="period", key=("code", "period"), confidential=False, unit="public",
        fields=(FieldSpec("code", "string"), FieldSpec("period", "date"), FieldSpec("value", "number")),
        ignore_extra=True, layout=layout,
    )  # fmt: skip


def consume(file: Path, layout: Layout) -> None:
    """Read everything; only refusals in words may come out."""
    with contextlib.suppress(UserError):
        for batch in arrange(open_source(file, where="here", layout=layout), spec(layout), where="here").batches:
            assert batch.columns.num_rows == len(batch.rows)
            assert len(set(batch.ids().to_pylist())) == batch.columns.num_rows


def proposal_holds(file: Path, answers: dict[str, str]) -> None:
    """Propose; what is proposed is taken by `ingest` with the counts that were foretold."""
    asked: dict[str, str] = {"confidential": "no"}
    for _ in range(8):
        try:
            found = propose(file, asked)
        except UserError:
            return
        if found.spec is not None:
            break
        for question in found.open:
            default = question.options[0] if question.options else ""
            asked[question.id] = answers.get(question.id) or default
        if not all(asked[q.id] for q in found.open):
            return
    else:
        return
    assert found.trial is not None
    with tempfile.TemporaryDirectory() as folder, Room.create(Path(folder) / "r", specs=[found.to_toml()]) as room:
        try:
            report = room.ingest(found.spec.name, file)
        except UserError as error:
            if error.code not in ("OPS-D005", "OPS-D012", "OPS-D013"):
                raise
            return
        told = (found.trial.accepted, found.trial.repeated)
        ahead = report.reasons.get("OPS-D030", 0) + report.reasons.get("OPS-D036", 0)
        if not ahead:  # a proposal outside a room does not know today
            assert (report.accepted, report.duplicates) == told


def file_of(content: bytes, name: str = "file.csv") -> contextlib.AbstractContextManager[Path]:
    @contextlib.contextmanager
    def made():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / name
            file.write_bytes(content)
            yield file

    return made()


def written(table: list[list[str]], delimiter: str, end: str, encoding: str) -> bytes:
    def cell(text: str) -> str:
        quoted = any(mark in text for mark in (delimiter, '"', "\n", "\r"))
        return '"' + text.replace('"', '""') + '"' if quoted else text

    return end.join(delimiter.join(map(cell, row)) for row in table).encode(encoding, "replace")


@given(content=st.binary(max_size=400), layout=LAYOUTS)
@settings(max_examples=30)
def test_any_bytes_are_read_or_refused(content: bytes, layout: Layout) -> None:
    with file_of(content) as file:
        consume(file, layout)
        proposal_holds(file, ANSWERS)


@given(table=TABLES, delimiter=st.sampled_from([",", ";", "\t"]), end=ENDS,
       encoding=st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "utf-16"]), layout=LAYOUTS)  # fmt: skip
@settings(max_examples=30)
def test_any_table_is_read_or_refused(
    table: list[list[str]], delimiter: str, end: str, encoding: str, layout: Layout
) -> None:
    with file_of(written(table, delimiter, end, encoding)) as file:
        consume(file, layout)
        proposal_holds(file, ANSWERS)


SCALARS = st.one_of(
    st.none(), st.integers(-(10**12), 10**12), st.floats(), st.booleans(), st.text(max_size=5),
    st.datetimes(dt.datetime(1901, 1, 1), dt.datetime(2100, 1, 1)), CELLS,
)  # fmt: skip


@given(rows=st.lists(st.lists(SCALARS, min_size=1, max_size=5), min_size=1, max_size=8), skip=st.integers(0, 2))
@settings(max_examples=30)
def test_any_workbook_is_read_or_refused(rows: list[list[object]], skip: int) -> None:
    book = openpyxl.Workbook()
    for row in rows:
        with contextlib.suppress(ValueError, openpyxl.utils.exceptions.IllegalCharacterError):
            book.active.append(row)
    held = io.BytesIO()
    book.save(held)
    with file_of(held.getvalue(), "file.xlsx") as file:
        consume(file, Layout(skip_rows=skip, fill_header=True, notes=True))
        proposal_holds(file, ANSWERS)


def damaged(content: bytes, seed: int) -> bytes:
    """Flip a few bytes, or cut a piece out."""
    dice = random.Random(seed)
    broken = bytearray(content)
    for _ in range(dice.randint(1, 8)):
        broken[dice.randrange(len(broken))] = dice.randrange(256)
    if dice.random() < 0.3:
        start = dice.randrange(len(broken))
        del broken[start : start + dice.randint(1, 400)]
    return bytes(broken)


def a_workbook() -> bytes:
    book = openpyxl.Workbook()
    for row in (["code", "period", "value"], ["A", 2020, 1.5], ["B", dt.date(2020, 1, 1), None]):
        book.active.append(row)
    held = io.BytesIO()
    book.save(held)
    return held.getvalue()


@given(seed=st.integers(0, 10**6), inside=st.booleans())
@settings(max_examples=50)
def test_a_damaged_workbook_is_read_or_refused(seed: int, inside: bool) -> None:
    whole = a_workbook()
    if inside:  # the zip is sound, the XML in it is not
        held = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(held, "w") as new:
            names = old.namelist()
            victim = names[seed % len(names)]
            for name in names:
                new.writestr(name, damaged(old.read(name), seed) if name == victim else old.read(name))
        content = held.getvalue()
    else:
        content = damaged(whole, seed)
    with file_of(content, "file.xlsx") as file:
        consume(file, Layout())
        proposal_holds(file, ANSWERS)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30)
def test_a_damaged_parquet_file_is_read_or_refused(seed: int) -> None:
    held = io.BytesIO()
    pq.write_table(pa.table({"code": ["A"] * 50, "period": [2020] * 50, "value": [float(i) for i in range(50)]}), held)
    with file_of(damaged(held.getvalue(), seed), "file.parquet") as file:
        consume(file, Layout())
        proposal_holds(file, ANSWERS)


@pytest.mark.long
@given(content=st.binary(max_size=3000), layout=LAYOUTS)
@settings(max_examples=1000)
def test_any_bytes_at_length(content: bytes, layout: Layout) -> None:
    with file_of(content) as file:
        consume(file, layout)
        proposal_holds(file, ANSWERS)


@pytest.mark.long
@given(table=TABLES, delimiter=st.sampled_from([",", ";", "\t"]), end=ENDS, layout=LAYOUTS)
@settings(max_examples=1000)
def test_any_table_at_length(table: list[list[str]], delimiter: str, end: str, layout: Layout) -> None:
    with file_of(written(table, delimiter, end, "utf-8")) as file:
        consume(file, layout)
        proposal_holds(file, ANSWERS)
