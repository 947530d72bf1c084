"""The common factor: one weekly path behind inputs of any frequency, by expectation and maximisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opsroom.base.errors import FitError
from opsroom.measure.composite.band_kernel import add_rows, covariances, cross, factorise, solve
from opsroom.measure.composite.grid import YEAR, Floats, Rows
from opsroom.measure.composite.inputs import Settings

_ANCHOR = 1e-4
"""Precision of the first week's factor: inputs that are compared with a year before say nothing of its level."""
LOADING_PRECISION, MEAN_PRECISION = 1.0, 0.01
_PRIOR_COUNT = 10.0
_PRIOR_VARIANCE = 0.2
"""Weak priors, in units of an input's own spread. They keep an input with ten values from being believed blindly, and
the path from following one input wherever it goes, as the likelihood alone sometimes prefers (a Heywood case)."""
_USUAL_STEP, _SMALLEST = 0.05, 1e-3
"""A typical weekly step in units of the inputs' spreads, a prior of the same weight: where nothing moves but in one
jump, the likelihood alone would let typical steps shrink for ever."""
_MEMORY = np.concatenate([[0.0], np.geomspace(0.05, 0.5, 13), 1.0 - np.geomspace(0.45, 0.005, 40)])
"""Candidates for what an input's error keeps from one week to the next."""
_SHORT = 0.5
"""The most that it keeps where the path is fitted: after a month nothing. What lasts is then taken to be common."""
_RECENT = 8
"""Weeks in which an outlier may be the first sign of a shock that no other input has shown yet."""
_REJECTED = 0.25
_ABSURD = 200.0
"""An error of more than so many usual ones is a slip of the pen, and the first sign of nothing."""
_LEAST = 10
"""Iterations before the fit may be said to have settled."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Each input's own error: spread of a weekly step in units of the input's spread, and memory a week."""

    spread: Floats
    memory: Floats

    def chain(self, i: int, rows: Rows) -> tuple[Floats, Floats]:
        """Return, for each observation, what is kept of the error before it and the variance of what is new."""
        kept = np.where(rows.gap > 0, self.memory[i] ** np.maximum(rows.gap, 1), 0.0)
        return kept, self.spread[i] ** 2 * (1.0 - kept**2) / (1.0 - self.memory[i] ** 2)


@dataclass(frozen=True, slots=True)
class Factor:
    """The fitted path.

    Attributes
    ----------
    inputs, values
        Rows of each input, and its values in units of its own robust spread around its median.
    mean, loading
        Of each input.
    errors
        As the path is fitted: short of memory. `lasting`: as the residuals show.
    path
        Expected factor by week; a typical weekly step is 1.
    parts
        Weeks x inputs: what each input adds to `path`, exactly.
    cholesky, covariance
        Of the path's precision, and the covariances within the band.
    steps
        Weight of each weekly step: near 0 in a shock.
    weights
        Per input, the weight of each observation: low for an outlier, and for a response far from the usual, which
        strays in proportion. `trust` is the first of the two alone.
    otherwise
        The path if the outliers of the last weeks were right and the shock were common; equal to `path` where there
        are none. `doubted`: the inputs that have any.
    strays
        How far an input's response to a shock strays from its usual one: a relative standard deviation.
    iterations
        Until it had settled.
    """

    inputs: tuple[Rows, ...]
    values: tuple[Floats, ...]
    mean: Floats
    loading: Floats
    errors: Errors
    lasting: Errors
    path: Floats
    parts: Floats
    cholesky: Floats
    covariance: Floats
    steps: Floats
    weights: tuple[Floats, ...]
    trust: tuple[Floats, ...]
    otherwise: Floats
    doubted: tuple[int, ...]
    strays: float
    iterations: int


@dataclass(slots=True)
class _State:
    """What one iteration leaves for the next."""

    mean: Floats
    loading: Floats
    errors: Errors
    weights: list[Floats]
    trust: list[Floats]
    steps: Floats


