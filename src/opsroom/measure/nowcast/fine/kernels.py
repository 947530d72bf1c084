"""The compiled part of the factor model on a fine grid: from shares to the unknowns' precision, and back to moments.

The envelope, its Cholesky factor and its inverse are those of `dfm.kernels`.
"""

from __future__ import annotations

from typing import Any

import numba

from opsroom.measure.nowcast.dfm.kernels import entry


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
