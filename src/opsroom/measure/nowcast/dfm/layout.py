"""Which unknowns a panel has, and which of them meet in one equation: all that does not change during a fit.

The unknowns of month s are its factors and, for each quarterly series, its own error, which is monthly and never
seen alone. A quarterly figure is exactly the sum of weights 1, 2, 3, 2, 1 over five months: it removes one unknown,
the error of its quarter's first month (the weight 3), and no other figure of the series holds that one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opsroom.measure.nowcast.dfm.chain import Chain, chain_up, holes, regular_cells
from opsroom.measure.nowcast.dfm.parameters import Floats, Ints, Mask

LEAD = 4
"""Months before the first one that a quarterly figure of the first month looks back on."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The pattern of one panel.

    Attributes
    ----------
    values
        Months x series, standardised, NaN where unknown; the monthly series first.
    monthly, lead
        Number of monthly series; months before the first row that have unknowns, too.
    regular
        Months x monthly series, 1.0 where a cell and the one before it are both known.
    now, back
        The values of regular cells and of the cells before them, 0 elsewhere.
    special
        The other known monthly cells: rows (month, series, month of the cell before or -1).
    quarters
        Known quarterly cells: rows (month, number of the quarterly series).
    factor_at
        Position of the first factor of each month, lead included.
    own_at
        Months x quarterly series: position of the own error, -1 where a figure stands in its place.
    plain
        Own errors whose step from the month before holds no removed one: rows (month, quarterly series).
    first, start
        Per unknown: the first unknown that it meets, and where its row of the envelope begins.
    chain
        What own errors of order two and more need besides; `special` and `plain` are empty then. None otherwise.
    """

    values: Floats
    monthly: int
    lead: int
    regular: Floats
    now: Floats
    back: Floats
    special: Ints
    quarters: Ints
    factor_at: Ints
    own_at: Ints
    plain: Ints
    first: Ints
    start: Ints
    chain: Chain | None = None

    @property
    def months(self) -> int:
        """Months with unknowns, the lead included."""
        return len(self.factor_at)

    @property
    def unknowns(self) -> int:
        """Number of unknowns."""
        return len(self.first)

    @property
    def cells(self) -> int:
        """Number of observed cells."""
        if self.chain is not None:
            return int((~np.isnan(self.values)).sum())
        return int(self.regular.sum()) + len(self.special) + len(self.quarters)

    def newest(self) -> int:
        """Return the last row of the panel in which anything is known."""
        return int(np.flatnonzero(~np.isnan(self.values).all(axis=1))[-1])


def lay_out(values: Floats, monthly: int, factors: int, order: int, *, own_order: int) -> Layout:
    """Find the pattern of a panel.

    Parameters
    ----------
    values
        Months x series, NaN where unknown; quarterly figures stand in the quarter's last month.
    monthly
        Number of monthly series.
    factors, order
        Of the factors' autoregression.
    own_order
        Months that own errors remember; 0: each cell stands alone.
    """
    chained = own_order > 0
    months, n = values.shape
    lead = LEAD if n > monthly else 0
    known = ~np.isnan(values[:, :monthly])
    filled = np.where(known, values[:, :monthly], 0.0)
    row = np.arange(months)[:, None]
    newest = np.maximum.accumulate(np.where(known, row, -1), axis=0)
    before = np.vstack([np.full((1, monthly), -1, dtype=newest.dtype), newest[:-1]])
    regular = known & (before == row - 1) & (row > 0) if chained else known
    odd_month, odd_series = np.nonzero(known & ~regular)
    special = np.column_stack([odd_month, odd_series, before[odd_month, odd_series]]).astype(np.int64)
    hole = np.zeros((months + lead, monthly), dtype=bool)
    if own_order > 1:
        regular, special = regular_cells(known, own_order), special[:0]
        hole[lead:] = holes(known)
    quarter_month, quarter_series = np.nonzero(~np.isnan(values[:, monthly:]))
    quarters = np.column_stack([quarter_month, quarter_series]).astype(np.int64)
    factor_at, own_at, hole_at, size = _positions(months + lead, lead, n - monthly, factors, quarters, hole)
    removed = own_at < 0
    after = np.vstack([np.zeros((1, n - monthly), dtype=bool), removed[:-1]])
    touched = removed | after
    touched[:1] = True  # the first month has no step from the month before
    plain = np.column_stack(np.nonzero(~touched)).astype(np.int64)
    reach = max(order, own_order, LEAD if len(quarters) else 1)
    chain = None
    if own_order > 1:
        # An error for which a figure stands holds two months to both sides; from order 3 on there may be two of them.
        reach = max(reach, own_order + (2 if own_order == 2 else 4) if lead else 0)
        plain = plain[:0]
        chain = chain_up(
            values, monthly, factors, lead, own_order, regular=regular, hole_at=hole_at, factor_at=factor_at,
            own_at=own_at,
        )  # fmt: skip
    first = np.repeat(factor_at[_earliest(months + lead, lead, reach, special)], size).astype(np.int64)
    width = np.arange(len(first)) - first + 1
    start = np.concatenate([[0], np.cumsum(width)]).astype(np.int64)
    return Layout(
        values=values,
        monthly=monthly,
        lead=lead,
        regular=regular.astype(np.float64),
        now=np.where(regular, filled, 0.0),
        back=np.where(regular, np.vstack([np.zeros((1, monthly)), filled[:-1]]), 0.0),
        special=special,
        quarters=quarters,
        factor_at=factor_at,
        own_at=own_at,
        plain=plain,
        first=first,
        start=start,
        chain=chain,
    )


def _positions(
    months: int, lead: int, quarterly: int, factors: int, quarters: Ints, hole: Mask
) -> tuple[Ints, Ints, Ints, Ints]:
    has_own: Mask = np.ones((months, quarterly), dtype=bool)
    has_own[quarters[:, 0] + lead - 2, quarters[:, 1]] = False
    after = factors + has_own.sum(axis=1)
    size = after + hole.sum(axis=1)
    factor_at = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.int64)
    own_at = factor_at[:, None] + factors + np.cumsum(has_own, axis=1) - 1
    hole_at = (factor_at + after)[:, None] + np.cumsum(hole, axis=1) - 1
    return (
        factor_at,
        np.where(has_own, own_at, -1).astype(np.int64),
        np.where(hole, hole_at, -1).astype(np.int64),
        size.astype(np.int64),
    )


def _earliest(months: int, lead: int, reach: int, special: Ints) -> Ints:
    """Return, per month, the earliest month that its unknowns meet: a hole makes one month reach far back."""
    earliest = np.maximum(np.arange(months) - reach, 0)
    held = special[special[:, 2] >= 0]
    np.minimum.at(earliest, held[:, 0] + lead, held[:, 2] + lead)
    return earliest
