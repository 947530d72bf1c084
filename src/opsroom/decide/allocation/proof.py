"""What certifies a class under a strict order: its own prices, and enough of those of the classes before it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from opsroom.decide.allocation.master import Floats

_TRIED = 10.0 ** np.arange(-1.0, 6.5, 0.5)
"""Weights tried of the programmes before: beyond a million, what a solve is wrong by would count."""
_FIRST, _TURNS = 1e4, 2


@dataclass(frozen=True, slots=True)
class Link:
    """What one programme of the chain found, and what certifies it.

    Attributes
    ----------
    gain
        By product: what a unit of final use counts in this programme.
    prices
        By product and skill: worth of one more unit of each mean, in that count.
    kept
        By class: worth, in that count, of one unit less that a class must keep.
    y
        Final uses.
    before
        How many classes were served before and keep what they got.
    """

    gain: Floats
    prices: Floats
    kept: Floats
    y: Floats
    before: int


def proved(links: list[Link], bound: Callable[[Link, Floats], float], y: Floats) -> list[Link]:
    """Return links with prices of 0 or more, which bound what each class can have in any allocation.

    A class that keeps to what is best for those before finds prices of either sign for what these use up. Adding a
    programme before, weighed enough, makes them prices of 0 or more: that class must then keep what it has, at the
    weight. Any weights prove a bound; those are taken that prove the lowest.

    Parameters
    ----------
    links
        By class, in order.
    bound
        What a link proves of an allocation, see `_Chain.bound`.
    y
        The allocation.
    """
    found: list[Link] = []
    for c, link in enumerate(links):
        weights = np.full(c, _FIRST)
        best = _with(link, found, weights)
        least = bound(best, y)
        for _ in range(_TURNS if c > 1 else 1):
            for k in reversed(range(c)):
                for weight in _TRIED:
                    tried = weights.copy()
                    tried[k] = weight
                    one = _with(link, found, tried)
                    if (proves := bound(one, y)) < least:
                        best, least, weights = one, proves, tried
        found.append(best)
    return found


def _with(link: Link, before: list[Link], weights: Floats) -> Link:
    prices, kept = link.prices.copy(), link.kept.copy()
    for k, weight in enumerate(weights):
        prices += weight * before[k].prices
        kept += weight * before[k].kept
        kept[k] += weight
    return replace(link, prices=np.maximum(prices, 0.0), kept=np.maximum(kept, 0.0))
