"""Is a release the best guess of the final value? Mincer and Zarnowitz's regressions, release by release."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import f

from opsroom.measure.nowcast.dfm.parameters import Floats

LEAST = 12
"""Quarters with a release and the final value that a test needs."""


def efficiency(triangle: pd.DataFrame, *, lags: int | None = None) -> pd.DataFrame:
    """Test each release against the last column.

    Answers: could one have known, from the figure itself, how it would be revised?

    Parameters
    ----------
    triangle
        See `release_triangle`.
    lags
        Of the Newey-West variance; default 4 (n/100)^(2/9), rounded down.

    Returns
    -------
    pandas.DataFrame
        One row a release: ``n``; ``bias`` (mean revision) and ``rmsr`` (root mean square revision); ``intercept`` and
        ``slope`` of the final value on the release, ``efficient_p`` of intercept 0 and slope 1 together: where it is
        small, the release is no efficient estimate; ``noise_p`` of the same with release and final value exchanged:
        where it is small, the release is not the final value plus noise. NaN under twelve quarters.

    Notes
    -----
    Pure news leave the first hypothesis alone and break the second, pure noise the reverse.

    References
    ----------
    Mincer and Zarnowitz (1969), The evaluation of economic forecasts; Mankiw and Shapiro (1986), News or noise: an
    analysis of GNP revisions; Newey and West (1987), Econometrica 55, 703-708.
    """
    final = triangle[triangle.columns[-1]].to_numpy(np.float64)
    rows = []
    for name in triangle.columns[:-1]:
        own = triangle[name].to_numpy(np.float64)
        both = ~np.isnan(own) & ~np.isnan(final)
        x, y = own[both], final[both]
        n = len(x)
        row: dict[str, object] = {"release": str(name), "n": n, "bias": np.nan, "rmsr": np.nan}
        if n:
            row |= {"bias": float((y - x).mean()), "rmsr": float(np.sqrt(((y - x) ** 2).mean()))}
        beta, p = _wald(x, y, lags)
        _, reverse = _wald(y, x, lags)
        rows.append(row | {"intercept": beta[0], "slope": beta[1], "efficient_p": p, "noise_p": reverse})
    return pd.DataFrame(rows)


def efficient_release(tests: pd.DataFrame, last: str, *, level: float = 0.05) -> str:
    """Return the first release that, like all after it, is not found inefficient; the last column if there is none."""
    found = last
    for release, p in zip(reversed(list(tests["release"])), reversed(list(tests["efficient_p"])), strict=True):
        if not p >= level:
            break
        found = str(release)
    return found


def _wald(x: Floats, y: Floats, lags: int | None) -> tuple[Floats, float]:
    """Return coefficients of y on one and x, and the p-value of intercept 0 and slope 1."""
    n = len(x)
    if n < LEAST or np.ptp(x) == 0.0:
        return np.full(2, np.nan), np.nan
    if np.array_equal(x, y):
        return np.array([0.0, 1.0]), 1.0
    design = np.column_stack([np.ones(n), x])
    bread = np.linalg.inv(design.T @ design)
    beta = bread @ design.T @ y
    score = design * (y - design @ beta)[:, None]
    width = int(4.0 * (n / 100.0) ** (2.0 / 9.0)) if lags is None else lags
    meat = score.T @ score
    for lag in range(1, width + 1):
        cross = score[lag:].T @ score[:-lag]
        meat += (1.0 - lag / (width + 1.0)) * (cross + cross.T)
    variance = bread @ meat @ bread * n / (n - 2)
    gap = beta - np.array([0.0, 1.0])
    statistic = float(gap @ np.linalg.solve(variance, gap)) / 2.0
    return beta, float(f.sf(statistic, 2, n - 2))
