"""How near Victoria's daily load can be told from one station's daily weather: a flexible learner with the same inputs.

A Gaussian process on log load: the engine's own terms as a linear part; any smooth function of eleven weather variables
(mean, extremes, the next morning, the next day's maximum, the day before, what built up over days, sunshine, rain),
season and days off; a level that wanders; five days' memory. Its twenty scales are those under which the years of
training are likeliest. Scored three ways, of which only the first is what an activity index has to do:

- `ahead`: all of 2019 from the years before, weather known;
- `weeks_out`: four weeks left out at a time, level and weather response known from what lies on both sides of them;
- `days_out`: every tenth day at random, the other nine known: an interpolation, no forecast.

What the last leaves is what these inputs do not tell. Beside it what the engine's error is made of.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve

from bench.activity import cases, folder, ours
from opsroom.measure.adjust.days import OFF, calendar_days
from opsroom.measure.adjust.feasts import moving_feasts
from opsroom.measure.adjust.terms import DayDesign, weather_days

YEAR = 2019
SWEEPS, EVERY = 3, 4
"""Sweeps over the scales, on every fourth day of training."""

MEMORY = 5 / 365.25
SUMMER = (12, 1, 2)


@dataclass(frozen=True)
class Days:
    """What is known of each day."""

    dates: pd.DatetimeIndex
    y: np.ndarray
    smooth: np.ndarray
    linear: np.ndarray
    years: np.ndarray


def known() -> Days:
    """Return Victoria's days to the end of 2019."""
    case = cases()["Victoria, temperature, sunshine, rain"]
    load = case.load[: str(YEAR)]
    dates = pd.DatetimeIndex(load.index)
    weather = weather_days(pd.DataFrame(case.weather), dates)
    calendar = calendar_days(dates, country=case.country, region=case.region)
    train = np.asarray(dates.year < YEAR)
    feasts = moving_feasts(dates, country=case.country, region=case.region)
    design = DayDesign.learn(calendar[train], weather[train], trend="none", feasts=feasts)
    x, penalty = design.matrix(calendar, weather)
    hottest, around = weather["max"], weather["around"]
    seen = pd.DataFrame(
        {
            "mean": weather["mean"], "max": hottest, "min": weather["min"], "next_min": weather["next_min"],
            "next_max": hottest.shift(-1).ffill(), "max_before": hottest.shift(1).bfill(),
            "two_before": around.shift(2).bfill(), "built_up": around.shift(1).ewm(halflife=3).mean().bfill(),
            "sunshine": weather["solar_exposure"], "rain": np.sqrt(weather["rainfall"]),
        }
    )  # fmt: skip
    angle = 2 * np.pi * dates.day_of_year.to_numpy() / 365.25
    off = calendar["kind"].isin(OFF).to_numpy(dtype=float)
    smooth = np.column_stack([(seen - seen.mean()) / seen.std(), 1.5 * np.cos(angle), 1.5 * np.sin(angle), off])
    root = np.sqrt(np.where(penalty > 0, penalty, 1e-3) + 1e-3)
    linear = np.where(np.isfinite(x), x, 0.0) / root
    return Days(dates, np.log(load.to_numpy()), smooth, linear, np.arange(len(load)) / 365.25)


