"""Deciding and reviewing: a decision is recorded with its forecast, and scored once the outcome is out.

Both read stored releases alone: what was decided rests on what had been published, and is scored by it.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from opsroom.base.errors import NotFoundError, UsageError
from opsroom.evaluate.decisions import Decision, Forecast, load, record, score

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.base.state import State
    from opsroom.protect.reader import Releases
    from opsroom.protect.release import Release

STUDY = "relief.options"
OUTCOME = "relief.outcome"
MEASURE = "illiquid_companies"
ACCOUNTS_LAG = 15
"""Days after a month's end by which its accounts are in: a forecast is of a month known by the review."""


def decide(
    releases: Releases,
    state: State,
    *,
    option: str,
    decider: str,
    legal_basis: str,
    review_date: dt.date,
    day: dt.date,
    question: str = "",
    dissent: str = "",
) -> Decision:
    """Record a decision between the options of the last relief study.

    The forecast is the study's own: companies out of cash under the option, in the last month of which
    accounts are in by the review.

    Raises
    ------
    NotFoundError
        If no relief study was published by that day.
    UsageError
        If the option was not laid before.
    """
    study = releases.get(STUDY, day)
    if study is None:
        raise NotFoundError(
            "no relief study was published by that day; there are no options to decide between.",
            remedy="Publish a day on which `relief.options` is due.",
            code="OPS-N010",
        )
    frame = study.to_frame()
    options = tuple(dict.fromkeys(frame["option"]))
    if option not in options:
        raise UsageError(
            f"option {option!r} was not laid before.",
            remedy=f"Choose one of {', '.join(options)}.",
            code="OPS-U060",
        )
    decision = Decision(
        question=question or "Which relief, if any, do companies with loans get?",
        option=option,
        considered=options,
        decider=decider,
        legal_basis=legal_basis,
        decided_on=day,
        review_date=review_date,
        forecast=_forecast(study, frame, option, review_date),
        evidence=_evidence(releases, day),
        dissent=dissent,
    )
    return record(state, decision)


def review(releases: Releases, state: State, day: dt.date) -> list[Decision]:
    """Score the decisions whose review date has come, where the outcome of their month is published.

    Returns
    -------
    list of Decision
        Those scored now.
    """
    scored = []
    for decision in load(state, day):
        if decision.status != "due" or decision.forecast is None:
            continue
        outcome, naive = _outcome(releases, decision, day)
        if outcome is not None:
            note = "counted in the accounts published; naive: the last month known on the day, carried forward"
            scored.append(record(state, score(decision, outcome, day, naive=naive, note=note)))
    return scored


def _forecast(study: Release, frame: pd.DataFrame, option: str, review_date: dt.date) -> Forecast | None:
    months = frame[(frame["option"] == option) & (frame["section"] == "_T") & (frame["month"] != "all")]
    months = months[months[MEASURE].notna()].set_index("month").sort_index()
    known = [m for m in months.index if _end(str(m)) + dt.timedelta(days=ACCOUNTS_LAG) <= review_date]
    if not known:
        return None
    row, month = months.loc[known[-1]], str(known[-1])
    point = float(row[MEASURE])
    return Forecast(
        measure=f"{STUDY}/{MEASURE}",
        target_date=_end(month),
        point=point,
        lower=min(float(row[f"{MEASURE}_lower"]), point),
        upper=max(float(row[f"{MEASURE}_upper"]), point),
        level=float(study.facts.get("level", 0.9)),
        unit="companies",
    )


def _evidence(releases: Releases, day: dt.date) -> dict[str, str]:
    names = [name for name in releases.names(day) if not name.startswith("decisions.")]
    found = [release for name in names if (release := releases.get(name, day)) is not None]
    return {release.id: release.content_hash for release in found}


def _outcome(releases: Releases, decision: Decision, day: dt.date) -> tuple[float | None, float | None]:
    """Return what came of the month that was forecast, and how many were out of cash when it was decided."""
    release = releases.get(OUTCOME, day)
    if release is None or decision.forecast is None:
        return None, None
    frame = release.to_frame()
    rows = frame[(frame["decision_id"] == decision.id) & frame[MEASURE].notna()].sort_values("month")
    there = rows[rows["month"] == decision.forecast.target_date.strftime("%Y-%m")]
    before = rows[rows["month"] < decision.decided_on.strftime("%Y-%m")]
    return _last(there), _last(before)


def _last(rows: pd.DataFrame) -> float | None:
    return float(rows[MEASURE].iloc[-1]) if len(rows) else None


def _end(month: str) -> dt.date:
    first = dt.date.fromisoformat(f"{month}-01")
    return (first + dt.timedelta(days=32)).replace(day=1) - dt.timedelta(days=1)
