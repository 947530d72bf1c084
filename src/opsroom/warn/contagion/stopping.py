"""When rounds that climb to a limit may end: when the error is small, not when the step is."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from opsroom.base.errors import UsageError

IN_A_ROW = 2
"""Rounds in a row that must say so: a small change may be about to meet a small buffer, and then is a large one."""


@dataclass(slots=True)
class Stop:
    """The bookkeeping of one climb.

    The steps of a linear iteration decline by a rate r < 1 in the end, so what is still missing is about the last
    step times ``r / (1 - r)``. The larger of the last two rates is taken, and where steps still grow nothing is said
    to be near.
    """

    tolerance: float
    step: float = inf
    rate: float = inf
    calm: int = 0
    error: float = inf
    settled: bool = False

    def note(self, step: float, fresh: int = 0) -> bool:
        """Note the largest step of a round and how many nodes it reached first; return whether it was the last."""
        if step == 0.0:
            rate = self.error = 0.0
        else:
            rate = step / self.step if 0.0 < self.step < inf else inf
            worst = rate if self.rate == inf else max(rate, self.rate)
            self.error = step * worst / (1.0 - worst) if worst < 1.0 else inf
        near = self.error <= self.tolerance and fresh == 0
        self.step, self.rate, self.calm = step, rate, self.calm + 1 if near else 0
        self.settled = near and (self.calm >= IN_A_ROW or step == 0.0)
        return self.settled


def check(tolerance: float, max_rounds: int) -> None:
    """Refuse rounds that could not end.

    Raises
    ------
    UsageError
        A tolerance or number of rounds that is not positive.
    """
    if not (tolerance > 0 and max_rounds >= 1):
        raise UsageError(
            "tolerance and number of rounds must be positive.", remedy="Use the defaults.", code="OPS-U207"
        )
