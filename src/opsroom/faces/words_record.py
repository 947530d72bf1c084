"""The last part of the story: were we right? Scores of earlier figures, and decisions with their outcome."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from opsroom.faces import words as w
from opsroom.faces.reader import Desk, number, one, records

Part = tuple[str, dict[str, Any], tuple[Any, ...]]
"""Message id, its values, the releases used."""


def record(desk: Desk) -> Iterator[Part]:
    """Tell how far earlier figures missed, and what became of decisions."""
    yield from _scored_work(desk)
    yield from _scored_nowcast(desk)
    log = desk.get("decisions.log")
    for row in records(log):
        forecast, outcome = number(row, "forecast"), number(row, "outcome")
        low, high = number(row, "lower"), number(row, "upper")
        if log is None or forecast is None or low is None or high is None:
            continue
        target = row.get("target_date")
        values = {
            "option": w.lower_first(w.label("option_long", str(row.get("option", "")))),
            "by": w.say("words.by_day", day=w.day(str(target))) if target else w.say("words.by_review"),
            "decider": str(row.get("decider", "")),
            "date": w.day(str(row["decided_on"])),
            "forecast": w.number(forecast),
            "interval": f"90 % interval {w.interval(low, high, 0)}",
        }
        naive = number(row, "naive")
        if outcome is not None:
            values |= {"outcome": w.number(outcome), "verdict": verdict_on(outcome, low, high)}
            if naive is None:
                yield "story.decision_scored", values, (log,)
            else:
                yield "story.decision_scored_naive", {**values, "naive": w.number(naive)}, (log,)
        elif row.get("review_date"):
            yield "story.decision_open", {**values, "review": w.day(str(row["review_date"]))}, (log,)


def verdict_on(outcome: float, lower: float, upper: float) -> str:
    """Say whether an outcome lies inside the interval that was forecast."""
    side = "inside" if lower <= outcome <= upper else "outside_above" if outcome > upper else "outside_below"
    return w.say(f"words.{side}")


def mean_score(rows: list[dict[str, Any]], name: str) -> float | None:
    """Return the mean of a score over rows, or None where there is none."""
    known = [v for v in (number(r, name) for r in rows) if v is not None]
    return sum(known) / len(known) if known else None


def _scored_work(desk: Desk) -> Iterator[Part]:
    scores = desk.get("scores.resumption")
    if scores is None:
        return
    against = "truth" if any(r.get("against") == "truth" for r in records(scores)) else "final"
    ours = records(scores, method="room", against=against)
    mae, coverage = mean_score(ours, "mae"), mean_score(ours, "coverage")
    if mae is None or coverage is None:
        return
    values = {
        "against": w.say(f"words.{against}"),
        "mae": w.number(mae, 1),
        "n": str(len(ours)),
        "coverage": w.percent(coverage, 0),
    }
    naive = mean_score(records(scores, method="naive", against=against), "mae")
    if naive is not None:
        yield "story.score_resumption", {**values, "naive": w.number(naive, 1)}, (scores,)
    else:
        yield "story.score_resumption_plain", values, (scores,)


def _scored_nowcast(desk: Desk) -> Iterator[Part]:
    scores = desk.get("scores.nowcast")
    rows = [r for r in records(scores, method="room") if number(r, "mae") is not None]
    current = desk.get("nowcast.gdp")
    if scores is None or not rows:
        return
    wanted = float(current.facts.get("horizon_days") or 0) if current is not None else 0.0
    # The published horizon that holds today's, or is nearest to it.
    row = min(rows, key=lambda r: _distance(str(r.get("horizon")), wanted))
    horizon = str(row.get("horizon"))
    if _distance(horizon, wanted) == float("inf"):
        return
    values = {"horizon": horizon, "mae": w.number(float(row["mae"]), 2)}
    naive = number(one(scores, method="ar1", horizon=horizon), "mae")
    if naive is not None:
        yield "story.score_nowcast", {**values, "naive": w.number(naive, 2)}, (scores,)
    else:
        yield "story.score_nowcast_plain", values, (scores,)


def _distance(horizon: str, days: float) -> float:
    """Return how far a horizon such as ``"60"`` or ``"60 to 89"`` lies from a number of days."""
    ends = [float(number) for number in re.findall(r"\d+", horizon)]
    if not ends:
        return float("inf")
    return max(min(ends) - days, days - max(ends), 0.0)
