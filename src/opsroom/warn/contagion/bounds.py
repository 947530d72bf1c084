"""An upper bound of what each node's default costs the system, from a few products with the matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.warn.contagion.links import Floats, Links

Flags = npt.NDArray[np.bool_]

SLACK = 0.01
"""By how much the bound may exceed the best of its kind."""
STEPS = 200
"""Products after which some nodes are given up as failed, so that the rest converges."""


def upper_bounds(links: Links, buffer: Floats, weight: Floats) -> Floats:
    """Bound the further loss of the system when one node defaults.

    Parameters
    ----------
    links
        Claims, rows lend.
    buffer, weight
        By node; weights add to one.

    Returns
    -------
    numpy.ndarray
        For each node a number that multi-hit DebtRank of its default does not exceed.

    Notes
    -----
    Let V be claims over the lender's buffer. Any ``phi >= w + V' phi`` prices distress: its owner's, and all that it
    brings about without a cap. With h at most ``min(1, V_.j)`` by the direct hit, the default of j costs at most
    ``sum_i phi_i min(1, V_ij)``. Where claims run in circles that amplify by one or more there is no such phi; the
    nodes that carry these circles, and those without a buffer, are then taken as failed in every scenario that
    reaches them, which adds one constant to the bounds of these scenarios, and phi prices the rest.
    """
    n = len(buffer)
    solid = buffer > 0
    inverse = np.where(solid, 1.0 / np.where(solid, buffer, 1.0), 0.0)
    core = ~solid & (links.lent > 0)
    # Nodes of no weight would never be priced within a relative slack: a little weight only raises the bound.
    priced = weight + 1e-9 / n
    while True:
        phi = _prices(links, inverse, priced, core)
        if phi is not None:
            break
        core = core | _circles(links, inverse, core)
    first = _capped(links, inverse, phi)
    if not core.any():
        return np.minimum(first, 1.0 - weight)
    base = float(phi @ (inverse * links.claims(core.astype(np.float64)))) + float(weight[core].sum())
    return np.minimum(np.where(_reaching(links, core), first + base, first), 1.0 - weight)


def _prices(links: Links, inverse: Floats, weight: Floats, core: Flags) -> Floats | None:
    """Return phi on the nodes outside the core, zero inside; None where the sum does not come to an end."""
    w = np.where(core, 0.0, weight)
    term, phi = w, w.copy()
    for _ in range(STEPS):
        term = np.where(core, 0.0, links.debts(term * inverse))
        if np.all(term <= SLACK * w):
            # What is still missing of phi = w + V' phi is `term`, at most a share of w: so this is large enough.
            enough: Floats = phi / (1.0 - SLACK)
            return enough
        phi = phi + term
        if not np.isfinite(term.sum()) or term.max() > 1e12:
            return None
    return None


def _circles(links: Links, inverse: Floats, core: Flags) -> Flags:
    """Return the nodes outside the core that carry most of what goes round, by the leading vectors of both sides."""
    right = np.where(core, 0.0, 1.0)
    left = right.copy()
    for _ in range(50):
        right = np.where(core, 0.0, inverse * links.claims(right))
        left = np.where(core, 0.0, links.debts(left * inverse))
        right, left = (x / x.sum() if x.sum() > 0 else x for x in (right, left))
    score = right * left
    # Never none: the loop above must come to an end.
    chosen = (score > 0.1 * score.max()) & ~core if score.max() > 0 else ~core
    return np.asarray(chosen)


def _capped(links: Links, inverse: Floats, phi: Floats) -> Floats:
    """Return ``sum_i phi_i min(1, V_ij)``; terms of rank one are not capped, which keeps it a bound."""
    matrix = links.matrix
    row = np.repeat(inverse, np.diff(matrix.indptr))
    capped = sp.csr_array((np.minimum(1.0, matrix.data * row), matrix.indices, matrix.indptr), shape=matrix.shape)
    total: Floats = capped.T @ phi
    for u, v in zip(links.out.T, links.into.T, strict=True):
        priced = phi * inverse * u
        total = total + v * (priced.sum() - priced)
    return total


def _reaching(links: Links, core: Flags) -> Flags:
    """Return the nodes whose default can reach the core: by way of their lenders, and theirs."""
    reached = core.copy()
    while True:
        wider = reached | (links.debts(reached.astype(np.float64)) > 0)
        if (wider == reached).all():
            return reached
        reached = wider
