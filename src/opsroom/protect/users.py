"""Users and their API tokens, in the room's database. Every change is in the audit log, in the same transaction.

A token is shown once. What is kept is a salted SHA-256 of its secret, which is 256 random bits, so that guessing is
hopeless and a slow hash would add nothing. A removed user stays on record without any right: a name that once was
narrowed must not come back as one that nobody knows.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NoReturn, cast

import sqlalchemy as sa

from opsroom.base.errors import AccessError, NotFoundError, UsageError
from opsroom.base.state import METADATA, State
from opsroom.protect.access import OPEN, Right, Scope, User, checked_role, checked_user
from opsroom.protect.audit import AuditLog

USERS = sa.Table(
    "users",
    METADATA,
    sa.Column("name", sa.String(100), primary_key=True),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("scope", sa.Text, nullable=False),
    sa.Column("grants", sa.String(100), nullable=False),
    sa.Column("added_at", sa.String(40), nullable=False),
    sa.Column("removed_at", sa.String(40), nullable=False),
)

TOKENS = sa.Table(
    "tokens",
    METADATA,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("user", sa.String(100), sa.ForeignKey("users.name"), nullable=False, index=True),
    sa.Column("label", sa.String(100), nullable=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
    sa.Column("expires_at", sa.String(40), nullable=False),
    sa.Column("revoked_at", sa.String(40), nullable=False),
)

DAYS = 90
"""Days for which a token holds unless said otherwise."""

MOST_DAYS = 366

NOT_KNOWN = "OPS-A024"
"""Code of the error that a token is none that holds: the caller is not known (HTTP 401), not merely without right."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._@-]{0,99}")
_TOKEN = re.compile(r"ops_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")
_NOBODY = (b"\0" * 16, b"\0" * 32)
"""Salt and digest that an unknown id is compared with, so that it takes as long as a known one."""

