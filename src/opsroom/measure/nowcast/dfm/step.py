"""One step of learning: expectation-maximisation, and the score of the likelihood from the same moments.

The derivative of the log likelihood is the expected derivative of the log density of data and unknowns together
(Fisher's identity), so that the score costs no more than the step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from opsroom.measure.nowcast.dfm.chained import chain_misfits, chain_moments, score_lags
from opsroom.measure.nowcast.dfm.moments import Lagged, Moments, OwnErrors, figure_values, own_errors, special_values
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, companion, stationary, with_lags
from opsroom.measure.nowcast.dfm.remember import lags_of, partial_of
from opsroom.measure.nowcast.dfm.smooth import Cells, Smoothed, special_cells

FLOOR = 1e-5
"""Least variance of an own error's innovation, in standardised units."""
MEMORY = 0.99
"""Largest memory that expectation-maximisation proposes."""


@dataclass(frozen=True, slots=True)
class Equations:
    """Normal equations of the loadings given memories, ``left @ loadings = right``, one system a series."""

    left: Floats
    right: Floats


def equations(cells: Cells, m: Moments, p: FactorParameters) -> Equations:
    """Return the normal equations of all series, for errors with unit innovations."""
    if m.found is not None:
        chain = chain_moments(cells, m.found, p)
        return Equations(chain.left, chain.right)
    n, r = cells.layout.monthly, p.factors
    rho = p.memory[:n, None]
    left, right = np.zeros((len(p.names), r, r)), np.zeros((len(p.names), r))
    both = m.gram[1] + m.gram[1].transpose(0, 2, 1)
    left[:n] = m.gram[0] - rho[:, :, None] * both + rho[:, :, None] ** 2 * m.gram[2]
    right[:n] = m.cross[0] - rho * (m.cross[1] + m.cross[2]) + rho**2 * m.cross[3]
    own, now, then = special_values(cells)
    special = special_cells(cells.layout, p, cells.weights)
    decay, weight = special.decay, 1.0 / special.spread
    both = m.special_gram[1] + m.special_gram[1].transpose(0, 2, 1)
    d = decay[:, None, None]
    gram = m.special_gram[0] - d * both + d**2 * m.special_gram[2]
    np.add.at(left, own, weight[:, None, None] * gram)
    shift = m.special_mean[0] - decay[:, None] * m.special_mean[1]
    np.add.at(right, own, (weight * (now - decay * then))[:, None] * shift)
    _add_quarterly(cells, m, p, left, right)
    return Equations(left, right)


def _add_quarterly(cells: Cells, m: Moments, p: FactorParameters, left: Floats, right: Floats) -> None:
    layout, r, n = cells.layout, p.factors, cells.layout.monthly
    month, series = layout.quarters[:, 0] + layout.lead, layout.quarters[:, 1]
    one, two = cells.weights.own[month - 2, series], cells.weights.own[month - 1, series]
    rho = p.memory[n + series]
    sums = m.figures[:, :r, :]
    y = figure_values(cells)
    tail = np.array([1.0, 2.0, 2.0, 1.0]) / 3.0
    # The removed error is g - loadings @ sums / 3, with g known up to the other own errors.
    with_g = y[:, None] * m.figure[:, :r] - sums[:, :, r:] @ tail
    opening = with_g - rho[:, None] * sums[:, :, r + 2]
    second = sums[:, :, r + 1] - rho[:, None] * with_g
    np.add.at(left, n + series, (one + two * rho**2)[:, None, None] * sums[:, :, :r] / 9.0)
    np.add.at(right, n + series, (one[:, None] * opening - (two * rho)[:, None] * second) / 3.0)


def counts(cells: Cells) -> Floats:
    """Return how many innovations each series' variance is learnt from."""
    layout = cells.layout
    if layout.chain is not None:
        size = layout.values.shape[1]
        odd = np.bincount(layout.chain.series, minlength=size).astype(np.float64)
        odd[: layout.monthly] += layout.regular.sum(axis=0)
        return np.maximum(odd, 1.0)
    special = np.bincount(layout.special[:, 1], minlength=layout.monthly)
    monthly = layout.regular.sum(axis=0) + special
    return np.concatenate([monthly, np.full(layout.own_at.shape[1], float(layout.months))])


