"""One week carried out, the same for every rule: who gets what of the stores, what is made of it, what it is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.decide.exam.shocks import Course
from opsroom.decide.exam.structure import Economy, Floats

PASSES = 4
"""How often orders are cut to what the scarcest input allows, before goods leave the stores."""
NEED = 0.9
"""Share of what is wanted of a priority that counts as need."""
SPOILT = 0.1
"""Share lost of what was set aside for somebody who cannot use it."""


@dataclass(frozen=True, slots=True, eq=False)
class Week:
    """What was made, used, delivered for final use and lost in a week, and what the stores hold after it."""

    output: Floats
    used: Floats
    final: Floats
    lost: Floats
    stock: Floats


def carry_out(stock: Floats, make: Floats, ask: Floats, capacity: Floats, a: Floats, enough: Floats) -> Week:
    """Carry out a week.

    Parameters
    ----------
    stock
        What stands in the stores.
    make, ask
        Output that each sector is to make, and final use that is asked for or assigned.
    capacity, a, enough
        True capacities and recipes, and final uses beyond which nobody takes more.

    Notes
    -----
    The same for whoever decides. Sectors know their own capacity and recipe, and order what they need. Stores serve
    sectors before final uses. Where sectors order more than a store holds, each is promised the same share of its
    order; orders of other inputs are cut to what the scarcest one allows, some times over. Then goods are set aside and
    production runs. Of what is set aside and cannot be used a share is lost, the rest goes back. Final uses get what
    was not set aside. Output can be used from the next week on.

    References
    ----------
    Hallegatte, S. (2008), An adaptive regional input-output model, Risk Analysis 28, 779-799: inputs before final uses.
    """
    wish = np.minimum(make, capacity)
    needed = a * wish
    share = np.ones(len(wish))
    orders, given = needed, np.ones(len(stock))
    for attempt in range(PASSES):
        orders = needed * np.minimum(1.0, share / np.maximum(given[:, None], 1e-12))
        asked = orders.sum(axis=1)
        given = np.divide(stock, asked, out=np.ones(len(stock)), where=asked > stock)
        if attempt == 0 and (given == 1.0).all():
            break  # nothing is short
        promised = np.divide(orders * given[:, None], needed, out=np.ones_like(a), where=needed > 0.0)
        share = np.minimum(1.0, promised.min(axis=0))
    x = wish * share
    aside = np.minimum((orders * given[:, None]).sum(axis=1), stock)
    final = np.minimum(np.minimum(ask, enough), stock - aside)
    used = np.minimum((a * x).sum(axis=1), aside)  # above it only by rounding
    lost = SPOILT * (aside - used)
    return Week(x, used, final, lost, np.maximum(stock - used - final - lost, 0.0) + x)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """An exam sat by one rule: weeks x sectors; stocks have one week more, before the first."""

    output: Floats
    used: Floats
    final: Floats
    lost: Floats
    stock: Floats
    price: Floats
    """Prices at which the week closed, where the rule has any; the planner's are shadow prices."""


def collect(first: Floats, weeks: list[Week], prices: list[Floats]) -> Run:
    """Put weeks together."""
    return Run(
        output=np.array([w.output for w in weeks]),
        used=np.array([w.used for w in weeks]),
        final=np.array([w.final for w in weeks]),
        lost=np.array([w.lost for w in weeks]),
        stock=np.array([first, *(w.stock for w in weeks)]),
        price=np.array(prices),
    )


@dataclass(frozen=True, slots=True)
class Score:
    """What a run was worth, as a share of what final use is worth in as many ordinary weeks, and needs unmet.

    Attributes
    ----------
    own
        The planner's own objective: final uses at the planner's weights, less work, and what stores are worth at the
        end over what they were at the start.
    users
        The same at what final uses are worth to their users.
    needs
        The same where priority uses count twice.
    unmet
        Share of the need for priority uses that was not met, mean over weeks; NaN where there are none.
    """

    own: float
    users: float
    needs: float
    unmet: float


def score(e: Economy, course: Course, run: Run) -> Score:
    """Score a run; the same accounting whoever decided."""
    scale = len(course) * float(e.final.sum())
    toil = float(e.toil(run.output).sum())
    kept = float((e.keep(run.stock[-1]) - e.keep(run.stock[0])).sum())

    def net(weights: Floats) -> float:
        return (float(e.worth(run.final, course.wanted, weights).sum()) - toil + kept) / scale

    one = np.ones(e.size)
    need = NEED * course.wanted[:, e.priority]
    unmet = float(np.maximum(need - run.final[:, e.priority], 0.0).sum() / need.sum()) if e.priority.any() else np.nan
    return Score(net(e.weights), net(one), net(np.where(e.priority, 2.0, 1.0)), unmet)
