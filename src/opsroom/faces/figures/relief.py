"""Figures of options: what happens with each, to whom, at what cost of which kind."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.codes import currency_of
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, number, one, records, strongest
from opsroom.faces.words_story import last_month

CLASSES = ("decisive", "cliff", "windfall", "futile")
COSTS = (
    "deferred",
    "outlay",
    "expected_loss_bank",
    "expected_loss_state",
    "expected_loss_other",
    "contingent",
)


def _options(release: Any) -> list[str]:
    """Return the options in their order of publication, doing nothing first."""
    seen = list(dict.fromkeys(str(r["option"]) for r in records(release)))
    return sorted(seen, key=lambda o: o != "none")


def paths(desk: Desk) -> Figure | None:
    """Companies out of cash over the horizon, with each option and with none."""
    release = desk.get("relief.options")
    if release is None:
        return None
    names = _options(release)
    merged: dict[str, dict[str, Any]] = {}
    for option in names:
        for row in records(release, option=option, section="_T"):
            if row["month"] == "all":
                continue
            at = merged.setdefault(str(row["month"]), {"month": row["month"]})
            at[option] = row["illiquid_companies"]
            if option == "none":
                at["none_lower"], at["none_upper"] = (
                    row["illiquid_companies_lower"],
                    row["illiquid_companies_upper"],
                )
    rows = [merged[m] for m in sorted(merged)]
    end = number(rows[-1], "none") if rows else None
    if end is None:
        return None
    best = strongest(release)
    left = number(rows[-1], best) if best else None
    words = {"companies": w.number(end), "month": w.period(last_month(release))}
    finding = (
        w.say("fig.relief.finding", best=w.number(left), **words)
        if left is not None
        else w.say("fig.relief.finding_none", **words)
    )
    columns = ("month", *names, "none_lower", "none_upper")
    caption = Caption(finding, w.say("fig.relief.unit"), source_of(release), day_of(release.day).isoformat())
    # Five lines at most: more cannot be told apart.
    lines = {o: w.label("option", o) for o in names[:5]}

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        return line_band(rows, x="month", lines=lines, caption=caption, band=("none_lower", "none_upper"), points=True)

    return Figure(
        "relief.options",
        "options",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.relief",
    )


def classes(desk: Desk) -> Figure | None:
    """Decisive, cliff, windfall and futile companies of each option."""
    release = desk.get("relief.options")
    if release is None:
        return None
    rows = []
    for option in _options(release):
        row = one(release, option=option, month="all", section="_T")
        # Doing nothing gives relief to nobody: its zeros would read as if nobody ran out of cash.
        if option != "none" and row and any(number(row, c) is not None for c in CLASSES):
            counts = {c: number(row, c) for c in CLASSES} | {f"jobs_{c}": number(row, f"jobs_{c}") for c in CLASSES}
            rows.append({"option": option, "name": w.label("option", option), **counts})
    best = strongest(release)
    if not rows or best is None:
        return None
    saved = next((r["decisive"] for r in rows if r["option"] == best), None)
    columns = ("option", "name", *CLASSES, *(f"jobs_{c}" for c in CLASSES))
    caption = Caption(
        w.say("fig.classes.finding", option=w.label("option_long", best), decisive=w.number(float(saved or 0.0))),
        w.say("fig.classes.unit"),
        source_of(release),
        day_of(release.day).isoformat(),
    )

    # Windfall companies are many times the others: on one scale they would hide what matters.
    panels = {c: w.label("class", c) for c in CLASSES}

    def draw() -> Any:
        from opsroom.base.charts_bars import option_bars

        return option_bars(rows, option="name", measures=panels, caption=caption, alarm=("cliff", "futile"))

    return Figure(
        "relief.options--classes",
        "options",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.relief",
    )


def _basis(release: Any, shown: list[str]) -> str:
    """Say which of the options shown defer equal sums: those that are made to, not all of them."""
    terms = release.facts.get("options") or {}
    equal: dict[str, list[str]] = {}
    for option in shown:
        to = (terms.get(option) or {}).get("equal_to")
        if to in shown:
            equal.setdefault(str(to), [str(to)]).append(option)
    if not equal:
        # Terms that name no such option leave nothing to say; a release without terms has its own words.
        return "" if terms else str(release.facts.get("equal_cost") or "")
    said = [w.listing([w.label("option", o) for o in options]) for options in equal.values()]
    return "; ".join(w.say("fig.costs.equal", options=options) for options in said)


def costs(desk: Desk) -> Figure | None:
    """What each option defers, costs and puts at risk, each on its own scale."""
    release = desk.get("relief.options")
    if release is None:
        return None
    rows = []
    for option in _options(release):
        row = one(release, option=option, month="all", section="_T")
        if row and any(number(row, c) is not None for c in COSTS):
            rows.append({"option": option, "name": w.label("option", option), **{c: number(row, c) for c in COSTS}})
    if not rows:
        return None
    if not any(r["option"] == "none" for r in rows):
        # Doing nothing defers nothing and needs no outlay: it stands in the comparison by definition.
        zero = {c: 0.0 if c in ("deferred", "outlay", "contingent") else None for c in COSTS}
        rows.insert(0, {"option": "none", "name": w.label("option", "none"), **zero})
    columns = ("option", "name", *COSTS)
    idle = [c for c in COSTS if all(not r[c] for r in rows)]
    basis, currency = _basis(release, [str(r["option"]) for r in rows]), currency_of(release)
    unit = (
        w.say("fig.costs.unit_basis", currency=currency, basis=str(basis))
        if basis
        else w.say("fig.costs.unit", currency=currency)
    )
    if idle:
        # A panel of noughts takes the place of what differs: say it in words.
        unit = w.say(
            "fig.costs.unit_idle", unit=unit, none=w.listing([w.lower_first(w.label("cost", c)) for c in idle])
        )
    caption = Caption(
        w.say("fig.costs.finding"), unit,
        source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_bars import option_bars

        alarm = [c for c in COSTS if c.startswith("expected_loss")]
        change = str(release.facts.get("expected_loss", "")).startswith("change")
        panels = {
            c: w.say("words.against_nothing", cost=w.label("cost", c)) if change and c in alarm else w.label("cost", c)
            for c in COSTS
            if c not in idle
        }
        return option_bars(rows, option="name", measures=panels, caption=caption, write=w.amount, alarm=alarm)

    return Figure(
        "relief.options--costs",
        "options",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.relief",
    )


def deadline(desk: Desk) -> Figure | None:
    """How many of the companies to be saved a decision still reaches, by its start."""
    release = desk.get("relief.deadline")
    rows = [r for r in records(release) if number(r, "share_reached") is not None]
    at = release.facts.get("last_date_half") if release is not None else None
    if release is None or not rows:
        return None
    last = rows[-1]
    share = w.percent(float(last["share_reached"]), 0)
    finding = (
        w.say("fig.deadline.finding", date=w.day(str(at)))
        if at
        else w.say("fig.deadline.finding_later", date=w.day(str(last["start"])), share=share)
    )
    banded = "share_reached_lower" in release.columns
    columns = ("start", "share_reached", *(("share_reached_lower", "share_reached_upper") if banded else ()))
    caption = Caption(
        finding,
        w.say("fig.deadline.unit"), source_of(release), day_of(release.day).isoformat(),
    )  # fmt: skip

    def draw() -> Any:
        from opsroom.base.charts_lines import line_band

        return line_band(
            rows,
            x="start",
            lines={"share_reached": w.say("chart.reached")},
            band=("share_reached_lower", "share_reached_upper") if banded else None,
            caption=caption,
            domain=(0, 100),
            rule=50.0,
            points=True,
        )

    return Figure(
        "relief.deadline",
        "options",
        caption,
        columns,
        table(rows, columns),
        (release,),
        draw,
        how="how.relief",
    )
