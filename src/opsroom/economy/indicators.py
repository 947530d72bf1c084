"""True paths of monthly, quarterly and weekly series: what statistics, once final, will say."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd

from opsroom.economy.aggregate import Aggregate
from opsroom.economy.horizon import WEEK_ZERO, Floats, day_number
from opsroom.economy.randomness import stream
from opsroom.economy.scenario import REGIONS, Boom, Scenario
from opsroom.economy.sectors import REGION_WEIGHTS

INFLATION: Final = 0.0016
"""Monthly trend of prices."""

_ACTIVITY: Final = {
    # name: level, response to the cycle, response to the shock, monthly trend beyond GDP's, noise
    "industrial_production": (100.0, 2.1, 1.5, 0.0002, 0.008),
    "retail_sales": (100.0, 1.2, 1.8, 0.0000, 0.009),
    "exports": (4200.0, 2.6, 1.7, 0.0012, 0.019),
    "imports": (3900.0, 2.4, 1.5, 0.0010, 0.019),
    "electricity_total": (5200.0, 1.1, 1.1, -0.0006, 0.008),
    "card_payments": (100.0, 1.1, 2.3, 0.0050, 0.010),
}
FLOWS: Final = ("trips", "data_traffic", "trade", "capital_in", "capital_out")
FLOWS_FIRST: Final = dt.date(2015, 1, 5)


@dataclass(frozen=True)
class Indicators:
    """True series of one run."""

    aggregate: Aggregate
    scenario: Scenario

    @property
    def _seed(self) -> int:
        return self.aggregate.seed

    @cached_property
    def monthly(self) -> dict[str, Floats]:
        """Monthly series, name → values from 2008-01 on."""
        a = self.aggregate
        n = len(a.months)
        t = np.arange(n) - 84
        trend = self.scenario.history.trend_growth / 3
        out: dict[str, Floats] = {}
        for name, (level, cycle, shock, drift, noise) in _ACTIVITY.items():
            z = stream(self._seed, f"macro.{name}").standard_normal(n)
            slow = np.cumsum(stream(self._seed, f"macro.{name}.slow").standard_normal(n)) * noise * 0.12
            log = (trend + drift) * t + cycle * a.cycle + slow + noise * 0.7 * z
            out[name] = level * np.exp(log) * np.clip(1 - shock * a.shock, 0.05, None)
        growth = np.diff(np.log(a.gdp_monthly), prepend=np.log(a.gdp_monthly[0]))
        mood = pd.Series(growth - growth.mean()).ewm(span=2).mean().to_numpy()
        z = stream(self._seed, "macro.pmi").standard_normal(n)
        out["pmi"] = 51.3 + 24 * np.tanh(32 * mood) + 0.8 * z
        slack = pd.Series(-a.cycle + 0.35 * a.shock).ewm(span=6).mean().to_numpy()
        z = stream(self._seed, "macro.unemployment").standard_normal(n)
        out["unemployment"] = 5.2 + 55 * slack + 0.06 * z
        z = stream(self._seed, "macro.cpi").standard_normal(n)
        out["cpi"] = 100 * np.exp(np.cumsum(INFLATION + 0.02 * a.cycle + 0.0007 * z) - INFLATION * 90)
        quarterly = self.regional("house_price")
        nation = np.exp(np.log(quarterly).T @ REGION_WEIGHTS)
        position = np.arange(n) / 3 - 1 / 3
        z = stream(self._seed, "macro.house_price_m").standard_normal(n)
        out["house_price_m"] = np.interp(position, np.arange(len(nation)), nation) * np.exp(0.003 * z)
        return out

    @cached_property
    def prices(self) -> Floats:
        """Deflator of GDP by quarter, 2015 = 1 about."""
        return self.aggregate.quarterly(self.monthly["cpi"]) / 100

    def hump(self, boom: Boom, size: float) -> Floats:
        """Return a boom's log points by quarter: a smooth rise to the peak, then what the bust takes back."""
        days = np.array([q.toordinal() for q in self.aggregate.quarters], dtype=np.float64)
        start, peak, end = (d.toordinal() for d in (boom.start, boom.peak, boom.end))
        rise = np.sin(np.pi / 2 * np.clip((days - start) / (peak - start), 0, 1)) ** 2
        fall = np.sin(np.pi / 2 * np.clip((days - peak) / (end - peak), 0, 1)) ** 2
        return size * (rise - boom.bust * fall)

    def regional(self, name: str) -> Floats:
        """Return ``credit``, ``house_price``, ``rent`` or ``income`` by region and quarter (nominal)."""
        a = self.aggregate
        q = len(a.quarters)
        t = np.arange(q) - 28
        growth = self.scenario.history.trend_growth + 3 * INFLATION
        rng = stream(self._seed, f"macro.regional.{name}")
        slow = {"credit": 0.0035, "house_price": 0.008, "rent": 0.002, "income": 0.003}[name]
        walk = np.cumsum(rng.standard_normal((len(REGIONS), q)) * slow, axis=1)
        walk -= walk[:, 28:29] + np.linspace(0, 1, q) * (walk[:, -1:] - walk[:, 28:29])
        cycle = a.quarterly(a.cycle - a.shock * {"credit": 0.0, "house_price": 0.25, "rent": 0.3, "income": 0.9}[name])
        beta = {"credit": 0.6, "house_price": 1.2, "rent": 0.3, "income": 1.0}[name]
        log = growth * {"credit": 1.02, "house_price": 1.0, "rent": 0.85, "income": 1.0}[name] * t + beta * cycle + walk
        for boom in self.scenario.booms:
            size = {
                "credit": boom.credit,
                "house_price": boom.house_price,
                "income": boom.income,
                "rent": boom.income * 0.7,
            }[name]
            for region in boom.regions:
                log[REGIONS.index(region)] += self.hump(boom, size)
        noise = rng.standard_normal((len(REGIONS), q)) * slow
        base: Floats = 100 * np.exp(log + noise)
        return base

    @cached_property
    def quarterly(self) -> dict[str, Floats]:
        """Quarterly series, name → values from 2008-Q1 on; by region as ``house_price.R01``."""
        a = self.aggregate
        nominal = 30_000 * a.gdp / 100 * self.prices
        out: dict[str, Floats] = {"gdp": a.gdp, "gdp_nominal": nominal}
        regional = {name: self.regional(name) for name in ("credit", "house_price", "rent", "income")}
        out["credit"] = 4 * 30_000 * 1.05 * (REGION_WEIGHTS @ regional["credit"]) / 100
        for name in ("house_price", "rent"):
            out[name] = np.exp(REGION_WEIGHTS @ np.log(regional[name]))
        for name, values in regional.items():
            scale = 4 * 30_000 * 1.05 / 100 if name == "credit" else 1.0
            for k, region in enumerate(REGIONS):
                out[f"{name}.{region}"] = values[k] * (scale * REGION_WEIGHTS[k] if name == "credit" else 1.0)
        return out

    @cached_property
    def weeks(self) -> pd.DatetimeIndex:
        """Mondays of all weeks of the weekly flows."""
        return pd.date_range(FLOWS_FIRST, dt.date(2021, 6, 28), freq="7D")

    @cached_property
    def weekly(self) -> dict[str, Floats]:
        """Weekly flows, name → values; trips and trade 100 in a normal week of 2015."""
        a, weeks = self.aggregate, self.weeks
        n = len(weeks)
        middle = np.array([(w.date() - WEEK_ZERO).days + 3 for w in weeks])
        position = np.interp(
            middle, [day_number(m.date()) + 15 for m in a.months], np.arange(len(a.months), dtype=np.float64)
        )
        shock = np.interp(position, np.arange(len(a.months)), a.shock)
        cycle = np.interp(position, np.arange(len(a.months)), a.cycle)
        years = np.arange(n) / 52.18
        season = np.cos(2 * np.pi * (years + 0.01 - 0.53))
        holiday = np.zeros(n)
        for item in self.scenario.new_year:
            start, end = day_number(item.start), day_number(item.end)
            inside = np.maximum(0, np.minimum(middle + 3, end) - np.maximum(middle - 3, start) + 1) / 7
            holiday += inside
        z = {name: stream(self._seed, f"flows.{name}").standard_normal(n) for name in FLOWS}
        trips = 100 * np.exp(0.02 * years + 0.10 * season + 0.25 * holiday * (shock < 0.01) + 0.015 * z["trips"])
        data = 100 * np.exp(0.24 * years - 0.03 * holiday + 0.012 * z["data_traffic"]) * (1 + 0.9 * shock)
        trade = 100 * np.exp(0.035 * years + 2.4 * cycle - 0.35 * holiday + 0.03 * z["trade"]) * (1 - 1.6 * shock)
        capital = {
            "capital_in": 240 * np.exp(0.03 * years + 0.10 * z["capital_in"]) * (1 - 2.2 * shock),
            "capital_out": 210 * np.exp(0.03 * years + 0.10 * z["capital_out"]) * (1 + 1.2 * shock),
        }
        return {
            "trips": trips * self.scenario.trips.at(middle),
            "data_traffic": data,
            "trade": trade,
            **capital,
        }
