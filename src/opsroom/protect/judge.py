"""Judge a table together with all earlier releases of its series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from opsroom.base.errors import UsageError
from opsroom.base.results import TOP, TOTAL, Cells, Measure
from opsroom.protect.certificate import Certificate, certify
from opsroom.protect.insight import Marked, insight
from opsroom.protect.judgement import Judgement
from opsroom.protect.ledger import Past
from opsroom.protect.quantities import REST, Key, Quantities, read_quantities, table_relations
from opsroom.protect.rules import Rules
from opsroom.protect.shield import Shielded, shield
from opsroom.protect.system import System, components, relations
from opsroom.protect.vintage import compare, together

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Unit = tuple[int, str]
"""Row number and measure."""

STEADY = 0.5
"""What hiding costs where the last release hid, too, against 1 elsewhere: patterns that change make readers guess."""

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
    certificate
        That nobody can estimate what is hidden too closely, with all that is out.
    """

    shown: frozenset[Unit]
    hidden: frozenset[Unit]
    primary: frozenset[Unit]
    judgement: Judgement
    certificate: Certificate


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
    own = read_quantities(cells, rules)
    derived = [earlier for earlier in past if not earlier.judgement.is_table]
    past = [earlier for earlier in past if earlier.judgement.is_table]
    relevant = _relevant(cells, own, past, derived)
    numbers, quantities = _identify(own, relevant, rules, entry)
    lines, extra = _number_relations(cells, quantities, numbers, entry)
    units, vectors = _units(cells, quantities)
    pool = Pool()
    _collect(pool, quantities, numbers, lines, extra, relevant)
    for earlier in derived:
        pool.claim(earlier.judgement, earlier.seq)
    system = pool.system(rules)
    local, number = pool.local, numbers.tolist()
    gives = [tuple(sorted({local[number[r][q]] for r, q in vector})) for vector in vectors]
    size = np.abs(quantities.value).tolist()
    price = np.array([_price(quantities, size, *pair) for pair in zip(units, vectors, strict=True)])
    before = _hidden_before(cells, own, units, past)
    price[before] *= STEADY
    hidden = np.zeros(len(gives), dtype=bool)
    if _offered_before(cells, past):
        system, hidden = _unsettled(system, pool, gives, entry)
    found = shield(system, gives, price, hidden=hidden, before=before)
    judgement = _remember(cells, quantities, numbers, lines, extra, found, local, entry)
    certificate = certify(
        system, found.known, found.witnesses, attackers=rules.attackers, key=judgement.to_bytes(), lost=found.open
    )
    withheld = frozenset(u for u, h in zip(units, found.hidden, strict=True) if h)
    primary = frozenset(
        unit
        for unit, vector in zip(units, vectors, strict=True)
        if unit in withheld and any(own.sensitive[r, q] for r, q in vector)
    )
    return Verdict(frozenset(units) - withheld, withheld, primary, judgement, certificate)


@dataclass(frozen=True, slots=True)
class _Slice:
    """The rows of an earlier release that stand in one system with the new table."""

    judgement: Judgement
    rows: Ints
    row_of: Mapping[Key, int]


def _relevant(cells: Cells, quantities: Quantities, past: Sequence[Past], derived: Sequence[Past]) -> list[_Slice]:
    fixed = [k for k, d in enumerate(cells.dimensions) if d not in cells.additive]
    now = {tuple(key[k] for k in fixed) for key in quantities.keys}
    if derived:
        now = _tied(now, fixed, past, derived)
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


def _tied(
    now: set[tuple[str, ...]], fixed: Sequence[int], past: Sequence[Past], derived: Sequence[Past]
) -> set[tuple[str, ...]]:
    """Add what derived numbers tie to some slices of a series: a rate of growth ties two periods."""
    of: dict[int, tuple[str, ...]] = {}
    for earlier in past:
        j = earlier.judgement
        rows, columns = np.nonzero(j.present)
        for number, row in zip(j.numbers[rows, columns].tolist(), rows.tolist(), strict=True):
            of[number] = tuple(j.keys[row][k] for k in fixed)
    ties = []
    for earlier in derived:
        start, number = earlier.judgement.claim_start.tolist(), earlier.judgement.claim_number.tolist()
        ties += [{of[n] for n in number[a:b]} for a, b in pairwise(start)]
    found, size = set(now), -1
    while len(found) > size:
        size = len(found)
        for tie in ties:
            if tie & found:
                found |= tie
    return found


