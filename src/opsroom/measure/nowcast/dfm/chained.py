"""Likelihood, moments and score of own errors of order two and more; the first order has shorter ways of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from opsroom.measure.nowcast.dfm import chain_kernels
from opsroom.measure.nowcast.dfm.chain import Chain
from opsroom.measure.nowcast.dfm.layout import Layout
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, stationary
from opsroom.measure.nowcast.dfm.remember import ahead, spread_at

if TYPE_CHECKING:
    from opsroom.measure.nowcast.dfm.smooth import Cells, Smoothed, Weights

_STEP = 1e-6


@dataclass(frozen=True, slots=True)
class Odd:
    """The odd equations at given parameters.

    Attributes
    ----------
    share
        Equations x (order + 1): what each month's error counts, newest first.
    weight
        Precision relative to the series' innovations.
    start_logdet
        Per series: log determinant of its start's covariance, in units of one innovation.
    """

    share: Floats
    weight: Floats
    start_logdet: Floats


def contrasts(p: FactorParameters) -> Floats:
    """Return what an innovation is of the errors of its month and those before: 1, less the autoregression."""
    return np.column_stack([np.ones(len(p.names)), -p.own_lags])


def chain_of(layout: Layout) -> Chain:
    """Return the equations of a panel whose errors are of order two or more."""
    assert layout.chain is not None
    return layout.chain


def start_spread(layout: Layout, p: FactorParameters, weights: Weights, series: int) -> Floats:
    """Return the covariance of a series' start, oldest first, in units of one innovation."""
    chain = chain_of(layout)
    size, n = int(chain.start_size[series]), layout.monthly
    lags = p.own_lags[series]
    if series < n:
        end = int(chain.start_base[series]) + size - 1 - layout.lead
        newest = spread_at(lags, float(weights.opening[series]), weights.cell, series, end)
    else:
        newest = stationary(lags[None, :]) / float(weights.own[0, series - n])
    return np.asarray(newest[:size, :size][::-1, ::-1])


def odd_equations(layout: Layout, p: FactorParameters, weights: Weights) -> Odd:
    """Work out the odd equations' coefficients and precisions."""
    chain, n = chain_of(layout), layout.monthly
    share = contrasts(p)[chain.series]
    innovation = chain.kind < 0
    weight = np.ones(chain.rows)
    monthly = innovation & (chain.series < n)
    weight[monthly] = weights.cell[chain.month[monthly] - layout.lead, chain.series[monthly]]
    quarterly = innovation & (chain.series >= n)
    weight[quarterly] = weights.own[chain.month[quarterly], chain.series[quarterly] - n]
    logdet = np.zeros(len(p.names))
    roots: dict[int, Floats] = {}
    for i in np.flatnonzero(chain.start_size):
        root = np.linalg.cholesky(start_spread(layout, p, weights, int(i)))
        roots[int(i)] = np.linalg.inv(root)
        logdet[i] = 2.0 * float(np.log(np.diag(root)).sum())
    for e in np.flatnonzero(~innovation):
        k = int(chain.kind[e])
        share[e] = 0.0
        share[e, : k + 1] = roots[int(chain.series[e])][k, : k + 1][::-1]
    return Odd(np.ascontiguousarray(share), weight, logdet)


def add_chain(cells: Cells, p: FactorParameters, odd: Odd, env: Floats, right: Floats) -> float:
    """Add all own errors to precision and right side; return the weighted sum of squares of what is known."""
    layout, chain, n = cells.layout, chain_of(cells.layout), cells.layout.monthly
    contrast = contrasts(p)
    total = 0.0
    if n:
        load, one = p.loadings[:n], contrast[:n]
        innovation = np.einsum("atn,na->tn", chain.lags, one)
        weighed = layout.regular * cells.weights.cell * innovation / p.variance[:n]
        total = float((weighed * innovation).sum())
        pull = np.einsum("tn,na,nf->taf", weighed, one, load, optimize=True)
        per_series = np.einsum("na,nb,nf,ng,n->nabfg", one, one, load, load, 1.0 / p.variance[:n], optimize=True)
        blocks = cells.by_month(per_series)
        chain_kernels.add_lagged(
            env, layout.first, layout.start, layout.factor_at, layout.lead, blocks, right, np.ascontiguousarray(pull)
        )
    return total + float(
        chain_kernels.add_odd(
            env, layout.first, layout.start, chain.series, chain.form, chain.begin, chain.where, chain.times,
            chain.factor, chain.value, odd.share, p.loadings, odd.weight / p.variance[chain.series], chain.longest,
            right,
        )
    )  # fmt: skip


