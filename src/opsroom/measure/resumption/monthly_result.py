"""What monthly records say of work resumption, and to whom it can be handed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.measure.resumption.aggregate import DIMENSIONS, WEIGHTS, Z
from opsroom.measure.resumption.filing import DelayLaw
from opsroom.measure.resumption.months import COUNTS, Ints, Months, tabulate

if TYPE_CHECKING:
    import altair as alt

    from opsroom.base.results import Cells

METHOD = "resumption-months-1"


@dataclass(frozen=True, slots=True)
class MonthlyResult:
    """Share of companies back by a monthly record, and share of normal they do; confidential.

    Attributes
    ----------
    source, family
        Which record; sources of one family share errors.
    panel
        Company by company.
    as_of, cohort_day
        Day of knowledge; day on which the cohort is frozen.
    reference_month
        Last month that is due: the one to quote.
    thresholds, margin
        Shares of normal, the headline first, and hysteresis.
    delays
        When filings come in.
    entrants
        Companies born since the cohort was frozen that have filed, by month: apart from the index.
    facts
        ``floor`` (what closed companies still show), ``floor_sd``, ``normal_sd``, ``late_sd``.
    """

    source: str
    family: str
    panel: Months
    as_of: dt.date
    cohort_day: dt.date
    reference_month: dt.date
    thresholds: tuple[float, ...]
    margin: float
    delays: DelayLaw
    entrants: pd.Series
    facts: Mapping[str, float]

    def by(self, dims: Sequence[str] = (), *, weight: str = "count", threshold: float | None = None) -> pd.DataFrame:
        """Return the index by month for every combination of ``region, section, size_class, sme``.

        Parameters
        ----------
        dims
            Empty for the nation.
        weight
            ``count``, ``jobs`` or ``sales``.
        threshold
            Share of normal; None: the headline.

        Returns
        -------
        pandas.DataFrame
            Index `dims` and ``month``; ``resumed, capacity`` with ``_sd, _lower, _upper`` and ``known``, per cent;
            ``companies`` and the number of records ``filed, not_due, late, silent, gone, outside``.

        Notes
        -----
        Intervals are of 90 %. They hold noise of single companies, filling of gaps, and what companies share: error of
        the normal, doubt about the floor, and late companies being unlike the punctual.
        """
        level = self.thresholds[0] if threshold is None else threshold
        code, labels = grouped(self.panel.companies, dims)
        found = tabulate(self.panel, code, len(labels), threshold=level, margin=self.margin, weight=weight)
        columns = {n: found[n].ravel() for n in ("companies", *COUNTS)} | {"known": 100 * found["known"].ravel()}
        for name in ("resumed", "capacity"):
            value, sd = 100 * found[name].ravel(), 100 * found[f"{name}_sd"].ravel()
            top = 100.0 if name == "resumed" else np.inf
            columns |= {
                name: value, f"{name}_sd": sd, f"{name}_lower": np.clip(value - Z * sd, 0, None),
                f"{name}_upper": np.clip(value + Z * sd, None, top),
            }  # fmt: skip
        frame = pd.DataFrame(columns)
        for place, dim in enumerate(dims):
            frame[dim] = np.repeat([label[place] for label in labels], len(self.panel.months))
        frame["month"] = np.tile(self.panel.months, len(labels))
        whole = ("companies", *COUNTS)
        return frame.astype(dict.fromkeys(whole, "int64")).set_index([*dims, "month"])

    def to_frame(self) -> pd.DataFrame:
        """Return the national index by weight and threshold: index ``month, weight, threshold``."""
        pieces = {(w, t): self.by(weight=w, threshold=t) for w in WEIGHTS for t in self.thresholds}
        frame = pd.concat(pieces, names=["weight", "threshold", "month"])
        return frame.reorder_levels(["month", "weight", "threshold"]).sort_index()

    @property
    def movements(self) -> pd.DataFrame:
        """Where the cohort's records are, by month, beside the entrants: nobody leaves the denominator unseen."""
        frame = self.by()[["companies", *COUNTS]].copy()
        frame["entrants"] = self.entrants
        return frame

    def summary(self) -> str:
        """Return the state of things in a few lines."""
        month = pd.Timestamp(self.reference_month)
        at = {t: self.by(threshold=t).loc[month] for t in self.thresholds}
        head = at[self.thresholds[0]]
        levels = ", ".join(f"{r['resumed']:.1f} % at {100 * t:.0f} % of normal" for t, r in at.items())
        return (
            f"{self.source}: {levels} in {month:%Y-%m} "
            f"(90 % interval of the first {head['resumed_lower']:.1f} to {head['resumed_upper']:.1f}); "
            f"{head['capacity']:.1f} % of normal done\n"
            f"{head['filed']:.0f} of {head['companies']:.0f} companies have filed, {head['late']:.0f} are late, "
            f"{head['silent']:.0f} have stopped, {head['gone']:.0f} are gone, {head['outside']:.0f} never filed"
        )

    def cite(self) -> str:
        """Return the sources of the method."""
        return (
            f"opsroom {METHOD} ({self.source}): months relative to the company's own normal (seasonal trend "
            f"after Hirsch, Slack and Smith, 1982), filings awaited by reverse-time hazards (Kalbfleisch and Lawless, "
            f"1989); "
            f"as of {self.as_of}, cohort of {self.cohort_day}."
        )

    def chart(self) -> alt.Chart:
        """Draw the share back at each threshold; the title states the latest figure."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        names = {t: f"{100 * t:.0f} % of normal" for t in self.thresholds}
        head = self.by()[["resumed_lower", "resumed_upper"]]
        frame = head.assign(**{names[t]: self.by(threshold=t)["resumed"] for t in self.thresholds}).reset_index()
        frame["month"] = frame["month"].dt.strftime("%Y-%m-%d")
        row = self.by().loc[pd.Timestamp(self.reference_month)]
        caption = Caption(
            finding=f"{row['resumed']:.0f} % of companies were back in {self.reference_month:%Y-%m} by {self.source}",
            unit="% of companies active before the shock", as_of=str(self.as_of),
        )  # fmt: skip
        return line_band(
            [{str(k): v for k, v in r.items()} for r in frame.to_dict("records")], x="month",
            lines={n: n for n in names.values()}, caption=caption, band=("resumed_lower", "resumed_upper"),
            domain=(0, 100),
        )  # fmt: skip

    def cells(self) -> list[Cells]:
        """Return the release series ``resumption.<source>``: the last months by section and size."""
        from opsroom.measure.resumption.months_cells import source_cells

        return [source_cells(self)]


def grouped(companies: pd.DataFrame, dims: Sequence[str]) -> tuple[Ints, list[tuple[Any, ...]]]:
    """Return each company's group, and the groups' codes."""
    if set(dims) - set(DIMENSIONS):
        raise UsageError("the dimensions are not known.", remedy=f"Use among {', '.join(DIMENSIONS)}.")
    if not dims:
        return np.zeros(len(companies), dtype=np.int64), [()]
    keys = companies[list(dims)].astype(str)
    code, labels = pd.MultiIndex.from_frame(keys).factorize(sort=True)
    return code.astype(np.int64), list(labels)
