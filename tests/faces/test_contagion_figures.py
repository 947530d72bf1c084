"""Figures of contagion say what their releases say, and no more than is published."""

from __future__ import annotations

from datetime import date
from typing import Any

from opsroom.faces.figures import Figure, build
from opsroom.faces.reader import desk_at

DAY = date(2020, 4, 29)
VIEW = "contagion.section--sections"
BY = ("failing", "added", "bank", "bank_added", "trade", "cut")


def shown(builder: Any, name: str, dimensions: list[str], measures: list[Any], rows: list[list[Any]]) -> Figure:
    release = builder.make(name.partition("--")[0], DAY, dimensions, measures, rows, {})
    return build(desk_at(builder.MemoryReleases([release], {})), name)


def with_ends(names: tuple[str, ...]) -> list[Any]:
    return [(m, "%", "ratio", 1, [f"{m}_lower", f"{m}_upper"]) for m in names]


def test_the_title_tells_what_if_how_much_and_how_far_it_is_known(builder: Any) -> None:
    rounds = with_ends(("loans", "further", "interbank"))
    row: list[Any] = ["2020-03", "_T", 17.1, 11.2, 21.7, 0.0, 0.0, 0.2, 7.0, 1.8, 22.1]
    figure = shown(builder, "contagion.section", ["month", "section"], rounds, [row])
    title = figure.caption.finding.replace("\u00a0", " ")
    assert title.startswith("If the companies that could not pay in March 2020 failed")
    assert "24.1 % of their capital (13 to 44 %)" in title
    assert [r["share"] for r in figure.records()] == [17.1, 0.0, 7.0, 24.1]
    assert figure.draw is not None
    assert "between lenders (2 to 22)" in str(figure.draw().to_dict(validate=False))
    part = shown(builder, "contagion.section", ["month", "section"], rounds, [[*row[:5], *[None] * 6]])
    assert "17.1 % of their capital at first (11 to 22 %)" in part.caption.finding.replace("\u00a0", " ")
    assert [r["round"] for r in part.records()] == ["loans"]  # no total of what is not all known


def test_the_section_that_would_cost_most_is_named_beside_all(builder: Any) -> None:
    def row(section: str, bank: float | None, trade: float | None, cut: float | None) -> list[Any]:
        numbers: list[Any] = []
        for value in (4.0, 0.0, bank, 0.0, trade, cut):
            numbers += [value, value, value]
        return ["2020-03", section, *numbers]

    rows = [row("C", 1.0, 3.8, 9.3), row("G", 13.3, 2.8, 20.3), row("L", None, 1.0, None), row("_T", 6.0, 4.0, 12.0)]
    figure = shown(builder, VIEW, ["month", "section"], with_ends(BY), rows)
    title = figure.caption.finding.replace("\u00a0", " ")
    assert "6.0 % of their loans to companies: 13.3 % of those to trade and repair" in title
    assert [r["section"] for r in figure.records()] == ["G", "C", "L", "_T"]
    assert figure.draw is not None
    drawn = str(figure.draw().to_dict(validate=False))
    assert "credit withdrawn" in drawn
    alone = shown(builder, VIEW, ["month", "section"], with_ends(BY), rows[:2])
    assert "loans to companies" not in alone.caption.finding
    bankless = shown(builder, VIEW, ["month", "section"], with_ends(BY), [row("C", None, 3.8, 9.3), rows[2]])
    assert "suppliers in" in bankless.caption.finding
    assert "3.8" in bankless.caption.finding


def test_a_group_is_shown_where_one_of_its_sections_is_not(builder: Any) -> None:
    def row(section: str, bank: float | None) -> list[Any]:
        return ["2020-03", section, *([None] * 6), bank, bank, bank, *([None] * 9)]

    rows = [row("C", 1.0), row("F", 2.0), row("B-F", 1.5), row("G", None), row("S", 9.0), row("G-U", 4.0), row("_T", 3)]
    figure = shown(builder, VIEW, ["month", "section"], with_ends(BY), rows)
    assert [r["name"] for r in figure.records()][:2] == ["Other services", "Services (G to U)"]
    assert [r["section"] for r in figure.records()] == ["S", "G-U", "F", "C", "_T"]


def test_small_counts_of_lenders_are_not_made_up(builder: Any) -> None:
    count = [("lenders", "lenders", "count", 0, [])]
    rows = [["2020-03", "0-5", 6], ["2020-03", "5-20", 4], ["2020-03", "20-50", 4], ["2020-03", "_T", 14]]
    known = shown(builder, "contagion.lenders", ["month", "band"], count, rows)
    assert "4 of 14 lenders would lose a fifth" in known.caption.finding
    rows[2][2] = rows[0][2] = None
    part = shown(builder, "contagion.lenders", ["month", "band"], count, rows)
    assert "small counts are withheld" in part.caption.finding
    assert "4 of 14" not in part.caption.finding
    assert part.draw is not None
    assert "not published" in str(part.draw().to_dict(validate=False))
