"""The log of deliveries: one record a delivery, in the Delta commit and, for reading, in `room.db`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from opsroom.base.state import METADATA, State

TABLE = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("dataset", sa.String(64), primary_key=True),
    sa.Column("delivery", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("known_at", sa.String(40), nullable=False),
    sa.Column("recorded_at", sa.String(40), nullable=False),
    sa.Column("record", sa.Text, nullable=False),
)

_MOMENTS = ("known_at", "recorded_at", "known_from")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One committed delivery.

    Attributes
    ----------
    dataset, delivery, version
        Which; numbered from 1 in its dataset; the Delta version that it made.
    known_at, recorded_at
        When the room learnt it (of vintages: the last one), and when it was written; UTC.
    actor, provider, reason
        Who delivered it and, where it was back-dated, why.
    content
        SHA-256 of what was delivered.
    files
        Names of the files, without folders.
    accepted, quarantined, duplicates
        Rows stored, refused, and those that said nothing new.
    revised, deleted
        Of the stored rows, those that change an earlier one; those that take one back.
    reasons
        Rows in quarantine by rule.
    quarantine
        Name of the quarantine file, empty where there is none.
    period_from, period_to
        Smallest and largest reference period stored, ISO; empty where nothing was stored.
    deletions
        Whether the rows named keys to take back.
    known_from
        Smallest knowledge time of the rows stored; None where nothing was stored.
    spec_version
        Version of the specification under which it was checked.
    """

    dataset: str
    delivery: int
    version: int
    known_at: datetime
    recorded_at: datetime
    actor: str
    provider: str = ""
    reason: str = ""
    content: str = ""
    files: tuple[str, ...] = ()
    accepted: int = 0
    quarantined: int = 0
    duplicates: int = 0
    revised: int = 0
    deleted: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    quarantine: str = ""
    period_from: str = ""
    period_to: str = ""
    deletions: bool = False
    known_from: datetime | None = None
    spec_version: int = 1

    def to_json(self) -> str:
        """Write the record for the Delta log (the version is the commit's own)."""
        values = asdict(self)
        del values["version"]
        values |= {k: values[k].isoformat(timespec="microseconds") for k in _MOMENTS if values[k] is not None}
        return json.dumps(values, sort_keys=True)

    @classmethod
    def from_record(cls, record: Mapping[str, Any], version: int) -> Delivery:
        """Read a record out of the Delta log."""
        values = dict(record)
        for name in _MOMENTS:
            if values[name] is not None:
                values[name] = datetime.fromisoformat(values[name])
        values["files"] = tuple(values["files"])
        return cls(**values, version=version)


def remember(state: State, deliveries: list[Delivery]) -> None:
    """Write deliveries into `room.db`; what is there already stays."""
    with state.begin() as connection:
        for one in deliveries:
            here = (TABLE.c.dataset == one.dataset) & (TABLE.c.delivery == one.delivery)
            if connection.scalar(sa.select(TABLE.c.delivery).where(here)) is None:
                connection.execute(
                    TABLE.insert().values(
                        dataset=one.dataset,
                        delivery=one.delivery,
                        version=one.version,
                        known_at=one.known_at.isoformat(timespec="microseconds"),
                        recorded_at=one.recorded_at.isoformat(timespec="microseconds"),
                        record=one.to_json(),
                    )
                )


def forget(state: State, dataset: str) -> None:
    """Drop a dataset's records from `room.db`, to rebuild them from the Delta log."""
    with state.begin() as connection:
        connection.execute(TABLE.delete().where(TABLE.c.dataset == dataset))


def recall(state: State, dataset: str) -> list[Delivery]:
    """Read a dataset's deliveries from `room.db`, oldest first."""
    with state.read() as connection:
        rows = connection.execute(
            sa.select(TABLE.c.record, TABLE.c.version).where(TABLE.c.dataset == dataset).order_by(TABLE.c.delivery)
        ).all()
    return [Delivery.from_record(json.loads(record), version) for record, version in rows]


def last_number(state: State, dataset: str) -> int:
    """Return the number of the last delivery that `room.db` holds, 0 where there is none."""
    with state.read() as connection:
        found = connection.scalar(sa.select(sa.func.max(TABLE.c.delivery)).where(TABLE.c.dataset == dataset))
    return int(found or 0)


def last_known_at(state: State) -> datetime | None:
    """Return the largest knowledge time in `room.db`."""
    # ISO text in UTC with six decimals sorts as time does.
    with state.read() as connection:
        found = connection.scalar(sa.select(sa.func.max(TABLE.c.known_at)))
    return None if found is None else datetime.fromisoformat(found)
