"""The forward-backward recursion over closed and degrees of open, one company after the other."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

CAP = 16.0
"""A day's squared error in standard deviations counts for no more than this."""

STATES = 10
"""Closed and nine degrees of open; a constant, so that the compiler unrolls the loops over it."""


@numba.njit(inline="always", fastmath=True)  # type: ignore[untyped-decorator]  # numba ships no types
def fast_exp(x: float) -> float:
    """Return about exp(x) for -20 < x <= 0, by (1 + x / 256) ** 256: monotone, 2 % off at -3, no call."""
    y = 1.0 + x * (1.0 / 256.0)
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    return y


@numba.njit(cache=True, fastmath=True)  # type: ignore[untyped-decorator]  # numba ships no types
def smooth(
    q: Any, nu: Any, miss: Any, closed: Any, closed_sd: Any, sigma: Any, weight: Any, group: Any,
    opening: Any, closing: Any, enter: Any, start: Any, moving: Any, silence: Any, back: Any, grid: Any,
    dark: Any, faint: Any, near: Any, degree: Any, was_closed: Any, opened: Any, was_open: Any, shut: Any,
    n_enter: Any, n_start: Any, n_moved: Any, n_silence: Any,
) -> None:  # fmt: skip
    """Fill `dark`, `faint`, `near` and `degree` with posterior means and add expected moves to the counts.

    Notes
    -----
    State 0 is closed, states 1 … K are open at ``grid[k]``. A reading ``q`` in state ``k`` is normal around
    ``b + max(nu - b, 0) grid[k]`` with ``b`` the closed-day level: on a day on which the company would be
    closed anyway (``nu <= b``) all states say the same, so that a Sunday tells nothing and moves nothing.
    Silence is a two-state chain whose rates depend on open or closed.
    """
    n, days = q.shape
    states = STATES
    alpha = np.empty((days, states))
    emit = np.empty((days, states))
    later = np.empty(states)
    fresh = np.empty(states)
    doubt = np.empty(states)
    for k in range(STATES):
        doubt[k] = max(1.0 - grid[k], 0.0)
    for u in range(n):
        g = group[u]
        base_sd, noise = closed_sd[u], sigma[u]
        silent = False
        for t in range(days):
            code = miss[u, t]
            if code == 0:
                base = closed[u, t]
                lift = max(nu[u, t] - base, 0.0)
                value = q[u, t]
                for k in range(STATES):
                    mean = base + lift * grid[k]
                    off = doubt[k] * base_sd
                    var = noise * noise * mean * mean + off * off + 1e-5
                    gap = value - mean
                    gap = min(gap, 0.0) if k == STATES - 1 else gap
                    gap = max(gap, 0.5 * gap) if k == 0 else gap
                    z = min(gap * gap / var, CAP)
                    emit[t, k] = fast_exp(-0.5 * weight * z) / np.sqrt(np.sqrt(var)) if lift > 0.0 else 1.0
                if silent:
                    emit[t, 0] *= back[0]
                    for k in range(1, STATES):
                        emit[t, k] *= back[1]
                else:
                    emit[t, 0] *= 1.0 - silence[0]
                    for k in range(1, STATES):
                        emit[t, k] *= 1.0 - silence[1]
                silent = False
            elif code == 1:
                first, rest = silence[0], silence[1]
                if silent:
                    first, rest = 1.0 - back[0], 1.0 - back[1]
                emit[t, 0] = first
                for k in range(1, STATES):
                    emit[t, k] = rest
                silent = True
            elif code == 3:
                emit[t, 0] = 1.0
                for k in range(1, STATES):
                    emit[t, k] = 0.02
                silent = False
            else:
                for k in range(STATES):
                    emit[t, k] = 1.0
            total = 0.0
            if t == 0:
                for k in range(STATES):
                    alpha[t, k] = start[k] * emit[t, k]
                    total += alpha[t, k]
            else:
                up, down = opening[g, t], closing[g, t]
                stay = 1.0 - down
                mass = 0.0
                for k in range(1, STATES):
                    mass += alpha[t - 1, k]
                alpha[t, 0] = (alpha[t - 1, 0] * (1.0 - up) + mass * down) * emit[t, 0]
                total = alpha[t, 0]
                for k in range(1, STATES):
                    inner = alpha[t - 1, k] * (1.0 - 2.0 * moving)
                    inner += moving * (alpha[t - 1, k - 1] if k > 1 else alpha[t - 1, k])
                    inner += moving * (alpha[t - 1, k + 1] if k < states - 1 else alpha[t - 1, k])
                    alpha[t, k] = (inner * stay + alpha[t - 1, 0] * up * enter[k - 1]) * emit[t, k]
                    total += alpha[t, k]
            inverse = 1.0 / total
            for k in range(STATES):
                alpha[t, k] *= inverse
        for k in range(STATES):
            later[k] = 1.0
        for t in range(days - 1, -1, -1):
            total = 0.0
            for k in range(STATES):
                total += alpha[t, k] * later[k]
            mean = 0.0
            for k in range(1, STATES):
                mean += alpha[t, k] * later[k] * grid[k]
            p_dark = alpha[t, 0] * later[0] / total
            dark[u, t] = p_dark
            faint[u, t] = (alpha[t, 1] * later[1] + alpha[t, 2] * later[2]) / total
            near[u, t] = alpha[t, 3] * later[3] / total
            degree[u, t] = mean / total
            code = miss[u, t]
            if code < 2 and t > 0 and miss[u, t - 1] < 2:
                column = 0 if miss[u, t - 1] == 0 else 2
                event = 1.0 if miss[u, t] != miss[u, t - 1] else 0.0
                n_silence[0, column] += p_dark * event
                n_silence[0, column + 1] += p_dark
                n_silence[1, column] += (1.0 - p_dark) * event
                n_silence[1, column + 1] += 1.0 - p_dark
            if t == 0:
                for k in range(STATES):
                    n_start[k] += alpha[t, k] * later[k] / total
                break
            up, down = opening[g, t], closing[g, t]
            stay = 1.0 - down
            into = 0.0
            for k in range(STATES):
                later[k] *= emit[t, k]
            for k in range(1, STATES):
                into += enter[k - 1] * later[k]
            norm = (1.0 - up) * later[0] + up * into
            fresh[0] = norm
            for k in range(1, STATES):
                inner = later[k] * (1.0 - 2.0 * moving)
                inner += moving * (later[k - 1] if k > 1 else later[k])
                inner += moving * (later[k + 1] if k < states - 1 else later[k])
                fresh[k] = inner * stay + down * later[0]
            scale = 0.0
            for k in range(STATES):
                scale += alpha[t - 1, k] * fresh[k]
            gone = alpha[t - 1, 0] * up * into / scale
            was_closed[g, t] += alpha[t - 1, 0] * fresh[0] / scale
            opened[g, t] += gone
            before = 0.0
            lost = 0.0
            shifted = 0.0
            for k in range(1, STATES):
                before += alpha[t - 1, k] * fresh[k] / scale
                lost += alpha[t - 1, k] * down * later[0] / scale
                if k > 1:
                    shifted += alpha[t - 1, k] * stay * moving * later[k - 1] / scale
                if k < states - 1:
                    shifted += alpha[t - 1, k] * stay * moving * later[k + 1] / scale
                n_enter[k - 1] += alpha[t - 1, 0] * up * enter[k - 1] * later[k] / scale
            was_open[g, t] += before
            shut[g, t] += lost
            n_moved[0] += shifted
            n_moved[1] += before
            for k in range(STATES):
                later[k] = fresh[k] / scale
