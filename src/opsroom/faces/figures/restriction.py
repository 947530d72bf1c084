"""Figures of restrictions: how strict they are, where, and which measures stand behind the index."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.codes import region_name
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, measures_of, number, records
from opsroom.faces.words_public import main_index

MOST = 20
"""Places shown, the strictest."""
MOST_LINES = 4


def index(desk: Desk) -> Figure | None:
    """The mean of all places over time, with the least and the most strict of them."""
    release = desk.get("restriction.index")
    if release is None:
        return None
    name = main_index(release)
    rows = [r for r in records(release, region="_T") if number(r, name) is not None]
    if not rows:
        return None
    ends = (f"{name}_lowest", f"{name}_highest")
    last, most = rows[-1], max(rows, key=lambda r: float(r[name]))
    several = number(last, ends[0]) is not None
    values = {
        "index": w.label("restriction", name), "value": w.number(float(last[name])), "at": w.at(str(last["week"])),
        "most": w.number(float(most[name])), "when": w.at(str(most["week"])),
    }  # fmt: skip
    finding = w.say("fig.restriction.finding", **values)
    unit = w.say("fig.restriction.unit" if several else "fig.restriction.unit_one")
    caption = Caption(finding, unit, source_of(release), day_of(release.day).isoformat())
    names = [name, *(m.name for m in measures_of(release) if m.name != name)][:MOST_LINES]
    columns = tuple(c for c in release.columns if c != "status")

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        return line_band(
            rows, x="week", lines={n: w.label("restriction", n) for n in names}, caption=caption,
            band=ends if several else None, domain=(0.0, 100.0), band_label=w.say("fig.restriction.band"),
        )  # fmt: skip

    return Figure(
        "restriction.index", "work", caption, columns, table(records(release), columns), (release,), draw,
        how="how.restriction",
    )  # fmt: skip


def places(desk: Desk) -> Figure | None:
    """Each place in the last week that is known, the strictest first."""
    release = desk.get("restriction.index")
    if release is None:
        return None
    name = main_index(release)
    known = [r for r in records(release) if r["region"] != "_T" and number(r, name) is not None]
    week = max((str(r["week"]) for r in known), default="")
    now = [{**r, "name": region_name(desk, str(r["region"]))} for r in known if r["week"] == week]
    if len(now) < 2:
        return None
    now.sort(key=lambda r: (-float(r[name]), str(r["region"])))
    values = {
        "name": now[0]["name"], "value": w.number(float(now[0][name])), "least": now[-1]["name"],
        "least_value": w.number(float(now[-1][name])), "at": w.at(week), "index": w.label("restriction", name),
    }  # fmt: skip
    alike = now[0][name] == now[-1][name]
    caption = Caption(
        w.say("fig.restriction.places_alike" if alike else "fig.restriction.places", **values),
        w.say("fig.restriction.places_unit", n=str(min(MOST, len(now))), all=str(len(now))),
        source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip
    columns = ("region", "name", "week", name)

    def draw() -> Any:
        from opsroom.base.charts_bars import option_bars

        return option_bars(now[:MOST], option="name", measures={name: ""}, caption=caption)

    return Figure(
        "restriction.index--places", "work", caption, columns, table(now, columns), (release,), draw,
        how="how.restriction",
    )  # fmt: skip


def measures(desk: Desk) -> Figure | None:
    """Which measures are in force in the last week that is known."""
    release = desk.get("restriction.measures")
    known = [r for r in records(release) if number(r, "score") is not None]
    week = max((str(r["week"]) for r in known), default="")
    now = [{**r, "name": w.label("indicator", str(r["indicator"]))} for r in known if r["week"] == week]
    if release is None or not now:
        return None
    now.sort(key=lambda r: (-float(r["score"]), str(r["indicator"])))
    on = [r for r in now if float(r["score"]) > 0]
    if on:
        said = {"name": w.lower_first(now[0]["name"]), "value": w.number(float(now[0]["score"])), "at": w.at(week)}
        finding = w.say("fig.restriction.measures", **said)
    else:
        finding = w.say("fig.restriction.no_measures", at=w.at(week))
    unit = w.say("fig.restriction.measures_unit")
    caption = Caption(finding, unit, source_of(release), day_of(release.day).isoformat())
    columns = ("week", "indicator", "score")

    def draw() -> Any:
        from opsroom.base.charts_bars import option_bars

        return option_bars(now, option="name", measures={"score": ""}, caption=caption)

    return Figure(
        "restriction.measures", "work", caption, columns, table(known, columns), (release,), draw,
        how="how.restriction",
    )  # fmt: skip
