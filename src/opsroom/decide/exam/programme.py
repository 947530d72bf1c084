"""The planner's programme: the best outputs and final uses of some weeks, for stores, capacities, wants and recipes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.base.errors import FitError
from opsroom.decide.exam.kernel import solve_weeks
from opsroom.decide.exam.shocks import Course
from opsroom.decide.exam.structure import RISING, STOCK_ELASTICITY, Economy, Floats

_ATTEMPTS = ((0.1, 1e-7), (1.0, 1e-7), (10.0, 1e-7), (1.0, 1e-5))
"""How hard the search is kept from the limits to begin with, and its tolerance: the next, where one does not end."""
_LEAST = 1e-6
"""Least that a store is taken to hold, as a share of a week's output: the search goes through the inside."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Outputs, final uses and prices of stocks by week, what is kept at the end, and what all is worth."""

    output: Floats
    final: Floats
    price: Floats
    worth: float


def best_weeks(e: Economy, stock: Floats, course: Course, *, caution: float = 0.0) -> Plan:
    r"""Find the best weeks from given stores.

    Parameters
    ----------
    e
        The economy.
    stock
        What stands in the stores as the first week begins.
    course
        Capacities, wants and recipes of the weeks.
    caution
        What the first unit left in a store each week is worth as a precaution; 0 at the usual cover.

    Raises
    ------
    FitError
        The search did not end.

    Notes
    -----
    Maximise :math:`\sum_t \{w'u(y_t) - c(x_t)\} + R(h_H)` subject to :math:`A_t x_t + y_t + g_t = h_t`,
    :math:`h_{t+1} = g_t + x_t`, :math:`0 \le x_t \le \bar x_t`, :math:`y, g \ge 0`, with *u*, *c* and *R* quadratic:
    worth of final uses, cost of work and worth of stores at the end.
    """
    unit = e.output
    total = float(unit.sum())
    weeks, n = course.capacity.shape
    # in weeks of the table's output by sector, and shares of all output: then a table in any currency is alike
    a = np.ascontiguousarray(course.a * (unit[None, None, :] / unit[None, :, None]))
    linear, curve = np.zeros((weeks + 1, 3, n)), np.zeros((weeks + 1, 3, n))
    linear[:weeks, 0] = e.work * (1.0 - RISING) * unit / total
    curve[:weeks, 0] = e.work * RISING * unit / total
    steep = e.weights / e.elasticity
    linear[:weeks, 1] = -(e.weights + steep) * unit / total
    curve[:weeks, 1] = steep * unit**2 / course.wanted / total
    linear[weeks, 1] = -(1.0 + 1.0 / STOCK_ELASTICITY) * unit / total
    curve[weeks, 1] = unit**2 / (STOCK_ELASTICITY * e.stock) / total
    linear[:weeks, 2] = -caution * unit / total
    curve[:weeks, 2] = caution * unit**2 / (e.cover * e.output) / total
    held = np.maximum(stock / unit, _LEAST)
    most = np.full((weeks + 1, 3, n), np.inf)
    most[:weeks, 0] = course.capacity / unit
    z = np.full((weeks + 1, 3, n), 0.3)
    z[:weeks, 0] = 0.8 * np.minimum(most[:weeks, 0], 1.0)
    z[:weeks, 1] = course.wanted / unit
    z[weeks, 1] = 1.0
    p = np.tile(unit / total, (weeks + 1, 1))
    for push, tol in _ATTEMPTS:
        found = solve_weeks(a, held, most, linear, curve, z, p, tol, push)
        if found is not None:
            break
    else:
        raise FitError("the planner's programme was not solved.", code="OPS-M183")
    z, p = found
    worth = -total * float((linear * z + 0.5 * curve * z**2).sum())
    worth -= 0.5 * RISING * float(e.work @ e.output) * weeks  # the constant of the cost of work
    return Plan(z[:weeks, 0] * unit, z[:weeks, 1] * unit, p * total / unit, worth)
