"""The loop behind the one-sided trend, compiled: a Kalman filter of two states for each series."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def one_sided(values: Floats, lamb: float, out: Floats) -> None:
    """Write the one-sided trend of every row.

    Parameters
    ----------
    values
        (series, quarters); NaN where unknown.
    lamb
        Smoothing parameter.
    out
        (series, quarters), filled with NaN on entry; stays so before a series' second observation.

    Notes
    -----
    The states are level and slope, not the last two levels: predicting then only adds what is positive, so that
    nothing cancels where the trend is stiff.
    """
    noise = 1.0 / lamb
    for k in range(values.shape[0]):
        y, trend = values[k], out[k]
        first = second = -1
        for t in range(len(y)):
            if not np.isnan(y[t]):
                if first < 0:
                    first = t
                else:
                    second = t
                    break
        if second < 0:
            continue
        # The exact start: the line through two observations, each with an error of variance 1. Over a bridge of
        # several quarters the trend may bend, by a variance that is the last row of the inverse of the second
        # difference with both ends held, squared and summed.
        step = second - first
        level, slope = y[second], (y[second] - y[first]) / step
        p_ll, p_ls = 1.0, 1.0 / step
        p_ss = 2.0 / (step * step) + noise * (step - 1.0) * (2.0 * step - 1.0) / (6.0 * step)
        trend[second] = level
        for t in range(second + 1, len(y)):
            level += slope
            p_ll += 2.0 * p_ls + p_ss + noise
            p_ls += p_ss + noise
            p_ss += noise
            if not np.isnan(y[t]):
                surprise = y[t] - level
                share = 1.0 / (p_ll + 1.0)
                level += p_ll * share * surprise
                slope += p_ls * share * surprise
                p_ss -= p_ls * p_ls * share
                p_ls *= share
                p_ll *= share
            trend[t] = level
