"""Work resumption from company meters: who is back at work, corrected, with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsroom.measure.resumption.aggregate import TurningPoint, turning_day
    from opsroom.measure.resumption.baseline import Baseline
    from opsroom.measure.resumption.change import change
    from opsroom.measure.resumption.estimate import baseline_for as fit_baseline
    from opsroom.measure.resumption.estimate import resumption
    from opsroom.measure.resumption.result import ResumptionResult

__all__ = [
    "Baseline",
    "ResumptionResult",
    "TurningPoint",
    "change",
    "fit_baseline",
    "resumption",
    "turning_day",
]

_HOME = {
    "Baseline": ("baseline", "Baseline"),
    "ResumptionResult": ("result", "ResumptionResult"),
    "TurningPoint": ("aggregate", "TurningPoint"),
    "change": ("change", "change"),
    "fit_baseline": ("estimate", "baseline_for"),
    "resumption": ("estimate", "resumption"),
    "turning_day": ("aggregate", "turning_day"),
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module at first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOME[name]
    value = getattr(import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value
