"""The grid operator's daily load by class of customer: the whole country's, however many companies are drawn."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa

from opsroom.economy.aggregate import MEAN_FLOOR, Aggregate
from opsroom.economy.electricity import WEEK
from opsroom.economy.horizon import METERS_LAST, STATE_FIRST, WEEK_ZERO, Floats, Ints, day_date, day_number
from opsroom.economy.randomness import stream
from opsroom.economy.registers import dates, strings
from opsroom.economy.scenario import REGIONS
from opsroom.economy.sectors import REGION_WARMTH, REGION_WEIGHTS, SECTION_CODES, column
from opsroom.economy.surroundings import (
    BRIDGE,
    MEMORY,
    NATIONAL,
    NEW_YEAR,
    PUBLIC,
    REGIONAL,
    WORKDAY,
    Surroundings,
    climate,
    day_kind,
    felt,
    new_year_distance,
    with_new_years_from,
)

LOAD_FIRST: Final = dt.date(2015, 1, 1)
CLASSES: Final = ("business", "households")
LEVEL: Final = {"business": 122_500.0, "households": 54_000.0}
"""MWh on a working day in 2015 that needs neither heating nor cooling."""

TREND: Final = {"business": -0.0006, "households": 0.0004}
"""Monthly trend: of businesses beyond GDP's, since machines come to need less."""

CYCLE: Final = 1.1
"""By how many per cent business load moves with output beyond trend."""

NOISE: Final = {"business": (0.007, 0.007), "households": (0.008, 0.006)}
"""Standard deviations of a class's oddities that last a day or two, and of those that last for months, log points."""

FADE: Final = (0.5, 0.995)
"""What each kind of oddity leaves to the next day."""

ENGAGED: Final = 0.82
"""Exponent from capacity to electricity of a company at work, on average over companies."""

DARK: Final = 0.145
"""Activity left on the meters of companies that work from home."""

FACTORIES: Final = ("B", "C", "F")


