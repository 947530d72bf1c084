"""Complementary suppression against estimation: hide more, until witnesses reach every protection interval.

For each sensitive quantity, upwards and downwards, the cheapest move (`opsroom.protect.programme`) is looked
for that shifts it to the end of its protection interval without shifting anything that is known; what the move
shifts and is still shown gets hidden. A move is kept as a *witness*: a table that every attacker must think
possible, and most serve several quantities at once (`opsroom.protect.pool`). Then it is looked for what was
hidden in vain, dearest first. The checker (`opsroom.protect.certificate`) verifies the witnesses by itself.

The order (widest interval first) and the charge for a quantity by the share of the need that runs through it
follow Kelly, Golden & Assad (1992) and Fischetti & Salazar (2001); that one witness serves many quantities,
and that single contributors get witnesses of their own, is opsroom's.

References
----------
Kelly, J. P., Golden, B. L., Assad, A. A. (1992), Cell suppression: disclosure protection for sensitive tabular
data, Networks 22. Fischetti, M., Salazar, J. J. (2001), Solving the cell suppression problem on tabular data
with linear constraints, Management Science 47.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.protect.pool import Pool
from opsroom.protect.programme import Moves
from opsroom.protect.system import Insiders, System

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Knows = tuple[Ints, Ints, Floats]
"""What somebody knows entirely, what in part, and how far that may fall in its eyes."""

_PARTS = (0.5, 0.25, 0.125, 0.03125)
"""What is tried of the way to a goal that no table reaches whatever is hidden."""

_REST = 1e-9
"""What counts as rounding, relative to a value."""

_FREE = 1e-5
"""Price of moving what is hidden anyway, where the middle price is 1: fewer quantities make a better witness."""

_EFFORT = 2_000
"""Programmes that may be solved in any case to publish again what was hidden in vain."""


_PATIENCE = 1_500_000
"""Large moves that may be looked for, times the quantities of the system, to publish again what was hidden in vain."""


@dataclass(frozen=True, slots=True)
class Shielded:
    """What to hide, and the tables that prove it enough.

    Attributes
    ----------
    hidden
        Units to hide, shape (units,).
    known
        Quantities that the attacker is given, shape (n,).
    witnesses
        Moves, shape (n, witnesses): the true values plus each are a table that attackers must think possible.
    open
        Goals, with the insider or 0, that no table reaches whatever is hidden: what was published before, or what the
        insider knows by itself, says too much. As much of the way to them is gone as can be.
    unsettled
        How many units are hidden of which it was not settled, for want of time, whether that is in vain.
    """

    hidden: Flags
    known: Flags
    witnesses: sp.csc_array
    open: tuple[tuple[int, int, int], ...] = ()
    unsettled: int = 0


def shield(
    system: System,
    units: Sequence[tuple[int, ...]],
    price: Floats,
    *,
    hidden: Flags | None = None,
    before: Flags | None = None,
    minimal: bool = True,
) -> Shielded:
    """Choose what to hide, with the witnesses that it is enough.

    Parameters
    ----------
    system
        The quantities.
    units
        What may be hidden: for each unit the quantities that its publication gives away.
    price
        Price of hiding each unit, positive, shape (units,).
    hidden
        Units that are hidden in any case, shape (units,); those that give a sensitive quantity always are.
    before
        Units that it is begun with, shape (units,), such as those that the last release hid: so the pattern is steady.
        Of them, too, those are published again that are hidden in vain, if there is time.
    minimal
        Publish again what was hidden in vain.

    Returns
    -------
    Shielded
    """
    work = Work(system, units, price, hidden)
    if before is not None:
        work.begin(before)
    for insiders in (False, True):
        work.cover(insiders=insiders)
    if minimal:
        work.clean()
    return work.result()


class Work:
    """A pattern in the making. A goal is twice a quantity, and one more for upwards."""

    def __init__(self, system: System, units: Sequence[tuple[int, ...]], price: Floats, hidden: Flags | None) -> None:
        n = system.size
        self.system, self.units = system, units
        self.forced = np.zeros(len(units), dtype=bool) if hidden is None else hidden.copy()
        """Units that are hidden in any case."""
        middle = float(np.median(price)) if len(price) else 1.0
        self.price = price / (middle if middle > 0 else 1.0)
        self.shown = np.zeros(n, dtype=np.int64)
        """How many shown units give each quantity."""
        self.giving: list[list[int]] = [[] for _ in range(n)]
        sensitive = system.sensitive.tolist()
        for unit, quantities in enumerate(units):
            if any(sensitive[q] for q in quantities):
                self.forced[unit] = True
            for q in quantities:
                self.giving[q].append(unit)
                self.shown[q] += not self.forced[unit]
        self.hidden = self.forced.copy()
        self.before = np.zeros(len(units), dtype=bool)
        """Units that the pattern was begun with."""
        self.charge = np.full(n, _FREE)
        """Price of moving each quantity: that of hiding the shown units that give it."""
        for q in np.flatnonzero(self.shown).tolist():
            self.charge[q] = self._charge(q)
        self.known = (self.shown > 0) | system.fixed
        self.free = np.full(n, _FREE)
        self.above, self.below = system.above.copy(), system.below.copy()
        """How far it is to the goals; less than the system asks for where that cannot be reached."""
        self.partly: dict[tuple[int, int], float] = {}
        """Which part of the way to a goal is gone where no more can be, against an insider or (0) everybody."""
        self.open: set[tuple[int, int]] = set()
        self.sole = np.zeros(n, dtype=np.int64)
        """The only contributor of each quantity, or 0."""
        for insider, cells in system.alone.items():
            self.sole[cells] = insider
        self.pool = Pool(system, self.above, self.below, self.sole)
        self.settled: dict[tuple[int, int], list[int]] = {}
        """Witnesses for one contributor alone, who knows of the lower end of an interval that it is not so low."""
        self.moves = Moves(system)
        self.room: Floats = np.maximum(system.value - system.floor, 0.0)
        self.insiders = Insiders(system)
        self.told: dict[int, Knows] = {}
        self.asked: dict[tuple[int, int], None] = {}
        """Goals and insiders who did not take the first witness for the true table."""
        self.effort = self.patience = 0
        """How many more programmes may be solved to publish again what was hidden in vain, and for large moves."""
        self.unsettled = 0
        """Units of which it was not settled whether they are hidden in vain."""
        self._gave_up = False

    def _charge(self, quantity: int) -> float:
        return float(sum(self.price[u] for u in self.giving[quantity] if not self.hidden[u]))

    def goals(self) -> list[int]:
        """Return what is to be reached, widest interval first."""
        system = self.system
        mine = np.flatnonzero(system.sensitive & ~system.fixed)
        width = np.maximum(system.above, system.below)[mine]
        order = mine[np.argsort(-width, kind="stable")]
        both = np.stack([2 * order + 1, 2 * order], axis=1).ravel()
        far = np.stack([system.above[order], system.below[order]], axis=1).ravel()
        found: list[int] = both[far > 0].tolist()
        return found

    def knows(self, insider: int) -> Knows:
        """Return what a contributor knows, or (below zero) the peers of quantity ``-1 - insider``."""
        if insider not in self.told:
            members = (insider,) if insider > 0 else tuple(self.system.peers[-1 - insider])
            found = self.insiders.knowledge(members)
            left = np.maximum(self.system.value[found.quantities] - found.parts, 0.0)
            self.told[insider] = found.whole, found.quantities, left
        return self.told[insider]

    def _need(self, goal: int, insiders: Collection[int]) -> float:
        width = float(self.above[goal >> 1] if goal & 1 else -self.below[goal >> 1])
        return width * min((self.partly.get((goal, i), 1.0) for i in insiders), default=1.0)

    def wanted(self, goal: int, *, insiders: bool = True) -> list[int] | None:
        """Return against whom a goal has no witness yet: insiders, nobody for all the world; None if it has all."""
        left, taken = self.pool.lacking(goal)
        if left is None:
            return None if (goal, 0) in self.open else []
        if not insiders:
            return None
        found = [i for i in left.tolist() if not self._taken_in(goal, i)]
        peers = -1 - (goal >> 1)
        if not taken and not self._taken_in(goal, peers):
            found.append(peers)
        return sorted(found) or None

    def _taken_in(self, goal: int, insider: int) -> bool:
        """Say whether an insider needs no witness of its own for a goal, or has one."""
        if (goal, insider) in self.open:
            return True
        whole, partly, left = self.knows(insider)
        target = goal >> 1
        if insider < 0 and target in whole:
            return True
        if not goal & 1:
            # A weight below one makes a sum less than somebody's part of it: who knows that it is no less than this
            # part believes nothing lower, and there is nothing to show.
            place = int(np.searchsorted(partly, target))
            if (
                place < len(partly)
                and partly[place] == target
                and left[place] <= _REST * abs(self.system.value[target])
            ):
                return True
        return any(self.pool.alive[number] for number in self.settled.get((goal, insider), ()))

    def reach(
        self,
        goal: int,
        closed: Flags,
        price: Floats,
        insiders: Collection[int],
        *,
        buy: bool = False,
        hard: bool = True,
        sure: bool = False,
    ) -> bool:
        """Look for the cheapest move to a goal that takes contributors in, and keep it; say whether it serves.

        Parameters
        ----------
        goal, insiders
            What is to be reached, and who is to believe it.
        closed, price
            What must not move, and what it costs to move the rest, shape (n,).
        buy
            Hide what the move takes.
        hard
            Look for a large move, too, if there is no other.
        sure
            Have HiGHS look for it.
        """
        system, target = self.system, goal >> 1
        need = self._need(goal, insiders)
        told = [self.knows(i) for i in insiders]
        self.asked.update(dict.fromkeys((goal, i) for i in insiders))
        whole = np.concatenate([k[0] for k in told]) if told else np.zeros(0, dtype=np.int64)
        partly = np.concatenate([[target], *(k[1] for k in told)]).astype(np.int64)
        left = np.concatenate([[system.value[target] - system.base[target]], *(k[2] for k in told)])
        before = closed[whole], self.room[partly]
        closed[whole] = True
        self.room[target] = left[0]
        np.minimum.at(self.room, partly, left)
        if need < 0 and told:  # nobody believes it to be less than its own part
            need = max(need, -float(left[1:][partly[1:] == target].min(initial=-need)))
        # Several insiders can be taken in one by one: a large move for all of them is not worth its time.
        hard = hard and len(insiders) < 2
        given: dict[str, Any] = {"room": self.room, "price": price, "closed": closed}
        found = self.moves.move(target, need, **given, hard=hard, sure=sure) if need else None
        closed[whole], self.room[partly] = before
        if found is None:
            return False
        if buy:
            self.hide(found[0].tolist())
        serves, settled = self.pool.keep(*found, goal, insiders)
        if settled >= 0:
            for insider in insiders:
                self.settled.setdefault((goal, insider), []).append(settled)
        return serves

    def terms(self, goal: int, insiders: Collection[int]) -> tuple[float, Floats, Flags]:
        """Return what is asked for by a goal: by how much, how far quantities may fall, and which may not move."""
        system, target = self.system, goal >> 1
        need, room, closed = self._need(goal, insiders), self.room.copy(), system.fixed.copy()
        room[target] = system.value[target] - system.base[target]
        for whole, partly, left in map(self.knows, insiders):
            closed[whole] = True
            room[partly] = np.minimum(room[partly], left)
            if need < 0:
                need = max(need, -float(left[partly == target].min(initial=-need)))
        return need, room, closed

    def prove(self) -> list[tuple[int, int]]:
        """Find witnesses for all goals without hiding more; return who has none for which, 0: anybody."""
        gaps: list[tuple[int, int]] = []
        for goal in self.goals():
            lost: set[int] = set()
            while (lacking := self.wanted(goal)) is not None and (left := [i for i in lacking or [0] if i not in lost]):
                for insiders in (left, left[:1]):
                    if self.reach(goal, self.known, self.free, [i for i in insiders if i]):
                        break
                else:
                    lost.add(left[0])
            gaps += [(goal, i) for i in sorted(lost)]
        return gaps

    def hide(self, quantities: Iterable[int]) -> None:
        """Hide all units that give quantities away."""
        for q in quantities:
            if not self.shown[q]:
                continue
            for unit in self.giving[q]:
                self._hide(unit)

    def _hide(self, unit: int) -> None:
        if not self.hidden[unit]:
            self.hidden[unit] = True
            for q in self.units[unit]:
                self.shown[q] -= 1
                self.known[q] = self.system.fixed[q] or self.shown[q] > 0
                self.charge[q] = self._charge(q) if self.shown[q] else _FREE

    def begin(self, before: Flags) -> None:
        """Hide units to begin with, but for those that say nothing that is not out."""
        for unit in np.flatnonzero(before & ~self.hidden).tolist():
            if not self.system.fixed[list(self.units[unit])].all():
                self.before[unit] = True
                self._hide(unit)

    def cover(self, *, insiders: bool) -> None:
        """Find witnesses for all goals: against everybody, or against each insider, too."""
        for goal in self.goals():
            while (lacking := self.wanted(goal, insiders=insiders)) is not None:
                if not self._found(goal, lacking):
                    self._concede(goal, min(lacking, default=0))

    def _found(self, goal: int, lacking: Collection[int]) -> bool:
        """Find a witness against several insiders at once, with what is hidden anyway or not, or against the first."""
        if len(lacking) > 1 and (self.reach(goal, self.known, self.free, lacking) or self._bought(goal, lacking)):
            return True
        return self._bought(goal, sorted(lacking)[:1])

    def _bought(self, goal: int, insiders: Collection[int], *, sure: bool = False) -> bool:
        """Reach a goal against insiders (none: everybody) by hiding what it takes."""
        return self.reach(goal, self.system.fixed, self.charge, insiders, buy=True, sure=sure)

    def _concede(self, goal: int, insider: int) -> None:
        """Go as much of the way to a goal as can be gone, and if none can, leave it open."""
        width, target = self.above if goal & 1 else self.below, goal >> 1
        if self._bought(goal, [insider] if insider else [], sure=True):
            return  # one solver denies by a hair what the other allows
        asked = float(width[target])
        for part in _PARTS:
            self.partly[goal, insider] = part if insider else 1.0
            if not insider:
                width[target] = asked * part
            if self._bought(goal, [insider] if insider else []):
                # Against everybody the way itself is shorter now.
                self.partly[goal, insider] = part if insider else 1.0
                return
        self.open.add((goal, insider))

    def clean(self) -> None:
        """Publish again what was hidden in vain: first what the pattern was not begun with, dearest first."""
        rest = np.flatnonzero(self.hidden & ~self.forced)
        self.effort, self.patience = _EFFORT + len(self.pool), _PATIENCE
        self.moves.narrow(self.known)
        for unit in rest[np.lexsort((-self.price[rest], self.before[rest]))].tolist():
            if self.effort > 0:
                self._gave_up = False
                shown = self._show_again(unit)
                self.unsettled += self._gave_up and not shown
            else:
                self.unsettled += 1

    def _show_again(self, unit: int) -> bool:
        quantities = np.array(self.units[unit], dtype=np.int64)
        fresh = quantities[(self.shown[quantities] == 0) & ~self.system.fixed[quantities]]
        dying, touched = self.pool.dying(fresh)
        self.pool.alive[dying] = False
        self.shown[quantities] += 1
        self.known[fresh] = True
        if all(self._cover_again(goal) for goal in touched.tolist()):
            self.hidden[unit] = False
            return True
        self.shown[quantities] -= 1
        self.known[fresh] = False
        self.pool.alive[dying] = True
        return False

    def _cover_again(self, goal: int) -> bool:
        """Say whether a goal is still reached against everybody, and keep the witnesses that show it."""
        if not self.system.sensitive[goal >> 1] or (self.above if goal & 1 else self.below)[goal >> 1] <= 0:
            return True
        while (lacking := self.wanted(goal)) is not None:
            for insiders in (lacking, lacking[:1]):
                if self._reached_again(goal, insiders):
                    break
                if len(lacking) <= 1:
                    return False
            else:
                return False
        return True

    def _reached_again(self, goal: int, insiders: Collection[int]) -> bool:
        """Look for a move among what is hidden, for a large one while there is time."""
        self.effort -= 1
        large = self.moves.large
        # Moves that avoid what is dear are larger, and no better for what is shown in the end.
        found = self.reach(goal, self.known, self.free, insiders, hard=self.patience > 0)
        self.patience -= self.system.size * (self.moves.large - large)
        self._gave_up |= not found and self.moves.gave_up and len(insiders) < 2
        return found

    def result(self) -> Shielded:
        """Return what was found."""
        lost = ((goal >> 1, 1 if goal & 1 else -1, i) for goal, i in self.open | set(self.partly))
        return Shielded(self.hidden, self.known.copy(), self.pool.table(), tuple(sorted(lost)), self.unsettled)
