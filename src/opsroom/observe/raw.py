"""Rows as a source has them, and the names of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from opsroom.observe.quality import refuse


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Rows as the source has them.

    Attributes
    ----------
    file
        Name of the file (without folders), empty for tables in memory.
    columns
        One array a column of the source.
    rows
        Row numbers in the file, int64.
    base
        Rows of the files before: `rows` + `base` is unique in the delivery.
    broken
        Lines that could not be split or decoded: (row, code, text).
    notes
        Rows that were left out as remarks.
    fold, places
        Of a wide table: how many records a row may make, and which of them each is, from 0.
    """

    file: str
    columns: pa.RecordBatch
    rows: pa.Int64Array
    broken: tuple[tuple[int, str, str], ...] = ()
    base: int = 0
    notes: tuple[int, ...] = ()
    fold: int = 1
    places: pa.Int64Array | None = None

    def ids(self) -> pa.Int64Array:
        """Return a number for each record, unique in the delivery: the row's, times `fold`, plus its place."""
        rows = pc.add(self.rows, self.base) if self.base else self.rows
        return rows if self.places is None else pc.add(pc.multiply(rows, self.fold), self.places)


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse columns without a name or with one given twice.

    Raises
    ------
    DataError
        ``OPS-D009``.
    """
    twice = sorted({n for n in names if list(names).count(n) > 1})
    if twice or not names or any(not n.strip() for n in names):
        detail = f"given twice: {', '.join(twice)}" if twice else "a column has no name"
        raise refuse("OPS-D009", where, detail)


def filled_names(names: Sequence[str]) -> tuple[str, ...]:
    """Name columns that have no name, or one given before, by their place (from 1)."""
    found: list[str] = []
    for place, name in enumerate(names, 1):
        free = name.strip() and name not in found
        found.append(name if free else f"column_{place}")
    return tuple(found)
