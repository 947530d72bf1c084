"""The forward-backward recursion over closed and degrees of open, many companies side by side.

Whatever the kernel calls is part of it (``inline="always"``): of a function of its own there would be two compiled
versions, and fast arithmetic gives them other last bits. A process that compiles would then run the one, and a process
that finds the kernel compiled the other, so that no day could be computed again to the same bytes.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

CAP = np.float32(16.0)
"""A day's squared error in standard deviations counts for no more than this."""

STATES = 10
"""Closed and the degrees of open: a constant, so that the compiler unrolls the loops over them."""

LANES = 64
"""Companies worked on at once: the innermost loops run over them, so that the compiler uses vectors."""

GONE = np.float32(50.0)
"""How much likelier than an open company a closed one disconnects for good."""


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


@numba.njit(inline="always", fastmath=True, error_model="numpy")
def emissions(
    rows: Any, q: Any, nu: Any, miss: Any, closed: Any, closed_sd: Any, sigma: Any, weight: Any, grid: Any,
    emit: Any,
) -> None:  # fmt: skip
    """Fill `emit` (days, states, lanes): how likely each state makes a day's reading, up to a common factor."""
    one, half, zero, floor = np.float32(1.0), np.float32(0.5), np.float32(0.0), np.float32(1e-5)
    scale = -half * weight
    level, lift = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    value, told = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    noise, doubt = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    for b in range(LANES):
        if rows[b] >= 0:
            noise[b] = sigma[rows[b]] * sigma[rows[b]]
            doubt[b] = closed_sd[rows[b]] * closed_sd[rows[b]]
    for t in range(emit.shape[0]):
        tells = False
        for b in range(LANES):
            u = rows[b]
            told[b], level[b], lift[b], value[b] = zero, one, zero, one
            if u >= 0 and miss[u, t] == 0 and nu[u, t] > closed[u, t]:
                level[b], value[b] = closed[u, t], q[u, t]
                lift[b] = nu[u, t] - closed[u, t]
                told[b] = one
                tells = True
        here = emit[t]
        if not tells:
            here[:] = one
            continue
        for k in range(STATES):
            g = grid[k]
            off = max(one - g, zero)
            off *= off
            above = zero if k == STATES - 1 else one
            below = half if k == 0 else one
            out = here[k]
            for b in range(LANES):
                mean = level[b] + lift[b] * g
                root = one / np.sqrt(noise[b] * mean * mean + off * doubt[b] + floor)
                gap = value[b] - mean
                gap *= (above if gap > zero else below) * root
                like = fast_exp(scale * min(gap * gap, CAP)) * np.sqrt(root)
                out[b] = told[b] * like + (one - told[b])


@numba.njit(inline="always", fastmath=True, error_model="numpy")
def _silence_odds(rows: Any, miss: Any, silence: Any, back: Any, odds: Any) -> None:
    """Fill `odds` (days, lanes): how much likelier silence or its end is of a closed company than an open one."""
    one = np.float32(1.0)
    heard, falls = (one - silence[0]) / (one - silence[1]), silence[0] / silence[1]
    again, stays = back[0] / back[1], (one - back[0]) / (one - back[1])
    for b in range(LANES):
        u, silent = rows[b], False
        for t in range(odds.shape[0]):
            odds[t, b] = one
            if u < 0:
                continue
            code = miss[u, t]
            if code == 0:
                odds[t, b] = again if silent else heard
                silent = False
            elif code == 1:
                odds[t, b] = stays if silent else falls
                silent = True
            elif code == 3:
                odds[t, b] = GONE
                silent = False


@numba.njit(inline="always", fastmath=True, error_model="numpy")
def _forward(
    emit: Any, odds: Any, opening: Any, closing: Any, enter: Any, start: Any, moving: Any, jump: Any, alpha: Any
) -> None:  # fmt: skip
    """Fill `alpha` (days, states, lanes): the chance of each state given all up to a day, up to a factor."""
    one = np.float32(1.0)
    keep = one - np.float32(2.0) * moving - jump
    mass, scale, none = np.zeros(LANES, np.float32), np.ones(LANES, np.float32), np.zeros(LANES, np.float32)
    for t in range(len(emit)):
        up, down = opening[t], closing[t]
        stay = one - down
        here, likes, odd = alpha[t], emit[t], odds[t]
        first, like = here[0], likes[0]
        if t == 0:
            for b in range(LANES):
                first[b] = start[0] * like[b] * odd[b]
                mass[b] = 0.0
            for k in range(1, STATES):
                made, like = here[k], likes[k]
                for b in range(LANES):
                    made[b] = start[k] * like[b]
                    mass[b] += made[b]
        else:
            before = alpha[t - 1]
            closed = before[0]
            for b in range(LANES):
                none[b] = closed[b] * scale[b]
                open_ = mass[b] * scale[b]
                first[b] = (none[b] * (one - up) + open_ * down) * like[b] * odd[b]
                none[b] = none[b] * up + open_ * stay * jump  # what enters a degree afresh
                mass[b] = 0.0
            for k in range(1, STATES):
                fraction = enter[k - 1]
                lower, upper, same = before[max(k - 1, 1)], before[min(k + 1, STATES - 1)], before[k]
                made, like = here[k], likes[k]
                for b in range(LANES):
                    inner = same[b] * keep + moving * (lower[b] + upper[b])
                    made[b] = (inner * stay * scale[b] + none[b] * fraction) * like[b]
                    mass[b] += made[b]
        for b in range(LANES):
            scale[b] = one / max(first[b] + mass[b], np.float32(1e-30))


