"""Desk `invoices`: terms, late payment, and on how few suppliers customers rest, by section of the sellers.

Settings: ``invoices`` (a dataset in the built-in layout), ``register`` (for sections, owners and legal forms),
``payments`` (a dataset with ``seller_id``, ``invoice_number``, ``paid_on``; the invoices' own ``paid_on`` where the
room has none), ``currency`` (of the amounts; ``EUR``), ``last`` (months published, 12).

Once a month. A figure is published where the gate's rules hold for the sellers behind it and for the buyers. Bills of
natural persons, and within one group of companies, count nowhere.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from opsroom.base.codes import NATURAL_FORMS
from opsroom.base.errors import SettingsError
from opsroom.base.settings import Cadence, DeskSettings
from opsroom.protect.rules import Rules
from opsroom.room.desk import DeskOutcome, View, nothing_known_of
from opsroom.room.desks.registered import owners, registered

if TYPE_CHECKING:
    import ibis
    import pandas as pd

NEEDS = ("seller_id", "buyer_id", "invoice_number", "kind", "issued_on", "due_on", "currency", "net")
IDLE = 4
"""Days at the end of a month on which perhaps nobody issues an invoice: a long weekend."""

NO_PAYMENT = "no payment is known: nothing is said of late payment"


class InvoicesDesk:
    """Watch payments and supply between companies."""

    cadences: Mapping[str, Cadence] = {
        "invoices.delay": "monthly",
        "invoices.terms": "monthly",
        "invoices.suppliers": "monthly",
    }

    def run(self, view: View, settings: DeskSettings) -> DeskOutcome:
        """Return late payment by month due, terms and single sources by month of issue."""
        from opsroom.measure.trading import Trading, links, pairs_due, pairs_issued, reach

        dataset, register = str(settings.require("invoices")), str(settings.require("register"))
        if nothing := nothing_known_of(view, dataset, register):
            return nothing
        payments = _payments(view, settings, dataset)
        fewest = Rules.from_settings(view.settings.rules).min_contributors
        last, currency = int(settings.get("last", 12)), str(settings.get("currency", "EUR"))
        table = view.table(dataset)

        issued, due = _of_companies(
            view, register, pairs_issued(table, currency=currency), pairs_due(table, as_of=view.day, payments=payments)
        )
        until = _months_over(reach(issued, "last_issued", fewest), before=view.day, idle=IDLE)
        if until is None:
            return DeskOutcome(None, note="too few companies' invoices are known yet")
        network = links(issued)
        first = network["month"].min()  # of which nobody can say what is new
        network = network[network["month"].between(max(until - last + 1, first + 1), until)]
        issued = issued[issued["month"].between(until - last + 1, until)]

        paid_until = _months_over(reach(due, "last_paid", fewest), before=view.day) if len(due) else None
        due = due.iloc[:0] if paid_until is None else due[due["month"].between(paid_until - last + 1, paid_until)]
        found = Trading(_told(due), _told(issued), _told(network), currency)
        if not (len(network) or len(issued) or len(due)):
            return DeskOutcome(found, note="no month is complete")
        cells = tuple(found.cells())
        return DeskOutcome(found, cells, note="" if len(due) else NO_PAYMENT)


def _payments(view: View, settings: DeskSettings, dataset: str) -> ibis.Table | None:
    """Return the table of payments, None where the invoices' own day of payment is to be used."""
    name = settings.get("payments")
    there = name is not None and view.has(str(name))
    absent = [c for c in (*NEEDS, *(() if there else ("paid_on",))) if c not in view.fields(dataset)]
    told, needs = dataset, "an invoice"
    if there and not absent:
        absent = [c for c in ("seller_id", "invoice_number", "paid_on") if c not in view.fields(str(name))]
        told, needs = str(name), "a payment"
    if absent:
        raise SettingsError(
            f"room.toml: desk {settings.name!r}: {told!r} has no field {', '.join(absent)}.",
            remedy=f"Name a dataset that has all fields of {needs}.",
            code="OPS-C006",
        )
    return view.table(str(name)) if there else None


def _of_companies(view: View, register: str, *tables: ibis.Table) -> list[pd.DataFrame]:
    """Return tables of pairs with the owners of both and the section of the seller; months as whole numbers.

    Left out are sellers that the register does not know, natural persons on either side, and bills within a group.
    """
    import pandas as pd

    from opsroom.base import verbs

    found: list[pd.DataFrame] = [verbs.collect(pairs).to_pandas(date_as_object=False) for pairs in tables]
    sides = [(rows, side) for rows in found for side in ("seller", "buyer")]
    codes, ids = pd.factorize(pd.concat([rows.pop(f"{side}_id") for rows, side in sides], ignore_index=True))
    told = registered(view, register, pd.Series(ids), ["section"])
    owner = owners(told, pd.Series(ids)).where(~told["legal_form"].isin(NATURAL_FORMS)).astype("category")
    section = told["section"].astype("category")
    start = 0
    for rows, side in sides:
        own, start = codes[start : start + len(rows)], start + len(rows)
        rows[f"{side}_group"] = owner.array.take(own)
        if side == "seller":
            rows["section"] = section.array.take(own)
    return [_between_owners(rows) for rows in found]


def _between_owners(rows: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows = rows.dropna(subset=["seller_group", "buyer_group", "section"])
    rows = rows[rows["seller_group"].cat.codes != rows["buyer_group"].cat.codes]
    month = pd.to_datetime(rows["month"])
    return rows.assign(month=12 * month.dt.year + month.dt.month - 1).reset_index(drop=True)


def _months_over(day: pd.Timestamp | None, *, before: dt.date, idle: int = 0) -> int | None:
    """Return the number of the last month that was over by both days, None without a day.

    After the first, some days on which nothing happens may lie.
    """
    if day is None:
        return None
    end = min(day.date() + dt.timedelta(days=idle), before) + dt.timedelta(days=1)
    return 12 * end.year + end.month - 2


def _told(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with months as they are written."""
    number = rows["month"].to_numpy(dtype=np.int64)
    names: dict[int, Any] = {int(n): f"{n // 12:04d}-{n % 12 + 1:02d}" for n in np.unique(number)}
    return rows.assign(month=[names[n] for n in number.tolist()])


DESK = InvoicesDesk()
