"""Contagion: how losses run through a network of claims and through common holdings, and who matters in it.

>>> from opsroom.warn.contagion import exposure_network, maximum_entropy, debtrank

One axis convention throughout: **rows lend**. Entry (i, j) is what i would lose on j. Every result is confidential;
only sums by sector with contributors behind them can be handed to the gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.warn.contagion.credit import CreditResult, credit_supply
    from opsroom.warn.contagion.density import minimum_density
    from opsroom.warn.contagion.distress import DebtRankResult, debtrank
    from opsroom.warn.contagion.ensembles import EnsembleResult, networks, over_networks
    from opsroom.warn.contagion.failures import CascadeResult, cascade
    from opsroom.warn.contagion.fitness import FitnessModel, fitness_model
    from opsroom.warn.contagion.importance import SystemicResult
    from opsroom.warn.contagion.links import Links
    from opsroom.warn.contagion.margins import maximum_entropy
    from opsroom.warn.contagion.network import Network, exposure_network
    from opsroom.warn.contagion.payments import ClearingResult, clearing
    from opsroom.warn.contagion.sales import FireSaleResult, leverage_targeting, leverage_threshold
    from opsroom.warn.contagion.shocks import systemic
    from opsroom.warn.contagion.standing import Standing, standing_of
    from opsroom.warn.contagion.what_if import Assumptions, WhatIfResult, stress

_HOMES = {
    "Assumptions": ".what_if",
    "CascadeResult": ".failures",
    "ClearingResult": ".payments",
    "CreditResult": ".credit",
    "DebtRankResult": ".distress",
    "EnsembleResult": ".ensembles",
    "FireSaleResult": ".sales",
    "FitnessModel": ".fitness",
    "Links": ".links",
    "Network": ".network",
    "Standing": ".standing",
    "WhatIfResult": ".what_if",
    "SystemicResult": ".importance",
    "cascade": ".failures",
    "clearing": ".payments",
    "credit_supply": ".credit",
    "debtrank": ".distress",
    "exposure_network": ".network",
    "fitness_model": ".fitness",
    "leverage_targeting": ".sales",
    "leverage_threshold": ".sales",
    "maximum_entropy": ".margins",
    "minimum_density": ".density",
    "networks": ".ensembles",
    "over_networks": ".ensembles",
    "standing_of": ".standing",
    "stress": ".what_if",
    "systemic": ".shocks",
}

__all__ = [
    "Assumptions",
    "CascadeResult",
    "ClearingResult",
    "CreditResult",
    "DebtRankResult",
    "EnsembleResult",
    "FireSaleResult",
    "FitnessModel",
    "Links",
    "Network",
    "Standing",
    "SystemicResult",
    "WhatIfResult",
    "cascade",
    "clearing",
    "credit_supply",
    "debtrank",
    "exposure_network",
    "fitness_model",
    "leverage_targeting",
    "leverage_threshold",
    "maximum_entropy",
    "minimum_density",
    "networks",
    "over_networks",
    "standing_of",
    "stress",
    "systemic",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
