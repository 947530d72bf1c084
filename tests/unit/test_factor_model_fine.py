"""The factor model on weeks and days: its weights, likelihood, score, learning, refusals, news and density."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsroom.measure.nowcast.dfm.parameters import FactorBlock, companion
from opsroom.measure.nowcast.dfm.search import pack, unpack
from opsroom.measure.nowcast.fine import calendar
from opsroom.measure.nowcast.fine.grid import FineGrid, gather
from opsroom.measure.nowcast.fine.look import cell, data_weights, look
from opsroom.measure.nowcast.fine.parameters import FineParameters
from opsroom.measure.nowcast.fine.pattern import lay_out
from opsroom.measure.nowcast.fine.smooth import smooth
from opsroom.measure.nowcast.fine.step import FinePanel, equations, gradient, moments
from opsroom.measure.nowcast.fine.twin import dense_loglike, dense_mean, dense_weights

DAYS = {"D": "D", "W": "W-SUN", "M": "M", "Q": "Q-DEC"}


def drawn(rng: np.random.Generator, base: str, *, ar1: bool, order: int, days: int) -> tuple[FineParameters, FineGrid]:
    """Draw parameters of two factors in blocks or not, and tables of every frequency with holes and ragged ends."""
    start = pd.Timestamp("2019-01-01") + pd.Timedelta(days=int(rng.integers(0, 700)))
    tables: dict[str, pd.DataFrame | None] = {}
    for frequency in calendar.FREQUENCIES[calendar.FREQUENCIES.index(base) :]:
        index = pd.period_range(start, start + pd.Timedelta(days=days), freq=DAYS[frequency])
        values = rng.normal(size=(len(index), 2))
        values[rng.random(values.shape) < 0.3] = np.nan
        values[len(values) // 3 : len(values) // 2, 0] = np.nan
        tables[frequency] = pd.DataFrame(values, index=index, columns=[f"{frequency}0", f"{frequency}1"])
    grid = gather(tables, levels=["M1", "Q1"], base=base)
    n, r = len(grid.names), 2
    apart = bool(rng.integers(0, 2))
    blocks = (FactorBlock((0,), order), FactorBlock((1,), 1)) if apart else (FactorBlock((0, 1), order),)
    loads = np.ones((n, r), dtype=bool)
    loads[::3, 1] = not apart
    like = FineParameters(
        grid.names, 2, ("a", "b"), blocks, loads, np.where(loads, rng.normal(size=(n, r)), 0.0),
        np.zeros((r, r * order)), np.eye(r), rng.uniform(-0.9, 0.95, n) if ar1 else np.zeros(n),
        rng.uniform(0.2, 2.0, n), np.zeros(n), np.ones(n), ar1, base=base, frequencies=grid.frequencies,
        levels=grid.levels,
    )  # fmt: skip
    transition = np.where(like.lags_used, rng.normal(size=(r, r * order)), 0.0)
    radius = np.abs(np.linalg.eigvals(companion(transition))).max()
    pull = np.repeat((0.95 / max(radius, 0.95)) ** np.arange(1, order + 1), r)
    return replace(like, transition=transition * pull), grid


def test_weights_of_quarters_in_months_are_those_of_mariano_and_murasawa() -> None:
    start, found = calendar.weights(200, "Q", "M", level=False)
    assert start == 3 * 200 - 2
    np.testing.assert_allclose(found * 3.0, [1, 2, 3, 2, 1], rtol=1e-15)
    start, found = calendar.weights(200, "Q", "M", level=True)
    assert start == 600
    np.testing.assert_allclose(found, [1 / 3] * 3, rtol=1e-15)


def test_weights_of_a_month_in_weeks_follow_the_calendar() -> None:
    """May 2020 has four Thursdays (7th to 28th), April five (2nd to 30th)."""
    may = calendar.read("2020-05", "M")
    start, found = calendar.weights(may, "M", "W", level=False)
    assert start == calendar.read("2020-W15", "W")  # the second week of April; the first has no weight
    np.testing.assert_allclose(found, [1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 3 / 4, 2 / 4, 1 / 4], rtol=1e-15)
    start, found = calendar.weights(calendar.read("2020-W10", "W"), "W", "D", level=False)
    assert start == calendar.read("2020-02-25", "D")  # the Tuesday of the week before
    np.testing.assert_allclose(found * 7, [1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1], rtol=1e-15)


@pytest.mark.parametrize("base", ["M", "W", "D"])
def test_weights_equal_averages_of_cumulated_growth(base: str) -> None:
    rng = np.random.default_rng(0)
    _, grid = drawn(rng, base, ar1=True, order=1, days=500)
    plain = dense_weights(grid)
    assert len({i for _, i in plain}) == len(grid.names)
    for (row, column), expected in plain.items():
        start, found = grid.weights(grid.number(row, column), column)
        out = np.zeros(len(expected))
        out[start : start + len(found)] = found
        np.testing.assert_allclose(out, expected, atol=1e-14)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), base=st.sampled_from(["M", "W", "D"]), ar1=st.booleans(), order=st.integers(1, 3))
def test_likelihood_and_cells_equal_dense_conditioning(seed: int, base: str, ar1: bool, order: int) -> None:
    rng = np.random.default_rng(seed)
    days = {"M": 1100, "W": 420, "D": 140}[base]
    p, grid = drawn(rng, base, ar1=ar1, order=order, days=days)
    view = look(grid, p)
    assert view.found.loglike == pytest.approx(dense_loglike(p, grid), rel=1e-8)
    cells, mean, variance = dense_mean(p, grid)
    for k in rng.choice(len(cells), size=12, replace=False):
        row, column = cells[k]
        found = cell(view, row, column)
        assert found.mean == pytest.approx(mean[k], rel=1e-8, abs=1e-8)
        assert found.variance == pytest.approx(variance[k], rel=1e-8, abs=1e-8)
        weight = data_weights(view, found, column)
        assert float((weight * np.nan_to_num(grid.values)).sum()) == pytest.approx(found.mean, rel=1e-8, abs=1e-8)
        assert not weight[np.isnan(grid.values)].any()


@pytest.mark.parametrize("base", ["W", "D"])
@pytest.mark.parametrize("ar1", [True, False])
def test_score_is_the_derivative_of_the_likelihood(base: str, ar1: bool) -> None:
    rng = np.random.default_rng(5)
    p, grid = drawn(rng, base, ar1=ar1, order=2, days={"W": 420, "D": 150}[base])
    pattern = lay_out(grid, grid.values, 2, 2, chained=ar1)
    m = moments(smooth(pattern, p))
    theta, step = pack(p), 1e-5
    for k, expected in enumerate(gradient(pattern, m, p, equations(pattern, m, p))):
        ends = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[k] += sign * step
            ends.append(smooth(pattern, unpack(moved, p), moments=False).loglike)
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=2e-5)


def test_steps_of_expectation_maximisation_raise_the_likelihood() -> None:
    for seed, ar1 in ((1, True), (2, True), (3, False)):
        rng = np.random.default_rng(seed)
        p, grid = drawn(rng, "W", ar1=ar1, order=1, days=900)
        panel = FinePanel(lay_out(grid, grid.values, 2, 1, chained=ar1))
        path = []
        for _ in range(8):
            found = panel.smooth(p)
            path.append(found.loglike)
            p = panel.improve(found, p)
        assert np.all(np.diff(path) > 0)
