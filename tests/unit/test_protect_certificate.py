"""Certificates: the checker believes neither witnesses nor excuses; what is new is certified, and only that."""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DisclosureError
from opsroom.base.results import Cells, Measure, Part
from opsroom.base.state import State
from opsroom.protect import Ledger, Release, Rules, protect_table
from opsroom.protect.certificate import Gap, Reach, certify, examine
from opsroom.protect.gate import release
from opsroom.protect.shield import shield
from opsroom.protect.system import System, components, relations

DAY = dt.date(2020, 3, 4)
AT = dt.datetime(2020, 3, 4, 22, tzinfo=dt.UTC)


def line(*values: float, sensitive: tuple[int, ...] = (0,), fixed: tuple[int, ...] = ()) -> System:
    """Return the system of a line of cells and, last, their total; the interval is a tenth of the value."""
    n = len(values) + 1
    value = np.array([*values, sum(values)], dtype=float)
    flags, out = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    flags[list(sensitive)], out[list(fixed)] = True, True
    width = np.where(flags, value / 10, 0.0)
    equations = relations([[*((q, 1.0) for q in range(n - 1)), (n - 1, -1.0)]], n)
    nobody, zero = np.zeros((n, 1), dtype=np.int64), np.zeros(n)
    return System(equations, value, zero, zero, flags, width, width, out, nobody, np.zeros((n, 1)))


def moves(*columns: list[float]) -> sp.csc_array:
    return sp.csc_array(np.array(columns, dtype=float).T)


def known(system: System, *hidden: int) -> np.ndarray:
    flags = np.ones(system.size, dtype=bool)
    flags[list(hidden)] = False
    return flags


def test_two_witnesses_prove_a_line():
    system = line(100, 50, 70)
    proof = moves([10, -10, 0, 0], [-10, 10, 0, 0])
    certificate = certify(system, known(system, 0, 1), proof, attackers="outsider", key=b"k")
    assert (certificate.sensitive, certificate.witnesses, certificate.slack, certificate.lost) == (1, 2, 0.0, 0)
    other = certify(system, known(system, 0, 1), proof, attackers="outsider", key=b"another")
    assert other.digest != certificate.digest, "the hash tells nothing without the key"


@pytest.mark.parametrize(
    "columns",
    [
        ([10, -10, 0, 0],),  # one end is missing
        ([10, -10, 0, 0], [-9, 9, 0, 0]),  # it does not go far enough
        ([10, -10, 0, 0], [-10, 0, 10, 0]),  # a number that is out moves
        ([10, -10, 0, 0], [-10, 9, 0, 0]),  # the line does not add up
        ([60, -60, 0, 0], [-10, 10, 0, 0]),  # nothing is negative
    ],
)
def test_what_proves_nothing_is_refused(columns):
    system = line(100, 50, 70)
    with pytest.raises(DisclosureError, match="OPS-P006"):
        certify(system, known(system, 0, 1), moves(*columns), attackers="outsider")


def test_an_excuse_is_tried_and_not_believed():
    """Both ends could be reached with another cell hidden: that the protector calls them lost does not help."""
    system = line(100, 50, 70)
    nothing = sp.csc_array((system.size, 0))
    with pytest.raises(DisclosureError, match="OPS-P006"):
        certify(system, known(system, 0), nothing, attackers="outsider", lost=[(0, 1, 0), (0, -1, 0)])


def test_what_was_given_away_before_is_lost_and_said_so():
    system = line(100, 50, 70, fixed=(1, 2, 3))
    nothing = sp.csc_array((system.size, 0))
    certificate = certify(system, known(system, 0), nothing, attackers="outsider", lost=[(0, 1, 0), (0, -1, 0)])
    assert certificate.lost == 2
    assert Reach(system).beyond(Gap(0, 1, 0))
    assert not Reach(line(100, 50, 70, fixed=(2, 3))).beyond(Gap(0, 1, 0))
    # Half of it can be reached, and is all that there is: 95 of the 100 are out of the question.
    assert Reach(line(100, 5, 70, fixed=(2, 3))).beyond(Gap(0, 1, 0))


def test_the_protector_leaves_open_only_what_is_beyond_reach():
    system = line(100, 5, 70, fixed=(2, 3))
    found = shield(system, [(0,), (1,)], np.array([100.0, 5.0]))
    assert found.open == ((0, 1, 0),)
    assert found.hidden.all(), "as much of the way is gone as can be"
    gaps, _ = examine(system, found.known, found.witnesses)
    assert gaps == [Gap(0, 1, 0)]
    assert Reach(system).beyond(gaps[0])
    assert max(found.witnesses.toarray()[0]) == pytest.approx(5)


def test_what_is_fixed_connects_nothing():
    system = line(100, 50, 70, fixed=(2,))
    label = components(system)
    assert label[2] == -1
    assert len({label[0], label[1], label[3]}) == 1


