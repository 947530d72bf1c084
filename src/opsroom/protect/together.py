r"""What several outputs tell together: a sum and a difference of sums may be the number of few.

Of three periods' medians, the first the mean of A, B and C, the second of A, D and E, the third of B, C, D and E, any
two differ by three companies or more; the first and the second less the third are twice A. So every new output is
judged with all that are out, not pair by pair: no combination :math:`\sum_t c_t S_t` may rest on few groups.

Which combinations an attacker can know to cancel others out depends on what stands still. Two cases are tried: that
all who are behind several outputs give the same to each (`_stay`), and that just those do who truly do (`_state`). In
both the combinations that leave few groups are found exactly, and each is judged by true contributions: where the
others have changed enough to hide the few, it tells nothing of these.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from opsroom.protect.contributions import publishable
from opsroom.protect.rules import Rules

Floats = npt.NDArray[np.float64]

_SAME = 1e-9
"""Sums of floats differ in their last digits: relative to their size, that is no change."""

_NEAR = 1e-8
"""How far from one an eigenvalue may be for rounding's sake."""


def betrays(before: Sequence[Mapping[Hashable, float]], now: Mapping[Hashable, float], rules: Rules) -> bool:
    """Say whether some combination of a new sum with those that are out rests on few groups, or on few that dominate.

    Parameters
    ----------
    before, now
        Group → what it gives to each of the sums that are out, and to the new one.
    rules
        The profile.

    Notes
    -----
    Groups :math:`F` are left by themselves if some :math:`c` has :math:`A_g c = 0` for all groups outside and not for
    all inside, where :math:`A_g` says which of the group's numbers is in which sum. With
    :math:`P_g = T^{-1/2} A_g' A_g T^{-1/2}`, :math:`T = \\sum_g A_g' A_g`, that is so if and only if the largest
    eigenvalue of :math:`\\sum_{g \\in F} P_g` is one. All F of one or two groups are tried; of more, where a profile
    wants more, those that grow out of each group by what takes the eigenvalue furthest.
    """
    sums = [*before, now]
    groups = list(dict.fromkeys(group for part in sums for group in part))
    table = np.array([[float(part.get(group, 0.0)) for part in sums] for group in groups]).reshape(len(groups), -1)
    scale = np.abs(table).max(axis=1, initial=0.0)
    table, scale = table[scale > 0], scale[scale > 0]
    judged = rules.change_rules()
    few = max(rules.min_contributors - 1, *(n for n, _ in judged.dominance), 1)
    for incidence in (_stay(table), _state(table, scale)):
        for weights in _isolating(incidence, few):
            used = np.abs(weights) > 1e-7 * np.abs(weights).max()
            if not used[-1] or used.sum() == 1:
                continue  # of those that are out alone, or of the new one alone: its own rule has judged that
            left = table @ weights
            left[np.abs(left) <= _SAME * (np.abs(table) @ np.abs(weights))] = 0.0
            if left.any() and not publishable(left, judged):
                return True
    return False


def _stay(table: Floats) -> list[Floats]:
    """Return for each group which sums it is in: one number in all of them."""
    return [(row != 0)[None, :].astype(np.float64) for row in table]


def _state(table: Floats, scale: Floats) -> list[Floats]:
    """Return for each group which of its numbers is in which sum: a number that changes is another."""
    found = []
    for row, size in zip(table, scale.tolist(), strict=True):
        values: list[float] = []
        for value in row[row != 0].tolist():
            if all(abs(value - other) > _SAME * size for other in values):
                values.append(value)
        found.append(
            np.array([(np.abs(row - value) <= _SAME * size) & (row != 0) for value in values], dtype=np.float64)
        )
    return found


def _isolating(incidence: Sequence[Floats], few: int) -> Iterator[Floats]:
    """Yield combinations of sums that leave a few groups by themselves."""
    if not incidence:
        return
    grams = np.array([a.T @ a for a in incidence])
    size, axes = np.linalg.eigh(grams.sum(axis=0))
    there = size > 1e-9 * size[-1]
    back: Floats = axes[:, there] / np.sqrt(size[there])
    parts = back.T @ grams @ back
    traces = np.trace(parts, axis1=1, axis2=2)
    likely = np.flatnonzero(traces > _NEAR)
    for one in likely.tolist():
        yield from _ones(parts[one], back)
    if few > 1:
        for pair in combinations(likely.tolist(), 2):
            if traces[list(pair)].sum() >= 1 - _NEAR:  # the largest eigenvalue is at most the sum of all
                yield from _ones(parts[list(pair)].sum(axis=0), back)
    for seed in likely.tolist() if few > 2 else ():
        yield from _grown(parts, traces, seed, few, back)


def _grown(parts: Floats, traces: Floats, seed: int, few: int, back: Floats) -> Iterator[Floats]:
    chosen, inside = {seed}, parts[seed].copy()
    if traces[seed] + np.sort(traces)[-few + 1 :].sum() < 1 - _NEAR:
        return
    while len(chosen) < min(few, len(parts)):
        ahead = np.linalg.eigh(inside)[1][:, -1]
        gain = np.einsum("i,gij,j->g", ahead, parts, ahead)
        gain[list(chosen)] = -1.0
        chosen.add(int(np.argmax(gain)))
        inside = inside + parts[int(np.argmax(gain))]
        yield from _ones(inside, back)


def _ones(inside: Floats, back: Floats) -> Iterator[Floats]:
    """Yield the combinations of which nothing is left outside."""
    size, axes = np.linalg.eigh(inside)
    for k in np.flatnonzero(size >= 1 - _NEAR).tolist():
        yield back @ axes[:, k]
