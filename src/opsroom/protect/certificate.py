"""Certificates: that witness tables leave every sensitive quantity open as wide as the rules ask.

A certificate is a set of witnesses, each a table that an attacker with given knowledge must think possible, which
together reach both ends of every protection interval against everybody. Anyone may propose witnesses; this module
checks them by sparse products and comparisons alone, and shares no code with who looked for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
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
    proof = _Proof(system, known, sp.csc_array(witnesses))
    gaps: list[Gap] = []
    slack = np.inf
    targets = np.flatnonzero(system.sensitive & ~known & ~system.fixed).tolist()
    for target in targets:
        for direction, width in ((1, system.above[target]), (-1, system.below[target])):
            if width <= 0:
                continue
            found, reach = proof.unproved(target, direction, float(width))
            gaps += [Gap(target, direction, insider) for insider in found]
            if not found:
                slack = min(slack, reach / float(width) - 1)
    return gaps, max(float(slack), 0.0) if np.isfinite(slack) else 1.0


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
        rows = sp.csr_array(sp.csc_array((np.arange(1, len(at) + 1), at, moves.indptr), shape=moves.shape))
        self.rows = rows
        self._betrayed: dict[int, tuple[dict[int, set[int]], set[int]]] = {}

    def betrayed(self, witness: int) -> tuple[Mapping[int, set[int]], set[int]]:
        """Return contributor → the quantities by which it tells a witness, and the quantities below their floor."""
        if witness not in self._betrayed:
            found: dict[int, set[int]] = {}
            inside = range(self.moves.indptr[witness], self.moves.indptr[witness + 1])
            low: set[int] = set()
            for e in inside:
                q = int(self.moves.indices[e])
                if self.sole[q] and self.moves.data[e] != 0:
                    found.setdefault(int(self.sole[q]), set()).add(q)
                for k in np.flatnonzero(self.told[e]).tolist():
                    found.setdefault(int(self.system.who[q, k]), set()).add(q)
                if self.low[e]:
                    low.add(q)
            self._betrayed[witness] = (found, low)
        return self._betrayed[witness]

    def unproved(self, target: int, direction: int, width: float) -> tuple[list[int], float]:
        """Return the attackers (0: anybody) against whom a goal has no witness, and how far the best goes."""
        a, b = self.rows.indptr[target], self.rows.indptr[target + 1]
        entries = self.rows.data[a:b] - 1
        reach = direction * self.moves.data[entries]
        numbers = self.column[entries]
        able = ~self.void[numbers] & (reach > 0)
        best = 0.0
        left: set[int] | None = None
        for witness, far in zip(numbers[able].tolist(), reach[able].tolist(), strict=True):
            tells, low = self.betrayed(witness)
            if far < width * (1 - TOLERANCE) or low - {target}:
                continue
            best = max(best, far)
            # By the target itself nobody is betrayed: the way to the witness goes through its part.
            against = {i for i, quantities in tells.items() if quantities - {target}}
            left = against if left is None else left & against
        if left is None:
            return [0], best
        sole = int(self.sole[target])
        gaps = [i for i in sorted(left) if i != sole and not self._settled((i,), target, direction, numbers[able])]
        peers = self.system.peers.get(target)
        if peers and not self._settled(peers, target, direction, numbers[able], width):
            gaps.append(-1 - target)
        return gaps, best

    def _settled(
        self, members: tuple[int, ...], target: int, direction: int, numbers: Ints, width: float = np.inf
    ) -> bool:
        """Say whether contributors are taken in by a witness that goes to the end that they can believe."""
        knows = self.insiders.knowledge(members)
        if target in knows.whole:
            return True
        value = float(self.system.value[target])
        own = knows.parts[knows.quantities == target]
        if direction < 0 and len(own):
            width = min(width, value - float(own[0]))
            if width <= TOLERANCE * abs(value):
                return True
        part = np.full(self.system.size, -np.inf)
        part[knows.quantities] = knows.parts
        part[target] = -np.inf
        for witness in numbers.tolist():
            a, b = self.moves.indptr[witness], self.moves.indptr[witness + 1]
            at, shift = self.moves.indices[a:b], self.moves.data[a:b]
            far = direction * float(shift[at == target][0])
            end, slack = self.system.value[at] + shift, TOLERANCE * np.abs(self.system.value[at])
            if (
                far >= width * (1 - TOLERANCE)
                and not np.isin(at, knows.whole).any()
                and not (end < part[at] - slack).any()
                and not self.betrayed(witness)[1] - {target}
            ):
                return True
        return False
