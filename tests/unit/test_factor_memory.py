"""Own errors that remember two months and more: likelihood, cells, score and learning against dense twins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factor_worlds import drawn

from opsroom.measure.nowcast import DynamicFactorModel, Robust, loglike
from opsroom.measure.nowcast.dfm.grid import Grid, gather
from opsroom.measure.nowcast.dfm.layout import lay_out
from opsroom.measure.nowcast.dfm.look import cell, data_weights, look
from opsroom.measure.nowcast.dfm.moments import moments
from opsroom.measure.nowcast.dfm.parameters import with_lags
from opsroom.measure.nowcast.dfm.remember import lags_of, partial_of, partial_slopes, spread_at
from opsroom.measure.nowcast.dfm.robust import reweigh, weight_density
from opsroom.measure.nowcast.dfm.search import gradient_at, unpack
from opsroom.measure.nowcast.dfm.smooth import Cells, Weights, smooth
from opsroom.measure.nowcast.dfm.step import maximise
from opsroom.measure.nowcast.dfm.twin import dense_loglike, dense_mean

NO_CRISIS = np.zeros(0, dtype=np.int64)


def torn(rng: np.random.Generator, values: np.ndarray) -> np.ndarray:
    """Tear at the series' ends, make one nearly empty, and one known every second month."""
    out, months = values.copy(), len(values)
    out[: int(rng.integers(0, months // 2)), 0] = np.nan
    out[int(rng.integers(3, months)) :, 2] = np.nan
    out[:, 3][rng.random(months) < 0.9] = np.nan
    out[::2, 4] = np.nan
    return out


def weights_of(cells: Cells, rng: np.random.Generator) -> Weights:
    ones = Weights.ones(cells.layout)
    return Weights(*(rng.uniform(0.3, 1.5, one.shape) for one in (ones.cell, ones.own, ones.calm)))


@settings(max_examples=5)
@given(seed=st.integers(0, 10**6), order=st.integers(2, 4), months=st.integers(8, 26))
def test_likelihood_cells_and_weights_equal_the_dense_twin(seed: int, order: int, months: int) -> None:
    """Every unknown cell: in holes, before a series begins, after it ends, monthly and quarterly."""
    rng = np.random.default_rng(seed)
    p, values = drawn(rng, order=order, months=months)
    values = torn(rng, values)
    view = look(Grid(24001, p.names, p.monthly, values), p)
    assert view.found.loglike == pytest.approx(dense_loglike(p, values), rel=1e-9, abs=1e-8)
    mean, variance = dense_mean(p, values)
    for column in range(7):
        for row in rng.permutation(months)[:5]:
            row = int(row) if column < 5 else int(row) // 3 * 3 + 1
            if row >= months:
                continue
            found = cell(view, row, column)
            assert found.mean == pytest.approx(mean[row, column], abs=1e-8)
            assert found.variance == pytest.approx(variance[row, column], abs=1e-8)
            weight = data_weights(view, found, column)
            assert float((weight * np.nan_to_num(values)).sum()) == pytest.approx(found.mean, abs=1e-8)
            assert not weight[np.isnan(values)].any()


@pytest.mark.parametrize(("order", "weighed"), [(2, True), pytest.param(3, False, marks=pytest.mark.long)])
def test_score_is_the_derivative_of_the_likelihood(order: int, weighed: bool) -> None:
    rng = np.random.default_rng(3)
    p, values = drawn(rng, order=order)
    cells = Cells.of(lay_out(torn(rng, values), p.monthly, p.factors, p.order, own_order=order))
    if weighed:
        cells = Cells.of(cells.layout, weights_of(cells, rng))
    theta, gradient = gradient_at(cells, p)
    np.testing.assert_allclose(unpack(theta, p).own_lags, p.own_lags, rtol=1e-10)
    for k in range(len(theta)):
        ends = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[k] += sign * 1e-5
            ends.append(smooth(cells, unpack(moved, p), moments=False).loglike)
        assert (ends[0] - ends[1]) / 2e-5 == pytest.approx(gradient[k], rel=1e-5, abs=1e-5)


def test_without_further_memory_it_is_the_first_order() -> None:
    rng = np.random.default_rng(5)
    p, values = drawn(rng, months=40)
    q = with_lags(p, np.column_stack([p.memory, np.zeros(7)]))
    first, second = (look(Grid(24001, p.names, 5, values), one) for one in (p, q))
    assert second.found.loglike == pytest.approx(first.found.loglike, rel=1e-12)
    np.testing.assert_allclose(second.found.factor_means, first.found.factor_means, rtol=1e-9, atol=1e-11)


@settings(max_examples=4)
@given(seed=st.integers(0, 10**6), order=st.integers(2, 3), crisis=st.booleans())
def test_the_objective_never_falls(seed: int, order: int, crisis: bool) -> None:
    """Weights in turn, with holes, outliers and a crisis."""
    rng = np.random.default_rng(seed)
    p, values = drawn(rng, order=order, months=36)
    values = torn(rng, values)
    values[rng.integers(0, 36), 1] = 12.0
    robust, rows = Robust(), np.array([12, 13]) if crisis else NO_CRISIS
    cells = Cells.of(lay_out(values, p.monthly, p.factors, p.order, own_order=order))
    path = []
    for _ in range(6):
        found = smooth(cells, p)
        path.append(found.loglike + weight_density(cells, robust, rows))
        cells = Cells.of(cells.layout, reweigh(cells, found, robust, rows))
    assert np.all(np.diff(path) > -1e-8)


@pytest.mark.parametrize(("order", "weighed"), [(2, False), (3, True)])
def test_steps_of_expectation_maximisation_raise_the_likelihood(order: int, weighed: bool) -> None:
    rng = np.random.default_rng(4)
    p, values = drawn(rng, order=order, months=90)
    cells = Cells.of(lay_out(values, p.monthly, p.factors, p.order, own_order=order))
    if weighed:
        cells = Cells.of(cells.layout, weights_of(cells, rng))
    path = []
    for _ in range(6):
        found = smooth(cells, p)
        path.append(found.loglike)
        p = maximise(cells, moments(cells, found), p)
    assert np.all(np.diff(path) > 0)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), order=st.integers(1, 6))
def test_every_partial_autocorrelation_is_a_stationary_memory(seed: int, order: int) -> None:
    rng = np.random.default_rng(seed)
    partial = rng.uniform(-0.95, 0.95, (3, order))
    lags = lags_of(partial)
    np.testing.assert_allclose(partial_of(lags), partial, rtol=1e-6, atol=1e-7)
    for k in range(order):
        step = np.zeros(order)
        step[k] = 1e-6
        slope = (lags_of(partial + step) - lags_of(partial - step)) / 2e-6
        np.testing.assert_allclose(partial_slopes(partial)[:, :, k], slope, rtol=1e-6, atol=1e-6)
    roots = np.roots(np.concatenate([[1.0], -lags[0]]))
    assert np.abs(roots).max() < 1.0
    # With equal weights nothing changes from month to month.
    begun, later = (spread_at(lags[0], 1.0, np.ones((9, 1)), 0, row) for row in (0, 8))
    np.testing.assert_allclose(later, begun, rtol=1e-6)


def economy(months: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One factor; own errors of order two, whose first two autocorrelations an AR(1) cannot both have."""
    rng = np.random.default_rng(seed)
    f, e = np.zeros(months + 4), np.zeros((months + 4, 6))
    for t in range(2, months + 4):
        f[t] = 0.7 * f[t - 1] + rng.normal()
        e[t] = 0.1 * e[t - 1] + 0.7 * e[t - 2] + rng.normal(size=6)
    x = pd.DataFrame(f[4:, None] + e[4:], pd.period_range("2000-01", periods=months, freq="M"))
    x.columns = [f"m{i}" for i in range(6)]
    growth = sum((3 - abs(lag - 2)) * f[4 - lag : months + 4 - lag] for lag in range(5))[2::3] / 9
    y = pd.DataFrame({"gdp": growth + 0.3 * rng.normal(size=months // 3)})
    y.index = pd.period_range("2000Q1", periods=months // 3, freq="Q")
    x.iloc[40:47, 0] = np.nan
    x.iloc[-1, 3:] = np.nan
    return x, y.iloc[:-1]


@pytest.mark.long
@pytest.mark.parametrize("robust", [None, Robust(volatility=0.2)])
def test_a_fit_finds_memory_and_its_news_add_up(robust: Robust | None) -> None:
    x, y = economy(120, 1)
    fitted = DynamicFactorModel(idiosyncratic="ar2", robust=robust).fit(x, y)
    found = fitted.parameters.own_lags[:6]
    assert found.shape == (6, 2)
    np.testing.assert_allclose(found.mean(axis=0), [0.1, 0.7], atol=0.12)
    assert "AR(2)" in fitted.summary()
    assert "memory2" in fitted.to_frame()
    if robust is None:
        assert fitted.loglike == pytest.approx(loglike(fitted.parameters, x, y, compiled=False), rel=1e-8)
    short = loglike(with_lags(fitted.parameters, partial_of(fitted.parameters.own_lags)[:, :1]), x, y)
    assert robust is not None or fitted.loglike > short + 50.0
    old = x.iloc[:-2].copy()
    old.iloc[-1, 2] = np.nan
    old.iloc[30, 1] += 1.0
    # The vintage before, at other parameters: they need not be the best for news to add up.
    before = replace(fitted, parameters=with_lags(fitted.parameters, 0.9 * fitted.parameters.own_lags))
    before = before.updated(gather(old, y))
    news = before.news(x, y, "gdp", "2009-Q4", refit=fitted)
    change = fitted.nowcast("gdp", "2009-Q4").mean - before.nowcast("gdp", "2009-Q4").mean
    assert news.total == pytest.approx(change, abs=1e-10)
    assert set(news.to_frame()["kind"]) >= {"release", "revision", "parameters"}
