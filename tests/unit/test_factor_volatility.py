"""Volatility that moves slowly: the path against a dense twin, one objective, what it recovers and how it covers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from tests.factor_worlds import drawn

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast import DynamicFactorModel, Robust
from opsroom.measure.nowcast.dfm import walk
from opsroom.measure.nowcast.dfm.density import curvature, parameter_variance, width_doubt
from opsroom.measure.nowcast.dfm.layout import lay_out
from opsroom.measure.nowcast.dfm.look import cell
from opsroom.measure.nowcast.dfm.results import half_width, quantiles
from opsroom.measure.nowcast.dfm.robust import reweigh, settle, weight_density
from opsroom.measure.nowcast.dfm.smooth import Cells, smooth
from opsroom.measure.nowcast.dfm.volatility import absorbed, still

NO_CRISIS = np.zeros(0, dtype=np.int64)


def economy(months: int, deviation: np.ndarray, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One factor, six monthly series and a quarterly one, all of whose innovations have one deviation by month."""
    rng = np.random.default_rng(seed)
    sd = np.concatenate([np.repeat(deviation[0], 4), deviation])
    f = np.zeros(months + 4)
    for t in range(1, len(f)):
        f[t] = 0.7 * f[t - 1] + sd[t] * rng.normal()
    x = f[4:, None] * rng.uniform(0.5, 1.2, 6) + 1.5 * deviation[:, None] * rng.normal(size=(months, 6))
    own = sd * rng.normal(size=months + 4)
    g = f + 0.7 * own
    y = sum((3 - abs(lag - 2)) * g[4 - lag : months + 4 - lag] for lag in range(5))[2::3] / 3
    index = pd.period_range("1985-01", periods=months, freq="M")
    quarters = pd.period_range("1985Q1", periods=months // 3, freq="Q")
    return pd.DataFrame(x, index=index, columns=[f"m{i}" for i in range(6)]), pd.DataFrame({"gdp": 2 + y}, quarters)


def halves(months: int, first: float, second: float) -> np.ndarray:
    return np.where(np.arange(months) < months // 2, first, second)


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), points=st.integers(2, 16), held=st.booleans(), size=st.floats(-3.0, 0.5))
def test_a_path_is_the_lowest_point_that_a_general_search_finds(
    seed: int, points: int, held: bool, size: float
) -> None:
    """The dense twin writes down the whole penalty matrix; the marginal likelihood is its log determinant's."""
    rng = np.random.default_rng(seed)
    at = np.concatenate([np.arange(points), rng.integers(0, points, points)])  # a point may have several squares
    count = len(at)
    square, dimension = rng.chisquare(1, count) * np.exp(rng.normal(size=count)), rng.integers(1, 4, count) * 1.0
    tail = np.where(rng.random(count) < 0.5, 0.0, rng.uniform(2.5, 9.0, count))
    step = 10.0**size * rng.integers(1, 5, points - 1)
    difference = np.diff(np.eye(points), axis=0)
    penalty = difference.T @ np.diag(1.0 / step) @ difference
    begun = rng.normal(size=points)

    def value(path: np.ndarray) -> float:
        x = square * np.exp(-path[at])
        own = np.where(tail > 0, (tail + dimension) * np.log1p(x / np.where(tail > 0, tail, 1.0)), x)
        return float(0.5 * (dimension * path[at] + own).sum() + 0.5 * path @ penalty @ path)

    def whole(free: np.ndarray) -> np.ndarray:
        return np.concatenate([begun[:1], free]) if held else free

    best = minimize(lambda v: value(whole(v)), begun[held:], method="BFGS", options={"gtol": 1e-9, "maxiter": 5000})
    path, info = begun.copy(), np.empty(points)
    marginal = walk.mode(path, at, square, dimension, tail, step, held, info)
    assert value(path) <= best.fun + 1e-9 * (1.0 + abs(best.fun))
    np.testing.assert_allclose(path, whole(best.x), atol=2e-4)
    x = square * np.exp(-path[at])
    each = np.where(tail > 0, 0.5 * (tail + dimension) * tail * x / np.where(tail > 0, tail + x, 1.0) ** 2, 0.5 * x)
    bend = np.bincount(at, each, minlength=points)
    curvature = (np.diag(bend) + penalty)[held:, held:]
    logdet = np.linalg.slogdet(curvature)[1] + np.log(step).sum()
    assert marginal == pytest.approx(-value(path) - 0.5 * logdet, rel=1e-8, abs=1e-7)
    assert 1.0 / info[-1] == pytest.approx(np.linalg.inv(curvature)[-1, -1], rel=1e-7)


