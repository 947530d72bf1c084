"""How a shock travels: from company to company, and day by day through an economy's sectors.

>>> from opsroom.decide.propagation import esri, cascade, DynamicInputOutput, Ario
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.propagation.ario import Ario, Reaction
    from opsroom.decide.propagation.ario_path import ArioPath
    from opsroom.decide.propagation.companies import CascadeResult, EsriResult, cascade, esri
    from opsroom.decide.propagation.draws import Ensemble, ensemble
    from opsroom.decide.propagation.dynamic import Behaviour, DynamicInputOutput, spell
    from opsroom.decide.propagation.path import DynamicPath
    from opsroom.decide.propagation.regions import RegionalPath, split, spread
    from opsroom.decide.propagation.scenario import Scenario, read_scenario

_HOMES = {
    "Ario": ".ario",
    "ArioPath": ".ario_path",
    "Behaviour": ".dynamic",
    "CascadeResult": ".companies",
    "DynamicInputOutput": ".dynamic",
    "DynamicPath": ".path",
    "Ensemble": ".draws",
    "EsriResult": ".companies",
    "Reaction": ".ario",
    "RegionalPath": ".regions",
    "Scenario": ".scenario",
    "cascade": ".companies",
    "ensemble": ".draws",
    "esri": ".companies",
    "read_scenario": ".scenario",
    "spell": ".dynamic",
    "split": ".regions",
    "spread": ".regions",
}

__all__ = [
    "Ario",
    "ArioPath",
    "Behaviour",
    "CascadeResult",
    "DynamicInputOutput",
    "DynamicPath",
    "Ensemble",
    "EsriResult",
    "Reaction",
    "RegionalPath",
    "Scenario",
    "cascade",
    "ensemble",
    "esri",
    "read_scenario",
    "spell",
    "split",
    "spread",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
