"""A desk runs one method of the loop for the room; a `View` is all that it may see."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from opsroom.base.errors import AccessError, InternalError, SettingsError, UsageError
from opsroom.base.memory import give_back_after
from opsroom.base.periods import end_of_day
from opsroom.base.providers import CLOSED
from opsroom.base.results import Cells
from opsroom.base.settings import Cadence, DeskSettings, RoomSettings
from opsroom.observe.assessments import QualityReport, reports
from opsroom.room.quality import overdue

if TYPE_CHECKING:
    import ibis
    import pandas as pd
    import pyarrow as pa

    from opsroom.base.specs import DatasetSpec
    from opsroom.base.state import State
    from opsroom.observe.deliveries import Delivery
    from opsroom.observe.store import Store
    from opsroom.protect.reader import Releases
    from opsroom.protect.release import Release


class View:
    """The room as of one day, for one desk: tables, series and earlier releases, with provenance.

    Every read is recorded, so that what a desk returns carries the versions of all that it saw, and
    is public only when every one of them is a registered public dataset.
    """

    def __init__(
        self,
        store: Store,
        settings: RoomSettings,
        releases: Releases,
        *,
        as_of: dt.datetime,
        day: dt.date,
        upstream: Mapping[str, DeskOutcome],
        memory: dict[str, Any],
        ahead: bool = False,
    ) -> None:
        self.settings = settings
        self._releases = releases
        self.as_of = as_of
        self.day = day
        self.upstream = upstream
        self.memory = memory
        self.ahead = ahead  # run before earlier days are published: what is released says nothing of them yet
        self._store = store
        self._read: dict[str, int] = {}
        self._log = {"public": True}
        self._behind: dict[str, None] = {}
        self._judged: dict[str, int] = {}

    @property
    def releases(self) -> Releases:
        """Earlier releases; which of them are read is noted."""
        return self._releases.noting(lambda release: self._behind.setdefault(release.id))

    def has(self, dataset: str) -> bool:
        """Say whether the room has the dataset and knows any of its rows as of the day."""
        return self._store.has(dataset) and self._store.known(dataset, self.as_of)

    def closed(self, dataset: str) -> str:
        """Return the code of why the room may not read a dataset any more; empty where it may."""
        try:
            self._store.files(dataset)
        except AccessError as error:
            if error.code not in CLOSED:
                raise
            return error.code
        return ""

    @property
    def state(self) -> State:
        """The room's database, for desks that read records kept beside the store."""
        return self._store.state

    @property
    def folder(self) -> Path:
        """The room's folder, for files that its settings name."""
        return self._store.path

    def spec(self, dataset: str) -> DatasetSpec:
        """Return the dataset's specification."""
        return self._store.spec(dataset)

    def fields(self, dataset: str) -> frozenset[str]:
        """Return the names of the columns that a read of the dataset may ask for."""
        return frozenset(f.name for f in self.spec(dataset).fields)

    def table(self, dataset: str) -> ibis.Table:
        """Return the dataset as of the day, as an Ibis table."""
        self._note(dataset)
        return self._store.table(dataset, self.as_of)

    def arrow(
        self,
        dataset: str,
        columns: list[str] | None = None,
        *,
        period_from: dt.date | None = None,
        period_to: dt.date | None = None,
    ) -> pa.Table:
        """Return the dataset as of the day, as an Arrow table, cut to reference periods."""
        self._note(dataset)
        return self._store.arrow(dataset, self.as_of, columns=columns, period_from=period_from, period_to=period_to)

    def vintages(self, dataset: str, columns: list[str] | None = None) -> pd.DataFrame:
        """Return every vintage of the dataset known by the day, oldest first, with ``known_at``."""
        self._note(dataset)
        frame: pd.DataFrame = self._store.vintages(dataset, self.as_of, columns=columns).to_pandas(date_as_object=False)
        return frame

    def records(self, dataset: str, columns: list[str], *, period_from: dt.date | None = None) -> pa.Table:
        """Return every version and tombstone known by the day, oldest first, with ``known_at`` and ``taken_back``."""
        self._note(dataset)
        return self._store.vintages(dataset, self.as_of, columns=columns, period_from=period_from, tombstones=True)

    def last_delivery(self, dataset: str) -> int:
        """Return the number of the last delivery of which reads see rows, as `changes` wants it."""
        return self._store.last_delivery(dataset)

    def changes(self, dataset: str, columns: list[str], *, after: dt.datetime, delivery: int) -> pa.Table | None:
        """Return the rows that became known after a moment and by the day; see `Store.changes`."""
        self._note(dataset)
        return self._store.changes(dataset, columns, after=after, until=self.as_of, delivery=delivery)

    def datasets(self) -> list[str]:
        """Return the names of the room's datasets, sorted."""
        return sorted(self._store.specs)

    def deliveries(self, dataset: str) -> list[Delivery]:
        """Return the deliveries of the dataset that had arrived by the day."""
        return [d for d in self._store.deliveries(dataset) if d.known_at <= self.as_of]

    def quality(self, dataset: str) -> QualityReport | None:
        """Return the report on the last delivery of the dataset known by the day, with the alarm if one is overdue."""
        self._judged[dataset] = self._store.version(dataset, self.as_of)
        found = reports(self._store.state, dataset, until=self.as_of, last=1)
        late = overdue(self._store, dataset, self.as_of)
        if not found or late is None:
            return found[0] if found else None
        return replace(found[0], alarms=(*found[0].alarms, late))

    def at(self, day: dt.date) -> View:
        """Return the view of an earlier day, for what the room would have said then."""
        if day > self.day:
            raise InternalError("a view cannot look ahead of its day.")
        moment = min(end_of_day(day, self.settings.timezone), self.as_of)
        earlier = View(
            self._store, self.settings, self._releases, as_of=moment, day=day, upstream={}, memory=self.memory
        )
        earlier._read, earlier._log = self._read, self._log
        earlier._behind, earlier._judged = self._behind, self._judged
        return earlier

    def frame(
        self, dataset: str, columns: list[str] | None = None, *, period_from: dt.date | None = None
    ) -> pd.DataFrame:
        """Return the dataset as of the day, as a pandas frame with datetime64 dates, from a reference period on."""
        table = self.arrow(dataset, columns, period_from=period_from)
        size = table.nbytes
        frame: pd.DataFrame = table.to_pandas(date_as_object=False)
        del table
        give_back_after(size)  # what reading it took, before a method works on it
        return frame

    def uses(self, outcome: DeskOutcome) -> None:
        """Record that a result of another desk was used: its provenance is inherited."""
        self._read.update(outcome.provenance)
        self._log["public"] = self._log["public"] and outcome.public

    def origin(self) -> tuple[str, str]:
        """Return source and licence in words, of all that was read.

        Of public data the licence is the providers' own; what rests on confidential data is the room's.
        """
        specs = [self._store.spec(name) for name in self._read]
        main = [s for s in specs if s.confidential] or specs
        sources = "; ".join(dict.fromkeys(s.source or s.provider for s in main))
        licences = "; ".join(dict.fromkeys(s.licence for s in specs if s.licence))
        return sources, licences if self.public and specs else self.settings.licence

    def behind(self, cells: Iterable[Cells]) -> Behind:
        """Return what cells rest on besides data: earlier releases of other series, and reports on deliveries."""
        own = {one.name for one in cells}
        ids = [one for one in self._behind if one.partition("@")[0] not in own]
        return Behind(tuple(one for one in ids if one.partition("@")[2] <= self.day.isoformat()), dict(self._judged))

    @property
    def provenance(self) -> dict[str, int]:
        """Dataset → Delta version, for everything read so far."""
        return dict(self._read)

    @property
    def public(self) -> bool:
        """True when everything read so far is public."""
        return self._log["public"]

    def _note(self, dataset: str) -> None:
        spec = self._store.spec(dataset)
        version = self._store.version(dataset, self.as_of)
        self._read[dataset] = max(version, self._read.get(dataset, version))
        if spec.confidential:
            self._log["public"] = False


