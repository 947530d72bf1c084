"""The compiled part: the supremum of Dickey-Fuller statistics over all starts, for every end, in O(T² k²).

All windows that end at e are had by adding one observation after another on the left. Blocks of neighbouring ends
run side by side, so that the machine's vectors are filled. Two things keep the digits: each end's columns are counted
from their values in its own last row (so that no window's sum of squares is more than n times its spread, whatever
the level), and with lags the triangular factor is updated by rotations without square roots (Gentleman 1973), whose
residual sum of squares only grows: it is that of the recursive residuals.

The rules for windows without a statistic are those of `opsroom.warn.exuberance.ols`, the pure-NumPy twin.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

TINY = 1e-12
"""A column (or the residuals) whose sum of squares falls below this share of what it was before the columns ahead of
it were taken out is nothing but rounding: the window has no statistic."""
_DELICATE = 1e-5
"""Below this share the closed form without lags has lost too many digits, and the end is done again by rotations."""
_LANES = 64
_FAST = {"contract", "nsz", "arcp"}


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def lagless(y: Any, least: int, first: Any, best: Any, work: Any) -> int:
    """Fill signed squared statistics without lags: windows from the first row, and the largest; return delicate ends.

    `first` and `best` have one element a row (``len(y) - 1``), NaN where no window of `least` rows ends; `work` has
    the shape (9, lanes). Where the closed form would lose digits both are set to infinity: do these ends again.
    """
    rows, lanes = len(y) - 1, work.shape[1]
    s1, s2, c1, c2, xd, level, step, top, bad = (
        work[0], work[1], work[2], work[3], work[4], work[5], work[6], work[7], work[8],
    )  # fmt: skip
    delicate = 0
    for at in range(least - 1, rows, lanes):
        wide = min(lanes, rows - at)
        for b in range(wide):
            s1[b] = s2[b] = c1[b] = c2[b] = xd[b] = bad[b] = 0.0
            level[b] = y[at + b]
            step[b] = y[at + b + 1] - y[at + b]
            top[b] = -np.inf
        for n in range(1, at + wide + 1):
            low = max(0, n - 1 - at)
            here = y[at + low - n + 1 : at + wide - n + 2]
            count = float(n)
            free = float(n - 2)
            a1, a2, d1, d2, ad = s1[low:wide], s2[low:wide], c1[low:wide], c2[low:wide], xd[low:wide]
            al, ast = level[low:wide], step[low:wide]
            if n < least:
                for b in range(wide - low):
                    x = here[b] - al[b]
                    d = here[b + 1] - here[b] - ast[b]
                    a1[b] += x
                    a2[b] += x * x
                    d1[b] += d
                    d2[b] += d * d
                    ad[b] += x * d
                continue
            atop, abad = top[low:wide], bad[low:wide]
            for b in range(wide - low):
                x = here[b] - al[b]
                d = here[b + 1] - here[b] - ast[b]
                u1 = a1[b] + x
                u2 = a2[b] + x * x
                v1 = d1[b] + d
                v2 = d2[b] + d * d
                uv = ad[b] + x * d
                a1[b], a2[b], d1[b], d2[b], ad[b] = u1, u2, v1, v2, uv
                sxx = count * u2 - u1 * u1
                sdd = count * v2 - v1 * v1
                sxd = count * uv - u1 * v1
                both = sxx * sdd
                left = both - sxd * sxd
                fine = left > _DELICATE * both
                q = free * sxd * abs(sxd) / left
                abad[b] = abad[b] if fine else 1.0
                atop[b] = q if fine and q > atop[b] else atop[b]
            if low == n - 1 - at:  # the first lane's window has reached the first row
                u1, v1 = a1[0], d1[0]
                sxx = count * a2[0] - u1 * u1
                sdd = count * d2[0] - v1 * v1
                sxd = count * ad[0] - u1 * v1
                left = sxx * sdd - sxd * sxd
                first[at + low] = free * sxd * abs(sxd) / left
        for b in range(wide):
            best[at + b] = top[b]
            if bad[b] > 0.0:
                first[at + b] = best[at + b] = np.inf
                delicate += 1
    return delicate


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def rotate(x: Any, w: Any, scale: Any, upper: Any, width: int, low: int, wide: int, gain: Any) -> None:
    """Take one row into the triangular factors of lanes `low` to `wide`.

    Parameters
    ----------
    x
        Shape (width + 1, lanes): the row's columns and, last, its response; used up: left is what the columns ahead
        do not explain.
    w
        Shape (lanes,): the row's weights; left is the weight of the residual.
    scale, upper
        Diagonal and unit upper triangle of the factors, of shapes (width, lanes) and (width, width + 1, lanes).
    """
    for i in range(width):
        xi, di, ww, gg = x[i, low:wide], scale[i, low:wide], w[low:wide], gain[low:wide]
        for b in range(wide - low):
            wx = ww[b] * xi[b]
            new = di[b] + wx * xi[b]
            some = new > 0.0
            inverse = 1.0 / new if some else 0.0
            gg[b] = wx * inverse
            ww[b] = ww[b] * (di[b] * inverse) if some else ww[b]
            di[b] = new
        for j in range(i + 1, width + 1):
            xj, r = x[j, low:wide], upper[i, j, low:wide]
            for b in range(wide - low):
                rest = xj[b] - xi[b] * r[b]
                xj[b] = rest
                r[b] += gg[b] * rest


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def lagged(y: Any, lags: int, least: int, first: Any, best: Any, only: Any) -> None:
    """Fill signed squared statistics with `lags` lagged differences, for all ends or those where `only` is not zero.

    Row r explains ``y[r + lags + 1] - y[r + lags]`` by a constant, the `lags` differences before it and, last, the
    level ``y[r + lags]``: the statistic is then had from the factor's last row, without solving anything.
    """
    rows, width, lanes = len(y) - 1 - lags, lags + 2, min(_LANES, max(8, 512 // (lags + 2)))
    scale = np.zeros((width, lanes))
    upper = np.zeros((width, width + 1, lanes))
    x = np.zeros((width + 1, lanes))
    raw = np.zeros((width + 1, lanes))
    w, gain, rss, top, good = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    for at in range(least - 1, rows, lanes):
        wide = min(lanes, rows - at)
        wanted = False
        for b in range(wide):
            wanted = wanted or only[at + b] != 0
        if not wanted:
            continue
        scale[:], upper[:], raw[:], rss[:], top[:] = 0.0, 0.0, 0.0, 0.0, -np.inf
        for n in range(1, at + wide + 1):
            low = max(0, n - 1 - at)
            begin = at - n + 1 + lags  # of the first lane's response, among differences
            for b in range(low, wide):
                w[b] = 1.0
                x[0, b] = 1.0
                x[width - 1, b] = y[begin + b] - y[at + lags + b]
                x[width, b] = (y[begin + b + 1] - y[begin + b]) - (y[at + lags + b + 1] - y[at + lags + b])
                raw[width - 1, b] += x[width - 1, b] * x[width - 1, b]
                raw[width, b] += x[width, b] * x[width, b]
            for j in range(1, lags + 1):
                for b in range(low, wide):
                    here, last = begin + b - j, at + lags + b - j
                    x[j, b] = (y[here + 1] - y[here]) - (y[last + 1] - y[last])
                    raw[j, b] += x[j, b] * x[j, b]
            rotate(x, w, scale, upper, width, low, wide, gain)
            for b in range(low, wide):
                rss[b] += w[b] * x[width, b] * x[width, b]
            if n < least:
                continue
            for b in range(low, wide):
                good[b] = 1.0 if rss[b] > TINY * raw[width, b] else 0.0
            for j in range(1, width):
                for b in range(low, wide):
                    good[b] = good[b] if scale[j, b] > TINY * raw[j, b] else 0.0
            free = float(n - width)
            for b in range(low, wide):
                slope = upper[width - 1, width, b]
                q = free * slope * abs(slope) * scale[width - 1, b] / rss[b]
                top[b] = q if good[b] > 0.0 and q > top[b] else top[b]
            if low == n - 1 - at:
                slope = upper[width - 1, width, low]
                q = free * slope * abs(slope) * scale[width - 1, low] / rss[low]
                first[at + low] = q if good[low] > 0.0 else np.nan
        for b in range(wide):
            best[at + b] = top[b] if top[b] > -np.inf else np.nan


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def chosen(y: Any, most: int, least: int, first: Any, best: Any) -> None:
    """Fill signed squared statistics with the lags that the Bayesian criterion chooses in each window, 0 to `most`.

    All choices of a window are fitted to the same rows (those that have `most` lags). The level comes before the
    lags, nearest first, so that one factor holds every choice: the residual sums of squares are had by adding up from
    the last column, and the level's coefficient from a row of the inverse.
    """
    rows, width, lanes = len(y) - 1 - most, most + 2, min(_LANES, max(8, 512 // (most + 2)))
    scale = np.zeros((width, lanes))
    upper = np.zeros((width, width + 1, lanes))
    x = np.zeros((width + 1, lanes))
    raw = np.zeros((width + 1, lanes))
    w, gain, rss, top = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    row, sums = np.zeros(width), np.zeros(width)
    for at in range(least - 1, rows, lanes):
        wide = min(lanes, rows - at)
        scale[:], upper[:], raw[:], rss[:], top[:] = 0.0, 0.0, 0.0, 0.0, -np.inf
        for n in range(1, at + wide + 1):
            low = max(0, n - 1 - at)
            begin = at - n + 1 + most
            for b in range(low, wide):
                w[b] = 1.0
                x[0, b] = 1.0
                x[1, b] = y[begin + b] - y[at + most + b]
                x[width, b] = (y[begin + b + 1] - y[begin + b]) - (y[at + most + b + 1] - y[at + most + b])
                raw[1, b] += x[1, b] * x[1, b]
                raw[width, b] += x[width, b] * x[width, b]
            for j in range(1, most + 1):
                for b in range(low, wide):
                    here, last = begin + b - j, at + most + b - j
                    x[j + 1, b] = (y[here + 1] - y[here]) - (y[last + 1] - y[last])
                    raw[j + 1, b] += x[j + 1, b] * x[j + 1, b]
            rotate(x, w, scale, upper, width, low, wide, gain)
            for b in range(low, wide):
                rss[b] += w[b] * x[width, b] * x[width, b]
            if n < least:
                continue
            charge = np.exp(np.log(float(n)) / n)  # of one more lag: n log(rss) + k log(n), without the logarithm
            for b in range(low, wide):
                q = np.nan
                if scale[1, b] > TINY * raw[1, b]:
                    usable = 1
                    while usable < width - 1 and scale[usable + 1, b] > TINY * raw[usable + 1, b]:
                        usable += 1
                    sums[width - 1] = rss[b]
                    for j in range(width - 1, 1, -1):
                        sums[j - 1] = sums[j] + scale[j, b] * upper[j, width, b] * upper[j, width, b]
                    least_cost, choice, factor = np.inf, 1, 1.0
                    for j in range(1, usable + 1):
                        if sums[j] * factor < least_cost:
                            least_cost, choice = sums[j] * factor, j
                        factor *= charge
                    if sums[choice] > TINY * raw[width, b]:
                        row[1] = 1.0
                        slope, spread = upper[1, width, b], 1.0 / scale[1, b]
                        for j in range(2, choice + 1):
                            entry = 0.0
                            for i in range(1, j):
                                entry -= row[i] * upper[i, j, b]
                            row[j] = entry
                            slope += entry * upper[j, width, b]
                            spread += entry * entry / scale[j, b]
                        q = (n - choice - 1) * slope * abs(slope) / (spread * sums[choice])
                if q > top[b]:
                    top[b] = q
                if at + b == n - 1:
                    first[at + b] = q
        for b in range(wide):
            best[at + b] = top[b] if top[b] > -np.inf else np.nan


@numba.njit(cache=True, nogil=True, error_model="numpy")
def many(paths: Any, lags: int, least: int, bic: bool, firsts: Any, bests: Any) -> None:
    """Fill BADF and BSADF, one row a path: signed roots of what the kernels give."""
    rows = paths.shape[1] - 1 - lags
    work = np.empty((9, _LANES))
    only = np.ones(rows, dtype=np.int8)
    for m in range(paths.shape[0]):
        first, best, y = firsts[m], bests[m], paths[m]
        if bic:
            chosen(y, lags, least, first, best)
        elif lags > 0:
            lagged(y, lags, least, first, best, only)
        elif lagless(y, least, first, best, work) > 0:
            again = np.zeros(rows, dtype=np.int8)
            for r in range(rows):
                again[r] = 1 if best[r] == np.inf else 0
            lagged(y, 0, least, first, best, again)
        for r in range(rows):
            first[r] = np.sqrt(first[r]) if first[r] >= 0.0 else -np.sqrt(-first[r])
            best[r] = np.sqrt(best[r]) if best[r] >= 0.0 else -np.sqrt(-best[r])
