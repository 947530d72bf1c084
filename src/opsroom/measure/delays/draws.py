"""Random amounts of given mean and variance: counts or money."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def draw_amount(mean: Floats, variance: Floats, *, counts: bool, rng: np.random.Generator) -> Floats:
    """Draw amounts of given mean and variance: negative binomial (Poisson) counts, or gamma.

    A variance below the mean of a count is taken for the mean; an amount without variance is its mean.
    """
    real = mean > 0
    if counts:
        excess = variance - mean
        wide = real & (excess > 1e-9 * mean)
        size = np.divide(mean**2, excess, out=np.ones_like(mean), where=wide)
        level = np.where(wide, rng.gamma(size) * np.divide(excess, mean, out=np.ones_like(mean), where=wide), mean)
        return rng.poisson(np.minimum(level, 1e15)).astype(np.float64)
    wide = real & (variance > 0)
    form = np.divide(mean**2, variance, out=np.ones_like(mean), where=wide)
    scale = np.divide(variance, mean, out=np.zeros_like(mean), where=wide)
    return np.where(wide, rng.gamma(form) * scale, np.maximum(mean, 0.0))
