"""The factors given the data, and the likelihood of the data given the parameters.

Everything is one Gaussian vector, and its precision is thin: equations that hold neighbouring months only. So there
is no recursion over states: one sparse Cholesky factor gives likelihood, means and covariances. The monthly series
enter through sums over series (Jungbacker and Koopman 2015), their own memory through differences to the cell before
(quasi-differencing), so that no series has a state of its own. A hole reaches back to the last known cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.dfm import kernels, sums
from opsroom.measure.nowcast.dfm.chained import add_chain, chain_spreads, odd_equations
from opsroom.measure.nowcast.dfm.layout import Layout
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints, Mask, stationary


@dataclass(frozen=True, slots=True)
class Volatility:
    """Log variances that walk, relative to the parameters' own.

    Attributes
    ----------
    shocks
        Months (lead included): of the factors' innovations.
    common
        Months (lead included): what the series' own innovations have in common.
    series
        Months (lead included) x series: of the series' own innovations, what is common included.
    shock_step, common_step, step
        Standard deviation of a month's step, of the factors' walk, the common one, and each series' own.
    """

    shocks: Floats
    common: Floats
    series: Floats
    shock_step: float
    common_step: float
    step: float


@dataclass(frozen=True, slots=True)
class Weights:
    """Precisions relative to the parameters' own: all 1 in the Gaussian model.

    Attributes
    ----------
    cell
        Months x monthly series: of each cell's innovation.
    own
        Months (lead included) x quarterly series: of the quarterly series' monthly innovations.
    calm
        Months (lead included): of the factors' innovations.
    volatility
        What of all three is volatility; None where there is none.
    """

    cell: Floats
    own: Floats
    calm: Floats
    volatility: Volatility | None = None

    @classmethod
    def ones(cls, layout: Layout) -> Weights:
        """Return the weights of the Gaussian model."""
        months, n = layout.values.shape
        return cls(
            np.ones((months, layout.monthly)),
            np.ones((layout.months, n - layout.monthly)),
            np.ones(layout.months),
        )

    @property
    def opening(self) -> Floats:
        """Variance of the monthly series' own innovations before the panel, relative to the parameters' own."""
        n, volatility = self.cell.shape[1], self.volatility
        return np.ones(n) if volatility is None else np.exp(volatility.series[0, :n])

    @property
    def start(self) -> float:
        """Precision of the factors' start, relative to the stationary one."""
        return 1.0 if self.volatility is None else float(np.exp(-self.volatility.shocks[0]))

    def tails(self) -> Weights:
        """Return what is left when volatility is taken out."""
        if self.volatility is None:
            return self
        return self._scaled(self.volatility, 1.0, None)

    def under(self, volatility: Volatility) -> Weights:
        """Return these weights, which have no volatility yet, times the precision that volatility leaves."""
        return self._scaled(volatility, -1.0, volatility)

    def _scaled(self, volatility: Volatility, sign: float, kept: Volatility | None) -> Weights:
        n, lead = self.cell.shape[1], len(volatility.series) - len(self.cell)
        series = np.exp(sign * volatility.series)
        calm = self.calm * np.exp(sign * volatility.shocks)
        return Weights(self.cell * series[lead:, :n], self.own * series[:, n:], calm, kept)


@dataclass(frozen=True, slots=True)
class Cells:
    """The regular cells under given weights, summed as far as they can be before the parameters are known.

    Attributes
    ----------
    layout, weights
        What it was computed from.
    pattern, which
        The distinct rows of weights of regular cells, and which of them each month has: few in a Gaussian model.
    now, back
        Weight times value, and weight times the value before.
    squares
        Per series the weighted sums of now², now * before, before²: (3, series).
    """

    layout: Layout
    weights: Weights
    pattern: Floats
    which: Ints
    now: Floats
    back: Floats
    squares: Floats

    @classmethod
    def of(cls, layout: Layout, weights: Weights | None = None) -> Cells:
        """Sum up a panel's regular cells."""
        given = Weights.ones(layout) if weights is None else weights
        seen = layout.regular * given.cell
        if np.all(given.cell == 1.0):
            pattern, which = np.unique(seen, axis=0, return_inverse=True)
        else:
            pattern, which = seen, np.arange(len(seen))
        now, back = seen * layout.now, seen * layout.back
        squares = np.stack(
            [(now * layout.now).sum(axis=0), (now * layout.back).sum(axis=0), (back * layout.back).sum(axis=0)]
        )
        return cls(layout, given, pattern, which.reshape(-1).astype(np.int64), now, back, squares)

    def by_month(self, per_series: Floats) -> Floats:
        """Return the weighted sum over each month's regular cells of something that a series has: (months, …)."""
        flat = per_series.reshape(len(per_series), -1)
        return np.asarray((self.pattern @ flat)[self.which].reshape(-1, *per_series.shape[1:]))

    def by_series(self, per_month: Floats) -> Floats:
        """Return the weighted sum over each series' regular cells of something that a month has: (series, …)."""
        flat = per_month.reshape(len(per_month), -1)
        if len(self.pattern) < len(flat):
            merged = np.zeros((len(self.pattern), flat.shape[1]))
            np.add.at(merged, self.which, flat)
            flat = merged
        return np.asarray((self.pattern.T @ flat).reshape(-1, *per_month.shape[1:]))


