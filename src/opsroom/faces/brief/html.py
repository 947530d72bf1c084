"""The briefing as one HTML file: styles and drawings inside, no script, no link to any host."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from opsroom.faces import words as w
from opsroom.faces.words_story import TOPICS

if TYPE_CHECKING:
    from opsroom.faces.brief.briefing import Briefing


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the template engine of the files that stand alone."""
    folder = str(files("opsroom.faces.brief") / "templates")
    env = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(say=w.say, day=w.day)
    return env


def to_html(briefing: Briefing) -> str:
    """Return the briefing as one self-contained HTML page."""
    # by its place, not by its package: importing that would load a web server
    style = (files("opsroom.faces") / "web" / "static" / "opsroom.css").read_text("utf-8")
    groups: dict[str, list[tuple[object, Markup]]] = {}
    for figure in briefing.figures:
        groups.setdefault(figure.group, []).append((figure, Markup(briefing.svg(figure))))
    template = environment().get_template("brief.html")
    return template.render(
        brief=briefing,
        style=Markup(style),
        topics=[(t, [s for s in briefing.sentences if s.topic == t]) for t in TOPICS],
        groups=groups,
        releases=briefing.document["releases"],
    )
