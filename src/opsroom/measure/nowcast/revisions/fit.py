"""Maximum likelihood of a model of revisions: from several beginnings, with its convergence judged, not assumed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.dfm.parameters import Floats
from opsroom.measure.nowcast.revisions.kishor_koenig import KishorKoenig
from opsroom.measure.nowcast.revisions.news_noise import NewsNoise
from opsroom.measure.nowcast.revisions.system import Likelihood

Parameters = NewsNoise | KishorKoenig
_STEEP = 1e-4
"""A search has converged when no direction raises the log likelihood per cell by more than this a unit."""
_FAR = 1e3
_STEPS = 400
_EDGE = 0.999


@dataclass(frozen=True, slots=True)
class RevisionReport:
    """How a fit went.

    Attributes
    ----------
    loglike
        Log likelihood of the triangle's known cells, in their own units.
    cells, quarters
        Known cells; quarters with a first release and the final value.
    parameters
        Number of parameters.
    steps
        Steps of the best search.
    steepness
        Largest slope of the log likelihood per cell at the end.
    radius
        Spectral radius: below one the model is stationary.
    """

    loglike: float
    cells: int
    quarters: int
    parameters: int
    steps: int
    steepness: float
    radius: float


@dataclass(frozen=True, slots=True)
class Shape:
    """How a vector without bounds becomes parameters: `read` of (vector, center, scale), and beginnings."""

    read: Callable[[Floats, float, float], Parameters]
    starts: tuple[Floats, ...]


def maximise(table: Floats, shape: Shape) -> tuple[Parameters, RevisionReport]:
    """Return the parameters with the highest likelihood of a triangle, last column final.

    Raises
    ------
    FitError
        No search converged, or its end is not finite or not stationary.
    """
    final = table[:, -1][~np.isnan(table[:, -1])]
    center, scale = float(final.mean()), float(final.std())
    if not scale > 0.0:
        raise FitError("the final values do not move.", remedy="Check the vintages.", code="OPS-M150")
    flat = (table - center) / scale
    cells = int((~np.isnan(table)).sum())
    likelihood = Likelihood(shape.read(shape.starts[0], 0.0, 1.0).system(), flat)

    def cost(x: Floats) -> float:
        system = shape.read(x, 0.0, 1.0).system()
        if not system.radius < _EDGE:
            return _FAR
        value = -likelihood.of(system) / cells
        return value if np.isfinite(value) else _FAR

    best, steepness = None, np.inf
    for start in shape.starts:
        found = minimize(
            cost, start, jac="2-point", method="L-BFGS-B", options={"maxiter": _STEPS, "ftol": 1e-13, "gtol": 1e-6}
        )
        steep = float(np.abs(found.jac).max())
        if steep <= _STEEP and found.fun < _FAR and (best is None or found.fun < best.fun):
            best, steepness = found, steep
    if best is None:
        raise FitError(
            "the model of revisions has not converged from any beginning.",
            remedy="Use a longer history, fewer releases or a lower order.",
            code="OPS-M151",
        )
    parameters = shape.read(best.x, center, scale)
    both = int((~np.isnan(table[:, 0]) & ~np.isnan(table[:, -1])).sum())
    loglike = -float(best.fun) * cells - cells * np.log(scale)
    radius = parameters.system().radius
    return parameters, RevisionReport(loglike, cells, both, len(best.x), int(best.nit), steepness, radius)


def news_noise_shape(early: int, order: int, *, spillovers: bool) -> Shape:
    """Return how to search for Jacobs and van Norden's parameters."""
    from statsmodels.tsa.statespace.tools import constrain_stationary_univariate

    def read(x: Floats, center: float, scale: float) -> NewsNoise:
        at = 1 + early
        ar = constrain_stationary_univariate(x[at : at + order]) if order else np.zeros(0)
        at += order
        spread = scale * np.abs(x[at : at + 1 + 2 * early])
        memory = _EDGE * np.tanh(x[at + 1 + 2 * early :]) if spillovers else np.zeros(2)
        return NewsNoise(
            center + scale * float(x[0]), scale * x[1 : 1 + early], ar, float(spread[0]),
            spread[1 : 1 + early], spread[1 + early :], float(memory[0]), float(memory[1]),
        )  # fmt: skip

    def start(news: float, noise: float) -> Floats:
        size = early + 1 + order
        own = np.r_[0.8, np.full(early, news), np.full(early, noise)]
        return np.concatenate([np.zeros(size), own, np.zeros(2 if spillovers else 0)])

    return Shape(read, (start(0.3, 0.3), start(0.4, 0.1), start(0.1, 0.4)))


def kishor_koenig_shape(early: int, order: int, *, spillovers: bool) -> Shape:
    """Return how to search for Kishor and Koenig's parameters."""
    from statsmodels.tsa.statespace.tools import constrain_stationary_univariate

    gains = early * (early + 1) if spillovers else early

    def read(x: Floats, center: float, scale: float) -> KishorKoenig:
        at = 1 + early
        ar = constrain_stationary_univariate(x[at : at + order]) if order else np.zeros(0)
        at += order
        gain = np.zeros((early, early + 1))
        if spillovers:
            gain[:] = x[at : at + gains].reshape(early, early + 1)
        else:
            gain[np.arange(early), np.arange(early)] = x[at : at + gains]
        at += gains
        spread = scale * np.abs(x[at:])
        return KishorKoenig(
            center + scale * float(x[0]), scale * x[1 : 1 + early], ar, float(spread[0]), gain, spread[1:]
        )

    def start(gain: float, noise: float) -> Floats:
        own = (gain * np.eye(early, early + 1)).ravel() if spillovers else np.full(early, gain)
        return np.concatenate([np.zeros(1 + early + order), own, [0.8], np.full(early, noise)])

    return Shape(read, (start(0.8, 0.3), start(0.4, 0.5)))
