"""Hold arriving rows: in memory while they are few, else in data files cut by month, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from opsroom.base.specs import DatasetSpec
from opsroom.observe.files import ROW_GROUP, DataFile, FileWriter, Stamp, discard, in_period_order
from opsroom.observe.stats import OrderWatch

MEMORY = 64 << 20
"""Bytes of rows that are held in memory; beyond, they are staged on disk."""

BUFFERS = 96 << 20
"""Bytes of rows that wait for their row group while staging."""

OPEN_FILES = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """Arriving rows of some periods; no key occurs in two chunks.

    Attributes
    ----------
    rows
        The rows in memory, ordered by period; None when they are staged.
    files
        The staged files, already in the store's form.
    distinct
        The keys were seen to be distinct.
    span
        First and last day of the periods of staged rows: no other chunk holds rows of them.
    """

    rows: pa.Table | None
    files: tuple[DataFile, ...]
    distinct: bool
    span: tuple[date, date] | None = None


@dataclass(slots=True)
class _Bucket:
    """Rows of one month (or year): a buffer, its open file and its finished ones."""

    watch: OrderWatch
    buffer: list[pa.RecordBatch] = field(default_factory=list)
    rows: int = 0
    size: int = 0
    writer: FileWriter | None = None
    done: list[DataFile] = field(default_factory=list)
    used: int = 0


class Stage:
    """Collect the good rows of one delivery.

    Parameters
    ----------
    table
        Folder of the Delta table: staged files lie where they will stay.
    spec
        The dataset's specification.
    stamp
        What each row carries.
    schema
        Of the arriving rows.
    spill
        Whether rows may go to disk (vintages of a snapshot are compared as a whole and stay in memory).
    """

    def __init__(self, table: Path, spec: DatasetSpec, stamp: Stamp, schema: pa.Schema, *, spill: bool) -> None:
        self._table, self._spec, self._stamp, self._schema = table, spec, stamp, schema
        self._spill = spill
        self._held: list[pa.RecordBatch] = []
        self._held_size = 0
        self._watch = self._new_watch()
        self._buckets: dict[int, _Bucket] | None = None
        self._clock = 0
        self._buffered = 0
        self.rows = 0

    def _new_watch(self) -> OrderWatch:
        vintage = ["known_at"] if "known_at" in self._schema.names else []
        key = [k for k in self._spec.key if k != self._spec.period]
        return OrderWatch([[*key, self._spec.period, *vintage], [self._spec.period, *key, *vintage]])

    def add(self, batch: pa.RecordBatch) -> None:
        """Add rows."""
        if not batch.num_rows:
            return
        self.rows += batch.num_rows
        if self._buckets is not None:
            self._deal(batch)
            return
        self._held.append(batch)
        self._held_size += batch.nbytes
        self._watch.add(pa.Table.from_batches([batch]))
        if self._spill and self._held_size > MEMORY:
            self._buckets = {}
            held, self._held = self._held, []
            for one in held:
                self._deal(one)

    def _deal(self, batch: pa.RecordBatch) -> None:
        """Deal rows to the buckets of their periods, keeping their order."""
        column = batch.column(self._spec.period)
        unit = self._unit
        days = column.cast(pa.date32(), safe=False).cast(pa.int32()).to_numpy()
        marks = days.astype("datetime64[D]").astype(f"datetime64[{unit}]").astype(np.int64)
        low, high = int(marks.min()), int(marks.max())
        if low == high:
            self._give(low, batch)
            return
        order = np.argsort((marks - low).astype(np.int32), kind="stable")
        dealt = batch.take(pa.array(order))
        present, starts = np.unique(marks[order], return_index=True)
        ends = [*starts[1:].tolist(), batch.num_rows]
        for mark, start, end in zip(present.tolist(), starts.tolist(), ends, strict=True):
            self._give(mark, dealt.slice(start, end - start))

    @property
    def _unit(self) -> Literal["Y", "M"]:
        return "Y" if self._spec.frequency in ("A", "event") else "M"

    def _span(self, mark: int) -> tuple[date, date]:
        """Return the first and the last day of a bucket."""
        first, after = (np.datetime64(n, self._unit).astype("datetime64[D]").astype(object) for n in (mark, mark + 1))
        return first, after - timedelta(days=1)

    def _give(self, mark: int, rows: pa.RecordBatch) -> None:
        buckets = self._buckets if self._buckets is not None else {}
        bucket = buckets.setdefault(mark, _Bucket(self._new_watch()))
        size = rows.get_total_buffer_size() if rows.num_rows == len(rows) else rows.nbytes
        size = min(size, rows.nbytes)
        bucket.buffer.append(rows)
        bucket.rows += rows.num_rows
        bucket.size += size
        self._buffered += size
        if bucket.rows >= ROW_GROUP:
            self._flush(bucket)
        while self._buffered > BUFFERS:
            self._flush(max(buckets.values(), key=lambda b: b.size))

    def _flush(self, bucket: _Bucket) -> None:
        if not bucket.rows:
            return
        self._clock += 1
        bucket.used = self._clock
        rows = pa.Table.from_batches(bucket.buffer).combine_chunks()
        bucket.watch.add(rows)
        if bucket.writer is None:
            bucket.writer = FileWriter(self._table, "first", self._spec, self._stamp)
            self._limit_open_files()
        bucket.writer.write(rows)
        self._buffered -= bucket.size
        bucket.buffer.clear()
        bucket.rows = bucket.size = 0

    def _limit_open_files(self) -> None:
        buckets = self._buckets if self._buckets is not None else {}
        writing = [b for b in buckets.values() if b.writer is not None]
        if len(writing) > OPEN_FILES:
            self._close(min(writing, key=lambda b: b.used))

    @staticmethod
    def _close(bucket: _Bucket) -> None:
        if bucket.writer is not None:
            bucket.done.append(bucket.writer.close())
            bucket.writer = None

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows, chunk by chunk, once all have been added."""
        if self._buckets is None:
            rows = pa.Table.from_batches(self._held, self._schema)
            distinct = self._watch.distinct
            self._held.clear()
            rows = in_period_order(rows, self._spec, force=not distinct)
            if not distinct:  # in order, equal keys stand side by side
                watch = self._new_watch()
                watch.add(rows)
                distinct = watch.distinct
            yield Chunk(rows, (), distinct)
            return
        for bucket in self._buckets.values():
            self._flush(bucket)
            self._close(bucket)
        for mark in sorted(self._buckets):
            bucket = self._buckets[mark]
            yield Chunk(None, tuple(bucket.done), bucket.watch.distinct, self._span(mark))

    def discard(self) -> None:
        """Delete what was staged."""
        for bucket in (self._buckets or {}).values():
            if bucket.writer is not None:
                bucket.writer.discard()
                bucket.writer = None
            discard(bucket.done)
