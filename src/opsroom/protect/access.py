"""Who may do what: roles, rights and row scopes. Pure: nothing here asks a database who somebody is.

A role is a fixed set of rights (`RIGHTS`). Seeing rows and taking them out are rights of their own, apart from
letting the engine read them to answer a question:

==========  =========================================================================================
``scan``    the engine reads rows to compute what will be judged; nobody sees them
``view``    rows are shown inside the room
``export``  rows are written to a file
==========  =========================================================================================

A *scope* narrows all three to some codes of some columns. `restrict` puts it on a table; whoever compiles a
question puts it on every scan.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Literal, get_args

from opsroom.base.errors import AccessError, UsageError

if TYPE_CHECKING:
    import ibis
    from ibis.expr.datatypes import DataType

    from opsroom.base.verbs.expressions import Expression

Role = Literal["steward", "analyst", "publisher", "reader"]
Right = Literal[
    "manage_rules",
    "manage_datasets",
    "manage_users",
    "audit",
    "ingest",
    "quarantine",
    "scan",
    "view",
    "export",
    "query",
    "publish",
    "decide",
    "read",
]

ROLES: tuple[Role, ...] = get_args(Role)
ALL_RIGHTS: tuple[Right, ...] = get_args(Right)

RIGHTS: Mapping[Role, frozenset[Right]] = {
    "steward": frozenset(
        (
            "manage_rules",
            "manage_datasets",
            "manage_users",
            "audit",
            "ingest",
            "quarantine",
            "scan",
            "view",
            "export",
            "query",
            "read",
        )
    ),
    "analyst": frozenset(("scan", "query", "read")),
    "publisher": frozenset(("scan", "query", "publish", "decide", "read")),
    "reader": frozenset(("read",)),
}
"""Role → rights. Who keeps the data does not publish, who publishes does not keep the data."""

GRANTABLE: frozenset[Right] = frozenset(("view", "export"))
"""Rights that an analyst may be given on top of the role."""

SCOPABLE: frozenset[Role] = frozenset(("analyst", "reader"))
"""Roles that a scope can narrow: the others act for the whole room."""

WHOLE: frozenset[Right] = frozenset(("ingest", "quarantine", "publish", "decide", "manage_datasets", "manage_rules"))
"""Rights whose acts concern the whole room: no scope can narrow them."""

_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows that a user's questions may rest on: for each column named, the codes allowed.

    A code that ends in ``*`` stands for all that begin with it (``AT1*``, ``10*``): regions and sectors are nested.

    Attributes
    ----------
    codes
        Pairs of column and codes, both in order. Without any the scope is open: all rows.
    """

    codes: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, columns: Mapping[str, Iterable[str]]) -> Scope:
        """Make a scope of a mapping column → codes.

        Raises
        ------
        UsageError
            A column is no name, or has no codes: a scope without codes would be read as "all" by one and as
            "nothing" by another.
        """
        found = []
        for column, codes in sorted(columns.items()):
            kept = tuple(sorted({str(code).strip() for code in codes}))
            if not _COLUMN.fullmatch(column) or not kept or not all(code.rstrip("*") for code in kept):
                raise UsageError(
                    "a scope names columns with one code or more each.",
                    remedy="Write --scope region=R01,R02.",
                    code="OPS-U120",
                )
            found.append((column, kept))
        return cls(tuple(found))

    @property
    def is_open(self) -> bool:
        """Whether every row is inside."""
        return not self.codes

    def to_dict(self) -> dict[str, list[str]]:
        """Return the scope as JSON-able data."""
        return {column: list(codes) for column, codes in self.codes}

    def __str__(self) -> str:
        return "; ".join(f"{column}={','.join(codes)}" for column, codes in self.codes) or "all rows"


OPEN = Scope()
"""The scope of who may see every row."""


