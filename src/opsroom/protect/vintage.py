"""Change tables: when may a revised number come out beside the number published before?

V2 = V1 + D: whoever holds both vintages of a number holds the change D, a quantity whose contributors
are the groups whose contribution changed. D is judged like any quantity. Who they are need not be
known: a *sketch* holds, for each cell, the sums over 2 × 32 random sets of groups. The sets whose sum
changed are no more than the groups that changed, so counting sets errs towards caution; a set's change
takes the place of a group's in the rules on magnitudes, as if its members were one holding. Two
independent families of sets must both pass, so that large opposite changes can hide each other only
if the groups share a set in both (chance 1/1024 a pair). More than two vintages are judged by the same sketches, since
these add up like the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from opsroom.base.results import TOP
from opsroom.protect.rules import Rules

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Change:
    """How two vintages of the same quantities differ, shape (n,).

    A quantity that is neither `same` nor `safe` must not come out revised; nobody may come closer than `width` to
    it, since by what it differs from what was out is what few have changed.
    """

    same: Flags
    safe: Flags
    width: Floats


def compare(old: Floats, new: Floats, old_sketch: Floats, new_sketch: Floats, rules: Rules) -> Change:
    """Compare two vintages of n quantities.

    Parameters
    ----------
    old, new
        Values, shape (n,).
    old_sketch, new_sketch
        Shape (n, families, sets); NaN where unknown: such a change is never safe.
    rules
        The primary rules, applied to the change.

    Returns
    -------
    Change
    """
    judged = rules.change_rules()
    delta = new_sketch - old_sketch
    known = np.asarray(np.isfinite(delta).all(axis=(1, 2)))
    delta = np.abs(np.where(known[:, None, None], delta, 0.0))
    scale = np.nan_to_num(np.maximum(np.abs(new_sketch), np.abs(old_sketch))).max(axis=(1, 2))
    # Sums of floats differ in their last digits from one computation to the next: that is no change.
    delta[delta <= 1e-9 * scale[:, None, None]] = 0.0
    equal = np.abs(new - old) <= 1e-9 * np.maximum(np.abs(new), np.abs(old))
    same = equal & ~delta.any(axis=(1, 2))
    safe = known.copy()
    groups = (delta > 0).sum(axis=2)
    safe &= groups.max(axis=1) >= judged.min_contributors
    for family in range(delta.shape[1]):
        tops = -np.partition(-delta[:, family], TOP - 1, axis=1)[:, :TOP]
        tops = -np.sort(-tops, axis=1)
        total = delta[:, family].sum(axis=1)
        least = np.full(len(total), judged.min_contributors)
        safe &= ~judged.sensitive(total, least, tops, total)
    size = np.where(known, delta.sum(axis=2).max(axis=1), np.maximum(np.abs(new), np.abs(old)))
    return Change(same, safe & ~same, judged.interval / 100 * size)


MOST = 6
"""How many earlier vintages of a number are looked at together, those that came out last."""


def together(old: Floats, new: Floats, rules: Rules) -> float:
    """Return how wide a new vintage of one quantity must stay open for what it tells with several earlier ones.

    Where units' numbers go back and forth, vintages of which any two differ by enough groups may together leave one:
    if A, B and C change first, then A, D and E instead, and B, C, D and E at last, the second and the third less the
    first and the fourth are twice what A changed. So all sums and differences are tried that use each vintage at
    most once, and the new one. Only what cancels out entirely counts: that other changes nearly do is chance, and
    nobody can tell which.

    Parameters
    ----------
    old
        Sketches of vintages that are out, earliest first, shape (vintages, families, sets); only the last `MOST`
        that are known count.
    new
        That of the new vintage, shape (families, sets).
    rules
        The primary rules.

    Returns
    -------
    float
        Half the width of an interval; 0 where nothing is told.
    """
    known = old[np.isfinite(old).all(axis=(1, 2))][-MOST:]
    if len(known) < 2 or not np.isfinite(new).all():
        return 0.0
    steps = np.array(list(product((-1.0, 0.0, 1.0), repeat=len(known))))
    steps = steps[(steps.sum(axis=1) > 0) & (np.abs(steps).sum(axis=1) > 1)]  # the other signs say the same
    scale = max(np.abs(new).max(), np.abs(known).max())
    left = np.abs(np.tensordot(steps, known - new, axes=1))
    left[left <= 1e-9 * scale * np.abs(steps).sum(axis=1)[:, None, None]] = 0.0
    groups = (left > 0).sum(axis=2).max(axis=1)
    few = (groups > 0) & (groups < rules.change_rules().min_contributors)
    size = left.sum(axis=2).max(axis=1) / steps.sum(axis=1)
    return float(rules.interval / 100 * size[few].max(initial=0.0))
