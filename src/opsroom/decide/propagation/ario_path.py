"""A path of `Ario`: what is made, rebuilt and still destroyed day by day, and what the disaster cost in all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.decide.propagation.path import Stocks

if TYPE_CHECKING:
    import altair as alt

Floats = npt.NDArray[np.float64]
SHORT = ("none", "capacity", "inputs")
"""What keeps a sector from meeting its demand, by code."""


@dataclass(frozen=True, slots=True)
class ArioPath:
    """An economy's path after a disaster. Days x sectors, per day, in the table's units.

    Attributes
    ----------
    output, demand, capacity
        Made, asked for (orders for stocks and rebuilding included), and possible with what capital is left.
    intermediate, final, rebuilt
        Where output went: to sectors, final users, rebuilding. They add to output.
    replaced
        Inputs that are not essential, were missing, and came from outside.
    extended
        Capacity over what it is without scarcity (alpha).
    destroyed
        Still destroyed at the end of the day, by sector; ``homes``: of households.
    short
        What kept a sector from meeting demand (code of `SHORT`).
    before
        By sector: output, value added and final use of a day before, and capital.
    damage
        Destroyed by the disaster.
    flows
        By pair of sectors, if kept.
    """

    output: pd.DataFrame
    demand: pd.DataFrame
    capacity: pd.DataFrame
    intermediate: pd.DataFrame
    final: pd.DataFrame
    rebuilt: pd.DataFrame
    replaced: pd.DataFrame
    extended: pd.DataFrame
    destroyed: pd.DataFrame
    short: pd.DataFrame
    before: pd.DataFrame
    damage: float
    flows: Stocks | None = None

    def to_frame(self) -> pd.DataFrame:
        """Return by day: output, value added and final use as shares of before, and the share still destroyed."""
        before = self.before
        added = before["value_added"] / before["output"]
        return pd.DataFrame(
            {
                "output": self.output.sum(axis=1) / before["output"].sum(),
                "value_added": (self.output * added).sum(axis=1) / before["value_added"].sum(),
                "final": self.final.sum(axis=1) / before["final"].sum(),
                "destroyed": self.destroyed.sum(axis=1) / (self.damage or 1.0),
            }
        ).rename_axis(index="day")

    def costs(self) -> pd.Series:
        """Return what was destroyed, value added lost beyond it until the last day, and what both are together.

        ``amplification`` is the sum over what was destroyed: above 1 where the economy loses more than it gains by
        rebuilding. ``final`` is final use that was not met.
        """
        added = self.before["value_added"] / self.before["output"]
        lost = float(((self.before["output"] - self.output) * added).to_numpy().sum())
        unmet = float((self.before["final"] - self.final).to_numpy().sum())
        ratio = (self.damage + lost) / self.damage if self.damage > 0.0 else float("nan")
        return pd.Series(
            {"direct": self.damage, "value_added": lost, "total": self.damage + lost, "amplification": ratio,
             "final": unmet}
        )  # fmt: skip

    def by_sector(self) -> pd.DataFrame:
        """Return by sector the mean output as a share of before, and the share of days on which each thing bound."""
        table = pd.DataFrame({"output": self.output.mean() / self.before["output"]})
        for code, name in enumerate(SHORT):
            table[name] = (self.short == code).mean()
        return table.rename_axis(index="sector")

    def summary(self) -> str:
        """Return the path in a few lines."""
        frame, costs = self.to_frame(), self.costs()
        low = frame["value_added"].idxmin()
        shown = low.date().isoformat() if isinstance(low, pd.Timestamp) else str(low)
        lines = [
            f"Value added falls to {100 * frame['value_added'].min():.1f} % of before on day {shown}, and is "
            f"{100 * frame['value_added'].iloc[-1]:.1f} % on the last of {len(frame)} days."
        ]
        if self.damage > 0.0:
            word = "lost" if costs["value_added"] >= 0.0 else "gained by rebuilding"
            lines.append(
                f"Of {self.damage:,.0f} destroyed, {100 * frame['destroyed'].iloc[-1]:.0f} % are not rebuilt; value "
                f"added of {abs(costs['value_added']):,.0f} is {word} beside it."
            )
        worst = self.by_sector()["output"].sort_values(kind="stable").head(3)
        lines.append("Most: " + ", ".join(f"{name} {100 * v - 100:+.0f} %" for name, v in worst.items()) + ".")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return the source and the method."""
        return "opsroom ario 1; Hallegatte, S. (2008), Risk Analysis 28, 779-799; (2014), Risk Analysis 34, 152-167."

    def chart(self) -> alt.Chart:
        """Return value added and what is still destroyed over time."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        frame = self.to_frame()
        if not isinstance(frame.index, pd.DatetimeIndex):
            raise UsageError("a path without dates cannot be drawn.", remedy="Give run(…, start=a date).")
        rows = [
            {"day": day.date().isoformat(), "added": 100 * added, "final": 100 * final}
            for day, added, final in zip(frame.index, frame["value_added"], frame["final"], strict=True)
        ]
        caption = Caption(
            f"Value added falls to {100 * frame['value_added'].min():.0f} % of before", "per cent of before"
        )
        return line_band(rows, x="day", lines={"added": "value added", "final": "final use"}, caption=caption, rule=100)
