"""Learn the parameters: expectation-maximisation to come near, then a quasi-Newton search on the exact score.

Expectation-maximisation is quick at first and slow at the end. Its own metric, the information of data and unknowns
together, is what the search (L-BFGS, Nocedal 1980) begins from in every step, so that it is never worse scaled than
expectation-maximisation, and learns what that leaves out.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.nowcast.dfm.moments import Lagged, Moments, moments
from opsroom.measure.nowcast.dfm.parameters import FactorParameters, Floats, Ints, with_lags
from opsroom.measure.nowcast.dfm.remember import lags_of, partial_of, partial_slopes
from opsroom.measure.nowcast.dfm.smooth import Cells, Smoothed, smooth
from opsroom.measure.nowcast.dfm.step import FLOOR, Equations, counts, equations, lag_products, maximise, score

_WARM = 12
"""Steps of expectation-maximisation at most before the search."""
_STORED = 12
"""Steps that the search remembers."""
_RISE = 1e-4
_CAUTION = 10.0
"""A step's promise rests on the complete data's information where it has learnt no better: what is left is more."""
_SHORTEST = 2.0**-20
_LARGEST = 3.8
"""Largest inverse hyperbolic tangent of a memory: 0.999."""


@dataclass(frozen=True, slots=True)
class SearchReport:
    """How a search for parameters went.

    Attributes
    ----------
    converged
        The next step promised less than the tolerance.
    em_steps, search_steps, evaluations
        Steps of expectation-maximisation, of the search, and evaluations of the likelihood.
    loglike
        Where it ended.
    promised
        Rise of the log likelihood that the next step promised, per observed cell.
    path
        Log likelihood after each step; it never falls.
    """

    converged: bool
    em_steps: int
    search_steps: int
    evaluations: int
    loglike: float
    promised: float
    path: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the search: parameters, as a vector too, the log likelihood there, its gradient and metric."""

    p: FactorParameters
    value: float
    theta: Floats
    gradient: Floats
    metric: Metric


class Found(Protocol):
    """Unknowns found given parameters, with the log likelihood of the data."""

    @property
    def loglike(self) -> float: ...


F = TypeVar("F", bound=Found)


class Panel(Protocol[F]):
    """Data, as the search sees them."""

    @property
    def count(self) -> int:
        """Observed cells."""

    def smooth(self, p: FactorParameters) -> F:
        """Find the unknowns; `FitError` where parameters allow of none."""

    def improve(self, found: F, p: FactorParameters) -> FactorParameters:
        """Take one step of expectation-maximisation."""

    def point(self, found: F, p: FactorParameters) -> Point:
        """Work out the gradient."""


@dataclass(frozen=True, slots=True)
class _Months:
    """A panel of months and quarters."""

    cells: Cells

    @property
    def count(self) -> int:
        return self.cells.layout.cells

    def smooth(self, p: FactorParameters) -> Smoothed:
        return smooth(self.cells, p)

    def improve(self, found: Smoothed, p: FactorParameters) -> FactorParameters:
        return maximise(self.cells, moments(self.cells, found), p)

    def point(self, found: Smoothed, p: FactorParameters) -> Point:
        return _point(self.cells, p, found)


@dataclass(frozen=True, slots=True)
class Metric:
    """The information of data and unknowns together, by series and by equation of the autoregression."""

    left: Floats
    lags: tuple[tuple[tuple[int, ...], Ints, Floats], ...]
    rest: Floats

    def solve(self, gradient: Floats, p: FactorParameters) -> Floats:
        """Return the information's inverse times a gradient."""
        loads, lags = int(p.loads.sum()), int(p.lags_used.sum())
        grid: Floats = np.zeros(p.loads.shape)
        grid[p.loads] = gradient[:loads]
        by_series = np.asarray(np.linalg.solve(self.left, grid[:, :, None])[:, :, 0], dtype=np.float64)
        by_lag: Floats = np.zeros(p.transition.shape)
        by_lag[p.lags_used] = gradient[loads : loads + lags]
        for factors, columns, before in self.lags:
            at = np.ix_(np.array(factors), columns)
            by_lag[at] = np.linalg.solve(before, by_lag[at].T).T
        return np.concatenate([by_series[p.loads], by_lag[p.lags_used], gradient[loads + lags :] / self.rest])


