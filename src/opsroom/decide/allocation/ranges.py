"""How far a shadow price holds: what one unit less and one more are worth, and from where to where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.base.errors import FitError, UsageError
from opsroom.decide.allocation.allocating import posed
from opsroom.decide.allocation.problem import Problem
from opsroom.decide.allocation.rules import split
from opsroom.decide.allocation.search import search

_EXACT = 1e-11
"""The optimum along the way is found to this share of itself."""
_SAME = 1e-9
"""A line passes through a point where it misses it by this share of the objective."""
_STEPS = 60


@dataclass(frozen=True, slots=True)
class _Point:
    """The objective at an amount of one scarce mean, and a price that supports it there."""

    amount: float
    worth: float
    price: float


def shadow_ranges(
    A: Any,
    demand: Any,
    *,
    value: Any,
    names: Sequence[Any] | None = None,
    capacity: Any = None,
    labour: Any = None,
    labour_limit: Any = None,
    max_demand_ratio: float = 1.05,
    rules: Any = None,
    reach: float = 0.5,
) -> pd.DataFrame:
    """Return what one more and one less of each scarce mean are worth, and over which amounts that holds.

    Parameters
    ----------
    names
        Products or skills; absent: those that `allocate` finds used up.
    reach
        How far from what there is to look, as a share of it, in (0, 1).
    A, demand, value, capacity, labour, labour_limit, max_demand_ratio, rules
        As in `allocate`.

    Returns
    -------
    pandas.DataFrame
        By name: ``amount`` there is; ``less``, what the last unit is worth; ``more``, what another would be worth;
        ``down_to`` and ``up_to``, the amounts between which these prices hold (as far as `reach`). Where ``less`` is
        above ``more`` the amount is a corner, and no single price is right.

    Raises
    ------
    UsageError, FitError
        See `allocate`; or a name without a limit.

    Notes
    -----
    The best objective is concave and piecewise linear in the amount of a mean. The pieces beside the present amount are
    found from tangents: two that support it at two amounts meet at a corner, or above one that lies between.

    References
    ----------
    Eisner and Severance (1976), Journal of the ACM 23, 619-635, for the tangents; Akgul (1984), Journal of
    the Operational Research Society 35, 425-431, for prices of less and of more.

    Examples
    --------
    >>> import numpy as np
    >>> from opsroom.decide.allocation import shadow_ranges
    >>> found = shadow_ranges(
    ...     np.zeros((2, 2)), [10.0, 10.0], value=[1.0, 2.0], labour=[1.0, 1.0], labour_limit=14.0, max_demand_ratio=1.0
    ... )
    >>> found.round(6).to_dict("index")["labour"]
    {'amount': 14.0, 'less': 1.0, 'more': 1.0, 'down_to': 10.0, 'up_to': 20.0}
    """
    if not 0.0 < reach < 1.0:
        raise UsageError("reach is a share between 0 and 1.")
    if split(rules)[1]:
        raise UsageError(
            "ranges of prices are not worked out where classes bind the optimum.",
            remedy='Leave "order", "shares" and "alike" out of the rules; `allocate` returns prices at the margin.',
        )
    problem = posed(A, demand, value, capacity, labour, labour_limit, max_demand_ratio, rules)
    taken: dict[int, NDArray[np.float64]] = {}
    here = search(problem, tol=_EXACT, seconds=600.0, known=taken)
    if names is None:
        used, hours = problem.load(here.x)
        tight = np.concatenate([used, hours]) >= 1.0 - 1e-6
        names = [n for n, full in zip([*problem.labels, *problem.skills], tight, strict=True) if full]
    rows = {}
    for name in names:
        mean = _Mean(problem, name, taken)
        at = mean.point(mean.amount)
        assert at is not None  # it was solved above
        more, up_to = mean.walk(at, mean.amount * (1.0 + reach))
        less, down_to = mean.walk(at, mean.amount * (1.0 - reach))
        rows[name] = {"amount": mean.amount, "less": less, "more": more, "down_to": down_to, "up_to": up_to}
    columns = ["amount", "less", "more", "down_to", "up_to"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("mean")


class _Mean:
    """One scarce mean of a problem, whose amount is changed."""

    def __init__(self, problem: Problem, name: Any, taken: dict[int, NDArray[np.float64]]) -> None:
        self._problem, self._taken = problem, taken
        self._skill = problem.skills.index(name) if name in problem.skills else None
        if self._skill is None:
            if name not in problem.labels:
                raise UsageError(f"{name!r} is neither a product nor a skill.", remedy="Name one of the table.")
            self._at = int(problem.labels.get_indexer(pd.Index([name]))[0])
            self.amount = float(problem.capacity[self._at])
        else:
            self.amount = float(problem.labour_limit[self._skill])
        if not np.isfinite(self.amount):
            raise UsageError(f"{name!r} has no limit, so no price.", remedy="Ask for what is limited.")
        self._scale = 0.0

    def point(self, amount: float) -> _Point | None:
        """Return the objective at an amount; None where floors cannot be met with it."""
        p = self._problem
        if self._skill is None:
            capacity = p.capacity.copy()
            capacity[self._at] = amount
            changed = replace(p, capacity=capacity)
        else:
            limit = p.labour_limit.copy()
            limit[self._skill] = amount
            changed = replace(p, labour_limit=limit)
        try:
            found = search(changed, tol=_EXACT, seconds=600.0, known=self._taken)
        except FitError as error:
            if error.code == "OPS-M180":
                return None
            raise
        price = found.prices[self._at] if self._skill is None else found.wages[self._skill]
        self._scale = max(self._scale, abs(found.objective))
        return _Point(amount, found.objective, float(price))

    def walk(self, at: _Point, to: float) -> tuple[float, float]:
        """Return the price beside a point on the way to an amount, and the amount up to which it holds."""
        far = self.point(to)
        if far is None:
            far = self.point(self._possible(at.amount, to))
        if far is None:
            return at.price, at.amount
        price, near = at.price, far
        for _ in range(_STEPS):
            if self._on(at, at.price, near):
                break
            if self._on(at, near.price, near):
                price = near.price
                break
            middle = self._meeting(at, at.price, near)
            found = None if middle is None else self.point(middle)
            if found is None:
                break
            near = found
        end = far
        for _ in range(_STEPS):
            if self._on(at, price, end):
                return price, end.amount
            middle = self._meeting(at, price, end)
            found = None if middle is None else self.point(middle)
            if found is None:
                break
            end = found
        return price, near.amount

    def _possible(self, good: float, bad: float) -> float:
        for _ in range(40):
            middle = (good + bad) / 2.0
            good, bad = (middle, bad) if self.point(middle) is not None else (good, middle)
        return good

    def _on(self, at: _Point, price: float, other: _Point) -> bool:
        """Return whether a line from a point passes through another."""
        told = at.worth + price * (other.amount - at.amount)
        return abs(told - other.worth) <= _SAME * max(self._scale, 1e-300)

    @staticmethod
    def _meeting(at: _Point, price: float, other: _Point) -> float | None:
        """Return the amount at which a line from a point meets another's tangent; None where they do not between."""
        if abs(price - other.price) <= 1e-12 * max(abs(price), abs(other.price), 1e-300):
            return None
        amount = (at.worth - price * at.amount - other.worth + other.price * other.amount) / (other.price - price)
        low, high = sorted((at.amount, other.amount))
        width = high - low
        return amount if low + 1e-9 * width < amount < high - 1e-9 * width else None
