"""Work resumption from company meters and monthly records: who is back at work, corrected, with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsroom.measure.resumption.aggregate import TurningPoint, turning_day
    from opsroom.measure.resumption.baseline import Baseline
    from opsroom.measure.resumption.by_meters import meter_months
    from opsroom.measure.resumption.change import change
    from opsroom.measure.resumption.combination import CombinedResult, combine
    from opsroom.measure.resumption.composite import CompositeIndex, composite_index, sensitivity
    from opsroom.measure.resumption.estimate import baseline_for as fit_baseline
    from opsroom.measure.resumption.estimate import resumption
    from opsroom.measure.resumption.monthly import Source, monthly_resumption
    from opsroom.measure.resumption.monthly_result import MonthlyResult
    from opsroom.measure.resumption.result import ResumptionResult

__all__ = [
    "Baseline",
    "CombinedResult",
    "CompositeIndex",
    "MonthlyResult",
    "ResumptionResult",
    "Source",
    "TurningPoint",
    "change",
    "combine",
    "composite_index",
    "fit_baseline",
    "meter_months",
    "monthly_resumption",
    "resumption",
    "sensitivity",
    "turning_day",
]

_HOME = {
    "Baseline": ("baseline", "Baseline"),
    "CombinedResult": ("combination", "CombinedResult"),
    "CompositeIndex": ("composite", "CompositeIndex"),
    "MonthlyResult": ("monthly_result", "MonthlyResult"),
    "ResumptionResult": ("result", "ResumptionResult"),
    "Source": ("monthly", "Source"),
    "TurningPoint": ("aggregate", "TurningPoint"),
    "change": ("change", "change"),
    "combine": ("combination", "combine"),
    "composite_index": ("composite", "composite_index"),
    "fit_baseline": ("estimate", "baseline_for"),
    "meter_months": ("by_meters", "meter_months"),
    "monthly_resumption": ("monthly", "monthly_resumption"),
    "resumption": ("estimate", "resumption"),
    "sensitivity": ("composite", "sensitivity"),
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
