"""Settings of a room: `room.toml` read into validated, frozen dataclasses."""

from __future__ import annotations

import datetime as dt
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from opsroom.base.errors import SettingsError

SCHEMA_VERSION = 1
ENGINES = ("duckdb", "spark")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
Cadence = Literal["weekly", "monthly", "on_demand"]
_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Region:
    """A region with its place on the tile map."""

    code: str
    name: str
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """One desk of the room: which method runs on which datasets.

    Attributes
    ----------
    kind
        Name of the method, such as ``"resumption"``.
    name
        Name of the desk; unique in the room. Defaults to the kind.
    options
        Everything else in the table: dataset names and method settings.
    """

    kind: str
    name: str
    options: Mapping[str, Any]

    def get(self, key: str, default: Any = None) -> Any:  # values come from TOML: any TOML type
        """Return an option, or the default."""
        return self.options.get(key, default)

    def require(self, key: str) -> Any:  # values come from TOML: any TOML type
        """Return an option that must be there."""
        if key not in self.options:
            raise SettingsError(
                f"room.toml: desk {self.name!r} lacks {key!r}.",
                remedy=f"Add `{key} = …` to the desk's table.",
                code="OPS-C004",
            )
        return self.options[key]

    def tables(
        self,
        key: str,
        *,
        needs: Mapping[str, type | tuple[type, ...]],
        allows: Mapping[str, type | tuple[type, ...]],
    ) -> list[Mapping[str, Any]]:
        """Return an option that is a table, or a list of tables, checked field by field.

        Parameters
        ----------
        key
            The option; it must be there.
        needs, allows
            Field → type, of those that every table has, and of those that it may have.

        Raises
        ------
        SettingsError
            Naming the table by its number, the field, and what is wrong with it.
        """
        given = self.require(key)
        found = [given] if isinstance(given, Mapping) else given
        known = {**allows, **needs}
        for number, table in enumerate(found if isinstance(found, list) else [found], start=1):
            where = f"room.toml: desk {self.name!r}: {key}, table {number}"
            if not isinstance(table, Mapping):
                raise SettingsError(
                    f"{where} is no table.", remedy=f"Write it as {{{', '.join(f'{n} = …' for n in needs)}}}.",
                    code="OPS-C004",
                )  # fmt: skip
            for name in needs:
                if name not in table:
                    raise SettingsError(f"{where} lacks {name!r}.", remedy=f"Add {name} = ….", code="OPS-C004")
            for name, value in table.items():
                if name not in known:
                    raise SettingsError(
                        f"{where} has the unknown field {name!r}.", remedy=f"Use {', '.join(sorted(known))}.",
                        code="OPS-C004",
                    )  # fmt: skip
                if not isinstance(value, known[name]):
                    raise SettingsError(
                        f"{where}: {name!r} is of the wrong type.", remedy="See the desk's settings in the manual.",
                        code="OPS-C004",
                    )  # fmt: skip
        return list(found)


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """When the room publishes.

    Attributes
    ----------
    cadence
        ``"weekly"`` on `weekday`, ``"monthly"`` on the first `weekday` of a month, or ``"on_demand"``: any day.
    first, last
        The first and last publication day, where there are any.
    """

    cadence: Cadence = "on_demand"
    weekday: int = 2
    first: dt.date | None = None
    last: dt.date | None = None


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """Who may read releases over HTTP, and when the audit log is verified, of ``[access]`` in ``room.toml``.

    Attributes
    ----------
    readers
        ``"open"``: whoever reaches the server; ``"token"``: holders of a token.
    verify
        ``"publish"``: the chains are verified before each publication, which stops where they are not intact;
        ``"manual"``: by `opsroom audit verify` alone.
    refusal_step
        Seconds. A table query that is refused after a look at the data is answered at the next step of a clock that
        ticks this often from the moment of asking, so that its time tells nothing of the data; 0: at once.
    """

    readers: Literal["open", "token"] = "open"
    verify: Literal["publish", "manual"] = "manual"
    refusal_step: float = 10.0


_MASTER = re.compile(r"local(\[[^\]]+\])?|local-cluster\[\d+,\d+,\d+\]|(spark|sc|k8s)://\S+|yarn")


