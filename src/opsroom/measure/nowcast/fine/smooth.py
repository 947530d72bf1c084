"""The factors of every week or day given the data, and the likelihood of the data given the parameters.

Own errors live at their series' own frequency, so the only unknowns are the factors of the base periods. Their
precision is an envelope: a quarter's growth ties the base periods of two quarters, with memory of three.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.nowcast.dfm import kernels as envelope
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, stationary
from opsroom.measure.nowcast.dfm.smooth import not_stationary, singular
from opsroom.measure.nowcast.fine import kernels
from opsroom.measure.nowcast.fine.pattern import Pattern, summed


@dataclass(frozen=True, slots=True)
class Own:
    """How each cell's own error rests on the cell before.

    Attributes
    ----------
    decay, spread
        Weight of the error before, and variance relative to one innovation. A hole of g periods leaves memory**g, and
        adds up the innovations between; a series' first cell is stationary.
    decay_slope, spread_slope
        Their derivatives in the memory.
    """

    decay: Floats
    spread: Floats
    decay_slope: Floats
    spread_slope: Floats


@dataclass(frozen=True, slots=True)
class FineSmoothed:
    """The unknowns of one panel under given parameters.

    Attributes
    ----------
    pattern, parameters
        What it was computed from; the parameters have factors with unit innovations.
    mean
        Mean of every unknown.
    root, near
        Cholesky factor of the precision, and covariances, within the envelope; `near` is empty if not asked for.
    loglike
        Log likelihood of the standardised data.
    own
        Workings of the own errors.
    """

    pattern: Pattern
    parameters: FactorParameters
    mean: Floats
    root: Floats
    near: Floats
    loglike: float
    own: Own

    @property
    def factor_means(self) -> Floats:
        """Rows x factors."""
        return self.mean.reshape(-1, self.parameters.factors)

    def solve(self, direction: Floats) -> Floats:
        """Return covariance times a direction over the unknowns."""
        out = direction.copy()
        envelope.solve(self.root, self.pattern.first, self.pattern.start, out)
        return out


def own_workings(pattern: Pattern, p: FactorParameters) -> Own:
    """Work out the own errors' chains."""
    rho, gap = p.memory[pattern.series], pattern.gap
    begun, room = gap > 0, 1.0 - rho**2
    some = np.maximum(gap, 1)
    decay = np.where(begun, rho**some, 0.0)
    decay_slope = np.where(begun, some * rho ** (some - 1), 0.0)
    plain = (1.0 - decay**2) / room
    slope = 2.0 * (rho * plain - decay * decay_slope) / room
    spread = plain + pattern.lightness - 1.0
    if len(pattern.hidden):
        at, apart = pattern.hidden.T
        inside = np.where(begun, gap, np.iinfo(np.int64).max)[at] > apart
        past = p.memory[pattern.series[at]]
        added = np.where(inside, pattern.hidden_light, 0.0)
        spread += np.bincount(at, past ** (2 * apart) * added, minlength=pattern.cells)
        slope += np.bincount(at, 2 * apart * past ** (2 * apart - 1) * added, minlength=pattern.cells)
    return Own(decay, spread, decay_slope, slope)


def smooth(pattern: Pattern, parameters: FactorParameters, *, moments: bool = True) -> FineSmoothed:
    """Find the factors given the data.

    Parameters
    ----------
    pattern
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
    p = parameters.unit()
    r = p.factors
    covariance = stationary(p.transition)
    if not np.all(np.isfinite(covariance)):
        raise not_stationary(p.radius)
    sign, logdet_start = np.linalg.slogdet(covariance)
    if sign <= 0:
        raise not_stationary(p.radius)
    contrast = np.hstack([np.eye(r), -p.transition])
    first, start = pattern.first, pattern.start
    env, right = np.zeros(start[-1]), np.zeros(len(first))
    none: Floats = np.zeros((0, r, r))
    envelope.add_factors(
        env, first, start, pattern.at, contrast.T @ contrast, pattern.calm, np.linalg.inv(covariance),
        none, none, 0,
    )  # fmt: skip
    own = own_workings(pattern, p)
    variance = p.variance[pattern.series] * own.spread
    value = pattern.now - own.decay * pattern.back
    now, before = pattern.shares
    load = p.loadings[pattern.series]
    scaled = load / variance[:, None]
    gram = scaled[:, :, None] * load[:, None, :]
    shares, faded = len(pattern.share_row), own.decay[:, None, None] * gram
    same = summed(now, gram, shares) + summed(before, own.decay[:, None, None] * faded, shares)
    cross = -summed(pattern.link, faded, len(pattern.links))
    pulled = scaled * value[:, None]
    pull = summed(now, pulled, shares) - summed(before, own.decay[:, None] * pulled, shares)
    total = float((value**2 / variance).sum())
    kernels.spread_out(
        env, first, start, pattern.share_row, pattern.share_at, pattern.share_weight, pattern.links, same, cross,
        pull, right,
    )  # fmt: skip
    logdet = envelope.factorise(env, first, start)
    if not np.isfinite(logdet):
        raise singular()
    mean = right.copy()
    envelope.solve(env, first, start, mean)
    loglike = -0.5 * (
        pattern.cells * np.log(2.0 * np.pi)
        + logdet
        + logdet_start
        - r * float(np.log(pattern.calm[p.order :]).sum())
        + float(np.log(variance).sum())
        + total
        - float(mean @ right)
    )
    near = np.zeros(0)
    if moments:
        near = np.zeros_like(env)
        envelope.invert(env, first, start, near)
    return FineSmoothed(pattern, p, mean, env, near, float(loglike), own)
