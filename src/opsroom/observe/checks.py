"""Check raw batches against a specification: good rows in stored types, the others with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from opsroom.base.periods import Frequency, end_of_day, local_day
from opsroom.base.specs import DatasetSpec, FieldSpec
from opsroom.observe.casting import UncastableError, cast
from opsroom.observe.quality import refuse
from opsroom.observe.raw import RawBatch
from opsroom.observe.rowrules import RowRules

MOMENT = pa.timestamp("us", "UTC")

QUARANTINE = pa.schema(
    [
        pa.field("file", pa.string()),
        pa.field("row", pa.int64()),
        pa.field("field", pa.string()),
        pa.field("code", pa.string()),
        pa.field("faults", pa.string()),
        pa.field("record", pa.string()),
    ]
)
"""Refused rows: where they stood, the first fault (field and rule), all faults, and the row itself as JSON.
Confidential: looking into it is an audited act."""

Fault = tuple[str, str, pa.Array]


class Checker:
    """Check batches of one delivery.

    Parameters
    ----------
    spec
        The dataset's specification.
    columns
        Columns that the source has.
    codes
        Codes by field, for code fields.
    known_at
        Knowledge time of the delivery; None where the vintage is a column.
    deletions
        The delivery lists keys to take back; only key columns are read.
    tz
        The room's zone, in which a vintage's day ends.
    where
        Words for messages.

    Raises
    ------
    DataError
        Columns are missing or unknown.
    """

    def __init__(
        self,
        spec: DatasetSpec,
        columns: Sequence[str],
        *,
        codes: Mapping[str, Sequence[str]],
        known_at: datetime | None,
        deletions: bool,
        tz: ZoneInfo,
        where: str,
    ) -> None:
        self._spec, self._where, self._tz = spec, where, tz
        self._known_at = known_at
        self._keys = frozenset(spec.key)
        self._codes = {name: pa.array(list(values), pa.string()) for name, values in codes.items()}
        self._fields = [f for f in spec.fields if not deletions or f.name in self._keys]
        self._deletions = deletions
        self._vintage = "" if deletions else spec.known_at_field
        self._check_columns(set(columns))
        self._present = frozenset(columns)
        self.schema = self._out_schema()
        judged = spec.rules and not deletions and known_at is not None
        self._rules = RowRules(spec, local_day(known_at, tz)) if judged and known_at is not None else None

    def _check_columns(self, columns: set[str]) -> None:
        spec = self._spec
        needed = {f.source for f in self._fields if f.required or f.name in self._keys}
        if self._vintage:
            needed.add(self._vintage)
        missing = sorted(needed - columns)
        if missing:
            raise refuse("OPS-D003", self._where, ", ".join(missing))
        known = {f.source for f in spec.fields} | {spec.known_at_field}
        extra = sorted(columns - known)
        if extra and not spec.ignore_extra:
            raise refuse("OPS-D004", self._where, ", ".join(extra))

    def _out_schema(self) -> pa.Schema:
        columns = [pa.field(f.name, f.arrow_type()) for f in self._spec.fields]
        columns.append(pa.field("source_row", pa.int64()))
        if self._vintage:
            columns.append(pa.field("known_at", MOMENT))
        return pa.schema(columns)

    def check(self, raw: RawBatch) -> tuple[pa.RecordBatch, pa.Table | None]:
        """Return the good rows (in `schema`) and the refused ones (in `QUARANTINE`, or None)."""
        batch = raw.columns
        faults: list[Fault] = []
        out: list[pa.Array] = []
        limit, moments = self._limits(batch, faults)
        wanted = {f.name for f in self._fields}
        for field in self._spec.fields:
            if field.name not in wanted or field.source not in self._present:
                out.append(pa.nulls(batch.num_rows, field.arrow_type()))
                continue
            values = self._cast(batch.column(field.source), field, faults)
            self._check_values(values, field, faults, limit)
            out.append(values)
        out.append(raw.ids())
        if moments is not None:
            out.append(moments)
        good = pa.RecordBatch.from_arrays(out, schema=self.schema)
        if self._rules is not None:
            faults += [(name, "OPS-D053", mask) for name, mask in self._rules.broken(good)]
        broken = _broken(raw) if raw.broken else None
        if not faults:
            return good, broken
        bad = np.zeros(batch.num_rows, dtype=bool)
        for _, _, mask in faults:
            bad |= mask.to_numpy(zero_copy_only=False)
        refused = _refused(raw, faults, pa.array(bad))
        return good.filter(pa.array(~bad)), pa.concat_tables([broken, refused]) if broken else refused

    def _cast(self, column: pa.Array, field: FieldSpec, faults: list[Fault]) -> pa.Array:
        frequency = Frequency(self._spec.frequency) if field.name == self._spec.period else None
        try:
            done = cast(column, field, frequency, self._spec.missing, self._spec.layout)
        except (UncastableError, pa.ArrowNotImplementedError):
            detail = f"{field.source} is {column.type}, wanted {field.type}"
            raise refuse("OPS-D010", self._where, detail) from None
        faults += [(field.name, code, mask) for code, mask in done.faults]
        return done.values

    def _check_values(
        self, values: pa.Array, field: FieldSpec, faults: list[Fault], limit: pa.Scalar | pa.Array | None
    ) -> None:
        key = field.name in self._keys
        if values.null_count and (key or field.required):
            empty = pc.is_null(values)
            for name, _, mask in faults:
                if name == field.name:  # already told: not a date, not a number …
                    empty = pc.and_(empty, pc.invert(mask))
            code = "OPS-D022" if key else "OPS-D032" if field.name == "legal_form" else "OPS-D023"
            _add(faults, field.name, code, empty)
        if field.type == "code":
            known = pc.is_in(values, value_set=self._codes[field.name])
            _add(faults, field.name, "OPS-D029", pc.and_(pc.is_valid(values), pc.invert(known)))
        if field.min is not None or field.max is not None:
            span = pc.min_max(values).as_py()
            if span["min"] is not None:
                if field.min is not None and span["min"] < field.min:
                    _add(faults, field.name, "OPS-D028", pc.less(values, field.min))
                if field.max is not None and span["max"] > field.max:
                    _add(faults, field.name, "OPS-D028", pc.greater(values, field.max))
        if field.name == self._spec.period and limit is not None:
            late = pc.greater(values, limit)
            _add(faults, field.name, "OPS-D030", late)

    def _limits(
        self, batch: pa.RecordBatch, faults: list[Fault]
    ) -> tuple[pa.Scalar | pa.Array | None, pa.Array | None]:
        """Return the last period that may be delivered, and each row's knowledge time if it is a column."""
        hourly = self._spec.frequency == Frequency.HOURLY
        if not self._vintage:
            if self._known_at is None or self._spec.allow_future:
                return None, None
            day = local_day(self._known_at, self._tz)
            return (pa.scalar(self._known_at, MOMENT) if hourly else pa.scalar(day, pa.date32())), None
        vintage = FieldSpec(name="vintage", type="date", date_format=self._spec.layout.known_at_format)
        column = batch.column(self._vintage)
        try:
            done = cast(column, vintage, None, self._spec.missing)
        except UncastableError:
            raise refuse("OPS-D010", self._where, f"{self._vintage} is {column.type}") from None
        empty = pc.is_null(done.values)
        encoded = done.values.dictionary_encode()
        ends = [end_of_day(day, self._tz) for day in encoded.dictionary.to_pylist()]
        moments = pa.array(ends, MOMENT).take(encoded.indices)
        if self._known_at is not None:
            # A provider's vintage of today ends after the moment of delivery, on the same day.
            later = pc.greater(moments, pa.scalar(self._known_at + timedelta(days=1), MOMENT))
            empty = pc.or_(empty, pc.fill_null(later, False))
        _add(faults, self._vintage, "OPS-D036", empty)
        limit = None if self._spec.allow_future else (moments if hourly else done.values)
        return limit, moments