def misfits(cells: Cells, e: OwnErrors, p: FactorParameters) -> Floats:
    """Return each series' expected sum of squared innovations, each over its relative variance."""
    n = cells.layout.monthly
    rho = p.memory
    regular = e.regular[0] - 2.0 * rho[:n] * e.regular[1] + rho[:n] ** 2 * e.regular[2]
    special = special_cells(cells.layout, p, cells.weights)
    square = e.special[0] - 2.0 * special.decay * e.special[1] + special.decay**2 * e.special[2]
    monthly = regular + np.bincount(cells.layout.special[:, 1], square / special.spread, minlength=n)
    q = rho[n:]
    quarterly = e.quarterly[0] - 2.0 * q * e.quarterly[1] + q**2 * e.quarterly[2]
    quarterly = quarterly + (1.0 - q**2) * cells.weights.own[0] * e.first
    return np.concatenate([monthly, quarterly])


def maximise(cells: Cells, m: Moments, p: FactorParameters) -> FactorParameters:
    """Take one step of expectation-maximisation.

    The factors' scale is left free within the step and put back to unit innovations (parameter expansion, Liu,
    Rubin and Wu 1998). The terms of the first month are left out of the step, not of the likelihood: a caller sees
    whether it rose.
    """
    eq = equations(cells, m, p)
    held = ~p.loads
    left = np.where(held[:, :, None] | held[:, None, :], 0.0, eq.left)
    left[:, np.arange(p.factors), np.arange(p.factors)] += held
    loadings = np.linalg.solve(left, np.where(held, 0.0, eq.right)[:, :, None])[:, :, 0]
    p = replace(p, loadings=loadings)
    transition, innovation = autoregression(m, p)
    if m.found is not None:
        p = _remembered(cells, m.found, p)
        return replace(p, transition=transition, innovation=innovation).unit()
    e = own_errors(cells, m, p)
    if p.ar1:
        n = cells.layout.monthly
        memory = p.memory.copy()
        cross, square = np.append(e.regular[1], e.quarterly[1]), np.append(e.regular[2], e.quarterly[2])
        seen = square > 0
        memory[seen] = np.clip(cross[seen] / square[seen], -MEMORY, MEMORY)
        memory[:n] = np.where(cells.layout.regular.sum(axis=0) > 0, memory[:n], p.memory[:n])
        p = replace(p, memory=memory)
    variance = np.maximum(misfits(cells, e, p) / counts(cells), FLOOR)
    return replace(p, variance=variance, transition=transition, innovation=innovation).unit()


def _remembered(cells: Cells, found: Smoothed, p: FactorParameters) -> FactorParameters:
    """Learn autoregressions and variances of own errors of order two and more, at given loadings."""
    products = chain_moments(cells, found, p).products
    before = products[:, 1:, 1:]
    trace = np.trace(before, axis1=1, axis2=2)
    seen = trace > 0
    ridge = 1e-10 * np.where(seen, trace, 1.0)[:, None, None] * np.eye(p.own_order)
    lags: Floats = np.asarray(np.linalg.solve(before + ridge, products[:, 1:, :1])[:, :, 0], dtype=np.float64)
    partial = partial_of(lags)
    wild = (np.abs(partial) > MEMORY).any(axis=1) | ~np.isfinite(partial).all(axis=1)
    lags[wild] = lags_of(np.clip(np.nan_to_num(partial[wild]), -MEMORY, MEMORY))
    p = with_lags(p, np.where(seen[:, None], lags, p.own_lags))
    misfit = chain_misfits(p, chain_moments(cells, found, p))
    return replace(p, variance=np.maximum(misfit / counts(cells), FLOOR))


def autoregression(m: Lagged, p: FactorParameters) -> tuple[Floats, Floats]:
    """Return the factors' autoregression that fits their expected products, and its innovations' triangular factor."""
    r, order = p.factors, p.order
    transition, innovation = np.zeros((r, r * order)), np.zeros((r, r))
    for block in p.blocks:
        own = np.array(block.factors)
        at = (np.arange(block.order)[:, None] * r + own).ravel()
        now, cross, before = lag_products(m, block.factors, block.order)
        coefficients = np.linalg.solve(before, cross.T).T
        transition[np.ix_(own, at)] = coefficients
        rest = now - coefficients @ cross.T
        innovation[np.ix_(own, own)] = np.linalg.cholesky(0.5 * (rest + rest.T) / m.steps)
    return transition, innovation


