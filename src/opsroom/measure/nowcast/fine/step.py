"""One step of learning on a fine grid: expectation-maximisation, and the score of the likelihood."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from opsroom.measure.nowcast.dfm import kernels as envelope
from opsroom.measure.nowcast.dfm.moments import lag_sums, origin_products
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Mask
from opsroom.measure.nowcast.dfm.search import Point, metric, pack
from opsroom.measure.nowcast.dfm.step import FLOOR, MEMORY, Equations, autoregression, score_transition
from opsroom.measure.nowcast.fine import kernels
from opsroom.measure.nowcast.fine.pattern import Pattern, summed
from opsroom.measure.nowcast.fine.smooth import FineSmoothed, own_workings, smooth

_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class FineMoments:
    """Expected products under the smoothed factors.

    Attributes
    ----------
    expected, within, between
        Each share's mean and covariance, and the covariance of each link's two shares.
    lagged, origin, steps
        See `dfm.moments.Moments`.
    """

    expected: Floats
    within: Floats
    between: Floats
    lagged: Floats
    origin: Floats
    steps: int


def moments(found: FineSmoothed) -> FineMoments:
    """Work out the expected products that learning needs."""
    pattern, p = found.pattern, found.parameters
    r, order, rows = p.factors, p.order, pattern.rows
    mean = found.factor_means
    cov = np.zeros((order + 1, rows, r, r))
    envelope.lagged(found.near, pattern.first, pattern.start, pattern.at, r, order, cov)
    for lag in range(order + 1):
        cov[lag, lag:] += mean[lag:, :, None] * mean[: rows - lag, None, :]
    shares, links = len(pattern.share_row), len(pattern.links)
    expected, within, between = np.zeros((shares, r)), np.zeros((shares, r, r)), np.zeros((links, r, r))
    kernels.share_moments(
        found.near, pattern.first, pattern.start, found.mean, pattern.share_row, pattern.share_at,
        pattern.share_weight, pattern.links, expected, within, between,
    )  # fmt: skip
    return FineMoments(
        expected, within, between, lag_sums(cov, order, pattern.calm), origin_products(cov, order), rows - order
    )  # fmt: skip


def equations(pattern: Pattern, m: FineMoments, p: FactorParameters) -> Equations:
    """Return the normal equations of all series' loadings, for errors with unit innovations."""
    own, n = own_workings(pattern, p), len(p.names)
    now, before = pattern.shares
    held, d = (before >= 0).astype(np.float64), own.decay
    shift = m.expected[now] - (held * d)[:, None] * m.expected[before]
    cross = m.between[pattern.link]
    gram = m.within[now] - d[:, None, None] * (cross + cross.transpose(0, 2, 1))
    gram += (held * d**2)[:, None, None] * m.within[before] + shift[:, :, None] * shift[:, None, :]
    value = pattern.now - d * pattern.back
    return Equations(
        summed(pattern.series, gram / own.spread[:, None, None], n),
        summed(pattern.series, (value / own.spread)[:, None] * shift, n),
    )


def own_products(pattern: Pattern, m: FineMoments, p: FactorParameters) -> Floats:
    """Return the expected products of each cell's own error and the one before: now², now x before, before²."""
    now, before = pattern.shares
    held = before >= 0
    load = p.loadings[pattern.series]

    def quadratic(cov: Floats) -> Floats:
        return np.asarray(((load[:, None, :] @ cov)[:, 0] * load).sum(axis=1))

    error = pattern.now - (load * m.expected[now]).sum(axis=1)
    earlier = pattern.back - (load * m.expected[before]).sum(axis=1)
    products = [
        error**2 + quadratic(m.within[now]),
        np.where(held, error * earlier + quadratic(m.between[pattern.link]), 0.0),
        np.where(held, earlier**2 + quadratic(m.within[before]), 0.0),
    ]
    return np.stack(products)


def counts(pattern: Pattern, series: int) -> Floats:
    """Return how many innovations each series' variance is learnt from."""
    return np.bincount(pattern.series, minlength=series).astype(np.float64)


def misfits(pattern: Pattern, products: Floats, p: FactorParameters) -> tuple[Floats, Floats]:
    """Return each series' expected sum of squared innovations over relative variance, and of log relative variances."""
    own = own_workings(pattern, p)
    square = products[0] - 2.0 * own.decay * products[1] + own.decay**2 * products[2]
    n = len(p.names)
    logs = np.bincount(pattern.series, np.log(own.spread), minlength=n)
    return np.bincount(pattern.series, square / own.spread, minlength=n).astype(np.float64), logs.astype(np.float64)


