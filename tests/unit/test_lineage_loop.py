"""Lineage through the loop: behind every number of a room that lived through its weeks stand deliveries."""

from __future__ import annotations

from opsroom.room import Room
from opsroom.room.lineage import lineage, openlineage


def test_behind_every_release_stand_deliveries(built_room):
    with Room.open(built_room, actor="test") as room:
        releases = [one for name in room.releases().names() for one in room.releases().history(name)]
        found = {one.id: lineage(room, one.id) for one in releases}
        bare = {one.name for one in releases if not found[one.id].sources}
        assert bare <= {"decisions.log"}, "decisions are words of people"
        for one in releases:
            told = found[one.id]
            for source in told.sources:
                assert source.deliveries
                assert all(d.known_at <= one.as_of.isoformat() for d in source.deliveries)
                assert all(d.version <= source.version for d in source.deliveries)
            names = {name.partition("@")[0] for name in told.releases}
            assert one.name not in names
            # What a release was made from was out, and all that is behind it is behind the release.
            for name in told.releases:
                assert name in found
                assert {s.dataset for s in found[name].sources} <= {s.dataset for s in told.sources}
        last = {one.name: found[one.id] for one in releases}
        assert any(name.startswith("resumption.national@") for name in last["scores.resumption"].releases)
        assert {"meters", "loans"} <= {s.dataset for s in last["data.quality"].sources}
        event = openlineage(room, last["scores.resumption"])
        assert "resumption.national" in {one["name"] for one in event["inputs"]}