def fit_factor(
    inputs: Sequence[Rows], *, weeks: int, last: int, signs: Floats, drifts: NDArray[np.bool_], settings: Settings
) -> Factor:
    """Estimate path and parameters.

    Parameters
    ----------
    inputs
        Rows of each input on the grid.
    weeks
        Length of the grid; `last` is the last week of which anything may be known.
    signs
        Start values of the loadings, in the inputs' own spreads: which inputs move with output, which against.
    drifts
        Inputs whose own error may last for ever: such an input tells of changes, not of the level.
    settings
        Tails, tolerance, iterations.

    Raises
    ------
    FitError
        The fit does not settle.
    """
    values = [_standard(rows.value) for rows in inputs]
    width = min(weeks, 1 + max(YEAR, *(rows.span for rows in inputs)))
    most = np.where(drifts, _MEMORY[-1], _SHORT)
    n = len(inputs)
    state = _State(
        np.zeros(n), signs.copy(), Errors(np.full(n, 0.7), np.full(n, 0.3)),
        [np.ones(len(rows)) for rows in inputs], [np.ones(len(rows)) for rows in inputs], np.ones(weeks - 1),
    )  # fmt: skip
    path, found = np.zeros(weeks), np.zeros((weeks, width))
    for iteration in range(1, settings.max_iterations + 1):
        cholesky, right = _precision(inputs, values, state, weeks, width)
        new = right.sum(axis=1, keepdims=True)
        solve(cholesky, new)
        covariances(cholesky, found)
        moved = float(np.max(np.abs(np.diff(new[:, 0] - path))))
        path = new[:, 0]
        if iteration > _LEAST and moved < settings.tolerance:
            solve(cholesky, right)
            lasting = _lasting(inputs, values, state, path, found, settings)
            otherwise, doubted = _otherwise(inputs, values, state, path, last, settings)
            return Factor(
                inputs=tuple(inputs), values=tuple(values), mean=state.mean, loading=state.loading,
                errors=state.errors, lasting=lasting, path=path, parts=right, cholesky=cholesky, covariance=found,
                steps=state.steps, weights=tuple(state.weights), trust=tuple(state.trust), otherwise=otherwise,
                doubted=doubted, strays=settings.strays, iterations=iteration,
            )  # fmt: skip
        _maximise(inputs, values, state, path, found, most, settings)
    raise FitError(
        f"the common factor has not settled after {settings.max_iterations} iterations.",
        remedy="Leave out inputs with very few values, or raise Settings.max_iterations.",
        code="OPS-M131",
    )


def whitened(rows: Rows, kept: Floats) -> Floats:
    """Return the weights of each observation less what is kept of the one before."""
    return rows.now - np.repeat(kept, np.diff(rows.start)) * rows.before


def lagged(value: Floats, kept: Floats) -> Floats:
    """Return each value less what is kept of the one before."""
    return np.asarray(value - kept * np.concatenate([[0.0], value[:-1]]))


def on_weeks(rows: Rows, weights: Floats, amount: Floats, weeks: int) -> Floats:
    """Return ``sum_k amount_k a_k``, by week."""
    spread = np.repeat(amount, np.diff(rows.start)) * weights
    return np.asarray(np.bincount(rows.column, spread, minlength=weeks), dtype=np.float64)


def _standard(value: Floats) -> Floats:
    """Return values around their median in units of their robust spread: an input's unit then changes nothing."""
    deviation = value - np.median(value)
    spread = 1.4826 * float(np.median(np.abs(deviation)))
    return np.asarray(deviation / (spread if spread > 0 else float(np.abs(deviation).mean())))


def _precision(
    inputs: Sequence[Rows], values: Sequence[Floats], state: _State, weeks: int, width: int
) -> tuple[Floats, Floats]:
    """Return the Cholesky factor of the path's precision and the inputs' right-hand sides."""
    band = np.zeros((weeks, width))
    band[0, 0] = _ANCHOR
    band[1:, 0] += state.steps
    band[:-1, 0] += state.steps
    band[1:, 1] -= state.steps
    right = np.zeros((weeks, len(inputs)))
    for i, rows in enumerate(inputs):
        kept, new = state.errors.chain(i, rows)
        weight, loads = state.weights[i] / new, whitened(rows, kept)
        add_rows(band, rows.start, rows.column, loads, weight * state.loading[i] ** 2)
        surprise = lagged(values[i], kept) - state.mean[i] * (1.0 - kept)
        right[:, i] = on_weeks(rows, loads, weight * state.loading[i] * surprise, weeks)
    if not factorise(band):
        raise FitError("the precision of the common factor is not positive definite.", code="OPS-M132")
    return band, right


