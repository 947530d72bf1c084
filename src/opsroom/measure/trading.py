"""What invoices tell by section of the sellers: terms, late payment, and on how few suppliers customers rest.

An invoice is its seller's and its buyer's. So every figure is counted with the sellers as contributors and again with
the buyers (`Measure.sides`): the gate publishes it where its rules hold for both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opsroom._version import __version__
from opsroom.base import verbs
from opsroom.base.cells import parts_from_units
from opsroom.base.results import Cells, Measure, Part
from opsroom.base.verbs import col, if_else, lit
from opsroom.measure.invoices import settled

if TYPE_CHECKING:
    import datetime as dt

    import ibis
    import pandas as pd

METHOD = "trading-1"
DIMENSIONS = ("month", "section")
BUYERS = "_bought"
"""What the name of a part ends in that is counted with the buyers as contributors."""

_DUE = {"n_due": "invoices", "n_late": "invoices", "n_open": "invoices", "m_beyond": "days"}
_SETTLED_LATE = "n_settled_late"
"""What is left of late bills without the open ones. Nobody asks for it, but who knows both numbers knows it."""

_ISSUED = {"n_dated": "invoices", "m_agreed": "days"}
_LINKS = {"n_links": "links", "n_single": "links", "n_new": "links", "m_net": "minor units", "m_single": "minor units"}


def pairs_due(invoices: ibis.Table, *, as_of: dt.date, payments: ibis.Table | None = None) -> ibis.Table:
    """Count invoices by seller, buyer and the month in which they are due.

    Parameters
    ----------
    invoices, payments
        As for `opsroom.measure.payment_delay`, in any currency.
    as_of
        Later payments are not looked at.

    Returns
    -------
    ibis.Table
        ``seller_id``, ``buyer_id``, ``month`` (first day); ``n_due``, ``n_late`` (not paid by the day on which they
        were due), ``n_open`` (not paid by `as_of`), ``m_beyond`` (days from due to paid, negative where early, of those
        not paid to `as_of`; summed), ``last_paid`` (date; null where none is paid).

    Notes
    -----
    The mean delay of paid bills alone understates, for the latest payers are those that have not paid. Counted up to
    the day, an open bill's delay is what it is at least.
    """
    rows = verbs.where(invoices, condition=(col("kind") == "invoice") & ~col("due_on").is_null())
    rows = settled(rows, as_of=as_of, payments=payments)
    paid, one, none = ~col("settled_on").is_null(), lit(1), lit(0)
    rows = verbs.derive(
        rows,
        month=col("due_on").truncate("M"),
        is_late=if_else(paid & (col("settled_on") <= col("due_on")), none, one),
        is_open=if_else(paid, none, one),
        beyond=if_else(paid, col("settled_on"), lit(as_of)).index("D") - col("due_on").index("D"),
    )
    return verbs.group(
        rows,
        by=["seller_id", "buyer_id", "month"],
        measures={
            "n_due": ("count", None), "n_late": ("sum", "is_late"), "n_open": ("sum", "is_open"),
            "m_beyond": ("sum", "beyond"), "last_paid": ("max", "settled_on"),
        },
    )  # fmt: skip


def pairs_issued(invoices: ibis.Table, *, currency: str) -> ibis.Table:
    """Count invoices by seller, buyer and the month of issue.

    Parameters
    ----------
    invoices
        As for `opsroom.measure.supplier_network`, with ``due_on``.
    currency
        Of ``m_net``: amounts of two currencies do not add up.

    Returns
    -------
    ibis.Table
        ``seller_id``, ``buyer_id``, ``month`` (first day); ``n_dated`` (invoices with a due day), ``m_agreed`` (days
        from issue to due, summed over these), ``m_net`` (net of tax, invoices alone), ``last_issued`` (date).
    """
    rows = verbs.where(invoices, condition=col("kind") == "invoice")
    dated = ~col("due_on").is_null()
    rows = verbs.derive(
        rows,
        month=col("issued_on").truncate("M"),
        dated=if_else(dated, lit(1), lit(0)),
        agreed=if_else(dated, col("due_on").index("D") - col("issued_on").index("D"), lit(0)),
        amount=if_else((col("currency") == currency) & (col("net") > 0), col("net"), lit(0)),
    )
    return verbs.group(
        rows,
        by=["seller_id", "buyer_id", "month"],
        measures={
            "n_dated": ("sum", "dated"), "m_agreed": ("sum", "agreed"), "m_net": ("sum", "amount"),
            "last_issued": ("max", "issued_on"),
        },
    )  # fmt: skip


def links(pairs: pd.DataFrame) -> pd.DataFrame:
    """Make the links between owners of what was issued between companies.

    Parameters
    ----------
    pairs
        ``seller_group``, ``buyer_group``, ``section`` (of the seller), ``month`` (a whole number, one more each month),
        ``m_net``.

    Returns
    -------
    pandas.DataFrame
        One row a pair of owners, section and month: ``m_net``; ``n_links`` (1); ``n_single`` (1 where the buyer has no
        other seller in the section and month); ``n_new`` (1 where there was no such link the month before);
        ``m_single`` (``m_net`` of single ones).
    """
    key = ["section", "month", "seller_group", "buyer_group"]
    found = pairs.groupby(key, sort=True, observed=True)["m_net"].sum().reset_index()
    sellers = found.groupby(["section", "month", "buyer_group"], observed=True)["seller_group"].transform("size")
    before = found[key].assign(month=found["month"] + 1, seen=True)
    seen = found[key].merge(before, on=key, how="left")["seen"].notna()
    single = (sellers == 1).to_numpy()
    return found.assign(
        n_links=1,
        n_single=single.astype("int64"),
        n_new=(~seen).to_numpy().astype("int64"),
        m_single=found["m_net"].where(single, 0),
    )


def reach(pairs: pd.DataFrame, column: str, fewest: int) -> pd.Timestamp | None:
    """Return the last day on or after which enough sellers and enough buyers were seen.

    One contributor's own last day, however early or late, is not told by the months that are shown.

    Parameters
    ----------
    pairs
        ``seller_group``, ``buyer_group`` and the column.
    column
        A date.
    fewest
        How many of each.

    Returns
    -------
    Timestamp or None
        None where there are fewer.
    """
    import pandas as pd

    found = []
    for side in ("seller_group", "buyer_group"):
        last = pd.to_datetime(pairs[column]).groupby(pairs[side], observed=True).max().dropna()
        if len(last) < fewest:
            return None
        found.append(last.nlargest(fewest).iloc[-1])
    return min(found)


@dataclass(frozen=True, slots=True)
class Trading:
    """What invoices tell by section of the sellers. Confidential.

    Attributes
    ----------
    due, issued, network
        Rows of pairs of owners with ``month`` (text, such as ``2024-03``), ``section``, ``seller_group``,
        ``buyer_group``: counts of `pairs_due` and of `pairs_issued`, and `links`. `due` is empty while no payment is
        known.
    currency
        Of the amounts.
    """

    due: pd.DataFrame
    issued: pd.DataFrame
    network: pd.DataFrame
    currency: str

    def to_frame(self) -> pd.DataFrame:
        """Return late payment, terms and single sources by month and section, as far as there is anything."""
        import pandas as pd

        by = list(DIMENSIONS)
        parts = []
        if len(self.due):
            sums = self.due.groupby(by, observed=True)[list(_DUE)].sum()
            parts.append(
                pd.DataFrame(
                    {
                        "late": 100.0 * sums["n_late"] / sums["n_due"], "open": 100.0 * sums["n_open"] / sums["n_due"],
                        "delay": sums["m_beyond"] / sums["n_due"],
                    }
                )
            )  # fmt: skip
        sums = self.issued.groupby(by, observed=True)[list(_ISSUED)].sum()
        parts.append(pd.DataFrame({"agreed": sums["m_agreed"] / sums["n_dated"].where(sums["n_dated"] > 0)}))
        sums = self.network.groupby(by, observed=True)[list(_LINKS)].sum()
        parts.append(pd.DataFrame({"single": 100.0 * sums["n_single"] / sums["n_links"]}))
        return pd.concat(parts, axis=1).sort_index().reset_index()

    def summary(self) -> str:
        """Return how many invoices, links and months it rests on."""
        months = sorted({*self.due["month"], *self.issued["month"]})
        return (
            f"Invoices of {len(months)} month(s): {int(self.issued['n_dated'].sum()):,} with a due day, "
            f"{int(self.due['n_late'].sum()):,} of {int(self.due['n_due'].sum()):,} due were paid late or not yet."
        )

    def cite(self) -> str:
        """Return method and version."""
        return f"Invoices by section of the seller, judged by sellers and buyers; {METHOD}; opsroom {__version__}."

    def cells(self) -> list[Cells]:
        """Return ``invoices.delay``, ``invoices.terms`` and ``invoices.suppliers`` for the gate.

        Notes
        -----
        No part of one table is a part of another, nor is one row's part another row's: of equalities that it is not
        told of the gate would not know. Open bills are late ones: what is left of these is a part of its own, so that
        late and open are not told together where one company's bills make the difference.
        """
        found = []
        if len(self.due):
            measures = (
                _measure("late", "share", "% of invoices due", "n_late", "n_due", scale=100.0),
                _measure("open", "share", "% of invoices due", "n_open", "n_due", scale=100.0),
                _measure("delay", "ratio", "days after the due day", "m_beyond", "n_due"),
            )
            rows = self.due.assign(**{_SETTLED_LATE: self.due["n_late"] - self.due["n_open"]})
            units = {**_DUE, _SETTLED_LATE: "invoices"}
            found.append(_cells("invoices.delay", rows, units, measures, ("open-until-the-day",)))
        if len(self.issued):
            agreed = (_measure("agreed", "ratio", "days from issue to due", "m_agreed", "n_dated"),)
            found.append(_cells("invoices.terms", self.issued, _ISSUED, agreed))
        if len(self.network):
            measures = (
                _measure("single", "share", "% of links", "n_single", "n_links", scale=100.0),
                _measure("new", "share", "% of links", "n_new", "n_links", scale=100.0),
                _measure("single_value", "share", "% of the amount", "m_single", "m_net", scale=100.0),
            )
            facts = {"currency": self.currency}
            found.append(_cells("invoices.suppliers", self.network, _LINKS, measures, ("single-source",), facts))
        return found


def _measure(name: str, kind: str, unit: str, above: str, below: str, *, scale: float = 1.0) -> Measure:
    sides = ((above + BUYERS, below + BUYERS),)
    return Measure(name, kind, unit, (above, below), scale=scale, sides=sides)  # type: ignore[arg-type]  # one of two


def _cells(
    name: str,
    pairs: pd.DataFrame,
    units: Mapping[str, str],
    measures: Sequence[Measure],
    notes: tuple[str, ...] = (),
    facts: Mapping[str, object] | None = None,
) -> Cells:
    shares = {side[0]: side[1] for m in measures if m.kind == "share" for side in m.every_side}
    frames = []
    for group, end in (("seller_group", ""), ("buyer_group", BUYERS)):
        own = {part: whole for part, whole in shares.items() if part.endswith(BUYERS) == bool(end)}
        frame = parts_from_units(
            pairs, dimensions=list(DIMENSIONS), group=group, values={part + end: part for part in units}, shares=own,
            totals=["section"],
        )  # fmt: skip
        frames.append(frame.set_index(list(DIMENSIONS)))
    return Cells(
        name=name,
        dimensions=DIMENSIONS,
        additive=("section",),
        frame=frames[0].join(frames[1], how="left").reset_index(),
        parts=tuple(Part(part + end, unit) for end in ("", BUYERS) for part, unit in units.items()),
        measures=tuple(measures),
        method=METHOD,
        notes=notes,
        facts=dict(facts or {}),
    )
