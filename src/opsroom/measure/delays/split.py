"""How counts are split by delay, as far as each figure of the split rests on enough contributors.

A count by period and sector that may be published holds counts by delay that may not: of forty companies' reports one
is late, and it is known whose. What is expected of later periods rests on just these. So a nowcast of confidential
counts learns from a split in which every figure satisfies the rule that the counts themselves do. Periods whose split
does stand as they are; the others are pooled until it does, keep the sums that were pooled, and get back what these
say of each of them: nothing finer goes in, so that nothing finer can come out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.results import TOP
from opsroom.measure.delays.triangle import ReportingTriangle

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Sensitive = Callable[[Ints, Ints, Ints], Bools]
"""Value, contributors (n,) and largest contributions (n, 3) → which of these counts may not stand by themselves."""

ROUNDS = 200
"""Of fitting a pool's periods and delays to their sums, in turns, at most."""
CLOSE = 1e-13
"""Relative change at which they are fitted."""


def safe_split(
    triangle: ReportingTriangle, moves: pd.DataFrame, learn: Bools, sensitive: Sensitive
) -> tuple[ReportingTriangle, Bools]:
    r"""Return a triangle whose counts by delay tell of no contributor, and which of its counts may be learnt from.

    Answers: how late do reports come, told by no figure that is one company's?

    Parameters
    ----------
    triangle
        Of counts.
    moves
        The reports behind it, as from `opsroom.measure.delays.standing.moving_records`.
    learn
        Shape (sectors, periods): counts that are published, and may be learnt from as a whole.
    sensitive
        The rule.

    Returns
    -------
    ReportingTriangle
        With additions and removals that are fractions where they were pooled; each period's net count is as it was.
    numpy.ndarray
        As `learn`, without the counts of which no split can be told.

    Notes
    -----
    Of a pool there are kept its periods' net counts :math:`N_t`, published each, and the sums over the pool of the
    additions at each delay :math:`L_d`, where neighbouring delays that are too few by themselves are one sum. The
    additions in between are those that are proportional, :math:`x_t y_d`, with these sums (a chain ladder's, by
    iterative fitting); within a sum of several delays, as all pools together say. A pool is a sector's periods whose
    split is sensitive, else all its periods, else those of several sectors. Removals are pooled alike; where they are
    too few, additions are counted that still stand, and no removal. What fails most often: where few reports are
    late, sectors lose what they have of their own.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, chapter 5 (marginal tables and what they tell).
    """
    return _Split(triangle, moves, learn, sensitive).run()


def summed_split(
    total: ReportingTriangle, moves: pd.DataFrame, learn: Bools, sensitive: Sensitive,
    sectors: ReportingTriangle, learnt: Bools,
) -> tuple[ReportingTriangle, Bools]:  # fmt: skip
    """Return the total with its counts split as those of its sectors are that may be learnt from.

    A split of its own, less those of the sectors, would tell of the sectors that have none. This one rests on nothing
    but theirs and the total's own net counts, which are published: the others are taken to be as late. Of a period in
    which no sector is learnt from there is nothing to be taken: there the total has a split of its own.

    Parameters
    ----------
    total
        All sectors as one series, with the same periods and delays.
    moves, learn, sensitive
        Of the total, as in `safe_split`.
    sectors, learnt
        As `safe_split` returned them.

    Returns
    -------
    ReportingTriangle, numpy.ndarray
        As `safe_split`.
    """
    some = learnt.any(axis=0)
    own, alone = safe_split(total, moves, learn & ~some, sensitive)
    of = np.where(learnt, sectors.reported, 0.0).sum(axis=0)
    net = total.reported[0]
    told = learn[0] & some & ((of > 0) | (net == 0))
    up = np.divide(net, of, out=np.zeros_like(net), where=told & (of > 0))
    observed = ~np.isnan(total.added[0])

    def summed(mine: Floats, split: Floats) -> Floats:
        parts = up[:, None] * np.where(learnt[:, :, None], np.nan_to_num(split), 0.0).sum(axis=0)
        return np.where(observed, np.where(told[:, None], parts, mine[0]), np.nan)[None]

    made = replace(own, added=summed(own.added, sectors.added), removed=summed(own.removed, sectors.removed))
    return made, alone | told[None]


