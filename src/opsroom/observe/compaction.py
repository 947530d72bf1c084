"""Compaction: many small files become few, in the order of periods; every vintage and every answer stays."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opsroom.base.errors import StoreError
from opsroom.observe.files import sync_folder
from opsroom.observe.job import told
from opsroom.observe.rewriting import Rewriter, Span, spans
from opsroom.observe.store import Store
from opsroom.observe.tables import ConflictError, Table

TRIES = 4


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction did.

    Attributes
    ----------
    dataset
        Its name.
    before, after
        Number of files that a read opens.
    rows
        Rows written anew.
    version
        The version that it made; the version before where there was nothing to do.
    deleted
        Files of earlier versions taken from the disk.
    """

    dataset: str
    before: int
    after: int
    rows: int
    version: int
    deleted: int


def compact(store: Store, dataset: str, *, vacuum: bool = False) -> Compaction:
    """Merge the files of a dataset.

    Files of one range of periods are written anew: rows that hold apart from rows that are over, each with its
    knowledge time, the moment of recording and the delivery. A view opens fewer files and needs no marks; no
    answer changes, as of any moment.

    Parameters
    ----------
    store
        The room's store.
    dataset
        Its name.
    vacuum
        Also delete the files that earlier versions were made of. These versions stay readable, from the new files,
        at the price of a sort.

    Raises
    ------
    StoreError
        The disk is full, or other machines kept writing; nothing was changed.

    Notes
    -----
    Files first, then one commit that names the new and drops the old: a process killed anywhere leaves the table
    as it was before or as it is after.
    """
    store.require_writable()
    table = store.delta(dataset)
    with table.lock():
        before = len(table.files())
        rows = 0
        for attempt in range(TRIES):
            work = [s for s in spans(table.files(), store.spec(dataset).period) if _is_worth(s)]
            if not work:
                break
            try:
                rows = _rewrite(store, dataset, table, work)
                break
            except ConflictError:
                if attempt == TRIES - 1:
                    raise StoreError(
                        f"dataset {dataset!r}: other writers were faster.", remedy="Try again.", code="OPS-F023"
                    ) from None
        deleted = clear(table) if vacuum else 0
        return Compaction(dataset, before, len(table.files()), rows, table.version, deleted)


def _is_worth(span: Span) -> bool:
    return len(span.files) > 1 and any(f.part in ("first", "revised") for f in span.files)


def _rewrite(store: Store, dataset: str, table: Table, work: list[Span]) -> int:
    with writing(store, dataset) as undo, store.workbench() as con:
        rewriter = Rewriter(con, table, store.shapes(dataset))
        undo.callback(rewriter.discard)
        for span in work:
            rewriter.write(span)
        files = rewriter.finish()
        for folder in {f.path.parent for f in files}:
            sync_folder(folder)
        old = [f for span in work for f in span.files]
        if sum(f.rows for f in old) != sum(f.rows for f in files):
            raise StoreError(
                f"dataset {dataset!r}: the files written anew do not hold every row; nothing was changed.",
                remedy="Check the disk.",
                code="OPS-F041",
            )
        table.replace(old, files, {"kind": "compaction"})
        undo.pop_all()
        return sum(f.rows for f in files)


@contextlib.contextmanager
def writing(store: Store, dataset: str) -> Iterator[contextlib.ExitStack]:
    """Mark that files are being written, and take back on an error what the block registers with the stack."""
    marker = store.delta(dataset).path.parent / f".{dataset}.writing"
    if marker.exists():
        store.sweep_locked(dataset)
    with told(f"dataset {dataset!r}"):
        marker.touch()
        with contextlib.ExitStack() as undo:
            yield undo
        marker.unlink(missing_ok=True)


def clear(table: Table) -> int:
    """Delete the files that only earlier versions were made of, and return their number."""
    gone = [p for p in table.replaced() if p.exists()]
    for path in gone:
        path.unlink(missing_ok=True)
    for folder in {p.parent for p in gone}:
        sync_folder(Path(folder))
    return len(gone)
