"""The gate against a brute-force attacker: what is withheld cannot be recomputed from what is shown."""

import datetime as dt
from fractions import Fraction
from itertools import product

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DisclosureError
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.base.state import State
from opsroom.protect import Ledger, Releases, Rules
from opsroom.protect.gate import release

DAY = dt.date(2020, 3, 4)
AT = dt.datetime(2020, 3, 4, 22, tzinfo=dt.UTC)
RULES = Rules(min_contributors=3, dominance=((1, 75), (2, 85)), p_percent=10)
ROWS, COLUMNS = ("a", "b", "c"), ("x", "y", "z")

units = st.lists(
    st.tuples(st.sampled_from(ROWS), st.sampled_from(COLUMNS), st.integers(1, 12), st.integers(1, 400)),
    min_size=4,
    max_size=45,
)


def cells_of(frame: pd.DataFrame) -> Cells:
    """A magnitude table, rows by columns, with margins."""
    parts = parts_from_units(frame, dimensions=["row", "column"], group="group", values={"sales": "value"})
    return Cells(
        name="table.sales",
        dimensions=("row", "column"),
        measures=(Measure("sales", "sum", "MER", ("sales",), decimals=0),),
        parts=(Part("sales", "MER"),),
        additive=("row", "column"),
        frame=parts,
    )


def frame_of(drawn: list[tuple[str, str, int, int]]) -> pd.DataFrame:
    return pd.DataFrame(drawn, columns=["row", "column", "group", "value"])


def published(cells: Cells, state: State, day: dt.date = DAY) -> dict[tuple[str, str], float | None] | None:
    """What is out after the gate: cell → number, or None where withheld; None altogether where refused."""
    try:
        out = release(cells, rules=RULES, as_of=AT, day=day, ledger=Ledger(state))
    except DisclosureError:
        return None
    frame = out.to_frame()
    return {(r.row, r.column): (None if pd.isna(r.sales) else float(r.sales)) for r in frame.itertuples()}


def unsafe(frame: pd.DataFrame, row: str, column: str) -> bool:
    """The primary rules, by hand, on one cell."""
    inside = frame[((frame["row"] == row) | (row == TOTAL)) & ((frame["column"] == column) | (column == TOTAL))]
    by = sorted(inside.groupby("group")["value"].sum(), reverse=True)
    if len(by) < 3:
        return True
    total = sum(by)
    if by[0] * 100 > 75 * total or sum(by[:2]) * 100 > 85 * total:
        return True
    return (total - by[0] - by[1]) * 100 < 10 * by[0]


def groups_in(frame: pd.DataFrame, cell: tuple[str, str]) -> frozenset[int]:
    """Return the contributors to a cell."""
    row, column = cell
    inside = frame[((frame["row"] == row) | (row == TOTAL)) & ((frame["column"] == column) | (column == TOTAL))]
    return frozenset(inside["group"])


def recomputable(known: dict[tuple[str, str], bool]) -> set[tuple[str, str]]:
    """Return the withheld cells that margins determine, by exact elimination over the rationals."""
    rows, columns = ({k[i] for k in known} for i in (0, 1))
    inner_rows, inner_columns = rows - {TOTAL}, columns - {TOTAL}
    hidden = [k for k, shown in known.items() if not shown]
    place = {k: i for i, k in enumerate(hidden)}
    matrix = []
    for row in rows:
        line = [((row, c), 1) for c in inner_columns if (row, c) in known] + [((row, TOTAL), -1)]
        matrix.append(line)
    for column in columns:
        line = [((r, column), 1) for r in inner_rows if (r, column) in known] + [((TOTAL, column), -1)]
        matrix.append(line)
    system = []
    for line in matrix:
        vector = [Fraction(0)] * len(hidden)
        for cell, sign in line:
            if cell in place:
                vector[place[cell]] += sign
        system.append(vector)
    pivot_rows = []
    for column in range(len(hidden)):
        pick = next((v for v in system if v[column] != 0), None)
        if pick is None:
            continue
        system.remove(pick)
        pick = [x / pick[column] for x in pick]
        system = [[a - v[column] * b for a, b in zip(v, pick, strict=True)] for v in system]
        pivot_rows = [[a - v[column] * b for a, b in zip(v, pick, strict=True)] for v in pivot_rows]
        pivot_rows.append(pick)
    return {hidden[next(i for i, x in enumerate(v) if x != 0)] for v in pivot_rows if sum(x != 0 for x in v) == 1}


