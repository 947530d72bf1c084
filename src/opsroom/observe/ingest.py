"""`ingest`: one delivery from a source into the store, all of it or nothing."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from opsroom.base.errors import InternalError, StoreError, UsageError
from opsroom.base.specs import DatasetSpec
from opsroom.observe.checks import Checker
from opsroom.observe.deliveries import Delivery, remember
from opsroom.observe.diff import Diff
from opsroom.observe.files import DataFile, FileWriter, Stamp, discard, sync_folder
from opsroom.observe.quality import RULES, refuse
from opsroom.observe.readers import Reading, open_source
from opsroom.observe.refused import Quarantine
from opsroom.observe.snapshot import with_tombstones
from opsroom.observe.staging import Chunk, Stage
from opsroom.observe.store import Store
from opsroom.observe.tables import ConflictError, Table
from opsroom.observe.views import scan

WORK_MEMORY = "320MB"
"""Memory of the engine that compares a delivery with the store; beyond, it spills to disk."""

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
) -> IngestReport:
    """Check a delivery, put what cannot be used in quarantine, and commit the rest in one step.

    Parameters
    ----------
    store
        The room's store.
    spec
        The dataset, registered in the store.
    source
        Path or paths of CSV or Parquet files; a pyarrow Table, RecordBatch or RecordBatchReader; a pandas
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
    recorded_at = store.clock().astimezone(UTC)
    moment = recorded_at if known_at is None else known_at.astimezone(UTC)
    if moment > recorded_at + timedelta(days=1):
        raise refuse("OPS-D011", where)
    table = store.delta(spec.name)
    with table.lock():
        for attempt in range(TRIES):
            reading = open_source(source, where=where)
            job = _Job(store, spec, table, moment, recorded_at, actor, reason or "", deletions=deletions)
            try:
                return job.run(reading)
            except ConflictError:
                if isinstance(source, pa.RecordBatchReader) or attempt == TRIES - 1:
                    break
    raise StoreError(f"{where}: other writers were faster.", remedy="Deliver it again.", code="OPS-F023")