@dataclass(frozen=True, slots=True)
class Special:
    """The monthly cells that do not follow one another.

    Attributes
    ----------
    decay, spread
        Weight of the cell before, and variance relative to one innovation.
    decay_slope, spread_slope
        Their derivatives in the memory.
    value
        The cell less `decay` times the cell before.
    weight
        Precision.
    """

    decay: Floats
    spread: Floats
    decay_slope: Floats
    spread_slope: Floats
    value: Floats
    weight: Floats


@dataclass(frozen=True, slots=True)
class Smoothed:
    """The unknowns of one panel under given parameters.

    Attributes
    ----------
    layout, parameters, weights
        What it was computed from; the parameters have factors with unit innovations.
    mean
        Mean of every unknown.
    root
        Cholesky factor of the unknowns' precision, by rows within the envelope.
    near
        Covariances within the envelope; empty where they were not asked for.
    loglike
        Log likelihood of the standardised data.
    special
        Workings of the special cells.
    """

    layout: Layout
    parameters: FactorParameters
    weights: Weights
    mean: Floats
    root: Floats
    near: Floats
    loglike: float
    special: Special

    @property
    def factor_means(self) -> Floats:
        """Months (lead included) x factors."""
        at = self.layout.factor_at[:, None] + np.arange(self.parameters.factors)
        return np.asarray(self.mean[at])

    def solve(self, direction: Floats) -> Floats:
        """Return covariance times a direction over the unknowns."""
        out = direction.copy()
        kernels.solve(self.root, self.layout.first, self.layout.start, out)
        return out


def special_cells(layout: Layout, p: FactorParameters, weights: Weights) -> Special:
    """Work out the cells after a hole, and the first of each series.

    A hole of g months leaves memory**g of the cell before, and adds up the innovations between.
    """
    out = np.empty((6, len(layout.special)))
    sums.special_terms(layout.special, layout.values, p.memory, p.variance, weights.cell, weights.opening, out)
    return Special(*out)


