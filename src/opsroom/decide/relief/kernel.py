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
        Cash and undrawn credit at the start, (n,).
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
        Share of a negative operating flow that is really paid, fixed point.
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
    margin: Ints
    moving: Ints
    outgo: Ints
    gap: Ints
    gap_before: Ints
    lag: int
    keep: int
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
        monthly = max(int(np.abs(a).max(initial=0)) for a in (self.margin, self.moving, self.outgo))
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
    steady = (p.margin, p.moving, p.outgo, p.gap, p.gap_before, p.lag, p.keep)
    return Shortfalls(*_recursion(p.liquid, steady, p.section, p.key, p.path, p.noise, p.dues, p.tax_share))


@nb.njit(cache=True)
def _liquidity(
    liquid: int,
    company: tuple[int, int, int, int, int, int, int],
    key: int,
    path: Ints,
    noise: int,
    deviation: Ints,
    x: Ints,
) -> None:  # pragma: no cover - compiled
    """Fill x[t, d]: cash and undrawn credit before any loan service, at the end of month t."""
    horizon, draws = x.shape
    for d in range(draws):
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
    margin, moving, outgo, gap, gap_before, lag, keep = company
    for t in range(horizon):
        for d in range(draws):
            activity = min(max(ONE - ((gap * path[t, d]) >> SHIFT) + deviation[d], 0), 2 * ONE)
            if t > 0:
                then = min(max(ONE - ((gap * path[t - 1, d]) >> SHIFT) + deviation[d], 0), 2 * ONE)
                before = x[t - 1, d]
            else:
                then = min(max(ONE - gap_before, 0), 2 * ONE)
                before = liquid
            paid = activity + (((then - activity) * lag) >> SHIFT)
            flow = ((margin * paid) >> SHIFT) - ((moving * activity) >> SHIFT) - outgo
            x[t, d] = before + max(flow, (flow * keep) >> SHIFT)


@nb.njit(cache=True)
def _recursion(
    liquid: Ints,
    steady: tuple[Ints, Ints, Ints, Ints, Ints, int, int],
    section: Ints,
    key: npt.NDArray[np.uint64],
    path: Ints,
    noise: int,
    dues: Ints,
    tax_share: Ints,
) -> tuple[Months, Ints, Ints]:  # pragma: no cover - compiled
    margin, moving, outgo, gap, gap_before, lag, keep = steady
    options, n, horizon = dues.shape
    draws = path.shape[2]
    months = np.full((options, n, draws), horizon, dtype=np.int8)
    unpaid = np.zeros((2, options, n), dtype=np.int64)
    by_draw = np.zeros((2, options, draws), dtype=np.int64)
    x = np.empty((horizon, draws), dtype=np.int64)
    deviation = np.empty(draws, dtype=np.int64)
    lowest = np.empty(horizon, dtype=np.int64)
    for i in range(n):
        if liquid[i] < 0:
            missing = min(-liquid[i], outgo[i])
            tax = (missing * tax_share[i]) >> SHIFT
            for o in range(options):
                months[o, i, :] = 0
                unpaid[0, o, i], unpaid[1, o, i] = tax * draws, (missing - tax) * draws
                by_draw[0, o, :] += tax
                by_draw[1, o, :] += missing - tax
            continue
        company = (margin[i], moving[i], outgo[i], gap[i], gap_before[i], lag, keep)
        _liquidity(liquid[i], company, key[i], path[section[i]], noise, deviation, x)
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
                    missing = min(dues[o, i, m] - x[m, d], outgo[i])
                    tax = (missing * tax_share[i]) >> SHIFT
                    unpaid[0, o, i] += tax
                    unpaid[1, o, i] += missing - tax
                    by_draw[0, o, d] += tax
                    by_draw[1, o, d] += missing - tax
    return months, unpaid, by_draw


def compiled_paths(problem: Problem) -> Ints:
    """Return liquidity before loan service, (companies, months, draws), compiled."""
    p = problem
    problem.check()
    steady = (p.margin, p.moving, p.outgo, p.gap, p.gap_before, p.lag, p.keep)
    return np.asarray(_paths(p.liquid, steady, p.section, p.key, p.path, p.noise))


@nb.njit(cache=True)
def _paths(
    liquid: Ints,
    steady: tuple[Ints, Ints, Ints, Ints, Ints, int, int],
    section: Ints,
    key: npt.NDArray[np.uint64],
    path: Ints,
    noise: int,
) -> Ints:  # pragma: no cover - compiled
    margin, moving, outgo, gap, gap_before, lag, keep = steady
    x = np.empty((len(liquid), path.shape[1], path.shape[2]), dtype=np.int64)
    deviation = np.empty(path.shape[2], dtype=np.int64)
    for i in range(len(liquid)):
        company = (margin[i], moving[i], outgo[i], gap[i], gap_before[i], lag, keep)
        _liquidity(liquid[i], company, key[i], path[section[i]], noise, deviation, x[i])
    return x


def liquidity_paths(problem: Problem) -> Ints:
    """Return liquidity before loan service, (companies, months, draws): NumPy twin of the compiled loop."""
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
    start = np.clip(ONE - p.gap_before, 0, 2 * ONE)[:, None, None]
    then = np.concatenate([np.broadcast_to(start, (len(start), 1, draws)), activity[:, :-1]], axis=1)
    paid = activity + (((then - activity) * p.lag) >> SHIFT)
    margin, moving = p.margin[:, None, None], p.moving[:, None, None]
    flow = ((margin * paid) >> SHIFT) - ((moving * activity) >> SHIFT) - p.outgo[:, None, None]
    flow = np.maximum(flow, (flow * p.keep) >> SHIFT)
    return np.asarray(p.liquid[:, None, None] + flow.cumsum(axis=1))


def first_shortfall_numpy(problem: Problem) -> Shortfalls:
    """Do what `first_shortfall` does in plain NumPy: the twin that tests hold it against."""
    problem.check()
    options, n, horizon = problem.dues.shape
    x = liquidity_paths(problem)
    draws = x.shape[2]
    months = np.full((options, n, draws), horizon, dtype=np.int8)
    unpaid = np.zeros((2, options, n), dtype=np.int64)
    by_draw = np.zeros((2, options, draws), dtype=np.int64)
    broke = (problem.liquid < 0)[:, None]
    for o in range(options):
        gone = x < problem.dues[o][:, :, None]
        first = gone.argmax(axis=1)
        at = np.take_along_axis(x, first[:, None, :], axis=1)[:, 0, :]
        due = np.take_along_axis(problem.dues[o], first, axis=1)
        months[o] = np.where(broke, 0, np.where(gone.any(axis=1), first, horizon))
        lacking = np.where(broke, -problem.liquid[:, None], due - at)
        missing = np.where(months[o] < horizon, np.minimum(lacking, problem.outgo[:, None]), 0)
        tax = (missing * problem.tax_share[:, None]) >> SHIFT
        for row, part in enumerate((tax, missing - tax)):
            unpaid[row, o], by_draw[row, o] = part.sum(axis=1), part.sum(axis=0)
    return Shortfalls(months, unpaid, by_draw)


def _mix_array(h: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Finalise splitmix64 on an array (which wraps around, as it should)."""
    h = (h ^ (h >> np.uint64(30))) * np.uint64(_MIX1)
    h = (h ^ (h >> np.uint64(27))) * np.uint64(_MIX2)
    return np.asarray(h ^ (h >> np.uint64(31)), dtype=np.uint64)
