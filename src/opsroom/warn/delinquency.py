"""Delinquency of company loans by section: states, own history, ability to pay against collection."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import DataError, UsageError
from opsroom.base.results import TOTAL, Cells, Measure, Part
from opsroom.warn import collection as collect
from opsroom.warn.loan_states import STATES, company_months
from opsroom.warn.own_history import OwnHistory, own_history

if TYPE_CHECKING:
    import altair as alt


@dataclass(frozen=True, slots=True)
class DelinquencyResult:
    """Company loans by state, month and section. Confidential until released.

    Attributes
    ----------
    as_of
        The day.
    table
        One row a month and section (``"_T"``: all): ``performing``, ``forborne``, ``delinquent`` (per cent of
        outstanding, adding to 100), ``early`` and ``late`` (the delinquent from 30 and from 90 days),
        ``arrears_with_forborne``, ``delinquent_companies`` and ``arrears_companies`` (per cent of companies,
        the latter with forborne), ``expected`` (of the last, by own history), ``z``, ``warning``, ``driver``
        (which state rose), ``ability`` and ``collection`` with bounds (points), ``capacity`` (collection,
        per cent of normal).
    companies
        One row a company and month, of the months shown.
    alarm_rate
        Share of section-months flagged in the history before the last six months: false alarms, if that
        was calm.
    false_discoveries
        Share of a month's warnings that may be false by construction.
    identified
        Whether ability and collection could be told apart in the last month.
    level
        Nominal level of the bounds.
    """

    as_of: dt.date
    table: pd.DataFrame
    companies: pd.DataFrame
    alarm_rate: float
    false_discoveries: float
    identified: bool
    level: float

    @property
    def month(self) -> str:
        """The last month known."""
        return str(self.table["month"].max())

    @property
    def warnings(self) -> list[str]:
        """Sections that are out of line with their own history in the last month, worst first."""
        last = self.table[(self.table["month"] == self.month) & (self.table["warning"] == "yes")]
        last = last[last["section"] != TOTAL].sort_values("z", ascending=False, kind="stable")
        return list(last["section"])

    def to_frame(self) -> pd.DataFrame:
        """Return the table by month and section."""
        return self.table

    def summary(self) -> str:
        """Return the last month in a few lines."""
        row = self.table[(self.table["month"] == self.month) & (self.table["section"] == TOTAL)].iloc[0]
        lines = [
            f"{self.month}: arrears including forborne {row['arrears_with_forborne']:.1f} % of company loans "
            f"(delinquent {row['delinquent']:.1f} %, forborne {row['forborne']:.1f} %)."
        ]
        if self.identified and math.isfinite(row["collection"]):
            lines.append(
                f"Of the delinquent, {row['ability']:.1f} points for want of ability to pay and "
                f"{row['collection']:.1f} ({row['collection_lower']:.1f} to {row['collection_upper']:.1f}) "
                "for want of collection."
            )
        named = ", ".join(self.warnings) or "none"
        lines.append(f"Out of line with their own history: {named}.")
        return "\n".join(lines)

    def cite(self) -> str:
        """Return sources and method."""
        return (
            "opsroom delinquency 1; states after EBA/GL/2016/07 and IFRS 9 (30 and 90 days), forborne apart; "
            "own history with Benjamini and Hochberg (1995)."
        )

    def chart(self) -> alt.Chart:
        """Return arrears with forborne, and delinquent alone, over time."""
        from opsroom.base.charts import Caption
        from opsroom.base.charts_lines import line_band

        rows = self.table[self.table["section"] == TOTAL][["month", "arrears_with_forborne", "delinquent"]]
        caption = Caption(finding="Arrears of company loans", unit="% of outstanding", as_of=self.as_of.isoformat())
        return line_band(
            [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")],
            x="month",
            lines={"arrears_with_forborne": "arrears including forborne", "delinquent": "delinquent"},
            caption=caption,
        )

    def cells(self, *, months: int = 12) -> list[Cells]:
        """Return the publishable cells of ``loans.section``.

        Parameters
        ----------
        months
            How many of the last months are shown.

        Notes
        -----
        The three states add to the whole, so only two are free: judged are the delinquent, the arrears with
        forborne, and both by companies; all else is a function of these and hidden wherever any is hidden.
        In a month in which nobody at all is forborne there is no forbearance to protect.
        """
        shown = sorted(self.table["month"].unique())[-months:]
        units = self.companies[self.companies["month"].isin(shown)]
        parts = {
            "m_delinquent": "minor units",
            "m_forborne": "minor units",
            "m_arrears": "minor units",
            "m_outstanding": "minor units",
            "n_delinquent": "companies",
            "n_forborne": "companies",
            "n_companies": "companies",
        }
        frame = parts_from_units(
            units.assign(
                m_arrears=units["delinquent"] + units["forborne"],
                n_forborne=units["forborne"] > 0,
                n_companies=1,
            ).rename(
                columns={
                    "delinquent": "m_delinquent",
                    "forborne": "m_forborne",
                    "outstanding": "m_outstanding",
                    "is_delinquent": "n_delinquent",
                }
            ),
            dimensions=["month", "section"],
            group="group_id",
            values={name: name for name in parts},
            shares={
                "m_delinquent": "m_outstanding",
                "m_arrears": "m_outstanding",
                "n_delinquent": "n_companies",
                "n_forborne": "n_companies",
            },
            totals=["section"],
        )
        some = frame.groupby("month")["m_forborne"].transform("sum") > 0
        for name in ("m_forborne", "n_forborne"):
            frame[name] = frame[name].astype(np.float64).where(some)
        frame = frame.merge(self.table, on=["month", "section"], how="left")
        bounds = {m: (f"{m}_lower", f"{m}_upper") for m in ("ability", "collection")}
        amounts, companies = "m_outstanding", "n_companies"
        return [
            Cells(
                name="loans.section",
                dimensions=("month", "section"),
                additive=("section",),
                frame=frame,
                parts=tuple(Part(name, unit) for name, unit in parts.items()),
                measures=(
                    Measure("performing", "public", "%"),
                    Measure("forborne", "public", "%"),
                    Measure("delinquent", "share", "%", ("m_delinquent", amounts), scale=100.0),
                    Measure("arrears_with_forborne", "share", "%", ("m_arrears", amounts), scale=100.0),
                    Measure("delinquent_companies", "share", "%", ("n_delinquent", companies), scale=100.0),
                    Measure("forborne_companies", "share", "%", ("n_forborne", companies), scale=100.0),
                    Measure("ability", "public", "%", attached=bounds["ability"]),
                    Measure("collection", "public", "points", attached=bounds["collection"]),
                    Measure("z", "public", "standard deviations", attached=("warning", "driver")),
                ),
                method="delinquency-1",
                notes=("forborne-is-a-state-of-its-own", "arrears-include-forborne"),
                facts={
                    "last_month": self.month,
                    "alarm_rate_in_history": None if math.isnan(self.alarm_rate) else round(self.alarm_rate, 3),
                    "false_discoveries": self.false_discoveries,
                    "collection_identified": self.identified,
                    "level": self.level,
                },
            )
        ]


def delinquency(
    loans: pd.DataFrame,
    *,
    collections: pd.DataFrame | None = None,
    register: pd.DataFrame | None = None,
    accounts: pd.DataFrame | Callable[[], pd.DataFrame] | None = None,
    as_of: dt.date,
    history_months: int = 36,
    months: int = 12,
    false_discoveries: float = 0.1,
    level: float = 0.9,
    seed: int = 0,
) -> DelinquencyResult:
    """Compare the arrears of company loans, by section, with their own history, and split their cause.

    It answers: are companies' arrears out of line, where, and because companies cannot pay or because
    nobody collects?

    Parameters
    ----------
    loans
        Loan months: ``loan_id``, ``month``, ``enterprise_id``, ``outstanding``, ``interest_due``,
        ``principal_due`` (int64 minor units), ``days_past_due``, ``forborne``; ``group_id`` and ``section``
        where there is no register.
    collections
        Public: ``month`` and ``capacity_ppm`` (staff and courts at work, per million of normal).
    register
        Enterprises with dates (``valid_from``, ``section``, ``group_id``, ``legal_form``); sole traders are
        left out.
    accounts
        ``cash``, ``undrawn_credit``, ``fixed_costs`` by company and month, or what reads them, called once the
        loans are looked at; without them ability and collection cannot be told apart, and both are NaN.
    as_of
        The day; later months are ignored.
    history_months
        Length of the history that a month is compared with.
    months
        Recent months for which the split is estimated and company rows are kept.
    false_discoveries
        Accepted share of false warnings among a month's warnings.
    level
        Nominal level of the bounds.
    seed
        Of the bootstrap.

    Returns
    -------
    DelinquencyResult
        Table by month and section; `cells` for ``loans.section``.

    Raises
    ------
    DataError
        If columns are missing or no loans are left.

    Notes
    -----
    A warning looks at the share of *companies* that are delinquent *or forborne*: a share of amounts hangs
    on a few large loans, and without the forborne a holiday would silence it. `driver`
    says whether the delinquent or the forborne share rose, for under a holiday open to all the latter is
    the policy itself. See `own_history` and `collection.split` for the formulas.
    """
    if months < 1 or history_months < 12 or not 0 < level < 1 or not 0 < false_discoveries < 1:
        raise UsageError(
            "months, history, level or false discoveries are out of range.",
            remedy="Give history_months ≥ 12, months ≥ 1 and shares between 0 and 1.",
            code="OPS-U101",
        )
    panel = company_months(loans, register, as_of=as_of)
    del loans  # far more rows than the panel: a caller may have let go of them
    sections = sorted(panel["section"].unique())
    table, grid = _shares(panel, sections)
    history = _history(grid, history_months, false_discoveries)
    table = _with_history(table, history, grid, sections)
    recent = list(grid["months"][-months:])
    capacity = _capacity(collections)
    books = [] if accounts is None else [accounts]
    del accounts
    causes, identified = _causes(panel, books, capacity, sections, recent, level, seed)
    table = table.merge(causes, on=["month", "section"], how="left")
    table["capacity"] = 100.0 * table["month"].map(capacity).astype(np.float64)
    table["ability"] = (table["delinquent"] - table["collection"]).clip(lower=0.0)
    table["ability_lower"] = (table["delinquent"] - table["collection_upper"]).clip(lower=0.0)
    table["ability_upper"] = table["delinquent"] - table["collection_lower"]
    kept = panel[panel["month"].isin(recent)]
    quiet = np.zeros(len(grid["months"]), dtype=bool)
    quiet[: max(0, len(quiet) - 6)] = True
    table["month"] = table["month"].dt.strftime("%Y-%m")
    return DelinquencyResult(
        as_of=as_of,
        table=table.reset_index(drop=True),
        companies=kept.assign(month=_named(kept["month"])).reset_index(drop=True),
        alarm_rate=history.alarm_rate(quiet),
        false_discoveries=false_discoveries,
        identified=identified,
        level=level,
    )


def same_until(loans: pd.DataFrame, register: pd.DataFrame | None, *, as_of: dt.date) -> dt.date:
    """Return the last day as of which `delinquency` finds in the same tables what it finds as of a day.

    Loan months and entries of the register that lie ahead are left out until their day; nothing else hangs on it.

    Parameters
    ----------
    loans, register
        As in `delinquency`.
    as_of
        The day.
    """
    now = np.datetime64(as_of, "D")
    months = pd.to_datetime(loans["month"]).to_numpy().astype("datetime64[M]")
    ahead = [months[months > now.astype("datetime64[M]")].astype("datetime64[D]")]
    if register is not None:
        # an entry within a day counts from the next day on
        entered = pd.to_datetime(register["valid_from"]).to_numpy().astype("datetime64[ns]")
        later = entered[entered > now]
        day = later.astype("datetime64[D]")
        ahead.append(day + (day.astype("datetime64[ns]") < later))
    next_day = min((days.min() for days in ahead if len(days)), default=np.datetime64(dt.date.max, "D"))
    found: dt.date = (next_day - np.timedelta64(1, "D")).astype(object)
    return found


def _named(months: pd.Series[pd.Timestamp]) -> pd.Categorical[str]:
    """Return months as text, written out once each."""
    codes, unique = pd.factorize(months, sort=True)
    return pd.Categorical.from_codes(codes, categories=pd.Index([str(m)[:7] for m in unique]))


def _shares(panel: pd.DataFrame, sections: list[str]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return shares by month and section, and the same as arrays (sections first: all) over months."""
    wanted = [*STATES, "early", "late", "outstanding", "is_delinquent", "in_arrears"]
    when, months = pd.factorize(panel["month"], sort=True)
    where = np.searchsorted(sections, panel["section"].cat.categories.to_numpy(dtype=str))[panel["section"].cat.codes]
    cell = when * len(sections) + where
    size = (len(months), len(sections))
    count = np.bincount(cell, minlength=size[0] * size[1]).reshape(size)
    sums = {name: _sums(cell, panel[name].to_numpy(dtype=np.int64), size) for name in wanted} | {"companies": count}
    some, column_of = np.nonzero(count)
    by = pd.DataFrame(
        {"month": months[some], "section": np.array(sections, dtype=object)[column_of]}
        | {name: x[some, column_of] for name, x in sums.items()}
    )
    every = pd.DataFrame({"month": months, "section": TOTAL} | {name: x.sum(axis=1) for name, x in sums.items()})
    table = pd.concat([every, by], ignore_index=True).sort_values(["month", "section"], ignore_index=True)
    owed = table["outstanding"].astype(np.float64)
    for column in (*STATES, "early", "late"):
        table[column] = 100.0 * table[column] / owed
    table["arrears_with_forborne"] = table["delinquent"] + table["forborne"]
    table["delinquent_companies"] = 100.0 * table["is_delinquent"] / table["companies"]
    table["arrears_companies"] = 100.0 * table["in_arrears"] / table["companies"]
    found = pd.DatetimeIndex(sorted(panel["month"].unique()))
    index = pd.date_range(found.min(), found.max(), freq="MS")
    grid: dict[str, Any] = {"months": index}
    for column in ("arrears_companies", "delinquent_companies", "companies"):
        wide = table.pivot(index="section", columns="month", values=column)
        grid[column] = wide.reindex(index=[TOTAL, *sections], columns=index).to_numpy(dtype=np.float64)
    shown = ["month", "section", *STATES, "early", "late", "arrears_with_forborne"]
    shown += ["delinquent_companies", "arrears_companies"]
    return table[shown], grid


