"""The credit-to-GDP gap: how far credit stands above its own slow trend, and the buffer that it guides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError

Floats = npt.NDArray[np.float64]

LAMBDA = 400_000.0
"""Smoothing of the trend for quarterly data: credit cycles about four times as long as business cycles."""
BURN_IN = 40
"""Quarters that the trend needs before a gap is shown; the BIS publishes from the 41st observation."""
FLOOR, CEILING, MOST = 2.0, 10.0, 2.5
"""The buffer guide: 0 up to a gap of 2 points, rising to 2.5 % of risk-weighted assets at 10 points."""


@dataclass(frozen=True, slots=True)
class GapResult:
    """Gap, trend and buffer guide of one credit-to-GDP ratio.

    Attributes
    ----------
    gap, trend
        Percentage points of GDP; per cent of GDP. NaN in the first `BURN_IN` quarters.
    buffer
        Per cent of risk-weighted assets, 0 to 2.5.
    lamb
        Smoothing parameter used.
    """

    gap: pd.Series
    trend: pd.Series
    buffer: pd.Series
    lamb: float = LAMBDA

    def summary(self) -> str:
        """Return the latest gap in one line."""
        known = self.gap.dropna()
        if known.empty:
            return f"No gap yet: {BURN_IN} quarters of history are needed."
        at = known.index[-1]
        return (
            f"Credit-to-GDP gap {at}: {known.iloc[-1]:+.1f} points over a trend of {self.trend[at]:.1f} %; "
            f"buffer guide {self.buffer[at]:.2f} %."
        )

    def to_frame(self) -> pd.DataFrame:
        """Return trend, gap and buffer, one row a quarter."""
        return pd.DataFrame({"trend": self.trend, "gap": self.gap, "buffer": self.buffer})

    def cite(self) -> str:
        """Return source and version."""
        return (
            "Credit-to-GDP gap after Basel Committee on Banking Supervision (2010), Guidance for national "
            f"authorities operating the countercyclical capital buffer; one-sided HP filter, lambda "
            f"{self.lamb:,.0f}; opsroom {__version__}."
        )


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
        Aligned with `ratio`.

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
    if not lamb > 0:
        raise UsageError("the smoothing parameter of the credit gap must be positive.", remedy="Use lamb=400_000.")
    if np.ndim(ratio) != 1:
        raise UsageError("the credit gap takes one series.", remedy="Call it for each country.")
    series = ratio if isinstance(ratio, pd.Series) else pd.Series(np.asarray(ratio, dtype=np.float64))
    values: Floats = np.asarray(series.to_numpy(dtype=np.float64, na_value=np.nan), dtype=np.float64)
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
    trend = one_sided_trend(values, lamb=lamb)
    first = int(np.flatnonzero(~np.isnan(values))[0])
    trend[: first + BURN_IN] = np.nan
    trend[np.isnan(values)] = np.nan
    gap = values - trend
    return GapResult(
        gap=pd.Series(gap, index=series.index, name="gap"),
        trend=pd.Series(trend, index=series.index, name="trend"),
        buffer=pd.Series(buffer_guide(gap), index=series.index, name="buffer"),
        lamb=float(lamb),
    )


def one_sided_trend(values: Floats, *, lamb: float = LAMBDA) -> Floats:
    """Return the end points of Hodrick-Prescott filters on growing samples, in one pass.

    Parameters
    ----------
    values
        Shape (T,); NaN where unknown, at least two known.
    lamb
        Smoothing parameter.

    Returns
    -------
    numpy.ndarray
        Shape (T,); NaN before the second observation's quarter.
    """
    known = np.flatnonzero(~np.isnan(values))
    first, second = int(known[0]), int(known[1])
    out = np.full(len(values), np.nan)
    out[second] = values[second]
    # State: trend now and a quarter ago. Exact start: the line through two observations `step` apart,
    # whose errors (variance 1 each) give the state's covariance.
    step = second - first
    share = np.array([1.0, 1.0 - 1.0 / step])
    now, ago = values[second], share[1] * values[second] + (1.0 - share[1]) * values[first]
    p11, p12, p22 = 1.0, float(share[1]), float(share[1] ** 2 + (1.0 - share[1]) ** 2)
    noise = 1.0 / lamb
    if step > 1:
        # Between the two, the trend could bend: integrate the second differences' variance over the bridge.
        p22 += noise * _bend(step)
    for t in range(second + 1, len(values)):
        now, ago = 2.0 * now - ago, now
        p11, p12, p22 = 4.0 * p11 - 4.0 * p12 + p22 + noise, 2.0 * p11 - p12, p11
        y = values[t]
        if not np.isnan(y):
            gain1, gain2 = p11 / (p11 + 1.0), p12 / (p11 + 1.0)
            surprise = y - now
            now, ago = now + gain1 * surprise, ago + gain2 * surprise
            p22 -= gain2 * p12
            p11, p12 = p11 * (1.0 - gain1), p12 * (1.0 - gain1)
        out[t] = now
    return out


def _bend(step: int) -> float:
    """Return how far the trend's last but one value strays from the chord of `step` quarters: a variance.

    The trend's deviation from the chord solves second differences = innovations with both ends at zero;
    the value next to the end is a weighted sum of the ``step - 1`` innovations, of variance 1 here.
    """
    inner = step - 1
    operator = -2.0 * np.eye(inner) + np.eye(inner, k=1) + np.eye(inner, k=-1)
    response = np.linalg.inv(operator)[-1]
    return float(response @ response)


def buffer_guide(gap: npt.ArrayLike) -> Floats:
    """Return the Basel guide for the countercyclical buffer: 0 to 2.5 % as the gap goes from 2 to 10 points.

    Parameters
    ----------
    gap
        Percentage points; NaN stays NaN.
    """
    position = (np.asarray(gap, dtype=np.float64) - FLOOR) / (CEILING - FLOOR)
    return np.asarray(MOST * np.clip(position, 0.0, 1.0))
