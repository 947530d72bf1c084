"""FastAPI application under ``/api/v1``. Errors are problem documents (RFC 9457) with opsroom's code."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from opsroom._version import __version__
from opsroom.base.charts_render import DrawingCache
from opsroom.base.errors import InternalError, NotFoundError, OpsroomError
from opsroom.faces import activity, inbox
from opsroom.faces import words as w
from opsroom.faces.api import models
from opsroom.faces.callers import Ask, Keeper, caller, challenge_of, require_door, status_of
from opsroom.faces.document import figure_document
from opsroom.faces.figures import available, build
from opsroom.faces.figures.figure import stamp_of
from opsroom.faces.figures.generic import how_of
from opsroom.faces.kpis import kpis
from opsroom.faces.reader import Desk, ReleasesReader, day_of, desk_at, published_days, room_of
from opsroom.faces.words_story import tell
from opsroom.protect.access import User

AsOf = Annotated[
    date | None,
    Query(description="Day as of which to answer; the last publication day on or before it is used."),
]
Name = Annotated[str, Path(min_length=1, max_length=120, description="Name, such as resumption.national.")]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": models.Problem, "content": {"application/problem+json": {}}} for code in (400, 401, 403, 404, 422)
}


def create_api(
    releases: ReleasesReader,
    drawings: DrawingCache | None = None,
    *,
    door: Keeper | None = None,
    ask: Ask | None = None,
) -> FastAPI:
    """Build the API over a reader of stored releases.

    Parameters
    ----------
    releases
        Reader of stored releases.
    drawings
        Cache of drawings, shared with the pages.
    door
        Tells callers by their tokens. Without one there is nothing to ask for but releases.
    ask
        Answers questions for tables and derived numbers of callers whom the door knows.

    Returns
    -------
    fastapi.FastAPI

    Raises
    ------
    SettingsError
        The room's releases are read with a token, and there is no door.
    """
    require_door(releases, door)
    api = FastAPI(
        title="opsroom", version=__version__, responses=PROBLEMS, docs_url=None, redoc_url=None,
        description="Stored releases of an operations room. Every answer is as of a publication day.",
    )  # fmt: skip
    cache = drawings or DrawingCache()
    _errors(api)
    _health(api, releases)
    reading = [Depends(caller(door, "read"))] if door is not None and door.readers == "token" else []
    for add in (_room, _releases, partial(_figures, cache=cache)):
        router = APIRouter(dependencies=reading)
        add(router, releases)
        api.include_router(router)
    if door is not None:
        _callers(api, door)
        if ask is not None:
            _tables(api, door, ask)
    return api


def _desk(releases: ReleasesReader, as_of: date | None) -> Desk:
    return desk_at(releases, as_of)


def _health(api: FastAPI, releases: ReleasesReader) -> None:
    @api.get("/health", tags=["room"])
    def health() -> models.Health:
        """Tell that the room answers, what it was published last, and whether its records are in order."""
        days, alarm = published_days(releases), releases.alarm()
        return models.Health(
            status="alarm" if alarm else "ok", version=__version__, days=len(days),
            latest=days[-1] if days else None, alarm=alarm,
        )  # fmt: skip


def _callers(api: FastAPI, door: Keeper) -> None:
    reader = Depends(caller(door, "read"))

    @api.get("/me", tags=["access"])
    def me(user: User = reader) -> models.Caller:
        """Return who the token says that the caller is, with rights and scope."""
        return models.Caller(name=user.name, role=user.role, rights=sorted(user.rights), scope=user.scope.to_dict())

    @api.get("/audit/head", tags=["access"], dependencies=[Depends(caller(door, "audit"))])
    def head() -> models.Head:
        """Return number and hash of the audit log's last entry, to be written down elsewhere."""
        found = door.head()
        return models.Head(seq=found.seq, hash=found.hash)


