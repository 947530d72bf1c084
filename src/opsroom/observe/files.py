"""Data files of the store: Parquet with the store's columns and the statistics that prune reads."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from opsroom.base.specs import DatasetSpec
from opsroom.observe.stats import column_stats

ROW_GROUP = 1 << 17
"""Rows of a Parquet row group."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """What every row of a delivery carries beside its own content.

    Attributes
    ----------
    known_at
        Knowledge time; None where each row has its own (vintages).
    recorded_at
        When the delivery is written.
    delivery
        Its number in the dataset.
    """

    known_at: datetime | None
    recorded_at: datetime
    delivery: int


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file that is written but not yet committed.

    Attributes
    ----------
    path
        Where it lies.
    part
        ``first``, ``revised``, ``current`` or ``past``: see `StoredFile`.
    rows
        Number of rows.
    stats
        Statistics for the log: smallest and largest values of key, period and knowledge time.
    """

    path: Path
    part: str
    rows: int
    stats: dict[str, Any]

    def action(self, table: Path) -> AddAction:
        """Return the entry of the Delta log."""
        info = self.path.stat()
        return AddAction(
            path=self.path.relative_to(table).as_posix(),
            size=info.st_size,
            partition_values={"part": self.part},
            modification_time=int(info.st_mtime * 1000),
            data_change=True,
            stats=json.dumps(self.stats),
        )


class FileWriter:
    """Write one data file, row group by row group.

    Parameters
    ----------
    table
        Folder of the Delta table.
    part
        ``first``, ``revised``, ``current`` or ``past``: see `StoredFile`.
    spec
        The dataset's specification.
    stamp
        What each row carries; None where rows bring all of it (files that are written anew).
    """

    def __init__(self, table: Path, part: str, spec: DatasetSpec, stamp: Stamp | None) -> None:
        self._spec, self._part = spec, part
        self._stamp = stamp
        self._schema = spec.arrow_schema(system=True)
        folder = table / f"part={part}"
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{file_mark(spec, stamp)}-{uuid.uuid4().hex}.parquet"
        self._rows = 0
        self._low: dict[str, Any] = {}
        self._high: dict[str, Any] = {}
        self._watched = [*dict.fromkeys([*spec.key, "known_at", "delivery", "known_to", "op"])]
        texts = [f.name for f in self._schema if pa.types.is_string(f.type)]
        # Ids, days, counters and constants shrink to a few bits by differences, at the cost of a copy.
        packed = {
            f.name: "DELTA_BINARY_PACKED"
            for f in self._schema
            if f.name not in texts and not pa.types.is_boolean(f.type) and not pa.types.is_floating(f.type)
        }
        self._writer = pq.ParquetWriter(
            self.path,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=texts or False,
            column_encoding=packed,
            write_statistics=True,
        )

    @property
    def rows(self) -> int:
        """Number of rows written so far."""
        return self._rows

    def write(self, rows: pa.Table, *, op: int = 0) -> None:
        """Append rows that hold the fields, ``source_row`` and, for vintages, ``known_at``; maybe ``op``."""
        if not rows.num_rows:
            return
        stamped = self._stamped(rows, op)
        for name in tuple(self._watched):
            low, high = column_stats(stamped.column(name))
            if low is None and name == "known_to":
                continue  # its bounds are of the rows that have one
            if low is None:
                self._watched.remove(name)  # without a bound for some rows there is none for the file
                self._low.pop(name, None)
                self._high.pop(name, None)
            else:
                self._low[name] = min(self._low.get(name, low), low)
                self._high[name] = max(self._high.get(name, high), high)
        self._writer.write_table(stamped, row_group_size=ROW_GROUP)
        self._rows += stamped.num_rows

    def _stamped(self, rows: pa.Table, op: int) -> pa.Table:
        count = rows.num_rows
        stamp = self._stamp
        constants: dict[str, Any] = {"op": op, "known_to": None, "prior_file": None, "prior_row": None}
        if stamp is not None:
            constants |= {
                "known_at": stamp.known_at,
                "recorded_at": stamp.recorded_at,
                "delivery": stamp.delivery,
            }
        columns = []
        for field in self._schema:
            if field.name in rows.column_names:
                columns.append(rows.column(field.name).cast(field.type))
            else:
                columns.append(pa.repeat(pa.scalar(constants[field.name], field.type), count))
        return pa.table(columns, schema=self._schema)

    def close(self) -> DataFile:
        """Finish the file and force it to disk: the log may only name what survives a power cut."""
        self._writer.close()
        with self.path.open("rb+") as handle:
            os.fsync(handle.fileno())
        stats = {
            "numRecords": self._rows,
            "minValues": {k: _plain(v) for k, v in self._low.items()},
            "maxValues": {k: _plain(v) for k, v in self._high.items()},
            "nullCount": {},
        }
        return DataFile(self.path, self._part, self._rows, stats)

    def discard(self) -> None:
        """Drop the file, finished or not."""
        abandon(self._writer)
        self.path.unlink(missing_ok=True)


def file_mark(spec: DatasetSpec, stamp: Stamp | None) -> str:
    """Return the first part of a data file's name: its delivery, and the version of the specification."""
    return f"{f'd{stamp.delivery:06d}' if stamp is not None else 'c'}-v{spec.version}"


def version_in(name: str) -> int:
    """Return the version of the specification under which a data file of that name was written."""
    return int(name.split("-")[1][1:])


def _plain(value: Any) -> Any:  # a bound as the Delta log writes it: JSON
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, date) else value


def abandon(writer: pq.ParquetWriter) -> None:
    """Let go of a Parquet file that will be deleted."""
    try:
        # A full disk refuses the footer as it refused the rows: of no interest, the file is thrown away.
        with contextlib.suppress(OSError, pa.ArrowException):
            writer.close()
    finally:
        writer.is_open = False  # else the writer tries once more when it is collected


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(files: Iterable[DataFile]) -> None:
    """Delete files that will not be committed."""
    for file in files:
        file.path.unlink(missing_ok=True)


def in_period_order(rows: pa.Table, spec: DatasetSpec, *, force: bool = False) -> pa.Table:
    """Return rows ordered by period, so that row groups can be skipped; sorted only if need be.

    Where they are sorted (or with `force`), the rest of the key and the knowledge time follow.
    """
    order = [spec.period, *(k for k in spec.key if k != spec.period)]
    order += ["known_at"] if "known_at" in rows.column_names else []
    if rows.num_rows > 1 and (force or not _ascending(rows.column(spec.period))):
        return rows.sort_by([(name, "ascending") for name in order])
    return rows


def _ascending(column: pa.ChunkedArray) -> bool:
    values = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    count = len(values)
    return bool(pc.all(pc.less_equal(values.slice(0, count - 1), values.slice(1))).as_py())
