"""The compiled part: the supremum of Dickey-Fuller statistics over all starts, for every end.

With no lag or one, the sums of every window are differences of prefix sums of the centred series: one division a
window, squares compared, no matrix. Where that would lose digits (a window that hardly varies beside the whole series,
or one that is explained nearly without error), and with more lags always, windows grow by one row after another on
the left and their triangular factor is updated by rotations without square roots (Gentleman 1973), O(T² k²) in all.
Two things keep the digits there: each end's columns are counted from their values in its own last row, so that no
window's sum of squares is more than n times its spread, whatever the level; and the residual sum of squares only
grows, as it is that of the recursive residuals. Neighbouring ends run side by side, so that the machine's vectors are
filled.

The rules for windows without a statistic are those of `opsroom.warn.exuberance.ols`, the pure-NumPy twin.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

TINY = 1e-12
"""A column (or the residuals) whose sum of squares falls below this share of what it was before the columns ahead of
it were taken out is nothing but rounding: the window has no statistic."""
_DELICATE = 1e-6
"""Below this share, prefix sums have lost too many digits: the end is done again by rotations."""
_STARTS = 256
LANES = 64
"""Ends that run side by side: fewer with more columns, so that their factors stay near the processor."""
_FAST = {"contract", "nsz", "arcp"}


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def starts(
    count: Any, x1: Any, x2: Any, d1: Any, d2: Any, xd: Any,
    rows: float, ends: Any, least_x: float, least_d: float, top: Any,
) -> None:  # fmt: skip
    """Raise `top` to the signed squared statistics of windows with these starts; infinity where digits are lost."""
    e1, e2, f1, f2, ef = ends
    for b in range(len(top)):
        n = rows - count[b]
        u, v = e1 - x1[b], f1 - d1[b]
        sxx = n * (e2 - x2[b]) - u * u
        sdd = n * (f2 - d2[b]) - v * v
        sxd = n * (ef - xd[b]) - u * v
        both = sxx * sdd
        left = both - sxd * sxd
        fine = (left > _DELICATE * both) & (sxx > n * least_x) & (sdd > n * least_d)
        q = (n - 2.0) * sxd * abs(sxd) / left
        q = q if fine else np.inf
        top[b] = q if q > top[b] else top[b]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def lagless(count: Any, sums: Any, least: int, firsts: Any, bests: Any) -> None:
    """Fill signed squared statistics without lags: windows from the first row, and the largest.

    Parameters
    ----------
    count
        0.0, 1.0 … up to the number of rows.
    sums
        Shape (5, paths, rows + 1): running sums, from 0, of levels, their squares, differences, their squares, and
        products, all centred.
    least
        Rows of the smallest window.
    firsts, bests
        Shape (paths, rows); infinite where prefix sums lose digits: do these ends by `grow`.
    """
    rows = firsts.shape[1]
    top = np.empty(_STARTS)
    for m in range(firsts.shape[0]):
        x1, x2, d1, d2, xd = sums[0, m], sums[1, m], sums[2, m], sums[3, m], sums[4, m]
        least_x, least_d = _DELICATE * x2[rows], _DELICATE * d2[rows]
        for e in range(least - 1, rows):
            after, stop = e + 1, e - least + 2
            ends = (x1[after], x2[after], d1[after], d2[after], xd[after])
            for b in range(min(stop, _STARTS)):
                top[b] = -np.inf
            for s in range(0, stop, _STARTS):
                z = min(stop, s + _STARTS)
                part = top[: z - s]
                starts(
                    count[s:z], x1[s:z], x2[s:z], d1[s:z], d2[s:z], xd[s:z],
                    count[after], ends, least_x, least_d, part,
                )  # fmt: skip
                if s == 0:
                    firsts[m, e] = part[0]
            best = -np.inf
            for b in range(min(stop, _STARTS)):
                best = max(best, top[b])
            bests[m, e] = best


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def starts_lagged(
    count: Any, x1: Any, x2: Any, d1: Any, d2: Any, xd: Any, xl: Any, ld: Any,
    rows: float, ends: Any, whole_x: float, whole_d: float, top: Any,
) -> None:  # fmt: skip
    """Raise `top` as `starts` does, with one lagged difference taken out of level and response.

    The lag's sums are those of the response one place before: `d1` and `d2` have one element more than `top`. `left`
    is known up to rounding of the sums over the whole series times what they are multiplied by: hence the two bounds.
    """
    e1, e2, f1, f2, g1, g2, ef, eg, fg = ends
    for b in range(len(top)):
        n = rows - count[b]
        u, v, w = e1 - x1[b], f1 - d1[b + 1], g1 - d1[b]
        sxx = n * (e2 - x2[b]) - u * u
        sdd = n * (f2 - d2[b + 1]) - v * v
        sll = n * (g2 - d2[b]) - w * w
        sxd = n * (ef - xd[b]) - u * v
        sxl = n * (eg - xl[b]) - u * w
        sld = n * (fg - ld[b]) - v * w
        level = sxx * sll - sxl * sxl
        response = sdd * sll - sld * sld
        both = sxd * sll - sxl * sld
        left = level * response - both * both
        bound = _DELICATE * n
        fine = (
            (left > bound * response * (whole_x * sll + sxx * whole_d))
            & (left > bound * level * (whole_d * sll + sdd * whole_d))
            & (sll > bound * whole_d)
        )  # fmt: skip
        q = (n - 3.0) * both * abs(both) / left
        q = q if fine else np.inf
        top[b] = q if q > top[b] else top[b]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def one_lag(count: Any, sums: Any, steps: Any, least: int, firsts: Any, bests: Any) -> None:
    """Fill signed squared statistics with one lag, as `lagless` does without.

    Parameters
    ----------
    sums
        Shape (5, paths, rows + 1): of levels, their squares, products of level and difference, of level and lag, of
        difference and lag.
    steps
        Shape (2, paths, rows + 2): of all differences and their squares, the lag of the first row first.
    """
    rows = firsts.shape[1]
    top = np.empty(_STARTS)
    for m in range(firsts.shape[0]):
        x1, x2, xd, xl, ld = sums[0, m], sums[1, m], sums[2, m], sums[3, m], sums[4, m]
        d1, d2 = steps[0, m], steps[1, m]
        for e in range(least - 1, rows):
            a, stop = e + 1, e - least + 2
            ends = (x1[a], x2[a], d1[a + 1], d2[a + 1], d1[a], d2[a], xd[a], xl[a], ld[a])
            for b in range(min(stop, _STARTS)):
                top[b] = -np.inf
            for s in range(0, stop, _STARTS):
                z = min(stop, s + _STARTS)
                part = top[: z - s]
                starts_lagged(
                    count[s:z], x1[s:z], x2[s:z], d1[s : z + 1], d2[s : z + 1], xd[s:z], xl[s:z], ld[s:z],
                    count[a], ends, x2[rows], d2[rows + 1], part,
                )  # fmt: skip
                if s == 0:
                    firsts[m, e] = part[0]
            best = -np.inf
            for b in range(min(stop, _STARTS)):
                best = max(best, top[b])
            bests[m, e] = best


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def rotate(x: Any, n: int, scale: Any, upper: Any, w: Any, gain: Any, keep: Any, low: int, wide: int) -> None:
    """Take a window's n-th row into the triangular factors of lanes `low` to `wide`.

    Parameters
    ----------
    x
        Shape (width + 1, lanes): the row's columns after the constant and, last, its response; used up: left is what
        the constant and the columns ahead do not explain.
    scale, upper
        Diagonal and unit upper triangle of the factors, of shapes (width, lanes) and (width + 1, width + 1, lanes);
        row 0 of `upper` are the means.
    w, gain, keep
        Shape (lanes,): `w` is left as the weight of the residual.

    Notes
    -----
    Gentleman's first form of the update, ``keep * r + gain * x``, is the one that stays exact where a row with nothing
    but rounding in a column comes before the rows that matter; the shorter ``r + gain * (x - xi * r)`` does not.
    """
    width = x.shape[0] - 1
    share = 1.0 / n
    ww, gg, kk = w[low:wide], gain[low:wide], keep[low:wide]
    for j in range(width + 1):
        xj, mean = x[j, low:wide], upper[0, j, low:wide]
        for b in range(len(xj)):
            rest = xj[b] - mean[b]
            xj[b] = rest
            mean[b] += share * rest
    ww[:] = 1.0 - share
    for i in range(width):
        xi, di = x[i, low:wide], scale[i, low:wide]
        for b in range(len(xi)):
            wx = ww[b] * xi[b]
            new = di[b] + wx * xi[b]
            some = new > 0.0
            inverse = 1.0 / (new if some else 1.0)
            gg[b] = wx * inverse
            kk[b] = di[b] * inverse if some else 1.0
            ww[b] *= kk[b]
            di[b] = new
        for j in range(i + 1, width + 1):
            xj, r = x[j, low:wide], upper[i + 1, j, low:wide]
            for b in range(len(xj)):
                old, was = xj[b], r[b]
                xj[b] = old - xi[b] * was
                r[b] = kk[b] * was + gg[b] * old


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def load(values: Any, anchors: Any, x: Any, raw: Any) -> None:
    """Put one column of a row into its lanes, counted from the anchors, and add up its squares."""
    for b in range(len(x)):
        value = values[b] - anchors[b]
        x[b] = value
        raw[b] += value * value


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def add_residual(x: Any, w: Any, rss: Any) -> None:
    """Add a row's recursive residual to the residual sum of squares."""
    for b in range(len(x)):
        rss[b] += w[b] * x[b] * x[b]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def regular(values: Any, raw: Any, good: Any) -> None:
    """Strike out lanes in which a sum of squares is nothing but rounding."""
    for b in range(len(good)):
        good[b] = good[b] if values[b] > TINY * raw[b] else 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST)
