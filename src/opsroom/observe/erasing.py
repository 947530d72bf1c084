"""Recorded erasure: rows that the law wants gone leave the store, its history, its log and the quarantine."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from opsroom.base.errors import DataError, StoreError, UsageError
from opsroom.base.specs import FieldSpec
from opsroom.observe.casting import cast
from opsroom.observe.compaction import clear, writing
from opsroom.observe.erasures import Erasure, record
from opsroom.observe.files import sync_folder
from opsroom.observe.job import told
from opsroom.observe.rewriting import Rewriter, Span, spans
from opsroom.observe.shapes import literal, quote, scan
from opsroom.observe.store import Store
from opsroom.observe.tables import ConflictError, StoredFile, Table

TRIES = 4

RECORDED = "recorded_at"
"""Field that an erasure by age names: the moment at which the store wrote a row."""


@dataclass(frozen=True, slots=True)
class _Which:
    """Which rows an erasure takes.

    Attributes
    ----------
    columns
        Columns that tell.
    gone, keep
        Make SQL of the rows that go, and of those that stay, of SQL of rows with all columns of the store.
    more
        Makes SQL of the rows that go with them, though their columns do not tell; None where there are none.
    """

    columns: list[str]
    gone: Callable[[str], str]
    keep: Callable[[str], str]
    more: Callable[[str], str] | None = None

    @classmethod
    def of_values(cls, field: str) -> _Which:
        """Take rows whose field has a value of the relation ``erased_values``."""
        name = quote(field)
        return cls(
            [field],
            lambda rows: f"(FROM ({rows}) SEMI JOIN erased_values USING ({name}))",
            lambda rows: f"(FROM {rows} r ANTI JOIN erased_values e ON r.{name} = e.{name})",
        )

    @classmethod
    def of_age(cls, before: datetime, key: Sequence[str], *, back_dated: bool) -> _Which:
        """Take rows recorded before a moment; where some were back-dated since, those that such rows had ended, too."""
        old = f"{RECORDED} < {literal(before)}"

        def gone(rows: str) -> str:
            return f"(FROM ({rows}) WHERE {old})"

        if not back_dated:
            return cls([RECORDED], gone, lambda rows: f"(FROM {rows} WHERE NOT ({old}))")
        ended = (
            f"bool_or({old}) OVER (PARTITION BY {', '.join(quote(k) for k in key)} ORDER BY known_at, delivery "
            f"ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)"
        )

        def marked(rows: str) -> str:
            return f"(SELECT *, {ended} AS __ended FROM {rows})"

        return cls(
            [RECORDED],
            gone,
            lambda rows: f"(SELECT * EXCLUDE (__ended) FROM {marked(rows)} WHERE NOT __ended)",
            lambda rows: f"(FROM {marked(f'({rows})')} WHERE __ended AND NOT ({old}))",
        )


def erase(
    store: Store,
    dataset: str,
    field: str,
    values: Sequence[str],
    *,
    reason: str,
    legal_basis: str,
    actor: str,
) -> Erasure:
    """Erase every row, in every vintage, whose field has one of the values.

    The files that hold such rows are written anew without them; the old ones are deleted with those of all earlier
    versions, the bounds of deleted files are taken out of the Delta log and its checkpoints, and rows of the
    quarantine go, too. Rows of the keys that a later delivery brings are refused, and not kept in quarantine.

    Parameters
    ----------
    store
        The room's store.
    dataset, field
        Name of the dataset, and of the field that names the unit.
    values
        Values of the field, as text.
    reason, legal_basis
        Why, and by what right; recorded.
    actor
        Who erases.

    Returns
    -------
    Erasure
        The record, without any key.

    Raises
    ------
    UsageError
        No such field, no value, or no reason or legal basis.
    DataError
        A value is none of the field's type.
    StoreError
        The disk is full or the table cannot be written. The erasure is noted and goes on when the dataset is next
        written, or with `finish`.

    Notes
    -----
    The intent is written down first (``lake/.DATASET.erasing``, readable by its owner alone, gone in the end). What
    follows can be done again from the start, so that a process killed anywhere leaves an erasure that the next
    writer finishes. Backups, and copies outside the room's folder, are beyond its reach.
    """
    require_reasons(store, reason, legal_basis, actor)
    spec = store.spec(dataset)
    if field not in {f.name for f in spec.fields} or not values:
        raise UsageError(
            f"an erasure names a field of dataset {dataset!r} and at least one value.",
            remedy="See `opsroom dataset show`.",
            code="OPS-U111",
        )
    intent = {"field": field, "values": _plain(spec.field(field), values)}
    return _begin(store, dataset, intent | {"reason": reason, "legal_basis": legal_basis, "actor": actor})


def erase_before(store: Store, dataset: str, before: datetime, *, reason: str, legal_basis: str, actor: str) -> Erasure:
    """Erase every row that was recorded before a moment, in every vintage, and what such deliveries left in quarantine.

    Parameters
    ----------
    store
        The room's store.
    dataset
        Name of the dataset.
    before
        Rows recorded earlier go, whatever they are about and whenever they became known; those recorded since stay.
    reason, legal_basis
        Why, and by what right; recorded, with the moment.
    actor
        Who erases.

    Returns
    -------
    Erasure
        Its field is `RECORDED`; it names no key, and later deliveries are taken as they come.

    Raises
    ------
    UsageError
        No reason or legal basis, or a moment that is not over.
    StoreError
        As for `erase`.

    Notes
    -----
    It is carried out as `erase` is, and finished like it where a process was killed. A row that was recorded since,
    and back-dated behind a row that goes, goes with it: it was over, and without its successor it would hold again.
    """
    require_reasons(store, reason, legal_basis, actor)
    if before > store.clock():
        raise UsageError(
            "what will be recorded cannot be erased yet.", remedy="Give a moment that is over.", code="OPS-U114"
        )
    moment = before.astimezone(UTC).isoformat(timespec="microseconds")
    intent = {"field": RECORDED, "values": [], "before": moment}
    told_why = f"{reason} (recorded before {moment[:19]} UTC)"
    return _begin(store, dataset, intent | {"reason": told_why, "legal_basis": legal_basis, "actor": actor})


def holds_before(store: Store, dataset: str, before: datetime) -> bool:
    """Return whether anything that was recorded before a moment is stored yet, or in quarantine."""
    old = {d.delivery: d for d in store.deliveries(dataset) if d.recorded_at < before}
    if any(int(f.low["delivery"]) in old for f in store.delta(dataset).files()):
        return True
    folder = store.path / "quarantine" / dataset
    return any(pq.read_metadata(folder / d.quarantine).num_rows for d in old.values() if d.quarantine)


def require_reasons(store: Store, reason: str, legal_basis: str, actor: str) -> None:
    """Refuse an erasure of which nobody says why and by what right, or through a pinned store."""
    store.require_writable()
    if not reason.strip() or not legal_basis.strip() or not actor.strip():
        raise UsageError("an erasure needs reason, legal basis and actor.", remedy="Give them.", code="OPS-U110")


def _begin(store: Store, dataset: str, intent: dict[str, Any]) -> Erasure:
    """Write down what is to be done, and do it."""
    table = store.delta(dataset)
    with table.lock():
        finish_locked(store, dataset)
        intent |= {
            "mark": uuid.uuid4().hex,
            "recorded_at": store.clock().astimezone(UTC).isoformat(timespec="microseconds"),
        }
        with told(f"dataset {dataset!r}"):
            _write_down(_intent(store, dataset), json.dumps(intent))
        return _carry_out(store, dataset, table, intent)


def finish(store: Store, dataset: str) -> bool:
    """Finish an erasure that was interrupted, unless a running process is at it; return whether there was one."""
    if not _intent(store, dataset).exists():
        return False
    with store.delta(dataset).lock(wait=False) as mine:
        return mine and finish_locked(store, dataset)


def finish_locked(store: Store, dataset: str) -> bool:
    """Do what `finish` does, for a caller that holds the writer lock."""
    path = _intent(store, dataset)
    if not path.exists():
        return False
    try:
        intent = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        path.unlink()  # never written out: the erasure had not begun, and nobody was told that it had
        return False
    _carry_out(store, dataset, store.delta(dataset), intent)
    return True


def _carry_out(store: Store, dataset: str, table: Table, intent: dict[str, Any]) -> Erasure:
    spec = store.spec(dataset)
    store.sweep_locked(dataset)
    with store.workbench() as con, told(f"dataset {dataset!r}"):
        which, refused = _which(con, store, dataset, intent)
        for attempt in range(TRIES):
            files = table.files()
            hit, rows, first = _find(con, store, dataset, files, which)
            try:
                if hit:
                    work = [s for s in spans(files, spec.period) if hit & set(s.files)]
                    rows += _with_them(con, store, dataset, work, which)
                    _rewrite(con, store, dataset, table, work, which, intent, rows, first)
                break
            except ConflictError:
                if attempt == TRIES - 1:
                    raise StoreError(
                        f"dataset {dataset!r}: other writers were faster; the erasure is noted and not yet done.",
                        remedy="Run `opsroom store erase` again, or wait for the next delivery.",
                        code="OPS-F023",
                    ) from None
        if intent["values"]:
            con.unregister("erased_values")
        clear(table)
        _redact(table)
        quarantined = _clean_quarantine(store, dataset, refused, Path(_intent(store, dataset)))
        done = _recorded(store, dataset, table, intent, quarantined)
        _intent(store, dataset).unlink()
    store.forget_tables(dataset)
    return done


def _which(
    con: Any, store: Store, dataset: str, intent: dict[str, Any]
) -> tuple[_Which, Callable[[Path, str | None], bool]]:
    """Return which stored rows an intent takes, and which of the quarantine's, by file and record."""
    spec = store.spec(dataset)
    if "before" in intent:
        before = datetime.fromisoformat(intent["before"])
        log = store.deliveries(dataset)
        old = [d for d in log if d.recorded_at < before]
        last = max((d.known_at for d in old), default=None)
        late = [d.known_from for d in log if d.recorded_at >= before and d.known_from is not None]
        back_dated = last is not None and any(known_from <= last for known_from in late)
        aged = {d.quarantine for d in old if d.quarantine}
        return _Which.of_age(before, spec.key, back_dated=back_dated), lambda path, _: path.name in aged
    field = spec.field(intent["field"])
    values = pa.array(intent["values"], pa.string())
    con.register("erased_values", pa.table({field.name: _typed(values, field)}))
    names, texts = {field.name, field.source, *field.aliases}, set(intent["values"])
    return _Which.of_values(field.name), lambda _, text: _holds(text, names, texts)