def learn(
    cells: Cells, p: FactorParameters, *, tol: float, max_iter: int, warm: int = _WARM
) -> tuple[FactorParameters, SearchReport]:
    """Raise the log likelihood of a panel from given parameters until the next step promises nothing.

    Parameters
    ----------
    cells
        The panel.
    p
        Where to begin.
    tol
        Converged when the next step promises to raise the log likelihood by less than this per observed cell.
    max_iter
        Steps at most, of both kinds together.
    warm
        Steps of expectation-maximisation at most.

    Raises
    ------
    FitError
        A likelihood that is not finite, or an autoregression that is not stationary.
    """
    return climb(_Months(cells), p, tol=tol, max_iter=max_iter, warm=warm)


def climb(
    panel: Panel[F], p: FactorParameters, *, tol: float, max_iter: int, warm: int = _WARM
) -> tuple[FactorParameters, SearchReport]:
    """Do what `learn` does, on any panel."""
    p = p.unit()
    path: list[float] = []
    evaluations, count = 0, panel.count
    found = panel.smooth(p)
    evaluations += 1
    for _ in range(min(warm, max_iter)):
        following = panel.improve(found, p)
        try:
            step = panel.smooth(following)
        except FitError:
            break
        evaluations += 1
        if not step.loglike > found.loglike:
            break
        gain = step.loglike - found.loglike
        p, found = following, step
        path.append(found.loglike)
        if gain < tol * count:
            break
    em_steps = len(path)
    here = panel.point(found, p)
    memory: deque[tuple[Floats, Floats]] = deque(maxlen=_STORED)
    promised = np.inf
    while True:
        if not np.all(np.isfinite(here.gradient)):
            raise FitError(
                "the factor model's fit left the finite numbers.",
                code="OPS-M106",
                remedy="Look for a series with a wrong unit or transform.",
            )
        direction = _direction(here, memory)
        slope = float(direction @ here.gradient)
        promised = _CAUTION * 0.5 * slope / count
        if promised < tol or len(path) >= max_iter:
            break
        reached, tries = _advance(panel, here, direction, slope)
        evaluations += tries
        if reached is None:
            if not memory:
                break  # not even the plain step rises: rounding is all that is left
            memory.clear()
            continue
        moved, turned = reached.theta - here.theta, here.gradient - reached.gradient
        if moved @ turned > 1e-10 * float(np.linalg.norm(moved) * np.linalg.norm(turned)):
            memory.append((moved, turned))
        here = reached
        path.append(here.value)
    report = SearchReport(
        converged=bool(promised < tol),
        em_steps=em_steps,
        search_steps=len(path) - em_steps,
        evaluations=evaluations,
        loglike=here.value,
        promised=float(promised),
        path=tuple(path),
    )
    return here.p, report


def _advance(panel: Panel[F], here: Point, direction: Floats, slope: float) -> tuple[Point | None, int]:
    """Go along a direction as far as the likelihood rises in proportion; None where it does not at all."""
    length, tries = min(1.0, 2.0 / max(float(np.abs(direction).max()), 1e-300)), 0
    while length >= _SHORTEST:
        tries += 1
        try:
            p = unpack(here.theta + length * direction, here.p)
            found = panel.smooth(p)
        except FitError:
            length *= 0.25
            continue
        if found.loglike >= here.value + _RISE * length * slope:
            return panel.point(found, p), tries
        # The parabola through both values and the slope says where the top should be.
        fall = here.value + length * slope - found.loglike
        length *= float(np.clip(0.5 * length * slope / fall, 0.1, 0.5)) if np.isfinite(fall) and fall > 0 else 0.25
    return None, tries


