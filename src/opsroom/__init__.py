"""Opsroom: observe, measure, warn, decide, evaluate, with disclosure control at every way out.

Every name is loaded at its first use (PEP 562), so that ``import opsroom`` loads no pandas, numba or altair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom._version import __version__
from opsroom.base.lazy import lazily as _lazily

if TYPE_CHECKING:
    from opsroom.base import errors as errors
    from opsroom.base.results import Cells as Cells
    from opsroom.base.specs import DatasetSpec as DatasetSpec
    from opsroom.decide.relief import relief as relief
    from opsroom.economy import meridia as meridia
    from opsroom.measure.activity import activity_index as activity_index
    from opsroom.measure.nowcast import nowcast as nowcast
    from opsroom.measure.resumption import resumption as resumption
    from opsroom.protect import Release as Release
    from opsroom.protect import Releases as Releases
    from opsroom.protect import Rules as Rules
    from opsroom.room import Room as Room
    from opsroom.warn.credit_gap import credit_gap as credit_gap
    from opsroom.warn.delinquency import delinquency as delinquency

__all__ = [
    "Cells",
    "DatasetSpec",
    "Release",
    "Releases",
    "Room",
    "Rules",
    "__version__",
    "activity_index",
    "credit_gap",
    "delinquency",
    "errors",
    "meridia",
    "nowcast",
    "relief",
    "resumption",
]

_HOMES = {
    "Cells": "opsroom.base.results",
    "DatasetSpec": "opsroom.base.specs",
    "Release": "opsroom.protect",
    "Releases": "opsroom.protect",
    "Room": "opsroom.room",
    "Rules": "opsroom.protect",
    "activity_index": "opsroom.measure.activity",
    "credit_gap": "opsroom.warn.credit_gap",
    "delinquency": "opsroom.warn.delinquency",
    "errors": "opsroom.base.errors:",
    "meridia": "opsroom.economy",
    "nowcast": "opsroom.measure.nowcast",
    "relief": "opsroom.decide.relief",
    "resumption": "opsroom.measure.resumption",
}

__getattr__, __dir__ = _lazily(__name__, _HOMES)
