"""Explosive behaviour of prices and ratios: tests, dates, panels, monitoring, and thousands of series.

``from opsroom.warn.exuberance import gsadf, panel_gsadf, monitor, scan``. Explosive is neither mispriced nor about to
crash: run it on ratios of prices to what should carry them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.warn.exuberance.critical import CriticalValues, monte_carlo_values
    from opsroom.warn.exuberance.episodes import Episode
    from opsroom.warn.exuberance.explosive import gsadf
    from opsroom.warn.exuberance.result import ExuberanceResult

_HOMES = {
    "CriticalValues": ".critical",
    "Episode": ".episodes",
    "ExuberanceResult": ".result",
    "gsadf": ".explosive",
    "monte_carlo_values": ".critical",
}

__all__ = ["CriticalValues", "Episode", "ExuberanceResult", "gsadf", "monte_carlo_values"]

__getattr__, __dir__ = lazily(__name__, _HOMES)
