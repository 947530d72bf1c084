"""Write rows in quarantine: one Parquet file a delivery, counted only once the delivery is committed."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from opsroom.observe.checks import QUARANTINE
from opsroom.observe.files import abandon


class Quarantine:
    """The quarantine file of one delivery, made when its first row comes.

    Parameters
    ----------
    folder
        Folder of the dataset's quarantine.
    name
        Name of the file.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path = folder / name
        self._writer: pq.ParquetWriter | None = None
        self._bases: list[tuple[int, str]] = []
        self._fold = 1
        self.reasons: Counter[str] = Counter()

    def begin_file(self, base: int, file: str, fold: int = 1) -> None:
        """Note that the delivery's rows above `base` come from a file, each of which makes `fold` records."""
        self._fold = fold
        if not self._bases or self._bases[-1] != (base, file):
            self._bases.append((base, file))

    def add(self, rows: pa.Table) -> None:
        """Add rows of the schema `QUARANTINE`."""
        if not rows.num_rows:
            return
        if self._writer is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, QUARANTINE, compression="zstd")
        self._writer.write_table(rows.cast(QUARANTINE))
        for entry in rows.column("code").value_counts().to_pylist():
            self.reasons[entry["values"]] += entry["counts"]

    def add_found(self, found: pa.Table | None) -> None:
        """Add rows that the comparison refused: source_row, code, field, record."""
        if found is None or not found.num_rows:
            return
        starts = [base for base, _ in self._bases]
        lines = [number // self._fold for number in found.column("source_row").to_pylist()]
        places = [self._bases[bisect_right(starts, row - 1) - 1] for row in lines]
        rows = [row - base for row, (base, _) in zip(lines, places, strict=True)]
        pairs = zip(found.column("field").to_pylist(), found.column("code").to_pylist(), strict=True)
        self.add(
            pa.table(
                {
                    "file": pa.array([file for _, file in places], pa.string()),
                    "row": pa.array(rows, pa.int64()),
                    "field": found.column("field"),
                    "code": found.column("code"),
                    "faults": pa.array([f"{name}:{code}" for name, code in pairs], pa.string()),
                    "record": found.column("record"),
                }
            )
        )

    @property
    def total(self) -> int:
        """Number of rows so far."""
        return self.reasons.total()

    def close(self) -> str:
        """Force the file to disk and return its name, empty where there is none."""
        if self._writer is None:
            return ""
        self._writer.close()
        self._writer = None
        with self._path.open("rb+") as handle:
            os.fsync(handle.fileno())
        return self._path.name

    def discard(self) -> None:
        """Delete the file."""
        if self._writer is not None:
            abandon(self._writer)
            self._writer = None
        self._path.unlink(missing_ok=True)
