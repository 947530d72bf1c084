"""Decision records: who decided what, on what ground, expecting what, and what came of it.

A record is written once. Its review adds an entry; nothing is ever changed or taken away. Entries are
chained by hash, so that a change made past opsroom shows (`verify`); on SQLite the database itself refuses
to change or delete an entry.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from opsroom.base.errors import NotFoundError, StoreError, UsageError
from opsroom.base.results import Cells, Measure
from opsroom.base.scores import interval_score
from opsroom.base.state import METADATA, State

if TYPE_CHECKING:
    import pandas as pd

Status = Literal["open", "due", "scored", "withdrawn"]
GENESIS = "sha256:" + "0" * 64
SCHEMA_VERSION = 1

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


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the decision was expected to bring, in a number that can be checked.

    Attributes
    ----------
    measure
        What is forecast, such as ``"relief.options/illiquid_companies"``.
    target_date
        The day to which the number refers; it can be scored from then on.
    point, lower, upper
        Forecast and interval, in `unit`.
    level
        Nominal coverage of the interval.
    unit
        Unit of the numbers.
    """

    measure: str
    target_date: dt.date
    point: float
    lower: float
    upper: float
    level: float = 0.9
    unit: str = ""

    def __post_init__(self) -> None:
        if not all(math.isfinite(x) for x in (self.point, self.lower, self.upper)):
            raise UsageError("a forecast needs finite numbers.", code="OPS-U090")
        if not self.lower <= self.point <= self.upper or not 0 < self.level < 1:
            raise UsageError(
                "a forecast's interval does not hold its point, or its level is not a share.",
                remedy="Give lower ≤ point ≤ upper and a level such as 0.9.",
                code="OPS-U090",
            )


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as recorded.

    Attributes
    ----------
    question
        What was to be decided.
    option
        What was chosen.
    considered
        All options that were laid before, doing nothing (``"none"``) among them.
    decider
        A named human.
    legal_basis
        What entitles to decide.
    decided_on
        The day, in the room's time; what was known then is the evidence.
    review_date
        When it is looked at again, later than `decided_on`.
    forecast
        What was expected; ``None`` where nothing could be put in a number.
    evidence
        Release id → content hash of what was laid before.
    dissent
        Who disagreed and why, in words.
    status
        ``open``, ``due`` (the review date has passed without a score), ``scored``, ``withdrawn``.
    outcome, scored_on, note
        What happened, when it was looked at, and words on it.
    id
        Day, option and the first letters of the content hash; set by itself.
    """

    question: str
    option: str
    considered: tuple[str, ...]
    decider: str
    legal_basis: str
    decided_on: dt.date
    review_date: dt.date
    forecast: Forecast | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    dissent: str = ""
    status: Status = "open"
    outcome: float | None = None
    scored_on: dt.date | None = None
    note: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        _validate(self)
        own = f"{self.decided_on.isoformat()}-{self.option}-{self.content_hash[7:15]}"
        if self.id and self.id != own:
            raise UsageError(
                "a decision's id does not belong to its content.", remedy="Leave id out.", code="OPS-U091"
            )
        object.__setattr__(self, "id", own)

    @property
    def core(self) -> dict[str, Any]:
        """What was decided, without what came after: JSON-able, keys in fixed order."""
        forecast = None
        if self.forecast is not None:
            forecast = asdict(self.forecast) | {"target_date": self.forecast.target_date.isoformat()}
        return {
            "schema_version": SCHEMA_VERSION,
            "question": self.question,
            "option": self.option,
            "considered": list(self.considered),
            "decider": self.decider,
            "legal_basis": self.legal_basis,
            "decided_on": self.decided_on.isoformat(),
            "review_date": self.review_date.isoformat(),
            "forecast": forecast,
            "evidence": dict(sorted(self.evidence.items())),
            "dissent": self.dissent,
        }

    @property
    def content_hash(self) -> str:
        """Hash of what was decided; it does not change when the decision is scored."""
        return _sha(_canonical(self.core))

    @property
    def error(self) -> float | None:
        """Forecast minus outcome, once known."""
        if self.forecast is None or self.outcome is None:
            return None
        return self.forecast.point - self.outcome

    @property
    def score(self) -> float | None:
        """Absolute error of the forecast, in its unit, once the outcome is known."""
        return None if self.error is None else abs(self.error)

    @property
    def inside(self) -> bool | None:
        """Whether the outcome fell inside the interval, once known."""
        if self.forecast is None or self.outcome is None:
            return None
        return self.forecast.lower <= self.outcome <= self.forecast.upper

    @property
    def interval_score(self) -> float | None:
        """Interval (Winkler) score, once the outcome is known; less is better."""
        if self.forecast is None or self.outcome is None:
            return None
        f = self.forecast
        return interval_score([f.lower], [f.upper], [self.outcome], level=f.level)


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
    body = _canonical(decision.core if kind == "decided" else _after(decision))
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


def score(decision: Decision, outcome: float, as_of: dt.date, *, note: str = "") -> Decision:
    """Return the decision with what happened; hand it to `record` to keep it.

    Parameters
    ----------
    decision
        A decision with a forecast.
    outcome
        What happened, in the forecast's unit and by its definition.
    as_of
        The day on which the outcome is known.
    note
        Words on how it was measured.

    Raises
    ------
    UsageError
        If there is no forecast, the outcome is not a number, or its target date has not come.
    """
    if decision.forecast is None:
        raise UsageError(f"decision {decision.id!r} has no forecast to score.", code="OPS-U093")
    if decision.outcome is not None or decision.status == "withdrawn":
        raise UsageError(f"decision {decision.id!r} has been closed already.", code="OPS-U092")
    if as_of < decision.forecast.target_date:
        raise UsageError(
            f"decision {decision.id!r} cannot be scored before its target date.",
            remedy=f"Score it on {decision.forecast.target_date.isoformat()} or later.",
            code="OPS-U094",
        )
    if not math.isfinite(outcome):
        raise UsageError("an outcome is not a number.", code="OPS-U095")
    return replace(decision, status="scored", outcome=float(outcome), scored_on=as_of, note=note)


def withdraw(decision: Decision, as_of: dt.date, *, note: str) -> Decision:
    """Return the decision as withdrawn, with the reason; hand it to `record` to keep it.

    Raises
    ------
    UsageError
        If no reason is given, or it has been closed already.
    """
    if not note.strip():
        raise UsageError("a withdrawal needs a reason.", remedy="Give note=.", code="OPS-U096")
    if decision.status in ("scored", "withdrawn") or as_of < decision.decided_on:
        raise UsageError(f"decision {decision.id!r} cannot be withdrawn then.", code="OPS-U092")
    return replace(decision, status="withdrawn", scored_on=as_of, note=note)


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
    )
    numbers = ("lower", "upper", "outcome", "score")
    frame: pd.DataFrame = pd.DataFrame([_row(d) for d in decisions])
    return [
        Cells(
            name="decisions.log",
            dimensions=("decision_id",),
            measures=(Measure("forecast", "public", "", attached=(*texts, *numbers), decimals=1),),
            frame=frame,
            method="decisions",
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
    }


def _validate(d: Decision) -> None:
    for name in ("question", "option", "decider", "legal_basis"):
        if not getattr(d, name).strip():
            raise UsageError(
                f"a decision needs {name}.",
                remedy="Name the human who decides, what entitles to it, and what was asked.",
                code="OPS-U097",
            )
    if not isinstance(d.review_date, dt.date) or d.review_date <= d.decided_on:
        raise UsageError(
            "a decision needs a review date after the day of decision.",
            remedy="Give a later review_date.",
            code="OPS-U098",
        )
    if "none" not in d.considered or d.option not in d.considered:
        raise UsageError(
            "the options considered must hold the one chosen and doing nothing ('none').",
            remedy="List all options that were laid before.",
            code="OPS-U099",
        )
    if (d.outcome is not None) != (d.status == "scored"):
        raise UsageError("a decision has an outcome exactly when it is scored.", code="OPS-U095")


def _after(d: Decision) -> dict[str, Any]:
    body: dict[str, Any] = {"of": d.content_hash, "on": _day_of(d).isoformat(), "note": d.note}
    if d.status == "scored":
        body |= {
            "outcome": d.outcome,
            "error": d.error,
            "inside": d.inside,
            "interval_score": d.interval_score,
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
        return replace(decision, status="scored", outcome=outcome, scored_on=day, note=content["note"])
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
    return _sha(_canonical({"previous": previous} | {k: row[k] for k in keys}))


def _canonical(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


def _sha(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
