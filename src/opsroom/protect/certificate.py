"""Certificates: that witness tables leave every sensitive quantity open as wide as the rules ask.

A certificate is a set of witnesses, each a table that an attacker with given knowledge must think possible, which
together reach both ends of every protection interval against everybody. Anyone may propose witnesses; this module
checks them by sparse products and comparisons alone, and shares no code with who looked for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.errors import DisclosureError
from opsroom.protect.system import Insiders, System, components

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

TOLERANCE = 1e-7
"""What counts as rounding, relative to the terms of a relation or the width of an interval."""

METHOD = "opsroom-witness-1"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was proved of a set of tables.

    Attributes
    ----------
    method
        Name and version of the check.
    attackers
        Against whom: ``outsider``, ``contributor`` or ``coalition``.
    sensitive, witnesses
        Number of sensitive quantities that are open, and of witness tables. Confidential: a release does not say.
    digest
        Hash of the witnesses under a key that stays in the room: it commits to them and tells nothing.
    slack
        The least width reached, relative to the width asked for, less one; at least 0, rounded down to tenths, at
        most 1.
    lost
        Goals that no table reaches because of what was out before; they are no part of the certificate.
    """

    method: str
    attackers: str
    sensitive: int
    witnesses: int
    digest: str
    slack: float
    lost: int = 0

    def stamp(self) -> dict[str, Any]:
        """Return what a release says of its certificate."""
        return {"method": self.method, "attackers": self.attackers, "witnesses": self.digest, "slack": self.slack}


@dataclass(frozen=True, slots=True)
class Gap:
    """A goal that the witnesses do not reach: quantity, direction, and the contributor against whom (0: anybody)."""

    quantity: int
    direction: int
    insider: int


def certify(
    system: System,
    known: Flags,
    witnesses: sp.csc_array,
    *,
    attackers: str,
    key: bytes = b"",
    lost: Iterable[tuple[int, int, int]] = (),
) -> Certificate:
    """Check witnesses and issue the certificate.

    Parameters
    ----------
    system
        The quantities, with what each attacker knows.
    known
        Quantities that everybody is given, shape (n,).
    witnesses
        Moves, shape (n, witnesses): the true values plus each are a witness table.
    attackers
        Against whom, for the record: what contributors know is in `system`.
    key
        Secret under which the witnesses are hashed.
    lost
        Goals, with the insider or 0, that are said to be out of reach whatever is hidden. It is not believed but
        tried, by linear programmes of its own: see `Reach`.

    Returns
    -------
    Certificate

    Raises
    ------
    DisclosureError
        If the witnesses do not prove what they should.
    """
    excused = frozenset(lost)
    gaps, slack = examine(system, known, witnesses)
    reach = Reach(system)
    left = [g for g in gaps if (g.quantity, g.direction, g.insider) not in excused or not reach.beyond(g)]
    if left:
        raise DisclosureError(
            "there is no certificate: some withheld number could be estimated too closely.",
            remedy="Publish a coarser table.",
            code="OPS-P006",
        )
    open_now = system.sensitive & ~known & ~system.fixed
    mark = hashlib.blake2b(key=hashlib.sha256(key).digest(), digest_size=32)
    for array in (witnesses.indptr.astype("<i8"), witnesses.indices.astype("<i8"), witnesses.data.astype("<f8")):
        mark.update(len(array).to_bytes(8, "little"))
        mark.update(array.tobytes())
    tenths = float(np.floor(np.clip(slack, 0.0, 1.0) * 10) / 10)
    return Certificate(
        METHOD, attackers, int(open_now.sum()), witnesses.shape[1], f"blake2b:{mark.hexdigest()}", tenths, len(excused)
    )


