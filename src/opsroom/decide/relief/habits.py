"""How companies' payments follow their sales: wages, tax, and the lag with which customers pay."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from opsroom.base.errors import UsageError

_FALL = 0.7
_LEAST = 30
_LOOK_BACK = 24


@dataclass(frozen=True, slots=True)
class Habits:
    """How outgoings and receipts follow activity; by default nothing does.

    Attributes
    ----------
    wage_flex
        Share of the wage bill that moves with activity (short-time work, fewer hours).
    tax_flex
        Share of tax that moves with activity (value added tax does, a property tax does not).
    receipt_lag
        Share of sales that customers pay, and of materials that are paid, a month later.
    cushion
        Share of an operating shortfall that does not drain liquidity: bills that suppliers and landlords let
        stand, owners' money, investment not made.
    """

    wage_flex: float = 0.0
    tax_flex: float = 0.0
    receipt_lag: float = 0.0
    cushion: float = 0.0

    def __post_init__(self) -> None:
        if any(not 0 <= x <= 1 for x in (self.wage_flex, self.tax_flex, self.receipt_lag, self.cushion)):
            raise UsageError("a habit is not a share.", remedy="Give values within 0 … 1.", code="OPS-U084")

    def fit(self, accounts: pd.DataFrame, firm_months: pd.DataFrame, *, as_of: dt.date) -> Habits:
        r"""Return the habits estimated from company months known on a day.

        Parameters
        ----------
        accounts
            ``enterprise_id``, ``month``, ``cash``, ``undrawn_credit``, ``fixed_costs``, ``materials_ppm``,
            ``tax_due``.
        firm_months
            ``enterprise_id``, ``month``, ``sales``, ``wage_bill`` and, for the lag, ``payments_in``.
        as_of
            Later months are ignored.

        Returns
        -------
        Habits
            Where fewer than 30 company months tell, the value is kept as it is.

        Notes
        -----
        Over the last six months, company months whose sales fell below 70 % of the mean of their year
        before: flex = Σ relative fall of the payment / Σ relative fall of sales (a ratio of sums, falls
        limited to 0 … 1). Cushion: one less the fall of liquidity over the fall that the other habits
        imply, summed over the last three months' companies that burnt and had twice that left, so that
        the floor of zero cash does not pass for a cushion; loan payments are left out on both sides where
        `paid` is not known, which understates it. Lag: least squares of receipts on this and last month's
        sales, :math:`b_1/(b_0+b_1)`. Seasonal swings are mostly smaller than the 30 % and so left out.
        """
        rows = _company_months(accounts, firm_months, pd.Timestamp(as_of))
        both = _against_usual(rows)
        fallen = both[both["sales"] < _FALL * both["sales_usual"]]
        found = Habits(
            wage_flex=_flex(fallen[fallen["wage_bill_usual"] > 0], "wage_bill", self.wage_flex),
            tax_flex=_flex(fallen[fallen["tax_due_usual"] > 0], "tax_due", self.tax_flex),
            receipt_lag=_lag(rows, self.receipt_lag),
        )
        return replace(found, cushion=_cushion(both, found.receipt_lag, self.cushion))


def _company_months(accounts: pd.DataFrame, firm_months: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """Join accounts and months and add the month before, where it is there."""
    wanted = ["enterprise_id", "month", "sales", "wage_bill", "payments_in"]
    kept = ["enterprise_id", "month", "cash", "undrawn_credit", "fixed_costs", "materials_ppm", "tax_due"]
    months = _since(firm_months[[c for c in wanted if c in firm_months.columns]], now)
    rows = months.merge(_since(accounts[kept], now), on=["enterprise_id", "month"])
    rows = rows.assign(liquid=rows["cash"] + rows["undrawn_credit"])
    rows = rows.sort_values(["enterprise_id", "month"], kind="stable", ignore_index=True)
    number = rows["month"].dt.year * 12 + rows["month"].dt.month
    firm = rows["enterprise_id"]
    follows = (firm == firm.shift()) & (number - number.shift() == 1)
    before = rows[["sales", "liquid"]].shift().where(follows)
    return rows.assign(sales_then=before["sales"], liquid_then=before["liquid"])


def _since(table: pd.DataFrame, now: pd.Timestamp) -> pd.DataFrame:
    """Return the months up to a day that the estimates look at, with dates as such."""
    month = pd.to_datetime(table["month"])
    inside = (month <= now) & (month > now - pd.DateOffset(months=_LOOK_BACK))
    return table[inside].assign(month=month[inside])


def _against_usual(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the last six months beside the means of the twelve before."""
    last = rows["month"].max()
    before = rows[(rows["month"] <= last - pd.DateOffset(months=6)) & (rows["month"] > last - pd.DateOffset(months=18))]
    usual = before.groupby("enterprise_id")[["sales", "wage_bill", "tax_due"]].mean().add_suffix("_usual")
    recent = rows[rows["month"] > last - pd.DateOffset(months=6)]
    both: pd.DataFrame = recent.join(usual, on="enterprise_id", how="inner")
    known: pd.DataFrame = both[both["sales_usual"] > 0]
    return known


def _cushion(rows: pd.DataFrame, lag: float, otherwise: float) -> float:
    """Return the share of the modelled burn that did not drain liquidity."""
    recent = rows[rows["month"] > rows["month"].max() - pd.DateOffset(months=3)].dropna(subset=["liquid_then"])
    margin = 1.0 - recent["materials_ppm"] / 1e6
    receipts = margin * ((1.0 - lag) * recent["sales"] + lag * recent["sales_then"])
    burn = recent["fixed_costs"] + recent["wage_bill"] + recent["tax_due"] - receipts
    deep = (burn > 0.05 * recent["sales_usual"]) & (recent["liquid_then"] > 2.0 * burn)
    if int(deep.sum()) < _LEAST:
        return otherwise
    drained = (recent["liquid_then"] - recent["liquid"])[deep]
    scale = recent["sales_usual"][deep]
    return float(np.clip(1.0 - (drained / scale).sum() / (burn[deep] / scale).sum(), 0.0, 0.9))


def _flex(rows: pd.DataFrame, column: str, otherwise: float) -> float:
    if len(rows) < _LEAST:
        return otherwise
    fall = (1.0 - rows[column] / rows[f"{column}_usual"]).clip(0.0, 1.0).sum()
    return float(np.clip(fall / (1.0 - rows["sales"] / rows["sales_usual"]).sum(), 0.0, 1.0))


def _lag(rows: pd.DataFrame, otherwise: float) -> float:
    if "payments_in" not in rows.columns:
        return otherwise
    mean = rows.groupby("enterprise_id")["sales"].transform("mean")
    kept = (rows["sales_then"].notna() & (mean > 0)).to_numpy()
    if kept.sum() < _LEAST:
        return otherwise
    scale = mean.to_numpy(dtype=np.float64)[kept]
    columns = ("sales", "sales_then", "payments_in")
    now, then, paid = (rows[c].to_numpy(dtype=np.float64)[kept] / scale for c in columns)
    (b0, b1), *_ = np.linalg.lstsq(np.column_stack([now, then]), paid, rcond=None)
    total = b0 + b1
    return float(np.clip(b1 / total, 0.0, 1.0)) if total > 0 else otherwise
