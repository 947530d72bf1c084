"""Figures of any other series: activity against normal, the credit gap, and a plain line for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opsroom.base.charts import Caption, is_period
from opsroom.faces import words as w
from opsroom.faces.codes import country_name, name_code, title_of, title_of_one
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, bounds, by_series, day_of, measures_of, number, records

TIMES = ("date", "day", "week", "month", "quarter", "year", "period", "reference", "time")
MOST_LINES = 5
GROUPS = {
    "resumption": "work", "restriction": "work", "nowcast": "output", "prices": "output", "loans": "credit",
    "liquidity": "credit", "credit": "credit", "exuberance": "credit", "bottlenecks": "credit", "contagion": "credit",
    "delays": "credit", "invoices": "credit", "relief": "options", "scores": "record", "data": "record",
    "decisions": "record", "propagation": "output",
}  # fmt: skip
"""Family of a series → the part of the page in which a plain figure of it stands."""
DRAWN = 400
"""A long series is drawn for its last observations; the data beside it have them all."""
LEVELS_DRAWN = 120
"""Observed against expected can be told apart over four months of days, not over a year."""


def how_of(name: str) -> str:
    """Return the message id of a series' method text."""
    family = name.partition(".")[0]
    if name.endswith(".levels"):
        return "how.levels"
    return f"how.{family}" if w.CATALOGUE.has(f"how.{family}") else "how.other"


def gap(name: str) -> Callable[[Desk], Figure | None]:
    """Return the builder of an activity series' gap to normal."""

    def make(desk: Desk) -> Figure | None:
        release = desk.get(name)
        known = by_series(release, "gap")
        if release is None or not known:
            return None
        first, rows = next(iter(known.items()))
        value = float(rows[-1]["gap"])
        banded = any(bounds(r, "gap") for r in rows)
        columns = tuple(c for c in release.columns if c != "status")
        caption = Caption(
            w.say(
                "fig.activity.finding", title=title_of_one(desk, release, first, several=len(known) > 1),
                gap=w.percent(abs(value)), sense=w.say("words.above" if value >= 0 else "words.below"),
                at=w.at(str(rows[-1]["date"])),
            ),
            w.say("fig.activity.unit_calendar" if release.facts.get("weather") is False else "fig.activity.unit"),
            source_of(release), day_of(release.day).isoformat(),
        )  # fmt: skip

        def draw() -> Any:
            from opsroom.base.charts_lines import line_band

            weeks = _is_week(rows)
            # A day's noise hides what months say: the line is the mean of a week, the band that of one day.
            shown = {code: own if weeks else _weekly(own) for code, own in list(known.items())[:MOST_LINES]}
            merged = {str(r["date"]): dict(r) for r in rows[-DRAWN:]}
            lines: dict[str, str] = {}
            for k, (code, own) in enumerate(shown.items()):
                lines[f"line{k}"] = name_code(desk, "series", code)
                for row in own:
                    if str(row["date"]) in merged:
                        merged[str(row["date"])][f"line{k}"] = row["gap" if weeks else "mean"]
            interval = w.say("chart.interval" if weeks else "chart.interval_day")
            if len(lines) > 1:
                interval = w.say("chart.interval_one", name=lines["line0"])
            else:
                lines = {"line0": w.say("chart.gap_week" if weeks else "chart.gap")}
            return line_band(
                list(merged.values()),
                x="date",
                lines=lines,
                band=("gap_lower", "gap_upper") if banded else None,
                caption=caption,
                rule=0.0,
                band_label=interval,
            )

        rows_of_all = [r for own in known.values() for r in own]
        return Figure(
            name, "output", caption, columns, table(rows_of_all, columns), (release,), draw, how="how.activity"
        )

    return make


def _is_week(rows: list[dict[str, Any]]) -> bool:
    return "-W" in str(rows[-1]["date"])


