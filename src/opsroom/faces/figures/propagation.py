"""Figures of propagation: how far a shock travels, by section and region, day by day."""

from __future__ import annotations

from typing import Any

from opsroom.faces import words as w
from opsroom.faces.codes import region_name, section_name
from opsroom.faces.figures.figure import Figure, caption_of, table
from opsroom.faces.figures.plan import named
from opsroom.faces.reader import Desk, number, records

Row = dict[str, Any]


def path(desk: Desk) -> Figure | None:
    """Output by scenario beside what was measured."""
    release = desk.get("propagation.path")
    rows = [r for r in records(release) if number(r, "output") is not None]
    if release is None or not rows:
        return None
    names = list(dict.fromkeys(str(r["scenario"]) for r in rows))
    merged: dict[str, dict[str, Any]] = {}
    for row in rows:
        at = merged.setdefault(str(row["date"]), {"date": row["date"]})
        place = names.index(str(row["scenario"]))
        at[f"line{place}"] = row["output"]
        at["measured"] = row.get("measured")
        if place == 0:
            at["lower"], at["upper"] = row.get("lower"), row.get("upper")
    drawn = [merged[day] for day in sorted(merged)]
    last = drawn[-1]
    columns = tuple(c for c in release.columns if c != "status")
    ends = "; ".join(f"{name}: {w.percent(float(last[f'line{k}']), 0)}" for k, name in enumerate(names))
    caption = caption_of(
        release,
        w.say("fig.propagation.finding", at=w.day(str(last["date"])), ends=ends),
        w.say("fig.propagation.unit", name=names[0]),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        lines = {f"line{k}": name for k, name in enumerate(names)} | {"measured": w.say("chart.measured")}
        return line_band(
            drawn, x="date", lines=lines, band=("lower", "upper"), caption=caption,
            band_label=w.say("chart.draws"),
        )  # fmt: skip

    return Figure(
        "propagation.path", "output", caption, columns, table(rows, columns), (release,), draw, how="how.propagation"
    )


def sections(desk: Desk) -> Figure | None:
    """What each section makes now, and at the end of the horizon if restrictions stay."""
    release = desk.get("propagation.section")
    rows = [r for r in records(release) if number(r, "output") is not None]
    if release is None or not rows:
        return None
    shown = named(desk, rows, "output", highest=False)
    starved = [r for r in shown if (number(r, "inputs") or 0.0) > 0.0]
    columns = ("section", "name", "output", "ahead", "measured", "own", "inputs", "lacked")
    finding = "fig.sections_made.finding_inputs" if starved else "fig.sections_made.finding"
    caption = caption_of(
        release,
        w.say(finding, name=shown[0]["name"], output=w.percent(float(shown[0]["output"]), 0), n=str(len(starved))),
        w.say("fig.sections_made.unit"),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(
            shown, category="name", value="output", other="ahead", caption=caption, format=".0f", rule=0.0
        )

    return Figure(
        "propagation.section", "output", caption, columns, table(shown, columns), (release,), draw,
        how="how.propagation",
    )  # fmt: skip


def regions(desk: Desk) -> Figure | None:
    """What each region makes under the first scenario, and under the last one, on the day that tells them apart."""
    release = desk.get("propagation.region")
    rows = [r for r in records(release) if number(r, "output") is not None]
    if release is None or not rows:
        return None
    names = list(dict.fromkeys(str(r["scenario"]) for r in rows))
    first, last = names[0], names[-1]
    made = {(str(r["scenario"]), str(r["date"]), str(r["region"])): r for r in rows}
    at = _telling(made, first, last)
    shown: list[Row] = [
        {"region": region, "name": region_name(desk, region), **{k: row.get(k) for k in ("output", "lower", "upper")}}
        | ({"last": made[last, at, region]["output"]} if last != first and (last, at, region) in made else {})
        for (name, day, region), row in made.items()
        if name == first and day == at
    ]
    if not shown:
        return None
    # The last scenario is the one that somebody wrote a file for: it orders the regions where there is one.
    by = "last" if all("last" in row for row in shown) else "output"
    shown.sort(key=lambda row: (float(row[by]), row["region"]))
    columns = tuple(c for c in release.columns if c != "status")
    most = shown[-1]
    caption = caption_of(
        release,
        w.say("fig.regions_made.finding", at=w.day(at), scenario=w.upper_first(last if by == "last" else first),
              name=shown[0]["name"], output=w.percent(float(shown[0][by]), 0),
              best=most["name"], most=w.percent(float(most[by]), 0)),
        w.say("fig.regions_made.unit" if by == "last" else "fig.regions_made.unit_one", name=first, other=last),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(
            shown, category="name", value="output", lower="lower", upper="upper",
            other="last" if by == "last" else None, caption=caption, format=".0f",
        )  # fmt: skip

    return Figure(
        "propagation.region", "output", caption, columns, table(rows, columns), (release,), draw, how="how.propagation"
    )


def _telling(made: dict[tuple[str, str, str], Row], first: str, last: str) -> str:
    """Return the day on which the last scenario sets regions furthest apart, of days on which it is not the first.

    At the end of the horizon a shock that has passed has left no mark, and every region makes the same. With one
    scenario, or where two never part, the end is as good a day as any.
    """
    apart: dict[str, list[float]] = {}
    parted: set[str] = set()
    for (name, day, region), row in made.items():
        if name == last:
            apart.setdefault(day, []).append(float(row["output"]))
            other = made.get((first, day, region))
            if other is not None and other["output"] != row["output"]:
                parted.add(day)
    if not parted:
        return max(apart)
    return max(sorted(parted), key=lambda day: (max(apart[day]) - min(apart[day]), day))


def _place(desk: Desk, section: str, region: str) -> str:
    """Return the name of a section, or of a region."""
    return section_name(desk, section) if region == "_T" else region_name(desk, region)


def _first_scenario(desk: Desk) -> str:
    """Return the name of the scenario that the daily path is of: the first of those published beside it."""
    beside = desk.get("propagation.path")
    return next((str(r["scenario"]) for r in records(beside)), w.say("chart.first_scenario"))


def daily(desk: Desk) -> Figure | None:
    """Output day by day: of all, and of the section and the region at either end of the horizon's last day."""
    release = desk.get("propagation.daily")
    rows = [r for r in records(release) if number(r, "output") is not None]
    if release is None or not rows:
        return None
    days = sorted({str(r["date"]) for r in rows})
    made: dict[tuple[str, str], dict[str, float]] = {}
    for row in rows:
        made.setdefault((str(row["section"]), str(row["region"])), {})[str(row["date"])] = float(row["output"])
    whole = made.get(("_T", "_T"), {})
    ends = {key: path[days[-1]] for key, path in made.items() if key != ("_T", "_T") and days[-1] in path}
    if days[-1] not in whole or not ends:
        return None
    lines = {("_T", "_T"): w.say("chart.whole")}
    for part in (0, 1):
        ranked = sorted((key for key in ends if key[1 - part] == "_T"), key=lambda key: (ends[key], key))
        lines |= {key: _place(desk, *key) for key in (*ranked[:1], *ranked[-1:])}
    least = min(ends, key=lambda key: (ends[key], key))
    drawn = [{"date": day, **{f"line{k}": made[key].get(day) for k, key in enumerate(lines)}} for day in days]
    columns = tuple(c for c in release.columns if c != "status")
    caption = caption_of(
        release,
        w.say("fig.daily_made.finding", at=w.day(days[-1]), whole=w.percent(whole[days[-1]], 0),
              name=_place(desk, *least), least=w.percent(ends[least], 0)),
        w.say("fig.daily_made.unit", name=_first_scenario(desk)),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        labels = {f"line{k}": name for k, name in enumerate(lines.values())}
        return line_band(drawn, x="date", lines=labels, caption=caption)

    return Figure(
        "propagation.daily", "output", caption, columns, table(rows, columns), (release,), draw, how="how.propagation"
    )
