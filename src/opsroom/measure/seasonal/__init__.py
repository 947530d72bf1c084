"""Seasonal adjustment of monthly and quarterly series: STL by default, X-13 as an extra, one result for both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.seasonal.adjust import seasonal_adjust, seasonal_adjust_all
    from opsroom.measure.seasonal.result import SeasonalResult
    from opsroom.measure.seasonal.terms import Event, easter_share, event_share, leap_year, trading_days

_HOMES = {
    "Event": ".terms",
    "SeasonalResult": ".result",
    "easter_share": ".terms",
    "event_share": ".terms",
    "leap_year": ".terms",
    "seasonal_adjust": ".adjust",
    "seasonal_adjust_all": ".adjust",
    "trading_days": ".terms",
}

__all__ = [
    "Event",
    "SeasonalResult",
    "easter_share",
    "event_share",
    "leap_year",
    "seasonal_adjust",
    "seasonal_adjust_all",
    "trading_days",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
