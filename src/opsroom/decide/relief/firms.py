"""One row an enterprise: what relief and liquidity need, made from register, accounts, loans and months."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import DataError
from opsroom.decide.relief.dated import Dated
from opsroom.decide.relief.habits import Habits
from opsroom.decide.relief.response import Response
from opsroom.decide.relief.standing import Standing

FIRM_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "enterprise_id": "id",
        "group_id": "id",
        "section": "code",
        "region": "code",
        "size_class": "code",
        "employees": "integer",
        "cash": "money",
        "undrawn_credit": "money",
        "fixed_costs": "money",
        "wage_bill": "money",
        "materials_ppm": "share",
        "sales_normal": "money",
        "sales_now": "money",
        "tax_due": "money",
        "interest_due": "money",
        "principal_due": "money",
        "outstanding": "money",
        "days_past_due": "integer",
        "forborne": "flag",
        "secured_ppm": "share",
        "guarantee_ppm": "share",
        "lender_id": "id",
        "rate_bp": "integer",
    }
)
"""Columns of a frame of firms. Money is int64 in minor units; flows are a month's; cash may be negative."""

_OF_LOANS = (
    "outstanding",
    "interest_due",
    "principal_due",
    "days_past_due",
    "secured_ppm",
    "guarantee_ppm",
    "lender_id",
    "rate_bp",
)
SOLE = "SOLE"
ROLLED = ("rolled", "rolled_gap")
"""Within ``cash``, the operating flow since the accounts' date before any cushion, and what of it lost activity took;
zero where absent."""
_FLOWS = (
    "fixed_costs",
    "wage_bill",
    "sales_normal",
    "sales_now",
    "sales_before",
    "tax_due",
    "interest_due",
    "principal_due",
)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def check_firms(firms: pd.DataFrame) -> pd.DataFrame:
    """Return the frame sorted by enterprise with integer columns, or say what is wrong with it.

    Raises
    ------
    DataError
        If a column or value is missing, an amount is not whole or has the wrong sign, or an id occurs twice.
    """
    absent = [c for c in FIRM_COLUMNS if c not in firms.columns]
    if absent:
        raise DataError(
            f"the frame of firms lacks the column(s) {', '.join(absent)}.",
            remedy="Make it with firms_from_tables.",
            code="OPS-D072",
        )
    if firms.empty:
        raise DataError("the frame of firms has no rows.", code="OPS-D072")
    before = "sales_before" if "sales_before" in firms.columns else "sales_now"
    frame = (
        firms.loc[:, list(FIRM_COLUMNS)]
        .assign(sales_before=firms[before], **{c: firms[c] if c in firms.columns else 0 for c in ROLLED})
        .sort_values("enterprise_id", kind="stable", ignore_index=True)
    )
    for column, kind in (*FIRM_COLUMNS.items(), ("sales_before", "money"), *((c, "money") for c in ROLLED)):
        if frame[column].isna().any():
            raise DataError(f"column {column!r} of the firms lacks values.", code="OPS-D073")
        if kind == "code":
            frame[column] = frame[column].astype(str)
        elif kind == "flag":
            frame[column] = frame[column].astype(bool)
        else:
            frame[column] = _whole(frame[column], column)
        if kind == "share" and not frame[column].between(0, 1_000_000).all():
            raise DataError(f"column {column!r} of the firms lies outside 0 … 1,000,000 ppm.", code="OPS-D074")
    for column in (*_FLOWS, "outstanding", "undrawn_credit", "employees"):
        if (frame[column] < 0).any():
            raise DataError(f"column {column!r} of the firms is negative in some row.", code="OPS-D074")
    if frame["enterprise_id"].duplicated().any():
        raise DataError("an enterprise occurs twice among the firms.", remedy="Give one row each.", code="OPS-D075")
    return frame


def firms_from_tables(
    register: pd.DataFrame,
    accounts: pd.DataFrame,
    loans: pd.DataFrame,
    firm_months: pd.DataFrame,
    resumption_states: pd.DataFrame | None = None,
    *,
    activity_months: pd.DataFrame | None = None,
    response: Response | None = None,
    as_of: dt.date,
    normal_until: dt.date | None = None,
    habits: Habits | None = None,
    roll: bool = True,
) -> pd.DataFrame:
    """Make the frame of firms as of a day from a room's tables.

    Parameters
    ----------
    register
        Slowly changing rows of enterprises; the latest with ``valid_from`` on or before the day applies.
    accounts
        End-of-month ``cash``, ``undrawn_credit``, monthly ``fixed_costs``, ``tax_due``, and
        ``materials_ppm``.
    loans
        Loan months; the latest of each loan counts, several loans of a company are added up (rates and shares
        weighted by what is outstanding).
    firm_months
        Monthly ``sales`` and ``wage_bill``.
    resumption_states
        Optional: ``enterprise_id`` and ``capacity`` (activity as a share of normal, 1 = normal): what the
        room knows of present activity where sales are not reported yet.
    activity_months
        Optional: ``enterprise_id``, ``month`` and ``capacity``, the mean of the month: activity between the
        accounts' date and the study, where sales are not reported yet.
    response
        Which sales an activity stands for; by default the same share of normal.
    as_of
        The day. Rows of later reference months are ignored; knowledge time is the caller's matter.
    normal_until
        Normal sales are the mean of the twelve months up to this day; the end of the previous year by
        default.
    roll
        Carry cash from the accounts' date forward to the beginning of the month of the study, at the sales
        known or estimated since. Without it a balance two months old would count as the last.

    Returns
    -------
    pandas.DataFrame
        One row an active enterprise with accounts, columns `FIRM_COLUMNS`; sole traders are left out.

    Raises
    ------
    DataError
        If no company is left, or values are missing.

    Notes
    -----
    Present sales are, in this order: those that `capacity` stands for; the last reported month, where it is not
    older than two months; normal sales.
    """
    standing = Standing.of(Dated.of(accounts), Dated.of(firm_months), as_of, normal_until)
    return firms_of(
        register,
        loans,
        standing,
        resumption_states,
        activity_months=activity_months,
        response=response,
        as_of=as_of,
        habits=habits,
        roll=roll,
    )


