"""The forward-backward recursion over closed and degrees of open, many companies side by side."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

CAP = np.float32(16.0)
"""A day's squared error in standard deviations counts for no more than this."""

LANES = 64
"""Companies worked on at once: the innermost loops run over them, so that the compiler uses vectors."""


@numba.njit(inline="always", fastmath=True, error_model="numpy")
def fast_exp(x: Any) -> Any:
    """Return about exp(x) for -20 < x <= 0, by (1 + x / 256) ** 256: monotone, 2 % off at -3, no call."""
    y = np.float32(1.0) + x * np.float32(1.0 / 256.0)
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    y *= y
    return y


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _emissions(
    rows: Any, q: Any, nu: Any, miss: Any, closed: Any, closed_sd: Any, sigma: Any, weight: Any,
    silence: Any, back: Any, grid: Any, emit: Any,
) -> None:  # fmt: skip
    """Fill `emit` (days, states, lanes): how likely each state makes what is known of a day."""
    days, states = emit.shape[0], emit.shape[1]
    lanes = len(rows)
    one, half, zero, floor = np.float32(1.0), np.float32(0.5), np.float32(0.0), np.float32(1e-5)
    scale = -half * weight
    level, lift = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    value, told = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    shut, work = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    noise, doubt = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    silent = np.zeros(LANES, np.bool_)
    for b in range(lanes):
        if rows[b] >= 0:
            noise[b] = sigma[rows[b]] * sigma[rows[b]]
            doubt[b] = closed_sd[rows[b]] * closed_sd[rows[b]]
    for t in range(days):
        for b in range(LANES):
            u = rows[b] if b < lanes else -1
            told[b], shut[b], work[b] = 0.0, 1.0, 1.0
            level[b], lift[b], value[b] = 1.0, 0.0, 1.0
            if u < 0:
                continue
            code = miss[u, t]
            if code == 0:
                level[b] = closed[u, t]
                lift[b] = max(nu[u, t] - closed[u, t], np.float32(0.0))
                value[b] = q[u, t]
                told[b] = 1.0 if lift[b] > 0.0 else 0.0
                shut[b] = back[0] if silent[b] else one - silence[0]
                work[b] = back[1] if silent[b] else one - silence[1]
                silent[b] = False
            elif code == 1:
                shut[b] = one - back[0] if silent[b] else silence[0]
                work[b] = one - back[1] if silent[b] else silence[1]
                silent[b] = True
            elif code == 3:
                work[b] = 0.02
                silent[b] = False
        here = emit[t]
        for k in range(states):
            g = grid[k]
            off = max(one - g, np.float32(0.0))
            off *= off
            above = np.float32(0.0) if k == states - 1 else one
            below = half if k == 0 else one
            out = here[k]
            for b in range(LANES):
                mean = level[b] + lift[b] * g
                var = noise[b] * mean * mean + off * doubt[b] + floor
                gap = value[b] - mean
                gap *= above if gap > zero else below
                z = min(gap * gap / var, CAP)
                like = fast_exp(scale * z) / np.sqrt(np.sqrt(var))
                out[b] = (told[b] * like + (one - told[b])) * work[b]
        first = here[0]
        for b in range(LANES):
            first[b] *= shut[b] / work[b]


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def smooth(
    blocks: Any, block_group: Any, q: Any, nu: Any, miss: Any, closed: Any, closed_sd: Any, sigma: Any,
    weight: Any, opening: Any, closing: Any, enter: Any, start: Any, moving: Any, silence: Any, back: Any,
    grid: Any, dark: Any, faint: Any, near: Any, degree: Any, moves: Any, n_enter: Any, n_start: Any,
    n_silence: Any,
) -> None:  # fmt: skip
    """Fill `dark`, `faint`, `near` and `degree` with posterior means and add expected moves to the counts.

    Notes
    -----
    State 0 is closed, states 1 … K are open at ``grid[k]``. A reading ``q`` in state ``k`` is normal around
    ``b + max(nu - b, 0) grid[k]`` with ``b`` the closed-day level: on a day on which the company would be
    closed anyway (``nu <= b``) all states say the same, so that a Sunday tells nothing and moves nothing.
    Silence is a two-state chain whose rates depend on open or closed. `blocks` holds row numbers, `LANES`
    a block, all of one group; -1 is an empty lane. `moves` (4, groups, days) receives the numbers of
    closed, opened, open and shut.
    """
    days, states = q.shape[1], len(grid)
    emit = np.empty((days, states, LANES), np.float32)
    alpha = np.empty((days, states, LANES), np.float32)
    later = np.empty((states, LANES), np.float32)
    fresh = np.empty((states, LANES), np.float32)
    total, mass, into = np.empty(LANES, np.float32), np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    live = np.empty(LANES, np.float32)
    one = np.float32(1.0)
    keep = one - np.float32(2.0) * moving
    for block in range(blocks.shape[0]):
        rows = blocks[block]
        g = block_group[block]
        for b in range(LANES):
            live[b] = 1.0 if rows[b] >= 0 else 0.0
        _emissions(rows, q, nu, miss, closed, closed_sd, sigma, weight, silence, back, grid, emit)
        for t in range(days):
            up, down = opening[g, t], closing[g, t]
            stay = one - down
            for b in range(LANES):
                total[b] = 0.0
                mass[b] = 0.0
            if t == 0:
                for k in range(states):
                    for b in range(LANES):
                        alpha[0, k, b] = start[k] * emit[0, k, b]
                        total[b] += alpha[0, k, b]
            else:
                for k in range(1, states):
                    for b in range(LANES):
                        mass[b] += alpha[t - 1, k, b]
                for b in range(LANES):
                    alpha[t, 0, b] = (alpha[t - 1, 0, b] * (one - up) + mass[b] * down) * emit[t, 0, b]
                    total[b] = alpha[t, 0, b]
                for k in range(1, states):
                    fraction = up * enter[k - 1]
                    lower, upper = alpha[t - 1, max(k - 1, 1)], alpha[t - 1, min(k + 1, states - 1)]
                    same, none, like, made = alpha[t - 1, k], alpha[t - 1, 0], emit[t, k], alpha[t, k]
                    for b in range(LANES):
                        inner = same[b] * keep + moving * (lower[b] + upper[b])
                        made[b] = (inner * stay + none[b] * fraction) * like[b]
                    for b in range(LANES):
                        total[b] += made[b]
            for b in range(LANES):
                total[b] = one / max(total[b], np.float32(1e-30))
            for k in range(states):
                for b in range(LANES):
                    alpha[t, k, b] *= total[b]
        later[:] = 1.0
        for t in range(days - 1, -1, -1):
            for b in range(LANES):
                total[b] = 0.0
                mass[b] = 0.0
            for k in range(states):
                for b in range(LANES):
                    both = alpha[t, k, b] * later[k, b]
                    total[b] += both
                    mass[b] += both * grid[k]
            for b in range(LANES):
                total[b] = one / max(total[b], np.float32(1e-30))
            for b in range(LANES):
                u = rows[b]
                if u < 0:
                    continue
                p = alpha[t, 0, b] * later[0, b] * total[b]
                dark[u, t] = p
                faint[u, t] = (alpha[t, 1, b] * later[1, b] + alpha[t, 2, b] * later[2, b]) * total[b]
                near[u, t] = alpha[t, 3, b] * later[3, b] * total[b]
                degree[u, t] = mass[b] * total[b]
                if t > 0 and miss[u, t] < 2 and miss[u, t - 1] < 2:
                    column = 0 if miss[u, t - 1] == 0 else 2
                    event = 1.0 if miss[u, t] != miss[u, t - 1] else 0.0
                    n_silence[0, column] += p * event
                    n_silence[0, column + 1] += p
                    n_silence[1, column] += (1.0 - p) * event
                    n_silence[1, column + 1] += 1.0 - p
            if t == 0:
                for k in range(states):
                    for b in range(LANES):
                        n_start[k] += live[b] * alpha[0, k, b] * later[k, b] * total[b]
                break
            up, down = opening[g, t], closing[g, t]
            stay = one - down
            for k in range(states):
                for b in range(LANES):
                    later[k, b] *= emit[t, k, b]
            into[:] = 0.0
            for k in range(1, states):
                for b in range(LANES):
                    into[b] += enter[k - 1] * later[k, b]
            for b in range(LANES):
                fresh[0, b] = (one - up) * later[0, b] + up * into[b]
                total[b] = alpha[t - 1, 0, b] * fresh[0, b]
            for k in range(1, states):
                lower, upper = max(k - 1, 1), min(k + 1, states - 1)
                for b in range(LANES):
                    inner = later[k, b] * keep + moving * (later[lower, b] + later[upper, b])
                    fresh[k, b] = inner * stay + down * later[0, b]
                    total[b] += alpha[t - 1, k, b] * fresh[k, b]
            for b in range(LANES):
                total[b] = live[b] / max(total[b], np.float32(1e-30))
            was, opened, lost, before = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for b in range(LANES):
                was += alpha[t - 1, 0, b] * fresh[0, b] * total[b]
                opened += alpha[t - 1, 0, b] * up * into[b] * total[b]
            for k in range(1, states):
                entering = np.float32(0.0)
                for b in range(LANES):
                    before += alpha[t - 1, k, b] * fresh[k, b] * total[b]
                    lost += alpha[t - 1, k, b] * down * later[0, b] * total[b]
                    entering += alpha[t - 1, 0, b] * later[k, b] * total[b]
                n_enter[k - 1] += entering * up * enter[k - 1]
            moves[0, g, t] += was
            moves[1, g, t] += opened
            moves[2, g, t] += before
            moves[3, g, t] += lost
            for b in range(LANES):
                total[b] = total[b] if live[b] > 0 else one
            for k in range(states):
                for b in range(LANES):
                    later[k, b] = fresh[k, b] * total[b]
