"""What a move tells and whom, compiled: most moves are of a few quantities, and there are very many of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from opsroom.protect.order_kernel import ascend

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


@njit(cache=True, nogil=True, error_model="numpy")
def _unique(values: Ints, count: int) -> int:
    """Sort the first so many values, each once; return how many are left."""
    if count == 0:
        return 0
    ascend(values, count)
    kept = 1
    for k in range(1, count):
        if values[k] != values[kept - 1]:
            values[kept] = values[k]
            kept += 1
    return kept


@njit(cache=True, nogil=True, error_model="numpy")
def _has(values: Ints, a: int, b: int, wanted: int) -> bool:
    """Say whether a value is among ascending ones."""
    while a < b:
        middle = (a + b) // 2
        if values[middle] < wanted:
            a = middle + 1
        elif values[middle] > wanted:
            b = middle
        else:
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def peers_tell(
    at: Ints, shift: Floats, target: int, members: Any, value: Floats, who: Ints, part: Floats, sole: Ints
) -> bool:
    """Say whether two contributors who pool what they know can tell a witness by another quantity than its target.

    They know what they alone contribute to, and that the rest is at least the sum of their parts.
    """
    for e in range(len(at)):
        q = at[e]
        if q == target:
            continue
        if sole[q] != 0 and (sole[q] == members[0] or sole[q] == members[1]):
            return True
        inside, named, own = 0, 0, 0.0
        for k in range(who.shape[1]):
            if who[q, k] != 0:
                named += 1
                if who[q, k] == members[0] or who[q, k] == members[1]:
                    inside += 1
                    own += part[q, k]
        if inside > 1 and inside == named:
            return True
        if inside > 0 and value[q] + shift[e] < own - 1e-9 * abs(value[q]):
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def keep(
    at: Ints, shift: Floats, goal: int, insiders: Ints, members: Any, nearly: float,
    value: Floats, base: Floats, floor: Floats, who: Ints, part: Floats, sole: Ints, sensitive: Flags,
    above: Floats, below: Floats,
    count: Ints, alive: Flags, made_for: Ints, start: Ints, all_at: Ints, all_shift: Floats, after: Ints,
    owner: Ints, all_reached: Ints, all_betrayed: Ints, all_own: Ints, using: Ints, reaching: Ints,
) -> Any:  # fmt: skip
    """Add the witnesses that a move makes; see `opsroom.protect.pool.Pool.keep`, which also names the arrays.

    Each way the move is stretched not at all, until a contributor could tell, and until nobody believes it. What
    tells the same as a shorter stretch is not kept.
    """
    target = goal >> 1
    serves, settled = False, -1
    n = len(at) * (who.shape[1] + 1)
    goals, betrayed, own = np.empty(2 * len(at), np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    moved = np.empty(len(at))
    for way in range(2):
        sign = 1.0 - 2.0 * way
        for e in range(len(at)):
            moved[e] = sign * shift[e]
        full, soft = room(at, moved, target, value, base, floor, part, sole)
        # A hair less than all the room: rounding must not carry a value beyond its floor.
        lengths = np.array([soft * (1 - 1e-12), full * (1 - 1e-12), 1.0 if full > nearly else 0.0])
        ascend(lengths, len(lengths))
        first, last = count[0], -1.0
        for length in lengths:
            if not np.isfinite(length) or length <= 1e-9 or length == last:
                continue
            last = length
            for e in range(len(at)):
                moved[e] = sign * shift[e] * length
            reached, others, mine = tells(
                at, moved, target, nearly, value, floor, who, part, sole, sensitive, above, below, goals, betrayed, own
            )
            others, mine = _unique(betrayed, others), _unique(own, mine)
            hit = False
            for k in range(reached):
                hit = hit or goals[k] == goal
            for_one = way == 0 and length == 1.0 and not hit
            if not for_one:
                known = reached == 0
                for w in range(first, count[0]):  # the same as a shorter one?
                    a, b = start[w, 1], start[w, 2]
                    if start[w + 1, 1] - a == reached and start[w + 1, 2] - b == others:
                        same = True
                        for k in range(reached):
                            same = same and all_reached[a + k, 0] == goals[k]
                        for k in range(others):
                            same = same and all_betrayed[b + k] == betrayed[k]
                        known = known or same
                if known:
                    continue
            number = count[0]
            count[0] += 1
            alive[number] = True
            made_for[number] = target
            place = start[number, 0]
            for e in range(len(at)):
                all_at[place + e], all_shift[place + e], owner[place + e] = at[e], moved[e], number
                after[place + e] = using[at[e]]
                using[at[e]] = place + e
            start[number + 1, 0] = place + len(at)
            place = start[number, 1]
            for k in range(reached):
                all_reached[place + k, 0], all_reached[place + k, 1] = goals[k], number
                all_reached[place + k, 2] = reaching[goals[k]]
                reaching[goals[k]] = place + k
            start[number + 1, 1] = place + reached
            place = start[number, 2]
            for k in range(others):
                all_betrayed[place + k] = betrayed[k]
            start[number + 1, 2] = place + others
            place = start[number, 3]
            for k in range(mine):
                all_own[place + k] = own[k]
            start[number + 1, 3] = place + mine
            if way == 1 or not (hit or for_one):
                continue
            told = False
            for insider in insiders:  # made for this goal, the witness tells nobody by its target
                if insider > 0:
                    told = told or _has(betrayed, 0, others, insider)
                else:
                    told = told or peers_tell(at, moved, target, members, value, who, part, sole)
            if for_one:  # it goes as low as its one insider can believe
                told = told or len(insiders) != 1
                if not told:
                    settled = number
            serves = serves or not told
    return serves, settled


@njit(cache=True, nogil=True, error_model="numpy")
def lacking(
    goal: int, members: Any, value: Floats, who: Ints, part: Floats, sole: Ints, alive: Flags, made_for: Ints,
    start: Ints, all_at: Ints, all_shift: Floats, all_reached: Ints, all_betrayed: Ints, all_own: Ints,
    reaching: Ints, left: Ints,
) -> Any:  # fmt: skip
    """Fill in who is taken in by no living witness for a goal; see `opsroom.protect.pool.Pool.lacking`.

    Returns how many they are, -1 if there is no witness, -2 if there is not enough room to list them.
    """
    target = goal >> 1
    number = -1
    taken = members[0] == 0
    link = reaching[goal]
    while link >= 0:
        w = all_reached[link, 1]
        link = all_reached[link, 2]
        if not alive[w]:
            continue
        own = made_for[w] == target
        a, b, c, d = start[w, 2], start[w + 1, 2], start[w, 3], start[w + 1, 3]
        if own:
            d = c
        if number < 0:
            if b - a + d - c > len(left):
                return -2, taken
            number = 0
            for k in range(a, b):
                left[number] = all_betrayed[k]
                number += 1
            for k in range(c, d):
                left[number] = all_own[k]
                number += 1
            number = _unique(left, number)
        else:
            kept = 0
            for k in range(number):
                if _has(all_betrayed, a, b, left[k]) or _has(all_own, c, d, left[k]):
                    left[kept] = left[k]
                    kept += 1
            number = kept
        if not taken and own:
            e, f = start[w, 0], start[w + 1, 0]
            taken = not peers_tell(all_at[e:f], all_shift[e:f], target, members, value, who, part, sole)
        if number == 0 and taken:
            break
    kept = 0
    for k in range(number):
        if left[k] != sole[target]:
            left[kept] = left[k]
            kept += 1
    return (kept if number >= 0 else -1), taken


@njit(cache=True, nogil=True, error_model="numpy")
def users(quantities: Ints, using: Ints, after: Ints, owner: Ints, alive: Flags) -> Ints:
    """Return the living witnesses that move quantities; one may be listed more than once."""
    count = 0
    for q in quantities:
        e = using[q]
        while e >= 0:
            count += alive[owner[e]]
            e = after[e]
    found = np.empty(count, np.int64)
    count = 0
    for q in quantities:
        e = using[q]
        while e >= 0:
            if alive[owner[e]]:
                found[count] = owner[e]
                count += 1
            e = after[e]
    return found
