r"""Quantiles and the share of the largest: what sums of neighbours in rank tell of each of them.

With contributions :math:`x_1 \ge \dots \ge x_n` each published number is a sum over a run of ranks. What an attacker
who knows all ranks can conclude about one rank is a linear programme over ordered tables; ranks of one run that
nothing else tells apart may be replaced by their mean, so that a programme has a handful of unknowns, however many
contributors there are, and its bounds are exact.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import InternalError, UsageError
from opsroom.protect.contributions import (
    MARGIN,
    Combine,
    Derived,
    Floats,
    by_group,
    closeness,
    least_groups,
    publishable,
    refusal,
    rounded,
)
from opsroom.protect.rules import Rules


@dataclass(frozen=True, slots=True)
class Run:
    """The sum of the values of ranks `first` to `last`, counted from 0 for the largest, `last` included."""

    first: int
    last: int
    total: float


def order_bounds(
    n: int, runs: Sequence[Run], target: int, *, known: Mapping[int, float] | None = None, signed: bool = False
) -> tuple[float, float]:
    """Return the least and the largest value that the contribution of a rank may have.

    Parameters
    ----------
    n
        Number of contributors.
    runs
        The sums that are known.
    target
        Rank that is asked for, from 0 for the largest.
    known
        Rank → value that the attacker knows.
    signed
        Whether contributions may be negative.

    Returns
    -------
    tuple of float
        Exact bounds; infinite where there is none.
    """
    from scipy.optimize import linprog

    given = dict(known or {})
    cuts = {0, n, target, target + 1}
    for run in runs:
        cuts |= {run.first, run.last + 1}
    for rank in given:
        cuts |= {rank, rank + 1}
    edges = sorted(c for c in cuts if 0 <= c <= n)
    starts = np.array(edges[:-1])
    length = np.diff(np.array(edges))
    size = len(length)
    means = [abs(r.total) / (r.last - r.first + 1) for r in runs] + [abs(v) for v in given.values()]
    scale = min((m for m in means if m > 0), default=1.0)  # solvers err by an absolute amount: be small
    equal, right = [], []
    for run in runs:
        inside = np.where((starts >= run.first) & (starts <= run.last), length, 0.0)
        size_of = max(abs(run.total) / scale, 1.0)
        equal.append(inside / size_of)
        right.append(run.total / scale / size_of)
    for rank, value in given.items():
        size_of = max(abs(value) / scale, 1.0)
        equal.append((starts == rank) / size_of)
        right.append(value / scale / size_of)
    order = np.zeros((max(size - 1, 0), size))
    for k in range(size - 1):
        order[k, k], order[k, k + 1] = -1.0, 1.0
    at = int(np.flatnonzero(starts == target)[0])
    found = []
    for sign in (1.0, -1.0):
        cost = np.zeros(size)
        cost[at] = sign
        answer = linprog(
            cost,
            A_ub=order if len(order) else None,
            b_ub=np.zeros(len(order)) if len(order) else None,
            A_eq=np.array(equal) if equal else None,
            b_eq=np.array(right) if right else None,
            bounds=(None if signed else 0.0, None),
            method="highs",
        )
        if answer.status == 0 and answer.fun is not None:
            found.append(sign * float(answer.fun) * scale)
        elif answer.status == 3:
            found.append(-np.inf if sign > 0 else np.inf)
        else:  # the true table is always feasible; rounding of sums may make it just not
            raise InternalError("the bounds of an order statistic have no solution.", code="OPS-I050")
    return found[0], found[1]


def _betrays(values: Floats, runs: Sequence[Run], rules: Rules, *, signed: bool) -> bool:
    """Say whether sums over runs, with the number and total of contributors, bound some contribution too closely.

    The largest must be open upwards, as in the p% rule; any other on one side at least, even to who knows its rank.
    """
    n, near = len(values), closeness(rules) * (1 + MARGIN)
    whole = [*runs, Run(0, n - 1, float(values.sum()))]

    def above(target: int, *insiders: int) -> bool:
        _, high = order_bounds(n, whole, target, known={i: float(values[i]) for i in insiders}, signed=signed)
        return bool(high >= values[target] + near * abs(values[target]))

    def hemmed(target: int, *insiders: int) -> bool:
        known = {i: float(values[i]) for i in insiders}
        low, high = order_bounds(n, whole, target, known=known, signed=signed)
        gap = near * abs(values[target])
        return bool(low > values[target] - gap and high < values[target] + gap)

    if not above(0):
        return True
    if rules.attackers != "outsider" and (not above(0, 1) or hemmed(1, 0)):
        return True
    if rules.attackers == "coalition" and n > 3 and not above(0, 1, 2):
        return True
    return _somebody_hemmed(values, whole, near, signed=signed)


def _somebody_hemmed(values: Floats, runs: Sequence[Run], near: float, *, signed: bool) -> bool:
    """Say whether some rank but the largest is bounded closely on both sides, by an outsider.

    Bounds fall from rank to rank as values do. So the lower bound of the first of some ranks holds for none of them
    more, and the upper bound of the last for none less: where either leaves room for every value between, none is
    hemmed in; else halves are looked at. It is exact, and most ranks need no programme of their own.
    """
    n = len(values)
    floor, ceiling = values - near * np.abs(values), values + near * np.abs(values)
    found: dict[int, tuple[float, float]] = {}

    def bounds(target: int) -> tuple[float, float]:
        if target not in found:
            found[target] = order_bounds(n, runs, target, signed=signed)
        return found[target]

    left = [(1, n - 1)]
    while left:
        first, last = left.pop()
        if first > last:
            continue
        (low, _), (_, high) = bounds(first), bounds(last)
        if low <= floor[first : last + 1].min() or high >= ceiling[first : last + 1].max():
            continue
        if any(bounds(end)[0] > floor[end] and bounds(end)[1] < ceiling[end] for end in (first, last)):
            return True
        middle = (first + last) // 2
        left += [(first + 1, middle), (middle + 1, last - 1)]
    return False


def _ordered(values: npt.ArrayLike, groups: Sequence[Hashable], combine: Combine) -> Floats:
    found = np.array(list(by_group(values, groups, combine=combine).values()), dtype=np.float64)
    ordered: Floats = -np.sort(-found)
    return ordered


def quantiles(
    values: npt.ArrayLike,
    groups: Sequence[Hashable],
    probabilities: Sequence[float] = (0.5,),
    *,
    rules: Rules,
    unit: str,
    decimals: int = 0,
    combine: Combine = "sum",
) -> Derived:
    r"""Return quantiles, each the mean of the groups nearest to it in rank.

    How large is a company in the middle, or one tenth from below?

    Parameters
    ----------
    values, groups
        A value and the enterprise group of each unit.
    probabilities
        Such as 0.1, 0.5 and 0.9; between 0 and 1.
    rules
        The profile.
    unit, decimals
        Unit of the value, and decimals published.
    combine
        A group counts once, with its units' sum or mean.

    Returns
    -------
    Derived
        ``p10``, ``p50`` …

    Raises
    ------
    DisclosureError
        If there are too few groups around a quantile or beyond it, if few dominate those around it, if two
        quantiles share groups, or if the quantiles with number and total of all bound a contribution too closely.
    UsageError
        If a probability is not between 0 and 1 (the smallest and the largest are refused).

    Notes
    -----
    With k the least number of contributors, at least 3 and as many as pass the rules on magnitudes when equally
    large, the estimator is the mean of the k order statistics around position :math:`q n + 1/2` (Hazen). Its bias is
    about :math:`Q''(q) (k / n)^2 / 24` for the curvature :math:`Q''` of the quantile function, plus at most a
    quarter of a rank, :math:`Q'(q) / 4n`, since k or k + 1 are taken, whichever lie more evenly around the position.

    References
    ----------
    Bond, Brandt & de Wolf (2015), Guidelines for Output Checking.
    """
    asked = [float(q) for q in probabilities]
    if not asked or len(set(asked)) != len(asked) or any(not 0 < q < 1 for q in asked):
        raise UsageError(
            "probabilities of quantiles lie between 0 and 1, each named once; there is no smallest or largest.",
            remedy="Ask for 0.1, 0.5 or 0.9.",
            code="OPS-U152",
        )
    ordered = _ordered(values, groups, combine)
    least, n = least_groups(rules), len(ordered)
    if not publishable(ordered, rules):
        raise refusal("quantile")
    runs: list[Run] = []
    found: dict[str, float] = {}
    for q in sorted(asked, reverse=True):
        first, last = quantile_ranks(n, q, rules)
        if first < least or last > n - 1 - least or (runs and first <= runs[-1].last):
            raise refusal("quantile")
        inside = ordered[first : last + 1]
        if not publishable(inside, rules):
            raise refusal("quantile")
        runs.append(Run(first, last, float(inside.sum())))
        found[f"p{round(q * 100, 6):g}"] = rounded(float(inside.mean()), decimals)
    if _betrays(ordered, runs, rules, signed=bool((ordered < 0).any())):
        raise refusal("quantile")
    names = [f"p{round(q * 100, 6):g}" for q in asked]
    return Derived("quantile", {name: found[name] for name in names}, unit, "mean of the nearest groups in rank")


def quantile_ranks(n: int, probability: float, rules: Rules) -> tuple[int, int]:
    """Return the first and last rank, from 0 for the largest, whose mean is published as a quantile."""
    return _around((1 - probability) * n - 0.5, _nearest(least_groups(rules), rules))


def _around(centre: float, k: int) -> tuple[int, int]:
    """Return the first and last of k ranks around a position, or of k + 1 if these lie more evenly around it."""
    starts = [(size, math.floor(centre - (size - 1) / 2 + 0.5)) for size in (k, k + 1)]
    size, first = min(starts, key=lambda s: (abs(s[1] + (s[0] - 1) / 2 - centre) > 0.25, s[0]))
    return first, first + size - 1


def _nearest(least: int, rules: Rules) -> int:
    """Return how many groups a quantile is the mean of: as few as pass the rules if they are equally large."""
    k = max([least, 3, *(math.ceil(100 * m / limit) for m, limit in rules.dominance)])
    return max(k, 4) if rules.attackers == "coalition" and rules.p_percent is not None else k


def top_share(
    values: npt.ArrayLike,
    groups: Sequence[Hashable],
    *,
    largest: int,
    rules: Rules,
    decimals: int = 1,
) -> Derived:
    """Return the share of the largest groups in the total, in per cent.

    Parameters
    ----------
    values, groups
        A value, not negative, and the enterprise group of each unit.
    largest
        How many: at least 3, and more than any dominance rule of the profile counts.
    rules
        The profile.
    decimals
        Decimals published.

    Raises
    ------
    DisclosureError
        If too few are asked for, if the largest or the rest are few or dominated, or if the share with number and
        total of all bounds a contribution too closely.

    Notes
    -----
    With share C of the k largest among n of total X, the largest is at most ``C X - (k - 1) (X - C X) / (n - k)``
    and at least ``C X / k``: the rest cannot on average be larger than the k-th.
    """
    ordered = positive(values, groups)
    n = len(ordered)
    head, rest = ordered[:largest], ordered[largest:]
    enough = largest >= max([3, least_groups(rules), *(m + 1 for m, _ in rules.dominance)])
    if not (enough and n - largest >= least_groups(rules)):
        raise refusal("concentration")
    if not all([publishable(ordered, rules), publishable(head, rules), publishable(rest, rules)]):
        raise refusal("concentration")
    if _betrays(ordered, [Run(0, largest - 1, float(head.sum()))], rules, signed=False):
        raise refusal("concentration")
    share = rounded(100 * float(head.sum()) / float(ordered.sum()), decimals)
    return Derived("top_share", {f"c{largest}": share}, "per cent", "share of the largest groups in the total")


def positive(values: npt.ArrayLike, groups: Sequence[Hashable]) -> Floats:
    """Return the contributions of groups that have any, largest first."""
    ordered = _ordered(values, groups, "sum")
    if (ordered < 0).any():
        raise UsageError(
            "a share of the market needs contributions that are not negative.",
            remedy="Use turnover, jobs or volumes.",
            code="OPS-U153",
        )
    found: Floats = ordered[ordered > 0]
    return found
