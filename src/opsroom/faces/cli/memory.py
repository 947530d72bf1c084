"""How much memory this process and those that it started take together."""

from __future__ import annotations

import threading
from pathlib import Path

PERIOD = 0.25
"""Seconds between two looks."""


def taken(root: Path = Path("/proc")) -> int:
    """Return the memory of this process and all below it now, bytes; pages that they share count once.

    Linux only: 0 where the kernel does not say.
    """
    total, todo = 0, ["self"]
    while todo:
        process = root / todo.pop()
        try:
            text = (process / "smaps_rollup").read_text(encoding="ascii")
            children = [(task / "children").read_text(encoding="ascii") for task in (process / "task").iterdir()]
        except OSError:
            continue  # it ended meanwhile, or the system has no such files
        total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
        todo += [pid for some in children for pid in some.split()]
    return total


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
