"""Snapshots: what a complete delivery no longer holds is taken back by a tombstone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

import duckdb
import pyarrow as pa

from opsroom.observe.quality import refuse
from opsroom.observe.shapes import Shapes, literal, quote, scan
from opsroom.observe.tables import StoredFile
from opsroom.observe.views import as_of_sql


def with_tombstones(
    con: duckdb.DuckDBPyConnection,
    shapes: Shapes,
    stored: Sequence[StoredFile],
    rows: pa.Table,
    *,
    known_at: datetime | None,
    where: str,
) -> pa.Table:
    """Add to a complete delivery the rows that take back what it no longer holds.

    Parameters
    ----------
    con
        A DuckDB connection.
    shapes, stored
        The versions of the dataset's specification and its committed files.
    rows
        The delivery; for vintages with ``known_at``.
    known_at
        Knowledge time of the delivery; None where each row has its own: then each vintage is compared with
        the one before it, and the first with what was known before it.
    where
        Words for messages.

    Returns
    -------
    pyarrow.Table
        The rows with ``known_at`` and ``op`` (1 for a row taken back).

    Raises
    ------
    DataError
        More than ``max_drop`` of the rows would be taken back: the delivery is taken for cut short.
    """
    spec = shapes.spec
    key = ", ".join(quote(k) for k in spec.key)
    moment = "known_at" if known_at is None else literal(known_at)
    con.register("snapshot_rows", rows)
    names = ", ".join(quote(f.name) for f in spec.fields)
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE given AS SELECT {names}, source_row, {moment} AS known_at, "
        f"CAST(0 AS TINYINT) AS op FROM snapshot_rows"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE vintages AS "
        "SELECT known_at, row_number() OVER (ORDER BY known_at) AS n "
        "FROM (SELECT DISTINCT known_at FROM given)"
    )
    first = con.execute("SELECT min(known_at) AS t FROM vintages").to_arrow_table().column("t")[0].as_py()
    opening = known_at or first
    if opening is None:
        return rows
    before = opening if known_at is not None else opening - timedelta(microseconds=1)
    state = as_of_sql(shapes, stored, before, columns=list(spec.key))
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE held AS "
        f"SELECT {key}, n + 1 AS n FROM given JOIN vintages USING (known_at) "
        f"UNION SELECT {key}, 1 AS n FROM ({state})"
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE gone AS SELECT {key}, n, known_at FROM held JOIN vintages USING (n) "
        f"ANTI JOIN given USING ({key}, known_at)"
    )
    worst = con.execute(
        "SELECT max(g.lost / h.total) FROM (SELECT n, count(*) AS lost FROM gone GROUP BY n) g "
        "JOIN (SELECT n, count(*) AS total FROM held GROUP BY n) h USING (n)"
    ).fetchone()
    if worst is not None and worst[0] is not None and worst[0] > spec.max_drop:
        raise refuse("OPS-D013", where, f"more than {spec.max_drop:.0%} of them")
    values = ", ".join(quote(f.name) if f.name in spec.key else f"NULL AS {quote(f.name)}" for f in spec.fields)
    return con.execute(
        f"FROM given UNION ALL SELECT {values}, NULL AS source_row, known_at, 1 AS op FROM gone"
    ).to_arrow_table()


class Absent:
    """What a complete delivery no longer holds, found range by range of periods: for deliveries beyond memory.

    The rows stay in the engine, which spills them to disk.

    Parameters
    ----------
    con
        A DuckDB connection.
    shapes, stored
        The versions of the dataset's specification and its committed files.
    known_at
        Knowledge time of the delivery.
    where
        Words for messages.
    """

    TABLE = "absent_rows"

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        shapes: Shapes,
        stored: Sequence[StoredFile],
        *,
        known_at: datetime,
        where: str,
    ) -> None:
        self._con, self._shapes, self._stored, self._moment, self._where = con, shapes, stored, known_at, where
        self._spans: list[tuple[date, date]] = []
        self.rows = 0

    def within(self, span: tuple[date, date], files: Sequence[str]) -> str | None:
        """Return SQL of the rows that take back what files, which hold all rows of a range of periods, leave out.

        Parameters
        ----------
        span
            First and last day of the range.
        files
            Paths of the staged files.

        Returns
        -------
        str or None
            SQL of the fields, ``source_row`` and ``op`` = 1; None where nothing is left out. It holds until the
            next call.
        """
        self._spans.append(span)
        key = ", ".join(quote(k) for k in self._shapes.spec.key)
        low, high = self._bounds(span)
        held = as_of_sql(
            self._shapes,
            self._stored,
            self._moment,
            columns=list(self._shapes.spec.key),
            period_from=low,
            period_to=high,
        )
        return self._keep(f"({held}) ANTI JOIN (SELECT {key} FROM {scan(files)}) USING ({key})")

    def beside(self) -> str | None:
        """Return such SQL for the periods outside all ranges, of which the delivery says nothing.

        Raises
        ------
        DataError
            More than ``max_drop`` of the rows would be taken back, these and those `within` found.
        """
        spec = self._shapes.spec
        held = as_of_sql(self._shapes, self._stored, self._moment, columns=list(spec.key))
        period = quote(spec.period)
        spans = (self._bounds(span) for span in self._spans)
        told = " OR ".join(f"{period} BETWEEN {literal(low)} AND {literal(high)}" for low, high in spans)
        found = self._keep(f"({held}) WHERE NOT ({told or 'false'})")
        total = self._count(f"({held})")
        if total and self.rows / total > spec.max_drop:
            raise refuse("OPS-D013", self._where, f"more than {spec.max_drop:.0%} of them")
        return found

    def _keep(self, rows: str) -> str | None:
        spec = self._shapes.spec
        values = ", ".join(quote(f.name) if f.name in spec.key else f"NULL AS {quote(f.name)}" for f in spec.fields)
        self._con.execute(f"CREATE OR REPLACE TEMP TABLE {self.TABLE} AS FROM {rows}")
        found = self._count(self.TABLE)
        self.rows += found
        op = "CAST(1 AS TINYINT) AS op"
        return f"SELECT {values}, NULL AS source_row, {op} FROM {self.TABLE}" if found else None

    def _count(self, rows: str) -> int:
        found = self._con.execute(f"SELECT count(*) FROM {rows}").fetchone()
        return 0 if found is None else int(found[0])

    def _bounds(self, span: tuple[date, date]) -> tuple[date, date]:
        spec = self._shapes.spec
        if any(f.name == spec.period and f.type == "datetime" for f in spec.fields):
            return datetime.combine(span[0], time.min, UTC), datetime.combine(span[1], time.max, UTC)
        return span
