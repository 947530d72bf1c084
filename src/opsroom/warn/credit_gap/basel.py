"""The credit-to-GDP gap: how far credit stands above its own slow trend, and the buffer that it guides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.warn.credit_gap.result import GapResult, Timing
from opsroom.warn.credit_gap.split import ratio_steps
from opsroom.warn.credit_gap.trend import BURN_IN, LAMBDA, shown_trend

Floats = npt.NDArray[np.float64]

FLOOR, CEILING, MOST = 2.0, 10.0, 2.5
"""The buffer guide: 0 up to a gap of 2 points, rising to 2.5 % of risk-weighted assets at 10 points."""


def credit_gap(ratio: pd.Series | npt.ArrayLike, *, lamb: float = LAMBDA) -> GapResult:
    """Compute the one-sided credit-to-GDP gap of one country.

    Answers: is credit growing away from what the economy has been used to?

    Parameters
    ----------
    ratio
        Total credit to the private non-financial sector in per cent of GDP, one value a quarter in
        order, from the first quarter known (the trend depends on where it starts). NaN inside is
        bridged by the trend; leading and trailing NaN stay NaN.
    lamb
        Smoothing parameter, positive.

    Returns
    -------
    GapResult
        Aligned with `ratio`, labelled quasi-real-time: the filter is one-sided, the data are of one vintage. Where
        credit and GDP are known apart, `gap_from_levels` also tells what drives the gap.

    Raises
    ------
    UsageError
        `lamb` is not positive, or the ratio is not one series.
    FitError
        Fewer than two observations, or an infinite one.

    Notes
    -----
    The one-sided trend at quarter t is the end point of the Hodrick-Prescott filter on quarters 1 … t. The HP
    filter is the smoother of ``y_t = m_t + e_t``, ``m_t - 2 m_{t-1} + m_{t-2} = u_t`` with variance ratio
    ``var(e) / var(u) = lamb`` and a diffuse start, so its end points are what the Kalman filter of that
    model says as it goes: one pass, O(T), in place of T filters. The start is exact: two observations
    determine the line through them. The assumption that fails most often: that the trend after a long
    boom is sustainable; after a boom the gap stays negative for years. The guide is an aid, not a rule.

    References
    ----------
    Basel Committee on Banking Supervision (2010), Guidance for national authorities operating the
    countercyclical capital buffer; Drehmann, Borio and Tsatsaronis (2011), International Journal of Central
    Banking 7(4);
    Harvey and Jaeger (1993), Journal of Applied Econometrics 8, 231-247.

    Examples
    --------
    >>> import numpy as np
    >>> boom = np.concatenate([np.full(60, 80.0), 80.0 + np.arange(1, 21)])
    >>> round(float(credit_gap(boom).gap.iloc[59]), 6)
    0.0
    >>> bool(credit_gap(boom).buffer.iloc[-1] > 1.0)
    True
    """
    series = _series(ratio, "ratio")
    values = _checked(series.to_numpy(dtype=np.float64, na_value=np.nan))
    trend = shown_trend(values, lamb=lamb)
    gap = values - trend
    return GapResult(
        gap=pd.Series(gap, index=series.index, name="gap"),
        trend=pd.Series(trend, index=series.index, name="trend"),
        buffer=pd.Series(buffer_guide(gap), index=series.index, name="buffer"),
        lamb=float(lamb),
    )


def gap_from_levels(
    credit: pd.Series | npt.ArrayLike,
    gdp: pd.Series | npt.ArrayLike,
    *,
    prices: pd.Series | npt.ArrayLike | None = None,
    sum_over: int = 4,
    lamb: float = LAMBDA,
    timing: Timing = "quasi-real-time",
) -> GapResult:
    """Compute the credit-to-GDP gap from credit and GDP, and how much of it each of the two has brought about.

    Answers: is credit growing away, or is only the denominator falling?

    Parameters
    ----------
    credit
        Stock of credit at the end of each quarter, in money.
    gdp
        Nominal GDP of each quarter, in the same unit, for the same quarters.
    prices
        A price index, such as the GDP deflator; positive. Both are divided by it before the split; the ratio is the
        same. Without it a lasting change of inflation shows as a push of credit one way and of GDP the other.
    sum_over
        Quarters of GDP that make the denominator; 1 where `gdp` is annual already.
    lamb
        Smoothing parameter, positive.
    timing
        ``"real-time"`` only where both are of the vintage of the day; see `vintages.gaps_as_known`.

    Returns
    -------
    GapResult
        With `credit_part` and `gdp_part`, which add up to the gap.

    Raises
    ------
    UsageError
        The series differ in length or index, or GDP or prices are not positive.
    FitError
        Fewer than two ratios, or an infinite one.

    Notes
    -----
    Let :math:`C` and :math:`Y` be credit and annual GDP, both divided by where GDP would be had it always grown as it
    usually did (`split.usual_path`). From one known quarter to the next the ratio changes by a part of credit,
    :math:`(C_1 - C_0)(1/Y_0 + 1/Y_1)/2`, and one of GDP, :math:`(1/Y_1 - 1/Y_0)(C_0 + C_1)/2`: the Shapley values of
    the two, which add up exactly. Summed up, the ratio is its first value plus a series of credit plus one of GDP.
    The gap is linear and zero for a constant, so the gaps of the two series add up to the gap. A part is what came
    beyond what the economy had been used to; the split does not see that credit may itself have moved GDP.
    """
    if sum_over < 1:
        raise UsageError("GDP is summed over less than one quarter.", remedy="Give sum_over=4, or 1 for annual GDP.")
    stock, income = _series(credit, "credit"), _series(gdp, "gdp")
    index = stock.index if isinstance(credit, pd.Series) else income.index
    level = _series(1.0, "prices", index=index) if prices is None else _series(prices, "prices")
    for name, given, series in (("gdp", gdp, income), ("prices", prices, level)):
        aligned = not (isinstance(given, pd.Series) and isinstance(credit, pd.Series)) or series.index.equals(index)
        if len(series) != len(stock) or not aligned:
            raise UsageError(f"credit and {name} are not for the same quarters.", remedy="Align the two.")
        if (series.to_numpy(dtype=np.float64, na_value=np.nan) <= 0).any():
            raise UsageError(f"{name} is not positive in some quarter.", remedy="Check the series.")
    annual = income.rolling(sum_over).sum() if sum_over > 1 else income
    deflator = level.to_numpy(dtype=np.float64, na_value=np.nan)
    c = stock.to_numpy(dtype=np.float64, na_value=np.nan) / deflator
    y = annual.to_numpy(dtype=np.float64, na_value=np.nan) / deflator
    values = _checked(100.0 * c / y)
    rows = np.vstack([values, ratio_steps(c, y)])
    trend = shown_trend(rows, lamb=lamb)
    gaps = rows - trend
    return GapResult(
        gap=pd.Series(gaps[0], index=index, name="gap"),
        trend=pd.Series(trend[0], index=index, name="trend"),
        buffer=pd.Series(buffer_guide(gaps[0]), index=index, name="buffer"),
        lamb=float(lamb),
        timing=timing,
        credit_part=pd.Series(gaps[1], index=index, name="credit"),
        gdp_part=pd.Series(gaps[2], index=index, name="gdp"),
    )


def buffer_guide(gap: npt.ArrayLike) -> Floats:
    """Return the Basel guide for the countercyclical buffer: 0 to 2.5 % as the gap goes from 2 to 10 points.

    Parameters
    ----------
    gap
        Percentage points; NaN stays NaN.
    """
    position = (np.asarray(gap, dtype=np.float64) - FLOOR) / (CEILING - FLOOR)
    return np.asarray(MOST * np.clip(position, 0.0, 1.0))


def _series(given: pd.Series | npt.ArrayLike, name: str, *, index: pd.Index | None = None) -> pd.Series:
    """Return what was given as one series."""
    if index is not None:
        return pd.Series(given, index=index, dtype=np.float64, name=name)
    if np.ndim(given) != 1:
        raise UsageError(f"the credit gap takes one series ({name}).", remedy="Call it for each country.")
    try:
        if isinstance(given, pd.Series):
            return given.astype(np.float64)
        return pd.Series(np.asarray(given, dtype=np.float64), name=name)
    except (TypeError, ValueError):
        raise UsageError(
            f"the series of {name} has an entry that is no number.", remedy="Give numbers, or NaN."
        ) from None


def _checked(values: Floats) -> Floats:
    """Return the ratios where a gap can be computed from them."""
    if np.isinf(values).any():
        raise FitError(
            "the credit ratio holds an infinite value.",
            code="OPS-M121",
            remedy="Check GDP in the denominator.",
        )
    if (~np.isnan(values)).sum() < 2:
        raise FitError(
            "the credit gap needs at least two observations.",
            code="OPS-M122",
            remedy=f"Ingest a longer history; gaps are shown after {BURN_IN} quarters.",
        )
    return values