def _with_them(con: Any, store: Store, dataset: str, work: Sequence[Span], which: _Which) -> int:
    """Count the rows that go with those found."""
    if which.more is None:
        return 0
    columns = [*store.spec(dataset).key, RECORDED, "known_at", "delivery"]
    found = 0
    for span in work:
        rows = store.shapes(dataset).rows(span.files, columns)
        found += con.execute(f"SELECT count(*) FROM {which.more(rows)}").fetchone()[0]
    return found


def _find(
    con: Any, store: Store, dataset: str, files: Sequence[StoredFile], which: _Which
) -> tuple[set[StoredFile], int, int]:
    """Return the files that hold rows to erase, the number of rows, and the first delivery among them."""
    hit, rows, first = set(), 0, 0
    shapes = store.shapes(dataset)
    for version, group in shapes.groups(files):
        select = shapes.select(which.columns, version)
        rows_of = f"SELECT {select}, delivery, file_index FROM {scan(group)}"
        found = con.execute(
            f"SELECT CAST(file_index AS BIGINT), count(*), min(delivery) FROM {which.gone(rows_of)} GROUP BY ALL"
        ).fetchall()
        for place, count, delivery in found:
            hit.add(group[place])
            rows += count
            first = min(first or delivery, delivery)
    return hit, rows, first


