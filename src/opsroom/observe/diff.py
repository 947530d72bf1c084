"""Compare arriving rows with what is stored: first rows, revisions, repetitions, contradictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from opsroom.observe.shapes import Shapes, literal, quote, scan
from opsroom.observe.tables import StoredFile

MANY = 5_000
"""Rows of known periods from which on those that say nothing new are set aside first: it takes a second look."""

ONLY = ("first", "current")
"""Parts of a table in which each key stands once at most: see `opsroom.observe.tables.StoredFile`."""


@dataclass(frozen=True, slots=True)
class Split:
    """What became of arriving rows.

    Attributes
    ----------
    first
        Rows whose key the store has never seen; None when that is every arriving row, untouched.
    revised
        Rows that change what was known of their key, tombstones among them (``op`` = 1); with ``known_at``, with
        the file and place of the stored row before them, and with the moment from which a later row holds.
    duplicates
        Rows that say what was known already, or what another row of the delivery says.
    refused
        ``source_row``, ``code``, ``field`` and ``record`` (JSON) of rows for quarantine.
    """

    first: pa.Table | None
    revised: pa.Table | None
    duplicates: int
    refused: pa.Table | None


class Diff:
    """Classify the rows of one delivery.

    Parameters
    ----------
    con
        A DuckDB connection of its own.
    shapes
        The versions of the dataset's specification.
    stored
        Committed files.
    known_at
        Knowledge time of the delivery; None where each row has its own.
    deletions
        The rows name keys to take back.
    """

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        shapes: Shapes,
        stored: Sequence[StoredFile],
        *,
        known_at: datetime | None,
        deletions: bool,
    ) -> None:
        spec = shapes.spec
        self._con, self._shapes, self._spec, self._stored = con, shapes, spec, stored
        self._deletions = deletions
        self._fixed = known_at
        self._key = ", ".join(quote(k) for k in spec.key)
        self._names = [f.name for f in spec.fields]
        self._values = [n for n in self._names if n not in spec.key]
        self._known_at = "known_at" if known_at is None else literal(known_at)
        content = ", ".join(quote(v) for v in [*self._values, "op"])
        self._content = f"row({content})"

    def split(self, arriving: pa.Table | str, *, distinct: bool) -> Split:
        """Classify rows.

        Parameters
        ----------
        arriving
            Fields and ``source_row`` (for vintages also ``known_at``; maybe ``op``), as an Arrow table or
            as SQL that reads them from staged files.
        distinct
            The keys are known to be distinct (for vintages: key and ``known_at``).
        """
        con = self._con
        if isinstance(arriving, pa.Table):
            con.register("arriving_rows", arriving)
            source = "arriving_rows"
            columns = set(arriving.column_names)
        else:
            source = f"({arriving})"
            columns = set(con.execute(f"SELECT * FROM {source} LIMIT 0").to_arrow_table().column_names)
        op = "op" if "op" in columns else f"CAST({int(self._deletions)} AS TINYINT) AS op"
        fields = ", ".join(quote(n) for n in self._names)
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW arriving AS SELECT {fields}, source_row, "
            f"{self._known_at} AS known_at, {op} FROM {source}"
        )
        same = self._key if self._fixed is not None else f"{self._key}, known_at"
        found = _Found(arriving if isinstance(arriving, pa.Table) else None)
        if not distinct and self._repeats(same):
            self._resolve(same, found)
        files = self._overlapping(found.clean)
        if self._fixed is None and self._repeats(self._key, found.clean):
            # Vintages of one key in one delivery are compared with each other, so all of them line up.
            return self._against_stored(found, files, maybe=found.clean, several=True)
        if not files:
            if self._deletions:
                self._unknown(found.clean, found)
                return Split(found.nothing(), None, found.duplicates, found.refused)
            return Split(self._first(found), None, found.duplicates, found.refused)
        # Rows of periods that no stored file reaches are new without looking.
        period = self._spec.period
        maybe = found.clean
        if all(period in f.low for f in files):
            low, high = min(f.low[period] for f in files), max(f.high[period] for f in files)
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE within AS FROM {found.clean} "
                f"WHERE {self._period} BETWEEN {literal(low)} AND {literal(high)}"
            )
            maybe = "within"
        if not self._deletions and self._row(f"SELECT count(*) FROM {maybe}")[0] >= MANY:
            maybe = self._set_aside(found, files, maybe)
            if not self._row(f"SELECT count(*) FROM {maybe}")[0]:
                return Split(self._first(found), None, found.duplicates, found.refused)
        return self._against_stored(found, files, maybe=maybe, several=False)

    def _set_aside(self, found: _Found, files: list[StoredFile], maybe: str) -> str:
        """Count rows that say again what alone is known of their key, and return where the others are.

        Of a full re-delivery that is nearly all: a join finds them, where lining up every key's rows in time would
        sort all of both. Keys that were ever revised or taken back are left to that.
        """
        con, key = self._con, self._key
        span = self._row(f"SELECT min({self._period}), max({self._period}) FROM {maybe}")
        only = [f for f in files if f.part in ONLY]
        if not only or span[0] is None:
            return maybe
        within = f"{self._period} BETWEEN {literal(span[0])} AND {literal(span[1])}"

        def read(names: Sequence[str], stored: list[StoredFile], more: str) -> str:
            return " UNION ALL ".join(
                f"SELECT {self._shapes.select(names, version)}{more} FROM {scan(group)} WHERE {within}"
                for version, group in self._shapes.groups(stored)
            )

        more = "".join(f" AND a.{quote(n)} IS NOT DISTINCT FROM s.{quote(n)}" for n in [*self._values, "op"])
        followed = [f for f in files if f.part not in ONLY]
        others = f"ANTI JOIN ({read(self._spec.key, followed, '')}) USING ({key})" if followed else ""
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE again AS SELECT a.source_row FROM {maybe} a "
            f"JOIN ({read(self._names, only, ', known_at, op')}) s USING ({key}) {others} "
            f"WHERE s.known_at <= a.known_at{more}"
        )
        numbers = self._fetch("FROM again")
        if not numbers.num_rows:
            return maybe
        found.duplicates += numbers.num_rows
        found.exclude(numbers)
        con.execute(f"CREATE OR REPLACE TEMP TABLE remaining AS FROM {maybe} ANTI JOIN again USING (source_row)")
        con.execute(f"CREATE OR REPLACE TEMP VIEW unsaid AS FROM {found.clean} ANTI JOIN again USING (source_row)")
        found.clean = "unsaid"
        return "remaining"

    def _repeats(self, same: str, source: str = "arriving") -> bool:
        found = self._con.execute(f"SELECT 1 FROM {source} GROUP BY {same} HAVING count(*) > 1 LIMIT 1").fetchone()
        return found is not None

    def _resolve(self, same: str, found: _Found) -> None:
        """Keep the first of several rows with one key; the others are repetitions or contradictions."""
        con = self._con
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE surplus AS "
            f"WITH twice AS (SELECT {same} FROM arriving GROUP BY {same} HAVING count(*) > 1), "
            f"ranked AS (SELECT *, row_number() OVER w AS __rank, "
            f"  first_value({self._content}) OVER w AS __kept "
            f"  FROM arriving SEMI JOIN twice USING ({same}) "
            f"  WINDOW w AS (PARTITION BY {same} ORDER BY source_row)) "
            f"SELECT * EXCLUDE (__rank, __kept), {self._content} IS DISTINCT FROM __kept AS __other "
            f"FROM ranked WHERE __rank > 1"
        )
        total, other = self._row("SELECT count(*), count(*) FILTER (__other) FROM surplus")
        if other:
            found.refuse(self._refused("surplus WHERE __other", "OPS-D031"))
        con.execute("CREATE OR REPLACE TEMP VIEW resolved AS FROM arriving ANTI JOIN surplus USING (source_row)")
        found.duplicates += int(total - other)
        found.exclude(self._fetch("SELECT source_row FROM surplus"))
        found.clean = "resolved"

    def _refused(self, source: str, code: str) -> pa.Table:
        fields = ", ".join(quote(n) for n in self._names)
        pairs = ", ".join(f"{literal(n)}: {quote(n)}" for n in self._names)
        return self._con.execute(
            f"SELECT source_row, '{code}' AS code, '{self._spec.key[0]}' AS field, "
            f"CAST(to_json({{{pairs}}}) AS VARCHAR) AS record "
            f"FROM (SELECT source_row, {fields} FROM {source}) ORDER BY source_row"
        ).to_arrow_table()

    def _overlapping(self, source: str) -> list[StoredFile]:
        """Return the stored files that may hold a key of the arriving rows, by their bounds."""
        if not self._stored:
            return []
        bounds = ", ".join(f"min({quote(k)}), max({quote(k)})" for k in self._spec.key)
        found = self._row(f"SELECT {bounds} FROM {source}")
        spans = {k: (found[2 * n], found[2 * n + 1]) for n, k in enumerate(self._spec.key)}
        return [f for f in self._stored if all(f.meets(k, *span) for k, span in spans.items())]

    def _against_stored(self, found: _Found, files: list[StoredFile], *, maybe: str, several: bool) -> Split:
        con, key = self._con, self._key
        self._gather(maybe, files)
        con.execute(f"CREATE OR REPLACE TEMP TABLE present AS SELECT DISTINCT {key} FROM stored_rows")
        if self._deletions:
            self._unknown(f"{found.clean} ANTI JOIN present USING ({key})", found)
        timeline = maybe if several else f"{maybe} SEMI JOIN present USING ({key})"
        # A row is news when it differs from what was known of its key just before: from the row before it in
        # knowledge time, which is itself either news or a repetition of what was known.
        before = f"lag({self._content}) OVER w"
        fields = ", ".join(quote(n) for n in self._names)
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE compared AS "
            f"SELECT {fields}, source_row, known_at, op, delivery, __arriving, __file, __row, "
            f"  lag(op) OVER w IS NULL AS __opens, "
            f"  {self._content} IS DISTINCT FROM {before} AS __news, lag(op) OVER w AS __op, "
            f"  lag(__file) OVER w AS __prior_file, lag(__row) OVER w AS __prior_row, "
            f"  lead(known_at) OVER w AS __known_to "
            f"FROM (SELECT {fields}, source_row, known_at, op, 0 AS delivery, true AS __arriving, "
            f"  CAST(NULL AS INTEGER) AS __file, CAST(NULL AS BIGINT) AS __row FROM {timeline} UNION ALL "
            f"  SELECT {fields}, source_row, known_at, op, delivery, false, __file, __row FROM stored_rows) "
            f"WINDOW w AS (PARTITION BY {key} ORDER BY known_at, __arriving, delivery)"
        )
        # What is absent, or unknown at that time, and is taken back is no news.
        con.execute(
            "CREATE OR REPLACE TEMP VIEW news AS FROM compared "
            "WHERE __arriving AND (__news OR __opens) AND NOT (op = 1 AND coalesce(__op, 1) = 1)"
        )
        counted = self._row("SELECT count(*) FILTER (__arriving), (SELECT count(*) FROM news) FROM compared")
        found.duplicates += int(counted[0] - counted[1])
        source = self._linked() if several else "news"
        rows = (
            f"SELECT {fields}, source_row, known_at, op, __known_to AS known_to, "
            f"__prior_row AS prior_row, __stem AS prior_file "
            f"FROM {source} n LEFT JOIN stored_files ON __prior_file = __place"
        )
        order = f"ORDER BY {self._period}, {key}, known_at"
        if several:
            fresh = f"__opens AND NOT EXISTS (FROM present p WHERE {self._match('n', 'p')})"
            first = self._fetch(f"{rows} WHERE {fresh} {order}")
            revised = self._fetch(f"{rows} WHERE NOT ({fresh}) {order}")
        else:
            revised = self._fetch(f"{rows} {order}")
            found.exclude(self._fetch(f"SELECT source_row FROM {timeline}"))
            first = found.nothing() if self._deletions else self._first(found, "present")
        return Split(first, revised if revised.num_rows else None, found.duplicates, found.refused)

    def _linked(self) -> str:
        """Link several news of one key to each other: repetitions between them stand in nobody's way."""
        con, key = self._con, self._key
        links = ("lag(__file) OVER w AS __prior_file, lag(__row) OVER w AS __prior_row, "
                 "lead(known_at) OVER w AS __known_to")  # fmt: skip
        con.execute(
            "CREATE OR REPLACE TEMP VIEW told AS FROM compared "
            "WHERE NOT __arriving OR ((__news OR __opens) AND NOT (op = 1 AND coalesce(__op, 1) = 1))"
        )
        con.execute(
            f"CREATE OR REPLACE TEMP VIEW linked AS FROM (SELECT * EXCLUDE (__prior_file, __prior_row, __known_to), "
            f"{links} FROM told SEMI JOIN news USING ({key}) "
            f"WINDOW w AS (PARTITION BY {key} ORDER BY known_at, __arriving, delivery)) WHERE __arriving"
        )
        return "linked"

    def sizes(self, fields: Sequence[str]) -> dict[str, int | float]:
        """Return how large the revisions of the last `split` are, by numeric field; it reads revised keys alone.

        Returns
        -------
        dict
            ``rows``: rows that replace a known one; for each field ``field.changed``, ``field.signs`` (changes of
            sign), ``field.weight`` (sum of the absolute changes) and ``field.base`` (sum of the absolute values
            before): weight / base is the mean relative revision, large units counting for more.
        """
        before = ", ".join(f"{quote(f)}, lag({quote(f)}) OVER w AS {quote('__' + f)}" for f in fields)
        parts = ["count(*) AS n"]
        for f in fields:
            now, old = f"CAST({quote(f)} AS DOUBLE)", f"CAST({quote('__' + f)} AS DOUBLE)"
            parts += [
                f"count(*) FILTER ({now} IS DISTINCT FROM {old})",
                f"count(*) FILTER (sign({now}) * sign({old}) < 0)",
                f"coalesce(sum(abs({now} - {old})), 0.0)",
                f"coalesce(sum(abs({old})) FILTER ({now} IS NOT NULL), 0.0)",
            ]
        found = self._row(
            f"SELECT {', '.join(parts)} FROM ("
            f"SELECT op, __arriving, __news, lag(op) OVER w AS __op{', ' + before if before else ''} FROM compared "
            f"SEMI JOIN (SELECT DISTINCT {self._key} FROM news) USING ({self._key}) "
            f"WINDOW w AS (PARTITION BY {self._key} ORDER BY known_at, __arriving)) "
            f"WHERE __arriving AND __news AND op = 0 AND __op = 0"
        )
        names = ["rows", *(f"{f}.{part}" for f in fields for part in ("changed", "signs", "weight", "base"))]
        return dict(zip(names, found, strict=True))

    def _first(self, found: _Found, present: str | None = None) -> pa.Table | None:
        """Return the rows of keys that the store has never seen, None when these are all rows."""
        if not found.excluded:
            return None
        if found.rows is not None:
            gone = pc.is_in(found.rows.column("source_row"), value_set=pa.concat_arrays(found.excluded))
            return found.rows.filter(pc.invert(gone))
        unseen = f"ANTI JOIN {present} USING ({self._key})" if present else ""
        return self._fetch(f"FROM {found.clean} {unseen} ORDER BY {self._period}, {self._key}, known_at")

    def _gather(self, clean: str, files: list[StoredFile]) -> None:
        """Collect the stored rows of the arriving keys."""
        con, fields = self._con, ", ".join(quote(n) for n in self._names)
        con.execute(f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT DISTINCT {self._key} FROM {clean}")
        span = self._row(f"SELECT min({self._period}), max({self._period}) FROM wanted")
        con.register("stored_files", pa.table({"__place": range(len(files)), "__stem": [f.stem for f in files]}))
        if not files or span[0] is None:
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE stored_rows AS SELECT {fields}, NULL AS source_row, known_at, op, "
                f"0 AS delivery, CAST(NULL AS INTEGER) AS __file, CAST(NULL AS BIGINT) AS __row FROM {clean} LIMIT 0"
            )
            return
        within = f"{self._period} BETWEEN {literal(span[0])} AND {literal(span[1])}"
        place = {f.stem: n for n, f in enumerate(files)}
        parts = []
        for version, group in self._shapes.groups(files):
            places = f"[{', '.join(str(place[f.stem]) for f in group)}]"
            parts.append(
                f"SELECT {self._shapes.select(self._names, version)}, NULL AS source_row, known_at, op, delivery, "
                f"CAST({places}[CAST(file_index AS BIGINT) + 1] AS INTEGER) AS __file, file_row_number AS __row "
                f"FROM {scan(group, numbered=True)} SEMI JOIN wanted USING ({self._key}) WHERE {within}"
            )
        con.execute(f"CREATE OR REPLACE TEMP TABLE stored_rows AS {' UNION ALL '.join(parts)}")

    @property
    def _period(self) -> str:
        return quote(self._spec.period)

    def _match(self, left: str, right: str) -> str:
        return " AND ".join(f"{left}.{quote(k)} = {right}.{quote(k)}" for k in self._spec.key)

    def _unknown(self, source: str, found: _Found) -> None:
        refused = self._refused(source, "OPS-D033")
        if refused.num_rows:
            found.refuse(refused)

    def _fetch(self, sql: str) -> pa.Table:
        return self._con.execute(sql).to_arrow_table()

    def _row(self, sql: str) -> list[Any]:  # values of any type
        # By way of Arrow: the engine's own rows need pytz for moments.
        return [column[0].as_py() for column in self._fetch(sql).columns]


class _Found:
    """What is known of the arriving rows so far."""

    def __init__(self, rows: pa.Table | None) -> None:
        self.rows = rows
        self.clean = "arriving"
        self.duplicates = 0
        self.refused: pa.Table | None = None
        self.excluded: list[pa.Array] = []

    def refuse(self, rows: pa.Table) -> None:
        """Send rows to quarantine."""
        self.refused = rows if self.refused is None else pa.concat_tables([self.refused, rows])

    def exclude(self, numbers: pa.Table) -> None:
        """Note rows, by ``source_row``, that are not first rows."""
        if numbers.num_rows:
            self.excluded.append(numbers.column(0).combine_chunks())

    def nothing(self) -> pa.Table:
        """Return a table without rows."""
        return pa.table({"source_row": pa.array([], pa.int64())})
