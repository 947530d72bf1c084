"""Allocation under scarcity: the best use under stated values, with its bound and its shadow prices.

>>> from opsroom.decide.allocation import allocate, explain
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.allocation.allocating import AllocationResult, allocate, explain

_HOMES = {"AllocationResult": ".allocating", "allocate": ".allocating", "explain": ".allocating"}

__all__ = ["AllocationResult", "allocate", "explain"]

__getattr__, __dir__ = lazily(__name__, _HOMES)
