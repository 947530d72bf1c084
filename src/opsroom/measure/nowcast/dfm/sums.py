"""The compiled part of learning: sums over months that are small, many, and needed at every step of a search."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from opsroom.measure.nowcast.dfm.kernels import entry


@numba.njit(cache=True, nogil=True, error_model="numpy")
def doubled(power: Any, size: int, endless: float, total: Any) -> bool:
    """Fill in the sum over k of power^k E power^k', E one in the first `size` places; say whether it has an end.

    Every step adds as many terms as there are already; `power` is overwritten.
    """
    m = len(power)
    left, step = np.empty((m, m)), np.empty((m, m))
    for a in range(m):
        for b in range(m):
            total[a, b] = 1.0 if a == b and a < size else 0.0
    for _ in range(40):
        for a in range(m):
            for b in range(m):
                left[a, b] = 0.0
                for c in range(m):
                    left[a, b] += power[a, c] * total[c, b]
        far, most = 0.0, 0.0
        for a in range(m):
            for b in range(m):
                step[a, b] = 0.0
                for c in range(m):
                    step[a, b] += left[a, c] * power[b, c]
                if not abs(step[a, b]) < endless:
                    return False
                far = max(far, abs(step[a, b]))
        for a in range(m):
            for b in range(m):
                total[a, b] += step[a, b]
                most = max(most, abs(total[a, b]))
        if far <= 1e-17 * most:
            break
        for a in range(m):
            for b in range(m):
                left[a, b] = 0.0
                for c in range(m):
                    left[a, b] += power[a, c] * power[c, b]
        for a in range(m):
            for b in range(m):
                power[a, b] = left[a, b]
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def products(near: Any, first: Any, start: Any, at: Any, r: int, mean: Any, out: Any) -> None:
    """Fill in E(f_s f_{s-k}') for k = 0 …, (lags + 1, months, r, r); 0 where there is no month before."""
    for k in range(len(out)):
        for s in range(k, len(at)):
            for f in range(r):
                for g in range(r):
                    both = mean[at[s] + f] * mean[at[s - k] + g]
                    out[k, s, f, g] = entry(near, first, start, at[s] + f, at[s - k] + g) + both


@numba.njit(cache=True, nogil=True, error_model="numpy")
def by_lag(product: Any, calm: Any, out: Any) -> None:
    """Fill in the weighted sums over months of the factors' products, lag x lag x r x r."""
    order, months, r = len(out) - 1, product.shape[1], product.shape[2]
    for a in range(order + 1):
        for b in range(a, order + 1):
            for f in range(r):
                for g in range(r):
                    total = 0.0
                    for s in range(order, months):
                        total += calm[s] * product[b - a, s - a, f, g]
                    out[a, b, f, g] = total
                    out[b, a, g, f] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def of_special(
    near: Any, first: Any, start: Any, at: Any, lead: int, special: Any, mean: Any, product: Any, gram: Any, told: Any
) -> None:
    """Fill in the factors' products (now x now, now x before, before x before) and means for the special cells."""
    r = product.shape[2]
    for k in range(len(special)):
        now, back = special[k, 0] + lead, special[k, 2]
        then = back + lead
        for f in range(r):
            told[0, k, f] = mean[at[now] + f]
            told[1, k, f] = mean[at[then] + f] if back >= 0 else 0.0
            for g in range(r):
                gram[0, k, f, g] = product[0, now, f, g]
                if back >= 0:
                    both = mean[at[now] + f] * mean[at[then] + g]
                    gram[1, k, f, g] = entry(near, first, start, at[now] + f, at[then] + g) + both
                    gram[2, k, f, g] = product[0, then, f, g]
                else:
                    gram[1, k, f, g], gram[2, k, f, g] = 0.0, 0.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def special_terms(special: Any, values: Any, memory: Any, variance: Any, weights: Any, opening: Any, out: Any) -> None:
    """Fill in decay, spread, their derivatives in the memory, value and weight of each special cell: (6, cells).

    A hole adds up the innovations of all its months, each with its own weight, so that filling it later changes
    nothing else: the model is one joint distribution. Before the panel the error is stationary, with innovations of
    the variance `opening`.
    """
    for k in range(len(special)):
        t, i, back = special[k, 0], special[k, 1], special[k, 2]
        rho = memory[i]
        total, bend, decay, slope, then = 0.0, 0.0, 0.0, 0.0, 0.0
        if back < 0:
            base = 1.0 / (1.0 - rho * rho)
            total = opening[i] * base
            bend = opening[i] * (2.0 * rho * base * base)
        else:
            gap = t - back
            slope, decay, then = gap * rho ** (gap - 1), rho**gap, values[back, i]
        for s in range(back + 1, t + 1):
            bend = rho * rho * bend + 2.0 * rho * total
            total = rho * rho * total + 1.0 / weights[s, i]
        out[0, k], out[1, k], out[2, k], out[3, k] = decay, total, slope, bend
        out[4, k], out[5, k] = values[t, i] - decay * then, 1.0 / (variance[i] * total)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def of_figures(quarters: Any, value: Any, load: Any, mean: Any, second: Any, opening: Any, middle: Any) -> None:
    """Fill in, per quarterly figure, the products of the first and the second month's step: (3, figures) each.

    They are now², now x before, before². The first month's own error is the one that the figure stands for: a third
    of it, less a third of the summed factors' part and of the other months' errors.
    """
    r = load.shape[1]
    beta = np.empty(r + 4)
    beta[r], beta[r + 1], beta[r + 2], beta[r + 3] = -1.0 / 3.0, -2.0 / 3.0, -2.0 / 3.0, -1.0 / 3.0
    for k in range(len(quarters)):
        y = value[k]
        for f in range(r):
            beta[f] = -load[quarters[k, 1], f] / 3.0
        square, after, before = y * y, y * mean[k, r + 1], y * mean[k, r + 2]
        for a in range(r + 4):
            own = 2.0 * y * mean[k, a]
            for b in range(r + 4):
                own += beta[b] * second[k, b, a]
            square += beta[a] * own
            after += beta[a] * second[k, a, r + 1]
            before += beta[a] * second[k, a, r + 2]
        opening[0, k], opening[1, k], opening[2, k] = square, before, second[k, r + 2, r + 2]
        middle[0, k], middle[1, k], middle[2, k] = second[k, r + 1, r + 1], after, square
