"""How far a forecast misses: a law for its errors by horizon and kind of day, read off rehearsed forecasts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BIN = 91
"""Days of horizon that are put together."""

YEAR = 365.0
LEAST = 0.25
"""Least variance at horizon 0, a share of that of the first quarter."""

SHRINK = 60
"""Days of the average kind that the factor of a kind of day starts from."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard deviation of a forecast: a constant, a drift with the horizon, a factor a kind of day.

    Attributes
    ----------
    constant, drift
        Variance at horizon 0, and what is added a year.
    factor
        By kind of day: 0 usual, 1 off, 2 hot or cold.
    """

    constant: float
    drift: float
    factor: tuple[float, float, float]

    @classmethod
    def learn(cls, error: Floats, horizon: Ints, kind: Ints) -> Spread:
        """Fit the law to errors.

        Parameters
        ----------
        error
            Errors, log points or in standard deviations.
        horizon
            Days since the last day of training.
        kind
            Kind of day, 0 to 2.

        Notes
        -----
        Squares, cut at sixteen times that of the 68 % quantile, are averaged by quarter of the horizon; constant
        and drift are the non-negative least squares fit to these means; with one quarter there is no drift.
        """
        cap = 4 * float(np.quantile(np.abs(error), 0.683))
        square = np.minimum(error**2, cap**2)
        bins, at = np.unique(horizon // BIN, return_inverse=True)
        size = np.bincount(at).astype(np.float64)
        mean = np.bincount(at, weights=square) / size
        far = np.bincount(at, weights=horizon) / size / YEAR
        root = np.sqrt(size)
        if len(bins) > 1:
            design = np.column_stack([np.ones(len(bins)), far]) * root[:, None]
            (constant, drift), _ = nnls(design, mean * root)
        else:
            constant, drift = mean[0], 0.0
        # A forecast for the next day is not sure, whatever line the means lie on.
        constant = max(float(constant), LEAST * float(mean[0]), 1e-10)
        plain = square / (constant + drift * horizon / YEAR)
        factor = []
        for code in range(3):
            own = plain[kind == code]
            factor.append(float(np.sqrt((own.sum() + SHRINK * plain.mean()) / (len(own) + SHRINK))))
        return cls(constant, float(drift), (factor[0], factor[1], factor[2]))

    def sd(self, horizon: Ints, kind: Ints) -> Floats:
        """Return the standard deviation at each horizon and kind of day."""
        scale = np.sqrt(self.constant + self.drift * horizon / YEAR)
        return np.asarray(scale * np.asarray(self.factor)[kind])
