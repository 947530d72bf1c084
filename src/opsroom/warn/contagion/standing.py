"""Who stands how on a day: companies that cannot pay, what they owe to whom, and what their lenders can bear."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import DataError
from opsroom.warn.loan_states import LATE_DAYS, SOLE

SHORT_DAYS = 30
"""A company is short of cash that cannot pay a month's fixed costs and loan service."""
RECENT = 3
"""Months up to the newest one in which a loan's or an account's last row is looked for: reports come late."""

REGISTER = ("enterprise_id", "valid_from", "legal_form", "group_id", "section")
LOANS = ("loan_id", "month", "enterprise_id", "lender_id", "outstanding", "interest_due", "principal_due",
         "days_past_due", "secured_ppm", "guarantee_ppm")  # fmt: skip
ACCOUNTS = ("enterprise_id", "month", "cash", "undrawn_credit", "fixed_costs")
PURCHASES = ("supplier_id", "customer_id", "year", "amount")
LENDERS = ("lender_id", "quarter", "capital", "assets", "interbank_lent", "interbank_borrowed")
_CLOCK = "datetime64[ns]"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known on a day of companies, their loans and their trade. Confidential.

    Attributes
    ----------
    companies
        One row a company that is no sole trader: ``id``, ``group``, ``section``, ``liquid`` (cash and undrawn credit;
        of who is carried, a month's need if that is more),
        ``late`` (a loan in default), ``short`` (of cash), ``carried`` (short, and was half a year ago already: somebody
        pays for it).
    loans
        One row a loan: ``company`` and ``lender`` (rows of the two other tables), ``outstanding``, ``secured`` and
        ``guaranteed`` (shares).
    trade
        One row a supplier and customer, of different companies: rows in `companies`, and ``amount`` a year.
    lenders
        One row a lender: ``id``, ``capital``, ``assets``, ``interbank_lent``, ``interbank_borrowed``; missing where it
        has not reported.
    month
        First day of the newest month of loans.
    """

    companies: pd.DataFrame
    loans: pd.DataFrame
    trade: pd.DataFrame
    lenders: pd.DataFrame
    month: pd.Timestamp

    @property
    def failing(self) -> npt.NDArray[np.bool_]:
        """Companies that cannot pay now: late, or short of cash and not carried by others since long."""
        short = self.companies["short"] & ~self.companies["carried"]
        return (self.companies["late"] | short).to_numpy(dtype=np.bool_)


def standing_of(
    register: pd.DataFrame,
    loans: pd.DataFrame,
    accounts: pd.DataFrame,
    *,
    as_of: dt.date,
    earlier: pd.DataFrame | None = None,
    purchases: pd.DataFrame | None = None,
    lenders: pd.DataFrame | None = None,
    late_days: int = LATE_DAYS,
    short_days: int = SHORT_DAYS,
) -> Standing:
    """Bring together what registers and ledgers tell of a day.

    Parameters
    ----------
    register
        Entries of companies: ``enterprise_id``, ``valid_from``, ``legal_form``, ``group_id``, ``section``, and where
        there are ``valid_to`` and ``died``. The last entry that holds on the day counts; sole traders are left out.
    loans, accounts
        Rows by month, columns `LOANS` and `ACCOUNTS`. Of each loan and company the newest row of the last three
        months counts, so that a late report hides nobody.
    as_of
        The day: rows of later months and entries of later days are not looked at.
    earlier
        Accounts of half a year before, of the same columns. A company that was short of cash then, too, and has not
        failed, is carried by owners, groups or suppliers: the shortage of cash alone will not make it fail now. None:
        nobody is known to be carried.
    purchases
        Purchase ledgers, columns `PURCHASES`; the newest year counts. None where there are none.
    lenders
        Supervisory reports, columns `LENDERS`; of each lender the newest counts. None where there are none.
    late_days
        Days past due from which a loan is in default: 90, as in the EBA's guidelines. They stop counting where a
        payment holiday begins: it keeps a loan out of default, and takes none out of it.
    short_days
        Days for which cash and undrawn credit must cover fixed costs and loan service: 30.

    Returns
    -------
    Standing

    Raises
    ------
    DataError
        A column is missing, or no loan is known.
    """
    for name, table, wanted in (
        ("register", register, REGISTER), ("loans", loans, LOANS), ("accounts", accounts, ACCOUNTS),
        ("earlier", earlier, ACCOUNTS), ("purchases", purchases, PURCHASES), ("lenders", lenders, LENDERS),
    ):  # fmt: skip
        _need(name, table, wanted)
    day = pd.Timestamp(as_of)
    companies = _companies(register, day)
    at = pd.Index(companies["id"])
    known = _newest(loans, ["loan_id"], day)
    known = known[known["outstanding"] > 0]
    known = known.assign(company=at.get_indexer(pd.Index(known["enterprise_id"])))
    known = known[known["company"] >= 0]
    if known.empty:
        raise DataError("no company loans are known as of that day.", code="OPS-D101")
    # forborne or not: a holiday that made defaults vanish would let the figure fall while more cannot pay
    late = known["days_past_due"] >= late_days
    companies["late"] = _marked(known["company"][late], len(companies))
    service: npt.NDArray[np.float64] = np.bincount(
        known["company"], weights=(known["interest_due"] + known["principal_due"]).astype(float),
        minlength=len(companies),
    ).astype(np.float64)  # fmt: skip
    liquid, need = _books(accounts, at, day, service)
    companies["short"] = liquid < need * short_days / 30.0  # of whom no account is known, nothing is said
    companies["carried"] = False
    if earlier is not None:
        before, needed = _books(earlier, at, day, service)
        companies["carried"] = companies["short"] & (before < needed * short_days / 30.0)
    companies["liquid"] = np.nan_to_num(np.where(companies["carried"], np.maximum(liquid, need), liquid))
    ids = np.unique(known["lender_id"].to_numpy())
    return Standing(
        companies,
        pd.DataFrame(
            {
                "company": known["company"].to_numpy(dtype=np.int64),
                "lender": np.searchsorted(ids, known["lender_id"].to_numpy()),
                "outstanding": known["outstanding"].to_numpy(dtype=np.float64),
                "secured": known["secured_ppm"].to_numpy(dtype=np.float64) / 1e6,
                "guaranteed": known["guarantee_ppm"].to_numpy(dtype=np.float64) / 1e6,
            }
        ),
        _trade(purchases, at, day),
        _lenders(lenders, ids, day),
        known["month"].max(),
    )


def _companies(register: pd.DataFrame, day: pd.Timestamp) -> pd.DataFrame:
    """Return the companies that are there on a day, as then registered."""
    known = register[register["valid_from"] <= day].sort_values("valid_from", kind="stable")
    known = known.drop_duplicates("enterprise_id", keep="last")
    gone = np.zeros(len(known), dtype=bool)
    for end in ("valid_to", "died"):
        if end in known:
            gone |= (known[end] < day).to_numpy(dtype=bool)  # a missing end is none
    known = known[~gone & (known["legal_form"] != SOLE).to_numpy(dtype=bool)].sort_values("enterprise_id")
    return pd.DataFrame(
        {
            "id": known["enterprise_id"].to_numpy(),
            "group": known["group_id"].to_numpy(),
            "section": pd.Categorical(known["section"]),
        }
    )


def _books(
    accounts: pd.DataFrame, at: pd.Index, day: pd.Timestamp, service: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return cash and undrawn credit, and a month's fixed costs and loan service; NaN of whom no account is known."""
    books = _newest(accounts, ["enterprise_id"], day).set_index("enterprise_id").reindex(at)
    liquid = (books["cash"] + books["undrawn_credit"]).to_numpy(dtype=np.float64)
    return liquid, books["fixed_costs"].to_numpy(dtype=np.float64) + service


def _newest(rows: pd.DataFrame, key: list[str], day: pd.Timestamp) -> pd.DataFrame:
    """Return of each key the newest row, of the last months up to the newest one that begins by the day."""
    month = rows["month"].to_numpy().astype(_CLOCK)
    there = month <= day.to_datetime64()
    if not there.any():
        return rows[there]
    first = pd.Timestamp(month[there].max()) - pd.DateOffset(months=RECENT - 1)
    kept = rows[there & (month >= first.to_datetime64())]
    return kept.sort_values("month", kind="stable").drop_duplicates(key, keep="last")


def _trade(purchases: pd.DataFrame | None, at: pd.Index, day: pd.Timestamp) -> pd.DataFrame:
    none = np.zeros(0, dtype=np.int64)
    if purchases is not None:
        year = purchases["year"].to_numpy().astype(_CLOCK)
        there = year <= day.to_datetime64()
        if there.any():
            kept = purchases[there & (year == year[there].max())]
            supplier, customer = (at.get_indexer(pd.Index(kept[f"{x}_id"])) for x in ("supplier", "customer"))
            amount = kept["amount"].to_numpy(dtype=np.float64)
            inside = (supplier >= 0) & (customer >= 0) & (supplier != customer) & (amount > 0)
            return pd.DataFrame({"supplier": supplier[inside], "customer": customer[inside], "amount": amount[inside]})
    return pd.DataFrame({"supplier": none, "customer": none, "amount": np.zeros(0)})


def _lenders(reports: pd.DataFrame | None, ids: npt.NDArray[np.generic], day: pd.Timestamp) -> pd.DataFrame:
    """Return what each lender last reported; missing where it has not."""
    numbers = list(LENDERS[2:])
    if reports is None:
        return pd.DataFrame({"id": ids, **{name: np.full(len(ids), np.nan) for name in numbers}})
    known = reports[reports["quarter"] <= day].sort_values("quarter", kind="stable")
    known = known.drop_duplicates("lender_id", keep="last").set_index("lender_id").reindex(pd.Index(ids))
    return pd.DataFrame({"id": ids, **{name: known[name].to_numpy(dtype=np.float64) for name in numbers}})


def _marked(rows: pd.Series, size: int) -> npt.NDArray[np.bool_]:
    mark = np.zeros(size, dtype=np.bool_)
    mark[rows.to_numpy()] = True
    return mark


def _need(name: str, table: pd.DataFrame | None, wanted: Sequence[str]) -> None:
    absent = [] if table is None else [c for c in wanted if c not in table.columns]
    if absent:
        raise DataError(
            f"table {name}: the column(s) {', '.join(absent)} are missing.", remedy="Deliver them.", code="OPS-D162"
        )