@dataclass(frozen=True, slots=True)
class SparkSettings:
    """Where and how Spark runs, of ``[spark]`` in ``room.toml``.

    Attributes
    ----------
    master
        ``"local[*]"`` (this machine, all cores), ``"spark://host:7077"`` (a standalone cluster),
        ``"sc://host:15002"`` (Spark Connect), ``"yarn"`` or ``"k8s://…"``. The environment variable
        ``OPSROOM_SPARK_MASTER`` goes before the file.
    driver_memory
        Memory of the Java process beside this one, such as ``"2g"``.
    settings
        Spark's own settings, as pairs of name and value.
    """

    master: str = "local[*]"
    driver_memory: str = "2g"
    settings: tuple[tuple[str, str], ...] = ()

    @property
    def is_connect(self) -> bool:
        """Whether the master is a Spark Connect server."""
        return self.master.startswith("sc://")

    @property
    def conf(self) -> dict[str, str]:
        """Spark's own settings by name."""
        return dict(self.settings)


@dataclass(frozen=True, slots=True)
class RoomSettings:
    """`room.toml`, validated."""

    title: str
    country: str = ""
    timezone: str = "UTC"
    engine: str = "duckdb"
    spark: SparkSettings = field(default_factory=SparkSettings)
    synthetic: bool = False
    disclaimer: str = ""
    licence: str = ""
    """Terms on which the room's own releases may be used."""
    regions: tuple[Region, ...] = ()
    rules: Mapping[str, Any] = field(default_factory=dict)
    publish: PublishSettings = field(default_factory=PublishSettings)
    desks: tuple[DeskSettings, ...] = ()
    access: AccessSettings = field(default_factory=AccessSettings)
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Other tables of the file, such as ``[holiday]``; desks read them."""

    @classmethod
    def load(cls, path: Path) -> RoomSettings:
        """Read ``room.toml``.

        Raises
        ------
        SettingsError
            If the file is missing, is not TOML, or says something that the room cannot do.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise SettingsError(
                f"{path.name} is missing: the folder is not a room.",
                remedy="Make a room with `opsroom init DIR`, or name another folder.",
                code="OPS-C001",
            ) from None
        except UnicodeDecodeError:
            raise SettingsError(f"{path.name} is not UTF-8 text.", code="OPS-C002") from None
        return cls.parse(text)

    @classmethod
    def parse(cls, text: str) -> RoomSettings:
        """Parse the text of a ``room.toml``."""
        try:
            raw = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(
                f"room.toml is not valid TOML: {error}.", remedy="Mend the line named.", code="OPS-C002"
            ) from None
        version = raw.pop("schema_version", SCHEMA_VERSION)
        if version != SCHEMA_VERSION:
            raise SettingsError(
                f"room.toml has schema_version {version}; this opsroom reads {SCHEMA_VERSION}.",
                remedy="Install the opsroom that made the room.",
                code="OPS-C003",
            )
        room = _table(raw.pop("room", {}), "room")
        zone = str(room.get("timezone", "UTC"))
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise SettingsError(
                f"room.toml: [room] timezone {zone!r} is unknown.",
                remedy='Use an IANA name such as "Europe/Vienna".',
                code="OPS-C004",
            ) from None
        engine = str(room.get("engine", "duckdb"))
        if engine not in ENGINES:
            raise SettingsError(
                f"room.toml: engine {engine!r} is not available.",
                remedy='Use engine = "duckdb" or engine = "spark".',
                code="OPS-C004",
            )
        return cls(
            title=str(room.get("title", "Operations room")),
            country=str(room.get("country", "")),
            timezone=zone,
            engine=engine,
            spark=_spark(_table(raw.pop("spark", {}), "spark")),
            synthetic=bool(room.get("synthetic", False)),
            disclaimer=str(room.get("disclaimer", "")),
            licence=str(room.get("licence", "")),
            regions=_regions(raw.pop("regions", [])),
            rules=_table(raw.pop("rules", {}), "rules"),
            publish=_publish(_table(raw.pop("publish", {}), "publish")),
            desks=_desks(raw.pop("desks", [])),
            access=_access(_table(raw.pop("access", {}), "access")),
            facts=raw,
        )

    def public(self) -> dict[str, Any]:
        """Return what faces may know of the room: never the values of its rules."""
        return {
            "title": self.title,
            "country": self.country,
            "timezone": self.timezone,
            "synthetic": self.synthetic,
            "disclaimer": self.disclaimer,
            "regions": [{"code": r.code, "name": r.name, "x": r.x, "y": r.y} for r in self.regions],
            "desks": [{"name": d.name, "kind": d.kind} for d in self.desks],
            "cadence": self.publish.cadence,
            **({} if self.access.readers == "open" else {"readers": self.access.readers}),
        }


