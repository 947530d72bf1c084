"""The post: which provider sends which rows on which day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from opsroom.economy.delivery import Delivery
from opsroom.economy.electricity import WEEK
from opsroom.economy.horizon import (
    HISTORY_KNOWN,
    HISTORY_LAST,
    METERS_LAST,
    MONTHS_DELIVERED,
    Ints,
    at_six,
    day_date,
    day_number,
    month_date,
    month_number,
)
from opsroom.economy.ledgers import MONTHLY
from opsroom.economy.lenders import lenders_table, quarters
from opsroom.economy.load import LOAD_FIRST
from opsroom.economy.objectives import EMERGENCY, emergency_entries, first_entries
from opsroom.economy.official import PERIODS
from opsroom.economy.population import ENTERPRISE_BASE
from opsroom.economy.readings import SCHEMA, arrow_batch
from opsroom.economy.registers import LONG_AGO
from opsroom.economy.sectors import DIVISIONS
from opsroom.economy.surroundings_tables import (
    calendar_table,
    collections_table,
    surroundings_table,
    telework_table,
)
from opsroom.economy.workshop import HISTORY_MONTHS, KEPT_CHUNKS, ChunkWorks, Workshop

LAST_ARRIVAL: Final = dt.date(2020, 7, 31)
FIRST_WEEK: Final = (day_number(HISTORY_LAST) + 1) // WEEK
LAST_WEEK: Final = day_number(METERS_LAST) // WEEK
REGISTER_DAY: Final = 5
REPORT_DAYS: Final = {"firm_months": 20, "accounts": 12, "loans": 12}
PROVIDERS: Final = {
    "meters": "Meridia Grid",
    "meter_links": "Meridia Grid",
    "register": "Meridia Statistics",
    "establishments": "Meridia Statistics",
    "firm_months": "Meridia Clearing",
    "accounts": "Bank of Meridia",
    "loans": "Bank of Meridia",
    "lenders": "Bank of Meridia",
    "weather": "Meridia Weather",
    "calendar": "Government of Meridia",
    "restrictions": "Government of Meridia",
    "telework": "Meridia Statistics",
    "collections": "Ministry of Justice of Meridia",
    "prices": "Meridia Statistics",
    "macro_m": "Meridia Statistics",
    "macro_q": "Meridia Statistics",
    "flows_w": "Meridia Statistics",
    "io_table": "Meridia Statistics",
    "links": "Meridia Tax Office",
    "load_d": "Meridia Grid",
    "objectives": "Parliament of Meridia (fictional)",
}


def week_arrival(week: int) -> dt.date:
    """Return the Tuesday on which a week's readings arrive."""
    return day_date(week * WEEK + WEEK + 1)


