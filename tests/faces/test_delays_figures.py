"""Figures of reporting delays: a period whose reports are not all in is never shown as a level."""

from __future__ import annotations

from datetime import date
from typing import Any

from opsroom.faces.figures import build
from opsroom.faces.figures.registry import attempt, available
from opsroom.faces.reader import desk_at
from opsroom.faces.words_story import tell

DAY = date(2020, 4, 29)
MEASURES = [("reported", "loans", "count", 0, ["expected", "lower", "upper", "share", "complete"])]
ROWS: list[list[Any]] = [
    ["2020-01", "C", 90, 90.0, 90.0, 90.0, 100.0, "yes"], ["2020-01", "G", None, None, None, None, None, None],
    ["2020-01", "_T", 120, 120.0, 120.0, 120.0, 100.0, "yes"], ["2020-02", "C", 80, 95.0, 88.0, 110.0, 84.0, "no"],
    ["2020-02", "G", 30, 33.0, 30.0, 38.0, 91.0, "no"], ["2020-02", "_T", 110, 128.0, 120.0, 145.0, 86.0, "no"],
]  # fmt: skip


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


def reader(builder: Any, rows: list[list[Any]]) -> Any:
    facts = {"title": "Loans past due", "of": "loans 30 days past due"}
    release = builder.make("delays.arrears", DAY, ["period", "sector"], MEASURES, rows, facts)
    return desk_at(builder.MemoryReleases([release], {}))


def test_the_title_tells_what_is_expected_not_what_is_in(builder: Any) -> None:
    desk = reader(builder, ROWS)
    figure = build(desk, "delays.arrears")
    wanted = "Loans past due: 128 expected in February 2020 (120 to 145), 110 reported so far"
    assert plain(figure.caption.finding) == wanted
    assert figure.draw is not None
    drawn = str(figure.draw().to_dict(validate=False))
    assert "incomplete" in drawn
    assert "reported so far" in drawn
    assert [plain(s.text) for s in tell(desk)] == [
        "Loans past due: 110 are reported in February 2020 so far, 86 % of what is expected once all reports are in; "
        "expected are 128 (120 to 145)."
    ]


def test_sections_by_what_is_to_come(builder: Any) -> None:
    figure = build(reader(builder, ROWS), "delays.arrears--sectors")
    assert [(r["sector"], r["to_come"]) for r in figure.records()] == [("C", 15.0), ("G", 3.0)]
    assert "manufacturing, 15 in February 2020" in plain(figure.caption.finding)
    assert figure.draw is not None
    figure.draw()


def test_all_in_and_nothing_published(builder: Any) -> None:
    settled = reader(builder, ROWS[:3])
    assert (
        plain(build(settled, "delays.arrears").caption.finding) == "Loans past due: 120 in January 2020, all reports in"
    )
    assert "delays.arrears--sectors" not in available(settled)
    assert not tell(settled)
    hidden = reader(builder, [["2020-02", "_T", None, None, None, None, None, None]])
    assert attempt(hidden, "delays.arrears") is None
