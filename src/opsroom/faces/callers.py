"""Callers over HTTP: a token in the `Authorization` header, told by the room's door.

A script sends ``Bearer TOKEN``. A browser, which cannot, asks for a name and a password: the token is the password
(``Basic``). Nothing is kept in a session or a cookie.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Protocol

from fastapi import Request, Security
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from opsroom.base.errors import OpsroomError, SettingsError
from opsroom.faces.reader import ReleasesReader
from opsroom.protect.access import Right, User
from opsroom.protect.audit import ChainHead
from opsroom.protect.release import Release
from opsroom.protect.users import NOT_KNOWN

OPEN_PATHS = ("/static/", "/api/")
"""What the pages' keeper lets through: files that everybody has, and the API, which keeps its own door."""

_SCHEME = HTTPBearer(auto_error=False, description="A token of `opsroom token create`.")


class Keeper(Protocol):
    """What a face needs of `opsroom.room.door.Door`."""

    @property
    def readers(self) -> Literal["open", "token"]: ...
    def enter(self, token: str | None, right: Right) -> User: ...
    def head(self) -> ChainHead: ...


class Ask(Protocol):
    """What a face needs of `opsroom.room.tables.Asker`: a question in, a release out, or a refusal raised."""

    def __call__(self, actor: str, query: Mapping[str, Any]) -> Release: ...


def require_door(releases: ReleasesReader, door: Keeper | None) -> None:
    """Refuse to show a room that wants tokens without a door to ask for them.

    Raises
    ------
    SettingsError
        ``room.toml`` says ``readers = "token"`` and there is no door, or one that is open.
    """
    if releases.room.get("readers") == "token" and (door is None or door.readers != "token"):
        raise SettingsError(
            "the room's releases are read with a token, and there is no door that asks for one.",
            remedy="Serve it with `opsroom serve`, or pass door=Door(folder).",
            code="OPS-C020",
        )


def caller(door: Keeper, right: Right) -> Callable[..., User]:
    """Return the FastAPI dependency of a route that needs a right: it gives the user.

    Parameters
    ----------
    door
        Tells callers by their tokens.
    right
        What the route does, such as ``"query"``.
    """

    def known(request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_SCHEME)] = None) -> User:
        return door.enter(token_of(request.headers.get("authorization", "")), right)

    return known


def token_of(header: str) -> str | None:
    """Return the token in an `Authorization` header; None where there is none that can be read."""
    scheme, _, rest = header.strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return rest or None
    if scheme.lower() != "basic":
        return None
    try:
        _, sign, password = base64.b64decode(rest, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return password if sign and password else None


def status_of(error: OpsroomError) -> int:
    """Return the HTTP status of an error: 401 where it is not known who asks."""
    return 401 if error.code == NOT_KNOWN else error.http_status


def challenge_of(error: OpsroomError) -> Mapping[str, str]:
    """Return the header that tells a caller how to say who it is, where that is the error."""
    return {"www-authenticate": 'Bearer realm="opsroom"'} if error.code == NOT_KNOWN else {}


class KeptPages:
    """Let only holders of a token see the pages.

    Parameters
    ----------
    app
        The pages.
    door
        Tells callers by their tokens.
    refuse
        Makes the answer to a caller who is not let in.
    """

    def __init__(self, app: ASGIApp, *, door: Keeper, refuse: Callable[[Request, OpsroomError], Response]) -> None:
        self.app, self.door, self.refuse = app, door, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the call on, or answer it with a refusal."""
        if scope["type"] != "http" or scope["path"].startswith(OPEN_PATHS):
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            token = token_of(request.headers.get("authorization", ""))
            await run_in_threadpool(self.door.enter, token, "read")
        except OpsroomError as error:
            answer = self.refuse(request, error)
            if status_of(error) == 401:
                answer.headers["www-authenticate"] = 'Basic realm="opsroom", charset="UTF-8"'
            await answer(scope, receive, send)
            return
        await self.app(scope, receive, send)
