"""Tiles: parts of a large table within which moves are looked for.

A move within a tile moves nothing outside it, so it is a move of the whole table: tiles cost nothing but some
choice. A tile takes on each axis the children of one code, the codes above them, and below each of them one chain
to the finest level, along which a change of a total is passed on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from opsroom.protect.tabulate import Axis

Ints = npt.NDArray[np.int64]


WHOLE = 6_000
"""Tables of up to so many quantities are looked at whole, larger ones tile by tile."""


_TILE = 400
"""About how many cells a tile has: siblings are divided into blocks where there are more."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Cells, those of them that are looked for here, and more cells to look among where these are not enough."""

    cells: Ints
    native: Ints
    wide: Ints


def tiles_of(axes: Sequence[Axis], place: Ints, weight: npt.NDArray[np.float64]) -> list[Tile]:
    """Return the tiles of a table, coarse ones first; each cell is native to one of them.

    Parameters
    ----------
    axes
        Dimensions.
    place
        Position of each cell's code on each axis, shape (cells, axes).
    weight
        How well a cell can pass a change on, such as its number of contributors, shape (cells,).
    """
    sizes = [len(a.codes) for a in axes]
    codes = np.ravel_multi_index(tuple(place.T), sizes)
    order = np.argsort(codes)
    ordered = codes[order]

    def cells(parts: Sequence[Ints]) -> Ints:
        wanted = np.ravel_multi_index(np.ix_(*parts), sizes).ravel()
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        return np.sort(order[at[ordered[at] == wanted]])

    most = max(4, round(_TILE ** (1 / max(len(axes), 1))))
    bundles = [
        _bundles(axis, most, np.bincount(place[:, k], weight, minlength=len(axis.codes)).astype(np.float64))
        for k, axis in enumerate(axes)
    ]
    found = []
    for combination in product(*bundles):
        native = cells([b.native for b in combination])
        if len(native):
            found.append(Tile(cells([b.codes for b in combination]), native, cells([b.wide for b in combination])))
    return found


@dataclass(frozen=True, slots=True)
class _Bundle:
    codes: Ints
    native: Ints
    wide: Ints


def _bundles(axis: Axis, most: int, weight: npt.NDArray[np.float64]) -> list[_Bundle]:
    """Return for each code with children what a tile takes of the axis, coarse ones first."""
    children: dict[int, list[int]] = {}
    for code, parent in enumerate(axis.parent.tolist()):
        if parent >= 0:
            children.setdefault(parent, []).append(code)
    chains = [[c for c in chain if c >= 0] for chain in axis.ancestry().tolist()]

    def down(code: int) -> list[int]:
        """Return the chain below a code through the children with most contributors."""
        chain = []
        while code in children:
            code = max(children[code], key=lambda c: (weight[c], -c))
            chain.append(code)
        return chain

    def around(parent: int, block: list[int]) -> set[int]:
        inside = set(chains[parent])
        for child in block:
            inside |= {child, *down(child)}
        # A change of what stands above is passed on to a sibling of it, and down from there.
        for above in chains[parent][:-1]:
            siblings = [c for c in children[int(axis.parent[above])] if c != above]
            if siblings:
                other = max(siblings, key=lambda c: (weight[c], -c))
                inside |= {other, *down(other)}
        return inside

    blocks = {parent: _blocks(below, most) for parent, below in children.items()}
    parts = {parent: [around(parent, block) for block in blocks[parent]] for parent in children}
    bundles = []
    for parent in sorted(children, key=lambda p: (len(chains[p]), p)):
        wide = set().union(*parts[parent], *(parts[above][0] for above in chains[parent]))
        for number, block in enumerate(blocks[parent]):
            native = {*block, *([0] if parent == 0 and number == 0 else [])}
            sets = (parts[parent][number], native, wide)
            bundles.append(_Bundle(*(np.array(sorted(part), dtype=np.int64) for part in sets)))
    zero = np.array([0], dtype=np.int64)
    return bundles or [_Bundle(zero, zero, zero)]


def _blocks(codes: list[int], most: int) -> list[list[int]]:
    """Divide siblings into blocks of like size, none larger than `most`."""
    number = -(-len(codes) // most)
    return [codes[k * len(codes) // number : (k + 1) * len(codes) // number] for k in range(number)]
