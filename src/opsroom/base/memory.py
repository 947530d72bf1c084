"""Giving memory back to the system that a long-running process holds and does not use."""

from __future__ import annotations

import ctypes
import gc


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
