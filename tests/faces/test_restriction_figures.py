"""Figures of restrictions say how strict, since when, where and by which measure."""

from __future__ import annotations

from datetime import date
from typing import Any

from opsroom.faces.figures import Figure, build
from opsroom.faces.figures.registry import attempt
from opsroom.faces.reader import desk_at

DAY = date(2020, 4, 29)
NAMES = ("stringency", "economic_support")
INDEX = [(n, "of 100", "public", 1, [f"{n}_lowest", f"{n}_highest"]) for n in NAMES]
SCORE = [("score", "of 100", "public", 1, [])]
ROWS = [
    ["2020-W15", "N", 80.0, None, None, None, None, None, None], ["2020-W15", "S", 60.0, *[None] * 6],
    ["2020-W15", "_T", 70.0, 60.0, 80.0, 0.0, 0.0, 0.0, None], ["2020-W16", "N", 50.0, *[None] * 6],
    ["2020-W16", "S", 40.0, *[None] * 6], ["2020-W16", "_T", 45.0, 40.0, 50.0, 0.0, 0.0, 0.0, None],
]  # fmt: skip


def reader(builder: Any, name: str, dimensions: list[str], measures: list[Any], rows: list[list[Any]]) -> Any:
    release = builder.make(name.partition("--")[0], DAY, dimensions, measures, rows, {})
    return desk_at(builder.MemoryReleases([release], {}))


def shown(builder: Any, name: str, rows: list[list[Any]], measures: list[Any] | None = None) -> Figure:
    rows = [row[: 2 + sum(1 + len(m[4]) for m in measures or INDEX)] for row in rows]
    return build(reader(builder, name, ["week", "region"], measures or INDEX, rows), name)


def test_the_title_tells_the_latest_week_and_the_strictest(builder: Any) -> None:
    figure = shown(builder, "restriction.index", ROWS)
    assert figure.caption.finding == (
        "Stringency stood at 45 of 100 in week 16 of 2020; at its highest, in week 15 of 2020, at 70"
    )
    assert len(figure.records()) == 6
    assert figure.draw is not None
    drawn = str(figure.draw().to_dict(validate=False))
    assert "least to most strict place" in drawn
    assert "Economic support" in drawn


def test_one_place_has_no_band(builder: Any) -> None:
    rows = [
        ["2020-W15", "_T", 70.0, None, None, 0.0, None, None],
        ["2020-W16", "_T", 71.0, None, None, 0.0, None, None],
    ]
    figure = shown(builder, "restriction.index", rows)
    assert "most strict" not in figure.caption.unit
    assert figure.draw is not None
    figure.draw()


def test_places_of_the_last_week_strictest_first(builder: Any) -> None:
    figure = shown(builder, "restriction.index--places", ROWS)
    assert [r["region"] for r in figure.records()] == ["N", "S"]
    assert "N is strictest in week 16 of 2020 (50 of 100), S least strict (40)" in figure.caption.finding
    alike = shown(builder, "restriction.index--places", [ROWS[0], ["2020-W15", "S", 80.0, *[None] * 6]])
    assert "equally strict" in alike.caption.finding
    one = reader(builder, "restriction.index", ["week", "region"], INDEX, [ROWS[2][:8]])
    assert attempt(one, "restriction.index--places") is None


def test_measures_in_force(builder: Any) -> None:
    rows = [["2020-W15", "C2", 90.0], ["2020-W16", "C1", 20.0], ["2020-W16", "C6", 60.0]]
    figure = build(reader(builder, "restriction.measures", ["week", "indicator"], SCORE, rows), "restriction.measures")
    assert (
        figure.caption.finding
        == "Strictest in week 16 of 2020: orders to stay at home, 60 of 100 on the mean of the places"
    )
    assert len(figure.records()) == 3
    quiet = reader(builder, "restriction.measures", ["week", "indicator"], SCORE, [["2020-W16", "C1", 0.0]])
    assert build(quiet, "restriction.measures").caption.finding == "No measure was in force in week 16 of 2020"
