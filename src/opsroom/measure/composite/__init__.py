"""Composite weekly index: one number a week from whatever is published, on the scale of GDP growth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsroom.measure.composite.engine import composite
    from opsroom.measure.composite.inputs import Input, Settings
    from opsroom.measure.composite.result import CompositeResult, InputReport

_HOME = {
    "CompositeResult": "result",
    "Input": "inputs",
    "InputReport": "result",
    "Settings": "inputs",
    "composite": "engine",
}

__all__ = ["CompositeResult", "Input", "InputReport", "Settings", "composite"]


def __getattr__(name: str) -> Any:  # a lazy export may be anything
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_HOME[name]}")

    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return __all__
