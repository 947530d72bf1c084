"""Paths without bubbles: what the critical values are drawn from, always for the statistic's own lags.

- Monte Carlo: a random walk with normal steps and a drift of 1/T (Phillips, Shi and Yu 2015).
- Wild: the series' own steps, in their own order, times independent draws of mean 0 and variance 1 (Harvey, Leybourne,
  Sollis and Taylor 2016). A quiet first half and a wild second half stay what they were, so the test is not misled by
  them. With lags, the steps' autoregression of that order is taken out before and put back after. The multipliers are
  signs (Rademacher): where steps are symmetric and independent the test without lags is then exact, whatever their
  variances; normal multipliers, those of the paper, reject too rarely in samples of a hundred.
- Family: the same with residuals drawn at random, for a sample of the first window and two years more (Phillips and
  Shi 2020): what is exceeded with the given probability *anywhere* in two years.
- Sieve: residuals of an autoregression of the steps drawn with replacement; rows at once where there are many series.
- Signs: the wild bootstrap of a walk that is the running sum of the steps' signs (Harvey, Leybourne and Zu 2020):
  exact whatever the volatility does, and whatever the steps' sizes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Floats]
"""From a generator and a number, so many paths, one a row."""

Multiplier = Literal["signs", "normal"]
STABLE = 0.97
"""The largest root that the steps' autoregression may have: a bubble in the sample looks like a persistence that the
world without bubbles cannot have, and paths drawn with it would explode."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The autoregression of a series' steps in a world without bubbles.

    Attributes
    ----------
    weights
        Coefficients of the steps before, nearest first.
    residuals
        What is left, in time; the first ``len(weights)`` are the steps themselves, less their mean.
    """

    weights: Floats
    residuals: Floats

    def rebuild(self, shocks: Floats) -> Floats:
        """Return levels, one row a path, that these shocks make; the first level is 0."""
        steps = shocks
        if len(self.weights):
            from scipy.signal import lfilter  # slow to load, and only paths with memory need it

            steps = np.asarray(lfilter([1.0], np.concatenate([[1.0], -self.weights]), shocks, axis=1))
        out = np.zeros((len(steps), steps.shape[1] + 1))
        np.cumsum(steps, axis=1, out=out[:, 1:])
        return out


def fit_steps(y: Floats, order: int, *, drift: bool) -> Steps:
    """Fit an autoregression to the steps of a series.

    Parameters
    ----------
    y
        Levels, shape (T,).
    order
        Steps before; 0 for none.
    drift
        Take a mean out of the steps also where `order` is 0.
    """
    d = np.diff(y)
    if order == 0:
        return Steps(np.zeros(0), d - d.mean() if drift else d)
    columns = np.column_stack([np.ones(len(d) - order), *(d[order - j : len(d) - j] for j in range(1, order + 1))])
    found, *_ = np.linalg.lstsq(columns, d[order:], rcond=None)
    weights = _stable(np.asarray(found[1:], dtype=np.float64))
    left = d - d.mean()
    centred = left.copy()
    for j in range(1, order + 1):
        left[order:] -= weights[j - 1] * centred[order - j : len(d) - j]
    left[order:] -= left[order:].mean()
    return Steps(weights, left)


def _stable(weights: Floats) -> Floats:
    """Return the weights, roots drawn in to `STABLE` where one is larger."""
    companion = np.eye(len(weights), k=-1)
    companion[0] = weights
    largest = float(np.max(np.abs(np.linalg.eigvals(companion))))
    return weights if largest <= STABLE else np.asarray(weights * (STABLE / largest) ** np.arange(1, len(weights) + 1))


def bayes_order(y: Floats, most: int) -> int:
    """Return the order of the steps' autoregression by the Bayesian criterion, 0 to `most`, on the same rows."""
    d = np.diff(y)
    n = len(d) - most
    if n <= most + 2:
        return 0
    columns = np.column_stack([np.ones(n), *(d[most - j : len(d) - j] for j in range(1, most + 1))])
    costs = []
    for k in range(most + 1):
        part = columns[:, : k + 1]
        found, *_ = np.linalg.lstsq(part, d[most:], rcond=None)
        rss = float(np.sum((d[most:] - part @ found) ** 2))
        costs.append(n * np.log(max(rss, np.finfo(float).tiny)) + k * np.log(n))
    return int(np.argmin(costs))


def monte_carlo(length: int) -> Draw:
    """Return random walks with normal steps and a drift of one over their length."""

    def draw(rng: np.random.Generator, count: int) -> Floats:
        return np.asarray(np.cumsum(rng.standard_normal((count, length)) + 1.0 / length, axis=1))

    return draw


def wild(y: Floats, order: int, *, multiplier: Multiplier = "signs") -> Draw:
    """Return paths of the series' own steps times multipliers: ``signs`` or ``normal``."""
    steps = fit_steps(y, order, drift=False)

    def draw(rng: np.random.Generator, count: int) -> Floats:
        shape = (count, len(steps.residuals))
        return steps.rebuild(
            (coins(rng, shape) if multiplier == "signs" else rng.standard_normal(shape)) * steps.residuals
        )

    return draw


def coins(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Return independent draws of 1 or -1."""
    return np.asarray(2.0 * rng.integers(2, size=shape, dtype=np.int8) - 1.0)


def family(y: Floats, order: int, length: int) -> Draw:
    """Return shorter paths of residuals drawn with replacement, times normal draws."""
    steps = fit_steps(y, order, drift=True)
    pool = steps.residuals[order:]

    def draw(rng: np.random.Generator, count: int) -> Floats:
        shape = (count, length - 1)
        return steps.rebuild(rng.standard_normal(shape) * pool[rng.integers(len(pool), size=shape)])

    return draw


def sieve(y: Floats, order: int) -> Draw:
    """Return paths of residuals drawn with replacement through the steps' autoregression."""
    steps = fit_steps(y, order, drift=True)
    pool = steps.residuals[order:] - steps.residuals[order:].mean()

    def draw(rng: np.random.Generator, count: int) -> Floats:
        return steps.rebuild(pool[rng.integers(len(pool), size=(count, len(steps.residuals)))])

    return draw


def signed_walk(y: Floats) -> Floats:
    """Return the running sum of the signs of a series' steps."""
    return np.concatenate([[0.0], np.cumsum(np.sign(np.diff(y)))])