def firms_of(
    register: pd.DataFrame,
    loans: pd.DataFrame,
    standing: Standing,
    resumption_states: pd.DataFrame | None = None,
    *,
    activity_months: pd.DataFrame | None = None,
    response: Response | None = None,
    as_of: dt.date,
    habits: Habits | None = None,
    roll: bool = True,
) -> pd.DataFrame:
    """Do what `firms_from_tables` does, given what accounts and reports say as of the day."""
    sold = response or Response(1.0, 0.0)
    now = pd.Timestamp(as_of)
    firms = standing.of_companies(_active(register, now))
    if firms.empty:
        raise DataError("no active company has accounts as of that day.", code="OPS-D076")
    firms = firms.merge(_loan_totals(loans, now), on="enterprise_id", how="left")
    empty = ("wage_bill", "tax_due", "sales_normal", "employees", *_OF_LOANS)
    firms[list(empty)] = firms[list(empty)].fillna(0)
    firms["forborne"] = firms["forborne"].eq(True)  # missing where there is no loan
    firms["sales_now"] = _present(firms, resumption_states, now, sold)
    begins = now.replace(day=1)
    found: dict[pd.Timestamp, pd.Series[int]] = {}

    def sales_of(month: pd.Timestamp) -> pd.Series[int]:
        """Return the sales of a month: reported, else those of its activity, else the present ones."""
        if month not in found:
            sales = pd.Series(standing.reported(firms, month), index=firms.index)
            if activity_months is not None:
                then = activity_months[activity_months["month"] == month].set_index("enterprise_id")["capacity"]
                share = firms["enterprise_id"].map(then.astype(np.float64)).to_numpy(dtype=np.float64)
                sales = sales.fillna(firms["sales_normal"] * pd.Series(sold.sales(share), index=firms.index))
            whole = np.rint(sales.fillna(firms["sales_now"]).to_numpy(dtype=np.float64))
            found[month] = pd.Series(whole, index=firms.index).astype(np.int64)
        return found[month]

    firms["sales_before"] = sales_of(begins - pd.DateOffset(months=1))
    if roll:
        _roll(firms, sales_of, begins, habits or Habits())
    return check_firms(firms)