_MOST_FAILURES = 30
"""Failed logins a minute that are recorded one by one: a flood must not fill the disk with entries."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token on record, without its secret."""

    id: str
    user: str
    label: str
    created_at: dt.datetime
    expires_at: dt.datetime
    revoked: bool


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token just made. `text` is shown once and kept nowhere."""

    id: str
    user: str
    expires_at: dt.datetime
    text: str

    def __repr__(self) -> str:
        return f"NewToken(id={self.id!r}, user={self.user!r})"  # a log or traceback must not hold the secret


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Users:
    """The register of users and tokens.

    Parameters
    ----------
    state
        The room's database.
    log
        The room's audit log.
    clock
        Tells the time, with zone.

    Notes
    -----
    Each change names who makes it (`by`). A registered user needs the right ``manage_users``; a name that is not
    registered is the local operator, who could as well edit the database: whoever can write the room's folder owns
    the room.
    """

    def __init__(self, state: State, log: AuditLog, *, clock: Callable[[], dt.datetime] = _now) -> None:
        self._state, self._log, self._clock = state, log, clock
        self._failures = _Failures()

    def now(self) -> dt.datetime:
        """Return the time of the register's clock."""
        return self._clock()

    # -- users --------------------------------------------------------------------------------

    def get(self, name: str) -> User | None:
        """Return a user by name, removed ones included; None where the name was never registered.

        Raises
        ------
        AccessError
            Only case or spaces tell the name from a registered one: a slip must not make its user the local operator.
        """
        with self._state.read() as connection:
            return _actor(connection, name)

    def all(self) -> list[User]:
        """Return all users by name, removed ones included."""
        with self._state.read() as connection:
            return [_of(row) for row in connection.execute(sa.select(USERS).order_by(USERS.c.name))]

    def add(self, name: str, role: str, *, by: str, scope: Scope = OPEN, grants: Iterable[str] = ()) -> User:
        """Register a user, or register a removed one anew.

        Parameters
        ----------
        name
            As it shall stand in the audit log.
        role
            One of `opsroom.protect.access.ROLES`.
        by
            Who registers.
        scope
            Rows that the user's questions may rest on.
        grants
            ``"view"``, ``"export"``: more than the role holds.

        Raises
        ------
        UsageError
            The name is none, is registered already, or role, scope and grants do not fit together.
        AccessError
            Who registers may not.
        """
        if not _NAME.fullmatch(name):
            raise UsageError(
                "a user's name is written in letters, digits and . _ @ -.", remedy="Give another.", code="OPS-U125"
            )
        kept = frozenset(cast("Iterable[Right]", grants))  # `checked_user` refuses what is no right
        user = checked_user(User(name, checked_role(role), scope, kept))
        with self._state.begin() as connection:
            self._authorise(connection, by)
            known = _user(connection, name)
            if known is None and _twin(connection, name):
                raise UsageError(
                    "a user is registered whose name differs from this one in capital letters only.",
                    remedy="Give another name.",
                    code="OPS-U126",
                )
            if known is not None and not known.removed:
                raise UsageError(
                    "a user of that name is registered.", remedy="Change it: `opsroom user role`.", code="OPS-U126"
                )
            row = {**_row(user), "added_at": self._stamp(), "removed_at": ""}
            if known is None:
                connection.execute(USERS.insert().values(name=name, **row))
            else:
                connection.execute(USERS.update().where(USERS.c.name == name).values(**row))
            self._record(connection, by, "user add", f"{name}: {_words(user)}")
        return user

    def set_role(self, name: str, role: str, *, by: str) -> User:
        """Give a user another role; grants that the new role cannot have are taken back.

        Raises
        ------
        UsageError
            The user has a scope and the new role acts for the whole room.
        """
        wanted = checked_role(role)
        return self._change(
            name,
            lambda user: replace(user, role=wanted, grants=user.grants if wanted == "analyst" else frozenset()),
            by=by,
            act="user role",
        )

    def set_scope(self, name: str, scope: Scope, *, by: str) -> User:
        """Give a user another scope; `OPEN` lifts it."""
        return self._change(name, lambda user: replace(user, scope=scope), by=by, act="user scope")

    def remove(self, name: str, *, by: str) -> None:
        """Take every right from a user and revoke the user's tokens. The name stays on record."""
        with self._state.begin() as connection:
            self._authorise(connection, by)
            _present(connection, name)
            now = self._stamp()
            connection.execute(USERS.update().where(USERS.c.name == name).values(removed_at=now))
            open_ones = (TOKENS.c.user == name) & (TOKENS.c.revoked_at == "")
            connection.execute(TOKENS.update().where(open_ones).values(revoked_at=now))
            self._record(connection, by, "user remove", name)

    # -- tokens -------------------------------------------------------------------------------

    def create_token(self, name: str, *, by: str, days: int = DAYS, label: str = "") -> NewToken:
        """Make a token for a user.

        Parameters
        ----------
        name
            Whose token.
        by
            Who makes it.
        days
            How long it holds, 1 to 366.
        label
            What it is for.

        Returns
        -------
        NewToken
            Its `text` is the only copy.
        """
        if not 1 <= days <= MOST_DAYS:
            raise UsageError(f"a token holds for 1 to {MOST_DAYS} days.", remedy="Give --days.", code="OPS-U127")
        id, secret, salt = secrets.token_hex(6), secrets.token_bytes(32), secrets.token_bytes(16)
        text = f"ops_{id}_{base64.urlsafe_b64encode(secret).rstrip(b'=').decode()}"
        now = self._clock()
        expires = now + dt.timedelta(days=days)
        with self._state.begin() as connection:
            self._authorise(connection, by)
            _present(connection, name)
            connection.execute(
                TOKENS.insert().values(
                    id=id,
                    user=name,
                    label=label[:100],
                    salt=salt,
                    digest=_digest(salt, text),
                    created_at=_iso(now),
                    expires_at=_iso(expires),
                    revoked_at="",
                )
            )
            self._record(connection, by, "token create", f"{id} of {name}")
        return NewToken(id, name, expires, text)

    def tokens(self, name: str | None = None) -> list[Token]:
        """Return the tokens on record, of one user or all, oldest first."""
        query = sa.select(TOKENS).order_by(TOKENS.c.created_at, TOKENS.c.id)
        if name is not None:
            query = query.where(TOKENS.c.user == name)
        with self._state.read() as connection:
            return [
                Token(r.id, r.user, r.label, _time(r.created_at), _time(r.expires_at), bool(r.revoked_at))
                for r in connection.execute(query)
            ]

    def revoke_token(self, id: str, *, by: str) -> None:
        """Revoke a token; it holds no more from now on.

        Raises
        ------
        NotFoundError
            There is no token of that id, or it is revoked already.
        """
        with self._state.begin() as connection:
            self._authorise(connection, by)
            wanted = (TOKENS.c.id == id) & (TOKENS.c.revoked_at == "")
            done = connection.execute(TOKENS.update().where(wanted).values(revoked_at=self._stamp()))
            if not done.rowcount:
                raise NotFoundError(
                    "there is no token of that id that holds.",
                    remedy="List them: `opsroom token list`.",
                    code="OPS-N040",
                )
            self._record(connection, by, "token revoke", id)

    def authenticate(self, text: str) -> User:
        """Return whose token it is.

        Raises
        ------
        AccessError
            It is none that holds (`NOT_KNOWN`); why is in the audit log, not in the message.
        """
        match = _TOKEN.fullmatch(text)
        row = None
        if match is not None:
            with self._state.read() as connection:
                row = connection.execute(sa.select(TOKENS).where(TOKENS.c.id == match[1])).first()
                user = None if row is None else _user(connection, row.user)
        salt, wanted = _NOBODY if row is None else (row.salt, row.digest)
        same = hmac.compare_digest(_digest(salt, text), wanted)
        if row is None or user is None:
            self._fail("no such token")
        if not same:
            self._fail(f"token {row.id}: wrong secret")
        if row.revoked_at or user.removed:
            self._fail(f"token {row.id}: revoked")
        if _time(row.expires_at) <= self._clock():
            self._fail(f"token {row.id}: expired")
        return user

    # -- inside -------------------------------------------------------------------------------

    def _change(self, name: str, change: Callable[[User], User], *, by: str, act: str) -> User:
        with self._state.begin() as connection:
            self._authorise(connection, by)
            user = checked_user(change(_present(connection, name)))
            connection.execute(USERS.update().where(USERS.c.name == name).values(**_row(user)))
            self._record(connection, by, act, f"{name}: {_words(user)}")
        return user

    def _authorise(self, connection: sa.Connection, by: str) -> None:
        # Inside the transaction that changes: a steward removed meanwhile changes nothing any more.
        actor = _actor(connection, by)
        if actor is not None:
            actor.require("manage_users")

    def _record(self, connection: sa.Connection, by: str, act: str, object: str) -> None:
        self._log.record(connection, by, act, object[:400], at=self._clock())

    def _fail(self, reason: str) -> NoReturn:
        told = self._failures.admit()
        if told is not None:
            more = f"; {told} more not recorded one by one" if told else ""
            self._log.append("unknown caller", "login failure", reason + more, at=self._clock())
        raise unknown()

    def _stamp(self) -> str:
        return _iso(self._clock())


