"""What can be done, for whom, at whose expense: instruments compared with doing nothing.

One instrument is a folder of its own: ``from opsroom.decide.relief import relief, Holiday``; who needs whom, and what
that means for scarcity and shocks: ``from opsroom.decide import InputOutput, allocate, DynamicInputOutput, esri``; and
whether planning does better than prices, on which data: ``from opsroom.decide.exam import economy, exam``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.allocation import AllocationResult, allocate
    from opsroom.decide.input_output.table import InputOutput
    from opsroom.decide.propagation import DynamicInputOutput, esri
    from opsroom.decide.register import Objectives, objectives

_HOMES = {
    "AllocationResult": ".allocation",
    "DynamicInputOutput": ".propagation",
    "InputOutput": ".input_output.table",
    "Objectives": ".register",
    "allocate": ".allocation",
    "esri": ".propagation",
    "objectives": ".register",
}

__all__ = ["AllocationResult", "DynamicInputOutput", "InputOutput", "Objectives", "allocate", "esri", "objectives"]

__getattr__, __dir__ = lazily(__name__, _HOMES)
