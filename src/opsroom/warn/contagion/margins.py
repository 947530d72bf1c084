"""Reconstruction of a network from what each node has lent and borrowed in all: feasibility and maximum entropy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.errors import DataError, FitError
from opsroom.warn.contagion.links import Floats, Links
from opsroom.warn.contagion.scaling import scale

AGREE = 1e-9
"""Relative difference that the totals of the two margins may have: rounding, not an error of the data."""
ROUNDING = 1e-13
"""As near as this to the total, a node's lending and borrowing are the total."""


def checked_margins(lent: npt.ArrayLike, borrowed: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Return margins for which a network without self-loops exists.

    Parameters
    ----------
    lent, borrowed
        What each node has lent and borrowed in all: not negative, of equal totals.

    Returns
    -------
    tuple of numpy.ndarray
        Both, the second scaled to the total of the first.

    Raises
    ------
    DataError
        A margin that is not a finite number of zero or more; totals that differ; or a node that has lent and borrowed
        together more than the total, so that it would have to lend to itself.

    Notes
    -----
    Node i can lend only to what others have borrowed: ``lent_i <= total - borrowed_i``. With equal totals this is
    also sufficient (a transport problem with forbidden diagonal).
    """
    a, b = (np.asarray(x, dtype=np.float64) for x in (lent, borrowed))
    if a.ndim != 1 or a.shape != b.shape or not len(a):
        raise DataError("margins need one amount lent and one borrowed a node.", code="OPS-D164")
    for name, margin in (("lent", a), ("borrowed", b)):
        bad = np.flatnonzero(~(np.isfinite(margin) & (margin >= 0)))
        if len(bad):
            raise DataError(
                f"margins, row {bad[0] + 1}, field {name}: is not a finite amount of zero or more.",
                remedy="Deliver one.",
                code="OPS-D165",
            )
    total = a.sum()
    if not abs(total - b.sum()) <= AGREE * max(total, b.sum()):
        raise DataError(
            "margins: what is lent in all is not what is borrowed in all.",
            remedy="Close the table: add a node for the rest of the world.",
            code="OPS-D166",
        )
    if total > 0:
        b = b * (total / b.sum())
    over = np.flatnonzero(a + b > total * (1.0 + AGREE))
    if len(over):
        raise DataError(
            f"margins, row {over[0] + 1}: lent and borrowed together exceed the total, which only a claim on itself "
            "could bring about.",
            remedy="Check the row; net out what it owes itself.",
            code="OPS-D167",
        )
    return a, b


def maximum_entropy(
    lent: npt.ArrayLike, borrowed: npt.ArrayLike, *, tolerance: float = 1e-12, max_rounds: int = 1_000
) -> Links:
    """Spread claims as evenly as the margins allow, with nobody lending to itself, without a dense matrix.

    It answers: if nothing but totals is known, which network assumes least?

    Parameters
    ----------
    lent, borrowed
        What each node has lent and borrowed in all.
    tolerance
        Largest relative error of a margin.
    max_rounds
        Rounds after which the search is given up.

    Returns
    -------
    Links
        One term of rank one: ``u_i v_j`` off the diagonal. Where one node stands on one side of every claim, its
        claims, which are then the only network possible.

    Raises
    ------
    DataError
        Margins that no network without self-loops has.
    FitError
        The margins are not met within `max_rounds`.

    Notes
    -----
    The matrix of greatest entropy with zero diagonal and given margins is ``u_i v_j`` for i ≠ j, so that
    ``lent_i = u_i (V - v_i)`` and ``borrowed_j = v_j (U - u_j)`` with the totals U and V. One line is solved after
    the other (Sinkhorn's scaling on the off-diagonal entries), two or three rounds as a rule, with Newton's steps
    where one node dominates; each O(n). The assumption that fails most often: real networks are sparse; spread over
    everybody, a shock looks harmless (Mistrulli 2011). Use it beside `minimum_density` or an ensemble of the fitness
    model, never alone.

    References
    ----------
    Upper and Worms (2004), European Economic Review 48; Upper (2011), Journal of Financial Stability 7; Mistrulli
    (2011), Journal of Banking and Finance 35.

    Examples
    --------
    >>> links = maximum_entropy([3.0, 2.0, 1.0], [1.0, 2.0, 3.0])
    >>> [round(float(x), 9) for x in links.lent], float(links.dense()[1, 1])
    ([3.0, 2.0, 1.0], 0.0)
    """
    a, b = checked_margins(lent, borrowed)
    total = a.sum()
    if total == 0:
        return Links.of(sp.csr_array((len(a), len(a)), dtype=np.float64))
    hub = int(np.argmax(a + b))
    if a[hub] + b[hub] >= total * (1.0 - ROUNDING):
        return _star(a, b, hub)
    found = scale(a, b, tolerance=tolerance, max_rounds=max_rounds)
    if found is not None:
        return Links.outer(*found)
    raise FitError(
        f"the margins are not met after {max_rounds} rounds: one node stands on a side of nearly every claim.",
        remedy="Raise max_rounds or the tolerance.",
        code="OPS-M160",
    )


def _star(a: Floats, b: Floats, hub: int) -> Links:
    """Return the only network in which one node is the lender or the borrower of every claim."""
    others = np.flatnonzero(np.arange(len(a)) != hub)
    where = np.full(len(others), hub)
    rows, columns = np.concatenate([where, others]), np.concatenate([others, where])
    matrix = sp.csr_array((np.concatenate([b[others], a[others]]), (rows, columns)), shape=(len(a), len(a)))
    matrix.eliminate_zeros()
    return Links.of(matrix)
