"""What is out of line with its own history: loans, credit, prices.

``from opsroom.warn.delinquency import delinquency``, ``from opsroom.warn.credit_gap import credit_gap`` and
``from opsroom.warn import gsadf``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.warn.exuberance import gsadf, monitor, panel_gsadf, scan

_HOMES = {
    "gsadf": ".exuberance",
    "monitor": ".exuberance",
    "panel_gsadf": ".exuberance",
    "scan": ".exuberance",
}

__all__ = ["gsadf", "monitor", "panel_gsadf", "scan"]

__getattr__, __dir__ = lazily(__name__, _HOMES)
