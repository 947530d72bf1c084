"""Looks for witnesses of contributions: lists that everybody must think possible beside a derived output.

It proposes; `opsroom.protect.derived_check` decides. What it cannot find is not proved, and so is not released.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opsroom.protect.contributions import MARGIN, Derived, Floats
from opsroom.protect.derived_asked import Asked
from opsroom.protect.derived_check import Goal, Proof, recompute
from opsroom.protect.ordered import quantile_ranks
from opsroom.protect.rules import Rules


def prove(asked: Asked, derived: Derived, rules: Rules) -> dict[str, Any]:
    """Certify a derived output, and return what its release says of that.

    Raises
    ------
    DisclosureError
        If there is no certificate.
    """
    if asked.kind == "regression":
        return recompute(asked, derived, rules)
    proof = Proof(asked, derived, rules)
    proof.offer(proof.true)
    seek = _market if asked.kind == "hhi" else _ranks
    while proof.open and seek(proof, derived):
        pass
    return proof.stamp()


def _aim(proof: Proof, goal: Goal, direction: int) -> float:
    """Return the value that a goal's contribution must have, with what rounding may take of it."""
    far = float(proof.width[goal.rank]) * (1 + MARGIN) + 100 * proof.slack
    return float(proof.true[goal.rank]) + direction * far


