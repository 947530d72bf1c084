"""SQL of the as-of view: rows known by a moment, the latest of each key, without those taken back.

A row that revises another names the file and the place of the row before it (``prior_file``, ``prior_row``); a row
whose successor was known when it was written (back-dated, several vintages in one delivery, files written anew)
carries the moment until which it held (``known_to``). So a row is in the view if it was known by the moment, was not
over by then, and no row known by then names it. The named places of a file make one bit a row; looking a bit up
costs little more than the scan, where a window or a join over keys costs many times as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime

import numpy as np

from opsroom.observe.shapes import Shapes, literal, quote, scan, sql_type
from opsroom.observe.tables import StoredFile

PLAIN = ("first", "current")
"""Parts without rows that take others back."""

MARKS = 1 << 26
"""Bits (8 MB) that files of unlike sizes may waste together before they are read apart."""


def columns_of(shapes: Shapes, columns: Sequence[str] | None) -> list[str]:
    """Return the columns of a view: those asked for, else all fields and ``known_at``."""
    return list(columns) if columns is not None else [*(f.name for f in shapes.spec.fields), "known_at"]


def nothing(shapes: Shapes, columns: Sequence[str]) -> str:
    """Return SQL with the right columns and no row."""
    kinds = {f.name: sql_type(f) for f in shapes.spec.fields}
    kinds["known_at"] = "TIMESTAMP WITH TIME ZONE"
    return "SELECT " + ", ".join(f"CAST(NULL AS {kinds[c]}) AS {quote(c)}" for c in columns) + " WHERE false"


def as_of_sql(
    shapes: Shapes,
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
    shapes
        The versions of the dataset's specification.
    files
        Committed files of the version to read.
    moment
        Knowledge time, UTC.
    columns
        Columns wanted; all fields and ``known_at`` where absent.
    period_from, period_to
        First and last reference period wanted, inclusive.
    """
    spec = shapes.spec
    wanted = columns_of(shapes, columns)
    seen = [f for f in files if f.low["known_at"] <= moment and f.meets(spec.period, period_from, period_to)]
    # What was over by the moment in every row needs no look.
    seen = [f for f in seen if f.part != "past" or f.high.get("known_to", moment) > moment]
    if not seen:
        return nothing(shapes, wanted)
    named, naming = _links(shapes, seen)
    aside = set(seen).difference(named)

    def alike(files: Iterable[StoredFile]) -> dict[tuple[str, ...], list[StoredFile]]:
        found: dict[tuple[str, ...], list[StoredFile]] = {}
        for file in files:
            found.setdefault(_filters(shapes, file, moment, period_from, period_to), []).append(file)
        return found

    groups = alike(f for f in seen if f in aside).items()
    parts = [shapes.rows(group, wanted, _where(filters)) for filters, group in groups]
    if not named:
        return " UNION ALL ".join(parts)
    known = _period(shapes, period_from, period_to)
    if any(f.high["known_at"] > moment for f in naming):
        known.append(f"known_at <= {literal(moment)}")
    # Not a common table expression: the engine would read every column where a query wants few.
    gone = f"(SELECT prior_file, prior_row FROM {scan(naming)}{_where(['prior_file IS NOT NULL', *known])})"
    for filters, files_alike in alike(named).items():
        for size, some in _by_size(files_alike):
            for version, group in shapes.groups(some):
                stems = ", ".join(f"({number}::UBIGINT, {literal(f.stem)})" for number, f in enumerate(group))
                marks = (
                    f"SELECT __place, coalesce(__bits, bitstring('0', {size})) AS __gone "
                    f"FROM (VALUES {stems}) v(__place, __stem) LEFT JOIN "
                    f"(SELECT prior_file, bitstring_agg(prior_row, 0, {size - 1}) AS __bits FROM {gone} "
                    f"WHERE prior_file IN ({', '.join(literal(f.stem) for f in group)}) GROUP BY prior_file) "
                    f"ON prior_file = __stem"
                )
                unnamed = "get_bit(__gone, CAST(file_row_number AS INTEGER)) = 0"
                parts.append(
                    f"SELECT {shapes.select(wanted, version)} FROM {scan(group, numbered=True)} "
                    f"JOIN ({marks}) ON __place = file_index{_where([*filters, unnamed])}"
                )
    return " UNION ALL ".join(parts)


