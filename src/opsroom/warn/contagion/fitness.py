"""The fitness model: which links exist is drawn, larger nodes having more; the margins are kept in the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.optimize import brentq

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
        return _expected(self.out, self.into, self.z)

    def draw(self, seed: int) -> Links:
        """Draw a network: each link by its probability p, with the even amount over p, so that means are kept."""
        if self.even.out.shape[1] == 0:
            return self.even
        rng = np.random.default_rng(seed)
        found = []
        for i in np.flatnonzero(self.out > 0):
            odds = self.z * self.out[i] * self.into
            found.append((i, np.flatnonzero(rng.random(len(odds)) * (1.0 + odds) < odds)))
        rows = np.concatenate([np.full(len(js), i) for i, js in found])
        columns = np.concatenate([js for _, js in found])
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
    draw does not meet them: that scatter is part of what the ensemble says. Fitting and drawing cost O(n²) time,
    and memory for the links alone.

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

    def missing(log_z: float) -> float:
        return float(np.log(_expected(x, y, float(np.exp(log_z))) / links))

    low, high = -60.0, 60.0
    if missing(low) > 0 or missing(high) < 0:
        raise FitError(
            "no fitness model has that many links: the margins are too unequal.",
            remedy="Give fewer links.",
            code="OPS-M164",
        )
    z = float(np.exp(brentq(missing, low, high, xtol=1e-13)))
    return FitnessModel(x, y, z, maximum_entropy(a, b))


def _expected(x: Floats, y: Floats, z: float) -> float:
    """Return the expected number of links, a row at a time."""
    own = z * x * y
    total = -float((own / (1.0 + own)).sum())
    for mine in z * x[x > 0]:
        odds = mine * y
        total += float((odds / (1.0 + odds)).sum())
    return total
