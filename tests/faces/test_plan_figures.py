"""Figures of allocation and propagation say what their releases say."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from opsroom.faces.figures import Figure, build
from opsroom.faces.reader import desk_at

DAY = date(2020, 4, 29)
PER = "worth per unit"


def shown(builder: Any, name: str, dimensions: list[str], measures: list[str], rows: list[list[Any]]) -> Figure:
    kinds = [(m, PER if m.startswith("price") else "%", "public", 2, []) for m in measures]
    release = builder.make(name.partition("--")[0], DAY, dimensions, kinds, rows, {"week": "2020-W16"})
    return build(desk_at(builder.MemoryReleases([release], {})), name)


PRICES = ["capacity", "price", "price_less", "price_more", "price_lower", "price_upper"]


def test_the_dearest_section_is_named_and_what_is_plenty_is_left_out(builder: Any) -> None:
    rows: list[list[Any]] = [
        ["2020-04-29", "A", 80.0, 0.85, 0.85, 0.85, 0.8, 0.9],
        ["2020-04-29", "D", 100.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        ["2020-04-29", "Q", 86.0, 1.81, 1.9, 1.7, 1.6, 2.0],
    ]
    figure = shown(builder, "allocation.section", ["date", "section"], PRICES, rows)
    assert "would be worth 1.81: the dearest of 2 scarce ones" in figure.caption.finding
    assert "no market price" in figure.caption.unit
    assert "16" in figure.caption.unit  # the week of the measurement
    assert [row[0] for row in figure.rows] == ["Q", "A"]
    assert figure.draw is not None
    drawn = str(figure.draw().to_dict(validate=False))
    assert "1.81" in drawn
    assert "price_lower" in drawn


def test_who_gets_what_is_told_under_every_rule_there_is(builder: Any) -> None:
    rows: list[list[Any]] = [
        ["2020-04-29", "A", 100.0, 36.3, 80.5, 1.0],
        ["2020-04-29", "D", 19.6, 36.3, 27.5, 0.0],
        ["2020-04-29", "Q", None, None, None, 1.8],
    ]
    measures = ["optimum", "pro_rata", "market", "price"]
    figure = shown(builder, "allocation.section--uses", ["date", "section"], measures, rows)
    said = figure.caption.finding.replace("\u00a0", " ")
    assert "gets least: 20 % of what is wanted of it; by equal shares every section would get 36 %" in said
    assert figure.columns == ("section", "name", "optimum", "market", "pro_rata")
    assert [row[0] for row in figure.rows] == ["D", "A"]
    assert figure.draw is not None
    assert "27.5" in str(figure.draw().to_dict(validate=False))
    rows[0][3] = 50.0  # a floor lifts one
    other = shown(builder, "allocation.section--uses", ["date", "section"], measures, rows)
    assert "equal shares" not in other.caption.finding


def test_the_best_plain_rule_is_told_beside_the_optimum(builder: Any) -> None:
    rows = [["2020-04-29", rule, worth, equal, least] for rule, worth, equal, least in (
        ("by_class", 15.0, 9.4, 0.0), ("optimum", 100.0, 99.0, 26.4), ("pro_rata", 48.1, 49.4, 26.9))]  # fmt: skip
    figure = shown(builder, "allocation.rule", ["date", "rule"], ["worth", "worth_equal", "least"], rows)
    assert "same share for everybody, with 48" in figure.caption.finding
    assert "by construction" in figure.caption.unit
    assert [row[0] for row in figure.rows] == ["optimum", "pro_rata", "by_class"]


def test_every_scenario_ends_somewhere_and_the_band_is_of_the_first(builder: Any) -> None:
    rows: list[list[Any]] = [
        ["2020-04-26", "restrictions stay", 57.5, 54.0, 60.0, 58.0],
        ["2020-07-26", "restrictions stay", 58.1, 55.0, 61.0, None],
        ["2020-04-26", "lifted", 57.5, None, None, 58.0],
        ["2020-07-26", "lifted", 94.5, None, None, None],
    ]
    measures = ["output", "lower", "upper", "measured"]
    figure = shown(builder, "propagation.path", ["date", "scenario"], measures, rows)
    said = figure.caption.finding.replace("\u00a0", " ")
    assert "26 July 2020" in said
    assert "restrictions stay: 58 %; lifted: 94 %" in said or "restrictions stay: 58 %; lifted: 95 %" in said
    assert figure.draw is not None
    drawn = str(figure.draw().to_dict(validate=False))
    assert "90 % of drawn assumptions" in drawn.replace("\u00a0", " ")
    assert "first scenario: restrictions stay" in figure.caption.unit
    assert "measured" in drawn


@pytest.mark.parametrize(("inputs", "said"), [(0.0, "none stands still"), (11.0, "within the last four weeks: 1")])
def test_sections_are_ordered_by_what_they_make(builder: Any, inputs: float, said: str) -> None:
    rows: list[list[Any]] = [
        ["2020-04-29", "C", 49.6, 55.0, 44.6, 100.0, inputs, 0.0],
        ["2020-04-29", "I", 33.6, 60.0, 26.9, 100.0, 0.0, 0.0],
    ]
    measures = ["output", "ahead", "measured", "own", "inputs", "lacked"]
    figure = shown(builder, "propagation.section", ["date", "section"], measures, rows)
    assert [row[0] for row in figure.rows] == ["I", "C"]
    assert "34" in figure.caption.finding
    assert said in figure.caption.finding


REGIONS = (["date", "region", "scenario"], ["output", "lower", "upper"])


def test_regions_are_told_on_the_day_on_which_the_last_scenario_sets_them_furthest_apart(builder: Any) -> None:
    rows: list[list[Any]] = [
        [day, region, "stay", output, output - 2.0, output + 2.0]
        for day, region, output in [
            ("2020-05-03", "R01", 20.0), ("2020-05-03", "R02", 60.0), ("2020-06-07", "R01", 65.4),
            ("2020-06-07", "R02", 64.6), ("2020-07-26", "R01", 71.4), ("2020-07-26", "R02", 70.6),
        ]
    ]  # fmt: skip
    wave: list[list[Any]] = [
        [day, region, "wave", output, None, None]
        for day, region, output in [
            ("2020-05-03", "R01", 20.0), ("2020-05-03", "R02", 60.0), ("2020-06-07", "R01", 80.2),
            ("2020-06-07", "R02", 44.6), ("2020-07-26", "R01", 95.1), ("2020-07-26", "R02", 95.0),
        ]
    ]  # fmt: skip
    figure = shown(builder, "propagation.region", *REGIONS, rows + wave)
    said = figure.caption.finding.replace("\u00a0", " ")
    # On 3 May regions are further apart, but there the wave has not begun; at the end it is over.
    assert said.startswith("Wave: on 7 June 2020 ")
    assert "makes 45 % of before, the least of the regions" in said
    assert said.endswith(" 80 %")
    assert "hollow: wave" in figure.caption.unit
    assert len(figure.rows) == len(rows + wave)
    assert figure.draw is not None
    drawn = str(figure.draw().to_dict(validate=False))
    assert "44.6" in drawn
    assert "62.6" in drawn  # the interval is of the first scenario
    assert "95.1" not in drawn
    alone = shown(builder, "propagation.region", *REGIONS, rows)
    assert "hollow" not in alone.caption.unit
    assert alone.caption.finding.replace("\u00a0", " ").startswith("Stay: on 26 July 2020 ")


def test_the_daily_path_names_both_ends_of_sections_and_of_regions(builder: Any) -> None:
    ends = {("_T", "_T"): 70.0, ("A", "_T"): 80.0, ("C", "_T"): 60.5, ("I", "_T"): 46.3, ("_T", "R01"): 66.0,
            ("_T", "R02"): 77.7, ("_T", "R03"): 71.1}  # fmt: skip
    rows: list[list[Any]] = [
        [day, section, region, round(end * share, 1)]
        for day, share in (("2020-05-07", 0.5), ("2020-05-08", 1.0))
        for (section, region), end in ends.items()
    ]
    figure = shown(builder, "propagation.daily", ["date", "section", "region"], ["output"], rows)
    said = figure.caption.finding.replace("\u00a0", " ")
    assert said.startswith("On 8 May 2020 all sections together make 70 % of before, Accommodation and food")
    assert said.endswith("makes least: 46 %")
    assert "first scenario" in figure.caption.unit
    assert len(figure.rows) == len(rows)
    assert figure.draw is not None
    drawn = str(figure.draw().to_dict(validate=False))
    assert all(str(ends[key]) in drawn for key in (("A", "_T"), ("I", "_T"), ("_T", "R01"), ("_T", "R02")))
    assert "60.5" not in drawn
    assert "71.1" not in drawn