@dataclass(frozen=True)
class Load:
    """Daily load of businesses and of households from 2015 on, and the country's temperature.

    Notes
    -----
    Businesses, summed over sections in closed form: use on closed days, activity by kind of day, its expected loss
    in the shock, heating and cooling of what is occupied, as the companies' own meters have it (see
    `opsroom.economy.electricity`), at the level of trend and cycle. Households: more on days off and on days on which
    people stay at home, light in winter, heating and cooling.

    Each row is known on the day on which its week is delivered: the Tuesday two days after the week's Sunday.
    """

    surroundings: Surroundings
    aggregate: Aggregate

    @cached_property
    def days(self) -> Ints:
        """Day numbers."""
        return np.arange(day_number(LOAD_FIRST), day_number(METERS_LAST) + 1)

    @cached_property
    def tenths(self) -> Ints:
        """Mean temperature of the country, whole tenths of a degree.

        From the first day of the weather service's table on, the mean of its published regions, by people. Before,
        the same climate: its oddities are drawn backwards from that day, on which they are nil.
        """
        seed, count = self.surroundings.seed, -int(self.days[0])
        shocks = stream(seed, "load.weather").standard_normal((len(REGIONS) + 1, count))
        odd = np.zeros((len(REGIONS) + 1, count + 1))
        for t in range(count):
            odd[:, t + 1] = MEMORY * odd[:, t] + shocks[:, t]
        before = NATIONAL * odd[0, :0:-1] + REGIONAL * (REGION_WEIGHTS @ odd[1:, :0:-1])
        before += climate(self.days[:count]) + REGION_WEIGHTS @ REGION_WARMTH
        since = REGION_WEIGHTS @ self.surroundings.tenths
        return np.concatenate([np.rint(before * 10), np.rint(since)]).astype(np.int64)

    @cached_property
    def _kinds(self) -> Ints:
        scenario = with_new_years_from(LOAD_FIRST.year, self.surroundings.scenario)
        return np.array([day_kind(day_date(n), scenario) for n in self.days])

    @cached_property
    def _needs(self) -> tuple[Floats, Floats]:
        """What buildings ask for on a day: warmth and coolness."""
        degrees = felt(self.tenths / 10)
        warm: Floats = 1 - np.exp(-np.maximum(15.5 - degrees, 0) / 9)
        cool: Floats = (np.maximum(degrees - 21, 0) / 6) ** 1.3
        return warm, cool

    @cached_property
    def _usual(self) -> Floats:
        """Activity by section and day as if nothing had happened (1: a working day)."""
        days, kinds, weekday = self.days, self._kinds, self.days % WEEK
        leak = 0.015
        saturday, sunday, new_year = (column(name)[:, None] for name in ("saturday", "sunday", "new_year"))
        out = np.ones((len(SECTION_CODES), len(days)))
        out = np.where(weekday == 5, 0.65 * saturday + leak * (1 - saturday), out)
        out = np.where(weekday == 6, 0.62 * sunday + leak * (1 - sunday), out)
        for kind, then in (
            (PUBLIC, 0.7 * sunday + leak * (1 - sunday)),
            (NEW_YEAR, 0.72 * new_year + leak * (1 - new_year)),
            (BRIDGE, np.full_like(sunday, 0.8)),
        ):
            out = np.where(kinds == kind, np.minimum(out, then), out)
        scenario = with_new_years_from(LOAD_FIRST.year, self.surroundings.scenario)
        until, since = new_year_distance(days, scenario)
        # Companies that wind down begin one to four days before, as many come back as late.
        away = 0.35 * 0.35 * np.clip((5 - until) / 4, 0, 1) + 0.22 * 0.7 * np.clip((5 - since) / 4, 0, 1)
        factory = np.isin(SECTION_CODES, FACTORIES)[:, None]
        date = [day_date(n) for n in days]
        august = np.array([d.month == 8 for d in date])
        shut = np.array([(7, 8) <= (d.month, d.day) <= (8, 31) for d in date])
        usual: Floats = out * (1 - away) * np.exp(-0.06 * august) * (1 - np.where(factory, 0.07, 0.015) * shut)
        return usual

    @cached_property
    def _shock(self) -> tuple[Floats, Floats]:
        """What is left of activity on the meters, and of people at work away from home, by section and day."""
        working, far, depth = self.aggregate.at_work
        first = day_number(STATE_FIRST) - int(self.days[0])
        count = len(self.days) - first
        full = working[:, :15].mean(axis=1, keepdims=True)
        there = working[:, :count] / full
        left = there * (1 - (1 - MEAN_FLOOR) * depth[:, :count]) ** ENGAGED + DARK * far[:, :count] / full
        before = np.ones((len(working), first))
        return np.hstack([before, left]), np.hstack([before, there])

    @cached_property
    def at_home(self) -> Floats:
        """Share of people at home by day who are at work on a working day in normal times, from 0 to 1."""
        jobs = column("weight") / column("weight").sum()
        moved = 1 - jobs @ self._shock[1]
        off = np.select([self._kinds == WORKDAY, self._kinds == BRIDGE], [0.0, 0.35], 1.0)
        return np.asarray(off + (1 - off) * np.clip(moved, 0, 1), dtype=np.float64)

    def _cycle(self) -> tuple[Floats, Floats]:
        """Months since the middle of 2015 and log deviation from trend, by day."""
        months = self.aggregate.months
        middle = np.array([(m.date() - WEEK_ZERO).days + 15 for m in months], dtype=np.float64)
        base = middle[np.searchsorted(months, np.datetime64("2015-07-01"))]
        cycle = np.interp(self.days, middle, self.aggregate.cycle)
        return (self.days - base) / 30.4375, np.asarray(cycle, dtype=np.float64)

    def _noise(self, name: str) -> Floats:
        """Log oddities of a class that nothing explains."""
        rng = stream(self.surroundings.seed, "load.noise", CLASSES.index(name))
        total = np.zeros(len(self.days))
        for sd, fade in zip(NOISE[name], FADE, strict=True):
            z = rng.standard_normal(len(self.days)) * sd * np.sqrt(1 - fade**2)
            state = 0.0
            for t, step in enumerate(z):
                state = fade * state + step
                total[t] += state
        return total

    @cached_property
    def business(self) -> Floats:
        """Load of businesses by day, MWh."""
        base, heat = column("base")[:, None], column("heat")[:, None]
        weight = column("weight") * column("use") / (1 - column("base"))
        left, (warm, cool) = self._shock[0], self._needs
        activity = self._usual * left
        use = base + (1 - base) * activity
        use += 0.34 * heat * warm * (0.3 + 0.7 * activity) + 0.045 * cool * (0.08 + 0.92 * activity)
        months, cycle = self._cycle()
        growth = self.aggregate.pressure.scenario.history.trend_growth / 3 + TREND["business"]
        log = growth * months + CYCLE * cycle + self._noise("business")
        load: Floats = LEVEL["business"] * (weight @ use) / weight.sum() * np.exp(log)
        return load

    @cached_property
    def households(self) -> Floats:
        """Load of households by day, MWh."""
        (warm, cool), home = self._needs, self.at_home
        strict = REGION_WEIGHTS @ self.surroundings.stringency(self.days) / 100
        dark = np.cos(2 * np.pi * (self.days + 10) / 365.25)
        use = 1 + 0.07 * home + 0.04 * strict + 0.06 * dark
        use = use + 0.42 * warm * (1 + 0.08 * home) + 0.16 * cool * (1 + 0.25 * home)
        log = TREND["households"] * self._cycle()[0] + self._noise("households")
        load: Floats = LEVEL["households"] * use * np.exp(log)
        return load

    def table(self, first: dt.date, last: dt.date) -> pa.Table:
        """Return the rows of some days, both ends included, as the grid operator delivers them."""
        own = slice(day_number(first) - int(self.days[0]), day_number(last) + 1 - int(self.days[0]))
        days = self.days[own]
        mwh = np.stack([np.rint(self.business[own]), np.rint(self.households[own])]).astype(np.int64)
        known = days // WEEK * WEEK + WEEK + 1
        return pa.table(
            {
                "class": strings(CLASSES, np.repeat(np.arange(len(CLASSES)), len(days))),
                "date": dates(np.tile(days, len(CLASSES))),
                "mwh": mwh.ravel(),
                "temp_dc": np.tile(self.tenths[own], len(CLASSES)),
                "vintage": dates(np.tile(known, len(CLASSES))),
            }
        )
