"""Minimum density: as few links as the margins allow, in the manner of Anand, Craig and von Peter."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.warn.contagion.links import Floats, Links
from opsroom.warn.contagion.margins import checked_margins


def minimum_density(
    lent: npt.ArrayLike, borrowed: npt.ArrayLike, *, seed: int = 0, restarts: int = 8, prefer: float = 1.0
) -> Links:
    """Find a network of few links that has the margins, with nobody lending to itself.

    It answers: if links are costly and relations few, what may the network look like?

    Parameters
    ----------
    lent, borrowed
        What each node has lent and borrowed in all.
    seed
        Of the draws; other seeds give other networks of about as few links.
    restarts
        Networks drawn, of which the one with the fewest links is returned; 1 for members of an ensemble.
    prefer
        How strongly partners of unlike size are preferred: the exponent of the paper's relation; 0 for none.

    Returns
    -------
    Links
        Sparse; margins are met to rounding.

    Raises
    ------
    DataError
        Margins that no network without self-loops has.

    Notes
    -----
    Anand and others minimise the number of links, and search with proposals drawn in proportion to
    ``max(a_i / l_j, l_j / a_i)``, a and l what is still unplaced: small nodes link to large ones. Here the largest
    unplaced margin is placed next, with a partner drawn by that relation and as much as fits, so that each link
    finishes a node's side: at most one link a side, less one, and a few more where at last only one node's lending
    and borrowing are left and have to be routed through others. This is their heuristic made greedy, O(n) a link; a
    proven minimum is not claimed (it is as hard as packing). Sparse and concentrated, it tends to overstate
    contagion as maximum entropy understates it: use it as the other end of a range.

    References
    ----------
    Anand, Craig and von Peter (2015), Filling in the blanks: network structure and interbank contagion, Quantitative
    Finance 15(4).

    Examples
    --------
    >>> minimum_density([3.0, 2.0, 0.0], [0.0, 0.0, 5.0]).count
    2
    """
    a, b = checked_margins(lent, borrowed)
    rng = np.random.default_rng(seed)
    best: Links | None = None
    for _ in range(max(1, restarts)):
        placed = _place(a.copy(), b.copy(), rng, float(prefer), a.sum() * 1e-15)
        pairs = np.array(list(placed), dtype=np.int64).reshape(-1, 2)
        where = (pairs[:, 0], pairs[:, 1])
        matrix = sp.csr_array((np.array(list(placed.values()), dtype=np.float64), where), shape=(len(a), len(a)))
        matrix.eliminate_zeros()
        if best is None or matrix.nnz < best.count:
            best = Links.of(matrix)
    assert best is not None
    return best


def _place(a: Floats, b: Floats, rng: np.random.Generator, prefer: float, dust: float) -> dict[tuple[int, int], float]:
    """Place the margins link by link, in place; return the amount of each link."""
    placed: dict[tuple[int, int], float] = {}
    while True:
        lender, borrower = int(np.argmax(a)), int(np.argmax(b))
        if a[lender] <= dust or b[borrower] <= dust:
            return placed
        by_lender = a[lender] >= b[borrower]
        fixed, mine, others = (lender, a[lender], b) if by_lender else (borrower, b[borrower], a)
        open_ones = np.flatnonzero(others > dust)
        open_ones = open_ones[open_ones != fixed]
        if not len(open_ones):
            _route(a, b, fixed, placed, dust)
            return placed
        relation = np.maximum(mine / others[open_ones], others[open_ones] / mine) ** prefer
        edges = np.cumsum(relation)
        partner = int(open_ones[min(np.searchsorted(edges, rng.random() * edges[-1]), len(edges) - 1)])
        i, j = (fixed, partner) if by_lender else (partner, fixed)
        amount = min(a[i], b[j])
        placed[i, j] = placed.get((i, j), 0.0) + amount
        a[i] -= amount
        b[j] -= amount


def _route(a: Floats, b: Floats, own: int, placed: dict[tuple[int, int], float], dust: float) -> None:
    """Route what one node would have to lend to itself through claims of others, the largest first.

    What is left are the node's own lending and borrowing. There are claims enough between others: they come to the
    total less what the node has lent and borrowed, which the margins have been checked for.
    """
    between = sorted((pair for pair in placed if own not in pair), key=lambda pair: -placed[pair])
    for i, j in between:
        amount = min(placed[i, j], a[own], b[own])
        if amount <= dust:
            return
        placed[i, j] -= amount
        placed[own, j] = placed.get((own, j), 0.0) + amount
        placed[i, own] = placed.get((i, own), 0.0) + amount
        a[own] -= amount
        b[own] -= amount
