"""Readings of a panel in a file: a row a company, read a block at a time, so that memory holds a block and no more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError

Ints = npt.NDArray[np.int64]

CELLS = 1 << 24
"""Readings of a block of customers, about: 200 MB while they are added up."""

CHUNK = 1 << 20
"""Readings taken back from a spool at a time."""


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
    """Readings in any order on their way into blocks of customers: a pair of files a block.

    Parameters
    ----------
    folder
        Where the files are; it is the spool's own.
    blocks
        How many.
    """

    def __init__(self, folder: Path, blocks: int) -> None:
        self._folder, self.blocks = folder, blocks
        self._files = [(folder / f"{k}.at").open("wb") for k in range(blocks)]
        self._values = [(folder / f"{k}.wh").open("wb") for k in range(blocks)]

    def add(self, block: Ints, at: npt.NDArray[np.int32], value: Ints) -> None:
        """Put readings by: block, place within it, number."""
        order = np.argsort(block.astype(np.int16), kind="stable")
        at, value = at[order], value[order]
        ends = np.searchsorted(block[order], np.arange(self.blocks + 1))
        for k in range(self.blocks):
            low, high = int(ends[k]), int(ends[k + 1])
            if low < high:
                self._files[k].write(at[low:high].data)
                self._values[k].write(value[low:high].data)

    def close(self) -> None:
        """Close what is written."""
        for file in (*self._files, *self._values):
            file.close()

    def take(self, block: int) -> Iterator[tuple[npt.NDArray[np.int32], Ints]]:
        """Return a block's readings piece by piece, and delete its files."""
        paths = [self._folder / f"{block}.{end}" for end in ("at", "wh")]
        with paths[0].open("rb") as places, paths[1].open("rb") as values:
            while len(at := np.fromfile(places, dtype=np.int32, count=CHUNK)):
                yield at, np.fromfile(values, dtype=np.int64, count=CHUNK)
        for path in paths:
            path.unlink()


def write_rows(path: Path, blocks: Iterable[Ints], days: int) -> ReadingsFile:
    """Write blocks of rows one after the other."""
    rows = 0
    with path.open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=np.int64).data)
            rows += len(block)
    return ReadingsFile(path, (rows, days))
