"""The planner's exam for people: its maps as tables and pictures, for the page of a room and for a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from opsroom._version import __version__
from opsroom.base.charts import signed
from opsroom.base.charts_render import DrawingCache, render_svg, spec_hash, spec_of


def exam_tables(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the map against each rule as a table of words.

    Parameters
    ----------
    document
        What `ExamResult.to_dict` returns.
    """
    level = f"{100 * document['level']:.0f} % interval"
    return [
        {
            "caption": f"The planner's lead over {name}, per cent of final use",
            "titles": ["shocks", "unannounced", "sectors seen", "error", "delay, weeks", "verdict", "lead", level],
            "words": 0,
            "rows": [_row(r) for r in document[key]],
        }
        for key, name in (("map", "price adjustment"), ("against_pro_rata", "equal shares"))
    ]


def exam_drawings(charts: Sequence[Any], drawings: DrawingCache | None = None) -> list[dict[str, Any]]:
    """Return the maps drawn, each with its finding and its unit.

    Parameters
    ----------
    charts
        Charts or their specifications.
    drawings
        Where drawings are kept.
    """
    return [_drawn(spec_of(chart), k, drawings) for k, chart in enumerate(charts)]


def _row(r: Mapping[str, Any]) -> list[str]:
    return [
        f"{100 * r['size']:.0f} %", f"{100 * r['surprise']:.0f} %", f"{100 * r['coverage']:.0f} %",
        f"{100 * r['noise']:.0f} %", f"{r['delay']:.0f}", str(r["verdict"]), signed(r["difference"], 2),
        f"{signed(r['lower'], 2)} to {signed(r['upper'], 2)}",
    ]  # fmt: skip


def _drawn(spec: dict[str, Any], number: int, drawings: DrawingCache | None) -> dict[str, Any]:
    title = spec["title"]
    finding = " ".join(title["text"])

    def draw() -> str:
        return render_svg(spec, mode="page", ident=f"exam-{number}", title=finding, desc=spec["usermeta"]["alt"])

    svg = draw() if drawings is None else drawings.get(f"exam {number} {spec_hash(spec)} {__version__}", draw)
    return {"finding": finding, "unit": " ".join(title["subtitle"]), "svg": Markup(svg)}