def _direction(here: Point, memory: deque[tuple[Floats, Floats]]) -> Floats:
    left = here.gradient.copy()
    steps: list[tuple[float, float]] = []
    for moved, turned in reversed(memory):
        scale = 1.0 / float(moved @ turned)
        part = scale * float(moved @ left)
        steps.append((scale, part))
        left -= part * turned
    out = here.metric.solve(left, here.p)
    for (moved, turned), (scale, part) in zip(memory, reversed(steps), strict=True):
        out += moved * (part - scale * float(turned @ out))
    return out


def _point(cells: Cells, p: FactorParameters, found: Smoothed) -> Point:
    m = moments(cells, found)
    eq = equations(cells, m, p)
    s = score(cells, m, p, eq)
    gradient = [s.loadings[p.loads], s.transition[p.lags_used]]
    log_variance = np.where((p.variance <= FLOOR) & (s.log_variance < 0), 0.0, s.log_variance)
    gradient.append(log_variance)
    if p.own_order > 1:
        partial = partial_of(p.own_lags)
        turned = np.einsum("na,nak->nk", s.memory, partial_slopes(partial)) * (1.0 - partial**2)
        gradient.append(turned.T.ravel())
    elif p.ar1:
        gradient.append(s.memory * (1.0 - p.memory**2))
    return Point(p, found.loglike, pack(p), np.concatenate(gradient), _metric(cells, m, p, eq))


def gradient_at(cells: Cells, p: FactorParameters) -> tuple[Floats, Floats]:
    """Return the free parameters and the derivative of the log likelihood in them."""
    here = _point(cells, p, smooth(cells, p))
    return here.theta, here.gradient


def _metric(cells: Cells, m: Moments, p: FactorParameters, eq: Equations) -> Metric:
    return metric(p, eq, m, counts(cells))


def metric(p: FactorParameters, eq: Equations, m: Lagged, n: Floats) -> Metric:
    """Return the information of data and unknowns together; `n` are the innovations that each series has."""
    held = ~p.loads
    left = np.where(held[:, :, None] | held[:, None, :], 0.0, eq.left / p.variance[:, None, None])
    diagonal = np.arange(p.factors)
    left[:, diagonal, diagonal] += held
    left[:, diagonal, diagonal] += 1e-8 * left[:, diagonal, diagonal] + 1e-8
    blocks = []
    for block in p.blocks:
        columns = (np.arange(block.order)[:, None] * p.factors + np.array(block.factors)).ravel()
        blocks.append((block.factors, columns, lag_products(m, block.factors, block.order)[2]))
    partial = partial_of(p.own_lags).T
    rest = [0.5 * n] + ([(n * (1.0 - partial**2) + 1.0).ravel()] if p.ar1 else [])
    return Metric(left, tuple(blocks), np.concatenate(rest))


def pack(p: FactorParameters) -> Floats:
    """Return the free parameters as a vector.

    Loadings, autoregression, log variances, and the inverse hyperbolic tangents of the own errors' memories; of their
    partial autocorrelations, one lag after the other, where they are of order two and more.
    """
    parts = [p.loadings[p.loads], p.transition[p.lags_used], np.log(np.maximum(p.variance, FLOOR))]
    if p.ar1:
        partial = np.clip(partial_of(p.own_lags), -1.0, 1.0)
        with np.errstate(divide="ignore"):
            parts.append(np.clip(np.arctanh(partial), -_LARGEST, _LARGEST).T.ravel())
    return np.concatenate(parts)


def unpack(theta: Floats, like: FactorParameters) -> FactorParameters:
    """Return parameters from a vector; the inverse of `pack`."""
    a, b, n = int(like.loads.sum()), int(like.lags_used.sum()), len(like.names)
    loadings, transition = np.zeros(like.loadings.shape), np.zeros(like.transition.shape)
    loadings[like.loads] = theta[:a]
    transition[like.lags_used] = theta[a : a + b]
    variance = np.maximum(np.exp(np.minimum(theta[a + b : a + b + n], 50.0)), FLOOR)
    p = replace(like, loadings=loadings, transition=transition, variance=variance)
    if not like.ar1:
        return p
    partial = np.tanh(np.clip(theta[a + b + n :], -_LARGEST, _LARGEST)).reshape(like.own_order, n)
    return with_lags(p, lags_of(partial.T))
