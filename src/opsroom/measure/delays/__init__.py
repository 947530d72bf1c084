"""Reporting-delay nowcast: how many there really were, of those whose reports are still coming in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.delays.ladder import LadderFit, chain_ladder, mack_error, odp_error
    from opsroom.measure.delays.nowcast import nowcast_delays
    from opsroom.measure.delays.rehearse import rehearse_delays, score_delays
    from opsroom.measure.delays.result import DelayResult
    from opsroom.measure.delays.triangle import ReportingTriangle, reporting_triangle

_HOMES = {
    "DelayResult": ".result",
    "LadderFit": ".ladder",
    "ReportingTriangle": ".triangle",
    "chain_ladder": ".ladder",
    "mack_error": ".ladder",
    "nowcast_delays": ".nowcast",
    "odp_error": ".ladder",
    "rehearse_delays": ".rehearse",
    "reporting_triangle": ".triangle",
    "score_delays": ".rehearse",
}

__all__ = [
    "DelayResult",
    "LadderFit",
    "ReportingTriangle",
    "chain_ladder",
    "mack_error",
    "nowcast_delays",
    "odp_error",
    "rehearse_delays",
    "reporting_triangle",
    "score_delays",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
