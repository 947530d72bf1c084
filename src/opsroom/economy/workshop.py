"""One chunk at work: its generators wired together, and a bounded store of what is needed again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from opsroom.base.errors import InternalError
from opsroom.economy.balances import sums_of
from opsroom.economy.electricity import Electricity
from opsroom.economy.horizon import (
    HISTORY_KNOWN,
    MONTHS_DELIVERED,
    MONTHS_SIMULATED,
    Floats,
    Ints,
    month_number,
)
from opsroom.economy.ledgers import MONTHLY, monthly_table, report_delay
from opsroom.economy.lenders import Lent
from opsroom.economy.load import Load
from opsroom.economy.money import Books, keep_books, monthly_activity
from opsroom.economy.network import Market, Network, market_of
from opsroom.economy.official import Official
from opsroom.economy.operation import Operation, Pressure
from opsroom.economy.population import Chunk, Population
from opsroom.economy.readings import Readings
from opsroom.economy.registers import Registers
from opsroom.economy.scenario import Scenario
from opsroom.economy.spool import Spool
from opsroom.economy.surroundings import Surroundings

HISTORY_MONTHS: Final = month_number(HISTORY_KNOWN.date()) - 1
"""Months in the first delivery of monthly microdata: 2017-07 … 2019-11."""

KEPT_CHUNKS: Final = 20
"""Chunks whose parts are kept in memory (about 15 MB each); beyond, they are made again when needed."""


@dataclass(frozen=True, slots=True)
class _Recent:
    """What is kept of a chunk's books."""

    died: Ints
    tables: dict[str, pa.Table]
    late: list[Ints]
    market: Market
    lent: Lent
    sums: dict[str, Ints]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run of all of a chunk's books leaves behind: monthly sums, and who failed; see `Books`."""

    sums: dict[str, Ints]
    cash_out: Ints
    failed: Ints
    took_relief: Ints

    @classmethod
    def of(cls, books: Books, sums: dict[str, Ints]) -> Outcome:
        """Return what books leave behind, given their sums."""
        return cls(sums, books.cash_out, books.failed, books.took_relief)


