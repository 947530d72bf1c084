"""`DropFolder`: take in what providers put into a folder, each file once, whoever watches and whatever dies.

A file lies in ``DROP/DATASET/FILE``. It is *complete* when it was put there under a hidden or ``.part`` name and
renamed, or when ``FILE.done`` lies beside it, or when its size and time did not change between two looks. It moves on
by renaming alone: to ``.work`` when it is taken, to ``.done`` when it is in the store, to ``.dead`` with an account
of the error when it cannot be taken in. Who works on a dataset holds a lock that dies with its process; what a dead
watcher left in ``.work`` is taken up first, at the moment of knowledge that was noted then, so that the store
recognises a delivery that was committed before the kill.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import DataError, OpsroomError, StoreError, UsageError
from opsroom.observe.files import sync_folder

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger

    from opsroom.observe.report import IngestReport
    from opsroom.room.room import Room

MARKER = ".done"
CONTROL = ".control.json"
CLAIM = ".claim.json"
UNFINISHED = (".part", ".partial", ".tmp", ".crdownload")

TRIES = 8
"""How often a delivery that met a fault of the machine (disk full, lock) is tried before it goes to ``.dead``."""

FIRST_WAIT, LONGEST_WAIT = 2.0, 600.0
"""Seconds before the second try; they double each time up to the longest."""


@dataclass(slots=True)
class Claim:
    """What is noted when a file is taken: kept beside it until it is in the store or given up.

    Attributes
    ----------
    known_at
        Knowledge time of the delivery, fixed when the file was taken: a second try after a kill is the same
        delivery.
    attempts
        Tries that failed.
    next_try
        When it may be tried again; empty: now.
    """

    known_at: str
    attempts: int = 0
    next_try: str = ""


@dataclass(slots=True)
class Tally:
    """What one look at the folder did.

    Attributes
    ----------
    ingested, dead, waiting
        Files that are in the store, files given up, files that wait for another try.
    settling
        Files that may still be written.
    """

    ingested: int = 0
    dead: int = 0
    waiting: int = 0
    settling: int = 0

    def add(self, other: Tally) -> None:
        """Add another look; what waits or settles is what did so last."""
        self.ingested += other.ingested
        self.dead += other.dead
        self.waiting, self.settling = other.waiting, other.settling


@dataclass(slots=True)
class DropFolder:
    """A drop folder of a room.

    Parameters
    ----------
    room
        The room that takes the deliveries in.
    path
        The folder; it must exist. Work, finished and failed files stay in it, in hidden folders.
    log
        Where each step is logged.
    marker
        Take only files with a ``FILE.done`` beside them.
    settle
        Seconds during which a file without marker must not change.
    tries, first_wait
        Tries before a file is given up, and seconds before the second one.
    ingesting
        Called with each file's path while it is taken in; it gives a context (a progress bar).
    """

    room: Room
    path: Path
    log: FilteringBoundLogger
    marker: bool = False
    settle: float = 2.0
    tries: int = TRIES
    first_wait: float = FIRST_WAIT
    ingesting: Callable[[Path], contextlib.AbstractContextManager[Callable[[int], None] | None]] | None = None
    _seen: dict[Path, tuple[int, int, float]] = field(default_factory=dict, repr=False)
    _unknown: Counter[str] = field(default_factory=Counter, repr=False)

    def __post_init__(self) -> None:
        self.room.guard.require("ingest")  # before the first file: none is given up because of who watches
        if not self.path.is_dir():
            raise UsageError(f"there is no folder {self.path.name}.", remedy="Make it first.", code="OPS-U030")

    def once(self) -> Tally:
        """Look twice, a settling time apart, and take in what is complete. For a timer."""
        total = self.look()
        if total.settling and not self.marker:
            time.sleep(self.settle)
            total.add(self.look())
        return total

    def watch(self, interval: float, stop: Callable[[], bool]) -> Tally:
        """Look again and again until told to stop; the file in hand is finished first.

        Parameters
        ----------
        interval
            Seconds between two looks.
        stop
            Asked between files and several times a second between looks.
        """
        total = Tally()
        while not stop():
            total.add(self.look(stop))
            until = time.monotonic() + interval
            while time.monotonic() < until and not stop():
                time.sleep(min(0.2, interval))
        return total

    def look(self, stop: Callable[[], bool] = lambda: False) -> Tally:
        """Take in what is complete now, dataset by dataset, the oldest file first."""
        tally = Tally()
        for folder in sorted(p for p in self.path.iterdir() if p.is_dir() and not p.name.startswith(".")):
            if stop():
                break
            name = folder.name
            if not self.room.store.has(name):
                if not self._unknown[name]:
                    self.log.warning("no such dataset", dataset=name, remedy="Register it: opsroom dataset add.")
                self._unknown[name] += 1
                continue
            with self._alone(name) as mine:
                if mine:
                    self._dataset(name, folder, tally, stop)
        return tally

    # -- one dataset --------------------------------------------------------------------------

    @contextlib.contextmanager
    def _alone(self, dataset: str) -> Iterator[bool]:
        """Hold the dataset's lock, if nobody else does. It goes with the process."""
        work = self._place("work")
        with (work / f"{dataset}.lock").open("a") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def _dataset(self, dataset: str, folder: Path, tally: Tally, stop: Callable[[], bool]) -> None:
        work = self._place("work", dataset)
        for left in self._files(work):
            wait = self._claim(left).next_try
            if wait and not self._due(wait):
                tally.waiting += 1
                return  # files of one dataset stay in order: the next waits, too
            self.log.info("taken up again", dataset=dataset, file=left.name)
            if not self._carry(dataset, left, tally):
                return
        for file in self._ready(folder, tally):
            if stop():
                return
            taken = self._take(dataset, file, work)
            if taken is not None and not self._carry(dataset, taken, tally):
                return

    def _ready(self, folder: Path, tally: Tally) -> Iterator[Path]:
        """Yield complete files, by time and name."""
        found = []
        for file in self._files(folder):
            try:
                stat = file.stat()
            except FileNotFoundError:
                continue
            if file.with_name(file.name + MARKER).exists() or (not self.marker and self._settled(file, stat)):
                found.append((stat.st_mtime_ns, file.name, file))
            else:
                tally.settling += 1
        for _, _, file in sorted(found):
            yield file

    def _files(self, folder: Path) -> list[Path]:
        beside = (MARKER, CONTROL, CLAIM)
        return sorted(
            p
            for p in folder.iterdir()
            if p.is_file()
            and not p.name.startswith((".", "~"))
            and not p.name.endswith(beside)
            and p.suffix.lower() not in UNFINISHED
        )

    def _settled(self, file: Path, stat: os.stat_result) -> bool:
        """Return whether a file did not change for the settling time, by this process's own clock alone."""
        now = time.monotonic()
        size, changed, since = self._seen.get(file, (-1, -1, now))
        if (size, changed) != (stat.st_size, stat.st_mtime_ns):
            self._seen[file] = (stat.st_size, stat.st_mtime_ns, now)
            return self.settle <= 0
        return now - since >= self.settle

    # -- one file -----------------------------------------------------------------------------

    def _take(self, dataset: str, file: Path, work: Path) -> Path | None:
        """Move a file to the work folder, its moment of knowledge noted before."""
        moment = self.room.store.clock().astimezone(dt.UTC)
        target = work / file.name
        self._note(target, Claim(moment.isoformat(timespec="microseconds")))
        try:
            file.rename(target)
        except FileNotFoundError:  # withdrawn by its provider meanwhile
            _claim_of(target).unlink(missing_ok=True)
            return None
        finally:
            self._seen.pop(file, None)
        for end in (CONTROL, MARKER):
            beside = file.with_name(file.name + end)
            with contextlib.suppress(FileNotFoundError):
                beside.rename(target.with_name(target.name + end))
        sync_folder(work)
        self.log.info("taken", dataset=dataset, file=file.name)
        return target

    def _carry(self, dataset: str, file: Path, tally: Tally) -> bool:
        """Try a taken file; False where it waits for another try."""
        claim = self._claim(file)
        begun = time.monotonic()
        try:
            report = self._ingest(dataset, file, claim)
        except (StoreError, OSError) as error:
            claim.attempts += 1
            if claim.attempts < self.tries:
                self._wait(dataset, file, claim, error)
                tally.waiting += 1
                return False
            self._bury(dataset, file, claim, error)
            tally.dead += 1
            return True
        except OpsroomError as error:
            claim.attempts += 1
            self._bury(dataset, file, claim, error)
            tally.dead += 1
            return True
        self._finish(dataset, file)
        tally.ingested += 1
        quality = report.quality
        self.log.info(
            "known already" if report.already_present else "ingested",
            dataset=dataset,
            file=file.name,
            delivery=report.delivery,
            version=report.version,
            accepted=report.accepted,
            quarantined=report.quarantined,
            duplicates=report.duplicates,
            score=None if quality is None else quality.score,
            alarms=[] if quality is None else [a.kind for a in quality.alarms],
            seconds=round(time.monotonic() - begun, 3),
        )
        return True

    def _ingest(self, dataset: str, file: Path, claim: Claim) -> IngestReport:
        control = _read_control(file)
        with contextlib.ExitStack() as stack:
            progress = None if self.ingesting is None else stack.enter_context(self.ingesting(file))
            try:
                return self._try(dataset, file, claim, control, progress)
            except DataError as error:
                if error.code != "OPS-D012":
                    raise
            # Another delivery came between, or the clock was set back: it is later than what is known.
            latest = max(d.known_at for d in self.room.store.deliveries(dataset))
            moment = max(self.room.store.clock().astimezone(dt.UTC), latest + dt.timedelta(microseconds=1))
            claim.known_at = moment.isoformat(timespec="microseconds")
            self._note(file, claim)
            return self._try(dataset, file, claim, control, progress)

    def _try(
        self,
        dataset: str,
        file: Path,
        claim: Claim,
        control: dict[str, Any],
        progress: Callable[[int], None] | None,
    ) -> IngestReport:
        return self.room.ingest(
            dataset,
            file,
            claim.known_at,
            expect_rows=control.get("rows"),
            expect_sums=control.get("sums"),
            progress=progress,
        )

    def _wait(self, dataset: str, file: Path, claim: Claim, error: Exception) -> None:
        seconds = min(self.first_wait * 2 ** (claim.attempts - 1), LONGEST_WAIT)
        later = self.room.store.clock().astimezone(dt.UTC) + dt.timedelta(seconds=seconds)
        claim.next_try = later.isoformat(timespec="microseconds")
        with contextlib.suppress(OSError):  # a full disk takes no note: then it is tried at the next look
            self._note(file, claim)
        self.log.warning(
            "will be tried again",
            dataset=dataset,
            file=file.name,
            attempt=claim.attempts,
            code=_code(error),
            seconds=seconds,
        )

    def _due(self, moment: str) -> bool:
        wait = (dt.datetime.fromisoformat(moment) - self.room.store.clock()).total_seconds()
        # A wait beyond the longest comes from a clock that was set back since.
        return not 0 < wait <= LONGEST_WAIT

    def _bury(self, dataset: str, file: Path, claim: Claim, error: Exception) -> None:
        told = isinstance(error, OpsroomError)
        account = {
            "dataset": dataset,
            "file": file.name,
            "code": _code(error),
            "message": error.message if told else type(error).__name__,  # type: ignore[attr-defined]  # told
            "remedy": error.remedy if told else "Check the disk and its permissions.",  # type: ignore[attr-defined]  # told
            "attempts": claim.attempts,
            "known_at": claim.known_at,
        }
        target = self._move(file, "dead", dataset)
        _write(target.with_name(target.name + ".error.json"), account)
        self.log.error("given up", dataset=dataset, file=file.name, attempt=claim.attempts, code=_code(error))

    def _finish(self, dataset: str, file: Path) -> None:
        self._move(file, "done", dataset)

    def _move(self, file: Path, place: str, dataset: str) -> Path:
        """Move a file and what lies beside it to a place where no file of that name is yet."""
        folder = self._place(place, dataset)
        target, number = folder / file.name, 1
        while target.exists():
            number += 1
            target = folder / f"{file.stem}~{number}{file.suffix}"
        file.rename(target)
        with contextlib.suppress(FileNotFoundError):
            file.with_name(file.name + CONTROL).rename(target.with_name(target.name + CONTROL))
        file.with_name(file.name + MARKER).unlink(missing_ok=True)
        _claim_of(file).unlink(missing_ok=True)
        sync_folder(folder)
        return target

    def _place(self, *parts: str) -> Path:
        folder = self.path.joinpath("." + parts[0], *parts[1:])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    # -- claims -------------------------------------------------------------------------------

    def _claim(self, file: Path) -> Claim:
        try:
            return Claim(**json.loads(_claim_of(file).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            # Without a readable note the delivery was not tried: the note is forced to disk before the move.
            return Claim(self.room.store.clock().astimezone(dt.UTC).isoformat(timespec="microseconds"))

    def _note(self, file: Path, claim: Claim) -> None:
        _write(_claim_of(file), asdict(claim))


def _claim_of(file: Path) -> Path:
    return file.with_name(file.name + CLAIM)


def _code(error: Exception) -> str:
    return error.code if isinstance(error, OpsroomError) else "OPS-F002"


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all, and force it to disk."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("w", encoding="utf-8") as handle:
        json.dump(content, handle)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def _read_control(file: Path) -> dict[str, Any]:
    """Read the provider's control totals beside a file: ``{"rows": 120, "sums": {"sales": "15020.50"}}``."""
    return read_control(file.with_name(file.name + CONTROL), missing_ok=True)


def read_control(path: Path, *, missing_ok: bool = False) -> dict[str, Any]:
    """Read a file of control totals.

    Raises
    ------
    DataError
        It cannot be read, or holds anything but ``rows`` and ``sums``.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if missing_ok:
            return {}
        raw = None
    except (OSError, ValueError):
        raw = None
    rows, sums = (raw.get("rows"), raw.get("sums", {})) if isinstance(raw, dict) else (None, None)
    fits = (rows is None or (isinstance(rows, int) and not isinstance(rows, bool))) and isinstance(sums, dict)
    if not isinstance(raw, dict) or set(raw) - {"rows", "sums"} or not fits:
        raise DataError(
            f"the control totals {path.name!r} cannot be read.",
            remedy='Write {"rows": 120, "sums": {"field": 15020}}.',
            code="OPS-D051",
        )
    return raw
