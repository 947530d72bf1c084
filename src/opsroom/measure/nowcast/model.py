"""The factor model: a common monthly growth, each series' own memory, heavy tails in both.

One vintage is one Gaussian vector given the parameters and weights, and everything asked of the model
is a weighted least-squares problem in the factors of all months at once: each row below says that some
combination of factors equals a number up to an error. There is no recursion over time, so a nowcast is
an explicit linear function of the data, and its weights are what `news` is made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.panel import GROWTH, LEVEL, Floats, Ints, Panel

START_VARIANCE = 10.0
"""Variance of the factors in the first `lags` months; their innovations have variance 1."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """All that a fit has learnt, weights included.

    Attributes
    ----------
    center, scale
        Per series: robust location and spread with which data are standardised.
    intercept, loadings, memory, variance
        Per series, in standardised units: mean, response to the factors (series x factors), first-order
        autocorrelation of its own error (0 for quarterly series), variance of that error's innovation.
    transition
        Factors x (lags * factors), of the vector autoregression.
    weights
        Months x series: 1 for an ordinary own error, near 0 for an outlier.
    calm
        Per month: about 1 in ordinary times, near 0 where the factors were shocked.
    """

    center: Floats
    scale: Floats
    intercept: Floats
    loadings: Floats
    memory: Floats
    variance: Floats
    transition: Floats
    weights: Floats
    calm: Floats

    @property
    def factors(self) -> int:
        """Number of factors."""
        return int(self.loadings.shape[1])

    @property
    def lags(self) -> int:
        """Number of lags."""
        return int(self.transition.shape[1] // self.loadings.shape[1])


@dataclass(frozen=True, slots=True)
class Observations:
    """The observed cells of a panel, standardised, as chains: which observation follows which.

    For an observation of a monthly series `before` is the month of the series' previous one, -1 for its
    first; `gap` is the number of months between, 0 for a first one. Quarterly series have no chain
    (`before` -1 throughout, `quarter` True).
    """

    series: Ints
    month: Ints
    before: Ints
    value: Floats
    value_before: Floats
    quarter: NDArray[np.bool_]
    average: NDArray[np.bool_]
    gap: Ints


@dataclass(frozen=True, slots=True)
class Rows:
    """Whitened rows: ``design @ factors = value + unit-variance error``.

    `spread` is each row's error variance before whitening in units of the series' variance, `decay`
    the weight of the previous observation, `deviation` the standard deviation.
    """

    design: sparse.csr_array
    value: Floats
    deviation: Floats
    decay: Floats
    spread: Floats


@dataclass(frozen=True, slots=True)
class Posterior:
    """The factors given the data: mean (months x factors), covariance, log likelihood of the data."""

    mean: Floats
    covariance: Floats
    loglikelihood: float


def observe(panel: Panel, center: Floats, scale: Floats) -> Observations:
    """List a panel's observed cells, standardised."""
    standard = (panel.values - center) / scale
    column, month = np.nonzero(~np.isnan(standard.T))
    value = standard[month, column]
    quarter = panel.quarterly[column]
    before = np.full(len(column), -1, dtype=np.int64)
    value_before = np.zeros(len(column))
    same = (column[1:] == column[:-1]) & ~quarter[1:]
    before[1:][same] = month[:-1][same]
    value_before[1:][same] = value[:-1][same]
    gap = np.where(before >= 0, month - before, 0)
    return Observations(column, month, before, value, value_before, quarter, panel.average[column], gap)


def build_rows(seen: Observations, p: Parameters) -> Rows:
    """Whiten the observations under given parameters."""
    chained = seen.before >= 0
    decay, spread = memory_of(seen, p)
    deviation = np.sqrt(p.variance[seen.series] * spread)
    mean = p.intercept[seen.series]
    value = (seen.value - mean - decay * np.where(chained, seen.value_before - mean, 0.0)) / deviation
    return Rows(_design(seen, p, decay, deviation), value, deviation, decay, spread)


def memory_of(seen: Observations, p: Parameters) -> tuple[Floats, Floats]:
    """Return, per row, the weight of the observation before and the error's relative variance."""
    rho = p.memory[seen.series]
    return np.where(seen.before >= 0, rho ** np.maximum(seen.gap, 1), 0.0), _spread(seen, p)


def _spread(seen: Observations, p: Parameters) -> Floats:
    """Error variance of each row over the series' innovation variance.

    A jump over months without an observation adds up the innovations of all of them, each with its own
    weight, so that filling a hole later changes nothing else: the model is one joint distribution.
    """
    weight = p.weights[seen.month, seen.series]
    spread = 1.0 / weight
    for k in np.flatnonzero((seen.gap > 1) | ((seen.before < 0) & ~seen.quarter)):
        i, month, before = int(seen.series[k]), int(seen.month[k]), int(seen.before[k])
        square = float(p.memory[i]) ** 2
        total = 0.0 if before >= 0 else 1.0 / (1.0 - square)
        steps = p.weights[before + 1 : month + 1, i] if before >= 0 else p.weights[1 : month + 1, i]
        if before < 0 and np.all(steps == 1.0):
            spread[k] = total
            continue
        for w in steps:
            total = square * total + 1.0 / float(w)
        spread[k] = total
    return spread