@settings(max_examples=5)
@given(
    seed=st.integers(0, 10**6),
    order=st.integers(0, 3),
    size=st.sampled_from([0.05, 0.4, 1.5]),
    held=st.booleans(),
    crisis=st.booleans(),
)
def test_the_objective_never_falls(seed: int, order: int, size: float, held: bool, crisis: bool) -> None:
    rng = np.random.default_rng(seed)
    p, values = drawn(rng, order=order, months=36)
    values[:7, 2] = np.nan
    values[20:] *= 3.0
    values[rng.integers(0, 36), 0] = 12.0
    robust = Robust(volatility=size)
    rows = np.array([12, 13]) if crisis else NO_CRISIS
    layout = lay_out(values, p.monthly, p.factors, p.order, own_order=order)
    cells = Cells.of(layout)
    cells = Cells.of(layout, cells.weights.under(still(layout, robust)))
    path = []
    for _ in range(6):
        found = smooth(cells, p)
        path.append(found.loglike + weight_density(cells, robust, rows))
        cells = Cells.of(layout, reweigh(cells, found, robust, rows, held=held))
        if not held:
            before = smooth(cells, p, moments=False).loglike + weight_density(cells, robust, rows)
            cells, p = absorbed(cells, p)
            after = smooth(cells, p, moments=False).loglike + weight_density(cells, robust, rows)
            assert after == pytest.approx(before, rel=1e-10, abs=1e-8)
            assert abs(float(cells.weights.volatility.shocks.mean())) < 1e-12  # type: ignore[union-attr]  # it has one
    assert np.all(np.diff(path) > -1e-8)
    assert path[-1] > path[0] + 1.0


@settings(max_examples=4)
@given(seed=st.integers(0, 10**6), order=st.integers(0, 2))
def test_without_steps_it_is_the_model_without_volatility(seed: int, order: int) -> None:
    rng = np.random.default_rng(seed)
    p, values = drawn(rng, order=order, months=30)
    plain, small = Robust(), Robust(volatility=1e-9)
    layout = lay_out(values, p.monthly, p.factors, p.order, own_order=order)
    without = settle(Cells.of(layout), p, plain, NO_CRISIS, rounds=8, tol=-np.inf)
    begun = Cells.of(layout, Cells.of(layout).weights.under(still(layout, small)))
    within = settle(begun, p, small, NO_CRISIS, rounds=8, tol=-np.inf, held=True)
    for name in ("cell", "own", "calm"):
        np.testing.assert_allclose(getattr(within.weights, name), getattr(without.weights, name), rtol=1e-9)
    assert smooth(within, p).loglike == pytest.approx(smooth(without, p).loglike, rel=1e-10)


@pytest.mark.long
def test_a_fit_without_steps_is_the_fit_without_volatility() -> None:
    x, y = economy(120, np.ones(120), 3)
    plain = DynamicFactorModel(robust=Robust()).fit(x, y.iloc[:-1], tol=1e-8)
    small = DynamicFactorModel(robust=Robust(volatility=1e-7)).fit(x, y.iloc[:-1], tol=1e-8)
    np.testing.assert_allclose(small.parameters.loadings, plain.parameters.loadings, atol=2e-3)
    a, b = (fitted.nowcast("gdp", "1994-Q4") for fitted in (plain, small))
    assert (b.mean, b.filter_sd) == pytest.approx((a.mean, a.filter_sd), abs=2e-3)
    # Only a width that moves is taken as made of estimated parameters: it is in doubt, and a little larger for that.
    assert b.wobble > a.wobble > 0
    assert a.sd < b.sd < 1.02 * a.sd


