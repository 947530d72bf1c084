"""FRED-MD and FRED-QD: files with a row of transformation codes, the codes themselves, and the outlier rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from opsroom.base.errors import DataError, UsageError

CODES = {
    1: "level",
    2: "change",
    3: "second change",
    4: "logarithm",
    5: "change of the logarithm",
    6: "second change of the logarithm",
    7: "change of the growth rate",
}
"""The transformation codes of McCracken and Ng."""
_SMALL = 1e-6
_LOGS = (4, 5, 6)
_CHANGES = {1: 0, 2: 1, 3: 2, 4: 0, 5: 1, 6: 2, 7: 1}


@dataclass(frozen=True, slots=True)
class FredPanel:
    """One vintage of FRED-MD or FRED-QD.

    Attributes
    ----------
    levels
        Months or quarters x series, as published.
    codes
        Series → transformation code, see `CODES`.
    """

    levels: pd.DataFrame
    codes: Mapping[str, int]

    def stationary(self, *, outliers: float | None = None) -> pd.DataFrame:
        """Return the transformed panel.

        Parameters
        ----------
        outliers
            Times the interquartile range beyond which a value is taken out; 10 in McCracken and Ng. None: none.
        """
        found = stationary(self.levels, self.codes)
        return found if outliers is None else without_outliers(found, times=outliers)


def stationary(levels: pd.DataFrame, codes: Mapping[str, int]) -> pd.DataFrame:
    """Transform series by the codes of FRED-MD and FRED-QD.

    Parameters
    ----------
    levels
        One column a series, one row a period, without gaps in the periods.
    codes
        Series → 1 to 7, see `CODES`; one for every column.

    Returns
    -------
    pandas.DataFrame
        The same rows; those that a change needs at the beginning are NaN. As in McCracken and Ng's own program, a
        series with any value of 10⁻⁶ or less has no logarithm and is NaN throughout, and nothing is multiplied by 100.

    Raises
    ------
    UsageError
        A series without code, or a code that is not 1 to 7.

    References
    ----------
    McCracken and Ng (2016), FRED-MD: a monthly database for macroeconomic research, Journal of Business and Economic
    Statistics 34, 574-589.
    """
    absent = [str(name) for name in levels if str(name) not in codes]
    if absent:
        raise UsageError(f"no transformation code is given for {', '.join(absent)}.", remedy="Give each series one.")
    return pd.DataFrame({name: _one(levels[name], str(name), codes[str(name)]) for name in levels}, index=levels.index)


def _one(levels: pd.Series, name: str, code: int) -> pd.Series:
    if code not in CODES:
        raise UsageError(f"series {name!r}: {code!r} is no transformation code.", remedy="Use 1 to 7.")
    x = levels.astype(float)
    if code in _LOGS:
        x = pd.Series(np.log(x) if x.min() > _SMALL else np.nan, index=x.index)
    elif code == 7:
        x = x / x.shift(1) - 1.0
    for _ in range(_CHANGES[code]):
        x = x.diff()
    return x


def without_outliers(panel: pd.DataFrame, *, times: float = 10.0) -> pd.DataFrame:
    """Take out what lies further from a series' median than some times its interquartile range.

    Parameters
    ----------
    panel
        Transformed series.
    times
        10 in McCracken and Ng; quartiles as their program has them, midway between neighbours (Hazen).

    Notes
    -----
    Months of a crisis are outliers by this rule. What a factor model should learn from them is better said by `Robust`.
    """
    if not times > 0:
        raise UsageError(f"times={times} is not above zero.", remedy="Use 10.")
    values = panel.to_numpy(np.float64)
    seen = ~np.isnan(values).all(axis=0)
    low, middle, high = np.full((3, values.shape[1]), np.nan)
    low[seen], middle[seen], high[seen] = np.nanquantile(values[:, seen], [0.25, 0.5, 0.75], axis=0, method="hazen")
    return panel.mask(np.abs(values - middle) > times * (high - low))


def read_fred(path: Path) -> FredPanel:
    """Read a file of FRED-MD or FRED-QD as its makers publish it: CSV, dates first, codes in a row of their own.

    Raises
    ------
    DataError
        No row of codes, a code that is not 1 to 7, a date or number that cannot be read: named by file, row, column.
    """
    try:
        raw = pd.read_csv(path, dtype=str).dropna(how="all")
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name}: cannot be read as CSV ({type(error).__name__}).", remedy="Check it.") from None
    first = raw.columns[0]
    words = raw[first].str.strip().str.lower().str.rstrip(":")
    at = words[words == "transform"].index
    if not len(at):
        raise DataError(
            f"{path.name}: there is no row of transformation codes.",
            remedy="Its first field reads 'Transform:', below the header.",
        )
    names = [str(name) for name in raw.columns[1:]]
    codes = pd.to_numeric(raw.loc[at[0], names], errors="coerce")
    for name in names:
        if codes[name] not in CODES:
            raise DataError(
                f"{path.name}, row {int(at[0]) + 2}, column {name}: no transformation code.", remedy="Use 1 to 7."
            )
    # FRED-QD has a row of factors, too.
    body = raw[~words.isin(["transform", "factors"])]
    days = pd.to_datetime(body[first], format="%m/%d/%Y", errors="coerce")
    if days.isna().any():
        row = int(days.index[days.isna()][0]) + 2
        raise DataError(f"{path.name}, row {row}: no date.", remedy="Write it as month/day/year.")
    values = body[names].apply(pd.to_numeric, errors="coerce")
    wrong = values.isna() & body[names].notna()
    if wrong.to_numpy().any():
        row, column = np.argwhere(wrong.to_numpy())[0]
        raise DataError(
            f"{path.name}, row {int(body.index[row]) + 2}, column {names[column]}: not a number.",
            remedy="Leave an unknown value empty.",
        )
    months = pd.PeriodIndex(days, freq="M")
    apart = np.diff(months.year.to_numpy() * 12 + months.month.to_numpy())
    if len(set(apart.tolist())) > 1 or (len(apart) and apart[0] not in (1, 3)):
        raise DataError(f"{path.name}: its dates are neither months nor quarters in a row.", remedy="Sort them.")
    index = months if not len(apart) or apart[0] == 1 else pd.PeriodIndex(days, freq="Q")
    return FredPanel(values.set_axis(index, axis=0), {name: int(codes[name]) for name in names})
