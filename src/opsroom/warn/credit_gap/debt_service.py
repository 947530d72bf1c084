"""The debt-service ratio: what interest and repayment take of income."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError

Floats = npt.NDArray[np.float64]


def debt_service_ratio(
    debt: pd.Series | npt.ArrayLike,
    income: pd.Series | npt.ArrayLike,
    rate: pd.Series | npt.ArrayLike,
    *,
    maturity: float | pd.Series | npt.ArrayLike,
) -> pd.Series:
    """Return interest and repayment in per cent of income.

    Answers: how much of their income do borrowers need for their debt?

    Parameters
    ----------
    debt
        Stock at the end of each quarter, in money.
    income
        Of each quarter, in the same unit, positive.
    rate
        Average interest on the existing stock, per cent a *year*, above -400.
    maturity
        Average remaining maturity in *years*, positive; one for all or one a quarter.

    Returns
    -------
    pandas.Series
        Per cent, aligned with `debt`; NaN where anything is unknown.

    Raises
    ------
    UsageError
        Series of different length; income or maturity not positive; a rate that no debt can have.

    Notes
    -----
    The instalment of an annuity: :math:`100\\,\\frac{D}{Y}\\,\\frac{i}{1 - (1+i)^{-s}}` with the interest i and the
    maturity s of quarters; :math:`100 D / (sY)` without interest. Levels depend on the maturity assumed and hardly
    compare between countries: compare a country with its own mean (`from_own_mean`).

    References
    ----------
    Drehmann, Illes, Juselius and Santos (2015), How much income is used for debt payments? A new database for debt
    service ratios, BIS Quarterly Review, September.
    """
    stock = debt if isinstance(debt, pd.Series) else pd.Series(np.asarray(debt, dtype=np.float64))
    columns = []
    for name, given in (("debt", stock), ("income", income), ("rate", rate), ("maturity", maturity)):
        values = np.asarray(given, dtype=np.float64)
        if values.ndim > 1 or (values.ndim == 1 and len(values) != len(stock)):
            raise UsageError(f"{name} is not for the same quarters as debt.", remedy="Align the series.")
        columns.append(np.broadcast_to(values, (len(stock),)))
    d, y, r, years = columns
    if (y <= 0).any() or (years <= 0).any() or (r <= -400).any():
        raise UsageError(
            "an income or maturity is not positive, or a rate is below -400 % a year.",
            remedy="Give income a quarter, the rate in per cent a year and the maturity in years.",
        )
    return pd.Series(100.0 * d / y * instalment(r / 400.0, 4.0 * years), index=stock.index, name="debt_service_ratio")


def instalment(rate: npt.ArrayLike, periods: npt.ArrayLike) -> Floats:
    """Return the instalment of an annuity in shares of the debt.

    Parameters
    ----------
    rate
        Interest a period, above -1.
    periods
        Until the debt is repaid.
    """
    i, s = np.asarray(rate, dtype=np.float64), np.asarray(periods, dtype=np.float64)
    # 1 - (1+i)^-s without the cancellation of small rates.
    left = -np.expm1(-s * np.log1p(i))
    return np.asarray(np.where(i == 0.0, 1.0 / s, np.divide(i, left, out=np.ones_like(i / s), where=i != 0.0)))


def from_own_mean(ratio: pd.Series, *, least: int = 20) -> pd.Series:
    """Return a ratio less its mean of the quarters up to each, so that nothing later is used.

    Parameters
    ----------
    ratio
        One value a quarter.
    least
        Quarters that a mean needs.
    """
    return (ratio - ratio.expanding(least).mean()).rename("from_own_mean")