def examine(system: System, known: Flags, witnesses: sp.csc_array) -> tuple[list[Gap], float]:
    """Return which goals no witness reaches, and the least slack of those that are.

    Notes
    -----
    A witness counts for a goal against an attacker if the attacker cannot tell it from the true table: relations
    and known quantities agree, nothing is below what everybody knows it to be at least, and neither are the
    attacker's own cells below its part of them, nor moved where it is alone. A contributor to the goal's own
    quantity can believe no end of the interval below its part; the table on the way to the witness at which its
    part is reached takes it in, since possible tables form a convex set.
    """
    moves = sp.csc_array(witnesses, copy=True)
    moves.sum_duplicates()  # what is said twice of a quantity is judged together
    proof = _Proof(system, known, moves)
    open_now = system.sensitive & ~known & ~system.fixed
    width = np.stack([system.below, system.above], axis=1).ravel()  # a goal is twice a quantity, and one for upwards
    goals = np.flatnonzero(np.repeat(open_now, 2) & (width > 0))
    best, told = proof.reached(goals, width)
    gaps = [Gap(int(g) >> 1, 1 if g & 1 else -1, 0) for g in goals[best[goals] == 0].tolist()]
    for goal, insider in told:
        if insider != proof.sole[goal >> 1] and not proof.settled((insider,), goal):
            gaps.append(Gap(goal >> 1, 1 if goal & 1 else -1, insider))
    for goal in goals[best[goals] > 0].tolist() if system.peers else ():
        peers = system.peers.get(goal >> 1)
        if peers and not proof.settled(peers, goal, float(width[goal])):
            gaps.append(Gap(goal >> 1, 1 if goal & 1 else -1, -1 - (goal >> 1)))
    whole = np.ones(len(width), dtype=bool)
    whole[[2 * g.quantity + (g.direction > 0) for g in gaps]] = False
    proved = goals[whole[goals]]
    slack = float((best[proved] / width[proved]).min(initial=np.inf)) - 1
    return sorted(gaps, key=_order), max(slack, 0.0) if np.isfinite(slack) else 1.0


def _order(gap: Gap) -> tuple[int, int, int]:
    return gap.quantity, -gap.direction, gap.insider


