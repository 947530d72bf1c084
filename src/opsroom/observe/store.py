"""`Store`: the room's datasets, each one Delta table, read as of any moment."""

from __future__ import annotations

import contextlib
import copy
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from opsroom.base.codes import code_list
from opsroom.base.errors import NotFoundError, StoreError, UsageError
from opsroom.base.periods import AsOf, resolve_as_of, zone
from opsroom.base.specs import DatasetSpec
from opsroom.base.state import State
from opsroom.observe.checks import QUARANTINE
from opsroom.observe.deliveries import Delivery, forget, last_known_at, last_number, recall, remember
from opsroom.observe.engines import DuckEngine, Engine
from opsroom.observe.erasures import Erasure, Hasher, erasures
from opsroom.observe.evolution import read_versions
from opsroom.observe.shapes import Shapes
from opsroom.observe.tables import StoredFile, Table
from opsroom.observe.views import as_of_sql, changes_sql, latest_sql, vintages_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb
    import ibis


WORK_MEMORY = "320MB"
"""Memory of the engine that compares a delivery with the store; beyond, it spills to disk."""


def _now() -> datetime:
    return datetime.now(UTC)


class Store:
    """The bitemporal store of a room.

    Parameters
    ----------
    path
        The room's folder; the store uses ``lake/`` and ``quarantine/`` in it.
    specs
        Specifications of the datasets, by name or as a sequence.
    state
        The room's database.
    timezone
        IANA name of the room's zone, in which days end.
    code_lists
        The room's own code lists, such as ``{"regions": ("R01", …)}``.
    threads
        Threads of the query engine; None for as many as there are cores.
    clock
        Gives ``recorded_at`` and the moment of a delivery without one. Nothing else reads it.
    engine
        Where `table` lives; DuckDB where absent. Ingest, and reads into Arrow, are always done by DuckDB.

    Notes
    -----
    A store may be shared by processes. Within one process, use it from one thread at a time.
    """

    def __init__(
        self,
        path: Path | str,
        specs: Mapping[str, DatasetSpec] | Sequence[DatasetSpec],
        state: State,
        *,
        timezone: str = "UTC",
        code_lists: Mapping[str, Sequence[str]] | None = None,
        threads: int | None = None,
        clock: Callable[[], datetime] = _now,
        engine: Engine | None = None,
    ) -> None:
        self.path = Path(path).absolute()
        self.state = state
        self.zone = zone(timezone)
        self.clock = clock
        self.code_lists = {name: tuple(codes) for name, codes in (code_lists or {}).items()}
        self.specs: dict[str, DatasetSpec] = {}
        self._tables: dict[str, Table] = {}
        self._shapes: dict[str, Shapes] = {}
        self._logs: dict[str, list[Delivery]] = {}
        self.hasher = Hasher(self.path / "lake" / ".erasure.key")
        self._pins: dict[str, int] = {}
        self.threads = threads
        self._duck = DuckEngine(threads=threads)
        self.engine: Engine = self._duck if engine is None else engine
        self._bench: duckdb.DuckDBPyConnection | None = None
        self.reading_right: Callable[[str, tuple[StoredFile, ...]], None] | None = None
        self._origins: dict[str, tuple[str, int]] = {}
        for spec in specs.values() if isinstance(specs, Mapping) else specs:
            self.add(spec)

    # -- datasets -----------------------------------------------------------------------------

    def add(self, spec: DatasetSpec) -> None:
        """Register a dataset.

        Raises
        ------
        SpecError
            A field takes its codes from a list that neither opsroom nor the room has.
        """
        for field in spec.fields:
            if field.codes_from:
                code_list(field.codes_from, self.code_lists)
        self.specs[spec.name] = spec
        datasets = self.path / "datasets"
        self._shapes[spec.name] = Shapes(spec, lambda: read_versions(datasets, spec.name))
        self._tables[spec.name] = Table(self.path / "lake" / spec.name, spec)

    def has(self, dataset: str) -> bool:
        """Return whether a dataset of that name is registered."""
        return dataset in self.specs

    def spec(self, dataset: str) -> DatasetSpec:
        """Return a dataset's specification.

        Raises
        ------
        NotFoundError
            No dataset of that name.
        """
        if dataset not in self.specs:
            raise NotFoundError(f"there is no dataset {dataset!r}.", remedy="List them with `opsroom dataset list`.")
        return self.specs[dataset]

    def shapes(self, dataset: str) -> Shapes:
        """Return the versions of a dataset's specification."""
        self.spec(dataset)
        return self._shapes[dataset]

    def delta(self, dataset: str) -> Table:
        """Return a dataset's Delta table, for ingest and maintenance."""
        self.spec(dataset)
        return self._tables[dataset]

    def require_writable(self) -> None:
        """Refuse to write through a pinned store.

        Raises
        ------
        UsageError
            The store reads pinned versions.
        """
        if self._pins:
            raise UsageError("a pinned store is for reading.", remedy="Ingest into the room's own store.")

    def version(self, dataset: str, as_of: AsOf = None) -> int:
        """Return the Delta version that reads of a dataset use; -1 before any delivery.

        Parameters
        ----------
        dataset
            Its name.
        as_of
            None for the pinned or latest version. With a moment, the version that first held every row known by
            then: what was delivered afterwards about later moments does not change it, so that a figure
            computed late states the same origin as one computed on the day.
        """
        table = self.delta(dataset)
        latest = self._pins.get(dataset, table.version)
        if as_of is None:
            return latest
        moment = self.moment(as_of)
        versions = [d.version for d in self._seen(dataset) if d.known_from is not None and d.known_from <= moment]
        if not versions:
            return -1
        found = min(max(versions), latest)
        while (erased := self.erased(dataset, found)) is not None and erased.version <= latest:
            found = erased.version  # what is read now rests on what the erasure left
        return found

    def pinned(self, versions: Mapping[str, int]) -> Store:
        """Return a store that reads these versions, for exact replay; others are read at their latest.

        Raises
        ------
        StoreError
            A recorded erasure took rows out of a version: it can never be read again.
        """
        for dataset, version in versions.items():
            self.spec(dataset)
            erased = self.erased(dataset, version)
            if erased is not None:
                raise StoreError(
                    f"dataset {dataset!r}: version {version} is not recomputable: erasure {erased.number}.",
                    remedy="Compute as of the same day from the latest version; figures may differ.",
                    code="OPS-F040",
                )
        # The twin shares the engines, so that the tables of both can be joined.
        twin = copy.copy(self)
        twin._pins = {**self._pins, **versions}
        return twin

    def files(self, dataset: str) -> tuple[StoredFile, ...]:
        """Return the committed data files that reads of a dataset use.

        Raises
        ------
        AccessError
            The room may no longer read the dataset (`reading_right`, which the room sets, says so).
        """
        return self._reading(dataset)[0]

    def _reading(self, dataset: str) -> tuple[tuple[StoredFile, ...], int | None]:
        """Return the files to read, and the number of the last delivery that counts where not all of them do.

        A pinned version whose files were written anew and deleted since is read from the newer ones.
        """
        table, pin = self.delta(dataset), self._pins.get(dataset)
        files = table.files(pin)
        if self.reading_right is not None:
            self.reading_right(dataset, files)
        if pin is None or all(Path(f.uri).exists() for f in files):
            return files, None
        last = max((d.delivery for d in self._seen(dataset)), default=0)
        return table.files(), last

    def _seen(self, dataset: str) -> list[Delivery]:
        """Return the deliveries that reads of a dataset see, in their order."""
        log, pin = self._log(dataset), self._pins.get(dataset)
        return log if pin is None else [d for d in log if d.version <= pin]

    def _log(self, dataset: str) -> list[Delivery]:
        """Return all committed deliveries of a dataset in their order: kept, since a record never changes."""
        log = self._logs.get(dataset, [])
        if (log[-1].delivery if log else 0) != self.delta(dataset).last_delivery:
            unnoted = self._catch_up(dataset)
            log = [*recall(self.state, dataset), *unnoted]
            if not unnoted:  # else room.db still waits for them
                self._logs[dataset] = log
        return log

    def erased(self, dataset: str, version: int) -> Erasure | None:
        """Return the erasure that took rows out of a version of a dataset, None while it can be recomputed."""
        return next((e for e in erasures(self.state, dataset) if e.covers(version)), None)

    def forget_tables(self, dataset: str) -> None:
        """Forget the views of a dataset that were handed out: their files may be gone."""
        self._origins = {name: origin for name, origin in self._origins.items() if origin[0] != dataset}

    # -- time ---------------------------------------------------------------------------------

    def latest_known_at(self) -> datetime:
        """Return the largest committed knowledge time of all datasets, UTC.

        Raises
        ------
        AsOfError
            Nothing was ever ingested.
        """
        return resolve_as_of(None, tz=self.zone, latest=self._latest())

    def _latest(self) -> datetime | None:
        found = [one.known_at for dataset in self.specs for one in self._catch_up(dataset)]
        noted = last_known_at(self.state)
        return max(found if noted is None else [*found, noted], default=None)

    def moment(self, as_of: AsOf) -> datetime:
        """Return the knowledge time that `as_of` means: None the latest, a day its end in the room's zone."""
        return resolve_as_of(as_of, tz=self.zone, latest=self._latest() if as_of is None else None)

    def known(self, dataset: str, as_of: AsOf) -> bool:
        """Return whether anything was known of a dataset as of a moment."""
        files = self.files(dataset)
        if not files:
            return False
        moment = self.moment(as_of)
        return any(file.low["known_at"] <= moment for file in files)

    # -- reading ------------------------------------------------------------------------------

    def table(
        self,
        dataset: str,
        as_of: AsOf = None,
        *,
        period_from: date | None = None,
        period_to: date | None = None,
    ) -> ibis.Table:
        """Return a dataset as it was known, as an Ibis table of the store's engine.

        Parameters
        ----------
        dataset
            Its name.
        as_of
            Knowledge time; None for the latest.
        period_from, period_to
            First and last reference period wanted, inclusive: files outside are not opened.

        Returns
        -------
        ibis.Table
            The fields and ``known_at``. Tables of one store can be joined. The origin is found again by
            `provenance`.
        """
        version = self.version(dataset)
        sql = self._as_of(
            dataset, as_of, period_from=period_from, period_to=period_to, marks=self.engine.name == "duckdb"
        )
        name = f"{dataset}__v{max(version, 0)}__{hashlib.sha256(sql.encode()).hexdigest()[:16]}"
        if name not in self._origins:
            self.engine.view(name, sql)
            self._origins[name] = (dataset, version)
        return self.engine.backend.table(name)

    def arrow(
        self,
        dataset: str,
        as_of: AsOf = None,
        *,
        columns: Sequence[str] | None = None,
        period_from: date | None = None,
        period_to: date | None = None,
    ) -> pa.Table:
        """Return a dataset as it was known, as an Arrow table.

        Parameters
        ----------
        dataset, as_of, period_from, period_to
            See `table`.
        columns
            Columns wanted, in this order; all fields and ``known_at`` where absent.

        Raises
        ------
        NotFoundError
            No dataset, or no field, of that name.
        """
        spec = self.spec(dataset)
        known = {*(f.name for f in spec.fields), "known_at"}
        unknown = [c for c in columns or () if c not in known]
        if unknown:
            raise NotFoundError(
                f"dataset {dataset!r} has no field {', '.join(unknown)}.",
                remedy=f"Use some of {', '.join(sorted(known))}.",
            )
        sql = self._as_of(dataset, as_of, columns=columns, period_from=period_from, period_to=period_to)
        return self._execute(sql).to_arrow_table()

    def _as_of(
        self,
        dataset: str,
        as_of: AsOf,
        *,
        columns: Sequence[str] | None = None,
        period_from: date | None = None,
        period_to: date | None = None,
        marks: bool = True,
    ) -> str:
        """Return SQL of a dataset as it was known, by marks of rows that were revised or, else, by the definition."""
        shapes, (files, last), moment = self.shapes(dataset), self._reading(dataset), self.moment(as_of)
        if last is None and marks:
            return as_of_sql(shapes, files, moment, columns=columns, period_from=period_from, period_to=period_to)
        return latest_sql(
            shapes,
            files,
            moment,
            until_delivery=self.last_delivery(dataset) if last is None else last,
            columns=columns,
            period_from=period_from,
            period_to=period_to,
        )

    def vintages(
        self,
        dataset: str,
        as_of: AsOf = None,
        *,
        columns: Sequence[str] | None = None,
        period_from: date | None = None,
        tombstones: bool = False,
    ) -> pa.Table:
        """Return every vintage of a dataset known by a moment, not only the latest of each key.

        Parameters
        ----------
        dataset, as_of, columns, period_from
            See `arrow`.
        tombstones
            Whether rows that say that a record is taken back are among them, told by ``taken_back``; whatever their
            period.

        Returns
        -------
        pyarrow.Table
            The columns and ``known_at``, in the order of knowledge time.
        """
        shapes, (files, last) = self.shapes(dataset), self._reading(dataset)
        sql = vintages_sql(
            shapes, files, self.moment(as_of), until_delivery=last, columns=columns, period_from=period_from,
            tombstones=tombstones,
        )  # fmt: skip
        return self._execute(sql).to_arrow_table()

    def last_delivery(self, dataset: str) -> int:
        """Return the number of the last delivery of which reads of a dataset see rows; 0 before any."""
        return max((d.delivery for d in self._seen(dataset) if d.known_from is not None), default=0)

    def changes(
        self, dataset: str, columns: Sequence[str], *, after: datetime, until: datetime, delivery: int
    ) -> pa.Table | None:
        """Return the rows that became known after a moment, to bring a copy of a dataset up to date.

        Parameters
        ----------
        dataset, columns
            See `arrow`; the key should be among the columns.
        after
            Knowledge time of the copy.
        until
            Knowledge time wanted.
        delivery
            `last_delivery` when the copy was read.

        Returns
        -------
        pyarrow.Table or None
            The columns and ``taken_back`` (true for a tombstone, whose other fields are empty), in the order of
            knowledge time and delivery: the last row of a key holds. None where a copy cannot be brought up to
            date and has to be read afresh: it knows more than wanted, rows known by its moment were delivered
            since (back-dated), or reads are pinned to an older version than it saw.
        """
        shapes, (files, last) = self.shapes(dataset), self._reading(dataset)
        if until < after or last is not None or self.last_delivery(dataset) < delivery:
            return None
        later = (d.known_from for d in self._seen(dataset) if d.delivery > delivery and d.known_from is not None)
        if any(known_from <= after for known_from in later):
            return None
        return self._execute(changes_sql(shapes, files, after, until, columns=columns)).to_arrow_table()

    def _execute(self, sql: str) -> duckdb.DuckDBPyConnection:
        return self._duck.execute(sql)

    @property
    def backend(self) -> Any:  # an Ibis backend; Ibis has no type for both
        """The Ibis backend on which `table` lives."""
        return self.engine.backend

    @contextlib.contextmanager
    def workbench(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Lend a connection on which a delivery is compared with the store; its temporary tables go with it.

        The engine behind it has little memory of its own and spills to ``lake/.spill``. It is started once:
        starting one takes as long as a small delivery.
        """
        if self._bench is None:
            import duckdb

            folder = self.path / "lake" / ".spill"
            folder.mkdir(parents=True, exist_ok=True)
            config: dict[str, str | bool | int | float | list[str]] = {
                "memory_limit": WORK_MEMORY,
                "temp_directory": str(folder),
                "preserve_insertion_order": "false",
                "enable_external_file_cache": "false",
            }
            if self.threads is not None:
                config["threads"] = self.threads
            self._bench = duckdb.connect(":memory:", config=config)
        with self._bench.cursor() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection

    def provenance(self, expression: ibis.Expr) -> dict[str, int] | None:
        """Return dataset → Delta version for all leaves of an expression, or None if any leaf is foreign.

        A leaf that this store did not hand out (raw SQL, a view, a memtable) hides where it comes from; the
        caller must treat the expression as confidential.
        """
        import ibis.expr.operations as ops

        found: dict[str, int] = {}
        for leaf in expression.op().find(ops.PhysicalTable):
            origin = self._origins.get(leaf.name) if isinstance(leaf, ops.DatabaseTable) else None
            if origin is None:
                return None
            found[origin[0]] = origin[1]
        return found

    # -- deliveries ---------------------------------------------------------------------------

    def deliveries(self, dataset: str | None = None) -> list[Delivery]:
        """Return committed deliveries, of one dataset or all, in the order of recording.

        Within a dataset that is the order of their numbers, whatever the clocks of the machines that wrote them.
        """
        found: list[tuple[datetime, Delivery]] = []
        for name in [dataset] if dataset is not None else list(self.specs):
            self.spec(name)
            latest = datetime.min.replace(tzinfo=UTC)
            for one in self._log(name):
                latest = max(latest, one.recorded_at)  # a clock that is behind does not put it before its forerunner
                found.append((latest, one))
        return [one for _, one in sorted(found, key=lambda pair: (pair[0], pair[1].dataset, pair[1].delivery))]

    def rebuild_deliveries(self) -> int:
        """Rebuild the delivery log in `room.db` from the Delta logs and return the number of records."""
        self._logs.clear()
        for dataset in self.specs:
            forget(self.state, dataset)
            self._catch_up(dataset)
        return len(self.deliveries())

    def _catch_up(self, dataset: str) -> list[Delivery]:
        """Write into `room.db` the deliveries that were committed but not noted (a kill in between, a full disk).

        Returns
        -------
        list of Delivery
            Those that cannot be noted even now: a full disk takes no log, and must not keep anyone from reading.
        """
        table = self.delta(dataset)
        noted = last_number(self.state, dataset)
        if table.last_delivery <= noted:
            return []
        records = [Delivery.from_record(record, version) for version, record in table.records()]
        missing = [r for r in records if r.delivery > noted]
        try:
            remember(self.state, missing)
        except StoreError:
            return missing
        return []

    def quarantine(self, dataset: str, delivery: int | None = None) -> pa.Table:
        """Return rows in quarantine, of one delivery or all: confidential, an audited act of the steward.

        Returns
        -------
        pyarrow.Table
            delivery, file, row, field, code, faults, record (the row as JSON).
        """
        folder = self.path / "quarantine" / dataset
        parts = []
        for one in self.deliveries(dataset):
            if one.quarantine and delivery in (None, one.delivery):
                rows = pq.read_table(folder / one.quarantine, partitioning=None)
                number = pa.repeat(pa.scalar(one.delivery, pa.int64()), rows.num_rows)
                parts.append(rows.add_column(0, "delivery", number))
        schema = pa.schema([pa.field("delivery", pa.int64()), *QUARANTINE])
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def sweep(self, dataset: str) -> int:
        """Delete the files that a killed writer left uncommitted and return their number.

        It waits for running writers of this machine. Do not call it while another machine writes.
        """
        table = self.delta(dataset)
        with table.lock():
            return self.sweep_locked(dataset)

    def sweep_locked(self, dataset: str) -> int:
        """Do what `sweep` does, for a caller that holds the writer lock."""
        orphans = self.delta(dataset).orphans()
        kept = {one.quarantine for one in self.deliveries(dataset)}
        folder = self.path / "quarantine" / dataset
        orphans += [p for p in folder.glob("*.parquet") if p.name not in kept]
        for path in orphans:
            path.unlink(missing_ok=True)
        return len(orphans)

    def close(self) -> None:
        """Close the query engines."""
        if self._bench is not None:
            self._bench.close()
            self._bench = None
        self._duck.close()
        self.engine.close()
        self._origins.clear()
