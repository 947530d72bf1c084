"""Random tables against an independent attacker: nobody gets inside protection, and nothing is hidden in vain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from opsroom.base.errors import DisclosureError
from opsroom.protect.attack import Published, attack, attack_insiders
from opsroom.protect.certificate import certify, examine
from opsroom.protect.rules import Rules
from opsroom.protect.shield import shield
from opsroom.protect.table import ProtectedTable, judge_cells, protect_table, system_of
from opsroom.protect.tabulate import tabulate

CODES = (("A1", "A2", "B1", "B2"), ("x1", "x2", "y1"), ("s", "t"))
PARENTS = ({"A1": "A", "A2": "A", "B1": "B", "B2": "B"}, {"x1": "x", "x2": "x"}, {})
NAMES = ("nace", "region", "size")


@dataclass(frozen=True)
class Case:
    """Microdata and how to make a table of them."""

    micro: pd.DataFrame
    dimensions: tuple[Any, ...]
    hierarchies: dict[str, dict[str, str]]
    rules: Rules
    weight: str | None
    measure: str | None = "value"
    """None counts rows."""

    def table(self, **more: Any) -> ProtectedTable:
        return protect_table(
            self.micro,
            dimensions=self.dimensions,
            measure=self.measure,
            unit="EUR",
            hierarchies=self.hierarchies,
            rules=self.rules,
            weight=self.weight,
            **more,
        )


@st.composite
def cases(draw: st.DrawFn, *, plain: bool = False) -> Case:
    """Draw companies of up to three dimensions, flat or hierarchical, in one table or in two that are linked."""
    n_dims = draw(st.integers(1, 3))
    names = NAMES[:n_dims]
    width = [draw(st.integers(2, len(c))) for c in CODES[:n_dims]]
    signed = not plain and draw(st.integers(0, 5)) == 0
    sizes = st.one_of(st.integers(-50 if signed else 0, 50), st.integers(0, 5_000))
    row = st.tuples(
        st.tuples(*(st.sampled_from(c[:w]) for c, w in zip(CODES, width, strict=False))),
        st.integers(0, 14),
        sizes,
        st.booleans(),
        st.sampled_from([1.0, 1.0, 0.5, 1.5, 4.0]),
    )
    drawn = draw(st.lists(row, min_size=3, max_size=45))
    micro = pd.DataFrame([key for key, *_ in drawn], columns=list(names))
    micro["who"] = [who for _, who, *_ in drawn]
    micro["value"] = [float(value) for _, _, value, *_ in drawn]
    micro["agreed"] = [flag for *_, flag, _ in drawn]
    micro["weight"] = [weight for *_, weight in drawn]
    tall = {n: h for n, h in zip(names, PARENTS, strict=False) if draw(st.booleans())}
    rules = Rules(
        min_contributors=draw(st.integers(2, 4)),
        dominance=draw(st.sampled_from([(), ((2, 85.0),), ((1, 70.0), (2, 90.0))])),
        p_percent=draw(st.sampled_from([None, 10.0, 30.0])),
        interval=draw(st.sampled_from([5.0, 20.0, 100.0])),
        attackers=draw(st.sampled_from(["outsider", "contributor", "coalition"])),
        group="who",
        waiver="agreed" if not plain and draw(st.integers(0, 3)) == 0 else None,
        request="agreed" if not plain and draw(st.integers(0, 5)) == 0 else None,
    )
    linked = n_dims > 1 and draw(st.booleans())
    dimensions = tuple(combinations(names, n_dims - 1)) if linked else names
    weight = "weight" if not plain and draw(st.integers(0, 4)) == 0 else None
    measure = None if not plain and draw(st.integers(0, 5)) == 0 else "value"
    return Case(micro, dimensions, tall, rules, weight, measure)


@dataclass(frozen=True)
class Cell:
    """A cell, by hand: what each group contributes."""

    key: tuple[str, ...]
    parts: dict[int, float]


def contributions(case: Case, table: ProtectedTable) -> list[Cell]:
    """Sum up what each group contributes to each cell, straight from the microdata."""
    found = []
    for key in table.tabulation.keys():  # noqa: SIM118 - no mapping
        inside = np.ones(len(case.micro), dtype=bool)
        for name, code in zip(table.dimensions, key, strict=True):
            below = case.hierarchies.get(name, {})
            inside &= np.array([code in ("_T", c, below.get(c, "_T")) for c in case.micro[name]])
        rows = case.micro[inside]
        amount = rows["value"] if case.measure else rows["value"] * 0 + 1
        heavy = amount * (1.0 if case.weight is None else rows["weight"])
        parts = pd.DataFrame({"own": amount, "sum": heavy}).groupby(rows["who"]).sum()
        there = parts[(parts != 0).any(axis=1)]["own"]
        found.append(Cell(key, {int(g): float(v) for g, v in there.items()}))
    return found


def knowledge(cells: list[Cell], table: ProtectedTable, members: set[int]) -> tuple[pd.DataFrame, set[tuple[str, ...]]]:
    """Return what some groups know together of what is hidden, and the cells that they know entirely."""
    rows, whole = [], set()
    for k, cell in enumerate(cells):
        own = members & set(cell.parts)
        if not own or not table.hidden[k]:
            continue
        if own == set(cell.parts):
            whole.add(cell.key)
            rows.append((*cell.key, float(table.tabulation.value[k]), np.nan))
        elif not table.tabulation.negative:
            part = sum(cell.parts[g] for g in own)
            rows.append((*cell.key, np.nan, min(part, float(table.tabulation.value[k]))))
    return pd.DataFrame(rows, columns=[*table.dimensions, "value", "at_least"]), whole


def successes(case: Case, table: ProtectedTable) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Attack as everybody whom the rules name, and yield each cell with those who got inside its protection."""

    def inside(known: pd.DataFrame | None) -> set[tuple[str, ...]]:
        frame = attack(table, rules=case.rules, known=known, bounds="exact").to_frame()
        keys = zip(*(frame[d] for d in table.dimensions), strict=True)
        return {key for key, bad in zip(keys, frame["inside_protection"], strict=True) if bad}

    yield from ((key, ()) for key in inside(None))
    if case.rules.attackers == "outsider":
        return
    cells = contributions(case, table)
    for group in sorted({g for cell in cells for g in cell.parts}):
        known, whole = knowledge(cells, table, {group})
        if len(known):
            yield from ((key, (group,)) for key in inside(known) - whole)
    if case.rules.attackers == "coalition":
        names = pd.factorize(case.micro["who"])[1]
        for q in np.flatnonzero(table.sensitive & (table.tabulation.contributors > 2)).tolist():
            members = {int(names[w - 1]) for w in table.tabulation.who[q, 1:3]}
            known, whole = knowledge(cells, table, members)
            if cells[q].key in inside(known) - whole:
                yield cells[q].key, tuple(sorted(members))


