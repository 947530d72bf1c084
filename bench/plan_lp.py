"""Allocation under scarcity on a synthetic network of suppliers, beside HiGHS on the whole programme."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from bench.leontief import network
from opsroom.decide.allocation import allocate
from opsroom.decide.input_output.productive import solve

CASES = ((1_000, 0.20, 1e-6), (10_000, 0.02, 1e-6), (10_000, 0.20, 1e-3), (100_000, 0.01, 1e-3))


def problem(n: int, scarce: float, *, seed: int = 0) -> dict[str, Any]:
    """Draw final uses, values, capacities (a share of them 5 to 40 % short), and five hours in a hundred short."""
    rng = np.random.default_rng(seed + 7)
    a, demand, value = network(n, seed=seed), rng.lognormal(0.0, 1.0, n), rng.uniform(0.5, 1.5, n)
    x = solve(a, demand, tol=1e-11).x
    capacity, short = 1.3 * x, rng.choice(n, int(scarce * n), replace=False)
    capacity[short] = rng.uniform(0.6, 0.95, len(short)) * x[short]
    labour = rng.uniform(0.2, 1.0, n)
    return {
        "A": a, "demand": demand, "value": value, "capacity": capacity, "labour": labour,
        "labour_limit": 0.95 * float(labour @ x),
    }  # fmt: skip


def run(size: int | None = None) -> dict[str, Any]:
    """Solve the cases up to `size` products.

    Returns
    -------
    dict
        Seconds, processor seconds and certified gap by case; at 1,000 products HiGHS' optimum and its seconds.
    """
    out: dict[str, Any] = {"case": "plan-lp", "peer": "HiGHS on the whole programme"}
    allocate(**problem(600, 0.9), tol=1e-3)  # what is compiled once an installation is no part of a case
    for n, scarce, tol in CASES:
        if size and n > size:
            continue
        given = problem(n, scarce)
        begin, used = time.perf_counter(), time.process_time()
        found = allocate(**given, tol=tol)
        name = f"{n} {scarce:.0%}"
        out |= {
            f"{name} s": round(time.perf_counter() - begin, 2),
            f"{name} cpu_s": round(time.process_time() - used, 2),
            f"{name} gap": found.gap,
        }
        if n == CASES[0][0]:
            begin = time.process_time()
            best = _peer(given)
            out |= {
                "peer_cpu_s": round(time.process_time() - begin, 2),
                "max_abs_diff": abs(found.objective / best - 1),
            }
    return out


def _peer(given: dict[str, Any]) -> float:
    n = len(given["demand"])
    rows = sparse.vstack(
        [
            sparse.hstack([given["A"] - sparse.eye_array(n), sparse.eye_array(n)]),
            sparse.hstack([sparse.csr_array(given["labour"][None, :]), sparse.csr_array((1, n))]),
        ]
    ).tocsr()
    bounds = np.column_stack([np.zeros(2 * n), np.concatenate([given["capacity"], 1.05 * given["demand"]])])
    limit = np.concatenate([np.zeros(n), [given["labour_limit"]]])
    return float(-linprog(-np.concatenate([np.zeros(n), given["value"]]), A_ub=rows, b_ub=limit, bounds=bounds).fun)
