"""The synthetic economy: Meridia, a country whose truth is known, generated from a seed at any size.

It shows that the machinery works, not that a policy does. The world is lazy: nothing heavy happens until
deliveries or truth are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.economy.delivery import Delivery
    from opsroom.economy.scenario import Scenario
    from opsroom.economy.truth import Truth
    from opsroom.economy.world import World, meridia

__all__ = ["Delivery", "Scenario", "Truth", "World", "meridia"]

_HOMES = {
    "Delivery": ".delivery",
    "Scenario": ".scenario",
    "Truth": ".truth",
    "World": ".world",
    "meridia": ".world",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
