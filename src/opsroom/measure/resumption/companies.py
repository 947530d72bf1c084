"""Who counts: the frozen cohort of companies active before the holiday, and entrants apart."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd

from opsroom.base.errors import FitError, UsageError
from opsroom.measure.resumption.readings import day_numbers, ordinal

NATURAL = ("SOLE",)
"""Legal forms of natural persons: never on a company desk."""

TELEWORK: Mapping[str, float] = {
    "A": 0.08, "B": 0.25, "C": 0.22, "D": 0.37, "E": 0.31, "F": 0.19, "G": 0.25, "H": 0.19, "I": 0.04,
    "J": 0.72, "K": 0.76, "L": 0.42, "M": 0.80, "N": 0.31, "O": 0.41, "P": 0.83, "Q": 0.25, "R": 0.30,
    "S": 0.31, "T": 0.10, "U": 0.41,
}  # fmt: skip
"""Share of jobs that can be done from home, by NACE section: J. Dingel and B. Neiman (2020), table 3,
NAICS sectors matched to sections; water and waste as administrative support, retail and wholesale weighted,
households by assumption."""

REQUIRED = ("enterprise_id", "valid_from", "valid_to", "legal_form", "section", "region", "size_class",
            "employees", "annual_sales", "born", "died")  # fmt: skip


def companies_on(register: pd.DataFrame, *, cohort_day: dt.date, last: dt.date) -> pd.DataFrame:
    """Return the cohort and the entrants, one row a company.

    Parameters
    ----------
    register
        Slowly changing register; the latest row with ``valid_from`` on or before a day applies.
    cohort_day
        Day before the holiday on which the cohort is frozen.
    last
        Last day of observation; companies born between are entrants.

    Returns
    -------
    pandas.DataFrame
        Sorted by ``enterprise_id``: region, section, size_class, group, employees, annual_sales,
        ``gone`` (day of death, days since 1970, a far day if alive), ``entrant``.
    """
    absent = [c for c in REQUIRED if c not in register.columns]
    if absent:
        raise UsageError(f"the register lacks the column(s) {', '.join(absent)}.")
    table = register[~register["legal_form"].astype(str).isin(NATURAL)]
    start = day_numbers(table["valid_from"])
    far = np.iinfo(np.int32).max
    frozen = ordinal(cohort_day)
    died = day_numbers(table["died"], missing=far)
    born = day_numbers(table["born"], missing=0)
    table = table.assign(_start=start, _died=died, _born=born)
    latest_died = table.groupby("enterprise_id")["_died"].min()
    before = table[(start <= frozen) & (born <= frozen)]
    cohort = before.sort_values("_start", kind="stable").groupby("enterprise_id").tail(1)
    ended = day_numbers(cohort["valid_to"], missing=far)
    gone = latest_died.loc[cohort["enterprise_id"]].to_numpy()
    cohort = cohort[(gone > frozen) & (ended >= frozen)].assign(entrant=False)
    after = table[(born > frozen) & (start <= ordinal(last))]
    entrants = after.sort_values("_start", kind="stable").groupby("enterprise_id").tail(1).assign(entrant=True)
    both = pd.concat([cohort, entrants]).sort_values("enterprise_id", ignore_index=True)
    if cohort.empty:
        raise FitError("no company was active on the cohort day.", remedy="Choose another cohort day.")
    group = both["group_id"] if "group_id" in both else both["enterprise_id"]
    own = both["enterprise_id"].to_numpy(dtype=np.int64)
    return pd.DataFrame(
        {
            "enterprise_id": own,
            "group": group.fillna(both["enterprise_id"]).to_numpy(dtype=np.int64),
            "region": both["region"].astype(str).to_numpy(),
            "section": both["section"].astype(str).to_numpy(),
            "size_class": both["size_class"].astype(str).to_numpy(),
            "employees": both["employees"].to_numpy(dtype=np.int64),
            "annual_sales": both["annual_sales"].to_numpy(dtype=np.int64),
            "gone": latest_died.loc[own].to_numpy(),
            "entrant": both["entrant"].to_numpy(dtype=bool),
            "sme": np.where(both["size_class"].astype(str) == "large", "large", "sme"),
        }
    )


def telework_prior(sections: np.ndarray, telework: Mapping[str, float] | None) -> np.ndarray:
    """Return the share of jobs that can be done from home, company by company."""
    table = TELEWORK if telework is None else telework
    return np.array([float(table.get(s, 0.2)) for s in sections], dtype=np.float64)