@numba.njit(inline="always", fastmath=True, error_model="numpy")
def _step_back(
    emit: Any, odds: Any, before: Any, up: Any, down: Any, enter: Any, moving: Any, jump: Any, grid: Any,
    later: Any, seen: Any, into: Any, shut: Any, degree: Any, scale: Any,
) -> None:  # fmt: skip
    """Take `later` (states, lanes) a day back; times `scale` and with `before` it adds up to 1.

    `seen` receives later with the day's reading, `into` what opens and `shut` what is closed on the later day.
    """
    one = np.float32(1.0)
    keep, stay = one - np.float32(2.0) * moving - jump, one - down
    here, like, was = later[0], emit[0], before[0]
    for b in range(LANES):
        shut[b] = here[b] * like[b] * odds[b] * scale[b]
        into[b] = 0.0
        degree[b] = 0.0
    for k in range(1, STATES):
        out, here, like = seen[k], later[k], emit[k]
        share = enter[k - 1]
        for b in range(LANES):
            out[b] = here[b] * like[b] * scale[b]
            into[b] += share * out[b]
    here = later[0]
    for b in range(LANES):
        here[b] = (one - up) * shut[b] + up * into[b]
        scale[b] = was[b] * here[b]
    for k in range(1, STATES):
        lower, upper, same = seen[max(k - 1, 1)], seen[min(k + 1, STATES - 1)], seen[k]
        here, was = later[k], before[k]
        g = grid[k]
        for b in range(LANES):
            here[b] = (same[b] * keep + moving * (lower[b] + upper[b]) + jump * into[b]) * stay + down * shut[b]
            both = was[b] * here[b]
            scale[b] += both
            degree[b] += both * g
    for b in range(LANES):
        scale[b] = one / max(scale[b], np.float32(1e-30))
        degree[b] *= scale[b]


@numba.njit(inline="always", fastmath=True, error_model="numpy")
def _count(
    rows: Any, live: Any, before: Any, up: Any, down: Any, enter: Any, later: Any, seen: Any, into: Any, shut: Any,
    scale: Any, moves: Any, n_enter: Any,
) -> None:  # fmt: skip
    """Add the moves expected between two days: `moves` (4,) and `n_enter` (degrees,)."""
    first, none = later[0], before[0]
    was, opened, lost, open_ = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    for b in range(LANES):
        weight = live[b] * scale[b] * none[b]
        was += weight * first[b]
        opened += weight * up * into[b]
    for k in range(1, STATES):
        same, fresh, reading = before[k], later[k], seen[k]
        entering = np.float32(0.0)
        for b in range(LANES):
            weight = live[b] * scale[b]
            open_ += weight * same[b] * fresh[b]
            lost += weight * same[b] * down * shut[b]
            entering += weight * none[b] * reading[b]
        n_enter[k - 1] += entering * up * enter[k - 1]
    moves[0] += was
    moves[1] += opened
    moves[2] += open_
    moves[3] += lost


@numba.njit(inline="always", fastmath=True, error_model="numpy")
def _count_silence(rows: Any, miss: Any, t: int, closed: Any, n_silence: Any) -> None:
    """Add who fell silent and who was heard again on a day, by the chance of being closed."""
    for b in range(LANES):
        u = rows[b]
        if u >= 0 and miss[u, t] < 2 and miss[u, t - 1] < 2:
            column = 0 if miss[u, t - 1] == 0 else 2
            event = 1.0 if miss[u, t] != miss[u, t - 1] else 0.0
            n_silence[0, column] += closed[b] * event
            n_silence[0, column + 1] += closed[b]
            n_silence[1, column] += (1.0 - closed[b]) * event
            n_silence[1, column + 1] += 1.0 - closed[b]


