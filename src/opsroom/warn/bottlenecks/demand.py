"""Excess demand: orders against deliveries, and how long the backlog would take to work off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.base.results import Cells, Measure, Part

METHOD = "excess-demand-1"


@dataclass(frozen=True, slots=True)
class ExcessDemand:
    """Orders, deliveries and backlogs by product and period.

    Attributes
    ----------
    frame
        One row a cell and period: the dimensions, the period, ``orders``, ``deliveries``, ``backlog``; ``excess``:
        orders beyond deliveries, per cent of deliveries; ``months``: backlog over deliveries, in periods;
        ``usual``: the median of ``months`` in the cell's earlier periods; ``stretched``: ``months`` over ``usual``.
    by, period
        Dimensions; name of the period's column.
    units
        What the frame was summed from: for the gate, never to be shown.
    group
        Column of the enterprise group in `units`.
    """

    frame: pd.DataFrame
    by: tuple[str, ...]
    period: str
    units: pd.DataFrame
    group: str

    @property
    def latest(self) -> pd.DataFrame:
        """The last period, the most stretched first."""
        last: pd.DataFrame = self.frame[self.frame[self.period] == self.frame[self.period].max()]
        return last.sort_values("stretched", ascending=False, kind="stable", ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a cell and period."""
        return self.frame

    def summary(self) -> str:
        """Return where the backlog is longest against what is usual there."""
        last = self.latest.head(3)
        told = [
            f"{'/'.join(str(row[d]) for d in self.by)}: {row['months']:.1f} against {row['usual']:.1f}"
            for row in last.to_dict("records")
        ]
        return f"Backlog in periods of deliveries, {self.frame[self.period].max()}: {'; '.join(told)}."

    def cite(self) -> str:
        """Return method and version."""
        return f"Orders and backlogs over deliveries; {METHOD}; opsroom {__version__}."

    def cells(self, *, name: str = "bottlenecks.orders", source: str = "") -> Cells:
        """Return both ratios for the gate, with the groups behind orders, deliveries and backlogs.

        Parameters
        ----------
        name, source
            Of the release series.
        """
        from opsroom.base.cells import parts_from_units

        columns = {"m_orders": "orders", "m_deliveries": "deliveries", "m_backlog": "backlog"}
        dimensions = [self.period, *self.by]
        parts = parts_from_units(
            self.units, dimensions=dimensions, group=self.group, values=columns, totals=list(self.by)
        )
        return Cells(
            name=name,
            dimensions=tuple(dimensions),
            additive=self.by,
            frame=parts,
            parts=tuple(Part(part, "minor units") for part in columns),
            measures=(
                Measure("backlog_months", "ratio", "periods of deliveries", ("m_backlog", "m_deliveries"), decimals=2),
                Measure("orders_ratio", "ratio", "% of deliveries", ("m_orders", "m_deliveries"), scale=100.0),
            ),
            method=METHOD,
            source=source,
        )


def excess_demand(
    units: pd.DataFrame, *, by: Sequence[str] = ("product",), period: str = "month", orders: str = "orders",
    deliveries: str = "sales", backlog: str = "backlog", group: str = "group_id",
) -> ExcessDemand:  # fmt: skip
    """Hold orders and backlogs against deliveries.

    Answers: which products are short: where do orders pile up faster than they are met?

    Parameters
    ----------
    units
        One row a company and period: the dimensions, the period (text that sorts in time), the enterprise group, new
        orders, deliveries and unfilled orders at the end of the period, in whole minor units.
    by
        Columns of the dimensions; one of them the product.
    period, orders, deliveries, backlog, group
        Columns.

    Returns
    -------
    ExcessDemand

    Raises
    ------
    UsageError
        A column is missing, or a value is.

    Notes
    -----
    What is usual is the median of the cell's own earlier periods: construction lives with a backlog of a year, bakers
    with none. A ratio above 100 % for one month is noise; a backlog that stretches is not. What fails most often:
    orders placed twice in a shortage, which look like demand.
    """
    wanted = [*by, period, group, orders, deliveries, backlog]
    absent = [c for c in wanted if c not in units.columns]
    if absent or not by:
        raise UsageError(
            f"the units lack the column(s) {', '.join(absent) or 'of a dimension'}.",
            remedy="Give dimensions, period, group, orders, deliveries and backlog.",
        )
    table = units[wanted].rename(columns={orders: "orders", deliveries: "deliveries", backlog: "backlog"})
    if table.isna().to_numpy().any():
        raise UsageError("a unit's row has a hole.", remedy="Leave out, or fill, what is not known.")
    names = ["orders", "deliveries", "backlog"]
    frame = table.groupby([*by, period], sort=True, observed=True)[names].sum().reset_index()
    sold = frame["deliveries"].where(frame["deliveries"] > 0).astype(np.float64)
    frame["excess"] = 100.0 * (frame["orders"] / sold - 1.0)
    frame["months"] = frame["backlog"] / sold
    frame["usual"] = frame.groupby(list(by), sort=False, observed=True)["months"].transform(
        lambda months: months.expanding().median().shift(1)
    )
    frame["stretched"] = frame["months"] / frame["usual"].where(frame["usual"] > 0)
    return ExcessDemand(frame, tuple(by), period, table, group)
