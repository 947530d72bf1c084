"""What a nowcast must beat: an AR(1) of the target, and pooled bridge equations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.nowcast.panel import GROWTH, Floats, Panel

_LEAST = 12


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark's growth of one quarter and the standard deviation of its error, in % and points.

    `discord` is the standard deviation among the forecasts that were pooled; 0 where there is one.
    """

    growth: float
    deviation: float
    discord: float = 0.0


def ar1(panel: Panel, row: int) -> Benchmark:
    """Forecast the target by a first-order autoregression of the vintage's own growth rates.

    Parameters
    ----------
    panel
        One vintage; column 0 is the target.
    row
        Last month of the quarter to be forecast, a row of the grid.

    Notes
    -----
    Least squares with intercept over all quarters, iterated over the quarters that are still unknown.
    """
    growth = panel.values[row % 3 :: 3, 0]
    at = row // 3
    known = np.flatnonzero(~np.isnan(growth[: at + 1]))
    pairs = known[np.isin(known - 1, known)]
    design = np.column_stack([np.ones(len(pairs)), growth[pairs - 1]])
    beta = np.linalg.lstsq(design, growth[pairs], rcond=None)[0]
    residual = growth[pairs] - design @ beta
    sigma2 = float(residual @ residual) / max(len(pairs) - 2, 1)
    value, variance = float(growth[known[-1]]), 0.0
    for _ in range(at - int(known[-1])):
        value = float(beta[0] + beta[1] * value)
        variance = float(beta[1]) ** 2 * variance + sigma2
    return Benchmark(value, float(np.sqrt(variance)))


def bridge(panel: Panel, row: int) -> Benchmark:
    """Forecast the target by one bridge equation an indicator, pooled by the inverse of their error
    variances.

    Parameters
    ----------
    panel, row
        As in `ar1`.

    Notes
    -----
    Each monthly indicator is extended to the quarter's end by an AR(1), aggregated to the quarter like
    growth (survey levels likewise: they say how fast output grows), and the target is regressed on it.

    References
    ----------
    Baffigi, Golinelli and Parigi (2004), International Journal of Forecasting 20, 447-460.
    """
    y = panel.values[row % 3 :: 3, 0]
    at = row // 3
    ends = np.arange(len(y)) * 3 + row % 3
    values, variances = [], []
    for i in np.flatnonzero(~panel.quarterly):
        x = _extended(panel.values[: row + 1, i])
        aggregate = np.full(len(y), np.nan)
        inside = (ends >= 4) & (ends <= row)
        aggregate[inside] = x[ends[inside, None] - np.arange(5)] @ GROWTH / GROWTH.sum()
        used = ~np.isnan(y) & ~np.isnan(aggregate)
        if used.sum() < _LEAST or np.isnan(aggregate[at]):
            continue
        design = np.column_stack([np.ones(int(used.sum())), aggregate[used]])
        beta = np.linalg.lstsq(design, y[used], rcond=None)[0]
        residual = y[used] - design @ beta
        values.append(float(beta[0] + beta[1] * aggregate[at]))
        variances.append(max(float(residual @ residual) / (len(residual) - 2), 1e-12))
    if not values:
        return ar1(panel, row)
    share = 1.0 / np.asarray(variances)
    share /= share.sum()
    growth = float(share @ np.asarray(values))
    discord = float(np.sqrt(share @ (np.asarray(values) - growth) ** 2))
    return Benchmark(growth, float(np.sqrt(share @ np.asarray(variances))), discord)


def _extended(x: Floats) -> Floats:
    """Carry a monthly series to the end of the array by an AR(1) with intercept."""
    out = x.copy()
    known = np.flatnonzero(~np.isnan(x))
    pairs = known[np.isin(known - 1, known)]
    if len(pairs) < _LEAST:
        return out
    design = np.column_stack([np.ones(len(pairs)), x[pairs - 1]])
    beta = np.linalg.lstsq(design, x[pairs], rcond=None)[0]
    beta[1] = np.clip(beta[1], -0.99, 0.99)
    for t in range(int(known[-1]) + 1, len(x)):
        out[t] = beta[0] + beta[1] * out[t - 1]
    return out
