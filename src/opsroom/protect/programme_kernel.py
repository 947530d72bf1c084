"""The dual simplex method from where nothing moves, compiled: it touches what a move touches and nothing else.

Every quantity stands twice among the variables, 2q upwards and 2q + 1 downwards, both at least zero and with
positive costs, so that nothing moving is dual feasible: the method starts there, with the sums that the target
breaks, and mends one broken sum (or one quantity out of its bounds) after the other. The basis is the sums mended so
far against as many variables; all other sums keep their own slack. Its inverse is therefore as small as the move,
whatever the size of the table. Steps go past the bounds of variables that flip from one end to the other (Maros,
Computational Techniques of the Simplex Method, 2003, chapter 7.6).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from opsroom.protect.order_kernel import ascend, doubled, place

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]

FOUND, NONE, GAVE_UP = 0, 1, 2
"""Outcomes: a move; there is none; the answer must be asked for elsewhere."""

_CLOSE = 1e-11
"""What counts as rounding of a move whose target moves by one."""
_SMALL = 1e-9
"""What counts as no move at all."""
_PIVOT = 1e-7
"""The least element that is divided by."""
_FAR = 1e5
"""A capacity of so many times the need is no limit."""
_LEAST = 1e-6
"""A capacity of less than so much of the need is none."""
_STEPS = 3_000
"""Steps after which the answer is asked for elsewhere."""


@njit(cache=True, nogil=True, error_model="numpy")
def _tilt(q: int) -> float:
    """Return a factor a hair above one, another for each quantity: so no two ways cost exactly the same."""
    return 1.0 + 1e-4 * (((q + 1) * 2654435761) % 65536) / 65536.0


@njit(cache=True, nogil=True, error_model="numpy")
def _rooms(q: int, size: float, room: Floats) -> float:
    """Return how far a quantity may fall, where the need is one."""
    far: float = room[q] / size
    if far < _LEAST:
        return 0.0
    return min(far, _FAR)


@njit(cache=True, nogil=True, error_model="numpy")
def cheapest(
    target: int, need: float, room: Floats, price: Floats, closed: Flags,
    row_ptr: Indices, row_q: Indices, row_a: Floats, col_ptr: Indices, col_r: Indices, col_a: Floats,
    spot: Indices, dual: Floats, seen: Flags, gap: Floats, line: Indices, acc: Floats,
    inverse: Floats, at: Ints, shift: Floats,
) -> Any:  # fmt: skip
    """Find the cheapest move that shifts a quantity.

    Parameters
    ----------
    target, need
        The quantity, and by how much.
    room, price, closed
        How far each quantity may fall, what it costs to use it, and which must not move, shape (n,).
    row_ptr, row_q, row_a, col_ptr, col_r, col_a
        Relations by row and by column.
    spot, dual, seen, gap, line, acc
        Room to work in, of shape (2n,), (n,), (n,), (rows,), (rows,), (n,): -1 in `spot` and `line`, zero elsewhere,
        and so again at the end.
    inverse
        Room for the inverse of a basis, shape (most, most).
    at, shift
        Filled: the quantities that move, ascending, and by how much. Shape (n,).

    Returns
    -------
    outcome, number of quantities, number of steps
    """
    size = abs(need)
    most = inverse.shape[0]
    start = 1.0 if need > 0 else -1.0
    rows = np.empty(64, dtype=np.int32)
    n_rows = 0
    cells = np.empty(256, dtype=np.int32)
    n_cells = 0
    basic = np.empty(most, dtype=np.int32)
    mended = np.empty(most, dtype=np.int32)
    amount = np.zeros(most)
    rho, column, b = np.zeros(most), np.zeros(most), np.zeros(most)
    some = np.empty(most, dtype=np.int32)
    k = 0
    near = np.empty(256, dtype=np.int32)
    entries = np.empty(256, dtype=np.int32)
    ratios = np.empty(256)
    flips = np.empty(64, dtype=np.int32)
    outcome = GAVE_UP
    if closed[target] or (need < 0 and room[target] < size * (1 - _SMALL)):
        return NONE, 0, 0
    for e in range(col_ptr[target], col_ptr[target + 1]):
        r = col_r[e]
        if n_rows == len(rows):
            rows = doubled(rows)
        rows[n_rows] = r
        n_rows += 1
        line[r] = -2  # seen, and mended by its own slack
        gap[r] = start * col_a[e]
    steps = 0
    while steps < _STEPS:
        steps += 1
        # What is furthest out of bounds.
        worst, leaving, is_row, toward = _CLOSE, -1, False, 0.0
        for h in range(n_rows):
            r = rows[h]
            if line[r] == -2 and abs(gap[r]) > worst:
                worst, leaving, is_row = abs(gap[r]), r, True
                toward = -1.0 if gap[r] > 0 else 1.0
        for i in range(k):
            v = basic[i]
            if -amount[i] > worst:
                worst, leaving, is_row, toward = -amount[i], i, False, 1.0
            elif v & 1:
                over = amount[i] - _rooms(v >> 1, size, room)
                if over > worst:
                    worst, leaving, is_row, toward = over, i, False, -1.0
        if leaving < 0:
            outcome = FOUND
            break
        # How it depends on each variable that is at a bound: by the sums mended so far, and its own.
        n_near = 0
        if is_row:
            for j in range(k):
                rho[j] = 0.0
            for e in range(row_ptr[leaving], row_ptr[leaving + 1]):
                q = row_q[e]
                for down in range(2):
                    i = spot[2 * q + down]
                    if i >= 0:
                        factor = row_a[e] if down == 0 else -row_a[e]
                        for j in range(k):
                            rho[j] -= factor * inverse[i, j]
        else:
            for j in range(k):
                rho[j] = -inverse[leaving, j]
        for h in range(k + 1):
            if h < k:
                r, factor = mended[h], rho[h]
                if abs(factor) < 1e-12:
                    continue
            else:
                if not is_row:
                    continue
                r, factor = leaving, 1.0
            for e in range(row_ptr[r], row_ptr[r + 1]):
                q = row_q[e]
                if closed[q] or q == target:
                    continue
                if acc[q] == 0.0:
                    if n_near == len(near):
                        near = doubled(near)
                    near[n_near] = q
                    n_near += 1
                    acc[q] = 1e-300  # listed, though it may cancel out
                acc[q] += factor * row_a[e]
        # Which of them may help, and at which price.
        n_entries = 0
        if len(entries) < 2 * n_near:
            entries = np.empty(4 * n_near, dtype=np.int32)
            ratios = np.empty(4 * n_near)
        for h in range(n_near):
            q = near[h]
            g = acc[q]
            if abs(g) < _PIVOT:
                continue
            tilt = price[q] * _tilt(q)
            if spot[2 * q] == -1 and toward * g > 0:
                entries[n_entries] = 2 * q
                ratios[n_entries] = max(tilt - dual[q], 0.0) / abs(g)
                n_entries += 1
            far = _rooms(q, size, room)
            state = spot[2 * q + 1]
            if far > 0 and ((state == -1 and toward * g < 0) or (state == -3 and toward * g > 0)):
                cost = tilt * max(1.0, 1.0 / far) + dual[q]
                entries[n_entries] = 2 * q + 1
                ratios[n_entries] = max(cost if state == -1 else -cost, 0.0) / abs(g)
                n_entries += 1
        left, n_flips, entering = worst, 0, -1
        while True:
            best = -1
            for h in range(n_entries):
                if entries[h] >= 0 and (
                    best < 0
                    or ratios[h] < ratios[best] - 1e-14
                    or (ratios[h] <= ratios[best] + 1e-14 and abs(acc[entries[h] >> 1]) > abs(acc[entries[best] >> 1]))
                ):
                    best = h
            if best < 0:
                break
            v = entries[best]
            entries[best] = -1
            if v & 1:
                gain = abs(acc[v >> 1]) * _rooms(v >> 1, size, room)
                if gain < left - 1e-12:
                    left -= gain
                    if n_flips == len(flips):
                        flips = doubled(flips)
                    flips[n_flips] = v
                    n_flips += 1
                    continue
            entering = v
            break
        if entering < 0 and left <= 1e-7:  # all room there is does just suffice: let others decide
            outcome = GAVE_UP
        elif entering < 0:
            outcome = NONE
        if entering < 0 or (is_row and k == most):
            for h in range(n_near):
                acc[near[h]] = 0.0
            break
        # Dual step.
        q = entering >> 1
        tilt = price[q] * _tilt(q)
        if entering & 1:
            theta = -(tilt * max(1.0, 1.0 / _rooms(q, size, room)) + dual[q]) / acc[q]
        else:
            theta = (tilt - dual[q]) / acc[q]
        pivot = acc[q] if entering & 1 == 0 else -acc[q]
        for h in range(n_near):
            p = near[h]
            if not seen[p]:
                seen[p] = True
                if n_cells == len(cells):
                    cells = doubled(cells)
                cells[n_cells] = p
                n_cells += 1
            dual[p] += theta * acc[p]
            acc[p] = 0.0
        # Primal step: what flips, and what enters, and what they do to sums and to the basis.
        for j in range(k):
            b[j] = 0.0
        begin = 0.0 if spot[entering] == -1 else _rooms(q, size, room)
        change = toward * left / pivot
        for h in range(n_flips + 1):
            v = flips[h] if h < n_flips else entering
            if h == n_flips:
                delta = change
            elif spot[v] == -1:
                delta = _rooms(v >> 1, size, room)
                spot[v] = -3
            else:
                delta = -_rooms(v >> 1, size, room)
                spot[v] = -1
            if v & 1:
                delta = -delta
            for e in range(col_ptr[v >> 1], col_ptr[(v >> 1) + 1]):
                r = col_r[e]
                if line[r] >= 0:
                    b[line[r]] += col_a[e] * delta
                else:
                    if line[r] == -1:
                        if n_rows == len(rows):
                            rows = doubled(rows)
                        rows[n_rows] = r
                        n_rows += 1
                        line[r] = -2
                    gap[r] += col_a[e] * delta
        for i in range(k):
            column[i] = 0.0
        for e in range(col_ptr[q], col_ptr[q + 1]):
            j = line[col_r[e]]
            if j >= 0:
                factor = -col_a[e] if entering & 1 else col_a[e]
                for i in range(k):
                    column[i] += inverse[i, j] * factor
        n_some = 0
        for j in range(k):
            if b[j] != 0.0:
                some[n_some] = j
                n_some += 1
        for i in range(k if n_some else 0):
            move = 0.0
            for h in range(n_some):
                move -= inverse[i, some[h]] * b[some[h]]
            if move != 0.0:
                amount[i] += move
                p = basic[i] >> 1
                if basic[i] & 1:
                    move = -move
                for e in range(col_ptr[p], col_ptr[p + 1]):
                    r = col_r[e]
                    if line[r] < 0:
                        if line[r] == -1:
                            if n_rows == len(rows):
                                rows = doubled(rows)
                            rows[n_rows] = r
                            n_rows += 1
                            line[r] = -2
                        gap[r] += col_a[e] * move
        # The new basis. What is zero in the inverse, and most of it is, stays so untouched.
        n_some = 0
        for j in range(k):
            if abs(rho[j]) > 1e-14:
                some[n_some] = j
                n_some += 1
        if is_row:
            for i in range(k):
                if abs(column[i]) > 1e-14:
                    factor = column[i] / pivot
                    for h in range(n_some):
                        inverse[i, some[h]] -= factor * rho[some[h]]
                    inverse[i, k] = -factor
                else:
                    inverse[i, k] = 0.0
            for j in range(k):
                inverse[k, j] = rho[j] / pivot
            inverse[k, k] = 1.0 / pivot
            basic[k], mended[k], amount[k] = entering, leaving, begin + change
            spot[entering], line[leaving] = k, k
            gap[leaving] = 0.0
            k += 1
        else:
            i = leaving
            if abs(column[i]) < _PIVOT or abs(column[i] + pivot) > 1e-6 * max(1.0, abs(pivot)):
                break  # rounding has grown too large
            for j in range(k):
                inverse[i, j] /= column[i]
            for g in range(k):
                if g != i and abs(column[g]) > 1e-14:
                    for h in range(n_some):
                        inverse[g, some[h]] -= column[g] * inverse[i, some[h]]
            old = basic[i]
            spot[old] = -1 if toward > 0 else -3
            basic[i], amount[i] = entering, begin + change
            spot[entering] = i
    # What moves; then all is put back as it was.
    count = 0
    if outcome == FOUND:
        ascend(cells, n_cells)
        own = place(cells, n_cells, target)
        for h in range(n_cells + 1):
            if h == own:
                at[count], shift[count] = target, start
                count += 1
            if h == n_cells:
                break
            q = cells[h]
            moved = 0.0
            for down in range(2):
                state = spot[2 * q + down]
                part = amount[state] if state >= 0 else (_rooms(q, size, room) if state == -3 else 0.0)
                moved += -part if down else part
            if abs(moved) > _SMALL:
                at[count], shift[count] = q, moved
                count += 1
        # A sum that does not come to zero, seen beside its own terms, is no move: rounding has grown too large.
        for h in range(n_rows):
            total, terms = 0.0, 0.0
            for e in range(row_ptr[rows[h]], row_ptr[rows[h] + 1]):
                p = place(at, count, row_q[e])
                if p < count and at[p] == row_q[e]:
                    total += row_a[e] * shift[p]
                    terms += abs(row_a[e] * shift[p])
            if abs(total) > 1e-8 * terms:
                outcome = GAVE_UP
        for h in range(count):
            shift[h] *= size
    for h in range(n_rows):
        gap[rows[h]] = 0.0
        line[rows[h]] = -1
    for h in range(n_cells):
        q = cells[h]
        spot[2 * q] = spot[2 * q + 1] = -1
        seen[q] = False
        dual[q] = 0.0
    return outcome, count, steps
