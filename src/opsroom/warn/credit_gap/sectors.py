"""Credit gaps by sector and region: the register's sums for the gate, and gaps from sums that may be known.

A gap of one quarter is a function of every quarter before it. A quarter that the gate withholds could be solved for
from the gaps after it, so gaps that leave the room are computed from released sums: what is withheld is a hole to
them, which the trend bridges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.warn.credit_gap.basel import gap_from_levels
from opsroom.warn.credit_gap.trend import BURN_IN, LAMBDA
from opsroom.warn.quarters import as_quarters

if TYPE_CHECKING:
    from opsroom.base.results import Cells

METHOD = "sector-credit-gap-1"
_SHOWN = ("ratio", "trend", "gap", "credit_part", "gdp_part")


@dataclass(frozen=True, slots=True)
class SectorGaps:
    """Gaps of many cells.

    Attributes
    ----------
    frame
        One row a cell and quarter: the dimensions, ``quarter``, ``ratio``, ``trend``, ``gap``, ``credit_part``,
        ``gdp_part``, ``alarm``, ``driven_by``, ``since``.
    by
        Dimensions.
    threshold
        Of the alarm, points of value added.
    short
        Cells with too few quarters for a gap.
    """

    frame: pd.DataFrame
    by: tuple[str, ...]
    threshold: float
    short: tuple[tuple[str, ...], ...]

    @property
    def latest(self) -> pd.DataFrame:
        """The last known gap of each cell, widest first."""
        known = self.frame.dropna(subset=["gap"]).drop_duplicates(list(self.by), keep="last")
        return known.sort_values("gap", ascending=False, kind="stable", ignore_index=True)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a cell and quarter."""
        return self.frame

    def summary(self) -> str:
        """Return the cells with an alarm in their last quarter, and those that only a falling denominator lifts."""
        last = self.latest
        if last.empty:
            return f"No gap yet: {BURN_IN} quarters of history are needed."
        above = last[last["gap"] > self.threshold]
        names = above[list(self.by)].astype(str).agg("/".join, axis=1)
        told = [
            f"{name} {gap:+.1f}" for name, gap, alarm in zip(names, above["gap"], above["alarm"], strict=True) if alarm
        ]
        lifted = [name for name, alarm in zip(names, above["alarm"], strict=True) if not alarm]
        lines = [
            f"Credit gaps of {len(last)} cells, quasi-real-time; more than {self.threshold:g} points above trend, "
            f"driven by credit: {', '.join(told) or 'none'}."
        ]
        if lifted:
            lines.append(f"Above it because value added fell: {', '.join(lifted)}.")
        if self.short:
            lines.append(f"{len(self.short)} cell(s) have too short a history.")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return method and version."""
        return (
            "Sector credit gaps: one-sided HP filter as for the Basel gap, on credit to annual value added; "
            f"quasi-real-time; {METHOD}; opsroom {__version__}."
        )

    def cells(self, *, name: str = "credit.sector_gap", source: str = "") -> Cells:
        """Return the gaps for the gate, as a function of released sums.

        Parameters
        ----------
        name, source
            Of the release series.

        Notes
        -----
        Use it where the table that the gaps rest on was itself released. Quarters that it withholds stay withheld.
        """
        from opsroom.base.results import Cells, Measure

        frame = self.frame.assign(quarter=_codes(self.frame["quarter"]))
        first = frame["gap"].notna().groupby([frame[d] for d in self.by]).cummax()
        frame = frame[first].reset_index(drop=True)  # before a cell's first gap there is nothing to withhold
        frame["gap__withheld"] = frame["gap"].isna()
        attached = tuple(c for c in (*_SHOWN, "driven_by") if c != "gap")
        return Cells(
            name=name,
            dimensions=("quarter", *self.by),
            measures=(Measure("gap", "public", "points of value added", attached=attached),),
            frame=frame[["quarter", *self.by, "gap", "gap__withheld", *attached]],
            method=METHOD,
            source=source,
            facts={"threshold": self.threshold, "timing": "quasi-real-time"},
        )


def sector_gaps(
    table: pd.DataFrame,
    *,
    by: Sequence[str] = ("section",),
    credit: str = "credit",
    value_added: str = "value_added",
    sum_over: int = 4,
    threshold: float = 10.0,
    lamb: float = LAMBDA,
) -> SectorGaps:
    """Compute the credit gap of each sector or region, and what drives it.

    Answers: where is credit growing away from what earns it?

    Parameters
    ----------
    table
        One row a cell and quarter: the dimensions, ``quarter``, credit (stock at the end of the quarter) and value
        added (of the quarter), in one unit. Missing where withheld or unknown.
    by
        Columns of the dimensions.
    credit, value_added
        Columns.
    sum_over
        Quarters of value added that make the denominator; 1 where it is annual already.
    threshold
        Points of value added above which a gap is an alarm, unless only the denominator lifted it there. Sectors
        swing more than economies: 10 by default.
    lamb
        Smoothing parameter.

    Returns
    -------
    SectorGaps

    Raises
    ------
    UsageError
        A column is missing, a cell has two rows for one quarter, or value added is not positive.
    """
    wanted = [*by, "quarter", credit, value_added]
    absent = [c for c in wanted if c not in table.columns]
    if absent or not by:
        raise UsageError(
            f"the table lacks the column(s) {', '.join(absent) or 'of a dimension'}.",
            remedy="Give dimensions, quarter, credit and value added.",
        )
    frame = table[wanted].assign(quarter=as_quarters(table["quarter"]))
    if frame.duplicated([*by, "quarter"]).any():
        raise UsageError("a cell has two rows for one quarter.", remedy="Sum them, or give one vintage.")
    pieces, short = [], []
    for key, cell in frame.groupby(list(by), sort=True, dropna=False):
        codes = tuple(str(code) for code in (key if isinstance(key, tuple) else (key,)))
        quarters = pd.period_range(cell["quarter"].min(), cell["quarter"].max(), freq="Q")
        one = cell.set_index("quarter").reindex(quarters)
        ratio_known = (one[credit].notna() & one[value_added].rolling(sum_over).sum().notna()).sum()
        if ratio_known <= BURN_IN:
            short.append(codes)
            continue
        found = gap_from_levels(
            one[credit].astype(float), one[value_added].astype(float), sum_over=sum_over, lamb=lamb
        )  # fmt: skip
        alarms = found.alarms(threshold)
        piece = found.to_frame().assign(ratio=found.trend + found.gap)
        piece[["alarm", "driven_by", "since"]] = alarms[["alarm", "driven_by", "since"]]
        piece = piece.drop(columns="buffer").rename_axis("quarter").reset_index()
        for name, code in zip(by, codes, strict=True):
            piece[name] = code
        pieces.append(piece)
    columns = [*by, "quarter", *_SHOWN, "alarm", "driven_by", "since"]
    whole = pd.concat(pieces, ignore_index=True)[columns] if pieces else pd.DataFrame(columns=columns)
    return SectorGaps(whole, tuple(by), float(threshold), tuple(short))


def register_cells(
    units: pd.DataFrame,
    *,
    by: Sequence[str] = ("section",),
    credit: str = "credit",
    value_added: str = "value_added",
    group: str = "group_id",
    hierarchies: Mapping[str, Mapping[str, str]] | None = None,
    name: str = "credit.sector",
    source: str = "",
) -> Cells:
    """Sum a credit register to cells for the gate: credit, value added and their ratio.

    Answers: how much credit stands against what a sector earns?

    Parameters
    ----------
    units
        One row a company and quarter: ``quarter``, the dimensions, the enterprise group, credit and value added over
        the year (both in minor units, whole numbers).
    by
        Columns of the dimensions; each gets a total.
    credit, value_added, group
        Columns.
    hierarchies
        Dimension → child code → parent code.
    name, source
        Of the release series.

    Returns
    -------
    Cells
        Measures ``credit``, ``value_added`` and ``ratio`` (per cent); what is released of them is what `sector_gaps`
        may use for gaps that leave the room.
    """
    from opsroom.base.cells import parts_from_units
    from opsroom.base.results import Cells, Measure, Part

    absent = [c for c in ("quarter", *by, credit, value_added, group) if c not in units.columns]
    if absent:
        raise UsageError(f"the register lacks the column(s) {', '.join(absent)}.", remedy="Give one row a company.")
    frame = units.assign(quarter=_codes(as_quarters(units["quarter"])))
    parts = parts_from_units(
        frame,
        dimensions=["quarter", *by],
        group=group,
        values={"m_credit": credit, "m_value_added": value_added},
        totals=list(by),
        hierarchies=hierarchies,
    )
    return Cells(
        name=name,
        dimensions=("quarter", *by),
        additive=tuple(by),
        hierarchies=hierarchies or {},
        frame=parts,
        parts=(Part("m_credit", "minor units"), Part("m_value_added", "minor units")),
        measures=(
            Measure("credit", "sum", "minor units", ("m_credit",), decimals=0),
            Measure("value_added", "sum", "minor units", ("m_value_added",), decimals=0),
            Measure("ratio", "ratio", "% of annual value added", ("m_credit", "m_value_added"), scale=100.0),
        ),
        method=METHOD,
        source=source,
    )


def _codes(quarters: pd.Series | pd.PeriodIndex) -> np.ndarray:
    index = pd.PeriodIndex(quarters, freq="Q")
    return np.array([f"{y}-Q{q}" for y, q in zip(index.year, index.quarter, strict=True)], dtype=object)
