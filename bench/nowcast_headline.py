"""Which figure of the room's nowcast comes nearest: the factor model, or all models together. US GDP, pseudo real time.

The room's own way (`rehearse`): levels of the 14 series of `nowcast_accuracy` and GDP of the FRED cuts of 2023, as
revised since; a nowcast at the end of every month from 2000 on, parameters learnt when GDP of a quarter comes out,
Student errors, weights and bands from what was known on the day. Errors in points on the quarter before, not at an
annual rate, against GDP as it stands in that cut.
"""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import numpy as np
import pandas as pd

from bench.nowcast_accuracy import LATE, LEVELS, MONTHLY, SPANS, folder
from opsroom.base.errors import FitError
from opsroom.base.scores import diebold_mariano
from opsroom.measure.nowcast import SeriesSpec, rehearse

METHODS = {"nowcast": "error", "pool": "pool_error", "bridge": "bridge_error", "ar1": "ar1_error"}
GDP_KNOWN = 30
"""Days after a quarter's end."""


def run(size: int | None = None) -> dict[str, Any]:
    """Score what the room would have said; `size` is the number of the last months of 2000-2023 (all 285)."""
    table, specs, outcomes = levels()
    known = table["known_at"].to_numpy()
    months = pd.period_range("2000-01", "2023-09", freq="M")
    days = [month.end_time.date() for month in months][-(size or len(months)) :]

    def at(day: dt.date) -> pd.DataFrame:
        return table.loc[known <= np.datetime64(day), ["series", "period", "value"]]

    def learnt(day: dt.date) -> dt.date:
        month = pd.Period(day, freq="M")
        return (month - (month.month - 1) % 3).end_time.date()  # the first month's end: GDP has just come out

    begun = time.process_time()
    lags = {spec.name: GDP_KNOWN for spec in specs}
    done = rehearse(at, days, target="GDPC1", specs=specs, first_releases=outcomes, lags=lags, learn_on=learnt)
    frame = done.frame
    frame = frame[frame["quarter"] == [f"{day.year}-Q{(day.month + 2) // 3}" for day in frame["day"]]]
    out: dict[str, Any] = {
        "case": "nowcast-headline", "peer": "factor model", "size": len(days), "refused": len(done.refused),
        "cpu_s": round(time.process_time() - begun, 1),
    }  # fmt: skip
    for span, (first, last) in SPANS.items():
        within = frame[(frame["quarter"] >= first) & (frame["quarter"] <= last)]
        for number in (1, 2, 3):
            rows = within[np.array([(day.month - 1) % 3 + 1 == number for day in within["day"]], dtype=bool)]
            out |= {f"{span} month {number} {key}": value for key, value in told(rows).items()}
        out |= {f"{span} {key}": value for key, value in told(within).items()}
    return {**out, "ours_s": None, "peer_s": None, "ratio": out.get("2000-2019 pool ratio"), "max_abs_diff": None}


def levels() -> tuple[pd.DataFrame, list[SeriesSpec], dict[str, float]]:
    """Return levels with the day on which each is known, their specifications, and GDP growth."""
    here = folder()
    monthly = pd.read_parquet(here / "fred_md_vintage_bvar_2023.parquet")
    quarterly = pd.read_parquet(here / "fred_qd_vintage_bvar_2023.parquet")
    pieces = []
    for cut, names, frequency in ((monthly, MONTHLY, "M"), (quarterly, ("GDPC1",), "Q")):
        dates = next(c for c in cut.columns if c.lower() in ("date", "sasdate"))
        period = pd.PeriodIndex(pd.to_datetime(cut[dates]), freq=frequency)
        for name in names:
            # A month's end is known at the end of the month after, of late series a month later still.
            known = (period + (2 if name in LATE else 1)).end_time if frequency == "M" else period.end_time
            if frequency == "Q":
                known = known + pd.Timedelta(days=GDP_KNOWN)
            one = {"series": name, "period": period.start_time, "known_at": known.normalize(), "value": cut[name]}
            pieces.append(pd.DataFrame(one))
    table = pd.concat(pieces, ignore_index=True).dropna(subset=["value"])
    table = table[table["period"] >= "1985-01-01"].reset_index(drop=True)
    gdp = table[table["series"] == "GDPC1"].set_index("period")["value"]
    growth = (100.0 * (gdp / gdp.shift() - 1.0)).dropna()
    specs = [SeriesSpec("GDPC1", "Q", "pch"), *(SeriesSpec(n, "M", "chg" if n in LEVELS else "pch") for n in MONTHLY)]
    return table, specs, {f"{day.year}-Q{day.quarter}": float(value) for day, value in growth.items()}


def told(rows: pd.DataFrame) -> dict[str, Any]:
    """Return errors of each method, coverage of the bands, and the test of the pool's errors."""
    rows = rows.dropna(subset=["error"])
    if rows.empty:
        return {}
    out: dict[str, Any] = {"n": len(rows)}
    for name, column in METHODS.items():
        out[f"{name} rmse"] = round(float(np.sqrt((rows[column] ** 2).mean())), 3)
        out[f"{name} mae"] = round(float(rows[column].abs().mean()), 3)
    for name, low, high in (
        ("nowcast cover68", "lower68", "upper68"),
        ("nowcast cover90", "lower90", "upper90"),
        ("pool cover90", "pool_lower90", "pool_upper90"),
    ):
        inside = (rows["first_release"] >= rows[low]) & (rows["first_release"] <= rows[high])
        out[name] = round(float(inside.mean()), 3)
    out["pool ratio"] = round(out["pool rmse"] / out["nowcast rmse"], 3)
    by_quarter = rows.assign(a=rows["pool_error"] ** 2, b=rows["error"] ** 2).groupby("quarter")[["a", "b"]].mean()
    try:
        out["pool against nowcast p"] = round(diebold_mariano(by_quarter["a"], by_quarter["b"], horizon=1).p_value, 3)
    except FitError:
        out["pool against nowcast p"] = None  # too few quarters
    return out
