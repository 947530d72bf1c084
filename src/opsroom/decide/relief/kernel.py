"""The cash recursion: companies × draws × months × options, in exact integers.

Operating cash flow does not depend on the option, so cumulated liquidity before loan service, X, is computed
once a company, and an option only sets the cumulated dues D that X must not fall below: a company has run
out in the first month with X < D. Everything is int64 (money in minor units, shares in 2⁻²⁰), so the
compiled recursion, its NumPy twin and any other machine agree to the last bit, and sums do not depend on
their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
import numpy.typing as npt

from opsroom.base.errors import DataError

Ints = npt.NDArray[np.int64]
Months = npt.NDArray[np.int8]

SHIFT = 20
ONE = 1 << SHIFT
"""The share 1 in fixed point."""
LIMIT = 1 << 42
"""Above a quarter of this, minor units, a monthly amount of a company would make a product overflow."""

_GOLDEN = 0x9E3779B97F4A7C15
_MIX1 = 0xBF58476D1CE4E5B9
_MIX2 = 0x94D049BB133111EB
_CENTRE = 131_070
NOISE_SD = 37_837.227
"""Standard deviation of the sum of four even 16-bit numbers, 65536 / √3."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What the recursion needs; n companies, S sections, T months, d draws, o options.

    Attributes
    ----------
    liquid
        Cash and undrawn credit at the start, as expected, (n,).
    rolled
        Operating flow between the accounts' date and the start, as expected, before any cushion, (n,).
    rolled_gap
        What of it hangs on lost activity: what it falls by if losses double, (n,).
    lost
        How far losses lie from what is expected, share of them by draw, fixed point, (d,).
    kept
        Expected share of a negative flow that drains liquidity: what `liquid` rests on.
    margin
        Monthly sales less materials at normal activity, (n,).
    moving
        Monthly outgoings at normal activity that move with it, (n,).
    outgo
        Monthly outgoings that do not, without loan service, (n,).
    gap, gap_before
        Share of normal sales missing at the start and in the month before, fixed point, (n,); negative where
        sales are above normal.
    lag
        Share of the margin that is received a month later, fixed point.
    keep
        Share of a negative operating flow that is really paid, fixed point, by draw, (d,): how much of a
        shortfall drains liquidity is common to all companies, and not known exactly.
    section
        Row of `path`, (n,).
    key
        Seed of the company's own deviations, (n,) uint64: from its id, not from its row.
    path
        Share of the gap still open, fixed point, (S, T, d).
    noise
        Own deviation per unit of the raw noise, in 2⁻⁴⁰.
    dues
        Cumulated loan service by option, (o, n, T).
    tax_share
        Share of tax in `outgo`, fixed point, (n,).
    """

    liquid: Ints
    rolled: Ints
    rolled_gap: Ints
    lost: Ints
    kept: int
    margin: Ints
    moving: Ints
    outgo: Ints
    gap: Ints
    gap_before: Ints
    lag: int
    keep: Ints
    section: Ints
    key: npt.NDArray[np.uint64]
    path: Ints
    noise: int
    dues: Ints
    tax_share: Ints

    def check(self) -> None:
        """Refuse amounts that would overflow.

        Raises
        ------
        DataError
            If a company's monthly amount exceeds the limit.
        """
        monthly = max(
            int(np.abs(a).max(initial=0)) for a in (self.margin, self.moving, self.outgo, self.rolled, self.rolled_gap)
        )
        stocks = max(int(np.abs(a).max(initial=0)) for a in (self.liquid, self.dues))
        if monthly >= LIMIT // 4 or stocks >= LIMIT * 64:
            raise DataError(
                "an amount of a company is too large for minor units.",
                remedy="Check the currency scale of the dataset.",
                code="OPS-D071",
            )

    def rows(self, index: Ints) -> Problem:
        """Return the problem of some companies only."""
        return Problem(
            self.liquid[index],
            self.rolled[index],
            self.rolled_gap[index],
            self.lost,
            self.kept,
            self.margin[index],
            self.moving[index],
            self.outgo[index],
            self.gap[index],
            self.gap_before[index],
            self.lag,
            self.keep,
            self.section[index],
            self.key[index],
            self.path,
            self.noise,
            np.ascontiguousarray(self.dues[:, index]),
            self.tax_share[index],
        )


def noise_scale(sd: float) -> int:
    """Return the fixed-point factor that turns the raw noise into deviations of standard deviation `sd`."""
    return round(sd * ONE / NOISE_SD * ONE)


def keys(ids: Ints, seed: int) -> npt.NDArray[np.uint64]:
    """Return one key a company from its id and the seed."""
    return _mix_array(ids.astype(np.uint64) ^ _mix_array(np.array([seed], dtype=np.uint64) + np.uint64(_GOLDEN)))


@dataclass(frozen=True, slots=True)
class Shortfalls:
    """When companies run out, and which bills other than loan service then stay unpaid.

    Attributes
    ----------
    months
        int8 of shape (options, companies, draws): the month (0-based) in which cash and undrawn credit first
        do not suffice; the horizon T where they always do.
    unpaid
        int64 of shape (2, options, companies): tax, and other bills, summed over draws. What is missing, up
        to the month's outgoings, is shared between them in proportion.
    unpaid_by_draw
        int64 of shape (2, options, draws): the same summed over companies.
    """

    months: Months
    unpaid: Ints
    unpaid_by_draw: Ints


def first_shortfall(problem: Problem) -> Shortfalls:
    """Return when each company runs out under each draw and option, and what it then cannot pay.

    Parameters
    ----------
    problem
        Companies, draws and options.

    Returns
    -------
    Shortfalls
        By option, company and draw.
    """
    problem.check()
    p = problem
    steady = (p.margin, p.moving, p.outgo, p.gap, p.gap_before, p.lag)
    begun = (p.liquid, p.rolled, p.rolled_gap, p.lost, p.kept)
    return Shortfalls(*_recursion(begun, steady, p.keep, p.section, p.key, p.path, p.noise, p.dues, p.tax_share))


@nb.njit(cache=True)
def _begin(
    begun: tuple[Ints, Ints, Ints, Ints, int], i: int, keep: Ints, start: Ints
) -> None:  # pragma: no cover - compiled
    """Fill start[d]: cash and undrawn credit at the start, given what is drawn of the time since the accounts."""
    liquid, rolled, rolled_gap, lost, kept = begun
    expected = rolled[i] if rolled[i] >= 0 else (rolled[i] * kept) >> SHIFT
    for d in range(len(start)):
        flow = rolled[i] - ((rolled_gap[i] * lost[d]) >> SHIFT)
        start[d] = liquid[i] - expected + (flow if flow >= 0 else (flow * keep[d]) >> SHIFT)


@nb.njit(cache=True)
def _deviations(key: int, noise: int, deviation: Ints) -> None:  # pragma: no cover - compiled
    """Fill deviation[d]: how far the company's activity lies from its section's, fixed point."""
    for d in range(len(deviation)):
        h = np.uint64(key) + np.uint64(d + 1) * np.uint64(_GOLDEN)
        h = (h ^ (h >> np.uint64(30))) * np.uint64(_MIX1)
        h = (h ^ (h >> np.uint64(27))) * np.uint64(_MIX2)
        h = h ^ (h >> np.uint64(31))
        mask = np.uint64(0xFFFF)
        raw = (
            np.int64(h & mask)
            + np.int64((h >> np.uint64(16)) & mask)
            + np.int64((h >> np.uint64(32)) & mask)
            + np.int64(h >> np.uint64(48))
        )
        deviation[d] = ((raw - _CENTRE) * noise) >> SHIFT


@nb.njit(cache=True)
def _liquidity(
    start: Ints,
    company: tuple[int, int, int, int, int, int],
    keep: Ints,
    path: Ints,
    deviation: Ints,
    x: Ints,
) -> None:  # pragma: no cover - compiled
    """Fill x[t, d]: cash and undrawn credit before any loan service, at the end of month t."""
    horizon, draws = x.shape
    margin, moving, outgo, gap, gap_before, lag = company
    for t in range(horizon):
        for d in range(draws):
            activity = min(max(ONE - ((gap * path[t, d]) >> SHIFT) + deviation[d], 0), 2 * ONE)
            if t > 0:
                then = min(max(ONE - ((gap * path[t - 1, d]) >> SHIFT) + deviation[d], 0), 2 * ONE)
                before = x[t - 1, d]
            else:
                then = min(max(ONE - gap_before, 0), 2 * ONE)
                before = start[d]
            paid = activity + (((then - activity) * lag) >> SHIFT)
            flow = ((margin * paid) >> SHIFT) - ((moving * activity) >> SHIFT) - outgo
            x[t, d] = before + (flow if flow >= 0 else (flow * keep[d]) >> SHIFT)


@nb.njit(cache=True)
def _never_short(
    start: int,
    company: tuple[int, int, int, int, int, int],
    most_kept: int,
    reach: Ints,
    luck: tuple[int, int],
    most_due: Ints,
) -> bool:  # pragma: no cover - compiled
    """Say whether a company surely pays its dues in every draw, by bounds on activity that hold in all of them.

    Most companies never run out, and for them the draws need not be gone through. `start` is the least liquidity of
    any draw, `reach` the lowest and highest path by month, `luck` the lowest and highest deviation. Cash flow is,
    up to rounding, linear in the month's activity and rises with that of the month before, so it is least at an end
    of the range; what rounding may take is taken off. True is certain, False is not.
    """
    margin, moving, outgo, gap, gap_before, lag = company
    if start < 0 or margin < 0 or moving < 0 or not 0 <= lag <= ONE:
        return False
    slack = (margin >> SHIFT) + 4
    then = min(max(ONE - gap_before, 0), 2 * ONE)
    x = start
    for t in range(len(most_due)):
        ends = ((gap * reach[0, t]) >> SHIFT, (gap * reach[1, t]) >> SHIFT)
        low = min(max(ONE - max(ends[0], ends[1]) + luck[0], 0), 2 * ONE)
        high = min(max(ONE - min(ends[0], ends[1]) + luck[1], 0), 2 * ONE)
        paid = low + (((then - low) * lag) >> SHIFT)
        flow = ((margin * paid) >> SHIFT) - ((moving * low) >> SHIFT)
        paid = high + (((then - high) * lag) >> SHIFT)
        flow = min(flow, ((margin * paid) >> SHIFT) - ((moving * high) >> SHIFT)) - outgo - slack
        x += flow if flow >= 0 else (flow * most_kept) >> SHIFT
        if x < most_due[t]:
            return False
        then = low
    return True


@nb.njit(cache=True)
def _reach_of(path: Ints) -> Ints:  # pragma: no cover - compiled
    """Return the lowest and the highest path over draws, (sections, 2, months)."""
    sections, horizon, _ = path.shape
    reach = np.empty((sections, 2, horizon), dtype=np.int64)
    for s in range(sections):
        for t in range(horizon):
            reach[s, 0, t], reach[s, 1, t] = path[s, t].min(), path[s, t].max()
    return reach


@nb.njit(cache=True)
def _recursion(
    begun: tuple[Ints, Ints, Ints, Ints, int],
    steady: tuple[Ints, Ints, Ints, Ints, Ints, int],
    keep: Ints,
    section: Ints,
    key: npt.NDArray[np.uint64],
    path: Ints,
    noise: int,
    dues: Ints,
    tax_share: Ints,
) -> tuple[Months, Ints, Ints]:  # pragma: no cover - compiled
    margin, moving, outgo, gap, gap_before, lag = steady
    options, n, horizon = dues.shape
    draws = path.shape[2]
    months = np.full((options, n, draws), horizon, dtype=np.int8)
    unpaid = np.zeros((2, options, n), dtype=np.int64)
    by_draw = np.zeros((2, options, draws), dtype=np.int64)
    x = np.empty((horizon, draws), dtype=np.int64)
    deviation = np.empty(draws, dtype=np.int64)
    lowest, most_due = np.empty(horizon, dtype=np.int64), np.empty(horizon, dtype=np.int64)
    start = np.empty(draws, dtype=np.int64)
    reach = _reach_of(path)
    most_kept = keep.max()
    widest = ((-_CENTRE * noise) >> SHIFT, (_CENTRE * noise) >> SHIFT)
    for i in range(n):
        _begin(begun, i, keep, start)
        company = (margin[i], moving[i], outgo[i], gap[i], gap_before[i], lag)
        most_due[:] = dues[0, i]
        for o in range(1, options):
            for t in range(horizon):
                most_due[t] = max(most_due[t], dues[o, i, t])
        least = start.min()
        if _never_short(least, company, most_kept, reach[section[i]], widest, most_due):
            continue
        _deviations(key[i], noise, deviation)
        luck = (deviation.min(), deviation.max())
        if _never_short(least, company, most_kept, reach[section[i]], luck, most_due):
            continue
        _liquidity(start, company, keep, path[section[i]], deviation, x)
        for d in range(draws):
            if start[d] < 0:
                x[0, d] = start[d]  # out before the first month: out in it under every option
        for t in range(horizon):
            low = x[t, 0]
            for d in range(1, draws):
                low = min(low, x[t, d])
            lowest[t] = low
        for o in range(options):
            safe = True
            for t in range(horizon):
                safe = safe and lowest[t] >= dues[o, i, t]
            if safe:
                continue
            # backwards, so that the earliest month is what remains: a plain loop that vectorises
            for t in range(horizon - 1, -1, -1):
                due = dues[o, i, t]
                if lowest[t] >= due:
                    continue
                for d in range(draws):
                    if x[t, d] < due:
                        months[o, i, d] = t
            for d in range(draws):
                m = months[o, i, d]
                if m < horizon:
                    due = dues[o, i, m] if start[d] >= 0 else 0
                    missing = min(due - x[m, d], outgo[i])
                    tax = (missing * tax_share[i]) >> SHIFT
                    unpaid[0, o, i] += tax
                    unpaid[1, o, i] += missing - tax
                    by_draw[0, o, d] += tax
                    by_draw[1, o, d] += missing - tax
    return months, unpaid, by_draw


def compiled_paths(problem: Problem) -> tuple[Ints, Ints]:
    """Return liquidity before loan service, (companies, months, draws), and at the start, (companies, draws)."""
    p = problem
    problem.check()
    steady = (p.margin, p.moving, p.outgo, p.gap, p.gap_before, p.lag)
    begun = (p.liquid, p.rolled, p.rolled_gap, p.lost, p.kept)
    x, start = _paths(begun, steady, p.keep, p.section, p.key, p.path, p.noise)
    return np.asarray(x), np.asarray(start)


@nb.njit(cache=True)
def _paths(
    begun: tuple[Ints, Ints, Ints, Ints, int],
    steady: tuple[Ints, Ints, Ints, Ints, Ints, int],
    keep: Ints,
    section: Ints,
    key: npt.NDArray[np.uint64],
    path: Ints,
    noise: int,
) -> tuple[Ints, Ints]:  # pragma: no cover - compiled
    margin, moving, outgo, gap, gap_before, lag = steady
    x = np.empty((len(margin), path.shape[1], path.shape[2]), dtype=np.int64)
    start = np.empty((len(margin), path.shape[2]), dtype=np.int64)
    deviation = np.empty(path.shape[2], dtype=np.int64)
    for i in range(len(margin)):
        _begin(begun, i, keep, start[i])
        company = (margin[i], moving[i], outgo[i], gap[i], gap_before[i], lag)
        _deviations(key[i], noise, deviation)
        _liquidity(start[i], company, keep, path[section[i]], deviation, x[i])
    return x, start


def liquidity_paths(problem: Problem) -> tuple[Ints, Ints]:
    """Do what `compiled_paths` does in plain NumPy: its twin."""
    p = problem
    draws = p.path.shape[2]
    steps = np.arange(1, draws + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    mixed = _mix_array(p.key[:, None] + steps[None, :])
    mask = np.uint64(0xFFFF)
    raw = np.zeros(mixed.shape, dtype=np.int64)
    for k in range(4):
        raw += ((mixed >> np.uint64(16 * k)) & mask).astype(np.int64)
    deviation = ((raw - _CENTRE) * p.noise) >> SHIFT
    activity = ONE - ((p.gap[:, None, None] * p.path[p.section]) >> SHIFT) + deviation[:, None, :]
    activity = np.clip(activity, 0, 2 * ONE)
    first = np.clip(ONE - p.gap_before, 0, 2 * ONE)[:, None, None]
    then = np.concatenate([np.broadcast_to(first, (len(first), 1, draws)), activity[:, :-1]], axis=1)
    paid = activity + (((then - activity) * p.lag) >> SHIFT)
    margin, moving = p.margin[:, None, None], p.moving[:, None, None]
    flow = ((margin * paid) >> SHIFT) - ((moving * activity) >> SHIFT) - p.outgo[:, None, None]
    flow = np.where(flow >= 0, flow, (flow * p.keep) >> SHIFT)
    rolled = p.rolled[:, None] - ((p.rolled_gap[:, None] * p.lost) >> SHIFT)
    rolled = np.where(rolled >= 0, rolled, (rolled * p.keep) >> SHIFT)
    expected = np.where(p.rolled >= 0, p.rolled, (p.rolled * p.kept) >> SHIFT)
    start = (p.liquid - expected)[:, None] + rolled
    return np.asarray(start[:, None, :] + flow.cumsum(axis=1)), np.asarray(start)


def first_shortfall_numpy(problem: Problem) -> Shortfalls:
    """Do what `first_shortfall` does in plain NumPy: the twin that tests hold it against."""
    problem.check()
    options, n, horizon = problem.dues.shape
    x, start = liquidity_paths(problem)
    draws, broke = x.shape[2], start < 0
    x[:, 0, :] = np.where(broke, start, x[:, 0, :])
    months = np.full((options, n, draws), horizon, dtype=np.int8)
    unpaid = np.zeros((2, options, n), dtype=np.int64)
    by_draw = np.zeros((2, options, draws), dtype=np.int64)
    for o in range(options):
        gone = x < problem.dues[o][:, :, None]
        first = gone.argmax(axis=1)
        at = np.take_along_axis(x, first[:, None, :], axis=1)[:, 0, :]
        due = np.where(broke, 0, np.take_along_axis(problem.dues[o], first, axis=1))
        months[o] = np.where(gone.any(axis=1), first, horizon)
        missing = np.where(months[o] < horizon, np.minimum(due - at, problem.outgo[:, None]), 0)
        tax = (missing * problem.tax_share[:, None]) >> SHIFT
        for row, part in enumerate((tax, missing - tax)):
            unpaid[row, o], by_draw[row, o] = part.sum(axis=1), part.sum(axis=0)
    return Shortfalls(months, unpaid, by_draw)


def _mix_array(h: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Finalise splitmix64 on an array (which wraps around, as it should)."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(_MIX1)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(_MIX2)
    return np.asarray(h ^ (h >> np.uint64(31)), dtype=np.uint64)