def latest_sql(
    shapes: Shapes,
    files: Sequence[StoredFile],
    moment: datetime,
    *,
    until_delivery: int,
    columns: Sequence[str] | None = None,
    period_from: date | None = None,
    period_to: date | None = None,
) -> str:
    """Return SQL of a dataset as it was known at a moment through its first deliveries, by the definition.

    It is how a version is read whose own files were written anew since: exact, at the price of a sort.

    Parameters
    ----------
    shapes, files, moment, columns, period_from, period_to
        As in `as_of_sql`.
    until_delivery
        Number of the last delivery that counts.
    """
    spec = shapes.spec
    wanted = columns_of(shapes, columns)
    seen = [f for f in files if f.low["known_at"] <= moment and f.low["delivery"] <= until_delivery]
    seen = [f for f in seen if f.meets(spec.period, period_from, period_to)]
    if not seen:
        return nothing(shapes, wanted)
    conditions = [f"known_at <= {literal(moment)}", f"delivery <= {until_delivery}"]
    conditions += _period(shapes, period_from, period_to)
    every = list(dict.fromkeys([*spec.key, *wanted, "known_at", "delivery", "op"]))
    keys, names = (", ".join(quote(c) for c in group) for group in (spec.key, wanted))
    rank = f"row_number() OVER (PARTITION BY {keys} ORDER BY known_at DESC, delivery DESC)"
    rows = shapes.rows(seen, every, " WHERE " + " AND ".join(conditions))
    return f"SELECT {names} FROM (SELECT *, {rank} AS __rank FROM ({rows})) WHERE __rank = 1 AND op = 0"


def _filters(
    shapes: Shapes, file: StoredFile, moment: datetime, period_from: date | None, period_to: date | None
) -> tuple[str, ...]:
    """Return the conditions on rows of a file that its bounds do not settle."""
    period = shapes.spec.period
    first, last = file.low.get(period), file.high.get(period)
    if isinstance(first, date) and isinstance(last, date) and not isinstance(first, datetime):
        if period_from is not None and first >= period_from:
            period_from = None
        if period_to is not None and last <= period_to:
            period_to = None
    found = _period(shapes, period_from, period_to)
    if file.high["known_at"] > moment:
        found.append(f"known_at <= {literal(moment)}")
    # Bounds of `known_to` are of the rows that have one; a file without holds none.
    if "known_to" in file.low and file.low["known_to"] <= moment:
        found.append(f"(known_to IS NULL OR known_to > {literal(moment)})")
    # Files of older tables have no bound of `op`.
    if file.part not in PLAIN and file.high.get("op", 1) != 0:
        found.append("op = 0")
    return tuple(found)


def _period(shapes: Shapes, period_from: date | None, period_to: date | None) -> list[str]:
    period = quote(shapes.spec.period)
    found = [] if period_from is None else [f"{period} >= {literal(period_from)}"]
    return found + ([] if period_to is None else [f"{period} <= {literal(period_to)}"])


