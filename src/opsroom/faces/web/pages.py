"""The pages: a request becomes a desk as of a day, a desk becomes HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from opsroom._version import __version__
from opsroom.base.charts_render import DrawingCache, sparkline
from opsroom.base.errors import DataError, NotFoundError, OpsroomError, UsageError
from opsroom.faces import activity, inbox
from opsroom.faces import words as w
from opsroom.faces.codes import title_of
from opsroom.faces.document import figure_document
from opsroom.faces.exam import exam_drawings, exam_limits, exam_sentences, exam_tables
from opsroom.faces.figures import Figure, attempt, available, build, grouped
from opsroom.faces.figures.figure import source_of, stamp_of
from opsroom.faces.figures.generic import how_of
from opsroom.faces.kpis import kpis
from opsroom.faces.reader import Desk, ReleasesReader, day_of, desk_at, measures_of, published_days, remark, room_of
from opsroom.faces.tables import cell, column_title, comparison_table, decision_words, shown_rows
from opsroom.faces.words_methods import METHODS
from opsroom.faces.words_story import TOPICS, tell

HERE = Path(__file__).parent

FIRST_PAGE = {
    "work": ("resumption.national", "resumption.change", "resumption.region", "resumption.section"),
    "output": ("nowcast.gdp", "nowcast.gdp--news", "nowcast.gdp--due"),
    "credit": ("loans.section--warnings", "liquidity.section", "loans.section"),
    "options": ("relief.options", "relief.deadline", "relief.options--classes", "relief.options--costs"),
    "record": ("resumption.national--vintages", "scores.resumption", "scores.nowcast", "relief.outcome"),
}
"""Figures of the overview where the room has them; series not named here follow in their group."""

SPECIAL_ONLY = frozenset(
    {
        "resumption.national--coverage",
        "resumption.national--weights",
        "resumption.national--capacity",
        "data.revisions",
        "data.quality",
        "decisions.log",
        "nowcast.news",
        "warnings.inbox",
    }
)
"""Figures with a page of their own or a place on the data page."""

MOST_FIGURES = 22
"""Figures on the overview of a room with many series; the rest are listed. Each weighs some 5 KB of the 200."""


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the template engine, with the words and number formats that templates use."""
    env = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals.update(
        say=w.say,
        day=w.day,
        period=w.period,
        number=w.number,
        cell=cell,
        column_title=column_title,
        source_of=source_of,
        stamp_of=stamp_of,
        measures_of=measures_of,
        label=w.label,
        version=__version__,
        quote=lambda text: quote(str(text), safe=""),
    )
    return env


