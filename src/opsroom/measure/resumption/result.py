"""What the estimate of work resumption says, and to whom it can be handed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom.measure.resumption.aggregate import WEIGHTS, Panel, TurningPoint, aggregate, by
from opsroom.measure.resumption.baseline import Baseline
from opsroom.measure.resumption.movement import Fortnight

if TYPE_CHECKING:
    import altair as alt

    from opsroom.base.results import Cells

METHOD = "resumption-1"
SIZES = {"_T": None, "sme": "sme"}


@dataclass(frozen=True, slots=True)
class ResumptionResult:
    """Share of companies back at work and share of normal use, by day; confidential.

    Attributes
    ----------
    panel
        Company by company.
    frame
        National, by count: ``resumed, capacity`` with bounds, ``uncorrected``, ``coverage`` (per cent) and
        ``companies``, index date.
    reference_date
        Last complete day: the one to quote.
    incomplete_days
        Days since, for which readings are still coming in.
    turning_point
        When the recovery had begun, with its interval.
    baseline
        Each company's normal, to be handed to next week's estimate.
    rates
        What was learnt of silence, and readings repaired and dropped.
    fortnight
        Use of the two weeks up to the reference date, with what made it; None in a window shorter than that.
    """

    panel: Panel
    frame: pd.DataFrame
    reference_date: dt.date
    incomplete_days: int
    turning_point: TurningPoint
    as_of: dt.date
    holiday: tuple[dt.date, dt.date]
    cohort_day: dt.date
    baseline: Baseline
    rates: Mapping[str, float]
    fortnight: Fortnight | None = None

    def to_frame(self) -> pd.DataFrame:
        """Return the national index by weight and size: index ``date, weight, size``."""
        pieces = {(weight, size): self.national(weight=weight, size=size) for weight in WEIGHTS for size in SIZES}
        frame = pd.concat(pieces, names=["weight", "size", "date"]).reorder_levels(["date", "weight", "size"])
        frame["complete"] = frame.index.get_level_values("date") <= pd.Timestamp(self.reference_date)
        return frame.sort_index()

    def national(self, *, weight: str = "count", size: str = "_T") -> pd.DataFrame:
        """Return the national index for one weight and size (``_T``, ``sme`` or ``large``)."""
        rows = ~self.panel.companies["entrant"].to_numpy()
        if size != "_T":
            rows = rows & (self.panel.companies["sme"].to_numpy() == size)
        return aggregate(self.panel, rows=rows, weight=weight)

    def by(self, dims: Sequence[str], *, weight: str = "count", day: dt.date | None = None) -> pd.DataFrame:
        """Return the index for every combination of ``region, section, size_class, sme``."""
        return by(self.panel, dims, weight=weight, day=day)

    @property
    def states(self) -> pd.DataFrame:
        """Confidential: ``enterprise_id, state, working, capacity`` of each company at the reference date.

        ``state`` is ``at_work``, ``closed`` or ``uncertain`` (between 20 and 80 %).
        """
        column = self.panel.column(self.reference_date)
        p = self.panel.working[:, column].astype(float)
        cohort = ~self.panel.companies["entrant"].to_numpy()
        state = np.select([p >= 0.8, p <= 0.2], ["at_work", "closed"], "uncertain")
        frame = pd.DataFrame(
            {
                "enterprise_id": self.panel.companies["enterprise_id"].to_numpy(), "state": state,
                "working": p, "capacity": self.panel.capacity[:, column].astype(float),
            }
        )  # fmt: skip
        return frame[cohort].reset_index(drop=True)

    @property
    def uncorrected(self) -> pd.Series:
        """The naive index: share whose use exceeds 30 % of their own mean before the holiday, per cent."""
        return self.frame["uncorrected"].rename("uncorrected")

    @property
    def entrants(self) -> pd.DataFrame:
        """Companies born since the cohort was frozen, with a reading: count by day, apart from the index."""
        entrant = self.panel.companies["entrant"].to_numpy()
        return pd.DataFrame(
            {"companies": int(entrant.sum()), "reporting": self.panel.seen[entrant].sum(axis=0)},
            index=pd.DatetimeIndex(self.panel.dates, name="date"),
        )

    def summary(self) -> str:
        """Return the state of things in a few lines."""
        row = self.frame.loc[pd.Timestamp(self.reference_date)]
        jobs = self.national(weight="jobs").loc[pd.Timestamp(self.reference_date)]
        lines = [
            f"{row['resumed']:.1f} % of companies at work on {self.reference_date} "
            f"(90 % interval {row['resumed_lower']:.1f} to {row['resumed_upper']:.1f}), "
            f"with {jobs['resumed']:.1f} % of jobs; use at {row['capacity']:.1f} % of normal",
            f"coverage {row['coverage']:.1f} %, {self.incomplete_days} last day(s) incomplete; "
            f"the uncorrected figure would be {row['uncorrected']:.1f} %",
        ]
        turn = self.turning_point
        if turn.day is not None:
            lines.append(f"recovery under way since {turn.day} ({turn.lower} to {turn.upper})")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return the sources of the method."""
        return (
            f"opsroom {METHOD}: hidden-state smoothing (Baum et al., 1970) of weather- and "
            "calendar-adjusted use; telework prior of Dingel and Neiman (2020); training "
            f"{self.baseline.span[0]} to {self.baseline.span[1]}, {self.baseline.content[:19]}."
        )

    def chart(self) -> alt.Chart:
        """Draw corrected against uncorrected share; the title states the latest figure."""
        from opsroom.base.charts import Caption, Span
        from opsroom.base.charts_lines import line_band

        frame = self.frame.reset_index()
        frame["date"] = frame["date"].dt.strftime("%Y-%m-%d")
        row = self.frame.loc[pd.Timestamp(self.reference_date)]
        caption = Caption(
            finding=f"{row['resumed']:.0f} % of companies were at work on {self.reference_date}",
            unit="% of companies active before the holiday", as_of=str(self.as_of),
        )  # fmt: skip
        spans = [Span(str(self.holiday[0]), str(self.holiday[1]), "holiday")]
        if self.incomplete_days:
            spans.append(Span(str(self.reference_date), str(frame["date"].iloc[-1]), "incomplete"))
        columns = ["date", "resumed", "resumed_lower", "resumed_upper", "uncorrected"]
        return line_band(
            [{str(k): v for k, v in row.items()} for row in frame[columns].to_dict("records")], x="date",
            lines={"resumed": "corrected", "uncorrected": "uncorrected"}, caption=caption,
            band=("resumed_lower", "resumed_upper"), spans=spans, domain=(0, 100),
        )  # fmt: skip

    def cells(self, previous: ResumptionResult | None = None, *, since: dt.date | None = None) -> list[Cells]:
        """Return the release series ``resumption.national``, ``.section``, ``.region`` and ``.change``.

        Parameters
        ----------
        previous
            Last week's result; without it there is no ``resumption.change``.
        since
            First day of the daily series; None: the window of revision, five weeks to the reference date.
        """
        from opsroom.measure.resumption.cells import cells

        return cells(self, previous, since=since)
