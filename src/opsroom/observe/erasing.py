"""Recorded erasure: rows that the law wants gone leave the store, its history, its log and the quarantine."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Sequence
from datetime import UTC
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
from opsroom.observe.shapes import quote, scan
from opsroom.observe.store import Store
from opsroom.observe.tables import ConflictError, StoredFile, Table

TRIES = 4


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
    store.require_writable()
    if not reason.strip() or not legal_basis.strip() or not actor.strip():
        raise UsageError("an erasure needs reason, legal basis and actor.", remedy="Give them.", code="OPS-U110")
    spec = store.spec(dataset)
    if field not in {f.name for f in spec.fields} or not values:
        raise UsageError(
            f"an erasure names a field of dataset {dataset!r} and at least one value.",
            remedy="See `opsroom dataset show`.",
            code="OPS-U111",
        )
    texts = _plain(spec.field(field), values)
    table = store.delta(dataset)
    with table.lock():
        finish_locked(store, dataset)
        intent = {
            "mark": uuid.uuid4().hex,
            "field": field,
            "values": texts,
            "reason": reason,
            "legal_basis": legal_basis,
            "actor": actor,
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
    field = spec.field(intent["field"])
    store.sweep_locked(dataset)
    with store.workbench() as con, told(f"dataset {dataset!r}"):
        values = pa.array(intent["values"], pa.string())
        con.register("erased_values", pa.table({field.name: _typed(values, field)}))
        for attempt in range(TRIES):
            files = table.files()
            hit, rows, first = _find(con, store, dataset, files, field.name)
            try:
                if hit:
                    _rewrite(con, store, dataset, table, [s for s in spans(files, spec.period) if hit & set(s.files)],
                             intent, rows, first)  # fmt: skip
                break
            except ConflictError:
                if attempt == TRIES - 1:
                    raise StoreError(
                        f"dataset {dataset!r}: other writers were faster; the erasure is noted and not yet done.",
                        remedy="Run `opsroom store erase` again, or wait for the next delivery.",
                        code="OPS-F023",
                    ) from None
        con.unregister("erased_values")
        clear(table)
        _redact(table)
        quarantined = _clean_quarantine(store, dataset, field, set(intent["values"]), Path(_intent(store, dataset)))
        done = _recorded(store, dataset, table, intent, quarantined)
        _intent(store, dataset).unlink()
    store.forget_tables(dataset)
    return done


def _find(
    con: Any, store: Store, dataset: str, files: Sequence[StoredFile], field: str
) -> tuple[set[StoredFile], int, int]:
    """Return the files that hold rows to erase, the number of rows, and the first delivery among them."""
    hit, rows, first = set(), 0, 0
    shapes = store.shapes(dataset)
    for version, group in shapes.groups(files):
        select = shapes.select([field], version)
        found = con.execute(
            f"SELECT CAST(file_index AS BIGINT), count(*), min(delivery) FROM "
            f"(SELECT {select}, delivery, file_index FROM {scan(group)}) "
            f"SEMI JOIN erased_values USING ({quote(field)}) GROUP BY ALL"
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
    intent: dict[str, Any],
    rows: int,
    first: int,
) -> None:
    with writing(store, dataset) as undo:
        field = intent["field"]
        rewriter = Rewriter(con, table, store.shapes(dataset), without=(field, "erased_values"))
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
        notes = {k: intent[k] for k in ("mark", "field", "reason", "legal_basis", "actor", "recorded_at")}
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


def _clean_quarantine(store: Store, dataset: str, field: FieldSpec, values: set[str], intent: Path) -> int:
    """Write the quarantine's files without rows of the erased keys; return the number of rows that went."""
    folder = store.path / "quarantine" / dataset
    gone = 0
    names = {field.name, field.source, *field.aliases}
    for path in sorted(folder.glob("*.parquet")):
        rows = pq.read_table(path, partitioning=None)
        keep = [not _holds(text, names, values) for text in rows.column("record").to_pylist()]
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
