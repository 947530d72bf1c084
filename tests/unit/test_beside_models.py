"""Autoregression, bridge equations and MIDAS: equal to plain least squares, honest variances, refusals."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.optimize import approx_fprime, minimize
from statsmodels.tsa.ar_model import AutoReg

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast import Autoregression, Bridge, Forecast, Midas, MixedBvar, backtest
from opsroom.measure.nowcast.benchmark import bridge
from opsroom.measure.nowcast.beside import almon
from opsroom.measure.nowcast.beside.autoregression import carry
from opsroom.measure.nowcast.beside.bridge import by_quarter
from opsroom.measure.nowcast.beside.edge import edge_of
from opsroom.measure.nowcast.beside.equation import Equation, combine, covariance
from opsroom.measure.nowcast.beside.midas import skipped
from opsroom.measure.nowcast.dfm.backtest import autoregression
from opsroom.measure.nowcast.panel import GROWTH, LEVEL, Panel

Table = tuple[pd.DataFrame, pd.DataFrame]


def economy(quarters: int = 60, *, seed: int = 0, series: int = 3, noise: float = 0.5) -> Table:
    """One persistent factor, `series` months of it with noise, and growth of its quarters; all known."""
    rng = np.random.default_rng(seed)
    f = np.zeros(3 * quarters + 4)
    for t in range(1, len(f)):
        f[t] = 0.7 * f[t - 1] + rng.normal()
    months = pd.period_range("2001-01", periods=3 * quarters, freq="M")
    names = [f"x{k}" for k in range(series)]
    x = pd.DataFrame(f[4:, None] + 0.8 * rng.normal(size=(3 * quarters, series)), index=months, columns=names)
    growth = sum((3 - abs(lag - 2)) * f[4 - lag : len(f) - lag] for lag in range(5)) / 9
    y = 1.0 + growth[2::3] + noise * rng.normal(size=quarters)
    return x, pd.DataFrame({"gdp": y}, index=pd.period_range("2001Q1", periods=quarters, freq="Q"))


MONTHLY, QUARTERLY = economy()
LAST = pd.Period("2015Q4", "Q")
BEFORE = QUARTERLY[:"2015Q3"]
RAGGED = MONTHLY[:"2015-11"].copy()
RAGGED.loc["2015-11", "x1"] = np.nan


def sd_of(prediction: Any, df: float) -> float:
    return float(prediction.se_obs[0]) * np.sqrt(df / (df - 2.0))


# -- autoregression ----------------------------------------------------------------------------------------------------


def test_an_autoregression_of_order_one_is_the_benchmark_and_any_is_that_of_statsmodels() -> None:
    one = Autoregression(lags=1)(MONTHLY, BEFORE, "gdp", LAST + 1)
    assert one.mean == pytest.approx(autoregression(MONTHLY, BEFORE, "gdp", LAST + 1).mean, rel=1e-12)
    peer = AutoReg(BEFORE["gdp"].to_numpy(), 3, trend="c").fit()
    found = Autoregression(lags=3)(MONTHLY, BEFORE, "gdp", LAST + 1)
    assert found.mean == pytest.approx(peer.predict(len(BEFORE), len(BEFORE) + 1)[-1], rel=1e-10)
    assert found.notes == ("order 3",)
    assert "order 3" in found.summary()
    assert "Schwarz" in found.cite()
    assert list(found.to_frame()["mean"]) == [found.mean]
    told = Autoregression()(MONTHLY, QUARTERLY, "gdp", LAST)
    assert (told.mean, told.sd) == (QUARTERLY["gdp"].iloc[-1], 0.0)


def test_the_order_has_the_least_schwarz_criterion_on_the_same_rows() -> None:
    y = BEFORE["gdp"].to_numpy()
    criteria = []
    for p in range(1, 5):
        design = sm.add_constant(np.column_stack([y[4 - k : len(y) - k] for k in range(1, p + 1)]))
        rest = sm.OLS(y[4:], design).fit().resid
        criteria.append(len(rest) * np.log(rest @ rest / len(rest)) + (p + 1) * np.log(len(rest)))
    found = Autoregression(most=4)(MONTHLY, BEFORE, "gdp", LAST)
    assert found.notes == (f"order {1 + int(np.argmin(criteria))}",)


def test_a_forecasts_gradient_and_response_are_those_of_differences() -> None:
    y = np.r_[BEFORE["gdp"].to_numpy(), np.full(4, np.nan)]
    own = carry(y, y, 2, 2)
    known = y[:-4]
    design = np.column_stack([np.ones(len(known) - 2), known[1:-1], known[:-2]])
    beta = np.linalg.lstsq(design, known[2:], rcond=None)[0]

    def last(b: np.ndarray[Any, Any], shock: float = 0.0) -> float:
        path = [*known[-2:]]
        for k in range(4):
            path.append(b[0] + b[1] * path[-1] + b[2] * path[-2] + (shock if k == 0 else 0.0))
        return float(path[-1])

    assert own.values[-1] == pytest.approx(last(beta), rel=1e-12)
    np.testing.assert_allclose(own.gradient[-1], approx_fprime(beta, last, 1e-7), rtol=1e-5)
    assert own.moving[3] == pytest.approx(last(beta, 1.0) - last(beta), rel=1e-9)
    np.testing.assert_allclose(own.covariance, sm.OLS(known[2:], design).fit().cov_params(), rtol=1e-9)


def test_explosive_short_and_flat_series_are_refused() -> None:
    grown = 1.2 ** np.arange(40.0)
    with pytest.raises(FitError, match="explosive"):
        carry(np.r_[grown, np.nan], np.r_[grown, np.nan], 1, 1)
    with pytest.raises(FitError, match="too few"):
        carry(grown[:10], grown[:10], 1, 1)
    with pytest.raises(FitError, match="does not move"):
        carry(np.ones(40), np.ones(40), 1, 1)


# -- bridge ------------------------------------------------------------------------------------------------------------


def test_a_bridge_whose_quarter_is_known_is_least_squares() -> None:
    found = Bridge(series=["x0"])(MONTHLY, BEFORE, "gdp", LAST)
    aggregate = MONTHLY["x0"].rolling(5).apply(lambda v: v @ [1, 2, 3, 2, 1] / 9).to_numpy()[2::3]
    y = QUARTERLY["gdp"].to_numpy()
    design = np.column_stack([np.ones(59), aggregate[1:], y[:-1]])
    peer = sm.OLS(y[1:-1], design[:-1]).fit()
    told = peer.get_prediction(design[-1:])
    assert found.mean == pytest.approx(told.predicted_mean[0], rel=1e-10)
    assert found.sd == pytest.approx(sd_of(told, peer.df_resid), rel=1e-10)


def test_one_indicator_without_lags_of_the_target_is_the_rooms_benchmark() -> None:
    found = Bridge(series=["x1"], lags=1, target_lags=0)(RAGGED, BEFORE, "gdp", LAST)
    values = np.column_stack([np.full(180, np.nan), np.r_[RAGGED["x1"], np.nan]])
    values[2:177:3, 0] = BEFORE["gdp"]
    flags = np.array([True, False])
    panel = Panel(12 * 2001, ("gdp", "x1"), flags, values)
    assert found.mean == pytest.approx(bridge(panel, 179).growth, rel=1e-10)


def test_levels_are_averaged_and_growth_is_weighed() -> None:
    x = np.arange(9.0) ** 2
    np.testing.assert_allclose(by_quarter(x, LEVEL), [5 / 3, 50 / 3, 149 / 3])
    growth = by_quarter(x, GROWTH / GROWTH.sum())
    assert np.isnan(growth[0])
    assert growth[1] == pytest.approx((x[1] + 2 * x[2] + 3 * x[3] + 2 * x[4] + x[5]) / 9)
    a = Bridge(levels=["x0"], series=["x0"])(RAGGED, BEFORE, "gdp", LAST).mean
    assert a != Bridge(series=["x0"])(RAGGED, BEFORE, "gdp", LAST).mean


def test_what_comes_with_a_forecast_indicator_is_that_of_simulated_months() -> None:
    x, y = MONTHLY[["x0"]][:"2015-10"], BEFORE
    found = Bridge(lags=2, target_lags=0)(x, y, "gdp", LAST)
    edge = edge_of(x, y, "gdp", LAST).until()
    equation = Bridge(lags=2, target_lags=0)._one(edge, edge.learnt(), np.zeros((60, 0)), 0)
    known = x["x0"].to_numpy()
    design = np.column_stack([np.ones(len(known) - 2), known[1:-1], known[:-2]])
    peer = sm.OLS(known[2:], design).fit()
    rng = np.random.default_rng(1)
    coefficients = rng.multivariate_normal(peer.params, peer.cov_params(), 60_000)
    shocks = np.sqrt(peer.scale) * rng.normal(size=(60_000, 2))
    months = np.tile(known[-3:], (60_000, 1))
    for k in range(2):
        new = (
            coefficients[:, 0] + coefficients[:, 1] * months[:, -1] + coefficients[:, 2] * months[:, -2] + shocks[:, k]
        )
        months = np.column_stack([months, new])
    spread = (months @ np.array([1, 2, 3, 2, 1]) / 9).var()
    aggregate = x["x0"].rolling(5).apply(lambda v: v @ [1, 2, 3, 2, 1] / 9).to_numpy()[2::3]
    fit = sm.OLS(y["gdp"].to_numpy()[1:], sm.add_constant(aggregate[1:59])).fit()
    slope = fit.params
    assert equation.inherited == pytest.approx((slope[1] ** 2 + fit.bse[1] ** 2) * spread, rel=0.03)
    assert found.sd == pytest.approx(np.sqrt(equation.own + equation.inherited), rel=1e-12)
    # The error of a past quarter from the same distance: two months of it forecast by the same autoregression.
    past = known[: 3 * 40 + 1]
    months = [*past]
    for _ in range(2):
        months.append(float(peer.params @ [1.0, months[-1], months[-2]]))
    edge_q = np.array(months[-5:]) @ [1, 2, 3, 2, 1] / 9
    true_q = known[3 * 40 - 2 : 3 * 40 + 3] @ [1, 2, 3, 2, 1] / 9
    assert equation.error is not None
    assert equation.error[40] == pytest.approx(y["gdp"].iloc[40] - slope[0] - slope[1] * edge_q, rel=1e-9)
    assert equation.residual[40] == pytest.approx(y["gdp"].iloc[40] - slope[0] - slope[1] * true_q, rel=1e-9)
    assert equation.inherited > 0.05 * equation.own


@pytest.mark.long
@pytest.mark.parametrize("known", ["2013-06", "2012-12"])
@pytest.mark.parametrize("model", [Bridge(), Midas(weights="polynomial"), Midas(weights="unrestricted", lags=4)])
def test_stated_spread_is_that_of_the_errors(model: Any, known: str) -> None:
    """Standardised errors over drawn economies, indicators at different ragged edges, errors that go together."""
    z = []
    for seed in range(300):
        x, y = economy(50, seed=seed, noise=0.3)
        x = x[:known].copy()
        x.loc[known:, "x0"] = np.nan
        x.iloc[-2:, 1] = np.nan
        found = model(x, y[: str(pd.Period(known, "M").asfreq("Q") - 1)], "gdp", "2013-Q2")
        z.append((y["gdp"][pd.Period("2013Q2", "Q")] - found.mean) / found.sd)
    assert 0.9 < float(np.mean(np.square(z))) < 1.3


# -- MIDAS -------------------------------------------------------------------------------------------------------------


def test_free_weights_are_least_squares_on_the_months_that_are_known() -> None:
    found = Midas(weights="unrestricted", lags=4, series=["x1"])(RAGGED, BEFORE, "gdp", LAST)
    x, y = MONTHLY["x1"].to_numpy(), QUARTERLY["gdp"].to_numpy()
    # The first month of the quarter is the last one known.
    design = np.array([[1.0, *(x[3 * q - j] for j in range(4)), y[q - 1]] for q in range(1, 60)])
    peer = sm.OLS(y[1:-1], design[:-1]).fit()
    told = peer.get_prediction(design[-1:])
    assert found.mean == pytest.approx(told.predicted_mean[0], rel=1e-9)
    assert found.sd == pytest.approx(sd_of(told, peer.df_resid), rel=1e-9)
    assert found.pieces[0].months == 4
    # A ridge is least squares with as many made-up rows as slopes.
    ridge = Midas(weights="unrestricted", lags=4, series=["x1"], ridge=7.0)(RAGGED, BEFORE, "gdp", LAST)
    scale = design[:-1, 1:].std(axis=0)
    more = np.hstack([np.zeros((5, 1)), np.sqrt(7.0) * np.diag(scale)])
    beta = np.linalg.lstsq(np.vstack([design[:-1], more]), np.r_[y[1:-1], np.zeros(5)], rcond=None)[0]
    assert ridge.mean == pytest.approx(float(design[-1] @ beta), rel=1e-9)


def test_schwarz_takes_the_lags_that_matter() -> None:
    x, y = economy(100, noise=0.0)
    signal = x["x0"].to_numpy()
    y["gdp"] = 1.0 + 0.8 * signal[2::3] - 0.5 * signal[1::3] + 0.05 * np.random.default_rng(0).normal(size=100)
    found = Midas(weights="unrestricted", series=["x0"], target_lags=0)(x, y[:"2025Q3"], "gdp", "2025-Q4")
    assert found.pieces[0].months == 2


def test_true_almon_weights_are_recovered_and_derivatives_are_those_of_differences() -> None:
    rng = np.random.default_rng(3)
    x, rest = rng.normal(size=(80, 12)), rng.normal(size=(80, 1))
    for theta in ([-6.0, 0.0], [5.0, -9.0], [1.0, -4.0]):
        w = almon.weights_of(np.array(theta), 12)
        y = 0.5 + 2.0 * x @ w + 0.3 * rest[:, 0]
        found = almon.fit_shape(y, x, rest)
        np.testing.assert_allclose(found.theta, theta, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(found.beta, [0.5, 2.0, 0.3], rtol=1e-5)
        noisy = almon.fit_shape(y + 0.1 * rng.normal(size=80), x, rest)
        np.testing.assert_allclose(almon.weights_of(noisy.theta, 12), w, atol=0.04)
        assert noisy.decrement < 1e-8
    point = np.array([0.7, -2.0])
    slopes = np.column_stack([approx_fprime(point, lambda p, j=j: almon.weights_of(p, 9)[j], 1e-7) for j in range(9)]).T
    np.testing.assert_allclose(almon.derivative(point, 9), slopes, atol=1e-6)


def test_the_almon_fit_is_the_best_that_a_general_search_finds() -> None:
    rng = np.random.default_rng(5)
    x, rest = rng.normal(size=(70, 12)), np.zeros((70, 0))
    y = x[:, 2] + 0.6 * x[:, 3] + rng.normal(size=70)
    found = almon.fit_shape(y, x, rest)
    free = np.column_stack([np.ones(70), x])
    noise2 = sm.OLS(y, free).fit().scale

    def loss(theta: np.ndarray[Any, Any]) -> float:
        fit = sm.OLS(y, np.column_stack([np.ones(70), x @ almon.weights_of(theta, 12)])).fit()
        return float(fit.ssr + noise2 * theta @ theta / 100.0)

    searched = min(minimize(loss, s, method="Nelder-Mead", options={"maxiter": 400}).fun for s in ([0, 0], [6, -8]))
    assert found.objective <= searched * (1 + 1e-6)


def test_an_almon_fit_that_does_not_converge_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = almon.least_squares
    monkeypatch.setattr(almon, "least_squares", lambda *a, **k: real(*a, **{**k, "max_nfev": 2}))
    with pytest.raises(FitError, match="converged"):
        Midas()(MONTHLY[["x0"]][:"2015-11"], BEFORE, "gdp", LAST)


def test_polynomial_weights_fall_to_nothing_and_the_series_is_the_one_with_an_edge() -> None:
    found = Midas(weights="polynomial", lags=6, target_lags=0)
    edge = edge_of(RAGGED[["x1"]], BEFORE, "gdp", LAST).until()
    equation = found._one(edge, edge.learnt(), np.zeros((60, 0)), 0)
    w = np.array(equation.weights)
    # A parabola through 0 at lag 6: third differences vanish.
    assert abs(np.diff(np.r_[w, 0.0], 3)).max() < 1e-10
    x = skipped(edge.x[:, 0], edge.x[:, 0], edge.at, 6)
    y = BEFORE["gdp"].to_numpy()
    fall = (1 - np.arange(6) / 6)[:, None] ** [1, 2]
    peer = sm.OLS(y[2:], sm.add_constant(x[2:-1] @ fall)).fit()
    assert equation.mean == pytest.approx(float(np.r_[1.0, x[-1] @ fall] @ peer.params), rel=1e-9)


# -- together ----------------------------------------------------------------------------------------------------------


def plain(residual: Any, hat: Any, mean: float) -> Equation:
    return Equation("x", mean, np.asarray(residual), np.asarray(hat), 30.0, 0.0)


def test_weights_of_least_variance_are_those_of_a_general_search_and_no_better_ones_exist() -> None:
    rng = np.random.default_rng(7)
    common = rng.normal(size=(40, 1))
    residual = common + rng.normal(size=(40, 4)) * [0.3, 0.6, 1.0, 2.0]
    parts = [plain(residual[:, k], 0.02 * rng.normal(size=40), float(k)) for k in range(4)]
    found = combine(parts)
    v = covariance(parts)
    searched = minimize(
        lambda w: w @ v @ w, np.full(4, 0.25), method="SLSQP", bounds=[(0, 1)] * 4, options={"ftol": 1e-14},
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1.0},
    )  # fmt: skip
    np.testing.assert_allclose(found.weights, searched.x, atol=1e-4)
    assert found.sd**2 <= searched.fun * (1 + 1e-9)
    assert found.mean == pytest.approx(float(found.weights @ np.arange(4.0)))
    inverse = combine(parts, "inverse-mse")
    raw = 1 / np.array([p.variance for p in parts])
    np.testing.assert_allclose(inverse.weights, raw / raw.sum())
    assert inverse.sd == pytest.approx(np.sqrt(inverse.weights @ v @ inverse.weights))
    # The same equation twice says no more than once.
    twice = combine([parts[0], parts[0]], "inverse-mse")
    assert twice.sd == pytest.approx(np.sqrt(parts[0].variance))
    # Too few common quarters: as if errors were one.
    lone = [replace(p, residual=np.where(np.arange(40) % 2 == k, p.residual, np.nan)) for k, p in enumerate(parts[:2])]
    assert combine(lone, "inverse-mse").sd > 0.9 * min(np.sqrt(p.variance) for p in lone)


def test_models_say_what_they_used_and_refuse_what_they_cannot_use() -> None:
    flat = RAGGED.assign(flat=1.0, new=np.where(RAGGED.index >= pd.Period("2015-01", "M"), 1.0, np.nan))
    for model in (Bridge(), Midas(weights="polynomial"), Midas(weights="unrestricted"), Midas()):
        found = model(flat, BEFORE, "gdp", LAST)
        assert {series for series, _ in found.refused} == {"flat", "new"}
        assert set(found.to_frame()["series"]) == {"x0", "x1", "x2"}
        assert found.to_frame()["weight"].sum() == pytest.approx(1.0)
        assert "flat is not used" in found.summary()
        assert isinstance(found, Forecast)
        with pytest.raises(FitError, match="no indicator"):
            model(flat[["flat"]], BEFORE, "gdp", LAST)
        assert model(RAGGED, QUARTERLY, "gdp", LAST).sd == 0.0
        with pytest.raises(UsageError, match="no quarterly series"):
            model(flat, BEFORE, "output", LAST)
    with pytest.raises(UsageError, match="no monthly series"):
        Bridge(series=["nothing"])(RAGGED, BEFORE, "gdp", LAST)
    with pytest.raises(UsageError, match="before"):
        Bridge()(RAGGED, BEFORE, "gdp", "2001-Q1")
    for wrong in ({"weights": "odd"}, {"lags": 2}, {"ridge": 1.0}, {"target_lags": -1}):
        with pytest.raises(UsageError):
            Midas(**wrong)  # type: ignore[arg-type]  # a wrong argument, on purpose
    with pytest.raises(UsageError):
        Bridge(lags=0)
    with pytest.raises(UsageError):
        Autoregression(lags=0)


def test_months_are_counted_from_the_quarter_wherever_the_panel_begins() -> None:
    whole = Bridge()(RAGGED["2002-01":], BEFORE["2002Q1":], "gdp", LAST)
    later = Bridge()(RAGGED["2002-02":], BEFORE["2002Q1":], "gdp", LAST)
    # x0 of 2002-01 serves no aggregate that is learnt from but that of 2002-Q2, through its five months.
    assert later.mean == pytest.approx(whole.mean, abs=0.1)
    edge = edge_of(RAGGED["2002-02":], BEFORE["2002Q1":], "gdp", "2015Q4", without=["2010-Q1"])
    assert np.isnan(edge.x[0]).all()
    assert edge.x[3, 0] == RAGGED.loc["2002-04", "x0"]
    assert edge.y[1] == BEFORE.loc["2002Q2", "gdp"]
    assert np.isnan(edge.y[edge.at])
    assert edge.ahead == 1
    assert np.isnan(edge.learnt().y[32])
    assert np.isnan(edge.learnt().x[96:99]).all()
    assert edge.y[32] == BEFORE.loc["2010Q1", "gdp"]


def test_quarters_left_out_teach_nothing_and_are_read_where_they_are_recent() -> None:
    wild_m, wild_q = RAGGED.copy(), BEFORE.copy()
    wild_m.loc["2009-01":"2009-03"] = 40.0
    wild_q.loc["2009Q1"] = -50.0
    for model in (Autoregression(lags=1), Bridge(lags=1), Midas(weights="polynomial"), MixedBvar()):
        careful = replace(model, without=("2009-Q1",))
        a, b = careful(wild_m, wild_q, "gdp", LAST), careful(RAGGED, BEFORE, "gdp", LAST)
        assert a.mean == pytest.approx(b.mean, rel=1e-9)
        assert a.sd == pytest.approx(b.sd, rel=1e-9)
        assert model(wild_m, wild_q, "gdp", LAST).mean != pytest.approx(b.mean, rel=1e-3)
        # What is known of the quarter itself, or just before it, is read.
        recent = replace(model, without=("2015-Q3",))
        moved_m, moved_q = RAGGED.copy(), BEFORE.copy()
        moved_q.loc["2015Q3"] += 5.0
        moved_m.loc["2015-09"] += 5.0
        assert recent(moved_m, moved_q, "gdp", LAST).mean != pytest.approx(
            recent(RAGGED, BEFORE, "gdp", LAST).mean, rel=1e-3
        )


def test_models_go_through_the_backtest_pickled_and_cached_by_content(tmp_path: Path) -> None:
    vintages = {}
    for quarter in pd.period_range("2015Q2", "2015Q4", freq="Q"):
        day = quarter.end_time.normalize()
        vintages[day] = (MONTHLY[: str(quarter.asfreq("M", how="E") - 1)], QUARTERLY[: str(quarter - 1)])
    models = {
        "ar": Autoregression(), "bridge": Bridge(), "u-midas": Midas(weights="unrestricted"), "bvar": MixedBvar(),
    }  # fmt: skip
    for model in (*models.values(), Midas()):
        assert pickle.loads(pickle.dumps(model)) == model
    found = backtest(vintages, "gdp", {**models, "function": autoregression}, cache=tmp_path)
    assert found.refused == ()
    assert len(list(tmp_path.glob("*.pkl"))) == 4
    assert set(found.scores()["model"]) == {"AR(1)", "function", *models}
    again = backtest(vintages, "gdp", {**models, "function": autoregression}, cache=tmp_path)
    pd.testing.assert_frame_equal(found.frame, again.frame)
    # Another setting is another model; a model told by its address is never kept.
    backtest(vintages, "gdp", {"bridge": Bridge(lags=2)}, cache=tmp_path)
    assert len(list(tmp_path.glob("*.pkl"))) == 5
    backtest(vintages, "gdp", {"bridge": Bridge(levels=_Odd())}, cache=tmp_path)  # type: ignore[arg-type]  # a wrong argument, on purpose
    assert len(list(tmp_path.glob("*.pkl"))) == 5


class _Odd(tuple[str, ...]):
    def __repr__(self) -> str:
        return object.__repr__(self)
