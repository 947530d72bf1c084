"""Leontief systems, solved by iteration: a synthetic network of suppliers, and the dense inverse as the peer."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from scipy import sparse

from opsroom.decide.input_output.productive import productivity, solve

INPUTS = 29
TOL = 1e-10
_DENSE = 10_000


def network(n: int, *, seed: int = 0) -> sparse.csr_array:
    """Draw coefficients: some 29 inputs a product, three in five from near by, the others from hubs (Zipf)."""
    rng = np.random.default_rng(seed)
    count = n * INPUTS
    user = np.repeat(np.arange(n), INPUTS)
    near = rng.random(count) < 0.6
    hub = np.minimum((rng.pareto(1.0, count) * 20).astype(np.int64), n - 1)
    source = np.where(near, (user + rng.integers(-50, 51, count)) % n, hub)
    drawn = sparse.csr_array((rng.random(count), (source, user)), shape=(n, n))
    drawn.sum_duplicates()
    share = rng.beta(4.0, 4.0, n) / np.asarray(drawn.sum(axis=0)).ravel()
    return sparse.csr_array(drawn @ sparse.diags_array(share))


def run(size: int | None = None) -> dict[str, Any]:
    """Solve at 10,000, 100,000 and 1,000,000 products (or up to `size`); best of three.

    Returns
    -------
    dict
        Seconds, processor seconds and residual by size; at 10,000 the seconds of the dense inverse, and the ratio.
    """
    out: dict[str, Any] = {"case": "leontief", "peer": "dense inverse (numpy)", "tolerance": TOL}
    most = size or 1_000_000
    for n in (10_000, 100_000, 1_000_000):
        if n > most:
            continue
        a, f = network(n), np.random.default_rng(1).random(n)
        wall, cpu = [], []
        for _ in range(3):
            begin, used = time.perf_counter(), time.process_time()
            found = solve(a, f, tol=TOL)
            wall.append(time.perf_counter() - begin)
            cpu.append(time.process_time() - used)
        begin = time.process_time()
        bounds = productivity(a)
        out |= {
            f"{n} nonzeros": a.nnz,
            f"{n} s": round(min(wall), 4),
            f"{n} cpu_s": round(min(cpu), 4),
            f"{n} residual": found.residual,
            f"{n} radius": f"{bounds.lower:.3f} to {bounds.upper:.3f}",
            f"{n} radius_cpu_s": round(time.process_time() - begin, 4),
        }
        if n == _DENSE:
            begin = time.process_time()
            inverse = np.linalg.inv(np.eye(n) - a.toarray())
            dense = time.process_time() - begin
            out |= {
                "peer_cpu_s": round(dense, 2),
                "ratio": round(dense / min(cpu), 0),
                "max_abs_diff": float(np.abs(inverse @ f - found.x).max()),
            }
            del inverse
    return out
