"""Following meters through replacements and adding metering points up to companies, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from opsroom.measure.adjust.select_kernel import select


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_up(
    values: Any, offset: int, row: Any, low: Any, high: Any, share: Any, links: Any, order: Any, bounds: Any,
    level: Any, fewest: int, slip: float, slip_from: float, slip_to: float, wild: float, ratio: Any, active: Any,
) -> Any:  # fmt: skip
    """Fill each company's use relative to the level of what reported, and the share of level still linked.

    One company at a time, so that nothing but its own points is held.

    Parameters
    ----------
    values
        Readings, (meters, days); the window's first day is the column `offset`.
    row, low, high, share
        Of each link, sorted by chain: row in `values` (-1: never reported), first day in the window, the day
        after the last, share of the meter.
    links
        Where each chain begins among the links, (chains + 1,).
    order, bounds
        Chains sorted by company, and where each company begins in that order, (companies + 1,).
    level
        Usual level of each chain, 0 if it has none. A negative one is filled in: the median of the positive
        readings, 0 with fewer than `fewest` of them.
    slip, slip_from, slip_to, wild
        A reading between `slip_from` and `slip_to` times the level is divided by `slip`; one that is wild, or
        as many times too low, is left out.
    ratio, active
        Filled, (companies, days).

    Returns
    -------
    tuple of int
        Readings repaired and dropped.
    """
    n, days = ratio.shape
    value, known = np.empty(days, np.float32), np.empty(days, np.bool_)
    total, seen, joined = np.empty(days, np.float64), np.empty(days, np.float64), np.empty(days, np.float64)
    ranked = np.empty(days, np.float32)
    repaired, dropped = 0, 0
    for u in range(n):
        whole = 0.0
        total[:] = 0.0
        seen[:] = 0.0
        joined[:] = 0.0
        for i in range(bounds[u], bounds[u + 1]):
            chain = order[i]
            first, last = links[chain], links[chain + 1]
            if last - first == 1 and level[chain] >= 0.0:  # most have one meter throughout
                if level[chain] > 0.0:
                    whole += level[chain]
                    mended, left = _add_meter(
                        values, offset, row[first], low[first], high[first], share[first], level[chain],
                        slip, slip_from, slip_to, wild, total, seen, joined,
                    )  # fmt: skip
                    repaired += mended
                    dropped += left
                continue
            value[:] = np.nan
            known[:] = False
            for link in range(first, last):
                part, meter = share[link], row[link]
                for t in range(low[link], high[link]):
                    known[t] = True
                    column = t + offset
                    inside = meter >= 0 and 0 <= column < values.shape[1]
                    value[t] = values[meter, column] * part if inside else np.float32(np.nan)
            if level[chain] < 0:
                level[chain] = _usual(value, ranked, fewest)
            usual = level[chain]
            if usual <= 0:
                continue
            whole += usual
            scale = max(usual, np.float32(1e-6))
            for t in range(days):
                if not known[t]:
                    continue
                joined[t] += usual
                here = value[t]
                if not np.isfinite(here):
                    continue
                size = here / scale
                if slip_from < size < slip_to:
                    here /= np.float32(slip)
                    repaired += 1
                elif size > wild or 1 / slip_to < size < 1 / slip_from:
                    dropped += 1
                    continue
                total[t] += here
                seen[t] += usual
        for t in range(days):
            ratio[u, t] = total[t] / seen[t] if whole > 0.0 and seen[t] > 0.5 * joined[t] else np.nan
            active[u, t] = np.int8(np.ceil(100.0 * joined[t] / whole)) if whole > 0.0 else np.int8(0)
    return repaired, dropped


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_meter(
    values: Any, offset: int, meter: int, low: int, high: int, part: Any, usual: Any, slip: float, slip_from: float,
    slip_to: float, wild: float, total: Any, seen: Any, joined: Any,
) -> tuple[int, int]:  # fmt: skip
    """Add what one meter tells of its chain, as `add_up` does: plain readings without a branch, others after."""
    for t in range(low, high):
        joined[t] += usual
    if meter < 0:
        return 0, 0
    scale = max(usual, np.float32(1e-6))
    begin, end = max(low, -offset), min(high, values.shape[1] - offset)
    odd = 0
    reading = values[meter]
    for t in range(begin, end):
        here = reading[t + offset] * part
        size = here / scale
        there = abs(here) < np.inf
        slipped = (slip_from < size) & (size < slip_to)
        wildly = (size > wild) | ((1 / slip_to < size) & (size < 1 / slip_from))
        plain = there & (not (slipped | wildly))
        total[t] += here if plain else 0.0
        seen[t] += usual if plain else 0.0
        odd += there & (slipped | wildly)
    if odd == 0:
        return 0, 0
    repaired = 0
    for t in range(begin, end):
        here = reading[t + offset] * part
        size = here / scale
        if np.isfinite(here) and slip_from < size < slip_to:
            total[t] += here / np.float32(slip)
            seen[t] += usual
            repaired += 1
    return repaired, odd - repaired


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _usual(value: Any, ranked: Any, fewest: int) -> Any:
    """Return the lower median of the positive values; 0 with fewer than `fewest` of them."""
    count = 0
    for t in range(len(value)):
        if value[t] > 0:
            ranked[count] = value[t]
            count += 1
    if count < fewest:
        return np.float32(0.0)
    return select(ranked, count, (count - 1) // 2)
