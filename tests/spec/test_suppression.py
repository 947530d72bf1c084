"""What the gate hides: drawn tables with the pattern that was worked out by hand.

Each case draws contributions by cell, ``/`` between contributors, a letter where one occurs in several
cells, ``-`` for a cell to which nobody contributes::

        x        y
    a   5        10/10/10
    b   A5/9/9   A6/10/10

and the pattern: ``P`` hidden by the primary rules, ``s`` hidden to protect it, ``.`` shown, blank where
there is no cell. Margins are made by the gate's own aggregation.
"""

from __future__ import annotations

import datetime as dt
import itertools

import pandas as pd
import pytest

from opsroom.base.cells import parts_from_units
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.protect.judge import judge
from opsroom.protect.rules import Rules

RULES = Rules(min_contributors=3, dominance=())
DAY = dt.date(2020, 3, 4)


def read(drawing: str) -> pd.DataFrame:
    """Read contributions: row, column, group, value."""
    lines = drawing.strip().splitlines()
    columns = lines[0].split()
    fresh = itertools.count()
    units = []
    for line in lines[1:]:
        row, *cells = line.split()
        for column, cell in zip(columns, cells, strict=True):
            for contribution in cell.split("/"):
                if contribution != "-":
                    named = contribution[0].isalpha()
                    group = contribution[0] if named else f"{next(fresh)}"
                    units.append((row, column, group, int(contribution[1:] if named else contribution)))
    return pd.DataFrame(units, columns=["row", "column", "group", "value"])


def cells_of(units: pd.DataFrame, **more: object) -> Cells:
    """Return a table of sums with all margins."""
    parts = parts_from_units(units, dimensions=["row", "column"], group="group", values={"value": "value"}, **more)
    return Cells(
        name="table.drawn",
        dimensions=("row", "column"),
        measures=(Measure("value", "sum", "MER", ("value",), decimals=0),),
        parts=(Part("value", "MER"),),
        additive=("row", "column"),
        hierarchies=more.get("hierarchies", {}),
        frame=parts,
    )


def pattern(cells: Cells, rules: Rules = RULES) -> dict[tuple[str, str], str]:
    """Return ``P``, ``s`` or ``.`` by cell."""
    verdict = judge(cells, rules, [], entry=1)
    keys = list(zip(cells.frame["row"], cells.frame["column"], strict=True))
    marks = {}
    for number, key in enumerate(keys):
        unit = (number, "value")
        marks[key] = "." if unit in verdict.shown else "P" if unit in verdict.primary else "s"
        assert (unit in verdict.shown) != (unit in verdict.hidden)
    return marks


def drawn(marks: str) -> dict[tuple[str, str], str]:
    """Read a pattern; ``_`` marks a cell that is not there."""
    lines = marks.strip().splitlines()
    columns = lines[0].split()
    found = {}
    for line in lines[1:]:
        row, *cells = line.split()
        found |= {(row, c): mark for c, mark in zip(columns, cells, strict=True) if mark != "_"}
    return found