def sums_alone(case: Case, table: ProtectedTable, cells: list[Cell]) -> dict[tuple[int, ...], int]:
    """Return what one group has to itself in several cells of a line, but not the whole line: cells → the group.

    A line is a cell and those below it in one dimension. Where none of the cells is sensitive there is no secret.
    """
    at = {cell.key: k for k, cell in enumerate(cells)}
    found: dict[tuple[int, ...], int] = {}
    for line in lines(case, table):
        below = [at[key] for key in line[1:] if key in at]
        for group in {g for k in below for g in cells[k].parts}:
            mine = tuple(k for k in below if set(cells[k].parts) == {group})
            if 1 < len(mine) < len(below) and table.sensitive[list(mine)].any():
                found[mine] = group
    return found


def lines(case: Case, table: ProtectedTable) -> Iterator[list[tuple[str, ...]]]:
    """Yield each cell with the cells just below it in one dimension."""
    keys = table.tabulation.keys()
    for key, (d, name) in product(keys, enumerate(table.dimensions)):
        above = case.hierarchies.get(name, {})
        codes = {k[d] for k in keys} - {"_T"}
        below = [c for c in sorted(codes) if above.get(c, "_T") == key[d]]
        if key[d] == "_T" or below:
            yield [key, *((*key[:d], c, *key[d + 1 :]) for c in below)]