@dataclass(frozen=True)
class ChunkWorks:
    """Everything that one chunk produces. Parts that are asked for again are kept."""

    chunk: Chunk
    pressure: Pressure
    policy: bool
    spool: Spool | None = None

    @property
    def scenario(self) -> Scenario:
        """The scenario."""
        return self.pressure.scenario

    @cached_property
    def activity(self) -> Floats:
        """Monthly capacity before failures in the months that are delivered (month x enterprise)."""
        return monthly_activity(self._before_failures, months=MONTHS_DELIVERED)

    @cached_property
    def _later_activity(self) -> Floats:
        """Monthly capacity in the months after: for the truth alone."""
        return monthly_activity(self._before_failures, MONTHS_DELIVERED)

    @property
    def _before_failures(self) -> Operation:
        return Operation(self.chunk, self.pressure, self.chunk.enterprises.died)

    def books(self, *, relief: bool | None = None, months: int = MONTHS_SIMULATED) -> Books:
        """Return the books, with the scenario's relief or without; made anew on each call."""
        return self._kept(relief=self.policy if relief is None else relief, months=months)

    def _kept(
        self, *, relief: bool, months: int, pauses: Container[int] = (), begin: tuple[int, pa.Table] | None = None
    ) -> Books:
        activity = self.activity
        if months > MONTHS_DELIVERED:
            activity = np.concatenate([activity, self._later_activity])
        return keep_books(
            self._before_failures, self.scenario, activity, relief=relief, months=months, pauses=pauses, begin=begin
        )

    @property
    def _fork(self) -> int:
        """Month before which books with and without relief are the same, as far as books are delivered."""
        return min(max(month_number(self.scenario.relief.start), 0), MONTHS_DELIVERED)

    def outcome(self, *, relief: bool) -> Outcome:
        """Return what the books of all months leave behind, with the scenario's relief or without.

        The months whose books were kept for delivery are not lived through again: stocks put aside then are taken up.
        """
        recent = self._recent
        first = MONTHS_DELIVERED if relief == self.policy else self._fork
        noted = None if self.spool is None else self.spool.take(f"stocks {first} {relief}-{self.chunk.number}")
        if noted is None:
            books = self.books(relief=relief)
            return Outcome.of(books, sums_of(books))
        books = self._kept(relief=relief, months=MONTHS_SIMULATED, begin=(first, noted))
        later = sums_of(books, first)
        return Outcome.of(books, {name: np.concatenate([x[:first], later[name]]) for name, x in recent.sums.items()})

    @cached_property
    def _recent(self) -> _Recent:
        pauses = () if self.spool is None else (self._fork, MONTHS_DELIVERED)
        books = self._kept(relief=self.policy, months=MONTHS_DELIVERED, pauses=pauses)
        tables = {
            name: monthly_table(name, self.chunk, books, HISTORY_MONTHS, MONTHS_DELIVERED - 1) for name in MONTHLY
        }
        if self.spool is not None:
            for name in MONTHLY:  # a longer run begins with the shorter one, so this is the history, too
                self.spool.put(f"{name}-{self.chunk.number}", self._history(name, books))
            for relief in (True, False):
                first = MONTHS_DELIVERED if relief == self.policy else self._fork
                self.spool.put(f"stocks {first} {relief}-{self.chunk.number}", books.paused[first])
        late = [report_delay(self.chunk, books, m) for m in range(HISTORY_MONTHS, MONTHS_DELIVERED)]
        return _Recent(books.died, tables, late, market_of(self.chunk, books), Lent.of(books), sums_of(books))

    @property
    def died(self) -> Ints:
        """Day on which each enterprise ended, failures up to 2020-06 included."""
        return self._recent.died

    @property
    def recent(self) -> dict[str, pa.Table]:
        """Monthly rows after the history delivery, by dataset."""
        return self._recent.tables

    @property
    def late_reports(self) -> list[Ints]:
        """For each month after the history, by how many months each company's report is late."""
        return self._recent.late

    @property
    def market(self) -> Market:
        """The companies as sellers and buyers in the network's year."""
        return self._recent.market

    @property
    def lent(self) -> Lent:
        """The companies' loans by month and lender."""
        return self._recent.lent

    def history(self, dataset: str) -> pa.Table:
        """Return the monthly rows of the history delivery."""
        aside = None if self.spool is None else self.spool.take(f"{dataset}-{self.chunk.number}")
        return self._history(dataset, self.books(months=HISTORY_MONTHS)) if aside is None else aside

    def _history(self, dataset: str, books: Books) -> pa.Table:
        return monthly_table(dataset, self.chunk, books, 0, HISTORY_MONTHS - 1)

    @cached_property
    def operation(self) -> Operation:
        """The daily state, failures included."""
        return Operation(self.chunk, self.pressure, self.died)

    @cached_property
    def readings(self) -> Readings:
        """The meters."""
        return Readings(Electricity(self.operation, self.pressure.surroundings))

    @cached_property
    def registers(self) -> Registers:
        """The registers."""
        return Registers(self.chunk, self.died)


class Workshop:
    """All chunks of a world; the most recently used are kept."""

    def __init__(self, population: Population, scenario: Scenario, *, policy: bool) -> None:
        self.population, self.scenario, self.policy = population, scenario, policy
        self.surroundings = Surroundings(population.seed, scenario)
        self.pressure = Pressure(self.surroundings)
        self._kept: OrderedDict[int, ChunkWorks] = OrderedDict()
        # Only while chunks are not made twice: the histories of a large world are too much for a spare disk.
        self._spool = Spool() if population.chunks <= KEPT_CHUNKS else None

    @cached_property
    def official(self) -> Official:
        """Official series of the whole country."""
        return Official(self.population.seed, self.scenario, self.pressure)

    @cached_property
    def load(self) -> Load:
        """The grid operator's load of the whole country."""
        return Load(self.surroundings, self.official.indicators.aggregate)

    @cached_property
    def network(self) -> Network:
        """Suppliers and customers."""
        return Network(self)

    @cached_property
    def totals(self) -> tuple[list[Market], Lent]:
        """What the whole country's tables rest on, of every chunk: one pass over the chunks for all of them."""
        markets, lent = [], None
        for number in self.chunks:
            works = self[number]
            markets.append(works.market)
            lent = works.lent if lent is None else lent + works.lent
        if lent is None:
            raise InternalError("a world has one chunk at least.")
        return markets, lent

    @property
    def chunks(self) -> range:
        """Numbers of the chunks."""
        return range(self.population.chunks)

    def __getitem__(self, number: int) -> ChunkWorks:
        """Return a chunk's works."""
        works = self._kept.pop(number, None)
        if works is None:
            works = ChunkWorks(self.population.chunk(number), self.pressure, self.policy, self._spool)
        self._kept[number] = works
        if len(self._kept) > KEPT_CHUNKS:
            self._kept.popitem(last=False)
        return works
