"""The pure-NumPy twin of the kernels: every window a regression of its own, by Householder reflections. An oracle.

The rules that both keep
------------------------
- A window of rows explains the differences by a constant, the lagged differences and the level before; the statistic
  is that of the level's coefficient, with rows less coefficients degrees of freedom.
- Columns are counted from their values in the window's last row. Where a column's sum of squares, once the columns
  ahead of it are taken out, is at most `TINY` of what it was, there is no statistic: a stretch without movement, or
  lags that repeat each other. The order is constant, lags, level.
- Where the residuals are that small there is no statistic either: a series that follows its rule without error.
- With the Bayesian criterion all choices of a window have the same rows, those with the largest number of lags; the
  order is constant, level, lags, and lags are only tried as long as they are regular.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from opsroom.warn.exuberance.kernels import TINY

Floats = npt.NDArray[np.float64]


def sequences(y: Floats, lags: int, least: int, *, bic: bool) -> tuple[Floats, Floats]:
    """Return BADF and BSADF by row, as the kernels do.

    Parameters
    ----------
    y
        Shape (T,), finite.
    lags
        Lagged differences; with `bic` the most that are tried.
    least
        Rows of the smallest window.
    bic
        Choose the lags in each window.
    """
    rows = len(y) - 1 - lags
    first, best = np.full(rows, np.nan), np.full(rows, np.nan)
    for end in range(least - 1, rows):
        found = [statistic(y, lags, start, end, bic=bic) for start in range(end - least + 2)]
        first[end] = found[0]
        if not np.all(np.isnan(found)):
            best[end] = np.nanmax(found)
    return first, best


def design(y: Floats, lags: int, start: int, end: int) -> Floats:
    """Return a window's columns less their last values: the lags, nearest first, the level, and the response."""
    d, rows = np.diff(y), np.arange(start, end + 1)
    columns = [d[rows + lags - j] for j in range(1, lags + 1)] + [y[rows + lags], d[rows + lags]]
    table = np.column_stack(columns)
    return np.asarray(table - table[-1])


def statistic(y: Floats, lags: int, start: int, end: int, *, bic: bool = False) -> float:
    """Return the statistic of rows `start` to `end`, NaN where there is none."""
    return _regress(y, lags, start, end, bic=bic)[0]


def coefficient(y: Floats, lags: int, start: int, end: int, *, bic: bool = False) -> float:
    """Return the level's coefficient in rows `start` to `end`, NaN where there is none."""
    return _regress(y, lags, start, end, bic=bic)[1]


def _regress(y: Floats, lags: int, start: int, end: int, *, bic: bool) -> tuple[float, float]:
    table = design(y, lags, start, end)
    if bic:
        k = _chosen(table, lags)
        if k < 0:
            return np.nan, np.nan
        table = np.column_stack([table[:, :k], table[:, lags:]])
    factor = _triangle(table)
    raw = np.sum(table**2, axis=0)
    left = np.diag(factor)[1:] ** 2
    if left[-1] <= TINY * raw[-1] or (not bic and np.any(left[:-1] <= TINY * raw[:-1])):
        return np.nan, np.nan
    free = len(table) - table.shape[1]
    slope = factor[-2, -1] / factor[-2, -2]
    return float(slope * abs(factor[-2, -2]) * np.sqrt(free) / abs(factor[-1, -1])), float(slope)


def _chosen(table: Floats, lags: int) -> int:
    """Return the number of lags by the Bayesian criterion, -1 where not even the level is regular."""
    ahead = np.column_stack([table[:, lags], table[:, :lags], table[:, -1]])  # the level, the lags, the response
    left = np.diag(_triangle(ahead))[1:] ** 2
    regular = left[:-1] > TINY * np.sum(ahead[:, :-1] ** 2, axis=0)
    if not regular[0]:
        return -1
    usable = int(np.argmin(regular)) - 1 if not regular.all() else lags
    n = len(table)
    costs = []
    for k in range(usable + 1):
        rss = float(_triangle(np.column_stack([table[:, :k], table[:, lags:]]))[-1, -1]) ** 2
        costs.append(n * np.log(max(rss, np.finfo(float).tiny)) + k * np.log(n))
    return int(np.argmin(costs))


def _triangle(table: Floats) -> Floats:
    """Return the triangular factor of a constant and the table's columns."""
    return np.asarray(np.linalg.qr(np.column_stack([np.ones(len(table)), table]), mode="r"))
