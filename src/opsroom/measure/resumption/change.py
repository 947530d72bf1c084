"""What moved since last time: activity, late data, revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.resumption.aggregate import WEIGHTS, Panel

if TYPE_CHECKING:
    from opsroom.measure.resumption.result import ResumptionResult

COMPONENTS = ("activity", "late_data", "revision", "_T")
LOOK_BACK = 14


def change(previous: ResumptionResult, current: ResumptionResult) -> pd.DataFrame:
    """Split the move of the share at work between two reference dates into its causes.

    Parameters
    ----------
    previous, current
        Last week's result and this week's, of the same cohort day.

    Returns
    -------
    pandas.DataFrame
        ``component`` (``activity, late_data, revision, _T``), ``weight``, ``points`` (percentage points).

    Notes
    -----
    ``_T`` is the new figure at the new reference date minus the old figure at the old one. The change of the
    figure at the *old* reference date is split by company: late data, where readings of the fortnight
    up to then have arrived for the first time; revision, where readings were changed, the register
    was, or later days taught more about the same readings. The rest is activity. Sums are exact.
    """
    if previous.cohort_day != current.cohort_day:
        raise UsageError(
            "the two results have different cohorts.", remedy="Compare results of one cohort day."
        )
    old, new = previous.panel, current.panel
    before, after = old.column(previous.reference_date), new.column(current.reference_date)
    same = new.column(previous.reference_date)
    ids = old.companies["enterprise_id"].to_numpy(), new.companies["enterprise_id"].to_numpy()
    _, row_old, row_new = np.intersect1d(*ids, assume_unique=True, return_indices=True)
    late = _arrived(old, new, row_old, row_new, before, same)
    rows = []
    for weight in WEIGHTS:
        share_old, share_new = _shares(old, weight), _shares(new, weight)
        then = float(share_old @ old.working[:, before])
        then_now = float(share_new @ new.working[:, same])
        now = float(share_new @ new.working[:, after])
        each = (
            share_new[row_new] * new.working[row_new, same]
            - share_old[row_old] * old.working[row_old, before]
        )
        late_points = float(each[late].sum())
        values = (now - then_now, late_points, then_now - then - late_points, now - then)
        rows += [(c, weight, 100 * v) for c, v in zip(COMPONENTS, values, strict=True)]
    return pd.DataFrame(rows, columns=["component", "weight", "points"])


def _shares(panel: Panel, weight: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return each company's share in the cohort's weight; entrants have none."""
    w = np.where(panel.companies["entrant"].to_numpy(), 0, panel.weight(weight)).astype(np.float64)
    return np.asarray(w / w.sum())


def _arrived(
    old: Panel,
    new: Panel,
    row_old: np.ndarray[tuple[int], np.dtype[np.int64]],
    row_new: np.ndarray[tuple[int], np.dtype[np.int64]],
    before: int,
    same: int,
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return the companies of which readings up to the old reference date have arrived since."""
    reach = min(LOOK_BACK, before + 1, same + 1)
    was = old.seen[row_old, before - reach + 1 : before + 1]
    now = new.seen[row_new, same - reach + 1 : same + 1]
    return np.asarray((now & ~was).any(axis=1))
