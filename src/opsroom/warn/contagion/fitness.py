"""The fitness model: which links exist is drawn, larger nodes having more; the margins are kept in the mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.errors import FitError, UsageError
from opsroom.warn.contagion.links import Floats, Links
from opsroom.warn.contagion.margins import checked_margins, maximum_entropy


@dataclass(frozen=True, slots=True)
class FitnessModel:
    """Probabilities of links ``z x_i y_j / (1 + z x_i y_j)`` and their amounts.

    Attributes
    ----------
    out, into
        Fitness as lender and as borrower: what each has lent and borrowed.
    z
        Fixes how many links are expected.
    even
        The network of greatest entropy, which is the mean of the model.
    """

    out: Floats
    into: Floats
    z: float
    even: Links

    @property
    def expected_links(self) -> float:
        """Number of links expected."""
        return float(_expected(self.out, self.into, self.z))

    def draw(self, seed: int) -> Links:
        """Draw a network: each link by its probability p, with the even amount over p, so that means are kept."""
        if self.even.out.shape[1] == 0:
            return self.even
        order = np.argsort(-self.into, kind="stable")
        count = int(self.expected_links + 10 * np.sqrt(self.expected_links) + 100)
        rows, columns, found = _draw(self.out, self.into[order], self.z, count, np.random.default_rng(seed))
        rows, columns = rows[:found], order[columns[:found]]
        rows, columns = rows[rows != columns], columns[rows != columns]
        odds = self.z * self.out[rows] * self.into[columns]
        amount = self.even.out[rows, 0] * self.even.into[columns, 0] * (1.0 + odds) / odds
        return Links.of(sp.csr_array((amount, (rows, columns)), shape=(self.even.size, self.even.size)))


def fitness_model(lent: npt.ArrayLike, borrowed: npt.ArrayLike, *, links: float) -> FitnessModel:
    """Fit the fitness model to margins and a number of links.

    It answers: which networks are likely, if larger nodes have more relations and the density is known?

    Parameters
    ----------
    lent, borrowed
        What each node has lent and borrowed in all.
    links
        Expected number of links: known, or taken from a part of the system whose links are known.

    Returns
    -------
    FitnessModel
        Its `draw` gives networks.

    Raises
    ------
    UsageError
        More links than there are pairs, or none.
    FitError
        No z gives that number.

    Notes
    -----
    ``p_ij = z x_i y_j / (1 + z x_i y_j)`` for i ≠ j, x lent and y borrowed; z such that the p add to `links`. A link
    that is drawn carries ``u_i v_j / p_ij`` with u v the network of maximum entropy: so the margins are met in the
    mean, exactly (Cimini and others take ``x_i y_j / total``, which leaves out what falls on the diagonal). A single
    draw does not meet them: that scatter is part of what the ensemble says. Fitting costs O(n²) time, no memory;
    drawing O(n + links).

    References
    ----------
    Cimini, Squartini, Garlaschelli and Gabrielli (2015), Systemic risk analysis on reconstructed economic and
    financial networks, Scientific Reports 5.

    Examples
    --------
    >>> model = fitness_model([3.0, 2.0, 1.0], [1.0, 2.0, 3.0], links=4)
    >>> round(model.expected_links, 6)
    4.0
    """
    a, b = checked_margins(lent, borrowed)
    pairs = np.count_nonzero(a) * np.count_nonzero(b) - np.count_nonzero(a * b)
    if not 0 < links < pairs:
        raise UsageError(
            "the number of links is above zero and below that of pairs which can have one.",
            remedy="Give one in between; maximum_entropy() has them all.",
            code="OPS-U218",
        )
    x, y = a / a.max(), b / b.max()
    low, high = -60.0, 60.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if _expected(x, y, np.exp(middle)) < links:
            low = middle
        else:
            high = middle
        if high - low < 1e-14 * max(1.0, abs(low)):
            break
    z = float(np.exp(0.5 * (low + high)))
    if not abs(_expected(x, y, z) - links) <= 1e-6 * links:
        raise FitError(
            "no fitness model has that many links: the margins are too unequal.",
            remedy="Give fewer links.",
            code="OPS-M164",
        )
    return FitnessModel(x, y, z, maximum_entropy(a, b))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _expected(x: Any, y: Any, z: float) -> float:
    """Return the expected number of links."""
    total = 0.0
    for i in range(len(x)):
        mine = z * x[i]
        if mine > 0.0:
            for j in range(len(y)):
                if j != i:
                    odds = mine * y[j]
                    total += odds / (1.0 + odds)
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _draw(x: Any, y: Any, z: float, count: int, rng: Any) -> Any:
    """Draw links row by row, borrowers in falling order: skip ahead by the present probability, then thin.

    The probability falls along the row, so that a skip drawn from it passes over too few, which the thinning repairs
    (Miller and Hagberg 2011). Columns are places in the falling order; the caller takes out self-loops.
    """
    n = len(x)
    rows, columns = np.empty(count, np.int64), np.empty(count, np.int64)
    found = 0
    for i in range(n):
        mine = z * x[i]
        if mine <= 0.0:
            continue
        j = 0
        odds = mine * y[0]
        p = odds / (1.0 + odds)
        while j < n and p > 0.0:
            if p < 1.0:
                j += int(np.floor(np.log(1.0 - rng.random()) / np.log1p(-p)))
            if j >= n or j < 0:
                break
            odds = mine * y[j]
            q = odds / (1.0 + odds)
            if rng.random() < q / p:
                if found == len(rows):
                    more = np.empty(len(rows), np.int64)
                    rows, columns = np.concatenate((rows, more)), np.concatenate((columns, more))
                rows[found], columns[found] = i, j
                found += 1
            p = q
            j += 1
    return rows, columns, found
