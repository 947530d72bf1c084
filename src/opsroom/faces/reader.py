"""What a face may hold: a reader of stored releases, and helpers that look a number up in one.

Faces never see a `Room`. `ReleasesReader` is what `opsroom.protect.ledger.Releases` offers; any
object with these methods will do, so a face is tested without a store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol

from opsroom.base.errors import AsOfError, UsageError
from opsroom.faces import words

if TYPE_CHECKING:
    import pandas as pd


class ReleaseView(Protocol):
    """A stored release, as `docs/design.md` describes it."""

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def as_of(self) -> Any: ...
    @property
    def day(self) -> Any: ...
    @property
    def dimensions(self) -> Sequence[str]: ...
    @property
    def measures(self) -> Sequence[Any]: ...
    @property
    def columns(self) -> Sequence[str]: ...
    @property
    def rows(self) -> Sequence[Sequence[Any]]: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...
    @property
    def notes(self) -> Sequence[str]: ...
    @property
    def method(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def provenance(self) -> Mapping[str, int]: ...
    @property
    def stamp(self) -> Mapping[str, Any]: ...
    def to_frame(self) -> pd.DataFrame: ...


class ReleasesReader(Protocol):
    """A read-only view of a room's stored releases."""

    @property
    def room(self) -> Mapping[str, Any]: ...
    def days(self) -> Sequence[Any]: ...
    def names(self, day: Any = None) -> Sequence[str]: ...
    def get(self, name: str, day: Any) -> Any: ...
    def latest(self, name: str) -> Any: ...
    def history(self, name: str) -> Sequence[Any]: ...
    def raw(self, id: str) -> bytes: ...
    def refusals(self, day: Any) -> Sequence[Any]: ...
    def alarm(self) -> str: ...


@dataclass(frozen=True, slots=True)
class MeasureInfo:
    """Name, unit, kind, decimals and attached columns of a published measure."""

    name: str
    unit: str
    kind: str
    decimals: int
    attached: tuple[str, ...]


def day_of(value: Any) -> date:
    """Return the day of a date, a datetime or an ISO text."""
    if isinstance(value, str):
        return date.fromisoformat(value[:10])
    if isinstance(value, date) and hasattr(value, "date"):  # a datetime is a date, too
        return date(value.year, value.month, value.day)
    if isinstance(value, date):
        return value
    raise UsageError("a day must be a date or its ISO text.")


def measures_of(release: ReleaseView) -> list[MeasureInfo]:
    """Return the release's measures, whether it holds them as records or as objects."""
    found = []
    for item in release.measures:
        get = (
            item.get if isinstance(item, Mapping) else lambda key, default=None, item=item: getattr(item, key, default)
        )
        found.append(
            MeasureInfo(
                str(get("name")),
                str(get("unit", "") or ""),
                str(get("kind", "public") or "public"),
                int(get("decimals", 1) or 0),
                tuple(get("attached", ()) or ()),
            )
        )
    return found


def records(release: ReleaseView | None, **where: str) -> list[dict[str, Any]]:
    """Return the rows of a release as records, those that match.

    Parameters
    ----------
    release
        A release; None has no rows.
    **where
        Column → wanted code. A column that the release lacks does not restrict.

    Examples
    --------
    ``records(release, weight="count", size="_T")``
    """
    if release is None:
        return []
    columns = list(release.columns)
    tests = [(columns.index(name), code) for name, code in where.items() if name in columns]
    return [
        dict(zip(columns, row, strict=True)) for row in release.rows if all(str(row[k]) == code for k, code in tests)
    ]


def number(row: Mapping[str, Any] | None, name: str) -> float | None:
    """Return a number of a record; None where it is absent or suppressed."""
    value = row.get(name) if row else None
    if value is None or isinstance(value, (str, bool)):
        return None
    return float(value)


def one(release: ReleaseView | None, **where: str) -> dict[str, Any] | None:
    """Return the only (or last) record that matches; None where there is none."""
    found = records(release, **where)
    return found[-1] if found else None


def bounds(row: dict[str, Any] | None, name: str) -> tuple[float, float] | None:
    """Return the published interval of a measure, or None."""
    lower, upper = number(row, f"{name}_lower"), number(row, f"{name}_upper")
    return None if lower is None or upper is None else (lower, upper)


def strongest(release: Any) -> str | None:
    """Return the option that is decisive for most companies, or None."""
    rows = [r for r in records(release, month="all", section="_T") if number(r, "decisive") is not None]
    rows = [r for r in rows if r["option"] != "none"]
    return str(max(rows, key=lambda r: float(r["decisive"]))["option"]) if rows else None