class Reach:
    """How far tables go if this release shows nothing at all: what was out before, and what insiders know, remains.

    Programmes of its own, one for each set of connected quantities, not those of who looked for witnesses.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.label = components(system)
        self.insiders = Insiders(system)
        self._equations = sp.csc_array(system.equations)
        self._asked: dict[int, tuple[Ints, Any]] = {}

    def beyond(self, gap: Gap) -> bool:
        """Say whether no table reaches a goal.

        Then what was published before, or what the attacker knows by itself, has said too much, and no suppression
        helps.
        """
        system, target = self.system, gap.quantity
        width = float(system.above[target] if gap.direction > 0 else system.below[target])
        columns, solver = self._solver(int(self.label[target]))
        least = (system.floor - system.value)[columns]
        at = int(np.searchsorted(columns, target))
        least[at] = system.base[target] - system.value[target]
        most = np.full(len(columns), np.inf)
        if gap.insider:
            members = (gap.insider,) if gap.insider > 0 else tuple(system.peers[-1 - gap.insider])
            knows = self.insiders.knowledge(members)
            whole = np.isin(columns, knows.whole)
            least[whole] = most[whole] = 0.0
            inside = np.isin(knows.quantities, columns)
            mine = np.searchsorted(columns, knows.quantities[inside])
            own = knows.parts[inside] - system.value[knows.quantities[inside]]
            least[mine] = np.maximum(least[mine], own)
            if gap.direction < 0:
                width = min(width, -float(least[at]))
        if width <= 0:
            return True
        least = np.minimum(least, 0.0) / width
        least[at] = most[at] = float(gap.direction)
        numbers = np.arange(len(columns), dtype=np.int32)
        solver.changeColsBounds(len(columns), numbers, least, most)
        solver.clearSolver()  # each question starts afresh: an answer is not to hang on the one before
        solver.run()
        return bool(solver.getModelStatus() == _infeasible())

    def _solver(self, label: int) -> tuple[Ints, Any]:
        if label not in self._asked:
            import highspy

            columns = np.flatnonzero(self.label == label)
            lines = sp.csc_array(self._equations[:, columns])
            rows, index = np.unique(lines.indices, return_inverse=True)
            model = highspy.HighsLp()
            model.num_col_, model.num_row_ = len(columns), len(rows)
            model.col_cost_ = model.col_lower_ = model.col_upper_ = np.zeros(len(columns))
            model.row_lower_ = model.row_upper_ = np.zeros(len(rows))
            model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
            model.a_matrix_.start_, model.a_matrix_.index_ = lines.indptr, index
            model.a_matrix_.value_ = lines.data
            solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]  # highspy is untyped
            solver.setOptionValue("output_flag", False)
            solver.setOptionValue("threads", 1)
            solver.passModel(model)
            self._asked[label] = columns, solver
        return self._asked[label]


def _infeasible() -> Any:
    import highspy

    return highspy.HighsModelStatus.kInfeasible


class _Proof:
    def __init__(self, system: System, known: Flags, moves: sp.csc_array) -> None:
        self.system = system
        self.insiders = Insiders(system)
        self.moves = moves
        value, at, shift = system.value, moves.indices, moves.data
        self.column = np.repeat(np.arange(moves.shape[1]), np.diff(moves.indptr))
        end = value[at] + shift
        slack = TOLERANCE * np.abs(value[at])
        # What makes a witness void for all: a relation broken, a known quantity moved, a value nobody believes.
        residual = abs(system.equations @ moves)
        terms = abs(system.equations) @ abs(moves)
        broken = (residual - TOLERANCE * terms).tocoo()
        void = np.zeros(moves.shape[1], dtype=bool)
        void[broken.coords[1][broken.data > 0]] = True
        void[self.column[(known | system.fixed)[at] & (shift != 0)]] = True
        void[self.column[end < system.base[at] - slack]] = True
        self.void = void
        self.low = end < system.floor[at] - slack
        self.told = (system.who[at] != 0) & (end[:, None] < system.part[at] - slack[:, None])
        self.sole = np.zeros(system.size, dtype=np.int64)
        for insider, quantities in system.alone.items():
            self.sole[quantities] = insider
        self.rows = sp.csr_array(sp.csc_array((np.arange(1, len(at) + 1), at, moves.indptr), shape=moves.shape))
        # Below what somebody unknown believes: what goes so low serves that quantity alone.
        lows = np.bincount(self.column[self.low], minlength=moves.shape[1])
        lowest = np.full(moves.shape[1], -1, dtype=np.int64)
        lowest[self.column[self.low]] = at[self.low]
        self.only = np.where(lows == 0, -1, np.where(lows == 1, lowest, -2))
        """The only quantity that a witness can serve; -1 where any, -2 where none."""

    def reached(self, goals: Ints, width: Floats) -> tuple[Floats, list[tuple[int, int]]]:
        """Return how far the best witness goes for each goal, and who tells from the true table all that reach one.

        By the target itself nobody is betrayed: the way to the witness goes through its part.
        """
        at, shift = self.moves.indices.astype(np.int64), self.moves.data
        goal = 2 * at + (shift > 0)
        wanted = np.zeros(len(width), dtype=bool)
        wanted[goals] = True
        only = self.only[self.column]
        pair = wanted[goal] & ~self.void[self.column] & (np.abs(shift) >= width[goal] * (1 - TOLERANCE))
        pair &= (only == -1) | (only == at)
        goal, witness, far = goal[pair], self.column[pair], np.abs(shift)[pair]
        best = np.zeros(len(width))
        np.maximum.at(best, goal, far)
        teller, insider, single = self._tellers()
        start = np.searchsorted(teller, np.arange(self.moves.shape[1] + 1))
        # Who tells a witness by its target alone does not count: how many of those are there for each pair?
        by_one = single >= 0
        key, times = np.unique(teller[by_one] * self.system.size + single[by_one], return_counts=True)
        mine = witness * self.system.size + (goal >> 1)
        place = np.minimum(np.searchsorted(key, mine), max(len(key) - 1, 0))
        excused = np.where(key[place] == mine, times[place], 0) if len(key) else np.zeros(len(mine), dtype=np.int64)
        silent = start[witness + 1] - start[witness] == excused
        done = np.zeros(len(width), dtype=bool)
        done[goal[silent]] = True
        left = ~done[goal]
        goal, witness = goal[left], witness[left]
        count = np.bincount(goal, minlength=len(width))
        each = start[witness + 1] - start[witness]
        which = np.repeat(np.arange(len(goal)), each)
        entry = np.arange(len(which)) - np.repeat(np.cumsum(each) - each, each) + start[witness][which]
        against = single[entry] != goal[which] >> 1
        names, number = np.unique(insider, return_inverse=True)
        told = goal[which][against] * max(len(names), 1) + number.ravel()[entry[against]]
        found, times = np.unique(told, return_counts=True)
        by_all = found[times == count[found // max(len(names), 1)]]
        return best, [(int(f) // len(names), int(names[int(f) % len(names)])) for f in by_all.tolist()]

    def _tellers(self) -> tuple[Ints, Ints, Ints]:
        """Return witness, contributor who tells it from the true table, and by which quantity (-1: by several)."""
        at, column = self.moves.indices.astype(np.int64), self.column
        alone = (self.sole[at] != 0) & (self.moves.data != 0)
        entry, k = np.nonzero(self.told)
        witness = np.concatenate([column[alone], column[entry]])
        insider = np.concatenate([self.sole[at[alone]], self.system.who[at[entry], k]])
        quantity = np.concatenate([at[alone], at[entry]])
        order = np.lexsort((quantity, insider, witness))
        witness, insider, quantity = witness[order], insider[order], quantity[order]
        new = np.ones(len(order), dtype=bool)
        new[1:] = (witness[1:] != witness[:-1]) | (insider[1:] != insider[:-1])
        heads = np.flatnonzero(new)
        if not len(heads):
            return witness, insider, quantity
        least, most = np.minimum.reduceat(quantity, heads), np.maximum.reduceat(quantity, heads)
        return witness[heads], insider[heads], np.where(least == most, least, -1)

    def settled(self, members: tuple[int, ...], goal: int, width: float = np.inf) -> bool:
        """Say whether contributors are taken in by a witness that goes to the end that they can believe."""
        target, direction = goal >> 1, 1 if goal & 1 else -1
        knows = self.insiders.knowledge(members)
        if target in knows.whole:
            return True
        value = float(self.system.value[target])
        own = knows.parts[knows.quantities == target]
        if direction < 0 and len(own):
            width = min(width, value - float(own[0]))
            if width <= TOLERANCE * abs(value):
                return True
        moved = self.rows.data[self.rows.indptr[target] : self.rows.indptr[target + 1]] - 1
        for entry in moved[direction * self.moves.data[moved] >= width * (1 - TOLERANCE)].tolist():
            witness = int(self.column[entry])
            a, b = self.moves.indptr[witness], self.moves.indptr[witness + 1]
            at = self.moves.indices[a:b]
            end, slack = self.system.value[at] + self.moves.data[a:b], TOLERANCE * np.abs(self.system.value[at])
            place = np.minimum(np.searchsorted(knows.quantities, at), len(knows.quantities) - 1)
            mine = (knows.quantities[place] == at) & (at != target) if len(knows.quantities) else np.zeros(b - a, bool)
            low = end[mine] < knows.parts[place[mine]] - slack[mine]
            if (
                not self.void[witness]
                and self.only[witness] in (-1, target)
                and not low.any()
                and not np.isin(at, knows.whole).any()
            ):
                return True
        return False
