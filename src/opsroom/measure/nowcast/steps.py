"""One round of learning: each group of parameters at its best given what the data say about the factors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from opsroom.measure.nowcast import loops
from opsroom.measure.nowcast.model import START_VARIANCE, Observations, Parameters, likelihood, singular
from opsroom.measure.nowcast.panel import GROWTH, LEVEL, Floats, Ints
from opsroom.measure.nowcast.spec import Settings

Mask = NDArray[np.bool_]

VARIANCE_FLOOR = 0.2
"""Least variance of a series' own innovation, in standard units: no factor may turn into one series."""
MEMORY = np.linspace(-0.6, 0.98, 80)
"""Autocorrelations of own errors among which the best is taken."""


def weight_density(seen: Observations, p: Parameters, settings: Settings) -> float:
    """Return the log density of the weights, up to a constant: 0 where all are 1."""
    free = weighted(seen)
    w = p.weights[seen.month[free], seen.series[free]]
    calm = p.calm[p.lags :]
    own = 0.5 * settings.tail * float((np.log(w) - w + 1.0).sum())
    return own + 0.5 * settings.shock_tail * float((np.log(calm) - calm + 1.0).sum())


def weighted(seen: Observations) -> Mask:
    """Return the observations that carry a robustness weight: those with a predecessor, and quarterly ones."""
    return (seen.before >= 0) | seen.quarter


@dataclass(frozen=True, slots=True)
class Layout:
    """Where each observation of a panel stands in the factors; found once a fit.

    Row k is the sum over ``a < terms[k]`` of ``part[k, a]`` times the loadings times the factors of month
    ``at[k, a]``. `width` is the half-bandwidth of the factors' precision. Of an observation that has one before
    it, ``part[k, 1]`` is scratch: each loop writes the decay that it goes by.
    """

    seen: Observations
    at: Ints
    part: Floats
    terms: Ints
    width: int

    @classmethod
    def of(cls, seen: Observations, p: Parameters) -> Layout:
        """Lay out a panel's observations."""
        n = len(seen.series)
        at, part = np.zeros((n, len(GROWTH)), dtype=np.int64), np.zeros((n, len(GROWTH)))
        terms = np.where(seen.quarter, len(GROWTH), np.where(seen.before >= 0, 2, 1))
        at[:, 0], at[:, 1] = seen.month, np.maximum(seen.before, 0)
        part[:, 0] = 1.0
        q = np.flatnonzero(seen.quarter)
        at[q] = seen.month[q, None] - np.arange(len(GROWTH))
        part[q] = np.where(seen.average[q, None], LEVEL, GROWTH)
        reach = max(p.lags, int(seen.gap.max(initial=0)), len(GROWTH) - 1 if len(q) else 0)
        return cls(seen, at, part, terms, (reach + 1) * p.factors - 1)


@dataclass(frozen=True, slots=True)
class Expectation:
    """The factors given the data: mean (months x factors), covariances near the diagonal, log likelihood.

    ``near[i, k]`` is the covariance of the i-th with the (i-k)-th of all months' factors in one line;
    `decay` and `spread` are those of `opsroom.measure.nowcast.model.Rows`.
    """

    mean: Floats
    near: Floats
    decay: Floats
    spread: Floats
    loglikelihood: float


def expect(layout: Layout, p: Parameters) -> Expectation:
    """Find the factors given the data: what `smooth` finds, near the diagonal alone.

    Raises
    ------
    FitError
        The precision is not positive definite or not finite.
    """
    seen, n, r = layout.seen, len(layout.terms), p.factors
    months, lags = p.calm.shape[0], p.lags
    decay, spread = _memories(seen, p, p.weights)
    deviation = np.sqrt(p.variance[seen.series] * spread)
    contrast = np.stack([np.eye(r), *(-p.transition[:, k * r : (k + 1) * r] for k in range(lags))])
    band, near = np.zeros((months * r, layout.width + 1)), np.zeros((months * r, layout.width + 1))
    right, white = np.zeros(months * r), np.empty(n)
    loops.precision(
        seen.series, seen.value, seen.value_before, layout.at, layout.part, layout.terms, decay, deviation,
        p.intercept, p.loadings, contrast, p.calm, START_VARIANCE, band, right, white,
    )  # fmt: skip
    logdet = loops.solve(band, right, near)
    if not np.isfinite(logdet):
        raise singular()
    mean = right.reshape(months, r)
    rest = loops.misfit(seen.series, layout.at, layout.part, layout.terms, deviation, p.loadings, mean, white)
    loglikelihood = likelihood(n, deviation, logdet, rest, mean, p)
    return Expectation(mean, near, decay, spread, loglikelihood)


