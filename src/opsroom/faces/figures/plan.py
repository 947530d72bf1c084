"""Figures of planning: what is scarce, and what that is worth."""

from __future__ import annotations

from typing import Any

from opsroom.faces import words as w
from opsroom.faces.codes import section_name
from opsroom.faces.figures.figure import Figure, caption_of, table
from opsroom.faces.reader import Desk, number, records

TOTAL = "_T"
LEAST = 2
"""Sections, and regions, that are drawn day by day beside the whole: those that make least."""


def named(desk: Desk, rows: list[dict[str, Any]], field: str, *, highest: bool) -> list[dict[str, Any]]:
    """Return rows with the names of their sections, in the order of a number, sections of the same one by code."""
    sign = -1.0 if highest else 1.0
    ranked = sorted(rows, key=lambda r: (sign * float(r[field]), str(r["section"])))
    return [{**r, "name": section_name(desk, str(r["section"]))} for r in ranked]


def scarce(desk: Desk) -> Figure | None:
    """Shadow prices of what is scarce, the dearest first, with how far the measured capacities leave them open."""
    release = desk.get("allocation.section")
    rows = [r for r in records(release) if (number(r, "price") or 0.0) > 0.0]
    if release is None or not rows:
        return None
    shown = named(desk, rows, "price", highest=True)
    columns = ("section", "name", "capacity", "price", "price_less", "price_more", "price_lower", "price_upper")
    caption = caption_of(
        release,
        w.say("fig.allocation.finding", name=shown[0]["name"], price=w.number(float(shown[0]["price"]), 2),
              n=str(len(shown))),
        w.say("fig.allocation.unit", week=w.period(str(release.facts.get("week", "")))),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(
            shown,
            category="name",
            value="price",
            lower="price_lower",
            upper="price_upper",
            caption=caption,
            format=".2f",
        )

    return Figure(
        "allocation.section", "options", caption, columns, table(shown, columns), (release,), draw, how="how.allocation"
    )


def uses(desk: Desk) -> Figure | None:
    """Who gets what under which rule, those who get least under the optimum first."""
    release = desk.get("allocation.section")
    rows = [r for r in records(release) if number(r, "optimum") is not None]
    if release is None or not rows:
        return None
    shown = named(desk, rows, "optimum", highest=False)
    kept = ("by_law", "market", "pro_rata", "by_class")
    columns = ("section", "name", "optimum", *(c for c in kept if any(number(r, c) is not None for r in rows)))
    equal = {number(r, "pro_rata") for r in rows}
    told = {"name": shown[0]["name"], "share": w.percent(float(shown[0]["optimum"]), 0)}
    if len(equal) == 1 and (same := equal.pop()) is not None:
        finding = w.say("fig.uses.finding_shares", **told, equal=w.percent(same, 0))
    else:
        finding = w.say("fig.uses.finding", **told)
    unit = w.say("fig.uses.unit", week=w.period(str(release.facts.get("week", ""))))
    caption = caption_of(release, finding, unit)

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(
            shown, category="name", value="optimum", other="market" if "market" in columns else None, caption=caption,
            format=".0f", rule=0.0,
        )  # fmt: skip

    return Figure(
        "allocation.section--uses", "options", caption, columns, table(shown, columns), (release,), draw,
        how="how.allocation",
    )  # fmt: skip


def rules(desk: Desk) -> Figure | None:
    """What each rule of allocation is worth, under the registered weights and under equal ones."""
    release = desk.get("allocation.rule")
    rows = [r for r in records(release) if number(r, "worth") is not None]
    if release is None or not rows:
        return None
    rows.sort(key=lambda r: (-float(r["worth"]), str(r["rule"])))
    shown = [{**r, "name": w.label("rule", str(r["rule"]))} for r in rows]
    plain = [r for r in shown if r["rule"] != "optimum"]
    if not plain:
        return None
    columns = ("rule", "name", "worth", "worth_equal", "least")
    caption = caption_of(
        release,
        w.say("fig.rules.finding", name=plain[0]["name"], worth=w.percent(float(plain[0]["worth"]), 0)),
        w.say("fig.rules.unit"),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(
            shown, category="name", value="worth", other="worth_equal", caption=caption, format=".0f", rule=0.0
        )

    return Figure(
        "allocation.rule", "options", caption, columns, table(shown, columns), (release,), draw, how="how.allocation"
    )
<<<<<<< HEAD
=======


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
    caption = _caption(
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
    shown = _named(desk, rows, "output", highest=False)
    starved = [r for r in shown if (number(r, "inputs") or 0.0) > 0.0]
    columns = ("section", "name", "output", "ahead", "measured", "own", "inputs", "lacked")
    finding = "fig.sections_made.finding_inputs" if starved else "fig.sections_made.finding"
    caption = _caption(
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
    """What each region makes at the end of the horizon under the first scenario, and under the last one."""
    release = desk.get("propagation.region")
    rows = [r for r in records(release) if number(r, "output") is not None]
    if release is None or not rows:
        return None
    end = max(str(r["date"]) for r in rows)
    names = list(dict.fromkeys(str(r["scenario"]) for r in rows))
    at = {name: {str(r["region"]): r for r in rows if r["date"] == end and r["scenario"] == name} for name in names}
    first, last = at[names[0]], at[names[-1]]
    shown: list[dict[str, Any]] = [
        {"region": code, "name": region_name(desk, code), **{k: row.get(k) for k in ("output", "lower", "upper")}}
        | ({"last": last[code]["output"]} if len(names) > 1 and code in last else {})
        for code, row in sorted(first.items(), key=lambda one: (float(one[1]["output"]), one[0]))
    ]
    if not shown:
        return None
    columns = tuple(c for c in release.columns if c != "status")
    caption = _caption(
        release,
        w.say("fig.regions_made.finding", name=shown[0]["name"], output=w.percent(float(shown[0]["output"]), 0),
              most=w.percent(float(shown[-1]["output"]), 0), at=w.day(end)),
        w.say("fig.regions_made.unit" if len(names) > 1 else "fig.regions_made.unit_one", name=names[0],
              other=names[-1]),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(
            shown, category="name", value="output", lower="lower", upper="upper",
            other="last" if len(names) > 1 else None, caption=caption, format=".0f",
        )  # fmt: skip

    return Figure(
        "propagation.region", "output", caption, columns, table(rows, columns), (release,), draw, how="how.propagation"
    )


def daily(desk: Desk) -> Figure | None:
    """Output day by day under the first scenario: the whole, and the sections and regions that make least."""
    release = desk.get("propagation.daily")
    rows = [r for r in records(release) if number(r, "output") is not None]
    if release is None or not rows:
        return None
    end = max(str(r["date"]) for r in rows)
    last = {(str(r["section"]), str(r["region"])): float(r["output"] or 0.0) for r in rows if r["date"] == end}
    ranked = sorted(last, key=lambda key: (last[key], key))
    parts = [key for key in ranked if key[1] == TOTAL != key[0]][:LEAST]
    parts += [key for key in ranked if key[0] == TOTAL != key[1]][:LEAST]
    chosen = [key for key in [(TOTAL, TOTAL), *parts] if key in last]
    names = [
        w.say("chart.whole") if key == (TOTAL, TOTAL)
        else section_name(desk, key[0]) if key[1] == TOTAL else region_name(desk, key[1])
        for key in chosen
    ]  # fmt: skip
    merged: dict[str, dict[str, Any]] = {}
    for row in rows:
        key = (str(row["section"]), str(row["region"]))
        if key in chosen:
            merged.setdefault(str(row["date"]), {"date": row["date"]})[f"line{chosen.index(key)}"] = row["output"]
    drawn = [merged[day] for day in sorted(merged)]
    if not parts or (TOTAL, TOTAL) not in last:
        return None
    first = str((release.facts.get("scenarios") or [{}])[0].get("name", ""))
    caption = _caption(
        release,
        w.say("fig.daily_made.finding", at=w.day(end), whole=w.percent(last[TOTAL, TOTAL], 0), name=names[1],
              least=w.percent(last[parts[0]], 0)),
        w.say("fig.daily_made.unit", name=first),
    )  # fmt: skip
    columns = tuple(c for c in release.columns if c != "status")

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        return line_band(drawn, x="date", lines={f"line{k}": name for k, name in enumerate(names)}, caption=caption)

    return Figure(
        "propagation.daily", "output", caption, columns, table(rows, columns), (release,), draw, how="how.propagation"
    )
>>>>>>> h-7
