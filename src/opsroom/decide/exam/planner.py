"""The planner: the optimum on what is known, with what delay, how well, and of how many sectors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from opsroom.base.errors import UsageError
from opsroom.decide.exam.ledger import Run, Week, carry_out, collect
from opsroom.decide.exam.programme import best_weeks
from opsroom.decide.exam.shocks import Course, Draw
from opsroom.decide.exam.structure import Economy, Floats

LASTING = 0.5
"""Share of the variance of errors that stays with a sector's figure for good; the rest is new every week."""
ODDS, SPREAD = 0.2, 0.4
"""What the planner expects of changes: their share, and the standard deviation of their logarithm."""
DRIFT = 0.1
"""By what share a store is expected to differ from plan after a week."""


@dataclass(frozen=True, slots=True)
class Planner:
    """How the planner plans.

    Attributes
    ----------
    ahead
        Weeks that a plan covers; only its first is carried out.
    caution
        What the first unit left in a store is worth each week as a precaution against what is not announced, over
        what the unit is worth; nothing at the usual cover.

    Notes
    -----
    The defaults were chosen on seeds that no exam uses (docs/methods/exam.md).
    """

    ahead: int = 8
    caution: float = 0.02

    def __post_init__(self) -> None:
        if self.ahead < 1 or self.caution < 0.0:
            raise UsageError("a plan covers 1 week or more, and caution is 0 or more.")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the planner knows.

    Attributes
    ----------
    delay
        Weeks until a figure reaches the planner.
    noise
        Relative standard error of a sector's capacity, want, stock, or use of an input.
    coverage
        Share of sectors of which there are figures. Of the others the last statistical table is taken to hold.
    """

    delay: int = 0
    noise: float = 0.0
    coverage: float = 1.0

    def __post_init__(self) -> None:
        if self.delay < 0 or self.noise < 0.0 or not 0.0 <= self.coverage <= 1.0:
            raise UsageError("delay and noise are 0 or more, coverage is a share.")


PERFECT = Knowledge()


@dataclass(frozen=True, slots=True, eq=False)
class _Errors:
    """Relative errors of figures by week, and which sectors there are figures of. Alike for all knowledge of a seed."""

    capacity: Floats
    wanted: Floats
    stock: Floats
    recipe: Floats
    order: Floats


def plan_weeks(
    e: Economy, drawn: Draw, truth: Course, known: Knowledge, *, seed: int, rule: Planner | None = None
) -> Run:
    """Let the planner decide every week on what is known then.

    Parameters
    ----------
    e, drawn, truth
        The economy, its shocks, and what they come to.
    known
        What the planner knows.
    seed
        Seed of errors: equal ones have the same errors at every size of noise, and the same sectors are seen first.
    rule
        How the planner plans.

    Notes
    -----
    Figures of capacities, wants, recipes and stores are those of `delay` weeks ago, times their errors, and are taken
    for what they most likely mean (`likely`). Announced shocks are part of them; of others what may be expected is
    (`Shock.expected`). Stores are carried forward from the last figure by the planner's own plans of the weeks between.
    Every week the best weeks ahead are found on that, and the first is ordered: outputs to make, final uses to deliver.
    What cannot be done is done as far as it goes (`carry_out`). Without any data the table is the plan.
    """
    rule = rule or Planner()
    desk = _Desk(e, drawn, known, _errors(np.random.default_rng([seed, 2]), e.size, len(truth)))
    stock = e.stock
    held = [stock]
    weeks: list[Week] = []
    prices: list[Floats] = []
    for t in range(len(truth)):
        make, ask, price, a = e.output, e.final, np.ones(e.size), e.a
        if desk.seen.any():
            figures = desk.figures(t, min(rule.ahead, len(truth) - t))
            plan = best_weeks(e, desk.stock(t, held), figures, caution=rule.caution)
            make, ask, price, a = plan.output[0], plan.final[0], plan.price[0], figures.a[0]
        week = carry_out(stock, make, ask, truth.capacity[t], truth.a[t], e.enough(truth.wanted[t]))
        desk.change.append(make - a @ make - ask)
        stock = week.stock
        held.append(stock)
        weeks.append(week)
        prices.append(price)
    return collect(e.stock, weeks, prices)


def foresight(e: Economy, truth: Course) -> Run:
    """Return the best that anybody could have done who knew everything beforehand: a bound for every rule."""
    plan = best_weeks(e, e.stock, truth)
    stock = e.stock
    weeks = []
    for t in range(len(truth)):
        # carried out as planned: it is possible but for the search's tolerance
        used = truth.a[t] @ plan.output[t]
        after = stock - used - plan.final[t] + plan.output[t]
        weeks.append(Week(plan.output[t], used, plan.final[t], np.zeros(e.size), after))
        stock = after
    return collect(e.stock, weeks, list(plan.price[:-1]))


def _errors(rng: np.random.Generator, n: int, weeks: int) -> _Errors:
    def drawn(*shape: int) -> Floats:
        lasting, fresh = rng.standard_normal(shape), rng.standard_normal((weeks, *shape))
        return np.asarray(math.sqrt(LASTING) * lasting + math.sqrt(1.0 - LASTING) * fresh, dtype=np.float64)

    order = rng.uniform(size=n)
    return _Errors(drawn(n), drawn(n), drawn(n), drawn(n, n), order)


def _factor(noise: float, z: Floats) -> Floats:
    return np.asarray(np.exp(noise * z - 0.5 * noise**2), dtype=np.float64)


def likely(figure: Floats, table: Floats, noise: float) -> Floats:
    """Return what a careful statistician takes a noisy figure to mean: the table, unless it says clearly otherwise.

    Notes
    -----
    The mean, given the figure, of a relative change that is 0 but for a share `ODDS` of cases, in which its logarithm
    is normal with standard deviation `SPREAD`; errors are lognormal.
    """
    if noise == 0.0:
        return figure
    some = np.broadcast_to(table > 0.0, figure.shape)
    usual = np.broadcast_to(table, figure.shape)[some]
    gap = np.log(figure[some] / usual) + 0.5 * noise**2
    wide = noise**2 + SPREAD**2
    # odds of a change over none, in logarithms
    odds = math.log(ODDS / (1.0 - ODDS)) + 0.5 * math.log(noise**2 / wide) + 0.5 * gap**2 * (1 / noise**2 - 1 / wide)
    change = gap * SPREAD**2 / wide / (1.0 + np.exp(-np.clip(odds, -50.0, 50.0)))
    found = np.zeros(figure.shape)
    found[some] = usual * np.exp(change)
    return found


class _Desk:
    """The planner's desk: figures as they come in, and what is made of them."""

    def __init__(self, e: Economy, drawn: Draw, known: Knowledge, errors: _Errors) -> None:
        self.e, self.drawn, self.known, self.errors = e, drawn, known, errors
        self.seen = np.zeros(e.size, dtype=bool)
        self.seen[np.argsort(errors.order)[: math.ceil(known.coverage * e.size - 1e-9)]] = True
        self.trust = DRIFT**2 / (DRIFT**2 + known.noise**2)
        self.change: list[Floats] = []
        """In stores, by week, as planned."""
        self.filtered: list[Floats] = []
        """Stores by week, as far as figures have come in."""

    def figures(self, t: int, count: int) -> Course:
        """Return capacities, wants and recipes of the weeks from `t`, as the planner has them."""
        e, noise, then = self.e, self.known.noise, max(t - self.known.delay, 0)
        said = self.drawn.expected(e, known=t - self.known.delay, start=t, count=count)
        capacity = likely(said.capacity * _factor(noise, self.errors.capacity[then]), e.capacity, noise)
        wanted = likely(said.wanted * _factor(noise, self.errors.wanted[then]), e.final, noise)
        factor = _factor(noise, self.errors.recipe[then])
        a = np.broadcast_to(likely(said.a[0] * factor, e.a, noise), said.a.shape).copy()
        moving = (said.a != said.a[:1]).any(axis=(0, 2))  # other inputs are used alike in all weeks
        a[:, moving] = likely(said.a[:, moving] * factor[moving], e.a[moving], noise)
        seen = self.seen
        return Course(
            np.where(seen, capacity, e.capacity), np.where(seen, wanted, e.final), np.where(seen[None, :], a, e.a)
        )

    def stock(self, t: int, held: list[Floats]) -> Floats:
        """Return what the planner takes the stores to hold: figures, carried forward by plans since."""
        then = t - self.known.delay
        while len(self.filtered) <= then:
            week = len(self.filtered)
            figure = held[week] * _factor(self.known.noise, self.errors.stock[week])
            foreseen = np.maximum(self.filtered[-1] + self.change[week - 1], 0.0) if week else self.e.stock
            self.filtered.append(foreseen + self.trust * (figure - foreseen))
        first = self.filtered[then] if then >= 0 else self.e.stock
        carried = np.maximum(first + np.sum(self.change[max(then, 0) :], axis=0), 0.0)
        return np.where(self.seen, carried, self.e.stock)
