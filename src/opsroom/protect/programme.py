"""Linear programmes over tables that an attacker thinks possible, solved by HiGHS from the last basis.

A *move* is a difference d between such a table and the true one: ``equations @ d = 0``, zero where the value
is known. `Programme.move` finds the cheapest move that shifts one quantity by a given amount; a second
question to the same programme starts from the basis of the first and takes a few pivots.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_FAR = 1e5
"""A capacity of so many times the need is no limit."""

_SMALL = 1e-9
"""What counts as no move at all, relative to the need."""


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
        self._infeasible = highspy.HighsModelStatus.kInfeasible
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
        unit = 8.0 ** math.floor(math.log(abs(need), 8))
        size = abs(need) / unit
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
        self._solver.run()
        if self._solver.getModelStatus() == self._infeasible:
            return None
        if self._solver.getModelStatus() != self._optimal:
            # A basis from before can mislead; a fresh start decides.
            self._solver.clearSolver()
            self._solver.run()
            if self._solver.getModelStatus() != self._optimal:
                self._solver.clearSolver()
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
