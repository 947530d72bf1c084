"""A figure as a JSON document: the same for the page's ``.json``, the API and the briefing."""

from __future__ import annotations

from typing import Any

from opsroom.faces.figures.figure import Figure
from opsroom.faces.reader import Desk, measures_of


def figure_document(desk: Desk, figure: Figure) -> dict[str, Any]:
    """Return a figure with its data, words, licence and stamps.

    Parameters
    ----------
    desk
        The day.
    figure
        The figure.

    Returns
    -------
    dict
        JSON-able; numbers are those of the releases, unrounded further.
    """
    main = figure.main
    return {
        "name": figure.name,
        "group": figure.group,
        "as_of": desk.day.isoformat(),
        "released": figure.day,
        "finding": figure.caption.finding,
        "unit": figure.caption.unit,
        "description": figure.caption.description,
        "source": figure.source,
        "licence": str(main.licence),
        "method": str(main.method),
        "synthetic": desk.synthetic,
        "disclaimer": str(desk.room.get("disclaimer") or ""),
        "measures": [
            {"name": m.name, "unit": m.unit, "kind": m.kind, "decimals": m.decimals} for m in measures_of(main)
        ],
        "columns": list(figure.columns),
        "rows": [list(row) for row in figure.rows],
        "releases": figure.stamps(),
    }
