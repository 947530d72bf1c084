"""The nowcast: one vintage of Meridia's size, and the same panel through statsmodels' DynamicFactorMQ."""

from __future__ import annotations

import time
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from opsroom.measure.nowcast import SeriesSpec, Settings, nowcast
from opsroom.measure.nowcast.panel import Panel

START = "2008-01-01"
DAY = date(2020, 3, 4)


def panel(series: int, months: int = 146, *, seed: int = 0) -> tuple[pd.DataFrame, list[SeriesSpec]]:
    """Draw levels of monthly series and a quarterly target from one factor, with a ragged edge."""
    rng = np.random.default_rng(seed)
    factor = np.zeros(months)
    for t in range(1, months):
        factor[t] = 0.7 * factor[t - 1] + rng.normal(0, 0.3)
    days = pd.date_range(START, periods=months, freq="MS")
    pieces = []
    for i in range(series):
        growth = 0.2 + rng.uniform(0.4, 1.2) * factor + rng.normal(0, 0.5, months)
        known = months - int(rng.integers(0, 3))
        level = 100 * np.cumprod(1 + growth / 100)
        pieces.append(pd.DataFrame({"series": f"m{i}", "period": days[:known], "value": level[:known]}))
    output = 100 * np.cumprod(1 + (0.15 + 0.4 * factor + rng.normal(0, 0.15, months)) / 100)
    quarterly = pd.Series(output, index=days).resample("QS").mean().iloc[:-1]
    pieces.append(pd.DataFrame({"series": "gdp", "period": quarterly.index, "value": quarterly.to_numpy()}))
    specs = [SeriesSpec("gdp", "Q", "pch"), *(SeriesSpec(f"m{i}") for i in range(series))]
    return pd.concat(pieces, ignore_index=True), specs


def run(size: int | None = None) -> dict[str, Any]:
    """Nowcast a panel of `size` monthly series and GDP, 12 years; median of five.

    Returns
    -------
    dict
        Seconds and iterations of ours and of the peer, and the difference of the two nowcasts in
        points; both with Gaussian errors for that, ours with heavy tails (`ours_s`) as it is used.
    """
    size = size or 25
    table, specs = panel(size)
    took = []
    for _ in range(5):
        begin = time.perf_counter()
        result = nowcast(table, target="gdp", as_of=DAY, specs=specs)
        took.append(time.perf_counter() - begin)
    gaussian = Settings(tail=1e7, shock_tail=1e7, tolerance=1e-7)
    plain = nowcast(table, target="gdp", as_of=DAY, specs=specs, settings=gaussian)
    peer_s, peer_point, iterations = _peer(plain.workings.panel)
    ours = float(np.median(took))
    return {
        "case": "nowcast",
        "size": size,
        "ours_s": round(ours, 3),
        "steps": report.steps if (report := result.workings.fitted.report) else 0,
        "peer": "statsmodels DynamicFactorMQ",
        "peer_s": round(peer_s, 3),
        "peer_iterations": iterations,
        "ratio": round(peer_s / ours, 1),
        "max_abs_diff": abs(plain.point - peer_point),
    }


def _peer(grid: Panel) -> tuple[float, float, int]:
    from statsmodels.tsa.statespace.dynamic_factor_mq import DynamicFactorMQ

    values, quarterly = grid.values, grid.quarterly
    first = pd.Period(year=grid.first_month // 12, month=grid.first_month % 12 + 1, freq="M")
    index = pd.period_range(first, periods=grid.months, freq="M")
    months = pd.DataFrame(values[:, ~quarterly], index=index)
    months.columns = [f"m{i}" for i in range(months.shape[1])]
    growth = pd.Series(values[:, 0], index=index).dropna()
    growth.index = pd.PeriodIndex(growth.index.asfreq("Q"), freq="Q")
    begin = time.perf_counter()
    model = DynamicFactorMQ(
        months, endog_quarterly=growth.to_frame("gdp"), factors=1, factor_orders=2, idiosyncratic_ar1=True
    )
    fitted = model.fit(disp=False, maxiter=500, tolerance=1e-6)
    took = time.perf_counter() - begin
    target = f"{DAY.year}-03"
    smoothed = fitted.get_prediction(end=target, information_set="smoothed").predicted_mean["gdp"]
    return took, float(smoothed.loc[target]), int(fitted.mle_retvals.get("iter", -1))