def chain_spreads(cells: Cells, p: FactorParameters, odd: Odd) -> float:
    """Return the sum of the log variances of all innovations and starts, and what the figures' units add."""
    layout, chain, n = cells.layout, chain_of(cells.layout), cells.layout.monthly
    count = np.bincount(chain.series, minlength=len(p.names)).astype(np.float64)
    count[:n] += layout.regular.sum(axis=0)
    total = float(count @ np.log(p.variance)) + float(odd.start_logdet.sum()) - float(np.log(odd.weight).sum())
    total -= float((layout.regular * np.log(cells.weights.cell)).sum())
    return total + 2.0 * len(layout.quarters) * float(np.log(3.0))


@dataclass(frozen=True, slots=True)
class ChainMoments:
    """Expected products of the own errors at given loadings.

    Attributes
    ----------
    products
        Series x lags x lags: of the errors of neighbouring months, weighed, over all innovations.
    starts
        Per series: of its start, oldest first; (series, order, order).
    start_square
        Per series: sum of squares of its start, in units of its spread.
    left, right
        Normal equations of the loadings, for errors with unit innovations.
    count
        Innovations and starts of each series.
    square
        Per odd equation: expected square, not weighed.
    """

    products: Floats
    starts: Floats
    start_square: Floats
    left: Floats
    right: Floats
    count: Floats
    square: Floats


def chain_moments(cells: Cells, found: Smoothed, p: FactorParameters) -> ChainMoments:
    """Sum up expected products under smoothed unknowns, at parameters that may be others than those of smoothing."""
    layout, chain, n, r = cells.layout, chain_of(cells.layout), cells.layout.monthly, p.factors
    lags, series = chain.order + 1, len(p.names)
    odd = odd_equations(layout, p, cells.weights)
    products, response = np.zeros((chain.rows, lags, lags)), np.zeros((chain.rows, r + 1, r + 1))
    chain_kernels.odd_moments(
        found.near, layout.first, layout.start, found.mean, chain.series, chain.form, chain.begin, chain.where,
        chain.times, chain.factor, chain.value, odd.share, p.loadings, chain.longest, products, response,
    )  # fmt: skip
    left, right = np.zeros((series, r, r)), np.zeros((series, r))
    total = np.zeros((series, lags, lags))
    weight = odd.weight[:, None, None]
    np.add.at(left, chain.series, weight * response[:, :r, :r])
    np.add.at(right, chain.series, weight[:, :, 0] * response[:, :r, r])
    innovation = chain.kind < 0
    np.add.at(total, chain.series[innovation], weight[innovation] * products[innovation])
    starts = np.zeros((series, chain.order, chain.order))
    square = np.einsum("ea,eab,eb->e", odd.share, products, odd.share)
    start_square = np.zeros(series)
    np.add.at(start_square, chain.series[~innovation], square[~innovation])
    for e in np.flatnonzero(~innovation):
        # The last row of a start holds all its months, newest first.
        i, size = chain.series[e], int(chain.kind[e]) + 1
        starts[i, :size, :size] = products[e, :size, :size][::-1, ::-1]
    if n:
        _add_regular(cells, found, p, total, left, right)
    count = np.bincount(chain.series, minlength=series).astype(np.float64)
    count[:n] += layout.regular.sum(axis=0)
    return ChainMoments(total, starts, start_square, left, right, count, square)


def _add_regular(
    cells: Cells, found: Smoothed, p: FactorParameters, total: Floats, left: Floats, right: Floats
) -> None:
    layout, chain, n, r = cells.layout, chain_of(cells.layout), cells.layout.monthly, p.factors
    lags, months = chain.order + 1, len(cells.layout.values)
    both = factor_products(found, lags - 1)
    gram = cells.by_series(both).reshape(n, lags, lags, r, r)
    mean = lagged_means(found, lags - 1)
    weighed = layout.regular * cells.weights.cell * chain.lags
    cross = np.einsum("atn,tbf->nabf", weighed, mean.reshape(months, lags, r), optimize=True)
    square = np.einsum("atn,btn->nab", weighed, chain.lags, optimize=True)
    load, one = p.loadings[:n], contrasts(p)[:n]
    linear = np.einsum("nabf,nf->nab", cross, load)
    total[:n] += square - linear - linear.transpose(0, 2, 1) + np.einsum("nf,nabfg,ng->nab", load, gram, load)
    left[:n] += np.einsum("na,nb,nabfg->nfg", one, one, gram)
    right[:n] += np.einsum("na,nb,nabf->nf", one, one, cross)


