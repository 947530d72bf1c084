"""Suppliers and customers: a sparse network of companies, and the input-output table that it adds up to."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from opsroom.economy.horizon import Floats, Ints, month_number
from opsroom.economy.population import ENTERPRISE_BASE
from opsroom.economy.randomness import stream
from opsroom.economy.registers import strings
from opsroom.economy.sectors import DIVISION_SECTION, DIVISIONS, SECTION_CODES

if TYPE_CHECKING:
    from opsroom.economy.money import Books
    from opsroom.economy.population import Chunk
    from opsroom.economy.workshop import Workshop

YEAR: Final = dt.date(2018, 1, 1)
ROUNDS: Final = 12
CAPACITY: Final = 0.9
"""Share of its sales at home that a supplier may sell to other companies."""

IMPORTED: Final = {"A": 0.10, "B": 0.20, "C": 0.30, "D": 0.45, "G": 0.25, "H": 0.15}
"""Imported share of what a section's companies buy; others: 0.10."""

_NEEDS: Final = {
    "A": "AACGHD", "B": "BCFHDN", "C": "CCCAGHDM", "D": "BDDCMF", "E": "ECFDHN", "F": "FFCCGMN",
    "G": "CCCGAHLNM", "H": "HHGCNDL", "I": "AGCLDN", "J": "JJMNLC", "K": "KKJMLN", "L": "FFKNLM",
    "M": "MMJNLK", "N": "NNHMJG", "O": "FMNJCQ", "P": "LMNJCG", "Q": "CGQMNL", "R": "LNMIJG",
    "S": "GCLNMD", "T": "GN", "U": "MNLJ",
}  # fmt: skip
"""Sections from which a section buys, repeated by importance."""

CAPITAL_GOODS: Final = {
    "41": 5.0,
    "42": 2.0,
    "43": 3.0,
    "28": 3.0,
    "29": 2.0,
    "26": 1.5,
    "62": 2.0,
    "25": 1.0,
    "71": 0.7,
    "46": 1.5,
}


@dataclass(frozen=True, slots=True)
class Market:
    """All companies as sellers and buyers in `YEAR`: one entry each, money in cents."""

    index: Ints
    division: Ints
    sales: Ints
    exports: Ints
    purchases: Ints
    """Materials bought at home and abroad."""
    investment: Ints


