"""Figures of work resumption."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption, Span
from opsroom.faces import words as w
from opsroom.faces.codes import region_name, section_name
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, number, one, records

THRESHOLDS = (10, 25, 40, 55, 70, 85)
"""Fixed classes of the map: a colour means the same on every day of the slider."""


def _reference(release: Any) -> str:
    return str(release.facts.get("reference_date", ""))


def _spans(desk: Desk, release: Any) -> list[Span]:
    """Return what the registers say of the time shown: the holiday, and spells of lockdown as known on the day."""
    facts = release.facts
    spans = []
    if facts.get("holiday_start") and facts.get("holiday_end"):
        spans.append(Span(str(facts["holiday_start"]), str(facts["holiday_end"]), w.say("chart.holiday")))
    events = desk.get("events.register")
    for row in records(events, event="lockdown"):
        end = str(row["until"] or desk.day.isoformat())
        n, of = w.number(number(row, "regions") or 0), w.number(events.facts.get("regions", 0))
        spans.append(Span(str(row["date"]), end, w.say("chart.lockdown_spell", n=n, of=of)))
    return spans


def _complete(release: Any, **where: str) -> list[dict[str, Any]]:
    """Return the rows up to the reference date: later days are incomplete and not shown as a line."""
    at = _reference(release)
    return [r for r in records(release, **where) if not at or str(r["date"]) <= at]


def _joined(desk: Desk, *, complete: bool = True, **where: str) -> list[dict[str, Any]]:
    """Return each date's last published national row, with the day of the release that it stands in.

    A release holds the weeks that it revises, earlier ones hold the rest.
    """
    rows: dict[str, dict[str, Any]] = {}
    for release in desk.past("resumption.national"):
        found = _complete(release, **where) if complete else records(release, **where)
        vintage = day_of(release.day).isoformat()
        rows |= {str(row["date"]): {**row, "vintage": vintage} for row in found}
    return [rows[date] for date in sorted(rows)]


def _behind(desk: Desk, rows: list[dict[str, Any]]) -> tuple[Any, ...]:
    """Return the releases that the rows stand in, the latest first."""
    days = {row["vintage"] for row in rows}
    past = desk.past("resumption.national")
    return tuple(r for r in reversed(past) if r is past[-1] or day_of(r.day).isoformat() in days)


def resumption(desk: Desk) -> Figure | None:
    """Corrected against uncorrected, with the band; each day as last published."""
    release = desk.get("resumption.national")
    rows = _joined(desk, weight="count", size="_T")
    last = rows[-1] if rows else None
    share = number(last, "resumed")
    if release is None or last is None or share is None:
        return None
    columns = ("date", "resumed", "resumed_lower", "resumed_upper", "uncorrected", "coverage", "vintage")
    naive = number(last, "uncorrected")
    caption = Caption(
        w.say("fig.resumption.finding", resumed=w.percent(share), date=w.day(str(last["date"]))),
        w.say("fig.resumption.unit"),
        source_of(release),
        day_of(release.day).isoformat(),
        w.say(
            "fig.resumption.alt",
            start=w.day(str(rows[0]["date"])),
            date=w.day(str(last["date"])),
            resumed=w.percent(share),
            uncorrected=w.percent(naive) if naive is not None else w.say("page.withheld"),
        ),
    )

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        lines = {"resumed": w.say("chart.corrected"), "uncorrected": w.say("chart.uncorrected")}
        return line_band(
            rows, x="date", lines=lines, band=("resumed_lower", "resumed_upper"),
            caption=caption, spans=_spans(desk, release), domain=(0, 100),
        )  # fmt: skip

    return Figure(
        "resumption.national",
        "work",
        caption,
        columns,
        table(rows, columns),
        _behind(desk, rows),
        draw,
        how="how.resumption",
    )


def weights(desk: Desk) -> Figure | None:
    """Share at work by count, jobs and sales."""
    release = desk.get("resumption.national")
    if release is None:
        return None
    merged: dict[str, dict[str, Any]] = {}
    for weight in ("count", "jobs", "sales"):
        for row in _joined(desk, weight=weight, size="_T"):
            at = merged.setdefault(str(row["date"]), {"date": row["date"], "vintage": row["vintage"]})
            at[weight] = row["resumed"]
    rows = [merged[d] for d in sorted(merged)]
    last = rows[-1] if rows else {}
    now = {k: number(last, k) for k in ("count", "jobs", "sales")}
    if any(v is None for v in now.values()):
        return None
    columns = ("date", "count", "jobs", "sales", "vintage")
    caption = Caption(
        w.say("fig.weights.finding", **{k: w.percent(v or 0.0) for k, v in now.items()}),
        w.say("fig.weights.unit"), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        lines = {k: w.label("chart", k) for k in ("count", "jobs", "sales")}
        return line_band(rows, x="date", lines=lines, caption=caption, spans=_spans(desk, release), domain=(0, 100))

    return Figure(
        "resumption.national--weights", "work", caption, columns, table(rows, columns), _behind(desk, rows), draw,
        how="how.resumption",
    )  # fmt: skip


def capacity(desk: Desk) -> Figure | None:
    """Share of normal consumption above the closed-day base."""
    release = desk.get("resumption.national")
    rows = _joined(desk, weight="count", size="_T")
    last = rows[-1] if rows else None
    value = number(last, "capacity")
    if release is None or last is None or value is None:
        return None
    columns = ("date", "capacity", "capacity_lower", "capacity_upper", "vintage")
    caption = Caption(
        w.say("fig.capacity.finding", capacity=w.percent(value), date=w.day(str(last["date"]))),
        w.say("fig.capacity.unit"), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        return line_band(
            rows, x="date", lines={"capacity": w.say("kpi.capacity")}, caption=caption,
            band=("capacity_lower", "capacity_upper"), spans=_spans(desk, release), domain=(0, 110),
        )  # fmt: skip

    return Figure(
        "resumption.national--capacity", "work", caption, columns, table(rows, columns), _behind(desk, rows), draw,
        how="how.resumption",
    )  # fmt: skip


def coverage(desk: Desk) -> Figure | None:
    """Share of the cohort with a reading, incomplete days included."""
    release = desk.get("resumption.national")
    joined = _joined(desk, complete=False, weight="count", size="_T")
    rows = [r for r in joined if number(r, "coverage") is not None]
    at = _reference(release) if release is not None else ""
    value = number(next((r for r in rows if str(r["date"]) == at), None), "coverage")
    if release is None or value is None:
        return None
    columns = ("date", "coverage", "companies", "complete", "vintage")
    caption = Caption(
        w.say("fig.coverage.finding", coverage=w.percent(value), date=w.day(at)),
        w.say("fig.coverage.unit", n=str(release.facts.get("incomplete_days", 0))),
        source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        last = str(rows[-1]["date"])
        spans = [*_spans(desk, release), *([Span(at, last, w.say("chart.incomplete"))] if last > at else [])]
        return line_band(rows, x="date", lines={"coverage": ""}, caption=caption, spans=spans, domain=(0, 100))

    return Figure(
        "resumption.national--coverage", "work", caption, columns, table(rows, columns), _behind(desk, rows), draw,
        how="how.resumption",
    )  # fmt: skip


def regions(desk: Desk) -> Figure | None:
    """The map of tiles."""
    release = desk.get("resumption.region")
    places = {str(r["code"]): r for r in desk.room.get("regions") or []}
    if release is None or not places:
        return None
    date = max((str(r["date"]) for r in records(release)), default="")
    found = {
        str(r["region"]): number(r, "resumed") for r in records(release, date=date, size_class="_T", weight="count")
    }
    shown = {c: v for c, v in found.items() if c in places and v is not None}
    total = found.get("_T")
    if not shown or total is None:
        return None
    low = min(shown, key=lambda c: (shown[c], c))
    high = max(shown, key=lambda c: (shown[c], c))
    values = {
        "low": region_name(desk, low), "low_value": w.percent(shown[low]), "high": region_name(desk, high),
        "high_value": w.percent(shown[high]), "total": w.percent(total),
    }  # fmt: skip
    caption = Caption(
        w.say("fig.map.finding", **values),
        w.say("fig.map.unit", date=w.day(date), total=w.percent(total)),
        source_of(release), day_of(release.day).isoformat(), w.say("fig.map.alt", **values),
    )  # fmt: skip
    tiles = [
        {"code": c, "name": p.get("name", c), "x": p["x"], "y": p["y"], "resumed": found.get(c)}
        for c, p in places.items()
    ]
    rows = [{"region": "_T", "name": region_name(desk, "_T"), "date": date, "resumed": total}]
    rows += [{"region": t["code"], "name": t["name"], "date": date, "resumed": t["resumed"]} for t in tiles]
    columns = ("region", "name", "date", "resumed")

    def draw() -> Any:
        from opsroom.base.charts_tiles import tile_map

        return tile_map(tiles, value="resumed", caption=caption, thresholds=THRESHOLDS, unit="%")

    return Figure(
        "resumption.region",
        "work",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.resumption",
    )


def sections(desk: Desk) -> Figure | None:
    """Sections in the last complete week, all companies and small ones."""
    release = desk.get("resumption.section")
    if release is None:
        return None
    weeks = sorted({str(r["week"]) for r in records(release) if number(r, "resumed") is not None})
    if not weeks:
        return None
    week = weeks[-1]
    rows = []
    for row in records(release, week=week, size="_T"):
        code = str(row["section"])
        if code != "_T" and number(row, "resumed") is not None:
            small = number(one(release, week=week, section=code, size="sme"), "resumed")
            rows.append(
                {"week": week, "section": code, "name": section_name(desk, code), "resumed": row["resumed"],
                 "resumed_sme": small, "capacity": number(row, "capacity")}
            )  # fmt: skip
    if not rows:
        return None
    rows.sort(key=lambda r: (-float(r["resumed"]), r["section"]))
    columns = ("week", "section", "name", "resumed", "resumed_sme", "capacity")
    caption = Caption(
        w.say(
            "fig.sections.finding", low=rows[-1]["name"], low_value=w.percent(float(rows[-1]["resumed"]), 0),
            high=rows[0]["name"], high_value=w.percent(float(rows[0]["resumed"]), 0),
        ),
        w.say("fig.sections.unit", week=w.period(week)), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(rows, category="name", value="resumed", other="resumed_sme", caption=caption)

    return Figure(
        "resumption.section",
        "work",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.resumption",
    )


def published(desk: Desk) -> Figure | None:
    """What was published on each day about each day: the history of vintages."""
    past = desk.past("resumption.national")
    if not past:
        return None
    rows = []
    for release in past:
        for row in _complete(release, weight="count", size="_T"):
            if number(row, "resumed") is not None:
                rows.append(
                    {
                        "vintage": day_of(release.day).isoformat(),
                        "date": row["date"],
                        "resumed": row["resumed"],
                    }
                )
    last, at = past[-1], _reference(past[-1])
    about = _reference(past[-2]) if len(past) > 1 else at
    said = [r for r in rows if r["date"] == about]
    if not said:
        return None
    now, first = w.percent(float(said[-1]["resumed"])), w.percent(float(said[0]["resumed"]))
    words = {"date": w.day(str(about)), "now": now}
    finding = (
        w.say("fig.vintages.finding", first=first, **words)
        if len(past) > 1
        else w.say("fig.vintages.finding_one", **words)
    )
    columns = ("vintage", "date", "resumed")
    caption = Caption(
        finding, w.say("fig.vintages.unit", n=str(len(past))), source_of(last), day_of(last.day).isoformat()
    )
    # An old vintage is drawn for its last three weeks alone: before that it lies under the others.
    newest = day_of(last.day).isoformat()
    drawn: list[dict[str, Any]] = []
    for release in past:
        v = day_of(release.day).isoformat()
        own = [r for r in rows if r["vintage"] == v]
        drawn += own if v == newest else own[-21:]

    def draw() -> Any:
        from opsroom.base.charts_lines import vintages

        return vintages(
            drawn,
            x="date",
            value="resumed",
            vintage="vintage",
            caption=caption,
            spans=_spans(desk, last),
            domain=(0, 100),
            latest_label=w.say("chart.latest"),
            earlier_label=w.say("chart.earlier"),
        )

    return Figure(
        "resumption.national--vintages",
        "record",
        caption,
        columns,
        table(rows, columns),
        tuple(reversed(past)),
        draw,
        how="how.resumption",
    )


def use(desk: Desk) -> Figure | None:
    """Why electricity use moved since the week before: weather, calendar, who reports, activity."""
    release = desk.get("resumption.use")
    if release is None:
        return None
    found = {str(r["component"]): number(r, "value") for r in records(release)}
    total, activity = found.get("_T"), found.get("activity")
    if total is None:
        return None
    order = [c for c in ("activity", "weather", "calendar", "composition") if found.get(c) is not None]
    rows = [{"component": c, "name": w.label("component", c), "value": found[c]} for c in [*order, "_T"]]
    columns = ("component", "name", "value")
    caption = Caption(
        w.say("fig.use.finding_hidden", total=w.signed(total))
        if activity is None
        else w.say("fig.use.finding", activity=w.signed(activity), total=w.signed(total)),
        w.say("fig.use.unit", to=w.day(str(release.facts.get("to", "")))),
        source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import news_bars

        return news_bars(rows, category="name", value="value", caption=caption, decimals=1)

    return Figure(
        "resumption.use", "work", caption, columns, table(rows, columns), (release,), draw, how="how.resumption"
    )


def change(desk: Desk) -> Figure | None:
    """Activity, late data and revision since the last release."""
    release = desk.get("resumption.change")
    if release is None:
        return None
    found = {str(r["component"]): number(r, "value") for r in records(release, weight="count")}
    total, activity = found.get("_T"), found.get("activity")
    if total is None:
        return None
    order = [c for c in ("activity", "late_data", "revision") if found.get(c) is not None]
    rows = [{"component": c, "name": w.label("component", c), "value": found[c]} for c in [*order, "_T"]]
    columns = ("component", "name", "value")
    caption = Caption(
        w.say("fig.change.finding_hidden", total=w.signed(total))
        if activity is None
        else w.say("fig.change.finding", activity=w.signed(activity), total=w.signed(total)),
        w.say("fig.change.unit"), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import news_bars

        return news_bars(rows, category="name", value="value", caption=caption, decimals=1)

    return Figure(
        "resumption.change",
        "work",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.resumption",
    )
