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

    def __init__(
        self, worth: Floats, low: Floats, high: Floats, *, seconds: float, fine: float = 1e-9, plain: bool = False
    ) -> None:
        import highspy

        n = len(worth)
        self._highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is untyped
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        self._highs.setOptionValue("time_limit", seconds)
        self._highs.setOptionValue("small_matrix_value", 1e-12)  # ten thousand entries of 1e-9 are no small matter
        self._highs.setOptionValue("primal_feasibility_tolerance", fine)
        self._highs.setOptionValue("dual_feasibility_tolerance", fine)
        if plain:  # amounts are shares already; scaled again, a row may be missed by a hundred times the tolerance
            self._highs.setOptionValue("simplex_scale_strategy", 0)
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = n, 0
        model.col_cost_, model.col_lower_, model.col_upper_ = worth, low, high
        model.sense_ = highspy.ObjSense.kMaximize
        self._highs.passModel(model)
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._infeasible = highspy.HighsModelStatus.kInfeasible
        self._late = highspy.HighsModelStatus.kTimeLimit
        self._infinity = highspy.kHighsInf
        self._full: set[int] = set()
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
        """Return the best final uses and the rows' prices: 0 or more, but for rows that `settle` keeps used up.

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
        duals = np.asarray(found.row_dual)[: self.rows]
        full = np.zeros(self.rows, dtype=np.bool_)
        full[list(self._full)] = True
        return np.asarray(found.col_value), np.where(full, duals, np.maximum(duals, 0.0))

    def tighten(self, rows: Ints, by: Floats) -> bool:
        """Lower limits of rows, but for those that are kept used up; say whether there were others."""
        limits = np.asarray(self._highs.getLp().row_upper_)
        free = [(int(k), float(less)) for k, less in zip(rows, by, strict=True) if int(k) not in self._full]
        for k, less in free:
            self._highs.changeRowBounds(k, -self._infinity, limits[k] - less)
        return bool(free)

    def settle(self, least: float) -> None:
        """Keep to the best of the present worth from now on: what has a price there stays as it is.

        By complementary slackness that is all that makes an answer one of the best: unknowns with a price of their own
        stay at that end, rows with a price stay used up. Later prices of such rows have either sign.

        Parameters
        ----------
        least
            Prices up to that are none.
        """
        lp, found = self._highs.getLp(), self._highs.getSolution()
        low, high = np.asarray(lp.col_lower_), np.asarray(lp.col_upper_)
        own, at = np.asarray(found.col_dual), np.asarray(found.col_value)
        priced = np.flatnonzero((np.abs(own) > least) & (high > low)).astype(np.int32)
        end = np.where(at[priced] - low[priced] <= high[priced] - at[priced], low[priced], high[priced])
        self._highs.changeColsBounds(len(priced), priced, end, end)
        limits = np.asarray(lp.row_upper_)
        for k in np.flatnonzero(np.asarray(found.row_dual) > least):
            if int(k) not in self._full:
                self._highs.changeRowBounds(int(k), limits[k], limits[k])
                self._full.add(int(k))


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
