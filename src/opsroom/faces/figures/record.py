"""Figures of the record: revisions, scores, decisions, state of the data."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, measures_of, number, records
from opsroom.faces.words_record import mean_score


def revisions(desk: Desk) -> Figure | None:
    """The triangle of revisions."""
    release = desk.get("data.revisions")
    if release is None:
        return None
    value = measures_of(release)[0].name
    rows = [r for r in records(release) if number(r, value) is not None]
    if not rows:
        return None
    first: dict[str, tuple[str, float]] = {}
    for row in sorted(rows, key=lambda r: str(r["vintage"])):
        first.setdefault(str(row["reference"]), (str(row["vintage"]), float(row[value])))
    out = [
        {"reference": r["reference"], "vintage": r["vintage"], value: r[value],
         "change": round(float(r[value]) - first[str(r["reference"])][1], 4)}
        for r in rows
    ]  # fmt: skip
    biggest = max(abs(float(r["change"])) for r in out)
    columns = ("reference", "vintage", value, "change")
    caption = Caption(
        w.say("fig.revisions.finding", size=w.number(biggest, 1)),
        w.say("fig.revisions.unit"), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_tiles import revision_triangle

        recent = sorted({str(r["reference"]) for r in rows})[-26:]
        kept = [r for r in rows if str(r["reference"]) in recent]
        # Steps that fit the revisions: on fixed ones a quiet month would be one grey.
        step = next((s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if 2.5 * s >= biggest), 10.0)
        edges = [round(step * k, 2) for k in (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)]
        return revision_triangle(
            kept, reference="reference", vintage="vintage", value=value, caption=caption, thresholds=edges
        )

    return Figure("data.revisions", "record", caption, columns, table(out, columns), (release,), draw, how="how.data")


def scores(desk: Desk) -> Figure | None:
    """Error of each past release of work resumption, beside the uncorrected figure."""
    release = desk.get("scores.resumption")
    if release is None:
        return None
    against = "truth" if any(r.get("against") == "truth" for r in records(release)) else "final"
    merged: dict[str, dict[str, Any]] = {}
    for row in records(release, against=against):
        if (mae := number(row, "mae")) is not None:
            merged.setdefault(str(row["day"]), {"day": row["day"]})[str(row["method"])] = mae
    rows = [merged[d] for d in sorted(merged)]
    methods = [m for m in ("room", "naive") if any(m in r for r in rows)]
    ours = mean_score(rows, "room")
    if ours is None:
        return None
    theirs = mean_score(rows, "naive")
    finding = _missed("resumption", ours, theirs, 1)
    columns = ("day", *methods)
    caption = Caption(finding, w.say("fig.scores.unit"), source_of(release), day_of(release.day).isoformat())

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        lines = {m: w.label("method", m) for m in methods}
        return line_band(rows, x="day", lines=lines, caption=caption, rule=0.0, points=True)

    return Figure(
        "scores.resumption",
        "record",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.scores",
    )


def _missed(what: str, ours: float, theirs: float | None, decimals: int) -> str:
    """Say by how much a family of figures missed, and by how much its benchmark did."""
    said = {"what": w.say(f"words.what_{what}"), "ours": w.number(ours, decimals)}
    if theirs is None:
        return w.say("fig.scores.finding_plain", **said)
    benchmark = w.say(f"words.benchmark_{what}")
    return w.say("fig.scores.finding", **said, benchmark=benchmark, theirs=w.number(theirs, decimals))


def scores_nowcast(desk: Desk) -> Figure | None:
    """Error of past nowcasts by horizon, beside an autoregression."""
    release = desk.get("scores.nowcast")
    merged: dict[str, dict[str, Any]] = {}
    for row in records(release):
        if (mae := number(row, "mae")) is not None and "horizon" in row:
            merged.setdefault(str(row["horizon"]), {"horizon": row["horizon"]})[str(row["method"])] = mae
    rows = sorted(merged.values(), key=lambda r: (len(str(r["horizon"])), str(r["horizon"])))
    methods = [m for m in ("room", "ar1", "naive", "pool", "model") if any(m in r for r in rows)]
    # The published row over all horizons weighs each nowcast alike; a mean of means would not.
    summed = [r for r in rows if r["horizon"] == "all"] or rows
    ours = mean_score(summed, "room")
    if release is None or ours is None:
        return None
    other = next((m for m in methods if m != "room"), None)
    theirs = mean_score(summed, other) if other else None
    finding = _missed("nowcast", ours, theirs, 2)
    columns = ("horizon", *methods)
    shown = [{**r, "name": "all horizons" if r["horizon"] == "all" else f"{r['horizon']} days"} for r in rows]
    unit = w.say("fig.scores_nowcast.unit", other=w.label("method", other)) if other else w.say("fig.scores.unit")
    caption = Caption(finding, unit, source_of(release), day_of(release.day).isoformat())

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(shown, category="name", value="room", other=other, caption=caption, format=".2f")

    return Figure(
        "scores.nowcast", "record", caption, columns, table(rows, columns), (release,), draw, how="how.scores"
    )


def decisions(desk: Desk) -> Figure | None:
    """The decision records: a table, not a chart."""
    release = desk.get("decisions.log")
    if release is None:
        return None
    rows = records(release)
    columns = tuple(c for c in release.columns if c != "status")
    finding = w.say("fig.decisions.finding", n=len(rows)) if rows else w.say("fig.decisions.finding_none")
    caption = Caption(finding, w.say("fig.decisions.unit"), source_of(release), day_of(release.day).isoformat())
    return Figure("decisions.log", "record", caption, columns, table(rows, columns), (release,), how="how.decisions")


def outcome(desk: Desk) -> Figure | None:
    """What became of the one decision on record: companies out of cash so far, beside the forecast."""
    release, log = desk.get("relief.outcome"), desk.get("decisions.log")
    rows = [r for r in records(release) if number(r, "illiquid_companies") is not None]
    known = {str(r["decision_id"]) for r in rows}
    if release is None or len(known) != 1:
        return None  # several decisions are several lines: the plain figure draws them
    rows.sort(key=lambda r: str(r["month"]))
    record = next((r for r in records(log) if str(r["decision_id"]) in known), {})
    target, forecast = str(record.get("target_date") or "")[:7], number(record, "forecast")
    low, high = number(record, "lower"), number(record, "upper")
    drawn: list[dict[str, Any]] = [{"month": r["month"], "outcome": r["illiquid_companies"]} for r in rows]
    if target and forecast is not None:
        at = next((r for r in drawn if r["month"] == target), None)
        if at is None:
            drawn.append(at := {"month": target})
        at |= {"forecast": forecast, "forecast_lower": low, "forecast_upper": high}
    last = rows[-1]
    values = {"outcome": w.number(float(last["illiquid_companies"])), "month": w.period(str(last["month"]))}
    finding = w.say("fig.outcome.finding_open", **values)
    if str(last["month"]) == target and forecast is not None:
        finding = w.say("fig.outcome.finding", **values, forecast=w.number(forecast))
    lines = {"outcome": w.say("chart.outcome")}
    if any("forecast" in r for r in drawn):
        lines["forecast"] = w.say("chart.forecast")
    columns = ("month", "outcome", "forecast", "forecast_lower", "forecast_upper")
    option = w.lower_first(w.label("option_long", str(record.get("option", ""))))
    unit = w.say("fig.outcome.unit", option=option) if option else w.say("fig.relief.unit")
    caption = Caption(finding, unit, source_of(release), day_of(release.day).isoformat())

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        return line_band(drawn, x="month", lines=lines, caption=caption, points=True)

    used = (release,) if log is None else (release, log)
    return Figure("relief.outcome", "record", caption, columns, table(drawn, columns), used, draw, how="how.decisions")


def quality(desk: Desk) -> Figure | None:
    """The state of each dataset: a table, not a chart."""
    release = desk.get("data.quality")
    rows = records(release)
    if release is None or not rows:
        return None
    ages = [v for v in (number(r, "freshness_days") for r in rows) if v is not None]
    columns = tuple(c for c in release.columns if c != "status")
    finding = w.say("fig.quality.finding", n=str(len(rows)), days=w.number(min(ages)) if ages else "–")
    if closed := release.facts.get("closed"):
        finding += " " + w.say("fig.quality.closed", datasets=", ".join(sorted(closed)))
    caption = Caption(
        finding,
        w.say("fig.quality.unit"), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip
    return Figure("data.quality", "record", caption, columns, table(rows, columns), (release,), how="how.data")
