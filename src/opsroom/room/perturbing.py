"""What perturbation needs of a room: its secret, and the privacy budgets of its datasets."""

from __future__ import annotations

import contextlib
import os
import secrets
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from opsroom.base.errors import StoreError, UsageError

if TYPE_CHECKING:
    from opsroom.protect.budget import Account
    from opsroom.room.room import Room

FILE = "perturbation.key"
SIZE = 32


def room_secret(folder: Path) -> bytes:
    """Return the secret that record keys are made from: made at the first call, readable by the folder's owner alone.

    It never changes: with another one all noise would change.

    Parameters
    ----------
    folder
        The room's folder.

    Raises
    ------
    StoreError
        The file is damaged. Without the old secret a new one would be told apart from it: what was shown before
        could be compared with what is shown after, and noise would average out.
    """
    file = folder / FILE
    if not file.exists():
        made = folder / f".{FILE}.{os.getpid()}.{secrets.token_hex(4)}"
        made.touch(mode=0o600, exist_ok=False)
        try:
            made.write_bytes(secrets.token_bytes(SIZE))
            with contextlib.suppress(FileExistsError):  # another process was first: its secret holds
                os.link(made, file)
        finally:
            made.unlink()
    found = file.read_bytes()
    if len(found) != SIZE:
        raise StoreError(
            f"{FILE} is damaged.", remedy="Restore it from a backup; do not make a new one.", code="OPS-F037"
        )
    return found


def open_budget(room: Room, dataset: str, epsilon: Decimal | float | str) -> Account:
    """Open the privacy budget of a dataset, once and for all; without one it has no differentially private tables.

    Raises
    ------
    NotFoundError
        There is no such dataset.
    UsageError
        It has a budget already, or is public.
    """
    room.guard.require("manage_datasets")
    if not room.store.spec(dataset).confidential:
        raise UsageError(f"dataset {dataset!r} is public; it needs no privacy budget.", code="OPS-U143")
    return room.budgets.open(dataset, epsilon, by=room.actor)
