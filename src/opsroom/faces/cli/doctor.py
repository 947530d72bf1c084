"""`opsroom doctor`: is this machine fit, is this room sound?"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from opsroom.base.errors import AccessError, OpsroomError, StoreError
from opsroom.base.providers import CLOSED

if TYPE_CHECKING:
    from opsroom.room.room import Room

PACKAGES = (
    "numpy",
    "pandas",
    "pyarrow",
    "duckdb",
    "ibis-framework",
    "deltalake",
    "numba",
    "statsmodels",
    "typst",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and what was found."""

    check: str
    ok: bool
    finding: str


def examine(room: Path | None) -> list[Finding]:
    """Check Python, packages, disk and memory, and a room where one is named."""
    findings = [Finding("python", sys.version_info >= (3, 11), sys.version.split()[0])]
    for package in PACKAGES:
        try:
            findings.append(Finding(package, True, version(package)))
        except PackageNotFoundError:
            findings.append(Finding(package, False, "not installed"))
    free = shutil.disk_usage(room or Path()).free / 1e9
    findings.append(Finding("disk", free > 2, f"{free:.0f} GB free"))
    findings.append(Finding("cores", True, str(os.cpu_count())))
    if room is not None:
        findings.extend(_examine_room(room))
    return findings


def _dataset(room: Room, name: str) -> Finding:
    """Say which version a dataset is at, and whether the room may still hold it."""
    if not room.store.has(name):
        return Finding(f"dataset {name}", True, "no rows yet")
    try:
        room.store.files(name)
    except AccessError as error:
        if error.code not in CLOSED:
            raise
        return Finding(f"dataset {name}", False, str(error))
    return Finding(f"dataset {name}", True, f"version {room.store.version(name)}")


def _examine_room(path: Path) -> list[Finding]:
    from opsroom.room.auditing import own_heads
    from opsroom.room.room import Room

    try:
        with Room.open(path, actor="doctor") as room:
            found = [Finding("room", True, room.settings.title)]
            for name in sorted(room.store.specs):
                found.append(_dataset(room, name))
            kept = own_heads(room)
            found.append(_alarm(room))
            found.append(_chain("ledger", "releases", room.ledger.verify))
            found.append(_chain("audit log", "acts", lambda: room.audit.verify(kept.audit)))
            return found
    except OpsroomError as error:
        return [Finding("room", False, str(error))]


def _chain(check: str, entries: str, verify: Callable[[], int]) -> Finding:
    try:
        return Finding(check, True, f"{verify()} {entries}, chain intact")
    except StoreError as error:
        return Finding(check, False, str(error))


def _alarm(room: Room) -> Finding:
    """Say what the last verification of the chains found: an alarm stands until one succeeds."""
    last = room.audit.last_verification()
    if last is None:
        return Finding("verification", True, "none yet: run `opsroom audit verify`")
    return Finding("verification", last.ok, f"ALARM: {last.finding}" if last.finding else f"intact on {last.at}")
