"""DebtRank: one scenario and all single defaults, beside dense NumPy; with ``--large`` 1 million companies.

``python -m bench debtrank [--size NODES] [--large] --json``. Networks are drawn: twenty links a node, sizes by a power
law, buffers so large that circles damp. The peer is the same recursion on a dense matrix, all defaults in one product
a round. Published for R's NetworkRiskMeasures 0.1.4, on another machine and
other networks, in text only: all single defaults of 125 banks 11.2 s, of 250 banks 65.6 s. CPU seconds, as machines are
shared; wall seconds beside them.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from opsroom.warn.contagion import Links, Network, debtrank, exposure_network, systemic

DEGREE = 20
EVERY = 10_000
"""Nodes of the case that runs all single defaults, without and with ``--large``."""
LARGE = (1_000_000, 10_000_000)
R_TEXT = "NetworkRiskMeasures 0.1.4 (R), elsewhere: 125 banks 11.2 s, 250 banks 65.6 s"


def run(size: int | None = None, *, large: bool = False) -> dict[str, Any]:
    """Time single defaults on 500 nodes beside the peer, on 10,000 nodes alone; `large`: one scenario on a million.

    Parameters
    ----------
    size
        Nodes of the case beside the peer.
    large
        Also the case of 1 million companies and 10 million links.
    """
    n = size or 500
    warm_up()
    small = drawn(n, DEGREE * n, seed=1)
    ours, found = timed(lambda: systemic(small))
    theirs, dense = timed(lambda: dense_defaults(small))
    out: dict[str, Any] = {
        "case": "debtrank",
        "size": n,
        "ours_s": ours["cpu_s"],
        "peer": "dense NumPy, all defaults in one matrix",
        "peer_s": theirs["cpu_s"],
        "ratio": round(theirs["cpu_s"] / ours["cpu_s"], 2),
        "max_abs_diff": float(np.abs(found.importance - dense).max()),
        "r_published": R_TEXT,
    }
    middle = drawn(EVERY, DEGREE * EVERY, seed=2)
    for name, top in (("all", None), ("top_10", 10)):
        took, result = timed(lambda top=top: systemic(middle, top=top))  # type: ignore[misc]  # binds the loop's value
        out |= {f"{name}_{EVERY}_{k}": v for k, v in took.items()} | {f"{name}_{EVERY}_runs": result.runs}
    if large:
        out |= one_large()
    return out


def one_large() -> dict[str, Any]:
    """Run one scenario on a million companies, a tenth of which lose a fifth of their buffer."""
    nodes, links = LARGE
    took, network = timed(lambda: drawn(nodes, links, seed=3))
    shock = np.where(np.arange(nodes) % 10 == 0, 0.2, 0.0)
    scenario, result = timed(lambda: debtrank(network, shock))
    return {
        "large": f"{nodes} nodes, {network.links().count} links",
        "large_build_cpu_s": took["cpu_s"],
        "large_cpu_s": scenario["cpu_s"],
        "large_wall_s": scenario["wall_s"],
        "large_rounds": result.rounds,
        "large_converged": result.converged,
        "large_additional": result.additional,
        "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
    }


def drawn(n: int, links: int, *, seed: int) -> Network:
    """Draw a network: lenders and borrowers by power laws of their own, log-normal amounts."""
    r = np.random.default_rng(seed)
    odds = np.arange(1, n + 1) ** -0.7
    edge = np.cumsum(odds) / odds.sum()
    lender = np.searchsorted(edge, r.random(links)).astype(np.int32)
    borrower = r.permutation(n).astype(np.int32)[np.searchsorted(edge, r.random(links))]
    amount = r.lognormal(0.0, 1.5, links)
    apart = lender != borrower
    matrix = sp.csr_array((amount[apart], (lender[apart], borrower[apart])), shape=(n, n))
    matrix.sum_duplicates()
    lent = np.asarray(matrix.sum(axis=1)).ravel()
    buffer = (lent + np.median(lent)) / 1.2 * r.uniform(0.5, 2.0, n)
    nodes = pd.DataFrame({"id": np.arange(n), "buffer": buffer, "weight": buffer})
    return exposure_network(nodes).with_layer("claims", Links.of(matrix))


def dense_defaults(network: Network) -> Any:
    """Return the importance of all nodes by the paper's recursion on dense matrices."""
    weight = network.weight
    impact = network.links().dense() / network.buffer[:, None]
    now = np.eye(network.size)
    step = now
    while step.max() > 1e-12:
        new = np.minimum(1.0, now + impact @ step)
        step, now = new - now, new
    return weight @ now - weight


def timed(call: Callable[[], Any]) -> tuple[dict[str, float], Any]:
    """Return CPU and wall seconds of a call, and what it returned."""
    cpu, wall = time.process_time(), time.perf_counter()
    found = call()
    return {"cpu_s": round(time.process_time() - cpu, 4), "wall_s": round(time.perf_counter() - wall, 4)}, found


def warm_up() -> None:
    """Compile."""
    little = drawn(50, 500, seed=0)
    systemic(little)
    debtrank(little, [0])
