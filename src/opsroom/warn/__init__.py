"""What is out of line with its own history, what would spread, and how often such warnings were right.

``from opsroom.warn.delinquency import delinquency``, ``from opsroom.warn.credit_gap import credit_gap``,
``from opsroom.warn.early_warning import track_record``, ``from opsroom.warn.contagion import maximum_entropy``; what is
asked for most stands here: ``from opsroom.warn import gsadf, exposure_network, debtrank``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.warn.contagion import cascade, clearing, debtrank, exposure_network, systemic
    from opsroom.warn.exuberance import gsadf, monitor, panel_gsadf, scan

_HOMES = {
    "cascade": ".contagion",
    "clearing": ".contagion",
    "debtrank": ".contagion",
    "exposure_network": ".contagion",
    "gsadf": ".exuberance",
    "monitor": ".exuberance",
    "panel_gsadf": ".exuberance",
    "scan": ".exuberance",
    "systemic": ".contagion",
}

__all__ = [
    "cascade",
    "clearing",
    "debtrank",
    "exposure_network",
    "gsadf",
    "monitor",
    "panel_gsadf",
    "scan",
    "systemic",
]

__getattr__, __dir__ = lazily(__name__, _HOMES)
