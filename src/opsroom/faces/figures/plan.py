"""Figures of planning: what is scarce, and what that is worth."""

from __future__ import annotations

from typing import Any

from opsroom.faces import words as w
from opsroom.faces.codes import section_name
from opsroom.faces.figures.figure import Figure, caption_of, table
from opsroom.faces.reader import Desk, number, records


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
