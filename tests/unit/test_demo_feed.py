"""The demo's feed: errors cross the process, and what comes later changes no origin of an earlier figure."""

import datetime as dt
import pickle
import shutil

import pytest

from opsroom.base.errors import DataError, SettingsError
from opsroom.room import Room
from opsroom.room.desk import AHEAD, DeskOutcome
from opsroom.room.desks.resumption import LEAD
from opsroom.room.feed import COUNTRY, Feeder, tell, told


def test_an_error_is_the_same_on_the_other_side():
    before = DataError("dataset 'x', row 3: rule", remedy="Mend it.", code="OPS-D012")
    after = told(tell(before))
    assert type(after) is DataError
    assert (after.message, after.remedy, after.code) == (before.message, before.remedy, before.code)


def test_a_feed_that_cannot_begin_says_why(tmp_path):
    feeder = Feeder(tmp_path / "none", companies=100, seed=0, until=dt.date(2020, 1, 22), actor="test")
    try:
        with pytest.raises(SettingsError):
            feeder.wait(dt.datetime(2020, 1, 22, tzinfo=dt.UTC))
    finally:
        feeder.stop()


def test_the_origin_of_a_figure_is_what_was_known_not_what_came_since(built_room):
    day = dt.date(2020, 2, 5)
    with Room.open(built_room, actor="test") as room:
        stored = room.releases().of_day(day)
        moment = room.moment(day)
        compared = 0
        for release in stored:
            for dataset, version in release.provenance.items():
                assert version == room.store.version(dataset, moment)
                compared += version < room.store.version(dataset)
        assert compared  # some datasets have had deliveries since
        assert room.store.version("meters", dt.date(2010, 1, 1)) == -1
        assert room.store.version("meters", None) == room.store.version("meters", room.moment(None))


def test_an_old_version_holds_all_that_was_known(built_room):
    moment = dt.datetime(2020, 2, 5, 12, tzinfo=dt.UTC)
    with Room.open(built_room, actor="test") as room:
        for dataset in ("meters", "register", "macro_m"):
            version = room.store.version(dataset, moment)
            pinned = room.store.pinned({dataset: version})
            assert pinned.arrow(dataset, moment).num_rows == room.store.arrow(dataset, moment).num_rows
            before = room.store.pinned({dataset: version - 1})
            rows = before.vintages(dataset, moment).num_rows
            assert rows < room.store.vintages(dataset, moment).num_rows, "the version named is the smallest that does"


def test_what_is_made_ahead_says_what_desks_say_in_turn(built_room, tmp_path):
    first, day = dt.date(2020, 1, 22), dt.date(2020, 2, 5)
    copy = tmp_path / "meridia"
    shutil.copytree(built_room, copy)
    with (
        Room.open(copy, actor="test") as learner,
        Room.open(copy, actor="test") as ahead,
        Room.open(copy, actor="test") as publisher,
        Room.open(built_room, actor="test") as in_turn,
    ):
        # As the demo does: the first day's desks on public series beside the feed, which goes on from what they learnt.
        assert {"nowcast", "electricity"} == set(dict(learner.prepare(first, COUNTRY)))
        made = dict(ahead.prepare(first, AHEAD - COUNTRY))
        assert not {"nowcast", "electricity"} & set(made)
        ahead.memory.update(pickle.loads(pickle.dumps(learner.memory)))
        for earlier in (dt.date(2020, 1, 29), day):
            made = pickle.loads(pickle.dumps(dict(ahead.prepare(earlier))))
        known = in_turn.picture(day)
        outcomes = {name: one for name, one in made.items() if isinstance(one, DeskOutcome)}
        assert {"nowcast", "electricity", "loans", "flows", "bottlenecks", "contagion"} == set(outcomes)
        assert all(outcome.result is None for outcome in outcomes.values())
        # Of the others what their runs begin with: begun so, they must not begin again, and say the same.
        begun = {name: one for name, one in made.items() if name not in outcomes}
        assert {"resumption", "relief"} == set(begun)
        upstream: dict[str, DeskOutcome] = {}
        for setting in publisher.settings.desks:
            if setting.name in begun:
                assert begun[setting.name]
                publisher.memory.update(begun[setting.name])
                upstream[setting.name] = publisher.run_desk(setting, publisher.moment(day), day, upstream)
                for place, thing in begun[setting.name].items():
                    assert publisher.memory[place] is thing
        for name, outcome in (outcomes | upstream).items():
            assert outcome.provenance == known.desks[name].provenance
            for here, there in zip(outcome.cells, known.desks[name].cells, strict=True):
                assert here.name == there.name
                assert repr(here.frame.to_dict("list")) == repr(there.frame.to_dict("list"))


def test_between_two_fits_nothing_is_begun_of_resumption(built_room):
    with Room.open(built_room, actor="test") as room:
        made = dict(room.prepare(dt.date(2020, 1, 29), {"resumption"}))
        assert made == {"resumption": {}}
        room.memory.clear()
        day = dt.date(2020, 3, 4)
        made = dict(room.prepare(day, {"resumption"}))
        (baseline,) = made["resumption"]["resumption.baselines"].values()
        assert baseline.regressions is None  # the last fit: none goes on from it


def test_after_the_last_fit_the_time_before_is_let_go(built_room):
    def start(room):
        return dt.date.fromordinal(room.memory["resumption.meters"].days.start + dt.date(1970, 1, 1).toordinal())

    with Room.open(built_room, actor="test") as room:
        desk = next(one for one in room.settings.desks if one.kind == "resumption")
        cohort = room.settings.facts["cohort"]["day"]
        for day, before in ((dt.date(2020, 2, 5), 380), (dt.date(2020, 3, 4), LEAD)):
            room.run_desk(desk, room.moment(day), day, {})
            assert start(room) == cohort - dt.timedelta(days=before)
