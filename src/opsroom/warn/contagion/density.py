"""Minimum density: as few links as the margins allow, in the manner of Anand, Craig and von Peter."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.warn.contagion.links import Links
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
        draws = rng.random(4 * len(a) + 16)
        rows, columns, amounts, count = _place(a.copy(), b.copy(), draws, float(prefer), a.sum() * 1e-15)
        where = (rows[:count], columns[:count])
        matrix = sp.csr_array((amounts[:count], where), shape=(len(a), len(a)))
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
        if best is None or matrix.nnz < best.count:
            best = Links.of(matrix)
    assert best is not None
    return best


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _place(a: Any, b: Any, draws: Any, prefer: float, dust: float) -> Any:
    """Place the margins link by link; return rows, columns, amounts and how many there are."""
    n = len(a)
    most = 4 * n + 16
    rows, columns, amounts = np.zeros(most, np.int64), np.zeros(most, np.int64), np.zeros(most)
    count = 0
    while count < len(draws):
        lender, borrower = np.argmax(a), np.argmax(b)
        if a[lender] <= dust or b[borrower] <= dust:
            break
        by_lender = a[lender] >= b[borrower]
        fixed = lender if by_lender else borrower
        mine = a[lender] if by_lender else b[borrower]
        total = 0.0
        for k in range(n):
            other = b[k] if by_lender else a[k]
            if k != fixed and other > dust:
                total += max(mine / other, other / mine) ** prefer
        if total == 0.0:
            break
        mark, chosen = draws[count] * total, -1
        for k in range(n):
            other = b[k] if by_lender else a[k]
            if k != fixed and other > dust:
                chosen = k
                mark -= max(mine / other, other / mine) ** prefer
                if mark <= 0.0:
                    break
        i, j = (fixed, chosen) if by_lender else (chosen, fixed)
        amount = min(a[i], b[j])
        rows[count], columns[count], amounts[count] = i, j, amount
        count += 1
        a[i] -= amount
        b[j] -= amount
    return _route(a, b, rows, columns, amounts, count, dust)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _route(a: Any, b: Any, rows: Any, columns: Any, amounts: Any, count: int, dust: float) -> Any:
    """Route what one node would have to lend to itself through claims of others; the largest first."""
    own = np.argmax(a)
    placed = count
    while a[own] > dust and b[own] > dust:
        best = -1
        for k in range(placed):
            if rows[k] != own and columns[k] != own and (best < 0 or amounts[k] > amounts[best]):
                best = k
        if best < 0 or amounts[best] <= 0.0 or count + 2 > len(rows):
            break
        amount = min(amounts[best], a[own], b[own])
        amounts[best] -= amount
        rows[count], columns[count], amounts[count] = own, columns[best], amount
        rows[count + 1], columns[count + 1], amounts[count + 1] = rows[best], own, amount
        count += 2
        a[own] -= amount
        b[own] -= amount
    return rows, columns, amounts, count
