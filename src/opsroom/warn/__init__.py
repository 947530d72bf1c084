"""What is out of line with its own history, what would spread, and how often such warnings were right.

``from opsroom.warn.delinquency import delinquency``, ``from opsroom.warn.credit_gap import credit_gap``,
``from opsroom.warn.early_warning import track_record``, ``from opsroom.warn import exposure_network, debtrank, gsadf``.
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
    from opsroom.warn.exuberance import gsadf, monitor, panel_gsadf, scan

_HOMES = {
    "CascadeResult": ".contagion.failures",
    "ClearingResult": ".contagion.payments",
    "CreditResult": ".contagion.credit",
    "DebtRankResult": ".contagion.distress",
    "EnsembleResult": ".contagion.ensembles",
    "FireSaleResult": ".contagion.sales",
    "FitnessModel": ".contagion.fitness",
    "Links": ".contagion.links",
    "Network": ".contagion.network",
    "SystemicResult": ".contagion.importance",
    "cascade": ".contagion.failures",
    "clearing": ".contagion.payments",
    "credit_supply": ".contagion.credit",
    "debtrank": ".contagion.distress",
    "exposure_network": ".contagion.network",
    "fitness_model": ".contagion.fitness",
    "gsadf": ".exuberance",
    "leverage_targeting": ".contagion.sales",
    "leverage_threshold": ".contagion.sales",
    "maximum_entropy": ".contagion.margins",
    "minimum_density": ".contagion.density",
    "monitor": ".exuberance",
    "networks": ".contagion.ensembles",
    "over_networks": ".contagion.ensembles",
    "panel_gsadf": ".exuberance",
    "scan": ".exuberance",
    "systemic": ".contagion.shocks",
}

__all__ = [
    "CascadeResult",
    "ClearingResult",
    "CreditResult",
    "DebtRankResult",
    "EnsembleResult",
    "FireSaleResult",
    "FitnessModel",
    "Links",
    "Network",
    "SystemicResult",
    "cascade",
    "clearing",
    "credit_supply",
    "debtrank",
    "exposure_network",
    "fitness_model",
    "gsadf",
    "leverage_targeting",
    "leverage_threshold",
    "maximum_entropy",
    "minimum_density",
    "monitor",
    "networks",
    "over_networks",
    "panel_gsadf",
    "scan",
    "systemic",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
