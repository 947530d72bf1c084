"""The planner's exam for people: one HTML page with sentences, the map as pictures and as a table with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from opsroom.faces.brief.html import environment
from opsroom.faces.exam import exam_drawings, exam_tables


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
    return environment().get_template("exam.html").render(
        style=Markup(style), sentences=str(document["summary"]).split("\n"),
        charts=exam_drawings(charts), tables=exam_tables(document),
    )  # fmt: skip
