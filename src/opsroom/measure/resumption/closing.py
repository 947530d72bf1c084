"""The closed-day level as it is now: corrected by days off and by flat weeks since."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from opsroom.measure.resumption.readings import F32, Bools

BLOCK = 14
"""The level may move once a fortnight."""

REACH = 14
"""Days off within so many days to either side of a fortnight show the level."""

PRIOR_DAYS = 3.0
NEAR = 0.04
"""A day on which normal use exceeds the closed-day level by less than this shows that level."""

WEEK = 7
SEEN_OF_WEEK = 5
TELLING = 0.15
"""A week tells a slope if the slope's standard error is below this."""

CARETAKER = 0.08
"""A slope of use on normal use that a closed company's caretaker may cause."""

DROPPED = 0.85
"""Without a slope to go by, a week has to be so quiet to count as closed."""

VAGUE = 0.08
"""Uncertainty of a level that was taken from a quiet week without a slope to go by."""

FAR = 1.35
"""Flat use so many times the assumed closed-day level is something else."""

LOWEST, HIGHEST = 0.003, 0.98


def closed_now(
    q: F32, nu: F32, closed: F32, closed_sd: F32, sigma: F32, trusted: Bools, *, since: int
) -> tuple[F32, F32]:
    """Return the closed-day level by day, and its uncertainty.

    Parameters
    ----------
    q, nu
        Use and normal use relative to a workday, (companies, days); NaN in `q` where unknown.
    closed, closed_sd, sigma
        Closed-day level from before the shock, its uncertainty, and a day's relative error, (companies,).
    trusted
        True where that level was seen on several kinds of closed days.
    since
        First column in which a company may be closed for the shock.

    Notes
    -----
    Three readings, each of which moves the level:

    1. On a Sunday a company that is closed on Sundays shows its closed-day level, whether or not it was open
       on Friday: the level follows the ratio of such days to expectation, a fortnight at a time, pulled to 1
       by three days' worth.
    2. The quietest week since the shock, if use had no slope on normal use over its days: no slope, no work,
       whatever the level. Without differences between its normal days a company must have been far quieter.
    3. Any four weeks without a slope: their mean is the level, if not far from what was assumed.
    """
    n, days = q.shape
    out = np.empty((n, days), dtype=np.float32)
    sd = np.empty(n, dtype=np.float32)
    _follow(q, nu, closed, closed_sd, sigma, trusted, since, out, sd)
    return out, sd


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _follow(
    q: Any, nu: Any, closed: Any, closed_sd: Any, sigma: Any, trusted: Any, since: int, out: Any, sd: Any
) -> None:
    """Fill `out` (companies, days) and `sd` (companies,), company by company."""
    n, days = q.shape
    ratio, shows = np.zeros(days), np.zeros(days)
    for u in range(n):
        base = closed[u]
        sd[u] = max(closed_sd[u], 1e-4)
        if trusted[u]:
            for t in range(days):
                shows[t] = 1.0 if np.isfinite(q[u, t]) and nu[u, t] <= base + NEAR else 0.0
                ratio[t] = min(max(q[u, t] / max(nu[u, t], 1e-3), 0.3), 2.0) if shows[t] > 0.0 else 0.0
        for start in range(0, days, BLOCK):
            total, count = 0.0, 0.0
            if trusted[u]:
                for t in range(max(start - REACH, 0), min(start + BLOCK + REACH, days)):
                    total += ratio[t]
                    count += shows[t]
            move = (total + PRIOR_DAYS) / (count + PRIOR_DAYS)
            for t in range(start, min(start + BLOCK, days)):
                out[u, t] = base * move
        level, kind = _quietest_week(q[u], nu[u], sigma[u], since)
        flat, plain = kind == 1, kind == 2
        if trusted[u]:
            shown = flat and level < base - max(2 * closed_sd[u], 3 * sigma[u] * base)
        else:
            shown = flat or (plain and level < DROPPED)
        if shown:
            for t in range(days):
                out[u, t] = level
            noise = sigma[u] * level / np.sqrt(SEEN_OF_WEEK)
            sd[u] = max(noise, 1e-4) if flat else max(noise, VAGUE)
        _flat_weeks(q[u], nu[u], sigma[u], since, out[u])
        for t in range(days):
            out[u, t] = min(max(out[u, t], LOWEST), HIGHEST)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _quietest_week(q: Any, nu: Any, sigma: float, since: int) -> tuple[float, int]:
    """Return the level of the quietest week and whether it was flat (1), told nothing (2) or worked (0)."""
    days = len(q)
    best, at = np.inf, -1
    total, count = 0.0, 0
    for t in range(since, days):
        if np.isfinite(q[t]):
            total += q[t]
            count += 1
        if t - WEEK >= since and np.isfinite(q[t - WEEK]):
            total -= q[t - WEEK]
            count -= 1
        if t - since >= WEEK - 1 and count >= SEEN_OF_WEEK and total / count < best:
            best, at = total / count, t - WEEK + 1
    if at < 0:
        return 1.0, 0
    slope, spread = _slope(q, nu, at, at + WEEK)
    error = sigma * best / np.sqrt(max(spread, 1e-6))
    level = best * (1 + sigma / np.sqrt(SEEN_OF_WEEK))
    if error >= TELLING:
        return level, 2
    return level, 1 if slope < CARETAKER + 2 * error else 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _slope(q: Any, nu: Any, low: int, high: int) -> tuple[float, float]:
    """Return the slope of use on normal use over the days known, and normal use's sum of squares."""
    count, total, usual = 0, 0.0, 0.0
    for t in range(low, high):
        if np.isfinite(q[t]):
            count += 1
            total += q[t]
            usual += nu[t]
    if count == 0:
        return 0.0, 0.0
    cross, spread = 0.0, 0.0
    for t in range(low, high):
        if np.isfinite(q[t]):
            cross += (q[t] - total / count) * (nu[t] - usual / count)
            spread += (nu[t] - usual / count) ** 2
    return cross / max(spread, 1e-6), spread


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _flat_weeks(q: Any, nu: Any, sigma: float, since: int, level: Any) -> None:
    """Move `level` to the mean of flat use, over four weeks around each fortnight from `since` on."""
    days = len(q)
    for start in range(since, days, BLOCK):
        low, high = max(start - REACH // 2, since), min(start + BLOCK + REACH // 2, days)
        count, total = 0, 0.0
        for t in range(low, high):
            if np.isfinite(q[t]):
                count += 1
                total += q[t]
        if count < 10:
            continue
        slope, spread = _slope(q, nu, low, high)
        mean = total / count
        error = sigma * mean / np.sqrt(max(spread, 1e-6))
        move = mean / level[start]
        if error < TELLING / 2 and slope < CARETAKER / 2 + 2 * error and 1 / FAR < move < FAR:
            gain = 1 + (move - 1) * count / (count + PRIOR_DAYS)
            for t in range(start, min(start + BLOCK, days)):
                level[t] *= gain
