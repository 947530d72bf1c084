"""What became of companies since a decision: kept from week to week, and the same as when counted afresh."""

import datetime as dt

from opsroom.room import Room


def test_kept_outcomes_are_those_counted_afresh(built_room):
    days = [dt.date(2020, 3, 4), dt.date(2020, 3, 10), dt.date(2020, 3, 11)]
    with Room.open(built_room, actor="test") as kept:
        setting = next(s for s in kept.settings.desks if s.kind == "outcomes")
        found = [kept.run_desk(setting, kept.moment(day), day, {}) for day in days]
    for day, outcome in zip(days, found, strict=True):
        with Room.open(built_room, actor="test") as afresh:
            again = afresh.run_desk(setting, afresh.moment(day), day, {})
        assert again.provenance == outcome.provenance
        assert [c.name for c in again.cells] == ["relief.outcome"]
        for here, there in zip(outcome.cells, again.cells, strict=True):
            assert repr(here.frame.to_dict("list")) == repr(there.frame.to_dict("list"))
    # The register of 5 March had them counted anew; nothing has come since.
    assert found[0].result is not found[1].result
    assert found[1].result is found[2].result


def test_outcomes_kept_for_a_later_day_do_not_serve_an_earlier_one(built_room):
    with Room.open(built_room, actor="test") as room:
        setting = next(s for s in room.settings.desks if s.kind == "outcomes")
        room.run_desk(setting, room.moment(dt.date(2020, 3, 11)), dt.date(2020, 3, 11), {})
        before = dt.date(2020, 3, 3)
        assert room.run_desk(setting, room.moment(before), before, {}).note
