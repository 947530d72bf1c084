"""Labels of quarters, however a table writes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import pandas as pd

from opsroom.base.errors import UsageError


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
    index = labels if isinstance(labels, pd.Index) else pd.Index(list(labels))
    if isinstance(index, pd.PeriodIndex):
        return index.asfreq("Q")
    if isinstance(index, pd.DatetimeIndex):
        return index.to_period("Q")
    if all(isinstance(label, str | dt.date | pd.Period) for label in index):
        try:
            return pd.PeriodIndex([pd.Period(label, freq="Q") for label in index], freq="Q")
        except ValueError:
            pass  # told below
    raise UsageError("these labels are not quarters.", remedy="Use a PeriodIndex, days, or text such as 2020-Q1.")
