"""What a decision record says, and how its forecast is scored once the outcome is known."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from opsroom.base.errors import UsageError

Status = Literal["open", "due", "scored", "withdrawn"]
SCHEMA_VERSION = 1


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
    naive
        What a naive forecast would have said on the day of decision: the benchmark of the score.
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
    naive: float | None = None
    scored_on: dt.date | None = None
    note: str = ""
    id: str = ""

    def __post_init__(self) -> None:
        _validate(self)
        own = f"{self.decided_on.isoformat()}-{self.option}-{self.content_hash[7:15]}"
        if self.id and self.id != own:
            raise UsageError("a decision's id does not belong to its content.", remedy="Leave id out.", code="OPS-U091")
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
        return sha(canonical(self.core))

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
    def naive_score(self) -> float | None:
        """Absolute error of the naive forecast, once the outcome is known; None where there is none."""
        return None if self.naive is None or self.outcome is None else abs(self.naive - self.outcome)

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
        from opsroom.base.scores import interval_score  # a room is opened far more often than a forecast is scored

        return interval_score([f.lower], [f.upper], [self.outcome], level=f.level)


def score(
    decision: Decision, outcome: float, as_of: dt.date, *, naive: float | None = None, note: str = ""
) -> Decision:
    """Return the decision with what happened; hand it to `record` to keep it.

    Parameters
    ----------
    decision
        A decision with a forecast.
    outcome
        What happened, in the forecast's unit and by its definition.
    as_of
        The day on which the outcome is known.
    naive
        A naive forecast of the same number, from what was known on the day of decision.
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
    if not math.isfinite(outcome) or (naive is not None and not math.isfinite(naive)):
        raise UsageError("an outcome is not a number.", code="OPS-U095")
    return replace(decision, status="scored", outcome=float(outcome), naive=naive, scored_on=as_of, note=note)


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


def canonical(document: Mapping[str, Any]) -> str:
    """Return the canonical JSON of a document: keys sorted, no spaces."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True, allow_nan=False)


def sha(text: str) -> str:
    """Return the SHA-256 of a text, with its prefix."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()
