"""Allocation against a plain linear programme, its own certificate, and refusals in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from opsroom.base.errors import FitError, UsageError
from opsroom.decide import allocate
from opsroom.decide.allocation import clear_market, explain, many, possible_share, ration, shadow_ranges
from opsroom.decide.allocation import market as market_module
from opsroom.decide.allocation.interior import inner
from opsroom.decide.allocation.many import search_many
from opsroom.decide.allocation.prices import repaired, search_prices
from opsroom.decide.allocation.problem import pose
from opsroom.decide.allocation.rows import taken
from opsroom.decide.allocation.search import bound


def drawn(seed: int, n: int, *, scarce: float = 0.4, skills: int = 1) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    a = rng.random((n, n)) * (rng.random((n, n)) < 0.3)
    a = a * (rng.uniform(0.2, 0.8, n) / np.maximum(a.sum(axis=0), 1e-9))
    d = rng.lognormal(0, 1, n)
    x = np.linalg.solve(np.eye(n) - a, d)
    cap = np.where(rng.random(n) < scarce, rng.uniform(0.6, 0.95, n), 1.5) * x
    hours = rng.uniform(0.2, 1.0, (skills, n))
    return {
        "A": a, "demand": d, "value": rng.uniform(0.5, 1.5, n), "capacity": cap, "labour": hours,
        "labour_limit": 0.93 * hours @ x,
    }  # fmt: skip


def plain(given: dict[str, object], floor: np.ndarray | None = None) -> float:
    """The same problem with outputs and final uses written down, by HiGHS."""
    a, d = np.asarray(given["A"]), np.asarray(given["demand"])
    n = len(d)
    hours = np.atleast_2d(np.asarray(given["labour"]))
    rows = np.vstack([np.hstack([a - np.eye(n), np.eye(n)]), np.hstack([hours, np.zeros((len(hours), n))])])
    limit = np.concatenate([np.zeros(n), np.atleast_1d(np.asarray(given["labour_limit"]))])
    low = np.zeros(n) if floor is None else floor
    bounds = np.column_stack([np.r_[np.zeros(n), low], np.r_[np.asarray(given["capacity"]), 1.05 * d]])
    found = linprog(-np.r_[np.zeros(n), np.asarray(given["value"])], A_ub=rows, b_ub=limit, bounds=bounds)
    assert found.status == 0
    return float(-found.fun)


def checked(given: dict[str, object], found: object, *, tol: float) -> None:
    """Check feasibility and the bound by dense algebra alone."""
    a, y, x = np.asarray(given["A"]), found.y.to_numpy(), found.x.to_numpy()  # type: ignore[attr-defined]  # a result
    assert x == pytest.approx(a @ x + y, rel=1e-8, abs=1e-10)
    assert (x <= np.asarray(given["capacity"]) * (1 + 1e-8)).all()
    hours = np.atleast_2d(np.asarray(given["labour"]))
    assert (hours @ x <= np.atleast_1d(np.asarray(given["labour_limit"])) * (1 + 1e-8)).all()
    n = len(y)
    prices = found.shadow_prices.to_numpy()  # type: ignore[attr-defined]  # a result
    assert (prices >= 0).all()
    cost = np.linalg.solve((np.eye(n) - a).T, prices[:n] + prices[n:] @ hours)
    surplus = np.maximum(np.asarray(given["value"]) - cost, 0.0)
    above = surplus @ (1.05 * np.asarray(given["demand"])) + prices[:n] @ np.asarray(given["capacity"])
    above += float(prices[n:] @ np.atleast_1d(np.asarray(given["labour_limit"])))
    assert found.bound == pytest.approx(above, rel=1e-8)  # type: ignore[attr-defined]  # a result
    assert found.gap <= tol  # type: ignore[attr-defined]  # a result


@given(st.integers(0, 10_000), st.integers(3, 25), st.integers(1, 3))
def test_the_optimum_is_that_of_the_whole_programme(seed: int, n: int, skills: int) -> None:
    given = drawn(seed, n, skills=skills)
    found = allocate(**given)  # type: ignore[arg-type]  # a mapping of all arguments
    assert found.objective == pytest.approx(plain(given), rel=2e-6)
    checked(given, found, tol=1e-6)
    assert found.benchmark["pro rata"] <= found.objective * (1 + 1e-9)


@pytest.mark.parametrize(("way", "tol"), [(search_prices, 1e-3), (search_many, 1e-3), (search_many, 1e-6)])
@given(seed=st.integers(0, 10_000), floor=st.sampled_from([0.0, 0.5]))
@settings(max_examples=10)
def test_many_scarcities_come_as_near_as_was_asked(way: Any, tol: float, seed: int, floor: float) -> None:
    given = drawn(seed, 40, scarce=0.8)
    low = floor * np.asarray(given["demand"])
    problem = pose(**given, max_demand_ratio=1.05, floor=low)  # type: ignore[arg-type]  # a mapping of all arguments
    found = way(problem, tol=tol, seconds=60)
    best = plain(given, low)
    assert (found.y >= low * (1 - 1e-9)).all()
    assert found.objective <= best * (1 + 1e-8)
    assert found.bound >= best * (1 - 1e-8)
    assert found.bound - found.objective <= tol * found.bound
    used, hours = problem.load(problem.output(found.y))
    assert max(used.max(), hours.max()) <= 1 + 1e-8


def test_floors_that_many_scarcities_cannot_meet_are_refused() -> None:
    given = drawn(3, 40, scarce=0.8)
    low = np.asarray(given["demand"])
    problem = pose(**given, max_demand_ratio=1.05, floor=low)  # type: ignore[arg-type]  # a mapping of all arguments
    with pytest.raises(FitError, match="floors") as caught:
        search_many(problem, tol=1e-3, seconds=60)
    assert caught.value.code == "OPS-M180"


def test_what_does_not_fit_into_memory_is_searched_for_by_prices(monkeypatch: pytest.MonkeyPatch) -> None:
    given = drawn(3, 40, scarce=0.8)
    problem = pose(**given, max_demand_ratio=1.05, floor=None)  # type: ignore[arg-type]  # a mapping of all arguments
    monkeypatch.setattr(many, "MEMORY", 1)
    found = search_many(problem, tol=1e-3, seconds=60)
    assert found.rows == 0
    assert found.objective == pytest.approx(plain(given), rel=1e-3)


@pytest.mark.parametrize(("kind", "close"), [(np.float32, 1e-5), (np.float64, 1e-9)])
def test_rows_in_blocks_are_those_of_the_inverse(kind: type, close: float) -> None:
    given = drawn(11, 90, scarce=0.8)
    problem = pose(**given, max_demand_ratio=1.05, floor=None)  # type: ignore[arg-type]  # a mapping of all arguments
    some = np.arange(7, 77)  # two blocks and a part of one
    found = taken(problem, some, tol=1e-1 * close, kind=kind)
    inverse = np.linalg.inv(np.eye(90) - np.asarray(given["A"]))
    share = inverse[some] * problem.high / problem.capacity[some, None]
    np.testing.assert_allclose(found.T, share, atol=close)
    assert found.dtype == kind


def test_a_table_that_uses_up_what_it_makes_has_no_rows() -> None:
    given = drawn(11, 20)
    problem = pose(**given, max_demand_ratio=1.05, floor=None)  # type: ignore[arg-type]  # a mapping of all arguments
    heavy = replace(problem, turned=sparse.csr_array(problem.turned * (1.2 / 0.2)))
    with pytest.raises(FitError, match="uses up"):
        taken(heavy, np.arange(3), tol=1e-6)


@given(seed=st.integers(0, 10_000), n=st.integers(2, 60), m=st.integers(1, 40))
@settings(max_examples=25)
def test_an_interior_point_finds_the_optimum_of_any_rows(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.random((n, m)) * (rng.random((n, m)) < 0.7)
    rows[:, 0] = -rows[:, 0]  # a row that asks for something
    high = rng.uniform(0.1, 2.0, n)
    limit = rng.uniform(0.2, 0.9, m) * np.maximum(high @ rows, 0.1)
    limit[0] = 0.1 * float(high @ rows[:, 0]) - 1e-3
    worth = rng.lognormal(0.0, 1.0, n) * np.where(rng.random(n) < 0.2, -1.0, 1.0)
    best = linprog(-worth, A_ub=rows.T, b_ub=limit, bounds=np.column_stack([np.zeros(n), high]))
    assume(best.status == 0 and -best.fun > 1e-3)
    found = inner(worth, high, rows, limit, tol=1e-7)
    assert float(worth @ found.z) == pytest.approx(-best.fun, rel=1e-5)
    assert (found.z @ rows <= limit + 1e-6).all()
    assert (found.prices >= 0).all()


@given(st.integers(0, 10_000))
def test_any_prices_prove_a_bound_and_what_is_taken_back_is_possible_or_nearly(seed: int) -> None:
    given = drawn(seed, 12, scarce=0.8)
    problem = pose(**given, max_demand_ratio=1.05, floor=None)  # type: ignore[arg-type]  # a mapping of all arguments
    rng = np.random.default_rng(seed)
    assert bound(problem, rng.random(12) * (problem.capacity < np.inf), rng.random(1)) >= plain(given) * (1 - 1e-9)
    y = repaired(problem, problem.high)
    assert (y <= problem.high).all()
    before, after = (max(problem.load(problem.output(one))[0].max(), 1.0) for one in (problem.high, y))
    assert after <= before


def test_a_shadow_price_is_what_one_more_unit_adds() -> None:
    given = drawn(5, 12)
    found = allocate(**given)  # type: ignore[arg-type]  # a mapping of all arguments
    dear = int(np.argmax(found.shadow_prices.to_numpy()[:12] * np.asarray(given["capacity"])))
    step = 1e-4 * np.asarray(given["capacity"])[dear]
    more = np.asarray(given["capacity"]).copy()
    more[dear] += step
    gain = plain({**given, "capacity": more}) - plain(given)
    assert gain / step == pytest.approx(found.shadow_prices.iloc[dear], rel=1e-4)
    assert dear in found.binding


def test_floors_are_kept_and_cost_what_they_cost() -> None:
    given = drawn(9, 15)
    floor = 0.5 * np.asarray(given["demand"])
    found = allocate(**given, rules={"floor": 0.5})  # type: ignore[arg-type]  # a mapping of all arguments
    assert (found.y.to_numpy() >= floor * (1 - 1e-9)).all()
    assert found.objective == pytest.approx(plain(given, floor), rel=2e-6)
    assert found.objective <= allocate(**given).objective  # type: ignore[arg-type]  # a mapping of all arguments


def test_floors_that_cannot_be_met_are_explained() -> None:
    names = ["bread", "steel"]
    a = pd.DataFrame([[0.1, 0.0], [0.2, 0.1]], index=names, columns=names)
    given = {"demand": [10.0, 10.0], "capacity": [20.0, 8.0]}
    with pytest.raises(FitError, match="floors") as caught:
        allocate(a, value=1.0, rules={"floor": 0.9}, **given)
    assert caught.value.code == "OPS-M180"
    said = explain(a, floor=0.9, **given)
    output = np.linalg.solve(np.eye(2) - a.to_numpy(), [9.0, 9.0])
    assert f"only {100 * 8 / output[1]:.0f} %" in said
    assert f"steel ({100 * output[1] / 8 - 100:,.0f} % more than there is)" in said
    assert explain(a, floor=0.3, **given) == "The floors can be met together."
    share = possible_share(a, floor=0.9, **given)
    assert share == pytest.approx(8 / output[1])
    assert allocate(a, value=1.0, rules={"floor": share * 0.9}, **given).objective > 0
    assert possible_share(a, floor=0.3, **given) == 1.0


def test_sparse_tables_and_unlimited_products_do_as_well() -> None:
    given = drawn(2, 20)
    cap = np.asarray(given["capacity"]).copy()
    cap[::2] = np.inf
    dense = allocate(**{**given, "capacity": cap})  # type: ignore[arg-type]  # a mapping of all arguments
    thin = allocate(**{**given, "capacity": cap, "A": sparse.csr_array(np.asarray(given["A"]))})  # type: ignore[arg-type]  # a mapping of all arguments
    assert thin.objective == pytest.approx(dense.objective, rel=1e-9)
    assert "no allocation is worth more" in dense.summary()
    assert list(dense.to_frame().columns) == ["final", "output", "shadow_price"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": [1.0, np.nan]}, "value"),
        ({"value": ["a", "b"]}, "value"),
        ({"A": "x"}, "no table of numbers"),
        ({"demand": [1.0]}, "demand"),
        ({"capacity": [0.0, 1.0]}, "capacity is 0"),
        ({"A": np.array([[0.1, -0.1], [0.0, 0.1]])}, "no square matrix"),
        ({"labour": [1.0, 1.0]}, "labour has no limit"),
        ({"rules": {"lottery": True}}, "'lottery'"),
        ({"rules": {"floor": 2.0}}, "no share"),
        ({"max_demand_ratio": 0.0}, "max_demand_ratio"),
    ],
)
def test_problems_that_are_none_are_refused(change: dict[str, object], said: str) -> None:
    given = {"A": np.array([[0.1, 0.3], [0.2, 0.1]]), "demand": [10.0, 10.0], "value": [1.0, 2.0], **change}
    with pytest.raises(UsageError, match=said):
        allocate(**given)  # type: ignore[arg-type]  # wrong on purpose


def test_a_table_that_uses_up_more_than_it_makes_is_refused() -> None:
    with pytest.raises(FitError, match="uses up"):
        allocate(np.array([[0.9, 0.5], [0.5, 0.9]]), [1.0, 1.0], value=1.0)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e12])
def test_the_unit_of_account_changes_nothing(unit: float) -> None:
    given = drawn(3, 12)
    sized = {"demand": np.asarray(given["demand"]) * unit, "capacity": np.asarray(given["capacity"]) * unit}
    sized["labour_limit"] = np.asarray(given["labour_limit"]) * unit
    found = allocate(**{**given, **sized})  # type: ignore[arg-type]  # drawn problems
    assert found.gap <= 1e-6
    assert found.objective == pytest.approx(unit * plain(given), rel=2e-6)


@pytest.mark.parametrize("seed", range(4))
def test_prices_of_less_and_more_and_their_ends_are_those_of_the_curve_itself(seed: int) -> None:
    given = drawn(seed, 7)
    names = allocate(**given).binding  # type: ignore[arg-type]  # drawn problems
    found = shadow_ranges(**given)  # type: ignore[arg-type]  # drawn problems
    assert tuple(found.index) == names
    for name, row in found.iterrows():

        def worth(amount: float, name: object = name) -> float:
            changed = dict(given)
            if name == "labour":
                changed["labour_limit"] = amount
            else:
                changed["capacity"] = np.where(np.arange(7) == name, amount, np.asarray(given["capacity"]))
            return plain(changed)

        here, step = row["amount"], 1e-6 * row["amount"]
        assert row["more"] == pytest.approx((worth(here + step) - worth(here)) / step, rel=1e-4, abs=1e-4)
        assert row["less"] == pytest.approx((worth(here) - worth(here - step)) / step, rel=1e-4, abs=1e-4)
        assert row["less"] >= row["more"] - 1e-7
        for price, end, way in ((row["more"], row["up_to"], 1.0), (row["less"], row["down_to"], -1.0)):
            assert worth(end) == pytest.approx(worth(here) + price * (end - here), rel=1e-7)
            farther = here * (1.0 + 0.5 * way)
            if abs(end - farther) > 1e-6 * here:  # a corner, beyond which more is worth less
                beyond = end + way * 1e-3 * here
                assert worth(beyond) < worth(here) + price * (beyond - here) - 1e-9 * worth(here)


def test_at_a_corner_the_last_unit_is_worth_more_than_the_next() -> None:
    # ten units of the dear use take ten hours; the next hour makes the cheap one
    found = shadow_ranges(
        np.zeros((2, 2)), [10.0, 10.0], value=[2.0, 1.0], labour=[1.0, 1.0], labour_limit=10.0, max_demand_ratio=1.0
    ).loc["labour"]
    assert found.to_list() == pytest.approx([10.0, 2.0, 1.0, 5.0, 15.0])
    with pytest.raises(UsageError, match="has no limit"):
        shadow_ranges(np.zeros((2, 2)), [1.0, 1.0], value=1.0, names=[0])


def test_floors_bound_how_far_down_a_price_can_hold() -> None:
    found = shadow_ranges(
        np.zeros((1, 1)), [10.0], value=[2.0], capacity=[8.0], rules={"floor": 0.7}, max_demand_ratio=1.0
    ).loc[0]
    assert found.to_list() == pytest.approx([8.0, 2.0, 2.0, 7.0, 10.0])


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_served_in_order_and_alike_within(seed: int) -> None:
    given = drawn(seed, 8)
    classes = np.random.default_rng(seed).integers(1, 4, 8)
    means = {k: v for k, v in given.items() if k != "value"}
    y = ration(**means, classes=classes)  # type: ignore[arg-type]  # drawn problems
    a, d = np.asarray(given["A"]), np.asarray(given["demand"])
    share = y.to_numpy() / d
    low = np.zeros(8)
    hours, limit = np.atleast_2d(np.asarray(given["labour"])), np.atleast_1d(np.asarray(given["labour_limit"]))
    inverse = np.linalg.inv(np.eye(8) - a)

    def possible(final: np.ndarray) -> bool:
        x = inverse @ final
        return bool((x <= np.asarray(given["capacity"]) * (1 + 1e-9)).all() and (hours @ x <= limit * (1 + 1e-9)).all())

    for one in np.unique(classes):
        mine = classes == one
        assert np.ptp(share[mine]) <= 1e-12
        low = low + np.where(mine, y, 0.0)
        assert possible(low)
        assert share[mine][0] == pytest.approx(1.05) or not possible(low + np.where(mine, 1e-3 * d, 0.0))
    result = allocate(**given, rules={"classes": classes})  # type: ignore[arg-type]  # drawn problems
    assert result.benchmark["by class"] == pytest.approx(float(np.asarray(given["value"]) @ y))
    assert result.benchmark["by class"] <= result.bound * (1 + 1e-9)


def test_classes_that_are_none_are_refused() -> None:
    with pytest.raises(UsageError, match="classes are no numbers"):
        ration(np.zeros((2, 2)), [1.0, 1.0], classes=[0, 1], capacity=[1.0, 1.0])


@given(
    seed=st.integers(0, 10_000),
    elasticity=st.sampled_from([0.3, 1.0, 2.5]),
    ratio=st.sampled_from([0.8, 1.05]),
    floor=st.sampled_from([0.0, 0.55]),
)
@settings(max_examples=20)
def test_a_market_clears_and_nobody_would_rather_trade(
    seed: int, elasticity: float, ratio: float, floor: float
) -> None:
    given = drawn(seed, 12, scarce=0.6)
    del given["value"]
    found = clear_market(**given, elasticity=elasticity, max_demand_ratio=ratio, floor=floor)  # type: ignore[arg-type]  # a mapping
    a, d, y = np.asarray(given["A"]), np.asarray(given["demand"]), found["final"].to_numpy()
    n, inverse = len(d), np.linalg.inv(np.eye(len(d)) - np.asarray(given["A"]))
    x, hours = inverse @ y, np.asarray(given["labour"])[0]
    assert (x <= np.asarray(given["capacity"]) * (1 + 1e-8)).all()
    assert hours @ x <= float(np.asarray(given["labour_limit"])[0]) * (1 + 1e-8)
    # prices are 1 and rents of what is scarce, of which the wage is what rents of capacities leave over
    rest = (np.eye(n) - a).T @ (found["price"].to_numpy() - 1.0) - found["rent"].to_numpy()
    wage = float(np.mean(rest / hours))
    assert rest == pytest.approx(wage * hours, abs=1e-6)
    assert wage >= -1e-9
    wanted = np.clip(d * found["price"].to_numpy() ** -elasticity, floor * d, ratio * d)
    assert y == pytest.approx(wanted, rel=3e-3)
    spent = found["price"] @ y
    idle = found["rent"].to_numpy() @ (np.asarray(given["capacity"]) - x)
    assert abs(idle + wage * (float(np.asarray(given["labour_limit"])[0]) - hours @ x)) <= 5e-3 * spent


def test_an_optimum_is_compared_with_a_market() -> None:
    given = drawn(4, 15)
    found = allocate(**given)  # type: ignore[arg-type]  # a mapping of all arguments
    rest = {k: v for k, v in given.items() if k != "value"}
    market = clear_market(**rest)["final"]  # type: ignore[arg-type]  # a mapping of all arguments
    assert found.benchmark["market"] == pytest.approx(float(np.asarray(given["value"]) @ market))
    assert found.benchmark["market"] <= found.objective
    assert f"a market that clears at once {found.benchmark['market']:,.2f}" in found.summary()
    alone = allocate(**given, elasticity=None)  # type: ignore[arg-type]  # a mapping of all arguments
    assert "market" not in alone.benchmark
    assert "market" not in alone.summary()
    with pytest.raises(UsageError, match="elasticity"):
        allocate(**given, elasticity=0.0)  # type: ignore[arg-type]  # a mapping of all arguments
    all_floors = allocate(**given, rules={"floor": found.y.to_numpy() * (1 - 1e-9)})  # type: ignore[arg-type]  # a mapping
    assert all_floors.benchmark["market"] == pytest.approx(found.objective, rel=1e-6)  # nothing is left to trade
    with pytest.raises(FitError, match="floors"):
        clear_market(**rest, floor=1.0)  # type: ignore[arg-type]  # a mapping of all arguments
    plenty = {**rest, "capacity": None, "labour": None, "labour_limit": None}
    assert (clear_market(**plenty)["price"] == 1.0).all()  # type: ignore[arg-type]  # a mapping of all arguments


def test_a_market_without_prices_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(market_module, "_STEPS", 1)
    given = drawn(4, 15)
    assert np.isnan(allocate(**given).benchmark["market"])  # type: ignore[arg-type]  # a mapping of all arguments
    del given["value"]
    with pytest.raises(FitError, match="no prices") as caught:
        clear_market(**given)  # type: ignore[arg-type]  # a mapping of all arguments
    assert caught.value.code == "OPS-M186"
