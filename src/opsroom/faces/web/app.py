"""`create_app`: the room's pages and, under ``/api/v1``, their machine-readable twins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from opsroom.base.charts_render import DrawingCache
from opsroom.base.errors import InternalError, OpsroomError
from opsroom.faces.api import create_api
from opsroom.faces.callers import Ask, Keeper, KeptPages, require_door, status_of
from opsroom.faces.reader import ReleasesReader, room_of
from opsroom.faces.web.pages import Pages

HERE = Path(__file__).parent

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
"""No script or style in a page, no other host, no guessing of types."""


NOTICE = "opsroom-notice"
"""Header with what a made-up room says of itself: a CSV, a drawing and a release have no place for it inside."""


class SafeHeaders:
    """Add the security headers, and the room's notice if it has one, to every answer, errors included."""

    def __init__(self, app: ASGIApp, notice: str = "") -> None:
        self.app = app
        said = " ".join(notice.split())  # a header is one line
        words = {**HEADERS, **({NOTICE: said} if said else {})}
        self.headers = [(k.encode(), v.encode("latin-1", "replace")) for k, v in words.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, with the headers added to its answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def added(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((k, v) for k, v in self.headers if k not in names),
                ]
            await send(message)

        await self.app(scope, receive, added)


def create_app(
    releases: ReleasesReader,
    *,
    cache: Path | None = None,
    door: Keeper | None = None,
    ask: Ask | None = None,
    examined: Callable[[], Mapping[str, Any] | None] = lambda: None,
) -> Starlette:
    """Build the web room over a reader of stored releases.

    Parameters
    ----------
    releases
        Reader of stored releases; nothing else of the room is reachable from here.
    cache
        Folder to keep drawings in between runs; None keeps them in memory.
    door
        Tells callers by their tokens (`opsroom.room.door.Door`). Without one the API has releases alone.
    ask
        Answers table queries of callers (`opsroom.room.tables.Asker`). Without one the API has none.
    examined
        Returns the planner's exam that the room keeps (`opsroom.room.exam_kept.kept_exam`), or None.

    Returns
    -------
    starlette.applications.Starlette
        Serve it with uvicorn; state lives in `releases` alone.

    Raises
    ------
    SettingsError
        The room's releases are read with a token, and there is no door.
    """
    require_door(releases, door)
    drawings = DrawingCache(cache)
    pages = Pages(releases, drawings, examined)
    routes = [
        Route("/", pages.overview, name="overview"),
        Route("/data", pages.data, name="data"),
        Route("/activity", pages.activity, name="activity"),
        Route("/warnings", pages.warnings, name="warnings"),
        Route("/decisions", pages.decisions, name="decisions"),
        Route("/exam", pages.exam, name="exam"),
        Route("/exam.json", pages.exam_json),
        Route("/figure/{name}.csv", pages.figure_csv),
        Route("/figure/{name}.json", pages.figure_json),
        Route("/figure/{name}.svg", pages.figure_svg),
        Route("/figure/{name}", pages.figure, name="figure"),
        Route("/method/{name}", pages.method, name="method"),
        Route("/methods", pages.methods, name="methods"),
        Route("/release/{id}", pages.release, name="release"),
        Mount("/static", StaticFiles(directory=HERE / "static"), name="static"),
        Mount("/api/v1", create_api(releases, drawings, door=door, ask=ask), name="api"),
    ]
    middleware = [
        Middleware(SafeHeaders, notice=str(room_of(releases)["disclaimer"] or "")),
        Middleware(GZipMiddleware, minimum_size=800),
    ]
    if door is not None and door.readers == "token":
        middleware.append(Middleware(KeptPages, door=door, refuse=partial(_refusal, pages)))
    return Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={
            OpsroomError: _handler(pages, OpsroomError),
            HTTPException: _handler(pages, HTTPException),
            Exception: _handler(pages, Exception),
        },
    )


def _refusal(pages: Pages, request: Request, error: OpsroomError) -> Response:
    return HTMLResponse(pages.error_text(request, error), status_code=status_of(error))


def _handler(pages: Pages, kind: type[Exception]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return the page of an error: what happened, what to do, never a traceback."""

    async def handle(request: Request, error: Exception) -> Response:
        known: Any = error
        if isinstance(error, HTTPException):
            message = "there is no such page." if error.status_code == 404 else str(error.detail)
            known = OpsroomError(message, remedy="Go back to the overview.", code="OPS-N000")
            status = error.status_code
        elif isinstance(error, OpsroomError):
            status = status_of(error)
        else:
            known, status = InternalError("the page could not be made.", remedy="Tell the operator."), 500
        return HTMLResponse(pages.error_text(request, known), status_code=status)

    return handle