def _add(faults: list[Fault], field: str, code: str, mask: pa.Array) -> None:
    mask = pc.fill_null(mask, False)
    if pc.any(mask).as_py():
        faults.append((field, code, mask))


def _broken(raw: RawBatch) -> pa.Table:
    rows, codes, texts = zip(*raw.broken, strict=True)
    count = len(rows)
    return pa.table(
        [
            pa.repeat(raw.file, count),
            pa.array(rows, pa.int64()),
            pa.repeat("", count),
            pa.array(codes, pa.string()),
            pa.array([f":{code}" for code in codes], pa.string()),
            pa.array(texts, pa.string()),
        ],
        schema=QUARANTINE,
    )


def _refused(raw: RawBatch, faults: Sequence[Fault], bad: pa.Array) -> pa.Table:
    """Describe the rows at fault: the first fault in the order of the checks, and all of them."""
    none = pa.scalar(None, pa.string())
    told = [
        (pc.if_else(m, name, none), pc.if_else(m, code, none), pc.if_else(m, f"{name}:{code}", none))
        for name, code, m in ((name, code, mask.filter(bad)) for name, code, mask in faults)
    ]
    fields, codes, both = zip(*told, strict=True)
    rows = raw.columns.filter(bad)
    return pa.table(
        [
            pa.repeat(raw.file, rows.num_rows),
            raw.rows.filter(bad),
            pc.coalesce(*fields),
            pc.coalesce(*codes),
            pc.binary_join_element_wise(*both, ";", null_handling="skip"),
            as_json(pa.Table.from_batches([rows])),
        ],
        schema=QUARANTINE,
    )


def as_json(rows: pa.Table) -> pa.ChunkedArray:
    """Write each row as a JSON object."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.register("rows", rows)
        return con.execute("SELECT CAST(to_json(rows) AS VARCHAR) AS record FROM rows").to_arrow_table().column(0)
