"""The demo's feed: errors cross the process, and what comes later changes no origin of an earlier figure."""

import datetime as dt
import shutil

import pytest

from opsroom.base.errors import DataError, SettingsError
from opsroom.room import Room
from opsroom.room.feed import Feeder, tell, told


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


def test_desks_run_ahead_say_what_they_say_in_turn(built_room, tmp_path):
    day = dt.date(2020, 2, 5)
    copy = tmp_path / "meridia"
    shutil.copytree(built_room, copy)
    with Room.open(copy, actor="test") as ahead, Room.open(built_room, actor="test") as in_turn:
        # Day after day, as the feed does; nothing of it is read from releases.
        for earlier in (dt.date(2020, 1, 22), dt.date(2020, 1, 29)):
            assert dict(ahead.prepare(earlier))
        found, known = dict(ahead.prepare(day)), in_turn.picture(day)
        assert "nowcast" in found
        for name, outcome in found.items():
            assert outcome.result is None
            assert outcome.provenance == known.desks[name].provenance
            for here, there in zip(outcome.cells, known.desks[name].cells, strict=True):
                assert here.name == there.name
                assert repr(here.frame.to_dict("list")) == repr(there.frame.to_dict("list"))
