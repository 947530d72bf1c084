"""A process that compiles the kernel and one that finds it compiled come to the same bits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import hashlib
import numpy as np
from opsroom.measure.resumption.states import Evidence, infer, learn
rng = np.random.default_rng(0)
n, d = 600, 60
nu = np.where(np.arange(d) % 7 < 5, 1.0, rng.random((n, 1)) < 0.3).astype(np.float32)
q = (nu * rng.uniform(0.3, 1.2, (n, 1)) * np.exp(0.1 * rng.standard_normal((n, d)))).astype(np.float32)
q[:, 30:] *= rng.random((n, 1)) < 0.5
miss = (rng.random((n, d)) < 0.05).astype(np.int8)
q[miss > 0] = np.nan
evidence = Evidence(
    q=q, nu=np.ascontiguousarray(np.broadcast_to(nu, (n, d))), miss=miss, closed=np.full((n, d), 0.2, np.float32),
    closed_sd=np.full(n, 0.05, np.float32), sigma=np.full(n, 0.15, np.float32), weight=0.5,
    group=rng.integers(0, 3, n), span=np.arange(d) // 7,
)
rates = learn(evidence)
states = infer(evidence, rates)
parts = (rates.opening, rates.closing, rates.enter, states.dark, states.degree)
print(hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in parts)).hexdigest())
"""


@pytest.mark.long
def test_compiled_now_or_before_the_rates_and_states_are_the_same_bits(tmp_path: Path) -> None:
    there = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    said = [
        subprocess.run([sys.executable, "-c", PROGRAM], env=there, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert len(said[0]) == 65
    assert said[0] == said[1]
