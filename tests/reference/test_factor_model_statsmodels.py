"""The factor model against statsmodels' DynamicFactorMQ at the same parameters: likelihood, smoothing, news."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ

from opsroom.measure.nowcast import DynamicFactorModel, from_statsmodels, loglike
from opsroom.measure.nowcast.dfm.parameters import companion
from opsroom.measure.nowcast.frbny import Specification, panel_of, read_specification

START = "2000-02"


def panel(rng: np.random.Generator, months: int, monthly: int, quarterly: int, gaps: float) -> tuple[Any, Any]:
    """Draw data with gaps anywhere, a ragged end, and one long hole."""
    index = pd.period_range(START, periods=months, freq="M")
    x = pd.DataFrame(rng.normal(size=(months, monthly)), index=index, columns=[f"m{i}" for i in range(monthly)])
    x = x.mask(rng.random(x.shape) < gaps)
    x.iloc[months // 3 : months // 3 + 9, 0] = np.nan
    x.iloc[[0, -1], -1] = 0.5  # statsmodels keeps the panel's first and last rows
    if not quarterly:
        return x, None
    quarters = pd.period_range("2000Q1", periods=months // 3, freq="Q")
    y = pd.DataFrame(rng.normal(size=(len(quarters), quarterly)), index=quarters)
    y.columns = [f"q{i}" for i in range(quarterly)]
    return x, y.mask(rng.random(y.shape) < gaps)


def draw(model: DynamicFactorMQ, rng: np.random.Generator) -> np.ndarray:
    """Draw stationary parameters."""
    params, at = np.zeros(model.k_params), model._p
    params[at["loadings"]] = rng.normal(size=len(params[at["loadings"]]))
    ar: list[float] = []
    cov: list[float] = []
    for block in model._s.factor_blocks:
        k = block.k_factors
        coefficients = rng.normal(size=(k, k * block.factor_order))
        radius = np.abs(np.linalg.eigvals(companion(coefficients))).max()
        pull = np.repeat((0.85 / radius) ** np.arange(1, block.factor_order + 1), k)
        ar += list((coefficients * pull).ravel())
        root = np.tril(rng.normal(size=(k, k)))
        root[np.diag_indices(k)] = rng.uniform(0.5, 1.5, k)
        cov += list(root[np.tril_indices(k)])
    params[at["factor_ar"]], params[at["factor_cov"]] = ar, cov
    if model.idiosyncratic_ar1:
        params[at["idiosyncratic_ar1"]] = rng.uniform(-0.9, 0.95, model.k_endog)
    params[at["idiosyncratic_var"]] = rng.uniform(0.1, 2.0, model.k_endog)
    return params


@settings(max_examples=10)
@given(
    seed=st.integers(0, 10**6),
    months=st.integers(14, 40),
    monthly=st.integers(3, 5),
    quarterly=st.integers(0, 2),
    gaps=st.floats(0.0, 0.5),
    orders=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    multiplicity=st.integers(1, 2),
    ar1=st.booleans(),
)
def test_likelihood_factors_and_cells_equal_statsmodels(
    seed: int,
    months: int,
    monthly: int,
    quarterly: int,
    gaps: float,
    orders: tuple[int, int],
    multiplicity: int,
    ar1: bool,
) -> None:
    rng = np.random.default_rng(seed)
    x, y = panel(rng, months, monthly, quarterly, gaps)
    names = [*x.columns, *([] if y is None else y.columns)]
    blocks = {name: ["all", "part"] if k % 2 else ["all"] for k, name in enumerate(names)}
    # A series without movement cannot be standardised, there as here.
    assume(x.nunique().min() > 1 and (y is None or y.nunique().min() > 1))
    model = DynamicFactorMQ(
        x,
        endog_quarterly=y,
        factors=blocks,
        factor_orders={"all": orders[0], "part": orders[1]},
        factor_multiplicities={"all": multiplicity, "part": 1},
        idiosyncratic_ar1=ar1,
    )
    params = draw(model, rng)
    peer = model.smooth(params)
    ours = from_statsmodels(peer)
    assert ours.loglike == pytest.approx(peer.llf, rel=1e-10)
    assert loglike(ours.parameters, x, y) == pytest.approx(peer.llf, rel=1e-10)
    assert loglike(ours.parameters, x, y, compiled=False) == pytest.approx(peer.llf, rel=1e-9)
    np.testing.assert_allclose(ours.factors(), peer.factors.smoothed, rtol=1e-8, atol=1e-9)
    prediction = peer.get_prediction(end=months + 1, information_set="smoothed")
    for name in names:
        for month in (months - 1, months + 1, months // 2):
            number = pd.Period(START, freq="M") + month
            if name.startswith("q") and number.month % 3:
                continue
            found = ours.nowcast(
                name, number if name.startswith("m") else number.asfreq("Q"), parameter_uncertainty=False
            )
            if found.sd == 0.0:
                continue  # known: statsmodels gives the signal without the cell's own error
            assert found.mean == pytest.approx(prediction.predicted_mean[name].iloc[month], rel=1e-7, abs=1e-8)
            assert found.sd == pytest.approx(prediction.se_mean[name].iloc[month], rel=1e-7)


@pytest.fixture(scope="module")
def spec(shared_data: Path) -> Specification:
    return read_specification(shared_data / "nowcast" / "frbny_spec_us_example.csv")


@pytest.fixture(scope="module")
def levels(shared_data: Path) -> pd.DataFrame:
    return pd.read_parquet(shared_data / "nowcast" / "frbny_us_vintages_2016-06-29_2016-09-30.parquet")


def peer_of(panel: tuple[pd.DataFrame, pd.DataFrame], spec: Specification) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = DynamicFactorMQ(
            panel[0],
            endog_quarterly=panel[1],
            factors={name: list(spec.blocks[name]) for table in panel for name in table.columns},
            idiosyncratic_ar1=True,
        )
        return model, model.start_params


@pytest.mark.parametrize("pair", [(0, 12), pytest.param(None, marks=pytest.mark.long)])
def test_nowcast_and_news_equal_statsmodels_on_true_vintages(
    levels: pd.DataFrame, spec: Specification, pair: tuple[int, int] | None
) -> None:
    """New York Fed vintages of 2016; tolerance 1e-6, statsmodels asked for the smoothed nowcast (its issue 8419)."""
    days = sorted(levels["vintage"].unique())

    def panel_at(k: int) -> tuple[pd.DataFrame, pd.DataFrame]:
        return panel_of(levels[levels["vintage"] == days[k]], spec, start="2005-01")

    model, params = peer_of(panel_at(0), spec)
    pairs = [pair] if pair else [(k, k + 1) for k in range(len(days) - 1)]
    for one, two in pairs:
        first, second = (
            model.clone(m, endog_quarterly=q, retain_standardization=True).smooth(params)
            for m, q in (panel_at(one), panel_at(two))
        )
        ours = from_statsmodels(first)
        for quarter in ("2016Q2", "2016Q3", "2016Q4"):
            month = str(pd.Period(quarter, freq="Q").asfreq("M"))
            prediction = first.get_prediction(end="2016-12", information_set="smoothed").predicted_mean["GDPC1"]
            assert ours.nowcast("GDPC1", quarter, parameter_uncertainty=False).mean == pytest.approx(
                prediction[month], abs=1e-6
            )
        peer = first.news(second, impact_date="2016-09", impacted_variable="GDPC1", comparison_type="updated")
        news = ours.news(*panel_at(two), "GDPC1", "2016Q3")
        assert news.total == pytest.approx(float(peer.total_impacts["GDPC1"].iloc[0]), abs=1e-6)
        table = news.to_frame().set_index(["series", "period"])
        details = peer.details_by_impact.reset_index()
        details = details[details["impacted variable"] == "GDPC1"]
        releases = table[table["kind"] == "release"]
        assert len(details) == len(releases)
        for row in details.to_dict("records"):
            month = pd.Period(row["update date"], freq="M")
            quarterly = row["updated variable"] in ("GDPC1", "ULCNFB")
            label = f"{month.year}-Q{month.quarter}" if quarterly else str(month)
            mine = releases.loc[(row["updated variable"], label)]
            assert float(mine["impact"]) == pytest.approx(row["impact"], abs=1e-6)
            assert float(mine["expected"]) == pytest.approx(row["forecast (prev)"], rel=1e-6, abs=1e-6)


def test_em_of_the_peer_does_not_move_the_loadings_of_autoregressive_errors() -> None:
    """Why the peer is no oracle for the fit: without noise in the observation its step leaves the loadings alone."""
    rng = np.random.default_rng(5)
    factor = np.zeros(80)
    for t in range(1, 80):
        factor[t] = 0.8 * factor[t - 1] + rng.normal()
    index = pd.period_range(START, periods=80, freq="M")
    x = pd.DataFrame(factor[:, None] + rng.normal(size=(80, 4)), index=index, columns=list("abcd"))
    model = DynamicFactorMQ(x, factors=1, idiosyncratic_ar1=True)
    start = model.start_params
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        after = model.fit(maxiter=20, disp=False, em_initialization=False).params
    np.testing.assert_allclose(after[:4], start[:4], rtol=1e-6)
    fitted = DynamicFactorModel().fit(x)
    assert fitted.loglike > model.smooth(after).llf + 0.1
