"""`attack_insiders`: what contributors find out about each other from a table, with what they know of themselves.

An insider knows every cell to which it alone contributes, and that any other cell is at least its own part of it. A
coalition pools that. Sensitive cells are attacked from both sides, and so are the sums of what one contributor has to
itself in several cells of a line, of which one is sensitive; a possible table that the insider cannot tell from the
true one settles a side for everybody whom it takes in, so that most insiders cost no programme of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.errors import InternalError
from opsroom.protect.attack_scene import Scene, read
from opsroom.protect.attack_search import Bounds, Moves

if TYPE_CHECKING:
    import pandas as pd

    from opsroom.protect.rules import Rules
    from opsroom.protect.table import ProtectedTable

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Members = tuple[int, ...]

_CLOSE = 1e-6
"""What counts as rounding, relative to the width of a protection interval."""

_FAR = 512.0
"""A possible table is stretched no further than so many times."""

_REST = 1e-9
"""What counts as rounding, relative to a value."""


@dataclass(frozen=True, slots=True)
class InsiderResult:
    """Which sensitive cells contributors estimate too closely. Confidential.

    Attributes
    ----------
    attackers
        Number of contributors that attacked, and of coalitions.
    goals
        Ends of protection intervals of sensitive cells that are withheld, and of sums held alone.
    sums
        Sums of several cells of a line that one contributor has to itself, one of them sensitive.
    programmes
        Linear programmes solved.
    frame
        See `to_frame`.
    """

    attackers: int
    coalitions: int
    goals: int
    sums: int
    programmes: int
    frame: pd.DataFrame = field(repr=False)

    @property
    def successes(self) -> int:
        """Number of pairs of a sensitive cell, or sum held alone, and an attacker who estimates it too closely."""
        return len(self.frame)

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each sensitive cell and each who estimates it too closely.

        Columns: the dimensions (of a sum held alone all its codes, ``a + b``), ``attackers`` (numbers of the
        contributors as in ``tabulation.who``; empty for the public), ``lower`` and ``upper``, ``own`` (what they
        contribute to the cell themselves).
        """
        return self.frame.copy()

    def summary(self) -> str:
        """Return the outcome in one line."""
        return (
            f"{self.attackers} contributors and {self.coalitions} coalitions attacked {self.goals} ends of protection "
            f"intervals, those of {self.sums} sums held alone among them ({self.programmes} programmes): "
            f"{self.successes} attacks succeed."
        )


def attack_insiders(table: ProtectedTable, *, rules: Rules | None = None) -> InsiderResult:
    """Let every contributor attack every sensitive cell of a table.

    Parameters
    ----------
    table
        The table.
    rules
        The profile; the table's own unless said otherwise. With ``attackers = "coalition"`` the second and the third
        largest contributor of each sensitive cell attack it together, too.

    Returns
    -------
    InsiderResult
        Attackers are all who are alone in a withheld cell and all who are told apart in one, outsiders included. Who
        is alone in a cell, or in all cells of a sum, is no attacker on it, and nobody is expected to believe a cell
        to be less than its own part of it.
    """
    rules = rules or table.rules
    work = _Insiders(read(table, rules, None), table, rules)
    return work.run()


@dataclass(frozen=True, slots=True)
class _Possible:
    """A possible table: where and how it differs, and who tells it from the true one by which quantities."""

    at: Ints
    shift: Floats
    tellers: dict[int, frozenset[int]]


