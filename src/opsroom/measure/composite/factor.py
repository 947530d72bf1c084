"""The common factor: one weekly path behind inputs of any frequency, by expectation and maximisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from opsroom.base.errors import FitError
from opsroom.measure.composite.band_kernel import add_rows, covariances, cross, factorise, solve
from opsroom.measure.composite.grid import YEAR, Floats, Rows
from opsroom.measure.composite.inputs import Settings

_ANCHOR = 1e-4
"""Precision of the first week's factor: inputs that are compared with a year before say nothing of its level."""
_LOADING_SD = 1.0
_MEAN_SD = 10.0
_PRIOR_COUNT = 10.0
_PRIOR_VARIANCE = 0.2
"""Weak priors, in units of an input's own spread. They keep an input with ten values from being believed blindly, and
the path from following one input wherever it goes, as the likelihood alone sometimes prefers (a Heywood case)."""
_MEMORY = 1.0 - np.geomspace(1.0, 0.005, 60)
"""Candidates for what an input's error keeps from one week to the next."""
_MEMORY_PRIOR = -2.0 * (3.0 * np.log(np.maximum(_MEMORY, 1e-9)) + np.log(1.0 - _MEMORY))
"""A beta prior with its top at three quarters: a year's comparison overlaps with the next one's."""
_MOST_MISSING = 0.98
_LEAST = 10
"""Iterations before the fit may be said to have settled."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What is estimated for each input: mean, loading, spread of a weekly step of its error, memory a week."""

    mean: Floats
    loading: Floats
    spread: Floats
    memory: Floats


@dataclass(frozen=True, slots=True)
class Factor:
    """The fitted path.

    Attributes
    ----------
    parameters
        In units of each input's own robust spread (`unit`) around its median (`centre`).
    path
        Expected factor by week; a typical weekly step is 1.
    parts
        Weeks x inputs: what each input adds to `path`, exactly.
    factor
        Cholesky factor of the path's precision, as a band.
    covariance
        Covariances within the band.
    moves
        Weeks x parameters, and `doubt` their covariance: how the path moves with the estimated means and loadings.
    calm
        Weight of each weekly step: 1 in ordinary weeks, near 0 in a shock.
    weights
        Per input, the weight of each observation: near 0 for an outlier.
    """

    parameters: Parameters
    centre: Floats
    unit: Floats
    path: Floats
    parts: Floats
    factor: Floats
    covariance: Floats
    moves: Floats
    doubt: Floats
    calm: Floats
    weights: tuple[Floats, ...]
    iterations: int

    def variance(self, rows: Rows) -> tuple[Floats, Floats]:
        """Return the variance of ``a_k' f`` given the parameters, and what their being estimated adds."""
        given = np.zeros(len(rows))
        cross(self.covariance, rows.start, rows.column, rows.now, rows.now, given)
        moves = np.column_stack([rows.times(column) for column in self.moves.T])
        return given, np.einsum("ki,ij,kj->k", moves, self.doubt, moves)

    def variance_from(self, base: Floats) -> tuple[Floats, Floats]:
        """Return both variances for each week's path minus its weighted mean `base` (weights by week)."""
        right = base[:, None].copy()
        solve(self.factor, right)
        with_base = right[:, 0]
        given = self.covariance[:, 0] - 2.0 * with_base + float(base @ with_base)
        moves = self.moves - base @ self.moves
        return np.maximum(given, 0.0), np.einsum("ki,ij,kj->k", moves, self.doubt, moves)


@dataclass(slots=True)
class _Work:
    """What one iteration leaves for the next."""

    parameters: Parameters
    weights: list[Floats]
    steps: Floats


def fit_factor(inputs: Sequence[Rows], *, weeks: int, signs: Floats, settings: Settings) -> Factor:
    """Estimate path and parameters.

    Parameters
    ----------
    inputs
        Rows of each input on the grid.
    weeks
        Length of the grid.
    signs
        Start values of the loadings, in the inputs' own spreads: which inputs move with output, which against.
    settings
        Tails, tolerance, iterations.

    Raises
    ------
    FitError
        No convergence.
    """
    centre, unit = _standard(inputs)
    data = [(rows.value - c) / u for rows, c, u in zip(inputs, centre, unit, strict=True)]
    width = min(weeks, 1 + max(YEAR + 14, *(rows.span for rows in inputs)))
    n = len(inputs)
    work = _Work(
        Parameters(np.zeros(n), signs.copy(), np.full(n, 0.7), np.full(n, 0.85)),
        [np.ones(len(rows)) for rows in inputs],
        np.ones(weeks - 1),
    )
    path = np.zeros(weeks)
    found = np.zeros((weeks, width))
    for iteration in range(1, settings.max_iterations + 1):
        factor, right = _precision(inputs, data, work, weeks, width)
        new = right.sum(axis=1, keepdims=True)
        solve(factor, new)
        covariances(factor, found)
        change = new[:, 0] - path
        path = new[:, 0]
        if iteration > _LEAST and float(np.max(np.abs(np.diff(change)))) < settings.tolerance:
            parts = right
            solve(factor, parts)
            moves, doubt = _doubt(inputs, data, work, path, found, factor)
            return Factor(
                work.parameters, centre, unit, path, parts, factor, found, moves, doubt,
                np.minimum(work.steps, 1.0), tuple(work.weights), iteration,
            )  # fmt: skip
        _maximise(inputs, data, work, path, found, settings)
    raise FitError(
        f"the common factor has not settled after {settings.max_iterations} iterations.",
        remedy="Leave out inputs with very few values, or raise Settings.max_iterations.",
        code="OPS-M131",
    )


