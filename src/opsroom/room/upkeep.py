"""Upkeep of a room's store: versions of specifications, compaction, recorded erasure; every act is in the audit log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opsroom.base.errors import NotFoundError, UsageError
from opsroom.base.periods import local_day, start_of_day
from opsroom.base.specs import DatasetSpec
from opsroom.base.state import State
from opsroom.observe.compaction import Compaction, compact
from opsroom.observe.erasing import erase, erase_before, finish, holds_before
from opsroom.observe.erasures import Erasure, erasures, lift
from opsroom.observe.evolution import next_version, read_versions, write_version
from opsroom.room.public import write_public

if TYPE_CHECKING:
    from opsroom.room.room import Room

__all__ = [
    "Compaction",
    "Erasure",
    "compact_datasets",
    "erase_old",
    "erase_past_retention",
    "erase_rows",
    "erasure_note",
    "finish_erasures",
    "lift_erasure",
    "list_erasures",
    "update_dataset",
]


def update_dataset(room: Room, spec: str | Path | DatasetSpec) -> tuple[str, ...]:
    """Register the next version of a dataset's specification.

    Fields may be added (rows stored before have the default, or are empty), retired, renamed (with the old name among
    ``aliases``), bounds and code lists widened, words changed. Reads show the fields of the version that holds, of
    whatever day; every delivery records the version under which it was checked.

    Parameters
    ----------
    room
        The room.
    spec
        The specification wanted: a TOML file or text, or the specification itself.

    Returns
    -------
    tuple of str
        What changed, in words; nothing where it is the specification that holds.

    Raises
    ------
    NotFoundError
        There is no dataset of that name.
    SpecError
        The change would alter what stored rows mean, or show what is protected.
    """
    room.guard.require("manage_datasets")
    wanted = spec if isinstance(spec, DatasetSpec) else DatasetSpec.from_toml(spec)
    old = room.store.spec(wanted.name)
    datasets = room.path / "datasets"
    with room.store.delta(wanted.name).lock():
        new, words = next_version(old, wanted, read_versions(datasets, wanted.name), code_lists=room.store.code_lists)
        if not words:
            return ()
        write_version(datasets, old, new)
    room.store.add(new)
    write_public(room.path, room.settings, room.store)
    room.audit.append(room.actor, "update dataset", f"{new.name}/{new.version}", at=room.store.clock())
    return words


def compact_datasets(room: Room, dataset: str | None = None, *, vacuum: bool = False) -> list[Compaction]:
    """Merge the small files of a dataset, or of all; see `opsroom.observe.compaction.compact`."""
    room.guard.require("manage_datasets")
    names = sorted(room.store.specs) if dataset is None else [dataset]
    done = []
    for name in names:
        if room.store.version(name) < 0:
            continue
        done.append(compact(room.store, name, vacuum=vacuum))
        room.audit.append(room.actor, "compact", f"{name}/{done[-1].version}", at=room.store.clock())
    return done


def erase_rows(
    room: Room, dataset: str, field: str, values: Sequence[str], *, reason: str, legal_basis: str
) -> Erasure:
    """Erase all rows of a unit by law, on record; see `opsroom.observe.erasing.erase`."""
    room.guard.require("manage_datasets")
    done = erase(room.store, dataset, field, values, reason=reason, legal_basis=legal_basis, actor=room.actor)
    room.memory.clear()  # desks keep readings from week to week
    write_public(room.path, room.settings, room.store)  # readers of old releases are told
    room.audit.append(room.actor, "erase", f"erasure {done.number}: {dataset}", at=room.store.clock())
    return done


def erase_old(room: Room, dataset: str, before: dt.datetime, *, reason: str, legal_basis: str) -> Erasure:
    """Erase all rows that were recorded before a moment, on record; see `opsroom.observe.erasing.erase_before`."""
    room.guard.require("manage_datasets")
    done = erase_before(room.store, dataset, before, reason=reason, legal_basis=legal_basis, actor=room.actor)
    room.memory.clear()
    write_public(room.path, room.settings, room.store)
    room.audit.append(room.actor, "erase", f"erasure {done.number}: {dataset}", at=room.store.clock())
    return done


def erase_past_retention(
    room: Room, dataset: str | None = None, *, reason: str = "", legal_basis: str = ""
) -> list[Erasure]:
    """Erase what is held longer than the agreement with its provider allows, of one dataset or of all.

    Parameters
    ----------
    room
        The room.
    dataset
        Its name; all of those whose provider has a retention where absent.
    reason, legal_basis
        Where absent, what `providers.toml` says.

    Returns
    -------
    list of Erasure
        None for a dataset of which nothing is held too long: no erasure is recorded where there is nothing to erase.

    Raises
    ------
    UsageError
        The provider of the dataset named has no retention.
    """
    room.guard.require("manage_datasets")
    names = sorted(room.store.specs) if dataset is None else [dataset]
    done = []
    for name in names:
        one = room.providers.get(room.store.spec(name).provider)
        if one is None or one.retention_days is None:
            if dataset is None:
                continue
            raise UsageError(
                f"the provider of dataset {name!r} has no retention.",
                remedy="Give retention_days in providers.toml, or --recorded-before DAY.",
                code="OPS-U115",
            )
        first = local_day(room.store.clock(), room.zone) - dt.timedelta(days=one.retention_days)
        before = start_of_day(first, room.zone)
        if not holds_before(room.store, name, before):
            continue
        agreement = f"agreement {one.agreement!r} with {one.name}" if one.agreement else f"agreement with {one.name}"
        why = reason or f"held for more than {one.retention_days} days"
        done.append(erase_old(room, name, before, reason=why, legal_basis=legal_basis or one.legal_basis or agreement))
    return done


def lift_erasure(room: Room, number: int, *, reason: str = "") -> None:
    """Allow later deliveries of the keys of an erasure again, with the reason in the audit log.

    Raises
    ------
    NotFoundError
        There is no erasure of that number.
    """
    room.guard.require("manage_datasets")
    if not lift(room.state, number, room.store.clock()):
        raise NotFoundError(f"there is no erasure {number}.", remedy="List them with `opsroom store erasures`.")
    told = f"{number}: {reason.strip()}" if reason.strip() else str(number)
    room.audit.append(room.actor, "lift erasure", told, at=room.store.clock())


def list_erasures(room: Room) -> list[Erasure]:
    """Return the recorded erasures, oldest first; none holds a key."""
    return erasures(room.state)


def erasure_note(state: State, provenance: Mapping[str, int]) -> str:
    """Return why a release cannot be recomputed: ``"not recomputable: erasure 3"``; empty where it can.

    Parameters
    ----------
    state
        The room's database.
    provenance
        Dataset → version, as the release states it.
    """
    hit = sorted(e.number for e in erasures(state) if e.dataset in provenance and e.covers(provenance[e.dataset]))
    return f"not recomputable: erasure {', '.join(map(str, hit))}" if hit else ""


def finish_erasures(room: Room) -> None:
    """Finish erasures that a killed process left, where no running one is at it."""
    for dataset in room.store.specs:
        if finish(room.store, dataset):
            write_public(room.path, room.settings, room.store)
            room.audit.append(room.actor, "finish erasure", dataset, at=room.store.clock())
