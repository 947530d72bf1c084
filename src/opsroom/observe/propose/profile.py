"""Read a file once and note what each column holds, in memory that does not grow with the file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from opsroom.observe.propose.shapes import (
    DAY_FORMATS,
    ISO_MOMENT,
    MARKS,
    MOMENT_FORMATS,
    PERIOD_FORMATS,
    iso_moment,
    names_zone,
    read_number,
    reader_of,
)
from opsroom.observe.raw import RawBatch

STUDIED = 20_000
"""Distinct texts of a column that are studied; the shape of a column shows long before."""

LONGEST = 100
"""Characters of a text that may be a number."""

REMEMBERED = 5_000
"""Distinct texts and days of a column that are remembered."""

ROWS = 2_000_000
"""Rows that are profiled; the trial afterwards reads them all."""

SAMPLE = 200_000
"""Rows on which a key is looked for."""

_FORMATS = {
    written: reader_of(written)
    for written in (*DAY_FORMATS, *MOMENT_FORMATS, *(f for formats in PERIOD_FORMATS.values() for f in formats))
} | {ISO_MOMENT: iso_moment}
_YEAR = range(1700, 2151)


@dataclass(slots=True)
class Column:
    """What a column holds.

    Attributes
    ----------
    name, place, kind
        Name in the file; place from 0; the source's own type: ``"text"``, ``"integer"``, ``"number"``,
        ``"date"``, ``"datetime"``, ``"boolean"``, ``"other"``.
    rows, filled
        Rows seen, and those that hold something.
    marks
        Texts for nothing → rows.
    numbers, whole, studied
        Rows, of the `studied` ones, that read as numbers, as whole numbers.
    readings
        Decimal mark → numbers that may be read with it.
    groups
        Decimal mark → marks between thousands that this reading needs.
    marked
        Numbers that hold a point, a comma or another mark.
    symbols, parentheses
        Signs seen beside numbers; whether some stand in parentheses.
    dates
        Format → rows of the studied ones that read so.
    days
        Format → distinct days, as far as remembered.
    clock, zoned
        Whether some tell a time of day; whether texts that are moments in ISO form name their zone.
    texts
        Distinct texts → rows, as far as remembered.
    complete
        Whether `texts` holds all of them.
    """

    name: str
    place: int
    kind: str
    rows: int = 0
    filled: int = 0
    marks: Counter[str] = field(default_factory=Counter)
    studied: int = 0
    numbers: int = 0
    whole: int = 0
    readings: Counter[str] = field(default_factory=Counter)
    groups: dict[str, set[str]] = field(default_factory=dict)
    marked: int = 0
    symbols: Counter[str] = field(default_factory=Counter)
    parentheses: bool = False
    dates: Counter[str] = field(default_factory=Counter)
    days: dict[str, set[date]] = field(default_factory=dict)
    clock: bool = False
    zoned: bool = False
    texts: Counter[str] = field(default_factory=Counter)
    complete: bool = True
    longest: int = 0

    @property
    def valued(self) -> int:
        """Studied rows that hold something else than a mark for nothing."""
        return self.studied - sum(self.marks.values())

    def mostly(self, count: int) -> bool:
        """Whether a count is that of nearly all rows: a few slips are told by row, not believed."""
        amiss = self.valued - count
        return self.valued > 0 and count > 0 and (amiss <= self.valued // 25 or (amiss == 1 and self.valued >= 8))

    def date_formats(self) -> list[str]:
        """Return the formats in which nearly all texts read as dates or periods, best first."""
        return [written for written, count in self.dates.most_common() if self.mostly(count)]

    def decimal_marks(self) -> set[str]:
        """Return the decimal marks with which nearly all numbers can be read."""
        slack = self.numbers // 25
        return {mark for mark in (".", ",") if self.readings[mark] >= self.numbers - slack}

    def is_number(self) -> bool:
        """Whether the column holds numbers."""
        return self.kind in ("integer", "number") or (self.kind == "text" and self.mostly(self.numbers))

    def is_whole(self) -> bool:
        """Whether its numbers are whole."""
        return self.kind == "integer" or (self.kind == "text" and self.is_number() and self.whole >= self.numbers)


@dataclass(slots=True)
class Profile:
    """Columns of a file, its rows, a sample of them, and how many lines could not be cut into cells."""

    columns: dict[str, Column]
    rows: int
    sample: pa.Table
    complete: bool
    broken: int = 0


def profile(names: tuple[str, ...], batches: Iterator[RawBatch]) -> Profile:
    """Read batches and note what each column holds."""
    columns: dict[str, Column] = {}
    sample: list[pa.RecordBatch] = []
    rows = kept = broken = 0
    complete = True
    for raw in batches:
        batch = raw.columns
        if not columns:
            columns = {n: Column(n, i, kind_of(batch.schema.field(n).type)) for i, n in enumerate(names)}
        for name, column in columns.items():
            _study(column, batch.column(name))
        if kept < SAMPLE:
            sample.append(batch.slice(0, SAMPLE - kept))
            kept += sample[-1].num_rows
        rows += batch.num_rows
        broken += len(raw.broken)
        if rows >= ROWS:
            complete = False
            break
    if not columns:
        columns = {n: Column(n, i, "text") for i, n in enumerate(names)}
        return Profile(columns, 0, pa.table({n: pa.array([], pa.string()) for n in names}), complete, broken)
    return Profile(columns, rows, pa.Table.from_batches(sample), complete, broken)


def kind_of(kind: pa.DataType) -> str:
    """Return the kind of an Arrow type, as `Column.kind` has it."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    tests = {
        "integer": pa.types.is_integer,
        "boolean": pa.types.is_boolean,
        "date": pa.types.is_date,
        "datetime": pa.types.is_timestamp,
    }
    for name, test in tests.items():
        if test(kind):
            return name
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return "text" if text or pa.types.is_null(kind) else "other"


