"""How long companies' liquidity lasts, and how many jobs depend on companies with little of it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.cells import parts_from_units
from opsroom.base.errors import UsageError
from opsroom.base.results import Cells, Measure, Part
from opsroom.decide.relief.firms import activity, check_firms, monthly_margin, monthly_outgo, moving_outgo
from opsroom.decide.relief.habits import Habits
from opsroom.decide.relief.recovery import DAYS_PER_MONTH

Basis = Literal["burn", "outgoings"]


def runway_days(
    firms: pd.DataFrame, *, basis: Basis = "burn", with_loans: bool = True, habits: Habits | None = None
) -> npt.NDArray[np.float64]:
    """Return for how many days each company's liquidity lasts.

    Parameters
    ----------
    firms
        Columns `FIRM_COLUMNS`.
    basis
        ``"burn"``: cash and undrawn credit over outgoings net of present receipts; infinite where receipts
        suffice. ``"outgoings"``: cash alone over outgoings, as if receipts stopped (cash buffer days).
    with_loans
        Count loan service among the outgoings.
    habits
        How wages and tax follow present activity; by default they do not.

    Returns
    -------
    numpy.ndarray
        Days, at least 0.

    References
    ----------
    JPMorgan Chase Institute (2016), Cash is king: flows, balances, and buffer days.
    """
    outgo = monthly_outgo(firms).astype(np.float64)
    outgo -= moving_outgo(firms, habits or Habits()) * (1.0 - activity(firms, firms["sales_now"]))
    if with_loans:
        outgo = outgo + (firms["interest_due"] + firms["principal_due"]).to_numpy(dtype=np.float64)
    stock = firms["cash"].to_numpy(dtype=np.float64)
    if basis == "burn":
        stock = stock + firms["undrawn_credit"].to_numpy(dtype=np.float64)
        outgo = outgo - monthly_margin(firms, firms["sales_now"])
    elif basis == "outgoings":
        sales = firms["sales_now"].to_numpy(dtype=np.int64)
        outgo = outgo + (sales - monthly_margin(firms, firms["sales_now"]))
    else:
        raise UsageError(f"there is no basis {basis!r}.", remedy="Use burn or outgoings.", code="OPS-U082")
    lasts = np.divide(stock, outgo, out=np.full(len(firms), np.inf), where=outgo > 0) * DAYS_PER_MONTH
    return np.where(stock < 0, 0.0, np.maximum(lasts, 0.0))


@dataclass(frozen=True, slots=True)
class LiquidityResult:
    """Companies and jobs by how long liquidity lasts. Confidential.

    Attributes
    ----------
    as_of
        The day.
    threshold
        Days below which liquidity counts as short.
    basis
        How days are counted; see `runway_days`.
    firms
        One row a company: ids, section, size_class, employees, ``days``, ``short``.
    """

    as_of: dt.date
    threshold: float
    basis: Basis
    firms: pd.DataFrame

    @property
    def jobs(self) -> int:
        """Jobs at companies with short liquidity."""
        return int(self.firms["employees"].to_numpy()[self.firms["short"].to_numpy()].sum())

    @property
    def companies(self) -> int:
        """Companies with short liquidity."""
        return int(self.firms["short"].sum())

    def to_frame(self) -> pd.DataFrame:
        """Return jobs and companies under the threshold by section and size (``_T``, ``sme``, ``large``)."""
        frame = self.cells()[0].frame
        frame = frame[["section", "size", "companies_short", "companies", "jobs_short", "jobs"]]
        return frame.assign(share_jobs=100.0 * frame["jobs_short"] / frame["jobs"].clip(lower=1)).reset_index(drop=True)

    def summary(self) -> str:
        """Return the national figures in a line."""
        jobs = int(self.firms["employees"].sum())
        return (
            f"As of {self.as_of.isoformat()}: {self.companies:,} of {len(self.firms):,} companies, with "
            f"{self.jobs:,} of {jobs:,} jobs, have liquidity for under {self.threshold:g} days "
            f"({'at present receipts' if self.basis == 'burn' else 'if receipts stopped'})."
        )

    def cite(self) -> str:
        """Return source and method."""
        return "opsroom relief.liquidity 1; JPMorgan Chase Institute (2016), Cash is king."

    def cells(self) -> list[Cells]:
        """Return the publishable cells of ``liquidity.section``."""
        units = self.firms.assign(
            size=np.where(self.firms["size_class"] == "large", "large", "sme"),
            one=1,
            jobs_short=self.firms["employees"].where(self.firms["short"], 0),
        )
        frame = parts_from_units(
            units,
            dimensions=["section", "size"],
            group="group_id",
            values={
                "companies_short": "short",
                "companies": "one",
                "jobs_short": "jobs_short",
                "jobs": "employees",
            },
            shares={"jobs_short": "jobs", "companies_short": "companies"},
        )
        frame.insert(0, "month", self.as_of.strftime("%Y-%m"))
        return [
            Cells(
                name="liquidity.section",
                dimensions=("month", "section", "size"),
                additive=("section", "size"),
                frame=frame,
                parts=(
                    Part("companies_short", "companies"),
                    Part("companies", "companies"),
                    Part("jobs_short", "jobs"),
                    Part("jobs", "jobs"),
                ),
                measures=(
                    Measure("jobs_under_30_days", "sum", "jobs", ("jobs_short",), decimals=0),
                    Measure("companies_under_30_days", "count", "companies", ("companies_short",), decimals=0),
                    Measure("share_jobs", "share", "%", ("jobs_short", "jobs"), scale=100.0),
                ),
                method="relief.liquidity-1",
                notes=("liquidity-is-cash-and-undrawn-credit", "illiquid-is-not-failed"),
                facts={
                    "threshold_days": self.threshold,
                    "basis": self.basis,
                    "as_of": self.as_of.isoformat(),
                },
            )
        ]


def liquidity(
    firms: pd.DataFrame,
    *,
    as_of: dt.date,
    threshold: float = 30.0,
    basis: Basis = "burn",
    habits: Habits | None = None,
) -> LiquidityResult:
    """Count companies, and jobs at them, whose liquidity lasts for under 30 days.

    Parameters
    ----------
    firms
        Columns `FIRM_COLUMNS`.
    as_of
        The day that the frame describes.
    threshold
        Days.
    basis, habits
        See `runway_days`.

    Returns
    -------
    LiquidityResult
        With `cells` for ``liquidity.section``.
    """
    frame = check_firms(firms)
    days = runway_days(frame, basis=basis, habits=habits)
    kept = frame[["enterprise_id", "group_id", "section", "size_class", "employees"]]
    return LiquidityResult(as_of, threshold, basis, kept.assign(days=days, short=days < threshold))