CASES = {
    "enough everywhere: all is shown": (
        """
            x          y
        a   1/2/3      4/5/6
        b   7/8/9      1/1/1
        """,
        """
            x  y  _T
        a   .  .  .
        b   .  .  .
        _T  .  .  .
        """,
    ),
    "one small cell takes a rectangle with it": (
        """
            x          y
        a   5          10/10/10
        b   10/10/10   10/10/10
        """,
        """
            x  y  _T
        a   P  s  .
        b   s  s  .
        _T  .  .  .
        """,
    ),
    "the rectangle is the cheapest one": (
        """
            x          y          z
        a   5          90/90/90   2/2/2
        b   90/90/90   90/90/90   90/90/90
        c   3/3/3      90/90/90   4/4/4
        """,
        """
            x  y  z  _T
        a   P  .  s  .
        b   .  .  .  .
        c   s  .  s  .
        _T  .  .  .  .
        """,
    ),
    "four small cells in a rectangle protect each other": (
        """
            x      y      z
        a   5/4    6/7    10/10/10
        b   8/9    6/5    10/10/10
        c   9/9/9  9/9/9  10/10/10
        """,
        """
            x  y  z  _T
        a   P  P  .  .
        b   P  P  .  .
        c   .  .  .  .
        _T  .  .  .  .
        """,
    ),
    "an empty cell protects nothing: anyone can guess it": (
        """
            x          y          z
        a   5          -          9/9/9
        b   -          1/1/1      8/8/8
        c   7/7/7      90/90/90   8/8/8
        """,
        """
            x  y  z  _T
        a   P  _  s  .
        b   _  .  .  .
        c   s  .  s  .
        _T  .  .  .  .
        """,
    ),
    "a lone contributor is taken for an attacker: a third cell hides two from each other": (
        """
            x   y   z        w
        a   A5  B7  9/9/9    20/20/20
        """,
        """
            x  y  z  w  _T
        a   P  P  s  .  .
        _T  P  P  s  .  .
        """,
    ),
    "two contributors a cell, two cells: either cell's two do not add up to the other's": (
        """
            x    y    z        w
        a   5/4  7/6  9/9/9    20/20/20
        """,
        """
            x  y  z  w  _T
        a   P  P  .  .  .
        _T  P  P  .  .  .
        """,
    ),
    "a margin that is small itself is hidden, and something beside it": (
        """
            x    y         z
        a   5/4  10/10/10  11/11/11
        """,
        """
            x  y  z  _T
        a   P  s  .  .
        _T  P  s  .  .
        """,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_pattern(name: str) -> None:
    drawing, marks = CASES[name]
    assert pattern(cells_of(read(drawing))) == drawn(marks)


def test_the_same_group_in_two_cells_counts_once_in_their_total() -> None:
    units = read(
        """
            x      y         z
        a   A5/B4  A6/B7/C8  9/9/9
        b   A1/B2  3/4/5     6/6/6
        """
    )
    marks = pattern(cells_of(units))
    assert marks["a", "x"] == marks["b", "x"] == "P"
    assert marks[TOTAL, "x"] == "P", "two groups stand behind the column, though four cells' worth of them do"


def test_a_hierarchy_is_a_relation_too() -> None:
    """Regions within parts of the country: the part's total and its other region would give a region away."""
    units = read(
        """
             x
        n1   5
        n2   10/10/10
        s1   20/20/20
        s2   30/30/30
        """
    )
    cells = cells_of(units, hierarchies={"row": {"n1": "N", "n2": "N", "s1": "S", "s2": "S"}})
    marks = pattern(cells)
    assert marks["n1", "x"] == "P"
    assert marks["n2", "x"] == "s"
    assert {marks[row, "x"] for row in ("N", "S", "s1", "s2", TOTAL)} == {"."}


def test_parts_that_are_not_additive_are_not_related() -> None:
    """Over time nothing adds up: a small day takes no other day with it."""
    units = read(
        """
            x
        d1  5
        d2  10/10/10
        """
    )
    parts = parts_from_units(
        units, dimensions=["row", "column"], group="group", values={"value": "value"}, totals=False
    )
    cells = Cells(
        name="table.days", dimensions=("row", "column"), frame=parts, parts=(Part("value", "MER"),),
        measures=(Measure("value", "sum", "MER", ("value",), decimals=0),),
    )  # fmt: skip
    assert pattern(cells) == {("d1", "x"): "P", ("d2", "x"): "."}


def rates(working: dict[str, int], size: int = 20) -> Cells:
    """Return a table of rates by row with its total: so many of `size` companies are at work in each."""
    units = pd.DataFrame(
        [
            (row, f"{row}{k}", 1, int(k < count))
            for row, count in working.items()
            for k in range(size)
        ],
        columns=["row", "group", "all", "on"],
    )  # fmt: skip
    parts = parts_from_units(
        units, dimensions=["row"], group="group", values={"on": "on", "all": "all"}, shares={"on": "all"}
    )
    return Cells(
        name="table.rates", dimensions=("row",), frame=parts, additive=("row",),
        measures=(Measure("rate", "share", "%", ("on", "all"), scale=100.0),),
        parts=(Part("on", "companies"), Part("all", "companies")),
    )  # fmt: skip


@pytest.mark.parametrize("extreme", [0, 1, 2, 18, 19, 20])
def test_a_rate_of_nearly_nobody_or_everybody_takes_another_with_it(extreme: int) -> None:
    cells = rates({"a": extreme, "b": 10, "c": 9})
    verdict = judge(cells, RULES, [], entry=1)
    rows = cells.frame["row"].tolist()
    assert (rows.index("a"), "rate") in verdict.primary
    hidden = {rows[row] for row, _ in verdict.hidden}
    assert len(hidden) == 2, "with the total and one other rate it could be computed"
    assert "_T" not in hidden


def test_unremarkable_rates_are_all_shown() -> None:
    assert not judge(rates({"a": 3, "b": 10, "c": 17}), RULES, [], entry=1).hidden