def _middle(proof: Proof) -> Goal:
    """Return a goal in the middle of those that are open: its witnesses serve its neighbours, too."""
    goals = list(proof.open)
    return goals[len(goals) // 2]


def _directions(goal: Goal) -> tuple[int, ...]:
    return (1, -1) if goal.rank else (1,)


# -- quantiles and the share of the largest -----------------------------------------------------


def _ranks(proof: Proof, derived: Derived) -> bool:
    """Offer a witness for an open goal, and say whether it took one."""
    goal = _middle(proof)
    for direction in _directions(goal):
        found = _between_runs(proof, goal, direction)
        if found is not None and proof.offer(found) and goal not in proof.open:
            return True
    return False


def _runs(proof: Proof) -> list[tuple[int, int]]:
    """Return the first and last ranks of the runs whose sums are told."""
    asked = proof.asked
    if asked.kind == "top_share":
        return [(0, asked.largest - 1)]
    return [quantile_ranks(len(proof.true), q, proof.rules) for q in asked.probabilities]


def _between_runs(proof: Proof, goal: Goal, direction: int) -> Floats | None:
    """Return a list with the same sums of runs in which a rank has the value that it must, or None.

    Ranks that nothing tells apart may have their mean: what is left is a programme of a handful of unknowns.
    """
    from scipy.optimize import linprog

    true, n, aim = proof.true, len(proof.true), _aim(proof, goal, direction)
    runs = _runs(proof)
    cuts = {0, n, goal.rank, goal.rank + 1}
    cuts |= {edge for first, last in runs for edge in (first, last + 1)}
    cuts |= {edge for k in goal.knows for edge in (k, k + 1)}
    edges = np.array(sorted(cuts))
    start, length = edges[:-1], np.diff(edges)
    scale = float(np.abs(true).max()) or 1.0
    sums = [*runs, (0, n - 1)]
    equal = [np.where((start >= a) & (start <= b), length, 0.0) / (b - a + 1) for a, b in sums]
    right = [float(true[a : b + 1].sum()) / scale / (b - a + 1) for a, b in sums]
    order = np.zeros((len(start) - 1, len(start)))
    k = np.arange(len(start) - 1)
    order[k, k], order[k, k + 1] = -1.0, 1.0
    bounds: list[tuple[float | None, float | None]] = [(None if proof.signed else 0.0, None)] * len(start)
    for rank in goal.knows:
        bounds[int(np.searchsorted(start, rank))] = (float(true[rank]) / scale,) * 2
    at = int(np.searchsorted(start, goal.rank))
    bounds[at] = (aim / scale, None) if direction > 0 else (bounds[at][0], aim / scale)
    if direction < 0 and not proof.signed and aim < 0:
        return None
    answer = linprog(
        np.zeros(len(start)), A_ub=order, b_ub=np.zeros(len(order)), A_eq=np.array(equal), b_eq=np.array(right),
        bounds=bounds, method="highs",
    )  # fmt: skip
    if answer.status != 0:
        return None
    found = np.repeat(np.asarray(answer.x) * scale, length)
    return _mended(found if proof.signed else np.maximum(found, 0.0), true, runs, goal.knows)


def _mended(found: Floats, true: Floats, runs: Sequence[tuple[int, int]], knows: Sequence[int]) -> Floats:
    """Take the solver's rounding out of sums: what is free in each run, and outside all, is scaled to what is left."""
    free = np.ones(len(true), dtype=bool)
    free[list(knows)] = False
    found[list(knows)] = true[list(knows)]
    outside = free.copy()
    for first, last in runs:
        inside = np.zeros(len(true), dtype=bool)
        inside[first : last + 1] = True
        outside &= ~inside
        _scaled(found, inside & free, float(true[first : last + 1].sum() - found[inside & ~free].sum()))
    _scaled(found, outside, float(true.sum() - found[~outside].sum()))
    return found


def _scaled(found: Floats, where: Any, total: float) -> None:
    now = float(found[where].sum())
    if now != 0:
        found[where] *= total / now


# -- the Herfindahl index -----------------------------------------------------------------------


def _market(proof: Proof, derived: Derived) -> bool:
    """Offer a witness for an open goal, with as many as can be left as they are, and say whether it took one."""
    goal = _middle(proof)
    step = proof.asked.step / 2
    square = float(proof.true.sum()) ** 2 / 10_000
    said = float(derived.values["hhi"])
    inside = ((said - step) * square, (said + step) * square)
    # Who is left as he is cannot tell the witness from the truth: many such goals are served at once.
    others = [g.knows for g in proof.open if g.rank == goal.rank and g.knows[:-1] == goal.knows[:-1] and goal.knows]
    most = sorted({k for knows in others for k in knows})
    for still in (most[::2], most[1::2], most[: len(most) // 8], list(goal.knows)):
        kept = sorted({*still, *goal.knows})
        for direction in _directions(goal):
            found = _spread(proof, goal.rank, _aim(proof, goal, direction), kept, direction, inside)
            if found is not None and proof.offer(found) and goal not in proof.open:
                return True
    return False


def _spread(
    proof: Proof, rank: int, aim: float, kept: Sequence[int], direction: int, inside: tuple[float, float]
) -> Floats | None:
    """Return a list in which a rank has a value, some are kept, and the sum of squares lies inside, or None.

    Between the least and the most unequal of such lists, the sum of squares takes every value.
    """
    true, n = proof.true, len(proof.true)
    if aim < 0:
        return None
    low, high = np.zeros(n), np.full(n, np.inf)
    low[:rank], high[rank + 1 :] = aim, aim
    low[rank] = high[rank] = aim
    held = [k for k in kept if k != rank]
    low[held] = high[held] = true[held]
    need = float(true.sum())
    if low.sum() > need or np.minimum(high, need).sum() < need:
        return None
    even = _level(low, high, need)
    steep = _filled(low, high, need)
    small, large = float(even @ even), float(steep @ steep)
    wanted = min(max(float(true @ true), small), large)
    if small > inside[1] or large < inside[0]:
        return None
    if not inside[0] <= wanted <= inside[1]:
        wanted = min(max(wanted, inside[0]), inside[1])
    # |even + s (steep - even)|² = wanted
    way = steep - even
    a, b, c = float(way @ way), 2 * float(even @ way), small - wanted
    s = 0.0 if a == 0 else (-b + np.sqrt(max(b * b - 4 * a * c, 0.0))) / (2 * a)
    found: Floats = even + min(max(float(s), 0.0), 1.0) * way
    found[held] = true[held]
    return found


def _level(low: Floats, high: Floats, need: float) -> Floats:
    """Return the least unequal list within bounds that has a sum: one level, cut to the bounds."""
    a, b = 0.0, need
    for _ in range(200):
        middle = (a + b) / 2
        if np.clip(middle, low, high).sum() < need:
            a = middle
        else:
            b = middle
        if b - a <= 1e-16 * need:
            break
    found: Floats = np.clip(b, low, high)
    free = (found > low) & (found < high)
    if free.any():
        found[free] += (need - found.sum()) / int(free.sum())
    return found


def _filled(low: Floats, high: Floats, need: float) -> Floats:
    """Return the most unequal list within bounds that has a sum: the first ranks as full as can be."""
    room = np.minimum(high, need) - low
    before = np.concatenate([[0.0], np.cumsum(room)[:-1]])
    left = need - float(low.sum())
    found: Floats = low + np.clip(left - before, 0.0, room)
    return found
