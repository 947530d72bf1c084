"""`allocate`: the best use of what is scarce, what scarcity is worth, and what a plain rule would have done."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError
from opsroom.decide.allocation.classes import lifted, ordered, wanting
from opsroom.decide.allocation.many import search_many
from opsroom.decide.allocation.market import checked, cleared
from opsroom.decide.allocation.problem import Problem, pose
from opsroom.decide.allocation.rationing import class_numbers, served
from opsroom.decide.allocation.rows import EXACT_MOST
from opsroom.decide.allocation.rules import ClassRules, class_rules, split
from opsroom.decide.allocation.search import Found, search

_TIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class AllocationResult:
    """An allocation, what no allocation can exceed, and what scarcity is worth.

    Attributes
    ----------
    objective, bound
        Worth of the final uses, and an upper bound of the worth of any; both under the values given, and no others.
    y, x
        Final uses and outputs by product.
    shadow_prices
        What one more unit of each product's capacity would add to the objective, at the margin; of labour, one more
        hour, under the skill's name. It is no market price.
    binding
        Products and skills of which nothing is left, or no more than the gap allowed where that is wider than 1e-6.
    benchmark
        Name → objective of plain rules on the same means (`ration`): ``"pro rata"``, the same share of every final
        use; ``"by class"``, where classes are given; ``"market"``, prices that rise until what is wanted fits
        beside the floors (`clear_market`). NaN where a rule leaves a use below its floor, or no prices clear a market.
    classes
        Where classes bind the optimum, by class: ``wanted``, the worth of what it wants; ``worth``, of what it gets;
        ``share``, the one over the other; and under an order of service ``bound``, what the class cannot exceed in any
        allocation that leaves every class before at least what it has here. `bound` is then the sum of these.
    class_prices
        Under an order of service, means x classes: what one more unit of a mean would add to each class, once the
        classes before have taken theirs of it. `shadow_prices` are their sums, which may be below 0: the law then
        gives the unit, and other things with it, to who is worth less.
    """

    objective: float
    bound: float
    y: pd.Series
    x: pd.Series
    shadow_prices: pd.Series
    binding: tuple[Any, ...]
    benchmark: Mapping[str, float]
    classes: pd.DataFrame | None = None
    class_prices: pd.DataFrame | None = None

    @property
    def gap(self) -> float:
        """How far the allocation may be from the best, as a share of the bound."""
        return (self.bound - self.objective) / abs(self.bound) if self.bound else 0.0

    def to_frame(self) -> pd.DataFrame:
        """Return final use, output and shadow price by product."""
        prices = self.shadow_prices.reindex(self.y.index)
        return pd.DataFrame({"final": self.y, "output": self.x, "shadow_price": prices})

    def summary(self) -> str:
        """Return the allocation in a few lines."""
        dear = self.shadow_prices[self.shadow_prices > 0].sort_values(ascending=False)
        market = self.benchmark.get("market", math.nan)
        beside = "" if math.isnan(market) else f", a market that clears at once {market:,.2f}"
        lines = [
            f"Worth {self.objective:,.2f} under the values given; no allocation is worth more than {self.bound:,.2f} "
            f"(gap {self.gap:.1e})",
            f"  {len(self.binding)} means are used up; the same share for everybody would be worth "
            f"{self.benchmark['pro rata']:,.2f}{beside}",
        ]
        lines += [f"  one more unit of {name} would add {value:,.4f}" for name, value in dear.head(5).items()]
        return "\n".join(lines)

    def cite(self) -> str:
        """Return source and version."""
        return (
            "Kantorovich (1960), Management Science 6:366-422; rows generated after Kelley (1960), Journal of the SIAM "
            "8:703-712; interior point after Mehrotra (1992), SIAM Journal on Optimization 2:575-601; proximal steps "
            f"after Rockafellar (1976); opsroom {__version__}."
        )


def allocate(
    A: Any,
    demand: Any,
    *,
    value: Any,
    capacity: Any = None,
    labour: Any = None,
    labour_limit: Any = None,
    max_demand_ratio: float = 1.05,
    rules: Mapping[str, Any] | None = None,
    tol: float = 1e-6,
    seconds: float = 600.0,
    elasticity: float | None = 1.0,
) -> AllocationResult:
    """Find the final uses that are worth most with what there is.

    Answers: of what is scarce, who gets how much, what is one more unit of it worth, and what does a plain rule lose?

    Parameters
    ----------
    A
        Technical coefficients, products x products: a frame, an array or a sparse matrix.
    demand
        Final use wanted by product.
    value
        What a unit of each final use is worth to who sets the objective. There is no default: somebody has to own it.
    capacity
        Most output by product; absent or infinite: no limit.
    labour, labour_limit
        Hours per unit of output (a vector, or skills x products), and hours there are (a number, or by skill).
    max_demand_ratio
        Most of each final use over what is wanted.
    rules
        ``{"floor": …}``: least final use, as a number by product, or one share of what is wanted;
        ``{"classes": …}``: who is served first by law, as a number by product, for the benchmark ``"by class"``. They
        bind the optimum with ``{"order": True}``: no class gets less for the sake of a later one (``{"order": 1e-4}``:
        no more than that share of what it could use at most, because strictly, traces of what is scarce stop later
        classes altogether);
        ``{"shares": {1: …}}``: a class as a whole gets at least that share of the worth of what it wants;
        ``{"alike": True}`` (or a list of classes): everybody in a class gets the same share of what is wanted.
    tol
        The allocation is within this share of the best possible.
    seconds
        Time allowed.
    elasticity
        Of the market that the optimum is compared with, see `clear_market`; None: compare with no market.

    Raises
    ------
    UsageError
        Shapes, signs or names that do not fit, an unknown rule.
    FitError
        Floors or least shares that cannot be met together (see `explain`), a table that is not productive, a gap that
        did not close.

    Notes
    -----
    Maximise ``value @ y`` subject to ``x = A x + y``, ``x <= capacity``, ``labour @ x <= labour_limit`` and the bounds
    of y. Up to some hundred scarcities become rows of a linear programme on final uses alone, generated as they show
    (HiGHS). Beyond, all that can be scarce are rows at once, for an interior point (`interior`), or, where such rows
    do not fit into memory, prices are searched for (`prices`). The bound is weak duality's, from the prices by one
    solve, and rests on no search. Classes that bind are rows of the same programme (`classes`), and an order of
    service is a chain of programmes, one a class, each certified. An order is certified to 1e-5 of what a class
    could use, or, where it may lose more, such as ``{"order": 1e-4}``, to ten times that. The assumption that fails
    most often: that the values are those that people have.

    References
    ----------
    Kantorovich (1960), Management Science 6, 366-422; Kelley (1960), Journal of the SIAM 8, 703-712; Mehrotra (1992),
    SIAM Journal on Optimization 2, 575-601; Rockafellar (1976), SIAM Journal on Control and Optimization 14, 877-898.

    Examples
    --------
    >>> import numpy as np
    >>> from opsroom.decide import allocate
    >>> a = np.array([[0.1, 0.3], [0.2, 0.1]])
    >>> found = allocate(a, [10.0, 10.0], value=[1.0, 2.0], capacity=[14.0, 30.0])
    >>> found.y.round(3).tolist(), found.binding, found.shadow_prices.round(3).tolist()
    ([8.167, 10.5], (0,), [0.833, 0.0])
    """
    problem = posed(A, demand, value, capacity, labour, labour_limit, max_demand_ratio, rules)
    given, binds = split(rules)
    market = None if elasticity is None else checked(elasticity)
    if binds:
        return _by_rules(problem, given, market, tol=tol, seconds=seconds)
    used, hours = problem.load(problem.output(problem.high))
    many = int((used > 1.0).sum() + (hours > 1.0).sum()) > EXACT_MOST
    found = (search_many if many else search)(problem, tol=tol, seconds=seconds)
    return _result(problem, found, given.get("classes"), market, tol)


def explain(
    A: Any,
    demand: Any,
    *,
    floor: Any = None,
    value: Any = 1.0,
    capacity: Any = None,
    labour: Any = None,
    labour_limit: Any = None,
    max_demand_ratio: float = 1.05,
    rules: Mapping[str, Any] | None = None,
) -> str:
    """Say in words how far floors and least shares can be met together, and for want of what they cannot.

    Parameters
    ----------
    floor
        Least final use, as in the rules of `allocate`; other arguments as there.
    value
        What a unit of each final use is worth: least shares of classes are shares of worth.
    rules
        As in `allocate`; a `floor` here stands for the one in them.
    """
    given = dict(rules or {}) if floor is None else {**(rules or {}), "floor": floor}
    problem = posed(A, demand, value, capacity, labour, labour_limit, max_demand_ratio, given)
    given, binds = split(given)
    names = [*(str(label) for label in problem.labels), *problem.skills]
    if binds:
        kinds = class_rules(given, problem)
        problem = lifted(problem, kinds)
    load = _loads(problem)
    over = np.flatnonzero(load > 1.0 + 1e-9)
    if not len(over):
        return _shares_explained(problem, kinds, names) if binds else "The floors can be met together."
    order = over[np.argsort(-load[over])]
    share = 100.0 / float(load.max())
    wanting = "; ".join(f"{names[k]} ({100.0 * load[k] - 100.0:,.0f} % more than there is)" for k in order[:5])
    more = "" if len(order) <= 5 else f", and {len(order) - 5} others"
    return f"The floors cannot be met together, only {share:.0f} % of each. They take too much of: {wanting}{more}."


def _shares_explained(problem: Problem, rules: ClassRules, names: list[str]) -> str:
    """Say how far least shares can be met beside floors that can."""
    if not rules.shares.any():
        return "The floors can be met together."
    part, stops = wanting(problem, rules)
    if part >= 1.0 - 1e-7:
        return "The floors and the least shares of classes can be met together."
    order = np.argsort(-stops)[: int((stops > 1e-9 * stops.max()).sum())]
    more = "" if len(order) <= 5 else f", and {len(order) - 5} others"
    asked = ", ".join(f"{n:g} ({100.0 * s:.0f} %)" for n, s in zip(rules.names, rules.shares, strict=True) if s > 0.0)
    return (
        f"The floors can be met, but not the least shares of classes {asked} beside them: only {100.0 * part:.0f} % of "
        f"each share. They want more than there is of: {', '.join(names[k] for k in order[:5])}{more}."
    )


def possible_share(
    A: Any,
    demand: Any,
    *,
    floor: Any,
    capacity: Any = None,
    labour: Any = None,
    labour_limit: Any = None,
    max_demand_ratio: float = 1.05,
) -> float:
    """Return the share of every floor, 1 at most, that can be met together; arguments as in `explain`."""
    problem = posed(A, demand, 1.0, capacity, labour, labour_limit, max_demand_ratio, {"floor": floor})
    worst = float(_loads(problem).max(initial=0.0))
    return 1.0 if worst <= 1.0 + 1e-9 else (1.0 - 1e-9) / worst


def _loads(problem: Problem) -> NDArray[np.float64]:
    """Return what the floors take of each mean, as a share of what there is."""
    return np.concatenate(problem.load(problem.output(problem.low)))


def posed(
    A: Any, demand: Any, value: Any, capacity: Any, labour: Any, labour_limit: Any, ratio: float,
    rules: Mapping[str, Any] | None,
) -> Problem:  # fmt: skip
    """Check arguments as given to `allocate`, with its rules."""
    given, _ = split(rules)
    floor = given.get("floor")
    if floor is not None and np.ndim(floor) == 0:
        share = float(floor)
        if not 0.0 <= share <= ratio:
            raise UsageError("a floor is no share of what is wanted.", remedy="Use a share from 0 to 1.")
        floor = share * np.asarray(demand, dtype=np.float64)
    return pose(
        A, demand, value=value, capacity=capacity, labour=labour, labour_limit=labour_limit, max_demand_ratio=ratio,
        floor=floor,
    )  # fmt: skip


def _by_rules(
    p: Problem, given: Mapping[str, Any], market: float | None, *, tol: float, seconds: float
) -> AllocationResult:
    """Return the optimum under classes that bind."""
    rules = class_rules(given, p)
    found = ordered(p, rules, tol=tol, seconds=seconds)
    n, by_class = len(p.labels), rules.worth(p)
    total = found.prices.sum(axis=1)
    whole = Found(
        found.y, found.x, float(found.worth.sum()), float(found.bounds.sum()), total[:n], total[n:], 0, len(found.worth)
    )  # fmt: skip
    names = pd.Index([int(name) if name.is_integer() else name for name in rules.names], name="class")
    table = pd.DataFrame({"wanted": by_class @ p.demand, "worth": by_class @ found.y}, index=names)
    table["share"] = table["worth"] / table["wanted"].where(table["wanted"] > 0.0)
    prices = None
    if rules.order:
        table["bound"] = found.bounds
        prices = pd.DataFrame(found.prices, index=[*p.labels, *p.skills], columns=names)
    return replace(_result(p, whole, given["classes"], market, tol), classes=table, class_prices=prices)


def _result(p: Problem, found: Found, classes: Any, market: float | None, tol: float) -> AllocationResult:
    used, hours = p.load(found.x)
    full = 1.0 - max(_TIGHT, tol)
    tight = [label for label, load in zip(p.labels, used, strict=True) if load >= full]
    tight += [skill for skill, load in zip(p.skills, hours, strict=True) if load >= full]
    prices = pd.Series(np.concatenate([found.prices, found.wages]), index=[*p.labels, *p.skills], name="shadow_price")
    return AllocationResult(
        objective=found.objective,
        bound=found.bound,
        y=pd.Series(found.y, index=p.labels, name="final"),
        x=pd.Series(found.x, index=p.labels, name="output"),
        shadow_prices=prices,
        binding=tuple(tight),
        benchmark=_benchmark(p, classes, market),
    )


def _benchmark(p: Problem, classes: Any, market: float | None) -> dict[str, float]:
    """Return the worth of plain rules and of a market; NaN where a use would be left below its floor: not allowed."""
    orders = {"pro rata": np.ones(len(p.labels))}
    if classes is not None:
        orders["by class"] = class_numbers(classes, p.labels)
    uses = {name: served(p, order) for name, order in orders.items()}
    short = {name: bool((y < p.low * (1.0 - 1e-9)).any()) for name, y in uses.items()}
    found = {name: float("nan") if short[name] else float(p.worth @ y) for name, y in uses.items()}
    if market is not None:
        found["market"] = _market(p, market)
    return found


def _market(p: Problem, elasticity: float) -> float:
    try:
        return float(p.worth @ cleared(p, elasticity)[0])
    except FitError as error:
        if error.code != "OPS-M186":
            raise
        return float("nan")  # what cannot be said of a market is no reason to say nothing of the plan
