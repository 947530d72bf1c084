"""Desk `allocation`: what is scarce, what it is worth, who gets what under which rule, and what each rule costs.

Settings: ``table``, ``household``, ``other`` (see `sectortable`); ``objectives`` (dataset: the objectives register,
see `opsroom.decide.objectives`); ``capacity`` (a table: ``series``, ``measure``, ``by``, maybe ``where``, ``lower``,
``upper``), a release series that says how much of its normal each section can do, in per cent; ``max_ratio`` (most
of a final use over what is wanted, default 1.0); ``elasticity`` (of the market that the optimum is compared with,
default 1.0; see `opsroom.decide.allocation.clear_market`); ``law`` (a table: maybe ``order``, ``alike``, ``shares``,
see `allocate`), which makes the register's classes bind an optimum of its own, the rule ``by_law``.

It reads public tables and what is published, and nothing else, so that no answer betrays what is not out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opsroom.base.errors import FitError, SettingsError, UsageError, UserError
from opsroom.base.results import Cells, Measure
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.sectortable import fill, measured, sector_table

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.decide.allocation import AllocationResult

RULES = ("optimum", "by_class", "pro_rata", "market")
BY_LAW = "by_law"
LEAST = 1.0
"""Per cent of its normal that a section can do at least: a capacity of nothing at all leaves no plan to speak of."""


class AllocationDesk:
    """Say who gets what is scarce, and what that is worth."""

    cadences: Mapping[str, Cadence] = {"allocation.section": "monthly", "allocation.rule": "monthly"}

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return ``allocation.section`` (uses and shadow prices) and ``allocation.rule`` (what each rule costs)."""
        from opsroom.decide import objectives
        from opsroom.decide.allocation import explain, possible_share

        law, elasticity = law_of(settings), elasticity_of(settings)
        names = [str(settings.require("table")), str(settings.require("objectives"))]
        if nothing := nothing_known_of(view, *names):
            return nothing
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
        try:
            plan = _plan(given, table.output, shares, elasticity)
        except FitError as error:  # no plan that can be vouched for: the other desks still publish
            return DeskOutcome(None, note=f"no plan could be made ({error.code})")
        bound = None if law is None else _by_law({**given, "capacity": able}, law)
        if bound is not None and bound.found is not None:
            plan["uses"][BY_LAW] = bound.found.y
        facts = {
            "week": newest,
            "year": table.year,
            "unseen": unseen,
            "owners": register.owners().to_dict("records"),
            "title": "Allocation under scarcity",
            "floors_met": round(100.0 * met, 1),
            "floors": explain(**means, floor=floors, capacity=able),
        }
        if bound is not None:
            facts |= {"law": bound.note, "law_classes": bound.classes()}
        published = RULES if law is None else (*RULES, BY_LAW)
        return DeskOutcome(plan, tuple(_cells(view, plan, wanted, shares["value"], facts, published)))


@dataclass(frozen=True, slots=True)
class _Bound:
    """The optimum under classes that bind, or why there is none."""

    found: AllocationResult | None
    note: str = ""

    def classes(self) -> list[dict[str, Any]]:
        """Return by class what it gets, in per cent of the worth of what it wants; and what it cannot exceed."""
        if self.found is None or self.found.classes is None:
            return []
        table = self.found.classes
        shown = {"share": table["worth"], **({"bound": table["bound"]} if "bound" in table else {})}
        wanted = table["wanted"].where(table["wanted"] > 0.0)
        return [
            {"class": int(name), **{k: round(100.0 * float(v[name] / wanted[name]), 1) for k, v in shown.items()}}
            for name in table.index[wanted.notna()]
        ]


def _by_law(given: dict[str, Any], law: Mapping[str, Any]) -> _Bound:
    """Return the optimum under the register's classes as the law makes them bind."""
    from opsroom.decide.allocation import allocate

    if given["rules"]["classes"] is None:
        return _Bound(None, "no classes are in force")
    try:
        return _Bound(allocate(**{**given, "rules": {**given["rules"], **law}}, elasticity=None))
    except (FitError, UsageError) as error:
        # what the law asks for cannot be had, or its classes are not in force: no reason to say nothing else
        return _Bound(None, f"{error.code}: {error.message} {error.remedy}")


