"""An allocation problem, checked: what may be made, of what, by whom, for which final uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from opsroom.base.errors import UsageError
from opsroom.decide.allocation.master import Floats
from opsroom.decide.input_output.productive import matrix_of, productivity, solve, unproductive


@dataclass(frozen=True, slots=True)
class Problem:
    """Scarce means and final uses.

    Attributes
    ----------
    labels
        Products.
    a, turned
        Technical coefficients, and the same transposed.
    demand, low, high, worth
        Final use wanted, least and most of it, and what a unit of it is worth to whoever set the objective.
    capacity
        Most output of each product; infinite where there is no limit.
    labour, labour_limit
        Skills x products: hours per unit of output; hours there are by skill.
    skills
        Names of the skills.
    """

    labels: pd.Index
    a: sparse.csr_array
    turned: sparse.csr_array
    demand: Floats
    low: Floats
    high: Floats
    worth: Floats
    capacity: Floats
    labour: Floats
    labour_limit: Floats
    skills: tuple[str, ...]

    def output(self, y: Floats) -> Floats:
        """Return the output that final uses take."""
        return solve(self.a, y, tol=1e-11).x

    def load(self, x: Floats) -> tuple[Floats, Floats]:
        """Return output over capacity by product, and hours over hours there are by skill."""
        used = np.divide(x, self.capacity, out=np.zeros_like(x), where=np.isfinite(self.capacity))
        return used, (self.labour @ x) / self.labour_limit


def pose(
    A: Any,
    demand: Any,
    *,
    value: Any,
    capacity: Any,
    labour: Any,
    labour_limit: Any,
    max_demand_ratio: float,
    floor: Any,
) -> Problem:
    """Check an allocation problem; arguments as in `allocate`."""
    labels = A.index if isinstance(A, pd.DataFrame) else demand.index if isinstance(demand, pd.Series) else None
    matrix = matrix_of(A, "A")
    n = matrix.shape[0]
    labels = pd.RangeIndex(n) if labels is None or len(labels) != n else labels
    if matrix.shape != (n, n) or not np.isfinite(matrix.data).all() or (matrix.data < 0).any():
        raise UsageError("A is no square matrix of finite shares.", remedy="Give inputs per unit of output.")
    if productivity(matrix).lower >= 1.0:
        raise unproductive()
    d = _vector(demand, labels, "demand")
    w = _vector(value, labels, "value")
    cap = np.full(n, np.inf) if capacity is None else _vector(capacity, labels, "capacity", limits=True)
    least = np.zeros(n) if floor is None else _vector(floor, labels, "floor")
    if not max_demand_ratio > 0:
        raise UsageError("max_demand_ratio must be above 0.", remedy="Use 1.05 for up to 5 % more than is wanted.")
    high = max_demand_ratio * d
    if (least > high * (1 + 1e-12)).any():
        raise UsageError("a floor is above what may be used at most.", remedy="Lower the floor, or raise the demand.")
    if (cap <= 0).any():
        raise UsageError("a capacity is 0 or less.", remedy="Leave the product out, or give a small capacity.")
    hours, limit, skills = _labour(labour, labour_limit, labels)
    matrix, turned = _lean(matrix), _lean(sparse.csr_array(matrix.T))
    return Problem(labels, matrix, turned, d, np.minimum(least, high), high, w, cap, hours, limit, skills)


def _lean(matrix: sparse.csr_array) -> sparse.csr_array:
    """Return a copy whose places are short numbers in order: what a product takes is reading them."""
    if matrix.nnz >= np.iinfo(np.int32).max:
        return matrix
    places, starts = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int32)
    lean = sparse.csr_array((matrix.data.copy(), places, starts), shape=matrix.shape)
    lean.sort_indices()
    return lean


def _labour(labour: Any, limit: Any, labels: pd.Index) -> tuple[Floats, Floats, tuple[str, ...]]:
    n = len(labels)
    if labour is None:
        return np.zeros((0, n)), np.zeros(0), ()
    if limit is None:
        raise UsageError("labour has no limit.", remedy="Give labour_limit, too.")
    skills = tuple(str(s) for s in labour.index) if isinstance(labour, pd.DataFrame) else ()
    hours = np.atleast_2d(np.asarray(labour, dtype=np.float64))
    there = np.atleast_1d(np.asarray(limit, dtype=np.float64))
    if hours.shape != (len(there), n) or not np.isfinite(hours).all() or (hours < 0).any() or (there <= 0).any():
        raise UsageError(
            "labour does not fit: hours per unit by skill and product, and hours there are above 0 by skill.",
            remedy="Give skills x products, and one limit a skill.",
        )
    return hours, there, skills or tuple(f"labour {k + 1}" if len(there) > 1 else "labour" for k in range(len(there)))


def _vector(given: ArrayLike, labels: pd.Index, name: str, *, limits: bool = False) -> Floats:
    values = given.reindex(labels) if isinstance(given, pd.Series) else given
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.full(1, np.nan)
    if found.ndim == 0:
        found = np.full(len(labels), float(found))
    wrong = np.isnan(found) | (found < 0) | (np.isinf(found) & (not limits))
    if found.shape != (len(labels),) or wrong.any():
        raise UsageError(
            f"{name} is no number of 0 or more for each product.", remedy=f"Give {name} for every product of A."
        )
    return found