@dataclass(frozen=True, slots=True)
class Behind:
    """What a desk's figures rest on besides the data that it read: for the lineage, not for the stamp of a release."""

    releases: tuple[str, ...] = ()
    """Ids of releases that it read."""
    judged: Mapping[str, int] = field(default_factory=dict)
    """Dataset → version, of deliveries on which it read reports."""


@dataclass(frozen=True, slots=True)
class DeskOutcome:
    """What a desk found: the method's result (confidential) and its publishable cells."""

    result: object
    cells: tuple[Cells, ...] = ()
    provenance: Mapping[str, int] = field(default_factory=dict)
    public: bool = False
    note: str = ""
    """Why a desk had nothing to say, where it had not."""
    behind: Behind = field(default_factory=Behind)

    def stamped(self, view: View) -> DeskOutcome:
        """Return the outcome with the view's provenance; only here is a result cleared as public."""
        source, licence = view.origin()
        cells = tuple(
            replace(
                c,
                provenance=view.provenance,
                public=view.public,
                source=c.source or source,
                facts={**c.facts, "licence": c.facts.get("licence") or licence},
            )
            for c in self.cells
        )
        behind = view.behind(self.cells)
        return replace(self, cells=cells, provenance=view.provenance, public=view.public, behind=behind)


def nothing_known_of(view: View, *datasets: str) -> DeskOutcome | None:
    """Return what a desk says while nothing is known of the first of these datasets; None where all are known."""
    for name in datasets:
        if not view.has(name):
            return DeskOutcome(None, note=f"nothing known of {name} yet")
    return None