def _maximise(
    inputs: Sequence[Rows],
    values: Sequence[Floats],
    state: _State,
    path: Floats,
    found: Floats,
    most: Floats,
    settings: Settings,
) -> None:
    """Update weights, means, loadings and errors, given the path and its covariances."""
    steps = np.diff(path) ** 2 + found[1:, 0] + found[:-1, 0] - 2.0 * found[1:, 1]
    # Expanded parameters (Liu, Rubin and Wu 1998): the scale of the steps is estimated, too, and then put into the
    # loadings. The slow direction of the plain algorithm, a larger path with smaller loadings, is gone at once.
    usual = _USUAL_STEP / max(float(np.sqrt(np.mean(state.loading**2))), _SMALLEST)
    stretch = float(np.sqrt((state.steps @ steps + _PRIOR_COUNT * usual**2) / (len(steps) + _PRIOR_COUNT)))
    state.steps = (settings.shock_tail + 1.0) / (settings.shock_tail + steps / stretch**2)
    spread, memory = np.zeros(len(inputs)), np.zeros(len(inputs))
    for i, rows in enumerate(inputs):
        kept, new = state.errors.chain(i, rows)
        fitted = rows.times(path)
        x, z, one = lagged(values[i], kept), lagged(fitted, kept), 1.0 - kept
        gram = information(rows, state.weights[i] / new, kept, z, found)
        right = [(state.weights[i] / new) @ (one * x), (state.weights[i] / new) @ (z * x)]
        state.mean[i], state.loading[i] = np.linalg.solve(gram, right)
        moments = _moments(rows, values[i], state.mean[i], state.loading[i], fitted, found)
        memory[i] = _memory(rows, moments, state.weights[i], state.errors.spread[i], most[i])
        kept, new = Errors(np.ones(1), memory[[i]]).chain(0, rows)
        square = _scaled(moments, kept, new)
        total = float(state.weights[i] @ square) + _PRIOR_COUNT * _PRIOR_VARIANCE
        spread[i] = np.sqrt(total / (len(rows) + _PRIOR_COUNT))
        usual = spread[i] ** 2 / (1.0 - memory[i] ** 2)
        share = _share(state.loading[i] * fitted, usual, settings.strays)
        state.trust[i] = (settings.tail + 1.0) / (settings.tail + share * square / spread[i] ** 2)
        state.weights[i] = state.trust[i] * share
    state.errors = Errors(spread, memory)
    state.loading *= stretch


def _share(response: Floats, usual: float, strays: float) -> Floats:
    """Return the usual variance of an error as a share of its variance at each size of the response."""
    away = response - np.median(response)
    return np.asarray(usual / (usual + (strays * away) ** 2))


def information(rows: Rows, weight: Floats, kept: Floats, fitted: Floats, found: Floats) -> Floats:
    """Return the information on mean and loading of an input if the path were as uncertain as it is."""
    loads, one = whitened(rows, kept), 1.0 - kept
    doubt = np.zeros(len(rows))
    cross(found, rows.start, rows.column, loads, loads, doubt)
    both = weight @ (one * fitted)
    gram = np.array([[weight @ one**2, both], [both, weight @ (fitted**2 + doubt)]])
    return np.asarray(gram + np.diag([MEAN_PRECISION, LOADING_PRECISION]))