@dataclass(frozen=True, slots=True)
class User:
    """A registered user.

    Attributes
    ----------
    name
        As it stands in the audit log.
    role
        One of `ROLES`.
    scope
        Rows that the user's questions may rest on.
    grants
        Rights given on top of the role's; of `GRANTABLE`.
    removed
        Whether the user was removed. A removed user has no right at all.
    """

    name: str
    role: Role
    scope: Scope = OPEN
    grants: frozenset[Right] = field(default_factory=frozenset)
    removed: bool = False

    @property
    def rights(self) -> frozenset[Right]:
        """What the user may do."""
        return frozenset() if self.removed else RIGHTS[self.role] | self.grants

    def require(self, right: Right, *, whole: bool = False) -> None:
        """Refuse unless the user has a right.

        Parameters
        ----------
        right
            What is about to be done.
        whole
            Whether the act rests on all rows, so that a scope cannot narrow it. Rights in `WHOLE` always do.

        Raises
        ------
        AccessError
            The user lacks the right, or has it for some rows only where all are wanted.
        """
        if right not in self.rights:
            raise AccessError(
                f"the right {right!r} is needed, and this user does not hold it.",
                remedy="Ask a steward: `opsroom user role`.",
                code="OPS-A020",
            )
        if (whole or right in WHOLE) and not self.scope.is_open:
            raise AccessError(
                "this act rests on the whole room, and this user's scope is a part of it.",
                remedy="Ask for a table of the rows in scope.",
                code="OPS-A021",
            )


def checked_role(role: str) -> Role:
    """Return a role by its name.

    Raises
    ------
    UsageError
        There is no such role.
    """
    for known in ROLES:
        if role == known:
            return known
    raise UsageError("there is no such role.", remedy=f"Use one of {', '.join(ROLES)}.", code="OPS-U121")


def checked_user(user: User) -> User:
    """Return a user whose role, scope and grants fit together.

    Raises
    ------
    UsageError
        A scope on a role that acts for the whole room, or a grant that is none.
    """
    if not user.scope.is_open and user.role not in SCOPABLE:
        raise UsageError(
            f"a {user.role} acts for the whole room; a scope cannot narrow it.",
            remedy=f"Scope one of {', '.join(sorted(SCOPABLE))}.",
            code="OPS-U122",
        )
    if user.grants - GRANTABLE or (user.grants and user.role != "analyst"):
        raise UsageError(
            "only an analyst can be given more than the role holds, and only to view or export rows.",
            remedy="Give --grant view or --grant export to an analyst.",
            code="OPS-U123",
        )
    return user


def restrict(table: ibis.Table, scope: Scope, *, dataset: str) -> ibis.Table:
    """Keep the rows of a table that lie in a scope.

    A null code lies in no scope.

    Parameters
    ----------
    table
        Rows of one confidential dataset, as they come from the store, before anything else is done to them.
    scope
        Whose rows.
    dataset
        Name of the dataset, for the message.

    Returns
    -------
    ibis.Table
        The table itself where the scope is open.

    Raises
    ------
    AccessError
        The dataset has no column that the scope names, or one that holds no codes: what cannot be narrowed is
        not shown.
    """
    from opsroom.base.verbs import where

    for column, codes in scope.codes:
        if column not in table.columns:
            raise AccessError(
                f"dataset {dataset!r} has no column {column!r}, by which this user's rows are told apart.",
                remedy="Ask a steward for a scope by a column of this dataset.",
                code="OPS-A022",
            )
        table = where(table, condition=_inside(column, codes, table.schema()[column], dataset))
    return table


def _inside(column: str, codes: Sequence[str], dtype: DataType, dataset: str) -> Expression:
    from opsroom.base.verbs.expressions import col

    if dtype.is_string():
        exact = [code for code in codes if not code.endswith("*")]
        tests = [col(column).is_in(exact)] if exact else []
        tests += [col(column).starts_with(code.rstrip("*")) for code in codes if code.endswith("*")]
        return reduce(operator.or_, tests)
    if dtype.is_integer() and all(re.fullmatch(r"-?\d{1,18}", code) for code in codes):
        return col(column).is_in([int(code) for code in codes])
    raise AccessError(
        f"dataset {dataset!r}: the codes of this user's scope are none that column {column!r} can hold.",
        remedy="Ask a steward for a scope by codes of this dataset.",
        code="OPS-A023",
    )
