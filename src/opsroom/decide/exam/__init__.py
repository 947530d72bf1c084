"""The planner's exam: allocation by an optimum on imperfect data against prices that nobody plans.

>>> from opsroom.decide.exam import economy, exam
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opsroom.base.lazy import lazily

if TYPE_CHECKING:
    from opsroom.decide.exam.examining import exam
    from opsroom.decide.exam.market import Market
    from opsroom.decide.exam.planner import Knowledge, Planner
    from opsroom.decide.exam.result import ExamResult
    from opsroom.decide.exam.structure import Economy, economy

_HOMES = {
    "Economy": ".structure",
    "ExamResult": ".result",
    "Knowledge": ".planner",
    "Market": ".market",
    "Planner": ".planner",
    "economy": ".structure",
    "exam": ".examining",
}

__all__ = ["Economy", "ExamResult", "Knowledge", "Market", "Planner", "economy", "exam"]

__getattr__, __dir__ = lazily(__name__, _HOMES)
