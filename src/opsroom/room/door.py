"""The door: who comes in over HTTP. It knows users and tokens, and hands out nothing of the room."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from opsroom.base.errors import AccessError
from opsroom.base.settings import RoomSettings
from opsroom.base.state import State
from opsroom.protect.access import Right, User
from opsroom.protect.audit import AuditLog, ChainHead
from opsroom.protect.users import Users, unknown


class Door:
    """Tells callers by their tokens, and says what they may do.

    Parameters
    ----------
    path
        The room's folder. Its database is written to: a login that fails is in the audit log.

    Attributes
    ----------
    readers
        ``"open"``, where releases are read without a token, or ``"token"``.
    """

    def __init__(self, path: Path | str) -> None:
        folder = Path(path)
        self.readers: Literal["open", "token"] = RoomSettings.load(folder / "room.toml").access.readers
        self._state = State.open(folder / "room.db")
        self._log = AuditLog(self._state)
        self._users = Users(self._state, self._log)

    def enter(self, token: str | None, right: Right) -> User:
        """Return whose token it is, where that user has a right.

        Parameters
        ----------
        token
            The token as it was sent; None where none was.
        right
            What is about to be done.

        Raises
        ------
        AccessError
            The token is missing or does not hold (code `opsroom.protect.users.NOT_KNOWN`), or the right is missing.
        """
        if token is None:
            raise unknown()
        user = self._users.authenticate(token)
        try:
            user.require(right)
        except AccessError:
            self._log.append(user.name, "denied", right, at=self._users.now())
            raise
        return user

    def head(self) -> ChainHead:
        """Return the audit log's head, for whoever may audit."""
        return self._log.head()

    def close(self) -> None:
        """Close the connections."""
        self._state.close()
