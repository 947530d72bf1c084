"""How much of lost activity is lost sales: what is measured is use, what is forecast is sales.

A closed company still invoices contracts and sells from stock and over the net, so sales fall less than the use
of electricity. How much less is an assumption until months with known sales lie in the slump, and then an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.decide.relief.habits import usual_year
from opsroom.decide.relief.panel import Panel, month_numbers

Floats = npt.NDArray[np.float64]

_LEAST_FALL = 0.25
_SEASON_ERROR = 0.05
_YEAR = 12


@dataclass(frozen=True, slots=True)
class Response:
    """Share of lost activity that is lost sales, with its standard error.

    Attributes
    ----------
    share, error
        The defaults are an assumption: nine tenths, give or take one.
    """

    share: float = 0.9
    error: float = 0.1

    def fit(self, panel: Panel, activity: pd.DataFrame) -> Response:
        r"""Return the response as far as months with known sales tell.

        Parameters
        ----------
        panel
            Accounts and reports known on the day.
        activity
            ``enterprise_id``, ``month`` and ``capacity``, the mean of the month (1 = normal).

        Notes
        -----
        For a month in which activity fell by at least a quarter (less tells more of the season than of the
        response), :math:`b = \sum (1 - s_i) / \sum (1 - c_i)` over companies, s being sales as a share of the
        usual year times the month's season, c activity. The error is that of the season, 0.05, over the mean
        fall. Months and the assumption are averaged by precision.
        """
        sales = usual_year(panel)[0]
        precision, total = self.error**-2, self.share / self.error**2
        when, ids = month_numbers(activity["month"]), activity["enterprise_id"].to_numpy(dtype=np.int64)
        capacity = activity["capacity"].to_numpy(dtype=np.float64)
        for month in np.unique(when):
            column = panel.column(int(month))
            if column is None or column > panel.last:
                continue
            rows = np.flatnonzero(when == month)
            row = np.minimum(np.searchsorted(panel.ids, ids[rows]), len(panel.ids) - 1)
            here = panel.ids[row] == ids[rows]
            row, share = row[here], np.clip(capacity[rows][here], 0.0, 2.0)
            both = np.isfinite(panel.liquid[row, column]) & np.isfinite(panel.sales[row, column])
            known = np.isfinite(share) & both & (sales[row] > 0)
            if not known.any():
                continue
            row, fall = row[known], 1.0 - share[known]
            sold = np.clip(panel.sales[row, column] / (sales[row] * season(panel, column)), 0.0, 2.0)
            if fall.mean() < _LEAST_FALL:
                continue
            weight = (fall.mean() / _SEASON_ERROR) ** 2
            precision, total = precision + weight, total + weight * float((1.0 - sold).mean() / fall.mean())
        return Response(float(np.clip(total / precision, 0.0, 1.5)), float(precision**-0.5))

    def sales(self, capacity: npt.NDArray[np.floating]) -> Floats:
        """Return sales as a share of normal at a given activity."""
        return np.asarray(np.clip(1.0 - self.share * (1.0 - capacity), 0.0, 2.0))


def season(panel: Panel, column: int) -> float:
    """Return what the same month a year before was of the mean of the year up to it; 1 where it is not known."""
    if panel.seasons is not None:
        return float(panel.seasons[column])
    before = column - _YEAR
    if before < _YEAR // 2:
        return 1.0
    span = slice(max(before - _YEAR, 0), before)
    both = np.isfinite(panel.liquid[:, span.start : before + 1])
    both &= np.isfinite(panel.sales[:, span.start : before + 1])
    kept = both.all(axis=1)
    year = panel.sales[kept, span].mean(axis=1).sum() if kept.any() else 0.0
    return float(panel.sales[kept, before].sum() / year) if year > 0 else 1.0
