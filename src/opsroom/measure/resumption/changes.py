"""What moved since last time: activity, late data, revision."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

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
    moved = contributions(previous, current)
    points = moved.groupby(["component", "weight"], sort=False, observed=True)["points"].sum()
    rows = []
    for weight in WEIGHTS:
        parts = {c: float(points.get((c, weight), 0.0)) for c in COMPONENTS[:-1]}
        rows += [(c, weight, v) for c, v in {**parts, "_T": sum(parts.values())}.items()]
    return pd.DataFrame(rows, columns=["component", "weight", "points"])


def remembered(result: ResumptionResult) -> ResumptionResult:
    """Return what a comparison with a later result looks at: the fortnight up to the reference date.

    A room keeps last week's result for it, and half a year of every company is a tenth of all that it holds.
    """
    panel = result.panel
    stop = panel.column(result.reference_date) + 1
    days = slice(max(stop - LOOK_BACK, 0), stop)

    def cut(values: Any) -> Any:
        return values[:, days].copy()

    doubt = replace(
        panel.doubt,
        state=tuple(cut(v) for v in panel.doubt.state),
        capacity=tuple(cut(v) for v in panel.doubt.capacity),
    )
    kept = replace(
        panel, start=panel.start + days.start, doubt=doubt,
        working=cut(panel.working), capacity=cut(panel.capacity), seen=cut(panel.seen), naive=cut(panel.naive),
    )  # fmt: skip
    return replace(result, panel=kept, fortnight=None)


def contributions(previous: ResumptionResult, current: ResumptionResult) -> pd.DataFrame:
    """Return each company's part in the move: ``group, component, weight, points``; confidential.

    Companies that contribute nothing to a component have no row in it.
    """
    if previous.cohort_day != current.cohort_day:
        raise UsageError("the two results have different cohorts.", remedy="Compare results of one cohort day.")
    old, new = previous.panel, current.panel
    before, after = old.column(previous.reference_date), new.column(current.reference_date)
    same = new.column(previous.reference_date)
    ids = [panel.companies["enterprise_id"].to_numpy() for panel in (old, new)]
    if np.array_equal(ids[0], ids[1]):
        every = ids[0]
        at_old = at_new = row_old = row_new = np.arange(len(every))
    else:
        every = np.union1d(*ids)
        at_old, at_new = (np.searchsorted(every, own) for own in ids)
        _, row_old, row_new = np.intersect1d(ids[0], ids[1], assume_unique=True, return_indices=True)
    group = np.zeros(len(every), dtype=np.int64)
    group[at_old], group[at_new] = old.companies["group"].to_numpy(), new.companies["group"].to_numpy()
    late = np.zeros(len(every), dtype=np.bool_)
    late[at_new[row_new]] = _arrived(old, new, row_old, row_new, before, same)
    was, then, now = old.working[:, before], new.working[:, same], new.working[:, after]
    moved_since = now - then

    groups, points, kinds = [], [], []
    for number, weight in enumerate(WEIGHTS):
        share_old, share_new = _shares(old, weight), _shares(new, weight)
        revised = np.zeros(len(every))
        revised[at_new] = share_new * then
        revised[at_old] -= share_old * was
        active = np.zeros(len(every))
        active[at_new] = share_new * moved_since
        for cause, value in enumerate((active, np.where(late, revised, 0.0), np.where(late, 0.0, revised))):
            moved = np.flatnonzero(value)
            groups.append(group[moved])
            points.append(100.0 * value[moved])
            kinds.append(np.full(len(moved), cause * len(WEIGHTS) + number, dtype=np.int64))
    component, weight_code = np.divmod(np.concatenate(kinds).astype(np.int64), len(WEIGHTS))
    return pd.DataFrame(
        {
            "group": np.concatenate(groups),
            "component": pd.Categorical.from_codes(component, categories=pd.Index(COMPONENTS[:-1])),
            "weight": pd.Categorical.from_codes(weight_code, categories=pd.Index(WEIGHTS)),
            "points": np.concatenate(points),
        }
    )


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
