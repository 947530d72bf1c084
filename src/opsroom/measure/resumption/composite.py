"""One figure out of two, and what thresholds do to it: the composite index and the table of sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.resumption.monthly_result import MonthlyResult

if TYPE_CHECKING:
    from opsroom.measure.resumption.combination import CombinedResult

SHARE_WEIGHT = 0.5
"""Weight of the share resumed in the composite; the rest is that of capacity. A convention, not an estimate."""

COLUMNS = ("resumed", "resumed_lower", "resumed_upper", "capacity", "capacity_lower", "capacity_upper")


@dataclass(frozen=True, slots=True)
class CompositeIndex:
    """Share resumed and capacity recovered in one figure.

    Attributes
    ----------
    frame
        Index of what it was made of; ``composite, lower, upper``, ``share`` and ``capacity`` (of all), ``at_work``
        (capacity of those that are back), per cent.
    share_weight
        Weight of the share resumed; the rest is capacity's.
    """

    frame: pd.DataFrame
    share_weight: float

    def to_frame(self) -> pd.DataFrame:
        """Return the index."""
        return self.frame

    def summary(self) -> str:
        """Return the latest figure in a line."""
        row = self.frame.dropna(subset=["composite"]).iloc[-1]
        return (
            f"composite {row['composite']:.1f} ({row['lower']:.1f} to {row['upper']:.1f}): {row['share']:.1f} % of "
            f"companies back, at {row['at_work']:.1f} % of normal; weights {self.share_weight:.2f} on the share, "
            f"{1 - self.share_weight:.2f} on capacity"
        )

    def cite(self) -> str:
        """Return the formula."""
        return (
            f"opsroom composite: share^{self.share_weight:.2f} x capacity^{1 - self.share_weight:.2f}, geometric; not "
            "the weights of State Grid's index, which are not published."
        )


def composite_index(frame: pd.DataFrame, *, share_weight: float = SHARE_WEIGHT) -> CompositeIndex:
    """Combine share resumed and capacity recovered into one index.

    Parameters
    ----------
    frame
        ``resumed`` and ``capacity`` with ``_lower`` and ``_upper``, per cent: of `MonthlyResult.by`,
        `CombinedResult.frame`, or the daily frame of `resumption`.
    share_weight
        Weight :math:`\\alpha` of the share, 0 to 1.

    Notes
    -----
    :math:`C = 100 (S / 100)^{\\alpha} (K / 100)^{1 - \\alpha}` with share S and capacity K of *all* companies. With
    :math:`\\kappa = K / S` the capacity of those that are back, :math:`C = S \\kappa^{1 - \\alpha}`: at
    :math:`\\alpha = 0` it is share times capacity of the resumed, which is K itself; at 1 it is the share. K is cut at
    normal, so that companies above it do not stand for those that are closed. Bounds are those of S and K together, as
    if both erred the same way: they are of the same companies.
    """
    absent = [c for c in COLUMNS if c not in frame]
    if absent:
        raise UsageError(f"the frame lacks the column(s) {', '.join(absent)}.", remedy="Give a frame of a result.")
    if not 0 <= share_weight <= 1:
        raise UsageError("the weight of the share lies between 0 and 1.", remedy="Give, say, 0.5.")

    def mixed(suffix: str) -> pd.Series:
        share, capacity = (frame[f"{n}{suffix}"].clip(0, 100) / 100 for n in ("resumed", "capacity"))
        return 100 * share**share_weight * capacity ** (1 - share_weight)

    whole = frame["capacity"].clip(0, 100)
    at_work = (100 * whole / frame["resumed"].where(frame["resumed"] > 0)).clip(upper=100)
    made = {"composite": mixed(""), "lower": mixed("_lower"), "upper": mixed("_upper"), "share": frame["resumed"],
            "capacity": frame["capacity"], "at_work": at_work}  # fmt: skip
    return CompositeIndex(pd.DataFrame(made), share_weight)


def sensitivity(
    sources: Sequence[MonthlyResult | CombinedResult], *, weight: str = "count", month: pd.Timestamp | None = None
) -> pd.DataFrame:
    """Return how much the share resumed hangs on the threshold, source by source.

    Parameters
    ----------
    sources
        From `meter_months`, `monthly_resumption` or `combine` (which stands for one threshold only).
    weight
        ``count``, ``jobs`` or ``sales``; a combined result keeps its own.
    month
        One month; None: all.

    Returns
    -------
    pandas.DataFrame
        Index ``month, source, threshold`` (per cent of normal): ``resumed, lower, upper`` and ``against_first``, the
        difference from the source's headline threshold, points.
    """
    if not sources:
        raise UsageError("give at least one source.")
    pieces = {}
    for source in sources:
        if isinstance(source, MonthlyResult):
            for level in source.thresholds:
                pieces[source.source, round(100 * level)] = source.by(weight=weight, threshold=level)
        else:
            if source.dims:
                raise UsageError("the table is of the nation.", remedy="Combine without dims.")
            pieces["combined", round(100 * source.threshold)] = source.frame
    names = {"resumed": "resumed", "resumed_lower": "lower", "resumed_upper": "upper"}
    table = pd.concat({k: v[list(names)].rename(columns=names) for k, v in pieces.items()})
    table.index.names = ["source", "threshold", "month"]
    order = list(dict.fromkeys(k[0] for k in pieces))
    rank = {name: place for place, name in enumerate(order)}
    table = table.reorder_levels(["month", "source", "threshold"]).sort_index(
        key=lambda level: level.map(rank) if level.name == "source" else level
    )
    first = table.groupby(level=["month", "source"])["resumed"].transform("first")
    table["against_first"] = table["resumed"] - np.asarray(first)
    return table if month is None else table.loc[[pd.Timestamp(month)]]
