"""The attacker against intervals that are known in closed form."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

from opsroom.base.errors import UsageError
from opsroom.protect.attack import AttackResult, Published, attack, attack_insiders
from opsroom.protect.rules import Rules
from opsroom.protect.table import ProtectedTable, protect_table

RULES = Rules(min_contributors=3, dominance=(), interval=20.0, attackers="outsider")
Cells = dict[tuple[str, ...], float]


def published(cells: Cells, hidden: set[tuple[str, ...]], *names: str, **more: object) -> Published:
    """A table as the public sees it; `hidden` cells show no number."""
    frame = pd.DataFrame([*cells], columns=list(names))
    frame["value"] = [np.nan if c in hidden else v for c, v in cells.items()]
    return Published(frame, names, **more)


def cross(inner: list[list[float]]) -> Cells:
    """Rows r0, r1, … by columns c0, c1, … with margins."""
    grid = np.array(inner, dtype=float)
    cells = {(f"r{i}", f"c{j}"): float(v) for (i, j), v in np.ndenumerate(grid)}
    cells |= {(f"r{i}", "_T"): float(v) for i, v in enumerate(grid.sum(axis=1))}
    cells |= {("_T", f"c{j}"): float(v) for j, v in enumerate(grid.sum(axis=0))}
    return cells | {("_T", "_T"): float(grid.sum())}


def intervals(result: AttackResult, *names: str) -> dict[tuple[str, ...], tuple[float, float]]:
    frame = result.to_frame()
    return {
        tuple(key): (low, high)
        for key, low, high in zip(frame[list(names)].to_numpy().tolist(), frame["lower"], frame["upper"], strict=True)
    }


@pytest.mark.parametrize("inner", [[[5, 7], [11, 2]], [[0, 3], [4, 100]], [[1e6, 1], [2, 1e6]]])
def test_two_by_two_is_the_bound_of_frechet(inner: list[list[float]]) -> None:
    cells = cross(inner)
    hidden = set(product(("r0", "r1"), ("c0", "c1")))
    found = intervals(attack(published(cells, hidden, "row", "column"), rules=RULES), "row", "column")
    total = cells["_T", "_T"]
    assert set(found) == hidden
    for (row, column), (low, high) in found.items():
        r, c = cells[row, "_T"], cells["_T", column]
        assert (low, high) == pytest.approx((max(0.0, r + c - total), min(r, c)), abs=1e-6 * total)


def test_three_by_three_with_four_hidden_moves_by_the_least_of_a_diagonal() -> None:
    inner = [[20, 50, 10], [8, 19, 22], [17, 32, 12]]
    hidden = {("r0", "c0"), ("r0", "c2"), ("r2", "c0"), ("r2", "c2")}
    result = attack(published(cross(inner), hidden, "row", "column"), rules=RULES)
    found = intervals(result, "row", "column")
    # With x at (0, 0): (0, 2) = 30 - x, (2, 0) = 37 - x, (2, 2) = x - 8.
    assert found["r0", "c0"] == pytest.approx((8, 30))
    assert found["r0", "c2"] == pytest.approx((0, 22))
    assert found["r2", "c0"] == pytest.approx((7, 29))
    assert found["r2", "c2"] == pytest.approx((0, 22))
    assert result.bounds == "exact"
    assert not result.to_frame()["exact"].any()
    assert result.to_frame()["inside_protection"].isna().all()
    assert "No true values" in result.summary()


def test_one_hidden_cell_and_three_in_a_corner_are_known_exactly() -> None:
    cells = cross([[20, 50, 10], [8, 19, 22], [17, 32, 12]])
    for hidden in ({("r1", "c1")}, {("r0", "c0"), ("r0", "c1"), ("r1", "c0")}):
        frame = attack(published(cells, hidden, "row", "column"), rules=RULES).to_frame()
        assert frame["exact"].all()
        for row in frame.itertuples():
            assert row.lower == pytest.approx(cells[row.row, row.column])


def test_negative_numbers_take_the_floor_away() -> None:
    cells = cross([[20, 50, 10], [8, -19, 22], [17, 32, 12]])
    hidden = set(product(("r0", "r2"), ("c0", "c2")))
    found = intervals(attack(published(cells, hidden, "row", "column"), rules=RULES), "row", "column")
    assert all(interval == (-np.inf, np.inf) for interval in found.values())


HIERARCHY = {"A1": "A", "A2": "A", "A3": "A", "B1": "B", "B2": "B", "B11": "B1", "B12": "B1"}


def tree(**leaves: float) -> Cells:
    cells: Cells = {(code,): value for code, value in leaves.items()}
    for code, value in leaves.items():
        up = code
        while up != "_T":
            up = HIERARCHY.get(up, "_T")
            cells[up,] = cells.get((up,), 0.0) + value
    return cells


@pytest.mark.parametrize("frame_form", [False, True])
def test_hierarchies_are_climbed(frame_form: bool) -> None:
    cells = tree(A1=5, A2=9, A3=1, B2=4, B11=3, B12=2)
    hierarchy = pd.DataFrame({"code": list(HIERARCHY), "parent": list(HIERARCHY.values())}) if frame_form else HIERARCHY
    hidden = {("A",), ("B",), ("A1",), ("B1",), ("B11",)}
    found = intervals(attack(published(cells, hidden, "nace", hierarchies={"nace": hierarchy}), rules=RULES), "nace")
    # A + B = 24, A = A1 + 10, B = B1 + 4, B1 = B11 + 2: one degree of freedom, A1 + B11 = 8.
    assert found["A1",] == pytest.approx((0, 8))
    assert found["B11",] == pytest.approx((0, 8))
    assert found["A",] == pytest.approx((10, 18))
    assert found["B1",] == pytest.approx((2, 10))
    assert found["B",] == pytest.approx((6, 14))


def test_a_level_that_is_not_published_is_passed_over() -> None:
    """Divisions and the total without the sections in between still add up."""
    cells = {k: v for k, v in tree(A1=5, A2=9, B1=4).items() if k[0] not in ("A", "B")}
    frame = attack(published(cells, {("A2",)}, "nace", hierarchies={"nace": HIERARCHY}), rules=RULES).to_frame()
    assert frame["exact"].tolist() == [True]
    assert frame["lower"].tolist() == pytest.approx([9])


def test_linked_tables_share_their_margins() -> None:
    """Each table alone leaves its hidden margin open; only one of them hides it, so together they do not."""
    by_size = cross([[3, 4], [5, 6]])
    by_region = cross([[1, 6], [2, 9]])
    corner = set(product(("r0", "r1"), ("c0", "c1")))
    first = published(by_size, corner | {("r0", "_T"), ("r1", "_T")}, "nace", "size", unit="EUR")
    second = published(
        by_region, {("r0", "c0"), ("r1", "c0"), ("_T", "c0"), ("_T", "_T")}, "nace", "region", unit="EUR"
    )
    alone = intervals(attack(first, rules=RULES), "nace", "size")
    assert alone["r0", "_T"] == pytest.approx((0, 18))
    both = attack([first, second], rules=RULES).to_frame()
    assert set(both.columns) == {"nace", "size", "region", "lower", "upper", "exact", "inside_protection"}
    seen = both.set_index(["nace", "size", "region"])[["lower", "upper"]]
    assert not {("r0", "_T", "_T"), ("r1", "_T", "_T")} & set(seen.index)
    # With the row sums 7 and 11: r0 c0 in [max(0, 7 - 10), min(7, 8)].
    assert seen.loc[("r0", "c0", "_T")].tolist() == pytest.approx([0, 7])
    assert seen.loc[("r0", "_T", "c0")].tolist() == pytest.approx([1, 1])
    other = replace(second, unit="jobs")
    assert ("r0", "_T") in intervals(attack([first, other], rules=RULES), "nace", "size"), "another unit is not linked"


def test_vintages_are_linked_by_their_change() -> None:
    earlier = {("a",): 4.0, ("b",): 6.0, ("_T",): 10.0}
    later = {("a",): 5.0, ("b",): 8.0, ("_T",): 13.0}
    change = {("a",): 1.0, ("b",): 2.0, ("_T",): 3.0}
    out = {
        "v1": published(earlier, {("a",), ("b",)}, "nace"),
        "v2": published(later, set(), "nace"),
    }
    apart = attack(out, rules=RULES).to_frame()
    assert not apart["exact"].any()
    assert set(apart["lower"]) == {0.0}
    linked = attack({**out, ("v2", "v1"): published(change, {("b",)}, "nace")}, rules=RULES).to_frame()
    assert linked["exact"].all()
    wanted = {("v1", "a"): 4.0, ("v1", "b"): 6.0, ("v2 - v1", "b"): 2.0}
    assert dict(zip(zip(linked["vintage"], linked["nace"], strict=True), linked["lower"], strict=True)) == wanted
    with pytest.raises(UsageError, match="vintage"):
        attack({"v1": out["v1"], ("v2", "v1"): published(change, set(), "nace")}, rules=RULES)


def test_what_is_known_besides_narrows() -> None:
    cells = cross([[20, 50, 10], [8, 19, 22], [17, 32, 12]])
    hidden = set(product(("r0", "r2"), ("c0", "c2")))
    table = published(cells, hidden, "row", "column")

    def learn(**what: float) -> tuple[float, float]:
        known = pd.DataFrame({"row": ["r0"], "column": ["c2"]}).assign(**what)
        return intervals(attack(table, rules=RULES, known=known), "row", "column")["r0", "c0"]

    assert learn(at_least=4.0) == pytest.approx((8, 26))
    assert learn(at_most=9.0) == pytest.approx((21, 30))
    assert learn(at_least=4.0, at_most=9.0) == pytest.approx((21, 26))
    assert learn(value=10.0) == pytest.approx((20, 20))
    with pytest.raises(UsageError, match="no table agrees"):
        learn(at_least=23.0)
    with pytest.raises(UsageError, match="none of the tables"):
        attack(table, rules=RULES, known=pd.DataFrame({"row": ["r9"], "value": [1.0]}))
    with pytest.raises(UsageError, match="'value'"):
        attack(table, rules=RULES, known=pd.DataFrame({"row": ["r0"]}))


def test_contradictions_are_named() -> None:
    cells = cross([[20, 50], [8, 19]])
    wrong = {**cells, ("_T", "_T"): 99.0}
    hidden = set(product(("r0", "r1"), ("c0", "c1")))
    with pytest.raises(UsageError, match="no table agrees"):
        attack(published(wrong, hidden, "row", "column"), rules=RULES)
    with pytest.raises(UsageError, match="different numbers"):
        attack([published(cells, set(), "row", "column"), published(wrong, set(), "row", "column")], rules=RULES)
    twice = published(cells, set(), "row", "column")
    with pytest.raises(UsageError, match="twice"):
        attack(replace(twice, frame=pd.concat([twice.frame, twice.frame.head(1)])), rules=RULES)
    with pytest.raises(UsageError, match="true values"):
        attack(published(cells, hidden, "row", "column"), rules=RULES, bounds="protection")


def company_table(rules: Rules = RULES) -> ProtectedTable:
    """Three rows by three columns of seven companies each, but for two, in which one and two stand."""
    rows = []
    for (i, j), few in np.ndenumerate(np.array([[1, 7, 7], [7, 2, 7], [7, 7, 7]])):
        rows += [(f"r{i}", f"c{j}", 10.0 + 3 * k + i + 2 * j) for k in range(few)]
    micro = pd.DataFrame(rows, columns=["row", "column", "value"])
    return protect_table(micro, dimensions=["row", "column"], measure="value", unit="EUR", rules=rules)


def keys_of(table: ProtectedTable) -> list[tuple[str, ...]]:
    return table.tabulation.keys()


def shown_again(table: ProtectedTable, *cells: tuple[str, ...]) -> ProtectedTable:
    hidden = table.hidden & ~np.array([key in cells for key in keys_of(table)])
    return replace(table, hidden=hidden)


def test_a_protected_table_is_scored() -> None:
    table = company_table()
    value = dict(zip(table.tabulation.keys(), table.tabulation.value, strict=True))
    for bounds in ("exact", "protection"):
        result = attack(table, rules=RULES, bounds=bounds)
        frame = result.to_frame()
        assert len(frame) == table.hidden.sum()
        assert result.sensitive == 2
        assert result.inside == 0
        for row in frame[
            [k in (("r0", "c0"), ("r1", "c1")) for k in zip(frame.row, frame.column, strict=True)]
        ].itertuples():
            true = value[row.row, row.column]
            assert row.lower <= true * 0.8 + 1e-6
            assert row.upper >= true * 1.2 - 1e-6
    second = [key for key, h, s in zip(value, table.hidden, table.sensitive, strict=True) if h and not s]
    bare = attack(shown_again(table, *second), rules=RULES)
    assert bare.inside == 2
    assert bare.to_frame()["exact"].all()
    assert bare.worst(1)["exact"].tolist() == [True]
    assert "2 of 2" in bare.summary()


def test_a_sensitive_cell_that_is_shown_counts() -> None:
    result = attack(shown_again(company_table(), ("r0", "c0")), rules=RULES)
    assert result.inside >= 1
    assert attack_insiders(shown_again(company_table(), ("r0", "c0"))).successes >= 1


def test_both_depths_agree_on_what_is_inside() -> None:
    table = company_table()
    value = table.tabulation.keys()
    for cell in [key for key, h, s in zip(value, table.hidden, table.sensitive, strict=True) if h and not s]:
        open_table = shown_again(table, cell)
        exact, quick = (attack(open_table, rules=RULES, bounds=b) for b in ("exact", "protection"))
        assert exact.inside == quick.inside > 0
        inside = exact.to_frame()["inside_protection"]
        assert inside.tolist() == quick.to_frame()["inside_protection"].tolist()
        # The quick intervals lie within the exact ones.
        assert (quick.to_frame()["lower"] >= exact.to_frame()["lower"] - 1e-6).all()
        assert (quick.to_frame()["upper"] <= exact.to_frame()["upper"] + 1e-6).all()


def test_an_interval_ends_where_protection_is_just_reached_or_just_missed() -> None:
    """Two cells of one row: the smaller one limits how far the other moves."""
    for other, inside in ((20.0, False), (19.9, True)):
        micro = pd.DataFrame({"nace": ["a", "b", "b", "b"], "value": [100.0, *[other / 3] * 3]})
        table = protect_table(micro, dimensions=["nace"], measure="value", unit="EUR", rules=RULES)
        keys = table.tabulation.keys()
        narrow = replace(table, hidden=np.array([key[0] in ("a", "b") for key in keys]))
        assert (attack(narrow, rules=RULES).inside == 1) is inside
        assert (attack(narrow, rules=RULES, bounds="protection").inside == 1) is inside


def test_other_rules_than_those_of_the_table_are_judged_anew() -> None:
    table = company_table()
    assert attack(table, rules=replace(RULES, interval=100.0)).inside > 0
    assert attack(table, rules=replace(RULES, min_contributors=8)).inside > 0, "cells of seven are shown"


def test_an_insider_subtracts_its_own_cell() -> None:
    """Two cells with one company each hide each other from the public, but not from these companies."""
    micro = pd.DataFrame({"nace": ["a", "b", "c", "c", "c"], "value": [50.0, 60.0, 1.0, 2.0, 3.0]})
    rules = replace(RULES, attackers="contributor")
    table = protect_table(micro, dimensions=["nace"], measure="value", unit="EUR", rules=rules)
    assert attack_insiders(table).successes == 0
    keys = table.tabulation.keys()
    pair = replace(table, hidden=np.array([key[0] in ("a", "b") for key in keys]))
    assert attack(pair, rules=rules).inside == 0
    found = attack_insiders(pair)
    assert found.successes == 2
    frame = found.to_frame().set_index("nace")
    assert frame.loc["a", "attackers"] == (2,)
    assert frame.loc["b", "attackers"] == (1,)
    assert frame["lower"].to_dict() == pytest.approx({"a": 50.0, "b": 60.0})
    assert frame["upper"].to_dict() == pytest.approx({"a": 50.0, "b": 60.0})
    assert "2 attacks succeed" in found.summary()
    same = attack(pair, rules=rules, known=pd.DataFrame({"nace": ["a"], "value": [50.0]})).to_frame()
    assert same.set_index("nace").loc["b", "exact"]
    assert attack_insiders(pair, rules=RULES).successes == 0, "outsiders know no cell"


def test_a_part_of_a_cell_is_a_bound() -> None:
    """b holds 58 of company 2 and 2 of 3: 2 knows that a, 40 with b 60, is at most 42."""
    micro = pd.DataFrame(
        {"nace": ["a", "b", "b", "c", "c", "c"], "who": [1, 2, 3, 4, 5, 6], "value": [40.0, 58.0, 2.0, 9.0, 9.0, 9.0]}
    )
    rules = replace(RULES, attackers="contributor", group="who")
    table = protect_table(micro, dimensions=["nace"], measure="value", unit="EUR", rules=rules)
    assert attack_insiders(table).successes == 0
    pair = replace(table, hidden=np.array([key[0] in ("a", "b") for key in keys_of(table)]))
    found = attack_insiders(pair).to_frame()
    row = found[found["nace"] == "a"].iloc[0]
    assert row["attackers"] == (2,)
    assert (row["lower"], row["upper"]) == pytest.approx((0.0, 42.0))
    # Company 1 is alone in a: it knows b, too, and so do we if we are told what it knows.
    assert {tuple(a) for a in found.loc[found["nace"] == "b", "attackers"]} == {(1,)}


def test_a_coalition_knows_the_sum_of_its_parts() -> None:
    """a can fall by what neither 1 nor 2 holds of it: 18 as one of them sees it, 3 as both do."""
    micro = pd.DataFrame(
        {
            "nace": [*"bbbb", *"aaaa", *"ccc"],
            "who": [*"0123", *"1245", *"678"],
            "value": [50.0, 9.0, 6.0, 1.0, 15.0, 15.0, 2.0, 1.0, 30.0, 30.0, 30.0],
        }
    )
    rules = replace(RULES, dominance=((1, 70.0),), attackers="coalition", group="who")
    table = protect_table(micro, dimensions=["nace"], measure="value", unit="EUR", rules=rules)
    assert attack_insiders(table).successes == 0
    pair = replace(table, hidden=np.array([key[0] in ("a", "b") for key in keys_of(table)]))
    assert attack_insiders(pair, rules=replace(rules, attackers="contributor")).successes == 0
    found = attack_insiders(pair).to_frame()
    assert found["attackers"].tolist() == [(2, 3)]
    row = found.iloc[0]
    assert (row["nace"], row["upper"], row["own"]) == ("b", pytest.approx(66 + 3), 15.0)
    # Downwards a takes up whatever b loses; but that is never more than b without what the two hold of it.
    assert row["lower"] == pytest.approx(15.0)


def test_a_coalition_knows_the_cells_of_its_members_where_parts_are_no_bound() -> None:
    """With negative numbers nobody bounds a cell by its part, but two who are alone in a cell know it."""
    micro = pd.DataFrame(
        {
            "nace": ["a", "a", "a", "b", "b", "c", "c", "c", "c"],
            "who": [1, 2, 3, 2, 3, 4, 5, 6, 7],
            "value": [100.0, -10.0, 8.0, 30.0, 40.0, 20.0, 20.0, 20.0, 20.0],
        }
    )
    rules = replace(RULES, dominance=((1, 70.0),), attackers="coalition", group="who")
    table = protect_table(micro, dimensions=["nace"], measure="value", unit="EUR", rules=rules)
    assert table.tabulation.negative
    assert attack_insiders(table).successes == 0
    pair = replace(table, hidden=np.array([key[0] in ("a", "b") for key in keys_of(table)]))
    found = attack_insiders(pair).to_frame()
    assert found["attackers"].tolist() == [(2, 3)]
    assert (found.loc[0, "nace"], found.loc[0, "lower"], found.loc[0, "upper"]) == ("a", 98.0, 98.0)


def test_what_cancels_unweighted_still_contributes() -> None:
    """One group's +5 and -5 weigh 1 and 2: its cell is -5, and it is the only one in it."""
    micro = pd.DataFrame(
        {
            "nace": ["a", "a", *"bbbb"],
            "who": [1, 1, 2, 3, 4, 5],
            "value": [5.0, -5, 9, 9, 9, 9],
            "w": [1.0, 2, 1, 1, 1, 1],
        }
    )
    rules = replace(RULES, group="who")
    table = protect_table(micro, dimensions=["nace"], measure="value", unit="EUR", rules=rules, weight="w")
    frame = table.to_frame().set_index("nace")
    assert frame.loc["a", ["value", "contributors", "status"]].tolist() == [-5.0, 1, "primary"]


