"""The forecast rehearsed on months that are known: how many were to run out, and how many did.

What owners pay in, creditors let stand and companies save is not in the accounts. It shows in the difference
between who, at the sales that came, was to run out in a month, and who did.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.decide.relief.dated import Dated
from opsroom.decide.relief.habits import Habits, usual_year
from opsroom.decide.relief.panel import Panel, spread

Floats = npt.NDArray[np.float64]

MONTHS = 3
"""Months rehearsed, the last ones known: habits in a shock are not those of calm years."""
PRIOR_ERROR = 0.25
"""Error of the logarithm of what drains before anything is rehearsed, and of its change until the forecast's end."""
_GRID = np.linspace(-1.0, 0.6, 17)
_LEAST = 10
_DUES = ("interest_due", "principal_due")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Companies newly out of cash in past months, expected and observed.

    Attributes
    ----------
    habits
        With the cushion at which both agree, as far as the months tell, and its error.
    table
        One row a month: ``month`` (ISO), ``expected`` (with the cushion as it was) and ``observed``.
    """

    habits: Habits
    table: pd.DataFrame

    def facts(self) -> dict[str, object]:
        """Return what a release may state: from which month to which, no counts."""
        months = list(self.table["month"])
        return {"first": months[0], "last": months[-1]} if months else {}


def rehearse(panel: Panel, loans: pd.DataFrame, habits: Habits, *, months: int = MONTHS) -> Rehearsal:
    r"""Forecast the last known months from the month before each, and correct the cushion by what came.

    Parameters
    ----------
    panel
        Accounts and reports known on the day.
    loans
        Loan months: ``enterprise_id``, ``month``, ``interest_due``, ``principal_due``, ``forborne``.
    habits
        Estimated on the same day.
    months
        Months rehearsed.

    Notes
    -----
    A company with liquidity at the end of month t-1 was to run out in t if that, plus its flow at the sales of
    t under the habits, less dues, is below zero; it did if its account then shows neither cash nor undrawn
    credit. Both counts are summed over the months. With :math:`k` the logarithm of what drains (one less the
    cushion), expected counts E(k) rise in k; :math:`\hat k` solves E(k) = O, with standard error
    :math:`s = \sqrt{1/O + v}\,/\,(\mathrm d \ln E/\mathrm d k)`, v the variance of ln(O/E) between months
    beyond chance. The cushion is the mean of :math:`\hat k` and the value before, weighted by
    precision with the prior error; the error for later months adds the prior error again, because habits change.
    """
    last, first = panel.last, max(panel.last - months + 1, 1)
    before = np.log(max(1.0 - habits.cushion, 0.05))
    if last < 1:
        return Rehearsal(replace(habits, cushion_error=PRIOR_ERROR), _table([], [], []))
    columns = np.arange(first, last + 1)
    expected, observed = _counts(panel, loans, habits, columns, before + _GRID)
    names = [str(np.datetime64(panel.first + int(c), "M")) for c in columns]
    table = _table(names, expected[:, int(np.argmin(np.abs(_GRID)))].tolist(), observed.tolist())
    total, curve = float(observed.sum()), expected.sum(axis=0)
    if total < _LEAST or curve[0] <= 0 or curve[-1] <= curve[0]:
        return Rehearsal(replace(habits, cushion_error=PRIOR_ERROR), table)
    found = float(np.interp(np.log(total), np.log(curve), _GRID))
    slope = float(np.log(curve[-1] / curve[0]) / (_GRID[-1] - _GRID[0]))
    error = np.sqrt(1.0 / total + _between(table)) / slope
    weight = PRIOR_ERROR**2 / (PRIOR_ERROR**2 + error**2)
    kept = float(np.exp(before + weight * found))
    after = np.sqrt(PRIOR_ERROR**2 * (1.0 - weight) + PRIOR_ERROR**2)
    return Rehearsal(
        replace(habits, cushion=float(np.clip(1.0 - kept, 0.0, 0.9)), cushion_error=float(min(after, 1.0))), table
    )


def _counts(
    panel: Panel, loans: pd.DataFrame, habits: Habits, columns: npt.NDArray[np.int64], logs: Floats
) -> tuple[Floats, Floats]:
    """Return companies newly out by month, expected (months, values of k) and observed (months,)."""
    sales, wages, tax = usual_year(panel)
    due, both = _dues(panel, loans), panel.both
    expected, observed = np.zeros((len(columns), len(logs))), np.zeros(len(columns))
    for row, c in enumerate(columns):
        known = both[:, c] & both[:, c - 1] & (panel.liquid[:, c - 1] > 0) & (sales > 0)
        now, then = panel.sales[known, c], panel.sales[known, c - 1]
        activity = np.clip(now / sales[known], 0.0, 2.0)
        receipts = (1.0 - habits.receipt_lag) * now + habits.receipt_lag * then
        outgo = panel.fixed[known, c] + wages[known] + tax[known]
        outgo -= (habits.wage_flex * wages[known] + habits.tax_flex * tax[known]) * (1.0 - activity)
        flow = (1.0 - panel.materials[known, c]) * receipts - outgo
        left = panel.liquid[known, c - 1] - due[known, c]
        observed[row] = (panel.liquid[known, c] <= 0).sum()
        for column, k in enumerate(logs):
            expected[row, column] = (left + np.where(flow < 0, np.exp(k) * flow, flow) < 0).sum()
    return expected, observed


def _dues(panel: Panel, loans: pd.DataFrame) -> Floats:
    """Return what fell due on loans that were not forborne."""
    open_loans = loans.loc[~loans["forborne"].to_numpy(dtype=bool), ["enterprise_id", "month", *_DUES]]
    parts = spread(Dated.of(open_loans), panel.ids, panel.first, panel.liquid.shape[1], _DUES, add=True)
    return np.asarray(parts[0] + parts[1])


def _between(table: pd.DataFrame) -> float:
    """Return the variance of ln(observed / expected) between months beyond what chance would give."""
    rows = table[(table["expected"] > 0) & (table["observed"] > 0)]
    if len(rows) < 2:
        return 0.0
    logs = np.log(rows["observed"] / rows["expected"])
    return max(float(logs.var(ddof=1)) - float((1.0 / rows["observed"]).mean()), 0.0)


def _table(months: list[str], expected: list[float], observed: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"month": months, "expected": expected, "observed": observed})
