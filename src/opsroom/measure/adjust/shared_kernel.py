"""One step of the robust loss for many series, and the search for a step in level, compiled."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from opsroom.measure.adjust.select_kernel import select


@numba.njit(cache=True, nogil=True, error_model="numpy")
def modify_rows(values: Any, fit: Any, huber: float, target: Any, scale: Any) -> None:
    """Fill each row's scale (1.4826 times the median absolute residual) and fit plus modified residual.

    Parameters
    ----------
    values, fit
        Series, NaN where missing, and their fit, (series, days).
    huber
        Residuals beyond so many scales are cut; infinite: none is.
    target
        Receives the fit plus the residual, cut; the fit alone where the series is missing.
    scale
        Receives the scale, 0 of a series that is wholly missing; what it holds before is taken as a guess.
    """
    n, days = values.shape
    size, ranked = np.empty(days, dtype=values.dtype), np.empty(days, dtype=values.dtype)
    for u in range(n):
        used = 0
        for t in range(days):
            residual = abs(values[u, t] - fit[u, t])
            size[used] = residual
            used += residual == residual
        spread = 1.4826 * _median(size, ranked, used, scale[u] / 1.4826) if used > 0 else 0.0
        scale[u] = spread
        cap = huber * max(spread, 1e-37)
        for t in range(days):
            residual = values[u, t] - fit[u, t]
            cut = fit[u, t] + min(max(residual, -cap), cap)
            target[u, t] = cut if residual == residual else fit[u, t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _median(size: Any, ranked: Any, used: int, guess: float) -> Any:
    """Return the (lower) median of the first `used` values, faster where a guess is near."""
    place = (used - 1) // 2
    low, high = 0.8 * guess, 1.25 * guess
    under, between = 0, 0
    for t in range(used):
        ranked[between] = size[t]
        below = size[t] < low
        under += below
        between += (not below) and size[t] <= high
    if under <= place < under + between:
        return select(ranked, between, place - under)
    for t in range(used):  # compiled in a tenth of the time that a slice takes
        ranked[t] = size[t]
    return select(ranked, used, place)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def step_rows(
    residual: Any, cut: Any, window: int, least: int, best: Any, jump: Any, score: Any, lasting: Any, close: Any
) -> None:
    """Find the clearest step of each row; see `opsroom.measure.adjust.breaks.find_steps`.

    Parameters
    ----------
    residual
        (series, days), NaN where unknown.
    cut
        Where residuals are cut, (series,).
    window, least
        Days compared on either side, and how many of them must be known.
    best, jump, score
        Receive day, size and size over its standard error.
    lasting, close
        Receive the difference of the means of all days after and before, and of a quarter of the window's.
    """
    n, days = residual.shape
    total, count = np.zeros(days + 1), np.zeros(days + 1)
    value, left = np.empty(days), np.empty(days)
    for u in range(n):
        for t in range(days):
            known = residual[u, t] == residual[u, t]
            value[t] = min(max(residual[u, t], -cut[u]), cut[u]) if known else np.nan
            total[t + 1] = total[t] + (value[t] if known else 0.0)
            count[t + 1] = count[t] + (1.0 if known else 0.0)
        noise = _noise(value, left, total, count, window)
        best[u], jump[u], score[u] = 0, 0.0, 0.0
        for t in range(least, days - least + 1):
            low, high = max(t - window, 0), min(t + window, days)
            before, after = count[t] - count[low], count[high] - count[t]
            if before < least or after < least:
                continue
            step = (total[high] - total[t]) / after - (total[t] - total[low]) / before
            value_of = abs(step) / (noise * np.sqrt(1 / before + 1 / after))
            if value_of > score[u]:
                best[u], jump[u], score[u] = t, step, value_of
        lasting[u] = _contrast(total, count, best[u], days)
        close[u] = _contrast(total, count, best[u], window // 4)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _contrast(total: Any, count: Any, day: int, width: int) -> float:
    """Return the mean of so many days from a day on less that of as many before."""
    days = len(total) - 1
    low, high = max(day - width, 0), min(day + width, days)
    after = (total[high] - total[day]) / max(count[high] - count[day], 1.0)
    return float(after - (total[day] - total[low]) / max(count[day] - count[low], 1.0))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _noise(value: Any, left: Any, total: Any, count: Any, window: int) -> float:
    """Return standard deviation times the factor by which memory widens that of a mean.

    From what is left about a moving mean of `window` days, so that a step does not pass for memory or noise.
    """
    days = len(value)
    square, used = 0.0, 0
    for t in range(days):
        low, high = max(t - window // 2, 0), min(t + window // 2 + 1, days)
        left[t] = value[t] - (total[high] - total[low]) / max(count[high] - count[low], 1.0)
        if left[t] == left[t]:
            square += left[t] * left[t]
            used += 1
    variance = max(square / max(used, 1), 1e-12)
    memory = 0.0
    for lag in (1, 2, 7):
        product, pairs = 0.0, 0
        for t in range(lag, days):
            both = left[t] * left[t - lag]
            if both == both:
                product += both
                pairs += 1
        rho = min(max(product / max(pairs, 1) / variance, 0.0), 0.95)
        memory = max(memory, rho ** (1.0 / lag))
    memory = min(memory, 0.9)
    return float(np.sqrt(variance * (1 + memory) / (1 - memory)))