def lag_products(m: Lagged, factors: tuple[int, ...], order: int) -> tuple[Floats, Floats, Floats]:
    """Return a block's products: now x now, now x before, before x before."""
    own, size = np.array(factors), len(factors)
    part = m.lagged[: order + 1, : order + 1][:, :, own[:, None], own]
    flat = part.transpose(0, 2, 1, 3).reshape((order + 1) * size, (order + 1) * size)
    return flat[:size, :size], flat[:size, size:], flat[size:, size:]


@dataclass(frozen=True, slots=True)
class Score:
    """Derivatives of the log likelihood; `log_variance` per series, others as in the parameters.

    `memory` is per series, or series x order where own errors remember two months and more.
    """

    loadings: Floats
    transition: Floats
    log_variance: Floats
    memory: Floats


def score(cells: Cells, m: Moments, p: FactorParameters, eq: Equations) -> Score:
    """Return the derivative of the log likelihood at parameters with unit factor innovations."""
    transition = score_transition(m, p, cells.weights.start)
    loadings = (eq.right - np.einsum("ifg,ig->if", eq.left, p.loadings)) / p.variance[:, None]
    if m.found is not None:
        chain = chain_moments(cells, m.found, p)
        misfit, memory = chain_misfits(p, chain), score_lags(cells, chain, p)
        log_variance = 0.5 * (misfit / p.variance - chain.count)
        return Score(np.where(p.loads, loadings, 0.0), np.where(p.lags_used, transition, 0.0), log_variance, memory)
    e = own_errors(cells, m, p)
    log_variance = 0.5 * (misfits(cells, e, p) / p.variance - counts(cells))
    memory = _score_memory(cells, e, p) if p.ar1 else np.zeros_like(p.memory)
    return Score(np.where(p.loads, loadings, 0.0), np.where(p.lags_used, transition, 0.0), log_variance, memory)


def score_transition(m: Lagged, p: FactorParameters, start: float = 1.0) -> Floats:
    """Return the derivative of the log likelihood in the factors' autoregression; `start` weighs the first months."""
    now_before, before = lag_products(m, tuple(range(p.factors)), p.order)[1:]
    out = now_before - p.transition @ before
    # The first months: stationary, so that their covariance moves with the autoregression.
    covariance, form = stationary(p.transition), companion(p.transition)
    precision = np.linalg.inv(covariance)
    pull = -0.5 * (precision - start * (precision @ m.origin @ precision))
    total, power = pull.copy(), form.copy()
    for _ in range(40):
        more = power.T @ total @ power
        total = total + more
        if np.abs(more).max() <= 1e-17 * np.abs(total).max():
            break
        power = power @ power
    return np.asarray(out + (2.0 * total @ form @ covariance)[: p.factors])


def _score_memory(cells: Cells, e: OwnErrors, p: FactorParameters) -> Floats:
    n = cells.layout.monthly
    rho, variance = p.memory, p.variance
    out = np.empty_like(rho)
    out[:n] = (e.regular[1] - rho[:n] * e.regular[2]) / variance[:n]
    own, special = cells.layout.special[:, 1], special_cells(cells.layout, p, cells.weights)
    decay, spread, sigma = special.decay, special.spread, variance[own]
    square = e.special[0] - 2.0 * decay * e.special[1] + decay**2 * e.special[2]
    each = 0.5 * special.spread_slope / spread * (square / (sigma * spread) - 1.0)
    each += special.decay_slope * (e.special[1] - decay * e.special[2]) / (sigma * spread)
    out[:n] += np.bincount(own, each, minlength=n)
    q, sigma = rho[n:], variance[n:]
    out[n:] = (e.quarterly[1] - q * (e.quarterly[2] - cells.weights.own[0] * e.first)) / sigma - q / (1.0 - q**2)
    return out