class _Job:
    """One attempt to commit one delivery; the caller holds the dataset's lock."""

    def __init__(
        self,
        store: Store,
        spec: DatasetSpec,
        table: Table,
        moment: datetime,
        recorded_at: datetime,
        actor: str,
        reason: str,
        *,
        deletions: bool,
    ) -> None:
        self._store, self._spec, self._table = store, spec, table
        self._moment, self._recorded_at = moment, recorded_at
        self._actor, self._reason, self._deletions = actor, reason, deletions
        self._where = f"dataset {spec.name!r}"
        self._vintages = bool(spec.known_at_field) and not deletions
        before = store.deliveries(spec.name)
        self._last = before[-1] if before else None
        self._latest = max((d.known_at for d in before), default=None)
        self._number = table.last_delivery + 1
        self._written: list[DataFile] = []
        self._duplicates = 0
        self._counts = {"rows": 0, "revised": 0, "deleted": 0}

    # -- steps --------------------------------------------------------------------------------

    def run(self, reading: Reading) -> IngestReport:
        marker = self._table.path.parent / f".{self._spec.name}.writing"
        if marker.exists():
            self._store.sweep_locked(self._spec.name)
        if reading.identity is not None and (found := self._present(reading.identity)) is not None:
            return found
        self._check_back_dating(self._moment if not self._vintages else None)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
        stamp = Stamp(None if self._vintages else self._moment, self._recorded_at, self._number)
        name = f"d{self._number:06d}-{self._recorded_at:%Y%m%dT%H%M%S%f}.parquet"
        quarantine = Quarantine(self._store.path / "quarantine" / self._spec.name, name)
        codes = {
            f.name: self._spec.codes(f.name, self._store.code_lists)
            for f in self._spec.fields
            if f.type == "code"
        }
        checker = Checker(
            self._spec,
            reading.columns,
            codes=codes,
            known_at=self._moment,
            deletions=self._deletions,
            tz=self._store.zone,
            where=self._where,
        )
        spill = not (self._spec.snapshot and not self._deletions)
        stage = Stage(self._table.path, self._spec, stamp, checker.schema, spill=spill)
        try:
            report = self._transfer(reading, checker, stage, quarantine, stamp)
        except BaseException as error:
            stage.discard()
            discard(self._written)
            quarantine.discard()
            marker.unlink(missing_ok=True)
            raise _mapped(error, self._where) from None
        marker.unlink(missing_ok=True)
        return report

    def _transfer(
        self, reading: Reading, checker: Checker, stage: Stage, quarantine: Quarantine, stamp: Stamp
    ) -> IngestReport:
        for raw in reading.batches:
            quarantine.begin_file(raw.base, raw.file)
            good, refused = checker.check(raw)
            if refused is not None:
                quarantine.add(refused)
            stage.add(good)
        if not stage.rows and not quarantine.total:
            raise refuse("OPS-D005", self._where)
        content = reading.digest()
        if reading.identity is None and (found := self._present(content)) is not None:
            stage.discard()
            quarantine.discard()
            return found
        with self._engine() as con:
            for chunk in stage.chunks():
                self._place(con, chunk, quarantine, stamp)
        self._check_back_dating(self._earliest())
        return self._commit(reading, content, quarantine)

    def _place(
        self, con: duckdb.DuckDBPyConnection, chunk: Chunk, quarantine: Quarantine, stamp: Stamp
    ) -> None:
        """Classify one chunk and write its files."""
        stored = self._table.files()
        if chunk.rows is not None:
            rows, distinct = chunk.rows, chunk.distinct
            if self._spec.snapshot and not self._deletions and not quarantine.total:
                known = stamp.known_at
                rows = with_tombstones(con, self._spec, stored, rows, known_at=known, where=self._where)
            arriving: pa.Table | str = rows
        else:
            columns = [f.name for f in self._spec.fields] + ["source_row"]
            if self._vintages:
                columns.append("known_at")
            names = ", ".join(f'"{c}"' for c in columns)
            arriving, distinct = (
                f"SELECT {names} FROM {scan(str(f.path) for f in chunk.files)}",
                chunk.distinct,
            )
        known_at = None if self._vintages else self._moment
        diff = Diff(con, self._spec, stored, known_at=known_at, deletions=self._deletions)
        split = diff.split(arriving, distinct=distinct)
        self._duplicates += split.duplicates
        quarantine.add_found(split.refused)
        if split.first is None and chunk.rows is None:
            self._keep(chunk.files)
        else:
            first = split.first if split.first is not None else chunk.rows
            if chunk.rows is None:
                discard(chunk.files)
            if first is not None:
                self._write("first", first, stamp)
        if split.revised is not None:
            self._write("revised", split.revised, stamp)

    def _write(self, part: str, rows: pa.Table, stamp: Stamp) -> None:
        if not rows.num_rows:
            return
        writer = FileWriter(self._table.path, part, self._spec, stamp)
        try:
            writer.write(rows)
        except BaseException:
            writer.discard()
            raise
        self._keep([writer.close()])
        if part == "revised":
            self._counts["revised"] += rows.num_rows
            if "op" in rows.column_names:
                self._counts["deleted"] += int(pa.compute.sum(rows.column("op")).as_py() or 0)

    def _keep(self, files: Sequence[DataFile]) -> None:
        self._written += files
        self._counts["rows"] += sum(f.rows for f in files)

    def _commit(self, reading: Reading, content: str, quarantine: Quarantine) -> IngestReport:
        refused = quarantine.close()
        for folder in {f.path.parent for f in self._written}:
            sync_folder(folder)
        low = [f.stats["minValues"].get(self._spec.period) for f in self._written]
        high = [f.stats["maxValues"].get(self._spec.period) for f in self._written]
        record = Delivery(
            dataset=self._spec.name,
            delivery=self._number,
            version=-1,
            known_at=self._known_at(),
            recorded_at=self._recorded_at,
            actor=self._actor,
            provider=self._spec.provider,
            reason=self._reason,
            content=content,
            files=reading.files,
            accepted=self._counts["rows"],
            quarantined=quarantine.total,
            duplicates=self._duplicates,
            revised=self._counts["revised"] - self._counts["deleted"],
            deleted=self._counts["deleted"],
            reasons=dict(quarantine.reasons),
            quarantine=refused,
            period_from=min((v for v in low if v is not None), default=""),
            period_to=max((v for v in high if v is not None), default=""),
            deletions=self._deletions,
        )
        version = self._table.commit(self._written, self._number, [self._mark(content)], record.to_json())
        remember(self._store.state, [replace(record, version=version)])
        return IngestReport(
            dataset=self._spec.name,
            accepted=record.accepted,
            quarantined=record.quarantined,
            duplicates=record.duplicates,
            version=version,
            delivery=self._number,
            reasons=dict(sorted(quarantine.reasons.items())),
            known_at=record.known_at,
        )

    # -- knowledge ----------------------------------------------------------------------------

    def _mark(self, content: str) -> str:
        """Name the delivery: its content, its knowledge time unless that is in the content, and its kind."""
        when = "" if self._vintages else f"@{self._moment.isoformat(timespec='microseconds')}"
        return f"{content}{when}{'-deletions' if self._deletions else ''}"

    def _present(self, content: str) -> IngestReport | None:
        """Return the report of a delivery that is there already.

        It is there when the same content was committed for the same knowledge time, or when it is what the
        dataset's last delivery said: a provider that sends last week's file again says nothing new.
        """
        number = self._table.delivery_of(self._mark(content))
        last = self._last
        if (
            number is None
            and last is not None
            and (last.content, last.deletions) == (content, self._deletions)
            and last.known_at <= self._moment
        ):
            number = last.delivery
        if number is None:
            return None
        return IngestReport(
            dataset=self._spec.name,
            accepted=0,
            quarantined=0,
            duplicates=0,
            version=self._table.version,
            delivery=number,
            already_present=True,
        )

    def _check_back_dating(self, earliest: datetime | None) -> None:
        if (
            earliest is not None
            and self._latest is not None
            and earliest < self._latest
            and not self._reason.strip()
        ):
            raise refuse("OPS-D012", self._where)

    def _earliest(self) -> datetime | None:
        found = [f.stats["minValues"]["known_at"] for f in self._written]
        return datetime.fromisoformat(min(found)) if found else None

    def _known_at(self) -> datetime:
        if not self._vintages:
            return self._moment
        found = [f.stats["maxValues"]["known_at"] for f in self._written]
        last = datetime.fromisoformat(max(found)) if found else None
        return last or self._latest or self._moment

    def _engine(self) -> duckdb.DuckDBPyConnection:
        folder = self._store.path / "lake" / ".spill"
        folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": WORK_MEMORY,
            "temp_directory": str(folder),
            "preserve_insertion_order": "false",
        }
        if self._store.threads is not None:
            config["threads"] = self._store.threads
        con = duckdb.connect(":memory:", config=config)
        con.execute("SET TimeZone = 'UTC'")
        return con


def _mapped(error: BaseException, where: str) -> BaseException:
    """Return the error to raise: those of the engine and the disk are told without their words."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StoreError(
            f"{where}: the disk is full; nothing was stored.", remedy="Free some space.", code="OPS-F002"
        )
    if isinstance(error, OSError | duckdb.IOException | duckdb.OutOfMemoryException):
        return StoreError(
            f"{where}: the store cannot be written; nothing was stored.",
            remedy="Check the disk and its permissions.",
            code="OPS-F024",
        )
    if isinstance(error, duckdb.Error | pa.ArrowException):
        return InternalError(f"{where}: the delivery could not be compared; nothing was stored.")
    return error
