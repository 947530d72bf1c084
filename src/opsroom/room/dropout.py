"""The drop-out test: what the room would publish without one provider.

A day is published once more in a copy of the room's state, by the same desks, calendar and gate, with the provider's
datasets absent. The room itself is not written to, and the copy is thrown away. Both sides of a difference have
passed the gate; the report stays inside all the same, since nobody has judged the two together.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from opsroom.base.errors import NotFoundError, OpsroomError, UsageError
from opsroom.protect.ledger import JUDGEMENTS, REFUSED
from opsroom.protect.reader import LEDGER, REFUSALS
from opsroom.room.desk import DeskOutcome
from opsroom.room.desks.shockpath import FOLDER
from opsroom.room.lineage import desks_of
from opsroom.room.providers import datasets_of
from opsroom.room.publishing import is_wanted, publish_outcome

if TYPE_CHECKING:
    from opsroom.protect.release import Release
    from opsroom.room.room import AsOf, Room

Fate = Literal["lost", "degraded", "unchanged", "new"]


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one release series without the provider.

    Attributes
    ----------
    series
        Name of the series.
    fate
        ``lost``: not published; ``degraded``: other numbers, or fewer; ``unchanged``; ``new``: published only then.
    why
        Of a lost series: the rule or error, without values.
    rows, rows_without
        Rows published with and without the provider.
    changed, hidden
        Numbers published both ways that differ; numbers published only with the provider.
    largest
        Largest absolute difference by measure, in its unit.
    """

    series: str
    fate: Fate
    why: str = ""
    rows: int = 0
    rows_without: int = 0
    changed: int = 0
    hidden: int = 0
    largest: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropout:
    """What the room loses without a provider, on a day.

    Attributes
    ----------
    provider, day, datasets
        Whose datasets are taken away, and on which publication day.
    desks
        Desks at work on that day that fail or have nothing to publish without them, with the reason.
    effects
        Effect by series.
    """

    provider: str
    day: dt.date
    datasets: tuple[str, ...]
    desks: dict[str, str]
    effects: tuple[Effect, ...]

    def of(self, fate: Fate) -> list[Effect]:
        """Return the effects of one kind."""
        return [e for e in self.effects if e.fate == fate]


def dropout(room: Room, provider: str, as_of: AsOf = None) -> Dropout:
    """Publish a day without a provider's datasets, in a copy, and compare with what is or would be published.

    Parameters
    ----------
    room
        The room; it is only read.
    provider
        Name of the provider, as the specifications give it.
    as_of
        A publication day; the last one that was published where absent.

    Raises
    ------
    NotFoundError
        The provider has no dataset in the room.
    UsageError
        The day is not a publication day, or the room's database is not a file.
    """
    room.guard.require("scan", whole=True)
    gone = datasets_of(room.store, provider) if provider else []
    if not gone:
        raise NotFoundError(
            f"provider {provider!r} has no dataset in the room.",
            remedy="List them with `opsroom provider list`.",
            code="OPS-N033",
        )
    published = room.releases().days()
    day = published[-1] if as_of is None and published else room.publication_day(as_of)
    with_it = {release.name: release for release in room.releases().of_day(day)}
    at_work = desks_of(room.state, with_it.values())
    if not with_it:
        with_it, usual = _publish(room, day, ())
        at_work = {setting.name for setting in room.settings.desks} - set(usual.desks)
    without, failed = _publish(room, day, gone)
    fallen = {desk: why for desk, why in failed.desks.items() if desk in at_work}
    names = sorted(set(with_it) | set(without))
    effects = tuple(_compare(name, with_it.get(name), without.get(name), failed) for name in names)
    return Dropout(provider, day, tuple(gone), fallen, effects)


@dataclass(slots=True)
class _Failed:
    """Why desks and series fail."""

    desks: dict[str, str] = field(default_factory=dict)
    series: dict[str, str] = field(default_factory=dict)


