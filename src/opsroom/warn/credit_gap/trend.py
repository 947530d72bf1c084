"""The one-sided Hodrick-Prescott trend: the end points of filters on growing samples, in one pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.warn.credit_gap.trend_kernel import one_sided

Floats = npt.NDArray[np.float64]

LAMBDA = 400_000.0
"""Smoothing of the trend for quarterly data: credit cycles about four times as long as business cycles."""
BURN_IN = 40
"""Quarters that the trend needs before a gap is shown; the BIS publishes from the 41st observation."""


def one_sided_trend(values: npt.ArrayLike, *, lamb: float = LAMBDA) -> Floats:
    """Return the end points of Hodrick-Prescott filters on growing samples, in one pass a series.

    Parameters
    ----------
    values
        Shape (T,), or (series, T) for many at once; NaN where unknown.
    lamb
        Smoothing parameter, positive.

    Returns
    -------
    numpy.ndarray
        Of the same shape; NaN before a series' second observation.

    Raises
    ------
    UsageError
        `lamb` is not positive, or `values` has more than two dimensions.

    Notes
    -----
    Linear in `values`: the trend of a sum is the sum of the trends, and a straight line is its own trend.
    """
    if not 0.0 < lamb < np.inf:
        raise UsageError("the smoothing parameter of the credit gap must be positive.", remedy="Use lamb=400_000.")
    table = np.array(values, dtype=np.float64, ndmin=2, order="C")
    if table.ndim != 2:
        raise UsageError("a trend takes one series, or a table of series.", remedy="Give shape (series, quarters).")
    out = np.full_like(table, np.nan)
    one_sided(table, float(lamb), out)
    return out[0] if np.ndim(values) == 1 else out


def shown_trend(values: Floats, *, lamb: float = LAMBDA, burn_in: int = BURN_IN) -> Floats:
    """Return the one-sided trend where it is shown: at observations, after `burn_in` quarters.

    Parameters
    ----------
    values
        Shape (T,) or (series, T).
    lamb, burn_in
        Smoothing parameter; quarters from the first observation that show nothing.
    """
    trend = one_sided_trend(values, lamb=lamb)
    known = ~np.isnan(values)
    late = np.cumsum(np.maximum.accumulate(known, axis=-1), axis=-1) > burn_in
    trend[~(known & late)] = np.nan
    return trend
