"""The witnesses that the protector has found, with what each reaches and whom it does not take in.

All is kept in arrays, since there are very many and each is small: which quantities a witness moves, which goals it
reaches, which contributors it tells. A goal is twice a quantity, and one more for upwards.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.protect import shield_kernel as kernel
from opsroom.protect.system import System

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_NEARLY = 1 - 1e-9

_MOST = 6
"""How many witnesses one move makes: both ways, each stretched to up to three lengths."""


class Pool:
    """Witnesses over a system.

    Parameters
    ----------
    system
        The quantities.
    above, below
        How far it is to the goals, shape (n,). Not copied: what is written there later counts for later witnesses.
    sole
        The only contributor of each quantity, or 0.
    """

    def __init__(self, system: System, above: Floats, below: Floats, sole: Ints) -> None:
        self.system = system
        self.above, self.below, self.sole = above, below, sole
        n = system.size
        self.alive: Flags = np.zeros(64, dtype=bool)
        self.target: Ints = np.zeros(64, dtype=np.int64)
        # Where the entries of each witness begin: moved, reached, betrayed, own.
        self.start: Ints = np.zeros((64, 4), dtype=np.int64)
        self.count: Ints = np.zeros(1, dtype=np.int64)
        self.at: Ints = np.zeros(256, dtype=np.int64)
        self.shift: Floats = np.zeros(256)
        self.after: Ints = np.zeros(256, dtype=np.int64)
        self.owner: Ints = np.zeros(256, dtype=np.int64)
        self.reached: Ints = np.zeros((256, 3), dtype=np.int64)
        self.betrayed: Ints = np.zeros(256, dtype=np.int64)
        self.own: Ints = np.zeros(256, dtype=np.int64)
        self.using: Ints = np.full(n, -1, dtype=np.int64)
        self.reaching: Ints = np.full(2 * n, -1, dtype=np.int64)
        self._told: Ints = np.zeros(256, dtype=np.int64)

    def __len__(self) -> int:
        return int(self.count[0])

    def members(self, target: int) -> tuple[int, int]:
        """Return the contributors who pool what they know against a quantity; zeros where there are none."""
        found = self.system.peers.get(target)
        return (found[0], found[1]) if found else (0, 0)

    def keep(self, at: Ints, shift: Floats, goal: int, insiders: Collection[int]) -> tuple[bool, int]:
        """Keep a move, both ways, as far as it may be stretched.

        Returns
        -------
        bool, int
            Whether it serves its goal against the insiders, and the number of the witness that goes as far as
            asked and is believed by the insiders without reaching the goal, or -1.
        """
        system = self.system
        self._make_room(len(at))
        told = np.fromiter(insiders, dtype=np.int64, count=len(insiders))
        serves, settled = kernel.keep(
            at, shift, goal, told, self.members(goal >> 1), _NEARLY, system.value, system.base, system.floor,
            system.who, system.part, self.sole, system.sensitive, self.above, self.below,
            self.count, self.alive, self.target, self.start, self.at, self.shift, self.after, self.owner,
            self.reached, self.betrayed, self.own, self.using, self.reaching,
        )  # fmt: skip
        return bool(serves), int(settled)

    def lacking(self, goal: int) -> tuple[Ints | None, bool]:
        """Return the insiders against whom a goal has no witness, None if it has none at all.

        And whether the peers of its quantity are taken in by one that was made for it.
        """
        system = self.system
        number, peers = kernel.lacking(
            goal, self.members(goal >> 1), system.value, system.who, system.part, self.sole, self.alive, self.target,
            self.start, self.at, self.shift, self.reached, self.betrayed, self.own, self.reaching, self._told,
        )  # fmt: skip
        if number == -2:  # more tellers than there is room for
            self._told = np.zeros(2 * len(self._told), dtype=np.int64)
            return self.lacking(goal)
        return (None if number < 0 else self._told[:number].copy()), bool(peers)

    def dying(self, quantities: Ints) -> tuple[Ints, Ints]:
        """Return which witnesses move quantities, and the goals that these reach or were made for, ascending."""
        numbers = np.unique(kernel.users(quantities, self.using, self.after, self.owner, self.alive))
        parts = [self.reached[self.start[k, 1] : self.start[k + 1, 1], 0] for k in numbers.tolist()]
        made_for = 2 * self.target[numbers]
        return numbers, np.unique(np.concatenate([*parts, made_for, made_for + 1]))

    def table(self) -> sp.csc_array:
        """Return the living witnesses, shape (n, witnesses)."""
        count = len(self)
        lives = self.alive[:count]
        each = np.diff(self.start[: count + 1, 0])
        inside = np.repeat(lives, each)
        used = self.start[count, 0]
        start = np.concatenate([[0], np.cumsum(each[lives])])
        return sp.csc_array(
            (self.shift[:used][inside], self.at[:used][inside], start), shape=(self.system.size, int(lives.sum()))
        )

    def _make_room(self, moved: int) -> None:
        """See to it that the witnesses of a move of so many quantities can be added."""
        count = int(self.count[0])
        used = self.start[count].tolist()
        tells = moved * (self.system.who.shape[1] + 1)
        if count + _MOST + 1 >= len(self.alive):
            self.alive, self.target, self.start = (_longer(x, _MOST) for x in (self.alive, self.target, self.start))
        if used[0] + _MOST * moved > len(self.at):
            more = _MOST * moved
            self.at, self.shift, self.after, self.owner = (
                _longer(x, more) for x in (self.at, self.shift, self.after, self.owner)
            )
        if used[1] + _MOST * 2 * moved > len(self.reached):
            self.reached = _longer(self.reached, _MOST * 2 * moved)
        if used[2] + _MOST * tells > len(self.betrayed):
            self.betrayed = _longer(self.betrayed, _MOST * tells)
        if used[3] + _MOST * tells > len(self.own):
            self.own = _longer(self.own, _MOST * tells)


def _longer(array: Any, more: int) -> Any:
    longer = np.zeros((2 * len(array) + more, *array.shape[1:]), dtype=array.dtype)
    longer[: len(array)] = array
    return longer
