"""Figures of contagion: what lenders would lose, where it comes from, how many would lose how much."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.codes import section_name
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, bounds, day_of, number, one, records

ROUNDS = ("loans", "trade", "interbank", "capital")
BANDS = ("0-5", "5-20", "20-50", "50-")
LARGE = BANDS[2:]
MOST = 12
"""Sections shown, those that lose most."""


def _last(release: Any) -> str:
    return max((str(r["month"]) for r in records(release)), default="")


def system(desk: Desk) -> Figure | None:
    """What lenders would lose of their capital, round by round, with the interval of what is not known."""
    release = desk.get("contagion.system")
    month = _last(release)
    found = one(release, month=month) if release is not None else None
    if release is None or found is None:
        return None
    rows = [
        {
            "month": month, "round": code, "name": w.label("round", code), "share": found[code],
            "share_lower": found.get(f"{code}_lower"), "share_upper": found.get(f"{code}_upper"),
        }
        for code in ROUNDS if number(found, code) is not None
    ]  # fmt: skip
    capital, band = number(found, "capital"), bounds(found, "capital")
    if not rows:
        return None
    if capital is None or band is None:
        finding = w.say("fig.contagion.part")
    else:
        finding = w.say(
            "fig.contagion.system", share=w.percent(capital), low=w.number(band[0]), high=w.number(band[1]),
            at=w.at(month),
        )  # fmt: skip
    caption = Caption(finding, w.say("fig.contagion.system_unit"), source_of(release), day_of(release.day).isoformat())
    columns = ("month", "round", "name", "share", "share_lower", "share_upper")

    def draw() -> Any:
        from opsroom.base.charts_bars import interval_dots

        return interval_dots(
            rows, category="name", value="share", lower="share_lower", upper="share_upper", caption=caption,
            format=".0f", rule=0.0,
        )  # fmt: skip

    return Figure(
        "contagion.system", "credit", caption, columns, table(rows, columns), (release,), draw, how="how.contagion"
    )


def sections(desk: Desk) -> Figure | None:
    """Where the losses come from, and where credit would be withdrawn, by section."""
    release = desk.get("contagion.section")
    month = _last(release)
    found = [r for r in records(release, month=month) if number(r, "bank") is not None]
    rows: list[dict[str, Any]] = [
        {**r, "name": section_name(desk, str(r["section"]))} for r in found if r["section"] != "_T"
    ]
    if release is None or not rows:
        return None
    rows.sort(key=lambda r: (-float(r["bank"]), str(r["section"])))
    whole = next((number(r, "bank") for r in found if r["section"] == "_T"), None)
    values = {"name": rows[0]["name"], "share": w.percent(float(rows[0]["bank"])), "at": w.at(month)}
    if whole is None:
        finding = w.say("fig.contagion.section", **values)
    else:
        finding = w.say("fig.contagion.section_of", **values, all=w.percent(whole))
    told = [c for c in ("bank", "trade", "cut") if any(number(r, c) is not None for r in rows)]
    unit = w.say("fig.contagion.section_unit", n=str(min(MOST, len(rows))))
    caption = Caption(finding, unit, source_of(release), day_of(release.day).isoformat())
    columns = ("name", *(c for c in release.columns if c != "status"))

    def draw() -> Any:
        from opsroom.base.charts_bars import option_bars

        titles = {c: w.say(f"fig.contagion.{c}") for c in told}
        return option_bars(rows[:MOST], option="name", measures=titles, caption=caption, write=lambda x: w.number(x, 1))

    return Figure(
        "contagion.section", "credit", caption, columns, table([*rows, *(r for r in found if r["section"] == "_T")],
        columns), (release,), draw, how="how.contagion",
    )  # fmt: skip


def lenders(desk: Desk) -> Figure | None:
    """How many lenders would lose how much of their capital: counts, where there are enough of them."""
    release = desk.get("contagion.lenders")
    month = _last(release)
    known = {str(r["band"]): r for r in records(release, month=month)}
    whole = number(known.get("_T"), "lenders")
    if release is None or whole is None:
        return None
    rows = [
        {"month": month, "band": code, "name": w.label("band", code), "lenders": known[code].get("lenders")}
        for code in BANDS
        if code in known
    ]
    # a band that is not there has nobody in it; one that is withheld has somebody
    counts = [number(known[code], "lenders") if code in known else 0.0 for code in LARGE]
    if any(c is None for c in counts):
        finding = w.say("fig.contagion.lenders_hidden", all=w.number(whole), at=w.at(month))
    else:
        finding = w.say(
            "fig.contagion.lenders", n=w.number(sum(c for c in counts if c is not None)), all=w.number(whole),
            at=w.at(month),
        )  # fmt: skip
    caption = Caption(finding, w.say("fig.contagion.lenders_unit"), source_of(release), day_of(release.day).isoformat())
    columns = ("month", "band", "name", "lenders")

    def draw() -> Any:
        from opsroom.base.charts_bars import option_bars

        return option_bars(rows, option="name", measures={"lenders": ""}, caption=caption)

    return Figure(
        "contagion.lenders", "credit", caption, columns, table(rows, columns), (release,), draw, how="how.contagion"
    )
