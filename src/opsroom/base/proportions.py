"""Intervals of a share that rests on few cases."""

from __future__ import annotations

import math


def share_interval(hits: int, cases: int, *, level: float = 0.9) -> tuple[float, float]:
    """Return an interval of the share of cases that are hits: exact, however few there are.

    It answers: two of two were hits; what does that say of the next?

    Parameters
    ----------
    hits, cases
        Numbers, ``0 <= hits <= cases``.
    level
        Coverage, at least, whatever the share is.

    Returns
    -------
    tuple of float
        Lower and upper end, from 0 to 1; NaN without a case.

    Notes
    -----
    The ends are quantiles of beta distributions (Clopper and Pearson). What fails most often: cases that are not
    independent, such as events of one year; then there are fewer than are counted, and the interval is too short.

    References
    ----------
    Clopper, C. and Pearson, E. (1934), The use of confidence or fiducial limits illustrated in the case of the
    binomial, Biometrika 26, 404-413.

    Examples
    --------
    >>> [round(end, 3) for end in share_interval(2, 2)]
    [0.224, 1.0]
    """
    if cases < 1:
        return math.nan, math.nan
    from scipy.stats import beta

    tail, missed = (1.0 - level) / 2.0, cases - hits
    low = float(beta.ppf(tail, hits, missed + 1)) if hits else 0.0
    high = float(beta.ppf(1.0 - tail, hits + 1, missed)) if missed else 1.0
    return low, high
