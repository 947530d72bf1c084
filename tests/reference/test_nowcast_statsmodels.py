"""The nowcast against statsmodels: its Kalman smoother at our parameters, and DynamicFactorMQ as a peer."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from opsroom.measure.nowcast import SeriesSpec, Settings, nowcast
from opsroom.measure.nowcast.linear import look, project
from opsroom.measure.nowcast.model import START_VARIANCE
from opsroom.measure.nowcast.panel import GROWTH
from opsroom.room.us_panel import VINTAGES, vintage

SERIES = {
    "GDPC1": ("Q", "pca"),
    "PAYEMS": ("M", "chg"),
    "INDPRO": ("M", "pch"),
    "RSAFS": ("M", "pch"),
    "UNRATE": ("M", "chg"),
    "HOUST": ("M", "pch"),
    "PCEC96": ("M", "pch"),
    "GACDFSA066MSFRBPHI": ("M", "lin"),
}
SPECS = [SeriesSpec(name, f, t) for name, (f, t) in SERIES.items()]
GAUSSIAN = Settings(start=2000, tail=1e7, shock_tail=1e7, tolerance=1e-7)


def panel(day: dt.date) -> pd.DataFrame:
    return vintage(day).to_pandas().rename(columns={"series_id": "series", "month": "period"})


def test_likelihood_and_nowcast_equal_the_kalman_smoother() -> None:
    """At our parameters, heavy-tail weights included; tolerance 1e-7."""
    day = VINTAGES[0]
    result = nowcast(panel(day), target="GDPC1", as_of=day, specs=SPECS, settings=Settings(start=2000))
    grid, p = result.workings.panel, result.workings.fit.parameters
    # The recursion starts in month 1 with the factors of months 0 and 1; nothing is observed in month 0.
    grid.values[0] = np.nan
    state = look(grid, p)
    months, n = grid.values.shape
    monthly = np.flatnonzero(~grid.quarterly)
    k = 5 + len(monthly)
    steps = months - 1
    model = KalmanSmoother(n, k, 1 + len(monthly))
    model.bind(np.ascontiguousarray(((grid.values - p.center) / p.scale)[1:]))
    transition, selection = np.zeros((k, k)), np.zeros((k, 1 + len(monthly)))
    transition[0, :2], transition[np.arange(1, 5), np.arange(4)] = p.transition[0], 1.0
    selection[0, 0] = 1.0
    design = np.zeros((n, k))
    obs_cov = np.zeros((n, n, steps))
    state_cov = np.zeros((1 + len(monthly), 1 + len(monthly), steps))
    state_cov[0, 0, :-1] = 1.0 / p.calm[2:]
    design[0] = np.concatenate([GROWTH * p.loadings[0, 0], np.zeros(len(monthly))])
    obs_cov[0, 0] = p.variance[0] / p.weights[1:, 0]
    start = np.zeros((k, k))
    start[0, 0] = start[1, 1] = START_VARIANCE
    for j, i in enumerate(monthly):
        transition[5 + j, 5 + j] = p.memory[i]
        selection[5 + j, 1 + j] = 1.0
        design[i, 0], design[i, 5 + j] = p.loadings[i, 0], 1.0
        state_cov[1 + j, 1 + j, :-1] = p.variance[i] / p.weights[2:, i]
        square = p.memory[i] ** 2  # stationary in month 0, then month 1's own weight
        start[5 + j, 5 + j] = p.variance[i] * (square / (1 - square) + 1.0 / p.weights[1, i])
    model["transition"], model["selection"], model["design"] = transition, selection, design
    model["obs_intercept"] = p.intercept
    model["obs_cov"], model["state_cov"] = obs_cov, state_cov
    model.initialize_known(np.zeros(k), start)
    # Series without noise of their own in the observation equation are exact sums of states.
    peer = model.smooth()
    assert state.posterior.loglikelihood == pytest.approx(float(peer.llf_obs.sum()), abs=1e-6)
    row = grid.index(pd.Period("2016Q2"))
    smoothed = p.intercept[0] + design[0] @ peer.smoothed_state[:, row - 1]
    assert project(state, row).value == pytest.approx(p.center[0] + p.scale[0] * float(smoothed), abs=1e-7)


def test_dynamic_factor_mq_agrees_where_the_models_agree() -> None:
    """Gaussian errors, one factor, AR(1) errors: 2016Q2 as of 2016-06-29 within 0.15 points of q/q growth.

    The models still differ: statsmodels gives GDP a monthly error of its own and estimates the start. Its
    default
    in-sample prediction is one step ahead (statsmodels issue 8419), so the smoothed state is asked for.
    """
    day = VINTAGES[0]
    ours = nowcast(panel(day), target="GDPC1", as_of=day, specs=SPECS, settings=GAUSSIAN)
    grid = ours.workings.panel
    index = pd.period_range("2000-01", periods=grid.months, freq="M")
    start = index[0].year * 12 + index[0].month - 1
    assert start == grid.first_month
    monthly = pd.DataFrame(grid.values[:, ~grid.quarterly], index=index, columns=list(grid.names[1:]))
    growth = pd.Series(grid.values[2::3, 0], index=pd.period_range("2000Q1", periods=grid.months // 3, freq="Q"))
    model = DynamicFactorMQ(
        monthly.loc[:"2016-06"],
        endog_quarterly=growth.loc[:"2016Q2"].to_frame("GDPC1"),
        factors=1,
        factor_orders=2,
        idiosyncratic_ar1=True,
    )
    fitted = model.fit(disp=False, maxiter=200, tolerance=1e-5)
    smoothed = fitted.get_prediction(end="2016-06", information_set="smoothed").predicted_mean["GDPC1"]
    assert ours.point == pytest.approx(float(smoothed.loc["2016-06"]), abs=0.15)


def test_the_us_vintages_tell_what_july_changed() -> None:
    """Both true vintages: official growth is in the July one, and news add up."""
    results = [
        nowcast(panel(day), target="GDPC1", as_of=day, specs=SPECS, settings=Settings(start=2000)) for day in VINTAGES
    ]
    assert results[0].target_quarter == "2016-Q2"
    assert results[1].target_quarter == "2016-Q3"
    first = results[1].official["2016-Q2"]
    assert first == pytest.approx(0.303177, abs=1e-6)  # 16575.1 on 16525.0, the advance release of 2016-07-29
    before = results[0].headline
    assert before.lower90 < first < before.upper90
    news = results[1].news(results[0])
    assert abs(news.total - (results[1].point - results[0].quarter("2016-Q3").growth)) < 1e-8
    assert {"GDPC1", "PAYEMS", "INDPRO"} <= set(news.to_frame()["series"])