def test_a_weight_below_one_leaves_a_table_publishable() -> None:
    """A cell may be less than what a company knows of itself: that is no reason to refuse."""
    micro = pd.DataFrame(
        {
            "nace": ["a", "a", "b", "b", "b", "b", "c", "c", "c", "c"],
            "value": [90.0, 5, 30, 30, 30, 30, 20, 20, 20, 20],
            "w": [0.5] * 10,
        }
    )
    rules = replace(RULES, attackers="contributor")
    table = protect_table(micro, dimensions=["nace"], measure="value", unit="EUR", rules=rules, weight="w")
    assert attack_insiders(table).successes == 0
    assert (table.to_frame()["status"] == "published").any()


def test_what_one_company_has_to_itself_in_a_line_is_attacked_as_a_sum() -> None:
    """Company 1 has a and b to itself: each hides the other, and what is left of the total is both, exactly."""
    micro = pd.DataFrame(
        {
            "nace": [*"ab", *"cccc", *"dddd"],
            "who": [1, 1, *range(2, 6), *range(6, 10)],
            "value": [50.0, 60.0, *[10.0] * 4, *[20.0] * 4],
        }
    )
    rules = replace(RULES, attackers="contributor", group="who")
    table = protect_table(micro, dimensions=["nace"], measure="value", unit="EUR", rules=rules)
    whole = attack_insiders(table)
    assert (whole.successes, whole.sums) == (0, 1)
    pair = replace(table, hidden=np.array([key[0] in ("a", "b") for key in keys_of(table)]))
    assert attack(pair, rules=rules).inside == 0, "no cell by itself"
    found = attack_insiders(pair)
    assert found.successes == 1
    row = found.to_frame().iloc[0]
    assert (row["nace"], row["attackers"]) == ("a + b", ())
    assert (row["lower"], row["upper"]) == pytest.approx((110.0, 110.0))
    assert "1 sums held alone" in found.summary()
    # Three cells hidden: c takes up what the sum loses, but whoever is in c knows its own part of it.
    wider = replace(table, hidden=np.array([key[0] in ("a", "b", "c") for key in keys_of(table)]))
    assert attack_insiders(wider).successes == 0
    close = attack_insiders(wider, rules=replace(rules, interval=40.0)).to_frame()
    assert {row.nace for row in close.itertuples()} == {"a + b"}
    # Who both cells belong to is no secret: outsiders find the sum, too, and no table lets them.
    assert attack_insiders(pair, rules=RULES).successes == 1
    outside = protect_table(micro, dimensions=["nace"], measure="value", unit="EUR", rules=replace(RULES, group="who"))
    assert attack_insiders(outside).successes == 0
    assert set(outside.to_frame().query("status == 'secondary'")["nace"]) == {"c"}
