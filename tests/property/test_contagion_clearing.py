"""Clearing: its equations, limited liability, the greatest and the least, and the jump by costs of bankruptcy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from opsroom.base.errors import DataError, DisclosureError, FitError, UsageError
from opsroom.base.results import Result
from opsroom.warn.contagion import Links, Network, clearing, exposure_network


def network(matrix: np.ndarray, **columns: object) -> Network:
    nodes = pd.DataFrame({"id": range(len(matrix)), "buffer": 1.0}).assign(**columns)
    return exposure_network(nodes).with_layer("debts", Links.of(sp.csr_array(np.asarray(matrix, dtype=float))))


def drawn(seed: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    matrix = np.where(r.random((n, n)) < 0.5, r.exponential(2.0, (n, n)), 0.0)
    np.fill_diagonal(matrix, 0)
    return matrix, r.exponential(0.7, n) * (r.random(n) < 0.8), r.exponential(0.5, n) * (r.random(n) < 0.5)


def pay(matrix: np.ndarray, paid: np.ndarray, due: np.ndarray, e: np.ndarray, kept: tuple[float, float]) -> np.ndarray:
    claims = matrix @ np.divide(paid, due, out=np.ones_like(due), where=due > 0)
    return np.where(e + claims >= due - 1e-10, due, np.minimum(due, kept[0] * e + kept[1] * claims))


KEPT = st.sampled_from([(1.0, 1.0), (0.8, 1.0), (0.6, 0.7), (0.0, 0.5)])


@settings(max_examples=18)
@given(st.integers(0, 2**31), st.integers(1, 9), KEPT, st.sampled_from(["greatest", "least"]))
def test_payments_satisfy_their_equations_and_limited_liability(
    seed: int, n: int, kept: tuple[float, float], solution: str
) -> None:
    matrix, e, outside = drawn(seed, n)
    found = clearing(
        network(matrix), e, outside_debts=outside, keeps_outside=kept[0], keeps_inside=kept[1], solution=solution
    )
    assert found.converged
    due = matrix.sum(0) + outside
    np.testing.assert_allclose(found.due, due)
    np.testing.assert_allclose(found.paid, pay(matrix, found.paid, due, e, kept), atol=1e-10)
    assert (found.paid >= 0).all()
    assert (found.paid <= due + 1e-12).all()
    assert (found.paid <= found.means + 1e-10).all()  # nobody pays more than it has
    assert (found.equity >= 0).all()
    assert (found.equity[found.defaulted] == 0).all()  # owners come last


@settings(max_examples=18)
@given(st.integers(0, 2**31), st.integers(1, 5), st.sampled_from([(0.8, 0.9), (0.6, 0.7), (0.0, 0.5)]))
def test_greatest_and_least_equal_brute_force_over_who_defaults(seed: int, n: int, kept: tuple[float, float]) -> None:
    """For each set of defaulters the payments follow from linear equations; those that fit are all the solutions."""
    matrix, e, outside = drawn(seed, n)
    due = matrix.sum(0) + outside
    share = matrix / np.where(due > 0, due, 1.0)
    share[:, due == 0] = 0
    solutions = []
    for flags in product([False, True], repeat=n):
        d = np.array(flags)
        paid = due.copy()
        if d.any():
            right = kept[0] * e[d] + kept[1] * share[np.ix_(d, ~d)] @ due[~d]
            paid[d] = np.linalg.solve(np.eye(d.sum()) - kept[1] * share[np.ix_(d, d)], right)
        means = e + share @ paid
        if np.array_equal(means < due * (1 - 1e-11), d):
            solutions.append(paid)
    assert solutions
    for solution, bound in (("greatest", np.max(solutions, axis=0)), ("least", np.min(solutions, axis=0))):
        found = clearing(
            network(matrix), e, outside_debts=outside, keeps_outside=kept[0], keeps_inside=kept[1], solution=solution
        )
        np.testing.assert_allclose(found.paid, bound, atol=1e-9)


@settings(max_examples=15)
@given(st.integers(0, 2**31), st.integers(1, 7))
def test_without_costs_the_greatest_pays_the_most_by_linear_programming(seed: int, n: int) -> None:
    matrix, e, outside = drawn(seed, n)
    due = matrix.sum(0) + outside
    share = matrix / np.where(due > 0, due, 1.0)
    share[:, due == 0] = 0
    best = linprog(-np.ones(n), A_ub=np.eye(n) - share, b_ub=e, bounds=list(zip(np.zeros(n), due, strict=True)))
    np.testing.assert_allclose(clearing(network(matrix), e, outside_debts=outside).paid, best.x, atol=1e-7)


def test_a_circle_of_empty_hands_has_a_greatest_and_a_least_solution() -> None:
    """Each owes the other and owns nothing else: all may be paid, or nothing."""
    ring = network(np.array([[0, 1.0], [1.0, 0]]))
    assert clearing(ring, 0.0).paid.tolist() == [1, 1]
    assert clearing(ring, 0.0, solution="least").paid.tolist() == [0, 0]
    assert not clearing(ring, 0.0).defaulted.any()
    assert clearing(ring, 0.0, solution="least").defaulted.all()


def test_costs_of_bankruptcy_make_payments_jump() -> None:
    """a owes 1 and has 1; an atom less, and half of what it has is gone."""
    one = network(np.array([[0, 0], [1.0, 0]]))
    for solution in ("greatest", "least"):
        just = clearing(one, [1.0, 0.0], keeps_outside=0.5, solution=solution)
        short = clearing(one, [1.0 - 1e-9, 0.0], keeps_outside=0.5, solution=solution)
        assert just.paid[0] == 1.0
        assert short.paid[0] == pytest.approx(0.5)
        assert just.on_the_edge == short.on_the_edge == 1
        assert "on the edge" in just.summary()
        assert clearing(one, [2.0, 0.0], keeps_outside=0.5, solution=solution).on_the_edge == 0


def test_a_climb_whose_limit_is_the_edge_goes_on_across_it() -> None:
    """Nobody pays first. a and b lift each other towards what a owes and come near for ever; the limit itself is no
    solution, for there a can pay in full, and then b can, too."""
    matrix = np.array([[0, 1.0], [1.0, 0]])
    e = np.array([0.5, 0.5])
    found = clearing(network(matrix), e, keeps_inside=0.5, solution="least")
    # From below: p = 0.5 + 0.5 p has the limit 1, which is what both owe.
    assert found.paid.tolist() == [1.0, 1.0]
    assert found.converged


def test_rounds_that_run_out_are_said() -> None:
    r = np.random.default_rng(0)
    matrix = r.random((6, 6)) * (1 - np.eye(6))
    found = clearing(network(matrix), 0.01, outside_debts=0.02, max_rounds=2)
    assert not found.converged
    assert "NOT CONVERGED after 2 rounds" in found.summary()
    with pytest.raises(FitError):
        found.cells(scenario="s", as_of="2020-01-01")


def test_refusals_and_cells() -> None:
    ring = network(np.array([[0, 1.0], [1.0, 0]]))
    with pytest.raises(DataError, match="outside assets, row 2"):
        clearing(ring, [1.0, -777.0])
    with pytest.raises(UsageError):
        clearing(ring, [1.0, 1.0, 1.0])
    with pytest.raises(UsageError):
        clearing(ring, 1.0, keeps_inside=1.5)
    with pytest.raises(DisclosureError):
        clearing(ring, 0.0, solution="least").cells(scenario="s", as_of="2020-01-01")
    r = np.random.default_rng(0)
    large = network(r.random((9, 9)) * (1 - np.eye(9)), sector=list("CCCCCKKKK"))
    found = clearing(large, 0.1, outside_debts=1.0)
    assert isinstance(found, Result)
    (cells,) = found.cells(scenario="s", as_of="2020-01-01")
    total = cells.frame.set_index("sector").loc["_T"]
    assert total["m_unpaid"] == pytest.approx((found.due - found.paid).sum())
    assert total["n_defaulted"] == found.defaulted.sum()
