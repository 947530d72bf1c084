"""Activity from real load: how far normals miss a year ahead, beside Prophet's form and MSTL, and the spring of 2020.

Trained to 2018, tested on 2019, weather known, log points; then trained to 2019 for April 2020. Victoria has daily
temperatures; for Italy and the United States none is at hand, and a proxy made of the load's own shape (afternoon over
night) shows what such a proxy does: it takes weather and shock alike. Peers: Prophet's additive form as published
(piecewise linear trend with 25 changepoints and a sparse prior, Fourier terms of order 10 a year and 3 a week,
holidays one by one, linear regressors), fitted by penalised least squares here, since Prophet itself is not installed;
MSTL of statsmodels with periods of 7 and 365 days; the same weekday a year before. Needs the folder of real data.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from opsroom.base.scores import diebold_mariano
from opsroom.measure.activity import activity_index
from opsroom.measure.activity_tables import daily_means, frame_of
from opsroom.measure.adjust.days import calendar_days

CHANGEPOINTS, HISTORY = 25, 0.8
"""Prophet's: so many changepoints over the first 80 % of the history."""

APRIL = ("2020-04-01", "2020-04-30")
LOCKDOWN = ("2020-03-16", "2020-04-30")


@dataclass(frozen=True, slots=True)
class Case:
    """A load with what is known of its weather."""

    load: pd.Series
    start: str
    country: str
    region: str | None = None
    weather: pd.Series | pd.DataFrame | None = None


