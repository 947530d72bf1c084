"""The steward's way into quarantine and back: every look and every return is in the audit log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opsroom.observe.returning import Held, export_rows, held, return_rows, write_rows

if TYPE_CHECKING:
    from opsroom.observe.report import IngestReport
    from opsroom.room.room import Room

__all__ = ["Held", "export_refused", "list_refused", "return_refused"]


def list_refused(room: Room, dataset: str | None = None) -> list[Held]:
    """Return how many rows each delivery left in quarantine, by rule, and how many came back: counts alone."""
    room.guard.require("quarantine")
    names = sorted(room.store.specs) if dataset is None else [dataset]
    return [one for name in names for one in held(room.store, name)]


def export_refused(room: Room, dataset: str, delivery: int, path: Path) -> int:
    """Write the open rows of a delivery's quarantine to a new file, and return their number.

    The act is in the audit log before the file is written.

    Raises
    ------
    NotFoundError
        The delivery left nothing in quarantine.
    UsageError
        The file is there already, or is neither CSV nor Parquet.
    """
    room.guard.require("quarantine")
    rows = export_rows(room.store, dataset, delivery)
    room.audit.append(room.actor, "quarantine export", f"{dataset}/{delivery}", at=room.store.clock())
    write_rows(rows, path)
    return int(rows.num_rows)


def return_refused(room: Room, dataset: str, delivery: int, path: Path) -> IngestReport:
    """Take corrected rows in as a delivery linked to the one they came from; see `return_rows`."""
    room.guard.require("quarantine")
    report = return_rows(room.store, dataset, delivery, path, actor=room.actor)
    done = f"{dataset}/{delivery} by {report.delivery}"
    room.audit.append(room.actor, "quarantine return", done, at=room.store.clock())
    return report