def raise_to(slope: Any, scale: Any, rss: Any, good: Any, free: float, top: Any) -> None:
    """Raise `top` to the signed squared statistics of one more start."""
    for b in range(len(top)):
        q = free * slope[b] * abs(slope[b]) * scale[b] / rss[b]
        q = q if good[b] > 0.0 else -np.inf
        top[b] = q if q > top[b] else top[b]


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def choose(
    n: int, charge: float, scale: Any, upper: Any, rss: float, raw: Any, b: int, row: Any, sums: Any
) -> float:  # fmt: skip
    """Return the signed squared statistic of lane b under the lags that the Bayesian criterion chooses.

    The level is column 0, the lags follow, nearest first: so one factor holds every choice. Residual sums of squares
    are had by adding up from the last column, the level's coefficient from a row of the inverse. The criterion is
    n log(rss) + k log(n), compared without the logarithm.
    """
    width = scale.shape[0]
    if not scale[0, b] > TINY * raw[0, b]:
        return np.nan
    usable = 1
    while usable < width and scale[usable, b] > TINY * raw[usable, b]:
        usable += 1
    sums[width - 1] = rss
    for j in range(width - 1, 0, -1):
        sums[j - 1] = sums[j] + scale[j, b] * upper[j + 1, width, b] * upper[j + 1, width, b]
    cost, choice, factor = np.inf, 0, 1.0
    for j in range(usable):
        if sums[j] * factor < cost:
            cost, choice = sums[j] * factor, j
        factor *= charge
    if not sums[choice] > TINY * raw[width, b]:
        return np.nan
    row[0] = 1.0
    slope, spread = upper[1, width, b], 1.0 / scale[0, b]
    for j in range(1, choice + 1):
        entry = 0.0
        for i in range(j):
            entry -= row[i] * upper[i + 1, j, b]
        row[j] = entry
        slope += entry * upper[j + 1, width, b]
        spread += entry * entry / scale[j, b]
    return float((n - choice - 2) * slope * abs(slope) / (spread * sums[choice]))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def grow(
    table: Any, least: int, bic: Any, charges: Any, first: Any, best: Any, only: Any, room: Any, upper: Any
) -> None:  # fmt: skip
    """Fill signed squared statistics of one path by growing windows, for the ends where `only` is not zero.

    Parameters
    ----------
    table
        Shape (columns + 1, rows): the columns after the constant and, last, the response. With fixed lags the level is
        the last column: its statistic is then had from the factor's last row, without solving anything. With `bic` it
        is the first, see `choose`.
    least
        Rows of the smallest window.
    bic
        Whether to choose lags in each window.
    charges
        By rows of the window: by what one more lag multiplies the criterion, n to the power 1 / n.
    first, best
        Shape (rows,); NaN where there is no statistic.
    room, upper
        To work in, of shapes (5, columns + 6, lanes) and (columns + 1, columns + 1, lanes).
    """
    width, rows, lanes = table.shape[0] - 1, table.shape[1], upper.shape[2]
    scale, x, raw = room[0, :width], room[1, : width + 1], room[2, : width + 1]
    lane, row, sums = room[3], room[4, 0], room[4, 1]
    w, gain, keep, good, rss, top = lane[0], lane[1], lane[2], lane[3], lane[4], lane[5]
    for at in range(least - 1, rows, lanes):
        wide = min(lanes, rows - at)
        wanted = 0
        for b in range(wide):
            wanted += only[at + b]
        if wanted == 0:
            continue
        for b in range(lanes):
            rss[b], top[b] = 0.0, -np.inf
            for j in range(width + 1):
                raw[j, b] = 0.0
                for i in range(width + 1):
                    upper[i, j, b] = 0.0
            for j in range(width):
                scale[j, b] = 0.0
        for n in range(1, at + wide + 1):
            low = max(0, n - 1 - at)
            begin = at - n + 1
            for j in range(width + 1):
                load(
                    table[j, begin + low : begin + wide], table[j, at + low : at + wide],
                    x[j, low:wide], raw[j, low:wide],
                )  # fmt: skip
            rotate(x, n, scale, upper, w, gain, keep, low, wide)
            add_residual(x[width, low:wide], w[low:wide], rss[low:wide])
            if n < least:
                continue
            if bic:
                for b in range(low, wide):
                    q = choose(n, charges[n], scale, upper, rss[b], raw, b, row, sums)
                    top[b] = q if q > top[b] else top[b]
                    if at + b == n - 1:
                        first[at + b] = q
                continue
            for b in range(low, wide):
                good[b] = 1.0 if rss[b] > TINY * raw[width, b] else 0.0
            for j in range(width):
                regular(scale[j, low:wide], raw[j, low:wide], good[low:wide])
            slope, free = upper[width, width, low:wide], float(n - width - 1)
            raise_to(slope, scale[width - 1, low:wide], rss[low:wide], good[low:wide], free, top[low:wide])
            if low == n - 1 - at:  # the first lane's window has reached the first row
                q = free * slope[0] * abs(slope[0]) * scale[width - 1, low] / rss[low]
                first[at + low] = q if good[low] > 0.0 else np.nan
        for b in range(wide):
            best[at + b] = top[b] if top[b] > -np.inf else np.nan
