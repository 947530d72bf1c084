"""An index of activity in the nowcast: as the desk has it, as known on each rehearsed day, with where it comes from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from opsroom.base.errors import SettingsError
from opsroom.base.settings import DeskSettings
from opsroom.economy import meridia
from opsroom.economy.delivery import Delivery
from opsroom.economy.dispatch import Dispatch
from opsroom.economy.official import PERIODS
from opsroom.room import Room
from opsroom.room.desk import View
from opsroom.room.desks.nowcast import Inputs, indices_of, read_vintages

DATASETS = {"macro_m", "macro_q", "load_d"}
DAY, LATER = dt.date(2020, 1, 22), dt.date(2020, 2, 5)


@pytest.fixture(scope="module")
def coming() -> list[Delivery]:
    """Deliveries of the country's series and of its load, in order."""
    dispatch = Dispatch(meridia(100, seed=2).workshop)
    streams = [*(dispatch._official(name) for name in PERIODS), dispatch._load()]
    parts = [[d for d in part if d.dataset in DATASETS] for part in streams]
    return sorted((d for part in parts for d in part), key=lambda d: d.known_at)


@pytest.fixture(scope="module")
def room(coming: list[Delivery], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    world = meridia(100, seed=2)
    folder = tmp_path_factory.mktemp("country") / "room"
    with Room.create(folder, settings=world.room_settings(), specs=world.specs().values(), actor="test") as room:
        deliver(room, coming, dt.date.min, DAY)
        yield room


def deliver(room: Room, coming: list[Delivery], after: dt.date, until: dt.date) -> None:
    for delivery in coming:
        if after < delivery.known_at.date() <= until:
            room.ingest(delivery.dataset, delivery.source, delivery.known_at)


def desk(room: Room, kind: str, **options: Any) -> DeskSettings:
    (found,) = (s for s in room.settings.desks if s.kind == kind)
    return replace(found, options={**found.options, **options})


def inputs_of(room: Room, day: dt.date) -> Inputs:
    setting = desk(room, "nowcast")
    view = View(
        room.store, room.settings, room.releases(), as_of=room.moment(day), day=day, upstream={}, memory=room.memory
    )
    return Inputs(view, read_vintages(view, ["macro_m"], ["exports"]), indices_of(view, setting, set()))


def index_in(inputs: Inputs, room: Room, day: dt.date) -> pd.Series:
    found = inputs.at(day, room.moment(day))
    return found[found["series"] == "activity_business"].set_index("period")["value"]


def test_the_index_is_the_desks_and_is_known_as_on_each_day(room: Room, coming: list[Delivery]) -> None:
    inputs = inputs_of(room, DAY)
    assert index_in(inputs, room, dt.date(2018, 12, 31)).empty  # its normal days are not over
    assert set(inputs.at(dt.date(2018, 12, 31), room.moment(dt.date(2018, 12, 31)))["series"]) == {"exports"}
    before = {}
    for day in (dt.date(2019, 1, 9), dt.date(2019, 7, 1), DAY):
        found = index_in(inputs, room, day)
        (cells,) = room.run_desk(desk(room, "activity"), room.moment(day), day, {}).cells
        shown = cells.frame[cells.frame["series"] == "business"].set_index("date")["gap"]
        shown.index = pd.to_datetime(shown.index + "-1", format="%G-W%V-%u")
        pd.testing.assert_series_equal(found.loc[shown.index], shown.round(1), check_names=False)
        before[day] = found
    last = [found.index.max().date() for found in before.values()]
    assert last == [dt.date(2018, 12, 31), dt.date(2019, 6, 17), dt.date(2020, 1, 13)]
    assert len(room.memory["activity.learnt.electricity"]) == 1  # learnt once, for all these days
    deliver(room, coming, DAY, LATER)
    after = inputs_of(room, LATER)
    for day, known in before.items():
        pd.testing.assert_series_equal(index_in(after, room, day), known)
    assert index_in(after, room, LATER).iloc[-1] < -10


@pytest.mark.long
def test_the_nowcast_reads_it_from_the_day_on_which_it_can_be_made(room: Room) -> None:
    setting = desk(room, "nowcast", backtest_from="2018-Q4", step_days=150)
    outcome = room.run_desk(setting, room.moment(DAY), DAY, {})
    assert "activity_business" in outcome.result.workings.panel.names
    assert outcome.result.titles["activity_business"] == "Activity by electricity, business"
    assert {"load_d", "macro_m", "macro_q"} == set(outcome.provenance)
    assert outcome.public
    due = [r for r in outcome.result.calendar if r.series == "activity_business"]
    assert [r.date for r in due] == [dt.date(2020, 1, 28)]  # the week from the 20th, known on the Tuesday after it
    learnt = room.memory["nowcast.rehearsal.nowcast"].models
    reads = {day: "activity_business" in known.grid.names for day, known in learnt.items()}
    assert reads == {day: day > dt.date(2018, 12, 31) for day in reads}
    assert len(set(reads.values())) == 2


def test_a_series_that_the_index_has_not_is_told(room: Room) -> None:
    table = {"desk": "electricity", "series": "industry", "name": "use"}
    with pytest.raises(SettingsError, match="no series 'industry'"):
        room.run_desk(desk(room, "nowcast", activity=[table], backtest_from=None), room.moment(DAY), DAY, {})
    with pytest.raises(SettingsError, match="headline = 'bridge'"):
        room.run_desk(desk(room, "nowcast", headline="bridge"), room.moment(DAY), DAY, {})
    blind = replace(desk(room, "activity"), options={"dataset": "load_d", "value": "mwh"})
    settings = replace(room.settings, desks=(blind,))
    view = View(room.store, settings, room.releases(), as_of=room.moment(DAY), day=DAY, upstream={}, memory={})
    with pytest.raises(SettingsError, match="no fixed normal spans"):
        indices_of(view, desk(room, "nowcast"), set())
