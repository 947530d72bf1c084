"""Shortages and concentration: where demand exceeds supply, and on how few suppliers, countries or providers one rests.

``from opsroom.warn.bottlenecks import excess_demand, supplier_concentration, import_dependence, provider_dependence``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.warn.bottlenecks.demand import ExcessDemand, excess_demand
    from opsroom.warn.bottlenecks.imports import ImportDependence, import_dependence
    from opsroom.warn.bottlenecks.providers import ProviderDependence, provider_dependence
    from opsroom.warn.bottlenecks.suppliers import SupplierConcentration, supplier_concentration

_HOMES = {
    "ExcessDemand": ".demand",
    "ImportDependence": ".imports",
    "ProviderDependence": ".providers",
    "SupplierConcentration": ".suppliers",
    "excess_demand": ".demand",
    "import_dependence": ".imports",
    "provider_dependence": ".providers",
    "supplier_concentration": ".suppliers",
}

__all__ = [
    "ExcessDemand",
    "ImportDependence",
    "ProviderDependence",
    "SupplierConcentration",
    "excess_demand",
    "import_dependence",
    "provider_dependence",
    "supplier_concentration",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
