"""What the flows say."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from opsroom._version import __version__
from opsroom.measure.flows.recovery import Measured, Resilience

if TYPE_CHECKING:
    import altair as alt

    from opsroom.base.results import Cells
    from opsroom.measure.flows.engine import Flow

METHOD = "flows-1"
MEASURES = ("depth", "duration", "half_life")
ATTACHED = ("lower", "upper", "unit", "censored", "reason", "since", "threshold")
UNITS = {"depth": "%", "duration": "weeks", "half_life": "weeks"}


@dataclass(frozen=True, slots=True)
class FlowsResult:
    """Flows of goods, people, capital and data on one base, and how they took a shock.

    Attributes
    ----------
    frame
        By flow and week (its Monday): ``value``; ``index`` (100 in the base); ``expected``, ``gap`` with ``lower``
        and ``upper`` (per cent, 90 %) against the normal path; ``on_1`` … growth at a yearly rate on one and more
        years before, lunar day by lunar day, per cent; ``base_effect``, true where a year before the flow was itself
        out of its ordinary range; ``filled``, true where a missing week was drawn through.
    monthly
        By flow and month: ``months`` (2: January and February together), ``mean``, ``on_year``, and beside it ``gap``.
    measured
        Flow → its resilience; None where the shock has not begun for it.
    absent
        Flows of which nothing was known.
    by_vintage
        True where the panel told when each value became known.
    lunar
        True where the New Year moves.
    """

    frame: pd.DataFrame
    monthly: pd.DataFrame
    measured: Mapping[str, Resilience | None]
    flows: Mapping[str, Flow]
    absent: tuple[str, ...]
    shock: dt.date
    as_of: dt.date
    base: tuple[dt.date, dt.date]
    threshold: float
    stay: int
    by_vintage: bool
    lunar: bool

    def to_frame(self) -> pd.DataFrame:
        """Return the weekly table: a growth rate never comes without index and gap beside it."""
        return self.frame.copy()

    def resilience(self) -> pd.DataFrame:
        """Return depth, duration and half-life: one row a flow and measure.

        ``value``, ``lower``, ``upper`` (90 %), ``unit``, ``censored`` (unfinished: the value is a lower bound),
        ``reason`` (why something is missing), ``since`` (the onset's week),
        ``threshold`` (gaps smaller than this, in per cent, are ordinary for the flow).
        """
        rows = []
        for name, found in self.measured.items():
            weeks = self.frame.loc[name].index
            for measure in MEASURES:
                one = Measured(math.nan, math.nan, math.nan, False, "no-shock")
                since = ""
                if found is not None:
                    one = getattr(found, measure)
                    since = f"{weeks[found.onset]:%Y-%m-%d}" if found.onset >= 0 else ""
                rows.append(
                    {
                        "flow": name, "kind": self.flows[name].kind, "measure": measure, "value": one.value,
                        "lower": one.lower, "upper": one.upper, "unit": UNITS[measure], "censored": one.censored,
                        "reason": one.reason, "since": since,
                        "threshold": self.threshold if found is None else found.threshold,
                    }
                )  # fmt: skip
        return pd.DataFrame(rows).set_index(["flow", "measure"])

    def summary(self) -> str:
        """Return one line a flow."""
        lines = [f"Flows since {self.shock.isoformat()}, as of {self.as_of.isoformat()}:"]
        for name in self.measured:
            last = self.frame.loc[name].iloc[-1]
            found = self.measured[name]
            words = f"  {self.flows[name].kind}, {self.flows[name].title or name}: {last['gap']:+.1f} % of normal"
            if found is None or found.onset < 0:
                lines.append(f"{words}, never out of the ordinary")
                continue
            least = "at least " if found.duration.censored else ""
            slow = "at least " if found.half_life.censored else ""
            lines.append(
                f"{words}; {found.depth.value:+.1f} % at its worst, out of the ordinary for "
                f"{least}{found.duration.value:.0f} weeks, half made good in {slow}{found.half_life.value:.1f}"
            )
        if self.absent:
            lines.append(f"  nothing known of: {', '.join(self.absent)}")
        if not self.by_vintage:
            lines.append("  Known on the day by publication lags: figures are as revised since.")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return sources, method version and vintage."""
        return (
            f"opsroom {__version__}, {METHOD}: gap to trend, season and New Year before the shock; depth, duration and "
            "half-life after Harding and Pagan (2002) and Bruneau et al. (2003); "
            f"as of {self.as_of.isoformat()}."
        )

    def chart(self) -> alt.Chart:
        """Draw the gap of each flow since half a year before the shock."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        wide = self.frame["gap"].unstack("flow")[list(self.measured)]
        wide = wide[wide.index >= pd.Timestamp(self.shock) - pd.Timedelta(weeks=26)]
        worst = str(self.frame["gap"].groupby("flow").last().idxmin())
        caption = Caption(
            finding=f"{self.flows[worst].title or worst} is furthest below its normal path",
            unit="% of the normal path", as_of=self.as_of.isoformat(),
        )  # fmt: skip
        rows: list[dict[str, Any]] = [
            {"week": f"{pd.Timestamp(str(week)):%Y-%m-%d}", **{str(k): float(v) for k, v in row.items()}}
            for week, row in wide.iterrows()
        ]
        lines = {name: self.flows[name].title or name for name in self.measured}
        return line_band(rows, x="week", lines=lines, caption=caption, rule=0)

    def cells(self, *, public: bool = False, source: str = "", since: dt.date | None = None) -> list[Cells]:
        """Return the release series ``flows.weekly``, ``flows.monthly`` and ``flows.resilience``.

        Parameters
        ----------
        public
            True when every input is a registered public dataset or a release.
        source
            Words shown on pages.
        since
            First day to publish; None: a year before the shock.
        """
        from opsroom.base.results import Cells, Measure

        first = pd.Timestamp(since or self.shock - dt.timedelta(weeks=52))
        facts: dict[str, Any] = {
            "shock": self.shock.isoformat(), "base": [day.isoformat() for day in self.base], "lunar": self.lunar,
            "threshold": self.threshold, "stay": self.stay, "by_vintage": self.by_vintage, "absent": list(self.absent),
            "titles": {name: one.title or name for name, one in self.flows.items()},
            "kinds": {name: one.kind for name, one in self.flows.items()},
        }  # fmt: skip
        common: dict[str, Any] = {
            "public": public, "unit_kind": "public", "method": METHOD, "source": source, "facts": facts,
        }  # fmt: skip
        weekly = self.frame[self.frame.index.get_level_values("week") >= first].reset_index()
        calendar = weekly["week"].dt.isocalendar()
        weekly["week"] = calendar["year"].astype(str) + "-W" + calendar["week"].astype(str).str.zfill(2)
        weekly = weekly.rename(columns={"lower": "gap_lower", "upper": "gap_upper"})
        weekly[["gap_lower", "gap_upper"]] = weekly[["gap_lower", "gap_upper"]].round(1)
        weekly["base_effect"] = weekly["base_effect"].map({True: "yes", False: "no"})
        on = [c for c in self.frame.columns if c.startswith("on_")]
        measures = [
            Measure("index", "public", "base = 100"),
            Measure("gap", "public", "% of the normal path", attached=("gap_lower", "gap_upper")),
            *(Measure(c, "public", "% a year", attached=("base_effect",) if c == on[0] else ()) for c in on),
        ]
        monthly = self.monthly[self.monthly.index.get_level_values("month") >= first.to_period("M")].reset_index()
        monthly["month"] = monthly["month"].astype(str)
        table = self.resilience().reset_index()
        table["censored"] = table["censored"].map({True: "yes", False: "no"})
        table[["lower", "threshold"]] = table[["lower", "threshold"]].round(1)
        # an end that is not known yet is no number; the reason says so
        table["upper"] = table["upper"].round(1).where(table["upper"].map(math.isfinite))
        return [
            Cells("flows.weekly", ("week", "flow"), tuple(measures), weekly, **common),
            Cells(
                "flows.monthly", ("month", "flow"),
                (
                    Measure("gap", "public", "% of the normal path"),
                    Measure("on_year", "public", "% on the year before", attached=("months",)),
                ),
                monthly, **common,
            ),
            Cells(
                "flows.resilience", ("flow", "measure"),
                (Measure("value", "public", "see unit", attached=ATTACHED),),
                table, **common,
            ),
        ]  # fmt: skip
