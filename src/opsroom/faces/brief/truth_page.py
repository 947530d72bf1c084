"""Meridia's figures against its truth, for people: sentences, and one HTML page beside the briefings.

The truth is kept outside the room, so this is no release and no page of the room.
"""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from opsroom.base.charts import Caption
from opsroom.base.charts_lines import line_band
from opsroom.base.charts_render import render_svg
from opsroom.faces import words as w
from opsroom.faces.brief.html import environment

if TYPE_CHECKING:
    import pandas as pd

Chart = tuple[Caption, Markup]


def national(weekly: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of all companies, by count."""
    return weekly[(weekly["weight"] == "count") & (weekly["size"] == "_T")]


def truth_sentences(weekly: pd.DataFrame, nowcasts: pd.DataFrame) -> list[str]:
    """Say how far the room's figures lay from the truth, beside naive benchmarks.

    Parameters
    ----------
    weekly
        What `opsroom.room.truth_scores.with_benchmarks` returns.
    nowcasts
        What `opsroom.room.truth_scores.nowcast_scores` returns.
    """
    told = [w.say("truth.only")]
    main = national(weekly) if len(weekly) else weekly
    if len(main):
        worst = max(_records(main), key=lambda r: abs(float(r["error"])))
        told.append(
            w.say(
                "truth.work", n=str(len(main)), mae=_mae(main["error"]), naive=_mae(main["naive_error"]),
                repeated=_mae(main["repeated_error"]),
            )
        )  # fmt: skip
        told.append(
            w.say(
                "truth.intervals", held=str(int(main["inside"].sum())), n=str(len(main)),
                all_held=w.percent(100.0 * float(weekly["inside"].mean()), 0), day=w.day(worst["reference"]),
                said=w.percent(float(worst["resumed"])), truth=w.percent(float(worst["truth"])),
            )
        )  # fmt: skip
    if len(nowcasts):
        told.append(
            w.say(
                "truth.nowcast", n=str(len(nowcasts)), mae=_mae(nowcasts["nowcast_error"]),
                ar1=_mae(nowcasts["ar1_error"]), last=_mae(nowcasts["last_error"]),
                held=str(int(nowcasts["inside"].sum())),
            )
        )  # fmt: skip
    return told


def truth_page(weekly: pd.DataFrame, nowcasts: pd.DataFrame, *, title: str, disclaimer: str = "") -> str:
    """Return the page as self-contained HTML: no script, no link to any host.

    Parameters
    ----------
    weekly, nowcasts
        As in `truth_sentences`.
    title, disclaimer
        Of the room.
    """
    charts = [c for c in (_work_chart(weekly), _nowcast_chart(nowcasts)) if c is not None]
    # by its place, not by its package: importing that would load a web server
    style = (files("opsroom.faces") / "web" / "static" / "opsroom.css").read_text("utf-8")
    return environment().get_template("truth.html").render(
        title=title, disclaimer=disclaimer, style=Markup(style), sentences=truth_sentences(weekly, nowcasts),
        charts=charts, tables=[t for t in (_summary(weekly), _weeks(weekly), _quarters(nowcasts)) if t["rows"]],
    )  # fmt: skip


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in frame.to_dict("records")]


def _mae(errors: Any, decimals: int = 1) -> str:
    return w.number(float(errors.abs().mean()), decimals)


def _work_chart(weekly: pd.DataFrame) -> Chart | None:
    if not len(weekly):
        return None
    main = national(weekly)
    rows = [{**r, "reference": r["reference"].isoformat()} for r in _records(main)]
    caption = Caption(
        w.say("truth.work_finding", mae=_mae(main["error"]), naive=_mae(main["naive_error"])),
        w.say("truth.work_unit"), w.say("truth.source"), str(main["day"].max()),
    )  # fmt: skip
    lines = {"resumed": w.say("truth.said"), "truth": w.say("words.truth"), "uncorrected": w.say("chart.uncorrected")}
    chart = line_band(
        rows, x="reference", lines=lines, band=("lower", "upper"), caption=caption, domain=(0, 100), points=True
    )
    return caption, _drawn(chart, "truth-work", caption)


def _nowcast_chart(nowcasts: pd.DataFrame) -> Chart | None:
    if not len(nowcasts):
        return None
    rows = [{**r, "day": r["day"].isoformat()} for r in _records(nowcasts)]
    caption = Caption(
        w.say(
            "truth.nowcast_finding", mae=_mae(nowcasts["nowcast_error"]), ar1=_mae(nowcasts["ar1_error"]),
            last=_mae(nowcasts["last_error"]),
        ),
        w.say("truth.nowcast_unit"), w.say("truth.source"), str(nowcasts["day"].max()),
    )  # fmt: skip
    lines = {
        "nowcast": w.say("chart.nowcast"), "truth": w.say("words.truth"), "ar1": w.say("chart.ar1"),
        "last": w.say("truth.last"),
    }  # fmt: skip
    chart = line_band(rows, x="day", lines=lines, band=("lower", "upper"), caption=caption, rule=0.0, points=True)
    return caption, _drawn(chart, "truth-nowcast", caption)


def _drawn(chart: Any, ident: str, caption: Caption) -> Markup:
    return Markup(render_svg(chart, mode="page", ident=ident, title=caption.finding, desc=caption.description))


def _summary(weekly: pd.DataFrame) -> dict[str, Any]:
    """One row a way of counting: number of releases, error, share of intervals that held."""
    rows = []
    if len(weekly):
        for (weight, size), part in weekly.groupby(["weight", "size"], sort=True):
            rows.append(
                [
                    f"{w.label('chart', 'all' if size == '_T' else str(size))}, {w.say(f'truth.by_{weight}')}",
                    str(len(part)), _mae(part["error"]),
                    _mae(part["naive_error"]) if part["naive_error"].notna().any() else "–",
                    _mae(part["repeated_error"]), w.percent(100.0 * float(part["inside"].mean()), 0),
                ]
            )  # fmt: skip
    titles = ["counted", "releases", "missed by", "uncorrected", "repeated", "held"]
    return _table("summary", titles, rows, words=1)


def _weeks(weekly: pd.DataFrame) -> dict[str, Any]:
    rows = [
        [
            w.day(r["day"]), w.day(r["reference"]), w.number(r["resumed"], 1), w.interval(r["lower"], r["upper"]),
            w.number(r["truth"], 1), w.signed(r["error"]), w.signed(r["naive_error"]), _inside(r["inside"]),
        ]
        for r in (_records(national(weekly)) if len(weekly) else [])
    ]  # fmt: skip
    titles = ["released", "about", "said", "interval", "truth", "error", "uncorrected error", "inside"]
    return _table("weeks", titles, rows, words=2)


def _quarters(nowcasts: pd.DataFrame) -> dict[str, Any]:
    rows = [
        [
            w.day(r["day"]), w.period(r["quarter"]), w.number(r["nowcast"], 1), w.interval(r["lower"], r["upper"]),
            w.number(r["truth"], 1), w.signed(r["nowcast_error"]), w.signed(r["ar1_error"]),
            w.signed(r["last_error"]), _inside(r["inside"]),
        ]
        for r in _records(nowcasts)
    ]  # fmt: skip
    titles = ["released", "quarter", "said", "interval", "truth", "error", "ar1 error", "last error", "inside"]
    return _table("quarters", titles, rows, words=2)


def _inside(held: object) -> str:
    return w.say("truth.yes" if held else "truth.no")


def _table(name: str, titles: list[str], rows: list[list[str]], *, words: int) -> dict[str, Any]:
    """Return a table for the template: the first `words` columns are words, the others numbers."""
    return {
        "caption": w.say(f"truth.table_{name}"),
        "titles": [w.say(f"truth.col_{t.replace(' ', '_')}") for t in titles],
        "numeric": [k >= words for k in range(len(titles))],
        "rows": rows,
    }
