"""Explosive behaviour of prices and ratios: tests, dates, panels, monitoring, and thousands of series.

``from opsroom.warn.exuberance import gsadf, panel_gsadf, monitor, scan``. Explosive is neither mispriced nor about to
crash: run it on ratios of prices to what should carry them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.warn.exuberance.critical import CriticalValues, monte_carlo_values
    from opsroom.warn.exuberance.discovery import OnlineDiscovery
    from opsroom.warn.exuberance.episodes import Episode
    from opsroom.warn.exuberance.explosive import gsadf
    from opsroom.warn.exuberance.panel import PanelResult, panel_gsadf
    from opsroom.warn.exuberance.result import ExuberanceResult
    from opsroom.warn.exuberance.rounds import RatioRounds, watch_ratios
    from opsroom.warn.exuberance.screening import ScanResult, scan
    from opsroom.warn.exuberance.singularity import LpplsResult, lppls_confidence
    from opsroom.warn.exuberance.surveillance import MonitorResult, monitor

_HOMES = {
    "CriticalValues": ".critical",
    "Episode": ".episodes",
    "ExuberanceResult": ".result",
    "LpplsResult": ".singularity",
    "MonitorResult": ".surveillance",
    "OnlineDiscovery": ".discovery",
    "PanelResult": ".panel",
    "RatioRounds": ".rounds",
    "ScanResult": ".screening",
    "gsadf": ".explosive",
    "lppls_confidence": ".singularity",
    "monitor": ".surveillance",
    "monte_carlo_values": ".critical",
    "panel_gsadf": ".panel",
    "scan": ".screening",
    "watch_ratios": ".rounds",
}

__all__ = [
    "CriticalValues",
    "Episode",
    "ExuberanceResult",
    "LpplsResult",
    "MonitorResult",
    "OnlineDiscovery",
    "PanelResult",
    "RatioRounds",
    "ScanResult",
    "gsadf",
    "lppls_confidence",
    "monitor",
    "monte_carlo_values",
    "panel_gsadf",
    "scan",
    "watch_ratios",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
