"""The scenario of a run: a TOML file read into validated, frozen dataclasses."""

from __future__ import annotations

import dataclasses
import datetime as dt
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from opsroom.base.errors import SettingsError
from opsroom.economy.horizon import Floats, day_number

REGIONS = tuple(f"R{n:02d}" for n in range(1, 13))


def _fail(where: str, rule: str) -> SettingsError:
    return SettingsError(f"scenario: {where}: {rule}", remedy="Correct the scenario file.", code="OPS-C020")


@dataclass(frozen=True)
class Path1D:
    """A path through dated points, straight in between and flat outside."""

    points: tuple[tuple[dt.date, float], ...]

    @cached_property
    def _grid(self) -> tuple[Floats, Floats]:
        days = np.array([day_number(day) for day, _ in self.points], dtype=np.float64)
        return days, np.array([value for _, value in self.points], dtype=np.float64)

    def at(self, days: Floats | Any) -> Floats:  # any array of day numbers
        """Return the path at day numbers (see `opsroom.economy.horizon.day_number`)."""
        grid, values = self._grid
        return np.interp(np.asarray(days, dtype=np.float64), grid, values)


@dataclass(frozen=True, slots=True)
class Holiday:
    """A New Year holiday, both days included."""

    start: dt.date
    end: dt.date


@dataclass(frozen=True, slots=True)
class Lockdown:
    """A region in which only essential companies may work."""

    region: str
    start: dt.date
    end: dt.date
    strength: float
    aftermath: float = 0.0
    aftermath_days: int = 0


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause of closures: a path, its weight in the pressure, severity and delay by region."""

    path: Path1D
    weight: float
    severity: Mapping[str, float]
    delay_days: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Remote:
    """Work from home: first day, mean delay until a company has organised it, share of the able that do."""

    start: dt.date
    mean_delay_days: float
    take_up: float


@dataclass(frozen=True, slots=True)
class Relapse:
    """Second closures."""

    share: float
    first: dt.date
    last: dt.date
    min_days: int
    max_days: int


@dataclass(frozen=True, slots=True)
class Weather:
    """A mild spell."""

    mild_from: dt.date
    mild_to: dt.date
    mild_degrees: float


@dataclass(frozen=True, slots=True)
class Missing:
    """How readings get lost, late or corrected."""

    random_ppm: int
    outage_share: float
    silent_when_closed: float
    silent_after_days: int
    late_ppm: tuple[int, ...]
    very_late_share: float
    corrected_ppm: int


@dataclass(frozen=True, slots=True)
class Dropout:
    """A provider delivers nothing for some days of a region; perhaps it recovers them later."""

    region: str
    start: dt.date
    end: dt.date
    share: float
    recovered: dt.date | None = None


@dataclass(frozen=True, slots=True)
class UnitSlip:
    """A batch of a week delivered in kWh instead of Wh, and corrected later."""

    region: str
    week: dt.date
    share: float
    corrected: dt.date


@dataclass(frozen=True, slots=True)
class Collections:
    """Collection capacity, and able debtors who stop paying where it is missing."""

    path: Path1D
    skip_share: float


@dataclass(frozen=True, slots=True)
class Relief:
    """A payment holiday on request; the logit of monthly take-up rises with distress."""

    start: dt.date
    months: int
    take_up_base: float
    take_up_distress: float


@dataclass(frozen=True, slots=True)
class Boom:
    """A boom of credit and house prices in some regions; sizes are log points at the peak above trend."""

    name: str
    kind: str
    regions: tuple[str, ...]
    start: dt.date
    peak: dt.date
    end: dt.date
    credit: float
    house_price: float
    income: float
    bust: float

    def __post_init__(self) -> None:
        if self.kind not in ("bad", "benign"):
            raise _fail(f"boom {self.name!r}", 'kind is "bad" or "benign".')
        if not self.start < self.peak < self.end:
            raise _fail(f"boom {self.name!r}", "start < peak < end.")


@dataclass(frozen=True, slots=True)
class Episode:
    """A recession before the shock: depth in log points, quarters down, quarters of recovery."""

    start: dt.date
    depth: float
    quarters: int
    recovery: int


@dataclass(frozen=True, slots=True)
class History:
    """The cycle before micro history begins."""

    trend_growth: float
    episodes: tuple[Episode, ...]


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that happens to Meridia. Load one with `Scenario.load`."""

    name: str
    title: str
    note: str
    new_year: tuple[Holiday, ...]
    cohort_day: dt.date
    lockdowns: tuple[Lockdown, ...]
    restrictions: Cause
    fear: Cause
    slump: Path1D
    remote: Remote
    relapse: Relapse
    weather: Weather
    missing: Missing
    dropouts: tuple[Dropout, ...]
    unit_slips: tuple[UnitSlip, ...]
    collections: Collections
    relief: Relief
    trips: Path1D
    booms: tuple[Boom, ...]
    history: History

    def __post_init__(self) -> None:
        spans = [(i.start, i.end) for i in self.lockdowns]
        spans += [(i.start, i.end) for i in self.dropouts] + [(i.start, i.end) for i in self.new_year]
        if any(end < start for start, end in spans):
            raise _fail("a period", "the end is not before the start.")
        named = {i.region for i in self.lockdowns} | {i.region for i in self.dropouts}
        named |= {i.region for i in self.unit_slips}
        named |= {r for b in self.booms for r in b.regions}
        unknown = sorted(named - set(REGIONS))
        if unknown:
            raise _fail("regions", f"unknown: {', '.join(unknown)}.")
        if any(s.week.weekday() for s in self.unit_slips):
            raise _fail("unit_slips", "a week is named by its Monday.")
        if len(self.missing.late_ppm) != 7:
            raise _fail("missing.late_ppm", "seven numbers, Monday to Sunday.")
        if not any(h.start.year == self.cohort_day.year for h in self.new_year):
            raise _fail("new_year", "none in the year of the cohort day.")

    @property
    def holiday(self) -> Holiday:
        """The New Year holiday after which work is resumed."""
        return next(h for h in self.new_year if h.start.year == self.cohort_day.year)

    @classmethod
    def load(cls, source: str | Path = "early_2020") -> Scenario:
        """Read a scenario that ships with opsroom (by name) or a TOML file (by path).

        Raises
        ------
        SettingsError
            Unreadable, not TOML, unknown or missing keys, or a rule is broken.
        """
        handle: Path | Traversable
        if isinstance(source, Path):
            where, handle = source.name, source
        else:
            where = source
            handle = files("opsroom.economy") / "scenarios" / f"{source}.toml"
        try:
            raw = tomllib.loads(handle.read_text(encoding="utf-8"))
        except OSError:
            raise _fail(where, "cannot be read.") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise _fail(where, f"not valid TOML: {error}.") from None
        return cls.parse(raw)

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Scenario:
        """Build a scenario from parsed TOML."""
        tables = dict(raw)
        try:
            missing = {**tables.pop("missing")}
            missing["late_ppm"] = tuple(missing["late_ppm"])
            history = tables.pop("history")
            booms = [{**b, "regions": tuple(b["regions"])} for b in tables.pop("booms", [])]
            built = cls(
                name=str(tables.pop("name")),
                title=str(tables.pop("title")),
                note=str(tables.pop("note", "")),
                new_year=_many(Holiday, tables.pop("new_year")),
                cohort_day=tables.pop("cohort")["day"],
                lockdowns=_many(Lockdown, tables.pop("lockdowns", [])),
                restrictions=_cause("restrictions", tables.pop("restrictions")),
                fear=_cause("fear", tables.pop("fear")),
                slump=_path("slump", tables.pop("slump")["path"]),
                remote=_one(Remote, tables.pop("remote")),
                relapse=_one(Relapse, tables.pop("relapse")),
                weather=_one(Weather, tables.pop("weather")),
                missing=_one(Missing, missing),
                dropouts=_many(Dropout, tables.pop("dropouts", [])),
                unit_slips=_many(UnitSlip, tables.pop("unit_slips", [])),
                collections=_collections(tables.pop("collections")),
                relief=_one(Relief, tables.pop("relief")),
                trips=_path("trips", tables.pop("trips")["path"]),
                booms=_many(Boom, booms),
                history=History(float(history["trend_growth"]), _many(Episode, history.get("episodes", []))),
            )
        except KeyError as error:
            raise _fail("table", f"missing: {error.args[0]}.") from None
        if tables:
            raise _fail("table", f"unknown: {', '.join(sorted(tables))}.")
        return built


