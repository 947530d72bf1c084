"""An economy's path under a shock: by day and sector, by quarter, and what stopped whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError

if TYPE_CHECKING:
    import altair as alt

Floats = npt.NDArray[np.float64]
BINDING = ("none", "labour", "inputs")
"""What keeps a sector from meeting its demand, by code."""


@dataclass(frozen=True, slots=True)
class Stocks:
    """Stocks, deliveries and use of inputs, (days, input, user); before the first day in `first`."""

    first: Floats
    after: Floats
    delivered: Floats
    used: Floats


@dataclass(frozen=True, slots=True)
class DynamicPath:
    """What sectors make, are asked for and can make, day by day. Days x sectors, per day, in the table's units.

    Attributes
    ----------
    output, demand
        Made, and asked for (orders to refill stocks included).
    capacity, inputs
        What labour and what stocks of inputs would allow.
    labour
        Labour income.
    intermediate, consumption, other
        Where output went: to sectors, households, other final users. They add to output.
    binding, scarce
        What kept a sector from meeting demand (code of `BINDING`), and the position of the input that did (-1: none).
    before
        By sector: output, value added (output less inputs from the table's sectors) and labour of a day before.
    production
        Production function.
    stocks
        By pair of sectors, if kept.
    """

    output: pd.DataFrame
    demand: pd.DataFrame
    capacity: pd.DataFrame
    inputs: pd.DataFrame
    labour: pd.DataFrame
    intermediate: pd.DataFrame
    consumption: pd.DataFrame
    other: pd.DataFrame
    binding: pd.DataFrame
    scarce: pd.DataFrame
    before: pd.DataFrame
    production: str
    stocks: Stocks | None = None

    def to_frame(self) -> pd.DataFrame:
        """Return totals by day, as shares of before, and how much demand labour and inputs left unmet."""
        before = self.before
        share = before["value_added"] / before["output"]
        unmet = (self.demand - self.output) / before["output"].sum()
        frame = pd.DataFrame(
            {
                "output": self.output.sum(axis=1) / before["output"].sum(),
                "value_added": (self.output * share).sum(axis=1) / before["value_added"].sum(),
                "labour": self.labour.sum(axis=1) / before["labour"].sum(),
                "demand": self.demand.sum(axis=1) / before["output"].sum(),
                "unmet_labour": unmet.where(self.binding == BINDING.index("labour"), 0.0).sum(axis=1),
                "unmet_inputs": unmet.where(self.binding == BINDING.index("inputs"), 0.0).sum(axis=1),
            }
        )
        return frame.rename_axis(index="day")

    def by_quarter(self) -> pd.DataFrame:
        """Return the mean of each quarter: output, value added and labour, as shares of before.

        Raises
        ------
        UsageError
            If the path has no dates.
        """
        frame = self.to_frame()[["output", "value_added", "labour"]]
        if not isinstance(frame.index, pd.DatetimeIndex):
            raise UsageError("a path without dates has no quarters.", remedy="Give run(…, start=a date).")
        period = frame.index.to_period("Q")
        out = frame.groupby(period).mean()
        out["days"] = frame.groupby(period).size()
        out.index = pd.Index([f"{p.year}-Q{p.quarter}" for p in out.index], name="quarter")
        return out

    def by_sector(self) -> pd.DataFrame:
        """Return by sector the mean output as a share of before, and the share of days on which each thing bound."""
        table = pd.DataFrame({"output": self.output.mean() / self.before["output"]})
        for code, name in enumerate(BINDING):
            table[name] = (self.binding == code).mean()
        return table.rename_axis(index="sector")

    def bottlenecks(self) -> pd.Series:
        """Return by input how much demand of its users it left unmet, as a share of all output before."""
        unmet = (self.demand - self.output).to_numpy(np.float64)
        codes = self.scarce.to_numpy(np.int64)
        stopped = codes >= 0
        lost = np.bincount(codes[stopped], weights=unmet[stopped], minlength=len(self.before))
        whole = float(self.before["output"].sum()) * len(self.output)
        return pd.Series(lost / whole, index=self.before.index, name="unmet").sort_values(ascending=False)

    def summary(self) -> str:
        """Return the path in a few lines."""
        frame = self.to_frame()
        low = frame["output"].idxmin()
        shown = low.date().isoformat() if isinstance(low, pd.Timestamp) else str(low)
        table = self.by_sector().sort_values("output", kind="stable")
        worst = ", ".join(f"{name} {100 * v - 100:+.0f} %" for name, v in table["output"].head(3).items())
        jam = self.bottlenecks()
        lines = [
            f"Output falls to {100 * frame['output'].min():.1f} % of before on day {shown}; "
            f"{100 * frame['output'].mean():.1f} % on average, {100 * frame['output'].iloc[-1]:.1f} % at the end.",
            f"Most: {worst}.",
        ]
        if jam.iloc[0] > 0.0:
            lines.append("Inputs most missed: " + ", ".join(str(k) for k in jam[jam > 0.0].index[:3]) + ".")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return the source and the method."""
        return (
            f"opsroom dynamic-input-output 1 ({self.production}); Pichler, A., Pangallo, M., del Rio-Chanona, R. M., "
            "Lafond, F. and Farmer, J. D. (2022), Journal of Economic Dynamics and Control 144, 104527."
        )

    def chart(self) -> alt.Chart:
        """Return output and labour over time."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        frame = self.to_frame()
        if not isinstance(frame.index, pd.DatetimeIndex):
            raise UsageError("a path without dates cannot be drawn.", remedy="Give run(…, start=a date).")
        rows = [
            {"day": day.date().isoformat(), "output": 100 * out, "labour": 100 * work}
            for day, out, work in zip(frame.index, frame["output"], frame["labour"], strict=True)
        ]
        caption = Caption(f"Output falls to {100 * frame['output'].min():.0f} % of before", "per cent of before")
        return line_band(rows, x="day", lines={"output": "output", "labour": "labour"}, caption=caption, rule=100.0)