def _where(conditions: Sequence[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def _by_size(files: Sequence[StoredFile]) -> list[tuple[int, list[StoredFile]]]:
    """Return files in groups with the rows of the largest: the bits of a group are equally many.

    Every group reads the rows that name others once more, so that there is but one unless many bits would be idle.
    """
    largest = max(f.rows for f in files)
    found: dict[int, list[StoredFile]] = {}
    for file in files:
        size = 0 if largest * len(files) <= MARKS else (file.rows - 1).bit_length() // 3
        found.setdefault(size, []).append(file)
    return [(max(8, *(f.rows for f in group)), group) for _, group in sorted(found.items())]


def _links(shapes: Shapes, seen: Sequence[StoredFile]) -> tuple[list[StoredFile], list[StoredFile]]:
    """Return the files of which rows may be named by others, and those that may name them, by their bounds."""
    spec = shapes.spec
    naming = [f for f in seen if f.part == "revised"]
    low, high = (np.array([_day(getattr(f, side)[spec.period]) for f in naming]) for side in ("low", "high"))
    numbers = np.array([f.high["delivery"] for f in naming])
    others = [k for k in spec.key if k != spec.period]
    named, used = [], set()
    for file in seen:
        first, last = _day(file.low[spec.period]), _day(file.high[spec.period])
        hits = np.flatnonzero((numbers > file.low["delivery"]) & (low <= last) & (high >= first)) if naming else ()
        found = [
            int(n)
            for n in hits
            if naming[n] is not file and all(file.meets(k, naming[n].low.get(k), naming[n].high.get(k)) for k in others)
        ]
        if found:
            named.append(file)
            used.update(found)
    return named, [naming[n] for n in sorted(used)]


def _day(value: date | datetime) -> int:
    seconds = value.hour * 3_600 + value.minute * 60 + value.second if isinstance(value, datetime) else 0
    return value.toordinal() * 86_400 + seconds


def vintages_sql(
    shapes: Shapes,
    files: Sequence[StoredFile],
    moment: datetime,
    *,
    until_delivery: int | None = None,
    columns: Sequence[str] | None = None,
    period_from: date | None = None,
    tombstones: bool = False,
) -> str:
    """Return SQL of every vintage known by a moment, rows taken back left out, oldest first.

    Parameters
    ----------
    shapes, files, moment, until_delivery, columns
        As in `latest_sql`; ``known_at`` is always given.
    period_from
        First reference period; tombstones come whatever their period, which they need not have.
    tombstones
        Whether tombstones are among the rows, told by ``taken_back``.
    """
    wanted = list(dict.fromkeys([*columns_of(shapes, columns), "known_at"]))
    mark = ", op <> 0 AS taken_back" if tombstones else ""
    seen = [f for f in files if f.low["known_at"] <= moment]
    if not seen:
        return nothing(shapes, wanted).replace(" WHERE", ", false AS taken_back WHERE" if tombstones else " WHERE")
    names = ", ".join(quote(c) for c in wanted)
    condition = f" WHERE known_at <= {literal(moment)}" + ("" if tombstones else " AND op = 0")
    for limit in _period(shapes, period_from, None):
        condition += f" AND ({limit} OR op <> 0)" if tombstones else f" AND {limit}"
    if until_delivery is not None:
        condition += f" AND delivery <= {until_delivery}"
    rows = shapes.rows(seen, list(dict.fromkeys([*wanted, "delivery", *(["op"] if tombstones else [])])), condition)
    return f"SELECT {names}{mark} FROM ({rows}) ORDER BY known_at, delivery"


def changes_sql(
    shapes: Shapes, files: Sequence[StoredFile], after: datetime, until: datetime, *, columns: Sequence[str]
) -> str:
    """Return SQL of the rows that became known after one moment and by another, oldest first.

    Parameters
    ----------
    shapes, files
        As in `as_of_sql`.
    after, until
        Knowledge time, UTC: first one exclusive, last one inclusive.
    columns
        Columns wanted; ``taken_back`` is always given and true for a tombstone.
    """
    seen = [f for f in files if f.low["known_at"] <= until and f.high["known_at"] > after]
    if not seen:
        return nothing(shapes, columns).replace(" WHERE", ", false AS taken_back WHERE")
    names = ", ".join(quote(c) for c in columns)
    condition = f" WHERE known_at > {literal(after)} AND known_at <= {literal(until)}"
    rows = shapes.rows(seen, list(dict.fromkeys([*columns, "known_at", "delivery", "op"])), condition)
    # Within a file of one delivery rows need no sorting: a delivery holds a key once.
    alone = len(seen) == 1 and seen[0].part in ("first", "revised") and not shapes.spec.known_at_field
    return f"SELECT {names}, op <> 0 AS taken_back FROM ({rows}){'' if alone else ' ORDER BY known_at, delivery'}"
