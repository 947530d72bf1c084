"""Classes that bind the optimum: against chains of plain programmes, certificates by dense algebra, closed forms."""

from __future__ import annotations

from itertools import combinations
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from bench.plan_lp import problem
from hypothesis import given as drawing
from hypothesis import settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import linprog

from opsroom.base.errors import FitError, UsageError
from opsroom.decide import allocate
from opsroom.decide.allocation import classes as classes_module
from opsroom.decide.allocation import explain, ration, shadow_ranges
from opsroom.decide.allocation.classes import _Chain
from opsroom.decide.allocation.problem import pose
from opsroom.decide.allocation.rules import class_rules


def drawn(seed: int, n: int, *, classes: int = 3) -> tuple[dict[str, Any], np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.random((n, n)) * (rng.random((n, n)) < 0.4)
    a = a * (rng.uniform(0.2, 0.8, n) / np.maximum(a.sum(axis=0), 1e-9))
    d = rng.lognormal(0, 1, n)
    x = np.linalg.solve(np.eye(n) - a, d)
    hours = rng.uniform(0.2, 1.0, (2, n))
    given = {
        "A": a, "demand": d, "value": rng.uniform(0.5, 1.5, n), "labour": hours, "labour_limit": 0.85 * hours @ x,
        "capacity": np.where(rng.random(n) < 0.5, rng.uniform(0.5, 0.95, n), 1.5) * x,
    }  # fmt: skip
    return given, rng.integers(1, classes + 1, n)


PRICED = 1e-8


class Whole:
    """The programme with outputs, final uses and, where served alike, one share by class, all written down."""

    def __init__(self, given: dict[str, Any], classes: np.ndarray, *, floor: float = 0.0, alike: bool = False) -> None:
        a, self.d = given["A"], given["demand"]
        self.n, self.w, self.classes = len(self.d), given["value"], classes
        self.names = np.unique(classes)
        n, k = self.n, len(self.names)
        self.rows = [np.hstack([a - np.eye(n), np.eye(n), np.zeros((n, k))])]
        self.rows.append(np.hstack([given["labour"], np.zeros((2, n + k))]))
        self.limit = [np.zeros(n), np.asarray(given["labour_limit"])]
        self.equal = np.hstack([np.zeros((n, n)), np.eye(n), -self.d[:, None] * (classes[:, None] == self.names)])
        self.alike = alike
        low = np.r_[np.zeros(n), floor * self.d, np.zeros(k)]
        self.bounds = np.column_stack([low, np.r_[given["capacity"], 1.05 * self.d, np.full(k, 1.05)]])

    def worth(self, name: float | None = None) -> np.ndarray:
        mine = np.ones(self.n) if name is None else self.classes == name
        found: np.ndarray = np.r_[np.zeros(self.n), self.w * mine, np.zeros(len(self.names))]
        return found

    def least(self, name: float, amount: float) -> None:
        self.rows.append(-self.worth(name)[None, :])
        self.limit.append(np.array([-amount]))

    def settle(self) -> None:
        """Keep to the optimum just found: what has a price stays at its end, rows with one stay used up."""
        rows, limit = np.vstack(self.rows), np.concatenate(self.limit)
        full = np.abs(self.found.ineqlin.marginals) > PRICED
        self.rows.append(-rows[full])
        self.limit.append(-limit[full])
        for k, priced in enumerate((self.found.lower.marginals, self.found.upper.marginals)):
            at = np.abs(priced) > PRICED
            self.bounds[at] = self.bounds[at][:, [k, k]]

    def best(self, cost: np.ndarray) -> tuple[float, np.ndarray] | None:
        self.found = found = linprog(  # type: ignore[call-overload]  # scipy's types know no such options
            -cost, A_ub=np.vstack(self.rows), b_ub=np.concatenate(self.limit), bounds=self.bounds,
            A_eq=self.equal if self.alike else None, b_eq=np.zeros(self.n) if self.alike else None,
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )  # fmt: skip
        return (-float(found.fun), found.x[self.n : 2 * self.n]) if found.status == 0 else None


def keeps_limits(given: dict[str, Any], found: Any) -> None:
    y, x = found.y.to_numpy(), found.x.to_numpy()
    assert x == pytest.approx(given["A"] @ x + y, rel=1e-8, abs=1e-10)
    assert (x <= given["capacity"] * (1 + 1e-8)).all()
    assert (given["labour"] @ x <= given["labour_limit"] * (1 + 1e-8)).all()
    assert (y <= 1.05 * given["demand"] * (1 + 1e-12)).all()


@settings(max_examples=40)
@drawing(st.integers(0, 100_000), st.integers(3, 14), st.sampled_from([0.0, 0.25]), st.booleans())
def test_an_order_is_the_chain_of_whole_programmes(seed: int, n: int, floor: float, alike: bool) -> None:
    given, classes = drawn(seed, n)
    rules = {"classes": classes, "order": True, "alike": alike, "floor": floor}
    whole = Whole(given, classes, floor=floor, alike=alike)
    if whole.best(whole.worth()) is None:
        with pytest.raises(FitError, match="floors"):
            allocate(**given, rules=rules)
        return
    found = allocate(**given, rules=rules)
    keeps_limits(given, found)
    assert (found.y.to_numpy() >= floor * given["demand"] * (1 - 1e-9)).all()
    table = found.classes
    assert table is not None
    for name in whole.names:
        best = whole.best(whole.worth(name))
        assert best is not None
        wanted = table.loc[name, "wanted"]
        assert table.loc[name, "bound"] >= best[0] - 1e-7 * wanted
        assert table.loc[name, "worth"] == pytest.approx(best[0], abs=2e-6 * wanted)
        whole.settle()
    if alike:
        share = found.y.to_numpy() / given["demand"]
        assert all(np.ptp(share[classes == name]) < 1e-9 for name in whole.names)
    assert found.objective == pytest.approx(float(given["value"] @ found.y))
    assert found.bound == pytest.approx(float(table["bound"].sum()))
    assert found.gap <= 1e-5


@settings(max_examples=15)
@drawing(st.integers(0, 100_000))
def test_an_order_is_the_first_of_all_corners(seed: int) -> None:
    """Every corner of what is possible, by brute force; of these the first in the order of the law."""
    n = 4
    given, classes = drawn(seed, n)
    inverse = np.linalg.inv(np.eye(n) - given["A"])
    rows = np.vstack([inverse, given["labour"] @ inverse, np.eye(n), -np.eye(n)])
    limit = np.r_[given["capacity"], given["labour_limit"], 1.05 * given["demand"], np.zeros(n)]
    some = np.array(list(combinations(range(len(rows)), n)))
    some = some[np.abs(np.linalg.det(rows[some])) > 1e-9]
    corners = np.linalg.solve(rows[some], limit[some][..., None])[..., 0]
    corners = corners[(corners @ rows.T <= limit + 1e-10).all(axis=1)]
    found = allocate(**given, rules={"classes": classes, "order": True})
    assert found.classes is not None
    for name in np.unique(classes):
        mine = np.where(classes == name, given["value"], 0.0)
        worth = corners @ mine
        assert found.classes.loc[name, "worth"] == pytest.approx(worth.max(), abs=1e-6 * float(mine @ given["demand"]))
        corners = corners[worth >= worth.max() - 1e-9]


def test_a_strict_order_of_hundreds_of_scarcities_is_the_chain_of_whole_programmes() -> None:
    given = problem(450, 0.95)
    classes = np.random.default_rng(1).choice([1, 2, 3], 450, p=[0.5, 0.3, 0.2])
    # a part of the economy that needs nothing of the rest, so that not all stops behind the first class
    part = np.arange(450) >= 400
    a = given["A"].toarray()
    a[np.ix_(~part, part)] = 0.0
    given |= {"A": sparse.csr_array(a), "labour": np.vstack([given["labour"] * ~part, given["labour"] * part])}
    given["labour_limit"] = given["labour"] @ np.linalg.solve(np.eye(450) - a, given["demand"]) * 0.95
    classes[part] = np.where(classes[part] == 1, 2, classes[part])
    found = allocate(**given, rules={"classes": classes, "order": True}, elasticity=None)
    assert found.classes is not None
    assert found.classes.loc[2, "share"] > 0.1
    rows = sparse.vstack([
        sparse.hstack([given["A"] - sparse.eye_array(450), sparse.eye_array(450)]),
        sparse.hstack([sparse.csr_array(given["labour"]), sparse.csr_array((2, 450))]),
    ]).tocsr()  # fmt: skip
    limit = np.r_[np.zeros(450), given["labour_limit"]]
    bounds = np.column_stack([np.zeros(900), np.r_[given["capacity"], 1.05 * given["demand"]]])
    exact = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    for name in (1, 2, 3):
        cost = np.r_[np.zeros(450), np.where(classes == name, given["value"], 0.0)]
        best = linprog(-cost, A_ub=rows, b_ub=limit, bounds=bounds, options=exact)  # type: ignore[call-overload]  # scipy's types know no such options
        wanted = found.classes.loc[name, "wanted"]
        assert found.classes.loc[name, "worth"] == pytest.approx(-best.fun, abs=1e-5 * wanted)
        assert found.classes.loc[name, "bound"] >= -best.fun - 1e-7 * wanted
        full = np.abs(best.ineqlin.marginals) > PRICED
        rows, limit = sparse.vstack([rows, -rows[full]]).tocsr(), np.r_[limit, -limit[full]]
        for k, priced in enumerate((best.lower.marginals, best.upper.marginals)):
            at = np.abs(priced) > PRICED
            bounds[at] = bounds[at][:, [k, k]]


@settings(max_examples=10)
@drawing(st.integers(0, 100_000), st.integers(3, 14), st.booleans())
def test_an_order_of_very_many_scarcities_is_as_near_as_it_says(seed: int, n: int, alike: bool) -> None:
    given, classes = drawn(seed, n)
    give, whole = 1e-4, Whole(given, classes, alike=alike)
    with mock.patch.object(classes_module, "EXACT_MOST", 0):
        found = allocate(**given, rules={"classes": classes, "order": give, "alike": alike})
    keeps_limits(given, found)
    assert found.classes is not None
    for name in whole.names:
        best = whole.best(whole.worth(name))
        assert best is not None
        most = 1.05 * float(found.classes.loc[name, "wanted"])
        assert found.classes.loc[name, "bound"] >= best[0] - 1e-7 * most
        assert found.classes.loc[name, "bound"] - found.classes.loc[name, "worth"] <= 10.0 * give * most
        whole.least(name, float(found.classes.loc[name, "worth"]) - 1e-11 * most)


@settings(max_examples=25)
@drawing(st.integers(0, 100_000), st.integers(3, 14))
def test_in_order_and_alike_is_what_plain_rationing_does(seed: int, n: int) -> None:
    given, classes = drawn(seed, n)
    found = allocate(**given, rules={"classes": classes, "order": True, "alike": True})
    plain = ration(**{k: v for k, v in given.items() if k != "value"}, classes=classes)
    assert found.y.to_numpy() == pytest.approx(plain.to_numpy(), abs=1e-5 * given["demand"].max())
    assert found.benchmark["by class"] == pytest.approx(found.objective, rel=1e-5)


@settings(max_examples=40)
@drawing(st.integers(0, 100_000), st.integers(4, 14), st.floats(0.1, 0.9), st.booleans(), st.sampled_from([400, 0]))
def test_least_shares_are_kept_at_least_cost_or_refused(
    seed: int, n: int, share: float, alike: bool, most: int
) -> None:
    given, classes = drawn(seed, n)
    wanted = {int(k): float(given["value"][classes == k] @ given["demand"][classes == k]) for k in np.unique(classes)}
    shares = {name: share * (1.0 if name == 1 else 0.8) for name in wanted}
    whole = Whole(given, classes, alike=alike)
    for name, part in shares.items():
        whole.least(name, part * wanted[name])
    best = whole.best(whole.worth())
    rules = {"classes": classes, "shares": shares, "alike": alike}
    with mock.patch.object(classes_module, "EXACT_MOST", most):  # rows as they show, or all at once
        if best is None:
            with pytest.raises(FitError, match="least shares of classes cannot be met") as caught:
                allocate(**given, rules=rules)
            assert caught.value.code == "OPS-M184"
            return
        found = allocate(**given, rules=rules)
    keeps_limits(given, found)
    assert found.objective == pytest.approx(best[0], rel=3e-6)
    assert found.bound >= best[0] * (1 - 1e-8)
    assert found.classes is not None
    for name, part in shares.items():
        assert float(found.classes["share"].to_dict()[name]) >= part * (1 - 1e-6)


@settings(max_examples=25)
@drawing(st.integers(0, 100_000), st.integers(0, 1_000))
def test_any_prices_prove_a_bound_for_every_class(seed: int, other: int) -> None:
    """Prices drawn at random bound what any allocation gives that keeps the rules: the proof rests on no search."""
    given, classes = drawn(seed, 8)
    problem = pose(**given, max_demand_ratio=1.05, floor=None)
    rules = class_rules({"classes": classes, "order": True}, problem)
    chain = _Chain(problem, rules, tol=1e-6, seconds=60.0)
    found = allocate(**given, rules={"classes": classes, "order": True})
    rng = np.random.default_rng(other)
    y, whole = found.y.to_numpy(), Whole(given, classes)
    for c, name in enumerate(whole.names):
        best = whole.best(whole.worth(name))
        assert best is not None
        chain.before = c
        link = chain.best(chain.u[c], y)
        noisy = {"prices": link.prices * rng.uniform(0, 2, len(link.prices)), "kept": link.kept * rng.uniform(0, 2)}
        changed = type(link)(link.gain, noisy["prices"], noisy["kept"], link.y, c)
        dense = dense_bound(given, classes, changed, y, name, c, whole.names)
        assert chain.bound(changed, y) == pytest.approx(dense, rel=1e-8)
        mine = whole.worth(name)[8:16]
        assert dense >= best[0] - 1e-6 * float(mine @ given["demand"])
        whole.least(name, float(mine @ y) * (1 - 1e-11))


def dense_bound(
    given: dict[str, Any], classes: np.ndarray, link: Any, y: np.ndarray, name: float, c: int, names: np.ndarray
) -> float:
    """Weak duality by dense algebra, written without the module's help."""
    n, w = len(y), given["value"]
    prices, wages = link.prices[:n], link.prices[n:]
    cost = np.linalg.solve((np.eye(n) - given["A"]).T, prices + wages @ given["labour"])
    surplus, least = np.where(classes == name, w, 0.0) - cost, 0.0
    for k in range(c):
        mine = classes == names[k]
        surplus = surplus + link.kept[k] * np.where(mine, w, 0.0)
        least += link.kept[k] * float(w[mine] @ y[mine])
    means = prices @ given["capacity"] + wages @ given["labour_limit"]
    return float(means - least + np.maximum(surplus, 0.0) @ (1.05 * given["demand"]))


@pytest.mark.parametrize("seed", range(4))
def test_class_prices_are_what_one_more_unit_adds_to_each_class(seed: int) -> None:
    given, classes = drawn(seed, 10)
    rules = {"classes": classes, "order": True}
    found = allocate(**given, rules=rules)
    assert found.class_prices is not None
    assert found.classes is not None
    tried = 0
    for name in found.binding:
        step = 1e-5
        sides = []
        for way in (1.0, -1.0):
            more = dict(given)
            if isinstance(name, str):
                at = int(name.split()[1]) - 1
                more["labour_limit"] = given["labour_limit"] * np.where(np.arange(2) == at, 1 + way * step, 1.0)
                amount = given["labour_limit"][at]
            else:
                more["capacity"] = given["capacity"] * np.where(np.arange(10) == name, 1 + way * step, 1.0)
                amount = given["capacity"][name]
            table = allocate(**more, rules=rules, tol=1e-9).classes
            assert table is not None
            sides.append((table["worth"] - found.classes["worth"]) / (way * step * amount))
        if np.allclose(sides[0], sides[1], atol=1e-3):  # no corner: there is one price
            tried += 1
            assert found.class_prices.loc[name].to_numpy() == pytest.approx(sides[0].to_numpy(), abs=2e-3)
    assert tried


def test_what_a_law_costs_is_seen_beside_the_optimum_without_it() -> None:
    # ten units of power: hospitals by law before smelters, whose use is worth more; both want ten
    a, names = pd.DataFrame(np.zeros((2, 2)), ["hospitals", "smelters"], ["hospitals", "smelters"]), [1, 2]
    given: dict[str, Any] = {"demand": [10.0, 10.0], "value": [1.0, 3.0], "labour": [1.0, 1.0], "labour_limit": 12.0}
    free = allocate(a, **given, max_demand_ratio=1.0)
    bound = allocate(a, **given, max_demand_ratio=1.0, rules={"classes": names, "order": True})
    assert free.y.to_list() == pytest.approx([2.0, 10.0])
    assert bound.y.to_list() == pytest.approx([10.0, 2.0])
    assert bound.shadow_prices["labour"] == pytest.approx(3.0)  # another hour goes to smelters
    third = allocate(a, **given, max_demand_ratio=1.0, rules={"classes": names, "shares": {1: 0.5}})
    assert third.y.to_list() == pytest.approx([5.0, 7.0])
    short = allocate(a, **{**given, "labour_limit": 8.0}, max_demand_ratio=1.0, rules={"classes": names, "order": True})
    assert short.y.to_list() == pytest.approx([8.0, 0.0], abs=1e-7)
    assert short.class_prices is not None
    assert short.class_prices.to_numpy()[-1].tolist() == pytest.approx([1.0, 0.0], abs=1e-6)


def test_traces_stop_a_later_class_unless_the_class_before_may_lose_as_much() -> None:
    # both classes need power; the second a thousandth as much of it, and it is worth as much
    names = ["heat", "news", "power"]
    a = pd.DataFrame(np.zeros((3, 3)), names, names)
    a.loc["power"] = [1.0, 1e-3, 0.0]
    given: dict[str, Any] = {"demand": [10.0, 10.0, 0.0], "value": 1.0, "capacity": [20.0, 20.0, 5.0]}
    strict = allocate(a, **given, rules={"classes": [1, 2, 2], "order": True})
    assert strict.y["news"] < 0.01
    loose = allocate(a, **given, rules={"classes": [1, 2, 2], "order": 5e-3})
    assert loose.y["news"] == pytest.approx(10.5)
    assert 5.0 - loose.y["heat"] <= 5e-3 * 10.5 + 1e-7


def test_shares_that_cannot_be_met_are_explained_in_words() -> None:
    names = ["bread", "steel", "power"]
    a = pd.DataFrame(np.diag([0.0, 0.0, 0.0]), names, names)
    a.loc["power"] = [0.1, 0.5, 0.0]
    given: dict[str, Any] = {"demand": [100.0, 60.0, 40.0], "capacity": [150.0, 120.0, 40.0]}
    rules = {"classes": [1, 1, 2], "shares": {1: 1.0, 2: 0.5}}
    with pytest.raises(FitError, match=r"only 82\.0 %"):
        allocate(a, value=1.0, rules=rules, **given)
    # a part t of 160 is 105 of bread, a tenth of power each, and steel, half a power each; with 20 t of power itself:
    # 10.5 + (160 t - 105) / 2 + 20 t = 40, so t = 0.82
    said = explain(a, rules=rules, **given)
    assert "only 82 % of each share" in said
    assert "not the least shares of classes 1 (100 %), 2 (50 %)" in said
    assert said.endswith("They want more than there is of: power.")
    assert explain(a, rules={**rules, "shares": {1: 0.5}}, **given).startswith("The floors and the least shares")
    # alike lifts the whole class to its largest floor: steel is 60, too, and takes 30 of power beside the 10 for bread
    floors = {"classes": [1, 1, 2], "floor": [100.0, 0.0, 15.0]}
    assert explain(a, rules=floors, **given) == "The floors can be met together."
    said = explain(a, rules={**floors, "alike": [1]}, **given)
    wanting = "They take too much of: power (38 % more than there is)."
    assert said == f"The floors cannot be met together, only 73 % of each. {wanting}"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"order": True}, "'order' is about classes"),
        ({"classes": [1, 2], "order": 0.5}, "order is neither True"),
        ({"classes": [1, 2], "shares": 0.5}, "not given by class"),
        ({"classes": [1, 2], "shares": {3: 0.5}}, "names a class that no product is in"),
        ({"classes": [1, 2], "shares": {1: 1.5}}, "no share of what is wanted"),
        ({"classes": [1, 2], "alike": ["first"]}, "names a class that no product is in"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rules: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        allocate(np.zeros((2, 2)), [1.0, 1.0], value=1.0, capacity=[1.0, 1.0], rules=rules)


def test_a_class_without_worth_has_no_place_in_an_order_and_ranges_are_refused() -> None:
    given: dict[str, Any] = {"A": np.zeros((2, 2)), "demand": [1.0, 1.0], "capacity": [1.0, 1.0]}
    with pytest.raises(UsageError, match="class 2 is worth nothing"):
        allocate(**given, value=[1.0, 0.0], rules={"classes": [1, 2], "order": True})
    with pytest.raises(UsageError, match="ranges of prices"):
        shadow_ranges(**given, value=1.0, rules={"classes": [1, 2], "order": True})
