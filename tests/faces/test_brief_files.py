"""The briefing: four formats with one content, the same bytes each time, readable by whoever gets it."""

from __future__ import annotations

import io
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from opsroom.base.charts_render import DrawingCache
from opsroom.base.errors import AsOfError, StoreError, UsageError
from opsroom.faces.brief import Briefing, make_brief
from opsroom.faces.brief.briefing import SUFFIXES

DAY = "2020-04-22"


@pytest.fixture(scope="session")
def brief(meridia_releases: Any, drawings: Path) -> Briefing:
    return make_brief(meridia_releases, DAY, drawings=DrawingCache(drawings))


@pytest.fixture(scope="session")
def pdf_text(brief: Briefing) -> str:
    import pypdf

    pages = pypdf.PdfReader(io.BytesIO(brief.to_bytes(".pdf"))).pages
    return _plain(" ".join(page.extract_text() for page in pages))


def _plain(text: str) -> str:
    """Return the text without spaces, line ends and hyphens: how they are set differs by format."""
    return re.sub(r"[\s\u00a0\u00ad-]+", "", text)


def test_all_formats_hold_every_sentence(brief: Briefing, pdf_text: str) -> None:
    import html

    import openpyxl

    page = html.unescape(brief.to_bytes(".html").decode())
    book = openpyxl.load_workbook(io.BytesIO(brief.to_bytes(".xlsx")), read_only=True)
    cells = {str(c.value) for row in book["Story"].iter_rows() for c in row}
    said = [s["text"] for s in json.loads(brief.to_bytes(".json"))["story"]]
    assert said == [s.text for s in brief.sentences]
    for text in said:
        assert text in page
        assert text in cells
        assert _plain(text) in pdf_text


def test_same_releases_same_bytes(meridia_releases: Any, brief: Briefing, drawings: Path) -> None:
    again = make_brief(meridia_releases, DAY, drawings=DrawingCache(drawings))
    for suffix in SUFFIXES:
        assert brief.to_bytes(suffix) == again.to_bytes(suffix), suffix


def test_redrawn_pictures_are_the_same(public_releases: Any) -> None:
    first, second = (make_brief(public_releases).to_bytes(".html") for _ in range(2))
    assert first == second


def test_pdf_is_tagged_and_has_a_language_and_title(brief: Briefing) -> None:
    import pypdf

    reader = pypdf.PdfReader(io.BytesIO(brief.to_bytes(".pdf")))
    root: Any = reader.trailer["/Root"]
    assert root["/MarkInfo"]["/Marked"]
    assert str(root["/Lang"]).startswith("en")
    assert reader.metadata is not None
    assert reader.metadata.title == "Meridia operations room: Briefing, as of 22\u00a0April\u00a02020"
    assert b"pdfuaid" in brief.to_bytes(".pdf")
    assert "StructTreeRoot" in str(root.keys())


def test_pdf_has_figures_as_text_and_the_disclaimer(pdf_text: str) -> None:
    assert "Caldera" in pdf_text
    assert _plain("shows that the machinery works, not that a policy does") in pdf_text
    assert _plain("Expected loss: banks") in pdf_text


