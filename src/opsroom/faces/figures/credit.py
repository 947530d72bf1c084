"""Figures of warning: states of company loans, unusual delinquency, jobs short of cash."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.codes import section_name
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, number, records


def _last_month(release: Any) -> str:
    return max((str(r["month"]) for r in records(release)), default="")


def states(desk: Desk) -> Figure | None:
    """Delinquent and forborne shares over time; they are shown beside each other, never netted."""
    release = desk.get("loans.section")
    rows = []
    for row in records(release, section="_T"):
        late, eased = number(row, "delinquent"), number(row, "forborne")
        if late is not None and eased is not None:
            rows.append({**row, "arrears": round(late + eased, 6)})
    if release is None or not rows:
        return None
    columns = ("month", "arrears", "delinquent", "forborne", "ability", "collection")
    caption = Caption(
        w.say("fig.loans.finding", arrears=w.percent(float(rows[-1]["arrears"]))),
        w.say("fig.loans.unit"), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        lines = {
            "arrears": w.say("kpi.arrears"), "delinquent": w.label("state", "delinquent"),
            "forborne": w.label("state", "forborne"),
        }  # fmt: skip
        return line_band(rows, x="month", lines=lines, caption=caption)

    return Figure("loans.section", "credit", caption, columns, table(rows, columns), (release,), draw, how="how.loans")


def warnings(desk: Desk) -> Figure | None:
    """Distance of each section's delinquency from its own history."""
    release = desk.get("loans.section")
    if release is None:
        return None
    month = _last_month(release)
    rows: list[dict[str, Any]] = [
        {
            "month": month,
            "section": r["section"],
            "name": section_name(desk, str(r["section"])),
            "z": r.get("z"),
            "delinquent": r.get("delinquent"),
            "forborne": r.get("forborne"),
            "warning": r.get("warning"),
            "flag": r.get("warning") == "yes",
        }
        for r in records(release, month=month)
        if r["section"] != "_T" and number(r, "z") is not None
    ]
    if not rows:
        return None
    rows.sort(key=lambda r: (-float(r["z"]), str(r["section"])))
    flagged = sum(bool(r["flag"]) for r in rows)
    columns = ("month", "section", "name", "z", "delinquent", "forborne", "warning")
    finding = w.say("fig.warnings.finding", n=flagged) if flagged else w.say("fig.warnings.finding_none")
    caption = Caption(
        finding,
        w.say("fig.warnings.unit", month=w.period(month)),
        source_of(release),
        day_of(release.day).isoformat(),
    )

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(rows, category="name", value="z", flag="flag", caption=caption, format=".1f", rule=0.0)

    return Figure(
        "loans.section--warnings",
        "credit",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.loans",
    )


def liquidity(desk: Desk) -> Figure | None:
    """Jobs at companies with less than 30 days of cash, by section."""
    release = desk.get("liquidity.section")
    if release is None:
        return None
    month = _last_month(release)
    found = {str(r["section"]): r for r in records(release, month=month, size="_T")}
    jobs = number(found.get("_T"), "jobs_under_30_days")
    rows: list[dict[str, Any]] = [
        {
            "month": month,
            "section": c,
            "name": section_name(desk, c),
            **{k: r.get(k) for k in ("jobs_under_30_days", "companies_under_30_days", "share_jobs")},
        }
        for c, r in found.items()
        if c != "_T" and number(r, "jobs_under_30_days") is not None
    ]
    if jobs is None or not rows:
        return None
    rows.sort(key=lambda r: (-float(r["jobs_under_30_days"]), str(r["section"])))
    columns = ("month", "section", "name", "jobs_under_30_days", "companies_under_30_days", "share_jobs")
    caption = Caption(
        w.say("fig.liquidity.finding", jobs=w.number(jobs)),
        w.say("fig.liquidity.unit", month=w.period(month)),
        source_of(release),
        day_of(release.day).isoformat(),
    )

    def draw() -> Any:
        from opsroom.base.charts_bars import option_bars

        return option_bars(rows, option="name", measures={"jobs_under_30_days": ""}, caption=caption)

    return Figure(
        "liquidity.section",
        "credit",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.liquidity",
    )
