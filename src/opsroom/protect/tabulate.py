"""Tables from microdata: cells with all that the rules and the attackers' knowledge need.

One pass over the companies makes every cell and margin of any number of dimensions, flat or hierarchical, of one
table or of several linked ones: a cell that two tables share is one cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.errors import UsageError
from opsroom.base.results import TOTAL
from opsroom.protect.microdata import frame_of, marks, members, numbers, texts

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


TOLD = 10
"""How many of the largest contributors of a cell are told apart."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A dimension: its codes, the total first, and the parent of each.

    Attributes
    ----------
    name
        Column of the dimension.
    codes
        ``"_T"``, then codes, parents before children.
    parent
        Position of each code's parent, -1 for the total.
    """

    name: str
    codes: tuple[str, ...]
    parent: Ints

    def ancestry(self) -> Ints:
        """Return for each code the chain from itself to the total, shape (codes, depth), -1 where it has ended."""
        chains = [[k] for k in range(len(self.codes))]
        for chain in chains:
            while self.parent[chain[-1]] >= 0:
                chain.append(int(self.parent[chain[-1]]))
        table = np.full((len(chains), max(map(len, chains))), -1, dtype=np.int64)
        for k, chain in enumerate(chains):
            table[k, : len(chain)] = chain
        return table

    @property
    def inner(self) -> Flags:
        """Which codes are parents of others, shape (codes,)."""
        flags = np.zeros(len(self.codes), dtype=bool)
        flags[self.parent[self.parent >= 0]] = True
        return flags


@dataclass(frozen=True, slots=True)
class Tabulation:
    """Cells with their contributors; arrays of shape (cells,) unless said otherwise. Confidential.

    Attributes
    ----------
    axes
        The dimensions.
    place
        Position of each cell's code on each axis, shape (cells, axes).
    value, absolute
        Sum of contributions, and of their absolute values.
    contributors
        Number of enterprise groups with a contribution.
    tops, who
        Largest absolute contributions and the numbers of their groups, from 1, shape (cells, TOLD); 0 where fewer.
    flagged
        For each flag column: whether each of the largest has the flag, shape (flags, cells, TOLD).
    signed
        Cells of a measure that has negative contributions somewhere.
    equations
        Children minus parent is zero, shape (relations, cells); none follows from the others.
    """

    axes: tuple[Axis, ...]
    place: Ints
    value: Floats
    absolute: Floats
    contributors: Ints
    tops: Floats
    who: Ints
    flagged: npt.NDArray[np.bool_]
    signed: Flags
    equations: sp.csr_array

    @property
    def negative(self) -> bool:
        """Whether a contribution is negative anywhere."""
        return bool(self.signed.any())

    def keys(self) -> list[tuple[str, ...]]:
        """Return the codes of each cell."""
        names = [np.asarray(axis.codes, dtype=object)[self.place[:, k]] for k, axis in enumerate(self.axes)]
        return list(zip(*names, strict=True))


def axis(name: str, leaves: Sequence[str], hierarchy: pd.DataFrame | Mapping[str, str] | None) -> Axis:
    """Make an axis of the codes in the microdata and a hierarchy over them.

    Parameters
    ----------
    name
        Column of the dimension.
    leaves
        Codes in the microdata.
    hierarchy
        Frame with the columns ``code`` and ``parent``, or code → parent; a code that it does not name, or whose
        parent is missing, stands under the total.

    Raises
    ------
    UsageError
        If the hierarchy runs in a circle, gives a code two parents, or microdata have the code of a parent.
    """
    found = whole_axis(name, leaves, hierarchy)
    at = {code: k for k, code in enumerate(found.codes)}
    if any(found.inner[at[leaf]] for leaf in leaves):
        raise UsageError(
            f"dimension {name!r}: some companies have the code of a parent, not of one of its children.",
            remedy="Give these companies a code of the lowest level, or add a code 'unknown' below that parent.",
        )
    return found


def whole_axis(name: str, codes: Iterable[str], hierarchy: pd.DataFrame | Mapping[str, str] | None) -> Axis:
    """Make an axis of codes of any level and all that stands above them."""
    parents = _parents(name, hierarchy)
    wanted = list(dict.fromkeys(codes))
    names = [TOTAL]
    at = {TOTAL: 0}
    above = [-1]

    def add(code: str, seen: tuple[str, ...] = ()) -> int:
        if code in at:
            return at[code]
        if code in seen:
            raise UsageError(f"the hierarchy of {name!r} runs in a circle.", remedy="Correct its parents.")
        parent = add(parents.get(code, TOTAL), (*seen, code))
        at[code] = len(names)
        names.append(code)
        above.append(parent)
        return at[code]

    for code in wanted:
        add(code)
    return Axis(name, tuple(names), np.asarray(above, dtype=np.int64))


def _parents(name: str, hierarchy: pd.DataFrame | Mapping[str, str] | None) -> dict[str, str]:
    if hierarchy is None:
        return {}
    if isinstance(hierarchy, Mapping):
        return _without_total(name, {str(code): str(parent) for code, parent in hierarchy.items()})
    if not hasattr(hierarchy, "columns"):
        raise UsageError(
            f"the hierarchy of {name!r} is neither a frame nor a mapping.",
            remedy="Give a frame with the columns code and parent, or a mapping, code → parent.",
            code="OPS-U385",
        )
    if absent := {"code", "parent"} - set(hierarchy.columns):
        raise UsageError(f"the hierarchy of {name!r} lacks the column(s) {', '.join(sorted(absent))}.")
    filled = hierarchy[["code", "parent"]].dropna()
    rows = filled.assign(code=texts(filled["code"]), parent=texts(filled["parent"])).drop_duplicates()
    if rows["code"].duplicated().any():
        raise UsageError(f"the hierarchy of {name!r} gives a code two parents.")
    return _without_total(name, dict(zip(rows["code"], rows["parent"], strict=True)))


def _without_total(name: str, parents: dict[str, str]) -> dict[str, str]:
    if TOTAL in parents:
        raise UsageError(
            f"the hierarchy of {name!r} puts the total under another code.",
            remedy=f"Leave {TOTAL!r} out: the total is implied.",
            code="OPS-U385",
        )
    return parents


def tabulate(
    micro: pd.DataFrame,
    *,
    tables: Sequence[Sequence[str]],
    group: str | None,
    measure: str | None,
    hierarchies: Mapping[str, Any] | None = None,
    weight: str | None = None,
    flags: Sequence[str] = (),
) -> Tabulation:
    """Make the cells of one or several linked tables.

    Parameters
    ----------
    micro
        One row a company, or a company and more; no value may be missing.
    tables
        Dimensions of each table. The other tables' dimensions are at their total there.
    group
        Column of the enterprise group; None: each row is a contributor of its own.
    measure
        Numeric column; None counts rows.
    hierarchies
        Dimension → hierarchy, see `axis`.
    weight
        Column of survey weights: values are weighted sums, contributions stay as they are.
    flags
        Columns of yes and no that belong to groups: a group has a flag if one of its rows has.

    Raises
    ------
    UsageError
        If a column is missing or holds missing or unsuitable values, or there is no row.
    """
    names = list(dict.fromkeys(d for table in tables for d in table))
    if not names:
        raise UsageError("a table needs at least one dimension.")
    given = _given(hierarchies)
    wanted = [*names, *flags, *(c for c in (group, measure, weight) if c is not None)]
    micro = frame_of(micro, wanted)
    axes: list[Axis] = []
    codes: list[Ints] = []
    for name in names:
        column = texts(micro[name])
        leaves = sorted(column.unique())
        if TOTAL in leaves:
            raise UsageError(f"dimension {name!r} holds the total {TOTAL!r} among the microdata.")
        made = axis(name, leaves, given.get(name))
        position = {code: k for k, code in enumerate(made.codes)}
        axes.append(made)
        codes.append(np.asarray(column.map(position), dtype=np.int64))
    groups = np.arange(len(micro)) if group is None else members(micro[group], group)
    amount = np.ones(len(micro)) if measure is None else numbers(micro[measure], measure)
    weights = np.ones(len(micro)) if weight is None else numbers(micro[weight], weight)
    if (weights <= 0).any():
        raise UsageError(f"column {weight!r} holds a weight that is not positive.")
    told = np.array([marks(micro[c], c) for c in flags]).reshape(len(flags), len(micro))
    return _Maker(tuple(axes), codes, groups.astype(np.int64), amount, weights, told).make(tables)


def _given(hierarchies: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if hierarchies is None:
        return {}
    if not isinstance(hierarchies, Mapping):
        raise UsageError(
            "hierarchies are a mapping, dimension → frame with code and parent.",
            remedy='Write {"nace": frame}.',
            code="OPS-U385",
        )
    return hierarchies


@dataclass(frozen=True, slots=True)
class _Maker:
    axes: tuple[Axis, ...]
    codes: Sequence[Ints]
    groups: Ints
    amount: Floats
    weights: Floats
    marks: npt.NDArray[np.bool_]

    def make(self, tables: Sequence[Sequence[str]]) -> Tabulation:
        sizes = [len(a.codes) for a in self.axes]
        chains = [a.ancestry()[codes] for a, codes in zip(self.axes, self.codes, strict=True)]
        n_groups = int(self.groups.max()) + 1
        group_marks = np.zeros((len(self.marks), n_groups), dtype=bool)
        for k, mark in enumerate(self.marks):
            group_marks[k, self.groups[mark]] = True
        cells, rows = [], []
        for number, table in enumerate(tables):
            steps = [range(c.shape[1]) if a.name in table else None for a, c in zip(self.axes, chains, strict=True)]
            for levels in product(*(s if s is not None else (None,) for s in steps)):
                places = [
                    np.zeros(len(chain), dtype=np.int64) if level is None else chain[:, level]
                    for chain, level in zip(chains, levels, strict=True)
                ]
                there = np.all([p >= 0 for p in places], axis=0)
                for earlier in tables[:number]:  # a cell of two tables is made once
                    there &= np.any(
                        [p > 0 for a, p in zip(self.axes, places, strict=True) if a.name not in earlier]
                        or [np.zeros(len(there), dtype=bool)],
                        axis=0,
                    )
                kept = np.flatnonzero(there)
                cells.append(np.ravel_multi_index([p[kept] for p in places], sizes).astype(np.int64))
                rows.append(kept)
        cell, row = np.concatenate(cells), np.concatenate(rows)
        pair, inverse = np.unique(cell * n_groups + self.groups[row], return_inverse=True)
        own = np.bincount(inverse, self.amount[row])
        weighted = np.bincount(inverse, self.amount[row] * self.weights[row])
        cell, group = pair // n_groups, pair % n_groups
        there = (own != 0) | (weighted != 0)  # what cancels out need not do so when it is weighted
        order = np.lexsort((group, -np.abs(own), ~there, cell))
        cell, group, own, weighted = cell[order], group[order], own[order], weighted[order]
        codes, start = np.unique(cell, return_index=True)
        counted = np.add.reduceat(there[order].astype(np.int64), start)
        tops, who = np.zeros((len(codes), TOLD)), np.zeros((len(codes), TOLD), dtype=np.int64)
        flagged = np.zeros((len(self.marks), len(codes), TOLD), dtype=bool)
        for k in range(TOLD):
            has = np.flatnonzero(counted > k)  # who contributes nothing comes last within a cell
            tops[has, k] = np.abs(own[start[has] + k])
            who[has, k] = group[start[has] + k] + 1
            flagged[:, has, k] = group_marks[:, group[start[has] + k]]
        place = np.array(np.unravel_index(codes, sizes), dtype=np.int64).T
        return Tabulation(
            self.axes,
            place,
            np.add.reduceat(weighted, start),
            np.add.reduceat(np.abs(weighted), start),
            counted,
            tops,
            who,
            flagged,
            np.full(len(codes), bool((own < 0).any() or (weighted < 0).any())),
            additive(self.axes, place, tables),
        )


def additive(axes: Sequence[Axis], place: Ints, tables: Sequence[Sequence[str]]) -> sp.csr_array:
    """Return the relations between cells, each cell that is a sum explained once in each table.

    A cell that is a total on several axes is the sum along the first of them; the sums along the others follow.
    """
    sizes = [len(a.codes) for a in axes]
    codes = np.ravel_multi_index(tuple(place.T), sizes)
    order = np.argsort(codes)
    rows: list[Ints] = []
    columns: list[Ints] = []
    data: list[Floats] = []
    number = 0
    for table in tables:
        inside = np.all([place[:, k] == 0 for k, a in enumerate(axes) if a.name not in table] or [True], axis=0)
        inside = np.broadcast_to(inside, len(place))
        explained = np.zeros(len(place), dtype=bool)
        for k, a in enumerate(axes):
            if a.name not in table:
                continue
            child = np.flatnonzero(inside & (a.parent[place[:, k]] >= 0))
            up = place[child].copy()
            up[:, k] = a.parent[up[:, k]]
            parent = order[np.searchsorted(codes[order], np.ravel_multi_index(tuple(up.T), sizes))]
            fresh = ~explained[parent]
            child, parent = child[fresh], parent[fresh]
            heads, which = np.unique(parent, return_inverse=True)
            explained[heads] = True
            rows += [number + which, number + np.arange(len(heads))]
            columns += [child, heads]
            data += [np.ones(len(child)), -np.ones(len(heads))]
            number += len(heads)
    return sp.csr_array(
        (np.concatenate(data), (np.concatenate(rows), np.concatenate(columns))), shape=(number, len(place))
    )