def _table(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SettingsError(f"room.toml: [{name}] must be a table.", code="OPS-C004")
    return dict(value)


def _spark(value: dict[str, Any]) -> SparkSettings:
    own = _table(value.pop("settings", {}), "spark.settings")
    master = os.environ.get("OPSROOM_SPARK_MASTER") or str(value.pop("master", "local[*]"))
    value.pop("master", None)
    memory = str(value.pop("driver_memory", "2g"))
    if value:
        raise SettingsError(
            f"room.toml: [spark] does not know {', '.join(sorted(value))}.",
            remedy="It has master, driver_memory and settings.",
            code="OPS-C004",
        )
    if not _MASTER.fullmatch(master):
        raise SettingsError(
            "the master of [spark] in room.toml or OPSROOM_SPARK_MASTER is none that Spark knows.",
            remedy='Write "local[*]", "spark://host:7077" or "sc://host:15002".',
            code="OPS-C004",
        )
    if not re.fullmatch(r"[1-9]\d*[mg]", memory):
        raise SettingsError("room.toml: [spark] driver_memory is written as 2g or 512m.", code="OPS-C004")
    return SparkSettings(master, memory, tuple(sorted((str(k), _java(v)) for k, v in own.items())))


def _access(value: dict[str, Any]) -> AccessSettings:
    readers, verify = value.pop("readers", "open"), value.pop("verify", "manual")
    step = value.pop("refusal_step", 10.0)
    is_step = isinstance(step, int | float) and not isinstance(step, bool) and 0 <= step <= 600
    if value or readers not in ("open", "token") or verify not in ("publish", "manual") or not is_step:
        raise SettingsError(
            "room.toml: [access] is not understood.",
            remedy='It has readers = "open" or "token", verify = "publish" or "manual", and refusal_step in seconds.',
            code="OPS-C004",
        )
    return AccessSettings(readers, verify, float(step))


def _java(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _regions(value: object) -> tuple[Region, ...]:
    if not isinstance(value, list):
        raise SettingsError("room.toml: [[regions]] must be a list of tables.", code="OPS-C004")
    regions = []
    for number, item in enumerate(value, 1):
        row = _table(item, "regions")
        try:
            regions.append(Region(str(row["code"]), str(row["name"]), int(row["x"]), int(row["y"])))
        except (KeyError, TypeError, ValueError):
            raise SettingsError(f"room.toml: region {number} needs code, name, x and y.", code="OPS-C004") from None
    return tuple(regions)


def _publish(value: dict[str, Any]) -> PublishSettings:
    weekday = str(value.get("weekday", "wednesday")).lower()
    if weekday not in WEEKDAYS:
        raise SettingsError(f"room.toml: [publish] weekday {weekday!r} is unknown.", code="OPS-C004")
    cadence = value.get("cadence", "weekly" if "weekday" in value else "on_demand")
    if cadence not in ("weekly", "monthly", "on_demand"):
        raise SettingsError(
            f"room.toml: [publish] cadence {cadence!r} is unknown.",
            remedy='Use "weekly", "monthly" or "on_demand".',
            code="OPS-C004",
        )
    return PublishSettings(
        cadence, WEEKDAYS.index(weekday), _day(value.get("first"), "first"), _day(value.get("last"), "last")
    )


def _day(value: object, name: str) -> dt.date | None:
    if value is None:
        return None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    try:
        return dt.date.fromisoformat(str(value))
    except ValueError:
        raise SettingsError(f"room.toml: [publish] {name} is not a date.", code="OPS-C004") from None


def _desks(value: object) -> tuple[DeskSettings, ...]:
    if not isinstance(value, list):
        raise SettingsError("room.toml: [[desks]] must be a list of tables.", code="OPS-C004")
    desks: list[DeskSettings] = []
    for number, item in enumerate(value, 1):
        row = _table(item, "desks")
        kind = str(row.pop("kind", ""))
        name = str(row.pop("name", kind))
        if not _NAME.fullmatch(kind) or not _NAME.fullmatch(name):
            raise SettingsError(
                f"room.toml: desk {number} needs a kind (and a name) of lower-case letters.", code="OPS-C004"
            )
        if name in {desk.name for desk in desks}:
            raise SettingsError(
                f"room.toml: two desks are called {name!r}.", remedy="Give one a name.", code="OPS-C004"
            )
        desks.append(DeskSettings(kind, name, row))
    return tuple(desks)
