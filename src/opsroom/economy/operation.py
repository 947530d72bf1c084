"""Who is at work: a company's own state by decision and permission, independent of meters and weekdays.

A company works on its premises while it stands the pressure on it: restrictions, fear and lockdown are
separate causes that add up, each kind of company feeling each of them differently. Some that must close
work from home. Holidays, week-ends and plant shutdowns do not end being at work.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from opsroom.economy.horizon import (
    STATE_FIRST,
    STATE_LAST,
    Bools,
    Floats,
    Ints,
    Reals,
    day_number,
)
from opsroom.economy.population import Chunk
from opsroom.economy.randomness import stream
from opsroom.economy.scenario import REGIONS, Scenario
from opsroom.economy.sectors import column
from opsroom.economy.surroundings import Surroundings

STANDING: Final = 4.9
"""Pressure that the median company stands; without pressure 0.7 % are dormant."""

SIZE_STANDING: Final = np.array([-0.1, 0.1, 0.75, 1.5])
ESSENTIAL_EXPOSURE: Final = 0.16
LEAST_CAPACITY: Final = 0.12


@dataclass(frozen=True)
class Pressure:
    """Pressure to close by region, section and day."""

    surroundings: Surroundings

    @property
    def scenario(self) -> Scenario:
        """The scenario that drives it."""
        return self.surroundings.scenario

    @cached_property
    def first(self) -> int:
        """First day of the table; before it there is no pressure."""
        return day_number(STATE_FIRST)

    @cached_property
    def table(self) -> Reals:
        """Pressure by region x section x day, from `STATE_FIRST` to `STATE_LAST`."""
        days = np.arange(self.first, day_number(STATE_LAST) + 1)
        parts = self.causes(days)
        strict, fearful = column("strict"), column("fearful")
        return np.asarray(
            parts["restrictions"][:, None] * strict[None, :, None]
            + parts["fear"][:, None] * fearful[None, :, None]
            + parts["lockdown"][:, None],
            dtype=np.float32,
        )

    def causes(self, days: Ints) -> dict[str, Floats]:
        """Return the pressure of each cause by region and day, before what sections make of it."""
        fear = self.scenario.fear
        dread = np.array([fear.weight * fear.severity[r] * fear.path.at(days) for r in REGIONS])
        lockdown = np.zeros((len(REGIONS), len(days)))
        for item in self.scenario.lockdowns:
            start, end = day_number(item.start), day_number(item.end)
            inside = (days >= start) & (days <= end)
            after = np.clip(1 - (days - end) / max(item.aftermath_days, 1), 0, 1) * (days > end)
            lockdown[REGIONS.index(item.region)] += item.strength * inside + item.aftermath * after
        return {
            "restrictions": self.scenario.restrictions.weight * self.surroundings.restriction(days),
            "fear": dread,
            "lockdown": lockdown,
        }

    @cached_property
    def slump(self) -> Floats:
        """Depth of the slump (0-1) by day of the table."""
        return self.scenario.slump.at(np.arange(self.first, day_number(STATE_LAST) + 1))

    def column_of(self, days: Ints) -> Ints:
        """Return the table's columns of days; days outside take the nearest edge (before: no pressure)."""
        last: int = self.table.shape[2] - 1
        return np.clip(days - self.first, 0, last)


@dataclass(frozen=True, slots=True)
class State:
    """What establishments do on some days (establishment x day).

    Attributes
    ----------
    onsite, remote
        At work on the premises; at work with empty premises.
    capacity
        Business done as a share of normal (0 where not at work).
    """

    onsite: Bools
    remote: Bools
    capacity: Reals

    @property
    def at_work(self) -> Bools:
        """At work, wherever."""
        return self.onsite | self.remote

    def part(self, first: int, last: int) -> State:
        """Return the state on the days from one position up to, not including, another."""
        return State(self.onsite[:, first:last], self.remote[:, first:last], self.capacity[:, first:last])


