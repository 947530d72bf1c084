"""How companies' payments follow their sales: wages, tax, and the lag with which customers pay."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from opsroom.base.errors import UsageError
from opsroom.decide.relief.panel import Panel, company_panel

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_FALL = 0.7
_LEAST = 30
_RECENT = 6
_SURE = 4.0


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
    cushion_error
        Standard deviation, between draws, of the logarithm of what does drain (one less the cushion).
    """

    wage_flex: float = 0.0
    tax_flex: float = 0.0
    receipt_lag: float = 0.0
    cushion: float = 0.0
    cushion_error: float = 0.0

    def __post_init__(self) -> None:
        if any(not 0 <= x <= 1 for x in (self.wage_flex, self.tax_flex, self.receipt_lag, self.cushion)):
            raise UsageError("a habit is not a share.", remedy="Give values within 0 … 1.", code="OPS-U084")
        if not 0 <= self.cushion_error <= 1:
            raise UsageError("the error of the cushion is not within 0 … 1.", code="OPS-U084")

    def fit(
        self,
        accounts: pd.DataFrame,
        firm_months: pd.DataFrame,
        *,
        as_of: dt.date,
        activity: pd.DataFrame | None = None,
    ) -> Habits:
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
        activity
            ``enterprise_id`` and ``capacity`` (1 = normal): what is known of present activity.

        Returns
        -------
        Habits
            Where fewer than 30 company months tell, the value is kept as it is.

        Notes
        -----
        See `of_panel`.
        """
        return self.of_panel(company_panel(accounts, firm_months, as_of=as_of), activity)

    def of_panel(self, panel: Panel, activity: pd.DataFrame | None = None) -> Habits:
        r"""Return the habits estimated from company months laid out as arrays.

        Notes
        -----
        Over the last six months, company months whose sales fell below 70 % of the mean of their year
        before: flex = Σ relative fall of the payment / Σ relative fall of sales (a ratio of sums, falls
        limited to 0 … 1). But a month's sales are noisy, and wages do not follow noise: where present
        activity z is known and goes with last month's sales, the wage flex is that of the instrument,
        :math:`\operatorname{cov}(z,w)/\operatorname{cov}(z,s)` over companies, w and s being wages and sales
        as shares of usual. Cushion: one less the fall of liquidity over the fall that the other habits
        imply, summed over the last three months' companies that burnt and had twice that left, so that
        the floor of zero cash does not pass for a cushion; loan payments are left out on both sides, which
        understates it. Lag: least squares of receipts on this and last month's sales, :math:`b_1/(b_0+b_1)`.
        Seasonal swings are mostly smaller than the 30 % and so left out.
        """
        if panel.last < 0:
            return self
        both, usual = panel.both, usual_year(panel)
        lag = _lag(panel, both, self.receipt_lag)
        found = replace(
            self,
            wage_flex=_flex(panel, panel.wages, both, usual[0], usual[1], self.wage_flex),
            tax_flex=_flex(panel, panel.tax, both, usual[0], usual[2], self.tax_flex),
            receipt_lag=lag,
            cushion=_cushion(panel, both, usual[0], lag, self.cushion),
        )
        return found.following(panel, activity)

    def following(self, panel: Panel, activity: pd.DataFrame | None) -> Habits:
        """Return the habits with the wage flex that known activity tells, where it tells any; see `of_panel`."""
        found = _instrumented(panel, activity) if panel.last >= 0 else None
        return self if found is None else replace(self, wage_flex=found)


def usual_year(panel: Panel) -> tuple[Floats, Floats, Floats]:
    """Return each company's mean sales, wages and tax over the year that ended six months before the last."""
    if panel.usual is not None:
        return panel.usual
    stop = panel.last - _RECENT + 1
    start = max(stop - 12, 0)
    seen = panel.both[:, start : max(stop, 0)]
    number = seen.sum(axis=1)

    def mean(values: Floats) -> Floats:
        total = np.where(seen, np.nan_to_num(values[:, start : max(stop, 0)]), 0.0).sum(axis=1)
        return np.asarray(np.divide(total, number, out=np.full(len(number), np.nan), where=number > 0))

    return mean(panel.sales), mean(panel.wages), mean(panel.tax)


