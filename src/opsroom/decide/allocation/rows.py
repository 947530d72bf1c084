"""What final uses take of scarce means, for many means at a time: rows of the Leontief inverse, several in a block.

A row is the solution of ``z = A'z + e``. Gauss-Seidel sweeps, which climb to it from below; a block of right-hand sides
shares what is read of A.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from opsroom.decide.allocation.master import Floats
from opsroom.decide.allocation.problem import Problem
from opsroom.decide.input_output.productive import unproductive

EXACT_MOST = 400
"""Scarcities up to which rows are generated as they show; beyond, all are written down at once."""
MEMORY = 4 * 1024**3
"""Bytes that rows written down may take."""
_BLOCK = 32
_SWEEPS = 1000


def taken(p: Problem, products: np.ndarray, *, tol: float, kind: Any = np.float64) -> np.ndarray:
    """Return uses x products: what the most of each use takes of each product's capacity, as a share of it.

    Parameters
    ----------
    p
        The problem.
    products
        Places of products with a finite capacity.
    tol
        What all uses together may take more of a capacity than the answer says, as a share of it.
    kind
        Type of the numbers.

    Raises
    ------
    FitError
        The sweeps do not end.
    """
    n = len(p.labels)
    found = np.empty((n, len(products)), dtype=kind)
    data = p.turned.data.astype(kind)
    size = p.high.astype(kind)
    for k in range(0, len(products), _BLOCK):
        at = np.full(_BLOCK, -1, dtype=np.int64)
        part = products[k : k + _BLOCK]
        at[: len(part)] = part
        z = np.zeros((n, _BLOCK), dtype=kind)
        share = np.zeros(_BLOCK, dtype=kind)
        share[: len(part)] = 1.0 / p.capacity[part]
        if not _sweeps(data, p.turned.indices, p.turned.indptr, at, z, size, share, tol):
            raise unproductive()
        found[:, k : k + len(part)] = z[:, : len(part)] * size[:, None] * share[: len(part)]
    return found


@numba.njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
def _sweeps(
    data: Floats, places: np.ndarray, starts: np.ndarray, at: np.ndarray, z: Floats, size: Floats, share: Floats,
    tol: float,
) -> bool:  # fmt: skip
    """Sweep until what is still to come is at most `tol` of any capacity; say whether that happened."""
    n, width = z.shape
    row, gained = np.empty_like(share), np.empty_like(share)
    before = np.inf
    for _ in range(_SWEEPS):
        gained[:] = 0
        for i in range(n):
            row[:] = 0
            own = data[0] * 0
            for k in range(starts[i], starts[i + 1]):
                j, a = places[k], data[k]
                if j == i:
                    own += a
                else:
                    for b in range(width):
                        row[b] += a * z[j, b]
            scale = 1 / (1 - own)
            for b in range(width):
                new = (row[b] + (1 if at[b] == i else 0)) * scale
                gained[b] += size[i] * (new - z[i, b])
                z[i, b] = new
        step = 0.0
        for b in range(width):
            step = max(step, gained[b] * share[b])
        # what comes after is a geometric series, of which the last two sweeps tell the ratio
        if step < before < np.inf and step * step <= tol * (before - step):
            return True
        before = step
    return False
