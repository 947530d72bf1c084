"""Why electricity use moved within a fortnight: weather, calendar, who reports, or activity.

A company's use on a day is its usual level × what weather and season make of it × what the kind of day makes of it
× what is left, its activity. The change from one week to the next is split over the three factors exactly.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.measure.resumption.evidence import Observed
from opsroom.measure.resumption.groundwork import Groundwork
from opsroom.measure.resumption.readings import F32, Ints, date_of, ordinal

F64 = npt.NDArray[np.float64]

WEEK = 7
CAUSES = ("weather", "calendar", "composition", "activity")


@dataclass(frozen=True, slots=True)
class Fortnight:
    """Use of two weeks, the later one complete, by company; confidential. Arrays are (companies, 14) unless said.

    Attributes
    ----------
    last
        Last day.
    usual
        Usual use of each company's metering points, Wh a day, (companies,).
    ratio
        Use over the usual level; NaN where less than half of it reported.
    weather
        What weather and season make of a workday's use, relative to the usual level.
    kind
        What the kind of day makes of it, 1 on a workday.
    """

    last: dt.date
    usual: F64
    ratio: F32
    weather: F32
    kind: F32

    @classmethod
    def of(cls, observed: Observed, groundwork: Groundwork, *, last: dt.date) -> Fortnight | None:
        """Cut the fortnight up to a day out of what was observed; None where the window is shorter.

        Rows are those of `groundwork.companies`.
        """
        end = ordinal(last) - observed.around.start + 1
        if end < 2 * WEEK or end > observed.q.shape[1]:
            return None
        days = slice(end - 2 * WEEK, end)
        baseline, chains = groundwork.baseline, groundwork.chains
        level = baseline.workday(observed.around.between(days.start, days.stop))
        at = np.searchsorted(baseline.enterprise, chains.enterprise)
        levels = np.maximum(observed.use.level, 0)
        usual = np.bincount(at, levels, minlength=len(baseline.enterprise)).astype(np.float64)
        rows: Ints = np.searchsorted(baseline.enterprise, groundwork.companies["enterprise_id"].to_numpy())
        ratio = observed.use.ratio[rows, days].copy()
        ratio[~baseline.fitted[rows]] = np.nan  # without a normal there is no telling why
        return cls(last, usual[rows], ratio, level[rows], observed.nu[rows, days])

    @property
    def days(self) -> tuple[dt.date, dt.date]:
        """First day of the earlier week, and last day of the later one."""
        return date_of(ordinal(self.last) - 2 * WEEK + 1), self.last

    def causes(self) -> tuple[F64, float]:
        """Return what each cause added to each company's use, Wh, and the use of all in the earlier week.

        Returns
        -------
        numpy.ndarray, shape (companies, 4)
            In the order of `CAUSES`. The sum over the causes is the change of the reported use.
        float
            Reported use of the earlier week, Wh.

        Notes
        -----
        Days are compared with the same weekday a week before. A company that reports only one of the two days is
        composition with all of its use. Of the others the product of the three factors is split by the Shapley
        value: each factor's change, averaged over the orders in which the three may change, so that the parts add
        up whatever happens, zero use included.
        """
        before, after = slice(0, WEEK), slice(WEEK, 2 * WEEK)
        usual = self.usual[:, None]
        use = np.nan_to_num(self.ratio.astype(np.float64)) * usual
        seen = np.isfinite(self.ratio)
        both = seen[:, before] & seen[:, after]
        factors = [self.weather.astype(np.float64), self.kind.astype(np.float64)]
        factors.append(np.nan_to_num(self.ratio.astype(np.float64) / (factors[0] * factors[1])))
        old, new = [f[:, before] for f in factors], [f[:, after] for f in factors]

        def part(k: int) -> F64:
            i, j = (x for x in range(3) if x != k)
            beside = (old[i] * old[j] + new[i] * new[j]) / 3 + (old[i] * new[j] + new[i] * old[j]) / 6
            found: F64 = np.where(both, (new[k] - old[k]) * beside * usual, 0.0).sum(axis=1)
            return found

        moved = np.where(both, 0.0, use[:, after] - use[:, before]).sum(axis=1)
        return np.column_stack([part(0), part(1), moved, part(2)]), float(use[:, before].sum())


def movements(fortnight: Fortnight, group: Ints) -> pd.DataFrame:
    """Return each company's part in the change of use: ``group, component, points``; confidential.

    `points` are per cent of the use of all in the earlier week. Companies that add nothing to a component have no
    row in it.
    """
    causes, base = fortnight.causes()
    if base <= 0:
        return pd.DataFrame({"group": group[:0], "component": [], "points": np.zeros(0)})
    company, cause = np.nonzero(causes)
    return pd.DataFrame(
        {
            "group": group[company],
            "component": pd.Categorical.from_codes(cause, categories=pd.Index(CAUSES)),
            "points": 100 * causes[company, cause] / base,
        }
    )
