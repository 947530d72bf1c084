"""What a direct model of one quarter reads: the target by quarter, indicators by month, and where the data end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opsroom.base.errors import UsageError
from opsroom.measure.nowcast.dfm.grid import gather, month_number

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

LEAST = 20
"""Quarters from which an equation may be learnt."""


@dataclass(frozen=True, slots=True)
class Edge:
    """One vintage, by quarter: month ``3 q + k`` is the k-th of quarter `q`.

    Attributes
    ----------
    target, period
        What is nowcast.
    y
        The target, one value a quarter; NaN where unknown.
    x
        Months x monthly series; three times as long as `y`.
    others
        Quarters x quarterly series other than the target.
    monthly, quarterly
        Names of the columns of `x` and `others`.
    at
        The quarter that is nowcast, a row of `y`; the last one, or before it where later months are known.
    left_out
        Quarters from which nothing is learnt.
    """

    target: str
    period: str
    y: Floats
    x: Floats
    others: Floats
    monthly: tuple[str, ...]
    quarterly: tuple[str, ...]
    at: int
    left_out: Mask

    @property
    def ahead(self) -> int:
        """Quarters from the last known value of the target before `at` to `at`."""
        return self.at - int(np.flatnonzero(~np.isnan(self.y[: self.at]))[-1])

    def learnt(self) -> Edge:
        """Return the data to learn from: those of the quarters left out are unknown."""
        months = np.repeat(self.left_out, 3)
        return replace(
            self,
            y=np.where(self.left_out, np.nan, self.y),
            x=np.where(months[:, None], np.nan, self.x),
            others=np.where(self.left_out[:, None], np.nan, self.others),
        )

    def until(self) -> Edge:
        """Return the data without what is later than the quarter that is nowcast."""
        end = self.at + 1
        return replace(
            self, y=self.y[:end], x=self.x[: 3 * end], others=self.others[:end], left_out=self.left_out[:end]
        )


def edge_of(
    monthly: pd.DataFrame,
    quarterly: pd.DataFrame,
    target: str,
    period: object,
    *,
    series: Sequence[str] | None = None,
    without: Sequence[str] = (),
    others: bool = False,
) -> Edge:
    """Read a vintage.

    Parameters
    ----------
    monthly, quarterly
        Transformed to be nearly stationary; see `DynamicFactorModel.fit`.
    target, period
        A quarterly series, and a quarter that may lie after the panel.
    series
        The monthly series to be used; default all.
    without
        Quarters from which nothing is learnt.
    others
        Read the other quarterly series, too.

    Raises
    ------
    UsageError
        No such series or quarter; or the target has no value before the quarter.
    """
    if target not in quarterly.columns:
        raise UsageError(
            f"the vintage has no quarterly series {target!r}.",
            remedy=f"Ask for one of {', '.join(str(c) for c in quarterly.columns)}.",
        )
    absent = [name for name in series or () if name not in monthly.columns]
    if absent:
        raise UsageError(f"the vintage has no monthly series {', '.join(absent)}.", remedy="Name those that it has.")
    chosen = monthly if series is None else monthly[list(series)]
    grid = gather(chosen, quarterly if others else quarterly[[target]])
    wanted = month_number(period, "Q")
    # Begin with a quarter's first month, end with a quarter's last.
    lead = grid.first_month % 3
    values = np.vstack([np.full((lead, len(grid.names)), np.nan), grid.values])
    first = grid.first_month - lead
    rows = max(wanted - first + 1, len(values) + (-len(values)) % 3)
    values = np.vstack([values, np.full((rows - len(values), len(grid.names)), np.nan)])
    at = (wanted - first) // 3
    count = grid.monthly
    by_quarter = values[2::3, count:]
    names = grid.names[count:]
    column = names.index(target)
    rest = [k for k in range(len(names)) if k != column]
    y = by_quarter[:, column]
    if at < 1 or np.isnan(y[: max(at, 0)]).all():
        raise UsageError(f"{target} has no value before {period}.", remedy="Ask for a later quarter.")
    left_out = np.zeros(len(y), dtype=bool)
    for quarter in without:
        place = (month_number(quarter, "Q") - first) // 3
        if 0 <= place < len(y):
            left_out[place] = True
    label = f"{wanted // 12}-Q{wanted % 12 // 3 + 1}"
    return Edge(
        target, label, y, values[:, :count], by_quarter[:, rest], grid.names[:count],
        tuple(names[k] for k in rest), at, left_out,
    )  # fmt: skip