def _sums(cell: npt.NDArray[np.int64], values: npt.NDArray[np.int64], size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return exact sums by month and section."""
    total = np.zeros(size[0] * size[1], dtype=np.int64)
    some = np.flatnonzero(values)
    np.add.at(total, cell[some], values[some])
    return total.reshape(size)


def _history(grid: dict[str, Any], history: int, rate: float) -> OwnHistory:
    """Judge companies in arrears or forborne; the total apart from the sections that make it up."""
    share, effective = grid["arrears_companies"] / 100.0, grid["companies"]
    calendar = grid["months"].month.to_numpy(dtype=np.int64)
    parts = [
        own_history(share[r], effective[r], calendar, history_months=history, false_discoveries=rate)
        for r in (slice(0, 1), slice(1, None))
    ]
    return OwnHistory(*(np.vstack([getattr(p, k) for p in parts]) for k in ("z", "p", "alarm", "expected")))


def _with_history(table: pd.DataFrame, history: OwnHistory, grid: dict[str, Any], sections: list[str]) -> pd.DataFrame:
    rows = {code: k for k, code in enumerate([TOTAL, *sections])}
    at = {month: k for k, month in enumerate(grid["months"])}
    r = np.array([rows[s] for s in table["section"]])
    c = np.array([at[m] for m in table["month"]])
    back = np.maximum(c - 12, 0)
    late, all_of_it = (np.nan_to_num(grid[k]) for k in ("delinquent_companies", "arrears_companies"))
    eased = all_of_it - late
    rise = [x[r, c] - x[r, back] for x in (late, eased)]
    flagged = history.alarm[r, c]
    driver = np.where(rise[0] >= rise[1], "delinquent", "forborne")
    return table.assign(
        expected=100.0 * history.expected[r, c],
        z=history.z[r, c],
        warning=np.where(flagged, "yes", "no"),
        driver=np.where(flagged, driver, ""),
    )


def _capacity(collections: pd.DataFrame | None) -> pd.Series[float]:
    if collections is None:
        return pd.Series(dtype=np.float64, index=pd.DatetimeIndex([]))
    if not {"month", "capacity_ppm"} <= set(collections.columns):
        raise DataError("collections need the columns month and capacity_ppm.", code="OPS-D102")
    values = collections["capacity_ppm"].to_numpy(dtype=np.float64) / 1e6
    return pd.Series(values, index=pd.DatetimeIndex(pd.to_datetime(collections["month"]))).sort_index()


def _causes(
    panel: pd.DataFrame,
    books: list[pd.DataFrame | Callable[[], pd.DataFrame]],
    capacity: pd.Series[float],
    sections: list[str],
    recent: list[pd.Timestamp],
    level: float,
    seed: int,
) -> tuple[pd.DataFrame, bool]:
    """Return the points explained by reduced collection, by recent month and section, in per cent.

    `books` holds the accounts, if there are any, and is emptied: they are large, and looked at once.
    """
    columns = ["month", "section", "collection", "collection_lower", "collection_upper"]
    if not books or capacity.empty:
        return pd.DataFrame(columns=columns).astype({"month": "datetime64[ns]", "section": str}), False
    reduced = capacity[capacity < collect.NORMAL]
    first = reduced.index.min() if len(reduced) else panel["month"].max() + pd.DateOffset(months=1)
    # only the delinquent of the time before, and the recent months since, are looked at
    from_now_on = max(first, recent[0])
    panel = panel[(panel["month"] >= from_now_on) | panel["is_delinquent"]]
    accounts = books.pop()
    able = collect.looks_able(panel, accounts() if callable(accounts) else accounts)
    del accounts
    usual, spread = collect.usual_able_share(panel, able, capacity, sections, first)
    rows, identified = [], False
    for month in recent:
        inside = (panel["month"] == month).to_numpy()
        size = len(sections) + 1
        found = collect.Split(np.zeros(size), np.zeros(size), np.zeros(size), identified=True)
        # arrears made while collection was down outlive it: the split is off only before it first was
        if month >= first and not np.isnan(usual).any() and (~np.isnan(able[0][inside])).any():
            now = panel[inside]
            found = collect.split(now, able[:, inside], usual, spread, sections, level=level, seed=seed)
        identified = found.identified
        values = 100.0 * np.stack([found.point, found.lower, found.upper])
        rows += [
            dict(zip(columns, (month, code, *values[:, k].tolist()), strict=True))
            for k, code in enumerate([TOTAL, *sections])
        ]
    return pd.DataFrame(rows, columns=columns), identified
