"""The state of every company loan in every month: performing, forborne or delinquent, exactly one of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import DataError

EARLY_DAYS = 30
LATE_DAYS = 90
STATES = ("performing", "forborne", "delinquent")
SOLE = "SOLE"
_CLOCK: Final = "datetime64[ns]"

Ints = npt.NDArray[np.int64]

LOAN_COLUMNS = ("loan_id", "month", "enterprise_id", "outstanding", "days_past_due", "forborne")


def loan_states(loans: pd.DataFrame) -> npt.NDArray[np.str_]:
    """Return the state of each row of loan months.

    Parameters
    ----------
    loans
        Columns ``days_past_due`` and ``forborne``.

    Returns
    -------
    numpy.ndarray
        ``"forborne"`` where forbearance is granted, whatever the days past due; else ``"delinquent"`` from 30
        days past due; else ``"performing"``.

    Notes
    -----
    30 days is the presumption of increased risk, 90 days of default, of the EBA guidelines (EBA/GL/2016/07)
    and IFRS 9. Days past due stop counting when a holiday starts; therefore forborne is a state of its own
    and arrears are always shown with it.
    """
    forborne = loans["forborne"].to_numpy(dtype=bool)
    late = loans["days_past_due"].to_numpy() >= EARLY_DAYS
    return np.where(forborne, "forborne", np.where(late, "delinquent", "performing"))


def company_months(
    loans: pd.DataFrame, register: pd.DataFrame | None, *, as_of: dt.date, since: pd.Timestamp | None = None
) -> pd.DataFrame:
    """Add up loans to one row a company and month.

    Parameters
    ----------
    loans
        Loan months, columns `LOAN_COLUMNS`, ``interest_due``, ``principal_due`` and, where there is no
        register, ``section`` and ``group_id``.
    register
        Enterprises with dates; gives section and group, and leaves out sole traders.
    as_of
        Rows of later months are left out.
    since
        First month kept.

    Returns
    -------
    pandas.DataFrame
        ``month``, ``enterprise_id``, ``group_id``, ``section``; outstanding in total and by state (int64
        minor units), ``early`` and ``late`` (the two parts of delinquent), ``service`` due a month on
        delinquent loans, ``arrears`` (that service times the months past due) ``is_delinquent`` and
        ``in_arrears`` (delinquent or forborne).

    Raises
    ------
    DataError
        If columns are missing or nothing is left.
    """
    absent = [c for c in (*LOAN_COLUMNS, "interest_due", "principal_due") if c not in loans.columns]
    if absent:
        raise DataError(f"the loans lack the column(s) {', '.join(absent)}.", code="OPS-D100")
    number = month_numbers(loans["month"])
    keep = (number <= _month_of(pd.Timestamp(as_of))) & (loans["outstanding"].to_numpy() > 0)
    if since is not None:
        keep &= number >= _month_of(since)
    kept = np.flatnonzero(keep)
    if len(kept) == 0:
        raise DataError("no company loans are known as of that day.", code="OPS-D101")
    return _added_up(loans, kept, number[kept], register, as_of)


def _added_up(
    loans: pd.DataFrame, kept: Ints, number: Ints, register: pd.DataFrame | None, as_of: dt.date
) -> pd.DataFrame:
    """Add up loans on a grid of companies and months: nothing is sorted, and texts stay codes."""

    def column(name: str) -> Ints:
        return np.asarray(loans[name].to_numpy()[kept], dtype=np.int64)

    firm, ids = pd.factorize(column("enterprise_id"), sort=True)
    first = int(number.min())
    months = int(number.max()) - first + 1
    cell = (number - first) * len(ids) + firm
    count = np.bincount(cell, minlength=months * len(ids))
    places = _registered(register, ids, first, months, as_of) if register is not None else _stated(loans, kept, cell)
    there = count > 0
    if places.left_out is not None:
        there &= ~places.left_out
    at = np.flatnonzero(there)
    if len(at) == 0:
        raise DataError("no company loans are known as of that day.", code="OPS-D101")
    owed, days = column("outstanding"), column("days_past_due")
    forborne = loans["forborne"].to_numpy(dtype=bool)[kept]
    late = ~forborne & (days >= EARLY_DAYS)
    service = np.where(late, column("interest_due") + column("principal_due"), 0)
    # made when it is its turn: loans are many, and eight columns of them at once took as much as the table
    data: dict[str, Callable[[], Ints]] = {
        "performing": lambda: np.where(forborne | late, 0, owed),
        "forborne": lambda: np.where(forborne, owed, 0),
        "delinquent": lambda: np.where(late, owed, 0),
        "outstanding": lambda: owed,
        "early": lambda: np.where(late & (days < LATE_DAYS), owed, 0),
        "late": lambda: np.where(late & (days >= LATE_DAYS), owed, 0),
        "service": lambda: service,
        "arrears": lambda: service * -(-days // 30),
    }
    dates = (np.arange(months) + first).astype("datetime64[M]").astype(_CLOCK)
    totals = pd.DataFrame(
        {
            "month": dates[at // len(ids)],
            "enterprise_id": ids[at % len(ids)],
            "group_id": places.groups[places.group[at]],
            "section": pd.Categorical.from_codes(places.section[at], categories=pd.Index(places.sections)),
            **{name: _sums(cell, made(), len(count))[at] for name, made in data.items()},
        },
        copy=False,
    )
    totals["is_delinquent"] = totals["delinquent"] > 0
    totals["in_arrears"] = totals["is_delinquent"] | (totals["forborne"] > 0)
    return totals


def _sums(cell: Ints, values: Ints, cells: int) -> Ints:
    """Return exact sums by cell."""
    total = np.zeros(cells, dtype=np.int64)
    some = np.flatnonzero(values)
    np.add.at(total, cell[some], values[some])
    return total


@dataclass(frozen=True, slots=True)
class _Places:
    """Group and section of every cell, as codes, and which cells are left out."""

    groups: npt.NDArray[np.generic]
    group: Ints
    sections: list[str]
    section: Ints
    left_out: npt.NDArray[np.bool_] | None


def _stated(loans: pd.DataFrame, kept: Ints, cell: Ints) -> _Places:
    """Return the places as the loans themselves state them: those of a company month's first loan."""
    rows = loans.iloc[kept]
    section, sections = pd.factorize(rows["section"].astype(str) if "section" in rows.columns else _all(len(rows)))
    group, groups = pd.factorize(rows["group_id" if "group_id" in rows.columns else "enterprise_id"].to_numpy())
    of_cell = [np.zeros(int(cell.max()) + 1, dtype=np.int64) for _ in range(2)]
    for grid, codes in zip(of_cell, (group, section), strict=True):
        grid[cell[::-1]] = codes[::-1]
    return _Places(np.asarray(groups), of_cell[0], [str(s) for s in sections], of_cell[1], None)


