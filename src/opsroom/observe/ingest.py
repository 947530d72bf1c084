"""`ingest`: one delivery from a source into the store, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from opsroom.base.errors import StoreError, UsageError
from opsroom.base.specs import DatasetSpec
from opsroom.observe.arranging import arrange
from opsroom.observe.erasing import finish_locked
from opsroom.observe.job import Job
from opsroom.observe.quality import refuse
from opsroom.observe.readers import open_source
from opsroom.observe.report import IngestReport
from opsroom.observe.store import Store
from opsroom.observe.tables import ConflictError
from opsroom.observe.watching import Expected

__all__ = ["Expected", "IngestReport", "ingest"]

TRIES = 8
"""How often a delivery is tried again when another machine commits first."""


def ingest(
    store: Store,
    spec: DatasetSpec,
    source: Any,  # file paths, Arrow or pandas data: `open_source` checks
    *,
    known_at: datetime | None = None,
    actor: str,
    reason: str | None = None,
    deletions: bool = False,
    expected: Expected | None = None,
    progress: Callable[[int], None] | None = None,
) -> IngestReport:
    """Check a delivery, put what cannot be used in quarantine, and commit the rest in one step.

    Parameters
    ----------
    store
        The room's store.
    spec
        The dataset, registered in the store.
    source
        Path or paths of CSV, Parquet or XLSX files; a pyarrow Table, RecordBatch or RecordBatchReader; a pandas
        DataFrame.
    known_at
        When the room learnt it, with a time zone; the store's clock where absent. Of a dataset with
        ``known_at_field``, each row brings its own.
    actor
        Who delivers.
    reason
        Why the knowledge time lies before what the dataset already knows, where it does.
    deletions
        The rows name keys to take back.
    expected
        The provider's control totals: a delivery that differs from them is refused.
    progress
        Called with the number of rows read so far.

    Returns
    -------
    IngestReport
        Counts, reasons, delivery number and version.

    Raises
    ------
    DataError
        The delivery as a whole cannot be used (see `opsroom.observe.quality.RULES`); nothing was stored.
    StoreError
        The disk is full or the store cannot be written; nothing was stored.

    Notes
    -----
    The order of writing makes it atomic: data files and quarantine first (they count for nothing yet), then
    one Delta commit that names them, carries the content's hash as an app transaction and advances the
    delivery number, then the log in `room.db`, which can be rebuilt from the commit. A process killed
    anywhere leaves all or nothing; what it left behind is swept when the dataset is next written.

    A delivery is compared with what was known at its knowledge time, and only what differs is stored: a full
    delivery repeated with three corrections stores three rows.
    """
    store.require_writable()
    if store.specs.get(spec.name) != spec:
        raise UsageError(
            f"dataset {spec.name!r} is not registered in the store with this specification.",
            remedy="Add it with `Store.add` first.",
        )
    if not actor.strip():
        raise UsageError("a delivery needs an actor.", remedy="Give actor='name'.")
    if known_at is not None and known_at.tzinfo is None:
        raise UsageError("known_at has no time zone.", remedy="Give it with its zone.")
    where = f"dataset {spec.name!r}"
    table = store.delta(spec.name)
    with table.lock():
        finish_locked(store, spec.name)
        for attempt in range(TRIES):
            # Read once it is this writer's turn: who waited for another is the later one, not back-dated.
            recorded_at = store.clock().astimezone(UTC)
            moment = recorded_at if known_at is None else known_at.astimezone(UTC)
            if moment > recorded_at + timedelta(days=1):
                raise refuse("OPS-D011", where)
            reading = arrange(open_source(source, where=where, layout=spec.layout), spec, where=where)
            job = Job(
                store,
                spec,
                table,
                moment,
                recorded_at,
                actor,
                reason or "",
                deletions=deletions,
                expected=expected or Expected(),
            )
            job.progress = progress
            try:
                return job.run(reading)
            except ConflictError:
                if isinstance(source, pa.RecordBatchReader) or attempt == TRIES - 1:
                    break
    raise StoreError(f"{where}: other writers were faster.", remedy="Deliver it again.", code="OPS-F023")
