"""The registry of providers: what `providers.toml` says, its history in `room.db`, and what may still be read."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from opsroom.base.periods import local_day
from opsroom.base.providers import Provider
from opsroom.base.state import METADATA, State

if TYPE_CHECKING:
    from opsroom.observe.store import Store
    from opsroom.observe.tables import StoredFile

HISTORY = sa.Table(
    "providers",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, index=True),
    sa.Column("recorded_at", sa.String(40), nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("record", sa.Text, nullable=True),
)
"""What was said of each provider and when; a record of null: it was taken out of the registry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One state of the registry's history; `record` is None where the provider was taken out."""

    name: str
    recorded_at: str
    actor: str
    record: Mapping[str, Any] | None


def record_providers(state: State, providers: Mapping[str, Provider], *, actor: str, at: dt.datetime) -> int:
    """Write what changed in the registry into the history, and return the number of changes."""
    now = {name: one.to_json() for name, one in providers.items()}
    if _last(state) == now:
        return 0  # most rooms are opened without a change: no lock is taken
    with state.begin() as connection:
        before = _latest(connection)
        gone = [name for name, record in before.items() if record is not None and name not in now]
        changed = {name: record for name, record in now.items() if before.get(name) != record}
        for name, record in [*changed.items(), *((name, None) for name in gone)]:
            moment = at.astimezone(dt.UTC).isoformat(timespec="microseconds")
            connection.execute(HISTORY.insert().values(name=name, recorded_at=moment, actor=actor, record=record))
    return len(changed) + len(gone)


def _last(state: State) -> dict[str, str]:
    with state.read() as connection:
        return {name: record for name, record in _latest(connection).items() if record is not None}


def _latest(connection: sa.Connection) -> dict[str, str | None]:
    query = sa.select(HISTORY.c.name, HISTORY.c.record).order_by(HISTORY.c.seq)
    return {row.name: row.record for row in connection.execute(query)}


def history(state: State, name: str | None = None) -> list[Entry]:
    """Return the history of the registry, of one provider or all, oldest first."""
    query = sa.select(HISTORY).order_by(HISTORY.c.seq)
    if name is not None:
        query = query.where(HISTORY.c.name == name)
    with state.read() as connection:
        return [
            Entry(r.name, r.recorded_at, r.actor, None if r.record is None else json.loads(r.record))
            for r in connection.execute(query)
        ]


def reading_right(store: Store, providers: Mapping[str, Provider]) -> Callable[[str, tuple[StoredFile, ...]], None]:
    """Return the check that the store makes before every read: may the room still hold this dataset?

    The right to hold ends for the data as such. So a read as of an earlier day is refused, too; releases made while
    it lasted stay.
    """

    recorded: dict[tuple[str, int], dt.datetime] = {}

    def recorded_at(dataset: str, number: int) -> dt.datetime | None:
        if (dataset, number) not in recorded:
            for one in store.deliveries(dataset):
                recorded[dataset, one.delivery] = one.recorded_at
        return recorded.get((dataset, number))

    def check(dataset: str, files: tuple[StoredFile, ...]) -> None:
        one = providers.get(store.specs[dataset].provider)
        if one is None:
            return
        today, oldest = local_day(store.clock(), store.zone), None
        if one.retention_days is not None and files:
            # The oldest delivery of which rows are still stored: what was erased is not held any more.
            moment = recorded_at(dataset, min(int(f.low["delivery"]) for f in files))
            oldest = None if moment is None else local_day(moment, store.zone)
        one.require_readable(dataset, today, oldest)

    return check


def datasets_of(store: Store, provider: str) -> list[str]:
    """Return the names of a provider's datasets, sorted."""
    return sorted(name for name, spec in store.specs.items() if spec.provider == provider)
