"""BSADF beside pyexuber, bootstraps, very many series, and the size of the tests.

``python -m bench bsadf --json --peer PYTHON`` names an interpreter that has pyexuber (import name ``exuber``); without
it the one that runs this is asked. ``--size N`` is the number of series of the large run (1,000 with ``--large``, else
100). CPU seconds unless it says wall; ratios are of runs right after one another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bench import bsadf_size
from opsroom.warn.exuberance import scan
from opsroom.warn.exuberance.critical import bootstrap_values
from opsroom.warn.exuberance.sequences import plan_for, processors, sequences

LENGTHS = (500, 1000, 2000, 4000)


def run(size: int | None = None, *, large: bool = False, peer: str | None = None) -> dict[str, Any]:
    """Time statistics, bootstraps and a scan; measure size on a few hundred draws."""
    out: dict[str, Any] = {"case": "bsadf", "peer": "pyexuber", "threads": processors()}
    worst, gap = np.inf, 0.0
    for lags in (0, 1):
        for length in LENGTHS:
            name = f"T{length}_lag{lags}"
            y = np.cumsum(np.random.default_rng(length).normal(size=length))
            plan = plan_for(length, lags, None)
            mine, found = _best(lambda y=y, plan=plan: sequences(y[None], plan), 2 if lags else 5)
            out[f"{name}_ms"] = 1000.0 * mine
            theirs = peer_bsadf(y, plan.least, lags, peer)
            if theirs is None:
                out[f"{name}_peer_ms"] = "absent"
                continue
            seconds, bsadf = theirs
            again, found = _best(lambda y=y, plan=plan: sequences(y[None], plan), 2 if lags else 5)
            mine = min(mine, again)  # before and after the peer: a busy moment counts for neither
            out[f"{name}_ms"], out[f"{name}_peer_ms"] = 1000.0 * mine, 1000.0 * seconds
            out[f"{name}_ratio"] = seconds / mine
            gap = max(gap, float(np.nanmax(np.abs(found.bsadf[0][plan.least - 1 :] - bsadf))))
            if lags == 0:
                worst = min(worst, seconds / mine)
                out["ours_s"], out["peer_s"] = mine, seconds
    out["ratio"] = worst if np.isfinite(worst) else "peer absent"
    out["max_abs_diff"] = gap if np.isfinite(worst) else "peer absent"
    out |= bootstraps() | many(size or (1000 if large else 100)) | bsadf_size.run_small()
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in out.items()}


def bootstraps() -> dict[str, Any]:
    """Time 1,999 wild draws of 224 observations, with all that is made of them."""
    y = np.cumsum(np.random.default_rng(1).normal(size=224))
    out: dict[str, Any] = {}
    for lags in (0, 1):
        plan = plan_for(224, lags, None)
        for seed in (0, 1):  # the second is warm
            cpu, wall = time.process_time(), time.perf_counter()
            bootstrap_values(y, plan, kind="wild_bootstrap", draws=1999, levels=(0.9, 0.95, 0.99), seed=seed)
            out[f"wild_1999_T224_lag{lags}_cpu_s"] = time.process_time() - cpu
            out[f"wild_1999_T224_lag{lags}_wall_s"] = time.perf_counter() - wall
    return out


def many(count: int) -> dict[str, Any]:
    """Time a scan of series of 300 observations, each with 499 wild draws of its own."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(100.0 + np.cumsum(rng.normal(size=(300, count)), axis=0))
    cpu, wall = time.process_time(), time.perf_counter()
    scan(frame, lags=0, critical_values="wild_bootstrap", draws=499)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "scan_series": count, "scan_T300_499_draws_cpu_s": cpu, "scan_T300_499_draws_wall_s": wall,
        "scan_cpu_s_per_1000_series": cpu * 1000 / count, "scan_wall_s_per_1000_series": wall * 1000 / count,
    }  # fmt: skip


_PEER = """
import json, sys, time
import numpy as np
import exuber
y, least, lag = np.array(json.loads(sys.stdin.readline())), int(sys.argv[1]), int(sys.argv[2])
exuber.radf(y[:200], minw=30, lag=lag)
times = []
for _ in range(3):
    begun = time.process_time()
    found = exuber.radf(y, minw=least, lag=lag)
    times.append(time.process_time() - begun)
print(json.dumps([min(times), np.asarray(found.bsadf).ravel().tolist()]))
"""


def peer_bsadf(y: np.ndarray, least: int, lags: int, python: str | None) -> tuple[float, np.ndarray] | None:
    """Return CPU seconds of pyexuber, the best of three, and its BSADF; None where it is absent."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [python or sys.executable, "-c", _PEER, str(least), str(lags)]
    done = subprocess.run(
        command, input=json.dumps(y.tolist()) + "\n", capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        if python:
            raise SystemExit(f"the peer failed: {done.stderr.strip().splitlines()[-1]}")
        return None
    seconds, bsadf = json.loads(done.stdout.splitlines()[-1])
    return float(seconds), np.asarray(bsadf, dtype=np.float64)


def _best(what: Callable[[], Any], times: int) -> tuple[float, Any]:
    """Return the least CPU seconds of several calls after one that compiles, and what the last gave."""
    found, best = what(), np.inf
    for _ in range(times):
        begun = time.process_time()
        found = what()
        best = min(best, time.process_time() - begun)
    return best, found