@given(units)
@settings(max_examples=60)
def test_nothing_withheld_can_be_recomputed(drawn):
    frame = frame_of(drawn)
    state = State.open("sqlite://")
    shown = published(cells_of(frame), state)
    state.close()
    if shown is None:
        return
    for (row, column), value in shown.items():
        if unsafe(frame, row, column):
            assert value is None
        elif value is not None:
            inside = frame[((frame["row"] == row) | (row == TOTAL)) & ((frame["column"] == column) | (column == TOTAL))]
            assert value == inside["value"].sum()
    known = {k: v is not None for k, v in shown.items()}
    primaries = {k for k in known if unsafe(frame, *k)}
    assert recomputable(known) & primaries == set()
    # a lone contributor knows its own cell, and must not find another's by it
    groups = {cell: groups_in(frame, cell) for cell in primaries}
    for cell in primaries:
        if len(groups[cell]) == 1:
            others = {other for other in primaries if groups[other] != groups[cell]}
            own = dict.fromkeys(primaries - others, True)
            assert recomputable({**known, **own}) & others == set()


def test_the_attacker_is_no_weakling():
    known = dict.fromkeys(product([*ROWS, TOTAL], [*COLUMNS, TOTAL]), True)
    assert recomputable({**known, ("a", "x"): False}) == {("a", "x")}
    square = {("a", "x"): False, ("a", "y"): False, ("b", "x"): False, ("b", "y"): False}
    assert recomputable({**known, **square}) == set()
    del square["b", "y"]
    assert len(recomputable({**known, **square})) == 3


def test_a_vintage_in_which_few_companies_changed_gives_nobody_away():
    base = [(r, c, 10 * i + j, 50 + 7 * j) for i, (r, c) in enumerate(product(ROWS, COLUMNS)) for j in range(8)]
    first = frame_of(base)
    second = first.copy()
    second.loc[0, "value"] += 1000 - 900  # one company revises
    state = State.open("sqlite://")
    before, after = published(cells_of(first), state), published(cells_of(second), state, DAY + dt.timedelta(days=7))
    state.close()
    assert before is not None
    assert after is not None
    moved = {k for k in after if after[k] is not None and before[k] is not None and after[k] != before[k]}
    assert moved == set()


def test_a_vintage_in_which_many_changed_is_shown():
    base = [(r, c, 10 * i + j, 50 + 7 * j) for i, (r, c) in enumerate(product(ROWS, COLUMNS)) for j in range(8)]
    first = frame_of(base)
    second = first.assign(value=first["value"] + 5)
    state = State.open("sqlite://")
    published(cells_of(first), state)
    after = published(cells_of(second), state, DAY + dt.timedelta(days=7))
    state.close()
    assert after is not None
    assert after[TOTAL, TOTAL] == second["value"].sum()


@pytest.mark.parametrize("working", [0, 1, 2, 18, 19, 20])
def test_a_rate_of_nearly_nobody_or_nearly_all_is_withheld(working):
    frame = pd.DataFrame({"row": "a", "group": range(20), "all": 1, "on": [1] * working + [0] * (20 - working)})
    parts = parts_from_units(
        frame, dimensions=["row"], group="group", values={"on": "on", "all": "all"}, shares={"on": "all"}, totals=False
    )
    cells = Cells(
        name="table.rate",
        dimensions=("row",),
        measures=(Measure("rate", "share", "%", ("on", "all"), scale=100.0),),
        parts=(Part("on", "companies"), Part("all", "companies")),
        frame=parts,
    )
    state = State.open("sqlite://")
    with pytest.raises(DisclosureError) as refused:
        release(cells, rules=RULES, as_of=AT, day=DAY, ledger=Ledger(state))
    state.close()
    assert not any(ch.isdigit() for ch in refused.value.message.replace(refused.value.code, ""))


def test_a_confidential_result_without_contributors_is_refused_and_the_refusal_kept(tmp_path):
    cells = Cells(
        name="table.bare",
        dimensions=("row",),
        measures=(Measure("value", "public", "MER"),),
        frame=pd.DataFrame({"row": ["a"], "value": [9182736450019.0]}),
    )
    state = State.open(tmp_path / "room.db")
    with pytest.raises(DisclosureError):
        release(cells, rules=RULES, as_of=AT, day=DAY, ledger=Ledger(state))
    (kept,) = Releases(tmp_path / "room.db").refusals(DAY)
    assert kept.name == "table.bare"
    assert "9182736450019" not in kept.rule + kept.remedy
    state.close()
