"""Daily electricity of establishments: what companies use when open, closed, heated, cooled, half empty.

The form is chosen so that no estimator of the room shares it: heating with inertia and saturation that
depends on occupancy, load that bends with capacity differently in each company, weekly patterns and plant
holidays of each company's own, drift, steps of capacity, heavy-tailed and week-long noise.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from opsroom.economy.horizon import (
    METERS_FIRST,
    METERS_LAST,
    Bools,
    Floats,
    Ints,
    Reals,
    day_date,
    day_number,
)
from opsroom.economy.operation import Operation, State
from opsroom.economy.randomness import stream
from opsroom.economy.sectors import SECTION_CODES, column
from opsroom.economy.surroundings import BRIDGE, NEW_YEAR, PUBLIC, Surroundings

LEAST_BASE: Final = 0.04
WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Traits:
    """How each establishment uses electricity; arrays of float32 or int64, one entry each."""

    load: Reals
    """Wh above base on a normal working day."""
    base: Reals
    """Wh on a closed day at 10 degrees."""
    cold: Reals
    """Rise of base per degree (cold stores)."""
    week: Reals
    """Activity by day of the week, establishment x 7."""
    kinds: Reals
    """Activity on public holidays, in the New Year holiday and on bridge days (establishment x 3)."""
    early: Ints
    late: Ints
    """Days before and after New Year on which the company is winding down or still away."""
    shut: Ints
    """Plant holidays: establishment x window x (first, last)."""
    drift: Reals
    step_day: Ints
    step: Reals
    season: Reals
    noise: Reals
    heat: Reals
    cool: Reals
    bend: Reals
    """Exponent from capacity to electricity."""
    dark: Reals
    """Activity on the meter while people work from home."""
    caretaker: Reals
    """Activity on the meter while the company is closed; mostly 0."""


@dataclass(frozen=True)
class Electricity:
    """Use of electricity by a chunk's establishments."""

    operation: Operation
    surroundings: Surroundings

    @cached_property
    def traits(self) -> Traits:
        """Draw the traits."""
        chunk = self.operation.chunk
        e, s = chunk.enterprises, chunk.establishments
        rng = stream(chunk.seed, "electricity", chunk.number)
        n, owner = len(s.ids), s.enterprise
        section = e.section[owner]

        def flag(share: Floats | float) -> Bools:
            return rng.random(n) < share

        cold = rng.random(chunk.count)[owner] < chunk.cold()[owner]
        load = column("use")[section] * 1000 * s.jobs**0.93 * np.exp(rng.normal(0, 0.6, n))
        mean = column("base")[section]
        closed = np.where(cold, rng.uniform(0.5, 0.8, n), np.maximum(rng.beta(mean * 9, (1 - mean) * 9), LEAST_BASE))
        leak = rng.uniform(0, 0.05, (n, 5)) * flag(0.6)[:, None]
        week = np.empty((n, WEEK))
        shape = np.exp(rng.normal(0, 0.05, (n, 5)))
        week[:, :5] = shape / shape.mean(axis=1, keepdims=True)
        saturday, sunday = flag(column("saturday")[section]), flag(column("sunday")[section])
        week[:, 5] = np.where(saturday, rng.uniform(0.25, 1.05, n), leak[:, 0])
        week[:, 6] = np.where(sunday, rng.uniform(0.25, 1.0, n), leak[:, 1])
        public = np.where(sunday, rng.uniform(0.4, 1.0, n), leak[:, 2])
        new_year = np.where(flag(column("new_year")[section]), rng.uniform(0.45, 1.0, n), leak[:, 3])
        bridge = np.where(flag(0.5), 1.0, rng.uniform(0.2, 1.0, n))
        return Traits(
            load=load.astype(np.float32),
            base=(load * closed / (1 - closed)).astype(np.float32),
            cold=np.where(cold, rng.uniform(0.006, 0.02, n), 0).astype(np.float32),
            week=week.astype(np.float32),
            kinds=np.stack([public, new_year, bridge], axis=1).astype(np.float32),
            early=rng.integers(1, 5, n) * flag(0.35),
            late=rng.integers(1, 5, n) * flag(0.22),
            shut=_plant_holidays(rng, section),
            drift=rng.normal(0.01, 0.06, n).astype(np.float32),
            step_day=rng.integers(day_number(METERS_FIRST), day_number(METERS_LAST), n),
            step=np.where(flag(0.06), rng.uniform(0.6, 1.5, n), 1.0).astype(np.float32),
            season=rng.normal(0, 0.05, n).astype(np.float32),
            noise=(0.02 + rng.gamma(2.0, 0.025, n)).astype(np.float32),
            heat=np.where(flag(column("heat")[section]), rng.uniform(0.08, 0.6, n), 0).astype(np.float32),
            cool=np.where(flag(0.45), rng.uniform(0.02, 0.18, n), 0).astype(np.float32),
            bend=rng.uniform(0.6, 1.05, n).astype(np.float32),
            dark=rng.uniform(0.05, 0.24, n).astype(np.float32),
            caretaker=np.where(flag(0.07), rng.uniform(0.02, 0.12, n), 0).astype(np.float32),
        )

    def normal(self, days: Ints) -> Reals:
        """Return activity as if nothing had happened, 1 on a normal working day (establishment x day)."""
        t = self.traits
        around = self.surroundings
        kinds = around.kinds[days]
        activity = t.week[:, days % WEEK]
        for number, kind in enumerate((PUBLIC, NEW_YEAR, BRIDGE)):
            hit = np.flatnonzero(kinds == kind)
            if len(hit):
                activity[:, hit] = np.minimum(activity[:, hit], t.kinds[:, number, None])
        until, since = (a[days] for a in around.new_year_distance)
        for k in np.flatnonzero((until < 5) | (since < 5)):
            away = (until[k] <= t.early) * 0.35 + (since[k] <= t.late) * 0.7
            activity[:, k] *= (1 - away).astype(np.float32)
        for window in range(t.shut.shape[1]):
            first, last = t.shut[:, window, 0], t.shut[:, window, 1]
            for row in np.flatnonzero((first <= days[-1]) & (last >= days[0])):
                a, b = np.searchsorted(days, [first[row], last[row] + 1])
                activity[row, a:b] *= np.float32(0.05)
        return activity

    def level(self, days: Ints) -> Reals:
        """Return the slow level of activity: drift, season, a step (establishment x day)."""
        t = self.traits
        years = ((days - day_number(METERS_FIRST)) / 365.25).astype(np.float32)
        season = np.cos(2 * np.pi * years).astype(np.float32)
        month = np.array([day_date(int(d)).month for d in days])
        summer = np.where(month == 8, np.float32(-0.06), np.float32(0))
        level = np.exp(t.drift[:, None] * years + t.season[:, None] * season + summer)
        stepped = np.flatnonzero(t.step != 1)
        level[stepped] *= np.where(days >= t.step_day[stepped, None], t.step[stepped, None], 1)
        return np.asarray(level, dtype=np.float32)

    def shocks(self, days: Ints) -> tuple[Reals, Reals]:
        """Return noise of activity and of base on successive days (establishment x day)."""
        chunk = self.operation.chunk
        n = len(chunk.establishments.ids)
        activity = np.empty((n, len(days)), dtype=np.float32)
        base = np.empty_like(activity)
        for week in range(int(days[0]) // WEEK, int(days[-1]) // WEEK + 1):
            rng = stream(chunk.seed, "electricity.week", chunk.number, week)
            z = rng.standard_normal((2, n, WEEK), dtype=np.float32)
            slow = rng.standard_normal((n, 1), dtype=np.float32)
            first, last = max(week * WEEK, int(days[0])), min(week * WEEK + WEEK, int(days[-1]) + 1)
            there = slice(first - int(days[0]), last - int(days[0]))
            inside = slice(first - week * WEEK, last - week * WEEK)
            base[:, there] = z[1, :, inside]
            z[0] *= 1 + np.float32(2.5) * (np.abs(z[1]) > np.float32(2.4))
            z[0] += np.float32(0.6) * slow
            activity[:, there] = z[0, :, inside]
        return activity, base

    def use(self, days: Ints, state: State) -> Reals:
        """Return the use of each establishment on each day, Wh (establishment x day)."""
        t = self.traits
        s = self.operation.chunk.establishments
        activity = self.normal(days)
        if days[-1] >= self.operation.pressure.first:
            engaged = np.power(state.capacity, t.bend[:, None])
            engaged = np.where(state.onsite, engaged, np.where(state.remote, t.dark[:, None], t.caretaker[:, None]))
            activity *= engaged
        else:
            activity *= np.where(state.onsite, np.float32(1), t.caretaker[:, None])
        felt = self.surroundings.felt[:, days].astype(np.float32)
        warm = 1 - np.exp(-np.maximum(15.5 - felt, 0) / np.float32(9))
        hot = (np.maximum(felt - 21, 0) / np.float32(6)) ** np.float32(1.3)
        occupied = np.minimum(activity, 1)
        shock, tremble = self.shocks(days)
        activity *= self.level(days)
        activity *= np.exp(t.noise[:, None] * shock)
        whole = t.load + t.base
        use = activity
        use *= t.load[:, None]
        use += t.base[:, None] * (1 + t.cold[:, None] * (felt - 10)[s.region]) * (1 + np.float32(0.02) * tremble)
        heated = np.flatnonzero(t.heat > 0)
        use[heated] += (t.heat * whole)[heated, None] * warm[s.region[heated]] * (0.3 + 0.7 * occupied[heated])
        cooled = np.flatnonzero(t.cool > 0)
        use[cooled] += (t.cool * whole)[cooled, None] * hot[s.region[cooled]] * (0.08 + 0.92 * occupied[cooled])
        return np.maximum(use, 1)


def _plant_holidays(rng: np.random.Generator, section: Ints) -> Ints:
    """Draw a summer shutdown for some and a few odd days off for many (establishment x 3 x first, last)."""
    n = len(section)
    factory = np.isin(section, [SECTION_CODES.index(c) for c in "BCF"])
    summer = day_number(dt.date(2019, 7, 8))
    out = np.full((n, 3, 2), -1, dtype=np.int64)
    out[:, 0, 0] = summer + rng.integers(0, 45, n)
    out[:, 0, 1] = out[:, 0, 0] + rng.integers(6, 16, n)
    out[rng.random(n) >= np.where(factory, 0.35, 0.08), 0] = -1
    for window, (start, end) in enumerate(
        ((dt.date(2019, 1, 1), dt.date(2019, 12, 31)), (dt.date(2020, 1, 1), METERS_LAST)), 1
    ):
        out[:, window, 0] = rng.integers(day_number(start), day_number(end), n)
        out[:, window, 1] = out[:, window, 0] + rng.integers(1, 5, n)
        out[rng.random(n) >= 0.4, window] = -1
    return out
