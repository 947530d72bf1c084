"""`Room`: the one stateful object. Trusted code inside the enclave holds a Room; faces never do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from opsroom.base.errors import DisclosureError, NotFoundError, UsageError
from opsroom.base.memory import Idle
from opsroom.base.periods import end_of_day
from opsroom.base.providers import FILE as PROVIDERS
from opsroom.base.providers import read_providers
from opsroom.base.settings import DeskSettings, RoomSettings
from opsroom.base.specs import DatasetSpec
from opsroom.base.state import State
from opsroom.observe.engines import make_engine
from opsroom.observe.ingest import Expected, IngestReport, ingest
from opsroom.observe.returning import Held, held
from opsroom.observe.store import Store
from opsroom.protect.audit import AuditLog
from opsroom.protect.budget import Budgets
from opsroom.protect.ledger import Ledger
from opsroom.protect.reader import Releases
from opsroom.protect.users import Users
from opsroom.room import deciding, warning  # noqa: F401 - declare tables before the room's database is opened
from opsroom.room.auditing import before_publishing, write_heads
from opsroom.room.calendar import last_publication_day
from opsroom.room.desk import AHEAD, BEGUN, LOOKED_AT, DeskOutcome, View, begun, desk
from opsroom.room.guard import Guard
from opsroom.room.lineage import note_origins
from opsroom.room.opening import plain_settings
from opsroom.room.picture import Picture
from opsroom.room.providers import reading_right, record_providers
from opsroom.room.public import write_public
from opsroom.room.publishing import alone, is_wanted, or_closed, publish_outcome, release_result
from opsroom.room.upkeep import finish_erasures, update_dataset

if TYPE_CHECKING:
    import ibis
    import pandas as pd

    from opsroom.evaluate.decisions import Decision
    from opsroom.protect.release import Release
    from opsroom.room.derivedquery import Question

AsOf = dt.date | dt.datetime | str | None
Prepared = Callable[[DeskSettings], DeskOutcome | Mapping[str, Any]]


class Room:
    """An operations room in a folder.

    Use `Room.create` or `Room.open`. A room is also a context manager.

    Parameters
    ----------
    path
        The room's folder.
    actor
        Who acts: written into the audit log with every act. A registered user has the rights of the role, any other
        name is the local operator and has all (see `opsroom.room.guard`).
    engine
        Where `Room.table` lives: ``"duckdb"`` or ``"spark"``; the setting of ``room.toml`` where absent.
    threads
        Threads of the store's own query engine; as many as there are cores where absent.
    """

    def __init__(self, path: str | Path, *, actor: str, engine: str | None = None, threads: int | None = None) -> None:
        if not actor.strip():
            raise UsageError("a room is opened by an actor.", remedy="Give actor='name'.", code="OPS-U010")
        self.path = Path(path).absolute()
        self.actor = actor
        self.settings = RoomSettings.load(self.path / "room.toml")
        made = make_engine(engine or self.settings.engine, self.settings.spark)
        self.state = State.open(self.path / "room.db")
        self.state.ensure()  # readers of releases find a database from the first moment on
        self.zone = ZoneInfo(self.settings.timezone)
        self.store = Store(
            self.path,
            load_specs(self.path / "datasets"),
            self.state,
            timezone=self.settings.timezone,
            code_lists={"regions": [region.code for region in self.settings.regions]},
            threads=threads,
            engine=made,
        )
        self.providers = read_providers(self.path / PROVIDERS)
        record_providers(self.state, self.providers, actor=actor, at=self.store.clock())
        self.store.reading_right = reading_right(self.store, self.providers)
        self.ledger = Ledger(self.state)
        self.audit = AuditLog(self.state)
        self.users = Users(self.state, self.audit, clock=lambda: self.store.clock())
        self.budgets = Budgets(self.state, self.audit, clock=lambda: self.store.clock())
        self.guard = Guard(actor, self.users, self.audit, clock=lambda: self.store.clock())
        self.memory: dict[str, Any] = {}
        self._idle = Idle()
        self.notes: dict[str, str] = {}
        """Desk → why it had nothing to say, on the day published last."""
        self._reader: Releases | None = None
        finish_erasures(self)
        write_public(self.path, self.settings, self.store)

    # -- life ---------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        path: str | Path,
        *,
        settings: str | None = None,
        specs: Iterable[str] = (),
        demo: bool = False,
        actor: str = "steward",
    ) -> Room:
        """Make a room in an empty or new folder and open it.

        Parameters
        ----------
        path
            Folder of the new room.
        settings
            Text of ``room.toml``; a plain one with the folder's name as title where absent.
        specs
            Texts of dataset specifications (TOML).
        demo
            Take settings, datasets and data of the synthetic economy Meridia, and publish its history.
        actor
            Who acts.

        Raises
        ------
        UsageError
            If the folder is a room already.
        """
        folder = Path(path)
        if (folder / "room.toml").exists():
            raise UsageError(
                "the folder is a room already.", remedy="Open it, or name another folder.", code="OPS-U011"
            )
        if demo:
            from opsroom.room.demo import build_meridia

            return build_meridia(folder, actor=actor).room
        RoomSettings.parse(text := settings if settings is not None else plain_settings(folder.name))
        parsed = [DatasetSpec.from_toml(spec) for spec in specs]
        (folder / "datasets").mkdir(parents=True, exist_ok=True)
        for spec in parsed:
            (folder / "datasets" / f"{spec.name}.toml").write_text(spec.to_toml(), encoding="utf-8")
        (folder / "room.toml").write_text(text, encoding="utf-8")
        return cls(folder, actor=actor)

    @classmethod
    def open(
        cls, path: str | Path, *, engine: str | None = None, actor: str = "steward", threads: int | None = None
    ) -> Room:
        """Open a room.

        Parameters
        ----------
        path
            The room's folder.
        engine
            ``"duckdb"`` or ``"spark"``: where `Room.table` lives; the setting of ``room.toml`` where absent.
        actor
            Who acts.
        threads
            Threads of the store's own query engine; as many as there are cores where absent.

        Raises
        ------
        SettingsError
            If the folder is no room, or the engine is not available; says what to install.
        """
        return cls(path, actor=actor, engine=engine, threads=threads)

    def close(self) -> None:
        """Close the room's database."""
        self.store.close()
        self.state.close()
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def __enter__(self) -> Room:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- observe ------------------------------------------------------------------------------

    def add_dataset(self, spec: str | Path | DatasetSpec) -> DatasetSpec:
        """Register a dataset by its specification.

        Raises
        ------
        SpecError
            If the specification is invalid or describes what may not be observed.
        UsageError
            If a dataset of that name is registered already with another specification.
        """
        self.guard.require("manage_datasets")
        parsed = spec if isinstance(spec, DatasetSpec) else DatasetSpec.from_toml(spec)
        file = self.path / "datasets" / f"{parsed.name}.toml"
        if file.exists() and DatasetSpec.from_toml(file) != parsed:
            raise UsageError(
                f"dataset {parsed.name!r} is registered with another specification.",
                remedy="Give the new one another name.",
                code="OPS-U012",
            )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(parsed.to_toml(), encoding="utf-8")
        self.store.add(parsed)
        write_public(self.path, self.settings, self.store)
        self.audit.append(self.actor, "add dataset", parsed.name, at=self.store.clock())
        return parsed

    def update_dataset(self, spec: str | Path | DatasetSpec) -> tuple[str, ...]:
        """Register the next version of a dataset's specification; see `opsroom.room.upkeep.update_dataset`."""
        return update_dataset(self, spec)

    def ingest(
        self,
        dataset: str,
        source: Any,  # a path, paths, Arrow table or reader, pandas frame: `ingest` checks
        known_at: dt.datetime | dt.date | str | None = None,
        *,
        reason: str | None = None,
        deletions: bool = False,
        expect_rows: int | None = None,
        expect_sums: Mapping[str, object] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> IngestReport:
        """Check a delivery and commit it to the store.

        Parameters
        ----------
        dataset
            Name of a registered dataset.
        source
            Path(s) of CSV or Parquet, an Arrow table or record-batch reader, or a pandas frame.
        known_at
            When the room learnt it; a date means its end of day. Where absent: the time column that the
            dataset declares, or else now.
        reason
            Why `known_at` lies before the dataset's last delivery, where it does.
        deletions
            The rows name keys to delete (tombstones).
        expect_rows, expect_sums
            The provider's control totals: number of rows, and sums by field in the unit of the source. A delivery
            that differs from them is refused.
        progress
            Called with the number of rows read so far.

        Returns
        -------
        IngestReport
            Rows accepted, quarantined (with reasons), duplicate; the version committed; the quality report.

        Raises
        ------
        DataError
            If the delivery cannot be read at all.
        AccessError
            If the agreement with the provider ended.
        """
        self.guard.require("ingest")
        agreement = self.providers.get(self.store.spec(dataset).provider)
        if agreement is not None:
            agreement.require_readable(dataset, self.store.clock().astimezone(self.zone).date(), None)
        report = ingest(
            self.store,
            self.store.spec(dataset),
            source,
            known_at=None if known_at is None else self.moment(known_at),
            actor=self.actor,
            reason=reason,
            deletions=deletions,
            expected=Expected.parse(self.store.spec(dataset), expect_rows, expect_sums or {}),
            progress=progress,
        )
        self.audit.append(self.actor, "ingest", f"{dataset}/{report.delivery}", at=self.store.clock())
        return report

    def quarantined(self, dataset: str) -> list[Held]:
        """Return how many rows each delivery of a dataset left in quarantine, why, and how many came back."""
        self.guard.require("quarantine")
        return held(self.store, dataset)

    def moment(self, as_of: AsOf) -> dt.datetime:
        """Return an as-of as a UTC instant: a date is its end of day; None the largest committed `known_at`."""
        if as_of is None:
            return self.store.latest_known_at()
        if isinstance(as_of, str):
            try:
                as_of = dt.datetime.fromisoformat(as_of) if len(as_of) > 10 else dt.date.fromisoformat(as_of)
            except ValueError:
                raise UsageError(
                    "as-of is neither a date nor a time.", remedy="Write 2020-03-04.", code="OPS-U013"
                ) from None
        if isinstance(as_of, dt.datetime):
            if as_of.tzinfo is None:
                as_of = as_of.replace(tzinfo=self.zone)
            return as_of.astimezone(dt.UTC)
        return end_of_day(as_of, self.settings.timezone)

    def table(self, dataset: str, as_of: AsOf = None) -> ibis.Table:
        """Return a dataset as it was known at `as_of`, for trusted code inside the enclave: the rows in scope."""
        return self.guard.admit(self.store.table(dataset, self.moment(as_of)), self.store.spec(dataset), "view")

    def scan(self, dataset: str, as_of: AsOf = None) -> ibis.Table:
        """Return the rows of a dataset that a question of the actor may rest on, for the compiler of questions."""
        return self.guard.admit(self.store.table(dataset, self.moment(as_of)), self.store.spec(dataset), "scan")

    def series(self, key: str, as_of: AsOf = None) -> pd.Series[float]:
        """Return one public series as it was known at `as_of`.

        Parameters
        ----------
        key
            ``"dataset"`` where the dataset holds one series, else ``"dataset/name"``.
        as_of
            Knowledge time.

        Returns
        -------
        pandas.Series
            Float values on a `PeriodIndex`.
        """
        from opsroom.room.series import read_series

        return read_series(self.store, key, self.moment(as_of))

    # -- the loop -----------------------------------------------------------------------------

    def picture(self, as_of: AsOf = None) -> Picture:
        """Run every desk as of a day. The picture is confidential."""
        self.guard.require("view", whole=True)
        moment = self.moment(as_of)
        day = moment.astimezone(self.zone).date()
        found: dict[str, DeskOutcome] = {}
        for setting in self.settings.desks:
            found[setting.name] = self.run_desk(setting, moment, day, found)
        return Picture(moment, day, found)

    def prepare(
        self, as_of: dt.date, kinds: Iterable[str] = AHEAD
    ) -> Iterator[tuple[str, DeskOutcome | Mapping[str, Any]]]:
        """Run what rests on the store alone ahead of a publication, day after day in order, of some kinds of desk.

        Yields
        ------
        tuple of str and DeskOutcome or mapping
            Name of the desk and, for `publish`, its outcome without the method's own result, or what the room's
            memory needs to hold for its run to be short; confidential.
        """
        self.guard.require("publish")
        moment, day = self.moment(as_of), self.publication_day(as_of)
        for setting in self.settings.desks:
            if setting.kind not in kinds or not is_wanted(setting, day, self.settings):
                continue
            made: DeskOutcome | Mapping[str, Any]
            if setting.kind in BEGUN:
                made = begun(setting.kind).begin(self._view(moment, day, {}, ahead=True), setting)
            else:
                made = replace(self.run_desk(setting, moment, day, {}, ahead=True), result=None)
            self._idle.give_back()
            yield setting.name, made

    def _view(
        self, moment: dt.datetime, day: dt.date, upstream: Mapping[str, DeskOutcome], *, ahead: bool = False
    ) -> View:
        self.guard.require("scan", whole=True)
        return View(
            self.store, self.settings, self.releases(),
            as_of=moment, day=day, upstream=upstream, memory=self.memory, ahead=ahead,
        )  # fmt: skip

    def run_desk(
        self,
        setting: DeskSettings,
        moment: dt.datetime,
        day: dt.date,
        upstream: Mapping[str, DeskOutcome],
        *,
        ahead: bool = False,
    ) -> DeskOutcome:
        """Run one desk on what the room knew at a moment. The outcome is confidential.

        Parameters
        ----------
        setting
            The desk.
        moment, day
            Knowledge time, and its day in the room's zone.
        upstream
            Outcomes of the desks before it, by name.
        ahead
            Whether it runs before earlier days are published.
        """
        view = self._view(moment, day, upstream, ahead=ahead)
        return desk(setting.kind).run(view, setting).stamped(view)

    def publish(self, as_of: AsOf = None, *, prepared: Prepared | None = None) -> list[Release]:
        """Compute, judge and issue the releases due on a publication day.

        Parameters
        ----------
        as_of
            A publication day. Where absent, the last one not after the largest `known_at`.
        prepared
            Gives what was made of a desk for the day before (see `prepare`); empty where nothing was.

        Returns
        -------
        list of Release
            What is out for that day, in the order issued. Publishing a day twice issues nothing new.

        Raises
        ------
        UsageError
            If the day is not in the calendar, or an earlier day than the last one published.
        """
        self.guard.require("publish")
        day = self.publication_day(as_of)
        with alone(self.path):
            return self._publish(day, prepared)

    def _publish(self, day: dt.date, prepared: Prepared | None) -> list[Release]:
        done = {release.name: release for release in self.releases().of_day(day)}
        if done and self._is_closed(day):
            return list(done.values())
        self._check_order(day)
        before_publishing(self)
        moment = self.moment(day)
        self.notes.clear()
        found: dict[str, DeskOutcome] = {}
        issued: list[Release] = []
        refused: list[str] = []
        for setting in self.settings.desks:
            if not is_wanted(setting, day, self.settings):
                continue
            if setting.kind == "decisions":
                self._review(day)
            outcome = {} if prepared is None else prepared(setting)
            if not isinstance(outcome, DeskOutcome):
                self.memory.update(outcome)
                outcome = or_closed(self.run_desk, setting, moment, day, found)
                self._idle.give_back()
            if setting.kind in LOOKED_AT:
                found[setting.name] = replace(outcome, cells=())
            if outcome.note:
                self.notes[setting.name] = outcome.note
            # a process killed while publishing left the first releases of the day: they stand, the rest follows
            left = replace(outcome, cells=tuple(c for c in outcome.cells if c.name not in done))
            new = publish_outcome(
                left, setting, self.settings, self.ledger, as_of=moment, day=day, refused=refused.append
            )
            note_origins(self.state, new, setting, outcome.behind)
            issued += new
            del outcome, left  # companies' part in it: the next desk needs the room
        acts = [*(("release", one.id) for one in (*done.values(), *issued)), *(("refusal", one) for one in refused)]
        self.audit.append_all(self.actor, [*acts, ("publish", day.isoformat())], at=moment)
        write_heads(self)
        return [*done.values(), *issued]

    def release(self, result: object, purpose: str = "") -> Release:
        """Pass one result through the gate and issue it.

        Raises
        ------
        DisclosureError
            If the gate refuses; names the rule and a public remedy.
        """
        self.guard.require("publish")
        moment = self.moment(None)
        day = moment.astimezone(self.zone).date()
        try:
            issued = release_result(result, self.settings, self.ledger, as_of=moment, day=day)
        except DisclosureError:
            self.audit.append(self.actor, "refusal", purpose or "a result", at=moment)
            raise
        self.audit.append(self.actor, "release", purpose or issued.name, at=moment)
        return issued

    def ask(self, query: Question) -> Release:
        """Answer a question for a table or a derived number by a release, or refuse it: `opsroom.room.tables.ask`."""
        from opsroom.room.tables import ask

        return ask(self, query)

    def releases(self) -> Releases:
        """Return the read-only reader that faces are given."""
        if self._reader is None:
            self._reader = Releases(self.path)
        return self._reader

    def brief(self, as_of: AsOf = None) -> Any:  # the briefing's class lives above the room
        """Return the briefing of a day, made of stored releases.

        The renderer is a face and so stands above the room; it is found by its entry point
        (group ``opsroom.faces``, name ``briefing``).
        """
        releases = self.releases()
        days = releases.days()
        if as_of is None:
            if not days:
                raise NotFoundError("nothing is published yet.", remedy="Run `opsroom publish`.", code="OPS-N005")
            day = days[-1]
        else:
            day = self.moment(as_of).astimezone(self.zone).date()
        (point,) = entry_points(group="opsroom.faces", name="briefing")
        return point.load()(releases, day)

    def decide(
        self,
        option: str,
        *,
        decider: str,
        legal_basis: str,
        review_date: dt.date,
        as_of: AsOf = None,
        question: str = "",
        dissent: str = "",
    ) -> Decision:
        """Record a decision with its forecast, so that later days can score it.

        Parameters
        ----------
        option
            One of the options of the last published relief release, ``"none"`` included.
        decider
            A named human.
        legal_basis, review_date
            What entitles to decide, and when the decision is looked at again.

        Raises
        ------
        UsageError
            If decider, legal basis or a later review date is missing, or the option was not laid before.
        """
        self.guard.require("decide")
        moment = self.moment(as_of)
        decision = deciding.decide(
            self.releases(),
            self.state,
            option=option,
            decider=decider,
            legal_basis=legal_basis,
            review_date=review_date,
            day=moment.astimezone(self.zone).date(),
            question=question,
            dissent=dissent,
        )
        self.audit.append(self.actor, "decide", decision.id, at=moment)
        return decision

    # -- inside -------------------------------------------------------------------------------

    def publication_day(self, as_of: AsOf = None) -> dt.date:
        """Return the publication day that an as-of means: itself, or the last one where absent.

        Raises
        ------
        UsageError
            The day is not in the calendar.
        """
        day = self.moment(as_of).astimezone(self.zone).date()
        last = last_publication_day(day, self.settings.publish)
        if last is None or (as_of is not None and last != day):
            hint = f"The last publication day before it is {last.isoformat()}." if last else ""
            raise UsageError(f"{day.isoformat()} is not a publication day of this room.", remedy=hint, code="OPS-U014")
        return last

    def _review(self, day: dt.date) -> None:
        for decision in deciding.review(self.releases(), self.state, day):
            self.audit.append(self.actor, "score", decision.id, at=self.moment(day))

    def _is_closed(self, day: dt.date) -> bool:
        return self.audit.has("publish", day.isoformat())

    def _check_order(self, day: dt.date) -> None:
        days = self.releases().days()
        if days and day < days[-1]:
            raise UsageError(
                f"a later day ({days[-1].isoformat()}) is published already; releases are issued in order.",
                remedy="Publish a later day.",
                code="OPS-U015",
            )


def load_specs(folder: Path) -> dict[str, DatasetSpec]:
    """Read every dataset specification of a room."""
    specs = [DatasetSpec.from_toml(file) for file in sorted(folder.glob("*.toml"))]
    return {spec.name: spec for spec in specs}