@numba.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def smooth(
    blocks: Any, block_group: Any, q: Any, nu: Any, miss: Any, closed: Any, closed_sd: Any, sigma: Any,
    weight: Any, opening: Any, closing: Any, enter: Any, start: Any, moving: Any, jump: Any, silence: Any,
    back: Any, grid: Any, emit: Any, ready: Any, counting: Any, out: Any, moves: Any, n_enter: Any, n_start: Any,
    n_silence: Any,
) -> None:  # fmt: skip
    """Fill `out` with posterior means, or add expected moves to the counts.

    Parameters
    ----------
    blocks, block_group
        Row numbers, `LANES` a block, all of one group; -1 is an empty lane. The block's group.
    emit
        (blocks or 1, days, states, lanes): room for how likely readings are. With one entry a block it is kept
        for the next call, which says `ready`: it does not depend on the rates.
    counting
        Add to `moves` (4, groups, days; closed, opened, open and shut), `n_enter`, `n_start` and `n_silence`;
        else fill `out`.
    out
        Dark, faint, near and degree, (companies, days) each. They may stand where `q`, `nu` and `closed` did: a
        block's evidence is read before its means are written.

    Notes
    -----
    State 0 is closed, states 1 … K are open at ``grid[k]``. A reading ``q`` in state ``k`` is normal around
    ``b + max(nu - b, 0) grid[k]`` with ``b`` the closed-day level: on a day on which the company would be
    closed anyway (``nu <= b``) all states say the same, so that a Sunday tells nothing and moves nothing.
    An open company moves to a neighbouring degree (`moving`, each way) or to any (`jump`, by `enter`): without
    the latter, who comes back from a weekend at half its use would seem to have closed and opened again.
    Silence is a two-state chain whose rates depend on open or closed.
    """
    days = q.shape[1]
    dark, faint, near, mean = out
    alpha, odds = np.empty((days, STATES, LANES), np.float32), np.empty((days, LANES), np.float32)
    later, seen = np.empty((STATES, LANES), np.float32), np.empty((STATES, LANES), np.float32)
    into, shut, degree = np.empty(LANES, np.float32), np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    scale, live = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    for block in range(len(blocks)):
        rows, g = blocks[block], block_group[block]
        here = emit[block if len(emit) > 1 else 0]
        for b in range(LANES):
            live[b] = 1.0 if rows[b] >= 0 else 0.0
        if not ready:
            emissions(rows, q, nu, miss, closed, closed_sd, sigma, weight, grid, here)
        _silence_odds(rows, miss, silence, back, odds)
        _forward(here, odds, opening[g], closing[g], enter, start, moving, jump, alpha)
        for t in range(days - 1, -1, -1):
            if t == days - 1:
                for b in range(LANES):
                    scale[b] = 0.0
                    degree[b] = 0.0
                for k in range(STATES):
                    for b in range(LANES):
                        later[k, b] = 1.0
                        scale[b] += alpha[t, k, b]
                        degree[b] += alpha[t, k, b] * grid[k]
                for b in range(LANES):
                    scale[b] = np.float32(1.0) / max(scale[b], np.float32(1e-30))
                    degree[b] *= scale[b]
            else:
                up, down = opening[g, t + 1], closing[g, t + 1]
                _step_back(
                    here[t + 1], odds[t + 1], alpha[t], up, down, enter, moving, jump, grid, later, seen, into,
                    shut, degree, scale,
                )  # fmt: skip
                if counting:
                    _count(
                        rows, live, alpha[t], up, down, enter, later, seen, into, shut, scale,
                        moves[:, g, t + 1], n_enter,
                    )  # fmt: skip
            if counting:
                if t > 0:
                    for b in range(LANES):
                        shut[b] = alpha[t, 0, b] * later[0, b] * scale[b]
                    _count_silence(rows, miss, t, shut, n_silence)
                continue
            for b in range(LANES):
                u = rows[b]
                if u >= 0:
                    dark[u, t] = alpha[t, 0, b] * later[0, b] * scale[b]
                    faint[u, t] = (alpha[t, 1, b] * later[1, b] + alpha[t, 2, b] * later[2, b]) * scale[b]
                    near[u, t] = alpha[t, 3, b] * later[3, b] * scale[b]
                    mean[u, t] = degree[b]
        if counting:
            for k in range(STATES):
                for b in range(LANES):
                    n_start[k] += live[b] * alpha[0, k, b] * later[k, b] * scale[b]
