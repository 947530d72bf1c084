"""The guard: what the actor who opened a room may do there.

An actor who is a registered user has the rights of the role, within the scope. Any other name is the local operator
and may do everything: whoever can write the room's folder owns the room, and a check in this process could not
change that. What roles hold is the faces: they know their callers by tokens (see `opsroom.room.door`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from opsroom.base.errors import AccessError
from opsroom.protect.access import OPEN, Right, Scope, User, restrict

if TYPE_CHECKING:
    import ibis

    from opsroom.base.specs import DatasetSpec
    from opsroom.protect.audit import AuditLog
    from opsroom.protect.users import Users
    from opsroom.room.room import AsOf, Room


class Guard:
    """Checks the acts of one actor, each time anew: what is revoked is revoked at once.

    Parameters
    ----------
    actor
        Who acts.
    users, log
        The room's register and audit log; what is denied is in the log.
    clock
        Tells the time.
    """

    def __init__(self, actor: str, users: Users, log: AuditLog, clock: Callable[[], dt.datetime]) -> None:
        self.actor = actor
        self._users, self._log, self._clock = users, log, clock

    @property
    def user(self) -> User | None:
        """The actor as a registered user; None for the local operator."""
        return self._users.get(self.actor)

    @property
    def scope(self) -> Scope:
        """The rows that the actor's questions may rest on."""
        user = self.user
        return OPEN if user is None else user.scope

    def require(self, right: Right, *, whole: bool = False) -> None:
        """Refuse unless the actor has a right; see `opsroom.protect.access.User.require`."""
        user = self.user
        if user is None:
            return
        try:
            user.require(right, whole=whole)
        except AccessError:
            self._log.append(self.actor, "denied", right, at=self._clock())
            raise

    def admit(self, table: ibis.Table, spec: DatasetSpec, right: Right) -> ibis.Table:
        """Return the rows of a dataset that the actor may use.

        Parameters
        ----------
        table
            All rows, as of some day.
        spec
            The dataset. Public ones are open to whoever may read releases.
        right
            ``"scan"``, ``"view"`` or ``"export"``.

        Raises
        ------
        AccessError
            The right is missing, or the dataset cannot be narrowed to the actor's scope.
        """
        if not spec.confidential:
            self.require("read")
            return table
        self.require(right)
        return restrict(table, self.scope, dataset=spec.name)


def export_table(room: Room, dataset: str, path: Path, *, as_of: AsOf = None) -> int:
    """Write the rows of a dataset that the actor may export to a new file, and return their number.

    The file is confidential: nothing in it went through the gate. The act is in the audit log before it is written.

    Parameters
    ----------
    room
        The room, opened by who exports.
    dataset
        Name of the dataset.
    path
        New file, ``.csv`` or ``.parquet``.
    as_of
        Knowledge time.

    Raises
    ------
    AccessError
        The right is missing, or the dataset cannot be narrowed to the actor's scope.
    UsageError
        The file is there already, or is neither CSV nor Parquet.
    """
    from opsroom.base.verbs import collect
    from opsroom.observe.returning import write_rows

    moment = room.moment(as_of)
    rows = collect(room.guard.admit(room.store.table(dataset, moment), room.store.spec(dataset), "export"))
    room.audit.append(room.actor, "export", f"{dataset} as of {moment.isoformat()}", at=room.store.clock())
    write_rows(rows, path)
    return int(rows.num_rows)