class Dispatch:
    """All streams of deliveries of one world, each in order of time."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop

    def streams(self) -> list[Iterator[Delivery]]:
        """Return the streams; among deliveries of one moment their order is that of this list."""
        return [
            self._registers(),
            self._once(),
            self._objectives(),
            self._surroundings(),
            self._meters(),
            *(self._monthly(name) for name in MONTHLY),
            self._collections(),
            self._prices(),
            *(self._official(name) for name in PERIODS),
            self._network(),
            self._lenders(),
            self._load(),
        ]

    def _send(self, dataset: str, day: dt.date, source: pa.Table | pa.RecordBatchReader, note: str) -> Delivery:
        return Delivery(dataset, at_six(day), source, PROVIDERS[dataset], note)

    def _reader(self, part: Callable[[ChunkWorks], pa.Table]) -> pa.RecordBatchReader:
        """Return a reader that makes one chunk after the other."""
        first = part(self.workshop[0])

        def batches() -> Iterator[pa.RecordBatch]:
            yield from first.to_batches()
            for number in self.workshop.chunks[1:]:
                yield from part(self.workshop[number]).to_batches()

        return pa.RecordBatchReader.from_batches(first.schema, batches())

    def _gather(self, part: Callable[[ChunkWorks], pa.Table]) -> pa.Table | pa.RecordBatchReader:
        """Return all chunks' rows: as a table while the chunks are kept in memory, else as a reader."""
        if len(self.workshop.chunks) > KEPT_CHUNKS:
            return self._reader(part)
        return pa.concat_tables([part(self.workshop[number]) for number in self.workshop.chunks])

    def _once(self) -> Iterator[Delivery]:
        day = HISTORY_KNOWN.date()
        yield self._send("calendar", day, calendar_table(self.workshop.surroundings), "calendar until the end of 2020")
        yield self._send("telework", day, telework_table(), "survey of 2019")

    def _registers(self) -> Iterator[Delivery]:
        parts: dict[str, Callable[[ChunkWorks, int, int], pa.Table]] = {
            "register": lambda works, a, b: works.registers.enterprises(a, b),
            "establishments": lambda works, a, b: works.registers.establishments(a, b),
            "meter_links": lambda works, a, b: works.registers.links(a, b),
        }
        start = HISTORY_KNOWN.date()
        for name, part in parts.items():
            source = self._reader(partial(_between, part, LONG_AGO, day_number(start)))
            yield self._send(name, start, source, "all entries known")
        after = day_number(start)
        for month in range(HISTORY_MONTHS + 2, MONTHS_DELIVERED + 1):
            day = month_date(month).replace(day=REGISTER_DAY)
            for name, part in parts.items():
                source = self._gather(partial(_between, part, after, day_number(day)))
                yield self._send(name, day, source, "new and changed entries")
            after = day_number(day)

    def _surroundings(self) -> Iterator[Delivery]:
        for arrival, first, last in _weeks(day_date(0)):
            for name in ("weather", "restrictions"):
                table = surroundings_table(name, self.workshop.surroundings, first, last)
                yield self._send(name, arrival, table, "weekly" if last > HISTORY_LAST else "history")

    def _load(self) -> Iterator[Delivery]:
        for arrival, first, last in _weeks(LOAD_FIRST):
            table = self.workshop.load.table(first, last)
            yield self._send("load_d", arrival, table, "weekly" if last > HISTORY_LAST else "history")

    def _objectives(self) -> Iterator[Delivery]:
        yield self._send("objectives", HISTORY_KNOWN.date(), first_entries(), "entries of 2019")
        day = EMERGENCY - dt.timedelta(days=1)
        yield self._send("objectives", day, emergency_entries(), "emergency of March 2020")

    def _meters(self) -> Iterator[Delivery]:
        def batches() -> Iterator[pa.RecordBatch]:
            for number in self.workshop.chunks:
                yield self.workshop[number].readings.history()

        reader = pa.RecordBatchReader.from_batches(SCHEMA, batches())
        yield self._send("meters", HISTORY_KNOWN.date(), reader, "readings of 2019")
        waiting: dict[int, list[tuple[Ints, Ints, Ints]]] = {}
        for week in range(FIRST_WEEK, LAST_WEEK + 1):
            for number in self.workshop.chunks:
                for weeks_late, *rows in self.workshop[number].readings.week(week):
                    waiting.setdefault(week + weeks_late, []).append((rows[0], rows[1], rows[2]))
            yield self._send("meters", week_arrival(week), _readings(waiting.pop(week, [])), "weekly readings")
        for week in sorted(w for w in waiting if week_arrival(w) <= LAST_ARRIVAL):
            yield self._send("meters", week_arrival(week), _readings(waiting[week]), "late readings")

    def _monthly(self, dataset: str) -> Iterator[Delivery]:
        reader = self._reader(lambda works: works.history(dataset))
        yield self._send(dataset, HISTORY_KNOWN.date(), reader, "history")
        for month in range(HISTORY_MONTHS, MONTHS_DELIVERED):
            day = month_date(month + 1).replace(day=REPORT_DAYS[dataset])
            source = self._gather(partial(self._month, dataset, month))
            yield self._send(dataset, day, source, "monthly report")

    def _month(self, dataset: str, month: int, works: ChunkWorks) -> pa.Table:
        """Return a month's rows that come in time, and last month's that come late."""
        table = works.recent[dataset]
        position = table["enterprise_id"].to_numpy() - ENTERPRISE_BASE - int(works.chunk.enterprises.index[0])
        late = works.late_reports
        here = pc.equal(table["month"], pa.scalar(month_date(month))).to_numpy()
        keep = here & (late[month - HISTORY_MONTHS][position] == 0)
        if month > HISTORY_MONTHS:
            before = pc.equal(table["month"], pa.scalar(month_date(month - 1))).to_numpy()
            keep |= before & (late[month - 1 - HISTORY_MONTHS][position] == 1)
        return table.filter(pa.array(keep))

    def _collections(self) -> Iterator[Delivery]:
        table = collections_table(self.workshop.scenario)
        yield self._send("collections", HISTORY_KNOWN.date(), table.slice(0, HISTORY_MONTHS), "history")
        for month in range(HISTORY_MONTHS, MONTHS_DELIVERED):
            day = month_date(month + 1).replace(day=8)
            yield self._send("collections", day, table.slice(month, 1), "monthly report")

    def _prices(self) -> Iterator[Delivery]:
        table = self.workshop.official.prices()
        width = len(DIVISIONS)
        yield self._send("prices", HISTORY_KNOWN.date(), table.slice(0, width * HISTORY_MONTHS), "history")
        for month in range(HISTORY_MONTHS, MONTHS_DELIVERED):
            day = month_date(month + 1).replace(day=15)
            yield self._send("prices", day, table.slice(width * month, width), "monthly release")

    def _official(self, dataset: str) -> Iterator[Delivery]:
        for day, table in self.workshop.official.batches(dataset):
            yield self._send(dataset, day, table, "releases, each with its own vintage")

    def _network(self) -> Iterator[Delivery]:
        network, day = self.workshop.network, HISTORY_KNOWN.date()
        yield self._send("io_table", day, network.io_table(), "table of 2018")
        yield self._send("links", day, network.links(), "purchase ledgers of 2018")

    def _lenders(self) -> Iterator[Delivery]:
        """Send the quarters that were over by the history's end, and each later one six weeks after its end."""
        table = lenders_table(self.workshop.totals[1], self.workshop.population.seed)
        known = HISTORY_KNOWN.date()
        days = {q: month_date(month_number(q) + 4).replace(day=14) for q in quarters()}
        first = [q for q, day in days.items() if day <= known]
        yield self._send("lenders", known, _of(table, first), "supervisory reports of 2019")
        for quarter in days:
            if quarter not in first and days[quarter] <= LAST_ARRIVAL:
                yield self._send("lenders", days[quarter], _of(table, [quarter]), "supervisory report")


