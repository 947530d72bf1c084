"""How sure the path is: missing and noisy inputs, errors that last, estimated parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from opsroom.measure.composite.band_kernel import solve
from opsroom.measure.composite.factor import Factor, information, lagged, on_weeks, whitened
from opsroom.measure.composite.grid import YEAR, Floats

Reading = Callable[[Floats], Floats]
"""A linear reading of the path: weeks (and columns) in, readings (and columns) out."""

_LEAST_KNOWN = 0.02
"""Share of the information on a parameter that is left at least when the path is unknown."""
_LASTING = 0.5
"""Share of the variance of a response's stray that is the input's for good."""
_KEPT = float(np.exp(-1.0 / 13.0))
"""What the rest keeps from one week to the next: it is forgotten within a quarter or two."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """How sure a reading is, in the path's units.

    Attributes
    ----------
    given
        Variances given the parameters.
    estimated
        What their being unknown adds.
    shared
        Covariances, of both kinds together, with another reading; without columns where none is asked for.
    """

    given: Floats
    estimated: Floats
    shared: Floats


def doubts(factor: Factor, readings: Sequence[Reading], *, beside: Reading | None = None) -> list[Doubt]:
    """Return, for each reading, how sure it is.

    Parameters
    ----------
    factor
        The fitted path.
    readings
        Linear functions, such as the change on a year before.
    beside
        Another linear function, with which each reading's covariances are wanted.

    Notes
    -----
    Given the parameters: what the fitted model says, plus, input by input, the difference between an error that
    lasts as long as the input's residuals do and the short one with which the path was fitted (a sandwich). The
    path is a compromise that trusts what inputs share; the price of an input's wrong level is in the band.

    Parameters are unknown in two ways. They are estimated; and an input's response to a shock strays from its
    usual one by the factor's `strays`, so that what it adds is uncertain in proportion. Half of that (in squares) is
    the input's for good; half passes within a quarter or two, and is in proportion to how far the input is from the
    year before: that an input has understated a fall does not tell by how much it understates the recovery.
    """
    weeks = len(factor.path)
    inverse = np.eye(weeks)
    solve(factor.cholesky, inverse)
    other = beside or _nothing
    given = [np.diag(read(read(inverse).T)).copy() for read in readings]
    shared = [read(other(inverse).T) for read in readings]
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
        short = short_new / factor.weights[i]
        aside = other(told)
        aside_lasts = _lasting(aside, short_kept, kept)
        for g, both, read in zip(given, shared, readings, strict=True):
            moved = read(told)
            lasts = _lasting(moved, short_kept, kept)
            g += lasts**2 @ new - moved**2 @ short
            both += (lasts * new) @ aside_lasts.T - (moved * short) @ aside.T
    moves, doubt = _estimated(factor)
    strays = _strays(factor, other)
    out = []
    for g, both, read in zip(given, shared, readings, strict=True):
        moved = read(moves)
        estimated = np.einsum("ki,ij,kj->k", moved, doubt, moved)
        both += moved @ doubt @ other(moves).T
        for stray, other_stray in zip(_strays(factor, read), strays, strict=True):
            estimated += (stray**2).sum(axis=1)
            both += stray @ other_stray.T
        out.append(Doubt(np.maximum(g, 0.0), estimated, both))
    return out


def _strays(factor: Factor, read: Reading) -> list[Floats]:
    """Return, input by input, how a reading moves with each stray of its response, by standard deviations.

    One stray for good, in the first column, and one a week that is forgotten within months.
    """
    weights = read(np.eye(len(factor.path)))
    found = []
    for parts, away in zip(factor.parts.T, _away(factor.parts).T, strict=True):
        # A memory of k steps times what is new in each, summed over the weeks that a reading rests on.
        passing = lfilter([1.0], [1.0, -_KEPT], (weights * away)[:, ::-1], axis=1)[:, ::-1]
        passing[:, 1:] *= np.sqrt(1.0 - _KEPT**2)
        lasting = (weights @ parts)[:, None]
        found.append(factor.strays * np.hstack([np.sqrt(_LASTING) * lasting, np.sqrt(1.0 - _LASTING) * passing]))
    return found


def _away(parts: Floats) -> Floats:
    """Return what each input adds, less its mean over the year before."""
    total = np.vstack([np.zeros((1, parts.shape[1])), np.cumsum(parts, axis=0)])
    week = np.arange(len(parts))
    since = np.maximum(week - YEAR, 0)
    mean = (total[week] - total[since]) / np.maximum(week - since, 1)[:, None]
    return np.asarray(np.where(week[:, None] > 0, parts - mean, 0.0))


def _nothing(path: Floats) -> Floats:
    return path[:0]


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
