"""Complementary suppression of least price for small tables: a master programme with cuts from the attackers' duals.

The master chooses what to hide. Where an attacker can then come too close to a sensitive quantity, the dual solution
of its programme says why: the hidden quantities that carry a change of the sensitive one have too little room
together. That is an inequality which every sufficient pattern keeps, and the master has to keep it from then on
(Fischetti & Salazar 2001). Cuts are looked for at fractional solutions of the master first, then at whole ones, by
HiGHS. The master's optimum is a lower bound from the first round on, and the pattern is optimal once no attacker
objects.

References
----------
Fischetti, M., Salazar, J. J. (2001), Solving the cell suppression problem on tabular data with linear constraints,
Management Science 47.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.protect.shield import Shielded, Work
from opsroom.protect.system import System, spanning

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Pair = tuple[int, int]
"""A goal, and the insider against whom it is to be reached; 0: everybody."""

SMALL = 40
"""Tables of up to so many cells that might be hidden besides are protected exactly unless asked otherwise."""

_CUT = 1e-5
"""By how much a cut is violated that is worth having."""

_TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Optimum:
    """A pattern, and how far it is from the cheapest at most.

    Attributes
    ----------
    shielded
        What to hide, with witnesses.
    bound
        What every sufficient pattern costs at least, in the price of what is hidden besides.
    gap
        How much of the price of the pattern lies above the bound, relative to the price; 0 where it is optimal.
    """

    shielded: Shielded
    bound: float
    gap: float


def optimal(
    system: System, units: Sequence[tuple[int]], price: Floats, *, rounds: int = 200, nodes: int = 20_000
) -> Optimum:
    """Choose what to hide at least price.

    Parameters
    ----------
    system
        The quantities.
    units
        What may be hidden: for each unit the one quantity that its publication gives away.
    price
        Price of hiding each unit, positive, shape (units,).
    rounds
        How often attackers may object before the best pattern so far is taken, once the master is whole.
    nodes
        Nodes of a search tree after which the master gives its bound and its best.

    Returns
    -------
    Optimum
        No worse than what `opsroom.protect.shield.shield` finds. Limits are counts, not times: the same table gives
        the same pattern.
    """
    return _Search(system, units, price, rounds, nodes).run()


class _Search:
    def __init__(self, system: System, units: Sequence[tuple[int]], price: Floats, rounds: int, nodes: int) -> None:
        self.system, self.units, self.price = system, units, price
        self.rounds = rounds
        self.of = np.array([q for (q,) in units], dtype=np.int64)
        """The quantity of each unit."""
        self.forced = (system.sensitive | system.fixed)[self.of]
        self.choice = np.flatnonzero(~self.forced)
        self.column = np.full(system.size, -1, dtype=np.int64)
        self.column[self.of[self.choice]] = np.arange(len(self.choice))
        self.attacker = _Attacker(system)
        self.master = _Master(price[self.choice], nodes)
        self.pairs: dict[Pair, None] = {}
        """Who has objected so far: they are asked about fractional patterns, too."""
        self.bound = 0.0
        self.best: Work | None = None

    def run(self) -> Optimum:
        self._repair(np.zeros(len(self.choice), dtype=bool))
        first = self._best()
        if first.open or first.partly or not len(self.choice) or self._cost(first) <= 0:
            return Optimum(first.result(), self._cost(first), 0.0)
        for goal in first.goals():
            self.pairs[goal, 0] = None
        for goal, insider in first.asked:
            self.pairs[goal, insider] = None
        for _ in range(self.rounds):
            share, self.bound = self.master.solve(whole=False)
            if not self._cut(share, self.pairs):
                break
        for _ in range(self.rounds):
            share, bound = self.master.solve(whole=True)
            self.bound = max(self.bound, bound)
            if self.bound >= self._cost(self._best()) * (1 - _TINY):
                break
            hidden = share > 0.5
            work = self._work(hidden)
            objections = work.prove()
            if not objections:
                if self._cost(work) < self._cost(self._best()):
                    self.best = work
                continue
            self.pairs.update(dict.fromkeys(objections))
            if not self._cut(hidden.astype(np.float64), objections):
                break  # rounding: what one programme denies the other allows
            self._repair(hidden)
        best = self._best()
        cost = self._cost(best)
        bound = min(self.bound, cost)
        gap = (cost - bound) / cost if cost > 0 else 0.0
        return Optimum(best.result(), bound, 0.0 if gap < 1e-9 else gap)

    def _best(self) -> Work:
        assert self.best is not None
        return self.best

    def _cost(self, work: Work) -> float:
        return float(self.price[work.hidden & ~self.forced].sum())

    def _work(self, hidden: Flags) -> Work:
        given = np.zeros(len(self.units), dtype=bool)
        given[self.choice] = hidden
        return Work(self.system, self.units, self.price, given)

    def _repair(self, hidden: Flags) -> None:
        """Hide what is lacking besides, publish again what is not needed, and keep the pattern if it is the best."""
        given = np.zeros(len(self.units), dtype=bool)
        work = Work(self.system, self.units, self.price, given)
        work.hide(self.of[self.choice[hidden]].tolist())
        for insiders in (False, True):
            work.cover(insiders=insiders)
        work.clean()
        if self.best is None or self._cost(work) < self._cost(self.best):
            self.best = work

    def _cut(self, share: Floats, pairs: Iterable[Pair]) -> int:
        """Add what attackers object to a pattern, each choice hidden by a share; return how many cuts."""
        hidden = np.ones(self.system.size)
        hidden[self.system.fixed] = 0.0
        mine = self.column >= 0
        hidden[mine] = share[self.column[mine]]
        added = 0
        for goal, insider in list(pairs):
            work = self._best()
            found = self.attacker.object(goal, insider, work, hidden)
            if found is None:
                continue
            weight, least = found
            row = np.zeros(len(self.choice))
            row[self.column[mine]] = np.minimum(weight[mine], least)
            always = float(weight[~mine].sum())
            least -= always
            if least <= _TINY:
                continue
            row = np.minimum(row, least) / least
            row[row < _TINY] = 0.0
            if float(row @ share) < 1 - _CUT:
                self.master.add(row)
                added += 1
        return added


class _Attacker:
    """How far an attacker must think a quantity may go, given what is hidden, and why no further."""

    def __init__(self, system: System) -> None:
        import highspy

        self.system = system
        self.lines = sp.csr_array(spanning(system.equations))
        self._up = sp.csr_array(self.lines.T)
        columns = sp.csc_array(self.lines)
        n = system.size
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = n, self.lines.shape[0]
        model.col_cost_ = model.col_lower_ = model.col_upper_ = np.zeros(n)
        model.row_lower_ = model.row_upper_ = np.zeros(self.lines.shape[0])
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_, model.a_matrix_.index_ = columns.indptr, columns.indices
        model.a_matrix_.value_ = columns.data
        self._solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is untyped
        for option, value in (("output_flag", False), ("threads", 1), ("presolve", "off")):
            self._solver.setOptionValue(option, value)
        self._solver.passModel(model)
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._numbers = np.arange(n, dtype=np.int32)
        self._asked = 0

    def object(self, goal: int, insider: int, work: Work, hidden: Floats) -> tuple[Floats, float] | None:
        """Return weights of hidden quantities whose sum must reach a number for the goal to be within reach.

        None if it is within reach of what is hidden.
        """
        system, target = self.system, goal >> 1
        sign = 1.0 if goal & 1 else -1.0
        need, room, closed = work.terms(goal, [insider] if insider else [])
        size = abs(need)
        if size == 0:
            return None
        # What may rise without limit need not rise by more than several times the need: any dual solution will do.
        fall = np.where(closed, 0.0, np.minimum(room / size, 1e4))
        rise = np.where(closed, 0.0, 4.0)
        low, high = -fall * hidden, rise * hidden
        if sign > 0:
            low[target], high[target] = 0.0, 1.0
        else:
            low[target], high[target] = -min(1.0, float(fall[target])), 0.0
        self._solver.changeColCost(self._asked, 0.0)
        self._solver.changeColCost(target, -sign)
        self._asked = target
        self._solver.changeColsBounds(system.size, self._numbers, low, high)
        self._solver.run()
        if self._solver.getModelStatus() != self._optimal:
            self._solver.clearSolver()
            self._solver.run()
        solution = self._solver.getSolution()
        if sign * float(solution.col_value[target]) >= 1 - 1e-7:
            return None
        price = self._up @ np.array(solution.row_dual)
        price[target] += sign
        # For every move d: sign * d[target] = price @ d, since all relations of d are zero.
        reach = np.where(price > _TINY, np.where(closed, 0.0, np.inf), 0.0)
        falls = (price < -_TINY) & ~closed
        down = np.zeros(system.size)
        down[falls] = -price[falls] * (room[falls] / size)
        weight = np.minimum(reach + down, 1.0)
        if abs(price[target]) > 1e-7:
            return None
        weight[target] = 0.0
        return weight, 1.0


class _Master:
    """The cheapest choice that keeps all cuts."""

    def __init__(self, price: Floats, nodes: int) -> None:
        import highspy

        self.size, self._kinds = len(price), highspy.HighsVarType
        self._unit = float(np.median(price)) if len(price) else 1.0
        model: Any = highspy.HighsLp()
        model.num_col_, model.num_row_ = self.size, 0
        model.col_cost_ = price / self._unit
        model.col_lower_, model.col_upper_ = np.zeros(self.size), np.ones(self.size)
        model.a_matrix_.start_ = np.zeros(self.size + 1, dtype=np.int32)
        self._solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is untyped
        for option, value in (
            ("output_flag", False), ("threads", 1), ("mip_rel_gap", 1e-9), ("mip_max_nodes", nodes), ("random_seed", 0),
        ):  # fmt: skip
            self._solver.setOptionValue(option, value)
        self._solver.passModel(model)
        self._numbers = np.arange(self.size, dtype=np.int32)

    def add(self, row: Floats) -> None:
        """Ask for at least one of what a row weighs."""
        inside = np.flatnonzero(row).astype(np.int32)
        self._solver.addRow(1.0, np.inf, len(inside), inside, row[inside])

    def solve(self, *, whole: bool) -> tuple[Floats, float]:
        """Return the choice, and what every choice costs at least."""
        kind = self._kinds.kInteger if whole else self._kinds.kContinuous
        self._solver.changeColsIntegrality(self.size, self._numbers, np.full(self.size, int(kind), dtype=np.uint8))
        self._solver.run()
        info = self._solver.getInfo()
        bound = float(info.mip_dual_bound if whole else info.objective_function_value)
        return np.array(self._solver.getSolution().col_value), bound * self._unit