def _study(column: Column, values: pa.Array) -> None:
    column.rows += len(values)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if column.kind == "other":
        column.filled += len(values) - values.null_count
        return
    if column.kind in ("date", "datetime"):
        _study_days(column, values)
    if column.kind == "number":
        values = pc.if_else(pc.fill_null(pc.is_nan(values.cast(pa.float64())), True), None, values)
    if column.kind == "text":
        values = pc.utf8_trim_whitespace(values.cast(pa.string()))
        values = pc.if_else(pc.equal(values, ""), None, values)
        column.longest = max(column.longest, pc.max(pc.utf8_length(values)).as_py() or 0)
    column.filled += len(values) - values.null_count
    if column.kind == "number":
        column.studied = column.numbers = column.filled
        return
    counted = pc.value_counts(values.drop_null())
    words = counted.field("values").cast(pa.string()).to_pylist()
    counts = counted.field("counts").to_pylist()
    for word, count in zip(words, counts, strict=True):
        if column.kind == "text" and (word in column.texts or len(column.texts) < STUDIED):
            _read(column, word, count)
        if word in column.texts or len(column.texts) < STUDIED:
            column.texts[word] += count
        else:
            column.complete = False
    if column.kind == "integer":
        column.studied = column.numbers = column.whole = column.filled
        for word in words[:REMEMBERED]:
            _read_dates(column, word, 1)


def _study_days(column: Column, values: pa.Array) -> None:
    stamps = values.drop_null()
    days = pc.unique(stamps.cast(pa.date32(), safe=False))
    found = column.days.setdefault("", set())
    found.update(day for day in days.slice(0, REMEMBERED).to_pylist() if len(found) < REMEMBERED)
    if column.kind == "datetime" and not column.clock:
        column.clock = bool(
            pc.any(pc.not_equal(stamps, stamps.cast(pa.date32(), safe=False).cast(stamps.type))).as_py()
        )


def _read(column: Column, word: str, count: int) -> None:
    column.studied += count
    if word in MARKS:
        column.marks[word] += count
        return
    number = read_number(word) if len(word) <= LONGEST else None
    if number is not None:
        column.numbers += count
        column.whole += count if number.whole else 0
        column.marked += count if number.marked else 0
        for mark, group in number.readings.items():
            column.readings[mark] += count
            if group:
                column.groups.setdefault(mark, set()).add(group)
        if number.sign:
            column.symbols[number.sign] += count
        column.parentheses |= number.parentheses
    _read_dates(column, word, count)


def _read_dates(column: Column, word: str, count: int) -> None:
    if not 4 <= len(word) <= 35 or not any(c.isdigit() for c in word):
        return
    late = len(column.texts) > 50  # by then a format that no text had is not the column's
    if late and not column.dates:
        return
    for written, read in _FORMATS.items():
        if late and written not in column.dates:
            continue
        moment = read(word)
        if moment is None or (written in ("%Y", "%Y.0", "%Y%m", "%Y%m%d") and moment.year not in _YEAR):
            continue
        column.dates[written] += count
        column.zoned |= written == ISO_MOMENT and names_zone(word)
        days = column.days.setdefault(written, set())
        if len(days) < REMEMBERED:
            days.add(moment.date())
        column.clock |= isinstance(moment, datetime) and (moment.hour, moment.minute, moment.second) != (0, 0, 0)
