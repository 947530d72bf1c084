"""Restriction index in OxCGRT form: how much is forbidden, where, and what that means for sectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.measure.restriction.index import (
        EDITIONS,
        INDICATORS,
        Indicator,
        RestrictionResult,
        restriction_index,
        sub_index,
    )
    from opsroom.measure.restriction.register import daily_values, restricted_shares, shares_from_register

_HOMES = {
    "EDITIONS": ".index",
    "INDICATORS": ".index",
    "Indicator": ".index",
    "RestrictionResult": ".index",
    "daily_values": ".register",
    "restricted_shares": ".register",
    "restriction_index": ".index",
    "shares_from_register": ".register",
    "sub_index": ".index",
}

__all__ = [
    "EDITIONS",
    "INDICATORS",
    "Indicator",
    "RestrictionResult",
    "daily_values",
    "restricted_shares",
    "restriction_index",
    "shares_from_register",
    "sub_index",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