@dataclass(frozen=True)
class Operation:
    """The working state of a chunk's establishments."""

    chunk: Chunk
    pressure: Pressure
    died: Ints
    """Day on which each enterprise ends."""

    @cached_property
    def _standing(self) -> tuple[Reals, Reals]:
        e, s = self.chunk.enterprises, self.chunk.establishments
        stands = s.latent + STANDING + SIZE_STANDING[e.size[s.enterprise]]
        exposure = np.where(e.essential, ESSENTIAL_EXPOSURE, 1.0)[s.enterprise]
        return stands.astype(np.float32), exposure.astype(np.float32)

    @cached_property
    def traits(self) -> dict[str, Floats]:
        """Depth of each company's own slump, its start of remote work, its second closure."""
        rng = stream(self.chunk.seed, "operation", self.chunk.number)
        n = self.chunk.count
        scenario = self.pressure.scenario
        r, f = scenario.relapse, scenario.remote
        willing = self.chunk.enterprises.remote & (rng.random(n) < f.take_up)
        start = day_number(f.start) + rng.exponential(f.mean_delay_days, n)
        again = rng.integers(day_number(r.first), day_number(r.last), n)
        days = rng.integers(r.min_days, r.max_days + 1, n) * (rng.random(n) < r.share)
        floor = np.maximum(rng.beta(2.0, 3.1, n), LEAST_CAPACITY)
        hit = column("slump")[self.chunk.enterprises.section] * np.where(self.chunk.enterprises.essential, 0.3, 1.0)
        return {
            "remote_from": np.where(willing, np.floor(start), 1e9),
            "relapse_from": again.astype(np.float64),
            "relapse_to": (again + days).astype(np.float64),
            "floor": floor,
            "hit": hit,
            "remote_capacity": rng.uniform(0.5, 0.97, n),
        }

    def state(self, days: Ints) -> State:
        """Return the state of each establishment on each of the days."""
        e, s = self.chunk.enterprises, self.chunk.establishments
        owner = s.enterprise
        alive = (days >= s.first[:, None]) & (days <= np.minimum(s.last, self.died[owner])[:, None])
        if days[-1] < self.pressure.first:
            dormant = self._standing[0] <= 0
            onsite = alive & ~dormant[:, None]
            return State(onsite, np.zeros_like(onsite), onsite.astype(np.float32))
        t = self.traits
        columns = self.pressure.column_of(days)
        pressure = self.pressure.table[:, :, columns][s.region, e.section[owner]]
        stands, exposure = self._standing
        pressure *= exposure[:, None]
        onsite = alive & (stands[:, None] > pressure)
        away = (days >= t["relapse_from"][owner, None]) & (days < t["relapse_to"][owner, None])
        onsite &= ~away
        remote = alive & ~onsite & (days >= t["remote_from"][owner, None])
        depth = self.pressure.slump[columns].astype(np.float32)
        hit = np.minimum(1.0, t["hit"][owner, None].astype(np.float32) * depth)
        capacity = 1 - (1 - t["floor"][owner, None].astype(np.float32)) * hit
        far = np.minimum(capacity * 1.15, t["remote_capacity"][owner, None].astype(np.float32))
        return State(onsite, remote, np.where(onsite, capacity, np.where(remote, far, np.float32(0))))

    def enterprises(self, days: Ints) -> tuple[Bools, Reals]:
        """Return whether each enterprise is at work, and its capacity, on each day (enterprise x day).

        An enterprise is at work when establishments with at least half of its jobs are.
        """
        if days[-1] >= self.pressure.first:
            return self._counted(days)
        s = self.chunk.establishments
        state = self.state(days)
        main = np.diff(s.enterprise, prepend=-1) > 0
        share = s.share[:, None].astype(np.float32)
        working, capacity = state.at_work * share, state.capacity * share
        totals = []
        for part in (working, capacity):
            total = part[main]
            # Most companies have one establishment: adding the others is cheaper than reducing all.
            np.add.at(total, s.enterprise[~main], part[~main])
            totals.append(total)
        return totals[0] >= 0.5, np.minimum(totals[1], np.float32(1))

    def _counted(self, days: Ints) -> tuple[Bools, Reals]:
        """Do what `enterprises` does, without laying out the state of each establishment."""
        from opsroom.economy.operation_kernel import enterprise_days

        e, s, t = self.chunk.enterprises, self.chunk.establishments, self.traits
        columns = self.pressure.column_of(days)
        stands, exposure = self._standing
        working, capacity = (np.zeros((self.chunk.count, len(days)), dtype=np.float32) for _ in range(2))
        hit, floor, far = (t[name].astype(np.float32) for name in ("hit", "floor", "remote_capacity"))
        enterprise_days(
            days,
            np.ascontiguousarray(self.pressure.table[:, :, columns]),
            self.pressure.slump[columns].astype(np.float32),
            (s.enterprise, s.region, e.section[s.enterprise]),
            (stands, exposure, s.share.astype(np.float32), s.first, np.minimum(s.last, self.died[s.enterprise])),
            (hit, floor, far, t["remote_from"], t["relapse_from"], t["relapse_to"]),
            (working, capacity),
        )
        return working >= 0.5, np.minimum(capacity, np.float32(1))
