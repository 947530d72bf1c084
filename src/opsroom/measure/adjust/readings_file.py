"""Readings of a panel in a file: a row a company, read a block at a time, so that memory holds a block and no more."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError

Ints = npt.NDArray[np.int64]

CELLS = 1 << 24
"""Readings of a block of customers, about: 200 MB while they are added up."""

HELD = 1 << 22
"""Readings that a spool sorts in memory at a time: 60 MB, and as much again while they are sorted."""

FILES = 16
"""Files of a spool at most: they are open all at once, and some systems allow a process 256."""

PART = ".part"
"""End of the name of a file that is not whole yet."""


@dataclass(frozen=True, slots=True)
class ReadingsFile:
    """Whole numbers by company and day in a file, taken row by row as an array's are; confidential like these.

    Attributes
    ----------
    path
        The file: 8 bytes a reading, row by row. Whoever had it made deletes it.
    shape
        Companies and days.
    """

    path: Path
    shape: tuple[int, int]
    ndim: int = 2

    @property
    def dtype(self) -> np.dtype[np.int64]:
        """Kind of number."""
        return np.dtype(np.int64)

    def __len__(self) -> int:
        """Return the number of companies."""
        return self.shape[0]

    def __getitem__(self, rows: slice | Ints) -> Ints:
        """Return the readings of some companies, read now."""
        wanted = np.arange(self.shape[0])[rows]
        out = np.empty((len(wanted), self.shape[1]), dtype=np.int64)
        # Neighbours are read at once.
        edges = np.flatnonzero(np.diff(wanted, prepend=-2, append=-2) != 1)
        with self.path.open("rb", buffering=0) as file:
            for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
                file.seek(int(wanted[low]) * self.shape[1] * 8)
                _fill(file, out[low:high].data.cast("B"))
        return out


def _fill(file: FileIO, view: memoryview) -> None:
    done = 0
    while done < len(view):
        got = file.readinto(view[done:])
        if not got:
            raise UsageError("a file of readings is shorter than it was written.", remedy="Make it anew.")
        done += got


class Spool:
    """Readings in any order on their way into blocks of customers, on disk.

    They lie in a few nameless files, which go with the process, however it ends: what meters read stays nowhere. A file
    holds neighbouring blocks and is given back when the last of these is taken.

    Parameters
    ----------
    folder
        In whose file system the files are.
    blocks
        How many.
    """

    def __init__(self, folder: Path, blocks: int) -> None:
        self.blocks = blocks
        self._of = np.arange(blocks) * min(FILES, blocks) // max(blocks, 1)  # each block's file
        self._files: list[IO[bytes] | None] = [
            tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it stays open until it is taken
            for _ in range(min(FILES, blocks))
        ]
        self._ends = [0] * len(self._files)
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(blocks)]
        self._waiting: list[tuple[npt.NDArray[np.int16], npt.NDArray[np.int32], Ints]] = []
        self._held = 0

    def add(self, block: Ints, at: npt.NDArray[np.int32], value: Ints) -> None:
        """Put readings by: block, place within it, number."""
        self._waiting.append((block.astype(np.int16), at, value))
        self._held += len(block)
        if self._held >= HELD:  # so that what is of one block lies together, and is read back in large pieces
            self._write()

    def _write(self) -> None:
        if not self._held:
            return
        block, at, value = (np.concatenate(parts) for parts in zip(*self._waiting, strict=True))
        self._waiting, self._held = [], 0
        order = np.argsort(block, kind="stable")
        ends = np.searchsorted(block[order], np.arange(self.blocks + 1))
        at, value = at[order], value[order]
        for k in range(self.blocks):
            low, high, place = int(ends[k]), int(ends[k + 1]), int(self._of[k])
            file = self._files[place]
            if low == high or file is None:
                continue
            self._runs[k].append((self._ends[place], high - low))
            for part in (at[low:high], value[low:high]):
                self._ends[place] += file.write(part.data)

    def take(self, block: int) -> Iterator[tuple[npt.NDArray[np.int32], Ints]]:
        """Return a block's readings piece by piece; blocks are taken in their order, once."""
        self._write()
        file = self._files[int(self._of[block])]
        if file is not None:
            for start, count in self._runs[block]:
                file.seek(start)
                yield np.fromfile(file, dtype=np.int32, count=count), np.fromfile(file, dtype=np.int64, count=count)
        self._runs[block] = []
        if block + 1 == self.blocks or self._of[block + 1] != self._of[block]:
            self._give_back(int(self._of[block]))

    def close(self) -> None:
        """Give back what is not taken."""
        for place in range(len(self._files)):
            self._give_back(place)

    def _give_back(self, place: int) -> None:
        file, self._files[place] = self._files[place], None
        if file is not None:
            file.close()


def new_rows(folder: Path, blocks: Iterable[Ints], days: int) -> ReadingsFile:
    """Write blocks of rows to a file of its own in a folder, which has its name when it is whole.

    What a process that was killed had begun there is deleted: its lock is gone with it.
    """
    _sweep(folder)
    path, handle = _begun(folder)
    with handle:
        try:
            made = _written(handle, blocks, days)
            handle.flush()
            return ReadingsFile(path.rename(path.with_suffix("")), made)  # under the lock, so that nobody sweeps it
        except BaseException:
            path.unlink(missing_ok=True)  # half a file is nobody's
            raise


def _begun(folder: Path) -> tuple[Path, IO[bytes]]:
    """Return a new file, locked, and its path."""
    while True:
        number, name = tempfile.mkstemp(suffix=f".readings{PART}", dir=folder)
        handle, path = os.fdopen(number, "wb"), Path(name)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if _same(path, handle):
            return path, handle
        handle.close()  # somebody swept it before it was locked


def _sweep(folder: Path) -> None:
    """Delete files that were begun and whose writer is no more."""
    for path in folder.glob(f"*.readings{PART}"):
        try:
            handle = path.open("rb")
        except FileNotFoundError:
            continue  # it was finished or swept meanwhile
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its writer is at work
            if _same(path, handle):
                path.unlink(missing_ok=True)


def _same(path: Path, handle: IO[bytes]) -> bool:
    """Whether a path still names an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle.fileno()))
    except FileNotFoundError:
        return False


def _written(file: IO[bytes], blocks: Iterable[Ints], days: int) -> tuple[int, int]:
    rows = 0
    for block in blocks:
        file.write(np.ascontiguousarray(block, dtype=np.int64).data)
        rows += len(block)
    return rows, days


def write_rows(path: Path, blocks: Iterable[Ints], days: int) -> ReadingsFile:
    """Write blocks of rows one after the other."""
    with path.open("wb") as file:
        return ReadingsFile(path, _written(file, blocks, days))
