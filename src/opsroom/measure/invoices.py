"""What invoices between companies tell: who supplies whom, and how late bills are paid.

Both take rows as the built-in dataset `invoices` has them and return tables of companies, which are confidential:
what is shown of them passes the gate like everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from opsroom.base import verbs
from opsroom.base.errors import UsageError
from opsroom.base.verbs import col, if_else, lit

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    import ibis

Unit = Literal["M", "Q", "A"]


def supplier_network(invoices: ibis.Table, *, unit: Unit = "M", currency: str = "EUR") -> ibis.Table:
    """Return who supplies whom, with amounts by period.

    Parameters
    ----------
    invoices
        ``seller_id``, ``buyer_id``, ``issued_on`` (date), ``currency``, ``net`` (int64, minor units; credit notes
        negative).
    unit
        Length of a period: month, quarter or year.
    currency
        Invoices in other currencies are left out: amounts of two currencies do not add up.

    Returns
    -------
    ibis.Table
        ``seller_id``, ``buyer_id``, ``period`` (first day), ``net`` (int64), ``invoices`` (documents, credit notes
        among them). An edge whose credit notes outweigh its invoices is negative.

    Notes
    -----
    What fails most often: invoices are issued by legal units, not by those who make the goods; a group's trading
    company hides the network behind it.
    """
    if unit not in ("M", "Q", "A"):
        raise UsageError(f"there is no unit {unit!r}.", remedy="Use M, Q or A.")
    rows = verbs.where(invoices, condition=(col("currency") == currency) & (col("seller_id") != col("buyer_id")))
    rows = verbs.derive(rows, period=col("issued_on").truncate(unit))
    return verbs.group(
        rows,
        by=["seller_id", "buyer_id", "period"],
        measures={"net": ("sum", "net"), "invoices": ("count", None)},
    )


def settled(rows: ibis.Table, *, as_of: dt.date, payments: ibis.Table | None = None) -> ibis.Table:
    """Return invoices with the day on which each was paid, ``settled_on``: null where that is not known by a day.

    Parameters
    ----------
    rows
        Invoices.
    as_of
        Later payments are not looked at.
    payments
        As for `payment_delay`; None: the invoices' own ``paid_on``.
    """
    if payments is None:
        return verbs.derive(rows, settled_on=if_else(col("paid_on") <= as_of, col("paid_on"), None))
    known = verbs.where(payments, condition=col("paid_on") <= as_of)
    last = verbs.group(known, by=["seller_id", "invoice_number"], measures={"settled_on": ("max", "paid_on")})
    return verbs.join(rows, last, on=["seller_id", "invoice_number"], how="left")


def payment_delay(
    invoices: ibis.Table,
    *,
    as_of: dt.date,
    payments: ibis.Table | None = None,
    by: Sequence[str] = ("buyer_id",),
    currency: str = "EUR",
) -> ibis.Table:
    """Return how long was agreed for paying, and how late bills are paid or still open.

    Parameters
    ----------
    invoices
        ``seller_id``, ``buyer_id``, ``invoice_number``, ``kind``, ``issued_on``, ``due_on``, ``currency``, ``gross``
        (int64, minor units) and, without `payments`, ``paid_on``. Credit notes are left out: they are not paid.
    as_of
        Bills due before and not paid by then are overdue; later payments are not looked at.
    payments
        ``seller_id``, ``invoice_number``, ``paid_on`` (the day on which the bill was paid in full). None: the
        invoices' own ``paid_on``.
    by
        Columns that make a row: ``buyer_id`` (who pays late), ``seller_id`` (who waits), or both.
    currency
        Invoices in other currencies are left out.

    Returns
    -------
    ibis.Table
        `by`; ``invoices``; ``agreed_days`` (mean from issue to due, of those with a due day); ``paid``;
        ``delay_days`` (mean days after the due day of those paid, negative where early; null where none is);
        ``overdue`` and ``overdue_gross`` (int64).

    Notes
    -----
    The mean delay of paid bills understates: the latest payers are those that have not paid. Read it together
    with ``overdue``. Where no payment is known at all, every bill past its day counts as overdue: see that the
    dataset holds payments before believing it.
    """
    rows = verbs.where(
        invoices, condition=(col("currency") == currency) & (col("kind") == "invoice") & (col("issued_on") <= as_of)
    )
    rows = settled(rows, as_of=as_of, payments=payments)
    due, payment = col("due_on"), col("settled_on")
    paid = ~payment.is_null()
    overdue = payment.is_null() & (due < as_of)
    rows = verbs.derive(
        rows,
        agreed_days=due.index("D") - col("issued_on").index("D"),
        delay_days=payment.index("D") - due.index("D"),
        is_paid=if_else(paid, lit(1), lit(0)),
        is_overdue=if_else(overdue, lit(1), lit(0)),
        late_gross=if_else(overdue, col("gross"), lit(0)),
    )
    return verbs.group(
        rows,
        by=list(by),
        measures={
            "invoices": ("count", None),
            "agreed_days": ("mean", "agreed_days"),
            "paid": ("sum", "is_paid"),
            "delay_days": ("mean", "delay_days"),
            "overdue": ("sum", "is_overdue"),
            "overdue_gross": ("sum", "late_gross"),
        },
    )