def maximise(pattern: Pattern, m: FineMoments, p: FactorParameters) -> FactorParameters:
    """Take one step of expectation and conditional maximisation.

    Loadings given memories, memories given loadings, variances given both; each memory is drawn back to the old one
    until it raises what is expected. As in `dfm.step.maximise` the factors' scale is left free, and the terms of the
    first periods are left out of the step of the autoregression, not of the likelihood.
    """
    eq = equations(pattern, m, p)
    held = ~p.loads
    left = np.where(held[:, :, None] | held[:, None, :], 0.0, eq.left)
    left[:, np.arange(p.factors), np.arange(p.factors)] += held
    loadings = np.linalg.solve(left, np.where(held, 0.0, eq.right)[:, :, None])[:, :, 0]
    p = replace(p, loadings=loadings)
    products = own_products(pattern, m, p)
    n = counts(pattern, len(p.names))
    if p.ar1:
        p = replace(p, memory=_memory(pattern, products, n, p))
    p = replace(p, variance=np.maximum(misfits(pattern, products, p)[0] / n, FLOOR))
    transition, innovation = autoregression(m, p)
    return replace(p, transition=transition, innovation=innovation).unit()


def _memory(pattern: Pattern, products: Floats, n: Floats, p: FactorParameters) -> Floats:
    """Return memories under which the expected log density, at the best variances, is no lower than under the old."""

    def value(memory: Floats) -> Floats:
        square, log_spread = misfits(pattern, products, replace(p, memory=memory))
        variance = np.maximum(square / n, FLOOR)
        return np.asarray(-0.5 * (n * np.log(variance) + square / variance + log_spread))

    next_to = pattern.gap == 1
    size = len(p.names)
    cross = np.bincount(pattern.series[next_to], products[1][next_to], minlength=size)
    square = np.bincount(pattern.series[next_to], products[2][next_to], minlength=size)
    best = np.clip(np.where(square > 0, cross / np.where(square > 0, square, 1.0), p.memory), -MEMORY, MEMORY)
    at, step = value(p.memory), np.ones(size)
    for _ in range(_HALVINGS):
        worse: Mask = value(p.memory + step * (best - p.memory)) < at
        if not worse.any():
            break
        step[worse] *= 0.5
    else:
        step[worse] = 0.0
    return np.asarray(p.memory + step * (best - p.memory))


def gradient(pattern: Pattern, m: FineMoments, p: FactorParameters, eq: Equations) -> Floats:
    """Return the derivative of the log likelihood in the free parameters, as `dfm.search.pack` orders them."""
    products = own_products(pattern, m, p)
    loadings = (eq.right - np.einsum("ifg,ig->if", eq.left, p.loadings)) / p.variance[:, None]
    n = counts(pattern, len(p.names))
    log_variance = 0.5 * (misfits(pattern, products, p)[0] / p.variance - n)
    log_variance = np.where((p.variance <= FLOOR) & (log_variance < 0), 0.0, log_variance)
    parts = [loadings[p.loads], score_transition(m, p)[p.lags_used], log_variance]
    if p.ar1:
        own = own_workings(pattern, p)
        scale = p.variance[pattern.series] * own.spread
        square = products[0] - 2.0 * own.decay * products[1] + own.decay**2 * products[2]
        each = 0.5 * own.spread_slope / own.spread * (square / scale - 1.0)
        each += own.decay_slope * (products[1] - own.decay * products[2]) / scale
        parts.append(np.bincount(pattern.series, each, minlength=len(p.names)) * (1.0 - p.memory**2))
    return np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class FinePanel:
    """A panel of weeks or days, as `dfm.search.climb` sees it."""

    pattern: Pattern

    @property
    def count(self) -> int:
        """Observed cells."""
        return self.pattern.cells

    def smooth(self, p: FactorParameters) -> FineSmoothed:
        """Find the factors."""
        return smooth(self.pattern, p)

    def improve(self, found: FineSmoothed, p: FactorParameters) -> FactorParameters:
        """Take one step of expectation-maximisation."""
        return maximise(self.pattern, moments(found), p)

    def point(self, found: FineSmoothed, p: FactorParameters) -> Point:
        """Work out gradient and metric."""
        m = moments(found)
        eq = equations(self.pattern, m, p)
        slope = gradient(self.pattern, m, p, eq)
        return Point(p, found.loglike, pack(p), slope, metric(p, eq, m, counts(self.pattern, len(p.names))))
