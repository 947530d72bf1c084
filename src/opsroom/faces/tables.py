"""Data as tables for people: titles of columns, numbers as text, codes in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opsroom.faces import words as w
from opsroom.faces.activity import Comparison
from opsroom.faces.codes import name_code, title_of_one
from opsroom.faces.figures.figure import Figure
from opsroom.faces.reader import Desk, measures_of
from opsroom.faces.words_record import verdict_on

_BOUNDS = {"_lower": "lower", "_upper": "upper", "_lower68": "lower68", "_upper68": "upper68"}
_TIMES = frozenset(
    {
        "date",
        "day",
        "vintage",
        "reference",
        "week",
        "month",
        "quarter",
        "start",
        "decided_on",
        "review_date",
        "target_date",
    }
)


def column_title(name: str) -> str:
    """Return the words for a column."""
    for kind in ("column", "cost", "class", "state", "chart", "option"):
        if w.CATALOGUE.has(f"{kind}.{name}"):
            return w.say(f"{kind}.{name}")
    for tail, message in _BOUNDS.items():
        if name.endswith(tail):
            return w.say(f"words.{message}", of=column_title(name.removesuffix(tail)))
    return name.replace("_", " ")


def cell(value: Any, decimals: int | None = None) -> str:
    """Write one value of a table."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return w.number(value)
    if isinstance(value, float):
        if decimals is None:
            decimals = 0 if value == round(value) and abs(value) >= 1000 else 2 if abs(value) < 10 else 1
        return w.number(value, decimals)
    return str(value)


def decision_words(record: dict[str, Any]) -> dict[str, Any]:
    """Return a decision record for people: its title, its id, and its facts in the order that one asks for them."""
    option = w.label("option_long", str(record.get("option", "")))
    facts = [(column_title(n), str(record[n])) for n in ("decider", "legal_basis") if record.get(n)]
    for name in ("decided_on", "review_date"):
        if record.get(name):
            facts.append((column_title(name), w.day(str(record[name]))))
    forecast, low, high = (record.get(n) for n in ("forecast", "lower", "upper"))
    target = record.get("target_date")
    by = w.say("words.by_day", day=w.day(str(target))) if target else w.say("words.by_review")
    if forecast is not None:
        said = w.number(float(forecast))
        if low is not None and high is not None:
            said += f" (90 % interval {w.interval(float(low), float(high), 0)})"
        facts.append((w.say("decision.forecast", by=by), said))
    outcome = record.get("outcome")
    if outcome is None:
        facts.append((w.say("decision.outcome"), w.say("decision.not_known")))
    else:
        said = w.number(float(outcome))
        if low is not None and high is not None:
            said += f", {verdict_on(float(outcome), float(low), float(high))}"
        facts.append((w.say("decision.outcome"), said))
        if forecast is not None:
            facts.append((w.say("decision.missed"), w.number(abs(float(outcome) - float(forecast)))))
    decided = str(record.get("decided_on") or "")
    title = w.say("decision.title", option=option, date=w.day(decided)) if decided else option
    return {"title": title, "id": str(record.get("decision_id", "")), "facts": facts}


def _decisions(figure: Figure) -> dict[str, Any]:
    """Return the decision records as a table of three columns: a record has too many fields for one row."""
    rows = []
    for record in (decision_words(r) for r in figure.records()):
        rows += [[record["title"] if k == 0 else "", *fact] for k, fact in enumerate(record["facts"])]
    titles = [column_title("decision_id"), w.say("decision.what"), w.say("decision.said")]
    return {"titles": titles, "numeric": [False] * 3, "rows": rows, "cut": 0, "total": len(rows)}


def comparison_table(desk: Desk, found: Sequence[Comparison]) -> dict[str, Any]:
    """Return what two days said of the same periods as a table for people."""
    codes = {name: {c.title for c in found if c.series == name} for name in {c.series for c in found}}
    titles_of = {
        (name, code): title_of_one(desk, desk.get(name), code, several=len(of) > 1)
        for name, of in codes.items() for code in of
    }  # fmt: skip
    rows = [
        [
            w.upper_first(titles_of[c.series, c.title]),
            w.period(c.period),
            *(cell(v, c.decimals) for v in (c.earlier, c.later)),
            w.signed(c.revision, c.decimals) if c.revision is not None else cell(None),
        ]
        for c in found
    ]
    titles = [column_title(name) for name in ("series", "reference", "said_first", "said_later", "revised_by")]
    return {"titles": titles, "numeric": [False, False, True, True, True], "rows": rows, "cut": 0, "total": len(rows)}


def shown_rows(desk: Desk, figure: Figure, *, limit: int = 400) -> dict[str, Any]:
    """Return a figure's data for a table: titles, rows as text, which columns are numbers.

    Parameters
    ----------
    desk, figure
        The day and the figure.
    limit
        At most so many rows, the last ones of a time series; the files have them all.
    """
    if figure.name == "decisions.log":
        return _decisions(figure)
    decimals = {m.name: m.decimals for r in figure.releases[:1] for m in measures_of(r)}
    attached = {a: m.decimals for r in figure.releases[:1] for m in measures_of(r) for a in m.attached}
    numeric = [any(isinstance(row[k], (int, float)) for row in figure.rows) for k in range(len(figure.columns))]
    dimensions = set(figure.main.dimensions)
    # Of a release with a title of its own, the series are known by that title, not by the dataset's field names.
    at_series = figure.columns.index("series") if "series" in figure.columns else None
    several = at_series is not None and len({row[at_series] for row in figure.rows}) > 1
    titled = figure.main.name.startswith("activity.")
    text = []
    for row in figure.rows[-limit:]:
        cells = []
        for name, value in zip(figure.columns, row, strict=True):
            if isinstance(value, str):
                if titled and name == "series":
                    words = title_of_one(desk, figure.main, value, several=several)
                else:
                    words = name_code(desk, name, value) if name in dimensions or name in ("option", "state") else value
                cells.append(w.period(words) if name in _TIMES else words)
            else:
                cells.append(cell(value, decimals.get(name, attached.get(name))))
        text.append(cells)
    titles = [column_title(c) for c in figure.columns]
    # A code in words is its own name: one column says it.
    at = [k for k, name in enumerate(figure.columns) if name == "name"]
    twice = {k for k in at if any(j != k and all(row[j] == row[k] for row in text) for j in range(len(titles)))}
    kept = [k for k in range(len(titles)) if k not in twice]
    return {
        "titles": [titles[k] for k in kept],
        "numeric": [numeric[k] for k in kept],
        "rows": [[row[k] for k in kept] for row in text],
        "cut": max(0, len(figure.rows) - limit),
        "total": len(figure.rows),
    }
