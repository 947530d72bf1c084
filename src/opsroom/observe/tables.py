"""Delta tables of the store: opening, listing files with their bounds, committing a delivery exactly once."""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Transaction
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import RemoveAction

from opsroom.base.errors import StoreError
from opsroom.base.specs import DatasetSpec
from opsroom.observe.files import DataFile, version_in

HEAD = "opsroom"
"""App transaction that every commit advances: it carries the delivery number and serialises writers."""

UPKEEP = "opsroom-upkeep"
"""Key of the record that a compaction or an erasure leaves in the log."""

_CONFIGURATION = {
    # History is the point of the store: nothing is removed but by a recorded erasure.
    "delta.appendOnly": "true",
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.checkpointInterval": "50",
}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A committed data file with what is known of its rows.

    Attributes
    ----------
    uri
        Path for the reader.
    part
        ``first`` (rows of keys never seen before) or ``revised`` as a delivery brought them; after compaction
        ``current`` (rows that nothing had followed) or ``past`` (rows that were over, and those that take back).
    rows
        Number of rows.
    low, high
        Smallest and largest values by column; a column may be absent.
    """

    uri: str
    part: str
    rows: int
    low: dict[str, Any] = field(compare=False)
    high: dict[str, Any] = field(compare=False)

    @property
    def stem(self) -> str:
        """Name by which rows of other files name this one."""
        return self.uri.rsplit("/", 1)[-1].removesuffix(".parquet")

    @property
    def spec(self) -> int:
        """Version of the specification under which it was written."""
        return version_in(self.stem)

    def meets(self, column: str, low: Any, high: Any) -> bool:  # bounds of any ordered type
        """Return whether the file may hold rows with the column between two bounds (None: open)."""
        if column not in self.low:
            return True
        return (high is None or self.low[column] <= high) and (low is None or self.high[column] >= low)


class ConflictError(Exception):
    """Another writer committed since the table was read: read again and retry."""


class Table:
    """One dataset's Delta table.

    Parameters
    ----------
    path
        Its folder; it need not exist before the first commit.
    spec
        The dataset's specification.
    """

    def __init__(self, path: Path, spec: DatasetSpec) -> None:
        self.path, self.spec = path, spec
        self._handle: DeltaTable | None = None
        self._files: dict[int, tuple[StoredFile, ...]] = {}
        self._held = False
        self._rests_on: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None  # a version, and the number of the last delivery in it

    def refresh(self, *, certain: bool = False) -> DeltaTable | None:
        """Bring the handle up to date; None while nothing was committed.

        While this process holds the writer lock, nobody else of this machine commits and the log is not asked
        again, unless `certain` asks for it: before and after a commit, and after a conflict. Otherwise it is read
        only where it goes on (a commit is the file of the next number, and none is ever cleaned up) or has another
        checkpoint: an erasure takes away those that the handle may still rest on.
        """
        checkpoint = self._checkpoint()
        fresh = checkpoint == self._rests_on and not self._goes_on()
        if self._handle is not None and not certain and (self._held or fresh):
            return self._handle
        try:
            if self._handle is None:
                if not DeltaTable.is_deltatable(str(self.path)):
                    return None
                self._handle = DeltaTable(self.path)
            else:
                self._handle.update_incremental()
        except (DeltaError, OSError) as error:
            raise _unreadable(self.spec.name) from error
        self._rests_on = checkpoint
        return self._handle

    def _goes_on(self) -> bool:
        """Return whether the log holds a commit after the handle's."""
        handle = self._handle
        return handle is None or (self.path / "_delta_log" / f"{int(handle.version()) + 1:020d}.json").exists()

    def _checkpoint(self) -> tuple[int, int] | None:
        """Return what tells the log's last checkpoint from another; None where there is none."""
        try:
            found = (self.path / "_delta_log" / "_last_checkpoint").stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    @property
    def version(self) -> int:
        """Latest committed version; -1 while nothing was committed."""
        handle = self.refresh()
        return -1 if handle is None else int(handle.version())

    def files(self, version: int | None = None) -> tuple[StoredFile, ...]:
        """Return the committed files as of a version (None: the latest), oldest first."""
        handle = self.refresh()
        if handle is None:
            return ()
        latest = int(handle.version())
        number = latest if version is None else version
        if number < 0:
            return ()
        if number > latest:
            raise StoreError(
                f"dataset {self.spec.name!r} has no version {number}; the latest is {latest}.",
                remedy="Pin a version that was committed.",
                code="OPS-F020",
            )
        if number not in self._files:
            try:
                at = handle if number == latest else DeltaTable(self.path, version=number)
                actions = pa.table(at.get_add_actions(flatten=True))
            except (DeltaError, OSError) as error:
                raise _unreadable(self.spec.name) from error
            if len(self._files) > 32:
                self._files.clear()
            self._files[number] = _stored(actions, self.path)
        return self._files[number]

    def delivery_of(self, content: str) -> int | None:
        """Return the number of the delivery with this content, if it was ever committed."""
        handle = self.refresh()
        found = None if handle is None else handle.transaction_version(_app(content))
        return None if found is None else int(found)

    @property
    def last_delivery(self) -> int:
        """Number of the last delivery; 0 while there is none."""
        handle = self.refresh()
        if handle is None:
            return 0
        version = int(handle.version())
        if self._last is None or self._last[0] != version:
            self._last = (version, int(handle.transaction_version(HEAD) or 0))
        return self._last[1]

    def commit(self, files: Sequence[DataFile], delivery: int, contents: Sequence[str], record: str) -> int:
        """Commit a delivery in one step and return the new version.

        Parameters
        ----------
        files
            Its data files; may be empty (a delivery that changed nothing is knowledge, too).
        delivery
            Its number: the last one plus one.
        contents
            Identities under which the delivery can be found again.
        record
            The delivery record, JSON, kept in the log so that `room.db` can be rebuilt from it.

        Raises
        ------
        ConflictError
            Another writer was faster.
        """
        if self.refresh(certain=True) is None:
            self._create()
        handle = self.refresh()
        if handle is None:
            raise _unreadable(self.spec.name)
        if self.last_delivery != delivery - 1:
            raise ConflictError
        self._extend(handle)
        marks = [Transaction(HEAD, delivery), *(Transaction(_app(c), delivery) for c in contents)]
        try:
            handle.create_write_transaction(
                [file.action(self.path) for file in files],
                "append",
                _schema(self.spec),
                partition_by=["part"],
                commit_properties=CommitProperties(
                    custom_metadata={HEAD: record}, max_commit_retries=0, app_transactions=marks
                ),
                post_commithook_properties=PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False),
            )
        except CommitFailedError:
            self.refresh(certain=True)
            raise ConflictError from None
        self.refresh(certain=True)
        return self.version

    def _extend(self, handle: DeltaTable) -> None:
        """Add the fields that a later version of the specification brought to the table's schema."""
        there = {field.name for field in handle.schema().fields}
        missing = [field for field in _schema(self.spec).fields if field.name not in there]
        if not missing:
            return
        try:
            handle.alter.add_columns(missing)
        except CommitFailedError:
            self.refresh(certain=True)
            raise ConflictError from None
        self.refresh(certain=True)

    def replace(self, old: Sequence[StoredFile], new: Sequence[DataFile], record: dict[str, Any]) -> int:
        """Name other files for the same rows (or fewer, in a recorded erasure) and return the new version.

        Parameters
        ----------
        old, new
            Files that later versions no longer read, and those that they read instead.
        record
            Why, kept in the log.

        Raises
        ------
        ConflictError
            Another writer was faster.
        """
        handle = self.refresh()
        if handle is None:
            raise _unreadable(self.spec.name)
        self._extend(handle)
        before = int(handle.version())
        now = time.time_ns() // 1_000_000
        removed = [
            RemoveAction(Path(f.uri).relative_to(self.path).as_posix(), False, now, None, {"part": f.part}) for f in old
        ]
        added = [replace(file.action(self.path), data_change=False) for file in new]
        names = [Path(f.uri).relative_to(self.path).as_posix() for f in old]
        mark = f"{UPKEEP}/{uuid.uuid4().hex}"
        try:
            handle.create_write_transaction(
                [*removed, *added],
                "append",
                _schema(self.spec),
                partition_by=["part"],
                commit_properties=CommitProperties(
                    custom_metadata={UPKEEP: json.dumps({**record, "replaced": names}, sort_keys=True)},
                    max_commit_retries=0,
                    app_transactions=[Transaction(mark, 1)],
                ),
                post_commithook_properties=PostCommitHookProperties(
                    create_checkpoint=False, cleanup_expired_logs=False
                ),
            )
        except (CommitFailedError, DeltaError, OSError) as error:
            self.refresh(certain=True)
            handle = self.refresh()
            if handle is not None and handle.transaction_version(mark) is not None:
                return self.version  # committed, although what followed failed
            if isinstance(error, CommitFailedError) or self.version != before:
                raise ConflictError from None
            raise
        self.refresh(certain=True)
        return self.version

    def checkpoint(self) -> None:
        """Write a checkpoint of the latest version, from a log that was changed beside the library."""
        self._handle = self._last = None
        self._files.clear()
        handle = self.refresh(certain=True)
        if handle is not None:
            handle.create_checkpoint()

    def upkeep(self) -> list[tuple[int, dict[str, Any]]]:
        """Return (version, record) of every compaction and erasure, oldest first."""
        handle = self.refresh()
        if handle is None:
            return []
        return sorted(
            ((int(h["version"]), json.loads(h[UPKEEP])) for h in handle.history() if UPKEEP in h), key=lambda v: v[0]
        )

    def replaced(self) -> list[Path]:
        """Return the files that only earlier versions are made of, be they still there or not."""
        return [self.path / name for _, record in self.upkeep() for name in record["replaced"]]

    def _create(self) -> None:
        try:
            DeltaTable.create(
                self.path,
                _schema(self.spec),
                mode="ignore",
                partition_by=["part"],
                # Bounds are kept of these columns alone; by default Delta keeps those of the first 32, however named.
                configuration={
                    **_CONFIGURATION,
                    "delta.dataSkippingStatsColumns": ",".join(
                        [*self.spec.key, "known_at", "delivery", "known_to", "op"]
                    ),
                },
                name=self.spec.name,
            )
        except CommitFailedError:
            return  # another writer created it in the same moment
        except (DeltaError, OSError) as error:
            raise _unreadable(self.spec.name) from error

    def records(self) -> list[tuple[int, dict[str, Any]]]:
        """Return (version, delivery record) of every commit, oldest first."""
        handle = self.refresh()
        if handle is None:
            return []
        history = handle.history()
        return sorted((int(h["version"]), json.loads(h[HEAD])) for h in history if HEAD in h)

    @contextlib.contextmanager
    def lock(self, *, wait: bool = True) -> Iterator[bool]:
        """Hold the dataset's writer lock: writers of one machine wait for each other instead of retrying.

        Without `wait` the block runs at once, and is told whether it holds the lock.

        The commit does not depend on it: on a file system without locks the app transaction refuses the
        slower writer. The lock goes with the process, so that a kill leaves none behind.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with (self.path.parent / f".{self.path.name}.lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            self.refresh()
            self._held = True
            try:
                yield True
            finally:
                self._held = False

    def orphans(self) -> list[Path]:
        """Return data files that no commit names: what killed writers left behind."""
        named = {Path(file.uri) for file in self.files()} | set(self.replaced())
        return sorted(p for p in self.path.glob("part=*/*.parquet") if p not in named)


def _app(content: str) -> str:
    return f"{HEAD}/{content}"


def _schema(spec: DatasetSpec) -> DeltaSchema:
    schema = spec.arrow_schema(system=True).append(pa.field("part", pa.string(), nullable=False))
    # Delta's invariants are not ours: nullability is checked on arrival, and tombstones leave fields empty.
    return DeltaSchema.from_arrow(pa.schema([field.with_nullable(True) for field in schema]))


def _stored(actions: pa.Table, root: Path) -> tuple[StoredFile, ...]:
    files = []
    for row in actions.to_pylist():
        low = {k[4:]: _utc(v) for k, v in row.items() if k.startswith("min.") and v is not None}
        high = {k[4:]: _utc(v) for k, v in row.items() if k.startswith("max.") and v is not None}
        uri = str(root / row["path"])
        files.append(StoredFile(uri, row["partition.part"], int(row["num_records"]), low, high))
    return tuple(sorted(files, key=lambda f: (f.low["delivery"], f.uri)))


def _utc(value: Any) -> Any:  # a bound of any type
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _unreadable(dataset: str) -> StoreError:
    return StoreError(
        f"the table of dataset {dataset!r} cannot be read or written.",
        remedy="Check the disk; restore the folder from a backup if it is damaged.",
        code="OPS-F021",
    )
