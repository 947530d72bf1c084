"""Composite weekly index: one number a week from whatever is published, on the scale of GDP growth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.composite.engine import composite
    from opsroom.measure.composite.inputs import Input, Settings
    from opsroom.measure.composite.result import CompositeResult, InputReport

_HOMES = {
    "CompositeResult": ".result",
    "Input": ".inputs",
    "InputReport": ".result",
    "Settings": ".inputs",
    "composite": ".engine",
}

__all__ = ["CompositeResult", "Input", "InputReport", "Settings", "composite"]

__getattr__, __dir__ = lazily(__name__, _HOMES)
