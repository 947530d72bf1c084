"""`System`: quantities tied by linear relations, as protector, attacker and checker see them.

The protector (`opsroom.protect.shield`) works on a system, and the checker (`opsroom.protect.certificate`)
verifies its witnesses on the same system by sparse products. Nothing else is shared between the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse import csgraph

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class System:
    """Quantities, the relations between them, and what must stay open.

    Attributes
    ----------
    equations
        Relations, shape (relations, n): coefficients with ``equations @ value`` known to everybody, so that
        every table that an attacker thinks possible differs from the true one by a d with ``equations @ d = 0``.
    value
        True values, shape (n,).
    base
        What an outsider knows the quantity to be at least, shape (n,): zero, or ``-inf`` where it may be negative.
    floor
        What some contributor, nobody knows which, knows the quantity to be at least, shape (n,); at least `base`.
        No witness goes below it, but for the quantity that it is made for.
    who, part
        Contributors that are told apart (0: none), and what each knows of the quantity for its own part of it,
        shape (n, k); ``-inf`` where others may be negative. A table in which the quantity is less is none for that
        contributor. A quantity with no more contributors than k has all of them, but for those in `alone`.
    sensitive
        Quantities that must not be estimated closer than their protection interval, shape (n,).
    below, above
        How far the protection interval reaches below and above the value, shape (n,); positive where sensitive.
    fixed
        Quantities that everybody knows, whatever is hidden now, shape (n,).
    alone
        Contributor → the quantities to which nobody else contributes, which it therefore knows. It is no attacker
        on those themselves.
    peers
        Sensitive quantity → contributors to it who are taken to pool what they know of everything.
    """

    equations: sp.csr_array
    value: Floats
    base: Floats
    floor: Floats
    sensitive: Flags
    below: Floats
    above: Floats
    fixed: Flags
    who: Ints
    part: Floats
    alone: Mapping[int, Ints] = field(default_factory=dict)
    peers: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Number of quantities."""
        return len(self.value)


class Insiders:
    """What each contributor of a system knows, looked up by contributor.

    Parameters
    ----------
    system
        The quantities.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        rows, columns = np.nonzero(system.who)
        names = system.who[rows, columns]
        order = np.lexsort((rows, names))
        self._rows, self._parts = rows[order], system.part[rows, columns][order]
        self._names, start = np.unique(names[order], return_index=True)
        self._start = np.append(start, len(order))
        self._told = (system.who != 0).sum(axis=1)
        self._known: dict[tuple[int, ...], Knowledge] = {}

    def knowledge(self, members: tuple[int, ...]) -> Knowledge:
        """Return what contributors know together: all of what nobody else contributes to, and their parts of the rest.

        Parameters
        ----------
        members
            One contributor, or several who pool what they know.
        """
        if members not in self._known:
            self._known[members] = self._find(members)
        return self._known[members]

    def _find(self, members: tuple[int, ...]) -> Knowledge:
        places = [int(k) for m in members if (k := np.searchsorted(self._names, m)) < len(self._names)
                  and self._names[k] == m]  # fmt: skip
        inside = [slice(self._start[k], self._start[k + 1]) for k in places]
        none = np.zeros(0, dtype=np.int64)
        if len(members) == 1:  # who is alone in a quantity is not told apart in it
            inside = [*inside, slice(0, 0)][:1]
            return Knowledge(self._system.alone.get(members[0], none), self._rows[inside[0]], self._parts[inside[0]])
        rows = np.concatenate([none, *(self._rows[s] for s in inside)])
        held, which, many = np.unique(rows, return_inverse=True, return_counts=True)
        weights = np.concatenate([np.zeros(0), *(self._parts[s] for s in inside)])
        parts = np.zeros(len(held))
        np.add.at(parts, which.ravel(), weights)
        alone = [self._system.alone[m] for m in members if m in self._system.alone]
        together = held[(many > 1) & (many == self._told[held])]  # what only they contribute to
        whole = np.unique(np.concatenate([none, *alone, together])).astype(np.int64)
        rest = ~np.isin(held, whole)
        return Knowledge(whole, held[rest].astype(np.int64), parts[rest])


def spanning(equations: sp.csr_array) -> sp.csr_array:
    """Return relations of which all others follow, of those that say what a total is the sum of.

    Hierarchies on several dimensions imply each other: a total of totals is a sum along each of them. The first
    relation of each total is kept. With totals replaced by what they are sums of, as long as there are any, every
    relation becomes one between quantities that are no totals; where nothing is left of it, it follows from the
    relations kept.
    """
    lines = sp.csr_array(equations)
    rows, size = lines.shape
    negative = lines.copy()
    negative.data = np.minimum(negative.data, 0.0)
    negative.eliminate_zeros()
    one = np.flatnonzero(np.diff(negative.indptr) == 1)
    one = one[negative.data[negative.indptr[one]] == -1.0]  # a total on one side, what it is the sum of on the other
    heads, first = np.unique(negative.indices[negative.indptr[one]], return_index=True)
    chosen = one[first]
    rest = np.setdiff1d(np.arange(rows), chosen)
    if not len(rest):
        return lines
    inside = sp.csr_array((np.ones(len(heads)), (heads, heads)), shape=(size, size))
    select = sp.csr_array((np.ones(len(heads)), (heads, chosen)), shape=(size, rows))
    down = sp.csr_array(select @ lines + inside)  # what each total is the sum of
    keep = sp.csr_array(sp.eye_array(size) - inside)
    open_: sp.csr_array = sp.csr_array(lines[rest])
    for _ in range(64):
        totals = sp.csr_array(open_ @ inside)
        totals.eliminate_zeros()
        if not totals.nnz:
            break
        open_ = sp.csr_array(open_ @ keep + totals @ down)
        open_.data[np.abs(open_.data) < 1e-9] = 0.0
        open_.eliminate_zeros()
    else:
        return lines  # sums run in a circle
    needed = rest[np.diff(open_.indptr) > 0]
    return sp.csr_array(lines[np.sort(np.concatenate([chosen, needed]))])


def components(system: System) -> Ints:
    """Return a label for each quantity: equal where relations between quantities that are not fixed connect them.

    Fixed quantities have the label -1.
    """
    free = np.flatnonzero(~system.fixed)
    inside = system.equations[:, free]
    graph: sp.coo_array = sp.block_array([[None, inside.T], [inside, None]])  # type: ignore[list-item]  # None is a block of zeros
    _, found = csgraph.connected_components(graph, directed=False)
    label = np.full(system.size, -1, dtype=np.int64)
    label[free] = found[: len(free)]
    return label


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Quantities that somebody knows entirely, others of which a part is known, and the parts."""

    whole: Ints
    quantities: Ints
    parts: Floats


def relations(terms: Any, size: int) -> sp.csr_array:
    """Lay out relations given as iterables of (quantity, coefficient)."""
    rows: list[int] = []
    columns: list[int] = []
    data: list[float] = []
    number = 0
    for number, relation in enumerate(terms, start=1):
        for column, coefficient in relation:
            rows.append(number - 1)
            columns.append(column)
            data.append(coefficient)
    return sp.csr_array((data, (rows, columns)), shape=(number, size), dtype=np.float64)