def _identify(quantities: Quantities, relevant: Sequence[_Slice], rules: Rules, entry: int) -> tuple[Ints, Quantities]:
    """Number the quantities; those whose change since an earlier vintage is not safe are sensitive, too."""
    shape = quantities.value.shape
    numbers = entry * _BLOCK + np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
    fresh = np.ones(shape, dtype=bool)
    sensitive = quantities.sensitive.copy()
    below, above = quantities.below.copy(), quantities.above.copy()
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
            unsafe = ~change.same & ~change.safe
            at, width = new[unsafe], change.width[unsafe]
            sensitive[at, q] = True
            below[at, q] = np.maximum(below[at, q], np.minimum(width, quantities.value[at, q] - quantities.base[at, q]))
            above[at, q] = np.maximum(above[at, q], _believable(quantities, at, q, width))
    for row, q, least in _told_together(quantities, relevant, fresh, rules):
        one, wide = np.array([row]), np.array([least])
        sensitive[row, q] = True
        below[row, q] = max(below[row, q], min(least, quantities.value[row, q] - quantities.base[row, q]))
        above[row, q] = max(above[row, q], float(_believable(quantities, one, q, wide)[0]))
    return numbers, replace(quantities, sensitive=sensitive, below=below, above=above)


def _told_together(
    quantities: Quantities, relevant: Sequence[_Slice], fresh: Flags, rules: Rules
) -> Iterator[tuple[int, int, float]]:
    """Yield new quantities that tell of few together with several earlier vintages, with how wide they must stay."""
    out: dict[tuple[int, int], dict[int, Floats]] = {}
    new = [(r, q) for r, q in np.argwhere(fresh & quantities.present).tolist()] if len(relevant) > 1 else []
    for earlier in relevant if new else ():
        j = earlier.judgement
        place = [j.names.index(name) if name in j.names else -1 for name in quantities.names]
        for r, q in new:
            old, p = earlier.row_of.get(quantities.keys[r], -1), place[q]
            if old >= 0 and p >= 0 and j.present[old, p] and j.known[old, p]:
                out.setdefault((r, q), {})[int(j.numbers[old, p])] = j.sketch[old, p]
    for (r, q), vintages in out.items():
        if len(vintages) > 1 and (width := together(np.stack(list(vintages.values())), quantities.sketch[r, q], rules)):
            yield r, q, width


def _believable(quantities: Quantities, rows: Ints, position: int, width: Floats) -> Floats:
    """Return widths upwards, no wider than leaves the other side of a share something."""
    name = quantities.names[position]
    other = name.removesuffix(REST) if name.endswith(REST) else name + REST
    if other not in quantities.names:
        return width
    most: Floats = np.abs(quantities.value[rows, quantities.index(other)])
    return np.minimum(width, most)


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
    names = [name for side in measure.every_side for name in side]
    if measure.kind == "share":
        names += [side[0] + REST for side in measure.every_side]
    return [quantities.index(name) for name in names]


