"""What closed companies still show in a record, and levels above it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.resumption import filing
from opsroom.measure.resumption.filing import FILED
from opsroom.measure.resumption.months import F64, Ints, Months
from opsroom.measure.resumption.records_kernel import row_median

ALIKE = 20
"""A section's season and trend are believed against those of all companies like so many companies' worth."""

FLOOR_SD = 0.1
"""Doubt about what a closed company's records show, where nothing tells."""

CLOSED = 0.05
"""A company is closed in a month of which the reference shows no more than this."""

FEW_CLOSED = 50
"""The floor of a section is believed against that of all like so many closed company-months' worth."""

FEW_MONTH = 5
"""A month's floor is looked at where so many companies are closed."""

MOST_FLOOR = 0.9
"""A source of which closed companies show more than this of normal cannot tell."""

LEAST_SHIFT = 0.01
"""Common error of the normal, log points, at least."""


def stray(relative: F64, training: int) -> float:
    """Return how far the cohort as a whole strays from its normal before the shock, log points."""
    logs = np.log(np.where(relative[:, :training] > 0, relative[:, :training], np.nan))
    return max(float(np.sqrt(np.nanmean(row_median(logs.T) ** 2))), LEAST_SHIFT)


@dataclass(frozen=True, slots=True)
class Shown:
    """What records show of each company and month, relative to normal: the floor is learnt from it.

    Attributes
    ----------
    ids, section
        Company, and the row of its section.
    sections
        Number of sections.
    relative
        (companies, months).
    months
        First days of the months.
    """

    ids: Ints
    section: Ints
    sections: int
    relative: F64
    months: pd.DatetimeIndex

    @classmethod
    def of(cls, cohort: pd.DataFrame, relative: F64, section: Ints, sections: int, months: pd.DatetimeIndex) -> Shown:
        """Put together what is shown of a cohort."""
        return cls(cohort["enterprise_id"].to_numpy(dtype=np.int64), section, sections, relative, months)

    def floors(self, reference: Months | None, floor: float | None) -> tuple[F64, float]:
        """Return what closed companies of each section still show, and the doubt about it."""
        if floor is not None:
            if not 0 <= floor < 1:
                raise UsageError("the floor is a share of normal below 1.", remedy="Give, say, 0.15.")
            return np.full(self.sections, floor), LEAST_SHIFT
        closed = np.zeros((0, 0)) if reference is None else self._closed(reference)
        if not np.isfinite(closed).any():
            return np.zeros(self.sections), FLOOR_SD
        row, column = np.nonzero(np.isfinite(closed))
        found = drawn(closed[row, column][:, None], self.section[row], self.sections, FEW_CLOSED)[:, 0]
        # A month of a few closed companies says little of its floor.
        monthly = row_median(closed.T)[np.isfinite(closed).sum(axis=0) >= FEW_MONTH]
        doubt = float(np.std(monthly)) if len(monthly) > 1 else FLOOR_SD
        return np.clip(found, 0, MOST_FLOOR), max(doubt, LEAST_SHIFT)

    def _closed(self, other: Months) -> F64:
        """Return what is shown where the reference shows a company closed, NaN elsewhere."""
        out = np.full(self.relative.shape, np.nan)
        place = other.months.get_indexer(self.months)
        _, mine, theirs = np.intersect1d(self.ids, other.companies["enterprise_id"].to_numpy(), return_indices=True)
        for t in np.flatnonzero(place >= 0):
            shut = (other.record[theirs, place[t]] == FILED) & (other.level[theirs, place[t]] <= CLOSED)
            out[mine[shut], t] = self.relative[mine[shut], t]
        return out


def drawn(values: F64, code: Ints, groups: int, weight: int = ALIKE) -> F64:
    """Return the median of each column by group, drawn towards that of all."""
    whole = np.median(values, axis=0)
    out = np.tile(whole, (groups, 1))
    for g in range(groups):
        mine = values[code == g]
        if len(mine):
            out[g] = (len(mine) * np.median(mine, axis=0) + weight * whole) / (len(mine) + weight)
    return out


def levels(
    relative: F64, record: npt.NDArray[np.int8], floor: F64, floor_sd: float, normal_sd: F64
) -> tuple[npt.NDArray[np.float32], tuple[npt.NDArray[np.float32], ...]]:
    """Return levels above the floor, and their changes by the shared errors of normal and of floor."""
    scale = 1 - floor[:, None]
    level = (relative - floor[:, None]) / scale
    stopped = np.isin(record, (filing.SILENT, filing.GONE))
    level = np.where(stopped, 0.0, level)
    by_normal = np.where(stopped, 0.0, relative * normal_sd / scale)
    by_floor = np.where(stopped, 0.0, (relative - 1) * floor_sd / scale**2)
    return level.astype(np.float32), (by_normal.astype(np.float32), by_floor.astype(np.float32))