def lagged_means(found: Smoothed, lags: int) -> Floats:
    """Return the factors' means of each row and the months before: (rows, lags + 1, r); 0 where there is none."""
    lead, mean = found.layout.lead, found.factor_means
    out = np.zeros((len(mean), lags + 1, mean.shape[1]))
    for a in range(lags + 1):
        out[a:, a] = mean[: len(mean) - a]
    return out[lead:]


def factor_products(found: Smoothed, lags: int, *, centred: bool = False) -> Floats:
    """Return the factors' expected products of each row: (rows, lags + 1, lags + 1, r, r); covariances if `centred`."""
    from opsroom.measure.nowcast.dfm import kernels

    layout, r = found.layout, found.parameters.factors
    months = layout.months
    cov = np.zeros((lags + 1, months, r, r))
    kernels.lagged(found.near, layout.first, layout.start, layout.factor_at, r, lags, cov)
    out = np.zeros((months, lags + 1, lags + 1, r, r))
    for a in range(lags + 1):
        for b in range(a, lags + 1):
            # Month t - a with month t - b, which lies b - a before it.
            out[b:, a, b] = cov[b - a, b - a : months - a]
            out[:, b, a] = out[:, a, b].transpose(0, 2, 1)
    out = out[layout.lead :]
    if not centred:
        mean = lagged_means(found, lags)
        out = out + np.einsum("taf,tbg->tabfg", mean, mean)
    return np.asarray(out)


def chain_misfits(p: FactorParameters, m: ChainMoments) -> Floats:
    """Return each series' expected sum of squared innovations, each over its relative variance."""
    one = contrasts(p)
    return np.asarray(np.einsum("na,nab,nb->n", one, m.products, one) + m.start_square)


def score_lags(cells: Cells, m: ChainMoments, p: FactorParameters) -> Floats:
    """Return the derivative of the log likelihood in the own errors' autoregressions: series x order."""
    layout, chain = cells.layout, chain_of(cells.layout)
    lags = p.own_lags
    out = (m.products[:, 1:, 0] - np.einsum("nab,nb->na", m.products[:, 1:, 1:], lags)) / p.variance[:, None]
    for i in np.flatnonzero(chain.start_size):
        size = int(chain.start_size[i])
        spread = start_spread(layout, p, cells.weights, int(i))
        inverse = np.linalg.inv(spread)
        pull = 0.5 * (inverse @ m.starts[i, :size, :size] @ inverse / p.variance[i] - inverse)
        for k in range(chain.order):
            ends = [start_spread(layout, _moved(p, int(i), k, sign * _STEP), cells.weights, int(i)) for sign in (1, -1)]
            out[i, k] += float((pull * (ends[0] - ends[1])).sum()) / (2.0 * _STEP)
    return np.asarray(out)


def _moved(p: FactorParameters, series: int, lag: int, step: float) -> FactorParameters:
    from opsroom.measure.nowcast.dfm.parameters import with_lags

    lags = p.own_lags.copy()
    lags[series, lag] += step
    return with_lags(p, lags)


