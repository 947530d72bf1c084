"""From use to delivered readings: missing, silent, late, estimated and corrected, in the wrong unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from opsroom.economy.electricity import WEEK, Electricity
from opsroom.economy.horizon import (
    HISTORY_LAST,
    METERS_FIRST,
    METERS_LAST,
    Bools,
    Floats,
    Ints,
    Reals,
    day_number,
    epoch_days,
)
from opsroom.economy.operation import State
from opsroom.economy.randomness import stream
from opsroom.economy.scenario import REGIONS, Missing

SCHEMA = pa.schema(
    [
        pa.field("meter_id", pa.int64(), nullable=False),
        pa.field("date", pa.date32(), nullable=False),
        pa.field("wh", pa.int64(), nullable=False),
    ]
)

Delivered = tuple[int, Ints, Ints, Ints]
"""Weeks after the reading's own delivery; meter ids, day numbers, Wh."""


@dataclass(frozen=True)
class Readings:
    """Readings of a chunk's meters."""

    electricity: Electricity

    @property
    def _missing(self) -> Missing:
        return self.electricity.surroundings.scenario.missing

    @cached_property
    def _fates(self) -> dict[str, Floats]:
        """Draw what happens to each place for good: outage, silence, its part in drop-outs and slips."""
        chunk = self.electricity.operation.chunk
        rng = stream(chunk.seed, "readings", chunk.number)
        m = chunk.meters
        places = int(m.position.max(initial=-1)) + 1
        start = rng.integers(day_number(METERS_FIRST), day_number(METERS_LAST), places)
        length = rng.integers(3, 25, places) * (rng.random(places) < self._missing.outage_share)
        return {
            "outage_from": start[m.position].astype(np.float64),
            "outage_to": (start + length)[m.position].astype(np.float64),
            "silent": rng.random(places)[m.position],
            "dropout": rng.random(places)[m.position],
            "slip": rng.random(places)[m.position],
        }

    def true_use(self, days: Ints, state: State) -> Reals:
        """Return what each meter counts on each day, Wh (meter x day)."""
        m = self.electricity.operation.chunk.meters
        use = self.electricity.use(days, state)
        out = use[m.establishment]
        out *= m.fraction[:, None].astype(np.float32)
        shared = np.flatnonzero(m.second >= 0)
        out[shared] += use[m.second[shared]]
        return out

    def present(self, days: Ints, state: State, earlier: State) -> Bools:
        """Return whether a reading will ever be known (meter x day), late or not; drop-outs aside.

        Parameters
        ----------
        days
            Day numbers.
        state, earlier
            State of the establishments on these days and `silent_after_days` before.
        """
        m = self.electricity.operation.chunk.meters
        f = self._fates
        operation = self.electricity.operation
        ended = operation.died[operation.chunk.establishments.enterprise[m.establishment]]
        last = np.where(m.second < 0, np.minimum(m.last, ended), m.last)
        here = (days >= m.first[:, None]) & (days <= last[:, None])
        here &= ~((days >= f["outage_from"][:, None]) & (days < f["outage_to"][:, None]))
        quiet = np.flatnonzero((f["silent"] < self._missing.silent_when_closed) & (m.second < 0))
        closed = ~state.at_work & ~earlier.at_work
        here[quiet] &= ~closed[m.establishment[quiet]]
        return here

    def _week_draws(self, week: int) -> tuple[Reals, Reals]:
        chunk = self.electricity.operation.chunk
        rng = stream(chunk.seed, "readings.week", chunk.number, week)
        shape = (len(chunk.meters.ids), WEEK)
        return rng.random(shape, dtype=np.float32), rng.random(shape, dtype=np.float32)

    def history(self) -> pa.RecordBatch:
        """Return all readings up to `HISTORY_LAST`, in order of meter and day."""
        return self.known(np.arange(day_number(METERS_FIRST), day_number(HISTORY_LAST) + 1))

    def known(self, days: Ints) -> pa.RecordBatch:
        """Return all readings of successive days as finally known, in order of meter and day."""
        operation = self.electricity.operation
        before = self._missing.silent_after_days
        wide = operation.state(np.arange(days[0] - before, days[-1] + 1))
        state = wide.part(before, before + len(days))
        here = self.present(days, state, wide.part(0, len(days)))
        lost = self._missing.random_ppm / 1e6
        for week in np.unique(days // WEEK):
            columns = np.flatnonzero(days // WEEK == week)
            first, _ = self._week_draws(int(week))
            here[:, columns] &= first[:, days[columns] - week * WEEK] >= lost
        for dropout, weeks in self._dropouts(days):
            if weeks is None:
                here &= ~dropout
        return _batch(operation.chunk.meters.ids, days, self.true_use(days, state), here)

    def week(self, week: int) -> Iterator[Delivered]:
        """Yield what becomes known of one week's readings, and how many weeks after its own delivery.

        The order is by time of arrival within each kind; a later arrival of the same key corrects it.
        """
        days = np.arange(week * WEEK, week * WEEK + WEEK)
        days = days[days <= day_number(METERS_LAST)]
        missing, scenario = self._missing, self.electricity.surroundings.scenario
        operation = self.electricity.operation
        before = missing.silent_after_days
        wide = operation.state(np.arange(days[0] - before, days[-1] + 1))
        state = wide.part(before, before + len(days))
        here = self.present(days, state, wide.part(0, len(days)))
        first, second = (a[:, : len(days)] for a in self._week_draws(week))
        lost, corrected = missing.random_ppm / 1e6, missing.corrected_ppm / 1e6
        here &= first >= lost
        use = np.rint(self.true_use(days, state)).astype(np.int64)
        lateness = np.zeros(here.shape, dtype=np.int8)
        late = np.array(missing.late_ppm, dtype=np.float32)[: len(days)] / np.float32(1e6)
        lateness[second < late] = 1
        lateness[second < late * missing.very_late_share] = 2
        lateness[second < late * missing.very_late_share * 0.3] = 3
        estimate = here & (first < lost + corrected) & (lateness == 0)
        told = np.where(estimate, np.rint(use * (0.75 + 50 * (first - lost).clip(0, 0.01))).astype(np.int64), use)
        ids = operation.chunk.meters.ids
        later: list[Delivered] = [(2, *_pick(ids, days, use, estimate))]
        for dropout, weeks in self._dropouts(days):
            if weeks is not None:
                later.append((weeks, *_pick(ids, days, use, here & dropout)))
            here &= ~dropout
        region = operation.chunk.establishments.region[operation.chunk.meters.establishment]
        for slip in scenario.unit_slips:
            if day_number(slip.week) == week * WEEK:
                wrong = (region == REGIONS.index(slip.region)) & (self._fates["slip"] < slip.share)
                batch = here & wrong[:, None] & (lateness == 0)
                told = np.where(batch, use // 1000, told)
                later.append((weeks_after(day_number(slip.corrected), week), *_pick(ids, days, use, batch)))
        for weeks_late in range(4):
            yield (
                weeks_late,
                *_pick(ids, days, told if weeks_late == 0 else use, here & (lateness == weeks_late)),
            )
        yield from later

    def _dropouts(self, days: Ints) -> Iterator[tuple[Bools, int | None]]:
        """Yield the readings that each drop-out swallows, and the weeks until they are recovered."""
        operation = self.electricity.operation
        region = operation.chunk.establishments.region[operation.chunk.meters.establishment]
        for item in self.electricity.surroundings.scenario.dropouts:
            inside = (days >= day_number(item.start)) & (days <= day_number(item.end))
            if inside.any():
                struck = (region == REGIONS.index(item.region)) & (self._fates["dropout"] < item.share)
                week = int(days[-1]) // WEEK
                weeks = None if item.recovered is None else weeks_after(day_number(item.recovered), week)
                yield struck[:, None] & inside, weeks


def weeks_after(day: int, week: int) -> int:
    """Return how many weeks after the delivery of `week` (on the Tuesday after it) a day's delivery comes."""
    return (day - (week * WEEK + WEEK + 1)) // WEEK


def _pick(ids: Ints, days: Ints, use: Ints, mask: Bools) -> tuple[Ints, Ints, Ints]:
    rows, columns = np.nonzero(mask)
    return ids[rows], days[columns], use[rows, columns]


def _batch(ids: Ints, days: Ints, use: Reals, mask: Bools) -> pa.RecordBatch:
    rows, columns = np.nonzero(mask)
    wh = np.rint(use[mask]).astype(np.int64)
    return arrow_batch(ids[rows], days[columns], wh)


def arrow_batch(ids: Ints, days: Ints, wh: Ints) -> pa.RecordBatch:
    """Return readings as an Arrow batch."""
    date = pa.array(epoch_days(days)).cast(pa.date32())
    return pa.RecordBatch.from_arrays([pa.array(ids), date, pa.array(wh)], schema=SCHEMA)
