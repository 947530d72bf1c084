"""The compiled part of the factor model on a fine grid: from cells to the unknowns' precision, and back to moments.

The envelope, its Cholesky factor and its inverse are those of `dfm.kernels`.
"""

from __future__ import annotations

from typing import Any

import numba

from opsroom.measure.nowcast.dfm.kernels import entry


@numba.njit(cache=True, nogil=True, error_model="numpy")
def collect(
    links: Any, series: Any, link: Any, decay: Any, weight: Any, value: Any, loadings: Any, same: Any, cross: Any,
    pull: Any,
) -> float:  # fmt: skip
    """Sum the cells over the series, by share and link; return their weighted sum of squares.

    `same` is the precision of each share's factors, `cross` of a link's two shares, `pull` the right side by share.
    """
    r, total = loadings.shape[1], 0.0
    for k in range(len(series)):
        i, p = series[k], link[k]
        now, before, d = links[p, 0], links[p, 1], decay[k]
        total += weight[k] * value[k] * value[k]
        for f in range(r):
            left = weight[k] * loadings[i, f]
            pull[now, f] += left * value[k]
            for g in range(r):
                same[now, f, g] += left * loadings[i, g]
            if before >= 0:
                pull[before, f] -= d * left * value[k]
                for g in range(r):
                    same[before, f, g] += d * d * left * loadings[i, g]
                    cross[p, f, g] -= d * left * loadings[i, g]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def spread_out(
    env: Any, first: Any, start: Any, share_row: Any, share_at: Any, share_weight: Any, links: Any, same: Any,
    cross: Any, pull: Any, right: Any,
) -> None:  # fmt: skip
    """Add the shares' precision and right side to those of the base periods' factors."""
    r = same.shape[1]
    for a in range(len(share_row)):
        size = share_at[a + 1] - share_at[a]
        for x in range(size):
            wx = share_weight[share_at[a] + x]
            row = (share_row[a] + x) * r
            for f in range(r):
                right[row + f] += wx * pull[a, f]
                base = start[row + f] - first[row + f]
                for y in range(x):
                    w = wx * share_weight[share_at[a] + y]
                    col = base + (share_row[a] + y) * r
                    for g in range(r):
                        env[col + g] += w * same[a, f, g]
                for g in range(f + 1):
                    env[base + row + g] += wx * wx * same[a, f, g]
    for p in range(len(links)):
        a, b = links[p, 0], links[p, 1]
        if b < 0:
            continue
        for x in range(share_at[a + 1] - share_at[a]):
            for y in range(share_at[b + 1] - share_at[b]):
                w = share_weight[share_at[a] + x] * share_weight[share_at[b] + y]
                s, q = share_row[a] + x, share_row[b] + y
                if s < q:
                    s, q = q, s
                for f in range(r):
                    base = start[s * r + f] - first[s * r + f] + q * r
                    if s == q:
                        for g in range(f + 1):
                            env[base + g] += 2.0 * w * cross[p, f, g]
                    else:
                        for g in range(r):
                            env[base + g] += w * cross[p, f, g]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def share_moments(
    near: Any, first: Any, start: Any, mean: Any, share_row: Any, share_at: Any, share_weight: Any, links: Any,
    expected: Any, within: Any, between: Any,
) -> None:  # fmt: skip
    """Fill in each share's mean and covariance, and the covariance of each link's two shares."""
    r = expected.shape[1]
    for a in range(len(share_row)):
        size, at, row = share_at[a + 1] - share_at[a], share_at[a], share_row[a]
        for x in range(size):
            for f in range(r):
                expected[a, f] += share_weight[at + x] * mean[(row + x) * r + f]
                i = (row + x) * r + f
                base = start[i] - first[i] + row * r
                for y in range(x):
                    w = share_weight[at + x] * share_weight[at + y]
                    for g in range(r):
                        both = w * near[base + y * r + g]
                        within[a, f, g] += both
                        within[a, g, f] += both
                for g in range(r):
                    w = share_weight[at + x] * share_weight[at + x]
                    within[a, f, g] += w * entry(near, first, start, i, (row + x) * r + g)
    for p in range(len(links)):
        a, b = links[p, 0], links[p, 1]
        if b < 0:
            continue
        for x in range(share_at[a + 1] - share_at[a]):
            for y in range(share_at[b + 1] - share_at[b]):
                w = share_weight[share_at[a] + x] * share_weight[share_at[b] + y]
                for f in range(r):
                    for g in range(r):
                        both = entry(near, first, start, (share_row[a] + x) * r + f, (share_row[b] + y) * r + g)
                        between[p, f, g] += w * both


