r"""The Herfindahl-Hirschman index: what it tells of the largest contributors.

With shares :math:`s_i` of n groups, :math:`\sum s_i = 1`, :math:`\sum s_i^2 = H`: whoever knows H, n and perhaps some
shares confines every other to an interval, whose ends are reached when all the rest are equal or as unequal as can be.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.protect.contributions import MARGIN, Derived, Floats, closeness, least_groups, publishable, refusal
from opsroom.protect.ordered import positive
from opsroom.protect.rules import Rules


def share_bounds(n: int, squares: float, *, total: float = 1.0) -> tuple[float, float]:
    r"""Return the least and the largest value that the largest of n numbers may have, given sum and sum of squares.

    Parameters
    ----------
    n
        How many numbers, none negative.
    squares
        Sum of their squares.
    total
        Their sum.

    Returns
    -------
    tuple of float

    Notes
    -----
    The largest is largest when the others are equal: :math:`A/n + \sqrt{(B - A^2/n)(n-1)/n}` with sum A and squares B.
    It is least when as many as possible are as large as it and one holds what is left: with
    :math:`m = \lfloor A^2 / B \rfloor` of them, it solves :math:`m a^2 + (A - m a)^2 = B`.
    """
    if n < 1 or total < 0 or squares < 0:
        raise UsageError("bounds of shares need a positive number of them.", remedy="Give n ≥ 1.", code="OPS-U154")
    if n == 1 or total == 0:
        return total, total
    spread = max(squares - total * total / n, 0.0)
    high = min(total / n + float(np.sqrt(spread * (n - 1) / n)), total)
    if squares <= total * total / n:
        return total / n, high
    m = min(int(np.floor(total * total / squares * (1 + 1e-12))), n - 1)
    # m (m + 1) a² - 2 m A a + A² - B = 0
    inside = max(m * m * total * total - m * (m + 1) * (total * total - squares), 0.0)
    low = (m * total + float(np.sqrt(inside))) / (m * (m + 1))
    return min(low, high), high


def herfindahl(values: npt.ArrayLike, groups: Sequence[Hashable], *, rules: Rules, step: float = 100.0) -> Derived:
    """Return the Herfindahl-Hirschman index, from 0 to 10,000, rounded to a step.

    How concentrated is a market?

    Parameters
    ----------
    values, groups
        A value, not negative, and the enterprise group of each unit.
    rules
        The profile.
    step
        What the index is rounded to. Choose it before looking; a coarser one passes where a finer one is refused.

    Raises
    ------
    DisclosureError
        If the total itself may not be published, or if the index with number and total of the groups would let
        somebody bound one of the largest closer than the profile allows: an outsider, a contributor who knows its own
        share, or, where the profile names coalitions, the second largest with any other.

    Notes
    -----
    What counts is the upper end for the largest, as in the p% rule. Where one holds much and the others little, the
    index is little more than the square of its share, and no rounding that leaves anything of it will pass.
    """
    if not 0 < step <= 2_000:
        raise UsageError("the step of an index lies between 0 and 2,000.", remedy="Use 100.", code="OPS-U155")
    ordered = positive(values, groups)
    if len(ordered) <= least_groups(rules) or not publishable(ordered, rules):
        raise refusal("concentration")
    share = ordered / ordered.sum()
    index = round(float((share**2).sum()) * 10_000 / step) * step
    most = (index + step / 2) / 10_000
    least = max((index - step / 2) / 10_000, 0.0)
    if _betrays(share, least, most, rules):
        raise refusal("concentration")
    return Derived("hhi", {"hhi": float(index)}, "0 to 10,000", f"sum of squared shares, rounded to {step:g}")


def rank_bounds(n: int, squares: float, rank: int, *, total: float = 1.0) -> tuple[float, float]:
    r"""Return bounds of the number at a rank, from 1 for the largest, given sum and sum of squares of n numbers.

    Notes
    -----
    The r-th is largest when the first r are equal and so are the others, and least when the first r - 1 are equal and
    so are the others: :math:`A/n + \sqrt{S (n-r)/(n r)}` and :math:`A/n - \sqrt{S (r-1)/(n (n-r+1))}` with
    :math:`S = B - A^2/n`, the latter not below 0. (The least that the largest may be is in `share_bounds`.)
    """
    if rank == 1:
        return share_bounds(n, squares, total=total)
    spread = max(squares - total * total / n, 0.0)
    high = total / n + float(np.sqrt(spread * (n - rank) / (n * rank)))
    low = total / n - float(np.sqrt(spread * (rank - 1) / (n * (n - rank + 1))))
    return max(low, 0.0), min(high, total / rank)


def _betrays(share: Floats, least: float, most: float, rules: Rules) -> bool:
    """Say whether an index within `least` and `most` bounds some share too closely."""
    n, near = len(share), closeness(rules) * (1 + MARGIN)

    def open_above(*known: int) -> bool:
        """Say whether the largest is open upwards to who knows some shares."""
        mine = share[list(known)]
        squares = most - float((mine**2).sum())
        _, high = share_bounds(n - len(known), max(squares, 0.0), total=1.0 - float(mine.sum()))
        return bool(high >= share[0] * (1 + near))

    def inside(value: float, low: float, high: float) -> bool:
        return low > value * (1 - near) and high < value * (1 + near)

    if not open_above():
        return True
    for rank in range(2, n + 1):
        low, high = rank_bounds(n, most, rank)  # the more spread, the wider
        if inside(float(share[rank - 1]), low, high):
            return True
    if rules.attackers == "outsider":
        return False
    if not all(open_above(i) for i in range(1, n)):
        return True
    rest, first = 1.0 - float(share[0]), float(share[0])
    low, _ = share_bounds(n - 1, max(least - first**2, rest**2 / (n - 1)), total=rest)
    _, high = share_bounds(n - 1, most - first**2, total=rest)
    if inside(float(share[1]), low, min(high, first)):
        return True
    return rules.attackers == "coalition" and not all(open_above(1, i) for i in range(2, n))
