"""Adjustment of one series or of many thousands for weather, weekday, season and holidays.

``batch`` solves penalised, robust regressions of many series on one design in bounded memory;
``days`` says what kind of day a date is; ``terms`` turns dates and weather into a design.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsroom.measure.adjust.batch import BatchFit, fit_batch
    from opsroom.measure.adjust.days import calendar_days
    from opsroom.measure.adjust.terms import DayDesign

__all__ = ["BatchFit", "DayDesign", "calendar_days", "fit_batch"]

_HOME = {"BatchFit": "batch", "fit_batch": "batch", "calendar_days": "days", "DayDesign": "terms"}


def __getattr__(name: str) -> Any:
    """Import a public name from its module at first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
