"""Contagion: how losses run through a network of claims and through common holdings, and who matters in it.

>>> from opsroom.warn.contagion import exposure_network, maximum_entropy, debtrank

One axis convention throughout: **rows lend**. Entry (i, j) is what i would lose on j. Every result is confidential;
only sums by sector with contributors behind them can be handed to the gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.warn.contagion.distress import DebtRankResult, debtrank
    from opsroom.warn.contagion.links import Links
    from opsroom.warn.contagion.margins import maximum_entropy
    from opsroom.warn.contagion.network import Network, exposure_network
    from opsroom.warn.contagion.shocks import systemic
    from opsroom.warn.contagion.importance import SystemicResult

_HOMES = {
    "DebtRankResult": ".distress",
    "Links": ".links",
    "Network": ".network",
    "SystemicResult": ".importance",
    "debtrank": ".distress",
    "exposure_network": ".network",
    "maximum_entropy": ".margins",
    "systemic": ".shocks",
}

__all__ = ["DebtRankResult", "Links", "Network", "SystemicResult", "debtrank", "exposure_network", "maximum_entropy", "systemic"]

__getattr__, __dir__ = lazily(__name__, _HOMES)