def folder() -> Path:
    """Return the folder of real data: ``OPSROOM_SHARED_DATA``, or ``shared/data`` beside the checkout."""
    named = os.environ.get("OPSROOM_SHARED_DATA")
    return (Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data") / "nowcast"


def shape_proxy(load: pd.Series) -> pd.Series:
    """Return afternoon over night load, against the weekday's median, on a scale like degrees."""
    local = load.set_axis(pd.DatetimeIndex(load.index).tz_localize(None))
    hour = pd.DatetimeIndex(local.index).hour
    day = pd.DatetimeIndex(local.index).normalize()
    parts = []
    for low, high in ((13, 17), (2, 5)):
        at = (hour >= low) & (hour <= high)
        parts.append(local[at].groupby(day[at]).mean())
    ratio = np.log(parts[0] / parts[1])
    ratio -= ratio.groupby(pd.DatetimeIndex(ratio.index).day_of_week).transform("median")
    return pd.Series(12 + 6 * (ratio - ratio.median()) / ratio.std())


def cases() -> dict[str, Case]:
    """Return the real loads."""
    at = folder()
    victoria = pd.read_csv(at / "elec_daily_victoria_2015_2020.csv", parse_dates=["date"]).set_index("date")
    heat = ["min_temperature", "max_temperature"]
    italy = pd.read_parquet(at / "elec_hourly_italy_2015_2020.parquet").set_index("time_utc")["load_mw"]
    italy = italy.tz_convert("Europe/Rome")
    frame = pd.read_parquet(at / "elec_hourly_us48_2015_2021.parquet")
    states = frame[frame["type"] == "demand"].set_index("time_utc")["mwh"].tz_convert("America/Chicago")
    states = states.where(states > 0)
    place: dict[str, Any] = {"load": victoria["demand"], "start": "2015-01-01", "country": "AU", "region": "VIC"}
    return {
        "Victoria, temperature": Case(**place, weather=victoria[heat]),
        "Victoria, temperature, sunshine, rain": Case(
            **place, weather=victoria[[*heat, "solar_exposure", "rainfall"]].ffill()
        ),
        "Victoria, no temperature": Case(**place),
        "Italy, no temperature": Case(italy, "2015-01-01", "IT"),
        "Italy, proxy": Case(italy, "2015-01-01", "IT", weather=shape_proxy(italy)),
        "US48, no temperature": Case(states, "2015-07-02", "US"),
        "US48, proxy": Case(states, "2015-07-02", "US", weather=shape_proxy(states)),
    }


def prophet_like(y: pd.Series, case: Case, train: np.ndarray) -> np.ndarray:
    """Return the forecast of Prophet's additive form for all days, the prior's scales as it ships them."""
    dates = pd.DatetimeIndex(y.index)
    t = np.arange(len(y)) / max(int(train.sum()), 1)
    blocks, prior = [np.ones((len(y), 1)), t[:, None]], [np.full(1, 5.0), np.full(1, 5.0)]
    bends = np.linspace(0, HISTORY, CHANGEPOINTS + 1)[1:]
    blocks.append(np.maximum(t[:, None] - bends[None, :], 0))
    prior.append(np.full(CHANGEPOINTS, 0.05))
    for period, order in ((365.25, 10), (7, 3)):
        angle = 2 * np.pi * np.arange(1, order + 1) * np.arange(len(y))[:, None] / period
        blocks.append(np.hstack([np.cos(angle), np.sin(angle)]))
        prior.append(np.full(2 * order, 10.0))
    names = calendar_days(dates, country=case.country, region=case.region)["name"].to_numpy()
    known = sorted({name for name in names[train] if name})
    blocks.append(np.column_stack([names == name for name in known]).astype(float))
    prior.append(np.full(len(known), 10.0))
    if case.weather is not None:
        weather = pd.DataFrame(case.weather).reindex(dates).interpolate(limit_direction="both").to_numpy()
        blocks.append((weather - weather[train].mean(axis=0)) / weather[train].std(axis=0))
        prior.append(np.full(weather.shape[1], 10.0))
    x, scale = np.hstack(blocks), np.concatenate(prior)
    value = y.to_numpy() - float(y[train].mean())
    used = train & np.isfinite(value)
    # Prophet scales load by its maximum and has an error of its own; on logs the error's scale is about 0.05.
    ridge = np.diag((0.05 / scale) ** 2)
    coef = np.linalg.solve(x[used].T @ x[used] + ridge, x[used].T @ value[used])
    return np.asarray(x @ coef + float(y[train].mean()))


def mstl(y: pd.Series, case: Case, train: np.ndarray) -> np.ndarray:
    """Return MSTL's last trend, its last year and its last week, repeated."""
    del case
    from statsmodels.tsa.seasonal import MSTL

    past = y[train].interpolate().bfill()
    made = MSTL(past, periods=(7, 365)).fit()
    out = np.full(len(y), np.nan)
    first = int(np.flatnonzero(train)[-1]) + 1
    ahead = np.arange(len(y) - first)
    week, year = (made.seasonal[f"seasonal_{p}"].to_numpy()[-p:][ahead % p] for p in (7, 365))
    out[first:] = float(made.trend.iloc[-1]) + week + year
    return out


def year_before(y: pd.Series, case: Case, train: np.ndarray) -> np.ndarray:
    """Return the load of the same weekday 364 days before, once more where that is not known yet."""
    del case
    out = y.where(train).to_numpy().copy()
    for t in range(len(out)):
        if not train[t] and t >= 364:
            out[t] = out[t - 364]
    return out


PEERS: dict[str, Callable[[pd.Series, Case, np.ndarray], np.ndarray]] = {
    "prophet_like": prophet_like, "mstl": mstl, "year_before": year_before
}  # fmt: skip


def ours(case: Case, until: str) -> Any:
    """Return the activity index of a case, trained up to a day."""
    return activity_index(
        case.load, temperature=case.weather, country=case.country, region=case.region, train=[(case.start, until)]
    )


def log_error(frame: pd.DataFrame) -> pd.Series:
    """Return observed over expected use of the days on which both are known, log points."""
    known = frame.dropna()
    return pd.Series(np.log(known["observed"] / known["expected"]))


def memory(case: Case, year: int) -> float:
    """Return how much of a day's error is the next day's: the correlation in a year, trained on those before it."""
    frame = ours(case, f"{year - 1}-12-31").to_frame()
    return float(log_error(frame.loc[str(year)]).autocorr(1))


def row(case: Case) -> dict[str, Any]:
    """Return errors in 2019 in per cent (standard deviation, root mean square), coverage, and the gap of April 2020."""
    made = ours(case, "2018-12-31").to_frame()
    year = made.loc["2019"].dropna()
    error = log_error(year)
    weekly = error.rolling(7).mean().iloc[6::7]
    found: dict[str, Any] = {
        "sd": 100 * float(error.std()), "rmse": 100 * float(np.sqrt((error**2).mean())),
        "robust_sd": 148.26 * float((error - error.median()).abs().median()), "weekly_sd": 100 * float(weekly.std()),
        "next_day_sd": 100 * float((error - memory(case, 2018) * error.shift()).std()),
        "coverage": 100 * float(((year["lower"] <= 0) & (year["upper"] >= 0)).mean()),
    }  # fmt: skip
    y = np.log(daily_means(frame_of(case.load)).iloc[:, 0])
    dates = pd.DatetimeIndex(y.index)
    train = np.asarray((dates >= case.start) & (dates <= "2018-12-31"))
    losses = {}
    for name, peer in PEERS.items():
        miss = (y - peer(y, case, train)).loc["2019"].reindex(error.index)
        losses[name] = float((miss**2).mean())
        found[f"{name}_sd"], found[f"{name}_rmse"] = 100 * float(miss.std()), 100 * float(np.sqrt(losses[name]))
        test = diebold_mariano((error**2).to_numpy(), (miss**2).to_numpy(), horizon=1, variance="cosine")
        found[f"{name}_p"] = float(test.p_value)
    later = ours(case, "2019-12-31")
    for label, span in (("april", APRIL), ("lockdown", LOCKDOWN)):
        gap = later.span(*span)
        found[label] = [round(float(gap[k]), 1) for k in ("gap", "lower", "upper")]
    return {k: round(v, 3) if isinstance(v, float) else v for k, v in found.items()}


def run(size: int | None = None) -> dict[str, Any]:
    """Score the first `size` of the cases; all where absent."""
    if not folder().is_dir():
        return {"case": "activity", "size": size, "peer": "absent: no folder of real data"}
    clock = time.perf_counter()
    table = {name: row(case) for name, case in list(cases().items())[:size]}
    best = {name: min(r[f"{p}_rmse"] for p in PEERS) for name, r in table.items()}
    return {
        "case": "activity", "size": len(table), "ours_s": time.perf_counter() - clock,
        "peer": "Prophet's form, MSTL, the year before", "peer_s": None, "ratio": None, "max_abs_diff": None,
        "rmse_to_best_peer": {name: round(table[name]["rmse"] / best[name], 3) for name in table}, "table": table,
    }  # fmt: skip