def sums_found(case: Case, table: ProtectedTable) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Attack what groups hold alone in several cells together, and yield each such sum with who gets inside.

    By programmes over all cells, without the product's attackers: those look at cells one by one.
    """
    cells = contributions(case, table)
    at = {cell.key: k for k, cell in enumerate(cells)}
    value, n = table.tabulation.value, len(cells)
    rows = []
    for line in lines(case, table):
        row = np.zeros(n)
        for sign, key in zip([-1.0, *[1.0] * len(line)], line, strict=False):
            if key in at:
                row[at[key]] += sign
        if len(line) > 1 and any(key in at for key in line[1:]):
            rows.append(row)
    for members, holder in sums_alone(case, table, cells).items():
        sum_of = float(value[list(members)].sum())
        width = case.rules.interval / 100 * abs(sum_of)
        others = sorted({g for cell in cells for g in cell.parts} - {holder})
        for who in [(), *((g,) for g in others if case.rules.attackers != "outsider")]:
            low = np.where(table.hidden, -np.inf if table.tabulation.negative else 0.0, value)
            high = np.where(table.hidden, np.inf, value)
            known, _ = knowledge(cells, table, set(who))
            for *key, exactly, least in known.itertuples(index=False):
                k = at[tuple(key)]
                low[k] = max(low[k], least) if np.isnan(exactly) else exactly
                high[k] = high[k] if np.isnan(exactly) else exactly
            ends = []
            for sign in (1.0, -1.0):
                cost = np.zeros(n)
                cost[list(members)] = sign
                answer = linprog(
                    cost, A_eq=np.array(rows), b_eq=np.zeros(len(rows)), bounds=np.column_stack([low, high])
                )
                ends.append(sign * answer.fun if answer.status == 0 else -sign * np.inf)
            down = width if table.tabulation.negative else min(width, sum_of)
            rest = 1e-6 * max(width, 1e-9)
            if ends[0] > sum_of - down + rest or ends[1] < sum_of + width - rest:
                yield members, who


def protected(case: Case, **more: Any) -> ProtectedTable:
    try:
        return case.table(**more)
    except DisclosureError:
        event("refused")
        assume(False)
        raise


TWO_CELLS = pd.DataFrame(
    {"nace": ["A1", "A2", *["B1"] * 4, *["B2"] * 4], "who": [1, 1, *range(2, 10)], "value": [50.0, 60.0, *[15.0] * 8]}
)
"""One company has two cells to itself: each hides the other, and their sum is what is left of the total."""


@settings(max_examples=12)
@example(Case(TWO_CELLS, ("nace",), {}, Rules(interval=20.0, attackers="outsider", group="who"), None))
@given(cases())
def test_nobody_gets_inside_protection(case: Case) -> None:
    table = protected(case)
    event(f"{case.rules.attackers}, {len(table.dimensions)} dimensions, sensitive: {bool(table.sensitive.any())}")
    assert list(successes(case, table)) == []
    assert list(sums_found(case, table)) == []
    assert attack(table, rules=case.rules, bounds="protection").inside == 0
    assert attack_insiders(table).successes == 0


@pytest.mark.long
@settings(max_examples=400)
@given(cases())
def test_nobody_gets_inside_protection_at_length(case: Case) -> None:
    table = protected(case)
    assert list(successes(case, table)) == []
    assert list(sums_found(case, table)) == []
    assert attack_insiders(table).successes == 0


@settings(max_examples=10)
@given(cases(), st.data())
def test_what_is_out_already_stays_out_and_betrays_nobody(case: Case, data: st.DataObject) -> None:
    first = protected(case)
    shown = [key for key, bad in zip(first.tabulation.keys(), first.sensitive, strict=True) if not bad]
    out = data.draw(st.lists(st.sampled_from(shown), max_size=4)) if shown else []
    table = protected(case, published=out)
    hidden = {key for key, h in zip(table.tabulation.keys(), table.hidden, strict=True) if h}
    assert not hidden & set(out)
    assert list(successes(case, table)) == []
    assert attack_insiders(table).successes == 0


@settings(max_examples=10)
@given(cases(plain=True))
def test_both_attackers_agree_on_a_table_that_is_open(case: Case) -> None:
    """With the sensitive cells alone hidden, many attacks succeed; contributor by contributor it is the same ones."""
    table = protected(case)
    bare = replace(table, hidden=table.sensitive)
    found = attack_insiders(bare).to_frame()
    keys = zip(*(found[d] for d in bare.dimensions), strict=True)
    everything = {(key, tuple(a)) for key, a in zip(keys, found["attackers"], strict=True)}
    ours = {(key, a) for key, a in everything if not any(" + " in code for code in key)}
    names = pd.factorize(case.micro["who"])[1]

    def label(members: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(sorted(int(names[w - 1]) for w in members))

    # A coalition is one of two in a sensitive cell: none attacks a sum.
    codes = bare.tabulation.keys()
    sums = {
        (tuple(frozenset(codes[k][d] for k in members) for d in range(len(bare.dimensions))), who)
        for members, who in sums_found(case, bare)
    }
    everybody = {(members, who) for members, who in sums if who == ()}
    single = {(members, who) for members, who in sums if (members, ()) not in everybody}
    event(f"sums: {len(everybody)} by all, {len(single)} by one")
    assert everybody | single == {
        (tuple(frozenset(code.split(" + ")) for code in key), label(a)) for key, a in everything - ours
    }
    theirs = set(successes(case, bare))
    lost = {(key, ()) for key, who in theirs if who == ()}
    assert {pair for pair in ours if pair[1] == ()} == lost
    # What everybody knows, insiders know; who finds it alone, finds it in a coalition.
    left = {(key, who) for key, who in theirs if (key, ()) not in lost}
    alone = {(key, who) for key, who in left if len(who) == 1}
    assert {(key, label(who)) for key, who in ours if len(who) == 1} == alone
    pairs = {(key, who) for key, who in left if len(who) == 2 and not any((key, (g,)) in alone for g in who)}
    assert pairs <= {(key, label(who)) for key, who in ours if len(who) == 2} <= left


@settings(max_examples=12)
@given(cases(plain=True))
def test_few_and_dominated_cells_are_never_published(case: Case) -> None:
    table = protected(case)
    for k, cell in enumerate(contributions(case, table)):
        parts = sorted(cell.parts.values(), reverse=True)
        few = 0 < len(parts) < case.rules.min_contributors
        dominated = any(sum(parts[:n]) * 100 > limit * sum(parts) * (1 + 1e-9) for n, limit in case.rules.dominance)
        assert table.hidden[k] or not (few or dominated)


small = st.lists(st.lists(st.integers(0, 6), min_size=2, max_size=3), min_size=2, max_size=3).filter(
    lambda rows: len({len(r) for r in rows}) == 1 and 0 < sum(map(sum, rows)) <= 16
)


def possible(shape: tuple[int, int], top: int) -> Iterator[np.ndarray[Any, Any]]:
    """Every table of whole numbers of at most `top` in all, with margins."""
    size = shape[0] * shape[1]

    def fill(left: int, cells: int) -> Iterator[tuple[int, ...]]:
        if cells == 0:
            yield ()
            return
        for first in range(left + 1):
            for rest in fill(left - first, cells - 1):
                yield (first, *rest)

    for flat in fill(top, size):
        inner = np.array(flat).reshape(shape)
        with_right = np.hstack([inner, inner.sum(axis=1, keepdims=True)])
        yield np.vstack([with_right, with_right.sum(axis=0, keepdims=True)])


@settings(max_examples=12)
@given(st.lists(st.lists(st.integers(0, 3), min_size=2, max_size=2), min_size=2, max_size=3), st.data())
def test_bounds_are_those_of_counting_all_tables(inner: list[list[int]], data: st.DataObject) -> None:
    """A two-way table of whole numbers has whole bounds: they are the least and most over all possible tables."""
    grid = np.array(inner)
    whole = np.vstack([grid, grid.sum(axis=0)])
    whole = np.hstack([whole, whole.sum(axis=1, keepdims=True)])
    places = [*product(range(whole.shape[0]), range(whole.shape[1]))]
    last = (whole.shape[0] - 1, whole.shape[1] - 1)
    hidden = data.draw(st.sets(st.sampled_from([p for p in places if p != last]), min_size=1))
    row_code = [*(f"r{i}" for i in range(grid.shape[0])), "_T"]
    column_code = [*(f"c{j}" for j in range(grid.shape[1])), "_T"]
    frame = pd.DataFrame(
        [(row_code[i], column_code[j], np.nan if (i, j) in hidden else float(whole[i, j])) for i, j in places],
        columns=["row", "column", "value"],
    )
    found = attack(Published(frame, ("row", "column")), rules=Rules()).to_frame().set_index(["row", "column"])
    shown = np.array([[(i, j) not in hidden for j in range(whole.shape[1])] for i in range(whole.shape[0])])
    fitting = np.array([t for t in possible(grid.shape, int(grid.sum())) if (t[shown] == whole[shown]).all()])
    for i, j in hidden:
        row = found.loc[(row_code[i], column_code[j])]
        assert row["lower"] == pytest.approx(fitting[:, i, j].min(), abs=1e-6)
        assert row["upper"] == pytest.approx(fitting[:, i, j].max(), abs=1e-6)
        assert row["exact"] == (len(set(fitting[:, i, j])) == 1)


@settings(max_examples=12)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 3)), min_size=3, max_size=6))
def test_counting_all_tables_leaves_sensitive_cells_open(units: list[tuple[int, int, int]]) -> None:
    """Whole tables that agree with all that is shown reach both ends of every protection interval."""
    micro = pd.DataFrame([(f"r{i}", f"c{j}", float(v)) for i, j, v in units], columns=["row", "column", "value"])
    rules = Rules(min_contributors=3, dominance=(), interval=30.0, attackers="outsider")
    try:
        table = protect_table(micro, dimensions=["row", "column"], measure="value", unit="EUR", rules=rules)
    except DisclosureError:
        assume(False)
    rows, columns = sorted(set(micro["row"])), sorted(set(micro["column"]))
    assume(len(rows) * len(columns) <= 6)
    place = {(r, c): (i, j) for i, r in enumerate([*rows, "_T"]) for j, c in enumerate([*columns, "_T"])}
    at = [place[key] for key in table.tabulation.keys()]  # noqa: SIM118 - no mapping
    value = dict(zip(at, table.tabulation.value, strict=True))
    top = int(micro["value"].sum()) + (6 if table.hidden[at.index((len(rows), len(columns)))] else 0)
    ranges: dict[tuple[int, int], list[float]] = {}
    for each in possible((len(rows), len(columns)), top):
        fits = all(each[p] == value.get(p, 0.0) for p in place.values() if p not in value)
        if fits and all(each[p] == value[p] for p, h in zip(at, table.hidden, strict=True) if not h):
            for p in value:
                ranges.setdefault(p, []).append(float(each[p]))
    for k, p in enumerate(at):
        if table.sensitive[k]:
            assert min(ranges[p]) <= value[p] - table.width[k] + 1e-9
            assert max(ranges[p]) >= min(value[p] + table.width[k], value[p] + 6) - 1e-9


@settings(max_examples=12)
@given(cases(), st.data())
def test_a_tampered_witness_proves_no_more_than_none(case: Case, data: st.DataObject) -> None:
    flags = [c for c in (case.rules.waiver, case.rules.request) if c is not None]
    tables = case.dimensions if isinstance(case.dimensions[0], tuple) else (case.dimensions,)
    made = tabulate(
        case.micro,
        tables=tables,
        group="who",
        measure=case.measure,
        hierarchies=case.hierarchies,
        weight=case.weight,
        flags=flags,
    )
    sensitive, width = judge_cells(made, case.rules)
    assume(sensitive.any())
    system = system_of(made, sensitive, width, case.rules)
    price = np.maximum(np.abs(made.value), 1.0)
    found = shield(system, [(q,) for q in range(system.size)], price)
    assume(not found.open and found.witnesses.shape[1] > 0)
    gaps, _ = examine(system, found.known, found.witnesses)
    assert gaps == []
    number = data.draw(st.integers(0, found.witnesses.shape[1] - 1))
    a, b = (int(found.witnesses.indptr[number + k]) for k in (0, 1))
    rest = np.delete(np.arange(found.witnesses.shape[1]), number)
    without, _ = examine(system, found.known, found.witnesses[:, rest])
    entry = data.draw(st.integers(a, b - 1))
    moved = int(found.witnesses.indices[entry])
    # One entry changed: a sum is broken.
    changed = found.witnesses.copy()
    changed.data[entry] *= data.draw(st.sampled_from([-1.0, 0.0, 0.5, 1.001, 3.0]))
    assert set(without) <= set(examine(system, found.known, changed)[0])
    # A cell that it moves is known after all: no witness that moves it counts.
    known = found.known.copy()
    known[moved] = True
    moving = np.unique(found.witnesses[[moved], :].tocoo().coords[1])
    others = np.delete(np.arange(found.witnesses.shape[1]), moving)
    expected = {g for g in examine(system, found.known, found.witnesses[:, others])[0] if g.quantity != moved}
    assert {(g.quantity, g.direction, g.insider) for g in expected if g.insider == 0} <= {
        (g.quantity, g.direction, g.insider) for g in examine(system, known, found.witnesses)[0]
    }
    if without:
        event("served a goal alone")
        for witnesses in (changed, found.witnesses[:, rest]):
            with pytest.raises(DisclosureError):
                certify(system, found.known, witnesses, attackers=case.rules.attackers)


@settings(max_examples=10)
@given(cases())
def test_nothing_is_hidden_in_vain(case: Case) -> None:
    """Each cell hidden besides is needed: shown again, some attack succeeds, on a cell or on what is held alone."""
    table = protected(case)
    for q in np.flatnonzero(table.hidden & ~table.sensitive).tolist():
        hidden = table.hidden.copy()
        hidden[q] = False
        shown = replace(table, hidden=hidden)
        assert next(successes(case, shown), None) or next(sums_found(case, shown), None)


@settings(max_examples=10)
@given(cases())
def test_what_was_not_settled_is_counted(case: Case) -> None:
    """With time for no programme it is settled of no cell hidden besides whether that is in vain; with time, of all."""
    quick = protected(case, method="fast")
    assert quick.unsettled == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("opsroom.protect.shield._EFFORT", -1_000_000)
        hasty = protected(case, method="fast")
    assert hasty.unsettled == int((hasty.hidden & ~hasty.sensitive).sum())


@pytest.mark.parametrize("method", ["fast", "exact"])
def test_sums_of_what_nobody_asked_to_protect_hide_nothing(method: Any) -> None:
    """A company that agrees to be seen is alone in two cells of a line; their sum, what is left of it, is no secret."""
    rows = [("r1", "c1", 1, 10.0, True), ("r1", "c2", 1, 20.0, True)]
    rows += [("r1", "c3", k, 5.0 + k, False) for k in (2, 3, 4)]
    rows += [("r2", column, k, 7.0 + k, False) for column in ("c1", "c2", "c3") for k in (2, 3, 4)]
    micro = pd.DataFrame(rows, columns=["row", "column", "who", "value", "agreed"])
    for waiver, hides in (("agreed", False), (None, True)):
        table = protect_table(
            micro, dimensions=["row", "column"], measure="value", unit="EUR", method=method,
            rules=Rules(min_contributors=3, dominance=(), group="who", waiver=waiver),
        )  # fmt: skip
        assert table.hidden.any() == hides
    case = Case(micro, ("row", "column"), {}, Rules(min_contributors=3, dominance=(), group="who"), None)
    bare = replace(table, hidden=table.sensitive)
    assert {who for _, who in sums_found(case, bare)} >= {()}, "their sum is what is left of the line"
    assert list(sums_found(case, table)) == []


def test_a_part_that_is_larger_than_a_weighted_sum_hides_nothing() -> None:
    """Weights below one make a sum less than a part of it: who has the part believes no less, and needs no witness."""
    rows = [
        ("A2", "x2", "s", 13, 4108, False, 0.5), ("A1", "x1", "t", 7, 40, True, 1.0),
        ("B1", "x1", "s", 6, 586, True, 0.5), ("A2", "x2", "t", 5, 4015, False, 1.0),
        ("B1", "x2", "s", 10, 27, False, 1.5), ("A1", "x1", "s", 3, 26, False, 4.0),
        ("A1", "x1", "t", 9, 1662, False, 4.0), ("A1", "x1", "t", 4, 2530, True, 1.5),
        ("A1", "x1", "t", 5, 25, False, 4.0), ("A2", "x1", "s", 12, 1370, False, 4.0),
        ("B1", "x1", "t", 4, 867, False, 4.0), ("B1", "x1", "t", 9, 4804, False, 1.5),
        ("B1", "x2", "s", 2, 90, False, 1.5), ("B1", "x2", "s", 1, 1854, True, 1.0),
        ("A2", "x2", "t", 2, 2490, True, 4.0),
    ]  # fmt: skip
    micro = pd.DataFrame(rows, columns=[*NAMES, "who", "value", "agreed", "weight"])
    rules = Rules(min_contributors=2, interval=5.0, attackers="coalition", group="who", waiver="agreed")
    tall = {name: PARENTS[k] for k, name in enumerate(NAMES[:2])}
    case = Case(micro.astype({"value": float}), NAMES, tall, rules, "weight")
    table = case.table()
    for key in (("B", "x1", "_T"), ("B", "x1", "s"), ("B1", "x1", "_T"), ("B1", "x1", "s")):
        q = table.tabulation.keys().index(key)
        hidden = table.hidden.copy()
        hidden[q] = False
        assert not table.hidden[q] or next(successes(case, replace(table, hidden=hidden)), None)