def _standard(inputs: Sequence[Rows]) -> tuple[Floats, Floats]:
    """Return median and robust spread of each input: changing an input's unit then changes nothing."""
    centre = np.array([float(np.median(rows.value)) for rows in inputs])
    unit = np.ones(len(inputs))
    for i, rows in enumerate(inputs):
        deviation = np.abs(rows.value - centre[i])
        spread = 1.4826 * float(np.median(deviation))
        unit[i] = spread if spread > 0 else float(deviation.mean()) or 1.0
    return centre, unit


def _whitening(rows: Rows, memory: float, spread: float) -> tuple[Floats, Floats, Floats]:
    """Return what is kept of the error before, its step's variance over the spread's square, and a row's values."""
    kept = np.where(rows.gap > 0, memory ** np.maximum(rows.gap, 1), 0.0)
    step = spread**2 * (1.0 - kept**2) / (1.0 - memory**2)
    values = rows.now - np.repeat(kept, np.diff(rows.start)) * rows.before
    return kept, step, values


def _lagged(value: Floats, kept: Floats) -> Floats:
    """Return each value minus what is kept of the one before."""
    return value - kept * np.concatenate([[0.0], value[:-1]])


def _precision(
    inputs: Sequence[Rows], data: Sequence[Floats], work: _Work, weeks: int, width: int
) -> tuple[Floats, Floats]:
    """Return the Cholesky factor of the path's precision and the inputs' right-hand sides."""
    p = work.parameters
    band = np.zeros((weeks, width))
    band[0, 0] = _ANCHOR
    band[1:, 0] += work.steps
    band[:-1, 0] += work.steps
    if width > 1:
        band[1:, 1] -= work.steps
    right = np.zeros((weeks, len(inputs)))
    for i, rows in enumerate(inputs):
        kept, step, values = _whitening(rows, p.memory[i], p.spread[i])
        weight = work.weights[i] / step
        add_rows(band, rows.start, rows.column, values, weight * p.loading[i] ** 2)
        surprise = weight * p.loading[i] * (_lagged(data[i], kept) - p.mean[i] * (1.0 - kept))
        right[:, i] = np.bincount(
            rows.column, np.repeat(surprise, np.diff(rows.start)) * values, minlength=weeks
        )
    if not factorise(band):
        raise FitError("the precision of the common factor is not positive definite.", code="OPS-M132")
    return band, right


