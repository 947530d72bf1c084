"""Adding metering points up to companies, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_chains(value: Any, linked: Any, level: Any, order: Any, bounds: Any) -> Any:
    """Return each company's use relative to the level of what reported, and the share of level still linked.

    Parameters
    ----------
    value, linked
        Readings of chains and whether a meter was linked, (chains, days).
    level
        Usual level of each chain.
    order, bounds
        Chains sorted by company, and where each company begins in that order, (companies + 1,).
    """
    n, days = len(bounds) - 1, value.shape[1]
    ratio = np.full((n, days), np.nan, dtype=np.float32)
    active = np.zeros((n, days), dtype=np.int8)
    for u in range(n):
        whole = 0.0
        for i in range(bounds[u], bounds[u + 1]):
            whole += level[order[i]]
        if whole <= 0.0:
            continue
        for t in range(days):
            total, seen, joined = 0.0, 0.0, 0.0
            for i in range(bounds[u], bounds[u + 1]):
                row = order[i]
                if linked[row, t]:
                    joined += level[row]
                    if np.isfinite(value[row, t]):
                        total += value[row, t]
                        seen += level[row]
            if seen > 0.5 * joined:
                ratio[u, t] = total / seen
            active[u, t] = np.int8(np.ceil(100.0 * joined / whole))
    return ratio, active
