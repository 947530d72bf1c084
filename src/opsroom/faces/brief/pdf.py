"""The briefing as PDF: real text, tagged (PDF/UA-1), typeset by Typst with the typefaces that it ships."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import InternalError
from opsroom.faces import words as w
from opsroom.faces.words_story import TOPICS

if TYPE_CHECKING:
    from opsroom.faces.brief.briefing import Briefing

PRINTED_ROWS = 14
"""Rows of a table in print: figures without a chart are tables, and a page has an end."""


TWICE = frozenset({"nowcast.news"})
"""Tables whose numbers a drawing beside them shows already: in print they would push warnings off their page."""


def to_pdf(briefing: Briefing) -> bytes:
    """Return the briefing as a tagged PDF.

    Notes
    -----
    Text reaches Typst as data, never as markup, so nothing in a release can change the layout. The
    time stamp is the day of the briefing and system typefaces are ignored: the same releases give
    the same bytes.
    """
    import typst

    source = (files("opsroom.faces.brief") / "templates" / "brief.typ").read_bytes()
    moment = datetime(briefing.day.year, briefing.day.month, briefing.day.day, tzinfo=UTC)
    try:
        made = typst.compile(
            source,
            format="pdf",
            sys_inputs={"data": json.dumps(_data(briefing), ensure_ascii=False)},
            pdf_standards=["ua-1"],
            ignore_system_fonts=True,
            timestamp=moment,
        )
    except typst.TypstError as error:
        raise InternalError(f"the PDF could not be set: {error.message}.") from None
    if not isinstance(made, bytes):
        raise InternalError("the typesetter returned no PDF.")
    return made


def _data(briefing: Briefing) -> dict[str, Any]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for figure in briefing.figures:
        table = briefing.tables[figure.name]
        drawing = briefing.svg(figure, printed=True)
        if figure.name in TWICE and not drawing:
            continue
        groups.setdefault(figure.group, []).append(
            {
                "finding": figure.caption.finding,
                "unit": figure.caption.unit,
                "alt": figure.caption.description,
                "svg": drawing,
                "wide": _aspect(drawing) if drawing else 0.0,
                "source": f"Source: {figure.source.rstrip('.')}. As of {w.day(figure.day)}. "
                f"Licence: {figure.main.licence}. Release {figure.main.id}.",
                "titles": table["titles"] if not drawing else [],
                "numeric": table["numeric"],
                "rows": table["rows"][:PRINTED_ROWS] if not drawing else [],
            }
        )
    for items in groups.values():
        _stack(items)
    return {
        "title": briefing.title,
        "day": w.day(briefing.day),
        "date": [briefing.day.year, briefing.day.month, briefing.day.day],
        "heading": f"Briefing, {w.say('page.as_of', day=w.day(briefing.day))}",
        "disclaimer": briefing.disclaimer,
        "kpis": [
            {
                "label": k.label,
                "value": k.value,
                "lines": [t for t in (k.interval, k.about, k.change, k.note) if t],
            }
            for k in briefing.kpis
        ],
        "story": w.say("page.story"),
        "topics": [
            {"title": w.say(f"group.{t}"), "sentences": said}
            for t in TOPICS
            if (said := [s.text for s in briefing.sentences if s.topic == t])
        ],
        "groups": [
            {
                "title": w.say(f"group.{g}"),
                "note": w.say("page.options_note") if g == "options" else "",
                "figures": items,
            }
            for g, items in groups.items()
        ],
        "about": w.say("page.about"),
        "releases": [
            [
                s["id"],
                s["profile"],
                str(s["ledger"]),
                f"{s['suppressed']} of {s['cells']}",
                str(s["hash"])[:23],
            ]
            for s in briefing.document["releases"]
        ],
    }


def _stack(figures: list[dict[str, Any]]) -> None:
    """Give each drawing to the left or the right stack, whichever is shorter so far."""
    heights = [0.0, 0.0]
    for figure in figures:
        side = 0 if heights[0] <= heights[1] else 1
        figure["stack"] = side
        # Words around a drawing take about as much as a drawing of 0.4.
        heights[side] += figure["wide"] + 0.4 if figure["svg"] else 0.0


def _aspect(svg: str) -> float:
    """Return height over width of a drawing."""
    head = svg[: svg.index(">")]
    size = {name: float(head.split(f'{name}="')[1].split('"')[0]) for name in (" width", " height")}
    return size[" height"] / size[" width"]
