"""Reporting-delay nowcast: how many there really were, of those whose reports are still coming in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opsroom.measure.delays.ladder import LadderFit, chain_ladder, mack_error, odp_error
    from opsroom.measure.delays.nowcast import nowcast_delays
    from opsroom.measure.delays.rehearse import rehearse_delays, score_delays
    from opsroom.measure.delays.result import DelayResult
    from opsroom.measure.delays.triangle import ReportingTriangle, reporting_triangle

_HOME = {
    "DelayResult": "result",
    "LadderFit": "ladder",
    "ReportingTriangle": "triangle",
    "chain_ladder": "ladder",
    "mack_error": "ladder",
    "nowcast_delays": "nowcast",
    "odp_error": "ladder",
    "rehearse_delays": "rehearse",
    "reporting_triangle": "triangle",
    "score_delays": "rehearse",
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


def __getattr__(name: str) -> Any:  # a lazy export may be anything
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_HOME[name]}")

    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return __all__
