"""A payment holiday on company loans: who runs out of cash with it, who without, and who pays.

The question is asked on company microdata: each company's cash is carried forward month by month under many
drawn recoveries, the same for every option, and the day on which it can no longer pay is noted.

>>> from opsroom.decide.relief import Holiday, relief, deadline, liquidity, firms_from_tables

A company that has run out of cash is *illiquid*, not failed; its jobs are *at risk*, not lost. Sums deferred
are not a cost, and no two of deferred sums, outlay, expected loss and contingent liability are ever added up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.relief.buffers import LiquidityResult, liquidity
    from opsroom.decide.relief.deadlines import DeadlineResult, deadline
    from opsroom.decide.relief.firms import FIRM_COLUMNS, firms_from_tables
    from opsroom.decide.relief.habits import Habits
    from opsroom.decide.relief.losses import Losses
    from opsroom.decide.relief.options import NONE, Holiday
    from opsroom.decide.relief.recovery import Recovery
    from opsroom.decide.relief.response import Response
    from opsroom.decide.relief.result import ReliefResult
    from opsroom.decide.relief.run import relief

__all__ = [
    "FIRM_COLUMNS",
    "NONE",
    "DeadlineResult",
    "Habits",
    "Holiday",
    "LiquidityResult",
    "Losses",
    "Recovery",
    "ReliefResult",
    "Response",
    "deadline",
    "firms_from_tables",
    "liquidity",
    "relief",
]

_HOMES = {
    "FIRM_COLUMNS": ".firms",
    "NONE": ".options",
    "DeadlineResult": ".deadlines",
    "Habits": ".habits",
    "Holiday": ".options",
    "LiquidityResult": ".buffers",
    "Losses": ".losses",
    "Recovery": ".recovery",
    "ReliefResult": ".result",
    "Response": ".response",
    "deadline": ".deadlines",
    "firms_from_tables": ".firms",
    "liquidity": ".buffers",
    "relief": ".run",
}

__getattr__, __dir__ = lazily(__name__, _HOMES)