def test_html_stands_alone(brief: Briefing) -> None:
    page = brief.to_bytes(".html").decode()
    assert "<script" not in page
    assert "<link" not in page
    assert not re.search(r"(?:src|href)=", page)
    assert set(re.findall(r"https?://[^\"'\s<]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert page.count("<svg") >= 15


def test_workbook_has_a_sheet_a_figure_and_numbers_as_released(brief: Briefing) -> None:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(brief.to_bytes(".xlsx")))
    assert book.sheetnames[:3] == ["Read me", "Story", "Key figures"]
    assert len(book.sheetnames) == 3 + len(brief.figures)
    figure = next(f for f in brief.figures if f.name == "resumption.region")
    sheet = book["resumption.region"]
    cells = [[c.value for c in row[: len(figure.columns)]] for row in sheet.iter_rows(min_row=6)]
    rows = [[v.date().isoformat() if isinstance(v, datetime) else v for v in row] for row in cells]
    assert rows == [list(r) for r in figure.rows]
    assert figure.stamps()[0]["hash"] in str(sheet["A3"].value)
    stamps = {str(c.value) for row in book["Read me"].iter_rows() for c in row}
    assert {s["hash"] for s in brief.document["releases"]} <= stamps


def test_text_in_a_workbook_is_never_a_formula(builder: Any) -> None:
    import datetime as dt

    import openpyxl

    evil = '=HYPERLINK("http://example.org";"x")'
    release = builder.make(
        "prices.growth", dt.date(2020, 1, 22), ["month", "country"], [("growth", "%", "public", 1, [])],
        [["2019-11", evil, 1.0], ["2019-12", evil, 2.0]], {"title": evil}, source=evil,
    )  # fmt: skip
    made = make_brief(builder.MemoryReleases([release], {"title": evil}))
    book = openpyxl.load_workbook(io.BytesIO(made.to_bytes(".xlsx")))
    for sheet in book:
        for row in sheet.iter_rows():
            assert all(c.data_type != "f" for c in row)
    assert made.to_bytes(".pdf").startswith(b"%PDF")


def test_json_and_api_say_the_same(brief: Briefing, client: Any) -> None:
    document = json.loads(brief.to_bytes(".json"))
    for figure in document["figures"]:
        assert client.get(f"/api/v1/figures/{figure['name']}?as_of={DAY}").json() == figure
    assert [k["number"] for k in document["kpis"]] == [
        k["number"] for k in client.get(f"/api/v1/overview?as_of={DAY}").json()["kpis"]
    ]


@pytest.mark.parametrize("day", ["2020-01-22", "2020-06-24"])
def test_first_and_last_day_can_be_briefed(meridia_releases: Any, drawings: Path, day: str) -> None:
    made = make_brief(meridia_releases, day, drawings=DrawingCache(drawings))
    assert made.day.isoformat() == day
    assert made.to_bytes(".pdf").startswith(b"%PDF")


def test_public_room_can_be_briefed(public_releases: Any, drawings: Path) -> None:
    made = make_brief(public_releases, drawings=DrawingCache(drawings))
    assert not made.disclaimer
    assert "Australian Energy Market Operator" in made.to_bytes(".html").decode()
    assert "Daily electricity load of Victoria" in made.summary()


def test_save_writes_by_ending(brief: Briefing, tmp_path: Path) -> None:
    for suffix in (".json", ".html"):
        path = brief.save(tmp_path / "new" / f"brief{suffix}")
        assert path.read_bytes() == brief.to_bytes(suffix)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["brief.html", "brief.json"]


def test_unknown_ending_is_refused(brief: Briefing, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.docx"):
        brief.save(tmp_path / "brief.docx")
    assert not list(tmp_path.iterdir())


def test_unwritable_place_is_a_store_error(brief: Briefing, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError):
        brief.save(tmp_path / "file" / "brief.json")


def test_brief_before_the_first_release(meridia_releases: Any) -> None:
    with pytest.raises(AsOfError):
        make_brief(meridia_releases, "2019-01-01")


def test_days_in_a_workbook_are_days_that_sort(brief: Briefing) -> None:
    import openpyxl

    sheet = openpyxl.load_workbook(io.BytesIO(brief.to_bytes(".xlsx")))["resumption.national"]
    assert isinstance(sheet["A6"].value, datetime)
    assert sheet["A6"].number_format == "yyyy-mm-dd"


def test_printed_cards_stand_in_two_stacks(brief: Briefing) -> None:
    from opsroom.faces.brief.pdf import _data

    for group in _data(brief)["groups"]:
        drawn = [f for f in group["figures"] if f["svg"]]
        heights = [sum(f["wide"] + 0.4 for f in drawn if f["stack"] == side) for side in (0, 1)]
        tallest = max((f["wide"] + 0.4 for f in drawn), default=0.0)
        assert abs(heights[0] - heights[1]) <= tallest + 1e-9


def test_story_in_text_has_a_heading_a_topic(brief: Briefing) -> None:
    text = brief.text()
    assert text.startswith("Meridia operations room, as of 22\u00a0April\u00a02020\n\nWork resumption\n")
    assert "\n\nWere we right?\n" in text


def test_story_on_a_terminal_is_wrapped(capsys: pytest.CaptureFixture[str], brief: Briefing) -> None:
    from opsroom.faces.cli.output import emit_story

    emit_story(brief.text())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert " ".join(" ".join(lines).split()) == " ".join(brief.text().split())
