"""Targeted predictors against series chosen by hand: US GDP in pseudo real time.

The FRED-MD cut of 2023 (118 series, revised) by its own transformation codes, cut by a lag of a month for each; a
nowcast at every second quarter's end, re-estimated, and the series chosen anew, each time. By hand: the fourteen of
``nowcast-accuracy``, by the same codes. Errors against GDP as it stands in that cut, points at an annual rate.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.nowcast_accuracy import MONTHLY, folder
from opsroom.measure.nowcast import DynamicFactorModel, backtest, pseudo_vintages, stationary, targeted

COUNT = 14
CODES = {"none": 1, "1st-diff": 2, "log": 4, "log-diff": 5, "log-2nd-diff": 6, "pct-ch-diff": 7}
"""The words with which the cut's makers write McCracken and Ng's codes."""


def run(size: int | None = None) -> dict[str, Any]:
    """Score the models on every second of the last `size` quarters to 2019 (40)."""
    begun = time.process_time()
    latest = panel(folder())
    lags = dict.fromkeys(latest[0], 31) | {"GDPC1": 30}
    quarters = pd.period_range(end="2019Q4", periods=size or 40, freq="Q")[::2]
    vintages = pseudo_vintages(latest, lags, [quarter.end_time.date() for quarter in quarters])
    model = DynamicFactorModel(factors=1, factor_order=2)
    models = {
        "hard": targeted(model, count=COUNT),
        "soft": targeted(model, count=COUNT, method="soft"),
        "by hand": lambda m, q, target, period: model.fit(m[list(MONTHLY)], q).nowcast(target, period),
    }
    outcomes = {f"{q.year}-Q{q.quarter}": float(v) for q, v in latest[1]["GDPC1"].dropna().items()}
    found = backtest(vintages, "GDPC1", models, outcomes=outcomes)
    # The nowcast of the quarter that ends: the one before is known a month later.
    frame = found.frame[found.frame["days_left"] == 0]
    out: dict[str, Any] = {"case": "nowcast-targets", "quarters": int(frame["period"].nunique()), "peer": "AR(1)"}
    for name, own in frame.groupby("model"):
        out[f"{name} RMSE"] = round(float(np.sqrt((own["error"] ** 2).mean())), 3)
    last = vintages[max(vintages)]
    for name in ("hard", "soft"):
        out[f"{name}, last vintage"] = ", ".join(models[name].chosen(*last, "GDPC1"))
    out["refused"] = len(found.refused)
    out["ours_s"] = round(time.process_time() - begun, 1)
    return out


def panel(here: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the monthly series, transformed, and GDP growth at an annual rate, both from 1985."""
    months = pd.read_parquet(here / "fred_md_vintage_bvar_2023.parquet").set_index("date")
    quarters = pd.read_parquet(here / "fred_qd_vintage_bvar_2023.parquet").set_index("date")[["GDPC1"]]
    months.index = pd.PeriodIndex(pd.to_datetime(months.index), freq="M")
    quarters.index = pd.PeriodIndex(pd.to_datetime(quarters.index), freq="Q")
    words = pd.read_csv(here / "fred_transform_codes.csv").set_index("variable")["fred_md"]
    monthly = stationary(months, {str(name): CODES[words[name]] for name in months})
    return monthly["1985-01":], (400.0 * np.log(quarters)).diff()["1985Q1":]
