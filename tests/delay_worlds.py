"""Worlds in which reports come late, with the truth kept: not made by the estimator's own model."""

from __future__ import annotations

import datetime as dt
import itertools

import numpy as np
import pandas as pd

from opsroom.economy import meridia
from opsroom.economy.horizon import day_number

START = dt.date(2019, 9, 2)
DELAY = 20


def late_reports(
    seed: int, *, sectors: int = 5, days: int = 110, least: float = 1.0, most: float = 60.0
) -> pd.DataFrame:
    """Return records (vintages and tombstones) of sectors from very small to large.

    Counts are negative binomial about a walk with a step up or down and quiet weekends; delays are gamma, of
    another mean and shape in each sector, and lengthen by half; nine in ten reports that fall on a weekend
    wait for Monday; one record in twenty is deleted some days after.
    """
    rng = np.random.default_rng(seed)
    size = np.exp(np.linspace(np.log(least), np.log(most), sectors))
    change, height = rng.integers(30, 100), rng.uniform(-0.5, 0.9)
    common = np.cumsum(rng.normal(0, 0.05, days))
    pieces = []
    for s in range(sectors):
        own = np.cumsum(rng.normal(0, 0.06, days))
        mean_delay, shape, spread = rng.uniform(2.5, 6), rng.uniform(0.8, 2.0), rng.uniform(5, 30)
        day = np.arange(days)
        level = size[s] * np.exp(common + own + height / (1 + np.exp(-(day - change) / 3)))
        level = level * np.where((day + START.weekday()) % 7 >= 5, 0.35, 1.0)
        about = np.repeat(day, rng.poisson(level * rng.gamma(spread, size=days) / spread))
        lag = rng.gamma(shape, mean_delay * (1 + 0.5 * about / days) / shape)
        known = about + np.floor(lag).astype(np.int64)
        weekday = (known + START.weekday()) % 7
        waits = (weekday >= 5) & (rng.random(len(known)) < 0.9)
        known = known + np.where(waits, 7 - weekday, 0)
        ident = s * 1_000_000 + np.arange(len(about))
        first = pd.DataFrame({"id": ident, "sector": f"S{s}", "day": about, "known_at": known, "dead": False})
        gone = rng.random(len(about)) < 0.05
        last = first[gone].assign(dead=True)
        last["known_at"] += 1 + rng.geometric(0.25, len(last))
        pieces += [first, last]
    table = pd.concat(pieces, ignore_index=True)
    begin = pd.Timestamp(START)
    table["day"] = begin + pd.to_timedelta(table["day"], unit="D")
    table["known_at"] = begin + pd.to_timedelta(table["known_at"], unit="D") + pd.Timedelta(hours=10)
    return table


def day(number: int) -> str:
    """Return a day of the world, ISO."""
    return (START + dt.timedelta(days=number)).isoformat()


def register_of_deaths(companies: int, *, seed: int, weeks: int = 200) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the ends of Meridia's companies as its register learns them week by week, and as they happened.

    The register enters an end 25 to 130 days after it; between 2017-07-03 and some weeks later.
    """
    world = meridia(companies, seed=seed)
    cuts = [dt.date(2017, 6, 26) + dt.timedelta(weeks=k) for k in range(weeks)]
    learnt, happened = [], []
    for number in world.workshop.chunks:
        registers = world.workshop[number].registers
        for after, until in itertools.pairwise(cuts):
            table = registers.enterprises(day_number(after), day_number(until))
            frame = table.select(["enterprise_id", "valid_from", "section", "died"]).to_pandas()
            learnt.append(frame[frame["died"].notna()].assign(known_at=pd.Timestamp(until)))
        happened.append(pd.DataFrame({"section": registers.chunk.enterprises.section, "died": registers.died}))
    records = pd.concat(learnt, ignore_index=True)
    return records.assign(died=pd.to_datetime(records["died"])), pd.concat(happened, ignore_index=True)
