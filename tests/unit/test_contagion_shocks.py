"""Every default in turn: the block equals one at a time, the bound holds, and the search misses nobody."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import FitError, UsageError
from opsroom.base.results import TOTAL, Charted, Result
from opsroom.warn.contagion import Links, Network, cascade, debtrank, exposure_network, systemic
from opsroom.warn.contagion.bounds import upper_bounds


def drawn(seed: int, n: int, heavy: float, *, zeros: float = 0.0, terms: int = 0) -> Network:
    r = np.random.default_rng(seed)
    matrix = np.where(r.random((n, n)) < 3 / n, r.lognormal(0, 1.5, (n, n)), 0.0)
    np.fill_diagonal(matrix, 0)
    lent = matrix.sum(1)
    buffer = np.where(r.random(n) < zeros, 0.0, (lent + 0.2) / heavy * r.uniform(0.5, 2, n))
    sector = r.choice(["C", "F", "K"], n)
    nodes = pd.DataFrame({"id": range(n), "buffer": buffer, "weight": r.random(n), "sector": sector})
    network = exposure_network(nodes).with_layer("claims", Links.of(sp.csr_array(matrix)))
    for k in range(terms):
        network = network.with_layer(f"even{k}", Links.outer(r.random(n) * 0.02, r.random(n)))
    return network


@settings(max_examples=20)
@given(
    st.integers(0, 2**31), st.integers(2, 21), st.sampled_from([0.5, 1.5, 5.0]), st.sampled_from([0.0, 0.2]),
    st.integers(0, 2),
)  # fmt: skip
def test_the_block_equals_one_at_a_time_and_the_bound_holds(
    seed: int, n: int, heavy: float, zeros: float, terms: int
) -> None:
    network = drawn(seed, n, heavy, zeros=zeros, terms=terms)
    found = systemic(network, tolerance=1e-11)
    alone = [debtrank(network, [k], tolerance=1e-11) for k in range(n)]
    assert found.unsettled == 0
    np.testing.assert_allclose(found.importance, [x.additional for x in alone], atol=1e-9)
    np.testing.assert_array_equal(found.defaults, [x.defaults.sum() for x in alone])
    hit = np.array([x.distress for x in alone])
    np.testing.assert_allclose(found.vulnerability, (hit.sum(0) - hit.diagonal()) / (n - 1), atol=1e-9)
    assert (found.importance <= found.bound + 1e-9).all()


@settings(max_examples=8)
@given(st.integers(0, 2**31), st.sampled_from([0.5, 1.5, 5.0]), st.integers(1, 5))
def test_the_search_finds_what_running_all_finds(seed: int, heavy: float, top: int) -> None:
    network = drawn(seed, 60, heavy)
    every, some = systemic(network), systemic(network, top=top)
    np.testing.assert_allclose(some.most(top)["importance"], every.most(top)["importance"], atol=1e-12)
    assert some.runs <= every.runs == 60


def test_the_search_runs_few_where_circles_damp() -> None:
    network = drawn(3, 400, 0.8)
    some = systemic(network, top=5)
    assert some.runs <= 40
    assert np.isnan(some.vulnerability).all()
    with pytest.raises(UsageError, match="fewer than 200"):
        some.most(200)
    with pytest.raises(FitError, match="mean over all single defaults"):
        some.cells(as_of="2020-01-01")
    with pytest.raises(UsageError):
        systemic(network, top=0)


def test_the_bound_without_circles_is_nearly_the_loss() -> None:
    """A chain a <- b <- c: the default of c costs b's half and a's quarter."""
    matrix = sp.csr_array(np.array([[0, 2.0, 0], [0, 0, 1.0], [0, 0, 0]]))
    bound = upper_bounds(Links.of(matrix), np.array([4.0, 2.0, 1.0]), np.full(3, 1 / 3))
    assert bound == pytest.approx([0, 0.5 / 3, 0.75 / 3], rel=0.02, abs=1e-8)


def test_rounds_that_run_out_are_counted() -> None:
    ring = exposure_network(pd.DataFrame({"id": ["a", "b", "c"], "buffer": 1.0}))
    claims = sp.csr_array(np.array([[0, 1 - 1e-6, 1e-6], [1.0, 0, 0], [0, 0, 0]]))
    found = systemic(ring.with_layer("claims", Links.of(claims)), max_rounds=20)
    assert found.unsettled == 1
    assert "NOT CONVERGED in 1 of them" in found.summary()
    with pytest.raises(FitError):
        found.cells(as_of="2020-01-01")


def test_sectors_are_published_and_nodes_are_not() -> None:
    network = drawn(5, 60, 1.0)
    found = systemic(network)
    assert isinstance(found, Result)
    assert isinstance(found, Charted)
    found.chart()
    assert "Bardoscia" in found.cite()
    (cells,) = found.cells(as_of="2020-01-01")
    frame = cells.frame.set_index("sector")
    assert set(frame.index) == {"C", "F", "K", TOTAL}
    assert "id" not in cells.frame
    by = found.by_sector().set_index("sector")
    for sector in ("C", TOTAL):
        inside = np.ones(60, bool) if sector == TOTAL else np.asarray(network.nodes["sector"] == sector)
        w = network.weight[inside]
        assert by.loc[sector, "vulnerability"] == pytest.approx(w @ found.vulnerability[inside] / w.sum())
        assert frame.loc[sector, "m_caused"] == pytest.approx(w @ found.importance[inside])
        assert frame.loc[sector, "m_caused__groups"] == (found.importance[inside] > 0).sum()


# -- threshold cascade --------------------------------------------------------------------------


def by_hand(matrix: np.ndarray, buffer: np.ndarray, first: list[int], recovery: np.ndarray) -> np.ndarray:
    failed, when, k = set(first), np.full(len(buffer), -1), 0
    when[first] = 0

    def lost(i: int) -> float:
        return sum(matrix[i, j] * (1 - recovery[j]) for j in failed)

    while True:
        k += 1
        new = {i for i in range(len(buffer)) if i not in failed and lost(i) > 0 and lost(i) >= buffer[i]}
        if not new:
            return when
        when[list(new)] = k
        failed |= new


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(2, 12), st.sampled_from([0.0, 0.4]))
def test_the_cascade_equals_brute_force(seed: int, n: int, zeros: float) -> None:
    network = drawn(seed, n, 2.0, zeros=zeros)
    recovery = np.random.default_rng(seed).random(n) * 0.6
    found = cascade(network, [0], recovery=recovery)
    expected = by_hand(network.links().dense(), network.buffer, [0], recovery)
    np.testing.assert_array_equal(found.failed_in, expected)
    assert found.rounds == expected.max()
    np.testing.assert_allclose(found.losses, network.links().dense() @ ((1 - recovery) * (expected >= 0)), atol=1e-12)


def test_nothing_is_lost_before_a_default_and_full_recovery_stops_it() -> None:
    nodes = pd.DataFrame({"id": list("abc"), "buffer": [0.0, 1.0, 1.0]})
    claims = pd.DataFrame({"lender": ["a", "b"], "borrower": ["b", "c"], "amount": [5.0, 1.0]})
    network = exposure_network(nodes, claims)
    assert cascade(network, ["c"]).failed_in.tolist() == [2, 1, 0]
    assert cascade(network, ["c"], recovery=0.01).failed_in.tolist() == [-1, -1, 0]
    assert cascade(network, ["b"], recovery=1.0).failed_in.tolist() == [-1, 0, -1]
    assert "2 more in 2 round(s)" in cascade(network, ["c"]).summary()
    with pytest.raises(UsageError):
        cascade(network, ["c"], recovery=1.1)
    (cells,) = cascade(drawn(1, 30, 2.0), [0, 1, 2, 3]).cells(scenario="s", as_of="2020-01-01")
    assert cells.name == "contagion.cascade"
