"""What a factor model knows: loadings, the factors' autoregression, each series' own error, the data's scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.measure.nowcast.dfm import sums

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

_ENDLESS = 1e30
"""A variance beyond which a sum of ever more terms has no end."""


@dataclass(frozen=True, slots=True)
class FactorBlock:
    """Factors that move together: positions of the factors, and the order of their vector autoregression."""

    factors: tuple[int, ...]
    order: int


@dataclass(frozen=True, slots=True)
class FactorParameters:
    """The parameters of a fitted or given factor model.

    Attributes
    ----------
    names
        Series: the monthly ones first.
    monthly
        Number of monthly series.
    factor_names, blocks
        Names of the factors, and which of them share an autoregression.
    loads
        Series x factors: whether the series responds to the factor; elsewhere the loading is 0.
    loadings
        Series x factors, in standardised units; of a quarterly series, the response of its (unobserved) month.
    transition
        Factors x (order * factors): coefficients on the months before.
    innovation
        Lower triangular factor of the covariance of the factors' innovations.
    memory, variance
        Per series: first-order autocorrelation of its own monthly error, and the variance of its innovation.
    center, scale
        Per series: ``standardised = (value - center) / scale``.
    ar1
        Whether the memories are parameters at all; otherwise they are 0.
    further
        Series x (order - 1): coefficients of own errors on the months before that, where they are of order two or
        more; None where they are not. `memory` is then the coefficient on the month before.
    """

    names: tuple[str, ...]
    monthly: int
    factor_names: tuple[str, ...]
    blocks: tuple[FactorBlock, ...]
    loads: Mask
    loadings: Floats
    transition: Floats
    innovation: Floats
    memory: Floats
    variance: Floats
    center: Floats
    scale: Floats
    ar1: bool = True
    further: Floats | None = None

    @property
    def factors(self) -> int:
        """Number of factors."""
        return int(self.loadings.shape[1])

    @property
    def order(self) -> int:
        """Longest lag of the factors' autoregressions."""
        return int(self.transition.shape[1] // self.loadings.shape[1])

    @property
    def own_order(self) -> int:
        """Months that the series' own errors remember."""
        if not self.ar1:
            return 0
        return 1 + (0 if self.further is None else int(self.further.shape[1]))

    @property
    def own_lags(self) -> Floats:
        """Series x order: the coefficients of the own errors' autoregressions."""
        return self.memory[:, None] if self.further is None else np.column_stack([self.memory, self.further])

    @property
    def lags_used(self) -> Mask:
        """Where `transition` may differ from 0: within a block, up to its order."""
        return _lags_used(self.blocks, *self.transition.shape)

    @property
    def radius(self) -> float:
        """Spectral radius of the factors' autoregression; below 1 where it is stationary."""
        return float(np.abs(np.linalg.eigvals(companion(self.transition))).max())

    def unit(self) -> FactorParameters:
        """Return the same model with factors whose innovations are independent and have variance 1."""
        r, root = self.factors, self.innovation
        if np.array_equal(root, np.eye(r)):
            return self
        inverse = np.linalg.inv(root)
        turned = [inverse @ self.transition[:, k * r : (k + 1) * r] @ root for k in range(self.order)]
        loadings = np.where(self.loads, self.loadings @ root, 0.0)
        return replace(self, loadings=loadings, transition=np.hstack(turned), innovation=np.eye(r))

    def equals(self, other: FactorParameters) -> bool:
        """Say whether these are the same parameters, number by number."""
        if self is other:
            return True
        plain = ("names", "monthly", "factor_names", "blocks", "ar1")
        arrays = ("loads", "loadings", "transition", "innovation", "memory", "variance", "center", "scale", "own_lags")
        return all(getattr(self, name) == getattr(other, name) for name in plain) and all(
            np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays
        )

    def to_frame(self) -> pd.DataFrame:
        """Return one row a series: loadings, memory, variance, center, scale."""
        frame = pd.DataFrame(self.loadings, index=list(self.names), columns=list(self.factor_names))
        own = {"memory": self.memory, "variance": self.variance, "center": self.center, "scale": self.scale}
        if self.further is not None:
            own |= {f"memory{k + 2}": self.further[:, k] for k in range(self.further.shape[1])}
        return frame.assign(frequency=["M" if k < self.monthly else "Q" for k in range(len(self.names))], **own)


@lru_cache(maxsize=64)
def _lags_used(blocks: tuple[FactorBlock, ...], factors: int, width: int) -> Mask:
    used = np.zeros((factors, width), dtype=bool)
    for block in blocks:
        for lag in range(block.order):
            used[np.ix_(block.factors, [lag * factors + f for f in block.factors])] = True
    used.flags.writeable = False  # it is handed to everyone who asks
    return used


def with_lags(p: FactorParameters, lags: Floats) -> FactorParameters:
    """Return parameters with other autoregressions of the own errors: series x order."""
    return replace(p, memory=lags[:, 0].copy(), further=lags[:, 1:].copy() if lags.shape[1] > 1 else None)


def companion(transition: Floats) -> Floats:
    """Return the first-order form of a vector autoregression."""
    r, width = transition.shape
    return np.vstack([transition, np.eye(width - r, width)])


def stationary(transition: Floats) -> Floats:
    """Return the covariance of the newest `order` months' factors, newest first, with unit innovations.

    Doubling: every step adds as many terms of the moving average as there are already. The number of steps reaches
    2^40 months, so that a spectral radius of 1 - 1e-9 is still summed to the end. NaN where the sum has no end.
    """
    power = companion(transition)
    total = np.empty_like(power)
    if not sums.doubled(power, len(transition), _ENDLESS, total):
        return np.full_like(total, np.nan)
    return 0.5 * (total + total.T)