class Pool:
    """Quantities and relations of several vintages, put together by number."""

    def __init__(self) -> None:
        self.local: dict[int, int] = {}
        self.lines: dict[frozenset[tuple[int, float]], None] = {}
        self.keys: dict[int, Key] = {}
        self._marks: list[tuple[Ints, Marked]] = []

    def at(self, number: int) -> int:
        """Return the position of a quantity, a new one for a new number."""
        return self.local.setdefault(number, len(self.local))

    def mark(self, numbers: Ints, marked: Marked, keys: Iterable[Key]) -> None:
        """Add quantities, each with the codes of its cell."""
        self._marks.append((numbers, marked))
        for number, key in zip(numbers.tolist(), keys, strict=True):
            self.keys[self.at(number)] = key

    def relate(self, lines: _Relations, keep: Flags) -> None:
        """Add relations, each once."""
        numbers, coefficients = lines.number.tolist(), lines.coefficient.tolist()
        start, at = lines.start.tolist(), self.at
        for r in np.flatnonzero(keep).tolist():
            terms: dict[int, int] = {}
            for k in range(start[r], start[r + 1]):
                q = at(numbers[k])
                terms[q] = terms.get(q, 0) + coefficients[k]
            if 0 in terms.values():
                terms = {q: a for q, a in terms.items() if a}
            if terms:  # one that says that nothing is nothing tells nothing
                self.lines[frozenset(terms.items())] = None

    def table(self, judgement: Judgement, inside: Flags) -> None:
        """Add some rows of an earlier table, with what is known of them."""
        j = judgement
        use = j.present & inside[:, None]
        self.mark(j.numbers[use], Marked.of(j, use, j.known), [j.keys[r] for r in np.nonzero(use)[0].tolist()])
        lines = _Relations(j.relation_row, j.relation_start, j.relation_number, j.relation_coefficient)
        self.relate(lines, inside[j.relation_row])

    def claim(self, judgement: Judgement, entry: int) -> list[int]:
        """Add what derived numbers tell of quantities that are in it, and return the positions of the slacks.

        A sum that is at least something is tied to a quantity that is at least zero: by how much it is more.
        """
        start, number = judgement.claim_start.tolist(), judgement.claim_number.tolist()
        coefficient, slack = judgement.claim_coefficient.tolist(), judgement.claim_slack
        chosen = [c for c in range(len(slack)) if all(n in self.local for n in number[start[c] : start[c + 1]])]
        codes = np.array([entry * _BLOCK + c for c in chosen], dtype=np.int64)
        self.mark(codes, Marked.plain(slack[chosen]), [() for _ in chosen])
        for c, code in zip(chosen, codes.tolist(), strict=True):
            terms: dict[int, float] = {self.local[code]: -1.0}
            for n, a in zip(number[start[c] : start[c + 1]], coefficient[start[c] : start[c + 1]], strict=True):
                terms[self.local[n]] = terms.get(self.local[n], 0.0) + a
            self.lines[frozenset((q, a) for q, a in terms.items() if a)] = None
        return [self.local[code] for code in codes.tolist()]

    def system(self, rules: Rules) -> System:
        """Return what was put together, and what attackers know."""
        n = len(self.local)
        value, base, below, above = np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n)
        sensitive, known, there = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        groups = np.zeros(n, dtype=np.int64)
        who, part = np.zeros((n, TOP), dtype=np.int64), np.zeros((n, TOP))
        for numbers, marked in self._marks:
            at = np.fromiter((self.local[k] for k in numbers.tolist()), dtype=np.intp, count=len(numbers))
            there[at] = True
            sensitive[at] |= marked.sensitive
            known[at] |= marked.known
            below[at] = np.maximum(below[at], marked.below)
            above[at] = np.maximum(above[at], marked.above)
            value[at], base[at], groups[at] = marked.value, marked.base, marked.groups
            who[at], part[at] = marked.who, marked.part
        equations = relations((line for line in self.lines), n)
        if not there.all():
            _complete(equations, value, ~there)
            # Whoever is not in the table could be recomputed: nothing is known of them, so be careful.
            width = np.maximum(rules.interval / 100 * np.abs(value), 1e-6 * np.abs(value).max(initial=1.0))
            sensitive |= ~there
            base[~there] = -np.inf
            below, above = np.where(there, below, width), np.where(there, above, width)
        return insight(equations, value, base, sensitive, below, above, known, groups, who, part, rules)


def _complete(equations: sp.csr_array, value: Floats, unknown: Flags) -> None:
    """Fill in values of remainders from the relation that each stands in."""
    rest = -(equations @ np.where(unknown, 0.0, value))
    for r in range(equations.shape[0]):
        a, b = equations.indptr[r], equations.indptr[r + 1]
        mine = [k for k in range(a, b) if unknown[equations.indices[k]]]
        if len(mine) == 1:
            value[equations.indices[mine[0]]] = rest[r] / equations.data[mine[0]]


