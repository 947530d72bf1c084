"""The pages in a real browser: no other host, accessible, keyboard, scripts off, telephone, dark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

pytestmark = pytest.mark.browser

DAY = "2020-04-22"
PAGES = [
    "/",
    "/activity",
    "/warnings",
    "/data",
    "/decisions",
    "/methods",
    "/exam",
    "/figure/resumption.national",
    "/figure/data.quality",
]


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def test_asks_no_other_host(page: Any, served: str, served_public: str) -> None:
    asked: list[str] = []
    errors: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    for base in (served, served_public):
        for path in PAGES[:4]:
            page.goto(base + path)
    own = {urlsplit(served).netloc, urlsplit(served_public).netloc}
    assert {urlsplit(u).netloc for u in asked} == own
    assert not errors


def test_overview_is_light(page: Any, served: str) -> None:
    sizes: list[int] = []
    page.on("response", lambda response: sizes.append(len(response.body())))
    page.goto(f"{served}/?as_of={DAY}", wait_until="networkidle")
    assert len(sizes) <= 4
    assert sum(sizes) < 200_000


@pytest.mark.parametrize(
    ("width", "scheme"),
    [
        (1280, "light"),
        (375, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.long),
        pytest.param(375, "light", marks=pytest.mark.long),
    ],
)
def test_no_accessibility_violation(
    chromium: Any, served: str, served_public: str, axe: Any, scheme: str, width: int
) -> None:
    source = axe.axe_source()
    if source is None:
        pytest.skip(axe.why_absent())
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    for address in [*(f"{served}{p}?as_of={DAY}" for p in PAGES), f"{served_public}/", f"{served}/nowhere"]:
        page.goto(address)
        page.evaluate(source)
        result = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        assert len(result["passes"]) > 10, "axe-core did not look at the page"
        found = [(v["id"], [n["target"] for n in v["nodes"]][:3]) for v in result["violations"]]
        assert not found, address
    context.close()


def test_works_with_scripts_off(chromium: Any, served: str) -> None:
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served}/?as_of={DAY}")
    assert page.locator("svg[role=img]").count() >= 10
    page.locator("a.step[rel=prev]").click()
    assert page.url.endswith("as_of=2020-04-15")
    page.select_option("#as_of", "2020-02-19")
    page.locator("form.pick button").click()
    assert page.url.endswith("as_of=2020-02-19")
    page.locator("#step").focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.locator("form.slide button").click()
    assert page.url.endswith("as_of=2020-03-04")
    assert "as of 4\u00a0March\u00a02020" in page.locator(".now").inner_text()
    context.close()


def test_replay_by_keyboard(page: Any, served: str) -> None:
    page.goto(f"{served}/?as_of={DAY}")
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**as_of=2020-04-15")
    page.keyboard.press("ArrowRight")
    page.wait_for_url(f"**as_of={DAY}")
    page.locator("#step").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.wait_for_url("**as_of=2020-04-08")


def test_skip_link_comes_first_and_focus_is_seen(page: Any, served: str) -> None:
    page.goto(f"{served}/?as_of={DAY}")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert style == "solid"


def test_slider_moves_at_once_with_the_pointer(page: Any, served: str) -> None:
    page.goto(f"{served}/data?as_of={DAY}")
    box = page.locator("#step").bounding_box()
    page.mouse.click(box["x"] + 4, box["y"] + box["height"] / 2)
    page.wait_for_url("**/data?as_of=2020-01-22")


@pytest.mark.parametrize("path", PAGES)
def test_no_sideways_scrolling_on_a_phone(chromium: Any, served: str, path: str) -> None:
    context = chromium.new_context(viewport={"width": 375, "height": 740})
    page = context.new_page()
    page.goto(f"{served}{path}?as_of={DAY}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    context.close()


def test_dark_page_changes_the_charts_too(chromium: Any, served: str) -> None:
    seen = []
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(f"{served}/?as_of={DAY}")
        script = "e => getComputedStyle(e).{}"
        ground = page.locator("body").evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
        stroke = page.locator("svg[role=img] path[stroke='var(--main)']").first.evaluate(script.format("stroke"))
        seen.append((ground, stroke))
        context.close()
    assert seen[0][0] != seen[1][0]
    assert seen[0][1] != seen[1][1]
    assert all(re.match(r"rgb\(", colour) for pair in seen for colour in pair)


def test_briefing_opens_from_a_file(chromium: Any, meridia_releases: Any, drawings: Any, tmp_path: Any) -> None:
    from opsroom.base.charts_render import DrawingCache
    from opsroom.faces.brief import make_brief

    path = make_brief(meridia_releases, DAY, drawings=DrawingCache(drawings)).save(tmp_path / "brief.html")
    context = chromium.new_context(viewport={"width": 375, "height": 740}, offline=True)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(path.as_uri())
    assert page.locator("svg[role=img]").count() >= 15
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert not errors
    context.close()
