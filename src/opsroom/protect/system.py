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

    def knowledge(self, members: tuple[int, ...]) -> Knowledge:
        """Return what contributors know together: all of what nobody else contributes to, and their parts of the rest.

        Parameters
        ----------
        members
            One contributor, or several who pool what they know.
        """
        among = np.isin(self.who, members) & (self.who != 0)
        part = np.where(among, self.part, 0.0).sum(axis=1)
        closed = np.zeros(self.size, dtype=bool)
        for member in members:
            if member in self.alone:
                closed[self.alone[member]] = True
        if len(members) > 1:  # what only they contribute to
            closed |= (among.sum(axis=1) > 1) & (among.sum(axis=1) == (self.who != 0).sum(axis=1))
        held = np.flatnonzero(among.any(axis=1) & ~closed)
        return Knowledge(np.flatnonzero(closed), held, part[held])


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
