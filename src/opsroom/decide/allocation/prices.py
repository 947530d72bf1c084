"""The optimum by prices, where scarcities are too many for rows: proximal steps whose duals are smooth.

A step keeps final uses near those of the last one, so that for given prices the best final uses are a plain formula,
and the prices that make them possible a smooth problem of as many unknowns as there are scarcities (L-BFGS-B). Each
trial costs two solves of the table, one for costs and one for outputs, and no row of the inverse is ever written down.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from opsroom.base.errors import FitError
from opsroom.decide.allocation.master import Floats
from opsroom.decide.allocation.problem import Problem
from opsroom.decide.allocation.search import Found, within
from opsroom.decide.input_output.productive import solve

_INNER = 60
_OUTER = 60
_ROUGH, _FINE = 1e-7, 1e-9
_NEAR = 0.02
"""Gap from which on the table is solved finely."""


@dataclass(slots=True)
class _Trials:
    """Solutions of the last trial, from which the next ones begin."""

    cost: Floats
    output: Floats


def search_prices(problem: Problem, *, tol: float, seconds: float) -> Found:
    """Find final uses within `tol` of the best.

    Raises
    ------
    FitError
        The gap did not close in the time allowed.

    Notes
    -----
    Rockafellar (1976), SIAM Journal on Control and Optimization 14, 877-898: proximal steps on a linear programme end.
    Prices are scaled by the root of the capacity, which makes the dual about as curved in every direction.
    """
    p, begun = problem, time.monotonic()
    most = p.output(p.high)
    scarce = np.flatnonzero(np.isfinite(p.capacity) & (most > p.capacity))
    capacity, count = p.capacity[scarce], len(scarce)
    worth = float(p.worth @ p.high)
    scale = np.sqrt(np.concatenate([capacity, np.full(len(p.labour_limit), worth)]))
    unit = worth / 1000.0
    near, z = 0.9 * p.high, np.zeros(count + len(p.labour_limit))
    room = np.maximum(p.high - p.low, 1e-300)
    trials = _Trials(p.worth.copy(), most.copy())
    best: Found | None = None
    for rounds in range(1, _OUTER + 1):
        fine = best is not None and best.bound - best.objective <= _NEAR * abs(best.bound)
        step = _step(p, near, room, scarce, capacity, scale, unit, trials, tol=_FINE if fine else _ROUGH)
        done = optimize.minimize(
            step.value, z, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(z),
            options={"maxiter": _INNER, "maxcor": 20, "ftol": 1e-15, "gtol": 1e-9},
        )  # fmt: skip
        z = done.x
        prices, wages = step.prices(z)
        near = step.uses(prices, wages)
        found = within(p, near, p.output(near), prices, wages, 0, rounds)
        best = found if best is None else best.better(found, rounds)
        if best.bound - best.objective <= tol * max(abs(best.bound), 1e-300):
            return best
        if time.monotonic() - begun > seconds:
            break
    assert best is not None
    raise FitError(
        f"the gap to the best possible is still {(best.bound - best.objective) / abs(best.bound):.1e}.",
        remedy="Allow a larger gap (tol) or more seconds.",
        code="OPS-M182",
    )


@dataclass(slots=True)
class _step:
    """One proximal step's dual."""

    problem: Problem
    near: Floats
    room: Floats
    scarce: np.ndarray
    capacity: Floats
    scale: Floats
    unit: float
    trials: _Trials
    tol: float

    def prices(self, z: Floats) -> tuple[Floats, Floats]:
        """Return prices of capacity and wages from scaled unknowns."""
        p, q = self.problem, z * self.scale
        prices = np.zeros(len(p.labels))
        prices[self.scarce] = q[: len(self.scarce)] / self.capacity
        return prices, q[len(self.scarce) :] / p.labour_limit

    def uses(self, prices: Floats, wages: Floats) -> Floats:
        """Return the best final uses near the last ones at given prices."""
        p = self.problem
        self.trials.cost = solve(p.turned, prices + wages @ p.labour, tol=self.tol, start=self.trials.cost).x
        return np.clip(self.near + self.room * (p.worth - self.trials.cost), p.low, p.high)

    def value(self, z: Floats) -> tuple[float, Floats]:
        """Return the dual and its slope, in units of a thousandth of all worth."""
        p = self.problem
        prices, wages = self.prices(z)
        y = self.uses(prices, wages)
        x = self.trials.output = solve(p.a, y, tol=self.tol, start=self.trials.output).x
        gap = ((y - self.near) ** 2 / self.room).sum() / 2.0
        value = float((z * self.scale).sum() + (p.worth - self.trials.cost) @ y - gap)
        slope = 1.0 - np.concatenate([x[self.scarce] / self.capacity, (p.labour @ x) / p.labour_limit])
        return value / self.unit, slope * self.scale / self.unit
