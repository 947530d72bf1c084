"""Figures of reporting delays: what is reported so far, beside what is expected once all reports are in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opsroom.base.charts import Caption, Span
from opsroom.faces import words as w
from opsroom.faces.codes import region_name, section_name, title_of
from opsroom.faces.figures.figure import Figure, source_of, table
from opsroom.faces.reader import Desk, day_of, number, records
from opsroom.faces.words_public import count_words, newest_count

MOST = 12
"""Sectors shown, those with the most to come."""


def _shown(release: Any, **where: str) -> list[dict[str, Any]]:
    return [r for r in records(release, **where) if number(r, "expected") is not None]


def _name(desk: Desk, code: str) -> str:
    """Return the words for a sector: a section's title, or a region's name."""
    name = section_name(desk, code)
    return region_name(desk, code) if name == code else name


def expected(name: str) -> Callable[[Desk], Figure | None]:
    """Return the builder of a series' counts over time."""

    def make(desk: Desk) -> Figure | None:
        release = desk.get(name)
        last = newest_count(release)
        if release is None or last is None:
            return None
        rows = _shown(release, sector="_T")
        open_periods = [str(r["period"]) for r in rows if r["complete"] == "no"]
        message = "fig.delays.finding" if last["complete"] == "no" else "fig.delays.settled"
        caption = Caption(
            w.say(message, title=title_of(desk, release), **count_words(last)),
            w.say("fig.delays.unit", of=str(release.facts.get("of", ""))),
            source_of(release), day_of(release.day).isoformat(),
        )  # fmt: skip
        columns = tuple(c for c in release.columns if c != "status")

        def draw() -> Any:
            from opsroom.base.charts_lines import line_band

            spans = [Span(open_periods[0], open_periods[-1], w.say("chart.incomplete"))] if open_periods else []
            return line_band(
                rows, x="period", lines={"expected": w.say("chart.expected"), "reported": w.say("chart.reported")},
                band=("lower", "upper"), caption=caption, spans=spans, points=len(rows) < 20,
                band_label=w.say("chart.interval"),
            )  # fmt: skip

        return Figure(
            name, "credit", caption, columns, table(records(release), columns), (release,), draw, how="how.delays"
        )

    return make


def sectors(name: str) -> Callable[[Desk], Figure | None]:
    """Return the builder of the newest period by sector: what is reported and what is still to come."""

    def make(desk: Desk) -> Figure | None:
        release = desk.get(name)
        known = [r for r in _shown(release) if r["sector"] != "_T"]
        period = max((str(r["period"]) for r in known), default="")
        rows: list[dict[str, Any]] = [
            {**r, "name": _name(desk, str(r["sector"])), "to_come": float(r["expected"]) - float(r["reported"])}
            for r in known
            if r["period"] == period
        ]
        if release is None or len(rows) < 2:
            return None
        rows.sort(key=lambda r: (-r["to_come"], -float(r["expected"]), str(r["sector"])))
        caption = Caption(
            w.say(
                "fig.delays.sectors" if rows[0]["to_come"] > 0 else "fig.delays.sectors_settled",
                title=title_of(desk, release), name=w.lower_first(rows[0]["name"]), n=w.number(rows[0]["to_come"]),
                at=w.at(period),
            ),
            w.say("fig.delays.sectors_unit", of=str(release.facts.get("of", "")), n=str(min(MOST, len(rows)))),
            source_of(release), day_of(release.day).isoformat(),
        )  # fmt: skip
        columns = ("period", "sector", "name", "reported", "to_come", "expected", "lower", "upper", "share", "complete")

        def draw() -> Any:
            from opsroom.base.charts_bars import option_bars

            titles = {"reported": w.say("chart.reported"), "to_come": w.say("chart.to_come")}
            return option_bars(rows[:MOST], option="name", measures=titles, caption=caption)

        return Figure(
            f"{name}--sectors", "credit", caption, columns, table(rows, columns), (release,), draw, how="how.delays"
        )

    return make
