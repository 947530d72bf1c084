"""Figures of the nowcast: what was said, what moved it, what is due."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.codes import headline_of, news_title, piece_of, series_title
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, number, one

_LEAST = 0.005
"""Points of growth below which a figure is not shown: they round to nothing."""


def nowcast(desk: Desk) -> Figure | None:
    """What was said of the target quarter on each publication day."""
    release = desk.get("nowcast.gdp")
    if release is None:
        return None
    quarter = str(release.facts.get("target_quarter", ""))
    first = headline_of(release)
    beside = "model" if first == "pool" else "pool"
    growth = number(one(release, quarter=quarter, kind=first), "growth")
    if growth is None:
        return None
    rows: list[dict[str, Any]] = []
    used = []
    for past in desk.past("nowcast.gdp"):
        said = one(past, quarter=quarter, kind=first)
        if number(said, "growth") is None or said is None:
            continue
        used.append(past)
        rows.append(
            {
                "day": day_of(past.day).isoformat(),
                "quarter": quarter,
                **{
                    k: said.get(k)
                    for k in ("growth", "growth_lower", "growth_upper", "growth_lower68", "growth_upper68")
                },
                beside: number(one(past, quarter=quarter, kind="pool" if beside == "pool" else "nowcast"), "growth"),
                "ar1": number(one(past, quarter=quarter, kind="ar1"), "growth"),
                "official": number(one(past, quarter=quarter, kind="official"), "growth"),
            }
        )
    columns = (
        "day",
        "quarter",
        "growth",
        "growth_lower",
        "growth_upper",
        "growth_lower68",
        "growth_upper68",
        beside,
        "ar1",
        "official",
    )
    caption = Caption(
        w.say("fig.nowcast.finding", quarter=w.period(quarter), growth=w.percent(growth)),
        w.say("fig.nowcast.unit"), source_of(release), day_of(release.day).isoformat(),
        w.say("fig.nowcast.alt", quarter=w.period(quarter), growth=w.percent(growth)),
    )  # fmt: skip
    lines = {"growth": w.say("chart.pool" if first == "pool" else "chart.nowcast")}
    for kind in (beside, "ar1", "official"):
        if any(r[kind] is not None for r in rows):
            lines[kind] = w.say(f"chart.{kind}")

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        return line_band(
            rows,
            x="day",
            lines=lines,
            band=("growth_lower", "growth_upper"),
            caption=caption,
            rule=0.0,
            points=True,
        )

    return Figure(
        "nowcast.gdp",
        "output",
        caption,
        columns,
        table(rows, columns),
        tuple(reversed(used)),
        draw,
        how="how.nowcast",
    )


def news(desk: Desk) -> Figure | None:
    """Which data moved what is said since the last release: of all models together where that is told, in one sum."""
    release = desk.get("nowcast.gdp")
    facts = release.facts if release is not None else {}
    # Weights without a past say nothing yet, unless they are the room's own headline.
    earned = facts.get("pool_news") and (facts.get("pool_past") or headline_of(release) == "pool")
    kind, family = ("pool", "pool_news") if earned else ("nowcast", "news")
    items = [n for n in facts.get(family) or [] if n.get("series") or n.get("kind")]
    rows = [
        {
            "series": str(n["series"] or n["kind"]),
            "kind": piece_of(n),
            "name": news_title(release, n),
            "contribution": number(n, "contribution"),
        }
        for n in items
    ]
    rows = [r for r in rows if r["contribution"]]
    if release is None or not rows:
        return None
    rows.sort(key=lambda r: (-abs(float(r["contribution"] or 0.0)), str(r["series"]), str(r["kind"])))
    top, moved = str(rows[0]["kind"]), abs(float(rows[0]["contribution"] or 0.0))
    quarter = str(facts.get("target_quarter", ""))
    now = number(one(release, quarter=quarter, kind=kind), "growth")
    before = (facts.get("previous") or {}).get("growth" if kind == "nowcast" else "pool")
    words = {"series": str(rows[0]["name"])}
    if told := before is not None and now is not None:
        words |= {"previous": w.percent(float(before or 0.0), 2), "current": w.percent(now or 0.0, 2)}
    if moved < _LEAST:
        finding = w.say(f"fig.{family}.finding_none")
    elif top and (told or family == "news"):
        finding = w.say(f"fig.{family}.finding_{top}", **words)
    else:
        finding = w.say(f"fig.{family}.finding_total" if told else f"fig.{family}.finding", **words)
    drawn = [r for r in rows if abs(float(r["contribution"] or 0.0)) >= _LEAST] or rows[:3]
    columns = ("series", "name", "contribution")
    caption = Caption(finding, w.say(f"fig.{family}.unit"), source_of(release), day_of(release.day).isoformat())

    def draw() -> Any:
        from opsroom.base.charts_bars import news_bars

        return news_bars(drawn[:12], category="name", value="contribution", caption=caption)

    return Figure(
        "nowcast.gdp--news",
        "output",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.nowcast",
    )


def due(desk: Desk) -> Figure | None:
    """Which figures are due next, and how far each could move the nowcast."""
    release = desk.get("nowcast.gdp")
    if release is None:
        return None
    rows = [
        {
            "series": str(one["series"]),
            "name": f"{series_title(release, str(one['series']))}, {w.days(str(one['date']), str(one['date']))}",
            "expected_on": str(one["date"]),
            "period": str(one["period"]),
            "could_move": number(one, "could_move"),
        }
        for one in release.facts.get("calendar") or []
        if one and (number(one, "could_move") or 0.0) >= _LEAST
    ]
    if not rows:
        return None
    most = max(rows, key=lambda r: float(r["could_move"] or 0.0))
    columns = ("series", "name", "expected_on", "period", "could_move")
    caption = Caption(
        w.say(
            "fig.due.finding", series=series_title(release, str(most["series"])), period=w.period(str(most["period"])),
            date=w.day(str(most["expected_on"])), move=w.number(float(most["could_move"] or 0.0), 2),
        ),
        w.say("fig.due.unit"), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import news_bars

        return news_bars(rows, category="name", value="could_move", caption=caption, either=True)

    return Figure(
        "nowcast.gdp--due",
        "output",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.nowcast",
    )
