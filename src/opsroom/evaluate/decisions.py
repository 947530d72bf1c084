"""Decision records: who decided what, on what ground, expecting what, and what came of it.

A record is written once. Its review adds an entry; nothing is ever changed or taken away. Entries are
chained by hash, so that a change made past opsroom shows (`verify`); on SQLite the database itself refuses
to change or delete an entry.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from opsroom.base.errors import NotFoundError, StoreError, UsageError
from opsroom.base.results import Cells, Measure
from opsroom.base.state import METADATA, State
from opsroom.evaluate.decision import Decision, Forecast, Status, canonical, score, sha, withdraw

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Decision",
    "Forecast",
    "Status",
    "cells",
    "load",
    "record",
    "score",
    "verify",
    "withdraw",
]

GENESIS = "sha256:" + "0" * 64

ENTRIES = sa.Table(
    "decisions",
    METADATA,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("decision", sa.String(80), nullable=False, index=True),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("day", sa.String(10), nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("previous", sa.String(71), nullable=False),
    sa.Column("hash", sa.String(71), nullable=False, unique=True),
    sa.CheckConstraint("kind in ('decided', 'scored', 'withdrawn')", name="decisions_kind"),
)
"""One row an entry; `body` is canonical JSON."""

for _verb in ("UPDATE", "DELETE"):
    _trigger = sa.DDL(  # type: ignore[no-untyped-call]  # SQLAlchemy leaves DDL untyped
        f"CREATE TRIGGER IF NOT EXISTS decisions_no_{_verb.lower()} BEFORE {_verb} ON decisions "
        "BEGIN SELECT RAISE(ABORT, 'decision records are append-only'); END"
    )
    sa.event.listen(ENTRIES, "after_create", _trigger.execute_if(dialect="sqlite"))


def record(state: State, decision: Decision) -> Decision:
    """Write a decision, or the entry that scores or withdraws it, into the room's database.

    Parameters
    ----------
    state
        The room's database.
    decision
        A new decision, or one that `score` or `withdraw` returned.

    Returns
    -------
    Decision
        What was recorded. Recording the same thing twice writes nothing new.

    Raises
    ------
    UsageError
        If an entry would contradict one that is there: records are only ever added to.
    NotFoundError
        If a decision is scored that was never recorded.
    """
    kind = "decided" if decision.status in ("open", "due") else decision.status
    body = canonical(decision.core if kind == "decided" else _after(decision))
    day = decision.decided_on if kind == "decided" else _day_of(decision)
    with state.begin() as connection:
        entries = _entries(connection, decision.id)
        if kind != "decided" and not any(e.kind == "decided" for e in entries):
            raise NotFoundError(
                f"decision {decision.id!r} is not on record.", remedy="Record it first.", code="OPS-N080"
            )
        same = [e for e in entries if e.kind == kind and e.body == body]
        if same:
            return decision
        if kind != "decided" and any(e.kind != "decided" for e in entries):
            raise UsageError(
                f"decision {decision.id!r} has been closed already; records are only added to.",
                remedy="Record a new decision that refers to it.",
                code="OPS-U092",
            )
        last = connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.seq.desc()).limit(1)).first()
        seq, previous = (last.seq + 1, str(last.hash)) if last else (1, GENESIS)
        row = {"seq": seq, "decision": decision.id, "kind": kind, "day": day.isoformat(), "body": body}
        row |= {"previous": previous, "hash": _seal(row, previous)}
        connection.execute(ENTRIES.insert().values(**row))
    return decision


def load(state: State, as_of: dt.date | dt.datetime | None = None) -> list[Decision]:
    """Return the decisions as they stood on a day, in the order in which they were recorded.

    Parameters
    ----------
    state
        The room's database.
    as_of
        A day; entries of later days are left out. ``None``: everything.
    """
    day = as_of.date() if isinstance(as_of, dt.datetime) else as_of
    with state.read() as connection:
        entries = connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.seq)).all()
    found: dict[str, Decision] = {}
    for entry in entries:
        if day is not None and entry.day > day.isoformat():
            continue
        content = json.loads(entry.body)
        if entry.kind == "decided":
            found[entry.decision] = _decision(content, entry.decision)
        else:
            found[entry.decision] = _closed(found[entry.decision], entry.kind, content)
    return [_as_it_stood(d, day) for d in found.values()]


def verify(state: State) -> int:
    """Check the chain of entries and return how many there are.

    Raises
    ------
    StoreError
        If an entry was changed, taken away or put in between.
    """
    with state.read() as connection:
        entries = connection.execute(sa.select(ENTRIES).order_by(ENTRIES.c.seq)).all()
    previous = GENESIS
    for number, entry in enumerate(entries, start=1):
        row = {
            "seq": entry.seq,
            "decision": entry.decision,
            "kind": entry.kind,
            "day": entry.day,
            "body": entry.body,
        }
        if entry.seq != number or entry.previous != previous or entry.hash != _seal(row, previous):
            raise StoreError(
                f"the decision records are damaged at entry {number}.",
                remedy="Restore the room's database from a backup.",
                code="OPS-F090",
            )
        previous = entry.hash
    return len(entries)


def cells(decisions: Sequence[Decision]) -> list[Cells]:
    """Return the publishable cells of ``decisions.log``: no microdata, a function of releases and words.

    Parameters
    ----------
    decisions
        From `load`; with none there is nothing to publish.
    """
    import pandas as pd

    if not decisions:
        return []
    texts = (
        "option",
        "decider",
        "legal_basis",
        "decided_on",
        "review_date",
        "state",
        "measure",
        "target_date",
        "inside",
    )
    numbers = ("lower", "upper", "outcome", "score", "naive", "naive_score")
    frame: pd.DataFrame = pd.DataFrame([_row(d) for d in decisions])
    return [
        Cells(
            name="decisions.log",
            dimensions=("decision_id",),
            measures=(Measure("forecast", "public", "", attached=(*texts, *numbers), decimals=1),),
            frame=frame,
            method="decisions-1",
            notes=("decisions-are-append-only",),
            facts={"decisions": len(decisions), "scored": sum(d.status == "scored" for d in decisions)},
        )
    ]


def _row(d: Decision) -> dict[str, Any]:
    f = d.forecast
    return {
        "decision_id": d.id,
        "option": d.option,
        "decider": d.decider,
        "legal_basis": d.legal_basis,
        "decided_on": d.decided_on.isoformat(),
        "review_date": d.review_date.isoformat(),
        "state": d.status,
        "measure": f.measure if f else None,
        "target_date": f.target_date.isoformat() if f else None,
        "forecast": f.point if f else math.nan,
        "lower": f.lower if f else math.nan,
        "upper": f.upper if f else math.nan,
        "outcome": math.nan if d.outcome is None else d.outcome,
        "score": math.nan if d.score is None else d.score,
        "inside": None if d.inside is None else ("yes" if d.inside else "no"),
        "naive": math.nan if d.naive is None else d.naive,
        "naive_score": math.nan if d.naive_score is None else d.naive_score,
    }


def _after(d: Decision) -> dict[str, Any]:
    body: dict[str, Any] = {"of": d.content_hash, "on": _day_of(d).isoformat(), "note": d.note}
    if d.status == "scored":
        body |= {
            "outcome": d.outcome,
            "error": d.error,
            "inside": d.inside,
            "interval_score": d.interval_score,
            "naive": d.naive,
        }
    return body


def _day_of(d: Decision) -> dt.date:
    if d.scored_on is None:
        raise UsageError(f"decision {d.id!r} does not say when it was closed.", code="OPS-U095")
    return d.scored_on


def _decision(content: Mapping[str, Any], name: str) -> Decision:
    given = {k: v for k, v in content.items() if k != "schema_version"}
    if given["forecast"] is not None:
        target = dt.date.fromisoformat(given["forecast"]["target_date"])
        given["forecast"] = Forecast(**(given["forecast"] | {"target_date": target}))
    for day in ("decided_on", "review_date"):
        given[day] = dt.date.fromisoformat(given[day])
    given["considered"] = tuple(given["considered"])
    try:
        return Decision(**given, id=name)
    except UsageError:
        raise StoreError(
            f"the record of decision {name!r} is damaged.",
            remedy="Restore the room's database from a backup.",
            code="OPS-F090",
        ) from None


def _closed(decision: Decision, kind: str, content: Mapping[str, Any]) -> Decision:
    day = dt.date.fromisoformat(content["on"])
    if kind == "scored":
        outcome = float(content["outcome"])
        naive = content.get("naive")  # entries from before there was a benchmark have none
        return replace(decision, status="scored", outcome=outcome, naive=naive, scored_on=day, note=content["note"])
    return replace(decision, status="withdrawn", scored_on=day, note=content["note"])


def _as_it_stood(decision: Decision, day: dt.date | None) -> Decision:
    if decision.status == "open" and day is not None and day >= decision.review_date:
        return replace(decision, status="due")
    return decision


def _entries(connection: sa.Connection, decision: str) -> Sequence[Any]:
    query = sa.select(ENTRIES).where(ENTRIES.c.decision == decision).order_by(ENTRIES.c.seq)
    return connection.execute(query).all()


def _seal(row: Mapping[str, Any], previous: str) -> str:
    keys = ("seq", "decision", "kind", "day", "body")
    return sha(canonical({"previous": previous} | {k: row[k] for k in keys}))
