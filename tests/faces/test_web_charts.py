"""Charts: small, accessible, in the page's colours, and honest about what they show."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsroom.base import charts, charts_bars, charts_lines, charts_render, charts_tiles
from opsroom.base.errors import UsageError

CAPTION = charts.Caption("Half are back", "% of companies", "Meters", "2020-03-04", "A line that rises to 50 %.")
ROWS = [{"d": f"2020-02-{k:02d}", "v": 10.0 + k, "lo": 8.0 + k, "hi": 12.0 + k, "u": 5.0 + k} for k in range(1, 29)]


def line() -> Any:
    return charts_lines.line_band(
        ROWS, x="d", lines={"v": "corrected", "u": "uncorrected"}, band=("lo", "hi"), caption=CAPTION,
        spans=[charts.Span("2020-02-03", "2020-02-09", "holiday")],
    )  # fmt: skip


def test_picture_has_a_text_alternative() -> None:
    root = ET.fromstring(charts_render.render_svg(line(), mode="page", ident="x"))
    space = "{http://www.w3.org/2000/svg}"
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "x-t x-d"
    assert root.find(f"{space}title").text == "Half are back"  # type: ignore[union-attr]  # it is there, or fail
    assert root.find(f"{space}desc").text == "A line that rises to 50 %."  # type: ignore[union-attr]  # as above


def test_page_picture_uses_variables_and_the_file_fixed_colours() -> None:
    page = charts_render.render_svg(line(), mode="page")
    file = charts_render.render_svg(line(), mode="file")
    assert "var(--main)" in page
    assert not re.search(r'(?:fill|stroke)="#', page)
    assert "Half are back" in file.replace("<title", "")
    assert "Source: Meters. As of 2020-03-04." in file
    assert "var(" not in file
    assert "Source:" not in page


def test_picture_holds_no_script_style_or_address() -> None:
    for mode in ("page", "file", "print"):
        svg = charts_render.render_svg(line(), mode=mode)  # type: ignore[arg-type]  # the three modes
        assert "<script" not in svg
        assert "style" not in svg
        assert set(re.findall(r"https?://[^\"]+", svg)) == {"http://www.w3.org/2000/svg"}
        assert len(svg) < 14_000


def test_drawing_twice_gives_the_same_bytes() -> None:
    assert charts_render.render_svg(line(), mode="page") == charts_render.render_svg(line(), mode="page")


def test_text_in_data_cannot_break_out() -> None:
    evil = '</title><script>alert("1")</script>'
    rows = [{"c": evil, "v": 1.0}, {"c": "b", "v": 2.0}]
    chart = charts_bars.interval_dots(rows, category="c", value="v", caption=charts.Caption(evil))
    for mode in ("page", "file"):
        svg = charts_render.render_svg(chart, mode=mode)  # type: ignore[arg-type]  # two of the modes
        ET.fromstring(svg)
        assert "<script" not in svg


def test_tile_map_marks_withheld_regions_and_has_every_number() -> None:
    tiles = [
        {"x": 0, "y": 0, "code": "A", "name": "Aven", "v": 12.0},
        {"x": 1, "y": 0, "code": "B", "name": "Bora", "v": None},
    ]
    svg = charts_render.render_svg(charts_tiles.tile_map(tiles, value="v", caption=CAPTION, thresholds=[10, 20]))
    texts = re.findall(r">([^<>]+)</text>", svg)
    assert {"Aven", "Bora", "12", "–"} <= set(texts)


def test_options_have_a_scale_each_and_no_sum() -> None:
    rows = [{"o": "none", "a": 0.0, "b": None}, {"o": "holiday", "a": 1000.0, "b": 3.0}]
    chart = charts_bars.option_bars(rows, option="o", measures={"a": "Deferred", "b": "Loss"}, caption=CAPTION)
    spec = charts_render.spec_of(chart)
    panels = spec["vconcat"]
    domains = [p["layer"][0]["encoding"]["x"]["scale"]["domain"][1] for p in panels]
    assert domains == [pytest.approx(1450.0), pytest.approx(4.35)]
    texts = re.findall(r">([^<>]+)</text>", charts_render.render_svg(chart))
    assert "not published" in texts
    assert not {"1,003", "1003"} & set(texts)


def test_revision_triangle_shows_the_change_not_the_value() -> None:
    rows = [
        {"r": "2020-01-01", "v": "2020-01-08", "x": 50.0},
        {"r": "2020-01-01", "v": "2020-01-15", "x": 53.0},
        {"r": "2020-01-08", "v": "2020-01-15", "x": 90.0},
    ]
    spec = charts_render.spec_of(
        charts_tiles.revision_triangle(rows, reference="r", vintage="v", value="x", caption=CAPTION)
    )
    assert [d["change"] for d in spec["vconcat"][0]["data"]["values"]] == [0.0, 3.0, 0.0]


def test_vintages_and_news_draw() -> None:
    rows = [{"d": f"2020-0{m}-01", "v": float(m + k), "day": f"2020-06-0{k}"} for m in (1, 2, 3) for k in (1, 2)]
    chart = charts_lines.vintages(rows, x="d", value="v", vintage="day", caption=CAPTION)
    assert "latest release" in charts_render.render_svg(chart)
    news = [{"s": "Exports", "c": 0.2}, {"s": "Orders", "c": -0.1}]
    svg = charts_render.render_svg(charts_bars.news_bars(news, category="s", value="c", caption=CAPTION))
    assert {"+0.20", "−0.10"} <= set(re.findall(r">([^<>]+)</text>", svg))


def test_signs_are_true_and_zero_has_none() -> None:
    assert [charts.signed(v, 2) for v in (0.2, -0.1, -0.001, 0.0)] == ["+0.20", "−0.10", "0.00", "0.00"]
    rows = [{"n": "a", "v": 0.2}, {"n": "b", "v": -0.0004}]
    svg = charts_render.render_svg(charts_bars.news_bars(rows, category="n", value="v", caption=CAPTION))
    assert {"+0.20", "0.00"} <= set(re.findall(r">([^<>]+)</text>", svg))


def test_numbers_beside_two_dots_stand_in_a_column() -> None:
    rows = [{"n": "near", "v": 1.0, "o": 1.1}, {"n": "far", "v": 1.2, "o": 3.0}]
    chart = charts_bars.interval_dots(rows, category="n", value="v", other="o", caption=CAPTION, format=".1f")
    spec = chart.to_dict(validate=False)
    numbers = next(layer for layer in spec["layer"] if layer["mark"]["type"] == "text")
    assert numbers["encoding"]["x"] == {"value": spec["width"] + 8}


def test_months_are_not_written_as_days() -> None:
    rows = [{"m": f"2020-0{k}", "v": float(k)} for k in (3, 4, 5)]
    svg = charts_render.render_svg(charts_lines.line_band(rows, x="m", lines={"v": "a"}, caption=CAPTION))
    assert "Mar 2020" in svg
    assert "1 Mar" not in svg


def test_sparkline_marks_gaps_and_needs_two_points() -> None:
    assert charts_render.sparkline([1.0]) == ""
    assert charts_render.sparkline([1.0, None, 2.0, 3.0]).count("M") == 2
    assert 'aria-hidden="true"' in charts_render.sparkline([1.0, 2.0])
    ET.fromstring(charts_render.sparkline([1.0, 2.0], label='a "quoted" <label>'))


def test_cache_draws_once_and_survives_the_process(tmp_path: Path) -> None:
    made = []

    def make() -> str:
        made.append(1)
        return "<svg/>"

    first = charts_render.DrawingCache(tmp_path, limit=1)
    assert first.get("a", make) == first.get("a", make) == "<svg/>"
    first.get("b", make)
    assert charts_render.DrawingCache(tmp_path).get("a", make) == "<svg/>"
    assert len(made) == 2
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("code", "start"),
    [
        ("2020-W10", "2020-03-02"),
        ("2020-W01", "2019-12-30"),
        ("2020-03", "2020-03-01"),
        ("2020-Q3", "2020-07-01"),
        ("2020", "2020-01-01"),
        ("2020-03-04", "2020-03-04"),
    ],
)
def test_period_codes_have_their_first_day(code: str, start: str) -> None:
    assert charts.period_start(code) == start


def test_a_code_that_is_no_period_is_refused() -> None:
    assert not charts.is_period("Manufacturing")
    assert not charts.is_period("2020-W99")
    with pytest.raises(UsageError):
        charts.period_start("soon")


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_thresholds_spread_the_values_over_the_ramp(numbers: list[float]) -> None:
    edges = charts.thresholds_for(numbers)
    assert len(edges) == 6
    assert all(a < b for a, b in pairwise(edges))
    steps = [charts.step_of(n, edges) for n in numbers]
    assert min(steps) >= 0
    assert max(steps) <= 6
    if max(numbers) - min(numbers) > 1e-3:
        assert len(set(steps)) > 1


def _luminance(colour: str) -> float:
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_on_every_step_of_the_ramp_is_legible(scheme: int) -> None:
    """WCAG 2.2, contrast 4.5 to 1: also for the text colours on paper."""
    colours = {name: pair[scheme] for name, pair in charts.PALETTE.items()}
    for step in range(7):
        ink = colours["on-pale"] if step < 4 else colours["on-deep"]
        assert _contrast(colours[f"r{step}"], ink) >= 4.5, step
    for name in ("ink", "muted", "main", "compare", "third", "fourth", "alarm"):
        assert _contrast(colours[name], colours["paper"]) >= 4.5, name


@pytest.mark.parametrize("scheme", [0, 1])
def test_ramp_is_ordered_in_lightness(scheme: int) -> None:
    light = [_luminance(charts.PALETTE[f"r{k}"][scheme]) for k in range(7)]
    assert light == sorted(light, reverse=scheme == 0)


def test_colours_are_different_keys() -> None:
    pale = [pair[0] for pair in charts.PALETTE.values()]
    assert len(set(pale)) == len(pale)


def test_missing_values_do_not_reach_the_drawing() -> None:
    rows = [{"d": "2020-01-01", "v": math.nan}, {"d": "2020-01-02", "v": 1.0}, {"d": "2020-01-03", "v": 2.0}]
    assert "NaN" not in charts_render.render_svg(charts_lines.line_band(rows, x="d", lines={"v": "a"}, caption=CAPTION))


def test_a_name_of_two_words_keeps_its_place_on_two_lines() -> None:
    tiles = [{"x": 0, "y": 0, "code": "A", "name": "Farrow Coast", "v": 12.0}]
    svg = charts_render.render_svg(charts_tiles.tile_map(tiles, value="v", caption=CAPTION, thresholds=[10]))
    lines = re.search(r"<text([^>]*)><tspan>?.*?Farrow.*?Coast.*?</text>", svg)
    assert lines is not None
    assert "translate" in lines[1]


def test_losses_below_zero_extend_to_the_left() -> None:
    rows = [{"o": "none", "a": 0.0}, {"o": "holiday", "a": -198e6}]
    chart = charts_bars.option_bars(rows, option="o", measures={"a": "Loss"}, caption=CAPTION, alarm=["a"])
    panel = charts_bars._panel(rows, "o", "a", "Loss", charts.thousands, loss=True)
    bars = panel.to_dict(validate=False)["data"]["values"]
    assert [b["s"] for b in bars] == ["above", "below"]
    assert charts.colour("alarm") not in {b["c"] for b in bars}
    svg = charts_render.render_svg(chart)
    assert "−198,000,000" in svg
    assert "var(" not in svg


def test_polishing_keeps_every_visible_word() -> None:
    raw = charts_render._draw(charts_render.spec_of(line()))
    words = [m[2] for m in re.finditer(r"<text([^>]*)>([^<>]+)</text>", raw) if 'opacity="0"' not in m[1]]
    assert words
    polished = charts_render.render_svg(line(), mode="file")
    assert re.findall(r">([^<>]+)</text>", polished) == words
    assert len(polished) < 0.6 * len(raw)


def test_hours_lie_beside_each_other() -> None:
    rows = [{"d": f"2020-02-0{1 + n // 24}T{n % 24:02d}Z", "v": float(n)} for n in range(48)]
    svg = charts_render.render_svg(
        charts_lines.line_band(rows, x="d", lines={"v": "load"}, caption=CAPTION), mode="page"
    )
    (path,) = [d for d in re.findall(r'<path d="M([^"]+)"', svg) if d.count("L") == 47]
    places = [float(point.split(",")[0]) for point in path.split("L")]
    assert all(a < b for a, b in pairwise(places))
    assert "1 Feb 00:00" in svg
    assert charts.period_start("2020-03-04T17:15Z") == "2020-03-04T17:15:00Z"


@pytest.mark.parametrize(("after", "at_foot"), [(90.0, True), (10.0, False)])
def test_the_name_of_a_span_keeps_away_from_the_line(after: float, at_foot: bool) -> None:
    rows = [{"x": f"2020-03-{day:02d}", "value": 50.0 if day < 10 else after} for day in range(1, 31)]
    caption = charts.Caption("finding", "unit", "source", "2020-03-31")
    spans = [charts.Span("2020-03-05", "2020-03-10", "lockdown")]
    chart = charts_lines.line_band(
        rows, x="x", lines={"value": "line"}, caption=caption, spans=spans, domain=(0.0, 100.0)
    )
    (text,) = [
        layer["encoding"]["y"]["value"]
        for layer in charts_render.spec_of(chart)["layer"]
        if layer["mark"].get("type") == "text"
    ]
    assert (text > charts.HEIGHT / 2) is at_foot