class Pages:
    """The endpoints. They hold the reader and the cache of drawings, nothing else.

    Parameters
    ----------
    releases
        Reader of stored releases.
    drawings
        Cache of drawings.
    examined
        Returns the exam that the room keeps (`opsroom.room.exam_kept.kept_exam`); None where it keeps none.
    """

    def __init__(
        self, releases: ReleasesReader, drawings: DrawingCache, examined: Callable[[], Mapping[str, Any] | None]
    ) -> None:
        self.releases = releases
        self.drawings = drawings
        self.examined = examined

    # -- pages --------------------------------------------------------------------------------

    def overview(self, request: Request) -> Response:
        """Key figures, the story, and the figures of each step of the loop."""
        if (answer := self._stepped(request)) is not None:
            return answer
        desk = self._desk(request)
        told = tell(desk)
        groups = first_page(desk)
        shown = {f.name for _, figures in groups for f in figures}
        cards = [(k, Markup(sparkline(list(k.history)))) for k in kpis(desk)]
        return self._page(
            request, desk, "overview.html", "overview",
            kpis=cards, topics=[(t, [s for s in told if s.topic == t]) for t in TOPICS],
            groups=[(g, [(f, self._svg(f)) for f in figures]) for g, figures in groups], warned=inbox.standing(desk),
            more=[(n, f.caption.finding) for n in available(desk) if n not in shown and (f := attempt(desk, n))],
        )  # fmt: skip

    def data(self, request: Request) -> Response:
        """Frame, unit, coverage, freshness, revisions, suppressed share and refusals."""
        desk = self._desk(request)
        names = available(desk)
        tables = [build(desk, n) for n in ("data.quality",) if n in names]
        drawn = [build(desk, n) for n in ("data.revisions", "resumption.national--coverage") if n in names]
        return self._page(
            request, desk, "data.html", "data",
            tables=[(f, shown_rows(desk, f)) for f in tables],
            figures=[(f, self._svg(f)) for f in drawn],
            series=[(r, title_of(desk, r), how_of(r.name)) for r in desk],
            drawable=set(names),
            frame=_facts(desk.get("resumption.national")),
            refusals=[_refusal(r) for r in desk.refusals()],
        )  # fmt: skip

    def activity(self, request: Request) -> Response:
        """The activity desk: how much, why, where, under what, and what has changed since another day's page."""
        desk = self._desk(request)
        shown, sizes = activity.figures(desk), activity.by_size(desk)
        against = request.query_params.get("against") or ""
        other = desk_at(self.releases, against, asked="against") if against else None
        return self._page(
            request, desk, "activity.html", "activity",
            figures=[(f, self._svg(f)) for f in shown if f.draw is not None],
            tables=[(f, shown_rows(desk, f)) for f in shown if f.draw is None],
            uses=any(f.name == "resumption.use" for f in shown),
            sizes=(sizes, shown_rows(desk, sizes)) if sizes else None, events=activity.events(desk),
            against=other.day.isoformat() if other else "",
            compared=comparison_table(desk, activity.compare(other, desk)) if other else None,
        )  # fmt: skip

    def warnings(self, request: Request) -> Response:
        """What has crossed its threshold, with its record, its evidence, and who has taken note."""
        desk = self._desk(request)
        asked = inbox.Filters.of(request.query_params)
        return self._page(
            request, desk, "warnings.html", "warnings",
            watched=desk.get(inbox.INBOX) is not None, lead=inbox.standing(desk) or w.say("inbox.none_stands"),
            asked={"state": asked.state, "rule": asked.rule, "about": asked.about, "unread": asked.unread},
            choices=inbox.choices(desk),
            groups=[(g, self._svg(g.evidence) if g.evidence else "") for g in inbox.groups(desk, asked)],
            quiet=inbox.quiet(desk, asked),
        )  # fmt: skip

    def decisions(self, request: Request) -> Response:
        """The decision records with forecast, outcome and score."""
        desk = self._desk(request)
        names = available(desk)
        log = build(desk, "decisions.log") if "decisions.log" in names else None
        wanted = ("relief.options", "scores.resumption", "scores.nowcast")
        drawn = [figure for n in wanted if n in names and (figure := attempt(desk, n)) is not None]
        return self._page(
            request, desk, "decisions.html", "decisions",
            log=log, rows=[decision_words(r) for r in log.records()] if log else [],
            sentences=[s for s in tell(desk) if s.topic == "record"],
            figures=[(f, self._svg(f)) for f in drawn],
        )  # fmt: skip

    def exam(self, request: Request) -> Response:
        """The planner's exam, where the room keeps one; a synthetic room without says how to hold it."""
        room = room_of(self.releases)
        if room["synthetic"] and self.examined() is None:
            text = environment().get_template("exam_invited.html").render(
                room=room, page="exam", path=request.url.path, examined=True
            )  # fmt: skip
            return HTMLResponse(text)
        kept = self._kept()
        text = environment().get_template("exam.html").render(
            room=room, page="exam", path=request.url.path, examined=True,
            sentences=exam_sentences(kept["result"]), limits=exam_limits(kept["result"]), held=kept["day"],
            charts=exam_drawings(kept["charts"], self.drawings), tables=exam_tables(kept["result"]),
        )  # fmt: skip
        return HTMLResponse(text)

    def exam_json(self, request: Request) -> Response:
        """The exam's result as it is kept."""
        kept = self._kept()
        body = json.dumps({"day": kept["day"], **kept["result"]}, ensure_ascii=False)
        return Response(body, media_type="application/json")

    def figure(self, request: Request) -> Response:
        """One figure with its data, method, citation and stamps."""
        desk = self._desk(request)
        found = build(desk, request.path_params["name"])
        past = desk.past(found.name.partition("--")[0])
        return self._page(
            request, desk, "figure.html", "",
            figure=found, svg=self._svg(found), rows=shown_rows(desk, found, limit=400),
            stamps=found.stamps()[:6], all_stamps=len(found.releases),
            history=[day_of(r.day).isoformat() for r in past],
            facts=_facts(found.main), held=len(getattr(found.main, "held", None) or ()),
            remark=remark(desk.room, found.main), citation=citation(desk, found), how=w.say(found.how).split("\n"),
        )  # fmt: skip

    def methods(self, request: Request) -> Response:
        """How the figures are made, all methods on one page."""
        desk = self._desk(request)
        used = {how_of(r.name) for r in desk}
        # In the order of the loop, not of the alphabet; what the catalogue does not know comes last.
        keys = [key for key in METHODS if key in used]
        return self._page(request, desk, "methods.html", "methods", methods=[_method(desk, k) for k in keys])

    def method(self, request: Request) -> Response:
        """How one family of figures is made."""
        desk = self._desk(request)
        key = f"how.{request.path_params['name']}"
        if not w.CATALOGUE.has(key):
            raise NotFoundError("there is no such method.", remedy="See the list at /methods.", code="OPS-N021")
        return self._page(request, desk, "methods.html", "methods", methods=[_method(desk, key)])

    def release(self, request: Request) -> Response:
        """The release itself, byte for byte."""
        return Response(self.releases.raw(request.path_params["id"]), media_type="application/json")

    # -- files beside a figure ----------------------------------------------------------------

    def figure_csv(self, request: Request) -> Response:
        """The data of a figure as CSV; each row names its release."""
        desk = self._desk(request)
        found = build(desk, request.path_params["name"])
        return Response(
            csv_text(found),
            media_type="text/csv; charset=utf-8",
            headers={
                "content-disposition": f'attachment; filename="{found.name}@{desk.day}.csv"',
                "link": f'</figure/{quote(found.name)}.json?as_of={desk.day}>; rel="describedby"',
            },
        )

    def figure_json(self, request: Request) -> Response:
        """The data of a figure with caption, citation, licence and stamps as JSON."""
        desk = self._desk(request)
        found = build(desk, request.path_params["name"])
        body = json.dumps(figure_document(desk, found), ensure_ascii=False, indent=1)
        return Response(body, media_type="application/json")

    def figure_svg(self, request: Request) -> Response:
        """The drawing as a file, title and source inside."""
        desk = self._desk(request)
        found = build(desk, request.path_params["name"])
        drawing = found.svg(self.drawings, mode="file")
        if not drawing:
            raise NotFoundError("this figure is a table.", remedy="Take its .csv or .json.", code="OPS-N022")
        return Response(drawing, media_type="image/svg+xml")

    # -- inside -------------------------------------------------------------------------------

    def error_text(self, request: Request, error: OpsroomError) -> str:
        """Return the page of an error."""
        return environment().get_template("error.html").render(
            error=error, room=room_of(self.releases), page="", path=request.url.path, examined=False
        )  # fmt: skip

    def _links_exam(self) -> bool:
        """Say whether pages link to the exam's: also to one that cannot be read, for that page says so."""
        try:
            return bool(room_of(self.releases)["synthetic"]) or self.examined() is not None
        except DataError:
            return True

    def _kept(self) -> Mapping[str, Any]:
        kept = self.examined()
        if kept is None:
            raise NotFoundError(
                "this room keeps no exam.", remedy="Hold one: `opsroom exam --room FOLDER`.", code="OPS-N023"
            )
        return kept

    def _desk(self, request: Request) -> Desk:
        return desk_at(self.releases, request.query_params.get("as_of"))

    def _stepped(self, request: Request) -> Response | None:
        """Turn the position of the slider into the day's own address."""
        step = request.query_params.get("step")
        if step is None:
            return None
        days = published_days(self.releases)
        if not step.isascii() or not step.isdigit() or len(step) > 6 or int(step) >= len(days):
            raise UsageError("step is not a position of the slider.", code="OPS-U021")
        return RedirectResponse(f"/?as_of={days[int(step)]}", status_code=303)

    def _svg(self, figure: Figure) -> Markup:
        return Markup(figure.svg(self.drawings))

    def _page(self, request: Request, desk: Desk, template: str, page: str, **values: Any) -> Response:
        days = published_days(self.releases)
        asked = request.query_params.get("as_of") or ""
        text = environment().get_template(template).render(
            desk=desk, room=desk.room, day_iso=desk.day.isoformat(), days=[d.isoformat() for d in days],
            index=days.index(desk.day), page=page, path=request.url.path, between=_between(asked, desk.day),
            latest=days[-1].isoformat(), alarm=self.releases.alarm(),
            examined=self._links_exam(), **values,
        )  # fmt: skip
        return HTMLResponse(text)


