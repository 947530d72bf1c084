"""The true path of the whole country: output by section, month and quarter, from trend, cycle and shock."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from opsroom.economy.horizon import STATE_FIRST, STATE_LAST, Floats, day_number
from opsroom.economy.operation import ESSENTIAL_EXPOSURE, SIZE_STANDING, STANDING, Pressure
from opsroom.economy.randomness import stream
from opsroom.economy.sectors import (
    DIVISION_SECTION,
    DIVISION_WEIGHTS,
    ESSENTIAL,
    REGION_WEIGHTS,
    SECTIONS,
    column,
)

MACRO_FIRST: Final = dt.date(2008, 1, 1)
MACRO_LAST: Final = STATE_LAST
PASS_THROUGH: Final = 0.22
"""Share of a section's lost activity that its value added loses: stocks, dwellings and government go on."""

SIZE_SALES: Final = np.array([0.10, 0.18, 0.22, 0.50])
MEAN_FLOOR: Final = 0.41
"""Mean capacity of companies at work in the deepest slump (of the draw in `opsroom.economy.operation`)."""


@dataclass(frozen=True)
class Aggregate:
    """True output by section; months and quarters from 2008 to mid-2021.

    Notes
    -----
    A log trend, recessions of the scenario as half-sine troughs, a small persistent noise; in the shock
    each section loses `PASS_THROUGH` of the expected loss of activity of its companies, computed from the
    same pressure as the companies', in closed form: so the country does not depend on how many companies
    are drawn.
    """

    seed: int
    pressure: Pressure

    @cached_property
    def months(self) -> pd.DatetimeIndex:
        """First days of all months."""
        return pd.date_range(MACRO_FIRST, MACRO_LAST, freq="MS")

    @cached_property
    def at_work(self) -> tuple[Floats, Floats, Floats]:
        """Expected shares by section and day from `STATE_FIRST` on, weighted by sales.

        Who works on the premises, who works from home (the share of the section's business so done), and how deep
        the slump is for those at work (0: none, 1: all of it).
        """
        table = self.pressure.table.astype(np.float64)
        must = np.bincount(DIVISION_SECTION, weights=DIVISION_WEIGHTS * ESSENTIAL, minlength=len(SECTIONS))
        essential = must / np.bincount(DIVISION_SECTION, weights=DIVISION_WEIGHTS, minlength=len(SECTIONS))
        working = np.zeros(table.shape[1:])
        for size, weight in enumerate(SIZE_SALES):
            stands = STANDING + SIZE_STANDING[size]
            for share, exposure in ((essential, ESSENTIAL_EXPOSURE), (1 - essential, 1.0)):
                open_ = 1 / (1 + np.exp(np.clip(table * exposure - stands, -50, 50)))
                working += weight * share[:, None] * np.tensordot(REGION_WEIGHTS, open_, axes=1)
        remote = self.pressure.scenario.remote
        days = np.arange(table.shape[2]) + self.pressure.first
        ready = 1 - np.exp(-np.maximum(days - day_number(remote.start), 0) / remote.mean_delay_days)
        far = column("remote")[:, None] * remote.take_up * ready * (1 - working)
        depth = np.minimum(1, column("slump")[:, None] * self.pressure.slump)
        return working, far, depth

    @cached_property
    def expected(self) -> Floats:
        """Expected activity by section and day from `STATE_FIRST` on (1: normal), weighted by sales."""
        working, far, depth = self.at_work
        result: Floats = working * (1 - (1 - MEAN_FLOOR) * depth) + 0.75 * far
        return result

    @cached_property
    def monthly_shock(self) -> Floats:
        """Share of value added lost to the shock, section x month."""
        days = pd.date_range(STATE_FIRST, STATE_LAST)
        month_of = days.year * 12 + days.month
        lost = PASS_THROUGH * (1 - self.expected / self.expected[:, :15].mean(axis=1, keepdims=True))
        out = np.zeros((len(SECTIONS), len(self.months)))
        for k, month in enumerate(self.months):
            inside = np.asarray(month_of == month.year * 12 + month.month)
            if inside.any():
                out[:, k] = lost[:, inside].mean(axis=1)
        return out

    @cached_property
    def cycle(self) -> Floats:
        """Log deviation from trend without the shock, by month."""
        n = len(self.months)
        noise = np.zeros(n)
        for k, z in enumerate(stream(self.seed, "macro.cycle").standard_normal(n)):
            noise[k] = 0.92 * (noise[k - 1] if k else 0.0) + 0.0016 * z
        for episode in self.pressure.scenario.history.episodes:
            start = (episode.start.year - MACRO_FIRST.year) * 12 + episode.start.month - 1
            down, up = 3 * episode.quarters, 3 * episode.recovery
            t = np.arange(n) - start
            fall = np.where((t >= 0) & (t < down), np.sin(np.pi / 2 * t / down) ** 2, 0.0)
            rise = np.where((t >= down) & (t < down + up), np.cos(np.pi / 2 * (t - down) / up) ** 2, 0.0)
            noise -= episode.depth * (fall + rise)
        return noise

    @cached_property
    def weights(self) -> Floats:
        """Share of each section in value added in normal times."""
        value = column("weight") * column("sales") * (1 - column("materials"))
        normal: Floats = value / value.sum()
        return normal

    @cached_property
    def output(self) -> Floats:
        """Real value added by section and month; normal times of 2015 add up to 100 a month on average."""
        growth = self.pressure.scenario.history.trend_growth / 3
        trend = growth * (np.arange(len(self.months)) - (2015 - MACRO_FIRST.year) * 12 - 5.5)
        level = 100 * np.exp(trend + self.cycle)
        result: Floats = self.weights[:, None] * level * (1 - self.monthly_shock)
        return result

    @cached_property
    def gdp_monthly(self) -> Floats:
        """Real GDP by month, 2015 = 100 about."""
        total: Floats = self.output.sum(axis=0)
        return total

    @cached_property
    def shock(self) -> Floats:
        """Share of GDP lost to the shock by month."""
        lost: Floats = (self.weights[:, None] * self.monthly_shock).sum(axis=0)
        return lost

    @cached_property
    def quarters(self) -> pd.DatetimeIndex:
        """First days of all quarters."""
        return pd.DatetimeIndex(self.months[::3])

    def quarterly(self, monthly: Floats) -> Floats:
        """Return quarterly means of monthly numbers (last axis)."""
        result: Floats = monthly.reshape(*monthly.shape[:-1], -1, 3).mean(axis=-1)
        return result

    @cached_property
    def gdp(self) -> Floats:
        """Real GDP by quarter."""
        return self.quarterly(self.gdp_monthly)
