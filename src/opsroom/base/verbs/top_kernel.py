"""The loops behind large tables of top contributions, compiled: rows dealt into parts, each added up in the cache.

All rows of a cell and a group fall into the same part, so that a part's sums are final and cells take them one after
another. A part's table of sums is small enough for the processor's cache: that is what an engine's table of all cells
and groups is not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int32]

BLOCK = 1 << 10
"""Rows that a part takes at once from the common store."""


@njit(cache=True, nogil=True)
def _mixed(cell: np.uint64, group: np.uint64) -> np.uint64:
    """Spread a pair over 64 bits."""
    x = group ^ (cell * np.uint64(0x9E3779B97F4A7C15))
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xD6E8FEB86659FD93)
    x ^= x >> np.uint64(32)
    x *= np.uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> np.uint64(32))


@njit(cache=True, nogil=True)
def number_cells(hashes: Marks, table: Marks, numbers: Numbers) -> int:
    """Enter the hash of each cell into an open table, its size a power of two; return how many are distinct."""
    mask = np.uint64(len(table) - 1)
    found = 0
    for i in range(len(hashes)):
        place = hashes[i] & mask
        while numbers[place] >= 0 and table[place] != hashes[i]:
            place = (place + np.uint64(1)) & mask
        if numbers[place] < 0:
            table[place] = hashes[i]
            numbers[place] = i
            found += 1
    return found


@njit(cache=True, nogil=True)
def deal(
    hashes: Marks, group: Ints, missing: npt.NDArray[np.bool_], value: Ints, table: Marks, numbers: Numbers, cells: int,
    ends: Ints, blocks: Numbers, state: Ints, cell_out: Numbers, group_out: Ints, value_out: Ints,
) -> float:  # fmt: skip
    """Deal rows into parts.

    Parameters
    ----------
    hashes, group, missing, value
        Of each row: the hash of its cell, its group, whether it has none (an empty array: all have one), its measure.
    table, numbers, cells
        See `number_cells`; a row without a group counts for cell ``cells + its cell``, so that no group is like it.
    ends
        Where the next row of each part goes; a multiple of `BLOCK` where a new block is due.
    blocks
        The part of each block.
    state
        ``[blocks taken, rows of unknown cells]``.
    cell_out, group_out, value_out
        The common store of rows.

    Returns
    -------
    float
        Sum of the absolute values.
    """
    mask = np.uint64(len(table) - 1)
    parts = np.uint64(len(ends) - 1)
    some = len(missing) > 0
    size = 0.0
    for i in range(len(hashes)):
        place = hashes[i] & mask
        while numbers[place] >= 0 and table[place] != hashes[i]:
            place = (place + np.uint64(1)) & mask
        cell = numbers[place]
        if cell < 0:
            state[1] += 1
            continue
        holder = group[i]
        if some and missing[i]:
            cell += cells
            holder = 0
        part = _mixed(np.uint64(cell), np.uint64(holder)) >> np.uint64(40) & parts
        end = ends[part]
        if end & (BLOCK - 1) == 0:
            end = state[0] * BLOCK
            blocks[state[0]] = part
            state[0] += 1
        cell_out[end] = cell
        group_out[end] = holder
        value_out[end] = value[i]
        # A full block's end is the beginning of the next: a new one is taken then.
        ends[part] = end + 1
        size += abs(float(value[i]))
    return size


@njit(cache=True, nogil=True)
def add_up(
    first_part: int, step: int, order: Ints, bounds: Ints, fills: Ints, cell: Numbers, group: Ints, value: Ints,
    cells: int, slots: int, total: Ints, count: Ints, top: Ints,
) -> None:  # fmt: skip
    """Add up every so many parts, and keep the largest contributions of each cell.

    Parameters
    ----------
    first_part, step
        The first part to add up, and how far the next one is.
    order, bounds
        Blocks sorted by part, and where each part begins among them.
    fills
        Rows of each block.
    cell, group, value
        The common store of rows.
    cells, slots
        Number of cells; size of a part's table, a power of two above the rows of the largest part.
    total, count, top
        Filled: sums and contributors, (cells,), and largest absolute contributions, (cells, k); zero on entry.
    """
    parts, most = len(bounds) - 1, top.shape[1]
    cell_of = np.full(slots, -1, np.int32)
    group_of = np.zeros(slots, np.int64)
    sums = np.zeros(slots, np.int64)
    used = np.zeros(slots, np.int32)
    mask = np.uint64(slots - 1)
    for part in range(first_part, parts, step):
        entries = 0
        for b in range(bounds[part], bounds[part + 1]):
            first = order[b] * BLOCK
            for i in range(first, first + fills[order[b]]):
                place = _mixed(np.uint64(cell[i]), np.uint64(group[i])) & mask
                while cell_of[place] >= 0 and (cell_of[place] != cell[i] or group_of[place] != group[i]):
                    place = (place + np.uint64(1)) & mask
                if cell_of[place] < 0:
                    cell_of[place] = cell[i]
                    group_of[place] = group[i]
                    used[entries] = place
                    entries += 1
                sums[place] += value[i]
        for e in range(entries):
            place = used[e]
            where = cell_of[place] % cells
            amount = sums[place]
            cell_of[place] = -1
            sums[place] = 0
            if amount != 0:
                total[where] += amount
                count[where] += 1
                amount = abs(amount)
                for k in range(most):
                    if amount > top[where, k]:
                        amount, top[where, k] = top[where, k], amount
