"""Lineage: the deliveries behind a release, by name, number and hash; never a value.

A release states its provenance, dataset by dataset, as the version that first held all that was known as of its
moment. Behind it stand the deliveries committed up to that version and known by that moment. What rests on earlier
releases, or on reports about deliveries, rests on what is behind those. Which desk made a release, and what it read
besides data, is noted when it is issued.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from opsroom._version import __version__
from opsroom.base.errors import NotFoundError
from opsroom.base.state import METADATA, State
from opsroom.observe.returning import returned_from
from opsroom.room.upkeep import erasure_note

if TYPE_CHECKING:
    from opsroom.base.settings import DeskSettings
    from opsroom.protect.release import Release
    from opsroom.room.desk import Behind
    from opsroom.room.room import Room

ORIGINS = sa.Table(
    "release_origins",
    METADATA,
    sa.Column("id", sa.String(140), primary_key=True),
    sa.Column("desk", sa.String(100), nullable=False),
    sa.Column("kind", sa.String(100), nullable=False),
)

INPUTS = sa.Table(
    "release_inputs",
    METADATA,
    sa.Column("id", sa.String(140), primary_key=True),
    sa.Column("input", sa.String(140), primary_key=True),
    sa.Column("version", sa.Integer),  # of a dataset on whose deliveries reports were read; none of a release
)

PRODUCER = f"urn:opsroom:{__version__}"
SPEC = "https://openlineage.io/spec"
SCHEMA_URL = f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_STATISTICS = "OutputStatisticsOutputDatasetFacet"
FACETS = {
    "version": f"{SPEC}/facets/1-0-0/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet",
    "schema": f"{SPEC}/facets/1-0-0/SchemaDatasetFacet.json#/$defs/SchemaDatasetFacet",
    "jobType": f"{SPEC}/facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet",
    "outputStatistics": f"{SPEC}/1-0-1/{_STATISTICS}.json#/$defs/{_STATISTICS}",
    "opsroom_deliveries": "urn:opsroom:facet:deliveries:1",
    "opsroom_provider": "urn:opsroom:facet:provider:1",
    "opsroom_release": "urn:opsroom:facet:release:1",
}
"""Facets that are used, and where their form is laid down."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One delivery behind a release.

    Attributes
    ----------
    delivery, version
        Number in its dataset, and the Delta version that it made.
    known_at, recorded_at
        When the room learnt it, and when it was written; UTC, ISO.
    content
        SHA-256 of what was delivered.
    files
        Names of its files.
    actor, reason
        Who delivered it and, where it was back-dated or returned from quarantine, why.
    accepted
        Rows stored.
    returned_from
        Delivery whose refused rows it brought back, corrected.
    """

    delivery: int
    version: int
    known_at: str
    recorded_at: str
    content: str
    files: tuple[str, ...]
    actor: str
    reason: str
    accepted: int
    returned_from: int | None


@dataclass(frozen=True, slots=True)
class Source:
    """One dataset behind a release, with its deliveries, oldest first."""

    dataset: str
    version: int
    provider: str
    licence: str
    confidential: bool
    deliveries: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Lineage:
    """What stands behind a release.

    Attributes
    ----------
    release, hash, as_of
        Identity of the release, its hash in the ledger, its moment.
    desk, kind
        Desk that made it; empty of releases issued before this was noted, or by hand.
    sources
        Datasets that it rests on, by itself or through other releases.
    releases
        Ids of the releases that it was made from.
    remark
        Why the release cannot be recomputed any more; empty while it can.
    """

    release: str
    hash: str
    as_of: dt.datetime
    desk: str
    kind: str
    sources: tuple[Source, ...]
    remark: str = ""
    releases: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the lineage as JSON values."""
        return {
            "release": self.release,
            "hash": self.hash,
            "as_of": self.as_of.isoformat(),
            "desk": self.desk,
            "kind": self.kind,
            "remark": self.remark,
            "releases": list(self.releases),
            "sources": [asdict(s) | {"deliveries": [asdict(d) for d in s.deliveries]} for s in self.sources],
        }


def note_origins(state: State, releases: Iterable[Release], setting: DeskSettings, behind: Behind) -> None:
    """Note which desk made releases, and what it read besides data."""
    releases = list(releases)
    rows = [{"id": r.id, "desk": setting.name, "kind": setting.kind} for r in releases]
    if not rows:
        return
    with state.begin() as connection:
        known = set(connection.scalars(sa.select(ORIGINS.c.id).where(ORIGINS.c.id.in_([r["id"] for r in rows]))))
        fresh = [r for r in rows if r["id"] not in known]
        if not fresh:
            return
        connection.execute(ORIGINS.insert(), fresh)
        read: list[tuple[str, int | None]] = [*((one, None) for one in behind.releases), *behind.judged.items()]
        inputs = [{"id": row["id"], "input": one, "version": version} for row in fresh for one, version in read]
        if inputs:
            connection.execute(INPUTS.insert(), inputs)


def desks_of(state: State, releases: Iterable[Release]) -> set[str]:
    """Return the desks that made releases, as far as that was noted."""
    with state.read() as connection:
        return set(connection.scalars(sa.select(ORIGINS.c.desk).where(ORIGINS.c.id.in_([r.id for r in releases]))))


def find_release(room: Room, release_id: str) -> Release:
    """Return a release by its id, such as ``resumption.national@2020-03-04``.

    Raises
    ------
    NotFoundError
        There is none.
    """
    name, _, day = release_id.partition("@")
    try:
        found = room.releases().get(name, dt.date.fromisoformat(day))
    except ValueError:
        found = None
    if found is None or found.id != release_id:
        raise NotFoundError(
            f"there is no release {release_id!r}.", remedy="List them with `opsroom release list`.", code="OPS-N032"
        )
    return found