def covariance(scales: np.ndarray, days: Days, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the prior covariance of days `a` and `b`; `scales` are logarithms."""
    n = days.smooth.shape[1]
    amplitude, level, span, memory, straight = np.exp(scales[n : n + 5])
    u, v = (days.smooth[at] / np.exp(scales[:n]) for at in (a, b))
    apart = np.maximum((u**2).sum(1)[:, None] + (v**2).sum(1)[None, :] - 2 * u @ v.T, 0)
    time_apart = np.abs(days.years[a][:, None] - days.years[b][None, :])
    return (
        amplitude**2 * np.exp(-apart / 2) + level**2 * np.exp(-time_apart / span)
        + memory**2 * np.exp(-time_apart / MEMORY) + straight**2 * days.linear[a] @ days.linear[b].T
    )  # fmt: skip


def solved(scales: np.ndarray, days: Days, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the weights of the days learnt from, and the negative log likelihood."""
    noise = np.exp(2 * scales[-1]) + 1e-8
    y = days.y[rows] - days.y[rows].mean()
    root = cho_factor(covariance(scales, days, rows, rows) + noise * np.eye(len(rows)), lower=True)
    weights = cho_solve(root, y)
    return weights, float(y @ weights / 2 + np.log(np.diag(root[0])).sum())


def likeliest(days: Days, rows: np.ndarray) -> np.ndarray:
    """Return the scales under which the days are likeliest, by a search along one after the other."""
    n = days.smooth.shape[1]
    best = np.concatenate([np.log(np.full(n, 3.0)), np.log([0.05, 0.03, 0.5, 0.01, 0.03, 0.02])])
    step, least = 0.6, solved(best, days, rows)[1]
    for _ in range(SWEEPS):
        for k in range(len(best)):
            for move in (step, -step):
                tried = best.copy()
                tried[k] += move
                value = solved(tried, days, rows)[1]
                if value < least - 1e-3:
                    best, least = tried, value
        step *= 0.7
    return best


def errors(scales: np.ndarray, days: Days, out: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return errors on the days `out` where each fold is told from all days outside it, up to the end of the year."""
    found = np.full(len(days.y), np.nan)
    for number in np.unique(fold[out]):
        test = np.flatnonzero((fold == number) & out)
        rows = np.flatnonzero(fold != number)
        weights, _ = solved(scales, days, rows)
        told = covariance(scales, days, test, rows) @ weights
        found[test] = days.y[test] - days.y[rows].mean() - told
    return found[out]


def parts(error: pd.Series) -> dict[str, float]:
    """Return what the engine's error is made of, in per cent."""
    dates = pd.DatetimeIndex(error.index)
    month = error.groupby(dates.month).transform("mean")
    weekday = (error - month).groupby(dates.day_of_week).transform("mean")
    rest = error - month - weekday
    summer = np.isin(dates.month, SUMMER)
    found = {
        "sd": error.std(), "mean": error.mean(), "sd_of_months": month.std(), "sd_of_weekdays": weekday.std(),
        "sd_within": rest.std(), "sd_within_summer": rest[summer].std(), "sd_within_others": rest[~summer].std(),
        "sd_summer": error[summer].std(), "sd_others": error[~summer].std(),
    }  # fmt: skip
    return {name: round(100 * float(value), 2) for name, value in found.items()}


def run(size: int | None = None) -> dict[str, Any]:
    """Score the learner on Victoria in 2019, and take the engine's error apart; there is one size."""
    if not folder().is_dir():
        return {"case": "activity_floor", "size": size, "peer": "absent: no folder of real data"}
    clock = time.perf_counter()
    case = cases()["Victoria, temperature, sunshine, rain"]
    frame = ours(case, f"{YEAR - 1}-12-31").to_frame().loc[str(YEAR)]
    own = np.log(frame["observed"] / frame["expected"])
    took = time.perf_counter() - clock
    days = known()
    out = np.asarray(days.dates.year == YEAR)
    before = np.flatnonzero(~out)
    clock = time.perf_counter()
    scales = likeliest(days, before[::EVERY])
    drawn = np.random.default_rng(0).integers(0, 10, len(days.y))
    made = {
        "ahead": errors(scales, days, out, out.astype(int)),
        "weeks_out": errors(scales, days, out, np.arange(len(days.y)) // 28 % 13),
        "days_out": errors(scales, days, out, drawn),
    }
    peer = time.perf_counter() - clock
    sd = {name: round(100 * float(error.std(ddof=1)), 2) for name, error in made.items()}
    sd["ahead, averaged with ours"] = round(100 * float(((made["ahead"] + own.to_numpy()) / 2).std(ddof=1)), 2)
    summer = np.isin(days.dates[out].month, SUMMER)
    sd["days_out, summer"], sd["days_out, others"] = (
        round(100 * float(made["days_out"][which].std(ddof=1)), 2) for which in (summer, ~summer)
    )
    return {
        "case": "activity_floor", "size": size or int(out.sum()), "ours_s": round(took, 1),
        "peer": "Gaussian process of the same inputs", "peer_s": round(peer, 1), "ratio": round(peer / took, 1),
        "max_abs_diff": None, "ours": parts(own), "learner_sd": sd,
    }  # fmt: skip
