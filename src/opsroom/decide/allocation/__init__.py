"""Allocation under scarcity: the best use under stated values, with its bound and its shadow prices.

>>> from opsroom.decide.allocation import allocate, clear_market, explain, plan, ration, shadow_ranges
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.allocation.allocating import AllocationResult, allocate, explain, possible_share
    from opsroom.decide.allocation.market import clear_market
    from opsroom.decide.allocation.planning import PlanResult, plan
    from opsroom.decide.allocation.ranges import shadow_ranges
    from opsroom.decide.allocation.rationing import ration

_HOMES = {
    "AllocationResult": ".allocating",
    "PlanResult": ".planning",
    "allocate": ".allocating",
    "clear_market": ".market",
    "explain": ".allocating",
    "plan": ".planning",
    "possible_share": ".allocating",
    "ration": ".rationing",
    "shadow_ranges": ".ranges",
}

__all__ = [
    "AllocationResult",
    "PlanResult",
    "allocate",
    "clear_market",
    "explain",
    "plan",
    "possible_share",
    "ration",
    "shadow_ranges",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