def by_series(release: ReleaseView | None, measure: str) -> dict[str, list[dict[str, Any]]]:
    """Return the rows in which a measure is known by code of their series, in the release's order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in records(release):
        if number(row, measure) is not None:
            found.setdefault(str(row.get("series", "")), []).append(row)
    return found


@dataclass(frozen=True, slots=True)
class Desk:
    """The releases as of one published day: what every page, figure and sentence is made from.

    Attributes
    ----------
    releases
        The reader.
    day
        A publication day, never between two.
    room
        The room's public settings.
    """

    releases: ReleasesReader
    day: date
    room: Mapping[str, Any]
    _memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def get(self, name: str) -> Any:
        """Return the last release of that name issued by the day, or None."""
        return self._once(f"get {name}", lambda: self.releases.get(name, self.day))

    def before(self, name: str) -> Any:
        """Return the release of that name before the one that `get` returns, or None."""
        past = self.past(name)
        return past[-2] if len(past) > 1 else None

    def past(self, name: str) -> list[Any]:
        """Return the releases of that name up to the day, earliest first."""
        found: list[Any] = self._once(
            f"past {name}", lambda: [r for r in self.releases.history(name) if day_of(r.day) <= self.day]
        )
        return list(found)

    def names(self) -> list[str]:
        """Return the names of the series that existed by the day."""
        found: list[str] = self._once("names", lambda: sorted(self.releases.names(self.day)))
        return list(found)

    def refusals(self) -> list[Any]:
        """Return what the gate refused on the publication days so far, earliest first."""
        days = [d for d in published_days(self.releases) if d <= self.day]
        return [refusal for day in days for refusal in self.releases.refusals(day)]

    def _once(self, key: str, read: Callable[[], Any]) -> Any:
        # A page asks for the same release many times: one desk reads it once.
        if key not in self._memo:
            self._memo[key] = read()
        return self._memo[key]

    def __iter__(self) -> Iterator[Any]:
        """Yield the current release of each series."""
        for name in self.names():
            if (release := self.get(name)) is not None:
                yield release

    @property
    def synthetic(self) -> bool:
        """Whether the economy is a made-up one."""
        return bool(self.room.get("synthetic"))


def published_days(releases: ReleasesReader) -> list[date]:
    """Return the publication days, earliest first."""
    return sorted(day_of(d) for d in releases.days())


def room_of(releases: ReleasesReader) -> dict[str, Any]:
    """Return the room's public settings, with the plainest words where it has none."""
    plain = {"title": "Operations room", "country": "", "synthetic": False, "disclaimer": "", "regions": []}
    return {**plain, **releases.room}


def remark(room: Mapping[str, Any], release: ReleaseView) -> str:
    """Return why a release cannot be recomputed any more, such as an erasure by law; empty while it can."""
    hit = [
        str(e["number"])
        for e in room.get("erasures", ())
        if e["from_version"] <= release.provenance.get(e["dataset"], -1) < e["version"]
    ]
    return words.say("page.erased", numbers=", ".join(hit)) if hit else ""


def desk_at(releases: ReleasesReader, as_of: date | str | None = None, *, asked: str = "as_of") -> Desk:
    """Return the desk as of a day: the last publication day on or before it.

    Parameters
    ----------
    releases
        The reader.
    as_of
        A day, ISO text, or None for the last publication day.
    asked
        What the caller calls it, for the error.

    Raises
    ------
    UsageError
        If the text is not a day.
    AsOfError
        If nothing had been published by then.
    """
    days = published_days(releases)
    if not days:
        raise AsOfError(
            "the room has published nothing yet.", remedy="Run `opsroom publish --room DIR`.", code="OPS-T010"
        )
    if as_of is None or as_of == "":
        return Desk(releases, days[-1], room_of(releases))
    if isinstance(as_of, str):
        try:
            as_of = date.fromisoformat(as_of)
        except ValueError:
            raise UsageError(f"{asked} is not a day.", remedy="Write it as 2020-03-04.", code="OPS-U020") from None
    reached = [d for d in days if d <= as_of]
    if not reached:
        raise AsOfError(
            f"nothing had been published by {words.day(as_of)}.",
            remedy=f"The first publication day is {words.day(days[0])}.",
            code="OPS-T011",
        )
    return Desk(releases, reached[-1], room_of(releases))
