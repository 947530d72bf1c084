"""How much memory this process and those that it started take together."""

from __future__ import annotations

import os
import threading
from pathlib import Path

PERIOD = 0.25
"""Seconds between two looks."""


def taken(root: Path = Path("/proc")) -> int:
    """Return the memory of this process and all below it now, bytes.

    What is their own is added up; of mapped files, which they largely share, the largest share counts.
    Linux only: 0 where the kernel does not say.

    Notes
    -----
    The kernel's proportional set size would be exact, but to ask for it walks every page: of 2 GB, four times a
    second, that took a quarter of a core.
    """
    own, mapped, todo = 0, 0, ["self"]
    while todo:
        process = root / todo.pop()
        try:
            resident, shared = map(int, (process / "statm").read_text(encoding="ascii").split()[1:3])
            children = [(task / "children").read_text(encoding="ascii") for task in (process / "task").iterdir()]
        except OSError:
            continue  # it ended meanwhile, or the system has no such files
        own += resident - shared
        mapped = max(mapped, shared)
        todo += [pid for some in children for pid in some.split()]
    return (own + mapped) * (os.sysconf("SC_PAGE_SIZE") if own else 0)


class Peak:
    """Watches memory while a block runs; `bytes` is the most that was seen."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, name="memory", daemon=True)

    def __enter__(self) -> Peak:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while True:
            self.bytes = max(self.bytes, taken())
            if self._over.wait(PERIOD):
                return