def _tables(api: FastAPI, door: Keeper, ask: Ask) -> None:
    asker = Depends(caller(door, "query"))

    @api.post(
        "/tables",
        tags=["tables"],
        response_class=Response,
        responses={200: {"content": {"application/json": {}}}},
    )
    def table(query: models.TableQuery, user: User = asker) -> Response:
        """Answer a table query by a release, byte for byte as it was stamped, or refuse it."""
        return Response(ask(user.name, query.model_dump(exclude_none=True)).json_bytes, media_type="application/json")

    @api.post(
        "/derived",
        tags=["tables"],
        response_class=Response,
        responses={200: {"content": {"application/json": {}}}},
    )
    def derived(query: models.DerivedQuery, user: User = asker) -> Response:
        """Answer a question for a number derived from cells by a release, byte for byte, or refuse it."""
        return Response(ask(user.name, query.model_dump(exclude_none=True)).json_bytes, media_type="application/json")


def _room(api: APIRouter, releases: ReleasesReader) -> None:
    @api.get("/room", tags=["room"])
    def room() -> models.Room:
        """Return the room's public settings."""
        return models.Room.model_validate(room_of(releases))

    @api.get("/days", tags=["room"])
    def days() -> list[date]:
        """Return the days of publication, earliest first."""
        return published_days(releases)

    @api.get("/overview", tags=["room"])
    def overview(as_of: AsOf = None) -> models.Overview:
        """Return the first page: key figures, story, names of figures."""
        desk = _desk(releases, as_of)
        return models.Overview(
            as_of=desk.day, synthetic=desk.synthetic, disclaimer=str(desk.room.get("disclaimer") or ""),
            kpis=[models.Kpi.of(k) for k in kpis(desk)],
            story=[models.Sentence.of(s) for s in tell(desk)], figures=available(desk),
        )  # fmt: skip

    @api.get("/story", tags=["room"])
    def told(as_of: AsOf = None) -> list[models.Sentence]:
        """Return the sentences generated from the releases of the day."""
        return [models.Sentence.of(s) for s in tell(_desk(releases, as_of))]

    @api.get("/data", tags=["room"])
    def data(as_of: AsOf = None) -> models.Data:
        """Return the state of the data: series with withheld cells, and refusals."""
        desk = _desk(releases, as_of)
        return models.Data(
            as_of=desk.day, series=[models.Release.of(r) for r in desk],
            refusals=[models.Refusal.of(r) for r in desk.refusals()],
        )  # fmt: skip

    @api.get("/activity", tags=["room"])
    def activity_desk(as_of: AsOf = None, against: AsOf = None) -> models.Activity:
        """Return the activity desk: figures, events, and what another day's page said of the same periods."""
        desk = _desk(releases, as_of)
        other = _desk(releases, against) if against else None
        return models.Activity(
            as_of=desk.day, figures=[f.name for f in activity.figures(desk)], events=activity.events(desk),
            against=other.day if other else None,
            compared=[models.Compared.of(c) for c in activity.compare(other, desk)] if other else [],
        )  # fmt: skip

    @api.get("/warnings", tags=["room"])
    def warnings(
        as_of: AsOf = None, state: str = "open", rule: str = "", about: str = "", unread: str = ""
    ) -> list[dict[str, Any]]:
        """Return the warnings as published by the day: those that stand, or those asked for."""
        asked = {"state": state, "rule": rule, "about": about, "unread": unread}
        return inbox.warnings(_desk(releases, as_of), inbox.Filters.of(asked))

    @api.get("/decisions", tags=["room"])
    def decisions(as_of: AsOf = None) -> list[dict[str, Any]]:
        """Return the decision records with forecast, outcome and score."""
        desk = _desk(releases, as_of)
        return build(desk, "decisions.log").records() if "decisions.log" in desk.names() else []

    @api.get("/methods", tags=["room"])
    def methods(as_of: AsOf = None) -> list[models.Method]:
        """Return how each family of figures is made."""
        desk = _desk(releases, as_of)
        keys = dict.fromkeys(how_of(r.name) for r in desk)
        return [
            models.Method(
                name=k.removeprefix("how."),
                text=w.say(k),
                series=[r.name for r in desk if how_of(r.name) == k],
            )
            for k in keys
        ]


