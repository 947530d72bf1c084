"""The planner's programme solved: an interior point method on weeks that only stocks connect, compiled.

Maximise the worth of final uses less the cost of work over some weeks: each week's output, final use and leftover draw
on what the stores hold, and the stores of the next week are leftover and output. The worth is quadratic, so that one
step of Newton is a linear system in the prices of stocks by week, block tridiagonal: one block a week.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]

MOST_STEPS = 80
"""Steps after which the search has failed; it takes a dozen or two."""
Z, LOW, HIGH, ROOM, MOST, LINEAR, CURVE, GRADE, THETA, RIGHT, PULL, DOWN, UP, DZ, DLOW, DHIGH = range(16)
"""Rows of the workspace: variables, multipliers of z >= 0 and z <= most, distance to the limit, limit, and so on."""
_ROWS = 16
_SHY = 0.995


@njit(cache=True, nogil=True, error_model="numpy")
def _factor(d: Floats, e: Floats) -> None:
    """Factorise: diagonal blocks `d` become lower triangles, blocks below them `e` what they are eliminated with."""
    blocks, n = d.shape[0], d.shape[1]
    for t in range(blocks):
        if t > 0:
            # rows of e[t] solved against the triangle before: F L' = E
            for r in range(n):
                for c in range(n):
                    v = e[t, r, c]
                    for k in range(c):
                        v -= e[t, r, k] * d[t - 1, c, k]
                    e[t, r, c] = v / d[t - 1, c, c]
            for r in range(n):
                for c in range(r + 1):
                    v = 0.0
                    for k in range(n):
                        v += e[t, r, k] * e[t, c, k]
                    d[t, r, c] -= v
        for r in range(n):
            for c in range(r + 1):
                v = d[t, r, c]
                for k in range(c):
                    v -= d[t, r, k] * d[t, c, k]
                d[t, r, c] = np.sqrt(max(v, 1e-300)) if r == c else v / d[t, c, c]


@njit(cache=True, nogil=True, error_model="numpy")
def _back(d: Floats, e: Floats, p: Floats) -> None:
    """Solve in place with what `_factor` left."""
    blocks, n = d.shape[0], d.shape[1]
    for t in range(blocks):
        for r in range(n):
            v = p[t, r]
            if t > 0:
                for k in range(n):
                    v -= e[t, r, k] * p[t - 1, k]
            for k in range(r):
                v -= d[t, r, k] * p[t, k]
            p[t, r] = v / d[t, r, r]
    for t in range(blocks - 1, -1, -1):
        for r in range(n - 1, -1, -1):
            v = p[t, r]
            if t + 1 < blocks:
                for k in range(n):
                    v -= e[t + 1, k, r] * p[t + 1, k]
            for k in range(r + 1, n):
                v -= d[t, k, r] * p[t, k]
            p[t, r] = v / d[t, r, r]


@njit(cache=True, nogil=True, error_model="numpy")
def _across(a: Floats, z: Floats, out: Floats) -> None:
    """Write what each week takes of its stores less what the week before left in them."""
    blocks, n = out.shape
    for t in range(blocks):
        for i in range(n):
            v = z[t, 1, i] + z[t, 2, i]
            if t + 1 < blocks:
                for j in range(n):
                    v += a[t, i, j] * z[t, 0, j]
            if t > 0:
                v -= z[t - 1, 2, i] + z[t - 1, 0, i]
            out[t, i] = v


@njit(cache=True, nogil=True, error_model="numpy")
def _down(a: Floats, p: Floats, out: Floats) -> None:
    """Write what prices of stocks make each output, final use and leftover cost, less what they will bring."""
    blocks, n = p.shape
    for t in range(blocks):
        last = t + 1 == blocks
        for i in range(n):
            after = 0.0 if last else p[t + 1, i]
            out[t, 1, i] = p[t, i]
            out[t, 2, i] = p[t, i] - after
            v = -after
            if not last:
                for j in range(n):
                    v += a[t, j, i] * p[t, j]
            out[t, 0, i] = v


@njit(cache=True, nogil=True, error_model="numpy")
def _form(a: Floats, theta: Floats, d: Floats, e: Floats) -> None:
    """Write the blocks of the system: what a change of each price moves in each week's balance."""
    blocks, n = d.shape[0], d.shape[1]
    for t in range(blocks):
        for i in range(n):
            for j in range(n):
                v = 0.0
                if t + 1 < blocks and j <= i:
                    for k in range(n):
                        v += a[t, i, k] * theta[t, 0, k] * a[t, j, k]
                d[t, i, j] = v
                e[t, i, j] = -theta[t - 1, 0, i] * a[t - 1, j, i] if t > 0 else 0.0
            d[t, i, i] += theta[t, 1, i] + theta[t, 2, i]
            if t > 0:
                d[t, i, i] += theta[t - 1, 0, i] + theta[t - 1, 2, i]
                e[t, i, i] -= theta[t - 1, 2, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _look(space: Floats, short: Floats, stock: Floats, out: Floats) -> None:
    """Write residuals and weights of a step; leave gap, worth and the worst residuals of both kinds in `out`."""
    weeks, n = short.shape
    out[:] = 0.0
    for t in range(weeks):
        for i in range(n):
            short[t, i] = (stock[i] if t == 0 else 0.0) - short[t, i]
            out[2] = max(out[2], abs(short[t, i]))
    for k in range(space.shape[1]):
        z, low, high = space[Z, k], space[LOW, k], space[HIGH, k]
        grade = space[LINEAR, k] + space[CURVE, k] * z + space[PULL, k] - low + high
        room = space[MOST, k] - z if high > 0.0 else 1.0
        space[GRADE, k], space[ROOM, k] = grade, room
        out[0] += low * z + high * room
        out[1] += (space[LINEAR, k] + 0.5 * space[CURVE, k] * z) * z
        if low > 0.0:
            out[3] = max(out[3], abs(grade))
            space[THETA, k] = 1.0 / (space[CURVE, k] + low / z + high / room)


@njit(cache=True, nogil=True, error_model="numpy")
def _aim(space: Floats, centre: float, second: float) -> None:
    """Write what a step is to bring: multipliers times distances to `centre`, corrected by a first attempt."""
    for k in range(space.shape[1]):
        low, high = space[LOW, k], space[HIGH, k]
        space[DOWN, k] = centre - low * space[Z, k] - second * space[DZ, k] * space[DLOW, k]
        up = (centre if high > 0.0 else 0.0) - high * space[ROOM, k] + second * space[DZ, k] * space[DHIGH, k]
        space[UP, k] = up
        space[RIGHT, k] = -space[GRADE, k] + space[DOWN, k] / space[Z, k] - up / space[ROOM, k]
        space[PULL, k] = space[THETA, k] * space[RIGHT, k]


@njit(cache=True, nogil=True, error_model="numpy")
def _moves(space: Floats) -> float:
    """Write the step; return how far one can go before anything falls below 0, at most all the way."""
    far = 1.0
    for k in range(space.shape[1]):
        z, low, high, room = space[Z, k], space[LOW, k], space[HIGH, k], space[ROOM, k]
        move = space[THETA, k] * (space[RIGHT, k] - space[PULL, k])
        dlow = (space[DOWN, k] - low * move) / z if low > 0.0 else 0.0
        dhigh = (space[UP, k] + high * move) / room
        space[DZ, k], space[DLOW, k], space[DHIGH, k] = move, dlow, dhigh
        if move < 0.0:
            far = min(far, -z / move)
        elif move > 0.0 and high > 0.0:
            far = min(far, room / move)
        if dlow < 0.0:
            far = min(far, -low / dlow)
        if dhigh < 0.0:
            far = min(far, -high / dhigh)
    return far


@njit(cache=True, nogil=True, error_model="numpy")
def _left(space: Floats, far: float) -> float:
    """Return the gap after going so far."""
    total = 0.0
    for k in range(space.shape[1]):
        total += (space[Z, k] + far * space[DZ, k]) * (space[LOW, k] + far * space[DLOW, k])
        if space[HIGH, k] > 0.0:
            total += (space[ROOM, k] - far * space[DZ, k]) * (space[HIGH, k] + far * space[DHIGH, k])
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _go(space: Floats, p: Floats, dp: Floats, far: float) -> None:
    for k in range(space.shape[1]):
        space[Z, k] += far * space[DZ, k]
        space[LOW, k] += far * space[DLOW, k]
        space[HIGH, k] += far * space[DHIGH, k]
    for t in range(p.shape[0]):
        for i in range(p.shape[1]):
            p[t, i] += far * dp[t, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _steps(
    a: Floats, stock: Floats, space: Floats, cube: Floats, p: Floats, short: Floats, dp: Floats, d: Floats, e: Floats,
    out: Floats, bounds: float, scale_b: float, scale_c: float, tol: float,
) -> int:  # fmt: skip
    """Take steps until residuals and gap are small; return their number, or -1."""
    z, pull, theta = cube[Z], cube[PULL], cube[THETA]
    for step in range(MOST_STEPS):
        _down(a, p, pull)
        _across(a, z, short)
        _look(space, short, stock, out)
        gap = out[0]
        if out[2] <= tol * scale_b and out[3] <= tol * scale_c and gap <= tol * (1.0 + abs(out[1])):
            return step
        _form(a, theta, d, e)
        _factor(d, e)
        # first without centring, to see how far one gets; then with as much of it as that says
        centre, reach = 0.0, 1.0
        for attempt in range(2):
            _aim(space, centre, float(attempt))
            _across(a, pull, dp)
            for t in range(p.shape[0]):
                for i in range(p.shape[1]):
                    dp[t, i] -= short[t, i]
            _back(d, e, dp)
            _down(a, dp, pull)
            reach = _moves(space)
            if attempt == 0:
                left = _left(space, reach)
                centre = gap / bounds * (left / gap) ** 3
        _go(space, p, dp, min(1.0, _SHY * reach))
    return -1


def solve_weeks(
    a: Floats, stock: Floats, most: Floats, linear: Floats, curve: Floats, z: Floats, p: Floats, tol: float, push: float
) -> tuple[Floats, Floats] | None:
    """Find the best weeks; return the optimum and the prices of stocks, or nothing where the search did not end.

    Parameters
    ----------
    a, stock
        Recipes by week, and what the stores hold to begin with.
    most, linear, curve
        Limits (infinite where there is none), gradient at 0 and second derivative of what is to be minimised, by week
        (one more than there are recipes), kind (output, final use, leftover) and sector. The last week has no output,
        and its final use is what is kept of value.
    z, p
        Where to begin, above 0 and below the limits; prices of stocks by week.
    tol
        Residuals and gap, relative.
    push
        How hard the search is kept from the limits to begin with.
    """
    blocks, _, n = z.shape
    cube = np.zeros((_ROWS, *z.shape))
    cube[Z], cube[MOST], cube[LINEAR], cube[CURVE] = z, most, linear, curve
    scale_b, scale_c = 1.0 + np.abs(stock).max(), 1.0 + np.abs(linear).max()
    cube[LOW] = push * scale_c
    cube[LOW, -1, 0] = 0.0
    cube[HIGH] = np.where(np.isfinite(most), push * scale_c, 0.0)
    bounds = float((cube[LOW] > 0.0).sum() + (cube[HIGH] > 0.0).sum())
    prices = p.copy()
    steps = _steps(
        a, stock, cube.reshape(_ROWS, -1), cube, prices, np.zeros_like(p), np.zeros_like(p), np.zeros((blocks, n, n)),
        np.zeros((blocks, n, n)), np.zeros(4), bounds, scale_b, scale_c, tol,
    )  # fmt: skip
    return None if steps < 0 else (cube[Z], prices)
