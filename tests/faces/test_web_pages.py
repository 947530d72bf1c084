"""The pages over plain HTTP: every page of every day, its words, its files, its headers."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import date
from typing import Any

import pytest

PAGES = ("/", "/warnings", "/data", "/decisions", "/methods")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("day", ["2020-01-22", "2020-01-29", "2020-03-04", "2020-06-24"])
def test_every_page_says_its_day_and_that_the_economy_is_made_up(client: Any, page: str, day: str) -> None:
    text = client.get(f"{page}?as_of={day}").text
    assert f"as of {int(day[8:])}\u00a0" in text
    assert "it shows that the machinery works, not that a policy does".removeprefix("it ") in text


@pytest.mark.parametrize("page", PAGES)
def test_public_room_has_the_same_pages(public_client: Any, page: str) -> None:
    answer = public_client.get(page)
    assert answer.status_code == 200
    assert "synthetic" not in answer.text.replace("notice synthetic", "")


def test_public_room_shows_source_and_licence(public_client: Any) -> None:
    text = public_client.get("/").text
    assert "Australian Energy Market Operator" in text
    assert "CC BY 4.0" in text
    assert "Credit gap, Italy" in text


def test_overview_has_every_key_figure(client: Any) -> None:
    text = client.get("/?as_of=2020-03-04").text
    for label in (
        "Companies at work",
        "At work, by jobs",
        "At work, by sales",
        "Capacity recovered",
        "GDP nowcast",
        "Jobs with &lt; 30 days of cash",
        "Arrears incl. forborne",
        "Data coverage",
    ):
        assert label in text
    assert "next: Retail sales" in text


def test_key_figure_equals_map_total(client: Any, meridia_releases: Any) -> None:
    """On a day with a map, the first key figure and the map's total are one number."""
    document = client.get("/figure/resumption.region.json?as_of=2020-03-04").json()
    total = next(r for r in document["rows"] if r[0] == "_T")[-1]
    overview = client.get("/api/v1/overview?as_of=2020-03-04").json()
    assert next(k for k in overview["kpis"] if k["id"] == "resumed_count")["number"] == total
    assert f"all regions together {total}\u00a0%" in client.get("/?as_of=2020-03-04").text


def test_overview_is_small(client: Any, public_client: Any) -> None:
    for room, days in ((client, ("2020-01-22", "2020-06-24")), (public_client, ("2020-07-01",))):
        for day in days:
            size = len(room.get(f"/?as_of={day}").content)
            size += sum(len(room.get(f"/static/{f}").content) for f in ("opsroom.css", "opsroom.js", "icon.svg"))
            assert size < 200_000, f"{day}: {size} bytes"


def test_no_inline_script_or_style_and_no_other_host(client: Any, meridia_releases: Any) -> None:
    paths = [f"{p}?as_of=2020-06-24" for p in (*PAGES, "/figure/resumption.national", "/figure/decisions.log")]
    for path in paths:
        answer = client.get(path)
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert not re.search(r"<script(?![^>]*\bsrc=)", answer.text)
        assert "<style" not in answer.text
        assert not re.search(r"\sstyle=", answer.text)
        assert not re.search(r"\son[a-z]+=", answer.text)
        hosts = set(re.findall(r"(?:href|src|action)=\"(https?:)?//([^/\"]+)", answer.text))
        assert not hosts


def test_identifiers_of_a_page_are_unique(client: Any) -> None:
    for path in ("/?as_of=2020-06-24", "/data?as_of=2020-06-24", "/decisions?as_of=2020-06-24"):
        found = re.findall(r'\sid="([^"]+)"', client.get(path).text)
        assert len(found) == len(set(found))


def test_every_figure_has_its_files(client: Any) -> None:
    for name in client.get("/api/v1/figures?as_of=2020-06-24").json():
        page = client.get(f"/figure/{name}?as_of=2020-06-24")
        assert page.status_code == 200, name
        assert "sha256:" in page.text
        document = client.get(f"/figure/{name}.json?as_of=2020-06-24").json()
        rows = list(csv.reader(io.StringIO(client.get(f"/figure/{name}.csv?as_of=2020-06-24").text)))
        assert rows[0][: len(document["columns"])] == document["columns"]
        assert len(rows) - 1 == len(document["rows"])
        assert rows[-1][-3] in {r["id"] for r in document["releases"]}
        assert document["releases"][0]["hash"].startswith("sha256:")


def test_page_shows_an_old_day_as_it_was_published(client: Any, builder: Any, web_client: Any) -> None:
    """A room that stops at a day and a room that went on show the same page of that day."""
    from opsroom.faces.web import create_app

    day = builder.WEDNESDAYS[6].isoformat()
    then = web_client(create_app(builder.meridia(7)))
    for path in (
        "/figure/resumption.national.json",
        "/figure/nowcast.gdp.json",
        "/figure/data.revisions.json",
        "/figure/relief.options--costs.json",
    ):

        def data(room: Any, path: str = path) -> Any:
            document = room.get(f"{path}?as_of={day}").json()
            return {k: document[k] for k in ("columns", "rows", "finding", "as_of")}

        assert data(then) == data(client)
    assert [s["text"] for s in then.get(f"/api/v1/story?as_of={day}").json()] == [
        s["text"] for s in client.get(f"/api/v1/story?as_of={day}").json()
    ]