def _between(asked: str, shown: date) -> str:
    return asked if asked and asked != shown.isoformat() else ""


def first_page(desk: Desk) -> list[tuple[str, list[Figure]]]:
    """Return the figures of the overview by group: those named for it, then a room's own series.

    Those named always come: however many series a room has, none of them pushes the options or the record off the
    page. What is left of `MOST_FIGURES` goes to the rest, one of each group in turn.
    """
    chosen: dict[str, list[Figure]] = {}
    rest: dict[str, list[Figure]] = {}
    for group, figures in grouped(desk).items():
        wanted = FIRST_PAGE.get(group, ())
        named = {f.name: f for f in figures}
        chosen[group] = [named[n] for n in wanted if n in named]
        # A table without a picture has its own page: the overview links to it.
        rest[group] = [f for f in figures if f.name not in wanted and f.name not in SPECIAL_ONLY and f.draw is not None]
    turns = [(turn, group) for group, figures in rest.items() for turn in range(len(figures))]
    room_left = max(0, MOST_FIGURES - sum(map(len, chosen.values())))
    order = {group: place for place, group in enumerate(rest)}
    for turn, group in sorted(turns, key=lambda t: (t[0], order[t[1]]))[:room_left]:
        chosen[group].append(rest[group][turn])
    return [(group, figures) for group, figures in chosen.items() if figures]


