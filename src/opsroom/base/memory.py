"""Giving memory back to the system that a long-running process holds and does not use."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

IDLE = 128 * 2**20
"""So many bytes, free in the heap of a process between two pieces of work, are worth to be given back."""

LARGE = 16 * 2**20
"""Bytes of a table, from which on what a step leaves of it idle is worth to be given back before the next step."""


class _Heap(ctypes.Structure):
    """glibc's account of its heap, `struct mallinfo2`."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "used", "free", "top")
    )


class Idle:
    """Gives a process's idle memory back between two pieces of work, when it has become much since the last time.

    Parameters
    ----------
    at_least
        Bytes. To get them again costs the system about a second for 3 GB.
    """

    def __init__(self, at_least: int = IDLE) -> None:
        self._at_least = at_least
        self._settled = 0

    def give_back(self) -> None:
        """Give back what is free, if there is much of it."""
        # What is free in the heap may have been given back already: it counts once the process has grown, too.
        resident = _resident()
        self._settled = min(self._settled, resident)
        if _free() >= self._at_least and resident >= self._settled + self._at_least:
            give_back()
            self._settled = _resident()


def give_back_after(size: int) -> None:
    """Give back what a step has left that worked on so many bytes, if they are `LARGE`."""
    if size >= LARGE:
        give_back()


def give_back() -> None:
    """Return what is free in this process to the system, as far as its allocators can.

    Pools of Arrow and of the C library keep what was freed, to be fast when it is asked for again: between two
    pieces of work of a process that shares a machine, that is memory which nobody uses.
    """
    import pyarrow as pa

    gc.collect(1)
    pa.default_memory_pool().release_unused()
    # Only glibc has it; other C libraries give back by themselves, or not at all.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _free() -> int:
    """Return the bytes that are free in the C library's heap; 0 where it does not say."""
    account = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if account is None:
        return 0
    account.restype = _Heap
    return int(account().free)


def _resident() -> int:
    """Return the bytes of this process's own that are in memory; 0 where the system does not say."""
    try:
        resident, shared = map(int, Path("/proc/self/statm").read_text(encoding="ascii").split()[1:3])
    except OSError:
        return 0
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
