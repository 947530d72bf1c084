"""Laying out what is known of companies day by day, compiled: one pass each, nothing held twice."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True, nogil=True, error_model="numpy")
def count_seen(seen: Any, region: Any, out: Any) -> None:
    """Add the companies with a reading to `out` (regions, days)."""
    for u in range(len(seen)):
        for t in range(seen.shape[1]):
            out[region[u], t] += seen[u, t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def tell_silence(
    seen: Any, active: Any, region: Any, gone: Any, start: int, out: Any, longest: int, code: Any, codes: Any
) -> None:
    """Fill `code` (companies, days) with the `codes` of seen, silent, unknown and gone.

    Silence is unknown on days on which the region's provider was `out` (regions, days), and in runs of at most
    `longest` days. A company is gone from its day on, or when nothing is linked any more.
    """
    here, silent, unknown, left = codes[0], codes[1], codes[2], codes[3]
    days = seen.shape[1]
    for u in range(len(seen)):
        begin, linked = -1, False
        for t in range(days + 1):
            quiet = False
            if t < days:
                linked = linked or active[u, t] > 0
                quiet = not seen[u, t] and not out[region[u], t]
                code[u, t] = here if seen[u, t] else silent if quiet else unknown
            if quiet and begin < 0:
                begin = t
            if not quiet and begin >= 0:
                if t - begin <= longest:
                    code[u, begin:t] = unknown
                begin = -1
        for t in range(days):
            if (linked and active[u, t] == 0) or t + start >= gone[u]:
                code[u, t] = left


@numba.njit(cache=True, nogil=True, error_model="numpy")
def tell_use(
    q: Any, nu: Any, miss: Any, off: Any, works: float, seen: int, unknown: int, use: Any, usual: Any, code: Any
) -> None:
    """Fill `use` (NaN where not seen), `usual` (0 on days off for who does not work on them) and `code`."""
    for u in range(len(q)):
        for t in range(q.shape[1]):
            known = miss[u, t] == seen and np.isfinite(q[u, t])
            use[u, t] = q[u, t] if known else np.float32(np.nan)
            usual[u, t] = np.float32(0.0) if off[t] and nu[u, t] < works else nu[u, t]
            code[u, t] = unknown if miss[u, t] == seen and not known else miss[u, t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def tell_naive(ratio: Any, before: int, fewest: int, threshold: float, out: Any) -> None:
    """Fill `out` with whether use exceeds a share of the own mean of the first days; -1 unknown."""
    for u in range(len(ratio)):
        count, total = 0, 0.0
        for t in range(before):
            if np.isfinite(ratio[u, t]):
                count += 1
                total += ratio[u, t]
        usable = count >= fewest and total > 0
        bar = threshold * total / max(count, 1)
        for t in range(ratio.shape[1]):
            known = usable and np.isfinite(ratio[u, t])
            out[u, t] = (1 if ratio[u, t] > bar else 0) if known else -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def add_states(dark: Any, faint: Any, near: Any, degree: Any, stratum: Any, section: Any, low: Any, lit: Any) -> None:
    """Add dark, faint and next-degree use to `low` (3, strata, days), what is lit to `lit` (2, sections, days).

    Lit is the chance of more than faint use, and the degree of opening.
    """
    for u in range(len(dark)):
        s, k = stratum[u], section[u]
        for t in range(dark.shape[1]):
            low[0, s, t] += dark[u, t]
            low[1, s, t] += faint[u, t]
            low[2, s, t] += near[u, t]
            lit[0, k, t] += 1.0 - dark[u, t] - faint[u, t]
            lit[1, k, t] += degree[u, t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def lay_out(
    dark: Any, faint: Any, degree: Any, filled: Any, stratum: Any, section: Any, closed_dark: Any,
    closed_faint: Any, typical: Any, working: Any, capacity: Any,
) -> None:  # fmt: skip
    """Fill each company's chance of being at work and its capacity from the row that stands for it.

    Of the dark and the faint of a stratum, `closed_dark` and `closed_faint` (strata, days) are closed; those at
    work in the dark do what is `typical` (sections, days) of the lit.
    """
    one = np.float32(1.0)
    for u in range(len(filled)):
        row = filled[u]
        s, k = stratum[row], section[row]
        for t in range(dark.shape[1]):
            lost = dark[row, t] * closed_dark[s, t] + faint[row, t] * closed_faint[s, t]
            working[u, t] = one - lost
            capacity[u, t] = degree[row, t] + (dark[row, t] + faint[row, t] - lost) * typical[k, t]
