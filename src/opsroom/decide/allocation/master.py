"""The linear programme on final uses alone, to which rows are added as scarcities show: HiGHS, begun where it ended."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from opsroom.base.errors import FitError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Master:
    """Maximise ``worth @ y`` with ``low <= y <= high`` and the rows added so far, each ``row @ y <= limit``."""

    def __init__(self, worth: Floats, low: Floats, high: Floats, *, seconds: float, fine: float = 1e-9) -> None:
        import highspy

        n = len(worth)
        self._highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is untyped
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        self._highs.setOptionValue("time_limit", seconds)
        self._highs.setOptionValue("small_matrix_value", 1e-12)  # ten thousand entries of 1e-9 are no small matter
        self._highs.setOptionValue("primal_feasibility_tolerance", fine)
        self._highs.setOptionValue("dual_feasibility_tolerance", fine)
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = n, 0
        model.col_cost_, model.col_lower_, model.col_upper_ = worth, low, high
        model.sense_ = highspy.ObjSense.kMaximize
        self._highs.passModel(model)
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._infeasible = highspy.HighsModelStatus.kInfeasible
        self._late = highspy.HighsModelStatus.kTimeLimit
        self._infinity = highspy.kHighsInf
        self.rows = 0

    def add(self, rows: list[tuple[Ints, Floats]], limits: Floats | None = None) -> None:
        """Add rows given as columns and values, with a limit of 1 or those given."""
        lengths = [len(columns) for columns, _ in rows]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32)
        self._highs.addRows(
            len(rows), np.full(len(rows), -self._infinity), np.ones(len(rows)) if limits is None else limits,
            int(sum(lengths)), starts,
            np.concatenate([c for c, _ in rows]).astype(np.int32), np.concatenate([v for _, v in rows]),
        )  # fmt: skip
        self.rows += len(rows)

    def count_by(self, worth: Floats) -> None:
        """Maximise something else from now on."""
        self._highs.changeColsCost(len(worth), np.arange(len(worth), dtype=np.int32), worth)

    def hold(self, column: int, low: float) -> None:
        """Let an unknown be at least that much, and at most 1."""
        self._highs.changeColBounds(column, low, 1.0)

    def solve(self) -> tuple[Floats, Floats]:
        """Return the best final uses and the rows' prices (0 or more).

        Raises
        ------
        FitError
            There is none, or none was found in time.
        """
        self._highs.run()
        status = self._highs.getModelStatus()
        if status not in (self._optimal, self._infeasible, self._late):
            # From the last basis on, without presolve, floors that can just be met end in neither: begin anew.
            self._highs.clearSolver()
            self._highs.run()
            status = self._highs.getModelStatus()
        if status == self._infeasible:
            raise infeasible()
        if status != self._optimal:
            raise FitError(
                "no optimum was found in the time allowed." if status == self._late else
                "no optimum was found: the amounts are beyond the solver's accuracy.",
                remedy="Allow a larger gap (tol) or more seconds.", code="OPS-M181",
            )  # fmt: skip
        found = self._highs.getSolution()
        return np.asarray(found.col_value), np.maximum(np.asarray(found.row_dual)[: self.rows], 0.0)


def infeasible() -> FitError:
    """Return the error of floors that cannot be met together."""
    return FitError(
        "the floors cannot be met together with what there is.",
        remedy="See `explain` of the same problem, which says by how much and for want of what.",
        code="OPS-M180",
    )


def unclosed(gap: float) -> FitError:
    """Return the error of an optimum that was not found to the gap asked for."""
    return FitError(
        f"the gap to the best possible is still {gap:.1e}.",
        remedy="Allow a larger gap (tol) or more seconds.",
        code="OPS-M182",
    )