def unknown_error(
    cells: Cells, p: FactorParameters, row: int, column: int, direction: Floats
) -> tuple[tuple[tuple[int, float], ...], float]:
    """Say how an unknown monthly cell's own error comes about: add what unknowns say of it to a direction.

    Returns
    -------
    tuple
        The cells that it rests on with their weights, and the variance that is left when all unknowns are known. In a
        hole it is an unknown itself. Beyond a series' ends it rests on the nearest `order` months' errors.
    """
    layout, chain, n = cells.layout, chain_of(cells.layout), cells.layout.monthly
    lead, lags, variance = layout.lead, p.own_lags[column], float(p.variance[column])
    hole = int(chain.hole_at[row + lead, column])
    if hole >= 0:
        direction[hole] += 1.0
        return (), 0.0
    opening, weights = float(cells.weights.opening[column]), cells.weights.cell
    known = np.flatnonzero(~np.isnan(layout.values[:, column]))
    own = spread_at(lags, opening, weights, column, row)
    if not len(known):
        return (), variance * float(own[0, 0])
    begun, end = int(known[0]), int(known[-1])
    size = min(chain.order, end - begun + 1)
    newest = end if row > end else begun + size - 1
    near = spread_at(lags, opening, weights, column, newest)
    # Covariance of the newest months' errors, newest first, with the one that is asked for.
    apart = (ahead(lags, row - end) @ near)[0] if row > end else (ahead(lags, newest - row) @ own)[:, 0]
    share = np.linalg.solve(near[:size, :size], apart[:size])
    rests_on: list[tuple[int, float]] = []
    for k in range(size):
        month = newest - k
        hole = int(chain.hole_at[month + lead, column])
        if hole >= 0:
            direction[hole] += share[k]
            continue
        at = layout.factor_at[month + lead]
        direction[at : at + p.factors] -= share[k] * p.loadings[column]
        rests_on.append((month, float(share[k])))
    assert column < n
    return tuple(rests_on), variance * float(own[0, 0] - share @ apart[:size])


def chain_weights(cells: Cells, p: FactorParameters, solved: Floats, out: Floats) -> None:
    """Add to `out` what one unit of every known cell adds to a sum of unknowns; `solved` is precision \\ sum."""
    layout, chain, n = cells.layout, chain_of(cells.layout), cells.layout.monthly
    odd = odd_equations(layout, p, cells.weights)
    weight = np.zeros(len(chain.value))
    chain_kernels.odd_weights(
        chain.series, chain.form, chain.begin, chain.where, chain.times, chain.factor, chain.value, odd.share,
        p.loadings, odd.weight / p.variance[chain.series], chain.longest, solved, weight,
    )  # fmt: skip
    held = chain.cell_row >= 0
    np.add.at(out, (chain.cell_row[held], chain.cell_column[held]), (weight * chain.cell_times)[held])
    push = solved[layout.factor_at[:, None] + np.arange(p.factors)] @ p.loadings[:n].T
    one, rows = contrasts(p)[:n], len(layout.values)
    each = np.zeros((rows, n))
    for a in range(chain.order + 1):
        begun = max(a - layout.lead, 0)
        each[begun:] += one[:, a] * push[begun + layout.lead - a : layout.months - a]
    each *= layout.regular * cells.weights.cell / p.variance[:n]
    for a in range(chain.order + 1):
        out[: rows - a, :n] += one[:, a] * each[a:]


def chain_squares(cells: Cells, found: Smoothed) -> tuple[Floats, Floats, Floats, Floats]:
    """Return expected squared innovations over their variances.

    Of the monthly series' known cells, of the quarterly series' months, of the monthly series' holes (NaN where a
    month has none, as at a series' start), and per series the sum over its start, over its spread.
    """
    layout, chain, p, n = cells.layout, chain_of(cells.layout), found.parameters, cells.layout.monthly
    one, load = contrasts(p)[:n], p.loadings[:n]
    mean = np.einsum("taf,na,nf->tn", lagged_means(found, chain.order), one, load, optimize=True)
    rest = np.einsum("atn,na->tn", chain.lags, one) - mean
    cov = factor_products(found, chain.order, centred=True)
    pairs = np.einsum("na,nb,nf,ng->nabfg", one, one, load, load, optimize=True)
    noise = cov.reshape(len(cov), -1) @ pairs.reshape(n, -1).T if n else np.zeros_like(rest)
    monthly = np.where(layout.regular > 0, (rest**2 + noise) / p.variance[:n], np.nan)
    quarterly = np.full(layout.own_at.shape, np.nan)
    m = chain_moments(cells, found, p)
    square, innovation = m.square / p.variance[chain.series], chain.kind < 0
    row = chain.month - layout.lead
    seen = innovation & (chain.series < n)
    both = np.full(layout.values[:, :n].shape, np.nan)
    both[row[seen], chain.series[seen]] = square[seen]
    unknown = np.isnan(layout.values[:, :n])
    monthly = np.where(np.isnan(both) | unknown, monthly, both)
    other = innovation & (chain.series >= n)
    quarterly[chain.month[other], chain.series[other] - n] = square[other]
    return monthly, quarterly, np.where(unknown, both, np.nan), m.start_square / p.variance
