"""How a shock travels: from company to company, and day by day through an economy's sectors.

>>> from opsroom.decide.propagation import esri, cascade, DynamicInputOutput
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.propagation.companies import CascadeResult, EsriResult, cascade, esri

_HOMES = {
    "CascadeResult": ".companies",
    "EsriResult": ".companies",
    "cascade": ".companies",
    "esri": ".companies",
}

__all__ = ["CascadeResult", "EsriResult", "cascade", "esri"]

__getattr__, __dir__ = lazily(__name__, _HOMES)
