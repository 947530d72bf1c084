"""Desk `allocation`: what is scarce, what it is worth, who gets what under which rule, and what each rule costs.

Settings: ``table``, ``household``, ``other`` (see `sectortable`); ``objectives`` (dataset: the objectives register,
see `opsroom.decide.objectives`); ``capacity`` (a table: ``series``, ``measure``, ``by``, maybe ``where``, ``lower``,
``upper``), a release series that says how much of its normal each section can do, in per cent; ``max_ratio`` (most
of a final use over what is wanted, default 1.0).

It reads public tables and what is published, and nothing else, so that no answer betrays what is not out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import FitError, UserError
from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View
from opsroom.room.desks.sectortable import fill, measured, sector_table

if TYPE_CHECKING:
    import pandas as pd

RULES = ("optimum", "by_class", "pro_rata")
LEAST = 1.0
"""Per cent of its normal that a section can do at least: a capacity of nothing at all leaves no plan to speak of."""


class AllocationDesk:
    """Say who gets what is scarce, and what that is worth."""

    cadences: Mapping[str, Cadence] = {"allocation.section": "monthly", "allocation.rule": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``allocation.section`` (uses and shadow prices) and ``allocation.rule`` (what each rule costs)."""
        from opsroom.decide import objectives
        from opsroom.decide.allocation import explain, possible_share

        names = [str(settings.require("table")), str(settings.require("objectives"))]
        for name in names:
            if not view.has(name):
                return DeskOutcome(None, note=f"nothing known of {name} yet")
        known = measured(view, settings, "capacity")
        if known is None:
            return DeskOutcome(None, note="nothing published yet of what each section can do")
        found, newest = known
        table = sector_table(view, settings)
        sections = table.z.index
        try:
            register = objectives(view.frame(names[1]), view.day)
            weights = register.weights(sections)
        except UserError as error:
            # a register that says nothing usable stops this desk, not the room's other figures
            return DeskOutcome(None, note=f"{error.code}: {error.message} {error.remedy}")
        wanted = table.household + table.other
        shares: dict[str, pd.Series] = {}
        unseen: list[str] = []
        for column in ("value", "lower", "upper"):
            filled, unseen = fill(found[column], sections, table.output)
            shares[column] = filled.clip(LEAST, 100.0) / 100.0
        floors = register.floors(sections) * wanted
        means: dict[str, Any] = {
            "A": table.coefficients,
            "demand": wanted,
            "max_demand_ratio": float(settings.get("max_ratio", 1.0)),
        }
        able = shares["value"] * table.output
        met = possible_share(**means, floor=floors, capacity=able)
        rules = {"floor": met * floors, "classes": register.classes(sections)}
        given = {**means, "value": weights, "rules": rules}
        plan = _plan(given, table.output, shares)
        facts = {
            "week": newest,
            "year": table.year,
            "unseen": unseen,
            "owners": register.owners().to_dict("records"),
            "title": "Allocation under scarcity",
            "floors_met": round(100.0 * met, 1),
            "floors": explain(**means, floor=floors, capacity=able),
        }
        return DeskOutcome(plan, tuple(_cells(view, plan, wanted, shares["value"], facts)))


def _plan(given: dict[str, Any], normal: pd.Series, shares: Mapping[str, pd.Series]) -> dict[str, Any]:
    """Return the plan at the measured capacities, its prices at their bounds, and the plain rules' uses."""
    import pandas as pd

    from opsroom.decide.allocation import allocate, ration, shadow_ranges

    best = allocate(**given, capacity=shares["value"] * normal)
    prices = {"price": best.shadow_prices}
    for column in ("lower", "upper"):
        try:
            prices[column] = allocate(**given, capacity=shares[column] * normal).shadow_prices
        except FitError as error:
            if error.code != "OPS-M180":  # floors that the lower bound of capacity cannot meet
                raise
            prices[column] = pd.Series(math.nan, index=best.shadow_prices.index)
    ranges = shadow_ranges(**given, capacity=shares["value"] * normal)
    means = {k: given[k] for k in ("A", "demand", "max_demand_ratio")} | {"capacity": shares["value"] * normal}
    classes = given["rules"].get("classes")
    uses = {"optimum": best.y, "pro_rata": ration(**means)}
    if classes is not None:
        uses["by_class"] = ration(**means, classes=classes)
    other = allocate(**{**given, "value": 1.0}, capacity=shares["value"] * normal)
    return {"best": best, "prices": prices, "ranges": ranges, "uses": uses, "plain": other, "worth": given["value"]}


def _cells(
    view: View, plan: dict[str, Any], wanted: pd.Series, capacity: pd.Series, facts: dict[str, Any]
) -> list[Cells]:
    import pandas as pd

    sections = wanted.index
    ranges = plan["ranges"].reindex(sections)
    price = plan["prices"]["price"].reindex(sections)
    bounds = pd.DataFrame({k: plan["prices"][k].reindex(sections) for k in ("price", "lower", "upper")})
    frame = pd.DataFrame({"date": view.day.isoformat(), "section": sections, "capacity": 100.0 * capacity.to_numpy()})
    used = wanted.to_numpy() > 0
    for rule in RULES:
        share = plan["uses"][rule].div(wanted.where(wanted > 0)).mul(100.0) if rule in plan["uses"] else math.nan
        frame[rule] = share.to_numpy() if isinstance(share, pd.Series) else share
    frame["price"] = price.to_numpy()
    frame["price_less"] = ranges["less"].fillna(price).to_numpy()
    frame["price_more"] = ranges["more"].fillna(price).to_numpy()
    frame["price_lower"] = bounds.min(axis=1).to_numpy()
    frame["price_upper"] = bounds.max(axis=1).to_numpy()
    decimals = {"capacity": 1, **dict.fromkeys(RULES, 1)}
    prices = ("price", "price_less", "price_more", "price_lower", "price_upper")
    frame = frame.round({**decimals, **dict.fromkeys(prices, 2)})
    frame = frame[used | (frame["price"] > 0).to_numpy()]
    worth = plan["worth"]
    rows = []
    for rule, y in plan["uses"].items():
        equal = float(y.sum()) / float(plan["plain"].y.sum())
        rows.append(
            {
                "date": view.day.isoformat(),
                "rule": rule,
                "worth": 100.0 * float(worth @ y) / plan["best"].bound,
                "worth_equal": 100.0 * equal,
                "least": 100.0 * float((y / wanted.where(wanted > 0)).min()),
            }
        )
    rules = pd.DataFrame(rows).round(1)
    percent = "% of what is wanted"
    per_unit = "worth per unit of output, under the registered weights"
    return [
        Cells(
            name="allocation.section",
            dimensions=("date", "section"),
            measures=(
                Measure("capacity", "public", "% of normal output"),
                *(Measure(rule, "public", percent) for rule in RULES),
                *(Measure(p, "public", per_unit, decimals=2) for p in prices),
            ),
            frame=frame.reset_index(drop=True),
            method="allocation",
            facts=facts,
        ),
        Cells(
            name="allocation.rule",
            dimensions=("date", "rule"),
            measures=(
                Measure("worth", "public", "% of the most that is possible, registered weights"),
                Measure("worth_equal", "public", "% of the most that is possible, all weights equal"),
                Measure("least", "public", "% of what is wanted, for the section that gets least"),
            ),
            frame=rules,
            method="allocation",
            facts=facts,
        ),
    ]


DESK = AllocationDesk()
