"""What all companies share: calendar, weather, restrictions."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from opsroom.economy.horizon import (
    METERS_FIRST,
    METERS_LAST,
    MONTHS_SIMULATED,
    WEEK_ZERO,
    Bools,
    Floats,
    Ints,
    day_date,
    day_number,
    month_days,
)
from opsroom.economy.randomness import stream
from opsroom.economy.scenario import REGIONS, Holiday, Scenario
from opsroom.economy.sectors import REGION_WARMTH

KINDS = ("workday", "weekend", "public_holiday", "new_year_holiday", "bridge")
WORKDAY, WEEKEND, PUBLIC, NEW_YEAR, BRIDGE = range(5)

FIXED: Final = (
    (1, 1, "First of January"),
    (4, 4, "Remembrance Day"),
    (5, 1, "Labour Day"),
    (6, 25, "Harbour Day"),
    (10, 1, "Union Day"),
    (10, 2, "Union Day"),
    (12, 25, "Midwinter"),
)

"""Public holidays that fall on the same day every year: month, day, name."""

LUNATION: Final = 29.530589
"""Days from one new moon to the next."""

MEMORY: Final = 0.78
NATIONAL, REGIONAL = 1.7, 0.8
"""Of the weather: what a day's oddity leaves to the next day's; degrees of oddities that all regions share, and own."""

DAYS = (METERS_LAST - WEEK_ZERO).days + 1
"""Days from `WEEK_ZERO` to the last day of readings."""


def holiday_name(day: dt.date, scenario: Scenario) -> str:
    """Return the name of the holiday that a day is, or an empty text."""
    for holiday in scenario.new_year:
        if holiday.start <= day <= holiday.end:
            return "New Year"
    return next((name for month, number, name in FIXED if (day.month, day.day) == (month, number)), "")


def day_kind(day: dt.date, scenario: Scenario) -> int:
    """Return the kind of a day (index into `KINDS`)."""
    name = holiday_name(day, scenario)
    if name == "New Year":
        return NEW_YEAR
    if name:
        return PUBLIC
    if day.weekday() >= 5:
        return WEEKEND
    around = [day + dt.timedelta(days=k) for k in (-1, 1)]
    free = [bool(holiday_name(d, scenario)) or d.weekday() >= 5 for d in around]
    named = any(holiday_name(d, scenario) not in ("", "New Year") for d in around)
    return BRIDGE if all(free) and named else WORKDAY


def with_new_years_from(year: int, scenario: Scenario) -> Scenario:
    """Return the scenario with the New Year holidays from a year on that lie before its first one.

    The holiday moves with the moon: twelve or thirteen lunations before the next one, whichever lies nearer to where
    in the year the scenario's lie on average; as long as theirs mostly are.
    """
    known = sorted(scenario.new_year, key=lambda h: h.start)
    usual = sum((h.start - dt.date(h.start.year, 1, 1)).days for h in known) / len(known)
    length = sorted((h.end - h.start).days for h in known)[len(known) // 2]
    moon = float(known[0].start.toordinal())
    earlier: list[Holiday] = []
    for before in range(known[0].start.year - 1, year - 1, -1):
        first = dt.date(before, 1, 1).toordinal()
        moon = min((moon - k * LUNATION for k in (12, 13)), key=lambda day: abs(day - first - usual))
        start = dt.date.fromordinal(int(moon))
        earlier.insert(0, Holiday(start, start + dt.timedelta(days=length)))
    return replace(scenario, new_year=(*earlier, *known))


def climate(days: Ints) -> Floats:
    """Return the usual national temperature of days, a yearly wave, degrees Celsius."""
    year = 2 * np.pi * (days - 15) / 365.25
    wave: Floats = 11.5 - 11.0 * np.cos(year) - 1.2 * np.cos(2 * year + 0.6)
    return wave


def felt(temperature: Floats) -> Floats:
    """Return the temperature that buildings feel, whose last axis is days: they remember two days."""
    lag1 = np.concatenate([temperature[..., :1], temperature[..., :-1]], axis=-1)
    lag2 = np.concatenate([lag1[..., :1], lag1[..., :-1]], axis=-1)
    degrees: Floats = 0.55 * temperature + 0.3 * lag1 + 0.15 * lag2
    return degrees


def new_year_distance(days: Ints, scenario: Scenario) -> tuple[Ints, Ints]:
    """Return days to go until the next New Year holiday, and days since the last (large where far)."""
    until, since = np.full(len(days), 99), np.full(len(days), 99)
    for holiday in scenario.new_year:
        start, end = day_number(holiday.start), day_number(holiday.end)
        until = np.where(days < start, np.minimum(until, start - days), until)
        since = np.where(days > end, np.minimum(since, days - end), since)
    return until, since


@dataclass(frozen=True)
class Surroundings:
    """Calendar, weather and restrictions of one run, by day number (day 0 is `WEEK_ZERO`)."""

    seed: int
    scenario: Scenario

    @cached_property
    def kinds(self) -> Ints:
        """Kind of each day."""
        return np.array([day_kind(day_date(n), self.scenario) for n in range(DAYS)])

    @cached_property
    def workdays(self) -> Floats:
        """How a month's working days lift or lower sales, 1 on average, by month number."""
        counts = []
        for month in range(MONTHS_SIMULATED):
            first, last = month_days(month)
            kinds = [day_kind(day_date(n), self.scenario) for n in range(first, last + 1)]
            counts.append(kinds.count(WORKDAY))
        factor: Floats = (np.array(counts) / np.mean(counts)) ** 0.45
        return factor

    @cached_property
    def new_year_distance(self) -> tuple[Ints, Ints]:
        """`new_year_distance` of each day."""
        return new_year_distance(np.arange(DAYS), self.scenario)

    @cached_property
    def temperature(self) -> Floats:
        """Daily mean temperature by region and day, degrees Celsius.

        A yearly wave, a national and a regional autoregression of first order, and the scenario's
        mild spell with soft edges.
        """
        days = np.arange(DAYS)
        shocks = stream(self.seed, "weather").standard_normal((len(REGIONS) + 1, DAYS))
        noise = np.zeros_like(shocks)
        for t in range(1, DAYS):
            noise[:, t] = MEMORY * noise[:, t - 1] + shocks[:, t]
        weather = self.scenario.weather
        first, last = day_number(weather.mild_from), day_number(weather.mild_to)
        mild = weather.mild_degrees / (1 + np.exp(-(days - first) / 2.0)) / (1 + np.exp((days - last) / 4.0))
        degrees: Floats = climate(days) + mild + NATIONAL * noise[:1] + REGIONAL * noise[1:] + REGION_WARMTH[:, None]
        return degrees

    @cached_property
    def tenths(self) -> Ints:
        """Temperature as the weather service publishes it, whole tenths of a degree."""
        return np.rint(self.temperature * 10).astype(np.int64)

    @cached_property
    def felt(self) -> Floats:
        """Temperature that buildings feel, by region and day."""
        return felt(self.temperature)

    def locked(self, days: Ints) -> Bools:
        """Return whether each region is locked down on each day (region x day)."""
        out = np.zeros((len(REGIONS), len(days)), dtype=bool)
        for lockdown in self.scenario.lockdowns:
            inside = (days >= day_number(lockdown.start)) & (days <= day_number(lockdown.end))
            out[REGIONS.index(lockdown.region)] |= inside
        return out

    def restriction(self, days: Ints) -> Floats:
        """Return how severe restrictions are, from 0 (region x day); each region eases with its own delay."""
        cause = self.scenario.restrictions
        easing = days > day_number(self.scenario.remote.start)
        rows = [cause.path.at(days - cause.delay_days[r] * easing) * cause.severity[r] for r in REGIONS]
        return np.array(rows)

    def stringency(self, days: Ints) -> Ints:
        """Return the published index of restrictions, 0-100 (region x day); a lockdown counts 100."""
        index = np.rint(100 * np.clip(self.restriction(days), 0, 0.95)).astype(np.int64)
        return np.where(self.locked(days), 100, index)


def meter_days() -> Ints:
    """Return the day numbers of the readings."""
    return np.arange(day_number(METERS_FIRST), day_number(METERS_LAST) + 1)