class _Failures:
    """Counts failed logins, and says which of them are recorded one by one."""

    def __init__(self) -> None:
        self._since, self._count, self._skipped = time.monotonic(), 0, 0
        self._lock = threading.Lock()

    def admit(self) -> int | None:
        """Return how many were passed over before this one; None where this one is passed over, too."""
        with self._lock:
            now = time.monotonic()
            if now - self._since >= 60:
                self._since, self._count = now, 0
            self._count += 1
            if self._count > _MOST_FAILURES:
                self._skipped += 1
                return None
            skipped, self._skipped = self._skipped, 0
            return skipped


def unknown() -> AccessError:
    """Return the error of a caller whose token is missing or does not hold."""
    return AccessError(
        "a valid token is needed.",
        remedy="Send `Authorization: Bearer TOKEN`; a steward makes one with `opsroom token create`.",
        code="OPS-A024",  # NOT_KNOWN, written out so that the list of errors finds it
    )


def _user(connection: sa.Connection, name: str) -> User | None:
    row = connection.execute(sa.select(USERS).where(USERS.c.name == name)).first()
    return None if row is None else _of(row)


def _twin(connection: sa.Connection, name: str) -> bool:
    """Say whether only case or spaces tell a name from one that is registered."""
    plain = "".join(name.split()).casefold()
    return any("".join(known.split()).casefold() == plain for known in connection.scalars(sa.select(USERS.c.name)))


def _actor(connection: sa.Connection, name: str) -> User | None:
    user = _user(connection, name)
    if user is None and _twin(connection, name):
        raise AccessError(
            "this name differs from that of a registered user in capital letters or spaces only.",
            remedy="Write it as `opsroom user list` does.",
            code="OPS-A028",
        )
    return user


def _present(connection: sa.Connection, name: str) -> User:
    user = _user(connection, name)
    if user is None or user.removed:
        raise NotFoundError("there is no user of that name.", remedy="List them: `opsroom user list`.", code="OPS-N041")
    return user


def _of(row: sa.Row[tuple[str, ...]]) -> User:
    facts = row._mapping
    return User(
        name=facts["name"],
        role=checked_role(facts["role"]),
        scope=Scope.of(json.loads(facts["scope"])),
        grants=frozenset(cast("list[Right]", facts["grants"].split())),
        removed=bool(facts["removed_at"]),
    )


def _row(user: User) -> dict[str, str]:
    return {"role": user.role, "scope": json.dumps(user.scope.to_dict()), "grants": " ".join(sorted(user.grants))}


def _words(user: User) -> str:
    grants = f", may also {' and '.join(sorted(user.grants))}" if user.grants else ""
    return f"{user.role}, {user.scope}{grants}"


def _digest(salt: bytes, text: str) -> bytes:
    return hashlib.sha256(salt + text.encode()).digest()


def _iso(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat()


def _time(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)
