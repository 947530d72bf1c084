"""Numbers derived from cells that are not out: judged with all that is, and remembered by what is judged later."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DisclosureError, UsageError
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.base.state import State
from opsroom.protect import Ledger, Release, Rules, judgement
from opsroom.protect.derived_entry import Entry
from opsroom.protect.gate import release
from opsroom.protect.judgement import Judgement
from opsroom.protect.quotients import Quotient, release_quotients

DAY = dt.date(2020, 3, 4)
AT = dt.datetime(2020, 3, 4, 22, tzinfo=dt.UTC)
RULES = Rules(min_contributors=3, dominance=(), interval=20.0, attackers="outsider")
SIZES = {"a": [90, 60], "b": [100, 110, 120], "c": [400, 410, 420], "d": [300, 310, 320]}
"""a has two contributors; b is hidden with it."""


def micro(months: tuple[str, ...] = ("M1",), **more: list[int]) -> pd.DataFrame:
    rows = [
        (month, cell, f"{cell}{k}", value)
        for month in months
        for cell, values in (SIZES | more).items()
        for k, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["month", "cell", "group", "value"])


def table(frame: pd.DataFrame) -> Cells:
    parts = parts_from_units(
        frame, dimensions=["month", "cell"], group="group", values={"value": "value"}, totals=["cell"]
    )
    return Cells(
        name="table.sales", dimensions=("month", "cell"), frame=parts, parts=(Part("value", "MER"),),
        measures=(Measure("value", "sum", "MER", ("value",), decimals=0),), additive=("cell",),
    )  # fmt: skip


@pytest.fixture
def ledger():
    state = State.open("sqlite://")
    yield Ledger(state)
    state.close()


def issue(ledger: Ledger, frame: pd.DataFrame, week: int = 0) -> Release:
    return release(table(frame), rules=RULES, as_of=AT, day=DAY + dt.timedelta(weeks=week), ledger=ledger)


def ask(ledger: Ledger, *quotients: Quotient, week: int = 1, rules: Rules = RULES) -> Release:
    day = DAY + dt.timedelta(weeks=week)
    return release_quotients(quotients, unit="%", entry=Entry("table.sales", rules, AT, day, ledger))


def quotient(top: str, bottom: str, *, decimals: int = 1, months: tuple[str, str] = ("M1", "M1")) -> Quotient:
    return Quotient(f"{top}/{bottom}", ((months[0], top),), ((months[1], bottom),), "value", decimals=decimals)


Said = list[tuple[str, str, float, float]]


def bounds(
    shown: dict[str, float], said: Said, cell: str, cells: tuple[str, ...] = tuple(SIZES)
) -> tuple[float, float]:
    """What an outsider concludes of a cell of one month, by a programme of its own: (top, bottom, number, half)."""
    names = [*cells, TOTAL]
    at = {name: k for k, name in enumerate(names)}
    equal, right = [[*(1.0 for _ in cells), -1.0]], [0.0]
    for name, value in shown.items():
        equal.append([float(n == name) for n in names])
        right.append(value)
    less = []
    for top, bottom, value, half in said:
        for sign, edge in ((-1, value - half), (1, value + half)):
            line = np.zeros(len(names))
            line[at[top]] += sign * 100
            line[at[bottom]] -= sign * edge
            less.append(line)
    found = []
    for sign in (1, -1):
        cost = np.zeros(len(names))
        cost[at[cell]] = sign
        answer = linprog(cost, A_ub=less or None, b_ub=np.zeros(len(less)) if less else None, A_eq=equal, b_eq=right)
        found.append(sign * answer.fun)
    return found[0], found[1]


def test_a_share_of_a_released_total_gives_a_hidden_cell_away_and_is_refused(ledger):
    issue(ledger, micro())
    with pytest.raises(DisclosureError) as refused:
        ask(ledger, quotient("a", TOTAL))
    assert refused.value.code == "OPS-P060"
    assert len(ledger.past("table.sales", ledger.head())) == 1, "nothing of it is remembered"


def test_the_share_of_the_cell_that_is_hidden_with_it_gives_it_away_as_well(ledger):
    out = issue(ledger, micro())
    assert [row[1] for row in out.rows if row[-1] == "suppressed"] == ["a", "b"]
    with pytest.raises(DisclosureError):
        ask(ledger, quotient("b", TOTAL))


def test_a_quotient_of_two_hidden_cells_says_both(ledger):
    issue(ledger, micro())
    with pytest.raises(DisclosureError):
        ask(ledger, quotient("a", "b"))


PAIRS = [("a", TOTAL, 0), ("b", TOTAL, 0), ("a", TOTAL, -1), ("b", TOTAL, -1), ("a", "b", -1), ("a", "b", -2),
         ("b", "a", -2), ("a", "c", -1)]  # fmt: skip


@pytest.mark.parametrize(("top", "bottom", "decimals"), PAIRS)
def test_what_passes_and_what_does_not_is_what_a_programme_of_its_own_says(ledger, top, bottom, decimals):
    out = issue(ledger, micro())
    shown = {row[1]: float(row[2]) for row in out.rows if row[2] is not None}
    true = {**{name: float(sum(values)) for name, values in SIZES.items()}}
    true[TOTAL] = sum(true.values())
    value = round(100 * true[top] / true[bottom], decimals)
    low, high = bounds(shown, [(top, bottom, value, 0.5 * 10.0**-decimals)], "a")
    safe = low <= 0.8 * true["a"] + 1e-6 and high >= 1.2 * true["a"] - 1e-6
    try:
        said = ask(ledger, quotient(top, bottom, decimals=decimals))
    except DisclosureError:
        assert not safe
    else:
        assert safe
        assert said.rows[0][1] == value


def test_a_quotient_of_released_cells_adds_nothing(ledger):
    issue(ledger, micro())
    said = ask(ledger, quotient("c", "d", decimals=6))
    assert said.name == "table.sales.quotients"
    assert said.rows == (("c/d", round(100 * 1230 / 930, 6), "published"),)
    assert said.stamp["certificate"]["head"] == ledger.past("table.sales", ledger.head())[0].release.hash


def test_quotients_that_pass_each_by_itself_do_not_pass_together(ledger):
    """The same quotients on many scales round at other places: each passes or not by all that was said before."""
    few = {"e": [150, 150], "f": [80, 70]}
    out = issue(ledger, micro(**few))
    shown = {row[1]: float(row[2]) for row in out.rows if row[2] is not None}
    assert sorted(shown) == [TOTAL, "b", "c", "d"]
    true = {name: float(sum(values)) for name, values in (SIZES | few).items()}
    cells = tuple(true)
    true[TOTAL] = sum(true.values())
    rng = np.random.default_rng(3)

    def safe(said: Said) -> bool:
        ends = {cell: bounds(shown, said, cell, cells) for cell in ("a", "e", "f")}
        return all(low <= 0.8 * true[c] + 1e-6 and high >= 1.2 * true[c] - 1e-6 for c, (low, high) in ends.items())

    said: Said = []
    passed, fell_by_others = 0, 0
    for number in range(30):
        top, bottom = [("a", "e"), ("e", "f"), ("f", "a"), ("a", "c")][number % 4]
        scale = float(rng.integers(1, 9))
        value = round(scale * true[top] / true[bottom])
        # A number with an edge of v ± 1/2 on this scale is one of 100 v / scale ± 50 / scale per cent.
        told = (top, bottom, 100 * value / scale, 50 / scale)
        asked = Quotient("q", (("M1", top),), (("M1", bottom),), "value", scale=scale, decimals=0)
        try:
            ask(ledger, asked, week=number + 1)
        except DisclosureError:
            assert not safe([*said, told])
            fell_by_others += safe([told])
        else:
            said.append(told)
            passed += 1
            assert safe(said)
    assert passed > 3
    assert fell_by_others > 0, "some pass alone and not after the others"


def test_a_later_table_is_judged_with_what_a_quotient_has_said(ledger):
    """The growth of a hidden cell is let out while both its months are open; then it ties them."""
    first = micro(("M1",), e=[500, 510, 520])
    issue(ledger, first)
    issue(ledger, micro(("M2",), e=[500, 510, 520]), 1)
    growth = Quotient("b", (("M2", "b"),), (("M1", "b"),), "value", shift=-100.0)
    ask(ledger, growth, week=2)
    past = ledger.past("table.sales", ledger.head())
    assert [p.judgement.is_table for p in past] == [True, True, False]
    # The third release would show all of the second month, for a has contributors enough: with the rate that is b of
    # the first month, and what is left of the total there is a.
    again = micro(("M2",), e=[500, 510, 520], a=[90, 60, 1, 1, 1])
    out = issue(ledger, again, 3)
    assert {row[1]: row[2] for row in out.rows}["b"] is None


@pytest.mark.parametrize("holders", [["x", "y"], ["x", "z"], ["x"]])
def test_a_number_of_the_few_behind_two_sensitive_cells_is_refused_though_it_tells_neither(ledger, holders):
    """What one company sells more than in the month before is its own affair, however open both its sales are."""
    frame = micro(("M1", "M2"), e=[500, 510, 520])
    frame.loc[frame["cell"] == "a", "group"] = ["x", "y", *holders][:4] if len(holders) > 1 else ["x", "x", "x", "x"]
    issue(ledger, frame)
    growth = Quotient("a", (("M2", "a"),), (("M1", "a"),), "value", shift=-100.0, decimals=-1)
    with pytest.raises(DisclosureError, match="OPS-P060"):
        ask(ledger, growth)
    between = Quotient("b", (("M2", "b"),), (("M1", "b"),), "value", shift=-100.0, decimals=-1)
    assert ask(ledger, between).rows[0][1] == 0


def test_without_the_quotient_the_same_table_is_shown(ledger):
    issue(ledger, micro(("M1",), e=[500, 510, 520]))
    out = issue(ledger, micro(("M2",), e=[500, 510, 520], a=[90, 60, 1, 1, 1]), 3)
    assert {row[1]: row[2] for row in out.rows}["a"] == 153


def test_several_cells_are_added_up_only_where_none_is_sensitive(ledger):
    issue(ledger, micro())
    both = Quotient("x", (("M1", "a"), ("M1", "c")), (("M1", TOTAL),), "value", decimals=0)
    with pytest.raises(DisclosureError):
        ask(ledger, both)
    sums = Quotient("x", (("M1", "c"), ("M1", "d")), (("M1", TOTAL),), "value")
    assert ask(ledger, sums).rows[0][1] == round(100 * (1230 + 930) / 2640, 1)


def test_what_is_remembered_comes_back_from_its_bytes_and_the_ledger_is_intact(ledger):
    issue(ledger, micro())
    ask(ledger, quotient("c", TOTAL))
    judgement = ledger.past("table.sales", ledger.head())[1].judgement
    again = Judgement.from_bytes(judgement.to_bytes())
    assert again.to_bytes() == judgement.to_bytes()
    assert again.claim_slack.tolist() == judgement.claim_slack.tolist()
    assert ledger.verify() == 2


@pytest.mark.parametrize("wrong", [quotient("z", "a"), Quotient("x", (("M1", "a"),), (("M1", "b"),), "jobs")])
def test_a_cell_or_part_that_there_is_not_is_no_refusal_but_a_mistake(ledger, wrong):
    issue(ledger, micro())
    with pytest.raises(UsageError):
        ask(ledger, wrong)
    assert len(ledger.past("table.sales", ledger.head())) == 1


def test_a_series_that_is_not_out_has_no_quotients(ledger):
    with pytest.raises(UsageError):
        ask(ledger, quotient("a", "b"))


def test_what_was_remembered_before_there_were_quotients_is_read(ledger, monkeypatch):
    issue(ledger, micro())
    (past,) = ledger.past("table.sales", ledger.head())
    with monkeypatch.context() as before:
        before.setattr(judgement, "_ARRAYS", judgement._SECOND)
        before.setattr(judgement, "SCHEMA_VERSION", 2)
        blob = past.judgement.to_bytes()
    again = Judgement.from_bytes(blob)
    assert again.to_bytes() == past.judgement.to_bytes()
    assert again.claim_start.tolist() == [0]