def _memories(seen: Observations, p: Parameters, weights: Floats) -> tuple[Floats, Floats]:
    decay, spread = np.empty(len(seen.series)), np.empty(len(seen.series))
    loops.memories(seen.series, seen.month, seen.before, seen.quarter, p.memory, weights, decay, spread)
    return decay, spread


def maximise(layout: Layout, found: Expectation, p: Parameters, settings: Settings, loads: Mask) -> Parameters:
    """Raise the expected objective in the parameters, one group after another."""
    p = _maximise_factors(found, p, settings)
    p = _maximise_equations(layout, found, p, loads)
    p = _maximise_memory(layout, found, p)
    return _reweight(layout, found, p, settings)


def _maximise_factors(found: Expectation, p: Parameters, settings: Settings) -> Parameters:
    months, r, lags = p.calm.shape[0], p.factors, p.lags
    moments = np.empty((months - lags, r * (lags + 1), r * (lags + 1)))
    loops.lagged_moments(found.mean, found.near, lags, moments)
    weighted = np.tensordot(p.calm[lags:], moments, axes=1)
    transition = np.linalg.solve(weighted[r:, r:], weighted[r:, :r]).T
    contrast = np.hstack([np.eye(r), -transition])
    square = np.tensordot(moments, contrast.T @ contrast, axes=2)
    calm = np.ones(months)
    calm[lags:] = (settings.shock_tail + r) / (settings.shock_tail + square)
    return replace(p, transition=np.asarray(transition), calm=calm)


def _maximise_equations(layout: Layout, found: Expectation, p: Parameters, loads: Mask) -> Parameters:
    seen, (n, r) = layout.seen, p.loadings.shape
    left, right, square = np.zeros((n, r + 1, r + 1)), np.zeros((n, r + 1)), np.zeros(n)
    loops.regressions(
        seen.series, seen.value, seen.value_before, layout.at, layout.part, layout.terms, found.decay, found.spread,
        found.mean, found.near, left, right, square,
    )  # fmt: skip
    # A factor that the series does not load on leaves the regression: its coefficient is 0.
    held = np.column_stack([np.zeros(n, bool), ~loads])
    system = np.where(held[:, :, None] | held[:, None, :], 0.0, left)
    system[:, np.arange(r + 1), np.arange(r + 1)] += held
    beta = np.linalg.solve(system, np.where(held, 0.0, right)[:, :, None])[:, :, 0]
    explained = 2.0 * (beta * right).sum(axis=1) - np.einsum("ia,iab,ib->i", beta, left, beta)
    count = np.bincount(seen.series, minlength=n)
    variance = np.maximum((square - explained) / count, VARIANCE_FLOOR)
    return replace(p, intercept=beta[:, 0].copy(), loadings=beta[:, 1:].copy(), variance=variance)


def _maximise_memory(layout: Layout, found: Expectation, p: Parameters) -> Parameters:
    seen, n = layout.seen, len(p.variance)
    moments = np.zeros((int(seen.gap.max(initial=0)) + 1, 4, n))
    loops.own_errors(
        seen.series, seen.month, seen.before, seen.quarter, seen.gap, seen.value, seen.value_before, p.intercept,
        p.loadings, p.weights, found.mean, found.near, moments,
    )  # fmt: skip
    grid = np.concatenate([np.repeat(MEMORY[:, None], n, axis=1), p.memory[None, :]])
    squares = grid**2
    best = np.zeros_like(grid)
    for gap in np.flatnonzero(moments[:, 0].any(axis=1)):
        count, now, cross, then = moments[gap]
        decay = grid**gap if gap else np.zeros_like(grid)
        spread = sum((squares**j for j in range(int(gap))), np.zeros_like(grid)) if gap else 1.0 / (1.0 - squares)
        total = now - 2.0 * decay * cross + decay**2 * then
        best += -0.5 * count * np.log(spread) - 0.5 * total / (spread * p.variance)
    memory = grid[best.argmax(axis=0), np.arange(n)]
    quarterly = np.bincount(seen.series, seen.quarter, minlength=n) > 0
    return replace(p, memory=np.where(quarterly, 0.0, memory))


def _reweight(layout: Layout, found: Expectation, p: Parameters, settings: Settings) -> Parameters:
    seen, weights = layout.seen, np.ones_like(p.weights)
    decay, spread = _memories(seen, p, weights)
    loops.reweigh(
        seen.series, seen.month, seen.quarter, seen.gap, seen.value, seen.value_before, layout.at, layout.part,
        layout.terms, decay, spread, p.intercept, p.loadings, p.variance, settings.tail, found.mean, found.near,
        weights,
    )  # fmt: skip
    return replace(p, weights=weights)