def _maximise(
    inputs: Sequence[Rows], data: Sequence[Floats], work: _Work, path: Floats, found: Floats, settings: Settings
) -> None:
    """Update weights, means, loadings, spreads and memories, given the path and its covariances."""
    steps = np.diff(path) ** 2 + found[1:, 0] + found[:-1, 0] - 2.0 * found[1:, 1]
    # Expanded parameters (Liu, Rubin and Wu 1998): the scale of the steps is estimated, too, and then put into the
    # loadings. The slow direction of the plain algorithm, a larger path with smaller loadings, is gone at once.
    stretch = float(np.sqrt(work.steps @ steps / len(steps)))
    work.steps = (settings.shock_tail + 1.0) / (settings.shock_tail + steps / stretch**2)
    p = work.parameters
    mean, loading, spread, memory = (np.array(x) for x in (p.mean, p.loading, p.spread, p.memory))
    for i, rows in enumerate(inputs):
        fitted = rows.times(path)
        own, between, before = (np.zeros(len(rows)) for _ in range(3))
        cross(found, rows.start, rows.column, rows.now, rows.now, own)
        cross(found, rows.start, rows.column, rows.now, rows.before, between)
        cross(found, rows.start, rows.column, rows.before, rows.before, before)
        kept, step, _ = _whitening(rows, memory[i], spread[i])
        x, z, one = _lagged(data[i], kept), _lagged(fitted, kept), 1.0 - kept
        v = np.maximum(own - 2.0 * kept * between + kept**2 * before, 0.0)
        weight = work.weights[i] / step
        gram = np.array([[weight @ one**2, weight @ (one * z)], [weight @ (one * z), weight @ (z**2 + v)]])
        gram += np.diag([_MEAN_SD**-2.0, _LOADING_SD**-2.0])
        mean[i], loading[i] = np.linalg.solve(gram, [weight @ (one * x), weight @ (z * x)])
        error = data[i] - mean[i] - loading[i] * fitted
        square = error**2 + loading[i] ** 2 * own
        product = error * np.concatenate([[0.0], error[:-1]]) + loading[i] ** 2 * between
        square_before = np.concatenate([[0.0], error[:-1] ** 2]) + loading[i] ** 2 * before
        memory[i] = _memory(rows, square, product, square_before, work.weights[i], spread[i])
        kept, step, _ = _whitening(rows, memory[i], 1.0)
        scaled = np.maximum(square - 2.0 * kept * product + kept**2 * square_before, 0.0) / step
        total = float(work.weights[i] @ scaled) + _PRIOR_COUNT * _PRIOR_VARIANCE
        spread[i] = np.sqrt(total / (len(rows) + _PRIOR_COUNT))
        work.weights[i] = (settings.tail + 1.0) / (settings.tail + scaled / spread[i] ** 2)
    work.parameters = Parameters(mean, loading * stretch, spread, memory)


def _memory(rows: Rows, square: Floats, product: Floats, before: Floats, weights: Floats, spread: float) -> float:
    """Return the memory that the expected likelihood likes best, between two candidates by a parabola."""
    kept = np.where(rows.gap > 0, _MEMORY[:, None] ** np.maximum(rows.gap, 1), 0.0)
    step = (1.0 - kept**2) / (1.0 - _MEMORY[:, None] ** 2)
    loss = _MEMORY_PRIOR + np.log(step).sum(axis=1)
    loss += ((square - 2.0 * kept * product + kept**2 * before) / step) @ weights / spread**2
    k = int(np.argmin(loss))
    if k in (0, len(_MEMORY) - 1):
        return float(_MEMORY[k])
    (x0, x1, x2), (y0, y1, y2) = _MEMORY[k - 1 : k + 2], loss[k - 1 : k + 2]
    top = (x1 - x0) ** 2 * (y1 - y2) - (x1 - x2) ** 2 * (y1 - y0)
    bottom = (x1 - x0) * (y1 - y2) - (x1 - x2) * (y1 - y0)
    return float(x1 if bottom == 0 else np.clip(x1 - 0.5 * top / bottom, x0, x2))


def _doubt(
    inputs: Sequence[Rows], data: Sequence[Floats], work: _Work, path: Floats, found: Floats, factor: Floats
) -> tuple[Floats, Floats]:
    """Return how the path moves with means and loadings, and their covariance with the path integrated out."""
    p, n = work.parameters, len(inputs)
    force = np.zeros((len(path), 2 * n))
    full = np.zeros((2 * n, 2 * n))
    for i, rows in enumerate(inputs):
        kept, step, values = _whitening(rows, p.memory[i], p.spread[i])
        weight = work.weights[i] / step
        x, z, one = _lagged(data[i], kept), _lagged(rows.times(path), kept), 1.0 - kept
        v = np.zeros(len(rows))
        cross(found, rows.start, rows.column, values, values, v)
        slots = [2 * i, 2 * i + 1]
        gram = np.array([[weight @ one**2, weight @ (one * z)], [weight @ (one * z), weight @ (z**2 + v)]])
        full[np.ix_(slots, slots)] = gram + np.diag([_MEAN_SD**-2.0, _LOADING_SD**-2.0])
        pushes = (-p.loading[i] * one, x - p.mean[i] * one - 2.0 * p.loading[i] * z)
        for slot, push in zip(slots, pushes, strict=True):
            spread_out = np.repeat(weight * push, np.diff(rows.start)) * values
            force[:, slot] = np.bincount(rows.column, spread_out, minlength=len(path))
    moves = force.copy()
    solve(factor, moves)
    size = np.sqrt(np.diag(full))
    known = (full - force.T @ moves) / np.outer(size, size)
    values, vectors = np.linalg.eigh(0.5 * (known + known.T))
    # The unknown path takes away information; all of it would leave a parameter without any.
    inverse = (vectors / np.maximum(values, 1.0 - _MOST_MISSING)) @ vectors.T
    return moves, inverse / np.outer(size, size)
