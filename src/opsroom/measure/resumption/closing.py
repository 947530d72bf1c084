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
    """Fill `out` (companies, days) and `sd` (companies,), company by company.

    The days with a reading are set side by side first, so that sums over a span of days run without asking.
    """
    n, days = q.shape
    known, rank = np.zeros(days, np.bool_), np.zeros(days + 1, np.int64)
    use, usual = np.zeros(days), np.zeros(days)
    ratio, shows = np.zeros(days), np.zeros(days + 1, np.int64)
    for u in range(n):
        count = 0
        for t in range(days):
            known[t] = np.isfinite(q[u, t])
            use[count], usual[count] = q[u, t], nu[u, t]
            count += known[t]
            rank[t + 1] = count
        base = closed[u]
        sd[u] = max(closed_sd[u], 1e-4)
        if trusted[u]:
            shown_days = 0
            for t in range(days):
                if known[t] and nu[u, t] <= base + NEAR:
                    ratio[shown_days] = min(max(q[u, t] / max(nu[u, t], 1e-3), 0.3), 2.0)
                    shown_days += 1
                shows[t + 1] = shown_days
        for start in range(0, days, BLOCK):
            total, first, last = 0.0, 0, 0
            if trusted[u]:
                first, last = shows[max(start - REACH, 0)], shows[min(start + BLOCK + REACH, days)]
                for i in range(first, last):
                    total += ratio[i]
            move = (total + PRIOR_DAYS) / (last - first + PRIOR_DAYS)
            for t in range(start, min(start + BLOCK, days)):
                out[u, t] = base * move
        level, kind = _quietest_week(q[u], known, use, usual, rank, sigma[u], since)
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
        _flat_weeks(use, usual, rank, sigma[u], since, out[u])
        for t in range(days):
            out[u, t] = min(max(out[u, t], LOWEST), HIGHEST)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _quietest_week(q: Any, known: Any, use: Any, usual: Any, rank: Any, sigma: float, since: int) -> tuple[float, int]:
    """Return the level of the quietest week and whether it was flat (1), told nothing (2) or worked (0)."""
    days = len(q)
    best, at = np.inf, -1
    total = 0.0
    for t in range(since, days):
        if known[t]:
            total += q[t]
        if t - WEEK >= since and known[t - WEEK]:
            total -= q[t - WEEK]
        count = rank[t + 1] - rank[max(t + 1 - WEEK, since)]
        if t - since >= WEEK - 1 and count >= SEEN_OF_WEEK and total / count < best:
            best, at = total / count, t - WEEK + 1
    if at < 0:
        return 1.0, 0
    slope, spread, _ = _slope(use, usual, rank[at], rank[at + WEEK])
    error = sigma * best / np.sqrt(max(spread, 1e-6))
    level = best * (1 + sigma / np.sqrt(SEEN_OF_WEEK))
    if error >= TELLING:
        return level, 2
    return level, 1 if slope < CARETAKER + 2 * error else 0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _slope(use: Any, usual: Any, low: int, high: int) -> tuple[float, float, float]:
    """Return the slope of use on normal use, normal use's sum of squares, and mean use over days with a reading."""
    if high <= low:
        return 0.0, 0.0, 0.0
    total, normal = 0.0, 0.0
    for i in range(low, high):
        total += use[i]
        normal += usual[i]
    mean, typical = total / (high - low), normal / (high - low)
    cross, spread = 0.0, 0.0
    for i in range(low, high):
        cross += (use[i] - mean) * (usual[i] - typical)
        spread += (usual[i] - typical) ** 2
    return cross / max(spread, 1e-6), spread, mean


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _flat_weeks(use: Any, usual: Any, rank: Any, sigma: float, since: int, level: Any) -> None:
    """Move `level` to the mean of flat use, over four weeks around each fortnight from `since` on."""
    days = len(level)
    for start in range(since, days, BLOCK):
        low, high = max(start - REACH // 2, since), min(start + BLOCK + REACH // 2, days)
        count = rank[high] - rank[low]
        if count < 10:
            continue
        slope, spread, mean = _slope(use, usual, rank[low], rank[high])
        error = sigma * mean / np.sqrt(max(spread, 1e-6))
        move = mean / level[start]
        if error < TELLING / 2 and slope < CARETAKER / 2 + 2 * error and 1 / FAR < move < FAR:
            gain = 1 + (move - 1) * count / (count + PRIOR_DAYS)
            for t in range(start, min(start + BLOCK, days)):
                level[t] *= gain
