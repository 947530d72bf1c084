"""Plans over techniques and periods, against the one-period optimum, closed forms, and the programme written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog

from opsroom.base.errors import FitError, UsageError
from opsroom.decide import allocate
from opsroom.decide.allocation import PlanResult, plan


def economy(seed: int, n: int = 5) -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    rng = np.random.default_rng(seed)
    a = rng.random((n, n)) * (rng.random((n, n)) < 0.5)
    a = a * (rng.uniform(0.2, 0.7, n) / np.maximum(a.sum(axis=0), 1e-9))
    names = [f"p{k}" for k in range(n)]
    demand = pd.Series(rng.lognormal(0, 1, n), index=names)
    x = np.linalg.solve(np.eye(n) - a, demand)
    return pd.DataFrame(a, names, names), demand, pd.Series(x * rng.uniform(0.5, 1.2, n), index=names)


def same(table: pd.DataFrame) -> pd.Series:
    return pd.Series(table.columns, index=table.columns)


@pytest.mark.parametrize("seed", range(4))
def test_one_technique_and_one_period_are_the_plain_allocation(seed: int) -> None:
    a, demand, capacity = economy(seed)
    value = pd.Series(np.random.default_rng(seed).uniform(0.5, 1.5, len(demand)), index=demand.index)
    short = allocate(a, demand, value=value, capacity=capacity, max_demand_ratio=1.0)
    found = plan(a, same(a), demand, value=value, capacity=capacity)
    assert found.objective == pytest.approx(short.objective, rel=1e-6)
    assert found.bound == pytest.approx(found.objective, rel=1e-7)
    assert found.residual < 1e-8
    # a product's price is what its making takes of what is scarce; what is scarce has a rent
    rents = found.rents[0]
    assert rents.to_numpy() == pytest.approx(short.shadow_prices.to_numpy(), abs=1e-6)


def drawn(seed: int) -> dict[str, Any]:
    """Four products, seven techniques (one makes two products), three periods, everything limited."""
    rng = np.random.default_rng(seed)
    products, ways = list("abcd"), [f"w{k}" for k in range(7)]
    makes = pd.DataFrame(0.0, products, ways)
    for k, way in enumerate(ways):
        makes.loc[products[k % 4], way] = 1.0
    makes.loc["d", "w0"] = 0.3
    uses = pd.DataFrame(rng.uniform(0.0, 0.2, (4, 7)), products, ways)
    return {
        "uses": uses, "makes": makes, "demand": pd.DataFrame(rng.uniform(5, 15, (4, 3)), products),
        "value": pd.Series(rng.uniform(0.5, 2.0, 4), products), "capacity": pd.Series(rng.uniform(3, 9, 7), ways),
        "labour": pd.DataFrame(rng.uniform(0.2, 1.0, (2, 7)), ["skilled", "other"], ways),
        "labour_limit": pd.DataFrame(rng.uniform(12, 20, (2, 3)), ["skilled", "other"]),
        "emissions": pd.DataFrame(rng.uniform(0.0, 1.0, (1, 7)), ["co2"], ways), "emission_limit": 14.0,
        "building": pd.DataFrame(rng.uniform(0.0, 0.5, (4, 7)), products, ways), "decay": 0.1, "keep_capital": 0.7,
        "stocks": pd.Series(rng.uniform(0, 3, 4), products), "storage_loss": 0.05,
        "import_limit": pd.Series([0.0, 2.0, 0.0, 1.0], products), "floor": pd.Series([1.0, 0.0, 0.0, 2.0], products),
        "periods": 3, "discount": 0.95,
    }  # fmt: skip


def written_out(g: dict[str, Any]) -> float:
    """The same programme row by row, unknown by unknown."""
    uses, makes, building = (g[k].to_numpy() for k in ("uses", "makes", "building"))
    demand = g["demand"].to_numpy()
    n, m, periods = 4, 7, 3
    place: dict[tuple[str, int, int], int] = {}
    for t in range(periods):
        for kind, count in (("y", n), ("x", m), ("i", m), ("k", m), ("s", n), ("b", n)):
            for j in range(count):
                place[kind, j, t] = len(place)
    rows, limits, equal, right = [], [], [], []
    cost, bounds = np.zeros(len(place)), [(0.0, np.inf)] * len(place)
    for t in range(periods):
        for j in range(n):
            cost[place["y", j, t]] = -g["value"].iloc[j] * 0.95**t
            bounds[place["y", j, t]] = (g["floor"].iloc[j], demand[j, t])
            bounds[place["b", j, t]] = (0.0, g["import_limit"].iloc[j])
            row = np.zeros(len(place))
            row[place["y", j, t]], row[place["s", j, t]], row[place["b", j, t]] = 1.0, 1.0, -1.0
            for k in range(m):
                row[place["x", k, t]] = uses[j, k] - makes[j, k]
                row[place["i", k, t]] = building[j, k]
            there = 0.0
            if t:
                row[place["s", j, t - 1]] = -0.95
            else:
                there = 0.95 * g["stocks"].iloc[j]
            rows.append(row)
            limits.append(there)
        for k in range(m):
            row = np.zeros(len(place))
            row[place["x", k, t]], row[place["k", k, t]] = 1.0, -1.0
            rows.append(row)
            limits.append(0.0)
            row = np.zeros(len(place))
            row[place["k", k, t]] = 1.0
            if t:
                row[place["k", k, t - 1]], row[place["i", k, t - 1]] = -0.9, -1.0
            equal.append(row)
            right.append(0.0 if t else g["capacity"].iloc[k])
        for skill in range(2):
            row = np.zeros(len(place))
            for k in range(m):
                row[place["x", k, t]] = g["labour"].iloc[skill, k]
            rows.append(row)
            limits.append(g["labour_limit"].iloc[skill, t])
        row = np.zeros(len(place))
        for k in range(m):
            row[place["x", k, t]] = g["emissions"].iloc[0, k]
        rows.append(row)
        limits.append(14.0)
    for k in range(m):
        row = np.zeros(len(place))
        row[place["k", k, 2]], row[place["i", k, 2]] = -0.9, -1.0
        rows.append(row)
        limits.append(-0.7 * g["capacity"].iloc[k])
    found = linprog(cost, A_ub=np.array(rows), b_ub=limits, A_eq=np.array(equal), b_eq=right, bounds=bounds)
    assert found.status == 0
    assert found.fun is not None
    return -float(found.fun)


@pytest.mark.parametrize("seed", range(5))
def test_everything_at_once_equals_the_programme_written_out(seed: int) -> None:
    given = drawn(seed)
    found = plan(**given)
    assert found.objective == pytest.approx(written_out(given), rel=1e-7)
    assert found.bound >= found.objective * (1 - 1e-9)
    assert found.gap < 1e-7
    balance(found, given)


def balance(found: PlanResult, g: dict[str, Any]) -> None:
    """Products, capital and limits period by period, by plain arithmetic."""
    for t in range(3):
        x, built = found.activity[t], found.built[t]
        before = 0.95 * (g["stocks"] if t == 0 else found.stocks[t - 1])
        made = g["makes"] @ x + found.imports[t] + before
        used = g["uses"] @ x + g["building"] @ built + found.final[t] + found.stocks[t]
        assert (used <= made + 1e-7).all()
        assert (x <= found.capacity[t] + 1e-7).all()
        if t:
            grown = 0.9 * found.capacity[t - 1] + found.built[t - 1]
            assert (found.capacity[t] <= grown + 1e-7).all()
        assert (g["labour"] @ x <= g["labour_limit"][t] + 1e-7).all()
        assert float(np.asarray(g["emissions"])[0] @ x.to_numpy()) <= 14.0 + 1e-7


def test_a_price_is_what_one_more_unit_adds_in_its_period() -> None:
    given = drawn(1)
    found, step = plan(**given), 1e-4
    for t in range(3):
        more = given["labour_limit"].copy()
        more.loc["skilled", t] += step
        gain = (plan(**{**given, "labour_limit": more}).objective - found.objective) / step
        assert found.wages.loc["skilled", t] == pytest.approx(gain, abs=1e-4)
    more = pd.DataFrame([[14.0 + step, 14.0, 14.0]], ["co2"])
    gain = (plan(**{**given, "emission_limit": more}).objective - found.objective) / step
    assert found.emission_prices.loc["co2", 0] == pytest.approx(gain, abs=1e-4)


def test_what_is_built_now_is_missed_now_and_there_next_period() -> None:
    # ten units a period; a unit of capacity costs two of output: build in the first for four periods after it
    one = pd.DataFrame([[0.0]], ["corn"], ["field"])
    build = pd.DataFrame([[2.0]], ["corn"], ["field"])
    given: dict[str, Any] = {"demand": 100.0, "value": 1.0, "capacity": 10.0, "periods": 5, "building": build}
    found = plan(one, same_way(), **given)
    # a unit not eaten is half a unit of capacity, worth half a unit in each period left: it pays for two or more left,
    # and with many periods left it pays to build all of it
    assert found.final[0].iloc[0] == pytest.approx(0.0, abs=1e-6)
    assert found.built.loc["field", 0] == pytest.approx(5.0, abs=1e-6)
    assert found.built.loc["field", 4] == pytest.approx(0.0, abs=1e-6)
    poor = plan(one, same_way(), **{**given, "periods": 2})
    assert poor.built.to_numpy().max() == pytest.approx(0.0, abs=1e-6)  # half a unit back for one
    assert poor.objective == pytest.approx(20.0)


def same_way() -> pd.Series:
    return pd.Series(["corn"], index=["field"])


def test_a_worse_technique_is_used_only_when_the_better_one_is_full() -> None:
    ways = ["good", "bad"]
    uses = pd.DataFrame([[0.1, 0.5]], ["corn"], ways)
    makes = pd.Series(["corn", "corn"], index=ways)
    little = plan(uses, makes, 4.0, value=1.0, capacity=pd.Series([10.0, 10.0], ways))
    assert little.activity[0].to_list() == pytest.approx([4.0 / 0.9, 0.0], abs=1e-6)
    much = plan(uses, makes, 100.0, value=1.0, capacity=pd.Series([10.0, 10.0], ways))
    assert much.activity[0].to_list() == pytest.approx([10.0, 10.0])
    assert much.rents[0].to_list() == pytest.approx([0.9, 0.5])
    assert "2 of 2 techniques" in much.summary()
    assert list(much.to_frame().columns) == ["final", "stock", "imported", "shadow_price"]


def test_what_cannot_be_and_what_makes_no_sense_is_refused() -> None:
    one = pd.DataFrame([[0.0]], ["corn"], ["field"])
    with pytest.raises(FitError, match="floors cannot be met") as caught:
        plan(one, same_way(), 100.0, value=1.0, capacity=10.0, floor=20.0)
    assert caught.value.code == "OPS-M180"
    for wrong, said in (
        ({"capacity": -1.0}, "capacity is no number"),
        ({"discount": 0.0}, "make no sense"),
        ({"floor": 200.0}, "above what may be used"),
        ({"decay": 2.0}, "shares from 0 to 1"),
        ({"demand": [1.0, 2.0]}, "demand is no number"),
        ({"labour": one}, "labour limit is missing"),
    ):
        given: dict[str, Any] = {"demand": 100.0, "value": 1.0, "capacity": 10.0, **wrong}
        with pytest.raises(UsageError, match=said):
            plan(one, same_way(), **given)
    with pytest.raises(UsageError, match="makes no product"):
        plan(one, pd.Series(["wheat"], index=["field"]), 1.0, value=1.0, capacity=1.0)
    with pytest.raises(UsageError, match="uses is no table"):
        plan(-one - 1.0, same_way(), 1.0, value=1.0, capacity=1.0)
