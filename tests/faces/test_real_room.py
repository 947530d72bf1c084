"""The pages of a room that was really built and published: it has more series than releases made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from opsroom.faces.figures import available
from opsroom.faces.reader import desk_at
from opsroom.faces.web import create_app
from opsroom.faces.web.pages import FIRST_PAGE
from opsroom.protect import Releases

DAY = "2020-03-11"


@pytest.fixture(scope="module")
def reader(built_room: Path) -> Releases:
    return Releases(built_room)


@pytest.fixture(scope="module")
def room(reader: Releases, web_client: Any, drawings: Path) -> Any:
    return web_client(create_app(reader, cache=drawings))


def test_overview_has_all_that_is_named_for_it_however_many_series_there_are(reader: Releases, room: Any) -> None:
    text = room.get(f"/?as_of={DAY}").text
    there = set(available(desk_at(reader, DAY)))
    for group, names in FIRST_PAGE.items():
        due = [name for name in names if name in there]
        assert due, f"the room has nothing of {group}: this test says nothing of it"
        assert not [name for name in due if f'id="{name}"' not in text], group
    assert {"resumption.national", "resumption.region", "nowcast.gdp", "relief.options"} <= there
    assert len(there) > text.count('class="card"')  # there is more than fits


def test_overview_weighs_less_than_200_kb(room: Any) -> None:
    weight = len(room.get(f"/?as_of={DAY}").content)
    weight += sum(len(room.get(f"/static/{f}").content) for f in ("opsroom.css", "opsroom.js", "icon.svg"))
    assert weight < 200_000


def test_every_answer_says_that_the_economy_is_made_up(reader: Releases, room: Any) -> None:
    for path in (
        "/", "/data", "/nowhere", "/figure/nowcast.gdp.csv", "/figure/nowcast.gdp.svg", "/figure/nowcast.gdp.json",
        f"/release/nowcast.gdp@{DAY}", "/api/v1/story", "/api/v1/releases", "/api/v1/figures/nowcast.gdp/history",
    ):  # fmt: skip
        assert "machinery works, not that a policy does" in room.get(path).headers["opsroom-notice"], path


def test_only_options_that_defer_the_same_sum_are_said_to(room: Any) -> None:
    figure = room.get(f"/api/v1/figures/relief.options--costs?as_of={DAY}").json()
    page = room.get(f"/figure/relief.options--costs?as_of={DAY}").text
    rows = [dict(zip(figure["columns"], row, strict=True)) for row in figure["rows"]]
    deferred = {row["name"]: row["deferred"] for row in rows if row["deferred"]}
    assert len(deferred) >= 3
    said = page.partition("basis: ")[2].partition(" defer the same sum")[0]
    equal = {name for name in deferred if name in said}
    assert len(equal) >= 2
    sums = [deferred[name] for name in equal]
    assert max(sums) <= 1.02 * min(sums)
    assert any(abs(total / sums[0] - 1) > 0.02 for name, total in deferred.items() if name not in equal)
