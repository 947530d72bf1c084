"""Data as tables for people: titles of columns, numbers as text, codes in words."""

from __future__ import annotations

from typing import Any

from opsroom.faces import words as w
from opsroom.faces.codes import name_code
from opsroom.faces.figures.figure import Figure
from opsroom.faces.reader import Desk, measures_of

_TIMES = frozenset(
    {"date", "day", "vintage", "reference", "week", "month", "quarter", "start", "decided_on", "review_date"}
)


def column_title(name: str) -> str:
    """Return the words for a column."""
    for kind in ("cost", "class", "state", "chart", "option"):
        if w.CATALOGUE.has(f"{kind}.{name}"):
            return w.say(f"{kind}.{name}")
    for tail, words in (("_lower", ", lower bound"), ("_upper", ", upper bound")):
        if name.endswith(tail):
            return name.removesuffix(tail).replace("_", " ") + words
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


def shown_rows(desk: Desk, figure: Figure, *, limit: int = 400) -> dict[str, Any]:
    """Return a figure's data for a table: titles, rows as text, which columns are numbers.

    Parameters
    ----------
    desk, figure
        The day and the figure.
    limit
        At most so many rows, the last ones of a time series; the files have them all.
    """
    decimals = {m.name: m.decimals for r in figure.releases[:1] for m in measures_of(r)}
    attached = {a: m.decimals for r in figure.releases[:1] for m in measures_of(r) for a in m.attached}
    numeric = [any(isinstance(row[k], (int, float)) for row in figure.rows) for k in range(len(figure.columns))]
    dimensions = set(figure.main.dimensions)
    text = []
    for row in figure.rows[-limit:]:
        cells = []
        for name, value in zip(figure.columns, row, strict=True):
            if isinstance(value, str):
                words = name_code(desk, name, value) if name in dimensions or name == "option" else value
                cells.append(w.period(words) if name in _TIMES else words)
            else:
                cells.append(cell(value, decimals.get(name, attached.get(name))))
        text.append(cells)
    return {
        "titles": [column_title(c) for c in figure.columns],
        "numeric": numeric,
        "rows": text,
        "cut": max(0, len(figure.rows) - limit),
        "total": len(figure.rows),
    }