def monthly_margin(firms: pd.DataFrame, sales: pd.Series[int]) -> Ints:
    """Return sales less materials, minor units, rounded down."""
    keep = 1_000_000 - firms["materials_ppm"].to_numpy(dtype=np.int64)
    whole, rest = np.divmod(sales.to_numpy(dtype=np.int64), 1_000_000)
    return np.asarray(whole * keep + rest * keep // 1_000_000, dtype=np.int64)


def monthly_outgo(firms: pd.DataFrame) -> Ints:
    """Return outgoings at normal activity, without materials and loan service: fixed costs, wages, tax."""
    return np.asarray((firms["fixed_costs"] + firms["wage_bill"] + firms["tax_due"]).to_numpy(dtype=np.int64))


def moving_outgo(firms: pd.DataFrame, habits: Habits) -> Ints:
    """Return the part of wages and tax at normal activity that moves with it."""
    wages, tax = (firms[c].to_numpy(dtype=np.float64) for c in ("wage_bill", "tax_due"))
    return np.rint(habits.wage_flex * wages + habits.tax_flex * tax).astype(np.int64)


def activity(firms: pd.DataFrame, sales: pd.Series[int]) -> Floats:
    """Return sales as a share of normal within 0 … 2; 1 where a company has no normal sales."""
    normal = firms["sales_normal"].to_numpy(dtype=np.float64)
    share = np.divide(sales.to_numpy(dtype=np.float64), normal, out=np.ones(len(firms)), where=normal > 0)
    return np.asarray(np.clip(share, 0.0, 2.0))


def _whole(values: pd.Series[float], column: str) -> pd.Series[int]:
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    numbers = pd.to_numeric(values, errors="coerce")
    rounded = np.rint(numbers)
    if numbers.isna().any() or (numbers != rounded).any():
        raise DataError(f"column {column!r} of the firms is not whole everywhere.", code="OPS-D074")
    return pd.Series(rounded.astype(np.int64), index=values.index)


def _latest(table: pd.DataFrame, key: str, when: str, now: pd.Timestamp) -> pd.DataFrame:
    """Return each key's last row on or before a day, in the order of time; of two on a day the later."""
    days = pd.to_datetime(table[when]).to_numpy()
    kept = np.flatnonzero(days <= now.to_datetime64())
    kept = kept[np.argsort(days[kept], kind="stable")]
    kept = kept[~pd.Index(table[key].to_numpy()[kept]).duplicated(keep="last")]
    rows: pd.DataFrame = table.iloc[kept]
    return rows.assign(**{when: pd.to_datetime(rows[when])})


def _active(register: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    rows = _latest(register, "enterprise_id", "valid_from", now)
    ended = pd.Series(False, index=rows.index)
    for column in ("died", "valid_to"):
        if column in rows.columns:
            ended |= pd.to_datetime(rows[column]) <= now
    rows = rows[~ended & (rows["legal_form"] != SOLE)]
    return rows[["enterprise_id", "group_id", "section", "region", "size_class", "employees"]]


def _loan_totals(loans: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    rows = _latest(loans, "loan_id", "month", now)
    newest = rows["month"].max()
    rows = rows[(rows["month"] == newest) & (rows["outstanding"] > 0)]  # a loan that is no longer reported is repaid
    weight = rows["outstanding"].to_numpy(dtype=np.float64)
    weighted = {c: rows[c].to_numpy(dtype=np.float64) * weight for c in ("secured_ppm", "guarantee_ppm", "rate_bp")}
    sums = (
        rows.assign(**weighted)
        .groupby("enterprise_id")
        .agg(
            outstanding=("outstanding", "sum"),
            interest_due=("interest_due", "sum"),
            principal_due=("principal_due", "sum"),
            days_past_due=("days_past_due", "max"),
            forborne=("forborne", "any"),
            secured_ppm=("secured_ppm", "sum"),
            guarantee_ppm=("guarantee_ppm", "sum"),
            rate_bp=("rate_bp", "sum"),
        )
    )
    for column in weighted:
        sums[column] = np.rint(sums[column] / sums["outstanding"])
    largest = rows.sort_values("outstanding", kind="stable").drop_duplicates("enterprise_id", keep="last")
    sums["lender_id"] = largest.set_index("enterprise_id")["lender_id"]
    return pd.DataFrame(sums.reset_index())


def _present(firms: pd.DataFrame, states: pd.DataFrame | None, now: pd.Timestamp, sold: Response) -> pd.Series[int]:
    """Return present monthly sales."""
    recent = firms["sales_month"] >= (now - pd.DateOffset(months=2)).replace(day=1)
    present = firms["sales_last"].where(recent).fillna(firms["sales_normal"])
    if states is not None:
        share = states.drop_duplicates("enterprise_id", keep="last").set_index("enterprise_id")["capacity"]
        known = firms["enterprise_id"].map(share.astype(np.float64)).clip(0.0, 2.0)
        lost = pd.Series(sold.sales(known.to_numpy(dtype=np.float64)), index=firms.index)
        present = (lost * firms["sales_normal"]).fillna(present)
    return pd.Series(np.rint(present).astype(np.int64), index=firms.index)


def _roll(
    firms: pd.DataFrame, sales_of: Callable[[pd.Timestamp], pd.Series[int]], begins: pd.Timestamp, habits: Habits
) -> None:
    """Carry cash forward from the accounts' date to the beginning of a month, in place."""
    due = (firms["interest_due"] + firms["principal_due"]).to_numpy(dtype=np.int64)
    moving, normal = moving_outgo(firms, habits), monthly_margin(firms, firms["sales_normal"])
    dated = firms["month"].to_numpy().astype("datetime64[M]")
    flows, gaps, dues = np.zeros(len(firms)), np.zeros(len(firms)), np.zeros(len(firms))
    step = pd.Timestamp(dated.min()) + pd.DateOffset(months=1)
    while step < begins:
        sales, then = sales_of(step), sales_of(step - pd.DateOffset(months=1))
        lag, share = habits.receipt_lag, activity(firms, sales)
        margin = (1.0 - lag) * monthly_margin(firms, sales) + lag * monthly_margin(firms, then)
        since = dated < np.datetime64(step, "M")
        flows += np.where(since, margin - monthly_outgo(firms) + moving * (1.0 - share), 0.0)
        gaps += np.where(since, ((1.0 - lag) * normal - moving) * (1.0 - share), 0.0)
        dues += np.where(since, due, 0)
        step += pd.DateOffset(months=1)
    drained = np.where(flows < 0, (1.0 - habits.cushion) * flows, flows)
    firms["rolled"], firms["rolled_gap"] = np.rint(flows).astype(np.int64), np.rint(gaps).astype(np.int64)
    firms["cash"] = np.rint(firms["cash"].to_numpy(dtype=np.float64) + drained - dues).astype(np.int64)