def _weekly(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows with the mean gap of the seven days that end with each."""
    gaps = [float(r["gap"]) for r in rows]
    return [{**r, "mean": sum(gaps[max(0, k - 6) : k + 1]) / min(7, k + 1)} for k, r in enumerate(rows)]


def against_expected(name: str) -> Callable[[Desk], Figure | None]:
    """Return the builder of an activity series' observed and expected level."""

    def make(desk: Desk) -> Figure | None:
        release = desk.get(name)
        known = by_series(release, "observed")
        if release is None or not known:
            return None
        first, rows = next(iter(known.items()))
        unit = next((m.unit for m in measures_of(release) if m.name == "observed"), "")
        columns = ("date", "observed", "expected")
        n, title = min(len(rows), LEVELS_DRAWN), title_of_one(desk, release, first, several=len(known) > 1)
        caption = Caption(
            w.say("fig.activity_levels.finding_weeks" if _is_week(rows) else "fig.activity_levels.finding",
                  title=title, n=str(n)),
            unit, source_of(release),
            day_of(release.day).isoformat(),
        )  # fmt: skip

        def draw() -> Any:
            from opsroom.base.charts_lines import line_band

            lines = {"observed": w.say("chart.observed"), "expected": w.say("chart.expected")}
            return line_band(rows[-LEVELS_DRAWN:], x="date", lines=lines, caption=caption)

        return Figure(
            f"{name}--levels",
            "output",
            caption,
            columns,
            table(rows, columns),
            (release,),
            draw,
            how="how.activity",
        )

    return make


def credit_gap(desk: Desk) -> Figure | None:
    """Credit gaps over time, the countries with the largest gaps first."""
    release = desk.get("credit.gap")
    rows = [r for r in records(release) if number(r, "gap") is not None]
    if release is None or not rows:
        return None
    latest = {str(r.get("country", "")): float(r["gap"]) for r in rows}
    top = sorted(latest, key=lambda c: (-latest[c], c))[:3]
    merged: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.get("country") in top:
            merged.setdefault(str(row["quarter"]), {"quarter": row["quarter"]})[str(row["country"])] = row["gap"]
    drawn = [merged[q] for q in sorted(merged)][-120:]
    columns = tuple(c for c in release.columns if c != "status")
    caption = Caption(
        w.say(
            "fig.credit_gap.finding", country=country_name(top[0]), gap=w.signed(latest[top[0]]), n=str(len(latest))
        ),
        w.say("fig.credit_gap.unit", n=str(len(top)) ), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        return line_band(drawn, x="quarter", lines={c: country_name(c) for c in top}, caption=caption, rule=0.0)

    return Figure("credit.gap", "credit", caption, columns, table(rows, columns), (release,), draw, how="how.credit")


def growth(desk: Desk) -> Figure | None:
    """Growth of each series in the latest period that most of them have, the fastest first."""
    release = desk.get("prices.growth")
    latest: dict[str, dict[str, Any]] = {}
    for row in records(release):
        if number(row, "value") is not None:
            latest[str(row["series"])] = row
    if release is None or len(latest) < 3:
        return None
    ranked = sorted(latest.values(), key=lambda r: (-float(r["value"]), str(r["series"])))
    drawn = [{"name": name_code(desk, "series", str(r["series"])), "value": r["value"]} for r in ranked]
    rows = [r for r in records(release) if number(r, "value") is not None]
    columns = tuple(c for c in release.columns if c != "status")
    high, low = drawn[0], drawn[-1]
    caption = Caption(
        w.say(
            "fig.growth.finding", title=title_of(desk, release).partition(",")[0],
            rising=str(sum(float(r["value"]) > 0 for r in drawn)), all=str(len(drawn)), high=high["name"],
            high_value=w.signed(float(high["value"])), low=low["name"], low_value=w.signed(float(low["value"])),
        ),
        w.say("fig.growth.unit", period=w.period(max(str(r["date"]) for r in ranked))),
        source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(drawn, category="name", value="value", caption=caption, format="+.1f", rule=0.0)

    return Figure("prices.growth", "output", caption, columns, table(rows, columns), (release,), draw, how="how.prices")


def plain(name: str) -> Callable[[Desk], Figure | None]:
    """Return the builder of a figure for a series that nobody here knows.

    The first dimension that holds periods becomes the time axis, every other dimension a line; a
    release without periods is shown as a table.
    """

    def make(desk: Desk) -> Figure | None:
        release = desk.get(name)
        measures = measures_of(release) if release is not None else []
        if release is None or not measures:
            return None
        main = measures[0]
        rows = records(release)
        columns = tuple(c for c in release.columns if c != "status")
        time = _time(release, rows)
        known = [r for r in rows if number(r, main.name) is not None]
        title = title_of(desk, release)
        finding = w.say("fig.generic.finding_plain", series=title)
        # Series of different kinds under one name have no unit in common: each gets a scale of its own.
        mixed = not main.unit and len({tuple(r[d] for d in release.dimensions if d != time) for r in known}) > 1
        lines: dict[str, str] = {}
        drawn: list[dict[str, Any]] = []
        if time and known:
            lines, drawn, part = _lines(desk, release, known, time, main.name)
            if not mixed:
                finding = _farthest(title, lines, drawn, time, main, part=part)
        unit = w.say("fig.generic.unit_mixed") if mixed else main.unit
        if not unit or (main.name != "value" and not mixed):
            unit = w.say("fig.generic.unit", measure=main.name.replace("_", " "), unit=main.unit).rstrip(", ")
        caption = Caption(finding, unit, source_of(release), day_of(release.day).isoformat())

        def draw() -> Any:
            from opsroom.base.charts_lines import line_band, line_panels

            if mixed:
                return line_panels(drawn, x=time, lines=lines, caption=caption)
            return line_band(drawn, x=time, lines=lines, caption=caption, points=len(drawn) < 20)

        chart = draw if len(drawn) > 1 else None
        group = GROUPS.get(name.partition(".")[0], "other")
        return Figure(name, group, caption, columns, table(rows, columns), (release,), chart, how=how_of(name))

    return make


def _time(release: Any, rows: list[dict[str, Any]]) -> str:
    """Return the dimension that holds periods, or an empty text."""
    names = sorted(release.dimensions, key=lambda d: TIMES.index(d) if d in TIMES else len(TIMES))
    for name in names:
        if rows and all(is_period(r[name]) for r in rows[:50]):
            return str(name)
    return ""


def _farthest(
    title: str, lines: dict[str, str], drawn: list[dict[str, Any]], time: str, main: Any, *, part: str | None
) -> str:
    """Say where one line stands, or which part is farthest from nought; nothing of a single point in time.

    `part` is the line of that part. A total is no part of itself, and who has fallen most is lowest, not highest.
    """
    if len(drawn) < 2:
        return w.say("fig.generic.finding_plain", series=title)
    line = part if part is not None and len(lines) > 1 else "s0"
    top = next(r for r in reversed(drawn) if r[line] is not None)
    # A unit of several words stands under the title, not in its middle.
    unit = main.unit if main.unit.startswith("%") or " " not in main.unit else ""
    value = float(top[line])
    said = {"series": title, "value": w.with_unit(value, unit, main.decimals), "at": w.at(str(top[time]))}
    if part is None or len(lines) == 1:
        return w.say("fig.generic.finding", **said)
    message = "fig.generic.finding_of" if value >= 0 else "fig.generic.finding_low"
    return w.say(message, name=lines[line], **said)


def _lines(
    desk: Desk, release: Any, rows: list[dict[str, Any]], time: str, measure: str
) -> tuple[dict[str, str], list[dict[str, Any]], str | None]:
    """Spread the rows into at most five lines, the totals first, then by their latest value; name the first part."""
    others = [d for d in release.dimensions if d != time]
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[d]) for d in others), {})[str(row[time])] = row[measure]

    def order(key: tuple[str, ...]) -> tuple[int, float, tuple[str, ...]]:
        newest = groups[key][max(groups[key])]
        return (sum(code != "_T" for code in key), -abs(float(newest)), key)

    chosen = sorted(groups, key=order)[:MOST_LINES]
    labels = {
        f"s{k}": ", ".join(name_code(desk, d, c) for d, c in zip(others, key, strict=True)) or measure
        for k, key in enumerate(chosen)
    }
    times = sorted({t for key in chosen for t in groups[key]})[-DRAWN:]
    drawn = [{time: t, **{f"s{k}": groups[key].get(t) for k, key in enumerate(chosen)}} for t in times]
    part = next((f"s{k}" for k, key in enumerate(chosen) if "_T" not in key), None)
    # A part that stopped before the days drawn has no place in the title.
    if part is not None and all(row[part] is None for row in drawn):
        part = None
    return labels, drawn, part
