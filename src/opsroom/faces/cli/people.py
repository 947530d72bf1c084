"""The `opsroom user` and `opsroom token` commands: who may do what, and the keys to the API."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclopts import App

from opsroom.base.errors import UsageError
from opsroom.faces.cli.common import Json, RoomPath, open_room
from opsroom.faces.cli.output import emit, emit_json, emit_table, say

if TYPE_CHECKING:
    from opsroom.protect.access import Scope, User
    from opsroom.protect.users import Token

user = App(name="user", help="Register users, give them roles and scopes, remove them.")
token = App(name="token", help="Make, list and revoke tokens for the API.")


@user.command(name="add")
def user_add(
    name: str,
    /,
    *,
    role: str,
    scope: list[str] | None = None,
    grant: list[str] | None = None,
    room: RoomPath = Path(),
    json: Json = False,
) -> None:
    """Register a user.

    Parameters
    ----------
    name
        As it shall stand in the audit log.
    role
        steward, analyst, publisher or reader.
    scope
        COLUMN=CODE,CODE: the rows that the user's questions may rest on; may be given several times.
    grant
        view or export: rights on top of an analyst's.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        made = opened.users.add(name, role, by=opened.actor, scope=_scope(scope), grants=grant or ())
    _tell(made, json=json)


@user.command(name="list")
def user_list(*, room: RoomPath = Path(), json: Json = False) -> None:
    """List the users, with role, scope and rights.

    Parameters
    ----------
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        opened.guard.require("manage_users")
        found = opened.users.all()
    if json:
        emit_json([_facts(one) for one in found])
        return
    rows = [(u.name, "removed" if u.removed else u.role, str(u.scope), " ".join(sorted(u.rights))) for u in found]
    emit_table(("name", "role", "scope", "rights"), rows)


@user.command(name="role")
def user_role(name: str, role: str, /, *, room: RoomPath = Path(), json: Json = False) -> None:
    """Give a user another role.

    Parameters
    ----------
    name
        Name of the user.
    role
        steward, analyst, publisher or reader.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        made = opened.users.set_role(name, role, by=opened.actor)
    _tell(made, json=json)


@user.command(name="scope")
def user_scope(name: str, /, *, scope: list[str] | None = None, room: RoomPath = Path(), json: Json = False) -> None:
    """Give a user another scope; without --scope all rows.

    Parameters
    ----------
    name
        Name of the user.
    scope
        COLUMN=CODE,CODE; may be given several times.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        made = opened.users.set_scope(name, _scope(scope), by=opened.actor)
    _tell(made, json=json)


@user.command(name="remove")
def user_remove(name: str, /, *, room: RoomPath = Path()) -> None:
    """Take every right from a user and revoke the user's tokens; the name stays on record.

    Parameters
    ----------
    name
        Name of the user.
    room
        Folder of the room.
    """
    with open_room(room) as opened:
        opened.users.remove(name, by=opened.actor)
    say(f"{name} is removed; the tokens hold no more.")


@token.command(name="create")
def token_create(name: str, /, *, days: int = 90, label: str = "", room: RoomPath = Path(), json: Json = False) -> None:
    """Make a token for a user. It is printed once and kept nowhere.

    Parameters
    ----------
    name
        Name of the user.
    days
        How long it holds.
    label
        What it is for.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        made = opened.users.create_token(name, by=opened.actor, days=days, label=label)
    until = made.expires_at.isoformat(timespec="minutes")
    if json:
        emit_json({"id": made.id, "user": made.user, "expires_at": until, "token": made.text})
        return
    say(f"Token {made.id} for {made.user}, until {until}. It is shown this once.")
    emit(made.text)


@token.command(name="list")
def token_list(name: str | None = None, /, *, room: RoomPath = Path(), json: Json = False) -> None:
    """List the tokens on record, without their secrets.

    Parameters
    ----------
    name
        Name of a user. Default: all.
    room
        Folder of the room.
    json
        Print one JSON object.
    """
    with open_room(room) as opened:
        opened.guard.require("manage_users")
        now = opened.users.now()
        found = opened.users.tokens(name)
    columns = ("id", "user", "label", "created", "expires", "state")
    rows = [
        (
            one.id,
            one.user,
            one.label,
            one.created_at.isoformat(timespec="minutes"),
            one.expires_at.isoformat(timespec="minutes"),
            _state(one, is_over=one.expires_at <= now),
        )
        for one in found
    ]
    if json:
        emit_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        emit_table(columns, rows)


@token.command(name="revoke")
def token_revoke(id: str, /, *, room: RoomPath = Path()) -> None:
    """Revoke a token; it holds no more from now on.

    Parameters
    ----------
    id
        Id of the token, as `opsroom token list` prints it.
    room
        Folder of the room.
    """
    with open_room(room) as opened:
        opened.users.revoke_token(id, by=opened.actor)
    say(f"Token {id} is revoked.")


def _scope(given: list[str] | None) -> Scope:
    from opsroom.protect.access import Scope

    columns: dict[str, list[str]] = {}
    for one in given or []:
        column, sign, codes = one.partition("=")
        if not sign or column.strip() in columns:
            raise UsageError(
                "a scope names each column once, with its codes.",
                remedy="Write --scope region=R01,R02 --scope section=C.",
                code="OPS-U120",
            )
        columns[column.strip()] = codes.split(",")
    return Scope.of(columns)


def _tell(made: User, *, json: bool) -> None:
    if json:
        emit_json(_facts(made))
    else:
        say(f"{made.name} is {made.role}; rows: {made.scope}; rights: {', '.join(sorted(made.rights))}.")


def _facts(one: User) -> dict[str, Any]:
    return {
        "name": one.name,
        "role": one.role,
        "scope": one.scope.to_dict(),
        "rights": sorted(one.rights),
        "removed": one.removed,
    }


def _state(one: Token, *, is_over: bool) -> str:
    return "revoked" if one.revoked else "expired" if is_over else "holds"
