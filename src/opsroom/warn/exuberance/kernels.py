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
_LANES = 64
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
def lagless(y: Any, least: int, first: Any, best: Any, work: Any) -> int:
    """Fill signed squared statistics without lags: windows from the first row, and the largest; return delicate ends.

    `first` and `best` have one element a row (``len(y) - 1``), NaN where no window of `least` rows ends; `work` has
    the shape (8, len(y)). Both are set to infinity where prefix sums lose digits: do these ends by `lagged`.
    """
    rows = len(y) - 1
    middle, slope = y.mean(), (y[rows] - y[0]) / rows
    count, x1, x2, d1, d2, xd = work[0], work[1], work[2], work[3], work[4], work[5]
    work[:, 0] = 0.0
    for t in range(rows):
        x, d = y[t] - middle, y[t + 1] - y[t] - slope
        count[t + 1] = t + 1.0
        x1[t + 1] = x1[t] + x
        x2[t + 1] = x2[t] + x * x
        d1[t + 1] = d1[t] + d
        d2[t + 1] = d2[t] + d * d
        xd[t + 1] = xd[t] + x * d
    least_x, least_d = _DELICATE * x2[rows], _DELICATE * d2[rows]
    top = np.empty(_STARTS)
    delicate = 0
    for e in range(least - 1, rows):
        after, stop = e + 1, e - least + 2
        ends = (x1[after], x2[after], d1[after], d2[after], xd[after])
        used = top[: min(stop, _STARTS)]
        used[:] = -np.inf
        for s in range(0, stop, _STARTS):
            z = min(stop, s + _STARTS)
            part = top[: z - s]
            starts(
                count[s:z], x1[s:z], x2[s:z], d1[s:z], d2[s:z], xd[s:z],
                count[after], ends, least_x, least_d, part,
            )  # fmt: skip
            if s == 0:
                first[e] = part[0]
        best[e] = used.max()
        if best[e] == np.inf:
            first[e] = np.inf
            delicate += 1
    return delicate


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
def one_lag(y: Any, least: int, first: Any, best: Any, work: Any) -> int:
    """Fill signed squared statistics with one lag, as `lagless` does without; `work` has the shape (8, len(y))."""
    steps = len(y) - 1
    rows = steps - 1
    middle, slope = y.mean(), (y[steps] - y[0]) / steps
    wide = max(np.abs(y - middle).max(), 1e-300)
    step = max(np.abs(y[1:] - y[:-1] - slope).max(), 1e-300)
    count, x1, x2, d1, d2 = work[0], work[1], work[2], work[3], work[4]
    xd, xl, ld = work[5], work[6], work[7]
    work[:, 0] = 0.0
    last = 0.0
    for t in range(steps):
        d = (y[t + 1] - y[t] - slope) / step
        d1[t + 1] = d1[t] + d
        d2[t + 1] = d2[t] + d * d
        if t > 0:
            x = (y[t] - middle) / wide
            count[t] = t
            x1[t] = x1[t - 1] + x
            x2[t] = x2[t - 1] + x * x
            xd[t] = xd[t - 1] + x * d
            xl[t] = xl[t - 1] + x * last
            ld[t] = ld[t - 1] + last * d
        last = d
    top = np.empty(_STARTS)
    delicate = 0
    for e in range(least - 1, rows):
        a, stop = e + 1, e - least + 2
        ends = (x1[a], x2[a], d1[a + 1], d2[a + 1], d1[a], d2[a], xd[a], xl[a], ld[a])
        used = top[: min(stop, _STARTS)]
        used[:] = -np.inf
        for s in range(0, stop, _STARTS):
            z = min(stop, s + _STARTS)
            part = top[: z - s]
            starts_lagged(
                count[s:z], x1[s:z], x2[s:z], d1[s : z + 1], d2[s : z + 1], xd[s:z], xl[s:z], ld[s:z],
                float(a), ends, x2[rows], d2[steps], part,
            )  # fmt: skip
            if s == 0:
                first[e] = part[0]
        best[e] = used.max()
        if best[e] == np.inf:
            first[e] = np.inf
            delicate += 1
    return delicate


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
def lagged(y: Any, lags: int, least: int, first: Any, best: Any, only: Any) -> None:
    """Fill signed squared statistics with `lags` lagged differences, for all ends or those where `only` is not zero.

    Row r explains ``y[r + lags + 1] - y[r + lags]`` by a constant, the `lags` differences before it and, last, the
    level ``y[r + lags]``: the statistic is then had from the factor's last row, without solving anything.
    """
    rows, width = len(y) - 1 - lags, lags + 1
    lanes = min(_LANES, max(8, 512 // (lags + 2)))
    d = y[1:] - y[:-1]
    scale, upper = np.zeros((width, lanes)), np.zeros((width + 1, width + 1, lanes))
    x, raw = np.zeros((width + 1, lanes)), np.zeros((width + 1, lanes))
    w, gain, keep, good = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    rss, top = np.zeros(lanes), np.zeros(lanes)
    for at in range(least - 1, rows, lanes):
        wide = min(lanes, rows - at)
        if not only[at : at + wide].any():
            continue
        scale[:], upper[:], raw[:], rss[:], top[:] = 0.0, 0.0, 0.0, 0.0, -np.inf
        for n in range(1, at + wide + 1):
            low = max(0, n - 1 - at)
            here, there = at - n + 1 + lags + low, at - n + 1 + lags + wide  # responses, among differences
            a, z = at + lags + low, at + lags + wide
            for j in range(1, lags + 1):
                load(d[here - j : there - j], d[a - j : z - j], x[j - 1, low:wide], raw[j - 1, low:wide])
            load(y[here:there], y[a:z], x[lags, low:wide], raw[lags, low:wide])
            load(d[here:there], d[a:z], x[width, low:wide], raw[width, low:wide])
            rotate(x, n, scale, upper, w, gain, keep, low, wide)
            add_residual(x[width, low:wide], w[low:wide], rss[low:wide])
            if n < least:
                continue
            good[:] = 1.0
            for j in range(width):
                regular(scale[j, low:wide], raw[j, low:wide], good[low:wide])
            regular(rss[low:wide], raw[width, low:wide], good[low:wide])
            slope, free = upper[width, width, low:wide], float(n - width - 1)
            raise_to(slope, scale[lags, low:wide], rss[low:wide], good[low:wide], free, top[low:wide])
            if low == n - 1 - at:  # the first lane's window has reached the first row
                q = free * slope[0] * abs(slope[0]) * scale[lags, low] / rss[low]
                first[at + low] = q if good[low] > 0.0 else np.nan
        for b in range(wide):
            best[at + b] = top[b] if top[b] > -np.inf else np.nan


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def choose(n: int, charge: float, scale: Any, upper: Any, rss: float, raw: Any, row: Any, sums: Any) -> float:
    """Return the signed squared statistic of one window under the lags that the Bayesian criterion chooses.

    The level is column 0, the lags follow, nearest first: so one factor holds every choice. Residual sums of squares
    are had by adding up from the last column, the level's coefficient from a row of the inverse.
    """
    width = len(scale)
    if not scale[0] > TINY * raw[0]:
        return np.nan
    usable = 1
    while usable < width and scale[usable] > TINY * raw[usable]:
        usable += 1
    sums[width - 1] = rss
    for j in range(width - 1, 0, -1):
        sums[j - 1] = sums[j] + scale[j] * upper[j + 1, width] * upper[j + 1, width]
    cost, choice, factor = np.inf, 0, 1.0
    for j in range(usable):
        if sums[j] * factor < cost:
            cost, choice = sums[j] * factor, j
        factor *= charge
    if not sums[choice] > TINY * raw[width]:
        return np.nan
    row[0] = 1.0
    slope, spread = upper[1, width], 1.0 / scale[0]
    for j in range(1, choice + 1):
        entry = 0.0
        for i in range(j):
            entry -= row[i] * upper[i + 1, j]
        row[j] = entry
        slope += entry * upper[j + 1, width]
        spread += entry * entry / scale[j]
    return float((n - choice - 2) * slope * abs(slope) / (spread * sums[choice]))


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract"})
def chosen(y: Any, most: int, least: int, first: Any, best: Any) -> None:
    """Fill signed squared statistics with the lags that the Bayesian criterion chooses in each window, 0 to `most`.

    All choices of a window are fitted to the same rows, those that have `most` lags.
    """
    rows, width = len(y) - 1 - most, most + 1
    lanes = min(_LANES, max(8, 512 // (most + 2)))
    d = y[1:] - y[:-1]
    scale, upper = np.zeros((width, lanes)), np.zeros((width + 1, width + 1, lanes))
    x, raw = np.zeros((width + 1, lanes)), np.zeros((width + 1, lanes))
    w, gain, keep = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    rss, top = np.zeros(lanes), np.zeros(lanes)
    row, sums = np.zeros(width), np.zeros(width)
    for at in range(least - 1, rows, lanes):
        wide = min(lanes, rows - at)
        scale[:], upper[:], raw[:], rss[:], top[:] = 0.0, 0.0, 0.0, 0.0, -np.inf
        for n in range(1, at + wide + 1):
            low = max(0, n - 1 - at)
            here, there = at - n + 1 + most + low, at - n + 1 + most + wide
            a, z = at + most + low, at + most + wide
            load(y[here:there], y[a:z], x[0, low:wide], raw[0, low:wide])
            for j in range(1, most + 1):
                load(d[here - j : there - j], d[a - j : z - j], x[j, low:wide], raw[j, low:wide])
            load(d[here:there], d[a:z], x[width, low:wide], raw[width, low:wide])
            rotate(x, n, scale, upper, w, gain, keep, low, wide)
            add_residual(x[width, low:wide], w[low:wide], rss[low:wide])
            if n < least:
                continue
            charge = np.exp(np.log(float(n)) / n)  # of one more lag: n log(rss) + k log(n), without the logarithm
            for b in range(low, wide):
                q = choose(n, charge, scale[:, b], upper[:, :, b], rss[b], raw[:, b], row, sums)
                if q > top[b]:
                    top[b] = q
                if at + b == n - 1:
                    first[at + b] = q
        for b in range(wide):
            best[at + b] = top[b] if top[b] > -np.inf else np.nan


@numba.njit(cache=True, nogil=True, error_model="numpy")
def many(paths: Any, lags: int, least: int, bic: Any, firsts: Any, bests: Any) -> None:
    """Fill BADF and BSADF, one row a path: signed roots of what the kernels give."""
    rows = paths.shape[1] - 1 - lags
    work = np.empty((8, paths.shape[1]))
    only = np.ones(rows, dtype=np.int8)
    for m in range(paths.shape[0]):
        first, best, y = firsts[m], bests[m], paths[m]
        if bic:
            chosen(y, lags, least, first, best)
        elif lags > 1:
            lagged(y, lags, least, first, best, only)
        else:
            delicate = one_lag(y, least, first, best, work) if lags == 1 else lagless(y, least, first, best, work)
            if delicate > 0:
                lagged(y, lags, least, first, best, (best == np.inf).astype(np.int8))
        for r in range(rows):
            first[r] = np.sqrt(first[r]) if first[r] >= 0.0 else -np.sqrt(-first[r])
            best[r] = np.sqrt(best[r]) if best[r] >= 0.0 else -np.sqrt(-best[r])
