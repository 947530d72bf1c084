"""`Release`: what is public, byte for byte. Only the gate and the ledger's reader make one."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import DisclosureError, NotFoundError, StoreError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1
GENESIS = "sha256:" + "0" * 64
"""The hash before the first release of a ledger."""

_GATE = object()


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """A published table with its stamp.

    The canonical document is `json_bytes`; everything else is read from it.

    Attributes
    ----------
    id, name
        ``"resumption.national@2020-03-04"`` and the name of the series.
    as_of, day
        Knowledge time (UTC) and publication day.
    dimensions, columns
        Names of the dimension columns, and of all columns of `rows`.
    measures
        Name, unit, kind, decimals and attached columns of each measure.
    rows
        Dimension codes, numbers, and ``"published"`` or ``"suppressed"``: suppressed where the gate
        hid at least one measure of the row (it is None then).
    facts, notes, method, source, licence, provenance
        What else is public about the release.
    held
        (row number, measure) → day: the number shown is the one released on that day, since its revision
        would betray a contributor.
    content_hash, stamp
        Hash of the content; profile of rules, number in the ledger and hash chain.
    """

    json_bytes: bytes = field(repr=False)
    id: str
    name: str
    as_of: dt.datetime
    day: dt.date
    dimensions: tuple[str, ...]
    measures: tuple[Mapping[str, Any], ...] = field(repr=False)
    columns: tuple[str, ...] = field(repr=False)
    rows: tuple[tuple[Any, ...], ...] = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)
    notes: tuple[str, ...] = field(repr=False)
    method: str = field(repr=False)
    source: str = field(repr=False)
    licence: str = field(repr=False)
    provenance: Mapping[str, int] = field(repr=False)
    held: Mapping[tuple[int, str], str] = field(repr=False)
    content_hash: str
    stamp: Mapping[str, Any] = field(repr=False)
    token: InitVar[object] = None

    def __post_init__(self, token: object) -> None:
        if token is not _GATE:
            raise DisclosureError(
                "a Release is made by the gate only.",
                remedy="Pass cells through opsroom.protect.release, or read a stored release.",
                code="OPS-P002",
            )

    @property
    def hash(self) -> str:
        """Hash of the release in the ledger's chain."""
        return str(self.stamp["hash"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Release) and other.json_bytes == self.json_bytes

    def __hash__(self) -> int:
        return hash(self.json_bytes)

    def to_frame(self, measure: str | None = None, *, where: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Return the rows as a frame.

        Parameters
        ----------
        measure
            Where given: only this measure with its attached columns, and a status of its own.
        where
            Where given: only rows that have these codes, by dimension.
        """
        import pandas as pd

        wanted = [(self.columns.index(name), code) for name, code in (where or {}).items()]
        rows = [list(row) for row in self.rows if all(row[at] == code for at, code in wanted)]
        frame = pd.DataFrame(rows, columns=list(self.columns))
        if measure is None:
            return frame
        found = next((m for m in self.measures if m["name"] == measure), None)
        if found is None:
            raise NotFoundError(f"release {self.name!r} has no measure {measure!r}.")
        part = frame[[*self.dimensions, measure, *found["attached"]]].copy()
        hidden = (frame["status"] == "suppressed") & frame[measure].isna()
        part["status"] = ["suppressed" if h else "published" for h in hidden]
        return part

    def csv(self) -> str:
        """Return the rows as CSV text (RFC 4180, first line the column names)."""
        import csv
        import io

        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(self.columns)
        writer.writerows(["" if value is None else value for value in row] for row in self.rows)
        return out.getvalue()


def canonical(document: Mapping[str, Any]) -> bytes:
    """Return the canonical JSON bytes of a document: UTF-8, no spaces, keys in the order given."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()


def digest(*blobs: bytes) -> str:
    """Return the SHA-256 of byte strings, each preceded by its length."""
    state = hashlib.sha256()
    for blob in blobs:
        state.update(len(blob).to_bytes(8, "big"))
        state.update(blob)
    return f"sha256:{state.hexdigest()}"


def seal(document: Mapping[str, Any]) -> str:
    """Return the hash of a document in the chain: its content, and its stamp but for the hash."""
    stamp = {k: v for k, v in document["stamp"].items() if k != "hash"}
    return digest(str(document["content_hash"]).encode(), canonical(stamp))


def content_of(document: Mapping[str, Any]) -> str:
    """Return the hash of a document's content: all but hash and stamp."""
    return digest(canonical({k: v for k, v in document.items() if k not in ("content_hash", "stamp")}))


def read_release(blob: bytes) -> Release:
    """Read a release from the bytes in a ledger.

    Raises
    ------
    StoreError
        If the bytes are no release, or were written by a newer opsroom.
    """
    try:
        document = json.loads(blob)
        version = document["schema_version"]
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"a stored release has schema version {version}; this opsroom knows {SCHEMA_VERSION}.",
                remedy="Use a newer opsroom.",
                code="OPS-F030",
            )
        return Release(
            json_bytes=blob,
            id=document["id"],
            name=document["name"],
            as_of=dt.datetime.fromisoformat(document["as_of"]),
            day=dt.date.fromisoformat(document["day"]),
            dimensions=tuple(document["dimensions"]),
            measures=tuple(document["measures"]),
            columns=tuple(document["columns"]),
            rows=tuple(tuple(row) for row in document["rows"]),
            facts=document["facts"],
            notes=tuple(document["notes"]),
            method=document["method"],
            source=document["source"],
            licence=document["licence"],
            provenance=document["provenance"],
            held={(int(row), str(measure)): str(day) for row, measure, day in document["held"]},
            content_hash=document["content_hash"],
            stamp=document["stamp"],
            token=_GATE,
        )
    except (ValueError, KeyError, TypeError):
        raise StoreError(
            "a stored release cannot be read: the ledger is damaged.",
            remedy="Run `opsroom audit verify` and restore room.db.",
            code="OPS-F031",
        ) from None
