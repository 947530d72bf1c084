"""What a move tells and whom, compiled: most moves are of a few quantities, and there are very many of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@njit(cache=True, nogil=True, error_model="numpy")
def room(
    at: Ints, shift: Floats, target: int, value: Floats, base: Floats, floor: Floats, part: Floats, sole: Ints
) -> tuple[float, float]:  # fmt: skip
    """Return how often a move can be made until nobody believes it, and until some contributor could tell.

    Arguments are those of `tells`.
    """
    full, soft = np.inf, np.inf
    for e in range(len(at)):
        if shift[e] >= 0:
            continue
        q = at[e]
        if q == target:
            believed = gentle = base[q]
        else:
            believed, most = floor[q], 0.0
            if sole[q] == 0:
                for k in range(part.shape[1]):
                    most = max(most, part[q, k])
            gentle = max(believed, most)
        full = min(full, (value[q] - believed) / -shift[e])
        soft = min(soft, (value[q] - gentle) / -shift[e])
    return full, soft


@njit(cache=True, nogil=True, error_model="numpy")
def tells(
    at: Ints, shift: Floats, target: int, nearly: float, value: Floats, floor: Floats, who: Ints, part: Floats,
    sole: Ints, sensitive: Flags, above: Floats, below: Floats, goals: Ints, betrayed: Ints, own: Ints,
) -> Any:  # fmt: skip
    """Say which goals a move reaches, and which contributors know that it is not the true table.

    Parameters
    ----------
    at, shift
        Quantities moved, and by how much.
    target
        The quantity that the move is made for.
    nearly
        So much of a width counts as all of it.
    value, floor, who, part, sensitive, above, below
        See `opsroom.protect.system.System`; `above` and `below` as far as they are to be reached.
    sole
        The only contributor of each quantity, or 0.
    goals, betrayed, own
        Filled: twice the quantity, and one more for upwards; contributors who can tell by another quantity than the
        target; those who can by the target. An entry may occur twice. Room for twice as many as are moved, and for
        as many as are moved times those told apart and one.

    Returns
    -------
    tuple of int
        How many entries of each were filled.
    """
    reached, others, mine = 0, 0, 0
    alone = False  # who knows that it is no true table is not known: it serves its target alone
    for e in range(len(at)):
        if at[e] == target and value[target] + shift[e] < floor[target] - 1e-9 * abs(value[target]):
            alone = True
    for e in range(len(at)):
        q = at[e]
        end, slack = value[q] + shift[e], 1e-9 * abs(value[q])
        for k in range(who.shape[1] + 1):
            if k == who.shape[1]:
                contributor = sole[q]
            elif who[q, k] != 0 and end < part[q, k] - slack:
                contributor = who[q, k]
            else:
                continue
            if contributor == 0:
                continue
            if q == target:
                own[mine] = contributor
                mine += 1
            else:
                betrayed[others] = contributor
                others += 1
        if sensitive[q] and (q == target or not alone):
            if shift[e] >= above[q] * nearly:
                goals[reached] = 2 * q + 1
                reached += 1
            if -shift[e] >= below[q] * nearly:
                goals[reached] = 2 * q
                reached += 1
    return reached, others, mine
