"""How sure the path is: missing and noisy inputs, errors that last, estimated parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from opsroom.measure.composite.band_kernel import solve
from opsroom.measure.composite.factor import Factor, information, lagged, on_weeks, whitened
from opsroom.measure.composite.grid import Floats

Reading = Callable[[Floats], Floats]
"""A linear reading of the path: weeks (and columns) in, readings (and columns) out."""

_LEAST_KNOWN = 0.02
"""Share of the information on a parameter that is left at least when the path is unknown."""


def variances(factor: Factor, readings: Sequence[Reading]) -> list[tuple[Floats, Floats]]:
    """Return, for each reading, its variance given the parameters and what their being unknown adds.

    Parameters
    ----------
    factor
        The fitted path.
    readings
        Linear functions, such as the change on a year before.

    Notes
    -----
    Given the parameters: what the fitted model says, plus, input by input, the difference between an error that
    lasts as long as the input's residuals do and the short one with which the path was fitted (a sandwich). The
    path is a compromise that trusts what inputs share; the price of an input's wrong level is in the band.

    Parameters are unknown in two ways. They are estimated; and an input's response to a shock strays from its
    usual one by the factor's `strays`, so that what it adds is uncertain in proportion.
    """
    weeks = len(factor.path)
    inverse = np.eye(weeks)
    solve(factor.cholesky, inverse)
    given = [np.diag(read(read(inverse).T)).copy() for read in readings]
    for i, rows in enumerate(factor.inputs):
        short_kept, short_new = factor.errors.chain(i, rows)
        kept, new = factor.lasting.chain(i, rows)
        push = whitened(rows, short_kept) * np.repeat(
            factor.loading[i] * factor.weights[i] / short_new, np.diff(rows.start)
        )
        told = np.zeros((weeks, len(rows)))
        for k in range(len(rows)):
            part = slice(rows.start[k], rows.start[k + 1])
            told[:, k] = inverse[:, rows.column[part]] @ push[part]
        for g, read in zip(given, readings, strict=True):
            moved = read(told)
            g -= moved**2 @ (short_new / factor.weights[i])
            g += _lasting(moved, short_kept, kept) ** 2 @ new
    moves, doubt = _estimated(factor)
    out = []
    for g, read in zip(given, readings, strict=True):
        moved = read(moves)
        estimated = np.einsum("ki,ij,kj->k", moved, doubt, moved)
        strayed = factor.strays**2 * (read(factor.parts) ** 2).sum(axis=1)
        out.append((np.maximum(g, 0.0), estimated + strayed))
    return out


def _lasting(moved: Floats, short: Floats, kept: Floats) -> Floats:
    """Return how readings move with what is new in a lasting error, given how they move with a short one's."""
    own = moved.copy()
    own[:, :-1] -= short[1:] * moved[:, 1:]
    for k in range(own.shape[1] - 2, -1, -1):
        own[:, k] += kept[k + 1] * own[:, k + 1]
    return own


def _estimated(factor: Factor) -> tuple[Floats, Floats]:
    """Return how the path moves with means and loadings, and their covariance with the path integrated out."""
    weeks, n = len(factor.path), len(factor.inputs)
    force, full = np.zeros((weeks, 2 * n)), np.zeros((2 * n, 2 * n))
    for i, rows in enumerate(factor.inputs):
        kept, new = factor.errors.chain(i, rows)
        weight, loads, one = factor.weights[i] / new, whitened(rows, kept), 1.0 - kept
        x, z = lagged(factor.values[i], kept), lagged(rows.times(factor.path), kept)
        slots = [2 * i, 2 * i + 1]
        full[np.ix_(slots, slots)] = information(rows, weight, kept, z, factor.covariance)
        mean, loading = factor.mean[i], factor.loading[i]
        for slot, push in zip(slots, (-loading * one, x - mean * one - 2.0 * loading * z), strict=True):
            force[:, slot] = on_weeks(rows, loads, weight * push, weeks)
    moves = force.copy()
    solve(factor.cholesky, moves)
    size = np.sqrt(np.diag(full))
    known = (full - force.T @ moves) / np.outer(size, size)
    values, vectors = np.linalg.eigh(0.5 * (known + known.T))
    inverse = (vectors / np.maximum(values, _LEAST_KNOWN)) @ vectors.T
    return moves, inverse / np.outer(size, size)