def csv_text(figure: Figure) -> str:
    """Return a figure's data as CSV; the last columns name each row's release, its hash and its licence."""
    stamps = figure.stamps()
    by_day = {stamp["day"]: stamp for stamp in reversed(stamps)}
    vintage = figure.columns.index("vintage") if "vintage" in figure.columns else None
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*figure.columns, "release", "release_hash", "licence"])
    for row in figure.rows:
        # A figure that joins releases says of each row in which it stands; a table of vintages is one release.
        joined = vintage is not None and len(stamps) > 1
        stamp = by_day.get(str(row[vintage]), stamps[0]) if joined and vintage is not None else stamps[0]
        cells = ["" if v is None else v for v in row]
        writer.writerow([*cells, stamp["id"], stamp["hash"], figure.main.licence])
    return out.getvalue()


def citation(desk: Desk, figure: Figure) -> str:
    """Return how to cite a figure."""
    stamp = figure.stamps()[0]
    return (
        f"{desk.room['title']}: {figure.caption.finding}. Method: {figure.main.method}. "
        f"Source: {figure.source}. Release {stamp['id']}, {stamp['hash'][:19]}."
    )


def _method(desk: Desk, key: str) -> dict[str, Any]:
    used = [r for r in desk if how_of(r.name) == key]
    return {
        "key": key.removeprefix("how."),
        "title": w.upper_first(w.label("topic", key.removeprefix("how."))),
        "text": w.say(key).split("\n"),
        "series": [(r.name, title_of(desk, r), r.method) for r in used if attempt(desk, r.name) is not None],
    }


def _facts(release: Any) -> list[tuple[str, str]]:
    """Return the scalar facts of a release in words; nested ones are in the file."""
    facts = release.facts if release is not None else {}
    found = []
    for key, value in facts.items():
        # A setting without words for people stays in the .json.
        if value is None or isinstance(value, (list, dict)) or not w.CATALOGUE.has(f"fact.{key}"):
            continue
        whole = isinstance(value, float) and value == round(value)
        text = w.period(value) if isinstance(value, str) else cell(value, 0 if whole else None)
        found.append((w.label("fact", key), text))
    return found


def _refusal(item: Any) -> dict[str, str]:
    """Return a refusal's public words: day, series, rule and remedy, whatever its type."""
    get = item.get if isinstance(item, dict) else lambda key, default="": getattr(item, key, default)
    return {key: str(get(key, "") or "") for key in ("day", "name", "rule", "remedy")}
