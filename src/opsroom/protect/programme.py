"""Linear programmes over tables that an attacker thinks possible: the cheapest moves.

A *move* is a difference d between such a table and the true one: ``equations @ d = 0``, zero where the value
is known. `Moves.move` finds the cheapest move that shifts one quantity by a given amount, by a dual simplex method
that starts where nothing moves and touches little more than the move (`opsroom.protect.programme_kernel`). What is
too large or too close for that is asked of HiGHS: `Programme`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.protect.programme_kernel import FOUND, NONE, cheapest
from opsroom.protect.system import System, components, spanning

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_FAR = 1e5
"""A capacity of so many times the need is no limit."""

_SMALL = 1e-9
"""What counts as no move at all, relative to the need."""


_BASES = (200, 2_000)
"""The largest basis of a move that is looked for from where nothing moves: most are small, and stay in the cache."""

_LARGE = 20_000
"""Systems of so many quantities are too large for HiGHS to be asked at once where the smaller basis does not do."""


class Moves:
    """The moves of a system.

    Parameters
    ----------
    system
        The quantities. Relations that follow from others are left out.
    """

    def __init__(self, system: System) -> None:
        n = system.size
        lines = sp.csr_array(spanning(system.equations))
        columns = sp.csc_array(lines)
        self.system = system
        self.asked = self.large = self.elsewhere = 0
        """How many moves were looked for, how many of them were large, and for how many HiGHS was asked."""
        self.gave_up = False
        """Whether it was left open if there is a move of the kind asked for last."""
        self._columns = columns
        self._programmes: dict[int, tuple[Ints, Programme]] = {}
        self._label: Ints | None = None
        self._relations: Any = tuple(
            part.astype(kind)
            for side in (lines, columns)
            for part, kind in ((side.indptr, np.int32), (side.indices, np.int32), (side.data, np.float64))
        )
        self._room: Any = (
            np.full(2 * n, -1, dtype=np.int32), np.zeros(n), np.zeros(n, dtype=bool), np.zeros(lines.shape[0]),
            np.full(lines.shape[0], -1, dtype=np.int32), np.zeros(n),
        )  # fmt: skip
        bases = _BASES if n > _LARGE else _BASES[:1]
        sizes = sorted({min(most, lines.shape[0]) for most in bases})
        self._inverses = [np.zeros((size, size)) for size in sizes]
        self._at, self._shift = np.zeros(n, dtype=np.int64), np.zeros(n)

    def move(
        self,
        target: int,
        need: float,
        *,
        room: Floats,
        price: Floats,
        closed: Flags,
        hard: bool = True,
        sure: bool = False,
    ) -> tuple[Ints, Floats] | None:
        """Find the cheapest move that shifts a quantity.

        Parameters
        ----------
        target
            The quantity.
        need
            By how much, up or (negative) down.
        room
            How far each quantity may fall, shape (n,); ``inf`` where there is no limit.
        price
            What it costs to use a quantity at all, shape (n,), positive. The programme charges it by the part of the
            need, or of the room where that is less, that runs through the quantity.
        closed
            Quantities that must not move, shape (n,).
        hard
            Look for large moves, too.
        sure
            Ask HiGHS at once.

        Returns
        -------
        quantities, ascending, and their shifts; or None where there is no move
        """
        self.asked += 1
        self.gave_up = False
        for step, inverse in enumerate([] if sure else self._inverses if hard else self._inverses[:1]):
            self.large += step == 1
            given = (target, need, room, price, closed, *self._relations, *self._room, inverse, self._at, self._shift)
            outcome, count, _ = cheapest(*given)
            if outcome == FOUND:
                return self._at[:count].copy(), self._shift[:count].copy()
            if outcome == NONE:
                return None
        if not hard:
            self.gave_up = True
            return None
        self.large += len(self._inverses) == 1 or sure
        self.elsewhere += 1
        if closed[target]:
            return None
        columns, programme = self._around(target)
        found = programme.move(
            int(np.searchsorted(columns, target)),
            need,
            room=room[columns],
            price=price[columns],
            closed=closed[columns],
        )
        if found is None:
            return None
        inside = np.flatnonzero(found)
        return columns[inside], found[inside]

    def narrow(self, closed: Flags) -> None:
        """Leave out of the programmes what will not move any more.

        Parameters
        ----------
        closed
            Quantities that are closed in all that will be asked, shape (n,).
        """
        self._label = components(replace(self.system, fixed=closed | self.system.fixed))
        self._programmes.clear()

    def _around(self, target: int) -> tuple[Ints, Programme]:
        """Return all that is connected with a quantity, and the programme on it."""
        if self._label is None:
            self._label = components(self.system)
        label = int(self._label[target])
        if label not in self._programmes:
            columns = np.flatnonzero(self._label == label)
            self._programmes[label] = columns, Programme(sp.csc_array(self._columns[:, columns]))
        return self._programmes[label]


class Programme:
    """The moves within some columns of a system.

    Parameters
    ----------
    equations
        Relations, shape (m, n), of the columns of the programme alone; empty ones tell nothing.
    """

    def __init__(self, equations: sp.csc_array) -> None:
        import highspy

        self.size = int(equations.shape[1])
        rows, index = np.unique(equations.indices, return_inverse=True)
        none = np.zeros(len(rows))
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = 2 * self.size, len(rows)
        model.col_cost_ = np.zeros(2 * self.size)
        model.col_lower_ = np.zeros(2 * self.size)
        model.col_upper_ = np.full(2 * self.size, highspy.kHighsInf)
        model.row_lower_ = model.row_upper_ = none
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        # Each column twice: up, and down with the opposite sign.
        model.a_matrix_.start_ = np.concatenate([equations.indptr, equations.indptr[1:] + equations.indptr[-1]])
        model.a_matrix_.index_ = np.concatenate([index, index])
        model.a_matrix_.value_ = np.concatenate([equations.data, -equations.data])
        self._solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is untyped
        for option, value in (("output_flag", False), ("threads", 1), ("presolve", "off"), ("simplex_strategy", 1)):
            self._solver.setOptionValue(option, value)
        self._solver.passModel(model)
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._least = np.zeros(2 * self.size)
        self._most = np.full(2 * self.size, np.inf)
        self._cost = np.zeros(2 * self.size)

    def move(self, target: int, need: float, *, room: Floats, price: Floats, closed: Flags) -> Floats | None:
        """Find the cheapest move that shifts a quantity.

        Parameters
        ----------
        target
            The quantity.
        need
            By how much, up or (negative) down.
        room
            How far each quantity may fall, shape (n,); ``inf`` where there is no limit.
        price
            What it costs to use a quantity at all, shape (n,). The programme charges it by the part of the
            need, or of the room where that is less, that runs through the quantity.
        closed
            Quantities that must not move, shape (n,).

        Returns
        -------
        numpy.ndarray, shape (n,), or None
            The move, or None where there is none.
        """
        unit, size = abs(need), 1.0  # as the kernel does: both charge alike
        room = np.minimum(room / unit, _FAR)
        room = np.where(closed | (room < 1e-6), 0.0, room)
        least = np.zeros(2 * self.size)
        most = np.concatenate([np.where(closed, 0.0, np.inf), room])
        ahead, back = (target, self.size + target) if need > 0 else (self.size + target, target)
        if most[ahead] < size * (1 - 1e-9):
            return None
        least[ahead] = most[ahead] = size
        most[back] = 0.0
        self._ask(least, most, np.concatenate([price, price * np.maximum(1.0, 1.0 / np.maximum(room, 1e-6))]))
        # From where nothing moves the dual method can start at once, and most moves are small; the last basis answers
        # another question, is neither primal nor dual feasible for this one, and takes five times as long to mend.
        self._solver.clearSolver()
        self._solver.run()
        if self._solver.getModelStatus() != self._optimal:
            return None
        columns: Any = np.array(self._solver.getSolution().col_value)
        found: Floats = columns[: self.size] - columns[self.size :]
        found[np.abs(found) < _SMALL] = 0.0
        return found * unit

    def _ask(self, least: Floats, most: Floats, cost: Floats) -> None:
        """Tell the solver what has changed since the last question."""
        changed = np.flatnonzero((least != self._least) | (most != self._most)).astype(np.int32)
        if len(changed):
            self._solver.changeColsBounds(len(changed), changed, least[changed], most[changed])
        dearer = np.flatnonzero(cost != self._cost).astype(np.int32)
        if len(dearer):
            self._solver.changeColsCost(len(dearer), dearer, cost[dearer])
        self._least, self._most, self._cost = least, most, cost
