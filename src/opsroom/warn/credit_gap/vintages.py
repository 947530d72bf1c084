"""Gaps as they were known: each quarter by the credit and GDP of the day on which it could first be computed."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.warn.credit_gap.basel import gap_from_levels
from opsroom.warn.credit_gap.result import GapResult
from opsroom.warn.credit_gap.trend import LAMBDA
from opsroom.warn.quarters import quarter_numbers

_COLUMNS = ["gap", "trend", "buffer", "credit_part", "gdp_part"]


def gap_on(
    credit: pd.DataFrame, gdp: pd.DataFrame, *, as_of: dt.date, sum_over: int = 4, lamb: float = LAMBDA
) -> GapResult:
    """Return the gap by the vintages of one day.

    Answers: what would this room have said on that day?

    Parameters
    ----------
    credit, gdp
        Long tables of vintages: ``period`` (quarter), ``known_at`` (a moment), ``value``; a missing value withdraws an
        earlier one. GDP is quarterly, in the unit of credit.
    as_of
        The day; rows known later do not exist.
    sum_over, lamb
        As in `gap_from_levels`.

    Returns
    -------
    GapResult
        Labelled quasi-real-time: its last gap is that of the day, its earlier ones are what the filter says of the
        data of that day.
    """
    moment = _end(as_of)
    return _of(_typed(credit, "credit"), _typed(gdp, "gdp"), moment, sum_over=sum_over, lamb=lamb)


def gaps_as_known(
    credit: pd.DataFrame,
    gdp: pd.DataFrame,
    *,
    as_of: dt.date | None = None,
    sum_over: int = 4,
    lamb: float = LAMBDA,
) -> GapResult:
    """Return each quarter's gap as it was when it could first be computed.

    Answers: what did the gap say at the time, before the data were revised?

    Parameters
    ----------
    credit, gdp
        As in `gap_on`.
    as_of
        Rows known after this day do not exist; all of them do where it is not given.
    sum_over, lamb
        As in `gap_from_levels`.

    Returns
    -------
    GapResult
        Labelled real-time, one value a quarter. Each is the last of a gap computed from the vintages of the first day
        on which credit of the quarter and GDP of the `sum_over` quarters up to it were known.

    Raises
    ------
    FitError
        No quarter's ratio was known.

    Notes
    -----
    History loaded in one delivery was known in one day: its quarters get the gaps of a filter on that vintage, so a
    real-time record begins where knowledge begins to come quarter by quarter. `known_on` tells the day of each.
    """
    moment = pd.Timestamp.max if as_of is None else _end(as_of)
    stock, income = _typed(credit, "credit"), _typed(gdp, "gdp")
    days = _first_known(stock, income, moment, sum_over=sum_over)
    if days.empty:
        raise FitError("no quarter's credit ratio was known.", remedy="Choose a later day, or ingest a history.")
    rows: dict[int, pd.Series] = {}
    for day, quarters in days.groupby(days):
        try:
            found = _of(stock, income, day, sum_over=sum_over, lamb=lamb)
        except FitError as error:
            if error.code != "OPS-M122":
                raise
            continue  # one ratio was known that day: there is no gap yet, as in the burn-in
        frame = found.to_frame()
        at = quarter_numbers(frame.index)
        for number in quarters.index:
            row = np.flatnonzero(at == number)
            if len(row):
                rows[number] = frame.iloc[row[0]]
    index = pd.PeriodIndex([_period(n) for n in range(int(days.index.min()), int(days.index.max()) + 1)], freq="Q")
    table = pd.DataFrame(rows).T.reindex(quarter_numbers(index)).set_axis(index).reindex(columns=_COLUMNS).astype(float)
    return GapResult(
        gap=table["gap"],
        trend=table["trend"],
        buffer=table["buffer"],
        lamb=float(lamb),
        timing="real-time",
        credit_part=table["credit_part"].rename("credit"),
        gdp_part=table["gdp_part"].rename("gdp"),
    )


def known_on(credit: pd.DataFrame, gdp: pd.DataFrame, *, sum_over: int = 4) -> pd.Series:
    """Return the moment (UTC) at which each quarter's ratio could first be computed.

    Parameters
    ----------
    credit, gdp, sum_over
        As in `gaps_as_known`.
    """
    days = _first_known(_typed(credit, "credit"), _typed(gdp, "gdp"), pd.Timestamp.max, sum_over=sum_over)
    return days.set_axis(pd.PeriodIndex([_period(int(n)) for n in days.index], freq="Q"))


def _of(stock: pd.DataFrame, income: pd.DataFrame, moment: pd.Timestamp, *, sum_over: int, lamb: float) -> GapResult:
    """Return the gap by what was known at a moment."""
    pair = [_latest(table, moment) for table in (stock, income)]
    numbers = sorted(set(pair[0].index) | set(pair[1].index))
    if not numbers:
        raise FitError("neither credit nor GDP was known.", remedy="Choose a later day, or ingest a history.")
    span = range(int(numbers[0]), int(numbers[-1]) + 1)
    index = pd.PeriodIndex([_period(n) for n in span], freq="Q")
    c, y = (values.reindex(span).set_axis(index) for values in pair)
    return gap_from_levels(c, y, sum_over=sum_over, lamb=lamb)


def _latest(table: pd.DataFrame, moment: pd.Timestamp) -> pd.Series:
    """Return values by quarter as known at a moment; a withdrawn value is not known."""
    known = table[table["known_at"] <= moment].drop_duplicates("period", keep="last")
    return known.set_index("period")["value"].dropna()


def _first_known(
    stock: pd.DataFrame, income: pd.DataFrame, moment: pd.Timestamp, *, sum_over: int
) -> pd.Series[pd.Timestamp]:
    """Return by quarter when its ratio was first known."""
    first = [
        table[(table["known_at"] <= moment) & table["value"].notna()].groupby("period")["known_at"].min()
        for table in (stock, income)
    ]
    out = {}
    for number, day in first[0].items():
        needed = [int(str(number)) - k for k in range(sum_over)]
        if all(n in first[1].index for n in needed):
            out[int(str(number))] = max(day, first[1].loc[needed].max())
    return pd.Series(out, dtype="datetime64[us]").sort_index()


def _typed(table: pd.DataFrame, name: str) -> pd.DataFrame:
    absent = [c for c in ("period", "known_at", "value") if c not in table]
    if absent:
        raise UsageError(
            f"the vintages of {name} lack the column(s) {', '.join(absent)}.",
            remedy="Give period, known_at and value.",
        )
    frame = pd.DataFrame(
        {
            "period": quarter_numbers(table["period"]),
            "known_at": pd.to_datetime(table["known_at"], utc=True).dt.tz_localize(None).astype("datetime64[us]"),
            "value": table["value"].to_numpy(dtype=np.float64, na_value=np.nan),
        }
    )
    if frame.duplicated(["period", "known_at"]).any():
        raise UsageError(f"{name} has two values for one quarter and moment.", remedy="Give one value a vintage.")
    return frame.sort_values(["known_at", "period"], kind="stable")


def _end(day: dt.date) -> pd.Timestamp:
    return pd.Timestamp(day) + pd.Timedelta(days=1) - pd.Timedelta(microseconds=1)


def _period(number: int) -> pd.Period:
    return pd.Period(year=number // 4, quarter=number % 4 + 1, freq="Q")
