"""The linear programme that a search adds rows to."""

from __future__ import annotations

import highspy
import numpy as np
import pytest

from opsroom.base.errors import FitError
from opsroom.decide.allocation.master import Master


class Undecided:
    """A solver that ends in neither from its last basis, as HiGHS may; begun anew it finds what there is."""

    def __init__(self, solver: highspy.Highs, *, cured: bool) -> None:
        self._solver, self._cured, self.cleared = solver, cured, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._solver, name)

    def clearSolver(self) -> None:
        self.cleared += 1
        self._solver.clearSolver()

    def getModelStatus(self) -> highspy.HighsModelStatus:
        if self.cleared and self._cured:
            return self._solver.getModelStatus()
        return highspy.HighsModelStatus.kUnknown


def test_a_solver_that_cannot_tell_begins_anew():
    def master(*, cured: bool) -> Master:
        made = Master(np.array([2.0, 1.0]), np.zeros(2), np.ones(2), seconds=10.0)
        made.add([(np.array([0, 1]), np.array([1.0, 1.0]))])
        made._highs = Undecided(made._highs, cured=cured)
        return made

    found, prices = master(cured=True).solve()
    assert found == pytest.approx([1.0, 0.0])
    assert prices == pytest.approx([1.0])
    with pytest.raises(FitError, match=r"OPS-M181.*accuracy"):
        master(cured=False).solve()
