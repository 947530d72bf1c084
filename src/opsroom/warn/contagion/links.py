"""Who has lent to whom, as a sparse matrix plus terms of rank one. Rows lend: entry (i, j) is what i would lose on j.

Reconstruction from margins gives networks in which everybody lends to everybody, ``u_i v_j`` off the diagonal. Kept
as the two vectors they cost 16 bytes a node, and all methods run on them as on sparse links.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.errors import DataError, UsageError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_DENSE = 5_000
"""Nodes up to which a network may be written out as a dense matrix."""


@dataclass(frozen=True, slots=True)
class Links:
    """Claims of one or more layers: ``matrix + sum over k of outer(out[:, k], into[:, k])`` without its diagonal.

    Attributes
    ----------
    matrix
        Sparse, (lenders, borrowers), entries positive, no diagonal, no duplicates.
    out, into
        Shape (nodes, terms): factors of the lender and of the borrower; no terms for a network of known links.
    """

    matrix: sp.csr_array
    out: Floats
    into: Floats

    @classmethod
    def of(cls, matrix: sp.csr_array | sp.coo_array) -> Links:
        """Return known links alone; entries of one pair are summed.

        Raises
        ------
        DataError
            The matrix is not square, or an entry is negative, not finite, or a claim of a node on itself: with such
            a claim a node's own loss would be its next loss.
        """
        known = matrix if isinstance(matrix, sp.csr_array) else matrix.tocsr()
        if not known.has_canonical_format:
            known = known.copy()
            known.sum_duplicates()
        broken = {
            "is not square": known.shape[0] != known.shape[1],
            "has an entry that is negative or not finite": bool((~(np.isfinite(known.data) & (known.data >= 0))).any()),
            "has a claim of a node on itself": bool((known.diagonal() != 0).any()),
        }
        for what, so in broken.items():
            if so:
                raise DataError(
                    f"the matrix of claims {what}.",
                    remedy="Hand over lenders by borrowers, amounts of zero or more, and an empty diagonal.",
                    code="OPS-D179",
                )
        none = np.zeros((known.shape[0], 0))
        return cls(known, none, none)

    @classmethod
    def outer(cls, out: Floats, into: Floats) -> Links:
        """Return one term of rank one without its diagonal."""
        n = len(out)
        return cls(sp.csr_array((n, n), dtype=np.float64), out[:, None], into[:, None])

    @property
    def size(self) -> int:
        """Number of nodes."""
        return int(self.matrix.shape[0])

    @property
    def count(self) -> int:
        """Number of links, those of the terms of rank one included."""
        terms = [[int(np.count_nonzero(x)) for x in (u, v, u * v)] for u, v in self._terms()]
        return int(self.matrix.nnz) + sum(a * b - both for a, b, both in terms)

    @property
    def lent(self) -> Floats:
        """What each node has lent: row sums."""
        return self.claims(np.ones(self.size))

    @property
    def borrowed(self) -> Floats:
        """What each node has borrowed: column sums."""
        return self.debts(np.ones(self.size))

    def claims(self, x: Floats) -> Floats:
        """Return each lender's claims, each weighted with `x` of its borrower: ``A @ x``, `x` of one or two axes."""
        total: Floats = self.matrix @ x
        for u, v in self._terms():
            own = (u * v)[:, None] if x.ndim == 2 else u * v
            total = total + (np.multiply.outer(u, v @ x) - own * x)
        return total

    def debts(self, x: Floats) -> Floats:
        """Return each borrower's debts, each weighted with `x` of its lender: ``A.T @ x``, `x` of one axis."""
        total: Floats = self.matrix.T @ x
        for u, v in self._terms():
            total = total + v * (u @ x - u * x)
        return total

    def arrays(self) -> tuple[Any, Any, Floats, Floats, Floats]:
        """Return row ends, columns, amounts and the factors for the kernels.

        Places are unsigned: compiled code then need not look for negative ones, which costs a third of a sweep.
        """
        ends, columns = (x.view(f"u{x.itemsize}") for x in (self.matrix.indptr, self.matrix.indices))
        return ends, columns, self.matrix.data, self.out, self.into

    def dense(self) -> Floats:
        """Return the matrix written out, rows lend.

        Raises
        ------
        UsageError
            More than `MOST_DENSE` nodes.
        """
        if self.size > MOST_DENSE:
            raise UsageError(
                f"a network of more than {MOST_DENSE} nodes is not written out.",
                remedy="Use claims() and debts(), which need no dense matrix.",
                code="OPS-U200",
            )
        full: Floats = self.matrix.toarray()
        for u, v in self._terms():
            term = np.outer(u, v)
            np.fill_diagonal(term, 0.0)
            full += term
        return full

    def _terms(self) -> Iterable[tuple[Floats, Floats]]:
        return zip(self.out.T, self.into.T, strict=True)


def together(parts: Iterable[Links]) -> Links:
    """Return the sum of layers."""
    all_of_them = list(parts)
    if len(all_of_them) == 1:
        return all_of_them[0]
    matrix = all_of_them[0].matrix
    for part in all_of_them[1:]:
        matrix = sp.csr_array(matrix + part.matrix)
    return Links(
        matrix,
        np.concatenate([part.out for part in all_of_them], axis=1),
        np.concatenate([part.into for part in all_of_them], axis=1),
    )
