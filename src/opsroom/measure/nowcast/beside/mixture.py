"""Mixtures of normal densities: moments, quantiles and scores in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtr

from opsroom.measure.nowcast.beside.edge import Floats


@dataclass(frozen=True, slots=True)
class Mixture:
    """Normal densities with weights that add up to 1."""

    weights: Floats
    means: Floats
    sds: Floats

    @property
    def mean(self) -> float:
        """The mean."""
        return float(self.weights @ self.means)

    @property
    def sd(self) -> float:
        """The standard deviation: within the densities, and between them."""
        spread = self.sds**2 + (self.means - self.mean) ** 2
        return float(np.sqrt(self.weights @ spread))

    def below(self, value: float) -> float:
        """Return the probability of a value not above `value`."""
        return float(self.weights @ ndtr((value - self.means) / self.sds))

    def quantile(self, level: float) -> float:
        """Return the value that the outcome stays below with probability `level`."""
        # No quantile of a mixture lies outside those of its parts.
        far = 9.0 * self.sds
        low, high = float((self.means - far).min()), float((self.means + far).max())
        return float(brentq(lambda v: self.below(v) - level, low, high, xtol=1e-10))

    def log_density(self, value: float) -> float:
        """Return the logarithm of the density."""
        z = (value - self.means) / self.sds
        kept = self.weights > 0.0
        parts = -0.5 * z[kept] ** 2 - np.log(self.sds[kept]) - 0.5 * np.log(2.0 * np.pi)
        return float(logsumexp(parts, b=self.weights[kept]))

    def crps(self, value: float) -> float:
        r"""Return the continuous ranked probability score.

        Notes
        -----
        :math:`\sum_iw_iA(y-\mu_i,\sigma_i^2)-\tfrac12\sum_{ij}w_iw_jA(\mu_i-\mu_j,\sigma_i^2+\sigma_j^2)` with
        :math:`A(m,s^2)=2s\varphi(m/s)+m\{2\Phi(m/s)-1\}`.

        References
        ----------
        Grimit, Gneiting, Berrocal and Johnson (2006), Quarterly Journal of the Royal Meteorological Society 132,
        2925-2942.
        """
        first = self.weights @ _mean_distance(value - self.means, self.sds)
        both = np.hypot.outer(self.sds, self.sds)
        second = self.weights @ _mean_distance(np.subtract.outer(self.means, self.means), both) @ self.weights
        return float(first - 0.5 * second)


def _mean_distance(gap: Floats, sd: Floats) -> Floats:
    """Return the mean of the absolute value of normal variables."""
    z = gap / sd
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return np.asarray(2.0 * sd * density + gap * (2.0 * ndtr(z) - 1.0), dtype=np.float64)
