"""Weights of pools: never below 0, add up to 1, and none of the alternatives would have scored better."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from opsroom.measure.nowcast.beside.weights import inverse_square, log_score, towards_equal

SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 6))
LOGS = arrays(np.float64, SHAPES, elements=st.floats(-60.0, 3.0))
ERRORS = arrays(np.float64, SHAPES, elements=st.floats(-20.0, 20.0))


def score(log_density: Any, w: Any) -> float:
    top = log_density.max(axis=1)
    return float(np.mean(top + np.log(np.exp(log_density - top[:, None]) @ w)))


@settings(max_examples=60, deadline=None)
@given(LOGS, st.floats(0.0, 50.0), st.integers(0, 2**31))
def test_no_pool_would_have_scored_better(log_density: Any, shrink: float, seed: int) -> None:
    count = log_density.shape[1]
    w, equal = log_score(log_density), np.full(count, 1 / count)
    assert np.all(w >= 0)
    assert abs(w.sum() - 1) < 1e-12
    best = score(log_density, w)
    others = [*np.eye(count), equal, *np.random.default_rng(seed).dirichlet(np.full(count, 0.5), size=5)]
    for other in others:
        assert best >= score(log_density, np.maximum(other, 1e-300)) - 1e-7
    # Drawn towards equal weights it is still no worse than they.
    drawn = towards_equal(w, len(log_density), shrink)
    assert abs(drawn.sum() - 1) < 1e-12
    assert score(log_density, drawn) >= score(log_density, equal) - 1e-7


@settings(max_examples=60, deadline=None)
@given(ERRORS)
def test_inverse_squares_order_models_by_their_errors(errors: Any) -> None:
    w, size = inverse_square(errors), (errors**2).mean(axis=0)
    assert np.all(w >= 0)
    assert abs(w.sum() - 1) < 1e-12
    order = np.argsort(size, kind="stable")
    assert np.all(np.diff(w[order]) <= 1e-12)
    if size.min() > 1e-6 * size.max():
        np.testing.assert_allclose(w * size, (w * size)[0])
