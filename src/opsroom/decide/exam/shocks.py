"""What befalls an economy: shocks to capacities, wants and recipes, drawn by seed, and what is known of them when."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.base.errors import UsageError
from opsroom.decide.exam.structure import Economy, Floats

WEEKS = 20
LEAD = 4
"""Weeks before its start from which an announced shock is known."""
CAPACITIES, WANTS, RECIPES = 4, 2, 1
"""Shocks of each kind in one draw."""
LEAST_LEFT = 0.1
"""Share of a capacity or a want that no shock takes."""
_RECOVERY = 3
_FIRST = (3, 11)
_LAST = (4, 9)


@dataclass(frozen=True, slots=True)
class Shock:
    """One shock: what it hits, by how much, when, and whether it was announced."""

    kind: str
    """``capacity``, ``want`` or ``recipe``."""
    sector: int
    change: float
    """Relative change at its worst: -0.3 takes 30 %."""
    start: int
    length: int
    announced: bool

    def profile(self, week: int) -> float:
        """Return how much of the shock is felt in a week: all of it, then less by equal steps."""
        return _felt(week - self.start, self.length)

    def expected(self, week: int, known: int) -> float:
        """Return how much of it is expected in a week by somebody who knows all that could be known in `known`.

        An announced shock's course is known from `LEAD` weeks before its start. Of one that was not announced nothing
        is known before it is felt. Then it is known how long such shocks may last, and the mean over all lengths that
        are still possible is expected.
        """
        if self.announced and known >= self.start - LEAD:
            return self.profile(week)
        age = known - self.start
        if age < 0:
            return 0.0
        if age >= self.length:
            return self.profile(week)
        possible = range(max(age + 1, _LAST[0]), _LAST[1])
        return sum(_felt(week - self.start, length) for length in possible) / len(possible)


def _felt(age: int, length: int) -> float:
    if age < 0:
        return 0.0
    return 1.0 if age < length else max(0.0, 1.0 - (age - length + 1) / (_RECOVERY + 1))


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Capacities, wants and recipes by week: weeks x sectors, and weeks x sectors x sectors."""

    capacity: Floats
    wanted: Floats
    a: Floats

    def __len__(self) -> int:
        return len(self.capacity)


@dataclass(frozen=True, slots=True)
class Draw:
    """The shocks of one seed."""

    shocks: tuple[Shock, ...]
    weeks: int

    def truth(self, e: Economy) -> Course:
        """Return what happens."""
        return self._course(e, [[s.profile(t) for s in self.shocks] for t in range(self.weeks)])

    def expected(self, e: Economy, *, known: int, start: int, count: int) -> Course:
        """Return what is expected of weeks `start` … by somebody who knows all that could be known in week `known`."""
        return self._course(e, [[s.expected(t, known) for s in self.shocks] for t in range(start, start + count)])

    def _course(self, e: Economy, felt: list[list[float]]) -> Course:
        weeks = len(felt)
        capacity, wanted = np.tile(e.capacity, (weeks, 1)), np.tile(e.final, (weeks, 1))
        a = np.tile(e.a, (weeks, 1, 1))
        for k, shock in enumerate(self.shocks):
            factor = 1.0 + shock.change * np.array([row[k] for row in felt])
            if shock.kind == "capacity":
                capacity[:, shock.sector] *= factor
            elif shock.kind == "want":
                wanted[:, shock.sector] *= factor
            else:
                a[:, shock.sector, :] *= factor[:, None]
        return Course(np.maximum(capacity, LEAST_LEFT * e.capacity), np.maximum(wanted, LEAST_LEFT * e.final), a)


def draw(e: Economy, *, seed: int, size: float, surprise: float, weeks: int = WEEKS) -> Draw:
    """Draw the shocks of one seed.

    Parameters
    ----------
    e
        The economy.
    seed
        Seeds of equal number have the same shocks in the same sectors and weeks at every size and surprise: only how
        deep they are and how many come unannounced differs.
    size
        Mean share that a shock to capacity takes, from 0 to below 1.
    surprise
        Share of shocks that are not announced, from 0 to 1.
    weeks
        Length of the exam.

    Notes
    -----
    Sectors are drawn by their output, depths uniform between half the size and one and a half. Wants rise or fall by
    as much; recipes come to need half as much more of one input.
    """
    if not (0.0 <= size < 1.0 and 0.0 <= surprise <= 1.0) or weeks < 4:
        raise UsageError("size is a share below 1, surprise one up to 1, and an exam lasts 4 weeks or more.")
    rng = np.random.default_rng([seed, 1])
    odds = e.output / e.output.sum()
    found = []
    for kind, number in (("capacity", CAPACITIES), ("want", WANTS), ("recipe", RECIPES)):
        hit = rng.choice(e.size, size=min(number, e.size), replace=False, p=odds)
        for sector in hit:
            depth = min(size * rng.uniform(0.5, 1.5), 1.0 - LEAST_LEFT)
            sign = rng.choice([-1.0, 1.0])
            start, length = int(rng.integers(*_FIRST)), int(rng.integers(*_LAST))
            told = bool(rng.uniform() >= surprise)
            change = {"capacity": -depth, "want": sign * depth, "recipe": 0.5 * depth}[kind]
            found.append(Shock(kind, int(sector), change, start, length, told))
    return Draw(tuple(found), weeks)
