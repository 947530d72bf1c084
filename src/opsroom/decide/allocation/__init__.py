"""Allocation under scarcity: the best use under stated values, with its bound and its shadow prices.

>>> from opsroom.decide.allocation import allocate, explain, ration, shadow_ranges
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.allocation.allocating import AllocationResult, allocate, explain
    from opsroom.decide.allocation.ranges import shadow_ranges
    from opsroom.decide.allocation.rationing import ration

_HOMES = {
    "AllocationResult": ".allocating",
    "allocate": ".allocating",
    "explain": ".allocating",
    "ration": ".rationing",
    "shadow_ranges": ".ranges",
}

__all__ = ["AllocationResult", "allocate", "explain", "ration", "shadow_ranges"]

__getattr__, __dir__ = lazily(__name__, _HOMES)
