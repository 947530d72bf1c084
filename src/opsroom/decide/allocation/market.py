"""What a market would do with what is scarce: prices that rise until what is wanted fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import optimize

from opsroom.base.errors import FitError, UsageError
from opsroom.decide.allocation.master import Floats, infeasible
from opsroom.decide.allocation.problem import Problem, pose
from opsroom.decide.allocation.search import VIOLATED, moved_back
from opsroom.decide.input_output.productive import solve

_STEPS, _AGAIN = 400, 5
_FINE = 1e-10
_CLEARS = 1e-3
"""Share of a mean of which too much may be wanted, and of all spending that may be for what is left over, for a market
to count as cleared. What is wanted too much is then taken from everybody alike."""


def clear_market(
    A: Any,
    demand: Any,
    *,
    elasticity: float = 1.0,
    floor: Any = None,
    capacity: Any = None,
    labour: Any = None,
    labour_limit: Any = None,
    max_demand_ratio: float = 1.05,
) -> pd.DataFrame:
    """Find the prices at which what is wanted of everything is what there is, and who buys how much at them.

    Answers: what would a market do with what is scarce, beside a plan or a rule?

    Parameters
    ----------
    A, demand, capacity, labour, labour_limit, max_demand_ratio
        As in `allocate`; amounts counted at normal prices, so that a unit costs 1 where nothing is scarce.
    elasticity
        By how many per cent less is bought where a price is one per cent higher; 1: everybody spends on each use what
        he always spent.
    floor
        Final use that everybody gets whatever it costs, by product, or one share of what is wanted.

    Returns
    -------
    pandas.DataFrame
        By product: ``final`` use, its ``price``, and the ``rent`` of one unit of its capacity.

    Raises
    ------
    UsageError
        An elasticity that is not above 0; as in `allocate`.
    FitError
        No prices were found; floors that cannot be met together.

    Notes
    -----
    A price is 1 and the rents of all that is scarce in what it is made of, :math:`p = 1 + (I-A')^{-1}(r + \\ell q)`;
    users buy :math:`d p^{-\\varepsilon}`, their floor at least; a rent is above 0 only where nothing is left. These
    prices are the minimum of a convex function of the rents (Samuelson's net social pay-off in its dual form). The
    assumption that fails most often: that prices clear at once, and that buyers can pay them whoever they are.

    References
    ----------
    Samuelson (1952), American Economic Review 42, 283-303.

    Examples
    --------
    >>> import numpy as np
    >>> from opsroom.decide.allocation import clear_market
    >>> clear_market(np.zeros((2, 2)), [10.0, 10.0], capacity=[8.0, 20.0]).round(2).to_numpy().tolist()
    [[8.0, 1.25, 0.25], [10.0, 1.0, 0.0]]
    """
    if floor is not None and np.ndim(floor) == 0:
        floor = float(floor) * np.asarray(demand, dtype=np.float64)
    p = pose(
        A, demand, value=1.0, capacity=capacity, labour=labour, labour_limit=labour_limit,
        max_demand_ratio=max_demand_ratio, floor=floor,
    )  # fmt: skip
    y, price, rent = cleared(p, checked(elasticity))
    return pd.DataFrame({"final": y, "price": price, "rent": rent}, index=p.labels)


def checked(elasticity: float) -> float:
    """Check an elasticity."""
    if not 0.0 < elasticity < np.inf:
        raise UsageError("an elasticity is not above 0.", remedy="Use 1 where everybody spends what he always spent.")
    return float(elasticity)


def cleared(p: Problem, elasticity: float) -> tuple[Floats, Floats, Floats]:
    """Return final uses, their prices, and rents of capacities where the market clears.

    Raises
    ------
    FitError
        No prices were found; floors that cannot be met together.
    """
    most = np.maximum(np.minimum(p.demand, p.high), p.low)
    used, hours = p.load(p.output(most))
    scarce, short = np.flatnonzero(used > 1.0), np.flatnonzero(hours > 1.0)
    if not len(scarce) + len(short):
        return most, np.ones_like(most), np.zeros_like(most)
    if p.low.any() and max(load.max(initial=0.0) for load in p.load(p.output(p.low))) > 1.0 + VIOLATED:
        raise infeasible()
    market = _Market(p, elasticity, most, scarce, short)
    z = np.zeros(len(scarce) + len(short))
    for _ in range(_AGAIN):
        # rounding stops a search early now and then: it goes on from there with a fresh memory
        z = optimize.minimize(
            market.value, z, jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(z), callback=market.stops,
            options={"maxiter": _STEPS, "maxcor": 20, "ftol": 0.0, "gtol": 0.0},
        ).x  # fmt: skip
        market.value(z)
        if market.gap(z) <= _CLEARS:
            break
    else:
        raise FitError(
            "no prices were found at which the market clears.",
            remedy="Leave the market out (elasticity=None), or give a larger elasticity.",
            code="OPS-M186",
        )
    y, _ = moved_back(p, market.y, p.output(market.y))
    return y, market.price, market.rents(z)[0]


class _Market:
    """Buyers at prices, and the function whose minimum clears them."""

    def __init__(self, p: Problem, elasticity: float, most: Floats, scarce: np.ndarray, short: np.ndarray) -> None:
        self.p, self.elasticity, self.most, self.scarce, self.short = p, elasticity, most, scarce, short
        self.limit = np.concatenate([p.capacity[scarce], p.labour_limit[short]])
        # a rent counted so curves the function about as much for every mean
        self.scale = 1.0 / np.sqrt(self.limit)
        self.unit = float(most.sum()) / 1000.0
        # the prices up to which the most is bought, and from which on the floor is
        self.choke = np.where(p.demand > most, (p.demand / np.maximum(most, 1e-300)) ** (1.0 / elasticity), 1.0)
        with np.errstate(over="ignore"):
            deep = (p.demand / np.maximum(p.low, 1e-300)) ** (1.0 / elasticity)
        self.deep = np.maximum(np.where(p.low > 0.0, deep, np.inf), self.choke)
        self.y, self.x, self.price = most, most.copy(), np.ones_like(most)
        self.cost = np.zeros_like(most)

    def rents(self, z: Floats) -> tuple[Floats, Floats]:
        """Return rents of capacities by product and of hours by skill."""
        rent, wage = np.zeros(len(self.p.labels)), np.zeros(len(self.p.labour_limit))
        every = z * self.scale
        rent[self.scarce] = every[: len(self.scarce)]
        wage[self.short] = every[len(self.scarce) :]
        return rent, wage

    def value(self, z: Floats) -> tuple[float, Floats]:
        """Return the function and its slope."""
        p, e = self.p, self.elasticity
        rent, wage = self.rents(z)
        self.cost = np.maximum(solve(p.turned, rent + wage @ p.labour, tol=_FINE, start=self.cost).x, 0.0)
        self.price = 1.0 + self.cost
        self.y = np.clip(p.demand * self.price**-e, p.low, self.most)
        self.x = solve(p.a, self.y, tol=_FINE, start=self.x).x
        # what buyers gain at these prices over what they pay, up to a constant
        last = np.clip(self.price, self.choke, self.deep)
        area = -np.log(last) if e == 1.0 else (1.0 - last ** (1.0 - e)) / (1.0 - e)
        gain = p.demand * area + self.most * np.maximum(self.choke - self.price, 0.0)
        gain -= p.low * np.maximum(self.price - last, 0.0)
        value = float(self.limit @ (z * self.scale) + gain.sum())
        loads = np.concatenate([self.x[self.scarce], (p.labour @ self.x)[self.short]])
        return value / self.unit, (self.limit - loads) * self.scale / self.unit

    def gap(self, z: Floats) -> float:
        """Return by what share of a mean too much is wanted, or what is left over at a price of all that is spent."""
        loads = np.concatenate([self.x[self.scarce], (self.p.labour @ self.x)[self.short]])
        over = float((loads / self.limit - 1.0).max())
        idle = float(np.maximum(self.limit - loads, 0.0) @ (z * self.scale)) / float(self.price @ self.y)
        return max(over, idle)

    def stops(self, xk: Floats) -> None:
        """Stop the search where the market clears."""
        if self.gap(xk) <= 0.5 * _CLEARS:
            raise StopIteration
