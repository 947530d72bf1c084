"""Complementary suppression against estimation: hide more, until witnesses reach every protection interval.

For each sensitive quantity, upwards and downwards, the cheapest move (`opsroom.protect.programme`) is looked
for that shifts it to the end of its protection interval without shifting anything that is known; what the move
shifts and is still shown gets hidden. A move is kept as a *witness*: a table that every attacker must think
possible, and most serve several quantities at once. Then it is looked for what was hidden in vain, dearest
first. The checker (`opsroom.protect.certificate`) verifies the witnesses by itself.

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

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.protect.programme import Programme
from opsroom.protect.shield_kernel import room, tells
from opsroom.protect.system import Knowledge, System, components
from opsroom.protect.tiles import Tile

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Goal = tuple[int, int]
"""A sensitive quantity and a direction: +1 to the upper end of its interval, -1 to the lower."""

_NEARLY = 1 - 1e-9

_EFFORT = 500
"""Programmes that may be solved in any case to publish again what was hidden in vain."""

_PARTS = (0.5, 0.25, 0.125, 0.03125)
"""What is tried of the way to a goal that no table reaches whatever is hidden."""

_FREE = 1e-5
"""Price of moving what is hidden anyway, where the middle price is 1: fewer quantities make a better witness."""


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
    """

    hidden: Flags
    known: Flags
    witnesses: sp.csc_array
    open: tuple[tuple[int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class _Witness:
    at: Ints
    shift: Floats
    target: int
    reaches: frozenset[Goal]
    betrayed: frozenset[int]
    """Contributors who know by a quantity other than the target that it is not the true table."""
    own: frozenset[int]
    """Those who know it by the target; on the way to it there is a table that tells them nothing."""

    def tells(self, goal: Goal) -> frozenset[int]:
        """Return who is not taken in by the table as a witness for a goal."""
        return self.betrayed if goal[0] == self.target else self.betrayed | self.own


def shield(
    system: System,
    units: Sequence[tuple[int, ...]],
    price: Floats,
    *,
    hidden: Flags | None = None,
    tiles: Sequence[Tile] | None = None,
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
    tiles
        Parts within which moves are looked for, for systems too large to be looked at whole; then in what is
        around the part, and then everywhere.
    minimal
        Publish again what was hidden in vain.

    Returns
    -------
    Shielded
    """
    work = _Work(system, units, price, hidden)
    places = _connected(system) if tiles is None else _tiled(system, tiles)
    for insiders in (False, True):
        for place in places:
            work.cover(place, insiders=insiders)
    if minimal:
        work.clean(places)
    return work.result()


@dataclass(slots=True)
class _Place:
    """Some columns of the system, in order, with a programme on them that is laid out when it is first asked."""

    equations: sp.csc_array
    columns: Ints
    goals: list[Goal]
    around: Callable[[], _Place] | None = None
    """A larger place, for what cannot be reached in this one."""
    _programme: Programme | None = None

    def programme(self) -> Programme:
        """Return the programme on the columns."""
        if self._programme is None:
            self._programme = Programme(sp.csc_array(self.equations[:, self.columns]))
        return self._programme

    def at(self, quantities: Ints) -> Ints:
        """Return the place of each quantity among the columns, or -1."""
        found = np.minimum(np.searchsorted(self.columns, quantities), len(self.columns) - 1)
        return np.where(self.columns[found] == quantities, found, -1)


@dataclass(slots=True)
class _Work:
    system: System
    units: Sequence[tuple[int, ...]]
    price: Floats
    given: Flags | None
    hidden: Flags = field(init=False)
    shown: Ints = field(init=False)
    """How many shown units give each quantity."""
    giving: list[list[int]] = field(init=False)
    charge: Floats = field(init=False)
    """Price of hiding each quantity."""
    pool: list[_Witness] = field(init=False, default_factory=list)
    alive: list[bool] = field(init=False, default_factory=list)
    reached: dict[Goal, list[int]] = field(init=False, default_factory=dict)
    settled: dict[tuple[Goal, int], list[int]] = field(init=False, default_factory=dict)
    """Witnesses for one contributor alone, who knows of the lower end of an interval that it is not so low."""
    using: list[list[int]] = field(init=False)
    open: set[tuple[int, int, int]] = field(init=False, default_factory=set)
    above: Floats = field(init=False)
    below: Floats = field(init=False)
    """How far it is to the goals; less than the system asks for where that cannot be reached."""
    partly: dict[tuple[int, int, int], float] = field(init=False, default_factory=dict)
    """Which part of the way to a goal is gone where no more can be, against an insider or (0) everybody."""
    sole: Ints = field(init=False)
    """The only contributor of each quantity, or 0."""
    known_by: dict[int, Knowledge] = field(init=False, default_factory=dict)
    effort: int = field(init=False, default=0)
    """How many more programmes may be solved to publish again what was hidden in vain."""
    told_peers: dict[tuple[int, int], bool] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        system, n = self.system, self.system.size
        self.hidden = np.zeros(len(self.units), dtype=bool) if self.given is None else self.given.copy()
        self.above, self.below = system.above.copy(), system.below.copy()
        self.shown = np.zeros(n, dtype=np.int64)
        self.giving = [[] for _ in range(n)]
        self.using = [[] for _ in range(n)]
        for unit, quantities in enumerate(self.units):
            if any(system.sensitive[q] for q in quantities):
                self.hidden[unit] = True
            for q in quantities:
                self.giving[q].append(unit)
                self.shown[q] += not self.hidden[unit]
        self.sole = np.zeros(n, dtype=np.int64)
        for insider, cells in system.alone.items():
            self.sole[cells] = insider
        middle = float(np.median(self.price)) if len(self.price) else 1.0
        self.price = self.price / (middle if middle > 0 else 1.0)
        self.charge = np.zeros(n)
        for q in np.flatnonzero(self.shown).tolist():
            self.charge[q] = self._charge(q)

    def _charge(self, quantity: int) -> float:
        return float(sum(self.price[u] for u in self.giving[quantity] if not self.hidden[u]))

    def known(self) -> Flags:
        """Return what is known: given by a shown unit, or fixed."""
        flags: Flags = (self.shown > 0) | self.system.fixed
        return flags

    def _need(self, goal: Goal, insiders: Collection[int]) -> float:
        target, sign = goal
        width = float(self.above[target] if sign > 0 else -self.below[target])
        return width * min((self.partly.get((*goal, i), 1.0) for i in insiders), default=1.0)

    def lacking(self, goal: Goal) -> frozenset[int] | None:
        """Return the insiders against whom a goal has no witness; None if it has none at all."""
        left: frozenset[int] | None = None
        target = goal[0]
        peers = -1 - target if target in self.system.peers else 0
        taken = not peers or self._taken_in(goal, peers)
        for number in self.reached.get(goal, ()):
            if self.alive[number]:
                told = self.pool[number].tells(goal)
                left = told if left is None else left & told
                taken = taken or (self.pool[number].target == target and not self._tells_peers(number, peers))
                if not left and taken:
                    return left
        if left is None:
            return None
        return frozenset(i for i in left if not self._taken_in(goal, i)) | (frozenset() if taken else {peers})

    def _taken_in(self, goal: Goal, insider: int) -> bool:
        """Say whether an insider needs no witness of its own for a goal, or has one."""
        if insider == self.sole[goal[0]] or (*goal, insider) in self.open:
            return True
        if insider < 0 and goal[0] in self.knows(insider).whole:
            return True
        return any(self.alive[number] for number in self.settled.get((goal, insider), ()))

    def move(self, place: _Place, goal: Goal, closed: Flags, price: Floats, insiders: Collection[int]) -> Floats | None:
        """Look for the cheapest move to a goal that takes contributors in; one shift for each column."""
        system, columns = self.system, place.columns
        target = int(np.searchsorted(columns, goal[0]))
        room = system.value[columns] - system.floor[columns]
        room[target] = system.value[goal[0]] - system.base[goal[0]]
        need = self._need(goal, insiders)
        closed = closed.copy()
        for insider in insiders:
            knows = self.knows(insider)
            mine = place.at(knows.whole)
            closed[mine[mine >= 0]] = True
            mine = place.at(knows.quantities)
            left = (system.value[knows.quantities] - knows.parts)[mine >= 0]
            mine = mine[mine >= 0]
            room[mine] = np.minimum(room[mine], left)
            if need < 0:
                need = max(need, -float(left[mine == target].min(initial=-need)))
        if need == 0:
            return None
        return place.programme().move(target, need, room=np.maximum(room, 0.0), price=price, closed=closed)

    def knows(self, insider: int) -> Knowledge:
        """Return what a contributor knows, or (below zero) the peers of quantity ``-1 - insider``."""
        if insider not in self.known_by:
            members = (insider,) if insider > 0 else tuple(self.system.peers[-1 - insider])
            self.known_by[insider] = self.system.knowledge(members)
        return self.known_by[insider]

    def _tells_peers(self, number: int, insider: int) -> bool:
        """Say whether the peers of a quantity can tell a witness for it from the true table."""
        if (number, insider) not in self.told_peers:
            witness, knows = self.pool[number], self.knows(insider)
            other = witness.at != -1 - insider
            at, end = witness.at[other], (self.system.value[witness.at] + witness.shift)[other]
            part = np.full(self.system.size, -np.inf)
            part[knows.quantities] = knows.parts
            slack = 1e-9 * np.abs(self.system.value[at])
            self.told_peers[number, insider] = bool(np.isin(at, knows.whole).any() or (end < part[at] - slack).any())
        return self.told_peers[number, insider]

    def keep(self, place: _Place, move: Floats, goal: Goal, insiders: Collection[int]) -> bool:
        """Keep a move, both ways, as far as it may be stretched; say whether it serves its goal."""
        inside = np.flatnonzero(move)
        at, shift = place.columns[inside], move[inside]
        serves = False
        for sign in (1, -1):
            seen: set[tuple[frozenset[Goal], frozenset[int]]] = set()
            for stretch in self._stretches(at, sign * shift, goal[0]):
                witness = self._witness(at, sign * shift * stretch, goal[0])
                as_asked = sign > 0 and stretch == 1.0
                for_one = as_asked and goal not in witness.reaches
                content = (witness.reaches, witness.betrayed)
                if not (witness.reaches or for_one) or (content in seen and not for_one):
                    continue
                seen.add(content)
                number = self._add(witness)
                told = bool(witness.tells(goal).intersection(insiders))
                told = told or any(i < 0 and self._tells_peers(number, i) for i in insiders)
                if for_one and not told:  # it goes as low as its one insider can believe
                    told = len(insiders) != 1
                    for insider in insiders if not told else ():
                        self.settled.setdefault((goal, insider), []).append(number)
                serves = serves or (sign > 0 and (for_one or goal in witness.reaches) and not told)
        return serves

    def _add(self, witness: _Witness) -> int:
        number = len(self.pool)
        self.pool.append(witness)
        self.alive.append(True)
        for q in witness.at.tolist():
            self.using[q].append(number)
        for reached in witness.reaches:
            self.reached.setdefault(reached, []).append(number)
        return number

    def _stretches(self, at: Ints, shift: Floats, target: int) -> list[float]:
        """Return how far to stretch a move: not at all, until a contributor could tell, until nobody believes it."""
        system = self.system
        full, soft = room(at, shift, target, system.value, system.base, system.floor, system.part, self.sole)
        # A hair less than all the room: rounding must not carry a value beyond its floor.
        found = {t * (1 - 1e-12) for t in (full, soft) if np.isfinite(t)} | ({1.0} if full > _NEARLY else set())
        return sorted(t for t in found if t > 1e-9)

    def _witness(self, at: Ints, shift: Floats, target: int) -> _Witness:
        system, n = self.system, len(at) * (self.system.who.shape[1] + 1)
        goals, betrayed, own = (np.empty(size, dtype=np.int64) for size in (2 * len(at), n, n))
        reached, others, mine = tells(
            at, shift, target, _NEARLY, system.value, system.floor, system.who, system.part, self.sole,
            system.sensitive, self.above, self.below, goals, betrayed, own,
        )  # fmt: skip
        return _Witness(
            at, shift, target, frozenset((g >> 1, 1 if g & 1 else -1) for g in goals[:reached].tolist()),
            frozenset(betrayed[:others].tolist()), frozenset(own[:mine].tolist()),
        )  # fmt: skip

    def hide(self, quantities: Iterable[int]) -> None:
        """Hide all units that give quantities away."""
        for q in quantities:
            for unit in self.giving[q]:
                if not self.hidden[unit]:
                    self.hidden[unit] = True
                    for other in self.units[unit]:
                        self.shown[other] -= 1
                        self.charge[other] = self._charge(other)

    def cover(self, place: _Place, *, insiders: bool) -> None:
        """Find witnesses for all goals of a place: against everybody, or against each insider, too."""
        ladder = [place]
        for goal in place.goals:
            while (lacking := self._wanted(goal, insiders=insiders)) is not None:
                at = 0
                while not self._found(ladder[at], goal, lacking):
                    at += 1
                    if at == len(ladder):
                        beyond = ladder[-1].around
                        if beyond is None:
                            self._concede(ladder[-1], goal, min(lacking, default=0))
                            break
                        ladder.append(beyond())

    def _concede(self, place: _Place, goal: Goal, insider: int) -> None:
        """Go as much of the way to a goal as can be gone, and if none can, leave it open."""
        target, sign = goal
        width = self.above if sign > 0 else self.below
        asked = float(width[target])
        for part in _PARTS:
            self.partly[(*goal, insider)] = part if insider else 1.0
            if not insider:
                width[target] = asked * part
            if self._bought(place, goal, [insider] if insider else []):
                self.partly[(*goal, insider)] = part
                if not insider:  # the way itself is shorter now
                    self.partly[(*goal, insider)] = 1.0
                return
        self.open.add((*goal, insider))

    def _found(self, place: _Place, goal: Goal, lacking: frozenset[int]) -> bool:
        """Find a witness against several insiders at once, with what is hidden anyway or not, or against the first."""
        if len(lacking) > 1 and (self._free(place, goal, lacking) or self._bought(place, goal, lacking)):
            return True
        return self._bought(place, goal, sorted(lacking)[:1])

    def _bought(self, place: _Place, goal: Goal, insiders: Collection[int]) -> bool:
        """Reach a goal against insiders (none: everybody) by hiding what it takes."""
        fixed = self.system.fixed[place.columns]
        price = np.where(self.shown[place.columns] > 0, self.charge[place.columns], _FREE)
        move = self.move(place, goal, fixed, price, insiders)
        if move is None:
            return False
        self.hide(place.columns[np.flatnonzero(move)].tolist())
        return self.keep(place, move, goal, insiders)

    def _free(self, place: _Place, goal: Goal, insiders: frozenset[int]) -> bool:
        """Try to take several insiders in at once with what is hidden anyway."""
        known = self.known()[place.columns]
        move = self.move(place, goal, known, np.full(len(known), _FREE), insiders)
        return move is not None and self.keep(place, move, goal, insiders)

    def _wanted(self, goal: Goal, *, insiders: bool = True) -> frozenset[int] | None:
        """Return against whom a goal has no witness yet: insiders, nobody for all the world; None if it has all."""
        lacking = self.lacking(goal)
        if lacking is None:
            return None if (*goal, 0) in self.open else frozenset()
        return lacking if insiders and lacking else None

    def clean(self, places: Sequence[_Place]) -> None:
        """Publish again what was hidden in vain, dearest first."""
        known = self.known()
        home: dict[Goal, _Place] = {}
        for place in places:
            narrow = _narrowed(place, ~known)
            home |= dict.fromkeys([(t, s) for t, _ in place.goals for s in (1, -1)], narrow)
        sensitive = self.system.sensitive
        forced = np.array([any(sensitive[q] for q in quantities) for quantities in self.units], dtype=bool)
        if self.given is not None:
            forced |= self.given
        # Among what is hidden the dear units are avoided: they are the next to be shown again.
        worth = np.full(self.system.size, _FREE)
        rest = np.flatnonzero(self.hidden & ~forced)
        for unit in rest.tolist():
            worth[list(self.units[unit])] += self.price[unit]
        self.effort = _EFFORT + len(self.pool) // 2
        for unit in rest[np.argsort(-self.price[rest], kind="stable")].tolist():
            if self.effort > 0:
                self._show_again(unit, home, worth)

    def _show_again(self, unit: int, home: Mapping[Goal, _Place], worth: Floats) -> None:
        quantities = self.units[unit]
        fresh = [q for q in quantities if self.shown[q] == 0 and not self.system.fixed[q]]
        dying = sorted({number for q in fresh for number in self.using[q] if self.alive[number]})
        touched = {goal for number in dying for goal in self.pool[number].reaches}
        touched |= {(self.pool[number].target, sign) for number in dying for sign in (1, -1)}
        for number in dying:
            self.alive[number] = False
        self.shown[list(quantities)] += 1
        if all(self._cover_again(goal, home[goal], worth) for goal in sorted(touched)):
            self.hidden[unit] = False
            return
        self.shown[list(quantities)] -= 1
        for number in dying:
            self.alive[number] = True

    def _cover_again(self, goal: Goal, place: _Place, worth: Floats) -> bool:
        """Say whether a goal is still reached against everybody, and keep the witnesses that show it."""
        while (lacking := self._wanted(goal)) is not None:
            known = self.known()[place.columns]
            for insiders in (lacking, sorted(lacking)[:1]):
                self.effort -= 1
                move = self.move(place, goal, known, worth[place.columns], insiders)
                if move is not None and self.keep(place, move, goal, insiders):
                    break
                if len(lacking) <= 1:
                    return False
            else:
                return False
        return True

    def result(self) -> Shielded:
        """Return what was found."""
        alive = [w for w, lives in zip(self.pool, self.alive, strict=True) if lives]
        start = np.cumsum([0, *(len(w.at) for w in alive)])
        at = np.concatenate([w.at for w in alive]) if alive else np.zeros(0, dtype=np.int64)
        shift = np.concatenate([w.shift for w in alive]) if alive else np.zeros(0)
        table = sp.csc_array((shift, at, start), shape=(self.system.size, len(alive)))
        return Shielded(self.hidden, self.known(), table, tuple(sorted(self.open | set(self.partly))))


def _connected(system: System) -> list[_Place]:
    """Return the quantities connected with each target through relations between quantities that are not fixed."""
    label = components(system)
    wanted = np.unique(label[system.sensitive & ~system.fixed])
    order = np.argsort(label, kind="stable")
    bounds = np.searchsorted(label[order], [wanted, wanted + 1])
    parts = [np.sort(order[a:b]) for a, b in bounds.T]
    equations = sp.csc_array(system.equations)
    return [_Place(equations, part, _goals(system, part)) for part in parts]


def _tiled(system: System, tiles: Sequence[Tile]) -> list[_Place]:
    """Return a place for each tile with targets, and beyond it what is around it, and everything."""
    targets = system.sensitive & ~system.fixed
    equations = sp.csc_array(system.equations)
    whole: list[_Place] = []

    def everything() -> _Place:
        if not whole:
            whole.append(_Place(equations, np.flatnonzero(~system.fixed), []))
        return whole[0]

    places = []
    for tile in tiles:
        goals = _goals(system, tile.native[targets[tile.native]])
        if goals:

            def wide(columns: Ints = tile.wide) -> _Place:
                return _Place(equations, columns, [], everything)

            places.append(_Place(equations, tile.cells, goals, wide))
    native = np.zeros(system.size, dtype=bool)
    for tile in tiles:
        native[tile.native] = True
    if rest := _goals(system, np.flatnonzero(~native)):  # sums that are no cells
        places.append(replace(everything(), goals=rest))
    return places


def _goals(system: System, columns: Ints) -> list[Goal]:
    """Return what is to be reached, widest interval first."""
    mine = columns[(system.sensitive & ~system.fixed)[columns]]
    width = np.maximum(system.above, system.below)[mine]
    order = mine[np.argsort(-width, kind="stable")].tolist()
    ends = ((1, system.above), (-1, system.below))
    return [(t, sign) for t in order for sign, far in ends if far[t] > 0]


def _narrowed(place: _Place, unknown: Flags) -> _Place:
    """Return a place without what is known."""
    return _Place(place.equations, place.columns[unknown[place.columns]], place.goals)
