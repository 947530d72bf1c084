"""Labels of quarters, however a table writes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError

Ints = npt.NDArray[np.int64]


def as_quarters(labels: Iterable[object]) -> pd.PeriodIndex:
    """Return labels as quarters.

    Parameters
    ----------
    labels
        Periods, days (any day of the quarter), or text such as ``2020-Q1`` or ``2020-01-01``.

    Raises
    ------
    UsageError
        A label is neither.
    """
    if isinstance(labels, pd.Series):
        labels = pd.Index(labels)
    index = labels if isinstance(labels, pd.Index) else pd.Index(list(labels))
    if isinstance(index, pd.PeriodIndex):
        return index.asfreq("Q")
    if isinstance(index, pd.DatetimeIndex):
        return index.to_period("Q")
    if all(isinstance(label, str | dt.date | pd.Period) for label in index):
        try:
            # Panels name each quarter again for each economy: read a label once.
            codes, unique = pd.factorize(index)
            return pd.PeriodIndex([pd.Period(label, freq="Q") for label in unique], freq="Q").take(codes)
        except ValueError:
            pass  # told below
    raise UsageError("these labels are not quarters.", remedy="Use a PeriodIndex, days, or text such as 2020-Q1.")


def quarter_numbers(labels: Iterable[object]) -> Ints:
    """Return quarters as consecutive numbers, 4 × year + quarter - 1.

    Parameters
    ----------
    labels
        As in `as_quarters`.
    """
    index = as_quarters(labels)
    return np.asarray(index.year, dtype=np.int64) * 4 + np.asarray(index.quarter, dtype=np.int64) - 1


def quarter_name(number: int) -> str:
    """Return a quarter's number as a code such as ``2020-Q1``."""
    return f"{number // 4}-Q{number % 4 + 1}"


def last_quarter(as_of: dt.date) -> int:
    """Return the number of the last quarter that is over at the end of a day."""
    after = as_of + dt.timedelta(days=1)
    return after.year * 4 + (after.month - 1) // 3 - 1
