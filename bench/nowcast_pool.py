"""The models beside the factor model, and their pools: US GDP in pseudo real time, as in `nowcast_accuracy`.

A nowcast at the end of each quarter from 2000 on, each model re-estimated each time; errors in points a year,
an AR(1) the yardstick. Nothing is learnt from the first three quarters of 2020, neither by a model (the factor model
excepted) nor by a pool. Intervals of the ratio: circular blocks of four quarters, 90 %.
"""

from __future__ import annotations

import time
from typing import Any, Literal

import numpy as np
import pandas as pd

from bench.nowcast_accuracy import SPANS, folder, pseudo
from opsroom.measure.nowcast import (
    Autoregression,
    BacktestResult,
    Bridge,
    DynamicFactorModel,
    Midas,
    MixedBvar,
    backtest,
    pool,
)

CRISIS = ("2020-Q1", "2020-Q2", "2020-Q3")
MODELS = {
    "AR": Autoregression(without=CRISIS),
    "bridge": Bridge(without=CRISIS),
    "MIDAS": Midas(without=CRISIS),
    "U-MIDAS": Midas(weights="unrestricted", without=CRISIS),
    "BVAR": MixedBvar(without=CRISIS),
    "factor": DynamicFactorModel(factors=1, factor_order=2),
}
MEMBERS = tuple(name for name in MODELS if name != "AR")
KEYS = ("rmse", "ratio", "crps", "log_score", "cover68", "cover90")


def run(size: int | None = None) -> dict[str, Any]:
    """Score models and pools; `size` is the number of the last quarters of 2000-2023 (all 95)."""
    out: dict[str, Any] = {"case": "nowcast-pool", "peer": "AR(1)"}
    panels, outcomes = pseudo(folder())
    kept = dict(list(panels.items())[-(size or len(panels)) :])
    rows: BacktestResult | None = None
    for name, model in MODELS.items():
        begun = time.process_time()
        found = backtest(kept, "GDPC1", {name: model}, outcomes=outcomes)
        out[f"{name} cpu_s"] = round(time.process_time() - begun, 1)
        rows = found if rows is None else _with(rows, found.frame[found.frame["model"] == name])
        out[f"{name} refused"] = len(found.refused)
    assert rows is not None
    begun = time.process_time()
    every = rows
    rules: tuple[Literal["bates-granger", "log-score", "equal"], ...] = ("bates-granger", "log-score", "equal")
    for rule in rules:
        for members, name in ((MEMBERS, rule), (tuple(MODELS), f"{rule} with AR")):
            made = pool(rows, rule, members=members, name=name, without=CRISIS)
            every = _with(every, made.to_frame())
            last = made.weights[made.weights["day"] == made.weights["day"].max()]
            out |= {f"{name} weight {row.model}": round(float(row.weight), 3) for row in last.itertuples()}
    out["pools_cpu_s"] = round(time.process_time() - begun, 1)
    for label, (first, last_quarter) in SPANS.items():
        out |= {f"{label} {key}": value for key, value in told(every, first, last_quarter).items()}
    return {
        **out,
        "size": len(kept),
        "ours_s": None,
        "peer_s": None,
        "ratio": out.get("2000-2019 log-score ratio"),
        "max_abs_diff": None,
    }


def told(result: BacktestResult, first: str, last: str) -> dict[str, Any]:
    """Return the scores of each model over a span of quarters, and an interval of its ratio to the AR(1)."""
    frame = result.frame[(result.frame["period"] >= first) & (result.frame["period"] <= last)]
    if frame.empty:
        return {}
    table = BacktestResult(result.target, result.release, frame, ()).scores().set_index("model")
    errors = frame.pivot_table(index="period", columns="model", values="error").sort_index()
    found: dict[str, Any] = {"quarters": len(errors)}
    for name, row in table.iterrows():
        found |= {f"{name} {key}": round(float(row[key]), 3) for key in KEYS}
        found[f"{name} ratio90"] = interval(errors[name].to_numpy(), errors["AR(1)"].to_numpy())
    return found


def interval(errors: np.ndarray[Any, Any], yardstick: np.ndarray[Any, Any], *, block: int = 4) -> list[float]:
    """Return the 5 and 95 % points of the ratio of root mean squares over drawn blocks of quarters."""
    n, rng = len(errors), np.random.default_rng(0)
    starts = rng.integers(0, n, size=(4000, -(-n // block)))
    picks = ((starts[:, :, None] + np.arange(block)) % n).reshape(4000, -1)[:, :n]
    drawn = np.sqrt((errors[picks] ** 2).mean(axis=1) / (yardstick[picks] ** 2).mean(axis=1))
    return [round(float(v), 2) for v in np.quantile(drawn, (0.05, 0.95))]


def _with(result: BacktestResult, more: pd.DataFrame) -> BacktestResult:
    frame = pd.concat([result.frame, more], ignore_index=True)
    return BacktestResult(result.target, result.release, frame, result.refused, result.known)
