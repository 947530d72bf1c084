"""What every answer out of the data needs: the publishing lock, refusals on a grid of time, the dimensions declared."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from opsroom.base.errors import OpsroomError
from opsroom.room.auditing import before_publishing, write_heads
from opsroom.room.publishing import alone
from opsroom.room.tableplan import Dimension, master_dimensions

if TYPE_CHECKING:
    from opsroom.base.specs import DatasetSpec
    from opsroom.room.room import Room


@contextlib.contextmanager
def on_the_grid(
    step: float, *, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Let an error out only at a whole number of steps after the beginning.

    How long a refusal took would tell something of the data: how many rows there are, how many cells had to be
    hidden before none was left.

    Parameters
    ----------
    step
        Seconds; 0: errors leave at once.
    clock, sleep
        A clock that never goes back, and what waits.
    """
    begun = clock()
    try:
        yield
    except OpsroomError:
        if step > 0:
            passed = clock() - begun
            sleep((math.floor(passed / step) + 1) * step - passed)
        raise


@contextlib.contextmanager
def answering(room: Room) -> Iterator[None]:
    """Hold what an answer out of the data needs: the publishing lock, heads that are in order, errors on the grid."""
    with on_the_grid(room.settings.access.refusal_step), alone(room.path):
        before_publishing(room)
        try:
            yield
        finally:
            write_heads(room)


def dimensions_of(room: Room, spec: DatasetSpec) -> tuple[Dimension, ...]:
    """Return the dimensions of a dataset's master tables."""
    register = room.store.spec(spec.tables.register) if spec.tables.register else None
    return master_dimensions(spec, register, room.store.code_lists)
