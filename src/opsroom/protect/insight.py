"""What attackers know of quantities besides what is published: the contributors' own parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.protect.rules import Rules
from opsroom.protect.system import System

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Marked:
    """Some quantities, shape (n,), with what is known of them; `who` and `part` of shape (n, k)."""

    value: Floats
    sensitive: Flags
    below: Floats
    above: Floats
    base: Floats
    known: Flags
    groups: Ints
    who: Ints
    part: Floats

    @classmethod
    def of(cls, source: Any, use: Flags, known: Flags) -> Marked:
        """Take some of the quantities of a table or of what is remembered of one."""
        return cls(
            source.value[use], source.sensitive[use], source.below[use], source.above[use], source.base[use],
            known[use], source.groups[use], source.who[use], source.part[use],
        )  # fmt: skip


def insight(
    equations: sp.csr_array,
    value: Floats,
    base: Floats,
    sensitive: Flags,
    below: Floats,
    above: Floats,
    fixed: Flags,
    groups: Ints,
    who: Ints,
    part: Floats,
    rules: Rules,
) -> System:
    """Put a system together, with the attackers that the rules name.

    Parameters
    ----------
    equations, value, base, sensitive, below, above, fixed
        See `System`.
    groups
        Number of contributors, shape (n,).
    who, part
        Codes of the largest contributors and their contributions, largest first, shape (n, k); 0 where there are
        fewer, or where it is not known who they are.
    rules
        Who attacks.

    Notes
    -----
    Of a quantity that may be negative a contributor's own part bounds nothing.
    """
    floor = base.copy()
    alone: dict[int, Ints] = {}
    peers: dict[int, tuple[int, ...]] = {}
    code, told = np.zeros_like(who), np.zeros_like(part)
    if rules.attackers != "outsider":
        names, place = np.unique(who, return_inverse=True)
        code = (place.reshape(who.shape) + (0 if 0 in names else 1)).astype(np.int64)
        if 0 in names:  # codes are numbers from 1, 0 stays nobody
            zero = int(np.searchsorted(names, 0))
            code = np.where(who == 0, 0, np.where(code < zero, code + 1, code))
        one = (groups == 1) & (code[:, 0] > 0)
        order = np.flatnonzero(one)[np.argsort(code[one, 0], kind="stable")]
        heads, start = np.unique(code[order, 0], return_index=True)
        alone = dict(zip(heads.tolist(), np.split(order, start[1:]), strict=True)) if len(order) else {}
        positive = np.isfinite(base)
        code = np.where(one[:, None] | ~positive[:, None], 0, code)
        told = np.where(code > 0, part, 0.0)
        # Who is smaller than those told apart might be anybody: nothing falls below the smallest of these. Where
        # nobody is told apart, the largest might be anybody.
        named = (code > 0).sum(axis=1)
        least = np.where(named == 0, part[:, 0], np.take_along_axis(told, np.maximum(named - 1, 0)[:, None], 1)[:, 0])
        floor = np.where(positive & (groups > np.maximum(named, 1)), np.minimum(least, np.maximum(value, 0)), base)
        if rules.attackers == "coalition" and who.shape[1] > 2:
            many = np.flatnonzero(sensitive & (groups > 2) & (code[:, 1:3] > 0).all(axis=1))
            peers = {q: (int(code[q, 1]), int(code[q, 2])) for q in many.tolist()}
    return System(equations, value, base, floor, sensitive, below, above, fixed, code, told, alone, peers)
