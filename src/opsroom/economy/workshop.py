"""One chunk at work: its generators wired together, and a bounded store of what is needed again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import pyarrow as pa

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
        """Monthly capacity before failures (month x enterprise)."""
        operation = Operation(self.chunk, self.pressure, self.chunk.enterprises.died)
        return monthly_activity(operation)

    def books(self, *, relief: bool | None = None, months: int = MONTHS_SIMULATED) -> Books:
        """Return the books, with the scenario's relief or without; made anew on each call."""
        operation = Operation(self.chunk, self.pressure, self.chunk.enterprises.died)
        on = self.policy if relief is None else relief
        return keep_books(operation, self.scenario, self.activity, relief=on, months=months)

    @cached_property
    def _recent(self) -> _Recent:
        books = self.books(months=MONTHS_DELIVERED)
        tables = {
            name: monthly_table(name, self.chunk, books, HISTORY_MONTHS, MONTHS_DELIVERED - 1) for name in MONTHLY
        }
        if self.spool is not None:
            for name in MONTHLY:  # a longer run begins with the shorter one, so this is the history, too
                self.spool.put(f"{name}-{self.chunk.number}", self._history(name, books))
        late = [report_delay(self.chunk, books, m) for m in range(HISTORY_MONTHS, MONTHS_DELIVERED)]
        return _Recent(books.died, tables, late, market_of(self.chunk, books))

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
