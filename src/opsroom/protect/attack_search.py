"""How far an attacker can narrow a quantity down: linear programmes over the tables that it must think possible.

`Bounds` finds the least and the largest value of a quantity, one programme each, from the last basis. `Moves` finds
a possible table that differs from the true one in few places and reaches a given distance: first in the
neighbourhood of the quantity, then anywhere.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse import csgraph

from opsroom.base.errors import InternalError, UsageError

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_NEAR = 400
"""Quantities that are looked at first, around the one that is to move."""

_AMPLE = 1e6
"""Room of so many times what is asked for is no limit."""

_TINY = 1e-9


def components(relations: sp.csr_array, unknown: Flags) -> list[Ints]:
    """Return the sets of unknown quantities that relations between them connect."""
    free = np.flatnonzero(unknown)
    inside = sp.csr_array(relations[:, free])
    graph: sp.coo_array = sp.block_array([[None, inside.T], [inside, None]])  # type: ignore[list-item]  # None is a block of zeros
    _, label = csgraph.connected_components(graph, directed=False)
    label = label[: len(free)]
    order = np.argsort(label, kind="stable")
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    return [free[part] for part in np.split(order, starts[1:])] if len(free) else []


def contradiction() -> UsageError:
    """Return the error for numbers that cannot all be true."""
    return UsageError(
        "no table agrees with what is published and known.",
        remedy="Check that sums are those of the hierarchies, that numbers are not rounded, and what is known.",
    )


def _model(matrix: sp.csc_array, rhs: Floats, low: Floats, high: Floats, cost: Floats) -> Any:
    import highspy

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = matrix.shape[1], matrix.shape[0]
    model.col_cost_, model.col_lower_, model.col_upper_ = cost, low, high
    model.row_lower_, model.row_upper_ = rhs, rhs
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_, model.a_matrix_.index_, model.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is untyped
    for option, value in (("output_flag", False), ("threads", 1), ("presolve", "off")):
        solver.setOptionValue(option, value)
    solver.passModel(model)
    return solver


class Bounds:
    """The range of quantities that are connected.

    Parameters
    ----------
    relations
        Coefficients of the connected quantities, shape (relations, n).
    rhs
        What they sum to, as differences from `start`.
    least, most
        Limits of each difference, shape (n,).
    scale
        A typical size; differences are looked at in this unit.
    """

    def __init__(self, relations: sp.csr_array, rhs: Floats, least: Floats, most: Floats, scale: float) -> None:
        matrix = relations[np.diff(relations.indptr) > 0]
        self.scale = scale
        self.least, self.most = least, most
        self._solver = _model(
            sp.csc_array(matrix),
            rhs[np.diff(relations.indptr) > 0] / scale,
            least / scale,
            most / scale,
            np.zeros(len(least)),
        )
        self._asked = 0
        self.programmes = 0

    def end(self, target: int, direction: int) -> tuple[float, Floats | None]:
        """Return how far a quantity may go up (+1) or down (-1), and a table that goes there.

        Raises
        ------
        UsageError
            If no table agrees with what is published and known.
        """
        import highspy

        status = highspy.HighsModelStatus
        self._solver.changeColCost(self._asked, 0.0)
        self._solver.changeColCost(target, -float(direction))
        self._asked = target
        for attempt in range(2):
            self.programmes += 1
            self._solver.run()
            state = self._solver.getModelStatus()
            if state == status.kOptimal:
                found: Floats = np.array(self._solver.getSolution().col_value) * self.scale
                return float(found[target]), found
            if state == status.kUnbounded:
                return direction * np.inf, None
            if attempt == 0:  # a basis from before can mislead; a fresh start decides
                self._solver.clearSolver()
                self._solver.setOptionValue("presolve", "on" if state == status.kUnboundedOrInfeasible else "off")
        self._solver.setOptionValue("presolve", "off")
        if state in (status.kInfeasible, status.kUnboundedOrInfeasible):
            raise contradiction()
        raise InternalError(f"the solver stopped with {self._solver.modelStatusToString(state)}.")


class Moves:
    """Possible tables that differ from the true one in few places.

    Parameters
    ----------
    relations
        Relations over all quantities, shape (relations, n).
    unknown
        Quantities that may differ, shape (n,).
    """

    def __init__(self, relations: sp.csr_array, unknown: Flags) -> None:
        free = sp.csr_array(relations @ sp.diags_array(unknown.astype(np.float64)))
        free.eliminate_zeros()
        self.rows = sp.csr_array(free[np.diff(free.indptr) > 0])
        self.columns = sp.csc_array(self.rows)
        self.unknown = unknown
        self.programmes = 0
        self._ahead = sp.csr_array(abs(self.rows))
        self._back = sp.csr_array(self._ahead.T)
        self._label = np.full(len(unknown), -1, dtype=np.int64)
        self._sets: list[Ints] | None = None

    def whole(self, target: int) -> Ints:
        """Return all unknown quantities that are connected with one."""
        if self._sets is None:
            self._sets = components(self.rows, self.unknown)
            for number, columns in enumerate(self._sets):
                self._label[columns] = number
        return self._sets[int(self._label[target])]

    def _near(self, target: int) -> Ints:
        """Return the unknown quantities around one: those in the same sums, those in the same sums as these, …"""
        inside = np.zeros(len(self.unknown))
        inside[target] = 1.0
        count = 1
        while count < _NEAR:
            inside = (self._back @ (self._ahead @ inside) > 0).astype(np.float64)
            inside[target] = 1.0
            before, count = count, int(inside.sum())
            if count == before:
                break
        return np.flatnonzero(inside)

    def move(self, target: int, need: float, down: Floats, up: Floats, closed: Flags) -> tuple[Ints, Floats] | None:
        """Find a move by which a quantity shifts by `need`, with few others.

        Parameters
        ----------
        target
            The quantity.
        need
            By how much, up or (negative) down.
        down, up
            How far each quantity may fall and rise, shape (n,), not negative.
        closed
            Quantities that must not move, shape (n,).

        Returns
        -------
        quantities, their shifts; or None if there is no such table.
        """
        if (down if need < 0 else up)[target] < abs(need) * (1 - _TINY) or closed[target]:
            return None
        near, whole = self._near(target), self.whole(target)
        for columns in (near, whole) if len(near) * 1.5 < len(whole) else (whole,):
            found = self._within(columns[~closed[columns]], target, need, down, up)
            if found is not None:
                return found
        return None

    def _within(self, columns: Ints, target: int, need: float, down: Floats, up: Floats) -> tuple[Ints, Floats] | None:
        import highspy

        unit, place = abs(need), int(np.searchsorted(columns, target))
        matrix = sp.csr_array(self.columns[:, columns])
        matrix = matrix[np.diff(matrix.indptr) > 0]
        room = np.concatenate([up[columns], down[columns]]) / unit
        room = np.where(room > _AMPLE, np.inf, np.where(room < 1e-6, 0.0, room))
        low = np.zeros(2 * len(columns))
        ahead, back = (place, len(columns) + place) if need > 0 else (len(columns) + place, place)
        low[ahead] = room[ahead] = 1.0
        room[back] = 0.0
        both = sp.csc_array(sp.hstack([matrix, -matrix]))
        # Tight room is dear: a move through it could not be stretched, and would serve this goal alone.
        cost = np.maximum(1.0, 1.0 / np.maximum(room, 1e-3))
        solver = _model(both, np.zeros(matrix.shape[0]), low, room, cost)
        self.programmes += 1
        solver.run()
        state = solver.getModelStatus()
        if state == highspy.HighsModelStatus.kInfeasible:
            return None
        if state != highspy.HighsModelStatus.kOptimal:
            raise InternalError(f"the solver stopped with {solver.modelStatusToString(state)}.")
        value = np.array(solver.getSolution().col_value)
        shift = value[: len(columns)] - value[len(columns) :]
        moved = np.flatnonzero(np.abs(shift) > _TINY)
        return columns[moved], shift[moved] * unit
