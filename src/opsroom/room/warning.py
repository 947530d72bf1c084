"""The room's published warnings: who has taken note of one, and who is told of new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opsroom.base.errors import NotFoundError
from opsroom.room.carried import carried
from opsroom.room.notify import tell, ways
from opsroom.warn.noted import note

if TYPE_CHECKING:
    import datetime as dt

    from opsroom.protect.reader import Releases
    from opsroom.room.room import Room

INBOX = "warnings.inbox"


def published(releases: Releases, day: dt.date | None = None) -> list[dict[str, Any]]:
    """Return the warnings as last published by a day, each with its rule's levers, cost and track record.

    The newest day where none is given.
    """
    release = releases.latest(INBOX) if day is None else releases.get(INBOX, day)
    if release is None:
        return []
    return carried(release.columns, release.rows, release.facts)


def take_note(room: Room, warning: str, *, who: str, words: str = "") -> None:
    """Write down that somebody has taken note of a published warning; it shows from the next publication on.

    Parameters
    ----------
    room
        The room, opened by who may decide.
    warning
        Its id.
    who
        A named human.
    words
        What is done about it, or why nothing is.

    Raises
    ------
    NotFoundError
        No warning of that id is published.
    UsageError
        Nobody is named, or somebody has taken note of it already.
    """
    room.guard.require("decide")
    if warning not in {str(one["warning"]) for one in published(room.releases())}:
        raise NotFoundError(
            f"no warning {warning!r} is published.", remedy="See `opsroom warning list`.", code="OPS-N046"
        )
    moment = room.moment(None)
    note(room.state, warning, who=who, day=moment.astimezone(room.zone).date(), words=words)
    room.audit.append(room.actor, "note", warning, at=moment)


def announce(room: Room) -> list[str]:
    """Tell those whom ``[notify]`` names of the published warnings that they have not been told of.

    Returns
    -------
    list of str
        Ways that failed; see `tell`.
    """
    room.guard.require("publish")
    named = ways(room.settings.facts, room.path)
    if not named:
        return []
    return tell(room.state, named, published(room.releases()), room=room.settings.title, now=room.moment(None))
