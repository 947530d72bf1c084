"""Complementary suppression: hide more, so that nothing sensitive can be recomputed.

The attacker knows all published quantities and all linear relations between quantities: totals,
shares and complements, identities between parts, unchanged quantities of earlier releases. The solver
hides the cheapest published units (a unit is a measure in a cell) until no sensitive quantity is
determined, not even for a contributor who is alone in some hidden quantities and so knows them.
Then it publishes again whatever was hidden in vain.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from opsroom.protect.linear import (
    PRIMES,
    Rows,
    Sketch,
    components,
    dependence,
    directions,
    null_sketch,
    recipes,
    restrict,
)

Flags = npt.NDArray[np.bool_]

_WIDTH = 10
_CLEAN_WIDTH = 48


@dataclass(frozen=True, slots=True)
class Problem:
    """Quantities, what is known of them, and what may be hidden.

    Attributes
    ----------
    size
        Number of quantities.
    equations
        Relations that sum to a constant: quantities with integer coefficients.
    sensitive
        Quantities that must stay undetermined, shape (size,).
    fixed
        Quantities known whatever is hidden now: published earlier, or zero as anyone can see.
    units
        What may be hidden: for each unit the quantities that its publication gives away.
    cost
        Price of hiding each unit, positive.
    holder
        Code of the only contributor of a quantity, 0 where there are several, shape (size,).
    """

    size: int
    equations: Rows
    sensitive: Flags
    fixed: Flags
    units: Sequence[tuple[int, ...]]
    cost: npt.NDArray[np.float64]
    holder: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Solution:
    """What to hide.

    Attributes
    ----------
    hidden
        Units to hide, shape (units,).
    forced
        Those of them that hold a sensitive quantity themselves.
    known
        Quantities that the attacker is given, shape (size,).
    lost
        Sensitive quantities determined already by what was published earlier.
    """

    hidden: Flags
    forced: Flags
    known: Flags
    lost: tuple[int, ...] = ()


def suppress(problem: Problem) -> Solution:
    """Choose what to hide.

    Parameters
    ----------
    problem
        See `Problem`.

    Returns
    -------
    Solution

    Notes
    -----
    Greedy: in each round every sensitive quantity that is determined has a recipe (a combination of
    relations that recomputes it); the cheapest published quantity in the recipe is hidden. Each round
    hides at least one unit or gives a quantity up as lost, so it ends. The final state is verified
    with a second prime.
    """
    work = _Work(problem)
    relevant = problem.sensitive & ~work.known()
    if not relevant.any():
        return work.solution()
    work.protect()
    before = work.hidden.copy()
    work.clean(PRIMES[0])
    # What `protect` left was verified; only what was published again since needs to be.
    if (work.hidden != before).any() and any(work.attacks(prime) for prime in PRIMES):
        work.hidden = before
    return work.solution()


@dataclass(slots=True)
class _Attack:
    target: int
    combination: Mapping[int, int]
    """What is determined: the target, less what the attacker knows as a single contributor."""
    holder: int


@dataclass(slots=True)
class _Work:
    problem: Problem
    equations: Rows = field(init=False)
    hidden: Flags = field(init=False)
    forced: Flags = field(init=False)
    lost: set[tuple[int, int]] = field(init=False, default_factory=set)
    """(quantity, holder): what a holder, or anyone (0), knows already whatever is hidden now."""
    giving: list[list[int]] = field(init=False)
    """Units by quantity."""
    given: Rows = field(init=False)
    """The units' quantities."""

    def __post_init__(self) -> None:
        problem = self.problem
        self.giving = [[] for _ in range(problem.size)]
        self.forced = np.zeros(len(problem.units), dtype=bool)
        for unit, quantities in enumerate(problem.units):
            self.forced[unit] = any(problem.sensitive[q] for q in quantities)
            for q in quantities:
                self.giving[q].append(unit)
        self.hidden = self.forced.copy()
        self.given = Rows.of(dict.fromkeys(quantities, 1) for quantities in problem.units)
        # Only what is connected with something sensitive matters.
        label = components(problem.equations, problem.size)
        matters = np.zeros(problem.size, dtype=bool)
        matters[label[problem.sensitive & ~self.known()]] = True
        equations = problem.equations
        self.equations = equations.take(np.flatnonzero(matters[label[equations.column[equations.start[:-1]]]]))

    def known(self) -> Flags:
        known = self.problem.fixed.copy()
        known[self.given.column[~self.hidden[self.given.row]]] = True
        return known

    def solution(self) -> Solution:
        lost = tuple(sorted(q for q, holder in self.lost if holder == 0))
        return Solution(self.hidden, self.forced, self.known(), lost)

    def targets(self, known: Flags) -> Flags:
        targets = self.problem.sensitive & ~known
        targets[[q for q, holder in self.lost if holder == 0]] = False
        return targets

    def attacks(self, prime: int) -> list[_Attack]:
        """Return what can be recomputed, by an outsider or else by single contributors."""
        known = self.known()
        rows, _ = self.equations.without(known)
        targets = np.flatnonzero(self.targets(known))
        sketch = null_sketch(rows, self.problem.size, prime, width=_WIDTH)
        open_targets = targets[~sketch[targets].any(axis=1)]
        if len(open_targets):
            return [_Attack(int(t), {int(t): 1}, 0) for t in open_targets]
        blocks = self.blocks(rows, known)
        most = max((len(o) for block in blocks.values() for o in block.owned.values()), default=0)
        if most > _WIDTH - 2:
            sketch = null_sketch(rows, self.problem.size, prime, width=most + 4)
        found = []
        for block in blocks.values():
            local = sketch[block.members]
            for t, holder in self.inside(block, local, prime):
                combination = dependence(local, block.at[t], [block.at[q] for q in block.owned[holder]], prime)
                terms = {int(block.members[k]): -a for k, a in combination.items()}
                found.append(_Attack(t, {**terms, t: 1}, holder))
        return found

    def blocks(self, rows: Rows, known: Flags) -> dict[int, _Block]:
        """Split what is hidden into blocks that no relation connects; those with sensitive quantities."""
        label = components(rows, self.problem.size)
        targets = self.targets(known)
        mine = (self.problem.holder != 0) & ~known
        wanted = np.zeros(self.problem.size, dtype=bool)
        wanted[label[targets]] = True
        members: dict[int, list[int]] = {}
        inside_any = np.flatnonzero(~known & wanted[label])
        for q, block in zip(inside_any.tolist(), label[inside_any].tolist(), strict=True):
            members.setdefault(block, []).append(q)
        blocks = {}
        for key, inside in members.items():
            owned: dict[int, list[int]] = {}
            for q in inside:
                if mine[q]:
                    owned.setdefault(int(self.problem.holder[q]), []).append(q)
            blocks[key] = _Block(np.asarray(inside), [q for q in inside if targets[q]], owned)
        return blocks

    def inside(self, block: _Block, sketch: Sketch, prime: int) -> Iterator[tuple[int, int]]:
        """Yield (target, holder): what holders of single contributions can recompute in a block."""
        if not block.owned or len(block.targets) < 2:
            return
        at, lines = block.at, block.lines
        used = block.used
        code = dict(zip(used.tolist(), directions(sketch[used], prime).tolist(), strict=True))
        alike: dict[int, list[int]] = {}
        for t in block.targets:
            alike.setdefault(code[at[t]], []).append(t)
        filled = np.flatnonzero(sketch.any(axis=0))
        for holder, quantities in block.owned.items():
            places = [at[q] for q in quantities]
            kinds = {code[k] for k in places} - {0}
            if len(kinds) <= 1:
                found = [t for kind in kinds for t in alike.get(kind, ())]
            else:
                # A few null vectors more than what the holder knows are enough, and many times faster.
                few = sketch[np.concatenate([places, lines])][:, filled[: len(places) + 3]]
                rest, _ = restrict(few, range(len(places)), prime)
                open_lines = ~rest[len(places) :].any(axis=1)
                found = [block.targets[k] for k in np.flatnonzero(open_lines).tolist()]
            for t in found:
                if t not in quantities and self._betrays(t, holder):
                    yield t, holder

    def protect(self) -> None:
        """Hide until both primes find nothing that can be recomputed."""
        while True:
            for prime in PRIMES:
                if attacks := self.attacks(prime):
                    self.defend(attacks, prime)
                    break
            else:
                return

    def _betrays(self, target: int, holder: int) -> bool:
        """Say whether a holder's determining the target is news: not its own, not known to it anyway."""
        return bool(self.problem.holder[target] != holder) and (target, holder) not in self.lost

    def defend(self, attacks: Sequence[_Attack], prime: int) -> None:
        """Break the recipe of every attack that is not broken by what the round hid already."""
        known = self.known()
        rows, numbers = self.equations.without(known)
        fresh: set[int] = set()
        for attack, used in zip(attacks, recipes(rows, [a.combination for a in attacks], prime), strict=True):
            terms = self.equations.take(numbers[used]).column
            ingredients = set(terms[known[terms]].tolist())
            if ingredients & fresh:
                continue
            prices = {q: self._price(q) for q in ingredients if not self.problem.fixed[q]}
            if not prices:
                self.lost.add((attack.target, attack.holder))
                continue
            cheapest = min(prices, key=lambda q: (prices[q], q))
            before = self.known()
            self.hidden[self.giving[cheapest]] = True
            fresh.update(np.flatnonzero(before & ~self.known()).tolist())

    def _price(self, quantity: int) -> float:
        return float(sum(self.problem.cost[u] for u in self.giving[quantity] if not self.hidden[u]))

    def clean(self, prime: int) -> None:
        """Publish again what was hidden in vain, dearest first."""
        known = self.known()
        rows, _ = self.equations.without(known)
        sketch = null_sketch(rows, self.problem.size, prime, width=_CLEAN_WIDTH)
        label = components(rows, self.problem.size)
        blocks = self.blocks(rows, known)
        local = {key: sketch[block.members] for key, block in blocks.items()}
        left = {key: _CLEAN_WIDTH - block.most_owned() - 2 for key, block in blocks.items()}
        secondary = np.flatnonzero(self.hidden & ~self.forced).tolist()
        for unit in sorted(secondary, key=lambda u: (-self.problem.cost[u], u)):
            gives: dict[int, list[int]] = {}
            for q in self.problem.units[unit]:
                if not known[q] and int(label[q]) in blocks:
                    gives.setdefault(int(label[q]), []).append(q)
            trial: dict[int, tuple[Sketch, int]] = {}
            for key, quantities in gives.items():
                block = blocks[key]
                places = [block.at[q] for q in quantities]
                if not local[key][places].any():
                    continue  # it can be recomputed anyway: hiding it protects nothing
                if left[key] < len(places):
                    break
                rest, rank = restrict(local[key], places, prime)
                if not rest[block.lines].any(axis=1).all() or any(True for _ in self.inside(block, rest, prime)):
                    break
                trial[key] = (rest, rank)
            else:
                for key, (rest, rank) in trial.items():
                    local[key] = rest
                    left[key] -= rank
                self.hidden[unit] = False
                known[list(self.problem.units[unit])] = True


@dataclass(slots=True)
class _Block:
    """Hidden quantities that are connected by relations."""

    members: npt.NDArray[np.intp]
    targets: list[int]
    owned: dict[int, list[int]]
    """Holder → the quantities that it knows as their only contributor."""
    at: dict[int, int] = field(init=False)
    """Quantity → its place among the members."""
    lines: npt.NDArray[np.intp] = field(init=False)
    """Places of the targets."""
    used: npt.NDArray[np.intp] = field(init=False)
    """Places of the targets and of what anyone owns."""

    def __post_init__(self) -> None:
        self.at = {q: k for k, q in enumerate(self.members.tolist())}
        self.lines = np.array([self.at[t] for t in self.targets], dtype=np.intp)
        owned = [self.at[q] for quantities in self.owned.values() for q in quantities]
        self.used = np.union1d(self.lines, np.array(owned, dtype=np.intp))

    def most_owned(self) -> int:
        return max((len(quantities) for quantities in self.owned.values()), default=0)
