"""Derived outputs that are no quotients, in the history of a series: one of a published cell, and no second."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pandas as pd
import pytest

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DisclosureError, UsageError
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.base.state import State
from opsroom.protect import Ledger, Release, Rules
from opsroom.protect.derived_asked import Asked
from opsroom.protect.derived_entry import Entry
from opsroom.protect.derived_once import Kin, release_derived
from opsroom.protect.gate import release

DAY = dt.date(2020, 3, 4)
AT = dt.datetime(2020, 3, 4, 22, tzinfo=dt.UTC)
RULES = Rules(min_contributors=3, dominance=(), attackers="outsider")
CELLS = {"a1": 2, "a2": 12, "b1": 15, "b2": 14}
PARENTS = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}


def table(more: int = 0):
    rows = [("M1", cell, f"{cell}{k}", 100 + 7 * k + more) for cell, n in CELLS.items() for k in range(n)]
    frame = pd.DataFrame(rows, columns=["month", "cell", "group", "value"])
    parts = parts_from_units(
        frame, dimensions=["month", "cell"], group="group", values={"value": "value"}, totals=["cell"],
        hierarchies={"cell": PARENTS},
    )  # fmt: skip
    return Cells(
        name="table.sales", dimensions=("month", "cell"), frame=parts, parts=(Part("value", "MER"),),
        measures=(Measure("value", "sum", "MER", ("value",), decimals=0),), additive=("cell",),
        hierarchies={"cell": PARENTS},
    )  # fmt: skip


@pytest.fixture
def ledger():
    state = State.open("sqlite://")
    ledger = Ledger(state)
    out = release(table(), rules=RULES, as_of=AT, day=DAY, ledger=ledger)
    assert {row[1] for row in out.rows if row[2] is None} == {"a1", "a2"}
    yield ledger
    state.close()


def ask(ledger: Ledger, cell: str, part: str = "value") -> Release:
    median = Asked("quantile", [100 + 7 * k for k in range(15)], range(15), unit="MER")
    entry = Entry("table.sales", RULES, AT, DAY, ledger)
    return release_derived(lambda: median, cell=("M1", cell), parts=[part], statistic="quantile:value=0.5", entry=entry)


def test_one_of_a_published_cell_is_released_and_a_second_is_not(ledger):
    out = ask(ledger, "b1")
    assert out.rows == (("M1/b1", "p50", 149.0, "published"),)
    assert out.stamp["certificate"]["method"] == "opsroom-derived-2"
    with pytest.raises(DisclosureError) as refused:
        ask(ledger, "b1")
    assert refused.value.code == "OPS-P061"
    assert ledger.verify() == 2


@pytest.mark.parametrize("cell", ["a1", "a2"])
def test_none_of_a_cell_that_is_withheld(ledger, cell):
    with pytest.raises(DisclosureError):
        ask(ledger, cell)


@pytest.mark.parametrize(("first", "second"), [("b1", "b"), ("b", "b1"), ("b", TOTAL), (TOTAL, "b2"), ("a", TOTAL)])
def test_none_of_a_cell_that_shares_contributors_with_it(ledger, first, second):
    ask(ledger, first)
    with pytest.raises(DisclosureError):
        ask(ledger, second)


def test_a_later_vintage_with_more_depth_opens_no_second_one():
    """The total alone is out, and an output of it: in the table with all cells each shares contributors with it."""
    state = State.open("sqlite://")
    ledger, whole = Ledger(state), table()
    total = replace(whole, frame=whole.frame[whole.frame["cell"] == TOTAL].reset_index(drop=True))
    release(total, rules=RULES, as_of=AT, day=DAY, ledger=ledger)
    ask(ledger, TOTAL)
    release(whole, rules=RULES, as_of=AT, day=DAY, ledger=ledger)
    for cell in ("b1", "b", TOTAL):
        with pytest.raises(DisclosureError):
            ask(ledger, cell)
    state.close()


@pytest.mark.parametrize(("first", "second"), [("b1", "b2"), ("a", "b"), ("a", "b2")])
def test_one_of_a_cell_apart(ledger, first, second):
    ask(ledger, first)
    ask(ledger, second)
    assert ledger.head().seq == 3


def test_what_was_refused_is_not_judged_anew_when_more_is_known(ledger):
    """Who files another number and asks again would learn where the answer turns, and that the others decide."""

    def index(values: list[float]):
        asked = Asked("hhi", values, range(15))
        entry = Entry("table.sales", RULES, AT, DAY, ledger)
        return release_derived(lambda: asked, cell=("M1", "b1"), parts=["value"], statistic="hhi:value", entry=entry)

    with pytest.raises(DisclosureError) as first:
        index([9_000.0] + [100.0] * 14)
    release(table(20), rules=RULES, as_of=AT, day=DAY, ledger=ledger)
    passing = [100.0 + 40 * k for k in range(15)]
    with pytest.raises(DisclosureError) as again:
        index(passing)
    assert (again.value.code, again.value.message) == (first.value.code, first.value.message) == (
        "OPS-P053", first.value.message
    )  # fmt: skip
    ask(ledger, "b1")  # another statistic is another question

    entry = Entry("table.sales", RULES, AT, DAY, ledger)
    out = release_derived(
        lambda: Asked("hhi", passing, range(15)), cell=("M1", "b2"), parts=["value"], statistic="hhi:value", entry=entry
    )
    assert out.rows[0][1] == "hhi"


SIZES = [*range(100, 250, 10)]


@pytest.mark.parametrize(
    ("later", "passes"),
    [
        (SIZES, True), ([9, *SIZES], False), ([8, 9, *SIZES], False), ([v + 1 for v in SIZES], True),
        ([*SIZES[:7], 171, *SIZES[8:]], False), ([*SIZES[:6], *(v * 1.1 for v in SIZES[6:9]), *SIZES[9:]], True),
    ],
)  # fmt: skip
def test_the_difference_of_two_months_medians_rests_on_enough(later, passes):
    """One company more at the lower end shifts the ranks: without the rule the next in rank is told by subtraction."""
    state = State.open("sqlite://")
    ledger = Ledger(state)
    asked = {m: Asked("quantile", v, _names(v), unit="MER") for m, v in ((1, SIZES), (2, later))}
    for month in (1, 2):
        name = f"table.sales.p{month}"
        release(replace(table(), name=name), rules=RULES, as_of=AT, day=DAY, ledger=ledger)
        entry = Entry(name, RULES, AT, DAY, ledger)

        def once(month=month, entry=entry):
            return release_derived(
                lambda: asked[month], cell=("M1", "b1"), parts=["value"], statistic="quantile:value=0.5", entry=entry,
                kin=Kin("table.sales.p", lambda earlier: asked[int(earlier.name.split(".")[2][1:])]),
            )  # fmt: skip

        if month == 1 or passes:
            assert once().rows
        else:
            for _ in range(2):
                with pytest.raises(DisclosureError, match="OPS-P052"):
                    once()
    state.close()


def _names(values: list[float]) -> list[str]:
    """Return who has which value: those who are there in both months come last."""
    new = len(values) - len(SIZES)
    return [*(f"new{k}" for k in range(new)), *(f"old{k}" for k in range(len(SIZES)))]


@pytest.mark.parametrize(("cell", "part"), [("z", "value"), ("b1", "jobs")])
def test_a_cell_or_part_that_there_is_not_is_a_mistake(ledger, cell, part):
    with pytest.raises(UsageError):
        ask(ledger, cell, part)


def test_three_months_medians_may_not_be_solved_for_one_company():
    """Any two differ by three companies or four; the first and the second less the third are twice what A has."""
    state = State.open("sqlite://")
    ledger = Ledger(state)
    ends = {f"low{k}": 100.0 + 10 * k for k in range(6)} | {f"high{k}": 190.0 + 10 * k for k in range(6)}
    middle = {"a": 160.0, "b": 170.0, "c": 180.0, "d": 165.0, "e": 175.0}
    market = {m: ends | {n: middle[n] for n in names} for m, names in ((1, "abc"), (2, "ade"), (3, "bcde"))}
    asked = {m: Asked("quantile", list(v.values()), list(v), unit="MER") for m, v in market.items()}

    def median(month: int):
        name = f"table.sales.p{month}"
        release(replace(table(), name=name), rules=RULES, as_of=AT, day=DAY, ledger=ledger)
        return release_derived(
            lambda: asked[month], cell=("M1", "b1"), parts=["value"], statistic="quantile:value=0.5",
            entry=Entry(name, RULES, AT, DAY, ledger),
            kin=Kin("table.sales.p", lambda earlier: asked[int(earlier.name.split(".")[2][1:])]),
        )  # fmt: skip

    shown = [median(month).rows[0][2] for month in (1, 2)]
    third = sum(sorted(market[3].values())[6:10]) / 4
    assert (3 * shown[0] + 3 * shown[1] - 4 * third) / 2 == pytest.approx(160, abs=2)
    with pytest.raises(DisclosureError, match="OPS-P052"):
        median(3)
    state.close()