def _design(seen: Observations, p: Parameters, decay: Floats, deviation: Floats) -> sparse.csr_array:
    months, factors = p.calm.shape[0], p.factors
    rows: list[NDArray[np.int64]] = []
    cols: list[NDArray[np.int64]] = []
    data: list[Floats] = []
    loading = p.loadings[seen.series] / deviation[:, None]

    def add(which: Ints, at: Ints, factor: Floats) -> None:
        for f in range(factors):
            rows.append(which)
            cols.append(at * factors + f)
            data.append(factor * loading[which, f])

    monthly = np.flatnonzero(~seen.quarter)
    add(monthly, seen.month[monthly], np.ones(len(monthly)))
    chained = np.flatnonzero(seen.before >= 0)
    add(chained, seen.before[chained], -decay[chained])
    quarterly = np.flatnonzero(seen.quarter)
    for lag in range(5):
        weight = np.where(seen.average[quarterly], LEVEL[lag], GROWTH[lag])
        add(quarterly, seen.month[quarterly] - lag, weight)
    shape = (len(seen.series), months * factors)
    matrix = sparse.coo_array((np.concatenate(data), (np.concatenate(rows), np.concatenate(cols))), shape)
    return sparse.csr_array(matrix)


def prior_precision(p: Parameters) -> Floats:
    """Return the dense precision of all months' factors before any data."""
    months, r, lags = p.calm.shape[0], p.factors, p.lags
    t = np.arange(lags, months)
    # An innovation is a combination of the factors of its month and of `lags` months before.
    parts = [np.eye(r), *(-p.transition[:, k * r : (k + 1) * r] for k in range(lags))]
    blocks = np.zeros((months, r, months, r))
    for i, left in enumerate(parts):
        for j, right in enumerate(parts):
            blocks[t - i, :, t - j, :] += p.calm[t, None, None] * (left.T @ right)
    size = months * r
    precision: Floats = blocks.reshape(size, size)
    first = np.arange(lags * r)
    precision[first, first] += 1.0 / START_VARIANCE
    return precision


def smooth(rows: Rows, p: Parameters) -> Posterior:
    """Return the distribution of the factors given all rows, and the likelihood of the data.

    Raises
    ------
    FitError
        The precision is not positive definite or not finite.
    """
    months, r = p.calm.shape[0], p.factors
    precision = prior_precision(p) + (rows.design.T @ rows.design).toarray()
    try:
        factor = linalg.cholesky(precision, lower=True, overwrite_a=True)
    except (linalg.LinAlgError, ValueError) as error:
        raise singular() from error
    mean = linalg.cho_solve((factor, True), rows.design.T @ rows.value)
    covariance, info = linalg.lapack.dpotri(factor, lower=1)
    if info != 0:
        raise singular()
    covariance = np.tril(covariance) + np.tril(covariance, -1).T
    residual = rows.value - rows.design @ mean
    logdet = 2.0 * float(np.log(np.diag(factor)).sum())
    mean = mean.reshape(months, r)
    loglikelihood = likelihood(len(rows.value), rows.deviation, logdet, float(residual @ residual), mean, p)
    return Posterior(mean, covariance, loglikelihood)


def singular() -> FitError:
    """Return the error of a precision that cannot be inverted."""
    return FitError(
        "the factor model's information matrix is singular.",
        code="OPS-M105",
        remedy="Use fewer factors, or remove duplicate series.",
    )


def likelihood(n: int, deviation: Floats, logdet: float, misfit: float, mean: Floats, p: Parameters) -> float:
    """Return the log likelihood of n rows whose whitened residuals at the factors' mean have square sum `misfit`."""
    prior_logdet = p.factors * float(np.log(p.calm[p.lags :]).sum()) - p.lags * p.factors * np.log(START_VARIANCE)
    fit = misfit + _prior_square(mean, p)
    spread = 2.0 * float(np.log(deviation).sum())
    return float(-0.5 * (n * np.log(2.0 * np.pi) + spread + logdet - prior_logdet + fit))


def quarter_moments(seen: Observations, posterior: Posterior, which: Ints) -> tuple[Floats, Floats]:
    """Return mean and covariance of the factors' aggregate in the quarters of quarterly observations `which`."""
    months, r = posterior.mean.shape
    blocks = posterior.covariance.reshape(months, r, months, r)
    weights = np.where(seen.average[which][:, None], LEVEL[None, :], GROWTH[None, :])
    t = seen.month[which]
    mean, cov = np.zeros((len(which), r)), np.zeros((len(which), r, r))
    for a in range(len(GROWTH)):
        mean += weights[:, a, None] * posterior.mean[t - a]
        for c in range(len(GROWTH)):
            cov += (weights[:, a] * weights[:, c])[:, None, None] * blocks[t - a, :, t - c, :]
    return mean, cov


def innovations(mean: Floats, p: Parameters) -> Floats:
    """Return the factors' innovations from month `lags` on."""
    lags, months = p.lags, mean.shape[0]
    lagged = np.hstack([mean[lags - lag : months - lag] for lag in range(1, lags + 1)])
    return np.asarray(mean[lags:] - lagged @ p.transition.T)


def _prior_square(mean: Floats, p: Parameters) -> float:
    eta = innovations(mean, p)
    start = mean[: p.lags]
    return float((p.calm[p.lags :, None] * eta**2).sum() + (start**2).sum() / START_VARIANCE)
