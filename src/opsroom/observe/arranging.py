"""Undo a file's layout: remarks left out, the period put together, wide tables made long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from opsroom.base.errors import UsageError
from opsroom.base.periods import Frequency
from opsroom.base.specs import DatasetSpec
from opsroom.observe.casting import read_period, trim
from opsroom.observe.quality import refuse
from opsroom.observe.raw import RawBatch
from opsroom.observe.readers import Reading

CELLS = 1 << 21
"""Cells of a wide table that are turned at once."""


def arrange(reading: Reading, spec: DatasetSpec, *, where: str) -> Reading:
    """Return the reading with one column a field and one row a record.

    Raises
    ------
    DataError
        ``OPS-D003``: columns that the layout names are missing, or no column is a period.
    """
    layout = spec.layout
    names, batches = reading.columns, reading.batches
    if layout.notes:
        batches = without_notes(batches)
    if layout.period_parts or layout.period_value:
        missing = [name for name in layout.period_parts if name not in names]
        if missing:
            raise refuse("OPS-D003", where, ", ".join(missing))
        column = spec.field(spec.period).source
        batches = _with_period(batches, column, layout.period_parts, layout.period_value)
        names = (*[n for n in names if n not in layout.period_parts], column)
    if layout.header_to:
        turned = turned_columns(names, spec)
        if not turned:
            raise refuse("OPS-D003", where, f"no column to be turned into {layout.header_to!r}")
        kept = tuple(n for n in names if n not in turned)
        batches = _long(batches, kept, turned, spec)
        names = (*kept, layout.header_to, layout.cells_to)
    if batches is reading.batches:
        return reading
    return replace(reading, columns=names, batches=batches)


def turned_columns(names: tuple[str, ...], spec: DatasetSpec) -> tuple[str, ...]:
    """Return the columns of a wide table whose cells become rows."""
    target = spec.layout.header_to
    claimed = {f.source for f in spec.fields} | {spec.known_at_field}
    free = tuple(n for n in names if n not in claimed)
    period = spec.field(spec.period)
    if period.source != target:
        return free
    return tuple(n for n in free if _is_period(n, Frequency(spec.frequency), period.date_format))


def _is_period(name: str, frequency: Frequency, written: str) -> bool:
    try:
        read_period(name, frequency, written)
    except UsageError:
        return False
    return True


def _filled(batch: pa.RecordBatch) -> np.ndarray:
    """Count the filled cells of each row."""
    count = np.zeros(batch.num_rows, np.int32)
    for column in batch.columns:
        count += np.asarray(pc.is_valid(column))
    return count


def without_notes(batches: Iterator[RawBatch]) -> Iterator[RawBatch]:
    """Leave out rows in which no more than one cell is filled."""
    for raw in batches:
        if raw.columns.num_columns < 2:
            yield raw
            continue
        filled = _filled(raw.columns)
        keep = pa.array(filled > 1)
        notes = (*raw.notes, *raw.rows.filter(pa.array(filled == 1)).to_pylist())
        yield replace(raw, columns=raw.columns.filter(keep), rows=raw.rows.filter(keep), notes=notes)


def _with_period(batches: Iterator[RawBatch], column: str, parts: tuple[str, ...], value: str) -> Iterator[RawBatch]:
    for raw in batches:
        batch = raw.columns
        if parts:
            words = [_padded(batch.column(name), 4 if place == 0 else 2) for place, name in enumerate(parts)]
            period = pc.binary_join_element_wise(*words, "-")
        else:
            period = pa.repeat(pa.scalar(value, pa.string()), batch.num_rows)
        names = [n for n in batch.schema.names if n not in parts]
        arrays = [batch.column(n) for n in names]
        yield replace(raw, columns=pa.record_batch([*arrays, period], names=[*names, column]))


def _padded(column: pa.Array, width: int) -> pa.Array:
    if pa.types.is_floating(column.type):
        whole = pc.equal(pc.round(column), column)
        column = pc.if_else(whole, column, pa.scalar(None, column.type)).cast(pa.int64(), safe=False)
    text = column.cast(pa.string()) if not pa.types.is_dictionary(column.type) else column.dictionary_decode()
    return pc.utf8_lpad(trim(text.cast(pa.string()), ()), width, "0")


def _long(
    batches: Iterator[RawBatch], kept: tuple[str, ...], turned: tuple[str, ...], spec: DatasetSpec
) -> Iterator[RawBatch]:
    """Turn each cell into a row; the rows of one line stand together and share its number."""
    layout, width = spec.layout, len(turned)
    step = max(1, CELLS // width)
    for raw in batches:
        broken = raw.broken
        for start in range(0, max(raw.columns.num_rows, 1), step):
            batch, rows = raw.columns.slice(start, step), raw.rows.slice(start, step)
            height = batch.num_rows
            line = np.repeat(np.arange(height), width)
            cells = pa.concat_arrays([_cells(batch.column(n), spec) for n in turned])
            # Column after column lies behind one another; a row's cells are `height` apart.
            cells = cells.take(pa.array(np.arange(height * width).reshape(width, height).T.ravel()))
            filled = pc.is_valid(cells)
            at = pa.array(line)
            header = pa.array(list(turned), pa.string()).take(pa.array(np.tile(np.arange(width), height)))
            columns = pa.record_batch(
                [*(batch.column(n).take(at) for n in kept), header, cells],
                names=[*kept, layout.header_to, layout.cells_to],
            )
            yield replace(
                raw,
                columns=columns.filter(filled),
                rows=rows.take(at).filter(filled),
                places=pa.array(np.tile(np.arange(width, dtype=np.int64), height)).filter(filled),
                fold=width,
                broken=broken,
            )
            broken = ()


def _cells(column: pa.Array, spec: DatasetSpec) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return trim(column.cast(pa.string()), spec.missing)
