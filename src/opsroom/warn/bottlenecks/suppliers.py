"""On how few suppliers the buyers of a product rest: Herfindahl index, the largest k, buyers with a single source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from opsroom._version import __version__
from opsroom.base.errors import UsageError
from opsroom.base.results import Cells, Measure, Part

METHOD = "supplier-concentration-1"
COLUMNS = ("supplier", "supplier_group", "customer", "customer_group", "product", "amount")


@dataclass(frozen=True, slots=True)
class SupplierConcentration:
    """Concentration of supply by product. Confidential: a Herfindahl index of few tells the largest.

    Attributes
    ----------
    frame
        One row a product: ``purchases``, ``suppliers`` (owners), ``hhi`` (0 to 10,000), ``effective`` (10,000 / hhi:
        equal suppliers that would be as concentrated), ``top1``, ``top_k`` (shares in per cent), ``customers``,
        ``single`` (customers with one owner behind all they buy of the product), ``single_share`` (per cent of
        customers), ``single_value`` (per cent of purchases).
    customers
        One row a customer and product with ``single``: for the gate, never to be shown.
    k
        Of ``top_k``.
    """

    frame: pd.DataFrame
    customers: pd.DataFrame
    k: int

    def to_frame(self) -> pd.DataFrame:
        """Return one row a product."""
        return self.frame

    def summary(self) -> str:
        """Return the products of which buyers rest on the fewest suppliers."""
        told = [
            f"{row['product']}: {row['effective']:.1f} equal suppliers, {row['single_share']:.0f} % with one source"
            for row in self.frame.sort_values("effective", kind="stable").head(3).to_dict("records")
        ]
        return f"Fewest suppliers: {'; '.join(told)}."

    def cite(self) -> str:
        """Return method and version."""
        return f"Herfindahl index of supply by owner, buyers with a single source; {METHOD}; opsroom {__version__}."

    def cells(self, *, period: str, name: str = "bottlenecks.single_source", source: str = "") -> Cells:
        """Return the share of customers with a single source for the gate: counts, never values.

        Parameters
        ----------
        period
            The reference period, such as ``2018``.
        name, source
            Of the release series.

        Notes
        -----
        Customers are counted. Their purchases would be somebody's sales: a sum by product that customers are many
        enough to publish may be all that one supplier sells. A Herfindahl index or a largest k comes out by
        ``opsroom.protect.derived`` alone, one by one.
        """
        from opsroom.base.cells import parts_from_units

        units = self.customers.assign(period=period, all=True)
        parts = parts_from_units(
            units,
            dimensions=["period", "product"],
            group="customer_group",
            values={"n_single": "single", "n_customers": "all"},
            shares={"n_single": "n_customers"},
            totals=False,
        )
        return Cells(
            name=name,
            dimensions=("period", "product"),
            frame=parts,
            parts=(Part("n_single", "customers"), Part("n_customers", "customers")),
            measures=(Measure("single_source", "share", "% of customers", ("n_single", "n_customers"), scale=100.0),),
            method=METHOD,
            source=source,
        )


def supplier_concentration(links: pd.DataFrame, *, k: int = 3) -> SupplierConcentration:
    """Measure how concentrated the supply of each product is.

    Answers: of which products does one supplier's failure leave the buyers without?

    Parameters
    ----------
    links
        One row a delivery or a sum of some: ``supplier`` and ``customer`` with the owner of each
        (``supplier_group``, ``customer_group``), the ``product``, and the ``amount``, not negative.
    k
        How many of the largest owners ``top_k`` adds up.

    Returns
    -------
    SupplierConcentration

    Raises
    ------
    UsageError
        A column is missing, an amount is negative or not finite, or k is less than one.

    Notes
    -----
    Suppliers of one owner are one supplier. Deliveries within an owner are left out: who makes it himself rests on
    nobody. Rows of the same pair are added up before anything else. What fails most often: a product that is too
    broad, of whose many suppliers only one makes what a customer needs; the index then is too low.
    """
    absent = [c for c in COLUMNS if c not in links.columns]
    if absent:
        raise UsageError(f"the links lack the column(s) {', '.join(absent)}.", remedy=f"Give {', '.join(COLUMNS)}.")
    if k < 1:
        raise UsageError("the largest are counted from 1.", remedy="Use k=3.")
    amount = links["amount"].to_numpy(dtype=np.float64)
    if not (np.isfinite(amount) & (amount >= 0)).all():
        raise UsageError("an amount is negative, missing or not finite.", remedy="Correct the links.")
    used = links[(links["supplier_group"].to_numpy() != links["customer_group"].to_numpy()) & (amount > 0)]
    sums = used.groupby(["product", "supplier_group"], sort=True, observed=True)["amount"].sum()
    total = sums.groupby(level=0, observed=True).transform("sum")
    share = (sums / total).rename("share").reset_index().sort_values(["product", "share"], ascending=[True, False])
    share["rank"] = share.groupby("product", observed=True).cumcount()
    by = share.groupby("product", sort=True, observed=True)
    frame = pd.DataFrame(
        {
            "purchases": sums.groupby(level=0, observed=True).sum(),
            "suppliers": by.size(),
            "hhi": 1e4 * by["share"].agg(lambda s: float((s**2).sum())),
        }
    )
    frame["effective"] = 1e4 / frame["hhi"]
    for name, most in (("top1", 1), ("top_k", k)):
        frame[name] = 100.0 * share[share["rank"] < most].groupby("product", observed=True)["share"].sum()
    buyers = used.groupby(["product", "customer", "customer_group"], sort=True, observed=True).agg(
        sources=("supplier_group", "nunique"), amount=("amount", "sum")
    )
    buyers = buyers.reset_index().assign(single=lambda b: b["sources"] == 1)
    per = buyers.groupby("product", sort=True, observed=True)
    frame["customers"], frame["single"] = per.size(), per["single"].sum().astype(np.int64)
    frame["single_share"] = 100.0 * frame["single"] / frame["customers"]
    alone = buyers["amount"].where(buyers["single"], 0).groupby(buyers["product"], observed=True).sum()
    frame["single_value"] = 100.0 * alone / frame["purchases"]
    columns = ["product", "customer", "customer_group", "single"]
    return SupplierConcentration(frame.rename_axis("product").reset_index(), buyers[columns], k)
