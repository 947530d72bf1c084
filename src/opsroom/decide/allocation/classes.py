"""The optimum where classes bind: served in order, with a least share, everybody in a class alike.

The unknowns are final uses, or one share for all uses of a class that is served alike. An order is a chain of linear
programmes, one a class, each of which leaves every class before with what it got; all share the rows that scarcities
have become. Under a strict order a programme keeps to what is best for the classes before by complementary slackness
(`Master.settle`): no row asks for an amount that rounding could put out of reach. Where a class may lose a share, there
is such a row. Every link is certified by weak duality at the end, from its prices alone and the allocation as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from opsroom.base.errors import FitError
from opsroom.decide.allocation.master import Floats, Master, infeasible, unclosed
from opsroom.decide.allocation.problem import Problem
from opsroom.decide.allocation.proof import Link, proved
from opsroom.decide.allocation.rows import EXACT_MOST, MEMORY, taken
from opsroom.decide.allocation.rules import ClassRules
from opsroom.decide.allocation.search import BLOCK, ROUNDING, ROUNDS, ROW_TOL, VIOLATED, cut_row
from opsroom.decide.allocation.wide import Wide
from opsroom.decide.input_output.productive import solve

_MET = 1e-7
"""Least shares count as met where they miss by this part of themselves."""
_HAIR, _CUT, _OVER = 3e-10, 1e-10, 1e-6
"""Shares of a mean: left unused for rounding; what a row may lose to entries left away, which is the solver's
tolerance, too; and what a mean must have left beside the floors for uses to be moved back."""
_STRICT = 2e-11
"""The first of these under a strict order, where it counts for later classes by what it is worth to them."""
_PRICED = 1e-9
"""Worth, over the largest of a use, from which on what has a price stays as it is for later classes."""
_LOST = 1e-15
"""Share of what cancels that may be lost to rounding."""
_PART = 0.3
"""Part of the gap allowed to which a programme with all its rows is solved."""
_CHAINED = 1e-5
"""No gap of an order below this share of the most that a class could use is asked for, nor below ten times what a class
may lose: a unit lost to rounding before may be worth hundreds to a later class."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """An allocation under classes that bind.

    Attributes
    ----------
    y, x
        Final uses and outputs, within all limits.
    worth, bounds
        By link (class, or one for all where there is no order): worth reached, and what no allocation can exceed that
        leaves every class before at least what it has here.
    prices
        Means x links: what one more unit of a mean would add to each link's worth, after the classes before have
        taken theirs of it.
    """

    y: Floats
    x: Floats
    worth: Floats
    bounds: Floats
    prices: Floats


class _Chain:
    """Linear programmes on the same means, one after the other."""

    def __init__(self, p: Problem, rules: ClassRules, *, tol: float, seconds: float) -> None:
        self.p, self.rules, self.tol = p, rules, tol
        self.hair = _STRICT if rules.strict else _HAIR
        self.u = rules.worth(p)
        self.group, self.size, self.low, self.high = _groups(p, rules)
        self.count = len(self.low)
        self.names: list[tuple[str, int]] = []
        self.limited: set[int] = set()
        self.full = np.maximum(self.u @ self.high_uses(), 1e-300)
        self.least = rules.shares * (self.u @ p.demand)
        self.most = float(p.output(self.high_uses()).sum())
        self.before = 0
        self.turned = p.turned
        self.base = np.concatenate(p.load(p.output(self.uses(self.low))))
        self.master = self._programme(seconds)
        rows, limits = [], []
        for k, hours in enumerate(p.labour):
            rows.append(self._mean(solve(self.turned, hours, tol=ROW_TOL).x / p.labour_limit[k]))
            limits.append(self._limit_of(len(p.labels) + k))
            self.names.append(("skill", k))
        for c in np.flatnonzero(self.least > 0.0):
            columns = np.flatnonzero(self._grouped(self.u[c]))
            values = -self._grouped(self.u[c])[columns] / self.full[c]
            rows.append((np.append(columns, self.count), np.append(values, self.least[c] / self.full[c])))
            limits.append(0.0)
            self.names.append(("class", int(c)))
        if rows:
            self.master.add(rows, np.array(limits))

    def _programme(self, seconds: float) -> Master | Wide:
        """Return the programme: rows as they show, or, of very many scarcities, all of them."""
        # the last unknown is the part of all least shares that is reached: 1 once it is known to be possible
        low, high = np.append(self.low, 0.0), np.append(self.high, 1.0)
        if self.rules.strict:
            # few of many scarcities stop the classes served first, and what these use up stops the others
            return Master(np.zeros(self.count + 1), low, high, seconds=seconds, fine=_CUT, plain=True)
        scarce = np.flatnonzero(self.p.load(self.p.output(self.high_uses()))[0] > 1.0 - self.hair)
        if len(scarce) <= EXACT_MOST or len(low) * len(scarce) * 8 > MEMORY:
            return Master(np.zeros(self.count + 1), low, high, seconds=seconds, fine=_CUT)
        uses = sparse.csr_array((np.ones(len(self.group)), (self.group, np.arange(len(self.group)))))
        rows = np.vstack([uses @ taken(self.p, scarce, tol=_CUT), np.zeros((1, len(scarce)))])
        self.limited.update(int(i) for i in scarce)
        self.names += [("product", int(i)) for i in scarce]
        limits = np.array([self._limit_of(int(i)) for i in scarce])
        aim = max(_CHAINED, 10.0 * self.rules.give, self.tol) if self.rules.order else self.tol
        return Wide(low, high, rows, limits, tol=_PART * aim)

    def high_uses(self) -> Floats:
        """Return the most that everybody could use."""
        return self.uses(self.high)

    def uses(self, z: Floats) -> Floats:
        """Return final uses of the unknowns."""
        found: Floats = self.size * np.clip(z[: self.count], self.low, self.high)[self.group]
        return found

    def _grouped(self, row: Floats) -> Floats:
        return np.bincount(self.group, weights=row * self.size, minlength=self.count).astype(np.float64)

    def _mean(self, row: Floats) -> tuple[np.ndarray, Floats]:
        return cut_row(self._grouped(row), most=_CUT)

    def _limit_of(self, mean: int) -> float:
        """Return how much of a mean may be used: a hair less than there is, for rounding.

        Uses beyond the limit could not be moved back towards those of the link before, which are on it, too.
        """
        return max(1.0 - self.hair, float(self.base[mean]) + self.hair)

    def reached(self, base: Floats) -> Link:
        """Return uses that reach as large a part of all least shares as there can be."""
        return self._climb(np.zeros(len(self.p.labels)), base, part=True)

    def best(self, gain: Floats, base: Floats) -> Link:
        """Return the uses that count most, from uses that are possible."""
        return self._climb(gain, base, part=False)

    def keep(self, c: int, least: float) -> None:
        """Leave a class at least that much from now on, and all up to it what they must keep."""
        self.before = c + 1
        if isinstance(self.master, Master) and self.rules.strict:
            self.master.settle(_PRICED)
            return
        whole = self._grouped(self.u[c])
        columns = np.flatnonzero(whole)
        if len(columns) and least > 0.0:
            self.master.add(
                [(columns, -whole[columns] / self.full[c])], np.array([self.rules.give - least / self.full[c]])
            )
            self.names.append(("class", c))

    def part(self, y: Floats) -> float:
        """Return the part of all least shares that uses reach, 1 at most."""
        asked = self.least > 0.0
        return min(1.0, float((self.u[asked] @ y / self.least[asked]).min(initial=1.0)))

    def settle(self, part: float) -> None:
        """Hold that part of the least shares from now on."""
        self.least *= part
        self.master.hold(self.count, part)

    def _climb(self, gain: Floats, base: Floats, *, part: bool) -> Link:
        p = self.p
        cost = np.append(self._grouped(gain), 1.0 if part else 0.0)
        most = float(np.abs(cost).max(initial=0.0)) or 1.0
        self.master.count_by(cost / most)
        whole = 1.0 if part else max(float(gain @ self.high_uses()), 1e-300)
        found: Link | None = None
        for _ in range(ROUNDS):
            z, duals = self.master.solve()
            y = self.uses(z)
            prices, kept = self._prices(duals * most)
            loads = self.loads(y)
            over = [
                int(i) for i in np.flatnonzero(loads[: len(p.labels)] > 1.0 - self.hair) if int(i) not in self.limited
            ]
            found = Link(gain, prices, kept, self._back(y, loads, base, over), self.before)
            if not over:
                if self._tightened(loads):
                    continue
                break
            if not part and not self.rules.strict and self._gap(found) <= self.tol * whole:
                break
            self._limit(sorted(over, key=lambda i: -loads[i])[:BLOCK])
        assert found is not None
        return found

    def _tightened(self, loads: Floats) -> bool:
        """Lower the limits of rows that take more than their entries say, smallest ones having been left away."""
        if not (self.rules.strict and isinstance(self.master, Master)):
            return False
        n = len(self.p.labels)
        means = [(r, k if kind == "product" else n + k) for r, (kind, k) in enumerate(self.names) if kind != "class"]
        over = [(r, float(loads[i]) - self._limit_of(i)) for r, i in means if self.base[i] < 1.0 - _OVER]
        over = [(r, excess) for r, excess in over if excess > _CUT]
        if not over:
            return False
        return self.master.tighten(np.array([r for r, _ in over]), np.array([excess for _, excess in over]))

    def _limit(self, over: list[int]) -> None:
        rows, limits = [], []
        for i in over:
            unit = np.zeros(len(self.p.labels))
            unit[i] = 1.0
            rows.append(self._mean(solve(self.turned, unit, tol=ROW_TOL).x / self.p.capacity[i]))
            limits.append(self._limit_of(i))
            self.names.append(("product", i))
            self.limited.add(i)
        self.master.add(rows, np.array(limits))

    def _prices(self, duals: Floats) -> tuple[Floats, Floats]:
        p, n = self.p, len(self.p.labels)
        prices, kept = np.zeros(n + len(p.labour_limit)), np.zeros(len(self.rules.names))
        for (kind, k), dual in zip(self.names, duals, strict=True):
            if kind == "product":
                prices[k] += dual / p.capacity[k]
            elif kind == "skill":
                prices[n + k] += dual / p.labour_limit[k]
            else:
                kept[k] += dual / self.full[k]
        return prices, kept

    def loads(self, y: Floats) -> Floats:
        """Return what uses take of each mean, as a share of what there is."""
        return np.concatenate(self.p.load(solve(self.p.a, y, tol=ROW_TOL).x))

    def _back(self, y: Floats, loads: Floats, base: Floats, over: list[int]) -> Floats:
        """Move uses back where they take too much of means that are no rows yet, towards uses that are possible.

        These leave every class what it must have, and so does whatever lies between.
        """
        worst = np.array([i for i in over if loads[i] > 1.0], dtype=np.intp)
        if not len(worst):
            return y
        before = self.loads(base)[worst]
        share = float(np.clip(np.min((1.0 - before) / np.maximum(loads[worst] - before, 1e-300)), 0.0, 1.0))
        moved: Floats = base + share * (y - base)
        return moved

    def fitted(self, y: Floats) -> Floats:
        """Move uses back towards the floors by what rounding made them take too much of, where it is worth telling."""
        loads = self.loads(y)
        worst = (loads > 1.0 + VIOLATED) & (self.base < 1.0 - _OVER)
        if not worst.any():
            return y
        share = float(np.min((1.0 - self.base[worst]) / (loads[worst] - self.base[worst])))
        least = self.uses(self.low)
        moved: Floats = least + share * (y - least)
        return moved

    def _gap(self, link: Link) -> float:
        return self.bound(link, link.y) - float(link.gain @ link.y)

    def bound(self, link: Link, y: Floats) -> float:
        """Return what no uses can exceed that keep least shares, and leave the classes before what they have in `y`.

        Weak duality, from any prices of 0 or more: a use counts its gain, and what it helps a class to keep, less what
        its making takes of the means.
        """
        keeps = np.where(np.arange(len(self.least)) < link.before, self.u @ y, np.minimum(self.least, self.u @ y))
        p, n = self.p, len(self.p.labels)
        prices, wages = link.prices[:n], link.prices[n:]
        priced = prices + wages @ p.labour
        solved = solve(self.turned, priced, tol=1e-12)
        surplus = self._grouped(link.gain + link.kept @ self.u - solved.x)
        limited = np.isfinite(p.capacity) & (prices > 0.0)
        means = float(prices[limited] @ p.capacity[limited] + wages @ p.labour_limit)
        # what costs are wrong by, and what is lost where large weights cancel against them
        wrong = solved.residual * float(priced.max(initial=0.0)) * self.most + _LOST * float(link.kept @ self.full)
        gained = float(np.maximum(surplus * self.low, surplus * self.high).sum())
        return means - float(link.kept @ keeps) + gained + wrong


def _groups(p: Problem, rules: ClassRules) -> tuple[np.ndarray, Floats, Floats, Floats]:
    """Return by product its unknown and how much of it one unit is; by unknown the least and the most."""
    n = len(p.labels)
    size = np.where(p.high > 0.0, p.high, 1.0)
    group = np.arange(n)
    low, high = p.low / size, p.high / size
    for c in np.flatnonzero(rules.alike):
        mine = np.flatnonzero((rules.at == c) & (p.high > 0.0))
        if not len(mine):
            continue
        # the same share for everybody, so as large a one as the largest floor in the class
        group[mine] = mine[0]
        low[mine[0]], high[mine[0]] = float(low[mine].max()), 1.0
    names, group = np.unique(group, return_inverse=True)
    return group, size, low[names], high[names]


def lifted(p: Problem, rules: ClassRules) -> Problem:
    """Return the problem with floors raised to what those of others in a class served alike make of them."""
    group, size, low, _ = _groups(p, rules)
    return replace(p, low=np.minimum(size * low[group], p.high))


def ordered(p: Problem, rules: ClassRules, *, tol: float, seconds: float) -> Ordered:
    """Find the best final uses under classes that bind.

    Raises
    ------
    FitError
        Floors, or least shares, that cannot be met together; a gap that did not close.
    """
    chain = _Chain(p, rules, tol=tol, seconds=seconds)
    base = chain.uses(chain.low)
    if float(chain.base.max(initial=0.0)) > 1.0 + VIOLATED:
        raise infeasible()
    if (chain.least > 0.0).any():
        link = chain.reached(base)
        part = chain.part(link.y)
        if part < 1.0 - _MET:
            raise unshared(part)
        base = link.y
        chain.settle(part)
    links: list[Link] = []
    means = len(p.labels) + len(p.labour_limit)
    if rules.order:
        for c in range(len(rules.names)):
            if not (chain.u[c] @ p.high > 0.0):
                links.append(Link(chain.u[c], np.zeros(means), np.zeros(len(rules.names)), base, c))
                continue
            links.append(chain.best(chain.u[c], base))
            base = links[-1].y
            chain.keep(c, float(chain.u[c] @ base))
    else:
        links.append(chain.best(p.worth, base))
        base = links[-1].y
    base = chain.fitted(base)
    if rules.strict:
        links = proved(links, chain.bound, base)
    worth = np.array([float(link.gain @ base) for link in links])
    bounds = np.array([chain.bound(link, base) for link in links])
    whole = np.maximum([float(link.gain @ chain.high_uses()) for link in links], 1e-300)
    gap = float(((bounds - worth) / whole).max())
    if gap > max(tol, max(_CHAINED, 10.0 * rules.give) if rules.order else ROUNDING):
        raise _stopped(gap) if rules.order else unclosed(gap)
    return Ordered(base, p.output(base), worth, bounds, _passed_on(links))


def wanting(p: Problem, rules: ClassRules, *, tol: float = 1e-6, seconds: float = 600.0) -> tuple[float, Floats]:
    """Return the part of all least shares that can be reached, and how much each mean stops them (0: not at all).

    Raises
    ------
    FitError
        Floors that cannot be met together.
    """
    chain = _Chain(p, rules, tol=tol, seconds=seconds)
    base = chain.uses(chain.low)
    if float(chain.base.max(initial=0.0)) > 1.0 + VIOLATED:
        raise infeasible()
    link = chain.reached(base)
    amounts = np.concatenate([np.where(np.isfinite(p.capacity), p.capacity, 0.0), p.labour_limit])
    return chain.part(link.y), link.prices * amounts


def _passed_on(links: list[Link]) -> Floats:
    """Return what one more unit of a mean adds to each link, after the classes before have taken theirs of it."""
    adds: list[Floats] = []
    for link in links:
        taken = sum((link.kept[j] * adds[j] for j in range(link.before)), np.zeros(len(link.prices)))
        adds.append(link.prices - taken)
    return np.column_stack(adds)


def _stopped(gap: float) -> FitError:
    """Return the error of an order in which traces decide."""
    return FitError(
        f"the order of service cannot be certified: the gap of a class is still {gap:.1e}.",
        remedy="A class stops a later one by traces of what is scarce. Let it lose as much, such as "
        '{"order": 1e-4}, or allow a larger gap (tol).',
        code="OPS-M185",
    )


def unshared(part: float) -> FitError:
    """Return the error of least shares that cannot be met together."""
    return FitError(
        f"the least shares of classes cannot be met together with what there is, only {100.0 * part:.1f} % of each.",
        remedy="See `explain` of the same problem and rules, which says for want of what.",
        code="OPS-M184",
    )
