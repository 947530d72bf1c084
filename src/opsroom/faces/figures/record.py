"""Figures of the record: revisions, scores, decisions, state of the data."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.figures.figure import Figure, table
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
        w.say("fig.revisions.unit"), str(release.source), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_tiles import revision_triangle

        recent = sorted({str(r["reference"]) for r in rows})[-26:]
        kept = [r for r in rows if str(r["reference"]) in recent]
        return revision_triangle(kept, reference="reference", vintage="vintage", value=value, caption=caption)

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
    finding = (
        w.say("fig.scores.finding", ours=w.number(ours, 1), theirs=w.number(theirs, 1))
        if theirs is not None
        else w.say("fig.scores.finding_plain", ours=w.number(ours, 1))
    )
    columns = ("day", *methods)
    caption = Caption(finding, w.say("fig.scores.unit"), str(release.source), day_of(release.day).isoformat())

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


def scores_nowcast(desk: Desk) -> Figure | None:
    """Error of past nowcasts by horizon, beside an autoregression."""
    release = desk.get("scores.nowcast")
    merged: dict[str, dict[str, Any]] = {}
    for row in records(release):
        if (mae := number(row, "mae")) is not None and "horizon" in row:
            merged.setdefault(str(row["horizon"]), {"horizon": row["horizon"]})[str(row["method"])] = mae
    rows = sorted(merged.values(), key=lambda r: (len(str(r["horizon"])), str(r["horizon"])))
    methods = [m for m in ("room", "ar1", "naive") if any(m in r for r in rows)]
    ours = mean_score(rows, "room")
    if release is None or ours is None:
        return None
    other = next((m for m in methods if m != "room"), None)
    theirs = mean_score(rows, other) if other else None
    finding = (
        w.say("fig.scores.finding", ours=w.number(ours, 2), theirs=w.number(theirs, 2))
        if theirs is not None
        else w.say("fig.scores.finding_plain", ours=w.number(ours, 2))
    )
    columns = ("horizon", *methods)
    shown = [{**r, "name": "all horizons" if r["horizon"] == "all" else f"{r['horizon']} days"} for r in rows]
    caption = Caption(finding, w.say("fig.scores.unit"), str(release.source), day_of(release.day).isoformat())

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
    caption = Caption(finding, w.say("fig.decisions.unit"), str(release.source), day_of(release.day).isoformat())
    return Figure("decisions.log", "record", caption, columns, table(rows, columns), (release,), how="how.decisions")


def quality(desk: Desk) -> Figure | None:
    """The state of each dataset: a table, not a chart."""
    release = desk.get("data.quality")
    rows = records(release)
    if release is None or not rows:
        return None
    ages = [v for v in (number(r, "freshness_days") for r in rows) if v is not None]
    columns = tuple(c for c in release.columns if c != "status")
    caption = Caption(
        w.say("fig.quality.finding", n=str(len(rows)), days=w.number(min(ages)) if ages else "–"),
        w.say("fig.quality.unit"), str(release.source), day_of(release.day).isoformat(),
    )  # fmt: skip
    return Figure("data.quality", "record", caption, columns, table(rows, columns), (release,), how="how.data")
