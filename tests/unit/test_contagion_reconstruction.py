"""Minimum density and the fitness model: margins, number of links, and intervals over ensembles."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from opsroom.base.errors import DataError, UsageError
from opsroom.warn.contagion import (
    debtrank,
    exposure_network,
    fitness_model,
    maximum_entropy,
    minimum_density,
    networks,
    over_networks,
)


def margins(seed: int, n: int, density: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    r = np.random.default_rng(seed)
    true = np.exp(r.normal(0, 1.5, (n, n))) * (r.random((n, n)) < density)
    np.fill_diagonal(true, 0)
    return true.sum(1), true.sum(0)


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(2, 25))
def test_minimum_density_meets_margins_with_few_links(seed: int, n: int) -> None:
    lent, borrowed = margins(seed, n)
    links = minimum_density(lent, borrowed, seed=seed, restarts=1)
    np.testing.assert_allclose(links.lent, lent, atol=1e-10)
    np.testing.assert_allclose(links.borrowed, borrowed, atol=1e-10)
    assert not links.matrix.diagonal().any()
    assert (links.matrix.data > 0).all()
    sides = np.count_nonzero(lent) + np.count_nonzero(borrowed)
    # A forest on the sides; routing the last node's own leaves two links more for each that it empties.
    assert links.count <= max(0, sides - 1) + 2
    assert links.count >= max(np.count_nonzero(lent), np.count_nonzero(borrowed))


def fewest(lent: np.ndarray, borrowed: np.ndarray) -> int:
    """By trying every set of links, small ones first, with a linear program for the amounts."""
    n = len(lent)
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j and lent[i] > 0 and borrowed[j] > 0]
    for size in range(len(pairs) + 1):
        for chosen in combinations(pairs, size):
            rows = np.zeros((2 * n, size))
            for k, (i, j) in enumerate(chosen):
                rows[i, k] = rows[n + j, k] = 1
            if size and linprog(np.zeros(size), A_eq=rows, b_eq=np.r_[lent, borrowed]).status == 0:
                return size
    raise AssertionError("no network has these margins")


@pytest.mark.parametrize(
    ("lent", "borrowed"),
    [
        ([3.0, 2.0, 0.0], [0.0, 0.0, 5.0]),
        ([2.0, 1.0, 1.0], [1.0, 2.0, 1.0]),
        ([4.0, 1.0, 1.0], [1.0, 4.0, 1.0]),
    ],
)
def test_on_three_nodes_it_is_the_minimum(lent: list[float], borrowed: list[float]) -> None:
    found = minimum_density(lent, borrowed, restarts=20)
    assert found.count == fewest(np.array(lent), np.array(borrowed))


def test_a_node_that_would_have_to_lend_to_itself_is_routed_through_others() -> None:
    """Whatever is placed first, the third node's own margins stay: a claim of others has to make way."""
    for seed in range(10):
        links = minimum_density([1.0, 1.0, 2.0], [1.0, 1.0, 2.0], seed=seed, restarts=1)
        np.testing.assert_allclose(links.lent, [1, 1, 2], atol=1e-14)
        assert not links.matrix.diagonal().any()


def test_seeds_give_other_networks_and_the_same_one_again() -> None:
    lent, borrowed = margins(0, 20)
    one, two, again = (minimum_density(lent, borrowed, seed=s, restarts=1).dense() for s in (1, 2, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != two).any()
    with pytest.raises(DataError):
        minimum_density([1.0, 1.0], [0.0, 1.0])


# -- fitness ------------------------------------------------------------------------------------


def test_fitness_probabilities_and_means_are_those_of_the_model() -> None:
    """Over 1,500 draws: each pair's frequency is its probability, and each margin's mean is the margin."""
    lent, borrowed = margins(1, 8, 1.0)
    model = fitness_model(lent, borrowed, links=20)
    x, y = lent / lent.max(), borrowed / borrowed.max()
    odds = model.z * np.outer(x, y)
    p = odds / (1 + odds)
    np.fill_diagonal(p, 0)
    assert p.sum() == pytest.approx(20, abs=1e-6)
    assert model.expected_links == pytest.approx(20, abs=1e-6)
    even = maximum_entropy(lent, borrowed).dense()
    draws = np.array([model.draw(s).dense() for s in range(1_500)])
    some = draws > 0
    spread = np.sqrt(p * (1 - p) / len(draws)) + 1e-12
    assert (np.abs(some.mean(0) - p) / spread).max() < 4.5
    amount = np.where(some, draws, np.nan)
    carried = np.nanmax(amount, axis=0, initial=0, where=some)
    np.testing.assert_allclose(carried * p, even, atol=1e-12)
    scatter = np.sqrt((even**2 * (1 - p) / np.where(p > 0, p, 1)).sum(1) / len(draws))
    assert (np.abs(draws.sum(2).mean(0) - lent) / scatter).max() < 4.5
    assert not draws.diagonal(axis1=1, axis2=2).any()


def test_impossible_numbers_of_links_are_refused() -> None:
    lent, borrowed = margins(1, 5, 1.0)
    for links in (0, 20, 30):
        with pytest.raises(UsageError, match="number of links"):
            fitness_model(lent, borrowed, links=links)


# -- ensembles ----------------------------------------------------------------------------------


def test_intervals_are_quantiles_over_the_networks() -> None:
    lent, borrowed = margins(2, 12)
    network = exposure_network(pd.DataFrame({"id": range(12), "buffer": 0.4 * lent + 0.5}))

    def risk(x: object) -> list[float]:
        return [debtrank(x, [0]).additional, debtrank(x, [1]).additional]  # type: ignore[arg-type]  # a Network

    found = over_networks(network, "interbank", lent, borrowed, risk, links=40, draws=20, seed=3)
    again = [risk(network.with_layer("interbank", x)) for x in networks(lent, borrowed, links=40, draws=20, seed=3)]
    np.testing.assert_array_equal(found.values, again)
    frame = found.to_frame()
    np.testing.assert_allclose(frame["lower"], np.quantile(again, 0.05, axis=0))
    np.testing.assert_allclose(frame["upper"], np.quantile(again, 0.95, axis=0))
    assert (frame["lower"] < frame["upper"]).all()
    assert "20 networks (fitness)" in found.summary()
    few = over_networks(network, "interbank", lent, borrowed, risk, method="minimum density", draws=5)
    assert few.values.shape == (5, 2)
    assert "Anand" in few.cite()


def test_ensembles_that_cannot_be_drawn_are_refused() -> None:
    lent, borrowed = margins(2, 12)
    with pytest.raises(UsageError, match="expected number of links"):
        next(networks(lent, borrowed))
    with pytest.raises(UsageError, match="fitness or minimum density"):
        next(networks(lent, borrowed, method="other"))  # type: ignore[arg-type]  # the error is the test
    network = exposure_network(pd.DataFrame({"id": range(12), "buffer": 1.0}))
    with pytest.raises(UsageError, match="level"):
        over_networks(network, "x", lent, borrowed, lambda _: 0.0, links=40, level=1.0)
