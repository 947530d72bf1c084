"""Figures of booms: ratios of prices to fundamentals, and credit against output, by region."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.codes import name_code
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, number, records

LINES = 5


def ratios(desk: Desk) -> Figure | None:
    """The first ratio of the room's in the regions in which it has moved furthest; the alarms of the last quarter."""
    release = desk.get("exuberance.ratios")
    found = [r for r in records(release) if number(r, "index") is not None]
    if release is None or not found:
        return None
    titles = {str(k): str(v) for k, v in (release.facts.get("titles") or {}).items()}
    time, _, area = (str(d) for d in release.dimensions)
    first = next(iter(titles), str(found[0]["ratio"]))
    own = [r for r in found if r["ratio"] == first]
    latest = {str(r[area]): float(r["index"]) for r in own}
    chosen = sorted(latest, key=lambda code: (-abs(latest[code] - 100.0), code))[:LINES]
    wide: dict[str, dict[str, Any]] = {}
    for row in own:
        if row[area] in chosen:
            wide.setdefault(str(row[time]), {time: row[time]})[f"s{chosen.index(str(row[area]))}"] = row["index"]
    drawn = [wide[period] for period in sorted(wide)]
    period = max(str(r[time]) for r in found)
    alarms = list(release.facts.get("alarms") or [])
    if alarms:
        top = alarms[0]
        finding = w.say(
            "fig.exuberance.alarm", n=str(len(alarms)), title=titles.get(str(top["ratio"]), str(top["ratio"])),
            region=name_code(desk, area, str(top["area"])), sense=w.say(f"fig.exuberance.{top['direction']}"),
            doubt=w.number(float(top["doubt"]), 1), at=w.at(str(top["period"])),
        )  # fmt: skip
    else:
        finding = w.say("fig.exuberance.quiet", at=w.at(period))
    unit = w.say("fig.exuberance.unit", title=titles.get(first, first), n=str(len(chosen)))
    caption = Caption(finding, unit, source_of(release), day_of(release.day).isoformat())
    columns = tuple(c for c in release.columns if c != "status")

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        lines = {f"s{k}": name_code(desk, area, code) for k, code in enumerate(chosen)}
        return line_band(drawn, x=time, lines=lines, caption=caption, rule=100.0)

    return Figure(
        "exuberance.ratios", "credit", caption, columns, table(found, columns), (release,), draw, how="how.exuberance"
    )


def credit(desk: Desk) -> Figure | None:
    """What credit has done to its ratio to output over two years, in the regions in which it has done most."""
    release = desk.get("credit.region")
    found = [r for r in records(release) if number(r, "by_credit") is not None]
    if release is None or not found:
        return None
    time, area = (str(d) for d in release.dimensions)
    latest = {str(r[area]): r for r in sorted(found, key=lambda r: str(r[time]))}
    chosen = sorted(latest, key=lambda code: (-abs(float(latest[code]["by_credit"])), code))[:LINES]
    wide: dict[str, dict[str, Any]] = {}
    for row in found:
        if row[area] in chosen:
            wide.setdefault(str(row[time]), {time: row[time]})[f"s{chosen.index(str(row[area]))}"] = row["by_credit"]
    top = chosen[0]
    caption = Caption(
        w.say(
            "fig.credit_region.finding", region=name_code(desk, area, top),
            credit=w.signed(float(latest[top]["by_credit"])), output=w.signed(float(latest[top]["by_output"])),
            at=w.at(str(latest[top][time])),
        ),
        w.say("fig.credit_region.unit", quarters=str(release.facts.get("over", 8)), n=str(len(chosen))),
        source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip
    columns = tuple(c for c in release.columns if c != "status")

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        lines = {f"s{k}": name_code(desk, area, code) for k, code in enumerate(chosen)}
        return line_band([wide[p] for p in sorted(wide)], x=time, lines=lines, caption=caption, rule=0.0)

    return Figure(
        "credit.region", "credit", caption, columns, table(found, columns), (release,), draw, how="how.credit_region"
    )
