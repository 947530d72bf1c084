"""Balanced accounts of the whole: who paid whom each month, and GDP three ways. Exact in integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from opsroom.economy.horizon import MONTHS_SIMULATED, Ints, month_date
from opsroom.economy.indicators import Indicators
from opsroom.economy.money import Books
from opsroom.economy.sectors import SECTION_CODES

IMPORT_SHARE: Final = 20
"""Per cent of materials bought abroad."""

STATE_SHARE: Final = 55
"""Per cent of taxes that the state spends on companies' goods and services."""

FLOW_COLUMNS: Final = (
    "wages_paid", "dividends", "taxes_paid", "materials_paid", "fixed_paid", "old_bills_paid", "investment",
    "fx_receipts", "injected", "payments_in", "payments_out", "lent", "founded",
)  # fmt: skip


def sums_of(books: Books, first: int = 0) -> dict[str, Ints]:
    """Return a chunk's monthly sums over its active companies, and of its loans and stocks, from a month on."""
    back = max(first - 1, 0)  # credit lines are compared with the month before
    active = books.active[back:]
    sums = {name: (books[name][back:] * active).sum(axis=1) for name in FLOW_COLUMNS}
    cash = books["cash"][back:] * active
    undrawn = books["undrawn_credit"][back:] * active
    liquidated = books["liquidated"][back:].sum(axis=1)
    sums["cash"] = cash.sum(axis=1) - liquidated
    sums["liquidated"] = liquidated
    sums["repaid_loans"] = books.lending["paid"][back:].sum(axis=(1, 2))
    before = np.concatenate([undrawn[:1], undrawn[:-1]])
    change = np.where(np.concatenate([active[:1], active[:-1]]), undrawn - before, undrawn - books.firms.limit) * active
    change[0] = (undrawn[0] - books.firms.limit) * active[0]
    sums["drawn"] = np.maximum(-change, 0).sum(axis=1)
    sums["repaid_lines"] = np.maximum(change, 0).sum(axis=1)
    for name in ("outstanding", "charged", "new", "written_off"):
        sums[f"loans_{name}"] = books.lending[name][back:].sum(axis=(1, 2))
    return {name: x[first - back :] for name, x in sums.items()}


def payment_flows(sums: Mapping[str, Ints]) -> pd.DataFrame:
    """Return who paid whom: month, payer, payee, amount (cents).

    Notes
    -----
    A payment between companies is one number, received and paid. Households' spending at companies is what
    companies received and nobody else paid, so the table adds up: companies' receipts and outlays are those
    of their books.
    """
    imports = sums["materials_paid"] * IMPORT_SHARE // 100
    state = sums["taxes_paid"] * STATE_SHARE // 100
    between = sums["materials_paid"] - imports + sums["fixed_paid"] + sums["old_bills_paid"] + sums["investment"]
    spending = sums["payments_in"] - sums["injected"] - sums["fx_receipts"] - state - between
    flows = {
        ("companies", "households"): sums["wages_paid"] + sums["dividends"] + sums["liquidated"],
        ("companies", "state"): sums["taxes_paid"],
        ("companies", "companies"): between,
        ("companies", "abroad"): imports,
        ("companies", "banks"): sums["repaid_loans"] + sums["repaid_lines"],
        ("households", "companies"): spending + sums["injected"] + sums["founded"],
        ("state", "companies"): state,
        ("abroad", "companies"): sums["fx_receipts"],
        ("banks", "companies"): sums["lent"] + sums["drawn"],
    }
    months = [pd.Timestamp(month_date(t)) for t in range(MONTHS_SIMULATED)]
    frames = [
        pd.DataFrame({"month": months, "payer": payer, "payee": payee, "amount": amount})
        for (payer, payee), amount in flows.items()
    ]
    return pd.concat(frames, ignore_index=True)


def stocks(sums: Mapping[str, Ints]) -> pd.DataFrame:
    """Return companies' cash and debts at the end of each month, and what changed the debts (cents)."""
    names = ("cash", "loans_outstanding", "loans_charged", "loans_new", "loans_written_off", "repaid_loans")
    months = [pd.Timestamp(month_date(t)) for t in range(MONTHS_SIMULATED)]
    return pd.DataFrame({"month": months, **{name: sums[name] for name in names}})


def national_accounts(indicators: Indicators) -> pd.DataFrame:
    """Return GDP three ways: quarter, approach, item, amount (thousand MER, nominal).

    Notes
    -----
    Value added of each section, its nominal amount, is the root; taxes on products are a share of it.
    Exports and imports follow the trade series, investment falls with the cycle, government is steady,
    wages follow output slowly; households' consumption and operating surplus close the accounts. All three
    sum to the same integer.
    """
    a = indicators.aggregate
    deflator = indicators.prices
    value = a.quarterly(a.output) / 100 * 30_000_000 * 0.9 * deflator
    product = np.rint(value).astype(np.int64)
    taxes = np.rint(value.sum(axis=0) / 9).astype(np.int64)
    gdp = product.sum(axis=0) + taxes
    monthly = indicators.monthly
    scale = gdp[0] * 0.3 / a.quarterly(monthly["exports"])[0]
    exports = np.rint(a.quarterly(monthly["exports"]) * deflator * scale).astype(np.int64)
    imports = np.rint(a.quarterly(monthly["imports"]) * deflator * scale).astype(np.int64)
    cycle = a.quarterly(a.cycle - 1.5 * a.shock)
    steady = gdp / np.exp(a.quarterly(a.cycle)) / (1 - a.quarterly(a.shock))
    investment = np.rint(0.21 * steady * np.exp(2.5 * cycle)).astype(np.int64)
    government = np.rint(0.20 * steady).astype(np.int64)
    wages = np.rint(0.50 * steady * np.exp(0.6 * cycle)).astype(np.int64)
    blocks = {
        "production": {**{f"B1G.{c}": product[k] for k, c in enumerate(SECTION_CODES)}, "D21": taxes},
        "expenditure": {
            "P3.households": gdp - government - investment - exports + imports,
            "P3.state": government,
            "P5": investment,
            "P6": exports,
            "P7": -imports,
        },
        "income": {"D1": wages, "B2": gdp - wages - taxes, "D21": taxes},
    }
    frames = [
        pd.DataFrame({"quarter": a.quarters, "approach": approach, "item": item, "amount": amount})
        for approach, items in blocks.items()
        for item, amount in items.items()
    ]
    return pd.concat(frames, ignore_index=True)
