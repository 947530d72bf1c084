"""Which companies are open: a hidden-state smoother with rates learnt from all companies together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from opsroom.measure.resumption.kernel import LANES, STATES, smooth

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

GRID = np.array([0.0, 0.05, 0.1, 0.18, 0.28, 0.42, 0.6, 0.8, 1.0, 1.2])
"""Use above the closed-day level, relative to normal: closed, then degrees of being open."""

FAINT = 2
"""The first so many degrees of open are faint: as much as a caretaker in a closed company uses."""

SEEN, SILENT, UNKNOWN, GONE = 0, 1, 2, 3
"""What is known of a company on a day: a reading; silence of its own; a reading that is late or that its
provider lost for everyone; disconnected for good."""

MOVING = 0.01
"""Probability a day of moving one degree up, and of moving one down."""

JUMP = 0.003
"""Probability a day of moving to any degree at once, such as from full use to half of it over a weekend."""

PARTS = 2
"""Threads that the companies are shared out to."""

PRIOR_DAYS = 25.0

HEARD = 0.25
"""A silent company that is at work is heard again with at least this probability a day: whoever works uses
electricity. Without such a floor nothing in the data says that the silent have not all reopened."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the smoother sees of the companies, all (companies, days) unless said."""

    q: F32
    """Use relative to what a workday would use; NaN where there is no reading."""
    nu: F32
    """Normal use on that kind of day, relative to a workday."""
    miss: npt.NDArray[np.int8]
    closed: F32
    """Closed-day level relative to a workday, as far as known about that day, (companies, days)."""
    closed_sd: F32
    sigma: F32
    weight: float
    """How much of an independent observation a day is: errors of neighbouring days go together."""
    group: Ints
    """Group with rates of its own, (companies,)."""
    span: Ints
    """Number of the span of days that share their rates, (days,); see `evidence.spans`."""

    def sample(self, every: int) -> Evidence:
        """Return every so-manieth company."""
        at = slice(None, None, every)
        # Copies, for the compiled loops are compiled once more for arrays with gaps.
        return replace(
            self, q=self.q[at].copy(), nu=self.nu[at].copy(), miss=self.miss[at].copy(),
            closed=self.closed[at].copy(), closed_sd=self.closed_sd[at].copy(), sigma=self.sigma[at].copy(),
            group=self.group[at].copy(),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rates:
    """What all companies have in common; rates are per day, (groups, days)."""

    opening: F64
    closing: F64
    enter: F64
    """Degree of opening on the first day open, (degrees,)."""
    start: F64
    """States on the first day, (1 + degrees,)."""
    silence: F64
    """Probability a day that a closed company, and an open one, falls silent."""
    return_: F64
    """Probability a day that a silent closed company, and a silent open one, is heard again."""

    @classmethod
    def guess(cls, groups: int, days: int) -> Rates:
        """Return rates to begin with: vague, the same for all."""
        degrees = len(GRID) - 1
        start = np.array([0.03, 0.005, 0.005, 0.01, 0.02, 0.04, 0.09, 0.2, 0.4, 0.2])
        return cls(
            opening=np.full((groups, days), 0.04), closing=np.full((groups, days), 0.02),
            enter=np.full(degrees, 1 / degrees), start=start,
            silence=np.array([0.002, 0.001]), return_=np.array([0.02, 0.3]),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class States:
    """Smoothed states: probabilities of dark, of faint and of the next degree's use; mean degree of opening.

    All have the shape (companies, days).
    """

    dark: F32
    faint: F32
    near: F32
    degree: F32
    rates: Rates

    def sample(self, every: int) -> States:
        """Return those of every so-manieth company."""
        at = slice(None, None, every)
        # Copies: a view would keep what all companies' take.
        return States(
            self.dark[at].copy(), self.faint[at].copy(), self.near[at].copy(), self.degree[at].copy(), self.rates
        )


def learn(evidence: Evidence, *, iterations: int = 8, sample: int = 3000, first: Rates | None = None) -> Rates:
    """Learn the rates by expectation and maximisation on a systematic sample of the companies."""
    n, days = evidence.q.shape
    groups = int(evidence.group.max()) + 1 if n else 1
    smoother = _Smoother(evidence.sample(max(1, n // sample)), keep=True)
    rates = first if first is not None else Rates.guess(groups, days)
    for _ in range(iterations):
        rates = _update(smoother.count(rates), evidence.span)
    return rates


def infer(evidence: Evidence, rates: Rates, *, spend: bool = False) -> States:
    """Return every company's smoothed states under the given rates.

    Parameters
    ----------
    evidence, rates
        What is seen of the companies, and what they have in common.
    spend
        Lay the states out where `q`, `nu` and `closed` of the evidence stood: it is of no use any more, and of four
        tables three need no room of their own.
    """
    return States(*_Smoother(evidence, keep=False).means(rates, spend=spend), rates)


@dataclass(frozen=True, slots=True)
class _Counts:
    """Expected numbers of moves, from which rates follow."""

    moves: F64
    """Closed, opened, open, shut: (4, groups, days)."""
    enter: F64
    start: F64
    silence: F64
    """By state (closed, open): fell silent, could have, was heard again, could have."""

    @classmethod
    def none(cls, groups: int, days: int) -> _Counts:
        """Return counts of nothing."""
        return cls(np.zeros((4, groups, days)), np.zeros(STATES - 1), np.zeros(STATES), np.zeros((2, 4)))

    def plus(self, more: _Counts) -> _Counts:
        """Return the sum."""
        return _Counts(
            self.moves + more.moves, self.enter + more.enter, self.start + more.start, self.silence + more.silence
        )


def _blocks(group: Ints, busy: Ints) -> tuple[Ints, Ints]:
    """Return row numbers in blocks of one group each, -1 where a lane is empty, and each block's group.

    Companies that work on as many days stand together: a day that tells nothing of a whole block is skipped.
    """
    blocks, groups = [], []
    order = np.lexsort((busy, group))
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        padded = np.full(-(-len(rows) // LANES) * LANES, -1, dtype=np.int64)
        padded[: len(rows)] = rows
        blocks.append(padded.reshape(-1, LANES))
        groups.append(np.full(len(blocks[-1]), group[rows[0]], dtype=np.int64))
    return np.concatenate(blocks), np.concatenate(groups)


class _Smoother:
    """The recursion over one evidence, for one set of rates after another."""

    def __init__(self, evidence: Evidence, *, keep: bool) -> None:
        self._evidence = evidence
        blocks, groups = _blocks(evidence.group, (evidence.nu > 0).sum(axis=1))
        # The number of parts is fixed, so that sums of counts do not depend on the machine.
        parts = np.array_split(np.arange(len(blocks)), PARTS)
        self._parts = [(blocks[part], groups[part]) for part in parts]
        days = evidence.q.shape[1]
        shape = (days, STATES, LANES)
        self._emit = [np.empty((len(part) if keep else 1, *shape), np.float32) for part in parts]
        self._kept, self._ready = keep, False

    def count(self, rates: Rates) -> _Counts:
        """Return the expected numbers of moves."""
        nothing = np.empty((0, 0), np.float32)
        done = self._run(rates, (nothing, nothing, nothing, nothing), counting=True)
        return reduce(_Counts.plus, done)

    def means(self, rates: Rates, *, spend: bool) -> tuple[F32, F32, F32, F32]:
        """Return the posterior means, (companies, days) each: dark, faint, near, degree."""
        facts = self._evidence
        own = (facts.q, facts.nu, facts.closed)
        first, second, third = own if spend else (np.empty_like(x) for x in own)
        out = (first, second, np.empty_like(first), third)
        self._run(rates, out, counting=False)
        return out

    def _run(self, rates: Rates, out: tuple[F32, F32, F32, F32], *, counting: bool) -> list[_Counts]:
        facts = self._evidence
        days = facts.q.shape[1]
        # rows of days one after the other, so that the kernel is compiled for one layout
        shared = [x.astype(np.float32, order="C") for x in (rates.opening, rates.closing, rates.enter, rates.start)]
        chances = [x.astype(np.float32) for x in (rates.silence, rates.return_, GRID)]

        def run(number: int) -> _Counts:
            counts = _Counts.none(rates.opening.shape[0], days)
            arguments: tuple[Any, ...] = (
                *self._parts[number], facts.q, facts.nu, facts.miss, facts.closed, facts.closed_sd, facts.sigma,
                np.float32(facts.weight), *shared, np.float32(MOVING), np.float32(JUMP), *chances,
                self._emit[number], self._ready, counting, out,
                counts.moves, counts.enter, counts.start, counts.silence,
            )  # fmt: skip
            smooth(*arguments)
            return counts

        # The compiled kernel lets go of the interpreter's lock.
        with ThreadPoolExecutor(max_workers=PARTS) as pool:
            done = list(pool.map(run, range(PARTS)))
        self._ready = self._kept
        return done


def _update(counts: _Counts, span: Ints) -> Rates:
    """Return the rates that make the expected counts most likely, days pulled towards their week."""
    events, trials = counts.silence[:, 0::2], counts.silence[:, 1::2]
    common = (events.sum(axis=0) + 0.5) / (trials.sum(axis=0) + 50)
    silent = (events + 200 * common) / (trials + 200)
    was_closed, opened, was_open, shut = counts.moves
    return Rates(
        opening=_daily(opened, was_closed, span),
        closing=_daily(shut, was_open, span),
        enter=(counts.enter + 1) / (counts.enter.sum() + len(counts.enter)),
        start=(counts.start + 0.5) / (counts.start.sum() + 0.5 * len(counts.start)),
        silence=np.clip(silent[:, 0], 1e-5, 0.2),
        return_=np.clip(silent[:, 1], [1e-3, HEARD], [HEARD, 0.9]),
    )


def _daily(events: F64, trials: F64, span: Ints) -> F64:
    """Return a rate for each day: that of its span, pulled to that of its fortnight, pulled to all groups'.

    What has changed between Friday and Monday is spread over the days in which it may have happened, and no
    weekday pattern enters the index.
    """
    near_events, near_trials = _around(events), _around(trials)
    all_events, all_trials = near_events.sum(axis=0), near_trials.sum(axis=0)
    common = (all_events + 0.02) / (all_trials + 2.0)
    local = (near_events + PRIOR_DAYS * common) / (near_trials + PRIOR_DAYS)
    first = np.flatnonzero(np.diff(span, prepend=-1))
    events, trials = (np.add.reduceat(x, first, axis=1)[:, span] for x in (events, trials))
    rate = (events + PRIOR_DAYS * local) / (trials + PRIOR_DAYS)
    return np.asarray(np.clip(rate, 1e-5, 0.95))


def _around(counts: F64, reach: int = 7) -> F64:
    """Return sums within a week to either side."""
    total = np.concatenate([np.zeros((len(counts), 1)), np.cumsum(counts, axis=1)], axis=1)
    day = np.arange(counts.shape[1])
    return np.asarray(total[:, np.minimum(day + reach + 1, len(day))] - total[:, np.maximum(day - reach, 0)])
