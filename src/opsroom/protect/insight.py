"""What attackers know of quantities besides what is published: the contributors' own parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.results import TOP
from opsroom.protect.rules import Rules
from opsroom.protect.system import System, relations

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

    @classmethod
    def plain(cls, value: Floats) -> Marked:
        """Return quantities of nobody's: open, not sensitive, not below zero."""
        n, none = len(value), np.zeros(len(value), dtype=bool)
        zero, nobody = np.zeros(n), np.zeros((n, TOP), dtype=np.int64)
        return cls(value, none, zero, zero, zero, none, np.zeros(n, np.int64), nobody, np.zeros((n, TOP)))


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
    names, place = np.unique(who, return_inverse=True)
    named_as = (place.reshape(who.shape) + (0 if 0 in names else 1)).astype(np.int64)
    if 0 in names:  # codes are numbers from 1, 0 stays nobody
        zero = int(np.searchsorted(names, 0))
        named_as = np.where(who == 0, 0, np.where(named_as < zero, named_as + 1, named_as))
    one = (groups == 1) & (named_as[:, 0] > 0)
    sole = np.where(one, named_as[:, 0], 0)
    if rules.attackers != "outsider":
        order = np.flatnonzero(one)[np.argsort(sole[one], kind="stable")]
        heads, start = np.unique(sole[order], return_index=True)
        alone = dict(zip(heads.tolist(), np.split(order, start[1:]), strict=True)) if len(order) else {}
        code = named_as
        positive = np.isfinite(base)
        code = np.where(one[:, None], 0, code)
        # Where others may be negative, an own part is no bound: it only tells whose quantities are whose. A weight
        # below one makes a sum less than a part of it.
        believed = np.where(positive[:, None], np.minimum(part, value[:, None]), -np.inf)
        told = np.where(code > 0, believed, 0.0)
        # Who is smaller than those told apart might be anybody: nothing falls below the smallest of these. Where
        # nobody is told apart, the largest might be anybody.
        named = (code > 0).sum(axis=1)
        least = np.where(named == 0, part[:, 0], np.take_along_axis(part, np.maximum(named - 1, 0)[:, None], 1)[:, 0])
        floor = np.where(positive & (groups > np.maximum(named, 1)), np.minimum(least, np.maximum(value, 0)), base)
        if rules.attackers == "coalition" and who.shape[1] > 2:
            many = np.flatnonzero(sensitive & (groups > 2) & (code[:, 1:3] > 0).all(axis=1))
            peers = {q: (int(code[q, 1]), int(code[q, 2])) for q in many.tolist()}
    made = System(equations, value, base, floor, sensitive, below, above, fixed, code, told, alone, peers)
    return _with_unions(made, sole, rules)


def _with_unions(system: System, sole: Ints, rules: Rules) -> System:
    """Add what one contributor holds alone in several cells of a line, together: it must not come out either.

    Each of two cells that a company has to itself may be open, and their sum be known exactly, as what is left of a
    total: also to outsiders, for whose cells they are is no secret. The sum is a quantity of its own then, which no
    unit gives. Where none of its cells is sensitive, for the company agrees to all or never asked, there is nothing in
    their sum to protect. `sole` says who has which quantity to itself; 0 where nobody has.
    """
    entries = system.equations.tocoo()
    mine = np.flatnonzero((sole[entries.coords[1]] > 0) & (entries.data > 0))
    unions: dict[tuple[int, ...], int] = {}
    if len(mine):
        line, column = entries.coords[0][mine].astype(np.int64), entries.coords[1][mine].astype(np.int64)
        order = np.lexsort((column, sole[column], line))
        line, column = line[order], column[order]
        new = np.ones(len(line), dtype=bool)
        new[1:] = (line[1:] != line[:-1]) | (sole[column[1:]] != sole[column[:-1]])
        positive = np.bincount(entries.coords[0][entries.data > 0], minlength=system.equations.shape[0])
        for part in np.split(np.arange(len(line)), np.flatnonzero(new)[1:]):
            whole = len(part) == positive[line[part[0]]]  # then the total is the holder's alone, and protected
            if len(part) > 1 and not whole and system.sensitive[column[part]].any():
                unions[tuple(column[part].tolist())] = int(sole[column[part[0]]])
    if not unions:
        return system
    n, k = system.size, len(unions)
    rows = [[(n + at, -1.0), *((q, 1.0) for q in members)] for at, members in enumerate(unions)]
    wider = sp.csr_array((system.equations.data, system.equations.indices, system.equations.indptr),
                         shape=(system.equations.shape[0], n + k))  # fmt: skip
    value = np.array([system.value[list(members)].sum() for members in unions])
    base = np.array([system.base[list(members)].sum() for members in unions])
    width = np.maximum(rules.interval / 100 * np.abs(value), 1e-9)
    alone = dict(system.alone)
    for at, holder in enumerate(unions.values()):
        if holder in alone:  # where contributors attack
            alone[holder] = np.append(alone[holder], n + at)
    return System(
        sp.csr_array(sp.vstack([wider, relations(rows, n + k)])),
        np.append(system.value, value),
        np.append(system.base, base),
        np.append(system.floor, base),
        np.append(system.sensitive, np.ones(k, dtype=bool)),
        np.append(system.below, np.minimum(width, np.maximum(value - base, 0))),
        np.append(system.above, width),
        np.append(system.fixed, np.zeros(k, dtype=bool)),
        np.vstack([system.who, np.zeros((k, system.who.shape[1]), dtype=np.int64)]),
        np.vstack([system.part, np.zeros((k, system.part.shape[1]))]),
        alone,
        system.peers,
    )
