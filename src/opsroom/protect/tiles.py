"""Tiles: parts of a large table within which moves are looked for.

A move within a tile moves nothing outside it, so it is a move of the whole table: tiles cost nothing but some
choice. A tile takes on each axis the children of one code, the codes above them, and below each of them one chain
to the finest level, along which a change of a total is passed on.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from opsroom.protect.tabulate import Axis, Tabulation

Ints = npt.NDArray[np.int64]


def tiles_of(made: Tabulation) -> list[Ints]:
    """Return the cells of each tile, coarse tiles first; together they hold every cell."""
    sizes = [len(a.codes) for a in made.axes]
    codes = np.ravel_multi_index(tuple(made.place.T), sizes)
    order = np.argsort(codes)
    ordered = codes[order]
    weight = [np.bincount(made.place[:, k], made.contributors, minlength=len(a.codes)) for k, a in enumerate(made.axes)]
    bundles = [_bundles(a, w) for a, w in zip(made.axes, weight, strict=True)]
    found = []
    for combination in product(*bundles):
        wanted = combination[0]
        for size, part in zip(sizes[1:], combination[1:], strict=True):
            wanted = (wanted[:, None] * size + part[None, :]).ravel()
        at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
        there = at[ordered[at] == wanted]
        if len(there):
            found.append(np.sort(order[there]))
    return found


def _bundles(axis: Axis, weight: npt.NDArray[Any]) -> list[Ints]:
    """Return for each code with children what a tile takes of the axis, coarse ones first."""
    children: dict[int, list[int]] = {}
    for code, parent in enumerate(axis.parent.tolist()):
        if parent >= 0:
            children.setdefault(parent, []).append(code)
    chains = axis.ancestry()
    depth = (chains >= 0).sum(axis=1)

    def down(code: int) -> list[int]:
        """Return the chain below a code through the children with most contributors."""
        chain = []
        while code in children:
            code = max(children[code], key=lambda c: (weight[c], -c))
            chain.append(code)
        return chain

    bundles = []
    for parent in sorted(children, key=lambda p: (depth[p], p)):
        inside = {c for c in chains[parent].tolist() if c >= 0}
        for child in children[parent]:
            inside |= {child, *down(child)}
        # A change of what stands above is passed on to a sibling of it, and down from there.
        for above in list(inside):
            siblings = [c for c in children.get(int(axis.parent[above]), ()) if c not in inside] if above else []
            if above in chains[parent] and siblings:
                other = max(siblings, key=lambda c: (weight[c], -c))
                inside |= {other, *down(other)}
        bundles.append(np.array(sorted(inside), dtype=np.int64))
    return bundles or [np.array([0], dtype=np.int64)]
