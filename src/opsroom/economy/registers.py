"""Registers as their keepers know them: births and deaths of enterprises, sites and meter links come late."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from opsroom.economy.horizon import METERS_FIRST, OPEN_END, Bools, Ints, day_number, epoch_days
from opsroom.economy.population import ENTERPRISE_BASE, GROUP_BASE, Chunk
from opsroom.economy.randomness import stream
from opsroom.economy.scenario import REGIONS
from opsroom.economy.sectors import DIVISIONS, FORMS, SECTION_CODES, SIZES, size_of

LONG_AGO: Final = -1_000_000
STAFF_COUNT: Final = day_number(METERS_FIRST)
"""Day of the yearly staff count that changed some companies' entries."""

_FIRST = np.array(
    [
        "Al",
        "Bran",
        "Cor",
        "Dun",
        "Esk",
        "Far",
        "Gal",
        "Hol",
        "Is",
        "Jor",
        "Kes",
        "Lin",
        "Mar",
        "Nor",
        "Os",
        "Pel",
        "Quin",
        "Ros",
        "Sal",
        "Tor",
        "Ul",
        "Var",
        "Wes",
        "Yar",
    ]
)
_SECOND = np.array(
    [
        "den",
        "mere",
        "wick",
        "holt",
        "vale",
        "ford",
        "brook",
        "gate",
        "stead",
        "combe",
        "ridge",
        "mont",
        "port",
        "haven",
        "field",
        "moor",
    ]
)
_TRADE = np.array(
    [
        "Works",
        "Trading",
        "Partners",
        "Supply",
        "House",
        "Group",
        "Services",
        "Industries",
        "Foods",
        "Systems",
        "Yard",
        "Mills",
    ]
)


def strings(codes: tuple[str, ...], index: Ints) -> pa.Array:
    """Return an Arrow string array from code positions."""
    return pa.DictionaryArray.from_arrays(pa.array(index.astype(np.int32)), pa.array(codes)).cast(pa.string())


def dates(days: Ints, *, open_at: int = OPEN_END) -> pa.Array:
    """Return day numbers as Arrow dates; days from `open_at` on become null."""
    return pa.array(epoch_days(days), mask=days >= open_at).cast(pa.date32())