def _collect(
    pool: Pool,
    quantities: Quantities,
    numbers: Ints,
    lines: _Relations,
    extra: Ints,
    relevant: Sequence[_Slice],
) -> None:
    """Put a table together with the earlier releases that it stands in one system with."""
    for earlier in relevant:
        inside = np.zeros(len(earlier.judgement.keys), dtype=bool)
        inside[earlier.rows] = True
        pool.table(earlier.judgement, inside)
    use = quantities.present
    keys = [quantities.keys[r] for r in np.nonzero(use)[0].tolist()]
    pool.mark(numbers[use], Marked.of(quantities, use, quantities.empty & ~quantities.sensitive), keys)
    pool.relate(lines, np.ones(len(lines.row), dtype=bool))
    for number in extra.tolist():
        pool.at(number)


def _offered_before(cells: Cells, past: Sequence[Past]) -> bool:
    """Say whether every earlier release had these measures, so that what it hid was hidden on purpose."""
    names = {m.name for m in cells.measures}
    return "__shown" not in cells.frame.columns and all(names <= set(p.release.columns) for p in past)


def _unsettled(system: System, pool: Pool, gives: Sequence[tuple[int, ...]], entry: int) -> tuple[System, Flags]:
    """Take out what this release says nothing new of: it was certified when it was released, and stays as it is.

    Quantities that relations connect with none that is new are such. Which of them are known is known; a unit that
    would give away another stays hidden.
    """
    label = components(system)
    new = np.zeros(system.size, dtype=bool)
    at = np.fromiter(pool.local.values(), dtype=np.intp, count=len(pool.local))
    numbers = np.fromiter(pool.local.keys(), dtype=np.int64, count=len(pool.local))
    new[at[numbers >= entry * _BLOCK]] = True
    touched = np.zeros(label.max(initial=-1) + 2, dtype=bool)
    touched[label[new]] = True
    settled = (label >= 0) & ~touched[label]
    hidden = np.fromiter((any(settled[q] for q in quantities) for quantities in gives), dtype=bool, count=len(gives))
    return replace(system, sensitive=system.sensitive & ~settled), hidden


def _price(
    quantities: Quantities, sizes: Sequence[Sequence[float]], unit: Unit, vector: Sequence[tuple[int, int]]
) -> float:
    """Price of hiding a unit: the largest quantity behind it, dearer for each total that it is."""
    size = max(sizes[r][q] for r, q in vector)
    totals = sum(code == TOTAL for code in quantities.keys[unit[0]])
    return float((1.0 + size) * (1.0 + totals))


def _hidden_before(cells: Cells, quantities: Quantities, units: Sequence[Unit], past: Sequence[Past]) -> Flags:
    """Say which units the last release of the series hid, for whatever period: the pattern is to be steady."""
    flags = np.zeros(len(units), dtype=bool)
    if not past:
        return flags
    last = past[-1].release
    additive = [k for k, d in enumerate(cells.dimensions) if d in cells.additive]
    at = {name: k for k, name in enumerate(last.columns)}
    shared = [m.name for m in cells.measures if m.name in at]
    status = at["status"]
    before = {
        (tuple(row[k] for k in additive), name)
        for row in last.rows
        if row[status] == "suppressed"
        for name in shared
        if row[at[name]] is None
    }
    for u, (row, name) in enumerate(units):
        flags[u] = (tuple(quantities.keys[row][k] for k in additive), name) in before
    return flags


def _remember(
    cells: Cells,
    quantities: Quantities,
    numbers: Ints,
    lines: _Relations,
    extra: Ints,
    found: Shielded,
    local: Mapping[int, int],
    entry: int,
) -> Judgement:
    known = np.zeros(numbers.shape, dtype=bool)
    for row, q in zip(*np.nonzero(quantities.present), strict=True):
        known[row, q] = found.known[local[int(numbers[row, q])]]
    who = quantities.who.copy()
    # Codes made up for this table are kept apart from those of other tables.
    lone = (who < 0) & (who > -_BLOCK)
    who[lone] -= entry * _BLOCK
    return Judgement(
        cells.dimensions,
        quantities.keys,
        quantities.names,
        numbers,
        quantities.present,
        known,
        quantities.sensitive,
        quantities.groups,
        quantities.below,
        quantities.above,
        quantities.base,
        who,
        quantities.part,
        quantities.value,
        quantities.sketch,
        lines.row,
        lines.start,
        lines.number,
        lines.coefficient,
        extra,
    )
