"""`providers.toml`: who provides data, under which agreement, for what, and until when they may be held."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from opsroom.base.errors import AccessError, SettingsError

FILE = "providers.toml"

CLOSED = ("OPS-A010", "OPS-A011")
"""Codes of data that may not be read any more: the agreement ended, or they are held longer than it allows."""


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider and the agreement with it.

    Attributes
    ----------
    name
        As the specifications of its datasets name it.
    agreement
        Name or number of the agreement; told when data may no longer be read.
    licence, purpose, legal_basis, contact
        Under which licence, for what, by what right; whom to ask.
    expires_on
        Last day on which the room may hold the data; afterwards they are not readable. None: no end.
    retention_days
        Days for which what was recorded may be held; None: no end.
    """

    name: str
    agreement: str = ""
    licence: str = ""
    purpose: str = ""
    legal_basis: str = ""
    contact: str = ""
    expires_on: dt.date | None = None
    retention_days: int | None = None

    def __post_init__(self) -> None:
        where = f"{FILE}, provider {self.name!r}"
        for item in fields(self):
            value, wanted = getattr(self, item.name), str(item.type)
            right = isinstance(value, str) if wanted == "str" else True
            if item.name == "expires_on":
                right = value is None or (isinstance(value, dt.date) and not isinstance(value, dt.datetime))
            if item.name == "retention_days":
                right = value is None or (isinstance(value, int) and not isinstance(value, bool) and value > 0)
            if not right:
                raise _wrong(f"{where}: {item.name} has the wrong type or size")
        if not self.name.strip():
            raise _wrong(f"{FILE}: a provider has no name")

    def require_readable(self, dataset: str, today: dt.date, recorded_on: dt.date | None) -> None:
        """Refuse data that the room may no longer hold, of whatever day they are asked for.

        Parameters
        ----------
        dataset
            For the message.
        today
            The day in the room's zone.
        recorded_on
            Day on which the oldest of the dataset's stored rows were recorded; None where it holds none.

        Raises
        ------
        AccessError
            The agreement ended, or rows are held longer than it allows.
        """
        agreement = (
            f"agreement {self.agreement!r} with {self.name}" if self.agreement else f"agreement with {self.name}"
        )
        if self.expires_on is not None and today > self.expires_on:
            raise AccessError(
                f"dataset {dataset!r}: the {agreement} ended on {self.expires_on.isoformat()}; "
                "its data may not be read any more, of no day.",
                remedy="Renew it in providers.toml, or erase the data.",
                code="OPS-A010",
            )
        if self.retention_days is not None and recorded_on is not None:
            held = (today - recorded_on).days
            if held > self.retention_days:
                raise AccessError(
                    f"dataset {dataset!r}: the {agreement} lets data be held for {self.retention_days} days; "
                    f"the oldest are held for {held}.",
                    remedy="Erase what is past it: opsroom store erase DATASET --past-retention.",
                    code="OPS-A011",
                )

    def to_json(self) -> str:
        """Return the record for the room's history."""
        return json.dumps(asdict(self), default=str, sort_keys=True)


def read_providers(path: Path) -> dict[str, Provider]:
    """Read ``providers.toml``; none where there is no such file.

    Raises
    ------
    SettingsError
        It cannot be read, or says something that no provider has.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError):
        raise _wrong(f"{path.name} cannot be read") from None
    except tomllib.TOMLDecodeError as error:
        raise _wrong(f"{path.name} is not valid TOML: {error}") from None
    tables = raw.pop("providers", [])
    if raw or not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
        raise _wrong(f"{path.name} holds [[providers]] tables and nothing else")
    found: dict[str, Provider] = {}
    for table in tables:
        one = _build(table)
        if one.name in found:
            raise _wrong(f"{path.name} names provider {one.name!r} twice")
        found[one.name] = one
    return found


def _build(table: Mapping[str, Any]) -> Provider:
    known = {item.name for item in fields(Provider)}
    unknown = sorted(set(table) - known)
    if unknown or "name" not in table:
        rule = f"unknown keys: {', '.join(unknown)}" if unknown else "a provider has no name"
        raise _wrong(f"{FILE}: {rule}")
    return Provider(**table)


def _wrong(words: str) -> SettingsError:
    return SettingsError(f"{words}.", remedy="Correct it there.", code="OPS-C010")
