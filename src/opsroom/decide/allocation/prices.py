"""The optimum by prices, where scarcities are too many for rows: proximal steps whose duals are smooth.

A step keeps final uses near those of the last one, so that for given prices the best final uses are a plain formula,
and the prices that make them possible a smooth problem of as many unknowns as there are scarcities (L-BFGS-B). Each
trial costs two solves of the table, one for costs and one for outputs, and no row of the inverse is ever written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.sparse import linalg

from opsroom.decide.allocation.master import Floats, unclosed
from opsroom.decide.allocation.problem import Problem
from opsroom.decide.allocation.search import Found, bound, within
from opsroom.decide.input_output.productive import solve

_INNER = 70
_OUTER = 60
_ROUGH, _FINE = 1e-6, 1e-9
_REPAIRS, _PASSES, _EVERY = 4, 12, 4
_SLIGHT = 1e-5
_TRACE = 1e-6
_TAKEN = 1e-5
"""How finely the table is solved for what to take back: the answer is cut to what is possible whatever it is."""
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
        # Taking back what cannot be had costs as much as a step: worth it once prices are near what they will be.
        promised = bound(p, prices, wages) if best is None else min(best.bound, bound(p, prices, wages))
        close = promised - float(p.worth @ near) <= 2.0 * tol * abs(promised)
        possible = repaired(p, near) if close or rounds % _EVERY == 0 else near
        found = within(p, possible, p.output(possible), prices, wages, 0, rounds)
        best = found if best is None else best.better(found, rounds)
        if best.bound - best.objective <= tol * max(abs(best.bound), 1e-300):
            return best
        if time.monotonic() - begun > seconds:
            break
    assert best is not None
    raise unclosed((best.bound - best.objective) / abs(best.bound))


def repaired(p: Problem, y: Floats) -> Floats:
    """Take final uses back, where they load what is exceeded, and nowhere else.

    Whatever is taken back lowers every load, so that only what is exceeded has to be looked at. How much is taken from
    which use is a small least-squares problem (conjugate gradients on the exceeded loads, each product two solves).
    """
    for _ in range(_REPAIRS):
        used, hours = p.load(p.output(y))
        over = np.concatenate([np.maximum(used - 1.0, 0.0), np.maximum(hours - 1.0, 0.0)])
        worst = np.flatnonzero(over > _SLIGHT)
        if not len(worst):
            break
        room = y - p.low

        def spread(v: Floats, at: np.ndarray = worst) -> Floats:
            """Return what a unit of each exceeded load costs every final use."""
            whole = np.zeros(len(p.labels) + len(p.labour_limit))
            whole[at] = v
            by_product = np.divide(whole[: len(p.labels)], p.capacity)
            by_skill = whole[len(p.labels) :] / p.labour_limit
            cost: Floats = solve(p.turned, by_product + by_skill @ p.labour, tol=_TAKEN).x
            return cost

        def loads(v: Floats, at: np.ndarray = worst, room: Floats = room) -> Floats:
            used, hours = p.load(solve(p.a, room * spread(v), tol=_TAKEN).x)
            found: Floats = np.concatenate([used, hours])[at]
            return found

        # fewer uses than exceeded loads leave some directions without a slope: a trace of one keeps the steps finite
        slope = _TRACE * float(loads(over[worst]).max()) / float(over[worst].max())

        def firm(v: Floats, at: float = slope, whole: Callable[[Floats], Floats] = loads) -> Floats:
            found: Floats = whole(v) + at * v
            return found

        system = linalg.LinearOperator((len(worst), len(worst)), matvec=firm, dtype=np.float64)
        v, _ = linalg.cg(system, over[worst] * 1.02, rtol=0.02, maxiter=_PASSES)
        y = np.clip(y - np.maximum(room * spread(v), 0.0), p.low, y)
    return y


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
