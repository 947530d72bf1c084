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


def exam_sentences(document: Mapping[str, Any]) -> list[str]:
    """Return what was found in sentences, without those on where planning breaks even: see `exam_limits`."""
    lines = str(document["summary"]).split("\n")
    cases = {(row["size"], row["surprise"]) for row in document["break_even"]}
    return lines[: len(lines) - len(cases)]


def exam_limits(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return as a table how bad one property of the data may be, the others perfect, before planning is behind."""
    cases: dict[tuple[float, float], dict[str, str]] = {}
    for row in document["break_even"]:
        cases.setdefault((row["size"], row["surprise"]), {})[row["property"]] = _limit(row)
    properties = [name for name in ("delay", "noise", "coverage") if any(name in found for found in cases.values())]
    titles = {"delay": "delay", "noise": "error", "coverage": "sectors seen"}
    return {
        "caption": "How bad data may be, all else perfect, before the planner falls behind price adjustment",
        "titles": ["shocks", "unannounced", *(titles[name] for name in properties)],
        "rows": [
            [_percent(size), _percent(surprise), *(found.get(name, "") for name in properties)]
            for (size, surprise), found in sorted(cases.items())
        ],
    }


def _limit(row: Mapping[str, Any]) -> str:
    """Return one break-even point with its interval; what is not reached lies beyond the worst that was tried."""
    weeks = row["property"] == "delay"
    beyond = "below" if row["property"] == "coverage" else "above"

    def one(value: float | None, unit: str) -> str:
        known = row["worst"] if value is None else value
        text = f"{known:.1f}{unit}" if weeks else f"{100 * known:.0f}{unit}"
        return text if value is not None else f"{beyond} {text}"

    value, low, high = row["break_even"], row["lower"], row["upper"]
    point = one(value, " weeks" if weeks else " %")
    return point if value is low is high is None else f"{point} ({one(low, '')} to {one(high, '')})"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


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
        _percent(r["size"]), _percent(r["surprise"]), _percent(r["coverage"]), _percent(r["noise"]),
        f"{r['delay']:.0f}", str(r["verdict"]), signed(r["difference"], 2),
        f"{signed(r['lower'], 2)} to {signed(r['upper'], 2)}",
    ]  # fmt: skip


def _drawn(spec: dict[str, Any], number: int, drawings: DrawingCache | None) -> dict[str, Any]:
    title = spec["title"]
    finding = " ".join(title["text"])

    def draw() -> str:
        return render_svg(spec, mode="page", ident=f"exam-{number}", title=finding, desc=spec["usermeta"]["alt"])

    svg = draw() if drawings is None else drawings.get(f"exam {number} {spec_hash(spec)} {__version__}", draw)
    # one sentence, broken into lines for the picture, and the source
    unit = " ".join(title["subtitle"]).replace(" Source:", ". Source:")
    return {"finding": finding, "unit": unit, "svg": Markup(svg)}
