"""Credit booms: gaps of credit to GDP, what drives them, debt service, sectors, and debt in foreign currency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import callable_as, lazily

if TYPE_CHECKING:
    from opsroom.warn.credit_gap.basel import buffer_guide, credit_gap, gap_from_levels
    from opsroom.warn.credit_gap.currency import CurrencyMismatch, currency_mismatch
    from opsroom.warn.credit_gap.debt_service import debt_service_ratio, from_own_mean
    from opsroom.warn.credit_gap.result import GapResult
    from opsroom.warn.credit_gap.rounds import CreditRounds, watch_credit
    from opsroom.warn.credit_gap.sectors import SectorGaps, register_cells, sector_gaps
    from opsroom.warn.credit_gap.short import change_gap, growth_gap, hamilton_gap
    from opsroom.warn.credit_gap.trend import BURN_IN, LAMBDA, one_sided_trend
    from opsroom.warn.credit_gap.vintages import gap_on, gaps_as_known, known_on

_HOMES = {
    "BURN_IN": ".trend",
    "CreditRounds": ".rounds",
    "CurrencyMismatch": ".currency",
    "GapResult": ".result",
    "LAMBDA": ".trend",
    "SectorGaps": ".sectors",
    "buffer_guide": ".basel",
    "change_gap": ".short",
    "credit_gap": ".basel",
    "currency_mismatch": ".currency",
    "debt_service_ratio": ".debt_service",
    "from_own_mean": ".debt_service",
    "gap_from_levels": ".basel",
    "gap_on": ".vintages",
    "gaps_as_known": ".vintages",
    "growth_gap": ".short",
    "hamilton_gap": ".short",
    "known_on": ".vintages",
    "one_sided_trend": ".trend",
    "register_cells": ".sectors",
    "sector_gaps": ".sectors",
    "watch_credit": ".rounds",
}

__all__ = [
    "BURN_IN",
    "LAMBDA",
    "CreditRounds",
    "CurrencyMismatch",
    "GapResult",
    "SectorGaps",
    "buffer_guide",
    "change_gap",
    "credit_gap",
    "currency_mismatch",
    "debt_service_ratio",
    "from_own_mean",
    "gap_from_levels",
    "gap_on",
    "gaps_as_known",
    "growth_gap",
    "hamilton_gap",
    "known_on",
    "one_sided_trend",
    "register_cells",
    "sector_gaps",
    "watch_credit",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
callable_as(__name__, "credit_gap")