def _releases(api: APIRouter, releases: ReleasesReader) -> None:
    @api.get("/releases", tags=["releases"])
    def listing(as_of: AsOf = None, name: str | None = None) -> list[models.Release]:
        """Return the stamps of the releases issued by a day, latest first."""
        desk = _desk(releases, as_of)
        found = [r for n in desk.names() if name in (None, n) for r in desk.past(n)]
        return [models.Release.of(r) for r in sorted(found, key=lambda r: (day_of(r.day), r.name), reverse=True)]

    @api.get(
        "/releases/{id}",
        tags=["releases"],
        response_class=Response,
        responses={200: {"content": {"application/json": {}}}},
    )
    def release(id: Name) -> Response:
        """Return a release byte for byte, as it was stamped."""
        return Response(releases.raw(id), media_type="application/json")


def _figures(api: APIRouter, releases: ReleasesReader, cache: DrawingCache) -> None:
    @api.get("/figures", tags=["figures"])
    def listing(as_of: AsOf = None) -> list[str]:
        """Return the names of the figures of the day."""
        return available(_desk(releases, as_of))

    @api.get("/figures/{name}", tags=["figures"])
    def figure(name: Name, as_of: AsOf = None) -> models.Figure:
        """Return a figure: words, data, licence and stamps."""
        desk = _desk(releases, as_of)
        return models.Figure.model_validate(figure_document(desk, build(desk, name)))

    @api.get(
        "/figures/{name}/svg",
        tags=["figures"],
        response_class=Response,
        responses={200: {"content": {"image/svg+xml": {}}}},
    )
    def drawing(name: Name, as_of: AsOf = None) -> Response:
        """Return a figure's drawing."""
        svg = build(_desk(releases, as_of), name).svg(cache, mode="file")
        if not svg:
            raise NotFoundError("this figure is a table.", remedy="Take its data.", code="OPS-N022")
        return Response(svg, media_type="image/svg+xml")

    @api.get("/figures/{name}/history", tags=["figures"])
    def history(name: Name, as_of: AsOf = None) -> list[models.Stamp]:
        """Return the stamps of all releases behind a figure, latest first."""
        desk = _desk(releases, as_of)
        build(desk, name)
        past = desk.past(name.partition("--")[0])
        return [models.Stamp.model_validate(stamp_of(r)) for r in reversed(past)]


def _problem(status: int, code: str, title: str, detail: str, remedy: str = "") -> JSONResponse:
    body = {
        "type": f"urn:opsroom:{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": detail,
        "remedy": remedy,
    }
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def _errors(api: FastAPI) -> None:
    @api.exception_handler(OpsroomError)
    async def known(_: Request, error: OpsroomError) -> JSONResponse:
        answer = _problem(status_of(error), error.code, type(error).__name__, error.message, error.remedy)
        answer.headers.update(challenge_of(error))
        return answer

    @api.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        # Where and which rule, never the value that was sent.
        places = sorted({f"{'.'.join(str(p) for p in item['loc'])}: {item['msg']}" for item in error.errors()})
        return _problem(422, "OPS-U022", "UsageError", "; ".join(places), "Mend the parameters named.")

    @api.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> JSONResponse:
        code = "OPS-N000" if error.status_code == 404 else "OPS-U000"
        answer = _problem(
            error.status_code,
            code,
            "NotFoundError" if error.status_code == 404 else "UsageError",
            str(error.detail),
        )
        answer.headers.update(error.headers or {})
        return answer

    @api.exception_handler(Exception)
    async def defect(_: Request, error: Exception) -> JSONResponse:
        del error  # its text may hold anything: nothing of it leaves
        return _problem(
            500,
            InternalError.default_code,
            "InternalError",
            "the answer could not be made.",
            "Tell the operator.",
        )