class _Insiders:
    def __init__(self, scene: Scene, table: ProtectedTable, rules: Rules) -> None:
        made = table.tabulation
        # The scene's order differs from the table's: match by codes.
        place = dict(zip(made.keys(), range(len(made.value)), strict=True))
        rows = [tuple(row) for row in scene.codes.tolist()]
        if isinstance(table.measure, tuple):  # of several measures codes begin with the measure
            called = dict(zip(table.measure, made.axes[0].codes[1:], strict=True))
            rows = [(called[scene.layers[k][1]], *row) for k, row in zip(scene.layer.tolist(), rows, strict=True)]
        back = np.array([place[row] for row in rows], dtype=np.int64)
        who, self.count = made.who[back], made.contributors[back]
        self.sums = _held_alone(scene, np.where(self.count == 1, who[:, 0], 0))
        self.who = np.vstack([who, *(np.where(np.arange(who.shape[1]) == 0, who[m[0], 0], 0) for m in self.sums)])
        self.count = np.append(self.count, np.ones(len(self.sums), dtype=self.count.dtype))
        tops = np.vstack([made.tops[back], *(np.eye(1, who.shape[1]) * scene.start[m].sum() for m in self.sums)])
        self.scene = scene = _with_sums(scene, self.sums, rules.interval)
        self.signed: Flags = np.append(made.signed[back], [made.signed[back][m].any() for m in self.sums]).astype(bool)
        self.part = np.where(self.signed[:, None], 0.0, np.minimum(tops, scene.start[:, None]))
        self.sole = np.where(self.count == 1, self.who[:, 0], 0)
        self.down = np.maximum(scene.start - scene.least, 0.0)
        self.up = np.full(len(self.down), np.inf)
        self.moves = Moves(scene.relations, scene.unknown)
        self.pool: list[_Possible] = []
        self.reached: dict[tuple[int, int], list[int]] = {}
        self.holds: dict[int, list[int]] = {}
        for q in np.flatnonzero(scene.unknown).tolist():
            for member in self.who[q][self.who[q] > 0].tolist():
                self.holds.setdefault(member, []).append(q)
        self.peers: dict[int, Members] = {}
        if rules.attackers == "coalition":
            for q in np.flatnonzero(scene.sensitive & scene.unknown & (self.count > 2)).tolist():
                self.peers[q] = (int(self.who[q, 1]), int(self.who[q, 2]))
        self.known: dict[Members, tuple[frozenset[int], Mapping[int, float]]] = {}
        self.rules = rules
        self.width = scene.width
        self.found: list[tuple[int, Members, float, float, float]] = []

    def run(self) -> InsiderResult:
        scene = self.scene
        targets = np.flatnonzero(scene.sensitive & scene.unknown)
        goals = 0
        for q in targets[np.argsort(-self.width[targets], kind="stable")].tolist():
            sides = ((1, float(self.width[q])), (-1, float(min(self.width[q], self.down[q]))))
            goals += sum(need > 0 for _, need in sides)
            lost: set[Members] = set()
            if not any(need > 0 and self._public(q, sign, need, lost) for sign, need in sides):
                for sign, need in sides:
                    if need > 0 and self.rules.attackers != "outsider":
                        self._attack(q, sign, need, lost)
        for q in np.flatnonzero(scene.sensitive & scene.shown).tolist():
            self.found.append((q, (), float(scene.start[q]), float(scene.start[q]), 0.0))
        return self._result(goals)

    def _public(self, q: int, sign: int, need: float, lost: set[Members]) -> bool:
        """Say whether everybody gets too close to a quantity from one side."""
        if any(self._reach(number, q, sign) >= need for number in self.reached.get((q, sign), ())):
            return False
        return self._look(q, sign * need, ()) is None and self._lose(q, sign, (), lost)

    def _attack(self, q: int, sign: int, need: float, lost: set[Members]) -> None:
        """Find which contributors get too close to a quantity from one side."""
        done = {m[0] for m in lost if len(m) == 1}
        while left := self._left(q, sign, need) - done:
            if len(left) == 1 or self._look(q, sign * need, left) is None:
                one = min(left)
                self._believe(q, sign, need, (one,), lost)
                done.add(one)
        if q in self.peers:
            self._believe(q, sign, need, self.peers[q], lost)

    def _left(self, q: int, sign: int, need: float) -> set[int]:
        """Return the contributors whom no possible table found so far takes in."""
        left: set[int] | None = None
        for number in self.reached.get((q, sign), ()):
            if self._reach(number, q, sign) >= need * (1 - _CLOSE):
                told = {i for i, by in self.pool[number].tellers.items() if by - {q}}
                left = told if left is None else left & told
                if not left:
                    break
        return {i for i in left or () if i != self.sole[q]}

    def _believe(self, q: int, sign: int, need: float, members: Members, lost: set[Members]) -> None:
        """Look whether members must think the end of an interval possible, or its part down to their own."""
        whole, parts = self._knows(members)
        if q in whole or members in lost:
            return
        if sign < 0:
            need = min(need, float(self.scene.start[q] - parts.get(q, 0.0)))
            if need <= _REST * abs(self.scene.start[q]):
                return
        for number in self.reached.get((q, sign), ()):
            if self._reach(number, q, sign) >= need * (1 - _CLOSE) and self._believed(number, q, whole, parts):
                return
        if self._look(q, sign * need, members) is None:
            self._lose(q, sign, members, lost)

    def _believed(self, number: int, q: int, whole: frozenset[int], parts: Mapping[int, float]) -> bool:
        table = self.pool[number]
        for cell, shift in zip(table.at.tolist(), table.shift.tolist(), strict=True):
            end = float(self.scene.start[cell]) + shift
            if cell != q and (cell in whole or end < parts.get(cell, -np.inf) - self._slack(cell, shift)):
                return False
        return True

    def _slack(self, cell: Any, shift: Any) -> Any:
        return _REST * np.abs(self.scene.start[cell]) + _CLOSE * np.abs(shift)

    def _knows(self, members: Members) -> tuple[frozenset[int], Mapping[int, float]]:
        """Return which withheld quantities members know entirely together, and of the others their part."""
        if members not in self.known:
            whole: set[int] = set()
            parts: dict[int, float] = {}
            for member in members:
                for q in self.holds.get(member, ()):
                    parts[q] = parts.get(q, 0.0) + float(self.part[q][self.who[q] == member][0])
                    if self.sole[q] == member:
                        whole.add(q)
            if len(members) > 1:
                inside = {q: set(self.who[q][self.who[q] > 0].tolist()) for q in parts if self.count[q] <= len(members)}
                whole |= {q for q, by in inside.items() if by <= set(members)}
            self.known[members] = frozenset(whole), {q: part for q, part in parts.items() if not self.signed[q]}
        return self.known[members]

    def _look(self, q: int, need: float, members: Iterable[int]) -> _Possible | None:
        """Look for a possible table that takes in each of some contributors (a coalition is given as its members)."""
        group = tuple(members)
        closed, down = ~self.scene.unknown, self.down.copy()
        for each in [group] if self.peers.get(q) == group else [(i,) for i in group]:
            whole, parts = self._knows(each)
            closed[list(whole)] = True
            for cell, part in parts.items():
                if cell != q:
                    down[cell] = min(down[cell], max(float(self.scene.start[cell]) - part, 0.0))
        found = self.moves.move(q, need, down, self.up, closed)
        if found is None:
            return None
        at, shift = found
        asked = self._add(at, shift)
        for move in (shift, -shift):
            for stretch in self._stretches(at, move):
                self._add(at, move * stretch)
        return asked

    def _stretches(self, at: Ints, move: Floats) -> list[float]:
        """Return how far a move goes until somebody told apart notices, and until everybody does."""
        falls = move < 0
        speed = -move[falls]
        gentle = (self.scene.start[at] - np.where(self.sole[at] > 0, 0.0, self.part[at].max(axis=1)))[falls]
        limits = [float((room / speed).min(initial=_FAR)) * (1 - 1e-9) for room in (gentle, self.down[at][falls])]
        return sorted({t for t in limits if t > 1e-6})

    def _add(self, at: Ints, shift: Floats) -> _Possible:
        gap = np.abs(self.scene.relations[:, at] @ shift).max(initial=0.0)
        if gap > _CLOSE * float(np.abs(shift).max()):
            raise InternalError("a table that the attacker thought possible breaks a sum.")
        tellers: dict[int, set[int]] = {}
        end, slack = self.scene.start[at] + shift, self._slack(at, shift)
        for q, member in zip(at.tolist(), self.sole[at].tolist(), strict=True):
            if member:
                tellers.setdefault(member, set()).add(q)
        low = (self.who[at] > 0) & (end[:, None] < self.part[at] - slack[:, None]) & ~self.signed[at][:, None]
        for row, column in np.argwhere(low).tolist():
            tellers.setdefault(int(self.who[at[row], column]), set()).add(int(at[row]))
        made = _Possible(at, shift, {i: frozenset(by) for i, by in tellers.items()})
        self.pool.append(made)
        for q, far in zip(at.tolist(), shift.tolist(), strict=True):
            if self.scene.sensitive[q]:
                self.reached.setdefault((q, 1 if far > 0 else -1), []).append(len(self.pool) - 1)
        return made

    def _reach(self, number: int, q: int, sign: int) -> float:
        table = self.pool[number]
        return sign * float(table.shift[np.searchsorted(table.at, q)])

    def _lose(self, q: int, sign: int, members: Members, lost: set[Members]) -> bool:
        """Bound a quantity for members who seem to get too close to it, and note the success if it is one."""
        whole, parts = self._knows(members)
        scene = self.scene
        columns = self.moves.whole(q)
        least, most = -self.down[columns], self.up[columns]
        for k, cell in enumerate(columns.tolist()):
            if cell in whole:
                least[k] = most[k] = 0.0
            elif cell in parts:
                least[k] = max(least[k], -max(float(scene.start[cell]) - parts[cell], 0.0))
        k, start, width = int(np.searchsorted(columns, q)), float(scene.start[q]), float(self.width[q])
        low, high = (self._end(columns, least, most, k, side, width)[0] for side in (-1, 1))
        own = parts.get(q, 0.0)
        below = max(min(width, float(self.down[q]), start - own), 0.0)
        if high < width * (1 - _CLOSE) or low > -below * (1 - _CLOSE):
            lost.add(members)
            self.found.append((q, members, start + low, start + high, own))
            return True
        # The search was a hair too strict: the table at the end of the way settles it.
        least[k], most[k] = max(least[k], -width), min(most[k], width)
        _, table = self._end(columns, least, most, k, sign, width)
        if table is None:
            raise InternalError("the solver finds no end to an interval that has one.")
        moved = np.flatnonzero(np.abs(table) > _REST * width)
        self._add(columns[moved], table[moved])
        return False

    def _end(
        self, columns: Ints, least: Floats, most: Floats, k: int, sign: int, width: float
    ) -> tuple[float, Floats | None]:
        relations = self.scene.relations[:, columns]
        programme = Bounds(relations, np.zeros(relations.shape[0]), least, most, width)
        self.moves.programmes += 1
        return programme.end(k, sign)

    def _result(self, goals: int) -> InsiderResult:
        import pandas as pd

        cells = [q for q, *_ in self.found]
        frame = pd.DataFrame(self.scene.codes[cells], columns=list(self.scene.dimensions))
        if len(self.scene.layers) > 1:
            names = np.array([measure for _, measure, _ in self.scene.layers], dtype=object)
            frame.insert(0, "measure", names[self.scene.layer[cells]])
        frame["attackers"] = pd.Series([members for _, members, *_ in self.found], dtype=object)
        for k, name in enumerate(("lower", "upper", "own"), start=2):
            frame[name] = np.array([row[k] for row in self.found], dtype=np.float64)
        attackers = len(self.holds) if self.rules.attackers != "outsider" else 0
        return InsiderResult(attackers, len(self.peers), goals, len(self.sums), self.moves.programmes, frame)


