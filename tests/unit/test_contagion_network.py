"""The exposure network: one axis convention, checked tables, margins met without a dense matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from opsroom.base.errors import DataError, FitError, NotFoundError, UsageError
from opsroom.warn.contagion import Links, debtrank, exposure_network, maximum_entropy
from opsroom.warn.contagion.links import together
from opsroom.warn.contagion.margins import checked_margins

NODES = pd.DataFrame({"id": ["a", "b", "c"], "buffer": [4.0, 2.0, 1.0]})


def claims(*rows: tuple[object, ...]) -> pd.DataFrame:
    names = ["lender", "borrower", "amount", "layer"][: len(rows[0])]
    return pd.DataFrame(list(rows), columns=names)


def test_rows_lend_and_distress_runs_from_borrower_to_lender() -> None:
    """The trap of the axis: a lends to b, so b's default hurts a, and a's default does not hurt b."""
    network = exposure_network(NODES, claims(("a", "b", 3.0)))
    assert network.links().matrix[0, 1] == 3.0
    assert network.links().lent.tolist() == [3, 0, 0]
    assert network.links().borrowed.tolist() == [0, 3, 0]
    assert debtrank(network, ["b"]).distress.tolist() == [0.75, 1, 0]
    assert debtrank(network, ["a"]).distress.tolist() == [1, 0, 0]


def test_duplicates_are_summed_within_a_layer_only() -> None:
    rows = claims(("a", "b", 1.0, "x"), ("a", "b", 2.0, "x"), ("a", "b", 4.0, "y"), ("b", "a", 8.0, "x"))
    network = exposure_network(NODES, rows)
    assert network.report.summed == 1
    assert network.links(["x"]).matrix[0, 1] == 3
    assert network.links(["y"]).matrix[0, 1] == 4
    both = network.links()
    assert both.matrix[0, 1] == 7
    assert both.matrix[1, 0] == 8
    assert both.count == 2
    once = exposure_network(NODES, claims(("a", "b", 7.0), ("b", "a", 8.0)))
    np.testing.assert_array_equal(debtrank(network, ["b"]).distress, debtrank(once, ["b"]).distress)


def test_self_loops_are_refused_or_dropped() -> None:
    rows = claims(("a", "b", 1.0), ("b", "b", 5.0))
    with pytest.raises(DataError, match=r"table edges, row 2, field borrower: is a claim of a node on itself"):
        exposure_network(NODES, rows)
    network = exposure_network(NODES, rows, self_loops="drop")
    assert network.report.loops == 1
    assert debtrank(network, {"b": 0.5}).distress.tolist() == [0.125, 0.5, 0]
    with pytest.raises(UsageError):
        exposure_network(NODES, rows, self_loops="keep")  # type: ignore[arg-type]  # the error is the test


@pytest.mark.parametrize(
    ("nodes", "edges", "words"),
    [
        (NODES, claims(("a", "b", 777.5), ("a", "c", -777.5)), "table edges, row 2, field amount: is negative"),
        (NODES, claims(("a", "zz777", 1.0)), "table edges, row 1, field borrower: is not in table nodes"),
        (NODES, claims(("zz777", "a", 1.0)), "table edges, row 1, field lender: is not in table nodes"),
        (NODES, claims((None, "a", 1.0)), "table edges, row 1, field lender: is missing"),
        (NODES, claims(("a", "b", np.nan), ("a", "c", np.inf)), r"row 1 \(and 1 more\), field amount: is not a finite"),
        (NODES, claims(("a", "b", 1.0, None)), "row 1, field layer: is missing"),
        (NODES, claims(("a", "b", 1.0)).drop(columns="amount"), "table edges: the column.s. amount are missing"),
        (NODES.assign(buffer=[1.0, -777.5, 1.0]), None, "table nodes, row 2, field buffer: is negative"),
        (NODES.assign(buffer=[1.0, 1.0, np.nan]), None, "table nodes, row 3, field buffer: is not a finite number"),
        (NODES.assign(id=["a", "zz777", "zz777"]), None, "table nodes, row 3, field id: stands in an earlier row"),
        (NODES.assign(kind=["bank", "zz777", "bank"]), None, "table nodes, row 2, field kind: is neither bank nor"),
        (NODES.assign(group=["g", None, "g"]), None, "table nodes, row 2, field group: is missing"),
        (NODES.assign(weight=0.0), None, "table nodes, field weight: all are zero"),
        (NODES.iloc[:0], None, "table nodes: there is no row"),
    ],
)
def test_bad_tables_are_refused_without_telling_values(
    nodes: pd.DataFrame, edges: pd.DataFrame | None, words: str
) -> None:
    with pytest.raises(DataError, match=words) as refused:
        exposure_network(nodes, edges)
    assert "777" not in str(refused.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.diag([0.0, 2.0, 0.0]), "a claim of a node on itself"),
        (np.array([[0, -1.0, 0], [0, 0, 0], [0, 0, 0]]), "negative or not finite"),
        (np.array([[0, np.nan, 0], [0, 0, 0], [0, 0, 0]]), "negative or not finite"),
        (np.ones((3, 2)), "not square"),
    ],
)
def test_a_layer_given_as_a_matrix_is_checked_like_a_table(wrong: np.ndarray, said: str) -> None:
    for entries in (sp.csr_array(wrong), sp.coo_array(wrong)):
        with pytest.raises(DataError, match=said):
            exposure_network(NODES).with_layer("x", entries)


def test_duplicate_entries_of_a_matrix_are_summed() -> None:
    twice = sp.coo_array((np.array([1.0, 2.0, 0.5]), (np.array([0, 0, 1]), np.array([1, 1, 2]))), shape=(3, 3))
    raw = sp.csr_array((np.array([1.0, 2.0, 0.5]), np.array([1, 1, 2]), np.array([0, 2, 3, 3])), shape=(3, 3))
    for entries in (twice, raw):
        layer = exposure_network(NODES).with_layer("x", entries).links()
        assert layer.count == 2
        assert layer.matrix[0, 1] == 3.0
    assert raw.nnz == 3  # the caller's is left as it was


def test_unknown_layers_and_nodes_are_named_by_place() -> None:
    network = exposure_network(NODES, claims(("a", "b", 1.0)))
    with pytest.raises(NotFoundError, match="no layer trade"):
        network.links(["trade"])
    with pytest.raises(NotFoundError, match="the first in place 2") as refused:
        debtrank(network, ["a", "zz777"])
    assert "777" not in str(refused.value)
    with pytest.raises(UsageError):
        network.with_layer("more", Links.of(sp.csr_array((2, 2))))


@settings(max_examples=18)
@given(st.integers(0, 2**31), st.integers(2, 7), st.integers(0, 3))
def test_links_of_any_kind_do_what_their_dense_matrix_does(seed: int, n: int, terms: int) -> None:
    r = np.random.default_rng(seed)
    known = np.where(r.random((n, n)) < 0.4, r.random((n, n)), 0.0)
    np.fill_diagonal(known, 0)
    parts = [Links.of(sp.csr_array(known))]
    parts += [Links.outer(r.random(n) * (r.random(n) < 0.8), r.random(n)) for _ in range(terms)]
    links = together(parts)
    full = links.dense()
    expected = known + sum((np.outer(p.out[:, 0], p.into[:, 0]) for p in parts[1:]), np.zeros((n, n)))
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(full, expected, atol=1e-15)
    x, block = r.random(n), r.random((n, 3))
    np.testing.assert_allclose(links.claims(x), full @ x, atol=1e-13)
    np.testing.assert_allclose(links.claims(block), full @ block, atol=1e-13)
    np.testing.assert_allclose(links.debts(x), full.T @ x, atol=1e-13)
    if terms <= 1:
        assert sum(part.count for part in parts) == sum(np.count_nonzero(part.dense()) for part in parts)


def test_a_large_network_is_not_written_out() -> None:
    ones = np.ones(6_000)
    with pytest.raises(UsageError, match="not written out"):
        maximum_entropy(ones, ones).dense()


# -- margins ------------------------------------------------------------------------------------


@settings(max_examples=18)
@given(st.integers(0, 2**31), st.integers(3, 30))
def test_maximum_entropy_meets_margins(seed: int, n: int) -> None:
    r = np.random.default_rng(seed)
    true = np.exp(r.normal(0, 3, (n, n))) * (r.random((n, n)) < 0.5)
    np.fill_diagonal(true, 0)
    links = maximum_entropy(true.sum(1), true.sum(0), tolerance=1e-11)
    np.testing.assert_allclose(links.lent, true.sum(1), rtol=1e-10, atol=1e-12 * true.sum())
    np.testing.assert_allclose(links.borrowed, true.sum(0), rtol=1e-10, atol=1e-12 * true.sum())
    assert (links.out >= 0).all()
    assert (links.into >= 0).all()
    assert not links.dense().diagonal().any()


def test_maximum_entropy_is_the_greatest_entropy() -> None:
    """Against a general optimiser on the off-diagonal entries."""
    a, b = np.array([3.0, 2.0, 1.0, 2.0]), np.array([1.0, 3.5, 2.0, 1.5])
    off = ~np.eye(4, dtype=bool)

    def spread(x: np.ndarray) -> np.ndarray:
        full = np.zeros((4, 4))
        full[off] = x
        return full

    margins = {"type": "eq", "fun": lambda x: np.r_[spread(x).sum(1) - a, spread(x).sum(0)[:-1] - b[:-1]]}
    found = minimize(
        lambda x: float((x * np.log(np.maximum(x, 1e-300))).sum()), np.full(12, 0.6), constraints=margins,
        bounds=[(1e-9, None)] * 12, method="SLSQP", options={"ftol": 1e-14, "maxiter": 500},
    )  # fmt: skip
    np.testing.assert_allclose(maximum_entropy(a, b).dense(), spread(found.x), atol=2e-5)


def test_one_node_on_a_side_of_every_claim_leaves_one_network_only() -> None:
    links = maximum_entropy([5.0, 1.0, 2.0], [3.0, 4.0, 1.0])
    np.testing.assert_array_equal(links.dense(), [[0, 4, 1], [1, 0, 0], [2, 0, 0]])
    two = maximum_entropy([2.0, 1.0], [1.0, 2.0])
    np.testing.assert_array_equal(two.dense(), [[0, 2], [1, 0]])
    assert maximum_entropy([0.0, 0.0], [0.0, 0.0]).count == 0


@pytest.mark.parametrize(
    ("lent", "borrowed", "words"),
    [
        ([1.0, 1.0], [1.0, 2.0], "not what is borrowed"),
        ([3.0, 1.0, 1.0], [3.0, 1.0, 1.0], "row 1: lent and borrowed together exceed the total"),
        ([1.0, -1.0], [0.0, 0.0], "row 2, field lent"),
        ([1.0, 1.0], [np.nan, 1.0], "row 1, field borrowed"),
        ([1.0], [1.0, 2.0], "one amount lent and one borrowed"),
    ],
)
def test_margins_that_no_network_has_are_refused(lent: list[float], borrowed: list[float], words: str) -> None:
    with pytest.raises(DataError, match=words):
        checked_margins(lent, borrowed)


def test_margins_not_met_are_an_error_not_a_network() -> None:
    with pytest.raises(FitError, match="after 1 rounds"):
        maximum_entropy([1.0, 0.5, 0.1], [0.5, 0.9, 0.2], max_rounds=1)
