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
    weight: Ints, x: Values, rows: Ints, starts: Ints, bounds: Ints, holders: Ints, total: Values, size: Values,
    top: Values, who: Ints,
) -> Ints:  # fmt: skip
    """Sum groups to cells and keep who stands out, for every period.

    Parameters
    ----------
    weight, x
        A unit contributes its weight times its entries: (units,) and (units, periods).
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
    top, who
        Filled with the largest absolute group contributions and the codes of their groups, (k, cells, periods);
        zero on entry.

    Returns
    -------
    numpy.ndarray
        Number of groups with a contribution, (cells, periods).

    Notes
    -----
    Loops over periods have no branches, so that the compiler uses vectors: the largest are kept by exchange of the
    larger for the smaller, and their codes with them.
    """
    cells, periods, most = len(bounds) - 1, x.shape[1], top.shape[0]
    number = np.zeros((cells, periods), np.int64)
    value = np.zeros(periods, total.dtype)
    code = np.zeros(periods, np.int64)
    for c in range(cells):
        sums, sizes, count = total[c], size[c], number[c]
        for r in range(bounds[c], bounds[c + 1]):
            # Most groups are of one unit: the first is written, only others are added.
            unit = rows[starts[r]]
            w, own = weight[unit], x[unit]
            for p in range(periods):
                value[p] = w * own[p]
            for u in range(starts[r] + 1, starts[r + 1]):
                unit = rows[u]
                w, own = weight[unit], x[unit]
                for p in range(periods):
                    value[p] += w * own[p]
            holder = holders[r]
            for p in range(periods):
                v = value[p]
                sums[p] += v
                there = np.int64(v != 0)
                count[p] += there
                code[p] = there * holder
                v = abs(v)
                sizes[p] += v
                value[p] = v
            beats = np.int64(0)
            least = top[most - 1, c]
            for p in range(periods):
                beats |= np.int64(value[p] > least[p])
            if beats == 0:  # among many groups few are ever among the largest
                continue
            for k in range(most):
                largest, owner = top[k, c], who[k, c]
                for p in range(periods):
                    v, kept, mine, theirs = value[p], largest[p], code[p], owner[p]
                    larger = v > kept
                    largest[p] = v if larger else kept
                    value[p] = kept if larger else v
                    owner[p] = mine if larger else theirs
                    code[p] = theirs if larger else mine
    return number


@njit(cache=True, nogil=True)
def sketch(weight: Ints, x: Values, finest: Ints, slots: Ints, table: Values) -> None:
    """Add each unit's contributions to its cell's random sets of groups.

    Parameters
    ----------
    weight, x
        A unit contributes its weight times its entries: (units,) and (units, periods).
    finest
        Finest cell of each unit.
    slots
        Set of each unit's group, one a family, (units, families).
    table
        Added to, (finest cells, periods, sets of all families).
    """
    for u in range(x.shape[0]):
        cell = table[finest[u]]
        for p in range(x.shape[1]):
            v = weight[u] * x[u, p]
            if v != 0:
                for f in range(slots.shape[1]):
                    cell[p, slots[u, f]] += v


@njit(cache=True, nogil=True)
def counted(keys: Ints, rows: Ints, begin: Ints, out: Ints) -> None:
    """Fill `out` with the rows in the order of their keys, equal ones in the order given.

    Parameters
    ----------
    keys, rows
        Whole numbers from 0 on, and what goes with each.
    begin
        Zeros, one more than the largest key may be: used as working space.
    """
    for i in range(len(keys)):
        begin[keys[i] + 1] += 1
    for k in range(1, len(begin)):
        begin[k] += begin[k - 1]
    for i in range(len(keys)):
        out[begin[keys[i]]] = rows[i]
        begin[keys[i]] += 1
