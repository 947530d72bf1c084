"""The fit's compiled loops against their dense twin in NumPy: the same factors, the same step."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from opsroom.measure.nowcast import Settings, steps
from opsroom.measure.nowcast.model import (
    Observations,
    Parameters,
    Posterior,
    build_rows,
    memory_of,
    observe,
    smooth,
)
from opsroom.measure.nowcast.panel import GROWTH, LEVEL, Floats, Ints, Panel
from opsroom.measure.nowcast.start import start
from opsroom.measure.nowcast.steps import Layout, Mask, expect


def panel_of(factors: int, *, holes: bool, seed: int) -> Panel:
    """Draw a panel of a quarterly target, a quarterly level and monthly series; some with long holes."""
    rng = np.random.default_rng(seed)
    months, n = 72, 7
    common = rng.standard_normal((months, factors)).cumsum(axis=0) * 0.3
    values = common @ rng.normal(1.0, 0.3, (factors, n)) + rng.standard_normal((months, n))
    quarterly = np.array([True, True, *[False] * (n - 2)])
    values[:, quarterly] = np.where(np.arange(months)[:, None] % 3 == 2, values[:, quarterly], np.nan)
    values[:4, quarterly] = np.nan
    values[:9, 3] = np.nan
    values[-2:, 4:] = np.nan
    if holes:
        values[20:29, 5] = np.nan
        values[rng.random(months) < 0.3, 6] = np.nan
    loads = np.ones((n, factors), dtype=bool)
    loads[2:4, 1:] = False
    average = np.arange(n) == 1
    return Panel(24000, tuple(f"s{k}" for k in range(n)), quarterly, average, loads, values)


@pytest.mark.parametrize(("factors", "lags"), [(1, 1), (1, 2), (2, 2), (3, 6)])
@pytest.mark.parametrize("holes", [False, True])
def test_compiled_steps_equal_the_dense_ones(factors: int, lags: int, holes: bool) -> None:
    panel = panel_of(factors, holes=holes, seed=factors + lags)
    settings = Settings(factors=factors, lags=lags)
    p = start(panel, settings)
    seen = observe(panel, p.center, p.scale)
    layout = Layout.of(seen, p)
    for _ in range(3):  # from the second step on weights, memories and calmness are no longer 1, 0 and 1
        rows = build_rows(seen, p)
        dense, near = smooth(rows, p), expect(layout, p)
        assert near.loglikelihood == pytest.approx(dense.loglikelihood, rel=1e-11)
        np.testing.assert_allclose(near.mean, dense.mean, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(near.decay, rows.decay, rtol=1e-13)
        np.testing.assert_allclose(near.spread, rows.spread, rtol=1e-13)
        for k in range(layout.width + 1):
            np.testing.assert_allclose(near.near[k:, k], np.diagonal(dense.covariance, -k), rtol=1e-8, atol=1e-11)
        expected = dense_step(seen, dense, p, settings, panel.loads)
        found = steps.maximise(layout, near, p, settings, panel.loads)
        for field in fields(Parameters):
            a, b = getattr(found, field.name), getattr(expected, field.name)
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, err_msg=field.name)
        p = found


def dense_step(seen: Observations, posterior: Posterior, p: Parameters, settings: Settings, loads: Mask) -> Parameters:
    """Raise the expected objective in the parameters, from the whole covariance."""
    p = _maximise_factors(posterior, p, settings)
    return _maximise_series(seen, posterior, p, settings, loads)


def _maximise_factors(posterior: Posterior, p: Parameters, settings: Settings) -> Parameters:
    months, r, lags = p.calm.shape[0], p.factors, p.lags
    t = np.arange(lags, months)
    blocks = posterior.covariance.reshape(months, r, months, r)
    width = r * (lags + 1)
    moments = np.empty((len(t), width, width))
    stacked = np.hstack([posterior.mean[t - a] for a in range(lags + 1)])
    for a in range(lags + 1):
        for b in range(lags + 1):
            moments[:, a * r : (a + 1) * r, b * r : (b + 1) * r] = blocks[t - a, :, t - b, :]
    moments += stacked[:, :, None] * stacked[:, None, :]
    weighted = np.tensordot(p.calm[lags:], moments, axes=1)
    transition = np.linalg.solve(weighted[r:, r:], weighted[r:, :r]).T
    contrast = np.hstack([np.eye(r), -transition])
    square = np.einsum("fa,tab,fb->t", contrast, moments, contrast)
    calm = np.ones(months)
    calm[lags:] = (settings.shock_tail + r) / (settings.shock_tail + square)
    return replace(p, transition=np.asarray(transition), calm=calm)


def row_moments(seen: Observations, posterior: Posterior, decay: Floats) -> tuple[Floats, Floats]:
    """Return mean and covariance of what each row's loading multiplies (rows x factors, … x factors)."""
    months, r = posterior.mean.shape
    blocks = posterior.covariance.reshape(months, r, months, r)
    mean = np.zeros((len(seen.series), r))
    cov = np.zeros((len(seen.series), r, r))
    m = ~seen.quarter
    t, b = seen.month[m], np.maximum(seen.before[m], 0)
    d = decay[m]
    mean[m] = posterior.mean[t] - d[:, None] * posterior.mean[b]
    cross = blocks[t, :, b, :]
    cov[m] = (
        blocks[t, :, t, :]
        - d[:, None, None] * (cross + cross.transpose(0, 2, 1))
        + (d**2)[:, None, None] * blocks[b, :, b, :]
    )
    q = np.flatnonzero(seen.quarter)
    weights = np.where(seen.average[q][:, None], LEVEL[None, :], GROWTH[None, :])
    t = seen.month[q]
    for a in range(5):
        mean[q] += weights[:, a, None] * posterior.mean[t - a]
        for c in range(5):
            cov[q] += (weights[:, a] * weights[:, c])[:, None, None] * blocks[t - a, :, t - c, :]
    return mean, cov


