"""Gaps that need no long history: Hamilton's filter, the change over two years, growth against that of GDP."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError

Floats = npt.NDArray[np.float64]


def hamilton_gap(ratio: pd.Series | npt.ArrayLike, *, horizon: int = 20, lags: int = 4) -> pd.Series:
    """Return how far the ratio is from what its own past let expect some years ago.

    Answers: is there more credit than one would have forecast five years ago?

    Parameters
    ----------
    ratio
        Credit in per cent of GDP, one value a quarter in order; NaN where unknown.
    horizon
        Quarters ahead; 20 for the credit cycle, 8 for the business cycle.
    lags
        Values that the forecast rests on.

    Returns
    -------
    pandas.Series
        Points of GDP, aligned with `ratio`; NaN until twice as many quarters can be compared as there are parameters.

    Notes
    -----
    The residual of :math:`y_{t} = a + \\sum_{j=0}^{p-1} b_j y_{t-h-j} + e_t`, estimated for each quarter on the
    quarters up to it alone. The triangle of an orthogonal decomposition is carried from quarter to quarter, so the
    cost is linear in their number. Where the past does not determine the coefficients (a constant ratio), the smallest
    are taken. Unlike the Hodrick-Prescott gap it does not stay negative for decades after a boom; a forecast error of
    20 quarters lags the cycle, and with less than some 15 years it is estimated on very little.

    References
    ----------
    Hamilton (2018), Why you should never use the Hodrick-Prescott filter, Review of Economics and Statistics 100(5).
    """
    if horizon < 1 or lags < 1:
        raise UsageError("horizon and lags are counted from 1.", remedy="Use horizon=20, lags=4.")
    series = _series(ratio)
    y: Floats = series.to_numpy(dtype=np.float64, na_value=np.nan)
    size = lags + 1
    out = np.full(len(y), np.nan)
    triangle = np.zeros((size + 1, size + 1))
    seen = 0
    # The last coefficients are not changed by a shift of the series; near zero it rounds less.
    shift = float(np.nanmean(y)) if (~np.isnan(y)).any() else 0.0
    for t in range(horizon + lags - 1, len(y)):
        past = y[t - horizon - lags + 1 : t - horizon + 1][::-1] - shift
        row = np.concatenate([[1.0], past, [y[t] - shift]])
        if np.isnan(row).any():
            continue
        triangle = np.asarray(np.linalg.qr(np.vstack([triangle, row]), mode="r"))
        seen += 1
        if seen >= 2 * size:
            beta = np.linalg.lstsq(triangle[:size, :size], triangle[:size, size], rcond=1e-10)[0]
            out[t] = row[-1] - row[:-1] @ beta
    return pd.Series(out, index=series.index, name="hamilton_gap")


def change_gap(ratio: pd.Series | npt.ArrayLike, *, quarters: int = 8) -> pd.Series:
    """Return the change of the ratio over two years.

    Parameters
    ----------
    ratio
        Credit in per cent of GDP, one value a quarter in order.
    quarters
        Over how many.

    Returns
    -------
    pandas.Series
        Points of GDP. Needs no history beyond `quarters`, and forgets a boom as soon as it is over.

    References
    ----------
    Reigl and Uusküla (2021), Alternative frameworks for measuring credit gaps and setting countercyclical capital
    buffers, Journal of Financial Economic Policy 13(2).
    """
    if quarters < 1:
        raise UsageError("a change is over at least one quarter.", remedy="Give quarters=8.")
    return _series(ratio).astype(np.float64).diff(quarters).rename("change_gap")


def growth_gap(
    credit: pd.Series | npt.ArrayLike,
    gdp: pd.Series | npt.ArrayLike,
    *,
    over: int = 8,
    memory: int = 32,
    sum_over: int = 4,
) -> pd.Series:
    """Return the growth of credit over two years less the usual growth of GDP, by the last eight years.

    Answers: does credit grow faster than the economy has been able to?

    Parameters
    ----------
    credit
        Stock at the end of each quarter, in money.
    gdp
        Nominal GDP of each quarter.
    over
        Quarters over which growth is measured.
    memory
        Quarters whose mean growth of GDP is the usual one.
    sum_over
        Quarters of GDP summed; 1 where `gdp` is annual already.

    Returns
    -------
    pandas.Series
        Percentage points over `over` quarters. A single bad year of GDP hardly moves it: it is one in eight.

    Notes
    -----
    :math:`100\\{C_t/C_{t-n} - (Y_t/Y_{t-m})^{n/m}\\}` with n = `over` and m = `memory`: growth of GDP is the
    geometric mean of the last m quarters, compounded over n.

    References
    ----------
    Reigl and Uusküla (2021), as for `change_gap`.
    """
    if over < 1 or memory < over or sum_over < 1:
        raise UsageError("growth is over 1 ≤ over ≤ memory quarters.", remedy="Use over=8, memory=32, sum_over=4.")
    stock, income = _series(credit).astype(np.float64), _series(gdp).astype(np.float64)
    if len(stock) != len(income):
        raise UsageError("credit and GDP are not for the same quarters.", remedy="Align the two.")
    if (stock <= 0).any() or (income <= 0).any():
        raise UsageError("credit or GDP is not positive in some quarter.", remedy="Check the series.")
    c = stock.to_numpy()
    y = (income.rolling(sum_over).sum() if sum_over > 1 else income).to_numpy()
    out = np.full(len(c), np.nan)
    if len(c) > memory:
        credit_growth, gdp_growth = c[memory:] / c[memory - over : -over], y[memory:] / y[:-memory]
        out[memory:] = 100.0 * (credit_growth - gdp_growth ** (over / memory))
    return pd.Series(out, index=stock.index, name="growth_gap")


def _series(given: pd.Series | npt.ArrayLike) -> pd.Series:
    if np.ndim(given) != 1:
        raise UsageError("the credit gap takes one series.", remedy="Call it for each country.")
    return given if isinstance(given, pd.Series) else pd.Series(np.asarray(given, dtype=np.float64))
