"""From a gap in electricity to one in output, through an elasticity that has an interval of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from opsroom.base.errors import FitError, UsageError

Z = 1.6449
GRID = 41
FEWEST = 8


@dataclass(frozen=True, slots=True)
class Elasticity:
    """By how many per cent a sector's electricity falls when its output falls by one.

    Attributes
    ----------
    value, lower, upper
        Estimate and its 90 % interval; all positive.
    source
        Where it comes from, in words.
    """

    value: float
    lower: float
    upper: float
    source: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.lower <= self.value <= self.upper:
            raise UsageError(
                "an elasticity is not positive or lies outside its interval.",
                remedy="Give 0 < lower ≤ value ≤ upper.",
            )

    def points(self) -> npt.NDArray[np.float64]:
        """Return equally likely values: log-normal about the estimate, each side as wide as its bound says."""
        z = ndtri((np.arange(GRID) + 0.5) / GRID)
        below, above = np.log(self.value / self.lower) / Z, np.log(self.upper / self.value) / Z
        return np.asarray(self.value * np.exp(np.where(z < 0, below * z, above * z)))


def fit_elasticity(
    electricity: pd.Series, output: pd.Series, *, lags: int | None = None, source: str = ""
) -> Elasticity:
    """Estimate a sector's elasticity from growth in its electricity and in its output.

    Parameters
    ----------
    electricity, output
        Growth or gaps of the same periods, per cent, weather and calendar taken out of both; indexes are matched.
    lags
        Autocorrelations that the standard error allows for (Newey and West); None: by the length of the series.
    source
        Words that say what it rests on.

    Returns
    -------
    Elasticity

    Raises
    ------
    FitError
        With fewer than eight periods in common, or where electricity does not move with output for sure: no gap in
        output can be read off it then.

    Notes
    -----
    :math:`\\log(1 + e_t) = a + \\varepsilon \\log(1 + q_t) + u_t` by least squares. Electricity is on the left
    because output is what moves it. Output that is measured with error pulls the estimate down, and with it makes
    falls in output look larger.

    References
    ----------
    W. Newey, K. West, "A simple, positive semi-definite, heteroskedasticity and autocorrelation consistent covariance
    matrix", 1987.
    """
    both = pd.concat([electricity.rename("e"), output.rename("q")], axis=1).dropna()
    n = len(both)
    if n < FEWEST:
        raise FitError(
            f"there are fewer than {FEWEST} periods with both electricity and output.",
            remedy="Give a longer history, or an elasticity from elsewhere.",
            code="OPS-M019",
        )
    e, q = np.log1p(both["e"].to_numpy() / 100), np.log1p(both["q"].to_numpy() / 100)
    centred = q - q.mean()
    square = float((centred**2).sum())
    slope = float((centred * e).sum()) / max(square, 1e-300)
    score = centred * (e - e.mean() - slope * centred)
    reach = int(4 * (n / 100) ** (2 / 9)) if lags is None else lags
    variance = float((score**2).sum())
    for lag in range(1, reach + 1):
        variance += 2 * (1 - lag / (reach + 1)) * float((score[lag:] * score[:-lag]).sum())
    error = float(np.sqrt(max(variance, 0) * n / (n - 2))) / max(square, 1e-300)
    lower, upper = slope - Z * error, slope + Z * error
    if not lower > 0:
        raise FitError(
            "electricity does not move with output for sure: the interval of the elasticity includes 0.",
            remedy="Give a longer history or a larger sector, or leave the gap one of electricity.",
            code="OPS-M020",
        )
    return Elasticity(slope, lower, upper, source or f"estimated from {n} periods")


def output_gap(frame: pd.DataFrame, elasticity: Elasticity) -> pd.DataFrame:
    """Return the gap in output that a gap in electricity stands for.

    Parameters
    ----------
    frame
        Columns ``gap, lower, upper``, per cent, 90 %.
    elasticity
        Of electricity to output.

    Returns
    -------
    pandas.DataFrame
        ``gap, lower, upper`` of output, per cent: both doubts are in the interval.

    Notes
    -----
    :math:`\\log(1 + q) = \\log(1 + e) / \\varepsilon`. The interval holds the middle 90 % of this over all pairs of
    41 equally likely values of each: deterministic, and exact as far as the two doubts are independent.
    """
    gap = np.log1p(frame["gap"].to_numpy() / 100)
    z = ndtri((np.arange(GRID) + 0.5) / GRID)
    below = (gap - np.log1p(frame["lower"].to_numpy() / 100)) / Z
    above = (np.log1p(frame["upper"].to_numpy() / 100) - gap) / Z
    width = np.where(z[None, :] < 0, below[:, None], above[:, None])
    draws = (gap[:, None] + width * z[None, :])[:, :, None] / elasticity.points()[None, None, :]
    low, high = np.quantile(draws.reshape(len(gap), -1), [0.05, 0.95], axis=1)
    made = {"gap": gap / elasticity.value, "lower": low, "upper": high}
    return pd.DataFrame({name: 100 * np.expm1(values) for name, values in made.items()}, index=frame.index)
