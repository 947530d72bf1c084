"""The activity desk as of a day: which figures it shows, and what has changed since an earlier day's page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opsroom.faces import words as w
from opsroom.faces.figures import Figure, attempt
from opsroom.faces.reader import Desk, measures_of, number, records

FIGURES = (
    "resumption.national",
    "resumption.use",
    "resumption.national--weights",
    "resumption.national--capacity",
    "resumption.region",
    "resumption.section",
    "flows.weekly",
    "flows.resilience",
    "events.strictness",
    "restriction.index",
    "restriction.index--places",
    "restriction.measures",
    "resumption.change",
    "resumption.national--vintages",
)
"""In the order of the questions: how much, why, whose, where, under what, and how sure."""

COMPARED = 15
"""Periods compared, the last ones that both days knew."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of a period, as shown on two days."""

    series: str
    title: str
    period: str
    unit: str
    earlier: float | None
    later: float | None
    decimals: int

    @property
    def revision(self) -> float | None:
        """The later figure minus the earlier one."""
        if self.earlier is None or self.later is None:
            return None
        return round(self.later - self.earlier, self.decimals)


def figures(desk: Desk) -> list[Figure]:
    """Return the desk's figures: work resumption, and whatever the room measures of activity by load."""
    names = [n for n in FIGURES if n.partition("--")[0] in desk.names()]
    for series in desk.names():
        if series.startswith("activity."):
            names += [series, f"{series}--levels"]
    return [f for n in names if (f := attempt(desk, n)) is not None]


def by_size(desk: Desk) -> Figure | None:
    """Return the figure whose data are the table of sections and sizes."""
    return attempt(desk, "resumption.section") if "resumption.section" in desk.names() else None


def events(desk: Desk) -> list[str]:
    """Return what happened by the day, from the registers, in sentences."""
    release = desk.get("events.register")
    total = w.number(release.facts.get("regions", 0)) if release is not None else ""
    said = []
    for row in records(release, event="lockdown"):
        values = {"start": w.day(str(row["date"])), "n": w.number(number(row, "regions") or 0), "of": total}
        over = str(row["until"])
        said.append(
            w.say("event.lockdown_over" if over else "event.lockdown", end=w.day(over) if over else "", **values)
        )
    return said


def compare(earlier: Desk, later: Desk) -> list[Comparison]:
    """Return what two days' pages say of the same periods, figure by figure.

    Parameters
    ----------
    earlier, later
        The room as of two days; in whichever order, the earlier day comes first.
    """
    if earlier.day > later.day:
        earlier, later = later, earlier
    found: list[Comparison] = []
    for figure in figures(later):
        if figure.name not in ("resumption.national",) and not figure.name.startswith("activity."):
            continue
        before = attempt(earlier, figure.name)
        if before is None or "--" in figure.name:
            continue
        found += _compared(before, figure)
    return found


def _compared(before: Figure, after: Figure) -> list[Comparison]:
    period = after.columns[0]
    measures = {m.name: m for m in measures_of(after.main)}
    name = "gap" if "gap" in measures else next(c for c in after.columns if c in measures)
    keys = [c for c in (period, "series") if c in after.columns and c in before.columns]
    old, new = ({tuple(r[k] for k in keys): r for r in f.records()} for f in (before, after))
    shared = sorted(k for k in old if k in new)
    latest = sorted({k[0] for k in shared})[-COMPARED:]
    measure = measures[name]
    return [
        Comparison(
            after.name, " ".join(str(x) for x in key[1:]), str(key[0]), measure.unit,
            _number(old[key][name]), _number(new[key][name]), measure.decimals,
        )
        for key in shared
        if key[0] in latest
    ]  # fmt: skip


def _number(value: Any) -> float | None:
    return None if value is None or isinstance(value, (str, bool)) else float(value)