def test_slider_without_scripts_leads_to_the_day(client: Any) -> None:
    answer = client.get("/?step=6", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/?as_of=2020-03-04"


def test_day_between_two_releases_shows_the_earlier_and_says_so(client: Any) -> None:
    text = client.get("/?as_of=2020-03-07").text
    assert "as of 4\u00a0March\u00a02020" in text
    assert "Nothing was published on 7\u00a0March\u00a02020" in text


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/?as_of=1999-01-01", 404, "OPS-T011"),
        ("/?as_of=yesterday", 400, "OPS-U020"),
        ("/?as_of=2020-99-99", 400, "OPS-U020"),
        ("/?step=99", 400, "OPS-U021"),
        ("/?step=%F0%9D%9F%99", 400, "OPS-U021"),
        ("/figure/no.such", 404, "OPS-N020"),
        ("/figure/resumption.national--nothing", 404, "OPS-N020"),
        ("/figure/decisions.log?as_of=2020-01-22", 404, "OPS-N020"),
        ("/figure/data.quality.svg", 404, "OPS-N022"),
        ("/method/alchemy", 404, "OPS-N021"),
        ("/nowhere", 404, "OPS-N000"),
    ],
)
def test_errors_are_pages_with_code_and_no_traceback(client: Any, path: str, status: int, code: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert code in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"]


def test_a_defect_tells_nothing(builder: Any, web_client: Any) -> None:
    from opsroom.faces.web import create_app

    class Broken(builder.MemoryReleases):
        def days(self) -> list[date]:
            raise RuntimeError("Planted Company 31415926")

    app = create_app(Broken([], {"title": "t"}))
    web = web_client(app)
    for path in ("/", "/data", "/api/v1/days", "/api/v1/overview"):
        answer = web.get(path)
        assert answer.status_code == 500
        assert "Planted" not in answer.text
        assert "31415926" not in answer.text


def test_empty_room_explains_itself(builder: Any, web_client: Any) -> None:
    from opsroom.faces.web import create_app

    web = web_client(create_app(builder.MemoryReleases([], {"title": "New room"})))
    answer = web.get("/")
    assert answer.status_code == 404
    assert "published nothing yet" in answer.text


def test_words_of_a_release_are_escaped(builder: Any, web_client: Any) -> None:
    from opsroom.faces.web import create_app

    evil = '<script>alert(1)</script>"&'
    release = builder.make(
        "prices.growth",
        date(2020, 1, 22),
        ["month", "country"],
        [("growth", "%", "public", 1, [])],
        [["2019-11", evil, 1.0], ["2019-12", evil, 2.0]],
        {"title": evil},
        source=evil,
        licence=evil,
        method=evil,
    )
    web = web_client(
        create_app(builder.MemoryReleases([release], {"title": evil, "disclaimer": evil, "synthetic": True}))
    )
    for path in ("/", "/data", "/methods", "/figure/prices.growth", "/figure/prices.growth.svg"):
        text = web.get(path).text
        assert "<script>alert" not in text
    assert web.get("/figure/prices.growth.json").json()["source"] == evil


def test_options_never_have_a_total(client: Any) -> None:
    text = client.get("/figure/relief.options--costs?as_of=2020-06-24").text
    document = json.loads(client.get("/figure/relief.options--costs.json?as_of=2020-06-24").text)
    assert not [c for c in document["columns"] if "total" in c or c == "cost"]
    assert "never added up" in text
    rows = {r[0] for r in document["rows"]}
    assert "none" in rows


def test_style_sheet_has_the_colours_of_the_charts(client: Any) -> None:
    from opsroom.base.charts import PALETTE

    sheet = client.get("/static/opsroom.css").text
    light, _, rest = sheet.partition("@media (prefers-color-scheme: dark)")
    dark = rest.partition("@media print")[0]
    for name, (pale, deep) in PALETTE.items():
        assert f"--{name}: {pale};" in light
        assert f"--{name}: {deep};" in dark


def test_suppressed_cells_are_withheld_everywhere(client: Any) -> None:
    document = client.get("/figure/resumption.section.json?as_of=2020-03-04").json()
    arts = next(r for r in document["rows"] if r[1] == "R")
    assert arts[document["columns"].index("resumed_sme")] is None
    assert "withheld" in client.get("/?as_of=2020-03-04").text


def test_refusals_of_earlier_days_are_listed(client: Any) -> None:
    assert "Publish by size class or by region" in client.get("/data?as_of=2020-06-24").text
    assert "refused nothing" in client.get("/data?as_of=2020-01-29").text


def test_a_joined_figure_names_the_release_of_each_row(client: Any) -> None:
    """The curve is put together from releases: each row of its file names the one that it stands in."""
    rows = list(csv.DictReader(io.StringIO(client.get("/figure/resumption.national.csv?as_of=2020-06-24").text)))
    for row in rows[:: max(1, len(rows) // 12)]:
        release = client.get(f"/release/{row['release']}").json()
        assert release["day"] == row["vintage"]
        where = {"date": row["date"], "weight": "count", "size": "_T"}
        found = [r for r in (dict(zip(release["columns"], v, strict=True)) for v in release["rows"])
                 if where.items() <= r.items()]  # fmt: skip
        assert [str(r["resumed"]) for r in found] == [row["resumed"]]
        assert release["stamp"]["hash"] == row["release_hash"]


def test_no_field_name_reaches_a_reader(client: Any) -> None:
    text = client.get("/decisions?as_of=2020-06-24").text
    main = re.sub(r"<svg.*?</svg>", "", text[text.index("<main") :], flags=re.S)
    said = re.sub(r"<[^>]+>", " ", main)
    assert not re.search(r"\b(?:holiday_|decided_on|legal_basis|illiquid_companies)", said)
    assert "A payment holiday on principal, decided on 4\u00a0March\u00a02020" in said
    assert "not yet known" in client.get("/decisions?as_of=2020-03-11").text


def test_every_figure_names_a_source(client: Any) -> None:
    for path in ("/", "/data", "/decisions"):
        assert not re.search(r"Source:\s*\.", client.get(f"{path}?as_of=2020-04-22").text)
    assert client.get("/figure/scores.resumption.json?as_of=2020-04-22").json()["source"] != ""


def test_more_figures_are_named_by_what_they_show(client: Any) -> None:
    text = client.get("/?as_of=2020-04-22").text
    links = re.findall(r">([^<>]+)</a>", text[text.index('id="more"') :].partition("</section>")[0])
    assert links
    assert not [link for link in links if re.fullmatch(r"[a-z_.]+(--[a-z]+)?", link)]


def test_methods_follow_the_loop(client: Any) -> None:
    text = client.get("/methods?as_of=2020-04-22").text
    assert text.index("Work resumption") < text.index("Nowcast of GDP") < text.index("Options of relief")


def test_series_of_different_units_get_a_scale_each(builder: Any) -> None:
    from opsroom.faces.figures import build
    from opsroom.faces.reader import desk_at

    rows = [[f"2016-0{m}", s, v * m] for m in (1, 2, 3) for s, v in (("UNRATE", 4.9), ("PAYEMS", 144_000.0))]
    release = builder.make("us_panel.levels", date(2016, 7, 29), ["date", "series"],
                           [("value", "", "public", 1, [])], rows)  # fmt: skip
    figure = build(desk_at(builder.MemoryReleases([release], {})), "us_panel.levels")
    assert len(figure.rows) == 6
    assert figure.draw is not None
    assert len(figure.draw().to_dict(validate=False)["vconcat"]) == 2
    assert "in its own unit" in figure.caption.unit


def test_a_plain_title_names_the_part_that_stands_out_never_the_total(builder: Any) -> None:
    from opsroom.faces.figures import build
    from opsroom.faces.reader import desk_at

    def title(values: dict[str, float]) -> str:
        rows = [[f"2020-0{m}", s, v * m] for m in (1, 2) for s, v in values.items()]
        release = builder.make(
            "things.counted", date(2020, 3, 4), ["month", "kind"], [("value", "%", "public", 1, [])], rows
        )
        return build(desk_at(builder.MemoryReleases([release], {})), "things.counted").caption.finding

    assert "highest in late birds with 4.0" in title({"_T": 9.0, "early_birds": 1.0, "late_birds": 2.0})
    assert "lowest in late birds with \u22124.0" in title({"_T": 9.0, "early_birds": 1.0, "late_birds": -2.0})
    assert "18.0" in title({"_T": 9.0})


def test_growth_of_several_economies_is_ranked(builder: Any) -> None:
    from opsroom.faces.figures import build
    from opsroom.faces.kpis import kpis
    from opsroom.faces.reader import desk_at
    from opsroom.faces.words_story import tell

    rows = [[q, s, v] for q in ("2025-Q3", "2025-Q4") for s, v in (("dk", 5.5), ("ca", -5.5), ("fr", 0.1))]
    release = builder.make("prices.growth", date(2026, 6, 1), ["date", "series"], [("value", "%", "public", 1, [])],
                           rows, {"title": "Real house prices, 3 economies"})  # fmt: skip
    desk = desk_at(builder.MemoryReleases([release], {}))
    figure = build(desk, "prices.growth")
    assert (
        figure.caption.finding == "Real house prices rose in 2 of 3: most in Denmark (+5.5 %), least in Canada (−5.5 %)"
    )
    assert [k.value for k in kpis(desk)] == ["+5.5\u00a0%", "−5.5\u00a0%"]
    assert "real house prices rose on a year earlier in 2 of 3 economies" in tell(desk)[0].text