def _rewrite(
    con: Any,
    store: Store,
    dataset: str,
    table: Table,
    work: list[Span],
    which: _Which,
    intent: dict[str, Any],
    rows: int,
    first: int,
) -> None:
    with writing(store, dataset) as undo:
        rewriter = Rewriter(con, table, store.shapes(dataset), keep=which.keep)
        undo.callback(rewriter.discard)
        for span in work:
            rewriter.write(span)
        files = rewriter.finish()
        for folder in {f.path.parent for f in files}:
            sync_folder(folder)
        old = [f for span in work for f in span.files]
        if sum(f.rows for f in old) - sum(f.rows for f in files) != rows:
            raise StoreError(
                f"dataset {dataset!r}: the files written anew do not hold every other row; nothing was changed.",
                remedy="Check the disk.",
                code="OPS-F041",
            )
        before = {d.delivery: d.version for d in store.deliveries(dataset)}
        told_of = ("mark", "field", "before", "reason", "legal_basis", "actor", "recorded_at")
        notes = {k: intent[k] for k in told_of if k in intent}
        table.replace(
            old,
            files,
            {"kind": "erasure", **notes, "keys": len(intent["values"]), "rows": rows, "from_version": before[first]},
        )
        undo.pop_all()


def _recorded(store: Store, dataset: str, table: Table, intent: dict[str, Any], quarantined: int) -> Erasure:
    found = [(v, r) for v, r in table.upkeep() if r.get("mark") == intent["mark"]]
    version, note = found[-1] if found else (table.version, {"rows": 0, "from_version": table.version})
    done = Erasure(
        number=0,
        mark=intent["mark"],
        dataset=dataset,
        field=intent["field"],
        recorded_at=intent["recorded_at"],
        actor=intent["actor"],
        reason=intent["reason"],
        legal_basis=intent["legal_basis"],
        keys=len(intent["values"]),
        rows=note["rows"],
        quarantined=quarantined,
        from_version=note["from_version"],
        version=version,
    )
    return record(store.state, done, [store.hasher(intent["field"], value) for value in intent["values"]])