@numba.njit(cache=True, nogil=True, error_model="numpy")
def decays(series: Any, gap: Any, memory: Any, decay: Any, spread: Any, decay_slope: Any, spread_slope: Any) -> None:
    """Fill in each cell's weight of the cell before and variance relative to one innovation, and their derivatives.

    A hole of g periods leaves memory**g of the cell before, and adds up the innovations between. A series' first cell
    is stationary.
    """
    for k in range(len(series)):
        rho, g = memory[series[k]], gap[k]
        if g == 0:
            decay[k], decay_slope[k] = 0.0, 0.0
            spread[k] = 1.0 / (1.0 - rho * rho)
            spread_slope[k] = 2.0 * rho * spread[k] * spread[k]
            continue
        d, bend, total, slope = 1.0, 0.0, 0.0, 0.0
        for _ in range(g):
            slope = rho * rho * slope + 2.0 * rho * total
            total = rho * rho * total + 1.0
            bend = rho * bend + d
            d = rho * d
        decay[k], spread[k], decay_slope[k], spread_slope[k] = d, total, bend, slope


@numba.njit(cache=True, nogil=True, error_model="numpy")
def by_series(
    links: Any, series: Any, link: Any, decay: Any, spread: Any, now: Any, back: Any, expected: Any, within: Any,
    between: Any, left: Any, right: Any,
) -> None:  # fmt: skip
    """Sum up the normal equations of each series' loadings, for errors with unit innovations."""
    r = expected.shape[1]
    for k in range(len(series)):
        i, p, d = series[k], link[k], decay[k]
        a, b = links[p, 0], links[p, 1]
        w, value = 1.0 / spread[k], now[k] - d * back[k]
        for f in range(r):
            x = expected[a, f] - (d * expected[b, f] if b >= 0 else 0.0)
            right[i, f] += w * value * x
            for g in range(r):
                y = expected[a, g] - (d * expected[b, g] if b >= 0 else 0.0)
                cov = within[a, f, g]
                if b >= 0:
                    cov += d * d * within[b, f, g] - d * (between[p, f, g] + between[p, g, f])
                left[i, f, g] += w * (x * y + cov)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def own_products(
    links: Any, series: Any, link: Any, now: Any, back: Any, loadings: Any, expected: Any, within: Any, between: Any,
    out: Any,
) -> None:  # fmt: skip
    """Fill in the expected products of each cell's own error and the one before: now², now x before, before²."""
    r = expected.shape[1]
    for k in range(len(series)):
        i, p = series[k], link[k]
        a, b = links[p, 0], links[p, 1]
        x, y, xx, xy, yy = now[k], back[k], 0.0, 0.0, 0.0
        for f in range(r):
            x -= loadings[i, f] * expected[a, f]
            if b >= 0:
                y -= loadings[i, f] * expected[b, f]
            for g in range(r):
                both = loadings[i, f] * loadings[i, g]
                xx += both * within[a, f, g]
                if b >= 0:
                    xy += both * between[p, f, g]
                    yy += both * within[b, f, g]
        out[0, k] = x * x + xx
        out[1, k] = x * y + xy if b >= 0 else 0.0
        out[2, k] = y * y + yy if b >= 0 else 0.0