def _recent(panel: Panel, months: int) -> slice:
    return slice(max(panel.last - months + 1, 0), panel.last + 1)


def _flex(panel: Panel, payment: Floats, both: Flags, sales: Floats, usual: Floats, otherwise: float) -> float:
    """Return the relative fall of a payment over that of sales, where sales have fallen."""
    span = _recent(panel, _RECENT)
    known = (sales > 0) & (usual > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = panel.sales[:, span] / sales[:, None]
        fallen = both[:, span] & known[:, None] & (share < _FALL)
        if int(fallen.sum()) < _LEAST:
            return otherwise
        fall = np.clip(1.0 - payment[:, span] / usual[:, None], 0.0, 1.0)[fallen].sum()
    return float(np.clip(fall / (1.0 - share[fallen]).sum(), 0.0, 1.0))


def _instrumented(panel: Panel, activity: pd.DataFrame | None) -> float | None:
    """Return how wages follow last month's sales as far as known activity moves these; None if it does not."""
    if activity is None:
        return None
    share = activity.drop_duplicates("enterprise_id", keep="last").set_index("enterprise_id")["capacity"]
    z = share.reindex(panel.ids).to_numpy(dtype=np.float64)
    usual, last = usual_year(panel), panel.last
    known = (
        np.isfinite(panel.liquid[:, last])
        & np.isfinite(panel.sales[:, last])
        & np.isfinite(z)
        & (usual[0] > 0)
        & (usual[1] > 0)
    )
    if int(known.sum()) < _LEAST:
        return None
    z = np.clip(z[known], 0.0, 2.0)
    sales = np.clip(panel.sales[known, last] / usual[0][known], 0.0, 2.0)
    wages = np.clip(panel.wages[known, last] / usual[1][known], 0.0, 2.0)
    z = z - z.mean()
    moved = z * (sales - sales.mean())
    if moved.mean() <= _SURE * moved.std() / np.sqrt(len(z)):
        return None
    return float(np.clip((z * (wages - wages.mean())).mean() / moved.mean(), 0.0, 1.0))


def _cushion(panel: Panel, both: Flags, usual: Floats, lag: float, otherwise: float) -> float:
    """Return the share of the modelled burn that did not drain liquidity."""
    span = _recent(panel, 3)
    now, then = np.arange(span.start, span.stop), np.arange(span.start, span.stop) - 1
    now, then = now[then >= 0], then[then >= 0]
    sales, before = panel.sales[:, now], panel.sales[:, then]
    receipts = (1.0 - panel.materials[:, now]) * ((1.0 - lag) * sales + lag * before)
    burn = panel.fixed[:, now] + panel.wages[:, now] + panel.tax[:, now] - receipts
    known = both[:, now] & both[:, then] & (usual > 0)[:, None]
    with np.errstate(invalid="ignore"):
        deep = known & (burn > 0.05 * usual[:, None]) & (panel.liquid[:, then] > 2.0 * burn)
    if int(deep.sum()) < _LEAST:
        return otherwise
    scale = np.broadcast_to(usual[:, None], deep.shape)[deep]
    drained = (panel.liquid[:, then] - panel.liquid[:, now])[deep]
    return float(np.clip(1.0 - (drained / scale).sum() / (burn[deep] / scale).sum(), 0.0, 0.9))


def _lag(panel: Panel, both: Flags, otherwise: float) -> float:
    """Return the share of sales paid a month later, by least squares of receipts on sales."""
    if panel.paid_in is None:
        return otherwise
    number = both.sum(axis=1)
    total = np.where(both, np.nan_to_num(panel.sales), 0.0).sum(axis=1)
    mean = np.divide(total, number, out=np.zeros(len(number)), where=number > 0)
    kept = both[:, 1:] & both[:, :-1] & (mean > 0)[:, None]
    if int(kept.sum()) < _LEAST:
        return otherwise
    scale = np.broadcast_to(mean[:, None], kept.shape)[kept]
    now, then, paid = (x[kept] / scale for x in (panel.sales[:, 1:], panel.sales[:, :-1], panel.paid_in[:, 1:]))
    (b0, b1), *_ = np.linalg.lstsq(np.column_stack([now, then]), paid, rcond=None)
    whole = b0 + b1
    return float(np.clip(b1 / whole, 0.0, 1.0)) if whole > 0 else otherwise
