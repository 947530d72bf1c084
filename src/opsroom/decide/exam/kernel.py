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


@njit(cache=True, nogil=True, fastmath=True)
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


@njit(cache=True, nogil=True, fastmath=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
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


@njit(cache=True, nogil=True)
def solve_weeks(
    a: Floats, stock: Floats, cap: Floats, linear: Floats, curve: Floats, z: Floats, p: Floats, tol: float
) -> int:
    """Find the best weeks; return the number of steps, or -1.

    `z` holds output, final use and leftover by week (weeks + 1, 3, sectors), positive to start with and below the
    capacities, and the optimum afterwards; its last week has no output, its final use is what is kept of value.
    `p` holds prices of stocks by week. `linear` and `curve` are the gradient at 0 and the second derivative of what is
    to be minimised.
    """
    blocks, n = p.shape
    weeks = blocks - 1
    low, high = np.ones_like(z), np.zeros_like(z)  # multipliers of z >= 0 and of z <= cap
    room = np.ones_like(z)
    grade, theta, r = np.zeros_like(z), np.zeros_like(z), np.zeros_like(z)
    dz, dlow, dhigh, pull = np.zeros_like(z), np.zeros_like(z), np.zeros_like(z), np.zeros_like(z)
    short, dp = np.zeros_like(p), np.zeros_like(p)
    d, e = np.zeros((blocks, n, n)), np.zeros((blocks, n, n))
    scale_b = 1.0 + np.abs(stock).max()
    scale_c = 1.0 + np.abs(linear).max()
    count = 0
    mu = 0.0
    for t in range(blocks):
        for s in range(3):
            if s == 0 and t == weeks:
                continue
            for i in range(n):
                low[t, s, i] = 0.1 * scale_c
                count += 1
                if s == 0:
                    high[t, s, i] = 0.1 * scale_c
                    count += 1
    for step in range(MOST):
        # residuals
        _down(a, p, pull)
        _across(a, z, short)
        worst_d, worst_p, mu = 0.0, 0.0, 0.0
        worth = 0.0
        for t in range(blocks):
            for i in range(n):
                short[t, i] = (stock[i] if t == 0 else 0.0) - short[t, i]
                worst_p = max(worst_p, abs(short[t, i]))
            for s in range(3):
                if s == 0 and t == weeks:
                    continue
                for i in range(n):
                    v = z[t, s, i]
                    grade[t, s, i] = linear[t, s, i] + curve[t, s, i] * v + pull[t, s, i] - low[t, s, i]
                    worth += (linear[t, s, i] + 0.5 * curve[t, s, i] * v) * v
                    mu += low[t, s, i] * v
                    if s == 0:
                        room[t, s, i] = cap[t, i] - v
                        grade[t, s, i] += high[t, s, i]
                        mu += high[t, s, i] * room[t, s, i]
                    worst_d = max(worst_d, abs(grade[t, s, i]))
        gap = mu
        mu /= count
        if worst_p <= tol * scale_b and worst_d <= tol * scale_c and gap <= tol * (1.0 + abs(worth)):
            return step
        # the system
        d[:] = 0.0
        e[:] = 0.0
        for t in range(blocks):
            for s in range(3):
                if s == 0 and t == weeks:
                    continue
                for i in range(n):
                    q = curve[t, s, i] + low[t, s, i] / z[t, s, i]
                    if s == 0:
                        q += high[t, s, i] / room[t, s, i]
                    theta[t, s, i] = 1.0 / q
        for t in range(blocks):
            for i in range(n):
                if t < weeks:
                    for j in range(i + 1):
                        v = 0.0
                        for k in range(n):
                            v += a[t, i, k] * theta[t, 0, k] * a[t, j, k]
                        d[t, i, j] = v
                d[t, i, i] += theta[t, 1, i] + theta[t, 2, i]
                if t > 0:
                    d[t, i, i] += theta[t - 1, 0, i] + theta[t - 1, 2, i]
                    for j in range(n):
                        e[t, i, j] = -theta[t - 1, 0, i] * a[t - 1, j, i]
                    e[t, i, i] -= theta[t - 1, 2, i]
        _factor(d, e)
        # first without centring, to see how far one gets; then with as much of it as that says
        centre = 0.0
        reach = 1.0
        for attempt in range(2):
            for t in range(blocks):
                for s in range(3):
                    if s == 0 and t == weeks:
                        continue
                    for i in range(n):
                        c = centre - low[t, s, i] * z[t, s, i]
                        if attempt == 1:
                            c -= dz[t, s, i] * dlow[t, s, i]
                        v = -grade[t, s, i] + c / z[t, s, i]
                        if s == 0:
                            c = centre - high[t, s, i] * room[t, s, i]
                            if attempt == 1:
                                c += dz[t, s, i] * dhigh[t, s, i]
                            v -= c / room[t, s, i]
                        r[t, s, i] = v
            for t in range(blocks):
                for s in range(3):
                    for i in range(n):
                        pull[t, s, i] = theta[t, s, i] * r[t, s, i]
            _across(a, pull, dp)
            for t in range(blocks):
                for i in range(n):
                    dp[t, i] -= short[t, i]
            _back(d, e, dp)
            _down(a, dp, pull)
            reach = 1.0
            for t in range(blocks):
                for s in range(3):
                    if s == 0 and t == weeks:
                        continue
                    for i in range(n):
                        move = theta[t, s, i] * (r[t, s, i] - pull[t, s, i])
                        c = centre - low[t, s, i] * z[t, s, i]
                        if attempt == 1:
                            c -= dz[t, s, i] * dlow[t, s, i]
                        dl = (c - low[t, s, i] * move) / z[t, s, i]
                        if s == 0:
                            c = centre - high[t, s, i] * room[t, s, i]
                            if attempt == 1:
                                c += dz[t, s, i] * dhigh[t, s, i]
                            dh = (c + high[t, s, i] * move) / room[t, s, i]
                            dhigh[t, s, i] = dh
                            if dh < 0.0:
                                reach = min(reach, -high[t, s, i] / dh)
                            if move > 0.0:
                                reach = min(reach, room[t, s, i] / move)
                        dz[t, s, i] = move
                        dlow[t, s, i] = dl
                        if dl < 0.0:
                            reach = min(reach, -low[t, s, i] / dl)
                        if move < 0.0:
                            reach = min(reach, -z[t, s, i] / move)
            if attempt == 0:
                left = 0.0
                for t in range(blocks):
                    for s in range(3):
                        if s == 0 and t == weeks:
                            continue
                        for i in range(n):
                            left += (z[t, s, i] + reach * dz[t, s, i]) * (low[t, s, i] + reach * dlow[t, s, i])
                            if s == 0:
                                left += (room[t, s, i] - reach * dz[t, s, i]) * (
                                    high[t, s, i] + reach * dhigh[t, s, i]
                                )
                left /= count
                centre = mu * (left / mu) ** 3
        far = min(1.0, _SHY * reach)
        for t in range(blocks):
            for i in range(n):
                p[t, i] += far * dp[t, i]
            for s in range(3):
                if s == 0 and t == weeks:
                    continue
                for i in range(n):
                    z[t, s, i] += far * dz[t, s, i]
                    low[t, s, i] += far * dlow[t, s, i]
                    if s == 0:
                        high[t, s, i] += far * dhigh[t, s, i]
    return -1
