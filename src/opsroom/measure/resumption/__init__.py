"""Work resumption from company meters and monthly records: who is back at work, corrected, with its uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.resumption.aggregate import TurningPoint, turning_day
    from opsroom.measure.resumption.baseline import Baseline
    from opsroom.measure.resumption.by_meters import meter_months
    from opsroom.measure.resumption.changes import change
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

_HOMES = {
    "Baseline": ".baseline",
    "CombinedResult": ".combination",
    "CompositeIndex": ".composite",
    "MonthlyResult": ".monthly_result",
    "ResumptionResult": ".result",
    "Source": ".monthly",
    "TurningPoint": ".aggregate",
    "change": ".changes",
    "combine": ".combination",
    "composite_index": ".composite",
    "fit_baseline": ".estimate:baseline_for",
    "meter_months": ".by_meters",
    "monthly_resumption": ".monthly",
    "resumption": ".estimate",
    "sensitivity": ".composite",
    "turning_day": ".aggregate",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
