"""Several measures in one table, against programmes that know nothing of the package."""

from __future__ import annotations

from decimal import Decimal
from itertools import product
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from opsroom.base.errors import UsageError
from opsroom.protect.attack import Published, attack, attack_insiders
from opsroom.protect.measures import sums_among
from opsroom.protect.rules import Rules
from opsroom.protect.table import ProtectedTable, protect_table

RULES = Rules(min_contributors=3, dominance=((2, 85.0),), interval=20.0, attackers="outsider", group="who")
SALES = ["sales", "home", "abroad"]
MRC = ["measure", "row", "column"]


def companies(seed: int, *, n: int = 26) -> pd.DataFrame:
    """Companies whose sales are those at home and abroad; few sell abroad."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"row": rng.choice(list("abc"), n), "column": rng.choice(list("xyz"), n), "who": np.arange(n)})
    frame["home"] = rng.integers(10, 90, n)
    frame["abroad"] = np.where(rng.random(n) < 0.4, rng.integers(1, 90, n), 0)
    frame["sales"] = frame["home"] + frame["abroad"]
    return frame


def protected(micro: Any, measure: Any = "sales", **more: Any) -> ProtectedTable:
    options = {"dimensions": ["row", "column"], "unit": "EUR", "rules": RULES, "method": "fast"} | more
    return protect_table(micro, measure=measure, **options)


def ends(shown: dict[tuple[str, ...], bool], value: dict[tuple[str, ...], float], *, linked: bool) -> dict[Any, Any]:
    """Bounds of each hidden cell, with all sums spelt out: along rows, along columns and, if linked, home + abroad."""
    keys = list(value)
    at = {key: k for k, key in enumerate(keys)}
    rows, columns = sorted({k[1] for k in keys} - {"_T"}), sorted({k[2] for k in keys} - {"_T"})
    sums: list[tuple[Any, list[Any]]] = []
    for m in dict.fromkeys(k[0] for k in keys):
        sums += [((m, r, "_T"), [(m, r, c) for c in columns]) for r in (*rows, "_T")]
        sums += [((m, "_T", c), [(m, r, c) for r in rows]) for c in (*columns, "_T")]
    if linked:
        sums += [
            (("sales", r, c), [("home", r, c), ("abroad", r, c)]) for r, c in product((*rows, "_T"), (*columns, "_T"))
        ]
    lines = np.zeros((len(sums), len(keys)))
    for line, (total, parts) in zip(lines, sums, strict=True):
        if total in at:
            line[at[total]] = -1.0
            line[[at[p] for p in parts if p in at]] = 1.0
    limits = [(value[k], value[k]) if shown[k] else (0, None) for k in keys]
    found = {}
    for key in keys:
        if not shown[key]:
            goal = np.zeros(len(keys))
            goal[at[key]] = 1.0
            both = [linprog(s * goal, A_eq=lines, b_eq=np.zeros(len(lines)), bounds=limits) for s in (1, -1)]
            found[key] = (both[0].fun, np.inf if both[1].status == 3 else -both[1].fun)
    return found


def too_close(tables: list[ProtectedTable], *, linked: bool) -> int:
    """Number of sensitive cells that somebody who knows all tables estimates inside their protection interval."""
    shown: dict[Any, bool] = {}
    value: dict[Any, float] = {}
    need: dict[Any, tuple[float, float]] = {}
    for table in tables:
        made = table.tabulation
        for k, key in enumerate(made.keys()):
            key = key if len(key) == 3 else (str(table.measure), *key)
            shown[key], value[key] = not table.hidden[k], float(made.value[k])
            if table.sensitive[k]:
                need[key] = (max(value[key] - table.width[k], 0.0), value[key] + table.width[k])
    found = ends(shown, value, linked=linked)
    return sum(
        key not in found or found[key][0] > low + 1e-6 or found[key][1] < high - 1e-6
        for key, (low, high) in need.items()
    )


def test_measures_that_add_up_are_protected_as_such() -> None:
    apart = 0
    for seed in range(3):
        micro = companies(seed)
        together = protected(micro, SALES)
        assert together.identities == (("sales", ("home", "abroad")),)
        assert together.sensitive.any()
        assert too_close([together], linked=True) == 0
        assert attack(together, rules=RULES).inside == 0
        apart += too_close([protected(micro, m) for m in SALES], linked=True)
    assert apart > 0  # made one by one, the tables betray each other


def test_the_attacker_knows_that_measures_add_up() -> None:
    """Its intervals are those of the programmes above, also where cells are shown that should not be."""
    for seed in (1,):
        table = protected(companies(seed), SALES)
        frame = attack(table, rules=RULES, bounds="exact").to_frame()
        made, keys = table.tabulation, table.tabulation.keys()
        shown = dict(zip(keys, ~table.hidden, strict=True))
        want = ends(shown, dict(zip(keys, made.value.tolist(), strict=True)), linked=True)
        got = {
            (m, r, c): (low, high)
            for m, r, c, low, high in frame[["measure", "row", "column", "lower", "upper"]].to_numpy()
        }
        assert set(got) == set(want)
        for key, interval in want.items():
            assert got[key] == pytest.approx(interval, abs=1e-5)


def test_one_measure_in_a_list_is_that_measure() -> None:
    micro = companies(2)
    for attackers in ("outsider", "contributor", "coalition"):
        rules = Rules(min_contributors=3, dominance=((2, 85.0),), attackers=attackers, group="who")
        alone, listed = protected(micro, rules=rules), protected(micro, ["sales"], rules=rules)
        pd.testing.assert_frame_equal(alone.to_frame(), listed.to_frame().drop(columns="measure"))
        assert (listed.to_frame()["measure"] == "sales").all()
        ours, theirs = attack_insiders(listed), attack_insiders(alone)
        assert (ours.goals, ours.sums, ours.successes) == (theirs.goals, theirs.sums, theirs.successes)


@pytest.mark.parametrize("attackers", ["contributor", "coalition"])
def test_no_contributor_uses_one_measure_to_learn_another(attackers: Any) -> None:
    apart = 0
    for seed in range(3):
        micro = companies(seed)
        rules = Rules(min_contributors=3, dominance=((2, 85.0),), interval=20.0, attackers=attackers, group="who")
        together = protected(micro, SALES, rules=rules)
        assert attack_insiders(together).successes == 0
        parts = np.concatenate([protected(micro, m, rules=rules).hidden for m in SALES])
        naive = ProtectedTable(**{f: getattr(together, f) for f in together.__slots__} | {"hidden": parts})
        apart += attack_insiders(naive).successes
    assert apart > 0


def test_counts_and_a_measure_with_losses_stand_beside_sales() -> None:
    micro = companies(4).assign(profit=lambda f: f["sales"] - 60)
    table = protected(micro, ["sales", "profit", None], unit=["EUR", "EUR", "companies"])
    frame = table.to_frame().set_index(["measure", "row", "column"])
    want = micro.groupby(["row", "column"])[["sales", "profit"]].sum()
    for (row, column), numbers in want.iterrows():
        assert frame.loc[("sales", row, column), "value"] == numbers["sales"]
        assert frame.loc[("profit", row, column), "value"] == numbers["profit"]
    assert frame.loc[("count", "_T", "_T"), "value"] == len(micro)
    signed = dict(zip(table.tabulation.keys(), table.tabulation.signed.tolist(), strict=True))
    assert signed["profit", "_T", "_T"]
    assert not signed["sales", "_T", "_T"]  # losses take the floor away from profits alone
    result = attack(table, rules=RULES).to_frame()
    assert (result.loc[result["measure"] == "sales", "lower"] >= 0).all()
    assert "companies" in table.summary()


def test_sums_are_found_by_looking_at_every_row() -> None:
    micro = companies(5)
    amounts = {m: micro[m].to_numpy(dtype=float) for m in SALES}
    nearly = amounts | {"sales": amounts["sales"] + (np.arange(len(micro)) == 7)}
    assert sums_among(amounts) == (("sales", ("home", "abroad")),)
    assert sums_among(nearly) == ()
    assert sums_among({"one": amounts["home"], "two": amounts["home"], "none": 0 * amounts["home"]}) == (
        ("one", ("two",)),
    )


def test_what_is_out_and_prices_are_named_with_the_measure() -> None:
    micro = companies(6)
    total = ("sales", "_T", "_T")
    table = protected(micro, SALES, published=[total], price={("home", "a", "x"): 1e9})
    keys = table.tabulation.keys()
    assert not table.hidden[keys.index(total)]


# -- what a stranger passes ---------------------------------------------------------------------


def test_the_same_microdata_in_other_clothes_make_the_same_table() -> None:
    micro = companies(7).astype({"row": "category"})
    want = protected(companies(7)).to_frame()
    whole = companies(7)
    clothes = {
        "category": micro,
        "decimal": whole.assign(sales=[Decimal(int(v)) for v in whole["sales"]]),
        "nullable": whole.convert_dtypes(),
        "arrow": whole.convert_dtypes(dtype_backend="pyarrow"),
        "index": whole.set_index(pd.Index([0] * len(whole))),
    }
    for name, frame in clothes.items():
        pd.testing.assert_frame_equal(protected(frame).to_frame(), want, obj=name)


@pytest.mark.filterwarnings("ignore:The 'future.infer_string' option:DeprecationWarning")
def test_an_ibis_table_of_decimals_makes_the_same_table(tmp_path: Any) -> None:
    whole = companies(7)
    whole.to_parquet(tmp_path / "micro.parquet")
    table = ibis.duckdb.connect().read_parquet(tmp_path / "micro.parquet")
    table = table.mutate(sales=table["sales"].cast("decimal(18, 2)"))
    pd.testing.assert_frame_equal(protected(table).to_frame(), protected(whole).to_frame())


@pytest.mark.parametrize("cast", [int, float, str])
def test_codes_that_are_numbers_meet_their_hierarchy(cast: type) -> None:
    micro = companies(8)
    micro["row"] = micro["row"].map({"a": 1, "b": 2, "c": 3}).astype(cast if cast is not str else object)
    above = pd.DataFrame({"code": [1, 2, 3, 10], "parent": [10, 10, 11, np.nan]})  # a missing parent makes floats
    frame = protected(micro, hierarchies={"row": above}).to_frame()
    assert set(frame["row"]) == {"1", "2", "3", "10", "11", "_T"}


def test_a_hierarchy_may_be_ragged_and_have_codes_of_nobody() -> None:
    micro = companies(9)
    ragged = {"a": "A1", "A1": "A", "b": "A", "z": "B"}
    frame = protected(micro, hierarchies={"row": ragged}).to_frame()
    assert set(frame["row"]) == {"a", "A1", "A", "b", "c", "_T"}
    value = frame[frame["column"] == "_T"].set_index("row")["value"]
    assert value["A"] == value["a"] + value["b"]
    assert value["A1"] == value["a"]


def test_one_company_is_hidden_everywhere() -> None:
    assert (protected(companies(1).iloc[:1]).to_frame()["status"] == "primary").all()


@pytest.mark.parametrize(
    ("change", "options", "code"),
    [
        ({}, {"measure": []}, "OPS-U386"),
        ({}, {"measure": ["sales", "sales"]}, "OPS-U386"),
        ({}, {"measure": ["sales", 3]}, "OPS-U386"),
        ({}, {"measure": 3}, "OPS-U387"),
        ({}, {"measure": ["sales", "home"], "unit": ["EUR"]}, "OPS-U387"),
        ({}, {"unit": None}, "OPS-U387"),
        ({}, {"rules": {"min_contributors": 3}}, "OPS-U387"),
        ({}, {"dimensions": [3]}, "OPS-U001"),
        ({}, {"measure": "none"}, "OPS-U001"),
        ({"sales": "12"}, {}, "OPS-U382"),
        ({"sales": pd.Timestamp("2020-01-01")}, {}, "OPS-U382"),
        ({"sales": 1j}, {}, "OPS-U382"),
        ({"sales": np.inf}, {}, "OPS-U001"),
        ({"sales": np.nan}, {}, "OPS-U001"),
        ({"row": None}, {}, "OPS-U001"),
        ({"row": "_T"}, {}, "OPS-U001"),
        ({"value": "a"}, {"dimensions": ["value"]}, "OPS-U388"),
        ({"measure": "a"}, {"dimensions": ["measure"], "measure": ["sales", "home"]}, "OPS-U388"),
        ({"agreed": "no"}, {"rules": Rules(waiver="agreed")}, "OPS-U383"),
        ({"agreed": 2}, {"rules": Rules(request="agreed")}, "OPS-U383"),
        ({}, {"hierarchies": {"rows": {"a": "A"}}}, "OPS-U385"),
        ({}, {"hierarchies": {"row": {"_T": "A"}}}, "OPS-U385"),
        ({}, {"hierarchies": {"row": [("a", "A")]}}, "OPS-U385"),
        ({}, {"hierarchies": pd.DataFrame({"code": ["a"], "parent": ["A"]})}, "OPS-U385"),
        ({}, {"published": [("_T",)]}, "OPS-U389"),
        ({}, {"published": [("q", "_T")]}, "OPS-U389"),
        ({}, {"price": {("a", "x"): "dear"}}, "OPS-U389"),
        ({}, {"price": {("a", "x"): np.nan}}, "OPS-U001"),
    ],
)  # fmt: skip
def test_what_makes_no_table_is_said(change: dict[str, Any], options: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        protected(companies(1).assign(**change), **options)
    assert caught.value.code == code


def test_columns_and_groups_that_are_none_are_said() -> None:
    micro = companies(1)
    twice = pd.concat([micro, micro[["sales"]]], axis=1)
    lists = micro.assign(who=[[k] for k in range(len(micro))])
    for frame, code in (
        (twice, "OPS-U381"),
        (lists, "OPS-U384"),
        (micro.iloc[:0], "OPS-U001"),
        (micro["who"], "OPS-U001"),
    ):
        with pytest.raises(UsageError) as caught:
            protected(frame)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("tables", "options"),
    [
        (pd.DataFrame({"row": ["a"], "value": [1.0]}), {}),
        (Published(pd.DataFrame({"row": ["a"], "value": [1.0]}), ("row",)), {"rules": None}),
        (Published(pd.DataFrame({"row": ["a"], "value": [1.0]}), ("row",)), {"bounds": "close"}),
        (Published(pd.DataFrame({"row": ["a"], "value": ["x"]}), ("row",)), {}),
        (
            Published(pd.DataFrame({"row": ["a"], "value": [None]}), ("row",)),
            {"known": pd.DataFrame({"rwo": ["a"], "value": [1]})},
        ),
    ],
)
def test_what_cannot_be_attacked_is_said(tables: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        attack(tables, **{"rules": RULES} | options)