def _redact(table: Table) -> None:
    """Take the bounds of files that are gone out of the Delta log, and the checkpoints with them.

    A bound may be the very key that was erased. The log stays readable from its first commit, so that nothing
    depends on the checkpoints; a new one is made.
    """
    log = table.path / "_delta_log"
    live = {Path(f.uri).relative_to(table.path).as_posix() for f in table.files()}
    for path in sorted(log.glob("*.json")):
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [_without_bounds(line, live) for line in lines]
        if kept != lines:
            _write_down(path, "\n".join(kept) + "\n", mode=0o644)
    for path in [*log.glob("*.checkpoint*.parquet"), log / "_last_checkpoint"]:
        path.unlink(missing_ok=True)
    sync_folder(log)
    table.checkpoint()


def _without_bounds(line: str, live: set[str]) -> str:
    action = json.loads(line)
    add = action.get("add")
    if add is None or add["path"] in live or "stats" not in add:
        return line
    stats = json.loads(add["stats"])
    if not stats.get("minValues") and not stats.get("maxValues"):
        return line
    # Time and delivery say nothing of a unit, and old versions are listed by them.
    for side in ("minValues", "maxValues"):
        stats[side] = {k: v for k, v in stats[side].items() if k in ("known_at", "delivery")}
    add["stats"] = json.dumps(stats)
    return json.dumps(action)


def _clean_quarantine(store: Store, dataset: str, refused: Callable[[Path, str | None], bool], intent: Path) -> int:
    """Write the quarantine's files without the rows that are to go; return their number."""
    folder = store.path / "quarantine" / dataset
    gone = 0
    for path in sorted(folder.glob("*.parquet")):
        rows = pq.read_table(path, partitioning=None)
        keep = [not refused(path, text) for text in rows.column("record").to_pylist()]
        if all(keep):
            continue
        gone += len(keep) - sum(keep)
        temporary = path.with_suffix(".tmp")
        pq.write_table(rows.filter(pa.array(keep)), temporary, compression="zstd")
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        temporary.replace(path)
    if gone:
        sync_folder(folder)
        # Should the process end before the record is written, the count is not lost.
        note = json.loads(intent.read_text(encoding="utf-8"))
        note["quarantined"] = note.get("quarantined", 0) + gone
        _write_down(intent, json.dumps(note))
    return int(json.loads(intent.read_text(encoding="utf-8")).get("quarantined", 0))


def _holds(text: str | None, names: set[str], values: set[str]) -> bool:
    """Return whether a refused row is of an erased key; a line that could not be split counts if it holds one."""
    try:
        row = json.loads(text or "")
    except ValueError:
        row = None
    if isinstance(row, dict):
        return any(str(row.get(name, "")).strip() in values for name in names if row.get(name) is not None)
    return any(value in (text or "") for value in values)


def _plain(field: FieldSpec, values: Sequence[str]) -> list[str]:
    """Return values in the form in which the store writes them, each once."""
    typed = _typed(pa.array([v.strip() for v in values], pa.string()), field)
    return sorted({str(v) for v in typed.to_pylist()})


def _typed(values: pa.Array, field: FieldSpec) -> pa.Array:
    if field.integral:
        field = FieldSpec(field.name, "integer")
    done = cast(values, field, None, ())
    if done.faults or done.values.null_count:
        raise DataError(
            f"field {field.name!r}: a value to erase is no {field.type}.", remedy="Correct it.", code="OPS-D041"
        )
    return done.values


def _intent(store: Store, dataset: str) -> Path:
    return store.path / "lake" / f".{dataset}.erasing"


def _write_down(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file whole or not at all, and force it to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)