@contextlib.contextmanager
def settings_of(settings: DeskSettings) -> Iterator[None]:
    """Tell a method's refusal of its arguments as what it is in a room: a wrong setting of the desk."""
    try:
        yield
    except UsageError as error:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: {error.message}", remedy=error.remedy, code="OPS-C006"
        ) from error


def earlier_release(view: View, name: str) -> Release | None:
    """Return the last release of a series before the view's day."""
    return view.releases.get(name, view.day - dt.timedelta(days=1))


class Desk(Protocol):
    """One desk of the room."""

    cadences: Mapping[str, Cadence]
    """Release series → how often it may come out."""

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Run the desk's method on what the room knew, and return result and cells."""


def _load(kind: str) -> Desk:
    from importlib import import_module

    module = import_module(f"opsroom.room.desks.{kind}")
    desk: Desk = module.DESK
    return desk


KINDS = (
    "activity",
    "allocation",
    "bottlenecks",
    "companies",
    "composite",
    "contagion",
    "credit_gap",
    "credit_regions",
    "credit_register",
    "critical",
    "decisions",
    "delays",
    "dependence",
    "events",
    "exuberance",
    "flows",
    "invoices",
    "levels",
    "loans",
    "nowcast",
    "outcomes",
    "propagation",
    "quality",
    "relief",
    "restriction",
    "resumption",
    "scores",
    "sector_gaps",
    "warnings",
)
"""The kinds of desk that ``room.toml`` may name; a kind is a file in `opsroom.room.desks`."""


ALONE = frozenset({"activity", "bottlenecks", "contagion", "flows", "loans", "nowcast"})
"""Kinds that may be run by another process, and before earlier days are out: they rest on the store alone, neither on
other desks of the day nor on what is published."""


class Begun(Protocol):
    """A desk that can be begun by another process, as far as it rests on the store alone."""

    def begin(self, view: View, settings: DeskSettings) -> Mapping[str, Any]:
        """Return what `run` would look for in the room's memory, and make itself where it is not there."""


BEGUN = frozenset({"relief", "resumption"})
"""Kinds that are `Begun`."""

AHEAD = ALONE | BEGUN
"""Kinds of which something can be made ahead."""


LOOKED_AT = frozenset({"resumption"})
"""Kinds whose result other desks of the day look at."""


def begun(kind: str) -> Begun:
    """Return the desk of one of the kinds `BEGUN`."""
    found: Begun = desk(kind)  # type: ignore[assignment]  # which kinds can be begun, `BEGUN` says
    return found


def desk(kind: str) -> Desk:
    """Return the desk of a kind.

    Raises
    ------
    SettingsError
        If there is no such kind.
    """
    if kind not in KINDS:
        raise SettingsError(
            f"room.toml names a desk of unknown kind {kind!r}.",
            remedy=f"Use one of: {', '.join(KINDS)}.",
            code="OPS-C005",
        )
    return _load(kind)