def market_of(chunk: Chunk, books: Books) -> Market:
    """Return a chunk's companies as sellers and buyers, from books that hold `YEAR`."""
    year = slice(month_number(YEAR), month_number(YEAR) + 12)
    sales = books["sales"][year] * books.active[year]
    received = np.maximum((books["payments_in"] - books["injected"])[year].sum(axis=0), 1)
    exported = books["fx_receipts"][year].sum(axis=0) / received
    total = sales.sum(axis=0)
    return Market(
        index=chunk.enterprises.index,
        division=chunk.enterprises.division,
        sales=total,
        exports=np.minimum(np.rint(total * exported).astype(np.int64), total),
        purchases=(sales * books.firms.materials_ppm // 1_000_000).sum(axis=0),
        investment=books["investment"][year].sum(axis=0),
    )


@dataclass(frozen=True)
class Network:
    """The supply network of `YEAR`.

    Notes
    -----
    Each customer draws suppliers by division (what its section needs) and by size; amounts are found by
    proportional fitting: customers' home purchases are to be covered and no supplier sells more than
    `CAPACITY` of its sales at home. What cannot be covered is imported. So, to the cent, purchases = links
    + imports for each customer, the table's cells are sums of links, and final uses are what suppliers sell
    otherwise.

    References
    ----------
    Bacharach (1970), *Biproportional matrices and input-output change*.
    """

    workshop: Workshop

    @cached_property
    def market(self) -> Market:
        """Sales and purchases of all companies, from their books."""
        parts, _ = self.workshop.totals
        return Market(*(np.concatenate([getattr(p, name) for p in parts]) for name in Market.__slots__))

    @cached_property
    def _links(self) -> tuple[Ints, Ints, Ints]:
        """Supplier and customer (positions in the market) and amount of each link, in order of supplier."""
        market = self.market
        rng = stream(self.workshop.population.seed, "network")
        supplier, customer = _draw_pairs(rng, market)
        home = np.array([1 - IMPORTED.get(c, 0.10) for c in SECTION_CODES])[DIVISION_SECTION[market.division]]
        target = np.floor(market.purchases * home)
        ceiling = np.floor(CAPACITY * (market.sales - market.exports))
        n = len(market.index)
        flow = rng.gamma(0.8, 1.0, len(supplier)) * np.sqrt(market.sales[supplier] + 1.0)
        for _ in range(ROUNDS):
            bought = np.bincount(customer, weights=flow, minlength=n)
            flow *= (target / np.maximum(bought, 1e-9))[customer]
            sold = np.bincount(supplier, weights=flow, minlength=n)
            flow *= np.minimum(1.0, ceiling / np.maximum(sold, 1e-9))[supplier]
        bought = np.bincount(customer, weights=flow, minlength=n)
        flow *= np.minimum(1.0, target / np.maximum(bought, 1e-9))[customer]
        amount = np.floor(flow).astype(np.int64)
        keep = amount > 0
        return supplier[keep], customer[keep], amount[keep]

    def links(self) -> pa.Table:
        """Return the links: supplier, customer, year, amount."""
        supplier, customer, amount = self._links
        ids = ENTERPRISE_BASE + self.market.index
        return pa.table(
            {
                "supplier_id": ids[supplier],
                "customer_id": ids[customer],
                "year": pa.array([YEAR] * len(amount), pa.date32()),
                "amount": amount,
            }
        )

    @cached_property
    def imports(self) -> Ints:
        """What each customer buys abroad."""
        _, customer, amount = self._links
        covered = np.bincount(customer, weights=amount, minlength=len(self.market.index))
        result: Ints = self.market.purchases - covered.astype(np.int64)
        return result

    @cached_property
    def table(self) -> tuple[Ints, Ints]:
        """Intermediate uses (division x division) and final uses (division x P3, P51, P6), cents."""
        market = self.market
        supplier, customer, amount = self._links
        n = len(DIVISIONS)
        inner = np.zeros((n, n), dtype=np.int64)
        np.add.at(inner, (market.division[supplier], market.division[customer]), amount)
        output, exports = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
        np.add.at(output, market.division, market.sales)
        np.add.at(exports, market.division, market.exports)
        left = output - exports - inner.sum(axis=1)
        wish = np.array([CAPITAL_GOODS.get(d, 0.0) for d in DIVISIONS]) * np.maximum(left, 0)
        total = min(float(market.investment.sum()), 0.8 * float(left[wish > 0].sum()))
        capital = np.minimum(np.floor(wish / max(wish.sum(), 1.0) * total), 0.9 * left).astype(np.int64)
        return inner, np.stack([left - capital, capital, exports], axis=1)

    def io_table(self) -> pa.Table:
        """Return the input-output table: supplier, user, year, amount (no zero rows)."""
        inner, final = self.table
        users = (*DIVISIONS, "P3", "P51", "P6")
        both = np.concatenate([inner, final], axis=1)
        row, column = np.nonzero(both)
        return pa.table(
            {
                "supplier": strings(DIVISIONS, row),
                "user": strings(users, column),
                "year": pa.array([YEAR] * len(row), pa.date32()),
                "amount": both[row, column],
            }
        )


def _draw_pairs(rng: np.random.Generator, market: Market) -> tuple[Ints, Ints]:
    """Draw distinct pairs: larger customers have more suppliers, larger suppliers more customers."""
    size = np.log10(np.maximum(market.purchases, 1) / 1e6)
    number = np.where(market.purchases > 0, 2 + rng.poisson(np.clip(1.2 * size, 0.3, 30)), 0)
    number += np.where(size > 2.5, rng.poisson(np.clip(6 * (size - 2), 0, 60)), 0)
    customer = np.repeat(np.arange(len(market.index)), number)
    mix = np.cumsum(_mix(market), axis=1)
    section = DIVISION_SECTION[market.division[customer]]
    division = (mix[section] < rng.random(len(customer))[:, None]).sum(axis=1)
    division = np.minimum(division, len(DIVISIONS) - 1)
    able = np.where(market.sales > market.exports, (market.sales - market.exports).astype(np.float64) ** 0.9, 0)
    order = np.argsort(market.division, kind="stable")
    cumulative = np.cumsum(able[order])
    ends = np.searchsorted(market.division[order], np.arange(len(DIVISIONS)), side="right")
    starts = np.searchsorted(market.division[order], np.arange(len(DIVISIONS)), side="left")
    below = np.where(starts > 0, cumulative[starts - 1], 0.0)
    above = np.where(ends > 0, cumulative[ends - 1], 0.0)
    u = below[division] + rng.random(len(customer)) * (above - below)[division]
    supplier = order[np.minimum(np.searchsorted(cumulative, u, side="right"), len(order) - 1)]
    keep = (supplier != customer) & (able[supplier] > 0)
    pairs = np.unique(supplier[keep] * len(market.index) + customer[keep])
    return pairs // len(market.index), pairs % len(market.index)


def _mix(market: Market) -> Floats:
    """Return from which divisions each section's companies buy (section x division), by need and supply."""
    home = np.zeros(len(DIVISIONS))
    np.add.at(home, market.division, np.maximum(market.sales - market.exports, 0).astype(np.float64))
    rows = []
    for code in SECTION_CODES:
        need = np.array([_NEEDS[code].count(SECTION_CODES[s]) + 0.12 for s in DIVISION_SECTION])
        rows.append(need * home)
    weights = np.array(rows)
    normal: Floats = weights / weights.sum(axis=1, keepdims=True)
    return normal
