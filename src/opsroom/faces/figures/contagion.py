"""Figures of contagion: what lenders would lose, where it comes from, how many would lose how much."""

from __future__ import annotations

from typing import Any

from opsroom.base.charts import Caption
from opsroom.faces import words as w
from opsroom.faces.codes import section_name
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, number, one, records

ENDS = ("", "_lower", "_upper")
ROUNDS = ("loans", "further", "interbank")
CHANNELS = ("bank", "trade", "cut")
BANDS = ("0-5", "5-20", "20-50", "50-")
LARGE = BANDS[2:]
MOST = 12
"""Sections shown, those that lose most."""


def _last(release: Any) -> str:
    return max((str(r["month"]) for r in records(release)), default="")


def system(desk: Desk) -> Figure | None:
    """What lenders would lose of their capital, round by round; by section where no total is published."""
    release = desk.get("contagion.section")
    month = _last(release)
    found = one(release, month=month, section="_T") if release is not None else None
    rows = [_row(month, code, *(float(found[f"{code}{end}"]) for end in ENDS)) for code in ROUNDS
            if number(found, code) is not None] if found is not None else []  # fmt: skip
    if release is None or not rows:
        return sections(desk, "contagion.section")
    if len(rows) == len(ROUNDS):
        rows.append(_row(month, "all", *(sum(float(r[f"share{end}"]) for r in rows) for end in ENDS)))
    # in all where every round is published, else at first: what is withheld is small, or rests on few
    told = rows[-1] if rows[-1]["round"] == "all" else rows[0]
    message = {"all": "fig.contagion.system", "loans": "fig.contagion.first"}.get(told["round"], "fig.contagion.part")
    finding = w.say(
        message, share=w.percent(told["share"]), low=w.number(told["share_lower"]), high=w.number(told["share_upper"]),
        at=w.at(month),
    )  # fmt: skip
    caption = Caption(finding, w.say("fig.contagion.system_unit"), source_of(release), day_of(release.day).isoformat())
    columns = ("month", "round", "name", "share", "share_lower", "share_upper")

    def draw() -> Any:
        from opsroom.base.charts_bars import option_bars

        low, high = (f"share{end}" for end in ENDS[1:])
        drawn = [
            {**r, "name": w.say("fig.contagion.range", name=r["name"], low=w.number(r[low]), high=w.number(r[high]))}
            for r in rows
        ]
        return option_bars(
            drawn, option="name", measures={"share": ""}, caption=caption, write=lambda x: w.number(x, 1)
        )

    return Figure(
        "contagion.section", "credit", caption, columns, table(rows, columns), (release,), draw, how="how.contagion"
    )


def _row(month: str, code: str, share: float, lower: float, upper: float) -> dict[str, Any]:
    return {
        "month": month, "round": code, "name": w.label("round", code), "share": round(share, 1),
        "share_lower": round(lower, 1), "share_upper": round(upper, 1),
    }  # fmt: skip


def sections(desk: Desk, name: str = "contagion.section--sections") -> Figure | None:
    """Where the losses come from, and where credit would be withdrawn, by section.

    A group of sections is shown where one of its sections is not.
    """
    release = desk.get("contagion.section")
    month = _last(release)
    every = records(release, month=month)
    found = [r for r in every if any(number(r, c) is not None for c in CHANNELS)]
    shown = {str(r["section"]) for r in found}
    hidden = [code for code in (str(r["section"]) for r in every) if len(code) == 1 and code not in shown]
    rows: list[dict[str, Any]] = [
        {**r, "name": section_name(desk, code)}
        for r, code in ((r, str(r["section"])) for r in found)
        if code != "_T" and (len(code) == 1 or any(code[0] <= one <= code[-1] for one in hidden))
    ]
    if release is None or not rows:
        return None
    # by what banks lose; where that is withheld, by what suppliers lose, and by credit withdrawn
    lead = next(c for c in CHANNELS if any(number(r, c) is not None for r in rows))
    rows.sort(key=lambda r: (*(-(number(r, c) or 0.0) for c in (lead, *CHANNELS)), str(r["section"])))
    whole = next((number(r, lead) for r in found if r["section"] == "_T"), None)
    values = {"name": w.lower_first(rows[0]["name"]), "share": w.percent(float(rows[0][lead])), "at": w.at(month)}
    if whole is None:
        finding = w.say(f"fig.contagion.section.{lead}", **values)
    else:
        finding = w.say(f"fig.contagion.section_of.{lead}", **values, all=w.percent(whole))
    told = [c for c in CHANNELS if any(number(r, c) is not None for r in rows)]
    unit = w.say("fig.contagion.section_unit", n=str(min(MOST, len(rows))))
    caption = Caption(finding, unit, source_of(release), day_of(release.day).isoformat())
    columns = ("name", *(c for c in release.columns if c != "status"))

    def draw() -> Any:
        from opsroom.base.charts_bars import option_bars

        titles = {c: w.say(f"fig.contagion.{c}") for c in told}
        return option_bars(rows[:MOST], option="name", measures=titles, caption=caption, write=lambda x: w.number(x, 1))

    return Figure(
        name, "credit", caption, columns, table([*rows, *(r for r in found if r["section"] == "_T")],
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
