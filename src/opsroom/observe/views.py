"""SQL of the as-of view: rows known by a moment, the latest of each key, without those taken back.

First rows and revised rows lie in two partitions. Where deliveries came in the order of their knowledge time,
a first row is older than any revision of its key, so the view is the first rows without the few revised keys,
plus the latest revision of each: an anti-join against a small table, at the price of a scan.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import date, datetime

from opsroom.base.specs import DatasetSpec
from opsroom.observe.tables import StoredFile

SQL_TYPES = {
    "string": "VARCHAR",
    "code": "VARCHAR",
    "number": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP WITH TIME ZONE",
    "boolean": "BOOLEAN",
}


def quote(name: str) -> str:
    """Quote an identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: datetime | date | str | int) -> str:
    """Write a value as an SQL literal."""
    if isinstance(value, datetime):
        return f"TIMESTAMPTZ '{value.isoformat(sep=' ', timespec='microseconds')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("'", "''") + "'"


def scan(files: Iterable[StoredFile | str]) -> str:
    """Return the table function that reads committed files."""
    names = ", ".join(literal(f if isinstance(f, str) else f.uri) for f in files)
    return f"read_parquet([{names}], hive_partitioning = false)"


def columns_of(spec: DatasetSpec, columns: Sequence[str] | None) -> list[str]:
    """Return the columns of a view: those asked for, else all fields and ``known_at``."""
    return list(columns) if columns is not None else [*(f.name for f in spec.fields), "known_at"]


def nothing(spec: DatasetSpec, columns: Sequence[str]) -> str:
    """Return SQL with the right columns and no row."""
    kinds = {f.name: SQL_TYPES.get(f.type, "BIGINT") for f in spec.fields}
    kinds["known_at"] = SQL_TYPES["datetime"]
    return "SELECT " + ", ".join(f"CAST(NULL AS {kinds[c]}) AS {quote(c)}" for c in columns) + " WHERE false"


def in_order(files: Sequence[StoredFile]) -> bool:
    """Return whether deliveries came in the order of their knowledge time (none was back-dated)."""
    latest: dict[int, tuple[datetime, datetime]] = {}
    for file in files:
        number, low, high = file.low["delivery"], file.low["known_at"], file.high["known_at"]
        seen = latest.get(number, (low, high))
        latest[number] = (min(seen[0], low), max(seen[1], high))
    spans = [latest[number] for number in sorted(latest)]
    return all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def as_of_sql(
    spec: DatasetSpec,
    files: Sequence[StoredFile],
    moment: datetime,
    *,
    columns: Sequence[str] | None = None,
    period_from: date | None = None,
    period_to: date | None = None,
) -> str:
    """Return SQL of a dataset as it was known at a moment.

    Parameters
    ----------
    spec
        The dataset's specification.
    files
        Committed files of the version to read.
    moment
        Knowledge time, UTC.
    columns
        Columns wanted; all fields and ``known_at`` where absent.
    period_from, period_to
        First and last reference period wanted, inclusive.
    """
    wanted = columns_of(spec, columns)
    seen = [f for f in files if f.low["known_at"] <= moment and f.meets(spec.period, period_from, period_to)]
    first, revised = ([f for f in seen if f.part == part] for part in ("first", "revised"))
    if not seen:
        return nothing(spec, wanted)
    conditions = []
    if any(f.high["known_at"] > moment for f in seen):
        conditions.append(f"known_at <= {literal(moment)}")
    period = quote(spec.period)
    if period_from is not None:
        conditions.append(f"{period} >= {literal(period_from)}")
    if period_to is not None:
        conditions.append(f"{period} <= {literal(period_to)}")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    names = ", ".join(quote(c) for c in wanted)
    if not revised:
        return f"SELECT {names} FROM {scan(first)}{where}"
    # First files that lie outside the bounds of every revised file are scanned without a join.
    aside = [f for f in first if not any(_may_share_keys(spec, f, r) for r in revised)]
    first = [f for f in first if f not in aside]
    keys = ", ".join(quote(k) for k in spec.key)
    every = ", ".join(quote(c) for c in dict.fromkeys([*spec.key, *wanted, "known_at", "delivery", "op"]))
    first_rows = f"(SELECT {every} FROM {scan(first)}{where})" if first else None
    changed = f"SELECT {every} FROM {scan(revised)}{where}"
    candidates = "changed"
    if first_rows and not in_order(seen):
        # A back-dated revision may be older than the first row: the first rows of its keys compete.
        candidates = f"(FROM changed UNION ALL FROM {first_rows} SEMI JOIN changed USING ({keys}))"
    latest = f"row_number() OVER (PARTITION BY {keys} ORDER BY known_at DESC, delivery DESC)"
    sql = f"WITH changed AS MATERIALIZED ({changed}), latest AS (SELECT *, {latest} AS __rank FROM {candidates}) "
    unchanged = f"SELECT {names} FROM {first_rows} ANTI JOIN changed USING ({keys})" if first_rows else None
    current = f"SELECT {names} FROM latest WHERE __rank = 1 AND op = 0"
    plain = f"SELECT {names} FROM {scan(aside)}{where}" if aside else None
    return sql + " UNION ALL ".join(part for part in (plain, unchanged, current) if part)


def _may_share_keys(spec: DatasetSpec, a: StoredFile, b: StoredFile) -> bool:
    return all(a.meets(k, b.low.get(k), b.high.get(k)) for k in spec.key)


def vintages_sql(
    spec: DatasetSpec, files: Sequence[StoredFile], moment: datetime, *, columns: Sequence[str] | None = None
) -> str:
    """Return SQL of every vintage known by a moment, rows taken back left out, oldest first.

    Parameters
    ----------
    spec, files, moment, columns
        As in `as_of_sql`; ``known_at`` is always given.
    """
    wanted = list(dict.fromkeys([*columns_of(spec, columns), "known_at"]))
    seen = [f for f in files if f.low["known_at"] <= moment]
    if not seen:
        return nothing(spec, wanted)
    names = ", ".join(quote(c) for c in wanted)
    condition = f"op = 0 AND known_at <= {literal(moment)}"
    return f"SELECT {names} FROM {scan(seen)} WHERE {condition} ORDER BY known_at, delivery"


def is_settled(files: Iterable[StoredFile], moment: datetime, delivery: int) -> bool:
    """Return whether every row known by a moment came with one of the deliveries up to a number."""
    return all(f.low["delivery"] <= delivery or f.low["known_at"] > moment for f in files)


def changes_sql(
    spec: DatasetSpec, files: Sequence[StoredFile], after: datetime, until: datetime, *, columns: Sequence[str]
) -> str:
    """Return SQL of the rows that became known after one moment and by another, oldest first.

    Parameters
    ----------
    spec, files
        As in `as_of_sql`.
    after, until
        Knowledge time, UTC: first one exclusive, last one inclusive.
    columns
        Columns wanted; ``taken_back`` is always given and true for a tombstone.
    """
    seen = [f for f in files if f.low["known_at"] <= until and f.high["known_at"] > after]
    if not seen:
        return nothing(spec, columns).replace(" WHERE", ", false AS taken_back WHERE")
    names = ", ".join(quote(c) for c in columns)
    condition = f"known_at > {literal(after)} AND known_at <= {literal(until)}"
    # Within a file rows need no sorting: a delivery holds a key once.
    order = "" if len(seen) == 1 and not spec.known_at_field else " ORDER BY known_at, delivery"
    return f"SELECT {names}, op <> 0 AS taken_back FROM {scan(seen)} WHERE {condition}{order}"
