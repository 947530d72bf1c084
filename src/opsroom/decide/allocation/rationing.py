"""Plain rules for what is scarce: class after class, and within a class the same share for everybody."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from opsroom.base.errors import UsageError
from opsroom.decide.allocation.master import Floats
from opsroom.decide.allocation.problem import Problem, pose

_SPARE = 1e-12


def ration(
    A: Any,
    demand: Any,
    *,
    classes: Any = None,
    capacity: Any = None,
    labour: Any = None,
    labour_limit: Any = None,
    max_demand_ratio: float = 1.05,
) -> pd.Series:
    """Serve final uses class after class; within a class everybody gets the same share of what is wanted.

    Answers: who gets what where the law, and no value, says who comes first?

    Parameters
    ----------
    classes
        Number of the class by product, 1 served first; absent: one class. Other arguments as in `allocate`.

    Returns
    -------
    pandas.Series
        Final use by product.

    Notes
    -----
    A class is served until the first mean that it needs is used up, or all that may be used is; then the next one gets
    what is left. A later class may still be served in full where it needs nothing of what is scarce.

    Examples
    --------
    >>> import numpy as np
    >>> from opsroom.decide.allocation import ration
    >>> ration(np.zeros((2, 2)), [10.0, 10.0], classes=[1, 2], capacity=[8.0, 20.0], max_demand_ratio=1.0).tolist()
    [8.0, 10.0]
    """
    problem = pose(
        A, demand, value=1.0, capacity=capacity, labour=labour, labour_limit=labour_limit,
        max_demand_ratio=max_demand_ratio, floor=None,
    )  # fmt: skip
    number = np.ones(len(problem.labels)) if classes is None else class_numbers(classes, problem.labels)
    return pd.Series(served(problem, number), index=problem.labels, name="final")


def class_numbers(classes: ArrayLike | pd.Series, labels: pd.Index) -> Floats:
    """Check the numbers of classes and return them in the order of the products."""
    given = classes.reindex(labels) if isinstance(classes, pd.Series) else classes
    numbers = np.asarray(given, dtype=np.float64)
    if numbers.shape != (len(labels),) or not np.isfinite(numbers).all() or (numbers < 1).any():
        raise UsageError(
            "classes are no numbers of 1 or more, one for each product of A.", remedy="Number them in order of service."
        )
    return numbers


def served(p: Problem, number: Floats) -> Floats:
    """Return the final uses that classes get one after the other."""
    y = np.zeros(len(p.labels))
    full = np.concatenate(p.load(np.zeros(len(p.labels))))
    for one in np.unique(number):
        wanted = np.where(number == one, p.demand, 0.0)
        if not wanted.any():
            continue
        takes = np.concatenate(p.load(p.output(wanted)))
        most = float(np.min((p.high / np.maximum(p.demand, 1e-300))[wanted > 0]))
        needed = takes > _SPARE
        room = np.maximum(1.0 - full[needed], 0.0) / takes[needed]
        share = min(most, float(room.min(initial=np.inf)))
        y += share * wanted
        full = full + share * takes
    return y
