"""Judge a table together with all earlier releases of its series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.base.results import TOTAL, Cells, Measure
from opsroom.protect.judgement import Judgement
from opsroom.protect.ledger import Past
from opsroom.protect.linear import Rows
from opsroom.protect.quantities import REST, Key, Quantities, read_quantities, table_relations
from opsroom.protect.rules import Rules
from opsroom.protect.suppression import Problem, Solution, suppress
from opsroom.protect.vintage import compare

Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Unit = tuple[int, str]
"""Row number and measure."""

_BLOCK = 2**32
"""How many numbers for quantities a release may use."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What may be shown. Confidential: it tells primary from complementary.

    Attributes
    ----------
    shown, hidden
        Units that are published, and units that the gate hides.
    primary
        Hidden units that are sensitive by the primary rules on this table alone.
    judgement
        What the ledger keeps.
    """

    shown: frozenset[Unit]
    hidden: frozenset[Unit]
    primary: frozenset[Unit]
    judgement: Judgement


def judge(cells: Cells, rules: Rules, past: Sequence[Past], *, entry: int) -> Verdict:
    """Judge confidential cells.

    Parameters
    ----------
    cells
        Confidential cells with parts.
    rules
        The room's profile.
    past
        All earlier releases of the series, earliest first.
    entry
        Number that the release will have in the ledger.

    Returns
    -------
    Verdict

    Raises
    ------
    UsageError
        If the cells cannot be judged as they are, or the series has changed its dimensions.
    """
    quantities = read_quantities(cells, rules)
    relevant = _relevant(cells, quantities, past)
    numbers, sensitive = _identify(quantities, relevant, rules, entry)
    relations, extra = _number_relations(cells, quantities, numbers, entry)
    units, vectors = _units(cells, quantities)
    gives = _Gives(units, vectors)
    problem, local = _problem(quantities, numbers, sensitive, relations, extra, relevant, gives)
    solution = suppress(problem)
    judgement = _remember(cells, quantities, numbers, sensitive, relations, extra, solution, local, entry)
    hidden = frozenset(u for u, h in zip(units, solution.hidden, strict=True) if h)
    primary = frozenset(
        unit
        for unit, vector in zip(units, vectors, strict=True)
        if unit in hidden and any(quantities.sensitive[r, q] for r, q in vector)
    )
    return Verdict(frozenset(units) - hidden, hidden, primary, judgement)


@dataclass(frozen=True, slots=True)
class _Slice:
    """The rows of an earlier release that stand in one system with the new table."""

    judgement: Judgement
    rows: Ints
    row_of: Mapping[Key, int]


def _relevant(cells: Cells, quantities: Quantities, past: Sequence[Past]) -> list[_Slice]:
    fixed = [k for k, d in enumerate(cells.dimensions) if d not in cells.additive]
    now = {tuple(key[k] for k in fixed) for key in quantities.keys}
    found = []
    for earlier in past:
        judgement = earlier.judgement
        if judgement.dimensions != cells.dimensions:
            raise UsageError(
                f"cells {cells.name!r} have other dimensions than earlier releases of the series.",
                remedy="Publish the new table under a new name.",
            )
        rows = [r for r, key in enumerate(judgement.keys) if tuple(key[k] for k in fixed) in now]
        if rows:
            row_of = {judgement.keys[r]: r for r in rows}
            found.append(_Slice(judgement, np.asarray(rows, dtype=np.int64), row_of))
    return found


def _identify(quantities: Quantities, relevant: Sequence[_Slice], rules: Rules, entry: int) -> tuple[Ints, Flags]:
    """Number the quantities; those whose change since an earlier vintage is not safe are sensitive."""
    shape = quantities.value.shape
    numbers = entry * _BLOCK + np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
    fresh = np.ones(shape, dtype=bool)
    sensitive = quantities.sensitive.copy()
    for earlier in reversed(relevant):
        j = earlier.judgement
        pairs = [(r, earlier.row_of[key]) for r, key in enumerate(quantities.keys) if key in earlier.row_of]
        if not pairs:
            continue
        rows, olds = (np.asarray(side, dtype=np.intp) for side in zip(*pairs, strict=True))
        for q, name in enumerate(quantities.names):
            if name not in j.names:
                continue
            p = j.names.index(name)
            both = quantities.present[rows, q] & j.present[olds, p]
            new, old = rows[both], olds[both]
            if not len(new):
                continue
            change = compare(
                j.value[old, p], quantities.value[new, q], j.sketch[old, p], quantities.sketch[new, q], rules
            )
            take = change.same & fresh[new, q]
            numbers[new[take], q] = j.numbers[old[take], p]
            fresh[new[take], q] = False
            sensitive[new[~change.same & ~change.safe], q] = True
    return numbers, sensitive


@dataclass(frozen=True, slots=True)
class _Relations:
    row: Ints
    start: Ints
    number: Ints
    coefficient: Ints


def _number_relations(cells: Cells, quantities: Quantities, numbers: Ints, entry: int) -> tuple[_Relations, Ints]:
    rows: list[int] = []
    start = [0]
    number: list[int] = []
    coefficient: list[int] = []
    extra: list[int] = []
    following = entry * _BLOCK + numbers.size
    for relation in table_relations(cells, quantities):
        rows.append(relation.row)
        for row, q, a in relation.terms:
            number.append(int(numbers[row, q]))
            coefficient.append(a)
        if relation.remainder:
            # Whoever is not in the table could be recomputed: nothing is known of them, so be careful.
            extra.append(following + len(extra))
            number.append(extra[-1])
            coefficient.append(1)
        start.append(len(number))
    arrays = (np.asarray(x, dtype=np.int64) for x in (rows, start, number, coefficient))
    return _Relations(*arrays), np.asarray(extra, dtype=np.int64)


def _units(cells: Cells, quantities: Quantities) -> tuple[list[Unit], list[list[tuple[int, int]]]]:
    """List what may be published, with the (row, position) of the quantities that it gives away."""
    shown = shown_rows(cells)
    units: list[Unit] = []
    vectors: list[list[tuple[int, int]]] = []
    there_is = quantities.present.tolist()
    for measure in cells.measures:
        columns = _behind(measure, cells, quantities)
        for row in np.flatnonzero(shown).tolist():
            present = [q for q in columns if there_is[row][q]]
            if measure.kind == "public":
                there = bool(present)
            else:
                there = len(present) == len(columns)
            if there:
                units.append((row, measure.name))
                vectors.append([(row, q) for q in present])
    return units, vectors


def shown_rows(cells: Cells) -> Flags:
    """Say which rows are to be shown: all, unless the producer marks some as judged only (``__shown``)."""
    if "__shown" not in cells.frame.columns:
        return np.ones(len(cells.frame), dtype=bool)
    return cells.frame["__shown"].to_numpy(dtype=bool)


def _behind(measure: Measure, cells: Cells, quantities: Quantities) -> list[int]:
    if measure.kind == "public":
        # Declared a function of what is out: it falls with anything that is hidden in its row.
        return list(range(len(quantities.names)))
    names = list(measure.parts)
    if measure.kind == "share":
        names.append(measure.parts[0] + REST)
    return [quantities.index(name) for name in names]


@dataclass(frozen=True, slots=True)
class _Gives:
    units: Sequence[Unit]
    vectors: Sequence[Sequence[tuple[int, int]]]


class _System:
    """Quantities and relations of several vintages, put together by number."""

    def __init__(self) -> None:
        self.local: dict[int, int] = {}
        self.equations: dict[frozenset[tuple[int, int]], dict[int, int]] = {}
        self._marks: list[tuple[Flags, Flags, Ints, Ints]] = []

    def at(self, number: int) -> int:
        """Return the position of a quantity, a new one for a new number."""
        return self.local.setdefault(number, len(self.local))

    def mark(self, numbers: Ints, sensitive: Flags, known: Flags, holder: Ints) -> None:
        """Add quantities."""
        self._marks.append((sensitive, known, holder, numbers))
        for number in numbers.tolist():
            self.at(number)

    def mark_unknown(self, numbers: Ints) -> None:
        """Add quantities of which nothing is known: they are treated as sensitive."""
        n = len(numbers)
        self.mark(numbers, np.ones(n, dtype=bool), np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64))

    def relate(self, relations: _Relations, keep: Flags) -> None:
        """Add relations, each once."""
        numbers, coefficients = relations.number.tolist(), relations.coefficient.tolist()
        start, at = relations.start.tolist(), self.at
        for r in np.flatnonzero(keep).tolist():
            terms: dict[int, int] = {}
            for k in range(start[r], start[r + 1]):
                q = at(numbers[k])
                terms[q] = terms.get(q, 0) + coefficients[k]
            if 0 in terms.values():
                terms = {q: a for q, a in terms.items() if a}
            if terms:  # one that says that nothing is nothing tells nothing
                self.equations.setdefault(frozenset(terms.items()), terms)

    def flags(self) -> tuple[Flags, Flags, Ints]:
        """Return sensitive, known and holder by position."""
        size = len(self.local)
        sensitive, known = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
        holder = np.zeros(size, dtype=np.int64)
        for flags, out, owner, numbers in self._marks:
            where = np.fromiter((self.local[n] for n in numbers.tolist()), dtype=np.intp, count=len(numbers))
            sensitive[where] |= flags
            known[where] |= out
            holder[where] = np.where(owner != 0, owner, holder[where])
        return sensitive, known, holder


def _problem(
    quantities: Quantities,
    numbers: Ints,
    sensitive: Flags,
    relations: _Relations,
    extra: Ints,
    relevant: Sequence[_Slice],
    gives: _Gives,
) -> tuple[Problem, dict[int, int]]:
    system = _System()
    for earlier in relevant:
        j = earlier.judgement
        inside = np.zeros(len(j.keys), dtype=bool)
        inside[earlier.rows] = True
        use = j.present & inside[:, None]
        system.mark(j.numbers[use], j.sensitive[use], j.known[use], j.holder[use])
        old = _Relations(j.relation_row, j.relation_start, j.relation_number, j.relation_coefficient)
        system.relate(old, inside[j.relation_row])
        system.mark_unknown(np.array([n for n in j.extra.tolist() if n in system.local], dtype=np.int64))
    use = quantities.present
    open_zero = quantities.empty & ~sensitive
    system.mark(numbers[use], sensitive[use], open_zero[use], quantities.holder[use])
    system.relate(relations, np.ones(len(relations.row), dtype=bool))
    system.mark_unknown(extra)
    is_sensitive, is_known, holder = system.flags()
    local = system.local
    number = numbers.tolist()
    vectors = [tuple(sorted({local[number[r][q]] for r, q in vector})) for vector in gives.vectors]
    size = np.abs(quantities.value).tolist()
    cost = np.array([_cost(quantities, size, *pair) for pair in zip(gives.units, gives.vectors, strict=True)])
    equations = Rows.of(system.equations.values())
    return Problem(len(local), equations, is_sensitive, is_known, vectors, cost, holder), local


def _cost(
    quantities: Quantities, sizes: Sequence[Sequence[float]], unit: Unit, vector: Sequence[tuple[int, int]]
) -> float:
    """Price of hiding a unit: the largest quantity behind it, dearer for each total that it is."""
    size = max(sizes[r][q] for r, q in vector)
    totals = sum(code == TOTAL for code in quantities.keys[unit[0]])
    return float((1.0 + size) * (1.0 + totals))


def _remember(
    cells: Cells,
    quantities: Quantities,
    numbers: Ints,
    sensitive: Flags,
    relations: _Relations,
    extra: Ints,
    solution: Solution,
    local: Mapping[int, int],
    entry: int,
) -> Judgement:
    known = np.zeros(numbers.shape, dtype=bool)
    for row, q in zip(*np.nonzero(quantities.present), strict=True):
        known[row, q] = solution.known[local[int(numbers[row, q])]]
    holder = quantities.holder.copy()
    # Codes made up for this table are kept apart from those of other tables.
    lone = (holder < 0) & (holder > -_BLOCK)
    holder[lone] -= entry * _BLOCK
    return Judgement(
        cells.dimensions,
        quantities.keys,
        quantities.names,
        numbers,
        quantities.present,
        known,
        sensitive,
        holder,
        quantities.value,
        quantities.sketch,
        relations.row,
        relations.start,
        relations.number,
        relations.coefficient,
        extra,
    )
