"""The factor model by itself: its score, its search, its refusals, its news and its density."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factor_worlds import drawn

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.nowcast import DynamicFactorModel, FactorParameters, Robust, loglike
from opsroom.measure.nowcast.dfm.drift import levels, placed
from opsroom.measure.nowcast.dfm.grid import Grid
from opsroom.measure.nowcast.dfm.layout import lay_out
from opsroom.measure.nowcast.dfm.moments import moments
from opsroom.measure.nowcast.dfm.news import stacked
from opsroom.measure.nowcast.dfm.parameters import FactorBlock, companion, stationary
from opsroom.measure.nowcast.dfm.results import quantiles
from opsroom.measure.nowcast.dfm.search import pack, unpack
from opsroom.measure.nowcast.dfm.smooth import Cells, Volatility, Weights, smooth
from opsroom.measure.nowcast.dfm.step import equations, maximise, score
from opsroom.measure.nowcast.dfm.twin import dense_mean


def cells_of(p: FactorParameters, values: np.ndarray, weights: str, rng: np.random.Generator) -> Cells:
    layout = lay_out(values, p.monthly, p.factors, p.order, own_order=p.own_order)
    ones = Weights.ones(layout)
    if weights == "ones":
        return Cells.of(layout)
    tails = Weights(*(rng.uniform(0.3, 1.5, one.shape) for one in (ones.cell, ones.own, ones.calm)))
    if weights == "drawn":
        return Cells.of(layout, tails)
    paths = (rng.normal(size=shape) for shape in (layout.months, layout.months, (layout.months, values.shape[1])))
    return Cells.of(layout, tails.under(Volatility(*paths, 0.1, 0.1, 0.1)))


@pytest.mark.parametrize("weights", ["ones", "drawn", "moving"])
@pytest.mark.parametrize("ar1", [True, False])
def test_score_is_the_derivative_of_the_likelihood(weights: str, ar1: bool) -> None:
    rng = np.random.default_rng(3)
    p, values = drawn(rng, order=int(ar1))
    cells = cells_of(p, values, weights, rng)
    m = moments(cells, smooth(cells, p))
    s = score(cells, m, p, equations(cells, m, p))
    found = [s.loadings[p.loads], s.transition[p.lags_used], s.log_variance]
    found += [s.memory * (1.0 - p.memory**2)] if ar1 else []
    theta, step = pack(p), 1e-5
    for k, expected in enumerate(np.concatenate(found)):
        ends = []
        for sign in (1.0, -1.0):
            moved = theta.copy()
            moved[k] += sign * step
            ends.append(smooth(cells, unpack(moved, p), moments=False).loglike)
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_steps_of_expectation_maximisation_raise_the_likelihood() -> None:
    rng = np.random.default_rng(4)
    for weights in ("ones", "drawn", "moving"):
        p, values = drawn(rng, months=90)
        cells = cells_of(p, values, weights, rng)
        path = []
        for _ in range(8):
            found = smooth(cells, p)
            path.append(found.loglike)
            p = maximise(cells, moments(cells, found), p)
        assert np.all(np.diff(path) > 0)


@settings(max_examples=15)
@given(seed=st.integers(0, 10**6), ar1=st.booleans())
def test_smoothed_cells_equal_dense_conditioning(seed: int, ar1: bool) -> None:
    rng = np.random.default_rng(seed)
    p, values = drawn(rng, order=int(ar1), months=26)
    from opsroom.measure.nowcast.dfm.look import cell, data_weights, look

    view = look(Grid(24000 + 1, p.names, p.monthly, values), p)
    mean, variance = dense_mean(p, values)
    for column in range(7):
        for row in (0, 3, 16, 25):
            if column >= 5 and row % 3 != 1:
                row += (1 - row) % 3
            if row > 25:
                continue
            found = cell(view, row, column)
            assert found.mean == pytest.approx(mean[row, column], rel=1e-8, abs=1e-9)
            assert found.variance == pytest.approx(variance[row, column], rel=1e-8, abs=1e-9)
            weight = data_weights(view, found, column)
            assert float((weight * np.nan_to_num(values)).sum()) == pytest.approx(found.mean, rel=1e-8, abs=1e-9)
            assert not weight[np.isnan(values)].any()


def test_stationary_covariance_solves_its_equation() -> None:
    rng = np.random.default_rng(0)
    p, _ = drawn(rng)
    covariance, form = stationary(p.transition), companion(p.transition)
    noise = np.zeros_like(covariance)
    noise[:3, :3] = np.eye(3)
    np.testing.assert_allclose(covariance, form @ covariance @ form.T + noise, rtol=1e-11, atol=1e-12)


def economy(
    *, months: int = 180, seed: int = 0, shock: dict[int, float] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One factor, eight monthly series, growth of a quarterly one; the last months ragged."""
    rng = np.random.default_rng(seed)
    f = np.zeros(months + 4)
    for t in range(1, len(f)):
        f[t] = 0.8 * f[t - 1] + rng.normal() + (shock or {}).get(t - 4, 0.0)
    index = pd.period_range("2006-01", periods=months, freq="M")
    loads = rng.uniform(0.4, 1.2, 8)
    x = pd.DataFrame(f[4:, None] * loads + 1.5 * rng.normal(size=(months, 8)), index=index)
    x.columns = [f"m{i}" for i in range(8)]
    for i in range(8):
        x.iloc[months - i % 3 :, i] = np.nan
    growth = sum((3 - abs(lag - 2)) * f[4 - lag : months + 4 - lag] for lag in range(5)) / 3
    y = 2.0 + 0.3 * pd.Series(growth[2::3] + rng.normal(size=months // 3))
    y.index = pd.period_range("2006Q1", periods=len(y), freq="Q")
    return x, y.to_frame("gdp").iloc[:-1]


def test_a_fit_finds_the_factor_and_says_how_it_went() -> None:
    x, y = economy()
    fitted = DynamicFactorModel().fit(x, y)
    report = fitted.report
    assert report is not None
    assert report.converged
    assert np.all(np.diff(report.path) >= 0)
    assert fitted.loglike == pytest.approx(loglike(fitted.parameters, x, y), rel=1e-12)
    factor = fitted.factors()["factor1"]
    common = x.mean(axis=1)
    assert abs(np.corrcoef(factor[:-3], common[:-3])[0, 1]) > 0.9
    assert "converged in" in fitted.summary()
    # The top: no step of expectation-maximisation gains what the tolerance allows.
    again = DynamicFactorModel().fit(x, y, start=fitted.parameters, tol=1e-9)
    assert again.loglike - fitted.loglike < 1e-4 * report.cells


def test_bad_fits_are_refused() -> None:
    x, y = economy(months=90)
    with pytest.raises(FitError, match="did not converge"):
        DynamicFactorModel().fit(x, y, max_iter=2, tol=1e-12)
    with pytest.raises(FitError, match="m0 never change"):
        DynamicFactorModel().fit(x.assign(m0=1.0), y)
    with pytest.raises(FitError, match="fewer than"):
        DynamicFactorModel().fit(x.assign(m0=x["m0"].where(np.arange(len(x)) < 5)), y)
    with pytest.raises(FitError, match="more factors than series"):
        DynamicFactorModel(factors=9).fit(x, y)
    for wrong in (
        {"idiosyncratic": "ma1"},
        {"idiosyncratic": -1},
        {"robust": "yes"},
        {"factors": 0},
        {"factors": {"a": 1}},
    ):
        with pytest.raises(UsageError):
            DynamicFactorModel(**wrong)  # type: ignore[arg-type]  # wrong on purpose, or any of the settings
    fitted = DynamicFactorModel().fit(x)
    with pytest.raises(UsageError, match="no series"):
        fitted.nowcast("gdp", "2012-Q1")
    with pytest.raises(UsageError, match="not a month"):
        fitted.nowcast("m0", "soon")
    with pytest.raises(UsageError, match="has no 1990"):
        fitted.nowcast("m0", "1990-01")


@pytest.mark.parametrize("robust", [None, "student", Robust(drift=8.0, volatility="walk")])
def test_news_add_up_with_revisions_withdrawals_and_new_parameters(robust: str | Robust | None) -> None:
    x, y = economy()
    old_x, old_y = x.iloc[:-4].copy(), y.iloc[:-1]
    old_x.iloc[-1, 5] = 0.3  # withdrawn later
    x.iloc[40, 2] += 1.0
    x.iloc[-6, 3] = np.nan
    x.iloc[-2, 0] = 9.0
    x.iloc[-5, 5] = np.nan
    model = DynamicFactorModel(robust=robust)  # type: ignore[arg-type]  # wrong on purpose, or any of the settings
    first = model.fit(old_x, old_y)
    second = model.fit(x, y, start=first.parameters)
    quarter = "2020-Q4"
    news = first.news(x, y, "gdp", quarter, refit=second)
    before, after = first.nowcast("gdp", quarter).mean, second.nowcast("gdp", quarter).mean
    assert news.before == pytest.approx(before, abs=1e-12)
    assert news.after == pytest.approx(after, abs=1e-12)
    assert news.total == pytest.approx(after - before, abs=1e-10)
    table = news.to_frame()
    assert list(table.columns) == ["kind", "series", "period", "expected", "actual", "weight", "impact"]
    kinds = {"release", "revision", "withdrawal", "parameters"} | ({"weights"} if robust else set())
    assert set(table["kind"]) == kinds
    cells = table[table["kind"] != "parameters"]
    cells = cells[cells["series"] != ""]
    product = cells["weight"] * (cells["actual"] - cells["expected"])
    np.testing.assert_allclose(product, cells["impact"], rtol=1e-9, atol=1e-12)
    assert news.by_kind().sum() == pytest.approx(news.total)
    assert news.by_series().sum() == pytest.approx(news.total)
    assert news.by_block().sum() == pytest.approx(news.total)
    assert "gdp 2020-Q4" in news.summary()
    assert first.news(old_x, old_y, "gdp", quarter).total == pytest.approx(0.0, abs=1e-12)


def test_a_wild_number_moves_a_robust_nowcast_less() -> None:
    x, y = economy(seed=2)
    wild = x.copy()
    wild.iloc[-4, 0] += 40.0
    moved = {}
    for robust in (None, "student"):
        fitted = DynamicFactorModel(robust=robust).fit(x, y)  # type: ignore[arg-type]  # wrong on purpose, or any of the settings
        moved[robust] = abs(fitted.news(wild, y, "gdp", "2020-Q4").total)
    assert moved["student"] < 0.2 * moved[None]


def test_a_named_crisis_leaves_the_loadings_alone() -> None:
    """A common shock of 40 deviations that two series do not share: with robust on, loadings stay within 10 %."""
    shock = {168: -25.0, 169: -20.0, 170: 30.0}
    x, y = economy(seed=6, shock=shock)
    x.loc["2020-01":"2020-03", ["m6", "m7"]] -= 60.0
    calm_x, calm_y = x[:"2019-12"], y[:"2019Q4"]
    change = {}
    crisis = Robust(crisis=("2020-01", "2020-02", "2020-03"))
    for name, robust in (("off", None), ("on", crisis)):
        model = DynamicFactorModel(robust=robust)
        before, after = (
            fitted.parameters.loadings[:, 0] * fitted.parameters.scale
            for fitted in (model.fit(calm_x, calm_y), model.fit(x, y))
        )
        change[name] = np.abs(after / after[:6].mean() / (before / before[:6].mean()) - 1.0)[:6].max()
    assert change["on"] < 0.1
    assert change["off"] > 0.5


def test_quantiles_follow_past_errors_and_never_narrow_in_a_shock() -> None:
    past = pd.DataFrame({"error": np.linspace(-4, 4, 40), "sd": 1.0, "shock": False})
    model, basis, _ = quantiles(1.0, 2.0, shock=False, history=None)
    wide, learnt, count = quantiles(1.0, 2.0, shock=False, history=past)
    assert (basis, learnt, count) == ("model", "past-errors", 40)
    assert wide[0.95] > model[0.95] > model[0.84] > model[0.5] == 1.0
    assert wide[0.95] - 1.0 == pytest.approx(1.0 - wide[0.05])
    assert quantiles(1.0, 2.0, shock=True, history=past)[1] == "model-only-in-shock"
    small = past.assign(error=0.01, shock=True)
    shocked, learnt, _ = quantiles(1.0, 2.0, shock=True, history=small)
    assert learnt == "earlier-shocks"
    assert shocked == model


@pytest.mark.long
def test_density_covers_and_holds_the_parameters_uncertainty() -> None:
    """Out of sample on drawn economies: 68 and 90 % bands cover about that, and the standard score is about 1."""
    scores = []
    for seed in range(5):
        x, y = economy(months=120, seed=100 + seed)
        rest, known = y.iloc[-4:], y.iloc[:-4]
        fitted = DynamicFactorModel().fit(x.iloc[:-13], known)
        for quarter in rest.index:
            found = fitted.nowcast("gdp", quarter)
            assert found.parameter_sd > 0
            scores.append((float(rest.loc[quarter, "gdp"]) - found.mean) / found.sd)
    z = np.array(scores)
    assert 0.75 < float(np.sqrt((z**2).mean())) < 1.3
    assert 0.5 < float((np.abs(z) < 0.9945).mean()) < 0.85
    assert 0.8 < float((np.abs(z) < 1.645).mean()) < 0.99


def test_blocks_have_factors_of_their_own() -> None:
    x, y = economy()
    blocks = {name: ("all", "odd") if name in ("m1", "m3", "m5", "m7") else ("all",) for name in [*x.columns, "gdp"]}
    fitted = DynamicFactorModel(blocks=blocks, factor_order={"all": 2}).fit(x, y)
    p = fitted.parameters
    assert p.factor_names == ("all", "odd")
    assert p.blocks == (FactorBlock((0,), 2), FactorBlock((1,), 1))
    assert p.loadings[0, 1] == 0.0 != p.loadings[1, 1]
    with pytest.raises(UsageError, match="no block"):
        DynamicFactorModel(blocks={"m0": ["all"]}).fit(x, y)


def test_likelihood_does_not_depend_on_the_factors_units() -> None:
    rng = np.random.default_rng(8)
    p, values = drawn(rng)
    root = np.eye(3)
    root[:2, :2] = [[2.0, 0.0], [0.7, 0.5]]
    inverse = np.linalg.inv(root)
    turned = replace(
        p,
        loadings=p.loadings @ inverse,
        transition=np.hstack([root @ p.transition[:, k * 3 : k * 3 + 3] @ inverse for k in range(2)]),
        innovation=root,
    )
    cells = cells_of(p, values, "ones", rng)
    assert smooth(cells, turned).loglike == pytest.approx(smooth(cells, p).loglike, rel=1e-12)


def test_heavy_tails_widen_what_is_not_known_yet() -> None:
    x, y = economy(seed=5)
    base = DynamicFactorModel(robust=Robust(tail=1e7, shock_tail=1e7)).fit(x, y)
    gauss = DynamicFactorModel().fit(x, y)
    # Without tails the robust model is the Gaussian one, but for the data's scale.
    assert base.nowcast("gdp", "2020-Q4").mean == pytest.approx(gauss.nowcast("gdp", "2020-Q4").mean, abs=0.02)
    heavy = replace(base, robust=Robust(tail=3.0, shock_tail=2.5))
    wide, thin = (f.nowcast("gdp", "2021-Q1", parameter_uncertainty=False) for f in (heavy, base))
    assert wide.mean == pytest.approx(thin.mean, abs=1e-9)
    assert wide.sd > 1.3 * thin.sd


def test_pictures_hold_what_the_numbers_say() -> None:
    x, y = economy()
    fitted = DynamicFactorModel().fit(x.iloc[:-3], y)
    news = [(str(m), fitted.news(x[: str(m)], y, "gdp", "2020-Q4")) for m in x.index[-3:]]
    chart = stacked(news, by="series", top=3).to_dict()
    bars = chart["layer"][0]["data"]["values"]
    assert sum(row["impact"] for row in bars if row["day"] == news[-1][0]) == pytest.approx(news[-1][1].total)
    assert {row["part"] for row in bars} >= {"others"}
    assert "layer" in fitted.nowcast("gdp", "2020-Q4").chart().to_dict()
    assert fitted.nowcast("gdp", "2020-Q4").to_frame().shape == (1, 12)


def test_a_mean_that_drifts_is_followed() -> None:
    """Growth that falls from 4 to 0 over fifteen years: far ahead, the nowcast ends near where growth is now."""
    x, y = economy(seed=9)
    y = y + np.linspace(4.0, 0.0, len(y))[:, None]
    last = float(y["gdp"].iloc[-20:].mean())
    ahead = {
        drift: DynamicFactorModel(robust=Robust(drift=drift)).fit(x, y).nowcast("gdp", "2040-Q4").mean
        for drift in (None, 6.0)
    }
    assert abs(ahead[6.0] - last) < 0.8 < abs(ahead[None] - last)
    with pytest.raises(UsageError, match="drifts"):
        Robust(drift=0.1)


def test_slow_means_are_averages_that_wild_values_leave_alone() -> None:
    rng = np.random.default_rng(1)
    values = np.column_stack([np.full(300, 2.0) + 1e-3 * rng.normal(size=300), 0.01 * np.arange(300.0)])
    values[150, 1] = 500.0
    values[:40, 1] = np.nan
    found = levels(Grid(24000, ("a", "b"), 2, values), 5.0)
    np.testing.assert_allclose(found[:, 0], 2.0, atol=1e-3)
    np.testing.assert_allclose(found[110:230, 1], 0.01 * np.arange(110, 230), atol=0.02)
    later = Grid(24000 + 290, ("a", "b"), 2, np.zeros((20, 2)))
    moved = placed(found, Grid(24000, ("a", "b"), 2, values), later)
    np.testing.assert_array_equal(moved[:10], found[290:])
    np.testing.assert_array_equal(moved[10:], np.tile(found[-1], (10, 1)))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda x: x.iloc[:0], "nothing is known"),
        (lambda x: x["a"], "a Series"),
        (lambda x: x.astype(object).assign(a="confidential"), "a holds what is no number"),
    ],
)
@pytest.mark.parametrize("fine", [False, True])
def test_tables_that_are_none_are_refused_without_their_values(change: Any, match: str, fine: bool) -> None:
    months = pd.period_range("2010-01", periods=40, freq="M")
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(40, 2)), index=months, columns=["a", "b"])
    table = {"weekly": pd.DataFrame({"w": []}, index=pd.PeriodIndex([], freq="W"))} if fine else {}
    with pytest.raises(UsageError, match=match) as caught:
        DynamicFactorModel().fit(change(x), **table)
    assert "confidential" not in f"{caught.value}{caught.value.__context__}"


def test_days_of_a_time_zone_are_those_written() -> None:
    months = pd.period_range("2010-01", periods=60, freq="M")
    x = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), index=months, columns=list("abc"))
    zoned = x.set_axis(x.index.to_timestamp(how="end").tz_localize("America/New_York"), axis=0)
    assert DynamicFactorModel().fit(zoned).loglike == pytest.approx(DynamicFactorModel().fit(x).loglike)


@pytest.mark.parametrize(
    "given", [{"factors": 1.5}, {"factors": True}, {"factor_order": "2"}, {"blocks": {"a": "Global", "b": "Global"}}]
)
def test_a_slip_in_the_model_is_named(given: Any) -> None:
    with pytest.raises(UsageError):
        DynamicFactorModel(**given)


def test_a_way_without_news_has_no_picture() -> None:
    with pytest.raises(UsageError, match="no news"):
        stacked([])
