"""The closed-day level as it is now: corrected by weekends and by the quietest week since."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.resumption.readings import F32, Bools, Ints

BLOCK = 14
REACH = 14
"""The level is taken from closed days within so many days to either side of a fortnight."""

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

FAR = 1.35
"""Flat use so many times the assumed closed-day level is something else."""


def closed_now(
    q: F32, nu: F32, closed: F32, closed_sd: F32, sigma: F32, trusted: Bools, *, since: int
) -> tuple[F32, F32]:
    """Return the closed-day level by day, and its uncertainty.

    Parameters
    ----------
    q, nu
        Use and normal use relative to a workday, (companies, days); NaN in `q` where unknown.
    closed, closed_sd, sigma
        Closed-day level from before the shock, its uncertainty, and a day's relative error.
    trusted
        True where that level was seen on several kinds of closed days.
    since
        First column in which a company may be closed for the shock.

    Notes
    -----
    On a Sunday a company that is closed on Sundays shows its closed-day level, whether or not it was open
    on Friday: the level follows the ratio of such days to expectation, a fortnight at a time, pulled to 1 by
    three days' worth. A company that works on all days shows it only when it is closed: if a week since the
    shock was both far quieter than the level that was assumed and flat, that week is the level.
    """
    n, days = q.shape
    out = np.repeat(closed[:, None], days, axis=1)
    shows = np.isfinite(q) & (nu <= closed[:, None] + NEAR) & trusted[:, None]
    ratio = np.where(shows, np.clip(q / np.maximum(nu, 1e-3), 0.3, 2.0), 0).astype(np.float32)
    sums = np.concatenate([np.zeros((n, 1), np.float32), np.cumsum(ratio, axis=1)], axis=1)
    counts = np.concatenate(
        [np.zeros((n, 1), np.float32), np.cumsum(shows, axis=1, dtype=np.float32)], axis=1
    )
    for start in range(0, days, BLOCK):
        low, high = max(start - REACH, 0), min(start + BLOCK + REACH, days)
        total, count = sums[:, high] - sums[:, low], counts[:, high] - counts[:, low]
        move = (total + PRIOR_DAYS) / (count + PRIOR_DAYS)
        out[:, start : start + BLOCK] *= move[:, None]
    week = _quietest_week(q[:, since:], nu[:, since:], sigma)
    lower = week.flat & (week.level < closed - np.maximum(2 * closed_sd, 3 * sigma * closed))
    shown = np.where(trusted, lower, week.flat | (week.plain & (week.level < DROPPED)))
    out[shown] = week.level[shown, None]
    noise = sigma * week.level / np.sqrt(SEEN_OF_WEEK)
    noise = np.where(week.flat, noise, np.maximum(noise, VAGUE))
    sd = np.where(shown, noise, closed_sd).astype(np.float32)
    out[:, since:] = _followed(q[:, since:], nu[:, since:], out[:, since:], sigma)
    return np.clip(out, 0.003, 0.98).astype(np.float32), np.clip(sd, 1e-4, None)


def _followed(q: F32, nu: F32, closed: F32, sigma: F32) -> F32:
    """Return the closed-day level moved to where flat use has moved.

    Over four weeks around each fortnight use is regressed on normal use. Where there is no slope the company
    was closed, so that its mean is its closed-day level, if not far from what was assumed.
    """
    n, days = q.shape
    known = np.isfinite(q)
    value = np.where(known, q, 0)
    usual = np.where(known, nu, 0)
    sums = [
        np.concatenate([np.zeros((n, 1), np.float32), np.cumsum(x, axis=1, dtype=np.float32)], axis=1)
        for x in (known, value, usual, usual * usual, usual * value)
    ]
    out = closed.copy()
    for start in range(0, days, BLOCK):
        low, high = max(start - REACH // 2, 0), min(start + BLOCK + REACH // 2, days)
        count, total, normal, square, cross = (x[:, high] - x[:, low] for x in sums)
        size = np.maximum(count, 1)
        spread = square - normal * normal / size
        slope = (cross - total * normal / size) / np.maximum(spread, 1e-6)
        mean = total / size
        error = sigma * mean / np.sqrt(np.maximum(spread, 1e-6))
        move = mean / closed[:, min(start, days - 1)]
        flat = (count >= 10) & (error < TELLING / 2) & (slope < CARETAKER / 2 + 2 * error)
        flat &= (move > 1 / FAR) & (move < FAR)
        gain = np.where(flat, 1 + (move - 1) * count / (count + PRIOR_DAYS), 1)
        out[:, start : start + BLOCK] *= gain[:, None].astype(np.float32)
    return out


@dataclass(frozen=True, slots=True)
class _Week:
    """The quietest week: its level, whether it was flat although a normal week is not, whether none is."""

    level: F32
    flat: Bools
    plain: Bools


def _quietest_week(q: F32, nu: F32, sigma: F32) -> _Week:
    """Find each company's quietest week and look at its shape.

    The slope of use on normal use over the days of the week is the degree of opening, whatever the
    closed-day level is: no slope, no work.
    """
    n, days = q.shape
    if days < WEEK:
        return _Week(np.ones(n, dtype=np.float32), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool))
    seen = np.isfinite(q)
    one = np.zeros((n, 1), np.float32)
    count = _moving(np.concatenate([one, np.cumsum(seen, axis=1, dtype=np.float32)], axis=1))
    total = _moving(np.concatenate([one, np.cumsum(np.where(seen, q, 0), axis=1)], axis=1))
    mean = np.where(count >= SEEN_OF_WEEK, total / np.maximum(count, 1), np.inf)
    at: Ints = mean.argmin(axis=1)
    level = mean[np.arange(n), at]
    found = np.isfinite(level)
    level = np.where(found, level, 1).astype(np.float32)
    columns = at[:, None] + np.arange(WEEK)[None, :]
    week, usual = np.take_along_axis(q, columns, axis=1), np.take_along_axis(nu, columns, axis=1)
    known = np.isfinite(week)
    centred = np.where(known, usual - _mean(usual, known), 0)
    spread = (centred**2).sum(axis=1)
    slope = (centred * np.where(known, week, 0)).sum(axis=1) / np.maximum(spread, 1e-6)
    error = sigma * level / np.sqrt(np.maximum(spread, 1e-6))
    varied = error < TELLING
    flat = found & varied & (slope < CARETAKER + 2 * error)
    level = level * (1 + sigma / np.sqrt(SEEN_OF_WEEK))
    return _Week(level.astype(np.float32), flat, found & ~varied)


def _mean(values: F32, known: Bools) -> F32:
    total = np.where(known, values, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.asarray(total[:, None], dtype=np.float32)


def _moving(total: F32) -> F32:
    """Return sums over windows of a week from cumulative sums."""
    return total[:, WEEK:] - total[:, :-WEEK]
