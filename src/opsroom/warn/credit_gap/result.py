"""What a credit gap can tell: the gap, its buffer, what drives it, and in what sense it is real time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.warn.credit_gap import split as parts
from opsroom.warn.credit_gap.trend import BURN_IN, LAMBDA
from opsroom.warn.quarters import as_quarters

if TYPE_CHECKING:
    import altair as alt

Timing = Literal["real-time", "quasi-real-time"]
"""``real-time``: each quarter by data known then; ``quasi-real-time``: a one-sided filter on data of one vintage."""


@dataclass(frozen=True, slots=True)
class GapResult:
    """Gap, trend and buffer guide of one credit-to-GDP ratio.

    Attributes
    ----------
    gap, trend
        Percentage points of GDP; per cent of GDP. NaN in the first `BURN_IN` quarters.
    buffer
        Per cent of risk-weighted assets, 0 to 2.5.
    lamb
        Smoothing parameter used.
    timing
        Whether past gaps are those of their day, or what the filter says of today's data.
    credit_part, gdp_part
        What credit and what GDP have brought about of the gap; they add up to it. None where only the ratio is known.
    """

    gap: pd.Series
    trend: pd.Series
    buffer: pd.Series
    lamb: float = LAMBDA
    timing: Timing = "quasi-real-time"
    credit_part: pd.Series | None = None
    gdp_part: pd.Series | None = None

    def split(self) -> pd.DataFrame:
        """Return gap, ``credit`` and ``gdp``, one row a quarter; the two parts add up to the gap.

        Raises
        ------
        UsageError
            Only the ratio is known: use `gap_from_levels`.
        """
        credit, gdp = self._parts()
        return pd.DataFrame({"gap": self.gap, "credit": credit, "gdp": gdp})

    def change(self, quarters: int = 4) -> pd.DataFrame:
        """Return how the gap changed over some quarters, by credit and GDP, and which of them drove it.

        Parameters
        ----------
        quarters
            Over how many.

        Returns
        -------
        pandas.DataFrame
            ``change``, ``credit``, ``gdp`` (points) and ``driven_by``; see `split.changes`.
        """
        if quarters < 1:
            raise UsageError("a change is over at least one quarter.", remedy="Give quarters=4.")
        return parts.changes(self.gap, *self._parts(), quarters=quarters)

    def alarms(self, threshold: float = 2.0, *, look_back: int = parts.LOOK_BACK) -> pd.DataFrame:
        """Return where the gap is above a threshold for a reason other than a falling GDP.

        Parameters
        ----------
        threshold
            Points; the buffer guide rises from 2 on.
        look_back
            Quarters before the crossing in which the rise is taken to have begun.

        Returns
        -------
        pandas.DataFrame
            Among others ``alarm``, ``driven_by``, ``since``; see `split.alarms`.
        """
        return parts.alarms(self.gap, *self._parts(), threshold=threshold, look_back=look_back)

    def summary(self) -> str:
        """Return the latest gap, what drove it, and in what sense it is real time."""
        known = self.gap.dropna()
        if known.empty:
            return f"No gap yet: {BURN_IN} quarters of history are needed."
        at = known.index[-1]
        line = (
            f"Credit-to-GDP gap {at}: {known.iloc[-1]:+.1f} points over a trend of {self.trend[at]:.1f} %; "
            f"buffer guide {self.buffer[at]:.2f} % ({self.timing})."
        )
        if self.credit_part is None or len(known) < 5:
            return line
        row = self.change().loc[at]
        if not row["driven_by"]:
            return line
        change, credit, gdp = (round(float(row[c]), 1) + 0.0 for c in ("change", "credit", "gdp"))  # no -0.0
        return f"{line}\nOver four quarters {change:+.1f} points: credit {credit:+.1f}, GDP {gdp:+.1f}."

    def to_frame(self) -> pd.DataFrame:
        """Return trend, gap and buffer, and the gap's parts where they are known; one row a quarter."""
        frame = pd.DataFrame({"trend": self.trend, "gap": self.gap, "buffer": self.buffer})
        if self.credit_part is not None:
            frame["credit_part"], frame["gdp_part"] = self.credit_part, self.gdp_part
        return frame

    def cite(self) -> str:
        """Return source and version."""
        return (
            "Credit-to-GDP gap after Basel Committee on Banking Supervision (2010), Guidance for national "
            f"authorities operating the countercyclical capital buffer; one-sided HP filter, lambda "
            f"{self.lamb:,.0f}; {self.timing}; opsroom {__version__}."
        )

    def chart(self) -> alt.Chart:
        """Return the gap over time, with its parts where they are known, over the guide's floor of 2 points."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        lines = {"gap": "gap"}
        frame = pd.DataFrame({"gap": self.gap})
        if self.credit_part is not None:
            frame["credit"], frame["gdp"] = self.credit_part, self.gdp_part
            lines |= {"credit": "of which by credit", "gdp": "of which by GDP"}
        frame = frame.dropna()
        if frame.empty:
            raise UsageError("there is no gap to draw yet.", remedy=f"Wait for {BURN_IN} quarters of history.")
        codes = [f"{quarter.year}-Q{quarter.quarter}" for quarter in as_quarters(frame.index)]
        rows = [{str(k): v for k, v in row.items()} for row in frame.assign(quarter=codes).to_dict("records")]
        last = frame["gap"].iloc[-1]
        caption = Caption(
            finding=f"The credit gap is {last:+.1f} points in {rows[-1]['quarter']}",
            unit=f"credit-to-GDP ratio less its one-sided trend, points of GDP; {self.timing}",
        )
        return line_band(rows, x="quarter", lines=lines, caption=caption, rule=2.0)

    def _parts(self) -> tuple[pd.Series, pd.Series]:
        if self.credit_part is None or self.gdp_part is None:
            raise UsageError(
                "what drives this gap is unknown: it was computed from the ratio alone.",
                remedy="Use gap_from_levels(credit, gdp).",
            )
        return self.credit_part, self.gdp_part
