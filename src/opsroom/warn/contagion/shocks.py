"""The default of each node in turn: who matters to the system, and who is hit by others. All, or the first few only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from opsroom.base.errors import UsageError
from opsroom.warn.contagion import kernels
from opsroom.warn.contagion.bounds import upper_bounds
from opsroom.warn.contagion.distress import FULL
from opsroom.warn.contagion.importance import SystemicResult
from opsroom.warn.contagion.links import Floats, Ints, Links
from opsroom.warn.contagion.network import Network
from opsroom.warn.contagion.stopping import Stop, check


def systemic(
    network: Network,
    *,
    top: int | None = None,
    layers: Sequence[str] | None = None,
    tolerance: float = 1e-10,
    max_rounds: int = 10_000,
) -> SystemicResult:
    """Let each node default in turn, and measure what the system loses by multi-hit DebtRank.

    It answers: whose failure would hurt the system most, and who suffers most from the failure of others?

    Parameters
    ----------
    network
        Rows lend.
    top
        Find this many nodes of the greatest importance, and run no more shocks than are needed to be sure; all
        shocks where absent. Vulnerability needs all.
    layers
        Layers through which distress runs; all where absent.
    tolerance, max_rounds
        As in `debtrank`.

    Returns
    -------
    SystemicResult

    Notes
    -----
    Shocks run side by side, so that each link is read once for a block of them (sparse x dense). With `top`, an
    upper bound of every node's importance is computed first, at the cost of a few products with the matrix (see
    `upper_bounds`); shocks run in the order of the bounds until the next bound is below the last of the best.

    Examples
    --------
    >>> import pandas as pd
    >>> from opsroom.warn.contagion import exposure_network
    >>> net = exposure_network(
    ...     pd.DataFrame({"id": ["a", "b", "c"], "buffer": [4.0, 2.0, 1.0]}),
    ...     pd.DataFrame({"lender": ["a", "b"], "borrower": ["b", "c"], "amount": [2.0, 1.0]}),
    ... )
    >>> systemic(net, top=1).most(1)["id"].tolist()
    ['c']
    """
    check(tolerance, max_rounds)
    n = network.size
    if top is not None and not 1 <= top <= n:
        raise UsageError("top is a number of nodes.", remedy="Give 1 or more.", code="OPS-U208")
    links, buffer, weight = network.links(layers), network.buffer, network.weight
    bound = upper_bounds(links, buffer, weight)
    order = np.argsort(-bound, kind="stable")
    importance, defaults = np.full(n, np.nan), np.full(n, -1, dtype=np.int64)
    hits, unsettled, rounds, at = np.zeros(n), 0, 0, 0
    width = kernels.WIDTH
    while at < n:
        if top is not None and at >= top:
            least = np.sort(importance[order[:at]])[-top]
            if bound[order[at]] <= least:
                break
        nodes = order[at : at + width]
        distress, took, open_ones = _block(links, buffer, nodes, tolerance, max_rounds)
        importance[nodes] = weight @ distress - weight[nodes]
        defaults[nodes] = (distress >= 1.0 - FULL).sum(axis=0) - 1
        hits += distress.sum(axis=1)
        hits[nodes] -= 1.0
        unsettled, rounds, at = unsettled + open_ones, max(rounds, took), at + len(nodes)
    vulnerability = hits / (n - 1) if at == n and n > 1 else np.full(n, np.nan)
    return SystemicResult(network, importance, vulnerability, defaults, bound, at, unsettled, rounds)


def _block(links: Links, buffer: Floats, nodes: Ints, tolerance: float, max_rounds: int) -> tuple[Floats, int, int]:
    """Return the distress after the default of each of the nodes alone, the rounds, and how many had not settled."""
    h, arrays = np.zeros((links.size, kernels.WIDTH)), links.arrays()
    h[nodes, np.arange(len(nodes))] = 1.0
    stops = [Stop(tolerance) for _ in range(kernels.WIDTH)]
    step, fresh = np.zeros(kernels.WIDTH), np.zeros(kernels.WIDTH, dtype=np.int64)
    rounds, left = 0, kernels.WIDTH
    while rounds < max_rounds and left:
        kernels.sweep_block(*arrays, buffer, h, step, fresh)
        rounds += 1
        left = sum(
            not stop.note(*x) for stop, x in zip(stops, zip(step.tolist(), fresh.tolist(), strict=True), strict=True)
        )
    return h[:, : len(nodes)], rounds, left
