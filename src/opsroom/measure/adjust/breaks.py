"""Steps in the level of a series that are no news of activity: a new meter, a line that moved out, a smelter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opsroom.base.errors import UsageError
from opsroom.measure.adjust.batch import HUBER, BatchFit
from opsroom.measure.adjust.shared import Shared

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

WINDOW = 56
"""Days before and after a step whose means are compared: eight whole weeks."""

LEAST = 28
"""Days that must be known on either side within the window."""

CERTAIN = 6.0
"""Least step in its standard errors: so large that the highest of a thousand days does not get there by chance."""

SIZE = 0.05
"""Least step, log points."""

CUT = 4.0
"""Residuals beyond so many standard deviations are cut."""


@dataclass(frozen=True, slots=True)
class Steps:
    """Level steps found in many series.

    Attributes
    ----------
    series, day
        Row of the series, and first day of the new level (column), one entry a step.
    size
        New level over old, log points.
    """

    series: Ints
    day: Ints
    size: npt.NDArray[np.float64]

    def shift_rows(self, y: Floats) -> None:
        """Bring the earlier days of `y` to its last level, in place."""
        for row, day, size in zip(self.series, self.day, self.size, strict=True):
            y[row, :day] += np.asarray(size, dtype=y.dtype)


def find_steps(residual: Floats, scale: Floats, *, size: float = SIZE, certain: float = CERTAIN) -> Steps:
    """Find at most one step in each series, the clearest.

    It answers: did the level of this company's use change for good within its normal days, so that what went before
    must be brought to the new level before it is compared?

    Parameters
    ----------
    residual
        Residuals of a fit of the normal days, (series, days), log points, NaN where unknown.
    scale
        Standard deviation of each series' residuals.
    size
        Least step, log points.
    certain
        Least step in its standard errors, memory of the errors allowed for.

    Returns
    -------
    Steps

    Notes
    -----
    The mean of the eight weeks after a day less that of the eight weeks before, residuals beyond four standard
    deviations cut, over its standard error with first-order memory. The step must last: the means of all days
    after and of all days before differ in the same direction by at least half of it, so that a dip that passes is no
    step. And it must be sharp: so must those of the two weeks after and before. A step within four weeks of either
    end is not looked for. What fails most often: a series with a seasonal pattern that the fit does not know.
    """
    if residual.ndim != 2 or scale.shape != (len(residual),):
        raise UsageError("residuals and scales do not fit.", remedy="Give (series, days) and (series,).")
    n, days = residual.shape
    none = Steps(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    if n == 0 or days < 2 * LEAST + 1:
        return none
    from opsroom.measure.adjust.shared_kernel import step_rows

    cut = np.maximum(CUT * scale.astype(np.float64), 1e-6)
    day = np.zeros(n, dtype=np.int64)
    jump, score, lasting, close = np.zeros((4, n))
    step_rows(residual, cut, WINDOW, LEAST, day, jump, score, lasting, close)
    real = np.minimum(lasting * np.sign(jump), close * np.sign(jump)) >= np.abs(jump) / 2
    found = np.flatnonzero((score >= certain) & (np.abs(jump) >= size) & real)
    return Steps(found.astype(np.int64), day[found], jump[found])


def level_at(shared: Shared, y: Floats, known: Steps, *, huber: float = HUBER, tolerance: float = 1e-2) -> Steps:
    """Measure steps at days that are known, such as changes of meter, and bring `y` to its last level, in place.

    Parameters
    ----------
    shared
        Design of the days of `y`.
    y
        Log series of normal days, (series, days), NaN where missing.
    known
        Rows and first days of the new levels; sizes are not looked at. A series may have several.
    huber, tolerance
        As in `opsroom.measure.adjust.shared.Shared.fit`.

    Returns
    -------
    Steps
        With their sizes, estimated together with the design's terms. Of several in one series each is estimated given
        the others, twice over.
    """
    order = np.lexsort((known.day, known.series))
    series, day = known.series[order], known.day[order]
    first = np.searchsorted(series, series)
    rank = np.arange(len(series)) - first
    size = np.zeros(len(series))
    for _ in range(2 if len(rank) and rank.max() > 0 else 1):
        for k in range(int(rank.max(initial=-1)) + 1):
            at = np.flatnonzero(rank == k)
            rows = series[at]
            fit = shared.fit(y[rows], huber=huber, tolerance=tolerance)
            step = Steps(rows, day[at], np.zeros(len(at)))
            y[rows], _, more = _levelled(shared, y[rows], step, fit.coef, huber, tolerance)
            size[at] += more
    return Steps(series, day, size)


def fit_levelled(
    shared: Shared,
    y: Floats,
    *,
    trend: slice = slice(0, 0),
    rounds: int = 3,
    size: float = SIZE,
    huber: float = HUBER,
    tolerance: float = 1e-2,
) -> tuple[BatchFit, Steps]:
    """Fit, bring what lies before each step that is found to the last level, and fit again.

    Parameters
    ----------
    shared
        Design of the days of `y`.
    y
        Log series of normal days, (series, days), NaN where missing; changed in place to the last level.
    trend
        Terms of the trend, which takes up half of a step: steps are looked for in what is left with it.
    rounds
        Most steps a series.
    size
        Least step, log points; infinite: none is looked for.
    huber, tolerance
        As in `opsroom.measure.adjust.shared.Shared.fit`.

    Returns
    -------
    BatchFit
        Of the levelled series.
    Steps
        All that were found, columns as in `y`.
    """
    fit = shared.fit(y, huber=huber, tolerance=tolerance)
    found: list[Steps] = []
    active = np.arange(len(y) if np.isfinite(size) else 0)
    for _ in range(rounds):
        if not len(active):
            break
        coef = fit.coef[active].copy()
        coef[:, trend] = 0
        residual = y[active] - coef @ shared.x.T
        count = np.isfinite(residual).sum(axis=1, keepdims=True)
        residual -= np.nansum(residual, axis=1, keepdims=True) / np.maximum(count, 1)
        step = find_steps(residual, fit.scale[active], size=size)
        if not len(step.series):
            break
        active = active[step.series]
        y[active], again, sizes = _levelled(shared, y[active], step, fit.coef[active], huber, tolerance)
        fit.coef[active], fit.scale[active] = again.coef, again.scale
        found.append(Steps(active.astype(np.int64), step.day, sizes))
    return fit, join_steps(found)


def _levelled(
    shared: Shared, y: Floats, step: Steps, coef: Floats, huber: float, tolerance: float
) -> tuple[Floats, BatchFit, npt.NDArray[np.float64]]:
    """Return the levelled series, their fit, and the steps' sizes, estimated together with all other terms.

    Season and trend have taken up part of a step: what is left of it after them is worth more than its face
    (Frisch, Waugh and Lovell), and is added until nothing is left.
    """
    x = shared.x
    column = -(np.arange(len(x))[None, :] < step.day[:, None]).astype(x.dtype)
    own = column - (column @ shared.inverse) @ x.T
    worth = np.maximum((column * own).sum(axis=1), 1.0)
    sizes = np.zeros(len(y), dtype=np.float64)
    fit = BatchFit(coef, np.full(len(y), np.inf, dtype=x.dtype), np.zeros(len(y), dtype=np.int64))
    for turn in range(4):
        residual = y - fit.coef @ x.T
        cap = CUT * np.maximum(fit.scale, 1e-6)[:, None] if turn else np.inf
        residual = np.where(np.isfinite(residual), np.clip(residual, -cap, cap), 0)
        more = (residual * column).sum(axis=1) / worth
        sizes += more
        y -= (more[:, None] * column).astype(y.dtype)
        fit = shared.fit(y, huber=huber, tolerance=tolerance)
    return y, fit, sizes


def join_steps(parts: Sequence[Steps]) -> Steps:
    """Return the steps of several findings as one."""
    return Steps(
        np.concatenate([np.empty(0, np.int64), *(p.series for p in parts)]),
        np.concatenate([np.empty(0, np.int64), *(p.day for p in parts)]),
        np.concatenate([np.empty(0), *(p.size for p in parts)]),
    )
