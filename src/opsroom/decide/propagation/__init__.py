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
    "cascade": ".companies",
    "ensemble": ".draws",
    "esri": ".companies",
    "spell": ".dynamic",
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
    "cascade",
    "ensemble",
    "esri",
    "spell",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
