"""Companies' currency mismatch: debt in foreign currency that no receipts in foreign currency stand against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError

if TYPE_CHECKING:
    from opsroom.base.results import Cells

METHOD = "currency-mismatch-1"


@dataclass(frozen=True, slots=True)
class CurrencyMismatch:
    """What companies owe in foreign currency without earning it; confidential.

    Attributes
    ----------
    units
        One row a company: the dimensions, ``group_id``, ``debt``, ``fx_debt``, ``unhedged`` (minor units),
        ``exposed`` (whether anything is unhedged).
    by
        Dimensions.
    years
        Years of receipts that count as a hedge.
    period
        What the figures are about.
    """

    units: pd.DataFrame
    by: tuple[str, ...]
    years: float
    period: str

    def to_frame(self) -> pd.DataFrame:
        """Return by cell, and in all (``"_T"``): ``debt``, ``fx_debt``, ``unhedged`` and shares in per cent."""
        from opsroom.base.results import TOTAL

        sums = self.units.groupby(list(self.by))[["debt", "fx_debt", "unhedged"]].sum().reset_index()
        total = self.units[["debt", "fx_debt", "unhedged"]].sum().to_frame().T.assign(**dict.fromkeys(self.by, TOTAL))
        frame = pd.concat([sums, total], ignore_index=True)
        for name, part, whole in (("fx_share", "fx_debt", "debt"), ("unhedged_share", "unhedged", "fx_debt")):
            bottom = frame[whole].to_numpy(dtype=np.float64)
            top = 100.0 * frame[part].to_numpy(dtype=np.float64)
            frame[name] = np.divide(top, bottom, out=np.full(len(frame), np.nan), where=bottom > 0)
        return frame[[*self.by, "debt", "fx_debt", "unhedged", "fx_share", "unhedged_share"]]

    def loss(self, depreciation: float) -> pd.DataFrame:
        """Return by cell what a depreciation adds to unhedged debt, in minor units of home currency.

        Parameters
        ----------
        depreciation
            Rise of the price of foreign currency, 0.2 for 20 %.
        """
        frame = self.to_frame()
        return frame[[*self.by]].assign(loss=frame["unhedged"] * depreciation)

    def summary(self) -> str:
        """Return the share of debt in foreign currency that is unhedged."""
        row = self.to_frame().iloc[-1]
        if not row["fx_debt"] > 0:
            return f"{self.period}: no company owes foreign currency."
        return (
            f"{self.period}: {row['fx_share']:.1f} % of companies' debt is in foreign currency, of which "
            f"{row['unhedged_share']:.1f} % is not covered by {self.years:g} year(s) of foreign-currency receipts."
        )

    def cite(self) -> str:
        """Return method and version."""
        return f"Currency mismatch of companies, {METHOD}: natural hedges company by company; opsroom {__version__}."

    def cells(self, *, name: str = "credit.currency", source: str = "") -> Cells:
        """Return the shares for the gate.

        Parameters
        ----------
        name, source
            Of the release series.
        """
        from opsroom.base.cells import parts_from_units
        from opsroom.base.results import Cells, Measure, Part

        frame = self.units.assign(period=self.period, n=1).rename(
            columns={"debt": "m_debt", "fx_debt": "m_fx_debt", "unhedged": "m_unhedged", "exposed": "n_exposed"}
        )
        values = {c: c for c in ("m_debt", "m_fx_debt", "m_unhedged", "n_exposed", "n")}
        parts = parts_from_units(
            frame,
            dimensions=["period", *self.by],
            group="group_id",
            values=values,
            shares={"m_fx_debt": "m_debt", "m_unhedged": "m_fx_debt", "n_exposed": "n"},
            totals=list(self.by),
        )
        return Cells(
            name=name,
            dimensions=("period", *self.by),
            additive=self.by,
            frame=parts,
            parts=(
                *(Part(c, "minor units") for c in ("m_debt", "m_fx_debt", "m_unhedged")),
                Part("n_exposed", "companies"),
                Part("n", "companies"),
            ),
            measures=(
                Measure("fx_share", "share", "% of debt", ("m_fx_debt", "m_debt"), scale=100.0),
                Measure("unhedged_share", "share", "% of FX debt", ("m_unhedged", "m_fx_debt"), scale=100.0),
                Measure("exposed", "share", "% of companies", ("n_exposed", "n"), scale=100.0),
            ),
            method=METHOD,
            source=source,
            facts={"years_of_receipts": self.years},
        )  # fmt: skip


def currency_mismatch(
    companies: pd.DataFrame, *, by: Sequence[str] = ("section",), years: float = 1.0, period: str
) -> CurrencyMismatch:
    """Hold companies' debt in foreign currency against what they receive in it.

    Answers: who would be hurt by a fall of the currency?

    Parameters
    ----------
    companies
        One row a company: the dimensions, ``group_id``, ``debt`` and ``fx_debt`` (the stock in all currencies and in
        foreign ones), ``fx_receipts`` (of a year) and, optionally, ``fx_hedged`` (bought forward or held abroad);
        minor units of home currency, whole numbers, not negative.
    by
        Columns of the dimensions.
    years
        Years of receipts that count as a hedge, from 0.
    period
        Code of the period that the figures are about, such as ``2020-Q1``.

    Returns
    -------
    CurrencyMismatch

    Raises
    ------
    UsageError
        A column is missing; a value is missing or negative; a company owes more in foreign currency than in all.

    Notes
    -----
    Unhedged is :math:`\\max(0, F - H - kR)` company by company: the receipts of an exporter do not cover the debt of
    its neighbour, which a sector's totals would say. Currencies are not told apart: dollars count against euros.
    """
    amounts = ["debt", "fx_debt", "fx_receipts", *(["fx_hedged"] if "fx_hedged" in companies else [])]
    absent = [c for c in (*by, "group_id", *amounts) if c not in companies.columns]
    if absent or not by:
        raise UsageError(
            f"the companies lack the column(s) {', '.join(absent) or 'of a dimension'}.",
            remedy="Give debt, fx_debt and fx_receipts of each company.",
        )
    if not years >= 0.0:
        raise UsageError("a negative number of years of receipts is no hedge.", remedy="Give years from 0.")
    table = companies[amounts]
    if table.isna().any().any() or (table < 0).any().any():
        raise UsageError(
            "an amount of some company is missing or negative.", remedy="Leave the company out, or give it 0."
        )
    if (table["fx_debt"] > table["debt"]).any():
        raise UsageError("a company owes more in foreign currency than in all.", remedy="Give debt in all currencies.")
    hedge = np.rint(table["fx_receipts"].to_numpy(dtype=np.float64) * years).astype(np.int64)
    if "fx_hedged" in table:
        hedge = hedge + table["fx_hedged"].to_numpy(dtype=np.int64)
    unhedged = np.maximum(table["fx_debt"].to_numpy(dtype=np.int64) - hedge, 0)
    units = companies[[*by, "group_id"]].assign(
        debt=table["debt"].to_numpy(dtype=np.int64),
        fx_debt=table["fx_debt"].to_numpy(dtype=np.int64),
        unhedged=unhedged,
        exposed=unhedged > 0,
    )
    return CurrencyMismatch(units.reset_index(drop=True), tuple(by), float(years), period)
