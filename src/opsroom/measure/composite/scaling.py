"""From the factor's units to growth of GDP: a regression with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.composite.grid import Floats

_HUBER = 2.0
_LAGS = 4
"""Growth on four quarters overlaps: errors of neighbouring quarters go together."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """``growth = normal + slope * change of the factor on a year + error``.

    Attributes
    ----------
    normal, slope
        Log points a year; log points per typical weekly step of the factor.
    covariance
        Of both, robust to overlap.
    error
        Standard deviation of the error, log points.
    quarters
        How many growth rates; `degrees` of freedom left.
    explained
        Share of the variance explained.
    """

    normal: float
    slope: float
    covariance: Floats
    error: float
    quarters: int
    degrees: int
    explained: float


def fit_scaling(growth: Floats, change: Floats) -> Scaling:
    """Regress growth on the factor's change by Huber's loss, with covariances after Newey and West.

    Parameters
    ----------
    growth
        100 times the log change on four quarters before, by quarter.
    change
        The factor's mean over the quarter minus that a year before.

    Raises
    ------
    FitError
        The factor does not move.
    """
    n = len(growth)
    design = np.column_stack([np.ones(n), change])
    if float(np.ptp(change)) <= 1e-9:
        raise FitError("the factor does not move over the quarters of the target.", code="OPS-M134")
    weight = np.ones(n)
    coefficient: Floats = np.zeros(2)
    for _ in range(50):
        before = coefficient
        normal_matrix = (design * weight[:, None]).T @ design
        coefficient = np.asarray(np.linalg.solve(normal_matrix, design.T @ (weight * growth)), dtype=np.float64)
        residual = growth - design @ coefficient
        scale = max(1.4826 * float(np.median(np.abs(residual))), 1e-9)
        weight = np.minimum(1.0, _HUBER * scale / np.maximum(np.abs(residual), 1e-12))
        if np.allclose(coefficient, before, rtol=1e-10, atol=1e-12):
            break
    degrees = n - 2
    bread = np.linalg.inv((design * weight[:, None]).T @ design)
    score = design * (weight * residual)[:, None]
    meat = score.T @ score
    for lag in range(1, min(_LAGS, n - 1)):
        gamma = score[lag:].T @ score[:-lag]
        meat += (1.0 - lag / _LAGS) * (gamma + gamma.T)
    covariance = bread @ meat @ bread * (n / degrees)
    error = float(np.sqrt(weight @ residual**2 / weight.sum() * n / degrees))
    total = float(weight @ (growth - np.average(growth, weights=weight)) ** 2)
    return Scaling(
        float(coefficient[0]), float(coefficient[1]), covariance, error, n, degrees,
        1.0 - float(weight @ residual**2) / total if total > 0 else 0.0,
    )  # fmt: skip
