"""Investment and foreign-exchange receipts of companies as activity series of their own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import FitError, UsageError

if TYPE_CHECKING:
    from opsroom.base.results import Cells

METHOD = "company-flows-1"
TITLES = {"investment": "Investment", "fx_receipts": "Foreign-exchange receipts"}


@dataclass(frozen=True, slots=True)
class CompanyFlowsResult:
    """What a frozen cohort of companies invests or receives, month by month; confidential.

    Attributes
    ----------
    units
        One row a company and period: ``period``, dimensions, ``group_id``, and for each measure what came in the
        period (``<m>``), in the same months a year before (``<m>_before``), and in as many months of the base on
        average (``<m>_base``), minor units; ``<m>_active``, whether anything came.
    periods
        Label of each period → how many months it has: 2 for January and February where the New Year moves.
    measures, dimensions
        Columns.
    cohort_day, base
        Companies that reported in the base and not later than this day; they stay when they close.
    """

    units: pd.DataFrame
    periods: Mapping[str, int]
    measures: tuple[str, ...]
    dimensions: tuple[str, ...]
    cohort_day: dt.date
    base: tuple[dt.date, dt.date]
    as_of: dt.date

    def to_frame(self) -> pd.DataFrame:
        """Return national figures: ``level`` (base = 100), ``on_year`` (%), ``active`` (% of companies), by period."""
        rows = []
        for period, part in self.units.groupby("period", sort=True):
            for name in self.measures:
                now, before, base = (float(part[c].sum()) for c in (name, f"{name}_before", f"{name}_base"))
                rows.append(
                    {
                        "period": period, "measure": name, "months": self.periods[str(period)],
                        "level": 100 * now / base if base else np.nan,
                        "on_year": 100 * (now / before - 1) if before else np.nan,
                        "active": 100 * float(part[f"{name}_active"].mean()),
                    }
                )  # fmt: skip
        return pd.DataFrame(rows).set_index(["measure", "period"])

    def summary(self) -> str:
        """Return the latest period of each measure."""
        frame = self.to_frame()
        lines = []
        for name in self.measures:
            period, row = frame.loc[name].index[-1], frame.loc[name].iloc[-1]
            lines.append(
                f"{TITLES.get(name, name)}, {period} ({int(row['months'])} month(s)): {row['level']:.0f} % of base, "
                f"{row['on_year']:+.0f} % on the year before; {row['active']:.0f} % of companies had any"
            )
        return "\n".join(lines)

    def cite(self) -> str:
        """Return method version and vintage."""
        return (
            f"opsroom {__version__}, {METHOD}: sums of a cohort frozen on {self.cohort_day.isoformat()}; no interval: "
            f"they are counts of what was reported, not estimates; as of {self.as_of.isoformat()}."
        )

    def cells(self, *, source: str = "") -> list[Cells]:
        """Return a release series ``flows.<measure>`` each, with what the gate must know.

        Level and growth are ratios of two sums over the same companies; both sums are parts. A growth rate is
        published with the level of its period, never alone.
        """
        from opsroom.base.cells import parts_from_units
        from opsroom.base.results import Cells, Measure, Part

        out = []
        for name in self.measures:
            frame = self.units.rename(
                columns={name: "now", f"{name}_before": "before", f"{name}_base": "basis", f"{name}_active": "active"}
            ).assign(n=1)
            dims = ["period", *self.dimensions]
            parts = parts_from_units(
                frame, dimensions=dims, group="group_id",
                values={"now": "now", "before": "before", "basis": "basis", "active": "active", "n": "n"},
                shares={"active": "n"}, totals=list(self.dimensions),
            )  # fmt: skip
            parts["months"] = parts["period"].map(self.periods)
            facts: dict[str, Any] = {
                "cohort_day": self.cohort_day.isoformat(), "base": [d.isoformat() for d in self.base],
                "interval": "none: sums of what was reported",
                "joined": [p for p, months in self.periods.items() if months > 1],
            }  # fmt: skip
            measures = (
                Measure("level", "ratio", "base = 100", ("now", "basis"), scale=100.0, attached=("months",)),
                Measure("on_year", "ratio", "year before = 100", ("now", "before"), scale=100.0),
                Measure("share_active", "share", "% of companies", ("active", "n"), scale=100.0),
            )
            quantities = (
                Part("now", "minor units"), Part("before", "minor units"), Part("basis", "minor units"),
                Part("active", "companies"), Part("n", "companies"),
            )  # fmt: skip
            out.append(
                Cells(
                    f"flows.{name}", tuple(dims), measures, parts, parts=quantities, additive=self.dimensions,
                    method=METHOD, source=source, facts=facts,
                )
            )  # fmt: skip
        return out


def company_flows(
    months: pd.DataFrame,
    register: pd.DataFrame,
    *,
    as_of: dt.date,
    base: tuple[dt.date, dt.date],
    since: dt.date,
    measures: Sequence[str] = ("investment", "fx_receipts"),
    dimensions: Sequence[str] = ("section", "region"),
    new_year: Mapping[int, dt.date] | None = None,
) -> CompanyFlowsResult:
    """Follow what a frozen cohort of companies invests and receives from abroad.

    It answers: do companies invest and sell abroad again, in which sections and regions?

    Parameters
    ----------
    months
        ``enterprise_id``, ``month`` (first day), ``group_id`` and the measures (int64, minor units), as known on the
        day.
    register
        ``enterprise_id`` and the dimensions, one row a company.
    as_of
        Months that end later are not looked at.
    base
        First and last day of the whole months whose mean is the base.
    since
        First month to tell.
    measures, dimensions
        Columns.
    new_year
        Year → lunar New Year's Day: January and February of these years are told together.

    Returns
    -------
    CompanyFlowsResult

    Raises
    ------
    FitError
        No company reported in the base, or no month since is complete.

    Notes
    -----
    The cohort is every company of the register with a row in the base; it is frozen. A company without a row later
    counts as nothing: that it closed is part of the answer. A company that reports late counts as nothing, too, so
    that the last month of a panel with late reports reads low: tell it only when the reports are in.
    """
    wanted = ["enterprise_id", "month", "group_id", *measures]
    absent = [c for c in wanted if c not in months.columns] + [c for c in dimensions if c not in register.columns]
    if absent:
        raise UsageError(f"the column(s) {', '.join(absent)} are missing.", remedy="Give months and register in full.")
    table = months[wanted].assign(month=pd.PeriodIndex(pd.to_datetime(months["month"]), freq="M"))
    table = table[table["month"].dt.end_time.dt.normalize() <= pd.Timestamp(as_of)]
    if table.duplicated(["enterprise_id", "month"]).any():
        raise UsageError("a company has two rows for one month.", remedy="Give the rows of one vintage.")
    first, last = pd.Period(base[0], "M"), pd.Period(base[1], "M")
    inside = table[(table["month"] >= first) & (table["month"] <= last)]
    if inside.empty:
        raise FitError("no company reported in the base.", code="OPS-M139", remedy="Choose another base.")
    length = (last - first).n + 1
    cohort = inside.sort_values("month").drop_duplicates("enterprise_id", keep="last")[["enterprise_id", "group_id"]]
    cohort = cohort.merge(
        register[["enterprise_id", *dimensions]].drop_duplicates("enterprise_id"), on="enterprise_id", how="inner"
    ).sort_values("enterprise_id")
    newest = table["month"].max()
    if newest < pd.Period(since, "M"):
        raise FitError("no month is complete since then.", code="OPS-M139", remedy="Choose a later day.")
    moving = new_year or {}
    keys = cohort["enterprise_id"].to_numpy()
    wide = {
        name: table.pivot(index="enterprise_id", columns="month", values=name).reindex(keys).fillna(0).astype("int64")
        for name in measures
    }
    pieces, periods = [], {}
    for label, members in _periods(pd.Period(since, "M"), newest, moving):
        piece = cohort.assign(period=str(label))
        for name, values in wide.items():
            now = _sum(values, members)
            piece[name] = now
            piece[f"{name}_before"] = _sum(values, [m - 12 for m in members])
            total = _sum(values, list(pd.period_range(first, last, freq="M")))
            piece[f"{name}_base"] = np.rint(total * len(members) / length).astype(np.int64)
            piece[f"{name}_active"] = (now > 0).astype(np.int64)
        pieces.append(piece)
        periods[str(label)] = len(members)
    return CompanyFlowsResult(
        pd.concat(pieces, ignore_index=True), periods, tuple(measures), tuple(dimensions), base[1], base, as_of
    )


def _periods(
    first: pd.Period, last: pd.Period, moving: Mapping[int, dt.date]
) -> list[tuple[pd.Period, list[pd.Period]]]:
    """Return the months told and those behind each: January goes with February, and waits for it."""
    out = []
    for month in pd.period_range(first, last, freq="M"):
        if month.month == 1 and month.year in moving:
            continue
        out.append((month, [month - 1, month] if month.month == 2 and month.year in moving else [month]))
    return out


def _sum(values: pd.DataFrame, members: Sequence[pd.Period]) -> np.ndarray:
    return np.asarray(values.reindex(columns=list(members), fill_value=0).sum(axis=1).to_numpy(np.int64))