def _held_alone(scene: Scene, sole: Ints) -> list[Ints]:
    """Return the sets of cells of a line that one contributor has to itself, of which one is sensitive.

    Where it has all of the line, the total is its own and a cell like others.
    """
    lines = sp.csr_array(scene.relations)
    found: dict[tuple[int, ...], None] = {}
    for row in range(lines.shape[0]):
        here = slice(lines.indptr[row], lines.indptr[row + 1])
        parts = lines.indices[here][lines.data[here] > 0]
        own = sole[parts]
        for holder in np.unique(own[own > 0]).tolist():
            members = np.sort(parts[own == holder])
            if 1 < len(members) < len(parts) and scene.sensitive[members].any():
                found[tuple(members.tolist())] = None
    return [np.array(members, dtype=np.int64) for members in found]


def _with_sums(scene: Scene, sums: list[Ints], interval: float) -> Scene:
    """Add sums of cells to what is attacked; they must stay open by the interval of what has too few contributors."""
    if not sums:
        return scene
    n, k = len(scene.start), len(sums)
    rows = np.repeat(np.arange(k), [len(m) for m in sums])
    inside = sp.csr_array((np.ones(len(rows)), (rows, np.concatenate(sums))), shape=(k, n))
    lines = sp.block_array([[scene.relations, None], [inside, -sp.eye_array(k)]], format="csr")
    names = [[" + ".join(dict.fromkeys(scene.codes[m, d])) for d in range(scene.codes.shape[1])] for m in sums]
    start: Floats = np.array([scene.start[m].sum() for m in sums])

    def each(of: npt.NDArray[Any], how: Any) -> Any:
        return np.append(of, [how(of[m]) for m in sums])

    return replace(
        scene,
        codes=np.vstack([scene.codes, np.array(names, dtype=object).reshape(k, -1)]),
        layer=np.append(scene.layer, [scene.layer[m[0]] for m in sums]),
        shown=each(scene.shown, np.all).astype(bool),
        start=np.append(scene.start, start),
        scored=each(scene.scored, np.all).astype(bool),
        sensitive=np.append(scene.sensitive, np.ones(k, dtype=bool)),
        width=np.append(scene.width, np.maximum(interval / 100 * np.abs(start), 1e-9)),
        least=each(scene.least, np.sum),
        most=each(scene.most, np.sum),
        own=np.append(scene.own, np.full(k, -np.inf)),
        relations=sp.csr_array(lines),
    )