def law_of(settings: DeskSettings) -> dict[str, Any] | None:
    """Return how classes bind, as rules of `allocate`; None where they do not.

    Raises
    ------
    SettingsError
        Naming what is wrong with the setting ``law``.
    """
    if settings.get("law") is None:
        return None
    tables = settings.tables("law", needs={}, allows={"order": (bool, float), "alike": (bool, list), "shares": dict})
    where = f"room.toml: desk {settings.name!r}: law"
    if len(tables) != 1 or not tables[0]:
        raise SettingsError(
            f"{where} is not one table that says something.", remedy="Write law = {order = true}.", code="OPS-C004"
        )
    law = dict(tables[0])
    order, alike, shares = law.get("order", False), law.get("alike", False), law.get("shares", {})
    if not isinstance(order, bool) and not 0.0 < order < 0.01:
        raise SettingsError(
            f"{where}: 'order' is neither true nor a share that a class may lose to later ones.",
            remedy="Use true, or a share above 0 and below 0.01, such as 1e-4.",
            code="OPS-C004",
        )
    if not isinstance(alike, bool) and not (alike and all(type(c) is int and c >= 1 for c in alike)):
        raise SettingsError(
            f"{where}: 'alike' is neither true nor a list of classes.", remedy="Write alike = [1, 2].", code="OPS-C004"
        )
    if not all(
        name.isdecimal() and type(share) in (int, float) and 0.0 <= share <= 1.0 for name, share in shares.items()
    ):
        raise SettingsError(
            f"{where}: 'shares' are no shares from 0 to 1 by class.",
            remedy="Write shares = {1 = 0.9}.",
            code="OPS-C004",
        )
    if shares:
        law["shares"] = {int(name): float(share) for name, share in shares.items()}
    return law


def elasticity_of(settings: DeskSettings) -> float:
    """Return the market's elasticity.

    Raises
    ------
    SettingsError
        It is no number above 0.
    """
    given = settings.get("elasticity", 1.0)
    if type(given) not in (int, float) or not 0.0 < given < math.inf:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: elasticity is no number above 0.",
            remedy="Use 1.0 where everybody spends what he always spent.",
            code="OPS-C004",
        )
    return float(given)


def _plan(
    given: dict[str, Any], normal: pd.Series, shares: Mapping[str, pd.Series], elasticity: float
) -> dict[str, Any]:
    """Return the plan at the measured capacities, its prices at their bounds, and the plain rules' uses."""
    import pandas as pd

    from opsroom.decide.allocation import allocate, clear_market, ration, shadow_ranges

    given = {**given, "elasticity": None}
    best = allocate(**given, capacity=shares["value"] * normal)
    prices = {"price": best.shadow_prices}
    for column in ("lower", "upper"):
        try:
            prices[column] = allocate(**given, capacity=shares[column] * normal).shadow_prices
        except FitError:  # floors that the lower bound of capacity cannot meet, or can only just
            prices[column] = pd.Series(math.nan, index=best.shadow_prices.index)
    ranges = shadow_ranges(**{k: v for k, v in given.items() if k != "elasticity"}, capacity=shares["value"] * normal)
    means = {k: given[k] for k in ("A", "demand", "max_demand_ratio")} | {"capacity": shares["value"] * normal}
    classes = given["rules"].get("classes")
    uses = {"optimum": best.y, "pro_rata": ration(**means)}
    if classes is not None:
        uses["by_class"] = ration(**means, classes=classes)
    try:
        uses["market"] = clear_market(**means, elasticity=elasticity, floor=given["rules"]["floor"])["final"]
    except FitError as error:
        if error.code != "OPS-M186":  # no prices clear the market: nothing is said of it
            raise
    other = allocate(**{**given, "value": 1.0}, capacity=shares["value"] * normal)
    return {"best": best, "prices": prices, "ranges": ranges, "uses": uses, "plain": other, "worth": given["value"]}


def _cells(
    view: View, plan: dict[str, Any], wanted: pd.Series, capacity: pd.Series, facts: dict[str, Any],
    published: tuple[str, ...],
) -> list[Cells]:  # fmt: skip
    import pandas as pd

    sections = wanted.index
    ranges = plan["ranges"].reindex(sections)
    price = plan["prices"]["price"].reindex(sections)
    bounds = pd.DataFrame({k: plan["prices"][k].reindex(sections) for k in ("price", "lower", "upper")})
    frame = pd.DataFrame({"date": view.day.isoformat(), "section": sections, "capacity": 100.0 * capacity.to_numpy()})
    used = wanted.to_numpy() > 0
    for rule in published:
        share = plan["uses"][rule].div(wanted.where(wanted > 0)).mul(100.0) if rule in plan["uses"] else math.nan
        frame[rule] = share.to_numpy() if isinstance(share, pd.Series) else share
    frame["price"] = price.to_numpy()
    frame["price_less"] = ranges["less"].fillna(price).to_numpy()
    frame["price_more"] = ranges["more"].fillna(price).to_numpy()
    frame["price_lower"] = bounds.min(axis=1).to_numpy()
    frame["price_upper"] = bounds.max(axis=1).to_numpy()
    decimals = {"capacity": 1, **dict.fromkeys(published, 1)}
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
                *(Measure(rule, "public", percent) for rule in published),
                *(Measure(p, "public", per_unit, decimals=2) for p in prices),
            ),
            frame=frame.reset_index(drop=True),
            method="allocation-1",
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
            method="allocation-1",
            facts=facts,
        ),
    ]


DESK = AllocationDesk()
