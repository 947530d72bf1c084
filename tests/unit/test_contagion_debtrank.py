"""DebtRank: the papers' recursions, the least solution, and the traps of circles and vanishing buffers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.base.errors import DisclosureError, FitError, UsageError
from opsroom.base.results import TOTAL, Charted, Result
from opsroom.warn.contagion import Links, Network, debtrank, exposure_network


def network(matrix: np.ndarray, buffer: list[float] | np.ndarray, **columns: object) -> Network:
    nodes = pd.DataFrame({"id": range(len(buffer)), "buffer": np.asarray(buffer, dtype=float)}).assign(**columns)
    return exposure_network(nodes).with_layer("claims", Links.of(sp.csr_array(np.asarray(matrix, dtype=float))))


def drawn(r: np.random.Generator, n: int, heavy: float) -> tuple[np.ndarray, np.ndarray]:
    matrix = np.where(r.random((n, n)) < 0.4, r.exponential(1.0, (n, n)), 0.0)
    np.fill_diagonal(matrix, 0)
    buffer = np.maximum(0.05, r.random(n)) * matrix.sum(1).clip(0.1) / heavy
    return matrix, buffer


def bardoscia(matrix: np.ndarray, buffer: np.ndarray, shock: np.ndarray) -> np.ndarray:
    """The paper's recursion, word for word: each round passes on the increments of the last, till there are none."""
    before, now = np.zeros(len(shock)), shock.copy()
    while np.abs(now - before).max() > 1e-14:
        before, now = now, np.minimum(1, now + (matrix / buffer[:, None]) @ (now - before))
    return now


def battiston(matrix: np.ndarray, buffer: np.ndarray, shock: np.ndarray) -> np.ndarray:
    """The paper's recursion with its three states: undistressed, distressed, inactive."""
    impact = np.minimum(1, matrix / buffer[:, None])
    h, state = shock.copy(), np.where(shock > 0, "D", "U")
    while (state == "D").any():
        new = np.minimum(1, h + impact[:, state == "D"] @ h[state == "D"])
        state = np.where(state == "D", "I", np.where((new > 0) & (state == "U"), "D", state))
        h = new
    return h


@settings(max_examples=18)
@given(st.integers(0, 2**31), st.integers(2, 8), st.sampled_from([0.3, 0.8, 2.0]))
def test_multi_hit_is_the_limit_of_the_papers_recursion(seed: int, n: int, heavy: float) -> None:
    r = np.random.default_rng(seed)
    matrix, buffer = drawn(r, n, heavy)
    shock = r.random(n) * (r.random(n) < 0.5)
    found = debtrank(network(matrix, buffer), shock, tolerance=1e-12, max_rounds=20_000)
    assert found.converged
    np.testing.assert_allclose(found.distress, bardoscia(matrix, buffer, shock), atol=1e-9)
    np.testing.assert_allclose(found.distress, np.minimum(1, shock + matrix @ found.distress / buffer), atol=1e-10)


@settings(max_examples=18)
@given(st.integers(0, 2**31), st.integers(2, 8), st.sampled_from([0.3, 0.8, 2.0]))
def test_single_hit_is_the_papers_recursion(seed: int, n: int, heavy: float) -> None:
    r = np.random.default_rng(seed)
    matrix, buffer = drawn(r, n, heavy)
    shock = r.random(n) * (r.random(n) < 0.5)
    found = debtrank(network(matrix, buffer), shock, rule="single-hit")
    np.testing.assert_allclose(found.distress, battiston(matrix, buffer, shock), atol=1e-12)
    assert (found.distress <= debtrank(network(matrix, buffer), shock).distress + 1e-9).all()


def test_the_same_on_terms_of_rank_one() -> None:
    r = np.random.default_rng(0)
    u, v, buffer = r.random(6), r.random(6), 1 + r.random(6)
    links = Links.outer(u, v)
    short = network(np.zeros((6, 6)), buffer).with_layer("claims", links)
    full = network(links.dense(), buffer)
    for rule in ("multi-hit", "single-hit"):
        one, two = (debtrank(x, {2: 0.7, 4: 0.2}, rule=rule) for x in (short, full))
        np.testing.assert_allclose(one.distress, two.distress, atol=1e-10)
        np.testing.assert_allclose(one.written_down, two.written_down, atol=1e-10)


# -- circles ------------------------------------------------------------------------------------


def ring(amplification: float) -> Network:
    """Two nodes that owe each other: a loss comes back multiplied."""
    return network(np.array([[0, 1], [1, 0]]), [1.0, 1.0 / amplification])


def test_a_circle_below_one_amplifies_by_the_geometric_sum() -> None:
    found = debtrank(ring(0.81), np.array([0.1, 0.0]))
    assert found.distress == pytest.approx([0.1 / 0.19, 0.081 / 0.19], abs=1e-9)
    assert found.converged