def lineage(room: Room, release_id: str) -> Lineage:
    """Return what stands behind a release.

    Raises
    ------
    NotFoundError
        There is no such release.
    """
    release = find_release(room, release_id)
    with room.state.read() as connection:
        origin = connection.execute(sa.select(ORIGINS).where(ORIGINS.c.id == release.id)).first()
    datasets = _datasets(room, release)
    return Lineage(
        release.id,
        release.hash,
        release.as_of,
        "" if origin is None else origin.desk,
        "" if origin is None else origin.kind,
        tuple(_source(room, name, version, release.as_of) for name, version in sorted(datasets.items())),
        erasure_note(room.state, datasets),
        tuple(one for one, version in _inputs(room.state, release.id) if version is None),
    )


def _inputs(state: State, release_id: str) -> list[tuple[str, int | None]]:
    """Return what was read for a release besides data: releases, and datasets (with a version) by their reports."""
    query = sa.select(INPUTS.c.input, INPUTS.c.version).where(INPUTS.c.id == release_id).order_by(INPUTS.c.input)
    with state.read() as connection:
        return [(name, version) for name, version in connection.execute(query)]


def _datasets(room: Room, release: Release) -> dict[str, int]:
    """Return dataset → last version that a release rests on, by itself or through the releases it was made from."""
    found: dict[str, int] = {}
    seen, left = {release.id}, [release]
    while left:
        one = left.pop()
        inputs = _inputs(room.state, one.id)
        for name, version in [*one.provenance.items(), *inputs]:
            if version is not None:
                found[name] = max(version, found.get(name, version))
        fresh = [name for name, version in inputs if version is None and name not in seen]
        seen.update(fresh)
        left += [find_release(room, name) for name in fresh]
    return found


def _source(room: Room, dataset: str, version: int, as_of: dt.datetime) -> Source:
    if not room.store.has(dataset):  # taken out of the room since: its name is what is left
        return Source(dataset, version, "", "", True, ())
    spec = room.store.spec(dataset)
    behind = [d for d in room.store.deliveries(dataset) if d.version <= version and _known(d.known_at, spec, as_of)]
    return Source(
        dataset,
        version,
        spec.provider,
        spec.licence,
        spec.confidential,
        tuple(
            Origin(
                d.delivery,
                d.version,
                d.known_at.isoformat(),
                d.recorded_at.isoformat(),
                d.content,
                d.files,
                d.actor,
                d.reason,
                d.accepted,
                returned_from(room.store, dataset, d.delivery),
            )
            for d in behind
        ),
    )


def _known(known_at: dt.datetime, spec: Any, as_of: dt.datetime) -> bool:  # a DatasetSpec
    # A delivery of vintages is as old as its last one; earlier ones of it may have been known before.
    return bool(spec.known_at_field) or known_at <= as_of


def openlineage(room: Room, found: Lineage) -> dict[str, Any]:
    """Return a lineage as an OpenLineage `RunEvent` (spec 2-0-2): the run of a desk that made a release.

    The run's id follows from the hash of the release, so that the same release gives the same event. Standard facets
    carry versions, fields and row counts; custom ones, named ``opsroom_…``, deliveries, providers and the release.
    """
    release = find_release(room, found.release)
    namespace = f"opsroom:{room.settings.title}"
    return {
        "eventType": "COMPLETE",
        "eventTime": found.as_of.isoformat(),
        "producer": PRODUCER,
        "schemaURL": SCHEMA_URL,
        "run": {"runId": str(uuid.uuid5(uuid.NAMESPACE_URL, f"opsroom:{found.hash}")), "facets": {}},
        "job": {
            "namespace": namespace,
            "name": found.desk or "by hand",
            "facets": {
                "jobType": _facet(
                    "jobType", processingType="BATCH", integration="OPSROOM", jobType=found.kind or "RELEASE"
                )
            },
        },
        "inputs": [
            *(_input(room, namespace, source) for source in found.sources),
            *(_made_from(namespace, one) for one in found.releases),
        ],
        "outputs": [
            {
                "namespace": namespace,
                "name": release.name,
                "facets": {
                    "version": _facet("version", datasetVersion=release.id),
                    "schema": _facet("schema", fields=[{"name": column} for column in release.columns]),
                    "opsroom_release": _facet("opsroom_release", id=release.id, hash=release.hash, remark=found.remark),
                },
                "outputFacets": {"outputStatistics": _facet("outputStatistics", rowCount=len(release.rows))},
            }
        ],
    }


def _input(room: Room, namespace: str, source: Source) -> dict[str, Any]:
    facets = {
        "version": _facet("version", datasetVersion=str(source.version)),
        "opsroom_provider": _facet(
            "opsroom_provider", provider=source.provider, licence=source.licence, confidential=source.confidential
        ),
        "opsroom_deliveries": _facet("opsroom_deliveries", deliveries=[asdict(d) for d in source.deliveries]),
    }
    if room.store.has(source.dataset):
        fields = [{"name": f.name, "type": f.type} for f in room.store.spec(source.dataset).fields]
        facets["schema"] = _facet("schema", fields=fields)
    return {"namespace": namespace, "name": source.dataset, "facets": facets, "inputFacets": {}}


def _made_from(namespace: str, release_id: str) -> dict[str, Any]:
    facets = {"version": _facet("version", datasetVersion=release_id)}
    return {"namespace": namespace, "name": release_id.partition("@")[0], "facets": facets, "inputFacets": {}}


def _facet(name: str, **content: Any) -> dict[str, Any]:
    return {"_producer": PRODUCER, "_schemaURL": FACETS[name], **content}
