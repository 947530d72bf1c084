"""The loops behind `opsroom.base.cells`, compiled: contributor statistics and sketches.

Arrays are laid out with the periods last, so that a unit's periods are read in one go.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int64]
Values = npt.NDArray[Any]


@njit(cache=True, nogil=True)
def contributors(
    x: Values, rows: Ints, starts: Ints, bounds: Ints, holders: Ints, total: Values, size: Values, top: Values
) -> tuple[Ints, Ints]:
    """Sum groups to cells and keep who stands out, for every period.

    Parameters
    ----------
    x
        Contributions, (units, periods).
    rows
        Units of the margin, sorted by cell and group.
    starts
        Where each group of a cell begins in `rows`, and at last the length of `rows`.
    bounds
        Where each cell begins in `starts`, and at last the number of groups.
    holders
        Code of each entry of `starts`.
    total, size
        Filled with the sums and the sums of absolute group contributions, (cells, periods); zero on entry.
    top
        Filled with the largest absolute group contributions, (k, cells, periods); zero on entry.

    Returns
    -------
    tuple of numpy.ndarray
        Number of groups with a contribution, and the code of the only one or 0, (cells, periods) each.
    """
    cells, periods, most = len(bounds) - 1, x.shape[1], top.shape[0]
    number = np.zeros((cells, periods), np.int64)
    holder = np.zeros((cells, periods), np.int64)
    value = np.zeros(periods, x.dtype)
    for c in range(cells):
        for r in range(bounds[c], bounds[c + 1]):
            value[:] = 0
            for u in range(starts[r], starts[r + 1]):
                unit = rows[u]
                for p in range(periods):
                    value[p] += x[unit, p]
            for p in range(periods):
                v = value[p]
                if v == 0:
                    continue
                total[c, p] += v
                v = abs(v)
                size[c, p] += v
                number[c, p] += 1
                holder[c, p] = holders[r] if number[c, p] == 1 else 0
                for k in range(most):
                    if v > top[k, c, p]:
                        v, top[k, c, p] = top[k, c, p], v
                    if v == 0:
                        break
    return number, holder


@njit(cache=True, nogil=True)
def sketch(x: Values, finest: Ints, slots: Ints, table: Values) -> None:
    """Add each unit's contributions to its cell's random sets of groups.

    Parameters
    ----------
    x
        Contributions, (units, periods).
    finest
        Finest cell of each unit.
    slots
        Set of each unit's group, one a family, (units, families).
    table
        Added to, (finest cells, periods, sets of all families).
    """
    for u in range(x.shape[0]):
        cell = finest[u]
        for p in range(x.shape[1]):
            v = x[u, p]
            if v != 0:
                for f in range(slots.shape[1]):
                    table[cell, p, slots[u, f]] += v