def test_a_circle_above_one_takes_everything_from_the_smallest_shock() -> None:
    found = debtrank(ring(1.1), np.array([1e-6, 0.0]))
    assert found.converged
    assert found.distress.tolist() == [1.0, 1.0]


def test_near_one_a_small_step_is_not_a_small_error() -> None:
    """The limit is 0.5. When the step is first below the tolerance, 0.001 of it are missing."""
    slow = 1 - 1e-3
    found = debtrank(ring(slow), np.array([5e-4, 0.0]), tolerance=1e-6, max_rounds=1_000_000)
    assert found.converged
    assert found.distress[0] == pytest.approx(0.5, abs=2e-6)


def test_rounds_that_run_out_are_said_not_hidden() -> None:
    found = debtrank(ring(1.0), np.array([1e-6, 0.0]), max_rounds=50)
    assert not found.converged
    assert found.rounds == 50
    assert found.error > 1e-4
    assert "NOT CONVERGED after 50 rounds" in found.summary()
    with pytest.raises(FitError, match="had not settled"):
        found.cells(scenario="s", as_of="2020-01-01")
    settled = debtrank(ring(0.5), np.array([1e-6, 0.0]))
    assert "NOT CONVERGED" not in settled.summary()


# -- buffers of zero ----------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["multi-hit", "single-hit"])
def test_a_node_without_buffer_fails_with_its_first_loss_and_not_before(rule: str) -> None:
    chain = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    x = network(chain, [1.0, 0.0, 1.0, 0.0])
    quiet = debtrank(x, {0: 0.5}, rule=rule)
    assert quiet.distress.tolist() == [0.5, 0, 0, 0]
    hit = debtrank(x, {2: 1e-9}, rule=rule)
    assert hit.distress.tolist() == [1.0, 1.0, 1e-9, 0.0]
    assert np.isfinite(hit.additional)
    assert hit.defaults.tolist() == [True, True, False, False]


def test_a_tiny_buffer_behind_a_tiny_loss_is_found() -> None:
    """The step falls below the tolerance before the loss meets the small buffer, which stands first in the order."""
    x = network(np.array([[0, 1, 0], [0, 0, 1], [0, 0, 0]]), [1e-12, 1e3, 1.0])
    found = debtrank(x, {2: 1e-9}, tolerance=1e-10)
    assert found.distress == pytest.approx([1.0, 1e-12, 1e-9])


# -- calls and results --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shock", "words"),
    [
        ({0: 1.5}, "share of the buffer"),
        ({0: -0.1}, "share of the buffer"),
        (np.array([0.5]), "one share a node"),
        ("ab", "in a list"),
        (np.array([np.nan, 0.0]), "share of the buffer"),
    ],
)
def test_shocks_that_are_none_are_refused(shock: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        debtrank(ring(0.5), shock)  # type: ignore[arg-type]  # the error is the test


def test_other_rules_and_tolerances_are_refused() -> None:
    with pytest.raises(UsageError):
        debtrank(ring(0.5), [0], rule="third")  # type: ignore[arg-type]  # the error is the test
    with pytest.raises(UsageError):
        debtrank(ring(0.5), [0], tolerance=0.0)


def test_the_result_publishes_sectors_and_no_nodes() -> None:
    r = np.random.default_rng(1)
    matrix, buffer = drawn(r, 40, 0.8)
    owner = np.arange(40) // 2
    x = network(matrix, buffer, sector=np.where(np.arange(40) < 30, "C", "K"), group=owner)
    found = debtrank(x, list(range(8)))
    assert isinstance(found, Result)
    assert isinstance(found, Charted)
    assert "too central" not in found.cite()
    found.chart()
    (cells,) = found.cells(scenario="eight", as_of="2020-01-01")
    assert set(cells.frame["sector"]) == {"C", "K", TOTAL}
    frame = cells.frame.set_index("sector")
    assert frame.loc[TOTAL, "m_lost"] == pytest.approx(buffer @ found.distress)
    assert frame.loc["C", "n_failed"] == (found.distress[:30] >= 1 - 1e-12).sum()
    assert frame.loc["K", "m_lost__groups"] == len(set(owner[30:][found.distress[30:] > 0]))
    assert not {"id", "distress"} & set(cells.frame.columns)
    shares = found.by_sector().set_index("sector")
    lost = 100 * (buffer @ found.distress) / buffer.sum()
    assert shares.loc[TOTAL].sum() == pytest.approx(lost)


def test_the_default_of_few_owners_is_not_published() -> None:
    """What the lenders lose would be what the one owner owes."""
    x = network(np.zeros((6, 6)), np.ones(6), group=["g", "g", "h", "i", "j", "k"])
    with pytest.raises(DisclosureError):
        debtrank(x, [0, 1, 2]).cells(scenario="s", as_of="2020-01-01")
    assert debtrank(x, [0, 2, 3]).cells(scenario="s", as_of="2020-01-01")
