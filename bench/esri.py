"""The economic systemic risk index of every company of a drawn network, some nine suppliers a company."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from opsroom.decide.propagation import esri

LINKS = 9
SECTORS = 60
SAMPLE = 500


def suppliers(n: int, *, seed: int = 0) -> tuple[sparse.csr_array, np.ndarray[Any, Any], pd.DataFrame]:
    """Draw sales (hubs by Pareto, amounts lognormal), sectors, and which inputs are essential (two in five)."""
    rng = np.random.default_rng(seed)
    buyer = np.repeat(np.arange(n), LINKS)
    seller = rng.permutation(n)[np.minimum((rng.pareto(1.0, n * LINKS) * n / 50).astype(np.int64), n - 1)]
    other = seller != buyer
    drawn = sparse.csr_array((rng.lognormal(0.0, 1.5, int(other.sum())), (seller[other], buyer[other])), shape=(n, n))
    drawn.sum_duplicates()
    essential = pd.DataFrame(rng.choice([0.0, 0.5, 1.0], (SECTORS, SECTORS), p=[0.2, 0.4, 0.4]))
    return drawn, rng.integers(0, SECTORS, n), essential


def run(size: int | None = None) -> dict[str, Any]:
    """Let a sample of companies fail one by one, in processor seconds of one core, and reckon up for all.

    Returns
    -------
    dict
        Processor seconds of the sample and, in proportion, of all companies; sweeps and the bound reached.
    """
    n = size or 10_000
    w, sector, essential = suppliers(n)
    some = np.random.default_rng(1).choice(n, min(n, SAMPLE), replace=False)
    esri(w, sector, essential=essential, firms=some[:1])  # compiled, or read from the cache
    begin = time.process_time()
    found = esri(w, sector, essential=essential, firms=some)
    used = time.process_time() - begin
    values = found.companies["esri"]
    return {
        "case": "esri",
        "size": n,
        "links": int(w.nnz),
        "sample": len(some),
        "sample_cpu_s": round(used, 2),
        "all_cpu_s": round(used * n / len(some), 1),
        "tolerance": found.tol,
        "sweeps_mean": round(float(found.companies["sweeps"].mean()), 1),
        "sweeps_most": int(found.companies["sweeps"].max()),
        "bound": float(found.companies["bound"].max()),
        "esri_mean": round(float(values.mean()), 5),
        "esri_most": round(float(values.max()), 4),
        "peer": "none",
    }
