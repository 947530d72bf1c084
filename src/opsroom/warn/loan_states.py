"""The state of every company loan in every month: performing, forborne or delinquent, exactly one of them."""

from __future__ import annotations

import datetime as dt
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
    months = pd.to_datetime(loans["month"])
    keep = (months <= pd.Timestamp(as_of)) & (loans["outstanding"] > 0)
    if since is not None:
        keep &= months >= since
    rows = loans[keep].assign(month=months[keep])
    rows = _with_sections(rows, register, as_of)
    if rows.empty:
        raise DataError("no company loans are known as of that day.", code="OPS-D101")
    return _added_up(rows)


def _with_sections(rows: pd.DataFrame, register: pd.DataFrame | None, as_of: dt.date) -> pd.DataFrame:
    if register is None:
        rows = rows.assign(section=rows["section"].astype(str) if "section" in rows.columns else "all")
        return rows if "group_id" in rows.columns else rows.assign(group_id=rows["enterprise_id"])
    known = register[["enterprise_id", "valid_from", "legal_form", "group_id", "section"]]
    known = known.assign(
        valid_from=pd.to_datetime(known["valid_from"]).astype(_CLOCK), section=known["section"].astype(str)
    )
    known = known[known["valid_from"] <= pd.Timestamp(as_of)].sort_values("valid_from", kind="stable")
    kept = rows.drop(columns=["section", "group_id"], errors="ignore")
    # a company counts where it was first entered, also in the months before that ...
    first = known.drop_duplicates("enterprise_id").set_index("enterprise_id")
    at = first.index.get_indexer(pd.Index(kept["enterprise_id"]))
    kept, at = kept[at >= 0], at[at >= 0]
    placed = kept.assign(**{c: first[c].to_numpy()[at] for c in ("legal_form", "group_id", "section")})
    moved = known["enterprise_id"][known["enterprise_id"].duplicated()]
    changed = placed["enterprise_id"].isin(moved)
    if changed.any():
        # ... and where it moved, as registered in the month itself: a move does not rewrite the past
        late = placed[changed].assign(month=placed["month"][changed].astype(_CLOCK)).sort_values("month", kind="stable")
        then = pd.merge_asof(
            late[["enterprise_id", "month"]],
            known,
            left_on="month",
            right_on="valid_from",
            by="enterprise_id",
        )
        for column in ("legal_form", "group_id", "section"):
            values = then[column].to_numpy()
            late[column] = np.where(then["valid_from"].notna(), values, late[column].to_numpy())
        placed = pd.concat([placed[~changed], late])
    company: pd.DataFrame = placed[placed["legal_form"] != SOLE]
    return company.drop(columns="legal_form")


def _added_up(rows: pd.DataFrame) -> pd.DataFrame:
    state = loan_states(rows)
    owed = rows["outstanding"].to_numpy(dtype=np.int64)
    days = rows["days_past_due"].to_numpy(dtype=np.int64)
    late = state == "delinquent"
    service = np.where(late, (rows["interest_due"] + rows["principal_due"]).to_numpy(dtype=np.int64), 0)
    data = {f: np.where(state == f, owed, 0) for f in STATES}
    data |= {
        "outstanding": owed,
        "early": np.where(late & (days < LATE_DAYS), owed, 0),
        "late": np.where(late & (days >= LATE_DAYS), owed, 0),
        "service": service,
        "arrears": service * -(-days // 30),
    }
    keys = ["month", "enterprise_id", "group_id", "section"]
    month, enterprise = rows["month"].to_numpy(), rows["enterprise_id"].to_numpy()
    order = np.lexsort((enterprise, month))
    new = np.ones(len(order), dtype=bool)
    new[1:] = np.diff(enterprise[order]) != 0
    new[1:] |= month[order][1:] != month[order][:-1]
    start = np.flatnonzero(new)
    totals = rows[keys].take(order[start]).reset_index(drop=True)
    for name, values in data.items():
        totals[name] = np.add.reduceat(values[order], start)
    totals["is_delinquent"] = totals["delinquent"] > 0
    totals["in_arrears"] = totals["is_delinquent"] | (totals["forborne"] > 0)
    return totals
