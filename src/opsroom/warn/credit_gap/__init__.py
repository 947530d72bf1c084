"""Credit booms: gaps of credit to GDP, what drives them, debt service, sectors, and debt in foreign currency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.warn.credit_gap.basel import buffer_guide, credit_gap, gap_from_levels
    from opsroom.warn.credit_gap.result import GapResult
    from opsroom.warn.credit_gap.trend import BURN_IN, LAMBDA, one_sided_trend

_HOMES = {
    "BURN_IN": ".trend",
    "GapResult": ".result",
    "LAMBDA": ".trend",
    "buffer_guide": ".basel",
    "credit_gap": ".basel",
    "gap_from_levels": ".basel",
    "one_sided_trend": ".trend",
}

__all__ = [
    "BURN_IN",
    "LAMBDA",
    "GapResult",
    "buffer_guide",
    "credit_gap",
    "gap_from_levels",
    "one_sided_trend",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
