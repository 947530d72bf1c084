"""Who has taken note of which warning: written once, never changed or taken away."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from opsroom.base.errors import UsageError
from opsroom.base.state import METADATA, State

NOTED = sa.Table(
    "warnings_noted",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("warning", sa.String(120), nullable=False, unique=True),
    sa.Column("who", sa.String(200), nullable=False),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
)
"""One row a warning that somebody has taken note of: the first to do so counts."""

for _verb in ("UPDATE", "DELETE"):
    _trigger = sa.DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy leaves DDL untyped
        f"CREATE TRIGGER IF NOT EXISTS warnings_noted_no_{_verb.lower()} BEFORE {_verb} ON warnings_noted "
        "BEGIN SELECT RAISE(ABORT, 'what was noted is append-only'); END"
    )
    sa.event.listen(NOTED, "after_create", _trigger.execute_if(dialect="sqlite"))


def note(state: State, warning: str, *, who: str, day: dt.date, words: str = "") -> None:
    """Write down that somebody has taken note of a warning.

    Parameters
    ----------
    state
        The room's database.
    warning
        Its id.
    who, day
        A named human, and the day in the room's time.
    words
        What is done about it, or why nothing is.

    Raises
    ------
    UsageError
        Nobody is named, or somebody has taken note of it already.
    """
    if not who.strip():
        raise UsageError("nobody is named.", remedy="Say who takes note.", code="OPS-U230")
    with state.begin() as connection:
        known = connection.execute(sa.select(NOTED.c.seq).where(NOTED.c.warning == warning)).first()
        if known is not None:
            raise UsageError(
                f"somebody has taken note of the warning {warning!r} already.",
                remedy="See `opsroom warning list`.",
                code="OPS-U231",
            )
        connection.execute(NOTED.insert().values(warning=warning, who=who.strip(), day=day.isoformat(), note=words))


def noted(state: State, day: dt.date) -> dict[str, tuple[str, dt.date, str]]:
    """Return warning → who took note of it, on which day, with which words, as known on a day."""
    query = sa.select(NOTED).where(NOTED.c.day <= day.isoformat()).order_by(NOTED.c.seq)
    with state.read() as connection:
        rows = connection.execute(query).all()
    return {row.warning: (row.who, dt.date.fromisoformat(row.day), row.note) for row in rows}
