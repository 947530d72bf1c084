"""Solving for output without ever inverting: x = A x + f, with what is left over and how productive A is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import linalg

from opsroom.base.errors import FitError, UsageError

Floats = NDArray[np.float64]

_ROUNDS = 60
_STEPS = 2000
_DENSE = 400
"""Products up to which the plain factorisation is quicker than any iteration."""


@dataclass(frozen=True, slots=True)
class Productivity:
    """Bounds of the spectral radius of the coefficients (Collatz and Wielandt).

    Attributes
    ----------
    lower, upper
        The radius lies between them. Below 1 an economy can make any final demand, from 1 on it uses up more than it
        makes.
    """

    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Solved:
    """One system solved.

    Attributes
    ----------
    x
        The solution.
    residual
        Largest entry of what is left over, over the largest entry of the right-hand side.
    steps
        Products with the matrix.
    """

    x: Floats
    residual: float
    steps: int


def matrix_of(given: Any, name: str) -> sparse.csr_array:
    """Return a frame, an array, nested lists or a sparse matrix as a sparse matrix of numbers.

    Raises
    ------
    UsageError
        It holds what is no number, or is no table.
    """
    try:
        if isinstance(given, pd.DataFrame):
            given = given.to_numpy(np.float64)
        elif not sparse.issparse(given):
            given = np.asarray(given, dtype=np.float64)
        if given.ndim != 2:
            raise ValueError("no table")
        matrix: Any = sparse.csr_array(given, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{name} is no table of numbers.", remedy="Give a frame, an array or a sparse matrix.", code="OPS-U260"
        ) from error
    return sparse.csr_array(matrix)


def productivity(a: sparse.csr_array, *, tight: float = 0.05) -> Productivity:
    """Bound the spectral radius of a matrix without negative entries.

    Parameters
    ----------
    a
        n x n, entries of 0 or more.
    tight
        Stop where the bounds are this close, or where the upper one is below 0.99.

    Notes
    -----
    For any vector v > 0 the radius lies between the smallest and the largest of (A'v)_j / v_j; each product with A'
    narrows that. A product on which nothing rests keeps the lower bound at 0, which is true.
    """
    turned = a.T.tocsr()
    v = np.ones(a.shape[0])
    lower, upper = 0.0, np.inf
    for _ in range(_ROUNDS):
        after = turned @ v
        ratio = after / v
        lower, upper = max(lower, float(ratio.min(initial=np.inf))), min(upper, float(ratio.max(initial=0.0)))
        if upper < 0.99 or upper - lower < tight * upper:
            break
        # A little of the old keeps every entry above 0, where a bound is a bound.
        v = after + 1e-3 * float(after.mean()) + 1e-12
        v /= float(v.max())
    return Productivity(min(lower, upper), upper)


def solve(a: sparse.csr_array, f: Floats, *, tol: float, start: Floats | None = None) -> Solved:
    """Solve ``x = A x + f``.

    Parameters
    ----------
    a
        n x n, entries of 0 or more, spectral radius below 1.
    f
        n.
    tol
        Largest residual over the largest entry of `f`.
    start
        A guess, such as the solution for a right-hand side close by.

    Raises
    ------
    FitError
        The iteration does not end: the matrix is not productive, or nearly not.

    Notes
    -----
    BiCGSTAB, then plain rounds (each adds what making the last round's output took). Never a factor: of a random
    network of suppliers it fills up. Small systems are factorised densely.
    """
    scale = float(np.abs(f).max(initial=0.0))
    if scale == 0.0:
        return Solved(np.zeros_like(f), 0.0, 0)
    n = len(f)
    if n <= _DENSE:
        x = np.linalg.solve(np.eye(n) - a.toarray(), f)
        return _checked(f, x, scale, float(np.abs(x - a @ x - f).max()) / scale, 1, tol)
    count = 0

    def left(x: Floats) -> Floats:
        nonlocal count
        count += 1
        return np.asarray(x - a @ x)

    system = linalg.LinearOperator((n, n), matvec=left, dtype=np.float64)
    # The largest entry of what is left is far below its length where there are many; the last rounds see to the rest.
    aim = 0.3 * tol * scale * max(1.0, 0.1 * np.sqrt(n)) / max(float(np.linalg.norm(f)), 1e-300)
    x, info = linalg.bicgstab(system, f, x0=start, rtol=max(aim, 1e-15), atol=0.0, maxiter=_STEPS)
    if info != 0 or not np.isfinite(x).all():
        x = f.copy()
    for _ in range(_STEPS):
        following = a @ x + f
        count += 1
        gap = float(np.abs(following - x).max()) / scale  # what is left over of x, not of what follows it
        if gap <= tol:
            return _checked(f, x, scale, gap, count, tol)
        if not np.isfinite(gap):
            break
        x = following
    raise unproductive()


def _checked(f: Floats, x: Floats, scale: float, residual: float, steps: int, tol: float) -> Solved:
    # Of a table that is not productive there is a solution, too, but one that makes less than nothing of something.
    if not residual <= tol or (float(f.min()) >= 0.0 and float(x.min()) < -(1e-6 + 100.0 * tol) * scale):
        raise unproductive()
    return Solved(x, residual, steps)


def unproductive() -> FitError:
    """Return the error of a table that uses up more than it makes."""
    return FitError(
        "output cannot be found: the table uses up as much of something as it makes, or nearly so.",
        code="OPS-M170",
        remedy="Look for a column whose inputs reach its output; check units and signs.",
    )