def _moments(
    rows: Rows, value: Floats, mean: float, loading: float, fitted: Floats, found: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return the expected square of each error, its product with the one before, and the square of that."""
    own, between, before = (np.zeros(len(rows)) for _ in range(3))
    cross(found, rows.start, rows.column, rows.now, rows.now, own)
    cross(found, rows.start, rows.column, rows.now, rows.before, between)
    cross(found, rows.start, rows.column, rows.before, rows.before, before)
    error = value - mean - loading * fitted
    last = np.concatenate([[0.0], error[:-1]])
    return error**2 + loading**2 * own, error * last + loading**2 * between, last**2 + loading**2 * before


def _scaled(moments: tuple[Floats, Floats, Floats], kept: Floats, new: Floats) -> Floats:
    """Return the expected square of what is new in each error, over its variance."""
    square, product, before = moments
    return np.asarray(np.maximum(square - 2.0 * kept * product + kept**2 * before, 0.0) / new)


def _memory(rows: Rows, moments: tuple[Floats, Floats, Floats], weights: Floats, spread: float, most: float) -> float:
    """Return the memory that the expected likelihood likes best, between two candidates by a parabola."""
    candidates = _MEMORY[most >= _MEMORY]
    square, product, before = moments
    kept = np.where(rows.gap > 0, candidates[:, None] ** np.maximum(rows.gap, 1), 0.0)
    new = (1.0 - kept**2) / (1.0 - candidates[:, None] ** 2)
    loss = np.log(new).sum(axis=1)
    loss += ((square - 2.0 * kept * product + kept**2 * before) / new) @ weights / spread**2
    k = int(np.argmin(loss))
    if k in (0, len(candidates) - 1):
        return float(candidates[k])
    (x0, x1, x2), (y0, y1, y2) = candidates[k - 1 : k + 2], loss[k - 1 : k + 2]
    top = (x1 - x0) ** 2 * (y1 - y2) - (x1 - x2) ** 2 * (y1 - y0)
    bottom = (x1 - x0) * (y1 - y2) - (x1 - x2) * (y1 - y0)
    return float(x1 if bottom == 0 else np.clip(x1 - 0.5 * top / bottom, x0, x2))


def _lasting(
    inputs: Sequence[Rows], values: Sequence[Floats], state: _State, path: Floats, found: Floats, settings: Settings
) -> Errors:
    """Return the errors as the residuals show them, however long they last."""
    spread, memory = state.errors.spread.copy(), state.errors.memory.copy()
    for i, rows in enumerate(inputs):
        moments = _moments(rows, values[i], state.mean[i], state.loading[i], rows.times(path), found)
        weights = state.weights[i]
        for _ in range(10):
            memory[i] = _memory(rows, moments, weights, spread[i], 1.0)
            kept, new = Errors(np.ones(1), memory[[i]]).chain(0, rows)
            square = _scaled(moments, kept, new)
            spread[i] = np.sqrt((weights @ square + _PRIOR_COUNT * _PRIOR_VARIANCE * 0.1) / (len(rows) + _PRIOR_COUNT))
            weights = (settings.tail + 1.0) / (settings.tail + square / spread[i] ** 2)
    return Errors(spread, memory)


def _otherwise(
    inputs: Sequence[Rows], values: Sequence[Floats], state: _State, path: Floats, last: int, settings: Settings
) -> tuple[Floats, tuple[int, ...]]:
    """Return the path that believes the outliers of the last weeks, and the inputs that have them.

    Whether a wild number is an outlier or the first of a shock cannot be known before other inputs speak: the
    likelihood has a top for either. Parameters stay; the believed numbers keep their full weight.
    """
    recent = []
    for i, rows in enumerate(inputs):
        usual = state.errors.spread[i] / np.sqrt(1.0 - state.errors.memory[i] ** 2)
        off = np.abs(values[i] - state.mean[i] - state.loading[i] * rows.times(path))
        recent.append((rows.week > last - _RECENT) & (state.trust[i] < _REJECTED) & (off < _ABSURD * usual))
    doubted = tuple(i for i, some in enumerate(recent) if some.any())
    if not doubted:
        return path.copy(), ()
    steps = state.steps.copy()
    steps[max(0, last - _RECENT - 1) : last] = 0.01
    weights = [np.where(some, 1.0, w) for some, w in zip(recent, state.weights, strict=True)]
    other = _State(state.mean, state.loading, state.errors, weights, [], steps)
    width = min(len(path), 1 + max(YEAR, *(rows.span for rows in inputs)))
    found = np.zeros((len(path), width))
    for _ in range(_LEAST):
        cholesky, right = _precision(inputs, values, other, len(path), width)
        new = right.sum(axis=1, keepdims=True)
        solve(cholesky, new)
        covariances(cholesky, found)
        moved = np.diff(new[:, 0]) ** 2 + found[1:, 0] + found[:-1, 0] - 2.0 * found[1:, 1]
        other.steps = (settings.shock_tail + 1.0) / (settings.shock_tail + moved)
        for i, rows in enumerate(inputs):
            kept, fresh = state.errors.chain(i, rows)
            moments = _moments(rows, values[i], state.mean[i], state.loading[i], rows.times(new[:, 0]), found)
            usual = state.errors.spread[i] ** 2 / (1.0 - state.errors.memory[i] ** 2)
            share = _share(state.loading[i] * rows.times(new[:, 0]), usual, settings.strays)
            trust = (settings.tail + 1.0) / (settings.tail + share * _scaled(moments, kept, fresh))
            other.weights[i] = share * np.where(recent[i], 1.0, trust)
    return new[:, 0], doubted