def _of(table: pa.Table, shown: list[dt.date]) -> pa.Table:
    """Return the rows of some quarters."""
    return table.filter(pc.is_in(table["quarter"], pa.array(shown, pa.date32())))


def _weeks(first: dt.date) -> Iterator[tuple[dt.date, dt.date, dt.date]]:
    """Yield when daily rows arrive, and their first and last day: the history, then week by week."""
    yield HISTORY_KNOWN.date(), first, HISTORY_LAST
    for week in range(FIRST_WEEK, LAST_WEEK + 1):
        monday = day_date(week * WEEK)
        yield week_arrival(week), monday, min(monday + dt.timedelta(days=WEEK - 1), METERS_LAST)


def _between(part: Callable[[ChunkWorks, int, int], pa.Table], after: int, until: int, works: ChunkWorks) -> pa.Table:
    return part(works, after, until)


def _readings(rows: list[tuple[Ints, Ints, Ints]]) -> pa.Table:
    """Return rows of one arrival as a table in order of meter and day; of two of one key the later stands."""
    rows = [r for r in rows if len(r[0])]
    if not rows:
        return SCHEMA.empty_table()
    ids, days, use = (np.concatenate([r[k] for r in rows]) for k in range(3))
    order = np.lexsort((days, ids))
    ids, days, use = ids[order], days[order], use[order]
    last = np.append((ids[1:] != ids[:-1]) | (days[1:] != days[:-1]), True)
    return pa.Table.from_batches([arrow_batch(ids[last], days[last], use[last])], schema=SCHEMA)
