"""The room's secret, from which record keys are made. It never changes: with another one all noise would change."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from opsroom.base.errors import StoreError

FILE = "perturbation.key"
SIZE = 32


def room_secret(folder: Path) -> bytes:
    """Return the secret of a room, made at the first call, readable by the owner of the folder alone.

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