@dataclass(frozen=True, slots=True)
class _Pool:
    """Sums that a set of periods keeps.

    Attributes
    ----------
    rows
        Sector and period of each, as indices.
    bins
        Of delays: first and last (inclusive) of each sum, from the first delay on.
    added
        Sum of additions in each.
    back
        Bins and sums of removals; none where they are not told.
    """

    rows: tuple[Ints, Ints]
    bins: list[tuple[int, int]]
    added: list[int]
    back: tuple[list[tuple[int, int]], list[int]]


class _Split:
    """One triangle's splitting."""

    def __init__(self, triangle: ReportingTriangle, moves: pd.DataFrame, learn: Bools, sensitive: Sensitive) -> None:
        self.triangle, self.rule = triangle, sensitive
        s, t = moves["sector"].to_numpy(np.int64), moves["period"].to_numpy(np.int64)
        self.moves = moves[learn[s, t]]
        self.sector, self.period, self.delay = (
            self.moves[c].to_numpy(np.int64) for c in ("sector", "period", "delay")
        )  # fmt: skip
        self.group = np.asarray(pd.factorize(self.moves["group"])[0], dtype=np.int64)
        self.kinds = {c: self.moves[c].to_numpy(bool) for c in ("added", "removed", "stands")}
        self.learn = learn.copy()
        self.observed = ~np.isnan(triangle.added[0])
        self.several = self.observed.sum(axis=1) > 1  # periods of which more than one delay has been
        self.added, self.removed = triangle.added.copy(), triangle.removed.copy()

    def run(self) -> tuple[ReportingTriangle, Bools]:
        """Pool what has to be, and put back what the pools say."""
        closed = self._closed()
        net = self.triangle.reported
        alone = closed & ~self.several[None, :]  # what was reported at the one delay there was is the count itself
        self.added[alone, 0], self.removed[alone, 0] = net[alone], 0.0
        closed &= self.several[None, :]
        if not closed.any():
            return self._done()
        every = self.learn & self.several[None, :]
        whole = self._pool(every)
        if whole is None:
            self.learn[:] = False
            return self._done()
        profile = self._profile(whole)
        failed = np.zeros_like(closed)
        made: dict[int, _Pool | None] = {}
        for s in np.flatnonzero(closed.any(axis=1)).tolist():
            mine = np.zeros_like(closed)
            mine[s] = closed[s]
            made[s] = self._pool(mine)
            if made[s] is None:
                mine[s] = every[s]
                made[s] = self._pool(mine)
            if made[s] is None:
                failed[s] = every[s]
        if failed.any():
            # Sectors that are too small alone are one; where that is not enough, with the next larger.
            together = self._pool(failed)
            size = np.where(every, net, 0.0).sum(axis=1)
            for s in np.argsort(size, kind="stable").tolist():
                if together is not None:
                    break
                failed[s] = every[s]
                together = self._pool(failed)
            made = {s: pool for s, pool in made.items() if pool is not None and not failed[s].any()}
            self._fill(together or whole, profile)
        for pool in made.values():
            if pool is not None:
                self._fill(pool, profile)
        return self._done()

    def _done(self) -> tuple[ReportingTriangle, Bools]:
        hidden = ~self.learn[:, :, None] & self.observed[None]
        self.added[hidden], self.removed[hidden] = 0.0, 0.0
        return replace(self.triangle, added=self.added, removed=self.removed), self.learn

    def _closed(self) -> Bools:
        """Say which periods of which sector have a count by delay that is sensitive."""
        closed = np.zeros(self.learn.shape, dtype=bool)
        shape = self.added.shape
        key = np.ravel_multi_index((self.sector, self.period, self.delay), shape)
        for kind in ("added", "removed"):
            mine = self.kinds[kind]
            at, few = self._judged(key[mine], self.group[mine])
            s, t, _ = np.unravel_index(at[few], shape)
            closed[s, t] = True
        if self._sensitive_zero():  # then no delay may be blank in a period in which there are reports
            blank = (self.triangle.added == 0).any(axis=2) & (self.triangle.reported > 0)
            closed |= blank & self.learn
        return closed

    def _judged(self, key: Ints, group: Ints) -> tuple[Ints, Bools]:
        """Return the keys that occur, and for which of them the count is sensitive."""
        pairs, size = np.unique(np.column_stack([key, group]), axis=0, return_counts=True)
        if not len(pairs):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)
        order = np.lexsort((-size, pairs[:, 0]))
        of, size = pairs[order, 0], size[order].astype(np.int64)
        at, start, groups = np.unique(of, return_index=True, return_counts=True)
        tops = np.zeros((len(at), TOP), dtype=np.int64)
        for k in range(TOP):
            more = groups > k
            tops[more, k] = size[start[more] + k]
        return at, self.rule(np.add.reduceat(size, start), groups.astype(np.int64), tops)

    def _sensitive_zero(self) -> bool:
        none = np.zeros(1, dtype=np.int64)
        return bool(self.rule(none, none, np.zeros((1, TOP), dtype=np.int64))[0])

    def _alone(self, kind: str, inside: Bools, bins: tuple[int, int]) -> tuple[int, bool]:
        """Return how many there are at some delays, and whether that may stand by itself."""
        mine = self.kinds[kind] & inside & (self.delay >= bins[0]) & (self.delay <= bins[1])
        _, few = self._judged(np.zeros(int(mine.sum()), dtype=np.int64), self.group[mine])
        return int(mine.sum()), not (few.any() if len(few) else self._sensitive_zero())

    def _bins(self, kind: str, inside: Bools) -> tuple[list[tuple[int, int]], list[int]] | None:
        """Return sums of neighbouring delays that may stand, from the last delay on as short as they may be."""
        last = end = self.triangle.max_delay
        bins: list[tuple[int, int]] = []
        sums: list[int] = []
        for d in range(last, -1, -1):
            count, stands = self._alone(kind, inside, (d, end))
            if stands:
                bins.insert(0, (d, end))
                sums.insert(0, count)
                end = d - 1
        while end >= 0:  # what is left of the first delays goes with the next
            if not bins:
                return None
            (_, stop), _ = bins.pop(0), sums.pop(0)
            count, stands = self._alone(kind, inside, (0, stop))
            end = stop
            if stands:
                bins.insert(0, (0, stop))
                sums.insert(0, count)
                end = -1
        return bins, sums

    def _pool(self, rows: Bools) -> _Pool | None:
        """Return the sums that these periods together may keep; None where they tell of no delay apart."""
        inside = rows[self.sector, self.period]
        back = self._bins("removed", inside) if self.kinds["removed"][inside].any() else ([], [])
        found = self._bins("stands" if back is None else "added", inside)
        if found is None or len(found[0]) < 2:
            return None
        s, t = np.nonzero(rows)
        return _Pool((s.astype(np.int64), t.astype(np.int64)), *found, ([], []) if back is None else back)

    def _profile(self, pool: _Pool) -> Floats:
        """Return additions at each delay by report of the periods that have had it, as all of them say."""
        s, t = pool.rows
        exposed = np.where(self.observed[t], self.triangle.reported[s, t][:, None], 0.0).sum(axis=0)
        rate = np.zeros(self.triangle.max_delay + 1)
        for (first, last), count in zip(pool.bins, pool.added, strict=True):
            whole = float(exposed[first : last + 1].sum())
            rate[first : last + 1] = count / whole if whole > 0 else 0.0
        return rate

    def _fill(self, pool: _Pool, profile: Floats) -> None:
        """Put additions and removals back that have the sums of a pool, and nothing else."""
        s, t = pool.rows
        seen = self.observed[t]
        net = self.triangle.reported[s, t]
        removed = np.zeros(seen.shape)
        for (first, last), count in zip(*pool.back, strict=True):
            here = np.zeros(seen.shape)
            here[:, first : last + 1] = seen[:, first : last + 1] * net[:, None]
            removed += count * here / max(float(here.sum()), 1e-300)
        target = net + removed.sum(axis=1)
        made = np.where(seen, target[:, None] * np.maximum(profile, 1e-9), 0.0)
        for _ in range(ROUNDS):
            before = made.copy()
            for (first, last), count in zip(pool.bins, pool.added, strict=True):
                made[:, first : last + 1] *= _ratio(float(count), made[:, first : last + 1].sum())
            made *= _ratio(target, made.sum(axis=1))[:, None]
            if float(np.abs(made - before).max()) <= CLOSE * float(target.max()):
                break
        self.added[s, t] = np.where(seen, made, np.nan)
        self.removed[s, t] = np.where(seen, removed, np.nan)


def _ratio(wanted: float | Floats, there: float | Floats) -> Floats:
    return np.asarray(np.divide(wanted, there, out=np.zeros_like(np.asarray(there)), where=np.asarray(there) > 0))
