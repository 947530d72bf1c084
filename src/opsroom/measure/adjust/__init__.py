"""Adjustment of one series or of many thousands for weather, weekday, season and holidays.

``days`` says what kind of day a date is, ``feasts`` which feasts move through the year; ``terms`` turns dates and
weather into a design. ``shared`` fits very many series on one design by one factorisation, ``batch`` a few; ``breaks``
finds steps in level; ``spread`` is the law of rehearsed forecasts' errors. ``customers`` follows customers through
their meters, ``panel`` fits the normal of each (``units`` out of a table, on either engine), ``rollup`` adds observed
and expected use up by cell and week.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.adjust.batch import BatchFit, fit_batch
    from opsroom.measure.adjust.breaks import Steps, find_steps
    from opsroom.measure.adjust.customers import Customers, follow_customers
    from opsroom.measure.adjust.days import calendar_days
    from opsroom.measure.adjust.feasts import moving_feasts
    from opsroom.measure.adjust.panel import Ground, PanelNormal, adjust_panel
    from opsroom.measure.adjust.rollup import Rollup, roll_up
    from opsroom.measure.adjust.shared import Shared
    from opsroom.measure.adjust.terms import DayDesign
    from opsroom.measure.adjust.units import Columns, UnitNormals, adjust_units

_HOMES = {
    "BatchFit": ".batch", "Columns": ".units", "Customers": ".customers", "DayDesign": ".terms", "Ground": ".panel",
    "PanelNormal": ".panel", "Rollup": ".rollup", "Shared": ".shared", "Steps": ".breaks", "UnitNormals": ".units",
    "adjust_panel": ".panel", "adjust_units": ".units", "calendar_days": ".days", "find_steps": ".breaks",
    "fit_batch": ".batch", "follow_customers": ".customers", "moving_feasts": ".feasts", "roll_up": ".rollup",
}  # fmt: skip

__all__ = [
    "BatchFit", "Columns", "Customers", "DayDesign", "Ground", "PanelNormal", "Rollup", "Shared", "Steps",
    "UnitNormals", "adjust_panel", "adjust_units", "calendar_days", "find_steps", "fit_batch", "follow_customers",
    "moving_feasts", "roll_up",
]  # fmt: skip

__getattr__, __dir__ = lazily(__name__, _HOMES)