@dataclass(frozen=True)
class Registers:
    """A chunk's register entries with the days on which they become known.

    Parameters
    ----------
    chunk
        The population.
    died
        Day on which each enterprise ended, failures included.
    """

    chunk: Chunk
    died: Ints

    @cached_property
    def _lags(self) -> tuple[Ints, Ints]:
        """Days until a birth, and a death, is in the register."""
        rng = stream(self.chunk.seed, "registers", self.chunk.number)
        n = self.chunk.count
        return rng.integers(10, 75, n), rng.integers(25, 130, n)

    @cached_property
    def _names(self) -> NDArray[np.str_]:
        rng = stream(self.chunk.seed, "names", self.chunk.number)
        n = self.chunk.count
        parts = (
            _FIRST[rng.integers(0, len(_FIRST), n)],
            _SECOND[rng.integers(0, len(_SECOND), n)],
            np.char.add(" ", _TRADE[rng.integers(0, len(_TRADE), n)]),
            np.char.add(" ", rng.integers(100, 1000, n).astype("U3")),
        )
        name = parts[0]
        for part in parts[1:]:
            name = np.char.add(name, part)
        return name

    def enterprises(self, after: int, until: int) -> pa.Table:
        """Return the register rows that became known, or changed, after one day and until another."""
        e = self.chunk.enterprises
        birth_lag, death_lag = self._lags
        staff = (e.employees_before != e.employees) & (e.born < STAFF_COUNT) & (self.died > STAFF_COUNT)
        bought = (e.acquired < np.minimum(self.died, OPEN_END)) & (e.acquired > e.born)
        starts = [
            (np.arange(self.chunk.count), e.born, birth_lag),
            (np.flatnonzero(staff), np.full(int(staff.sum()), STAFF_COUNT), birth_lag[staff]),
            (np.flatnonzero(bought), e.acquired[bought], birth_lag[bought]),
        ]
        owner = np.concatenate([s[0] for s in starts])
        start = np.concatenate([s[1] for s in starts])
        known = start + np.concatenate([s[2] for s in starts])
        order = np.lexsort((start, owner))
        owner, start, known = owner[order], start[order], known[order]
        follows = np.append(owner[1:] == owner[:-1], False)
        end = np.where(follows, np.append(start[1:], 0) - 1, np.minimum(self.died[owner], OPEN_END))
        end_known = np.where(follows, np.append(known[1:], 0), self.died[owner] + death_lag[owner])
        pick = _fresh(known, end_known, after, until)
        owner, start, end, end_known = owner[pick], start[pick], end[pick], end_known[pick]
        closed = (end_known <= until) & (end < OPEN_END)
        dead = closed & ~follows[pick]
        current = start >= STAFF_COUNT
        unchanged = ~staff[owner]
        employees = np.where(current | unchanged, e.employees[owner], e.employees_before[owner])
        sales = e.sales[owner] * employees // e.employees[owner]
        group = np.where((e.acquired[owner] <= start), e.group[owner], e.group_before[owner])
        return pa.table(
            {
                "enterprise_id": ENTERPRISE_BASE + e.index[owner],
                "valid_from": dates(start),
                "valid_to": dates(np.where(closed, end, OPEN_END)),
                "name": pa.array(self._names[owner]),
                "group_id": GROUP_BASE + group,
                "legal_form": strings(FORMS, e.form[owner]),
                "nace": strings(DIVISIONS, e.division[owner]),
                "section": strings(SECTION_CODES, e.section[owner]),
                "region": strings(REGIONS, e.region[owner]),
                "size_class": strings(SIZES, size_of(employees)),
                "employees": employees,
                "annual_sales": sales,
                "born": dates(e.born[owner]),
                "died": dates(np.where(dead, end, OPEN_END)),
            }
        )

    def establishments(self, after: int, until: int) -> pa.Table:
        """Return the establishment rows that became known, or changed, after one day and until another."""
        s, e = self.chunk.establishments, self.chunk.enterprises
        birth_lag, death_lag = self._lags
        owner = s.enterprise
        end = np.minimum(s.last, self.died[owner])
        known, end_known = s.first + birth_lag[owner], end + death_lag[owner]
        pick = np.flatnonzero(_fresh(known, end_known, after, until) & (end >= s.first))
        owner, end = owner[pick], end[pick]
        return pa.table(
            {
                "establishment_id": s.ids[pick],
                "valid_from": dates(s.first[pick]),
                "valid_to": dates(np.where(end_known[pick] <= until, end, OPEN_END)),
                "enterprise_id": ENTERPRISE_BASE + e.index[owner],
                "nace": strings(DIVISIONS, e.division[owner]),
                "section": strings(SECTION_CODES, e.section[owner]),
                "region": strings(REGIONS, s.region[pick]),
                "employees": s.jobs[pick],
            }
        )

    def links(self, after: int, until: int) -> pa.Table:
        """Return the meter links that became known, or changed, after one day and until another."""
        links, s, e = self.chunk.links, self.chunk.establishments, self.chunk.enterprises
        owner = s.enterprise[links.establishment]
        end = np.minimum(links.last, self.died[owner])
        lag = 6 + links.meter % 7
        known, end_known = links.first + lag, end + lag
        pick = np.flatnonzero(_fresh(known, end_known, after, until) & (end >= links.first))
        return pa.table(
            {
                "meter_id": links.meter[pick],
                "establishment_id": s.ids[links.establishment[pick]],
                "valid_from": dates(links.first[pick]),
                "valid_to": dates(np.where(end_known[pick] <= until, end[pick], OPEN_END)),
                "enterprise_id": ENTERPRISE_BASE + e.index[owner[pick]],
                "share_ppm": links.share_ppm[pick],
            }
        )


def _fresh(known: Ints, end_known: Ints, after: int, until: int) -> Bools:
    """Return which rows a delivery holds: those new since the last, and those that have ended since."""
    new = (known > after) & (known <= until)
    ended = (known <= until) & (end_known > after) & (end_known <= until)
    return new | ended
