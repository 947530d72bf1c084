"""Series that were cut: what a delivery tells again of what is held, and what it leaves out in between.

Most deliveries bring what is new. One that tells the known periods again is comparable with what is held: a series
that lacks periods which it had, while others have them, was cut, at its start, at its end or in the middle. Nothing
is taken back for it, since only a declared snapshot is complete; an alarm says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime

import duckdb
import pyarrow as pa

from opsroom.observe.shapes import Shapes, quote, sql_type
from opsroom.observe.tables import StoredFile
from opsroom.observe.views import as_of_sql

TOLD = "told_again"


@dataclass(frozen=True, slots=True)
class Retold:
    """What a delivery tells again between its first and its last period, of the series measured.

    Attributes
    ----------
    held, told
        Rows held there before, and those of them that came again.
    series
        Series held there.
    start, middle, end, absent
        Of these, the series that begin later than they did (or than the delivery), have new holes, end earlier, or did
        not come at all. A series may count in several.
    cut
        Series that lack anything.
    """

    held: int = 0
    told: int = 0
    series: int = 0
    start: int = 0
    middle: int = 0
    end: int = 0
    absent: int = 0
    cut: int = 0

    @property
    def share(self) -> float:
        """Share of the rows held there that came again."""
        return self.told / self.held if self.held else 0.0

    def to_dict(self) -> dict[str, int]:
        """Return the counts."""
        return asdict(self)


class Retelling:
    """Collect which periods of which series a delivery brings, and compare them with what is held.

    Parameters
    ----------
    con
        A connection of the store's workbench.
    shapes, stored
        The versions of the dataset's specification, and its files before the delivery.
    every
        One series of so many is looked at.
    """

    def __init__(
        self, con: duckdb.DuckDBPyConnection, shapes: Shapes, stored: Sequence[StoredFile], *, every: int
    ) -> None:
        spec = shapes.spec
        self._con, self._shapes, self._stored = con, shapes, stored
        series = [quote(k) for k in spec.key if k != spec.period]
        self._series = f"hash({', '.join(series)})" if series else "CAST(0 AS UBIGINT)"
        self._sample = f" WHERE {self._series} % {every} = 0" if every > 1 and series else ""
        self._columns = f"{self._series} AS s, {quote(spec.period)} AS p"
        con.execute(f"CREATE OR REPLACE TEMP TABLE {TOLD} (s UBIGINT, p {sql_type(spec.field(spec.period))})")

    def add(self, rows: pa.Table | str) -> None:
        """Add rows of the delivery: a table, or SQL that reads them."""
        if isinstance(rows, pa.Table):
            self._con.register("retold_rows", rows)
        source = "retold_rows" if isinstance(rows, pa.Table) else f"({rows})"
        self._con.execute(f"INSERT INTO {TOLD} SELECT {self._columns} FROM {source}{self._sample}")
        if isinstance(rows, pa.Table):
            self._con.unregister("retold_rows")

    def measure(self, moment: datetime, first: date | datetime, last: date | datetime) -> Retold:
        """Compare with what was held as of a moment, from the delivery's first to its last period."""
        spec = self._shapes.spec
        held = as_of_sql(self._shapes, self._stored, moment, columns=list(spec.key), period_from=first, period_to=last)
        found = self._con.execute(
            f"""
            WITH told AS (SELECT DISTINCT s, p FROM {TOLD}),
            own AS (SELECT s, min(p) AS first, max(p) AS last FROM told GROUP BY s),
            held AS (SELECT DISTINCT {self._columns} FROM ({held}){self._sample}),
            marked AS (SELECT held.s AS s, told.p IS NOT NULL AS again, own.s IS NULL AS absent,
                              told.p IS NULL AND held.p < own.first AS early,
                              told.p IS NULL AND held.p > own.last AS late,
                              told.p IS NULL AND held.p BETWEEN own.first AND own.last AS inside
                       FROM held LEFT JOIN told ON told.s = held.s AND told.p = held.p LEFT JOIN own ON own.s = held.s),
            series AS (SELECT s, count(*) AS held, count(*) FILTER (again) AS told, bool_or(absent) AS absent,
                              bool_or(early) AS early, bool_or(late) AS late, bool_or(inside) AS inside
                       FROM marked GROUP BY s)
            SELECT coalesce(sum(held), 0), coalesce(sum(told), 0), count(*), count(*) FILTER (early),
                   count(*) FILTER (inside), count(*) FILTER (late), count(*) FILTER (absent),
                   count(*) FILTER (absent OR early OR late OR inside)
            FROM series
            """
        ).fetchone()
        self._con.execute(f"DROP TABLE {TOLD}")
        return Retold() if found is None else Retold(*(int(n) for n in found))