def test_what_one_group_holds_alone_in_a_line_is_protected_together():
    """Two cells of the same group are open, each; what is left of the total would give their sum to everybody."""
    rows = [("a", "lone", 40), ("b", "lone", 60)]
    rows += [("c", f"c{k}", 50) for k in range(8)] + [("d", f"d{k}", 55) for k in range(8)]
    micro = pd.DataFrame(rows, columns=["row", "group", "value"])
    rules = Rules(dominance=(), group="group")
    table = protect_table(micro, dimensions=["row"], measure="value", unit="EUR", rules=rules).to_frame()
    hidden = set(table.loc[table["status"] != "published", "row"])
    assert {"a", "b"} < hidden
    # Of different groups either is open by the other to everybody but its holder: a third must be hidden, too.
    other = micro.assign(group=[*("lone", "only"), *micro["group"][2:]])
    assert protect_table(other, dimensions=["row"], measure="value", unit="EUR", rules=rules).hidden.sum() > 2


@pytest.mark.parametrize(
    ("rules", "tops", "value", "groups", "width"),
    [
        (Rules(min_contributors=3, dominance=(), interval=20), (60, 40, 0), 100, 2, 20),
        (Rules(dominance=((2, 85.0),)), (80, 10, 5), 100, 9, 90 / 0.85 - 100),
        (Rules(dominance=((1, 50.0),)), (80, 10, 5), 100, 9, 60),
        (Rules(dominance=(), p_percent=10.0), (80, 15, 3), 100, 9, 8 - 5),
        (Rules(dominance=(), p_percent=10.0, attackers="coalition"), (80, 15, 3), 100, 9, 8 - 2),
        (Rules(dominance=(), p_percent=10.0), (30, 20, 10), 100, 9, 0),
    ],
)
def test_widths_are_those_of_the_handbook(rules, tops, value, groups, width):
    found = rules.width(np.array([value]), np.array([groups]), np.array([tops]))
    assert found[0] == pytest.approx(width)
    assert bool(rules.sensitive(np.array([value]), np.array([groups]), np.array([tops]))[0]) == (width > 0)


# -- over time --------------------------------------------------------------------------------


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    state = State.open("sqlite://")
    yield Ledger(state)
    state.close()


def issue(ledger: Ledger, week: int, *months: tuple[str, int]) -> Release:
    """Release some months of five rows, the first of which has one company; a month's second row is shifted."""
    rows = [
        (month, row, f"{row}{k}", 100 + 10 * at + (shift if row == "b" else 0))
        for month, shift in months
        for at, row in enumerate("abcde")
        for k in range(1 if row == "a" else 12)
    ]
    units = pd.DataFrame(rows, columns=["month", "row", "group", "value"])
    parts = parts_from_units(
        units, dimensions=["month", "row"], group="group", values={"value": "value"}, totals=["row"]
    )
    cells = Cells(
        name="table.monthly", dimensions=("month", "row"), frame=parts, parts=(Part("value", "EUR"),),
        measures=(Measure("value", "sum", "EUR", ("value",), decimals=0),), additive=("row",),
    )  # fmt: skip
    return release(cells, rules=Rules(), as_of=AT, day=DAY + dt.timedelta(weeks=week), ledger=ledger)


def pattern(out: Release, month: str) -> set[str]:
    return {row[1] for row in out.rows if row[0] == month and row[2] is None}


def test_what_is_not_new_stays_as_it_was(ledger):
    first = issue(ledger, 0, ("2020-01", 0))
    hidden = pattern(first, "2020-01")
    assert "a" in hidden
    assert len(hidden) >= 2
    second = issue(ledger, 1, ("2020-01", 0), ("2020-02", 0))
    assert pattern(second, "2020-01") == hidden
    assert "a" in pattern(second, "2020-02")
    assert [row for row in second.rows if row[0] == "2020-01"] == [row for row in first.rows if row[0] == "2020-01"]
    third = issue(ledger, 2, ("2020-01", 0), ("2020-02", 0))
    assert [list(row) for row in third.rows] == [list(row) for row in second.rows]
    assert third.stamp["certificate"]["slack"] == 1.0, "nothing was left to prove"


def test_the_pattern_stays_from_month_to_month(ledger):
    """In the second month another cell is a little cheaper to hide; the one that was hidden stays hidden."""
    assert pattern(issue(ledger, 0, ("2020-01", 0)), "2020-01") == {"a", "b"}
    assert pattern(issue(ledger, 1, ("2020-02", 15)), "2020-02") == {"a", "b"}
    state = State.open("sqlite://")
    assert pattern(issue(Ledger(state), 1, ("2020-02", 15)), "2020-02") == {"a", "c"}, "where nothing was before"
    state.close()


@pytest.fixture
def months(monkeypatch: pytest.MonkeyPatch):
    """The benchmark's monthly tables, which live outside the package."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    return importlib.import_module("bench.gate_months")


@pytest.mark.parametrize(("seed", "shape", "companies"), [(10, (3, 6, 2), 200), (13, (3, 6, 2), 200),
                                                           (1, (4, 6, 3), 400)])  # fmt: skip
def test_a_month_and_its_revision_have_a_certificate(ledger, months, seed, shape, companies):
    """Sums of terms of very different size, as revisions make them: the checker must find them whole."""
    frame, first, final = months.units(2, companies=companies, shape=shape, seed=seed)
    for month in range(2):
        cells = months.cells_of(frame, first, final, month)
        out = release(cells, rules=months.RULES, as_of=AT, day=DAY + dt.timedelta(weeks=month), ledger=ledger)
        pattern = months.pattern(out, month)
        assert any(pattern.values())
        assert not all(pattern.values())
