"""Progress on stderr: a bar on a terminal, silence elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")


def track(items: Iterable[T], label: str, *, total: int | None = None) -> Iterator[T]:
    """Yield the items, showing a progress bar on stderr when it is a terminal.

    Parameters
    ----------
    items
        Anything that can be iterated over.
    label
        What is being done, a few words.
    total
        Number of items where `items` has no length.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track as rich_track

    if total is None and isinstance(items, Sized):
        total = len(items)
    yield from rich_track(items, description=label, total=total, console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def counting(label: str) -> Iterator[Callable[[int], None] | None]:
    """Give a function that shows a count (of rows) as it grows, on stderr when it is a terminal; else None.

    Parameters
    ----------
    label
        What is being done, a few words.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} rows"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(label, total=None)
        yield lambda count: bar.update(task, completed=count)