def smooth(cells: Cells, parameters: FactorParameters, *, moments: bool = True) -> Smoothed:
    """Find the unknowns given the data.

    Parameters
    ----------
    cells
        The panel, from data standardised with the parameters' own center and scale.
    parameters
        The model.
    moments
        Also find the covariances within the envelope.

    Raises
    ------
    FitError
        The factors' autoregression is not stationary, or the precision is not positive definite.
    """
    layout, weights, p = cells.layout, cells.weights, parameters.unit()
    r, order, n_m = p.factors, p.order, layout.monthly
    covariance = stationary(p.transition)
    if not np.all(np.isfinite(covariance)):
        raise not_stationary(p.radius)
    origin = np.linalg.inv(covariance)
    sign, logdet_start = np.linalg.slogdet(covariance)
    if sign <= 0:
        raise not_stationary(p.radius)
    contrast = np.hstack([np.eye(r), -p.transition])
    env, right = np.zeros(layout.start[-1]), np.zeros(layout.unknowns)
    first, start, at, lead = layout.first, layout.start, layout.factor_at, layout.lead
    calm = contrast.T @ contrast, weights.calm, weights.start * origin
    if layout.chain is not None:
        none = np.zeros((len(layout.values), r, r))
        kernels.add_factors(env, first, start, at, *calm, none, none, lead)
        odd = odd_equations(layout, p, weights)
        total = add_chain(cells, p, odd, env, right)
        special, spreads = special_cells(layout, p, weights), chain_spreads(cells, p, odd)
    else:
        same, cross, right_now, right_back, total = _collapse(cells, p)
        here = at[lead:, None] + np.arange(r)
        right[here] += right_now
        if cross is not None:
            right[here[:-1]] -= right_back[1:]
        else:
            cross = np.zeros_like(same)
        kernels.add_factors(env, first, start, at, *calm, same, cross, lead)
        special = special_cells(layout, p, weights)
        total += kernels.add_special(
            env, first, start, at, lead, layout.special, special.decay, special.weight, special.value,
            p.loadings, right,
        )  # fmt: skip
        quarterly_values = layout.values[layout.quarters[:, 0], n_m + layout.quarters[:, 1]]
        total += kernels.add_quarters(
            env, first, start, at, layout.own_at, lead, layout.quarters, quarterly_values, layout.plain,
            p.loadings[n_m:], p.memory[n_m:], p.variance[n_m:], weights.own, right,
        )  # fmt: skip
        spreads = _spreads(layout, p, weights, special)
    logdet = kernels.factorise(env, first, start)
    if not np.isfinite(logdet):
        raise singular()
    mean = right.copy()
    kernels.solve(env, first, start, mean)
    loglike = -0.5 * (
        layout.cells * np.log(2.0 * np.pi)
        + logdet
        + logdet_start
        - r * order * float(np.log(weights.start))
        - r * float(np.log(weights.calm[order:]).sum())
        + spreads
        + total
        - float(mean @ right)
    )
    near = np.zeros(0)
    if moments:
        near = np.zeros_like(env)
        kernels.invert(env, first, start, near)
    return Smoothed(layout, p, weights, mean, env, near, float(loglike), special)


def _collapse(cells: Cells, p: FactorParameters) -> tuple[Floats, Floats | None, Floats, Floats, float]:
    """Sum the regular cells over the series: what is left of N series is of the size of the factors."""
    n, r = cells.layout.monthly, p.factors
    scaled = p.loadings[:n] / p.variance[:n, None]
    gram = p.loadings[:n, :, None] * scaled[:, None, :]
    if not p.ar1:
        right = cells.now @ scaled
        return cells.by_month(gram), None, right, right, float(cells.squares[0] @ (1.0 / p.variance[:n]))
    rho = p.memory[:n]
    powers = np.stack([np.ones(n), rho, rho**2], axis=1)
    blocks = cells.by_month(powers[:, :, None, None] * gram[:, None])
    same, cross = blocks[:, 0].copy(), blocks[:, 1]
    same[:-1] += blocks[1:, 2]
    times = (powers[:, :, None] * scaled[:, None]).reshape(n, 3 * r)
    both = cells.now @ times[:, : 2 * r] - cells.back @ times[:, r:]
    squares = powers * np.array([1.0, -2.0, 1.0]) / p.variance[:n, None]
    return same, cross, both[:, :r], both[:, r:], float((squares * cells.squares.T).sum())


def _spreads(layout: Layout, p: FactorParameters, weights: Weights, special: Special) -> float:
    """Return the sum of the log variances of all innovations of the series' own errors."""
    n = layout.monthly
    count = layout.regular.sum(axis=0)
    total = float(count @ np.log(p.variance[:n])) - float(np.log(special.weight).sum())
    if np.any(weights.cell != 1.0):
        total -= float((layout.regular * np.log(weights.cell)).sum())
    total += float(layout.months * np.log(p.variance[n:]).sum() - np.log(1.0 - p.memory[n:] ** 2).sum())
    return total - float(np.log(weights.own).sum()) + 2.0 * len(layout.quarters) * float(np.log(3.0))


def standardise(values: Floats, p: FactorParameters) -> Floats:
    """Return values in the units in which the model is written."""
    return np.asarray((values - p.center) / p.scale)


def not_stationary(radius: float) -> FitError:
    """Return the error of factors that would not settle."""
    return FitError(
        f"the factors' autoregression is not stationary (spectral radius {radius:.3f}).",
        code="OPS-M108",
        remedy="Check for a series in levels that should be in changes.",
    )


def singular() -> FitError:
    """Return the error of a precision that cannot be inverted."""
    return FitError(
        "the factor model's information matrix is singular.",
        code="OPS-M105",
        remedy="Use fewer factors, or remove duplicate series.",
    )


def known(layout: Layout) -> Mask:
    """Return which cells of the panel are known."""
    return ~np.isnan(layout.values)