def _one(cls: type, table: Mapping[str, Any]) -> Any:
    """Build a dataclass, checking its keys and the plain types of its values."""
    known = {f.name: str(f.type) for f in dataclasses.fields(cls)}
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise _fail(cls.__name__.lower(), f"unknown: {', '.join(unknown)}.")
    wanted: dict[str, type | tuple[type, ...]] = {
        "dt.date": dt.date,
        "float": (int, float),
        "int": int,
        "str": str,
    }
    for key, value in table.items():
        kind = wanted.get(known[key])
        if kind is not None and not isinstance(value, kind):
            raise _fail(cls.__name__.lower(), f"{key} has the wrong type.")
    try:
        return cls(**table)
    except TypeError:
        absent = [f.name for f in dataclasses.fields(cls) if f.name not in table]
        raise _fail(cls.__name__.lower(), f"missing: {', '.join(absent)}.") from None


def _many(cls: type, tables: Sequence[Mapping[str, Any]]) -> tuple[Any, ...]:
    return tuple(_one(cls, table) for table in tables)


def _path(where: str, points: list[list[Any]]) -> Path1D:
    if len(points) < 2:
        raise _fail(where, "a path has at least two points.")
    days = [day for day, _ in points]
    if any(not isinstance(day, dt.date) for day in days) or sorted(set(days)) != days:
        raise _fail(where, "the days of a path are dates and rise.")
    return Path1D(tuple((day, float(value)) for day, value in points))


def _cause(where: str, table: Mapping[str, Any]) -> Cause:
    severity = {r: float(table.get("severity", {}).get(r, 1.0)) for r in REGIONS}
    delay = {r: int(table.get("delay_days", {}).get(r, 0)) for r in REGIONS}
    return Cause(_path(where, table["path"]), float(table["weight"]), severity, delay)


def _collections(table: Mapping[str, Any]) -> Collections:
    return Collections(_path("collections", table["path"]), float(table["skip_share"]))
