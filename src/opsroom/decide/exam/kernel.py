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

MOST = 80
"""Steps after which the search has failed; it takes a dozen or two."""
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
def _reach(have: Floats, move: Floats) -> float:
    """Return how far one can go without anything falling below 0, at most all the way."""
    far = 1.0
    for k in range(len(have)):
        if move[k] < 0.0:
            far = min(far, -have[k] / move[k])
    return far


@njit(cache=True, nogil=True, error_model="numpy")
def solve_weeks(
    a: Floats, stock: Floats, most: Floats, linear: Floats, curve: Floats, z: Floats, p: Floats, tol: float
) -> int:
    """Find the best weeks; return the number of steps, or -1.

    `z` holds output, final use and leftover by week (weeks + 1, 3, sectors), positive to start with and below `most`,
    and the optimum afterwards; its last week has no output, and its final use is what is kept of value. `most` is
    infinite where there is no limit. `p` holds prices of stocks by week. `linear` and `curve` are the gradient at 0
    and the second derivative of what is to be minimised.
    """
    shape = z.shape
    flat, upper, slope, bend = z.reshape(-1), most.reshape(-1), linear.reshape(-1), curve.reshape(-1)
    count = len(flat)
    scale_b, scale_c = 1.0 + np.abs(stock).max(), 1.0 + np.abs(slope).max()
    low, high, room = np.full(count, 0.1 * scale_c), np.full(count, 0.1 * scale_c), np.ones(count)
    for k in range(count):
        if np.isinf(upper[k]):
            high[k] = 0.0
    # no output in the last week: neither a variable nor a multiplier
    idle = count - 3 * shape[2]
    low[idle : idle + shape[2]] = 0.0
    bounds = (low > 0.0).sum() + (high > 0.0).sum()
    grade, theta, right, dz = np.zeros(count), np.zeros(count), np.zeros(count), np.zeros(count)
    dlow, dhigh, pull, part = np.zeros(count), np.zeros(count), np.zeros(shape), np.zeros(shape)
    short, dp = np.zeros_like(p), np.zeros_like(p)
    d, e = np.zeros((shape[0], shape[2], shape[2])), np.zeros((shape[0], shape[2], shape[2]))
    pulled, parts = pull.reshape(-1), part.reshape(-1)
    for step in range(MOST):
        _down(a, p, pull)
        _across(a, z, short)
        for t in range(shape[0]):
            for i in range(shape[2]):
                short[t, i] = (stock[i] if t == 0 else 0.0) - short[t, i]
        gap, worth, worst = 0.0, 0.0, 0.0
        for k in range(count):
            grade[k] = slope[k] + bend[k] * flat[k] + pulled[k] - low[k] + high[k]
            room[k] = upper[k] - flat[k] if high[k] > 0.0 else 1.0
            gap += low[k] * flat[k] + high[k] * room[k]
            worth += (slope[k] + 0.5 * bend[k] * flat[k]) * flat[k]
            if low[k] > 0.0:
                worst = max(worst, abs(grade[k]))
                theta[k] = 1.0 / (bend[k] + low[k] / flat[k] + high[k] / room[k])
        if np.abs(short).max() <= tol * scale_b and worst <= tol * scale_c and gap <= tol * (1.0 + abs(worth)):
            return step
        _form(a, theta.reshape(shape), d, e)
        _factor(d, e)
        # first without centring, to see how far one gets; then with as much of it as that says
        centre, reach = 0.0, 1.0
        for attempt in range(2):
            for k in range(count):
                down = centre - low[k] * flat[k] - attempt * dz[k] * dlow[k]
                up = (centre if high[k] > 0.0 else 0.0) - high[k] * room[k] + attempt * dz[k] * dhigh[k]
                right[k] = -grade[k] + down / flat[k] - up / room[k]
                parts[k] = theta[k] * right[k]
            _across(a, part, dp)
            dp -= short
            _back(d, e, dp)
            _down(a, dp, pull)
            for k in range(count):
                move = theta[k] * (right[k] - pulled[k])
                down = centre - low[k] * flat[k] - attempt * dz[k] * dlow[k]
                up = (centre if high[k] > 0.0 else 0.0) - high[k] * room[k] + attempt * dz[k] * dhigh[k]
                dlow[k] = (down - low[k] * move) / flat[k] if low[k] > 0.0 else 0.0
                dhigh[k] = (up + high[k] * move) / room[k]
                dz[k] = move
                parts[k] = -move if high[k] > 0.0 else 0.0
            reach = min(_reach(flat, dz), _reach(low, dlow), _reach(high, dhigh), _reach(room, parts))
            if attempt == 0:
                left = 0.0
                for k in range(count):
                    left += (flat[k] + reach * dz[k]) * (low[k] + reach * dlow[k])
                    left += (room[k] + reach * parts[k]) * (high[k] + reach * dhigh[k])
                centre = gap / bounds * (left / gap) ** 3
        far = min(1.0, _SHY * reach)
        p += far * dp
        for k in range(count):
            flat[k] += far * dz[k]
            low[k] += far * dlow[k]
            high[k] += far * dhigh[k]
    return -1
