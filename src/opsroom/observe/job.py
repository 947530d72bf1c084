"""`Job`: one attempt to check, compare, write and commit one delivery."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from deltalake.exceptions import DeltaError

from opsroom.base.errors import InternalError, StoreError
from opsroom.base.periods import Frequency, local_day
from opsroom.base.specs import DatasetSpec
from opsroom.observe.assess import assess
from opsroom.observe.banning import without_erased
from opsroom.observe.checks import Checker
from opsroom.observe.datasetrules import DatasetRules
from opsroom.observe.deliveries import Delivery, remember
from opsroom.observe.diff import Diff
from opsroom.observe.erasures import Ban
from opsroom.observe.files import DataFile, FileWriter, Stamp, discard, sync_folder
from opsroom.observe.measuring import watched_fields
from opsroom.observe.quality import refuse
from opsroom.observe.readers import Reading
from opsroom.observe.refused import Quarantine
from opsroom.observe.report import IngestReport
from opsroom.observe.retold import Retelling
from opsroom.observe.shapes import quote, scan
from opsroom.observe.snapshot import Absent, with_tombstones
from opsroom.observe.staging import Chunk, Stage
from opsroom.observe.store import Store
from opsroom.observe.tables import ConflictError, StoredFile, Table
from opsroom.observe.views import as_of_sql
from opsroom.observe.watching import Expected, Watch


class Job:
    """One attempt to commit one delivery; the caller holds the dataset's lock.

    Parameters
    ----------
    store, spec, table
        The store, the dataset and its Delta table.
    moment, recorded_at
        Knowledge time of the delivery and the moment of writing, UTC.
    actor, reason
        Who delivers; why it is back-dated, where it is.
    deletions
        The rows name keys to take back.
    expected
        The provider's control totals.
    """

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
        expected: Expected,
    ) -> None:
        self._store, self._spec, self._table = store, spec, table
        self._moment, self._recorded_at = moment, recorded_at
        self._actor, self._reason, self._deletions = actor, reason, deletions
        self._where = f"dataset {spec.name!r}"
        self._vintages = bool(spec.known_at_field) and not deletions
        before = store.deliveries(spec.name)
        self._before = before
        self._watch = Watch(spec, expected)
        self._last = before[-1] if before else None
        self._latest = max((d.known_at for d in before), default=None)
        self._number = table.last_delivery + 1
        self._written: list[DataFile] = []
        self.progress: Callable[[int], None] | None = None
        self._duplicates = 0
        self._counts = {"rows": 0, "revised": 0, "deleted": 0}

    # -- steps --------------------------------------------------------------------------------

    def run(self, reading: Reading) -> IngestReport:
        """Carry the delivery through, or leave everything as it was.

        Raises
        ------
        ConflictError
            Another machine committed meanwhile.
        DataError, StoreError, InternalError
            See `opsroom.observe.ingest.ingest`.
        """
        marker = self._table.path.parent / f".{self._spec.name}.writing"
        if marker.exists():
            self._store.sweep_locked(self._spec.name)
        if reading.identity is not None and (found := self._present(reading.identity)) is not None:
            return found
        self._check_back_dating(self._moment if not self._vintages else None)
        with told(self._where), contextlib.ExitStack() as undo:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
            undo.callback(marker.unlink, missing_ok=True)
            report = self._transfer(reading, undo)
            undo.pop_all()
            marker.unlink(missing_ok=True)
        return report

    def _transfer(self, reading: Reading, undo: contextlib.ExitStack) -> IngestReport:
        """Check, compare, write and commit; `undo` takes back what was written before the commit."""
        spec = self._spec
        lists = self._store.code_lists
        checker = Checker(
            spec,
            reading.columns,
            codes={f.name: spec.codes(f.name, lists) for f in spec.fields if f.type == "code"},
            known_at=self._moment,
            deletions=self._deletions,
            tz=self._store.zone,
            where=self._where,
        )
        ban = Ban(self._store.state, self._store.hasher, spec)
        stamp = Stamp(None if self._vintages else self._moment, self._recorded_at, self._number)
        spill = self._deletions or not (spec.snapshot and self._vintages)
        stage = Stage(self._table.path, spec, stamp, checker.schema, spill=spill)
        name = f"d{self._number:06d}-{self._recorded_at:%Y%m%dT%H%M%S%f}.parquet"
        quarantine = Quarantine(self._store.path / "quarantine" / spec.name, name)
        undo.callback(stage.discard)
        undo.callback(quarantine.discard)
        undo.callback(lambda: discard(self._written))
        for raw in reading.batches:
            quarantine.begin_file(raw.base, raw.file, raw.fold)
            good, refused = checker.check(raw)
            if ban:
                good, refused = without_erased(ban, raw, good, refused)
            self._watch.batch(raw, good, refused)
            self._watch.kept_out = ban.kept_out
            if self.progress is not None:
                self.progress(self._watch.rows_read)
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
        self._watch.require_expected(self._where)
        # Where rows are refused, their absence does not mean that they are gone.
        complete = spec.snapshot and not self._deletions and not quarantine.total
        shapes, stored = self._store.shapes(spec.name), self._table.files()
        with self._store.workbench() as con:
            absent = Absent(con, shapes, stored, known_at=self._moment, where=self._where) if complete else None
            staged, retelling = False, self._retelling(con, stored, stage.rows)
            for chunk in stage.chunks():
                staged = staged or chunk.rows is None
                if retelling is not None:
                    files = [str(f.path) for f in chunk.files]
                    retelling.add(f"FROM {scan(files)}" if chunk.rows is None else chunk.rows)
                self._place(con, chunk, quarantine, stamp, undo, absent)
            if absent is not None and staged:
                if (beside := absent.beside()) is not None:
                    self._settle(con, Chunk(None, (), distinct=True), beside, quarantine, stamp, undo)
                self._watch.tombstones += absent.rows
            known, watch = self._duplicates + self._counts["revised"], self._watch
            if retelling is not None and known and watch.period_from is not None and watch.period_to is not None:
                moment = self._moment if self._latest is None or not self._vintages else self._latest
                watch.retold = retelling.measure(moment, watch.period_from, watch.period_to)
        self._check_back_dating(self._earliest())
        if self._spec.rules and not self._deletions:
            self._judge()
        record = self._record(reading, content, quarantine)
        version = self._commit(record, self._mark(content))
        undo.pop_all()  # committed: from here on nothing may be taken back
        # Where the disk takes no more, the commit is the log: the store notes it in room.db when it next can.
        with contextlib.suppress(StoreError):
            remember(self._store.state, [replace(record, version=version)])
        quality = assess(self._store, spec, record, self._before, self._watch)
        return IngestReport(
            dataset=spec.name,
            accepted=record.accepted,
            quarantined=record.quarantined,
            duplicates=record.duplicates,
            version=version,
            delivery=self._number,
            reasons=record.reasons,
            known_at=record.known_at,
            quality=quality,
        )

    def _retelling(self, con: duckdb.DuckDBPyConnection, stored: Sequence[StoredFile], rows: int) -> Retelling | None:
        """Return what looks for series that were cut; None where nothing can tell, or a snapshot takes rows back."""
        spec, first = self._spec, self._watch.period_from
        apt = spec.quality.report and not spec.snapshot and spec.frequency != Frequency.EVENT
        if not apt or self._deletions or self._reason or not stored or first is None:
            return None
        if first > max(f.high[spec.period] for f in stored):
            return None  # all of it is new
        most = spec.quality.sample_rows
        return Retelling(con, self._store.shapes(spec.name), stored, every=max(1, round(rows / most)) if most else 1)

    def _place(
        self,
        con: duckdb.DuckDBPyConnection,
        chunk: Chunk,
        quarantine: Quarantine,
        stamp: Stamp,
        undo: contextlib.ExitStack,
        absent: Absent | None,
    ) -> None:
        """Classify one chunk, with what a complete delivery leaves out of it, and write its files."""
        stored, shapes = self._table.files(), self._store.shapes(self._spec.name)
        if chunk.rows is not None:
            rows = chunk.rows
            if absent is not None:
                rows = with_tombstones(con, shapes, stored, rows, known_at=stamp.known_at, where=self._where)
                self._watch.tombstones += rows.num_rows - chunk.rows.num_rows
            self._settle(con, chunk, rows, quarantine, stamp, undo)
            return
        columns = [f.name for f in self._spec.fields] + ["source_row"]
        if self._vintages:
            columns.append("known_at")
        names, files = ", ".join(quote(c) for c in columns), [str(f.path) for f in chunk.files]
        arriving = f"SELECT {names} FROM {scan(files)}"
        if absent is not None and chunk.span is not None and (gone := absent.within(chunk.span, files)) is not None:
            arriving = f"SELECT {names}, CAST(0 AS TINYINT) AS op FROM {scan(files)} UNION ALL {gone}"
        self._settle(con, chunk, arriving, quarantine, stamp, undo)

    def _settle(
        self,
        con: duckdb.DuckDBPyConnection,
        chunk: Chunk,
        arriving: pa.Table | str,
        quarantine: Quarantine,
        stamp: Stamp,
        undo: contextlib.ExitStack,
    ) -> None:
        stored, shapes = self._table.files(), self._store.shapes(self._spec.name)
        known_at = None if self._vintages else self._moment
        diff = Diff(con, shapes, stored, known_at=known_at, deletions=self._deletions)
        split = diff.split(arriving, distinct=chunk.distinct)
        self._duplicates += split.duplicates
        quarantine.add_found(split.refused)
        if split.first is None and chunk.rows is None:
            self._keep(chunk.files)
        else:
            first = split.first if split.first is not None else chunk.rows
            if chunk.rows is None:
                discard(chunk.files)
            if first is not None:
                self._write("first", first, stamp, undo)
        if split.revised is not None:
            self._write("revised", split.revised, stamp, undo)
            if self._spec.quality.report:
                self._watch.add_revisions(diff.sizes(watched_fields(self._spec)))

    def _write(self, part: str, rows: pa.Table, stamp: Stamp, undo: contextlib.ExitStack) -> None:
        if not rows.num_rows:
            return
        writer = FileWriter(self._table.path, part, self._spec, stamp)
        undo.callback(writer.discard)
        writer.write(rows)
        self._keep([writer.close()])
        if part == "revised":
            self._counts["revised"] += rows.num_rows
            self._counts["deleted"] += int(pc.sum(rows.column("op")).as_py() or 0)

    def _keep(self, files: Sequence[DataFile]) -> None:
        self._written += files
        self._counts["rows"] += sum(f.rows for f in files)

    def _record(self, reading: Reading, content: str, quarantine: Quarantine) -> Delivery:
        refused = quarantine.close()
        low = [f.stats["minValues"].get(self._spec.period) for f in self._written]
        high = [f.stats["maxValues"].get(self._spec.period) for f in self._written]
        return Delivery(
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
            reasons=dict(sorted(quarantine.reasons.items())),
            quarantine=refused,
            period_from=min((v for v in low if v is not None), default=""),
            period_to=max((v for v in high if v is not None), default=""),
            deletions=self._deletions,
            known_from=self._earliest(),
            spec_version=self._spec.version,
        )

    def _judge(self) -> None:
        """Judge the rules on the dataset as a whole, before anything counts."""
        store, moment = self._store, self._moment

        def other(dataset: str, at: datetime) -> str:
            return as_of_sql(store.shapes(dataset), store.files(dataset), at)

        with store.workbench() as con:
            written = [str(f.path) for f in self._written]
            day = local_day(moment, store.zone)
            rules = DatasetRules(con, store.shapes(self._spec.name), self._table.files(), written, moment, day, other)
            for broken in rules.broken():
                if broken.rule.refuses:
                    raise refuse("OPS-D054", self._where, f"{broken.rule.name}, in {broken.places:,} place(s)")
                self._watch.broken[broken.rule.name] = broken.places

    def _commit(self, record: Delivery, mark: str) -> int:
        for folder in {f.path.parent for f in self._written}:
            sync_folder(folder)
        try:
            return self._table.commit(self._written, self._number, [mark], record.to_json())
        except (ConflictError, StoreError, DeltaError, OSError):
            # The log may hold the commit although what follows it (a checkpoint) failed: its files must stay.
            self._table.refresh(certain=True)
            if self._table.delivery_of(mark) == self._number:
                return self._table.version
            raise

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
            and last.known_at == self._latest  # a back-dated delivery does not say what is known now
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
        if earliest is not None and self._latest is not None and earliest < self._latest and not self._reason.strip():
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


def _is_full(error: OSError | DeltaError) -> bool:
    # What comes from the Delta writer carries the system's number in its words alone.
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return getattr(error, "errno", None) in full or any(f"(os error {number})" in str(error) for number in full)


@contextlib.contextmanager
def told(where: str) -> Iterator[None]:
    """Tell errors of the engine and the disk without their words, which may quote data."""
    try:
        yield
    except (OSError, DeltaError) as error:
        if _is_full(error):
            rule, remedy, code = "the disk is full", "Free some space.", "OPS-F002"
        else:
            rule, remedy, code = (
                "the store cannot be written",
                "Check the disk and its permissions.",
                "OPS-F024",
            )
        raise StoreError(f"{where}: {rule}; nothing was stored.", remedy=remedy, code=code) from None
    except (duckdb.IOException, duckdb.OutOfMemoryException):
        raise StoreError(
            f"{where}: too little disk or memory to compare the delivery; nothing was stored.",
            remedy="Free some space, or deliver it in parts.",
            code="OPS-F025",
        ) from None
    except (duckdb.Error, pa.ArrowException):
        raise InternalError(f"{where}: the delivery could not be compared; nothing was stored.") from None
