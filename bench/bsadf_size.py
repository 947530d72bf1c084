"""How often GSADF rejects at 5 % without a bubble, by volatility, lags and critical values; and with one.

``python -m bench bsadf_size`` takes a thousand series a row (some minutes); `run_small`, part of ``bsadf``, a hundred.
The series have 100 observations, the bootstraps 199 draws.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from scipy.signal import lfilter

from opsroom.warn.exuberance import nulls
from opsroom.warn.exuberance.critical import bootstrap_values
from opsroom.warn.exuberance.sequences import Plan, plan_for, processors, scaled, sequences

LENGTH = 100
VOLATILITIES = ("flat", "late up", "early up", "spike", "rising")
WORLDS = ((0.0, 0), (0.5, 1))
"""Autocorrelation of the steps, and the lags of the statistic."""
KINDS = ("monte_carlo", "wild_bootstrap", "sieve")


def volatility(kind: str) -> np.ndarray:
    """Return standard deviations of the steps over time."""
    t = np.arange(LENGTH) / LENGTH
    return {
        "flat": np.ones(LENGTH),
        "late up": np.where(t >= 0.7, 4.0, 1.0),
        "early up": np.where(t < 0.3, 4.0, 1.0),
        "spike": np.where((t >= 0.45) & (t < 0.55), 5.0, 1.0),
        "rising": np.exp(1.5 * t),
    }[kind]


def without_bubble(number: int, kind: str, memory: float) -> np.ndarray:
    """Return a walk whose steps have that volatility and memory."""
    shocks = np.random.default_rng([7, number]).standard_normal(LENGTH) * volatility(kind)
    return np.asarray(np.cumsum(lfilter([1.0], [1.0, -memory], shocks)))


def with_bubble(number: int, root: float) -> np.ndarray:
    """Return a walk from 10 that is explosive for a quarter of the time, and falls back."""
    shocks = np.random.default_rng([8, number]).standard_normal(LENGTH)
    y = np.zeros(LENGTH)
    y[0] = 10.0
    for t in range(1, LENGTH):
        before = y[49] if t == 75 else y[t - 1]
        y[t] = (root if 50 <= t < 75 else 1.0) * before + shocks[t]
    return y


def rejected(y: np.ndarray, plan: Plan, number: int, *, signs: bool) -> list[bool]:
    """Return whether each kind of critical value rejects at 5 %, and the test of signs last."""
    y = scaled(y)
    statistic = float(sequences(y[None], plan).gsadf[0])
    out = []
    for kind in KINDS:
        draws = 1999 if kind == "monte_carlo" else 199
        seed = 0 if kind == "monte_carlo" else number
        found = bootstrap_values(y, plan, kind=kind, draws=draws, levels=(0.95,), seed=seed, workers=1)  # type: ignore[arg-type]  # by name
        out.append(found.p_value("gsadf", statistic) <= 0.05)
    if signs:
        walk = nulls.signed_walk(y)
        drawn = sequences(nulls.wild(walk, 0)(np.random.default_rng([9, number]), 199), plan).gsadf
        out.append((1 + np.sum(drawn >= sequences(walk[None], plan).gsadf[0])) / 200 <= 0.05)
    return out


def size_table(count: int) -> dict[str, float]:
    """Return the share of series without a bubble that are rejected, in per cent."""
    out = {}
    for memory, lags in WORLDS:
        plan = plan_for(LENGTH, lags, None)
        for kind in VOLATILITIES:
            out |= _shares(
                f"size memory {memory:g} lags {lags} {kind}",
                lambda n, kind=kind, memory=memory, plan=plan, lags=lags: rejected(
                    without_bubble(n, kind, memory), plan, n, signs=lags == 0
                ),
                count,
            )
    return out


def power_table(count: int) -> dict[str, float]:
    """Return the share of series with a bubble that are rejected, in per cent."""
    out = {}
    for lags in (0, 1):
        plan = plan_for(LENGTH, lags, None)
        for root in (1.02, 1.04, 1.06):
            out |= _shares(
                f"power lags {lags} root {root:g}",
                lambda n, root=root, plan=plan, lags=lags: rejected(with_bubble(n, root), plan, n, signs=lags == 0),
                count,
            )
    return out


def _shares(name: str, one: Any, count: int) -> dict[str, float]:
    one(0)  # the shared Monte Carlo values are drawn once
    with ThreadPoolExecutor(processors()) as pool:
        found = np.array(list(pool.map(one, range(count))))
    return {
        f"{name}: {kind}": round(100.0 * float(share), 1)
        for kind, share in zip((*KINDS, "signs"), found.mean(axis=0), strict=False)
    }


def run_small() -> dict[str, Any]:
    """Return size with rising and late volatility on a hundred series: a glance, standard error 2 points."""
    out: dict[str, Any] = {"size_series": 100}
    plan = plan_for(LENGTH, 0, None)
    for kind in ("late up", "spike"):
        out |= _shares(
            f"size memory 0 lags 0 {kind}",
            lambda n, kind=kind: rejected(without_bubble(n, kind, 0.0), plan, n, signs=True),
            100,
        )
    return out


def run(size: int | None = None) -> dict[str, Any]:
    """Return the tables of size and power; `size` is the number of series a row (1,000)."""
    count = size or 1000
    return {"case": "bsadf_size", "size": count, "peer": "none"} | size_table(count) | power_table(count)