def _all(rows: int) -> pd.Series[str]:
    return pd.Series(["all"]).repeat(rows)


def _registered(register: pd.DataFrame, ids: Ints, first: int, months: int, as_of: dt.date) -> _Places:
    """Return the places as registered.

    A company counts where it was first entered, also in the months before that; and where it moved, as
    registered in the month itself: a move does not rewrite the past.
    """
    entered = pd.to_datetime(register["valid_from"]).to_numpy().astype(_CLOCK)
    known = np.flatnonzero(entered <= np.datetime64(as_of).astype(_CLOCK))
    known = known[np.argsort(entered[known], kind="stable")]
    enterprise = register["enterprise_id"].to_numpy(dtype=np.int64)[known]
    firm = np.minimum(np.searchsorted(ids, enterprise), len(ids) - 1)
    here = ids[firm] == enterprise
    known, firm = known[here], firm[here]
    # the first of a month in which an entry already holds: its own month, or the next where it came later in it
    when = entered[known]
    month = when.astype("datetime64[M]")
    begins = month.astype(np.int64) + (month.astype(_CLOCK) < when) - first
    version = np.full(len(ids), -1, dtype=np.int64)
    version[firm[::-1]] = known[::-1]
    grid = np.repeat(version[None, :], months, axis=0)
    number = np.bincount(firm, minlength=len(ids))
    for row in np.flatnonzero(number[firm] > 1):
        start = max(int(begins[row]), 0)
        if start < months:
            grid[start:, firm[row]] = known[row]
    flat = grid.ravel()
    section, sections = pd.factorize(register["section"].astype(str), sort=True)
    group, groups = pd.factorize(register["group_id"].to_numpy())
    left_out = (flat < 0) | (register["legal_form"] == SOLE).to_numpy(dtype=bool)[flat]
    return _Places(np.asarray(groups), group[flat], [str(s) for s in sections], section[flat], left_out)


def month_numbers(values: pd.Series[pd.Timestamp]) -> Ints:
    """Return months since 1970; a day within a month counts as that month's."""
    return np.asarray(pd.to_datetime(values).to_numpy().astype("datetime64[M]").astype(np.int64))


def _month_of(day: pd.Timestamp) -> int:
    return int(day.to_datetime64().astype("datetime64[M]").astype(np.int64))
