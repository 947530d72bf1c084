"""Flows of goods, people, capital and data: on one base, by lunar day, with how they took a shock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.flows.companies import CompanyFlowsResult, company_flows
    from opsroom.measure.flows.engine import Flow, flows
    from opsroom.measure.flows.lunar import by_month, counterpart, new_years, on_earlier_years
    from opsroom.measure.flows.recovery import Measured, Resilience, resilience
    from opsroom.measure.flows.result import FlowsResult

_HOMES = {
    "CompanyFlowsResult": ".companies",
    "Flow": ".engine",
    "FlowsResult": ".result",
    "Measured": ".recovery",
    "Resilience": ".recovery",
    "by_month": ".lunar",
    "company_flows": ".companies",
    "counterpart": ".lunar",
    "flows": ".engine",
    "new_years": ".lunar",
    "on_earlier_years": ".lunar",
    "resilience": ".recovery",
}

__all__ = [
    "CompanyFlowsResult",
    "Flow",
    "FlowsResult",
    "Measured",
    "Resilience",
    "by_month",
    "company_flows",
    "counterpart",
    "flows",
    "new_years",
    "on_earlier_years",
    "resilience",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
