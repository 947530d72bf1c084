"""A linear Gaussian system: its likelihood, and the means and variances of cells that are not known.

The recursions are statsmodels'. Observations have no error of their own and are taken one at a time, so that releases
which coincide are no difficulty.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opsroom.measure.nowcast.dfm.parameters import Floats

_DOUBLINGS, _SMALL = 24, 1e-20


@dataclass(frozen=True, slots=True)
class System:
    """State ``a_t = T a_{t-1} + u_t`` with ``u_t ~ N(0, Q)``, data ``y_t = d + Z a_t``.

    Attributes
    ----------
    transition, shock, design, intercept
        T, Q, Z and d.
    delay
        Column of the triangle → rows by which it stands later in the data than its quarter.
    """

    transition: Floats
    shock: Floats
    design: Floats
    intercept: Floats
    delay: tuple[int, ...]

    @property
    def radius(self) -> float:
        """Spectral radius of the transition: below one the system is stationary."""
        return float(np.abs(np.linalg.eigvals(self.transition)).max())

    def placed(self, table: Floats) -> Floats:
        """Return quarters x releases as the system's data."""
        out = np.full((len(table) + max(self.delay), table.shape[1]), np.nan)
        for column, late in enumerate(self.delay):
            out[late : late + len(table), column] = table[:, column]
        return out

    def loglike(self, table: Floats) -> float:
        """Return the log likelihood of a triangle, NaN where unknown, from a stationary start."""
        return Likelihood(self, table).of(self)

    def cells(self, table: Floats) -> tuple[Floats, Floats]:
        """Return each cell's mean and variance given all known cells; quarters x releases."""
        from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

        found = _bound(KalmanSmoother, self, table).smooth()
        mean = found.smoothed_state.T @ self.design.T + self.intercept
        spread = np.einsum("ij,jkt,ik->ti", self.design, found.smoothed_state_cov, self.design)
        rows = len(table)
        pick = [slice(late, late + rows) for late in self.delay]
        means = np.column_stack([mean[p, c] for c, p in enumerate(pick)])
        variances = np.column_stack([spread[p, c] for c, p in enumerate(pick)])
        known = ~np.isnan(table)
        return np.where(known, table, means), np.where(known, 0.0, np.maximum(variances, 0.0))


class Likelihood:
    """The log likelihood of one triangle under many systems of one size: what statsmodels sets up is set up once."""

    def __init__(self, system: System, table: Floats) -> None:
        from statsmodels.tsa.statespace.kalman_filter import KalmanFilter

        self._filter = _bound(KalmanFilter, system, table)

    def of(self, system: System) -> float:
        """Return the log likelihood under a system."""
        _fill(self._filter, system)
        return float(self._filter.loglike())


def _bound(kind: Any, system: System, table: Floats) -> Any:  # statsmodels has no types
    data = system.placed(table)
    size = len(system.transition)
    bound = kind(data.shape[1], size)
    bound.bind(np.ascontiguousarray(data))
    bound["design"] = system.design
    bound["selection"] = np.eye(size)
    bound.filter_univariate = True
    _fill(bound, system)
    return bound


def _fill(bound: Any, system: System) -> None:
    bound["transition"] = system.transition
    bound["state_cov"] = system.shock
    bound["obs_intercept"] = system.intercept[:, None]
    bound.initialize_known(np.zeros(len(system.transition)), stationary(system.transition, system.shock))


def stationary(transition: Floats, shock: Floats) -> Floats:
    """Return the variance P = T P T' + Q, by doubling; the spectral radius of T must be below one."""
    total, power = shock, transition
    for _ in range(_DOUBLINGS):
        total = total + power @ total @ power.T
        power = power @ power
        if np.abs(power).max() < _SMALL:
            break
    return np.asarray(0.5 * (total + total.T))
