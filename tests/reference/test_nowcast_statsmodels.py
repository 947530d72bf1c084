"""The nowcast against statsmodels: its Kalman smoother at our parameters, and DynamicFactorMQ as a peer."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest
from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother

from opsroom.measure.nowcast import SeriesSpec, Settings, nowcast
from opsroom.measure.nowcast.dfm.look import look
from opsroom.measure.nowcast.dfm.parameters import stationary
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
    """At our parameters, heavy-tail weights included: every error has a variance of its own in every month."""
    day = VINTAGES[0]
    result = nowcast(panel(day), target="GDPC1", as_of=day, specs=SPECS, settings=Settings(start=2000))
    fitted = result.workings.fitted
    p, weights, grid = fitted.parameters, fitted.weights, fitted.grid
    assert weights is not None
    assert min(weights.cell.min(), weights.own.min(), weights.calm.min()) < 0.2  # some errors are far out
    n, lead = p.monthly, len(weights.calm) - len(grid.values)
    # States: six factors (this month and five back), the monthly errors, GDP's own error of five months.
    k, steps = 6 + n + 5, len(grid.values) + lead - 1
    data = np.full((steps, n + 1), np.nan)
    data[lead - 1 :] = (grid.values - p.center) / p.scale
    model = KalmanSmoother(n + 1, k, n + 2)
    model.bind(np.ascontiguousarray(data))
    transition, selection = np.zeros((k, k)), np.zeros((k, n + 2))
    transition[0, :2] = p.transition[0]
    transition[np.arange(1, 6), np.arange(5)] = 1.0
    transition[6 : 6 + n, 6 : 6 + n] = np.diag(p.memory[:n])
    transition[6 + n, 6 + n] = p.memory[n]
    transition[np.arange(7 + n, 11 + n), np.arange(6 + n, 10 + n)] = 1.0
    selection[0, 0] = 1.0
    selection[np.arange(6, 7 + n), np.arange(1, n + 2)] = 1.0
    design = np.zeros((n + 1, k))
    design[:n, 0] = p.loadings[:n, 0]
    design[np.arange(n), np.arange(6, 6 + n)] = 1.0
    shape = np.array([1.0, 2.0, 3.0, 2.0, 1.0])
    design[n, :5], design[n, 6 + n :] = shape * p.loadings[n, 0], shape
    spread = np.zeros((n + 2, n + 2, steps))
    now = np.arange(2, steps + 1)  # the month that the innovation at each step leads to; our first month is 0
    spread[0, 0, :-1] = 1.0 / weights.calm[now]
    monthly = np.ones((steps + 1, n))
    monthly[lead:] = weights.cell
    spread[np.arange(1, n + 1), np.arange(1, n + 1), :-1] = (p.variance[:n] / monthly[now]).T
    spread[n + 1, n + 1, :-1] = p.variance[n] / weights.own[now, 0]
    start = np.zeros((k, k))
    start[:2, :2] = stationary(p.transition)
    start[np.arange(6, 6 + n), np.arange(6, 6 + n)] = p.variance[:n] / (1.0 - p.memory[:n] ** 2)
    first = p.variance[n] / (1.0 - p.memory[n] ** 2)
    start[7 + n, 7 + n] = first
    start[6 + n, 6 + n] = p.memory[n] ** 2 * first + p.variance[n] / weights.own[1, 0]
    start[6 + n, 7 + n] = start[7 + n, 6 + n] = p.memory[n] * first
    model["transition"], model["selection"], model["design"] = transition, selection, design
    model["obs_cov"], model["state_cov"] = np.zeros((n + 1, n + 1)), spread
    model.initialize_known(np.zeros(k), start)
    peer = model.smooth()
    assert look(grid, p, weights).found.loglike == pytest.approx(float(peer.llf_obs.sum()), abs=1e-6)
    row = grid.row("GDPC1", "2016-Q2")
    smoothed = float(design[n] @ peer.smoothed_state[:, row + lead - 1])
    assert result.point == pytest.approx(p.center[n] + p.scale[n] * smoothed, abs=1e-7)


def test_dynamic_factor_mq_agrees_where_the_models_agree() -> None:
    """Gaussian errors, one factor, AR(1) errors: 2016Q2 as of 2016-06-29 within 0.15 points of q/q growth.

    Statsmodels estimates the start, too, and its step of learning is another. Its default in-sample prediction is
    one step ahead (statsmodels issue 8419), so the smoothed state is asked for.
    """
    day = VINTAGES[0]
    ours = nowcast(panel(day), target="GDPC1", as_of=day, specs=SPECS, settings=GAUSSIAN)
    monthly, quarterly = ours.workings.panel.tables()
    growth = quarterly["GDPC1"]
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
    assert abs(news.total - (results[1].point - results[0].quarter("2016-Q3").growth)) < 1e-10
    assert {"GDPC1", "PAYEMS", "INDPRO"} <= set(news.to_frame()["series"])
