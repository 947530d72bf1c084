"""Restriction index in OxCGRT form: how much is forbidden, where, and what that means for sectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

_HOME = {
    "EDITIONS": "index",
    "INDICATORS": "index",
    "Indicator": "index",
    "RestrictionResult": "index",
    "daily_values": "register",
    "restricted_shares": "register",
    "restriction_index": "index",
    "shares_from_register": "register",
    "sub_index": "index",
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


def __getattr__(name: str) -> Any:  # a lazy export may be anything
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_HOME[name]}")

    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return __all__
