r"""Perturbation tables: how likely each noise is for each count, at maximum entropy.

For a count :math:`i` the noise :math:`v` is drawn with probabilities :math:`p_v`, which maximise the entropy
:math:`-\sum p_v \ln p_v` among all distributions with

- :math:`|v| \le D` (bounded deviation) and :math:`i + v` neither negative nor one of :math:`1 \dots j_s`;
- :math:`\sum p_v v = 0` (no bias) and :math:`\sum p_v v^2 \le V` (the variance is :math:`V` wherever the entropy
  gains by it, less in the rows of small counts where it does not);
- :math:`p_v` not growing with :math:`|v|` on either side.

A count of zero stays zero.

References
----------
J. Marley and V. Leaver (2011), A method for confidentialising user-defined tables: statistical properties and a
risk-utility analysis, Proceedings of the 58th World Statistical Congress. S. Giessing (2016), Computational issues in
the design of transition probabilities and disclosure risk estimation for additive noise, Privacy in Statistical
Databases. For D = 2, V = 1 the rows are those that the vignette of the R package ``ptable`` (T. Enderle) prints.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from opsroom.base.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_DEVIATION = 50
SMALLEST = 1e-12
"""Probabilities below it are taken for none."""


@dataclass(frozen=True, slots=True)
class PTable:
    """A perturbation table.

    Attributes
    ----------
    deviation, variance, threshold
        :math:`D`, :math:`V`, :math:`j_s`.
    rows
        For each count from 0 on: the noises in order, and their probabilities. Counts beyond the last have its row.
    """

    deviation: int
    variance: float
    threshold: int
    rows: tuple[tuple[NDArray[np.int64], NDArray[np.float64]], ...] = field(repr=False)

    def row(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the noises for a count and their probabilities."""
        return self.rows[min(count, len(self.rows) - 1)]

    def look_up(self, counts: NDArray[np.int64], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the noise of each cell.

        Parameters
        ----------
        counts
            True counts, zero or more.
        uniform
            A number in [0, 1) for each cell, made of its key.
        """
        noise = np.zeros(len(counts), dtype=np.int64)
        which = np.minimum(counts, len(self.rows) - 1)
        for number in np.unique(which):
            here = which == number
            values, chances = self.rows[int(number)]
            steps = np.cumsum(chances)[:-1]
            noise[here] = values[np.searchsorted(steps, uniform[here], side="right")]
        return noise


@lru_cache(maxsize=16)
def make_ptable(deviation: int, variance: float, threshold: int = 0) -> PTable:
    """Solve for the perturbation table of a bound, a variance and a threshold for small counts.

    Parameters
    ----------
    deviation
        Largest noise :math:`D`, 1 to 50.
    variance
        Largest variance :math:`V` of the noise.
    threshold
        Counts from 1 to :math:`j_s` are never shown.

    Returns
    -------
    PTable

    Raises
    ------
    UsageError
        No distribution meets the three for some count; says what to change.
    """
    if not 1 <= deviation <= MOST_DEVIATION or not 0 <= threshold < deviation or variance <= 0:
        raise UsageError(
            "a perturbation table needs a deviation of 1 to 50, a threshold below it and a variance above 0.",
            remedy="Use deviation 5, variance 3, threshold 2, say.",
            code="OPS-U130",
        )
    if variance > deviation * (deviation + 1) / 3:
        raise UsageError(
            "no noise within that deviation has so large a variance.",
            remedy="Give a variance of at most D (D + 1) / 3, or a larger deviation.",
            code="OPS-U131",
        )
    last = deviation + (threshold + 1 if threshold else 0)
    rows = [(np.zeros(1, dtype=np.int64), np.ones(1))]
    rows += [_row(count, deviation, variance, threshold) for count in range(1, last + 1)]
    return PTable(deviation, variance, threshold, tuple(rows))


def _row(count: int, deviation: int, variance: float, threshold: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    noise = np.arange(-deviation, deviation + 1)
    target = count + noise
    noise = noise[(target == 0) | (target > threshold)]
    chances = _most_entropy(noise.astype(np.float64), variance)
    if chances is None:
        raise UsageError(
            f"no noise for a count of {count} meets the deviation, the variance and the threshold at once.",
            remedy="Raise the variance or the deviation, or lower the threshold.",
            code="OPS-U132",
        )
    return noise.astype(np.int64), chances


def _most_entropy(noise: NDArray[np.float64], variance: float) -> NDArray[np.float64] | None:
    """Return the distribution of maximum entropy over the noises, or None where no distribution fits."""
    from scipy.optimize import Bounds, LinearConstraint, linprog, minimize

    size = len(noise)
    falls = _falling(noise)
    exact = np.vstack([np.ones(size), noise])
    # A start inside: the largest smallest probability. Where there is none the constraints exclude each other.
    at_most = np.vstack([np.append(noise**2, 0), np.column_stack([falls, np.zeros(len(falls))]),
                         np.column_stack([-np.eye(size), np.ones(size)])])  # fmt: skip
    start = linprog(
        np.append(np.zeros(size), -1.0),
        A_ub=at_most,
        b_ub=np.concatenate([[variance], np.zeros(len(falls) + size)]),
        A_eq=np.column_stack([exact, np.zeros(2)]),
        b_eq=[1.0, 0.0],
        bounds=[(0, 1)] * size + [(0, 1)],
    )
    if start.status != 0 or start.x is None:
        return None
    inner = np.vstack([noise**2, falls])
    found = minimize(
        _negative_entropy,
        start.x[:size],
        jac=_slope,
        bounds=Bounds(np.zeros(size), np.ones(size)),
        constraints=[
            LinearConstraint(exact, [1.0, 0.0], [1.0, 0.0]),
            LinearConstraint(inner, -np.inf, np.append(variance, np.zeros(len(falls)))),
        ],
        method="SLSQP",
        options={"maxiter": 2000, "ftol": 1e-14},
    )
    chances = np.where(found.x > SMALLEST, found.x, 0.0)
    wrong = max(abs(float(chances.sum()) - 1), abs(float(chances @ noise)), float(chances @ noise**2) - variance)
    if wrong > 1e-7:
        return None
    scaled: NDArray[np.float64] = chances / chances.sum()
    return scaled


def _negative_entropy(chances: NDArray[np.float64]) -> float:
    return float(np.sum(chances * np.log(np.maximum(chances, SMALLEST))))


def _slope(chances: NDArray[np.float64]) -> NDArray[np.float64]:
    slope: NDArray[np.float64] = np.log(np.maximum(chances, SMALLEST)) + 1
    return slope


def _falling(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return rows a with a·p ≤ 0 saying that the probability does not grow with the distance from zero."""
    rows = []
    for side in (np.flatnonzero(noise >= 0), np.flatnonzero(noise <= 0)[::-1]):
        for nearer, farther in pairwise(side):
            row = np.zeros(len(noise))
            row[farther], row[nearer] = 1.0, -1.0
            rows.append(row)
    return np.array(rows).reshape(-1, len(noise))