def _maximise_series(
    seen: Observations, posterior: Posterior, p: Parameters, settings: Settings, loads: Mask
) -> Parameters:
    n, r = p.loadings.shape
    decay, spread = memory_of(seen, p)
    phi, phi_cov = row_moments(seen, posterior, decay)
    level = 1.0 - decay
    response = seen.value - decay * np.where(seen.before >= 0, seen.value_before, 0.0)
    regressor = np.column_stack([level, phi])
    gram = regressor[:, :, None] * regressor[:, None, :]
    gram[:, 1:, 1:] += phi_cov
    precision = 1.0 / spread
    left = np.zeros((n, r + 1, r + 1))
    right = np.zeros((n, r + 1))
    np.add.at(left, seen.series, gram * precision[:, None, None])
    np.add.at(right, seen.series, regressor * (precision * response)[:, None])
    # A factor that the series does not load on leaves the regression: its coefficient is 0.
    held = np.column_stack([np.zeros(n, bool), ~loads])
    left = np.where(held[:, :, None] | held[:, None, :], 0.0, left)
    left[:, np.arange(r + 1), np.arange(r + 1)] += held
    beta = np.linalg.solve(left, np.where(held, 0.0, right)[:, :, None])[:, :, 0]
    own = beta[seen.series]
    square = (response - (regressor * own).sum(axis=1)) ** 2
    square += np.einsum("ka,kab,kb->k", own[:, 1:], phi_cov, own[:, 1:])
    count = np.bincount(seen.series, minlength=n)
    variance = np.maximum(np.bincount(seen.series, precision * square, minlength=n) / count, steps.VARIANCE_FLOOR)
    p = replace(p, intercept=beta[:, 0], loadings=beta[:, 1:], variance=variance)
    p = _maximise_memory(seen, posterior, p)
    return _reweight(seen, posterior, p, settings)


def _error_moments(seen: Observations, posterior: Posterior, p: Parameters) -> tuple[Floats, Floats, Floats]:
    """Return E[e_t²], E[e_t e_before], E[e_before²] of the monthly series' own errors, per row."""
    months, r = posterior.mean.shape
    blocks = posterior.covariance.reshape(months, r, months, r)
    load, mean = p.loadings[seen.series], p.intercept[seen.series]
    t, b = seen.month, np.maximum(seen.before, 0)
    now = seen.value - mean - (load * posterior.mean[t]).sum(axis=1)
    then = seen.value_before - mean - (load * posterior.mean[b]).sum(axis=1)

    def add(first: Ints, second: Ints) -> Floats:
        return np.asarray(np.einsum("ka,kab,kb->k", load, blocks[first, :, second, :], load))

    return now**2 + add(t, t), now * then + add(t, b), then**2 + add(b, b)


def _maximise_memory(seen: Observations, posterior: Posterior, p: Parameters) -> Parameters:
    n = len(p.variance)
    now, cross, then = _error_moments(seen, posterior, p)
    monthly = ~seen.quarter
    grid = np.concatenate([np.repeat(steps.MEMORY[:, None], n, axis=1), p.memory[None, :]])
    best = np.zeros_like(grid)
    gap = seen.gap
    weight = p.weights[seen.month, seen.series]
    for g in np.unique(gap[monthly]):
        k = np.flatnonzero(monthly & (gap == g))
        s, w = seen.series[k], weight[k]
        squares = grid**2
        if g == 0:
            spread, decay = 1.0 / (1.0 - squares), np.zeros_like(grid)
        else:
            spread = sum((squares**j for j in range(int(g))), np.zeros_like(grid))
            decay = grid**g
        n_g = np.bincount(s, minlength=n)
        a, b, c = (np.bincount(s, w * v[k], minlength=n) for v in (now, cross, then))
        total = a - 2.0 * decay * b + decay**2 * c
        best += -0.5 * n_g * np.log(spread) - 0.5 * total / (spread * p.variance)
    memory = grid[best.argmax(axis=0), np.arange(n)]
    weights = p.weights
    return replace(p, memory=np.where(_quarterly(seen, n), 0.0, memory), weights=weights)


def _quarterly(seen: Observations, n: int) -> Mask:
    return np.bincount(seen.series, seen.quarter, minlength=n) > 0


def _reweight(seen: Observations, posterior: Posterior, p: Parameters, settings: Settings) -> Parameters:
    flat = replace(p, weights=np.ones_like(p.weights))
    decay, spread = memory_of(seen, flat)
    phi, phi_cov = row_moments(seen, posterior, decay)
    own = p.loadings[seen.series]
    level = p.intercept[seen.series] * (1.0 - decay)
    response = seen.value - decay * np.where(seen.before >= 0, seen.value_before, 0.0)
    square = (response - level - (own * phi).sum(axis=1)) ** 2
    square += np.einsum("ka,kab,kb->k", own, phi_cov, own)
    ratio = square / (p.variance[seen.series] * spread)
    free = steps.weighted(seen)
    weight = np.where(free, (settings.tail + 1.0) / (settings.tail + ratio), 1.0)
    weights = np.ones_like(p.weights)
    # Months of a jump without an observation share the weight of the observation that ends it.
    for back in range(int(seen.gap.max(initial=1)), 0, -1):
        k = np.flatnonzero(seen.gap >= back)
        weights[seen.month[k] - back + 1, seen.series[k]] = weight[k]
    quarter = np.flatnonzero(seen.quarter)
    weights[seen.month[quarter], seen.series[quarter]] = weight[quarter]
    return replace(p, weights=weights)