@pytest.mark.long
@pytest.mark.parametrize(("first", "second"), [(2.0, 1.0), (1.0, 2.0)])
def test_volatility_that_halves_or_doubles_is_found(first: float, second: float) -> None:
    """As in the Great Moderation: the deviation of everything halves at mid-sample. The walk rounds the corner."""
    months = 240
    x, y = economy(months, halves(months, first, second), 1)
    fitted = DynamicFactorModel(robust=Robust(volatility="walk")).fit(x, y.iloc[:-1])
    moving = fitted.volatility()
    assert list(moving.columns) == ["factors", *x.columns, "gdp"]
    ratio = moving.iloc[-months // 3 :].mean() / moving.iloc[: months // 3].mean()
    truth = second / first
    assert np.all((ratio.to_numpy() > 0.75 * truth) & (ratio.to_numpy() < 1.33 * truth))
    assert float(ratio["gdp"]) == pytest.approx(truth, rel=0.15)
    report = fitted.report
    assert report is not None
    assert np.all(np.diff(report.path) >= 0)
    # What lies ahead has the volatility of the end, not that of the average.
    assert fitted.weights is not None
    plain = replace(fitted, weights=fitted.weights.tails())
    wide, usual = (f.nowcast("gdp", "2005-Q2", parameter_uncertainty=False).sd for f in (fitted, plain))
    assert wide / usual < 0.85 if second < first else wide / usual > 1.2


@pytest.mark.long
def test_where_nothing_moves_little_is_found() -> None:
    x, y = economy(180, np.ones(180), 5)
    fitted = DynamicFactorModel(robust=Robust(volatility="walk")).fit(x, y)
    assert float(np.abs(np.log(fitted.volatility().to_numpy())).mean()) < 0.1


def test_an_outlier_is_no_volatility_and_counts_as_missing() -> None:
    """One monthly number 20 deviations off: a quarter of a deviation is all that it adds to being missing."""
    x, y = economy(120, halves(120, 2.0, 1.0), 9)
    wild, missing = x.copy(), x.copy()
    wild.iloc[-2, 2] += 20.0 * float(x["m2"].diff().std())
    missing.iloc[-2, 2] = np.nan
    far = {}
    for name, robust in (("gaussian", None), ("volatility", Robust(volatility="walk"))):
        fitted = DynamicFactorModel(robust=robust).fit(x, y.iloc[:-1])
        sd = fitted.nowcast("gdp", "1994-Q4").sd
        moved, left_out = (fitted.news(t, y.iloc[:-1], "gdp", "1994-Q4").total / sd for t in (wild, missing))
        far[name] = abs(moved - left_out)
    assert far["gaussian"] > 2.0
    ends = fitted.volatility().iloc[[12, -12]].to_numpy()
    assert 0.4 < float((ends[1] / ends[0]).mean()) < 0.75  # the truth is 0.5
    assert far["volatility"] < 0.25
    # Learnt anew with the outlier in it: a Student weight takes it up, the paths do not.
    again = DynamicFactorModel(robust=Robust(volatility="walk")).fit(wild, y.iloc[:-1], start=fitted.parameters)
    assert abs(again.nowcast("gdp", "1994-Q4").mean - fitted.nowcast("gdp", "1994-Q4").mean) < 0.3 * sd
    np.testing.assert_allclose(again.volatility(), fitted.volatility(), rtol=0.2)


@pytest.mark.long
def test_drift_and_volatility_together() -> None:
    x, y = economy(180, halves(180, 2.0, 1.0), 9)
    slope = np.linspace(3.0, -3.0, 60)
    model = DynamicFactorModel(robust=Robust(volatility="walk", drift=12.0))
    flat, falling = (model.fit(x, table.iloc[:-1]) for table in (y, y.add(slope, axis=0)))
    a, b = (fitted.nowcast("gdp", "1999-Q4") for fitted in (flat, falling))
    # The mean has fallen by 3 from its middle; a moving average that looks back lags behind.
    assert -3.3 < b.mean - a.mean < -1.2
    assert b.sd == pytest.approx(a.sd, rel=0.25)
    assert float(falling.volatility()["gdp"].iloc[-1]) < 0.9


@pytest.mark.parametrize("volatility", [0.0, -0.2, 20.0, "jump", True])
def test_a_volatility_that_is_none_is_refused(volatility: object) -> None:
    with pytest.raises(UsageError, match="volatility"):
        Robust(volatility=volatility)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("wobble", [0.3, 1.0])
def test_quantiles_of_an_uncertain_variance_are_those_of_draws(wobble: float) -> None:
    rng = np.random.default_rng(1)
    z = rng.normal(size=10**6) * np.exp(0.5 * (wobble * rng.normal(size=10**6) - 0.5 * wobble**2))
    assert z.std() == pytest.approx(1.0, rel=0.01)
    for level in (0.95, 0.84, 0.25):
        assert half_width(level, wobble) == pytest.approx(abs(np.quantile(z, level)), rel=0.01)
    assert half_width(0.95, 0.0) == pytest.approx(1.6448536, abs=1e-6)


def test_a_width_far_ahead_is_as_unsure_as_the_parameters_that_it_is_made_of() -> None:
    """Far ahead of the data the variance is the factor's and the own error's in closed form; so is its slope."""
    x, y = economy(120, halves(120, 1.5, 1.0), 4)
    fitted = DynamicFactorModel(robust=Robust(volatility=0.3)).fit(x, y, tol=1e-5)
    row, column = len(x) + 60, 2
    view = fitted._view(row)
    curved = curvature(view, column)
    p, paths = view.parameters, view.cells.weights.volatility
    assert paths is not None
    load, phi, rho = float(p.loadings[column, 0]), float(p.transition[0, 0]), float(p.memory[column])
    common = load**2 * np.exp(paths.shocks[-1]) / (1 - phi**2)
    own = float(p.variance[column]) * np.exp(paths.series[-1, column]) / (1 - rho**2)
    assert cell(view, row, column).variance == pytest.approx(common + own, rel=1e-4)
    slope = np.array([2 * common / load, 2 * phi / (1 - phi**2) * common, 2 * rho * own]) / (common + own)
    expected = float(((curved.vectors.T @ slope) ** 2 / curved.values).sum())
    found = width_doubt(view, row, column, curved)
    assert found == pytest.approx(expected, rel=0.01)
    period = str(x.index[-1] + 61)
    said = fitted.nowcast(str(x.columns[column]), period)
    bare = parameter_variance(view, row, column, curved) * p.scale[column] ** 2
    assert said.parameter_sd**2 == pytest.approx(bare + said.filter_sd**2 * np.expm1(0.5 * found), rel=1e-8)
    assert said.wobble >= np.sqrt(0.9 * found)


@pytest.mark.parametrize("count", [4, 7, 30])
def test_past_errors_cover_what_they_are_said_to(count: int) -> None:
    """At the expected places of uniform errors the quantile of a level is the level, whatever their number."""
    errors = np.arange(1, count + 1) / (count + 1)
    history = pd.DataFrame({"error": errors, "sd": 1.0, "shock": False})
    levels, basis, used = quantiles(0.0, 1.0, shock=False, history=history)
    assert (basis, used) == ("past-errors", count)
    for level, inside in ((0.84, 0.68), (0.75, 0.5), (0.95, min(0.9, count / (count + 1)))):
        own = half_width(level, 0.0)
        assert levels[level] == pytest.approx((10 * own + count * inside) / (10 + count))


@pytest.mark.long
@pytest.mark.parametrize(("first", "second"), [(2.5, 1.0), (1.0, 2.5)])
def test_bands_cover_in_calm_and_in_wild_times(first: float, second: float) -> None:
    """Out of sample at the end of economies that became calm, or wild, at mid-sample: the Gaussian bands fail there.

    These forty economies' outcomes are by chance 1.2 times as wide as those of a great many: hence the low limits."""
    months, inside = 240, {}
    robust = Robust(tail=30.0, shock_tail=30.0, volatility="walk")  # the truth has no tails
    for name, model in (("gaussian", DynamicFactorModel()), ("volatility", DynamicFactorModel(robust=robust))):
        hits = []
        for seed in range(40):
            x, y = economy(months, halves(months, first, second), 100 + seed)
            fitted = model.fit(x.iloc[:-13], y.iloc[:-4], tol=1e-5)
            for ahead in range(1, 5):
                found = fitted.nowcast("gdp", y.index[-ahead])
                truth = float(y["gdp"].iloc[-ahead])
                hits.append([found.band(level)[0] <= truth <= found.band(level)[1] for level in (0.68, 0.9)])
        inside[name] = np.mean(hits, axis=0)
    limits = np.array([[0.58, 0.78], [0.79, 0.97]])
    assert np.all((inside["volatility"] > limits[:, 0]) & (inside["volatility"] < limits[:, 1]))
    if second < first:
        assert np.all(inside["gaussian"] > limits[:, 1])
    else:
        assert np.all(inside["gaussian"] < limits[:, 0])
