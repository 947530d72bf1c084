"""Wild months have more than one explanation: which is kept, and that it is the likeliest by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from opsroom.measure.nowcast.dfm.grid import gather
from opsroom.measure.nowcast.dfm.layout import lay_out
from opsroom.measure.nowcast.dfm.model import DynamicFactorModel, FittedFactorModel
from opsroom.measure.nowcast.dfm.robust import Robust, carried, settle
from opsroom.measure.nowcast.dfm.smooth import Cells, Weights, standardise
from opsroom.measure.nowcast.dfm.tops import REACH, objective, settle_highest

ROBUST = Robust()
NONE = np.zeros(0, dtype=np.int64)


def drawn(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw ten years of six series; in the last five months most follow shocks in common, some go ways of their own."""
    rng = np.random.default_rng(seed)
    months, n = 120, 6
    factor = np.zeros(months)
    for t in range(1, months):
        factor[t] = 0.6 * factor[t - 1] + rng.normal()
    load = rng.uniform(0.6, 1.2, n)
    values = factor[:, None] * load + rng.normal(0, 0.6, (months, n))
    values[-5:] += rng.normal(0, 12, (5, 1)) * load * (rng.random((5, n)) < 0.6)
    values[-5:] += rng.normal(0, 6, (5, n)) * (rng.random((5, n)) < 0.4)
    index = pd.period_range("2010-01", periods=months, freq="M")
    monthly = pd.DataFrame(values, index=index, columns=[f"s{k}" for k in range(n)])
    for k in range(n):
        missing = rng.integers(0, 3)
        if missing:
            monthly.iloc[-missing:, k] = np.nan
    growth = pd.Series(factor, index=index).groupby(index.asfreq("Q")).mean()
    return monthly, pd.DataFrame({"gdp": growth + rng.normal(0, 0.1, months // 3)})


def begun(seed: int) -> tuple[FittedFactorModel, Cells, pd.DataFrame, pd.DataFrame]:
    """Learn a model before the wild months, and lay out the panel that holds them."""
    monthly, quarterly = drawn(seed)
    fitted = DynamicFactorModel(factors=1, robust=ROBUST).fit(monthly.iloc[:-6], quarterly.iloc[:-2])
    assert fitted.weights is not None
    grid, p = gather(monthly, quarterly.iloc[:-2]), fitted.parameters
    layout = lay_out(standardise(grid.values, p), p.monthly, p.factors, p.order, own_order=p.own_order)
    cells = Cells.of(layout, carried(fitted.weights, fitted.grid, grid, layout.lead))
    return fitted, cells, monthly, quarterly.iloc[:-2]


@pytest.mark.parametrize("seed", [1, 36])
def test_the_likeliest_of_all_explanations_is_found_where_the_first_is_far_from_it(seed: int) -> None:
    fitted, cells, monthly, quarterly = begun(seed)
    p = fitted.parameters
    first = settle(cells, p, ROBUST, NONE, rounds=200, tol=1e-10, held=True)
    found = settle_highest(cells, p, ROBUST, NONE, rounds=200, tol=1e-10, held=True)
    every = []
    for common in itertools.product((True, False), repeat=REACH):
        cell, calm = first.weights.cell.copy(), first.weights.calm.copy()
        for month, is_common in enumerate(common, start=-REACH):
            calm[month], cell[month] = (0.05, 1.0) if is_common else (1.0, 0.05)
        other = Cells.of(cells.layout, Weights(cell, first.weights.own, calm))
        every.append(objective(settle(other, p, ROBUST, NONE, rounds=200, tol=1e-7, held=True), p, ROBUST, NONE))
    assert max(every) > objective(first, p, ROBUST, NONE) + np.log(1000)
    assert objective(found, p, ROBUST, NONE) >= max(every) - 1e-3
    updated = fitted.updated(gather(monthly, quarterly))
    assert updated.weights is not None
    np.testing.assert_allclose(updated.weights.calm, found.weights.calm, rtol=1e-3)


@pytest.mark.parametrize("seed", [8, 22])
def test_an_explanation_that_is_only_a_little_likelier_does_not_turn_the_first_over(seed: int) -> None:
    fitted, cells, _, _ = begun(seed)
    p = fitted.parameters
    first = settle(cells, p, ROBUST, NONE, rounds=200, tol=1e-10, held=True)
    found = settle_highest(cells, p, ROBUST, NONE, rounds=200, tol=1e-10, held=True)
    np.testing.assert_array_equal(found.weights.cell, first.weights.cell)
    np.testing.assert_array_equal(found.weights.calm, first.weights.calm)


def test_a_crisis_that_is_named_has_its_own_scale_and_is_not_explained_anew() -> None:
    fitted, cells, _, _ = begun(36)
    p, months = fitted.parameters, len(cells.layout.values)
    named = np.arange(months - REACH, months)
    first = settle(cells, p, ROBUST, named, rounds=200, tol=1e-10, held=True)
    found = settle_highest(cells, p, ROBUST, named, rounds=200, tol=1e-10, held=True)
    np.testing.assert_array_equal(found.weights.calm, first.weights.calm)