def _publish(room: Room, day: dt.date, without: tuple[str, ...] | list[str]) -> tuple[dict[str, Release], _Failed]:
    """Publish a day in a copy of the room, desk by desk; a desk that fails takes no other with it."""
    failed = _Failed()
    issued: dict[str, Release] = {}
    with _copy(room, day, without) as twin:
        moment = twin.moment(day)
        found: dict[str, DeskOutcome] = {}
        for setting in twin.settings.desks:
            if not is_wanted(setting, day, twin.settings):
                continue
            try:
                outcome = twin.run_desk(setting, moment, day, found)
            except (OpsroomError, LookupError) as error:
                told = f"{error.code}: {error.message}" if isinstance(error, OpsroomError) else "it lacks another desk"
                failed.desks[setting.name] = told
                continue
            found[setting.name] = outcome
            if not outcome.cells:
                failed.desks[setting.name] = outcome.note or "nothing to publish"
            for one in publish_outcome(outcome, setting, twin.settings, twin.ledger, as_of=moment, day=day):
                issued[one.name] = one
        for refusal in twin.releases().refusals(day):
            failed.series[refusal.name] = refusal.rule
    return issued, failed


@contextlib.contextmanager
def _copy(room: Room, day: dt.date, without: tuple[str, ...] | list[str]) -> Iterator[Room]:
    """Open a copy of the room: its settings and state before the day, its lake by a link, some datasets absent."""
    from opsroom.room.room import Room as Opened

    source = room.path / "room.db"
    if not source.is_file():
        raise UsageError("the room's database is not a file; it cannot be copied.", code="OPS-U036")
    with tempfile.TemporaryDirectory(prefix="opsroom-dropout-") as folder:
        path = Path(folder)
        shutil.copy(room.path / "room.toml", path)
        (path / "datasets").mkdir()
        for file in sorted((room.path / "datasets").glob("*.toml")):
            if file.stem not in without:
                shutil.copy(file, path / "datasets")
        if (room.path / FOLDER).is_dir():
            shutil.copytree(room.path / FOLDER, path / FOLDER)
        (path / "lake").symlink_to(room.path / "lake", target_is_directory=True)
        with (
            contextlib.closing(sqlite3.connect(source)) as one,
            contextlib.closing(sqlite3.connect(path / "room.db")) as two,
        ):
            one.backup(two)
        with Opened(path, actor=room.actor) as twin:
            twin.store.clock = room.store.clock
            twin.store.reading_right = room.store.reading_right
            _forget_from(twin, day)
            yield twin


def _forget_from(twin: Room, day: dt.date) -> None:
    """Take out of a copy what was published on a day and after it."""
    since = day.isoformat()
    with twin.state.begin() as connection:
        later = sa.select(LEDGER.c.seq).where(LEDGER.c.day >= since)
        connection.execute(JUDGEMENTS.delete().where(JUDGEMENTS.c.seq.in_(later)))
        connection.execute(LEDGER.delete().where(LEDGER.c.day >= since))
        connection.execute(REFUSALS.delete().where(REFUSALS.c.day >= since))
        connection.execute(REFUSED.delete().where(REFUSED.c.day >= since))


def _compare(name: str, one: Release | None, other: Release | None, failed: _Failed) -> Effect:
    if one is None:
        return Effect(name, "new", rows_without=0 if other is None else len(other.rows))
    if other is None:
        why = failed.series.get(name, "")
        return Effect(name, "lost", why or "nothing to publish", rows=len(one.rows))
    left, right = _numbers(one), _numbers(other)
    hidden = [key for key in left if key not in right]
    changed: dict[str, list[float]] = {}
    for key, value in left.items():
        if key in right and right[key] != value:
            changed.setdefault(key[1], []).append(abs(right[key] - value))
    count = sum(len(c) for c in changed.values())
    fate: Fate = "degraded" if count or hidden or len(left) != len(right) else "unchanged"
    largest = {measure: max(values) for measure, values in changed.items()}
    return Effect(name, fate, "", len(one.rows), len(other.rows), count, len(hidden), largest)


def _numbers(release: Release) -> dict[tuple[tuple[Any, ...], str], float]:
    """Return the published numbers of a release by cell and column."""
    width = len(release.dimensions)
    return {
        (tuple(row[:width]), column): float(value)
        for row in release.rows
        for column, value in zip(release.columns[width:], row[width:], strict=True)
        if isinstance(value, int | float) and not isinstance(value, bool)
    }
