"""Which figures there are as of a day: the special ones, and a plain one for every other series."""

from __future__ import annotations

from collections.abc import Callable

from opsroom.base.errors import NotFoundError
from opsroom.faces.figures import (
    booms,
    contagion,
    credit,
    delays,
    flows,
    generic,
    output,
    plan,
    propagation,
    record,
    relief,
    restriction,
    work,
)
from opsroom.faces.figures.figure import Figure
from opsroom.faces.reader import Desk

Builder = Callable[[Desk], Figure | None]

SPECIAL: dict[str, Builder] = {
    "resumption.national": work.resumption,
    "resumption.region": work.regions,
    "resumption.section": work.sections,
    "resumption.national--weights": work.weights,
    "resumption.national--capacity": work.capacity,
    "resumption.national--coverage": work.coverage,
    "resumption.national--vintages": work.published,
    "resumption.change": work.change,
    "resumption.use": work.use,
    "restriction.index": restriction.index,
    "restriction.index--places": restriction.places,
    "restriction.measures": restriction.measures,
    "nowcast.gdp": output.nowcast,
    "nowcast.gdp--news": output.news,
    "nowcast.gdp--due": output.due,
    "flows.weekly": flows.gaps,
    "flows.resilience": flows.resilience,
    "propagation.path": propagation.path,
    "propagation.section": propagation.sections,
    "propagation.region": propagation.regions,
    "propagation.daily": propagation.daily,
    "loans.section": credit.states,
    "loans.section--warnings": credit.warnings,
    "liquidity.section": credit.liquidity,
    "exuberance.ratios": booms.ratios,
    "credit.region": booms.credit,
    "contagion.section": contagion.system,
    "contagion.section--sections": contagion.sections,
    "contagion.lenders": contagion.lenders,
    "relief.options": relief.paths,
    "relief.options--classes": relief.classes,
    "relief.options--costs": relief.costs,
    "relief.deadline": relief.deadline,
    "allocation.section": plan.scarce,
    "allocation.section--uses": plan.uses,
    "allocation.rule": plan.rules,
    "relief.outcome": record.outcome,
    "data.revisions": record.revisions,
    "data.quality": record.quality,
    "decisions.log": record.decisions,
    "scores.resumption": record.scores,
    "scores.nowcast": record.scores_nowcast,
}
"""Name → builder, in the order of the pages. A name is a release series, or ``series--view``."""


def builder(desk: Desk, name: str) -> Builder | None:
    """Return what draws a figure of that name, or None."""
    if name in SPECIAL:
        return SPECIAL[name]
    series, _, view = name.partition("--")
    if series not in desk.names():
        return None
    if series.startswith("activity."):
        return {"": generic.gap(series), "levels": generic.against_expected(series)}.get(view)
    if series.startswith("delays."):
        return {"": delays.expected(series), "sectors": delays.sectors(series)}.get(view)
    if series == "credit.gap" and not view:
        return generic.credit_gap
    if series == "prices.growth" and not view and generic.growth(desk) is not None:
        return generic.growth
    return generic.plain(series) if not view else None


def available(desk: Desk) -> list[str]:
    """Return the names of the figures that can be shown as of the day, in the order of the pages."""
    present = set(desk.names())
    names = [name for name in SPECIAL if name.partition("--")[0] in present]
    for series in sorted(present - {n.partition("--")[0] for n in SPECIAL}):
        names.append(series)
        if series.startswith("activity."):
            names.append(f"{series}--levels")
        if series.startswith("delays."):
            names.append(f"{series}--sectors")
    # a series of which all is withheld on the day has nothing to draw, and no page links to it
    return [name for name in names if attempt(desk, name) is not None]


def attempt(desk: Desk, name: str) -> Figure | None:
    """Return a figure as of the desk's day, or None where there is none to draw on that day."""
    make = builder(desk, name)
    figure = make(desk) if make else None
    if figure is None and name in SPECIAL and name in desk.names():
        return generic.plain(name)(desk)  # what there is to show of the series, where its own picture has no data
    return figure


def build(desk: Desk, name: str) -> Figure:
    """Return a figure as of the desk's day.

    Raises
    ------
    NotFoundError
        If there is no figure of that name, or none of its numbers had been published by the day.
    """
    figure = attempt(desk, name)
    if figure is None:
        raise NotFoundError(
            "there is no such figure on that day.",
            remedy="See the list of figures at /api/v1/figures.",
            code="OPS-N020",
        )
    return figure


def grouped(desk: Desk) -> dict[str, list[Figure]]:
    """Return all figures of the day by group, in the order of the pages."""
    groups: dict[str, list[Figure]] = {k: [] for k in ("work", "output", "credit", "options", "record", "other")}
    for name in available(desk):
        figure = attempt(desk, name)
        if figure is not None:
            groups[figure.group].append(figure)
    return {group: figures for group, figures in groups.items() if figures}
