"""Write stored files anew: in the order of periods, what holds apart from what is over, rows left out on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from opsroom.observe.files import DataFile, FileWriter, discard
from opsroom.observe.shapes import Shapes, literal, quote
from opsroom.observe.tables import StoredFile, Table

FILE_ROWS = 1 << 22
"""Rows after which the next period begins a new file."""

BATCH = 1 << 16


@dataclass(frozen=True, slots=True)
class Span:
    """Files whose periods overlap: no row outside has a key in common with theirs.

    Attributes
    ----------
    files
        The files.
    low, high
        Smallest and largest period.
    """

    files: tuple[StoredFile, ...]
    low: date | datetime
    high: date | datetime


def spans(files: Sequence[StoredFile], period: str) -> list[Span]:
    """Return the files in groups that share no period, in the order of periods."""
    found: list[list[StoredFile]] = []
    highest: Any = None
    for file in sorted(files, key=lambda f: (f.low[period], f.uri)):
        if highest is None or file.low[period] > highest:
            found.append([])
            highest = file.high[period]
        found[-1].append(file)
        highest = max(highest, file.high[period])
    return [Span(tuple(g), min(f.low[period] for f in g), max(f.high[period] for f in g)) for g in found]


class Rewriter:
    """Write spans of one dataset anew. Nothing counts before `Table.replace` names the files.

    Parameters
    ----------
    con
        A DuckDB connection.
    table
        The dataset's Delta table.
    shapes
        The versions of its specification; files are written in the newest.
    keep
        Makes SQL of the rows that stay of SQL of all; None where all do.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        table: Table,
        shapes: Shapes,
        *,
        keep: Callable[[str], str] | None = None,
    ) -> None:
        self._con, self._table, self._shapes = con, table, shapes
        self._keep = keep
        self._open: dict[str, FileWriter] = {}
        self.files: list[DataFile] = []

    def write(self, span: Span) -> None:
        """Write the rows of a span."""
        for begin, end in _months(span.low, span.high):
            files = [f for f in span.files if f.meets(self._shapes.spec.period, begin, end)]
            if files:
                self._write_month(files, begin, end)
            for part in [p for p, w in self._open.items() if w.rows >= FILE_ROWS]:
                self._close(part)

    def _write_month(self, files: Sequence[StoredFile], begin: date | datetime, end: date | datetime) -> None:
        spec = self._shapes.spec
        names = [f.name for f in spec.fields]
        columns = [*names, "known_at", "recorded_at", "delivery", "op", "source_row"]
        period = quote(spec.period)
        where = f" WHERE {period} >= {literal(begin)} AND {period} < {literal(end)}"
        rows = f"({self._shapes.rows(files, columns, where)})"
        if self._keep is not None:
            rows = self._keep(rows)
        key = ", ".join(quote(k) for k in spec.key)
        follows = f"lead(known_at) OVER (PARTITION BY {key} ORDER BY known_at, delivery) AS known_to"
        order = ", ".join([period, *(quote(k) for k in spec.key if k != spec.period), "known_at", "delivery"])
        reader = self._con.execute(f"SELECT *, {follows} FROM {rows} ORDER BY {order}").to_arrow_reader(BATCH)
        for batch in reader:
            holds = pc.and_(pc.is_null(batch.column("known_to")), pc.equal(batch.column("op"), 0))
            for part, mask in (("current", holds), ("past", pc.invert(holds))):
                self._append(part, pa.Table.from_batches([batch.filter(mask)]))

    def _append(self, part: str, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        if part not in self._open:
            self._open[part] = FileWriter(self._table.path, part, self._shapes.spec, None)
        self._open[part].write(rows)

    def _close(self, part: str) -> None:
        self.files.append(self._open[part].close())
        del self._open[part]

    def finish(self) -> list[DataFile]:
        """Close what is open and return the files."""
        for part in list(self._open):
            self._close(part)
        return self.files

    def discard(self) -> None:
        """Delete what was written."""
        for writer in self._open.values():
            writer.discard()
        self._open.clear()
        discard(self.files)


def _months(low: date | datetime, high: date | datetime) -> Iterator[tuple[Any, Any]]:
    """Yield the bounds, the upper one exclusive, of the months from day to day; of years where they are many."""
    first, last = np.datetime64(_plain(low), "M"), np.datetime64(_plain(high), "M")
    unit = "M" if (last - first).astype(int) <= 1_200 else "Y"
    first, last = first.astype(f"datetime64[{unit}]"), last.astype(f"datetime64[{unit}]")
    for mark in np.arange(first, last + 1):
        bounds = [m.astype("datetime64[D]").item() for m in (mark, mark + 1)]
        if isinstance(low, datetime):
            bounds = [datetime(d.year, d.month, d.day, tzinfo=UTC) for d in bounds]
        yield bounds[0], bounds[1]


def _plain(value: date | datetime) -> date:
    return value.astimezone(UTC).date() if isinstance(value, datetime) else value
