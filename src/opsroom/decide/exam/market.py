"""Nobody plans: sectors adjust prices and orders to their own excess demand, or prices stand still and all share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.base.errors import UsageError
from opsroom.decide.exam.ledger import Run, Week, carry_out, collect
from opsroom.decide.exam.shocks import LEAD, Course, Draw
from opsroom.decide.exam.structure import RISING, Economy, Floats


@dataclass(frozen=True, slots=True)
class Market:
    """How sectors without a planner behave.

    Attributes
    ----------
    step
        By what share of the table's price the lasting scarcity part rises per round and unit of excess demand.
    lean
        By what share of the table's price a price stands higher as long as there is excess demand, per unit of it.
    pace
        Share of the way to its new price that a price moves in a round.
    restock
        In how many weeks a gap in stocks is to be closed.
    rounds
        How often a week prices and orders are revised before goods move: 5 is daily.

    Notes
    -----
    The defaults did best in a sweep over seeds that no exam uses (docs/methods/exam.md).
    """

    step: float = 0.02
    lean: float = 3.0
    pace: float = 0.3
    restock: float = 4.0
    rounds: int = 5

    def __post_init__(self) -> None:
        if self.step < 0.0 or self.lean < 0.0 or not 0.0 < self.pace <= 1.0 or self.restock < 1.0 or self.rounds < 1:
            raise UsageError("step and lean are 0 or more, pace a share, restock and rounds 1 or more.")


@dataclass(slots=True, eq=False)
class _State:
    """What sectors remember from round to round."""

    rent: Floats
    price: Floats
    orders: Floats
    make: Floats


def price_adjustment(e: Economy, drawn: Draw, truth: Course, rule: Market) -> Run:
    """Let prices and orders find their way.

    Notes
    -----
    In every round each sector knows its own orders, store, capacity, recipe and announced shocks, and its suppliers'
    prices of the round before. Users order final uses until another unit is not worth its price to them. A sector
    wants to make what is ordered and to close the gap in its store; it orders inputs for as much of it as its capacity
    allows. Its price moves towards unit cost (inputs and work) and a scarcity part, which rises while more is ordered
    than its store holds or more is wanted than its capacity allows, and falls to 0 while there is room; below 0 only as
    long as the store is so full that nothing is made. Where it comes to rest, prices are the optimum's shadow prices.

    References
    ----------
    Arrow, K. J., Hurwicz, L. and Uzawa, H. (1958), Studies in Linear and Non-Linear Programming, Stanford.
    """
    return _run(e, drawn, truth, rule)


def pro_rata(e: Economy, drawn: Draw, truth: Course, rule: Market) -> Run:
    """Leave prices where the table has them: who orders from an empty store gets a share. All else is as with prices.

    Parameters
    ----------
    e, drawn, truth, rule
        As in `price_adjustment`; of the rule only `restock` and `rounds` matter.
    """
    return _run(e, drawn, truth, Market(0.0, 0.0, 1.0, rule.restock, rule.rounds))


def _run(e: Economy, drawn: Draw, truth: Course, rule: Market) -> Run:
    stock = e.stock
    one = np.ones(e.size)
    s = _State(np.zeros(e.size), one.copy(), e.output.copy(), e.output.copy())
    weeks: list[Week] = []
    prices: list[Floats] = []
    for t in range(len(truth)):
        ahead = drawn.expected(e, known=t, start=t, count=LEAD + 1)
        # what a sector knows that it will not be able to make, it wants in its store beforehand
        missing = np.maximum(np.minimum(s.orders, e.capacity) - ahead.capacity[1:], 0.0).sum(axis=0)
        target = e.cover * e.output + missing
        ask = _settle(e, rule, s, stock, truth, t, target)
        week = carry_out(stock, s.make, ask, truth.capacity[t], truth.a[t], e.enough(truth.wanted[t]))
        stock = week.stock
        weeks.append(week)
        prices.append(s.price.copy())
    return collect(e.stock, weeks, prices)


def _settle(e: Economy, rule: Market, s: _State, stock: Floats, truth: Course, t: int, target: Floats) -> Floats:
    """Revise prices and orders of one week; return what users ask for."""
    a, capacity, wanted = truth.a[t], truth.capacity[t], truth.wanted[t]
    moves = rule.step > 0.0 or rule.lean > 0.0
    ask = e.wish(s.price, wanted)
    for _ in range(rule.rounds):
        want = s.orders + (target - (stock - s.orders)) / rule.restock
        s.make = np.clip(want, 0.0, capacity)
        ask = e.wish(s.price, wanted)
        s.orders = ask + a @ s.make
        if moves:
            excess = np.maximum(want - capacity, s.orders - stock) / e.output
            cost = a.T @ s.price + e.work * (1.0 + RISING * (s.make / e.output - 1.0))
            floor = np.where(want > 0.0, 0.0, -cost)
            s.rent = np.maximum(s.rent + rule.step * excess, floor)
            aim = cost + np.maximum(s.rent + rule.lean * excess, floor)
            s.price = s.price + rule.pace * (aim - s.price)
    return ask
