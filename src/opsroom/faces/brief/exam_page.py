"""The planner's exam for people: one HTML page with sentences, the map as pictures and as a table with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from opsroom.base.charts import signed
from opsroom.base.charts_render import render_svg, spec_of
from opsroom.faces.brief.html import environment


def exam_page(document: Mapping[str, Any], charts: Sequence[Any]) -> str:
    """Return the page as self-contained HTML: no script, no link to any host.

    Parameters
    ----------
    document
        What `ExamResult.to_dict` returns.
    charts
        Its charts.
    """
    # by its place, not by its package: importing that would load a web server
    style = (files("opsroom.faces") / "web" / "static" / "opsroom.css").read_text("utf-8")
    level = f"{100 * document['level']:.0f} % interval"
    tables = [
        {
            "caption": f"The planner's lead over {name}, per cent of final use",
            "titles": ["shocks", "unannounced", "sectors seen", "error", "delay, weeks", "verdict", "lead", level],
            "words": 0,
            "rows": [_row(r) for r in document[key]],
        }
        for key, name in (("map", "price adjustment"), ("against_pro_rata", "equal shares"))
    ]
    return environment().get_template("exam.html").render(
        style=Markup(style), sentences=str(document["summary"]).split("\n"),
        charts=[_drawn(chart, k) for k, chart in enumerate(charts)], tables=tables,
    )  # fmt: skip


def _row(r: Mapping[str, Any]) -> list[str]:
    return [
        f"{100 * r['size']:.0f} %", f"{100 * r['surprise']:.0f} %", f"{100 * r['coverage']:.0f} %",
        f"{100 * r['noise']:.0f} %", f"{r['delay']:.0f}", str(r["verdict"]), signed(r["difference"], 2),
        f"{signed(r['lower'], 2)} to {signed(r['upper'], 2)}",
    ]  # fmt: skip


def _drawn(chart: Any, number: int) -> dict[str, Any]:
    spec = spec_of(chart)
    title = spec["title"]
    finding = " ".join(title["text"])
    svg = render_svg(spec, mode="page", ident=f"exam-{number}", title=finding, desc=spec["usermeta"]["alt"])
    return {"finding": finding, "unit": " ".join(title["subtitle"]), "svg": Markup(svg)}
