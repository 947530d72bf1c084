"""The band of a sum of normal and Student errors: against plain draws, and what a nowcast says with heavy tails."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from opsroom.measure.nowcast import DynamicFactorModel
from opsroom.measure.nowcast.dfm.density import with_tails
from opsroom.measure.nowcast.dfm.look import cell, look
from opsroom.measure.nowcast.dfm.results import half_width
from opsroom.measure.nowcast.dfm.tails import Part, _student, parts_of, wobble_of


@pytest.mark.parametrize("degrees", [2.5, 3.0, 5.0, 30.0])
def test_the_characteristic_function_is_the_mean_of_cosines(degrees: float) -> None:
    x = stats.t(degrees).ppf(np.linspace(0, 1, 200_001)[1:-1]) * np.sqrt((degrees - 2) / degrees)
    u = np.array([1e-9, 0.3, 1.0, 3.0])
    np.testing.assert_allclose(_student(u, degrees), [np.cos(v * x).mean() for v in u], atol=2e-4)


@pytest.mark.parametrize("degrees", [3.0, 5.0])
def test_one_student_error_has_its_own_quantile(degrees: float) -> None:
    own = stats.t(degrees).ppf(0.84) * np.sqrt((degrees - 2) / degrees)
    assert half_width(0.84, wobble_of([(2.0, degrees)], 2.0)) == pytest.approx(own, abs=2e-4)


@pytest.mark.parametrize(
    ("parts", "total"),
    [
        ([(0.5, 3.0)], 1.0),
        ([(0.3, 5.0), (0.2, 5.0), (0.1, 5.0), (0.3, 3.0)], 1.0),
        ([(0.1, 3.0), (0.9, 3.0), (1.5, 5.0)], 4.0),
        ([(0.7, 3.0), (0.6, 3.0)], 1.2),  # parts that overlap a little: as large as the whole at most
    ],
)
def test_a_sum_covers_what_it_says(parts: list[Part], total: float) -> None:
    rng = np.random.default_rng(7)
    heavy = sum(variance for variance, _ in parts)
    size = min(heavy, total) / heavy
    draws = np.sqrt(max(total - heavy, 0.0)) * rng.normal(size=400_000)
    for variance, degrees in parts:
        draws += np.sqrt(size * variance * (degrees - 2) / degrees) * rng.standard_t(degrees, size=400_000)
    wobble = wobble_of(parts, total)
    assert wobble > 0
    for level, slack in ((0.84, 0.004), (0.95, 0.02)):
        inside = np.mean(np.abs(draws) < half_width(level, wobble) * np.sqrt(total))
        assert inside == pytest.approx(2 * level - 1, abs=slack)
    normal = np.mean(np.abs(draws) < half_width(0.84, 0.0) * np.sqrt(total))
    assert normal > 0.69


def test_normal_errors_have_none() -> None:
    assert wobble_of([], 1.0) == 0.0
    assert wobble_of([(1.0, 3.0)], 0.0) == 0.0
    assert wobble_of([(1e-9, 3.0)], 1.0) == pytest.approx(0.0, abs=1e-3)


def test_the_parts_are_what_the_variance_lacks_without_them() -> None:
    """What is not known yet enters the variance in sums, so that it lacks its parts where they have no size."""
    rng = np.random.default_rng(3)
    f = np.convolve(rng.standard_t(3, size=163), 0.7 ** np.arange(20), mode="valid")
    months = pd.period_range("2000-01", periods=144, freq="M")
    x = pd.DataFrame({f"x{k}": f + rng.standard_t(5, size=144) for k in range(5)}, index=months)
    growth = pd.Series(f).rolling(5).apply(lambda g: g @ [1, 2, 3, 2, 1] / 9).to_numpy()[2::3]
    y = pd.DataFrame({"gdp": growth + 0.3 * rng.normal(size=48)}, index=pd.period_range("2000Q1", periods=48, freq="Q"))
    fitted = DynamicFactorModel(robust="student").fit(x[:-2], y[:-1], tol=1e-5)
    robust = fitted.robust
    assert robust is not None
    for series, period in (("gdp", "2011-Q4"), ("x0", "2011-12"), ("gdp", "2012-Q1")):
        column, row = fitted.grid.column(series), fitted.grid.row(series, period)
        view = fitted._view(row)
        weights = with_tails(view.cells.weights, robust, view, row, column)
        parts = parts_of(view, weights, robust, row, column)
        bare, at = (
            {name: getattr(weights, name).copy() for name in ("cell", "own", "calm")},
            row + view.cells.layout.lead,
        )
        bare["calm"][view.cells.layout.newest() + view.cells.layout.lead + 1 :] = 1e12
        if series == "gdp":
            bare["own"][at - 2 : at + 1, 0] = 1e12
        else:
            bare["cell"][row, column] = 1e12
        whole = cell(look(view.grid, view.parameters, weights), row, column).variance
        rest = cell(look(view.grid, view.parameters, replace(weights, **bare)), row, column).variance
        assert sum(variance for variance, _ in parts) == pytest.approx(whole - rest, rel=0.02)
        assert {degrees for _, degrees in parts} == {3.0, 5.0}
        said = fitted.nowcast(series, period)
        assert said.wobble == pytest.approx(wobble_of(parts, (said.sd / fitted.parameters.scale[column]) ** 2))
        low, high = said.band(0.68)
        assert 0.7 * 1.98 * said.sd < high - low < 0.99 * 1.98 * said.sd
        # A normal error that the model does not know of makes the whole more nearly normal.
        wide = fitted.nowcast(series, period, beyond=2.0 * said.sd)
        assert (wide.mean, wide.filter_sd) == (said.mean, said.filter_sd)
        assert wide.sd == pytest.approx(np.sqrt(5.0) * said.sd)
        assert wide.wobble == pytest.approx(wobble_of(parts, (wide.sd / fitted.parameters.scale[column]) ** 2))
        assert wide.wobble < said.wobble
        low, high = wide.band(0.68)
        assert high - low == pytest.approx(2 * half_width(0.84, wide.wobble) * wide.sd)
    assert DynamicFactorModel().fit(x[:-2], y[:-1], tol=1e-5).nowcast("gdp", "2011-Q4").wobble == 0.0
